/** What is shown before anybody chooses. */

/** What people look at first, the best one first. The last part of a path is compared, without its case. */
const FIRST = ["speed", "velocity", "throttle", "brake", "rpm", "power", "voltage", "current", "temperature"];
const COUNT = 3;

/** Milliseconds since 1970, from 2001 to 2065. */
const CLOCK_MS = { from: 1e12, to: 3e12 };
const NAMES_OF_CLOCKS = /^(t|ts|time|timestamp|date)(_ms)?$/i;
const NAMES_OF_COUNTERS = /^(seq|sequence|id|index|count|counter)$/i;
const LATITUDE = /(^|_)lat(itude)?$/i;
const LONGITUDE = /(^|_)(lon|lng|long|longitude)$/i;

/** @typedef {{id: number, path: string, last: number, min: number, max: number}} Field */

/**
 * The fields that are plotted first: known names, then what moves.
 *
 * @param {Field[]} fields
 * @returns {Field[]}
 */
export function firstPlotted(fields) {
  const place = pairOfCoordinates(fields);
  const worth = fields
    .filter((field) => !counts(field) && field !== place?.latitude && field !== place?.longitude)
    .map((field, order) => ({ field, order, rank: rank(field) }));
  worth.sort((one, other) => one.rank - other.rank || one.order - other.order);
  const known = worth.filter(({ rank }) => rank < FIRST.length);
  const chosen = known.length > 0 ? known : worth.slice(0, 1);
  return chosen.slice(0, COUNT).map(({ field }) => field);
}

/** The first latitude with a longitude beside it, in the same object. */
export function pairOfCoordinates(fields) {
  const longitudes = new Map();
  for (const field of fields) {
    const { prefix, name } = split(field.path);
    if (LONGITUDE.test(name)) {
      longitudes.set(prefix + name.replace(LONGITUDE, "$1"), field);
    }
  }
  for (const field of fields) {
    const { prefix, name } = split(field.path);
    const longitude = LATITUDE.test(name) && longitudes.get(prefix + name.replace(LATITUDE, "$1"));
    if (longitude) {
      return { latitude: field, longitude };
    }
  }
  return null;
}

/** `gps.lat` is `lat` in `gps.`. */
export function split(path) {
  const at = path.lastIndexOf(".") + 1;
  return { prefix: path.slice(0, at), name: path.slice(at) };
}

function rank(field) {
  const name = split(field.path).name.toLowerCase();
  const known = FIRST.indexOf(name);
  if (known >= 0) {
    return known;
  }
  return FIRST.length + (field.max > field.min ? 0 : 1);
}

/** Whether it says when, in milliseconds since 1970. */
export function isClock({ path, last }) {
  return last > CLOCK_MS.from && last < CLOCK_MS.to && NAMES_OF_CLOCKS.test(split(path).name);
}

/** Always upwards, and no curve that anybody wants to see. */
function counts({ path }) {
  const { name } = split(path);
  return NAMES_OF_CLOCKS.test(name) || NAMES_OF_COUNTERS.test(name);
}
