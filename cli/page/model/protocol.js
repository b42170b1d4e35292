/**
 * What the tool says, `leads-comm.view.1`, read into shapes that the rest of the page can rely on: what is missing or
 * of another kind becomes nothing. Names and texts in it are those of the vehicle, and of anybody who reaches it.
 */

import { GAP, finite, isObject, list, text } from "./json.js";
import { numbers } from "./monitor.js";

export const SUBPROTOCOL = "leads-comm.view.1";

const MOST_FIELDS = 500;
const MOST_ROWS = 100_000;
const MOST_RAW = 100;
const MOST_PATH = 200;

/**
 * @typedef {{type: "hello", version: string, source: string, live: boolean, commands: string[], keepMs: number,
 *   monitor: string | null}} Hello
 * @typedef {{type: "state", now: number, connected: boolean, status: string, ageMs: number, messagesPerS: number,
 *   bytesPerS: number, messages: number, bytes: number, leftOut: number, notJson: number, skewMs: number,
 *   thinned: number}} State
 * @typedef {{type: "fields", more: number, fields: {id: number, path: string, last: number, min: number, max: number,
 *   at: number}[]}} Fields
 * @typedef {{type: "samples", seq: number, times: number[], columns: Map<number, number[]>}} Samples
 * @typedef {{type: "raw", total: number, messages: {seq: number, at: number, length: number, text: string | null,
 *   base64: string | null, cut: boolean}[]}} Raw
 * @typedef {{type: "timeline", start: number, end: number, at: number, speed: number, paused: boolean,
 *   ended: boolean}} Timeline
 * @typedef {{type: "commanded", name: string, ok: boolean, error: string}} Commanded
 */

const READERS = new Map(
  Object.entries({
    hello: (message) => ({
      version: text(message.version),
      source: text(message.source),
      live: message.live !== false,
      commands: list(message.commands, 100).map(text),
      keepMs: Math.max(1, finite(message.keep_s, 300)) * 1000,
      monitor: typeof message.monitor === "string" ? message.monitor : null,
    }),
    state: (message) => ({
      now: finite(message.now),
      connected: message.connected === true,
      status: text(message.status),
      ageMs: finite(message.age_ms),
      messagesPerS: finite(message.messages_per_s),
      bytesPerS: finite(message.bytes_per_s),
      messages: finite(message.messages),
      bytes: finite(message.bytes),
      leftOut: finite(message.left_out, 0),
      notJson: finite(message.not_json, 0),
      skewMs: finite(message.skew_ms),
      thinned: finite(message.thinned, 0),
    }),
    fields: (message) => ({
      more: finite(message.more, 0),
      fields: list(message.fields, MOST_FIELDS).filter(isObject).map(field),
    }),
    samples,
    raw: (message) => ({
      total: finite(message.total),
      messages: list(message.messages, MOST_RAW).filter(isObject).map(raw),
    }),
    peers: (message) => ({
      at: finite(message.at),
      error: typeof message.error === "string" ? message.error : null,
      numbers: isObject(message.numbers) ? numbers(message.numbers) : null,
    }),
    timeline: (message) => ({
      start: finite(message.start, 0),
      end: finite(message.end, 0),
      at: finite(message.at, 0),
      speed: finite(message.speed, 1),
      paused: message.paused === true,
      ended: message.ended === true,
    }),
    reset: () => ({}),
    commanded: (message) => ({ name: text(message.name), ok: message.ok === true, error: text(message.error) }),
  }),
);

/** A text message; null where it is none that this page knows. */
export function read(json) {
  let message;
  try {
    message = JSON.parse(json);
  } catch {
    return null;
  }
  const reader = isObject(message) ? READERS.get(message.type) : undefined;
  return reader === undefined ? null : { ...reader(message), type: message.type };
}

/** Of the answer of `/history` as well. */
export function samples(message) {
  const times = list(message.t, MOST_ROWS).map((time) => finite(time));
  const columns = new Map();
  for (const [id, values] of Object.entries(isObject(message.v) ? message.v : {})) {
    if (Array.isArray(values) && values.length >= times.length && columns.size < MOST_FIELDS) {
      columns.set(Number(id), values.slice(0, times.length).map(sample));
    }
  }
  return { seq: finite(message.seq), times, columns };
}

/** A value of samples. */
export function sample(value) {
  return value === "NaN" ? GAP : finite(value);
}

/**
 * A binary message: 1, the length of a name, the name, a time, and a file.
 *
 * @param {ArrayBuffer} buffer
 * @returns {{type: "picture", name: string, at: number, mime: string | null, bytes: Uint8Array} | null}
 */
export function readPicture(buffer) {
  const view = new DataView(buffer);
  if (view.byteLength < 10 || view.getUint8(0) !== 1 || view.byteLength < 10 + view.getUint8(1)) {
    return null;
  }
  const length = view.getUint8(1);
  const bytes = new Uint8Array(buffer, 10 + length);
  const name = new TextDecoder().decode(new Uint8Array(buffer, 2, length));
  return { type: "picture", name, at: view.getFloat64(2 + length), mime: mimeOf(bytes), bytes };
}

/** By its first bytes, and of these kinds only: none of them can hold a script. */
function mimeOf(bytes) {
  const begins = (...magic) => magic.every((byte, at) => byte === null || bytes[at] === byte);
  if (begins(0xff, 0xd8, 0xff)) return "image/jpeg";
  if (begins(0x89, 0x50, 0x4e, 0x47)) return "image/png";
  if (begins(0x52, 0x49, 0x46, 0x46, null, null, null, null, 0x57, 0x45, 0x42, 0x50)) return "image/webp";
  return null;
}

function field(field) {
  return {
    id: finite(field.id),
    path: text(field.path).slice(0, MOST_PATH),
    last: finite(field.last),
    min: finite(field.min),
    max: finite(field.max),
    at: finite(field.at),
  };
}

function raw(message) {
  return {
    seq: finite(message.seq),
    at: finite(message.at),
    length: finite(message.len, 0),
    text: typeof message.text === "string" ? message.text : null,
    base64: typeof message.base64 === "string" ? message.base64 : null,
    cut: message.cut === true,
  };
}
