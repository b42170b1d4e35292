import { sample } from "./model/protocol.js";

/** As typed arrays, which are handed over without being copied. */
async function history() {
  const answer = await fetch("history");
  const message = await answer.json();
  const times = Float64Array.from(message.t);
  const columns = new Map();
  for (const [id, values] of Object.entries(message.v)) {
    columns.set(Number(id), Float64Array.from(values, sample));
  }
  const buffers = [times.buffer, ...[...columns.values()].map((column) => column.buffer)];
  postMessage({ seq: message.seq, times, columns }, { transfer: buffers });
}

history().catch(() => postMessage(null));
