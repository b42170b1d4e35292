/**
 * What the page looks like, in three sizes, light and dark:
 *
 *     node cli/tests/browser/screenshots.mjs FOLDER
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { launch } from "./browser.mjs";
import { Frames, HELLO, STATE, fakeTool, route } from "./fake.mjs";
import { pictures } from "./pictures.mjs";
import { frame } from "./track.mjs";

const folder = process.argv[2] ?? "target/screenshots";
const SIZES = [
  [1400, 900],
  [800, 1100],
  [400, 850],
];
await mkdir(folder, { recursive: true });
const browser = await launch();
const tool = await fakeTool();
for (const [width, height] of SIZES) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme, deviceScaleFactor: 1 });
    page.on("console", (message) => console.error(`${width} ${colorScheme}: ${message.text()}`));
    page.on("pageerror", (error) => console.error(`${width} ${colorScheme}: ${error.stack}`));
    await show(page);
    await page.screenshot({ path: join(folder, `${width}-${colorScheme}.png`) });
    await page.close();
  }
}
tool.close();
await browser.close();

/** A vehicle that has driven for 95 s. */
async function show(page) {
  const road = await pictures(page);
  const start = Date.now() - 95_000;
  const at = (ms) => ({ at: start + ms, value: frame(ms / 1000, start + ms) });
  const frames = new Frames();
  const past = [];
  for (let ms = 0; ms < 95_000; ms += 20) {
    past.push(at(ms));
  }
  tool.history = frames.samples(past);
  let timer;
  await route(page, (socket) => {
    socket.say({ ...HELLO, commands: ["time_lap", "hazard"], monitor: "10.0.0.4:16909" });
    let next = 95_000;
    let seq = 12_000;
    const tick = (count) => {
      const now = start + next;
      const news = [at(next), at(next + 20)];
      next += 40;
      socket.say(frames.samples(news));
      if (count % 20 === 0) socket.say(frames.fields());
      if (count % 6 === 0) {
        socket.say({ ...STATE, now, age_ms: 12, skew_ms: 3, messages: seq });
        const texts = news.map(({ at, value }) => ({
          seq: seq++,
          at,
          len: 612,
          text: JSON.stringify(value),
          cut: false,
        }));
        texts[1] = count % 42 === 0 ? { ...texts[1], text: "time_lap\r\n", len: 10 } : texts[1];
        if (count === 24) texts[1] = { seq: texts[1].seq, at: now, len: 6, base64: "/wABf4D+", cut: false };
        socket.say({ type: "raw", total: seq, messages: texts });
        socket.picture("front", now - 30, road[(count / 6) % road.length]);
      }
      if (count % 24 === 0) socket.say(peers(now, count));
    };
    for (let count = 0; count <= 60; count++) {
      tick(count);
    }
    let count = 61;
    timer = setInterval(() => tick(count++), 40);
  });
  await page.goto(tool.url);
  await page.waitForTimeout(1600);
  clearInterval(timer);
  await page.waitForTimeout(150);
}

function peers(at, count) {
  const connection = (id, peer, state, extra = {}, traffic = {}) => ({
    id,
    peer,
    state,
    age_ms: 95_000 + 9000 * (10 - id),
    policy: "drop_oldest",
    conflate: false,
    max_queued_bytes: 1_048_576,
    oldest_ms: null,
    system_queued_bytes: 0,
    ...extra,
    traffic: {
      written: { messages: count * 50, bytes: count * 1020 },
      dropped: { messages: 0, bytes: 0 },
      conflated: { messages: 0, bytes: 0 },
      queued_bytes: 0,
      ...traffic,
    },
  });
  return {
    type: "peers",
    at,
    error: null,
    numbers: {
      version: 1,
      at_ms: at,
      name: "10.0.0.4:16900",
      role: "server",
      port: 16900,
      service: { uptime_ms: 812_000, connections: 4 },
      connections: [
        connection(3, "10.0.0.7:51234", "live"),
        connection(4, "10.0.0.12:40112", "live", { conflate: true }, { conflated: { messages: 318, bytes: 9 } }),
        connection(
          6,
          "10.0.0.21:55310",
          "stopped",
          { oldest_ms: 8200 + count * 40 },
          {
            queued_bytes: 1_048_102,
            dropped: { messages: 1480 + count * 2, bytes: 1e6 },
            written: { messages: 10, bytes: 9000 },
          },
        ),
        connection(7, "10.0.0.30:49876", "slow", { oldest_ms: 640 }, { queued_bytes: 83_000 }),
      ],
      departures: [
        {
          id: 5,
          peer: "10.0.0.21:55102",
          ago_ms: 41_000,
          lasted_ms: 128_000,
          kind: "slow_consumer",
          reason: "it read too slowly: 1.0 MB waited for longer than 5 s",
        },
        { id: 2, peer: "10.0.0.9:38000", ago_ms: 340_000, lasted_ms: 61_000, kind: "peer_goodbye", reason: "" },
      ],
    },
  };
}
