/** What the page shows, in a browser, of what a tool says. */
import assert from "node:assert/strict";
import test from "node:test";
import { Frames, HELLO, STATE, route } from "./fake.mjs";
import { minutes, unplugged } from "./hour.mjs";
import { blank, pictures } from "./pictures.mjs";
import { PEERS, browser, curve, opened, shows, text, tool, vehicle } from "./scene.mjs";

test("shows each field, its smallest and its largest value, and plots the first one", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket));
  await shows(page, "#fields-rows tr:nth-child(1) .value", "38.50");
  assert.equal(await text(page, "#fields-rows tr:nth-child(1) td:nth-child(4)"), "10.00");
  await shows(page, "#fields-rows tr:nth-child(2) .value", "48.50");
  await shows(page, "#health-word", "live");
  await shows(page, "#figures", "50.0/s");
  assert.equal(await page.getAttribute("#fields-rows tr:nth-child(1) button", "aria-pressed"), "true");
  await shows(page, "#legend li", "speed");
  // It is drawn a moment after its name is there.
  for (let tries = 0; (await curve(page)).length === 0; tries += 1) {
    assert.ok(tries < 100, "nothing is drawn");
    await page.waitForTimeout(50);
  }
  assert.equal(await page.isHidden("#map"), true);
  assert.equal(await page.isHidden("#pictures"), true);
  assert.equal(await page.isHidden("#commands"), true);
  assert.equal(await page.isHidden("#timeline"), true);
});

test("the past is there at once, and what is left out is a gap of the curve", async (t) => {
  const frames = new Frames();
  const now = Date.now();
  const samples = (from, to) => {
    const times = Array.from({ length: (to - from) / 50 }, (_, at) => now + from + at * 50);
    return frames.samples(times.map((at) => ({ at, value: { speed: 20 + Math.sin(at / 900) } })));
  };
  let page;
  const speak = (socket) => {
    socket.say(HELLO);
    socket.say(frames.fields());
    socket.say({ ...STATE, now });
    frames.seq += 1; // One that this page never sees.
    socket.say(samples(-15_000, 0));
  };
  const past = samples(-55_000, -16_000);
  page = await opened(t, () => {});
  tool.history = past;
  await page.unrouteAll();
  await route(page, speak);
  await page.reload();
  await shows(page, "#legend", "speed");
  await page.waitForFunction(() => document.querySelector("#plot canvas") !== null);
  let columns = [];
  for (const deadline = Date.now() + 10_000; Date.now() < deadline && columns.length < 500;) {
    columns = await curve(page);
  }
  const gaps = columns.slice(1).filter((column, at) => column - columns[at] > 5);
  assert.equal(gaps.length, 1, `${columns.length} columns, ${gaps}`);
  assert.ok(columns.at(-1) - columns[0] > 500, `${columns[0]} to ${columns.at(-1)}`);
});

test("where a message says that a field is no number its curve has a gap", async (t) => {
  const page = await opened(t, (socket) => {
    const frames = new Frames();
    const now = Date.now();
    const rows = Array.from({ length: 3000 }, (_, row) => ({
      at: now - 60_000 + row * 20,
      value: { speed: 20 + (row % 9) },
    }));
    const samples = frames.samples(rows);
    samples.v[1].fill("NaN", 1000, 1500);
    socket.say(HELLO);
    socket.say(frames.fields());
    socket.say(samples);
    socket.say({ ...STATE, now });
  });
  await shows(page, "#legend", "speed");
  await page.waitForFunction(() => document.querySelector("#plot canvas") !== null);
  let columns = [];
  for (const deadline = Date.now() + 10_000; Date.now() < deadline && columns.length < 300;) {
    columns = await curve(page);
  }
  const gaps = columns.slice(1).map((column, at) => column - columns[at]);
  const wide = gaps.filter((gap) => gap > 5);
  assert.ok(wide.length === 1 && wide[0] > columns.length / 8, `${columns.length} columns, ${wide}`);
});

test("the tool goes and comes: the page says so, and what is plotted stays", async (t) => {
  const sockets = [];
  const page = await opened(t, (socket, number) => {
    sockets.push(socket);
    vehicle(socket, [
      { speed: 1, voltage: 48 },
      { speed: number * 11, voltage: 47 },
    ]);
  });
  await shows(page, "#fields-rows .value", "11");
  await page.locator("#fields-rows tr", { hasText: "speed" }).click();
  sockets[0].close();
  await shows(page, "#health-word", "tool gone");
  await shows(page, "#status", "leads-comm view does not answer; trying again");
  await shows(page, "#health-word", "live");
  await shows(page, "#fields-rows .value", "22");
  assert.equal(await page.locator("#fields-rows tr").count(), 2);
  assert.deepEqual(await page.locator("#legend .name").allTextContents(), ["voltage"]);
});

test("a page of which a part does not come says so, and is loaded again", async (t) => {
  const context = await browser.newContext();
  t.after(() => {
    tool.answers = () => false;
    return context.close();
  });
  for (const [missing, times] of [
    ["/model/feed.js", 2],
    ["/uplot/uPlot.iife.min.js", 1],
  ]) {
    const page = await context.newPage();
    await route(page, (socket) => vehicle(socket));
    let asked = 0;
    tool.answers = (path, response) => path === missing && ++asked <= times && response.writeHead(503).end() !== null;
    await page.goto(tool.url, { waitUntil: "commit" });
    await shows(page, ".broken", "could not be loaded");
    await page.waitForSelector("body:not(:has(.broken)) #health[data-level=good]", { timeout: 10_000 });
    assert.equal(asked, times + 1, missing);
    await page.close();
  }
});

test("the vehicle goes: the lamp, its form, and the words", async (t) => {
  let socket;
  const page = await opened(t, (opened) => vehicle((socket = opened)));
  await shows(page, "#health-word", "live");
  for (const [state, word, level] of [
    [{ age_ms: 1800 }, "late", "late"],
    [{ age_ms: 7000 }, "silent", "bad"],
    [{ age_ms: null }, "no message yet", "late"],
    [{ connected: false, status: "connection refused; trying again in 2 s" }, "not connected", "bad"],
  ]) {
    socket.say({ ...STATE, now: Date.now(), ...state });
    await shows(page, "#health-word", word);
    assert.equal(await page.getAttribute("#health", "data-level"), level);
  }
  await shows(page, "#status.bad", "connection refused");
  socket.say({ ...STATE, now: Date.now(), age_ms: 40_000 });
  await shows(page, "#status:not(.bad)", "connected, but nothing has come for 40.");
  socket.say({ ...STATE, now: Date.now(), age_ms: null });
  await shows(page, "#status:not(.bad)", "connected, but nothing has come yet");
  await page.waitForSelector("#figures [title*='faster than']:has-text('left out')");
});

test("nothing that a vehicle or a peer says is more than text", async (t) => {
  const evil = `<img src=x onerror="window.hit=1"><script>window.hit=1</script>`;
  let socket;
  const page = await opened(t, (opened) => {
    socket = opened;
    const names = { [evil]: 1, constructor: 2, toString: 3, [`a.${"x".repeat(100_000)}`]: 4, "\u202egnp.exe": 5 };
    const said = JSON.parse(JSON.stringify(names).replace("{", '{"__proto__":7,'));
    vehicle(socket, [said], { hello: { source: evil, commands: [evil], version: evil } });
    const message = (seq, extra) => ({ seq, at: Date.now(), len: 1, cut: false, ...extra });
    socket.say({
      type: "raw",
      total: 5,
      messages: [
        message(1, { text: evil }),
        message(2, { text: "x".repeat(1 << 20), cut: true }),
        message(3, { base64: "//4AgA==" }),
        message(4, { text: "\x1b[2J\u202e\u0000" }),
        message(5, { text: "[".repeat(5000) }),
      ],
    });
    const connection = { id: 1, peer: evil, state: evil, policy: evil, traffic: {} };
    const departures = [{ id: 2, peer: evil, ago_ms: 1, lasted_ms: 1, kind: evil, reason: evil }];
    socket.say({ type: "peers", at: 1, error: null, numbers: { name: evil, connections: [connection], departures } });
    socket.say({ type: "commanded", name: evil, ok: false, error: evil });
    socket.picture(evil, Date.now(), Buffer.from("<svg onload=window.hit=1>"));
    socket.say({ ...STATE, connected: false, status: evil });
  });
  await shows(page, "#raw code", "<script>window.hit=1</script>");
  await shows(page, "#raw code", "ff fe 00 80");
  await shows(page, "#raw code", "\\x1b[2J\\u{202e}\\0");
  await shows(page, "#fields-rows", "__proto__");
  await shows(page, "#peers-rows", "<script>");
  await shows(page, "#departures", "<script>");
  await shows(page, "#outcome", "<script>");
  await shows(page, "#pictures", "no picture");
  await shows(page, "#status", "<script>");
  for (const row of await page.locator("#fields-rows tr").all()) {
    await row.click();
  }
  await shows(page, "#legend", "\\u{202e}gnp.exe");
  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.equal(await page.locator("main img:not(figure > img), main script").count(), 0);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
});

test("peers: the worst first, in words; who has gone, and why", async (t) => {
  const page = await opened(t, (socket) => {
    vehicle(socket);
    socket.say(PEERS);
  });
  await shows(page, "#peers-rows", "10.0.0.8:2");
  const cells = await page.locator("#peers-rows tr:first-child td").allTextContents();
  assert.deepEqual(cells, ["stopped", "10.0.0.8:2", "–", "1.0 kB (50 %)", "8.2 s", "42", "7", "drop oldest"]);
  assert.equal(await page.getAttribute("#peers-rows tr:first-child", "data-level"), "bad");
  await shows(page, "#departures", "too slow");
  assert.equal(await page.locator("#peers.old").count(), 0);
});

test("peers: when their numbers are old it is said, and who has gone goes on being gone", async (t) => {
  let socket;
  const page = await opened(t, (opened) => {
    vehicle((socket = opened));
    socket.say({ ...PEERS, at: Date.now() - 60_000 });
  });
  const gone = (from) =>
    page.waitForFunction((from) => {
      const [, seconds] = document.querySelector("#departures .dim").textContent.match(/^([\d.]+) s ago/);
      return from <= seconds && seconds < from + 20;
    }, from);
  await shows(page, "#peers.old #peers-text", "2 at 10.0.0.4:16900; numbers of 6");
  await gone(64);
  socket.say(PEERS);
  await page.waitForSelector("#peers:not(.old)");
  await gone(4);
  await gone(6);
  socket.say({ type: "peers", at: Date.now(), error: "nobody answers", numbers: null });
  await shows(page, "#peers.old #peers-text", "nobody answers; numbers of ");
});

test("the newest picture is shown, and none is kept", async (t) => {
  let socket;
  const page = await opened(t, (opened) => vehicle((socket = opened)));
  await page.evaluate(() => {
    window.urls = 0;
    const { createObjectURL, revokeObjectURL } = URL;
    URL.createObjectURL = (blob) => (window.urls++, createObjectURL.call(URL, blob));
    URL.revokeObjectURL = (url) => (window.urls--, revokeObjectURL.call(URL, url));
  });
  const some = await pictures(page, { count: 12, width: 320, height: 200 });
  for (let round = 0; round < 20; round++) {
    some.forEach((bytes) => socket.picture("front", Date.now(), bytes));
  }
  socket.picture("rear", Date.now(), some[0]);
  await shows(page, "figcaption", "320×200");
  assert.deepEqual(await page.locator("figcaption .name").allTextContents(), ["front", "rear"]);
  await page.waitForFunction(() => window.urls === 0, null, { timeout: 10_000 });
  const drawn = await page.evaluate(() => document.querySelector("figure img").naturalWidth);
  assert.equal(drawn, 320);
});

test("a picture of more pixels than a tab can take is not painted, and the next one is", async (t) => {
  let socket;
  const page = await opened(t, (opened) => (socket = opened));
  socket.picture("front", Date.now(), blank(20_000, 20_000));
  await shows(page, "figcaption", "20000×20000, too large");
  assert.equal(await page.evaluate(() => document.querySelector("figure img").naturalWidth), 0);
  socket.picture("front", Date.now(), blank(320, 200));
  await shows(page, "figcaption", "320×200");
  assert.equal(await page.evaluate(() => document.querySelector("figure img").naturalWidth), 320);
});

test("a track, in the right shape", async (t) => {
  const page = await opened(t, (socket) => {
    const frames = Array.from({ length: 200 }, (_, at) => ({
      speed: 30,
      gps: { lat: 60 + 0.001 * Math.sin(at / 20), lon: 10 + 0.002 * Math.cos(at / 20) },
    }));
    vehicle(socket, frames, { step: 20 });
  });
  await page.waitForSelector("#map:not([hidden])");
  await shows(page, "#map-text", "° N ");
  // At 60 degrees a degree east is half as long: this is a circle.
  const extent = async () =>
    page.evaluate(() => {
      const canvas = document.getElementById("map-canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const [xs, ys] = [[], []];
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 2] > 150 && data[at] < 60 && data[at + 3] > 200) {
          xs.push((at / 4) % canvas.width);
          ys.push(Math.floor(at / 4 / canvas.width));
        }
      }
      const span = (list) => Math.max(...list) - Math.min(...list);
      return [span(xs), span(ys)];
    });
  let [wide, high] = await extent();
  for (const deadline = Date.now() + 10_000; !(wide > 50) && Date.now() < deadline;) {
    [wide, high] = await extent();
  }
  assert.ok(Math.abs(wide / high - 1) < 0.08, `${wide} x ${high}`);
});

test("after an hour the page holds what it held after some minutes", async (t) => {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  t.after(() => context.close());
  const page = await context.newPage();
  await unplugged(page);
  tool.history = { seq: 0, t: [], v: {} };
  await page.goto(tool.url);
  const [jpeg] = await pictures(page, { count: 1, width: 320, height: 200 });
  const early = await minutes(page, 0, 12, jpeg);
  const late = await minutes(page, 12, 60, jpeg);
  t.diagnostic(`${(early / 1e6).toFixed(1)} MB after 12 minutes, ${(late / 1e6).toFixed(1)} MB after 60`);
  await shows(page, "#fields-count", "30");
  assert.ok(late < early + 3e6, `${early} and ${late}`);
  assert.ok(late < 60e6, `${late}`);
});
