/** The commands that the tool lets this page send, each a button; what came of the last one is said beside them. */

import { byId, element } from "../dom.js";
import { shown } from "../model/escape.js";
import { tell } from "../outcome.js";

export class Commands {
  #say;

  /** @param {(message: object) => boolean} say */
  constructor(say) {
    this.#say = say;
  }

  hello({ commands }) {
    byId("commands").hidden = commands.length === 0;
    byId("commands").replaceChildren(...commands.map((name) => this.#button(name)));
  }

  /** @param {import("../model/protocol.js").Commanded} outcome */
  commanded({ name, ok, error }) {
    tell(ok, ok ? `${shown(name, 60)}: sent` : `${shown(name, 60)}: ${shown(error, 120)}`);
  }

  #button(name) {
    const button = element("button", { type: "button", class: "command" }, shown(name, 60));
    button.addEventListener("click", () => {
      if (!this.#say({ type: "command", name })) {
        tell(false, `${shown(name, 60)}: not sent, leads-comm view does not answer`);
      }
    });
    return button;
  }
}
