/** A page in a browser, with a tool that says what a test wants it to say. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { launch } from "./browser.mjs";
import { Frames, HELLO, STATE, fakeTool, route } from "./fake.mjs";

export let browser;
export let tool;

before(async () => {
  browser = await launch();
  tool = await fakeTool();
});

after(async () => {
  tool.close();
  await browser.close();
});

/**
 * A page, and who speaks with it. What the browser complains of, as a policy that is not kept, fails the test.
 *
 * @param {(socket: object, number: number) => void} speak called for each connection
 * @param {{expected?: RegExp}} options and those of a browser; what is expected is no complaint
 */
export async function opened(t, speak, { expected = /^$/, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => isComplaint(message, expected) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.stack));
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  });
  let connections = 0;
  await route(page, (socket) => speak(socket, ++connections));
  tool.history = { seq: 0, t: [], v: {} };
  await page.goto(tool.url);
  return page;
}

/** That the tests read what has been drawn is no fault of the page. */
function isComplaint(message, expected) {
  return /error|warning/.test(message.type()) && !/readback/.test(message.text()) && !expected.test(message.text());
}

export const text = (page, selector) => page.locator(selector).textContent();

export const shows = (page, selector, wanted) =>
  page.waitForFunction(
    ([selector, wanted]) =>
      [...document.querySelectorAll(selector)].some((found) => found.textContent.includes(wanted)),
    [selector, wanted],
    { timeout: 10_000 },
  );

/** Frames of one value each, `step` milliseconds apart, the last one now. */
export function drive(values, step = 20, now = Date.now()) {
  return values.map((value, at) => ({ at: now - (values.length - 1 - at) * step, value }));
}

/**
 * A vehicle with two fields, which was heard of a minute ago, and now.
 *
 * @returns {Frames} says more of it
 */
export function vehicle(socket, values = VALUES, { hello = {}, step = 60_000 } = {}) {
  const frames = new Frames();
  socket.say({ ...HELLO, ...hello });
  const samples = frames.samples(drive(values, step));
  socket.say(frames.fields());
  socket.say(samples);
  socket.say({ ...STATE, now: Date.now() });
  return frames;
}

const VALUES = [
  { speed: 10, voltage: 48.25 },
  { speed: 38.5, voltage: 48.5 },
];

/** How many pixels of the plot have the colour of a curve. */
export function curve(page, number = 0) {
  return page.evaluate(async (number) => {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const canvas = document.querySelector("#plot canvas");
    const probe = document.createElement("span");
    probe.style.color = `var(--series-${number})`;
    document.body.append(probe);
    const [r, g, b] = getComputedStyle(probe).color.match(/\d+/g).map(Number);
    probe.remove();
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const columns = new Set();
    for (let at = 0; at < data.length; at += 4) {
      if (Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) < 24 && data[at + 3] > 200) {
        columns.add((at / 4) % canvas.width);
      }
    }
    return [...columns].sort((one, other) => one - other);
  }, number);
}

export const PEERS = {
  type: "peers",
  /** As if they had just come. */
  get at() {
    return Date.now();
  },
  error: null,
  numbers: {
    at_ms: 1000,
    name: "10.0.0.4:16900",
    service: { connections: 2 },
    connections: [
      { id: 1, peer: "10.0.0.7:1", state: "live", policy: "drop_oldest", conflate: true, traffic: {} },
      {
        id: 2,
        peer: "10.0.0.8:2",
        state: "stopped",
        policy: "drop_oldest",
        max_queued_bytes: 2000,
        oldest_ms: 8200,
        traffic: { queued_bytes: 1000, dropped: { messages: 42 }, conflated: { messages: 7 } },
      },
    ],
    departures: [
      { id: 3, peer: "10.0.0.9:3", ago_ms: 4000, lasted_ms: 90_000, kind: "slow_consumer", reason: "too slow" },
    ],
  },
};
