/** The newest picture of each name, how old it is, and how large. */

import { byId, element, setText } from "../dom.js";
import { part } from "../frames.js";
import { shown } from "../model/escape.js";
import * as format from "../model/format.js";

const MOST = 16;

/** How many pixels a picture may have: each takes four bytes once it is painted, however few the file has. */
const MOST_PIXELS = 24e6;

export class Pictures {
  /** @type {Map<string, Picture>} */
  #pictures = new Map();
  #now;

  constructor(now) {
    this.#now = now;
    this.draw = part(() => this.#draw());
  }

  clear() {
    for (const picture of this.#pictures.values()) {
      picture.clear();
    }
    this.#pictures.clear();
    byId("pictures-list").replaceChildren();
    byId("pictures").hidden = true;
  }

  accept(message) {
    let picture = this.#pictures.get(message.name);
    if (picture === undefined) {
      if (this.#pictures.size >= MOST) {
        return;
      }
      picture = new Picture(message.name, this.draw);
      this.#pictures.set(message.name, picture);
      byId("pictures-list").append(picture.element);
      byId("pictures").hidden = false;
    }
    picture.next = message;
    this.draw();
  }

  #draw() {
    for (const picture of this.#pictures.values()) {
      picture.draw(this.#now());
    }
  }
}

class Picture {
  /** The newest, which is not shown yet. */
  next = null;
  #shown = null;
  #url = null;
  #size = "";
  #redraw;

  constructor(name, redraw) {
    const text = shown(name, 60);
    this.image = element("img", { alt: `Newest picture of ${text}` });
    this.about = element("span", { class: "number dim" });
    const caption = element("figcaption", {}, element("span", { class: "name" }, text), this.about);
    this.element = element("figure", {}, this.image, caption);
    // Finds out how large it is, which takes no more than its first bytes; what is not in the page is not painted.
    this.probe = element("img");
    this.probe.addEventListener("load", () => {
      const { naturalWidth: width, naturalHeight: height } = this.probe;
      if (this.#url === null) {
        return;
      }
      if (width * height <= MOST_PIXELS) {
        this.image.src = this.#url;
      } else {
        this.image.removeAttribute("src");
        this.#settle(`${width}×${height}, too large`);
      }
    });
    this.image.addEventListener("load", () => this.#settle(`${this.image.naturalWidth}×${this.image.naturalHeight}`));
    for (const image of [this.probe, this.image]) {
      image.addEventListener("error", () => this.#settle("broken"));
    }
    this.#redraw = redraw;
  }

  /** One is decoded at a time. Those that come in the meantime replace each other. */
  #settle(size) {
    this.#size = size;
    this.#release();
    this.#redraw();
  }

  draw(now) {
    if (this.next !== null && this.#url === null) {
      this.#shown = this.next;
      this.next = null;
      if (this.#shown.mime === null) {
        this.#size = "no picture";
      } else {
        this.#url = URL.createObjectURL(new Blob([this.#shown.bytes], { type: this.#shown.mime }));
        this.probe.src = this.#url;
      }
      this.#shown = { at: this.#shown.at, length: this.#shown.bytes.length };
    }
    if (this.#shown !== null) {
      const { at, length } = this.#shown;
      const age = Math.max(0, now - at);
      setText(this.about, `${format.duration(age)} · ${this.#size} · ${format.bytes(length)}`);
    }
  }

  clear() {
    this.next = null;
    this.#release();
  }

  /** An address holds its bytes until it is revoked. */
  #release() {
    if (this.#url !== null) {
      URL.revokeObjectURL(this.#url);
      this.#url = null;
    }
  }
}
