/** What has come so far: the fields with their newest values, and the samples; the past and the present joined without a seam. */

import { Table } from "./table.js";

/** How many samples messages wait for the history: a minute of them. */
const MOST_WAITING = 1200;

/** @typedef {{id: number, path: string, last: number, min: number, max: number, count: number, whole: boolean}} Field */

export class Feed {
  /** @type {Map<number, Field>} */
  fields = new Map();
  /** How many fields there are beyond those that are shown. */
  more = 0;
  table = new Table(300_000);
  #seq = NaN;
  /** What has come before the history: null where nothing has to wait. */
  #waiting = null;

  /** A new connection: its names for fields are its own, so that nothing of an earlier one is kept. */
  begin(keepMs) {
    this.fields.clear();
    this.more = 0;
    this.table = new Table(keepMs);
    this.#seq = NaN;
    this.#waiting = [];
  }

  /** @param {{seq: number, times: ArrayLike<number>, columns: Map<number, ArrayLike<number>>} | null} history */
  history(history) {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    if (history !== null) {
      this.table.append(history.times, history.columns);
      this.#seq = history.seq;
    }
    for (const samples of waiting) {
      if (!(samples.seq <= this.#seq)) {
        this.#append(samples);
      }
    }
  }

  /** @param {import("./protocol.js").Samples} samples */
  samples(samples) {
    for (const [id, values] of samples.columns) {
      this.#newest(id, values);
    }
    if (this.#waiting === null) {
      this.#append(samples);
    } else if (this.#waiting.push(samples) > MOST_WAITING) {
      this.#waiting.shift();
    }
  }

  /** @param {import("./protocol.js").Fields} message */
  names({ fields, more }) {
    this.more = more;
    for (const { id, path, last, min, max, count } of fields) {
      const known = this.fields.get(id);
      const whole = [last, min, max].every((value) => !(value % 1 !== 0)) && known?.whole !== false;
      // The same object for as long as the field is there: panels hold it.
      this.fields.set(id, Object.assign(known ?? {}, { id, path, last, min, max, count, whole }));
    }
  }

  /** After a jump in a recording. */
  reset() {
    this.table.clear();
    this.#waiting = null;
  }

  byPath(path) {
    return [...this.fields.values()].find((field) => field.path === path);
  }

  #append({ seq, times, columns }) {
    // Numbered in a row: where one is missing, it has been left out for this browser.
    this.table.append(times, columns, seq > this.#seq + 1);
    this.#seq = seq;
  }

  #newest(id, values) {
    const field = this.fields.get(id);
    if (field === undefined) {
      return;
    }
    for (const value of values) {
      if (Number.isNaN(value)) {
        continue;
      }
      field.last = value;
      field.whole &&= value % 1 === 0;
      if (!(value >= field.min)) field.min = value;
      if (!(value <= field.max)) field.max = value;
    }
  }
}
