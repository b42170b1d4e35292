/** The bar: how the connection is, how old the last message, and how much comes. */

import { byId, element, setText } from "../dom.js";
import { shown } from "../model/escape.js";
import * as format from "../model/format.js";
import { health } from "../model/health.js";

/** Name, what it means, what it says, and when it is of no interest. */
const FIGURES = [
  ["messages", "Messages a second, over the last two", (state) => `${format.rate(state.messagesPerS)}/s`],
  ["data", "Bytes a second, over the last two", (state) => `${format.bytes(state.bytesPerS)}/s`],
  ["total", "Messages since leads-comm view was started", (state) => format.count(state.messages)],
  ["left out", "Messages that came faster than they could be looked at", (state) => format.count(state.leftOut)],
  [
    "clock skew",
    "How far the clock here is before that of the messages, which is in their t; the way of a message is in it",
    (state) => format.skew(state.skewMs),
    (state) => Number.isNaN(state.skewMs),
  ],
  [
    "no JSON",
    "Messages that are no JSON objects: they are among the messages below, and have no fields",
    (state) => format.count(state.notJson),
    (state) => state.notJson === 0,
  ],
  [
    "not drawn",
    "Messages a second beyond what a plot can show; smallest and largest values are of all",
    (state) => `${format.count(state.thinned)}/s`,
    (state) => state.thinned === 0,
  ],
];

/** How long things stand as they do before a screen reader says so: a slow vehicle is late every other second. */
const SAID_MS = 1500;

export class Bar {
  #state = null;
  #heard = 0;
  /** Null: it is not known yet. @type {boolean | null} */
  #served = null;
  #timeline = null;
  #retry = "";
  #changedAt = 0;
  #figures = FIGURES.map(([name, title, text, none = () => false]) => {
    const value = element("dd", { class: "number" });
    const group = element("div", { title }, element("dt", {}, name), value);
    group.hidden = true;
    byId("figures").append(group);
    return { name, text, none, value, group };
  });

  /** @param {import("../model/protocol.js").Hello} hello */
  hello(hello) {
    this.#served = true;
    this.#state = null;
    this.#timeline = null;
    setText(byId("source"), shown(hello.source, 200));
    document.title = `${shown(hello.source, 60)} – leads-comm view`;
  }

  /** @param {import("../model/protocol.js").State} state */
  state(state) {
    this.#state = state;
    this.#heard = performance.now();
  }

  timeline(timeline) {
    this.#timeline = timeline;
  }

  closed(waitMs) {
    this.#served = false;
    this.#retry = `leads-comm view does not answer; trying again every ${format.duration(Math.max(1000, waitMs))}`;
  }

  get #ageMs() {
    return this.#state === null ? NaN : this.#state.ageMs + performance.now() - this.#heard;
  }

  /** What there is to say beside the word. */
  #status(level) {
    if (this.#served === false) {
      return { text: this.#retry, isError: true };
    }
    if (this.#state === null || level === "good") {
      return { text: "", isError: false };
    }
    if (!this.#state.connected) {
      return { text: this.#state.status, isError: true };
    }
    if (Number.isNaN(this.#ageMs)) {
      return { text: "connected, but nothing has come yet", isError: false };
    }
    const isSilent = level === "bad";
    const text = isSilent ? `connected, but nothing has come for ${format.duration(this.#ageMs)}` : "";
    return { text, isError: false };
  }

  draw() {
    const state = this.#state;
    const { level, word } = health(this.#served, state, this.#ageMs, this.#timeline);
    const lamp = byId("health");
    if (lamp.dataset.level !== level || byId("health-word").textContent !== word) {
      lamp.dataset.level = level;
      setText(byId("health-word"), word);
      this.#changedAt = performance.now();
    }
    if (performance.now() - this.#changedAt > SAID_MS) {
      setText(byId("announce"), word);
    }
    const age = this.#timeline === null && Number.isFinite(this.#ageMs);
    setText(byId("health-age"), age ? `${format.duration(this.#ageMs)} ago` : "");
    for (const { name, text, none, value, group } of this.#figures) {
      group.hidden = state === null || none(state);
      if (!group.hidden) {
        setText(value, text(state));
        group.classList.toggle("bad", name === "left out" && state.leftOut > 0);
      }
    }
    const { text, isError } = this.#status(level);
    setText(byId("status"), shown(text, 300));
    byId("status").classList.toggle("bad", isError);
  }
}
