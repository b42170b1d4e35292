/** The last messages as they came, whatever they are: bytes that are no text in hexadecimal digits. */

import { byId, element, setText } from "../dom.js";
import { part } from "../frames.js";
import { decoded, hex, shown } from "../model/escape.js";
import * as format from "../model/format.js";

const KEPT = 60;
/** In characters: the tool cuts what is longer than 2048 bytes. */
const MOST_SHOWN = 2048;

export class Messages {
  #messages = [];
  #total = NaN;
  #rows = [];
  #held = false;

  constructor() {
    this.draw = part(() => this.#draw(), 250);
    const [list, hold, wrap] = [byId("raw"), byId("raw-hold"), byId("raw-wrap")];
    hold.addEventListener("click", () => {
      this.#held = !this.#held;
      hold.setAttribute("aria-pressed", String(this.#held));
      this.draw();
    });
    wrap.addEventListener("click", () => {
      const wraps = list.classList.toggle("wrap");
      wrap.setAttribute("aria-pressed", String(wraps));
    });
    document.addEventListener("selectionchange", () => this.draw());
  }

  clear() {
    this.#messages = [];
    this.#total = NaN;
    this.draw();
  }

  /** @param {import("../model/protocol.js").Raw} raw newest last, or first: their numbers say */
  accept(raw) {
    this.#total = raw.total;
    const newest = this.#messages[0]?.seq ?? -Infinity;
    const news = raw.messages.filter(({ seq }) => !(seq <= newest)).sort((one, other) => other.seq - one.seq);
    this.#messages = [...news, ...this.#messages].slice(0, KEPT);
    this.draw();
  }

  #draw() {
    setText(byId("raw-count"), Number.isNaN(this.#total) ? "" : format.count(this.#total));
    const list = byId("raw");
    const selecting = selectsIn(list);
    byId("raw-held").hidden = !selecting || this.#held;
    // What somebody is about to copy stays.
    if (this.#held || selecting) {
      return;
    }
    while (this.#rows.length < this.#messages.length) {
      this.#rows.push(new Row(list));
    }
    while (this.#rows.length > this.#messages.length) {
      this.#rows.pop().element.remove();
    }
    this.#rows.forEach((row, at) => row.show(this.#messages[at]));
  }
}

class Row {
  #message = null;

  constructor(list) {
    this.at = element("span", { class: "number dim" });
    this.length = element("span", { class: "number dim length" });
    this.text = element("code");
    this.element = element("li", {}, this.at, this.length, this.text);
    list.append(this.element);
  }

  show(message) {
    if (message === this.#message) {
      return;
    }
    this.#message = message;
    const { at, length, text, base64, cut } = message;
    setText(this.at, format.clock(at, 3));
    setText(this.length, format.bytes(length));
    this.text.classList.toggle("bytes", text === null);
    setText(this.text, (text === null ? hex(decoded(base64 ?? "")) : shown(text, MOST_SHOWN)) + (cut ? " …" : ""));
  }
}

function selectsIn(list) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(list, true);
}
