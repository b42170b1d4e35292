/**
 * What has come so far: the fields with their newest values, and the samples, the past and the present joined without a
 * seam.
 */

import { Table } from "./table.js";

/** How many samples messages wait for the history: a minute of them. */
const MOST_WAITING = 1200;

/**
 * @typedef {{id: number, path: string, last: number, at: number, min: number, max: number, whole: boolean}} Field
 *   the newest value, and since when; whether all have been whole numbers
 */

export class Feed {
  /** @type {Map<number, Field>} */
  fields = new Map();
  /** How many fields there are beyond those that are shown. */
  more = 0;
  table = new Table(300_000);
  #seq = NaN;
  /** What has come before the history: null where nothing has to wait. */
  #waiting = null;
  /** The newest value of each field, also of those that have no name yet. @type {Map<number, {last, at}>} */
  #newest = new Map();

  /** A new connection: its names for fields are its own, so that nothing of an earlier one is kept. */
  begin(keepMs) {
    this.fields.clear();
    this.#newest.clear();
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
      this.#take(id, samples.times, values);
    }
    if (this.#waiting === null) {
      this.#append(samples);
    } else if (this.#waiting.push(samples) > MOST_WAITING) {
      this.#waiting.shift();
    }
  }

  /**
   * Names come less often than samples, and each on its own way: what is older than a sample does not replace it.
   *
   * @param {import("./protocol.js").Fields} message
   */
  names({ fields, more }) {
    this.more = more;
    for (const { id, path, last, at, min, max } of fields) {
      const field = this.fields.get(id) ?? { id, min, max, whole: true };
      const newest = this.#newest.get(id);
      const known = newest?.at >= at ? newest : { last, at };
      this.fields.set(id, Object.assign(field, { path, ...known }));
      [last, min, max, known.last].forEach((value) => widen(field, value));
    }
  }

  /** After a jump in a recording: what fields have been is of another time. */
  reset() {
    this.table.clear();
    this.#newest.clear();
    this.#waiting = null;
    for (const field of this.fields.values()) {
      Object.assign(field, { last: NaN, at: NaN, min: NaN, max: NaN, whole: true });
    }
  }

  byPath(path) {
    return [...this.fields.values()].find((field) => field.path === path);
  }

  #append({ seq, times, columns }) {
    // Numbered in a row: where one is missing, it has been left out for this browser.
    this.table.append(times, columns, seq > this.#seq + 1);
    this.#seq = seq;
  }

  #take(id, times, values) {
    const field = this.fields.get(id);
    values.forEach((value, row) => {
      if (Number.isFinite(value)) {
        const known = { last: value, at: times[row] };
        this.#newest.set(id, known);
        if (field !== undefined) {
          widen(Object.assign(field, known), value);
        }
      }
    });
  }
}

/** @param {Field} field */
function widen(field, value) {
  if (Number.isNaN(value)) {
    return;
  }
  field.whole &&= value % 1 === 0;
  if (!(value >= field.min)) field.min = value;
  if (!(value <= field.max)) field.max = value;
}
