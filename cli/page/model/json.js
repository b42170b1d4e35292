/** What is in JSON that somebody else has made: what is missing or of another kind is nothing. */

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
