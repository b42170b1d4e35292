/** The time line of a recording: play and pause, where it is, and how fast. */

import { byId, setText } from "../dom.js";
import { part } from "../frames.js";
import * as format from "../model/format.js";

/** While the handle is drawn, the tool is asked to jump this often at most. */
const SEEK_MS = 150;

export class Timeline {
  #say;
  #timeline = null;
  #seekAt = 0;
  /** Until the tool has followed, the handle stays where it was put. */
  #until = 0;

  constructor(say) {
    this.#say = say;
    this.draw = part(() => this.#draw());
    const [play, at, speed] = [byId("timeline-play"), byId("timeline-at"), byId("timeline-speed")];
    play.addEventListener("click", () => this.#play());
    at.addEventListener("input", () => this.#seek(Number(at.value), SEEK_MS));
    at.addEventListener("change", () => this.#seek(Number(at.value), 0));
    speed.addEventListener("change", () => say({ type: "speed", x: Number(speed.value) }));
  }

  clear() {
    this.#timeline = null;
    byId("timeline").hidden = true;
  }

  accept(timeline) {
    this.#timeline = timeline;
    byId("timeline").hidden = false;
    this.draw();
  }

  #play() {
    if (this.#timeline?.ended) {
      this.#say({ type: "seek", at: this.#timeline.start });
    }
    this.#say({ type: "pause", on: !(this.#timeline?.paused || this.#timeline?.ended) });
  }

  #seek(ms, everyMs) {
    const now = performance.now();
    this.#until = now + 500;
    this.#text(ms);
    if (this.#timeline !== null && now - this.#seekAt >= everyMs) {
      this.#seekAt = now;
      this.#say({ type: "seek", at: this.#timeline.start + ms });
    }
  }

  #draw() {
    const { start, end, at, speed, paused, ended } = this.#timeline ?? {};
    if (this.#timeline === null) {
      return;
    }
    setText(byId("timeline-play"), paused || ended ? "Play" : "Pause");
    const handle = byId("timeline-at");
    handle.max = String(Math.max(1, Math.round(end - start)));
    if (performance.now() > this.#until) {
      handle.value = String(Math.round(at - start));
      this.#text(at - start);
    }
    const choice = byId("timeline-speed");
    if (document.activeElement !== choice && Number(choice.value) !== speed) {
      choice.value = String(speed);
    }
  }

  #text(ms) {
    const { start, end } = this.#timeline ?? { start: 0, end: 0 };
    const text = `${format.date(start + ms)}, ${format.place(ms)} of ${format.place(end - start)}`;
    setText(byId("timeline-text"), text);
    byId("timeline-at").setAttribute("aria-valuetext", text);
  }
}
