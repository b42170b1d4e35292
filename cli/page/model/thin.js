/**
 * What is drawn of a table: with more rows than pixels, the smallest and the largest value of each pixel, in the order
 * in which they came. No spike is lost, and a curve costs what the screen is wide, however fast the messages are.
 */

import { GAP } from "./json.js";
import { search } from "./table.js";

/** In what is drawn: nothing of this field in this row, and the line goes on; `null` is where it breaks. */
const NOTHING = undefined;

/**
 * @param {import("./table.js").Table} table
 * @param {number[]} ids the fields
 * @param {number} from the first time
 * @param {number} to the last one
 * @param {number} pixels the width
 * @returns {[number[], ...(number|null|undefined)[][]]} times, and a list for each field
 */
export function thin(table, ids, from, to, pixels) {
  const { times, breaks } = table;
  const columns = ids.map((id) => table.column(id));
  // One row beyond either side, so that lines reach the edge.
  const first = Math.max(0, search(times, from) - 1);
  const last = Math.min(times.length, search(times, to) + 1);
  const drawn = new Drawn(ids.length);
  if (last - first <= 2 * pixels) {
    for (let row = first; row < last; row++) {
      if (breaks[row] === 1 && row > first) {
        drawn.gap((times[row - 1] + times[row]) / 2);
      }
      drawn.row(times[row], (field) => present(columns[field]?.[row]));
    }
    return drawn.finished();
  }
  // Pixels begin at multiples of their width, and not at `from`: what has been drawn looks the same a pixel further on.
  const width = (to - from) / pixels;
  const pixel = new Pixel(ids.length);
  for (let row = first; row < last; row++) {
    const place = Math.floor(times[row] / width);
    const gap = breaks[row] === 1 && row > first;
    if (gap || place !== pixel.place) {
      pixel.into(drawn, width);
      pixel.begin(place, times[row]);
    }
    if (gap) {
      drawn.gap((times[row - 1] + times[row]) / 2);
    }
    for (let field = 0; field < columns.length; field++) {
      pixel.add(field, columns[field]?.[row]);
    }
  }
  pixel.into(drawn, width);
  return drawn.finished();
}

/** The smallest and the largest value between two times; NaN where there is none. */
export function range(table, id, from, to) {
  const { times } = table;
  const column = table.column(id);
  let [min, max] = [Infinity, -Infinity];
  if (column !== undefined) {
    const last = search(times, to);
    for (let row = search(times, from); row < last; row++) {
      const value = column[row];
      if (value === GAP) continue;
      if (value < min) min = value;
      if (value > max) max = value;
    }
  }
  return min <= max ? { min, max } : { min: NaN, max: NaN };
}

/** The value of a field that held at `time`: the newest one up to then, unless it is far away. */
export function valueAt(table, id, time, rows = 1000) {
  const { times } = table;
  const column = table.column(id);
  if (column === undefined) {
    return NaN;
  }
  let row = search(times, time);
  if (row === times.length || times[row] > time) {
    row -= 1;
  }
  for (let back = 0; back < rows && row - back >= 0; back++) {
    if (!Number.isNaN(column[row - back])) {
      return column[row - back] === GAP ? NaN : column[row - back];
    }
  }
  return NaN;
}

function present(value) {
  return value === GAP ? null : Number.isNaN(value) ? NOTHING : value;
}

/** The lists that are drawn. */
class Drawn {
  constructor(fields) {
    this.lists = [[], ...Array.from({ length: fields }, () => [])];
  }

  row(time, value) {
    this.lists[0].push(time);
    for (let field = 1; field < this.lists.length; field++) {
      this.lists[field].push(value(field - 1));
    }
  }

  gap(time) {
    this.row(time, () => null);
  }

  /** A gap reaches from value to value, over the rows that have nothing of its field. */
  finished() {
    for (const list of this.lists.slice(1)) {
      for (let at = 1; at < list.length; at++) {
        if (list[at] === NOTHING && list[at - 1] === null) list[at] = null;
      }
      for (let at = list.length - 2; at >= 0; at--) {
        if (list[at] === NOTHING && list[at + 1] === null) list[at] = null;
      }
    }
    return this.lists;
  }
}

/** The rows of one pixel. */
class Pixel {
  place = NaN;

  constructor(fields) {
    this.min = new Float64Array(fields);
    this.max = new Float64Array(fields);
    /** Which came first. */
    this.rising = new Uint8Array(fields);
    this.gaps = new Uint8Array(fields);
    this.time = NaN;
    this.rows = 0;
  }

  begin(place, time) {
    this.place = place;
    this.time = time;
    this.rows = 0;
    this.min.fill(Infinity);
    this.max.fill(-Infinity);
    this.gaps.fill(0);
  }

  add(field, value) {
    this.rows += field === 0 ? 1 : 0;
    if (value === GAP) {
      this.gaps[field] = 1;
      return;
    }
    if (value < this.min[field]) {
      this.min[field] = value;
      this.rising[field] = 0;
    }
    if (value > this.max[field]) {
      this.max[field] = value;
      this.rising[field] = 1;
    }
  }

  into(drawn, width) {
    if (this.rows === 0) {
      return;
    }
    const value = (first) => (field) => {
      if (this.min[field] > this.max[field]) {
        return NOTHING;
      }
      return (this.rising[field] === 1) === first ? this.min[field] : this.max[field];
    };
    drawn.row(this.time, value(true));
    // Behind it, and before the next pixel: times never fall.
    const end = Math.max(this.time, (this.place + 0.99) * width);
    drawn.row(end, value(false));
    if (this.gaps.includes(1)) {
      drawn.row(end, (field) => (this.gaps[field] === 1 ? null : NOTHING));
    }
  }
}
