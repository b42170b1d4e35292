/** Which time the plot shows: the last seconds, which move on, or a piece of the past, which stays. */

/** The least that zooming shows, in milliseconds. */
const LEAST = 50;
/** And what is shown of a vehicle that has only just begun. */
const BEGINNING = 5000;

export class Window {
  /** @type {number | null} the right edge; null: it is now */
  #to = null;
  #most;

  /**
   * @param {number} span how much is shown, in milliseconds
   * @param {number} most and at most
   */
  constructor(span, most) {
    this.#most = most;
    this.span = Math.min(span, most);
  }

  get live() {
    return this.#to === null;
  }

  get most() {
    return this.#most;
  }

  set most(most) {
    this.#most = most;
    this.span = Math.min(this.span, most);
  }

  /**
   * From when to when. A curve that has only just begun fills the plot all the same.
   *
   * @returns {[number, number]}
   */
  range(now, oldest = -Infinity) {
    if (this.#to !== null) {
      return [this.#to - this.span, this.#to];
    }
    const from = now - this.span;
    return [oldest > from ? Math.max(from, Math.min(oldest, now - BEGINNING)) : from, now];
  }

  goLive() {
    this.#to = null;
  }

  pause(now) {
    this.#to ??= now;
  }

  /** Shows from one time to the other, and stays there. */
  select(from, to) {
    this.span = this.#bounded(to - from);
    this.#to = Math.max(from, to);
  }

  /** `factor` times as much time; `place` is what stays where it is, from 0 (left) to 1. The live edge stays live. */
  zoom(factor, place = 0.5) {
    const span = this.#bounded(this.span * factor);
    if (this.#to !== null) {
      this.#to += (span - this.span) * (1 - place);
    }
    this.span = span;
  }

  /** Moves by a part of what is shown: negative is back. Beyond the newest it is live again. */
  move(part, now, oldest) {
    const to = (this.#to ?? now) + part * this.span;
    if (to >= now) {
      this.goLive();
    } else {
      this.#to = Math.max(to, Math.min(oldest + this.span / 2, now));
    }
  }

  #bounded(span) {
    return Math.min(this.#most, Math.max(LEAST, Math.abs(span)));
  }
}
