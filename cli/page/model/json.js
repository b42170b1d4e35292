/** What is in JSON that somebody else has made: what is missing or of another kind is nothing. */

/**
 * What a field is in a message that says that it is no number, as Python's NaN: a gap in its curve. No number is like
 * that, and NaN is where nothing is said.
 */
export const GAP = Infinity;

/** NaN, or what is given, where it is no number: JSON has 1e400, which is read as Infinity. */
export function finite(value, otherwise = NaN) {
  return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}

export function text(value) {
  return typeof value === "string" ? value : "";
}

export function list(value, most) {
  return Array.isArray(value) ? value.slice(0, most) : [];
}

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
