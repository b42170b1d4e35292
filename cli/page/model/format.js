/** Numbers, sizes and times as people read them. Digits stay where they are while a value moves. */

const NONE = "–";
const DAY_MS = 86_400_000;

/**
 * A value with as many decimals as its field needs: a thousandth of what it moves by.
 *
 * @param {number} decimals see `decimalsOf`
 */
export function value(number, decimals) {
  if (!Number.isFinite(number)) {
    return NONE;
  }
  const size = Math.abs(number);
  if (size >= 1e15 || (size > 0 && size < 1e-6 && decimals > 0)) {
    return exponential(number, 2);
  }
  return fixed(number, decimals);
}

function fixed(number, decimals) {
  const text = number.toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

function exponential(number, decimals) {
  return number.toExponential(Math.min(6, decimals)).replace("e+", "e").replaceAll("-", "−");
}

const PREFIXES = ["", "k", "M", "G", "T"];

/**
 * How numbers that stand beside each other are told, all in one way, and none in more than `room` characters but for
 * an exponent: with fewer decimals, or in thousands, millions and so on, `25.2765 G`.
 *
 * @param {number[]} numbers the ones that there are
 * @returns {(number: number) => string}
 */
export function notation(numbers, decimals, room = 9) {
  const known = numbers.filter(Number.isFinite);
  const plain = (decimals) => (number) => value(number, decimals);
  const fits = (tell) => known.every((number) => tell(number).length <= room || Math.abs(number) >= 1e15);
  for (let fewer = decimals; fewer >= 0; fewer--) {
    if (fits(plain(fewer))) {
      return plain(fewer);
    }
  }
  const step = stepOf(known);
  for (let digits = 4; digits > 0; digits--) {
    if (fits(scaled(step, digits))) {
      return scaled(step, digits);
    }
  }
  return scaled(step, 0);
}

/** How an axis is told, with as many decimals as its steps need: `2.5`, `1.25 M`. */
export function axis(splits, step) {
  const largest = Math.max(...splits.map(Math.abs));
  if (largest < 1e5 && step >= 1e-6) {
    const decimals = decimalsOfStep(step);
    return (number) => value(number, decimals);
  }
  if (largest >= 1e15 || largest < 1e5) {
    return (number) => (number === 0 ? "0" : exponential(number, decimalsOfStep(step / 10 ** exponentOf(number))));
  }
  const power = stepOf(splits);
  return scaled(power, decimalsOfStep(step / 1000 ** power));
}

/** Thousands are 1, millions 2. */
function stepOf(numbers) {
  return Math.max(0, Math.min(PREFIXES.length - 1, Math.floor(exponentOf(Math.max(...numbers.map(Math.abs))) / 3)));
}

function scaled(step, decimals) {
  return (number) => {
    if (!Number.isFinite(number) || Math.abs(number) >= 1e15) {
      return value(number, decimals);
    }
    return number === 0 ? "0" : `${fixed(number / 1000 ** step, decimals)} ${PREFIXES[step]}`.trim();
  };
}

function exponentOf(number) {
  return number === 0 ? 0 : Math.floor(Math.log10(Math.abs(number)) + 1e-12);
}

/** Those of 2.5 are one. */
function decimalsOfStep(step) {
  const digits = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  return digits.find((decimals) => isWhole(step * 10 ** decimals)) ?? 9;
}

function isWhole(number) {
  return number >= 0.5 && Math.abs(number - Math.round(number)) < 1e-6 * number;
}

/** @param {boolean} whole whether all values have been whole numbers so far */
export function decimalsOf(min, max, whole) {
  if (whole || !(max >= min)) {
    return 0;
  }
  const span = max - min > 0 ? max - min : Math.max(Math.abs(min), Math.abs(max), 1e-6);
  const wanted = Math.ceil(-Math.log10(span / 1000) - 0.31);
  // Ten digits are as many as anybody compares.
  const room = 9 - Math.floor(Math.log10(Math.max(1, Math.abs(min), Math.abs(max))));
  return Math.max(0, Math.min(7, wanted, room));
}

/** `12.3 kB`, in steps of 1000, as everywhere in this command. */
export function bytes(count) {
  if (!Number.isFinite(count)) {
    return NONE;
  }
  let [size, unit] = [count, 0];
  const units = ["B", "kB", "MB", "GB", "TB"];
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 99.95 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** `1 234 567`, with narrow spaces. */
export function count(number) {
  if (!Number.isFinite(number)) {
    return NONE;
  }
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

export function rate(number) {
  if (!Number.isFinite(number)) {
    return NONE;
  }
  return number >= 99.95 ? count(number) : number.toFixed(1);
}

/** How long: `12 ms`, `3.4 s`, `2 min 05 s`, `3 h 07 min`, `4 d 01 h`. */
export function duration(ms) {
  if (!Number.isFinite(ms)) {
    return NONE;
  }
  const two = (number) => String(number).padStart(2, "0");
  const seconds = Math.floor(ms / 1000);
  if (ms < 999.5) {
    return `${Math.max(0, Math.round(ms))} ms`;
  }
  if (ms < 99_950) {
    return `${(ms / 1000).toFixed(1)} s`;
  }
  if (ms < 3_600_000) {
    return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  }
  if (ms < DAY_MS) {
    return `${Math.floor(seconds / 3600)} h ${two(Math.floor(seconds / 60) % 60)} min`;
  }
  return `${Math.floor(ms / DAY_MS)} d ${two(Math.floor(seconds / 3600) % 24)} h`;
}

/** What our clock is ahead of the sender's: `+12 ms`, `−3.4 s`. */
export function skew(ms) {
  return Number.isFinite(ms) ? (ms < 0 ? "−" : "+") + duration(Math.abs(ms)) : NONE;
}

/** The time of day, here: `14:03:07`, or with milliseconds. */
export function clock(ms, decimals = 0) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) {
    return NONE;
  }
  const two = (number) => String(number).padStart(2, "0");
  const whole = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return decimals === 0 ? whole : `${whole}.${String(date.getMilliseconds()).padStart(3, "0").slice(0, decimals)}`;
}

/** The day and the time of day, here: `2026-11-29 14:03:07`. */
export function date(ms) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) {
    return NONE;
  }
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(ms)}`;
}

/** A place in a recording: `1:03.250`. */
export function place(ms) {
  const seconds = Math.max(0, ms) / 1000;
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  const hours = Math.floor(minutes / 60);
  const tail = `${rest < 10 ? "0" : ""}${(Math.floor(rest * 10) / 10).toFixed(1)}`;
  return hours > 0 ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}
