/**
 * The samples of the last minutes: a time for each row, and a column of values for each field. NaN is where a row has
 * nothing of a field, and `GAP` where it has that it is no number.
 *
 * The rows lie one behind the other in typed arrays, oldest first, so that what draws them reads them as they are. Old
 * ones leave at the front; when the end of the arrays is reached what is left moves to their beginning, or the arrays
 * grow. There are at most `cells` values, however many fields share them: beyond that the oldest rows leave early.
 */

/** 64 MB: five minutes of 50 Hz with 500 fields. */
const CELLS = 8_000_000;
const FIRST_ROWS = 1024;

/** Silence that is longer than this, and than a few of the usual intervals, is a gap of the curve. */
const GAP_MS = 2000;
const GAP_INTERVALS = 4;

export class Table {
  #keepMs;
  #cells;
  #start = 0;
  #end = 0;
  #times = new Float64Array(FIRST_ROWS);
  /** 1: something is missing before this row. */
  #breaks = new Uint8Array(FIRST_ROWS);
  /** @type {Map<number, Float64Array>} */
  #columns = new Map();
  #interval = NaN;

  /** @param {number} keepMs how long a row stays */
  constructor(keepMs, cells = CELLS) {
    this.#keepMs = keepMs;
    this.#cells = cells;
  }

  get length() {
    return this.#end - this.#start;
  }

  /** Milliseconds since 1970, never falling. Valid until the next change, as are the other arrays. */
  get times() {
    return this.#times.subarray(this.#start, this.#end);
  }

  get breaks() {
    return this.#breaks.subarray(this.#start, this.#end);
  }

  /** The values of a field, as long as `times`; undefined where there has never been one. */
  column(id) {
    return this.#columns.get(id)?.subarray(this.#start, this.#end);
  }

  get newest() {
    return this.length > 0 ? this.#times[this.#end - 1] : NaN;
  }

  get oldest() {
    return this.length > 0 ? this.#times[this.#start] : NaN;
  }

  /** The first row that is not before `time`; `length` if there is none. */
  rowAt(time) {
    return search(this.times, time);
  }

  clear() {
    this.#start = this.#end = 0;
    this.#columns.clear();
    this.#interval = NaN;
  }

  /**
   * @param {ArrayLike<number>} times
   * @param {Map<number, ArrayLike<number>>} columns each as long as `times`
   * @param {boolean} broken rows are missing before these
   */
  append(times, columns, broken = false) {
    for (const id of columns.keys()) {
      this.#column(id);
    }
    const skipped = Math.max(0, times.length - this.#mostRows());
    const count = times.length - skipped;
    this.#makeRoom(count);
    for (const [id, column] of this.#columns) {
      const values = columns.get(id);
      for (let row = 0; row < count; row++) {
        column[this.#end + row] = values === undefined ? NaN : values[skipped + row];
      }
    }
    for (let row = 0; row < count; row++) {
      this.#row(times[skipped + row], broken && row === 0);
    }
    this.#start += this.rowAt(this.newest - this.#keepMs);
  }

  #row(time, broken) {
    const previous = this.length > 0 ? this.#times[this.#end - 1] : NaN;
    // A clock that is set back must not turn the curve around.
    const at = time < previous ? previous : time;
    const interval = at - previous;
    const silent = interval > Math.max(GAP_MS, GAP_INTERVALS * this.#interval);
    if (interval >= 0 && !silent && !broken) {
      this.#interval = this.#interval >= 0 ? this.#interval + (interval - this.#interval) / 16 : interval;
    }
    this.#times[this.#end] = at;
    this.#breaks[this.#end] = broken || silent ? 1 : 0;
    this.#end += 1;
  }

  #column(id) {
    if (this.#columns.has(id)) {
      return;
    }
    this.#columns.set(id, new Float64Array(this.#times.length).fill(NaN));
    const rows = this.#mostRows();
    if (rows < this.#times.length) {
      this.#start = Math.max(this.#start, this.#end - rows);
      this.#move(rows);
    }
  }

  /** With the times, which are a column as well. */
  #mostRows() {
    return Math.max(1, Math.floor(this.#cells / (this.#columns.size + 1)));
  }

  /** Behind the last row are `count` free ones after this. */
  #makeRoom(count) {
    const capacity = this.#times.length;
    if (this.#end + count <= capacity) {
      return;
    }
    let rows = capacity;
    // With a quarter free, the rows move once in a quarter of the capacity at most.
    while (this.length + count > rows - rows / 4 && rows < this.#mostRows()) {
      rows = Math.min(rows * 2, this.#mostRows());
    }
    const room = Math.max(count, Math.floor(rows / 4));
    this.#start = Math.max(this.#start, this.#end - (rows - room));
    this.#move(rows);
  }

  /** The rows to the beginning of arrays of this length. */
  #move(rows) {
    const [start, end] = [this.#start, this.#end];
    const moved = (from, fill) => {
      if (from.length === rows) {
        return from.copyWithin(0, start, end);
      }
      const to = new from.constructor(rows).fill(fill);
      to.set(from.subarray(start, end));
      return to;
    };
    this.#times = moved(this.#times, 0);
    this.#breaks = moved(this.#breaks, 0);
    for (const [id, column] of this.#columns) {
      this.#columns.set(id, moved(column, NaN));
    }
    this.#start = 0;
    this.#end = end - start;
  }
}

/** The first place in a rising list that is not before `value`. */
export function search(list, value) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
