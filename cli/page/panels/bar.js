/** The bar: how the connection is, how old the last message, and how much comes. */

import { byId, element, setText } from "../dom.js";
import { shown } from "../model/escape.js";
import * as format from "../model/format.js";
import { health } from "../model/health.js";

/** Name, what it says, and when it is of no interest. */
const FIGURES = [
  ["messages", (state) => `${format.rate(state.messagesPerS)}/s`],
  ["data", (state) => `${format.bytes(state.bytesPerS)}/s`],
  ["total", (state) => format.count(state.messages)],
  ["left out", (state) => format.count(state.leftOut)],
  ["clock skew", (state) => format.skew(state.skewMs), (state) => Number.isNaN(state.skewMs)],
  ["no JSON", (state) => format.count(state.notJson), (state) => state.notJson === 0],
  ["not drawn", (state) => `${format.count(state.thinned)}/s`, (state) => state.thinned === 0],
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
  #figures = FIGURES.map(([name, text, none = () => false]) => {
    const value = element("dd", { class: "number" });
    const group = element("div", {}, element("dt", {}, name), value);
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
    const status = this.#served !== false ? (level === "good" ? "" : (state?.status ?? "")) : this.#retry;
    setText(byId("status"), shown(status, 300));
  }
}
