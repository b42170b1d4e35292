/** The commands that the tool lets this page send, each a button; what came of the last one is said beside them. */

import { byId, element, setText } from "../dom.js";
import { shown } from "../model/escape.js";

const SHOWN_MS = 8000;

export class Commands {
  #say;
  #timer = 0;

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
    this.#tell(ok ? "good" : "bad", ok ? `${shown(name, 60)}: sent` : `${shown(name, 60)}: ${shown(error, 120)}`);
  }

  #button(name) {
    const button = element("button", { type: "button", class: "command" }, shown(name, 60));
    button.addEventListener("click", () => {
      if (!this.#say({ type: "command", name })) {
        this.#tell("bad", `${shown(name, 60)}: not sent, leads-comm view does not answer`);
      }
    });
    return button;
  }

  #tell(level, text) {
    const outcome = byId("outcome");
    outcome.dataset.level = level;
    // Empty first, so that the same outcome is said again.
    setText(outcome, "");
    clearTimeout(this.#timer);
    requestAnimationFrame(() => setText(outcome, text));
    this.#timer = setTimeout(() => setText(outcome, ""), SHOWN_MS);
  }
}
