/**
 * An hour in a few seconds: what a tool says of a vehicle with 30 fields at 50 Hz, said inside the page as fast as it
 * goes.
 */

/** The page gets a WebSocket that is not connected to anything; `hour` speaks in its place. */
export async function unplugged(page) {
  await page.addInitScript(() => {
    window.WebSocket = class extends EventTarget {
      static OPEN = 1;
      readyState = 1;
      constructor() {
        super();
        window.spoken = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
        setTimeout(() => this.dispatchEvent(new Event("open")));
      }
      send() {}
      close() {}
    };
  });
}

/**
 * Minutes of it; what the page holds afterwards, in bytes, when all that can go has gone.
 *
 * @returns {Promise<number>}
 */
export async function minutes(page, from, to, jpeg) {
  await page.evaluate(speak, { from, to, jpeg: [...jpeg] });
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize, backingStorageSize = 0, embedderHeapUsedSize = 0 } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize + backingStorageSize + embedderHeapUsedSize;
}

async function speak({ from, to, jpeg }) {
  const START = 1_795_900_000_000;
  const say = (message) => window.spoken(JSON.stringify(message));
  const fields = Array.from({ length: 30 }, (_, id) => ({ id, path: `field.${id}` }));
  const hello = { version: "1", source: "hour", live: true, commands: [], keep_s: 300, monitor: null, files: null };
  const state = { connected: true, since: START, status: "", age_ms: 3, messages_per_s: 50, bytes_per_s: 15000 };
  if (from === 0) {
    say({ type: "hello", ...hello });
  }
  const value = (id, at) => Math.sin(at / (2000 + id * 517)) * (id + 1);
  const jpegs = new Uint8Array(jpeg);
  for (let second = from * 60; second < to * 60; second++) {
    const now = START + second * 1000;
    const row = fields.map(({ id, path }) => ({
      id,
      path,
      last: value(id, now),
      min: -id - 1,
      max: id + 1,
      count: 1,
      at: now,
    }));
    say({ type: "fields", more: 0, fields: row });
    for (let part = 0; part < 20; part++) {
      const t = Array.from({ length: part % 2 === 0 ? 3 : 2 }, (_, at) => now + part * 50 + at * 20);
      const v = Object.fromEntries(fields.map(({ id }) => [id, t.map((at) => value(id, at))]));
      say({ type: "samples", seq: second * 20 + part + 1, t, v });
    }
    for (let part = 0; part < 4; part++) {
      const at = now + part * 250;
      const messages = Array.from({ length: 12 }, (_, place) => ({
        seq: second * 50 + part * 12 + place,
        at,
        len: 300,
        text: `${at} ${place} `.repeat(15),
        cut: false,
      }));
      say({ type: "raw", total: second * 50, messages });
      say({
        type: "state",
        now: at,
        messages: second * 50,
        bytes: 0,
        left_out: 0,
        not_json: 0,
        skew_ms: null,
        thinned: 0,
        ...state,
      });
    }
    const picture = new Uint8Array(15 + jpegs.length);
    picture.set([1, 5, 102, 114, 111, 110, 116]);
    new DataView(picture.buffer).setFloat64(7, now);
    picture.set(jpegs, 15);
    window.spoken(picture.buffer);
    if (second % 10 === 0) {
      await new Promise((done) => requestAnimationFrame(done));
    }
  }
}
