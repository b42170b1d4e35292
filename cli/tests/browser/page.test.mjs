/** The page in a browser, with a tool that says what each test wants it to say. */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { launch } from "./browser.mjs";
import { Frames, HELLO, STATE, fakeTool, route } from "./fake.mjs";
import { minutes, unplugged } from "./hour.mjs";
import { pictures } from "./pictures.mjs";

let browser;
let tool;

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
 */
async function opened(t, speak, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => /error|warning/.test(message.type()) && complaints.push(message.text()));
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

const text = (page, selector) => page.locator(selector).textContent();
const shows = (page, selector, wanted) =>
  page.waitForFunction(
    ([selector, wanted]) => [...document.querySelectorAll(selector)].some((found) => found.textContent.includes(wanted)),
    [selector, wanted],
    { timeout: 10_000 },
  );

/** Frames of one value each, `step` milliseconds apart, the last one now. */
function drive(values, step = 20, now = Date.now()) {
  return values.map((value, at) => ({ at: now - (values.length - 1 - at) * step, value }));
}

/** A vehicle with two fields; `frames` says more. */
function vehicle(socket, values = [{ speed: 10, voltage: 48.25 }, { speed: 38.5, voltage: 48.5 }], hello = {}) {
  const frames = new Frames();
  socket.say({ ...HELLO, ...hello });
  const samples = frames.samples(drive(values));
  socket.say(frames.fields());
  socket.say(samples);
  socket.say({ ...STATE, now: Date.now() });
  return frames;
}

/** How many pixels of the plot have the colour of a curve. */
function curve(page, number = 0) {
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

test("shows each field, its smallest and its largest value, and plots the first one", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket));
  await shows(page, "#fields-rows tr:nth-child(1) .value", "38.50");
  assert.equal(await text(page, "#fields-rows tr:nth-child(1) td:nth-child(4)"), "10.00");
  await shows(page, "#fields-rows tr:nth-child(2) .value", "48.50");
  await shows(page, "#health-word", "live");
  await shows(page, "#figures", "50.0/s");
  assert.equal(await page.getAttribute("#fields-rows tr:nth-child(1) button", "aria-pressed"), "true");
  await shows(page, "#legend li", "speed");
  assert.ok((await curve(page)).length >= 1);
  assert.equal(await page.isHidden("#map"), true);
  assert.equal(await page.isHidden("#pictures"), true);
  assert.equal(await page.isHidden("#commands"), true);
  assert.equal(await page.isHidden("#timeline"), true);
});

test("a click plots a field, and another takes it out", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket));
  const voltage = page.locator("#fields-rows tr", { hasText: "voltage" });
  assert.equal(await page.locator("#legend li").count(), 2);
  await voltage.click();
  assert.equal(await page.locator("#legend li").count(), 1);
  await voltage.click();
  assert.equal(await page.locator("#legend li").count(), 2);
  await page.getByRole("button", { name: "Take speed out of the plot" }).click();
  assert.deepEqual(await page.locator("#legend .name").allTextContents(), ["voltage"]);
  assert.equal(await page.getAttribute("#fields-rows tr:nth-child(1) button", "aria-pressed"), "false");
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
  for (const deadline = Date.now() + 10_000; Date.now() < deadline && columns.length < 500; ) {
    columns = await curve(page);
  }
  const gaps = columns.slice(1).filter((column, at) => column - columns[at] > 5);
  assert.equal(gaps.length, 1, `${columns.length} columns, ${gaps}`);
  assert.ok(columns.at(-1) - columns[0] > 500, `${columns[0]} to ${columns.at(-1)}`);
});

test("the tool goes and comes: the page says so, and what is plotted stays", async (t) => {
  const sockets = [];
  const page = await opened(t, (socket, number) => {
    sockets.push(socket);
    vehicle(socket, [{ speed: 1, voltage: 48 }, { speed: number * 11, voltage: 47 }]);
  });
  await shows(page, "#fields-rows .value", "11");
  await page.locator("#fields-rows tr", { hasText: "speed" }).click();
  sockets[0].close();
  await shows(page, "#health-word", "tool gone");
  await shows(page, "#status", "trying again");
  await shows(page, "#health-word", "live");
  await shows(page, "#fields-rows .value", "22");
  assert.equal(await page.locator("#fields-rows tr").count(), 2);
  assert.deepEqual(await page.locator("#legend .name").allTextContents(), ["voltage"]);
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
  await shows(page, "#status", "connection refused");
});

test("nothing that a vehicle or a peer says is more than text", async (t) => {
  const evil = `<img src=x onerror="window.hit=1"><script>window.hit=1</script>`;
  let socket;
  const page = await opened(t, (opened) => {
    socket = opened;
    const names = { [evil]: 1, constructor: 2, toString: 3, [`a.${"x".repeat(100_000)}`]: 4, "\u202egnp.exe": 5 };
    const frames = vehicle(socket, [JSON.parse(JSON.stringify(names).replace("{", '{"__proto__":7,'))], {
      source: evil,
      commands: [evil],
      version: evil,
    });
    void frames;
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

test("every control is reached by Tab, and seen to be", async (t) => {
  const page = await opened(t, (socket) => {
    vehicle(socket, undefined, { commands: ["time_lap"], live: false });
    socket.say({ type: "timeline", start: 0, end: 1000, at: 10, speed: 1, paused: true, ended: false });
    socket.say(PEERS);
  });
  await shows(page, "#fields-rows", "voltage");
  await shows(page, "#peers-rows", "stopped");
  const wanted = await page.evaluate(() =>
    [...document.querySelectorAll("a[href], button, input, select, [tabindex='0']")]
      .filter((control) => control.tabIndex >= 0 && control.checkVisibility())
      .map((control) => (control.dataset.tab = `${control.tagName} ${control.id} ${control.textContent.trim().slice(0, 20)}`)),
  );
  assert.ok(wanted.length >= 18, wanted.join("\n"));
  const reached = new Set();
  for (let press = 0; press < wanted.length; press++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      return { name: document.activeElement.dataset.tab, outlined: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
    });
    assert.equal(focused.outlined, true, `no outline: ${focused.name}`);
    reached.add(focused.name);
  }
  assert.deepEqual(wanted.filter((name) => !reached.has(name)), []);
  // Each has a name that a screen reader can say.
  for (const role of ["button", "link", "combobox", "searchbox", "slider"]) {
    for (const control of await page.getByRole(role).all()) {
      const named = await control.evaluate((it) => it.getAttribute("aria-label") ?? (it.textContent || it.labels?.[0]?.textContent));
      assert.ok(named?.trim(), await control.evaluate((it) => it.outerHTML));
    }
  }
});

test("fields and plot by keys", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket));
  await shows(page, "#fields-rows", "voltage");
  await page.focus("#fields-rows button");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  assert.deepEqual(await page.locator("#legend .name").allTextContents(), ["speed"]);
  await page.focus("#plot");
  const [live, span] = [page.locator("#plot-live"), page.locator("#plot-span")];
  await page.keyboard.press("+");
  assert.equal(await span.inputValue(), "40000");
  await page.keyboard.press("-");
  assert.equal(await span.inputValue(), "60000");
  assert.equal(await live.textContent(), "Live");
  for (const [key, text] of [[" ", "Paused"], [" ", "Live"], ["ArrowLeft", "Paused"], ["Escape", "Live"]]) {
    await page.keyboard.press(key);
    assert.equal(await live.textContent(), text, key);
  }
  await page.keyboard.press("Home");
  assert.equal(await span.inputValue(), "300000");
});

test("wheel, dragging and a double click", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket));
  await shows(page, "#legend", "speed");
  const box = await page.locator("#plot .u-over").boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.wheel(0, 100);
  assert.equal(await page.locator("#plot-span").inputValue(), "90000");
  assert.equal(await text(page, "#plot-live"), "Live");
  await page.mouse.down();
  await page.mouse.move(x + box.width / 3, y, { steps: 4 });
  await page.mouse.up();
  await shows(page, "#plot-live", "Paused");
  const span = Number(await page.locator("#plot-span").inputValue());
  assert.ok(Math.abs(span - 30_000) < 1000, `${span}`);
  await page.mouse.dblclick(x, y);
  await shows(page, "#plot-live", "Live");
});

const PEERS = {
  type: "peers",
  at: 1,
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
    departures: [{ id: 3, peer: "10.0.0.9:3", ago_ms: 4000, lasted_ms: 90_000, kind: "slow_consumer", reason: "too slow" }],
  },
};

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
});

for (const width of [400, 320]) {
  test(`${width} pixels are enough: nothing is beside the page`, async (t) => {
    const page = await opened(
      t,
      async (socket) => {
        vehicle(socket, [{ speed: 1, gps: { lat: 50.1, lon: 7.2 }, t: Date.now() }], { commands: ["time_lap", "hazard"], source: "x".repeat(300) });
        socket.say(PEERS);
        socket.say({ type: "raw", total: 1, messages: [{ seq: 1, at: 1, len: 9, text: "y".repeat(2000), cut: true }] });
      },
      { viewport: { width, height: 700 } },
    );
    await shows(page, "#peers-rows", "10.0.0.8:2");
    await shows(page, "#raw code", "yyy");
    await page.click("#raw-wrap");
    const wide = await page.evaluate(() =>
      [...document.querySelectorAll("body *")]
        .filter((it) => it.checkVisibility() && !it.closest(".scroll, .unseen, .skip, .canvas"))
        .filter((it) => it.getBoundingClientRect().right > innerWidth + 0.5)
        .map((it) => it.outerHTML.slice(0, 100)),
    );
    assert.deepEqual(wide, []);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
  });
}

test("dark and light: as the system says, or as chosen, which is remembered", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket), { colorScheme: "dark" });
  const dark = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor === "rgb(13, 16, 20)");
  assert.equal(await dark(), true);
  await page.click("#theme");
  assert.equal(await text(page, "#theme"), "◐ Light");
  assert.equal(await dark(), false);
  await page.reload();
  assert.equal(await dark(), false);
  await page.click("#theme");
  assert.equal(await dark(), true);
  await page.click("#theme");
  assert.equal(await text(page, "#theme"), "◐ Auto");
  await page.emulateMedia({ colorScheme: "light" });
  assert.equal(await dark(), false);
});

test("the time line of a recording", async (t) => {
  const said = [];
  let socket;
  const page = await opened(t, (opened) => {
    socket = opened;
    socket.onMessage((message) => said.push(message));
    vehicle(socket, undefined, { live: false });
    socket.say({ type: "timeline", start: 1000, end: 61_000, at: 4250, speed: 1, paused: false, ended: false });
  });
  const heard = async (wanted) => {
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; await page.waitForTimeout(20)) {
      if (said.some((message) => JSON.stringify(message) === JSON.stringify(wanted))) return;
    }
    assert.fail(JSON.stringify(said));
  };
  await shows(page, "#timeline-text", "0:03.2 of 1:00.0");
  await shows(page, "#health-word", "playing");
  await page.click("#timeline-play");
  await heard({ type: "pause", on: true });
  socket.say({ type: "timeline", start: 1000, end: 61_000, at: 61_000, speed: 1, paused: true, ended: true });
  await shows(page, "#timeline-play", "Play");
  await shows(page, "#health-word", "at the end");
  await page.click("#timeline-play");
  await heard({ type: "seek", at: 1000 });
  await heard({ type: "pause", on: false });
  await page.selectOption("#timeline-speed", "5");
  await heard({ type: "speed", x: 5 });
  await page.locator("#timeline-at").fill("30000");
  await heard({ type: "seek", at: 31_000 });
  socket.say({ type: "reset" });
  socket.say({ type: "raw", total: 1, messages: [{ seq: 1, at: 1, len: 5, text: "after", cut: false }] });
  await shows(page, "#raw", "after");
});

test("commands: only those that are allowed, and what came of them", async (t) => {
  const page = await opened(t, (socket) => {
    vehicle(socket, undefined, { commands: ["time_lap", "hazard"] });
    socket.onMessage(({ name }) => {
      socket.say({ type: "commanded", name, ok: name === "time_lap", error: name === "time_lap" ? null : "not connected" });
    });
  });
  assert.deepEqual(await page.locator("#commands button").allTextContents(), ["time_lap", "hazard"]);
  await page.click("text=time_lap");
  await shows(page, "#outcome", "time_lap: sent");
  await page.click("#commands >> text=hazard");
  await shows(page, "#outcome", "hazard: not connected");
  assert.equal(await page.getAttribute("#outcome", "data-level"), "bad");
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

test("what is selected stays, so that it can be copied", async (t) => {
  let socket;
  const raw = (seq) => ({ type: "raw", total: seq, messages: [{ seq, at: 1, len: 9, text: `message ${seq}`, cut: false }] });
  const page = await opened(t, (opened) => {
    vehicle((socket = opened));
    socket.say(raw(1));
  });
  await shows(page, "#raw code", "message 1");
  await page.evaluate(() => getSelection().selectAllChildren(document.querySelector("#raw code")));
  await shows(page, "#raw-held", "held");
  socket.say(raw(2));
  await page.waitForSelector("#raw-held:not([hidden])");
  assert.equal(await page.evaluate(() => String(getSelection())), "message 1");
  await page.evaluate(() => getSelection().empty());
  await shows(page, "#raw code", "message 2");
  assert.deepEqual(await page.locator("#raw code").allTextContents(), ["message 2", "message 1"]);
});

test("a track, in the right shape", async (t) => {
  const page = await opened(t, (socket) => {
    const frames = Array.from({ length: 200 }, (_, at) => ({
      speed: 30,
      gps: { lat: 60 + 0.001 * Math.sin(at / 20), lon: 10 + 0.002 * Math.cos(at / 20) },
    }));
    vehicle(socket, frames);
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
  for (const deadline = Date.now() + 10_000; !(wide > 50) && Date.now() < deadline; ) {
    [wide, high] = await extent();
  }
  assert.ok(Math.abs(wide / high - 1) < 0.08, `${wide} x ${high}`);
});

test("without motion, the plot moves once a second", async (t) => {
  let socket;
  const page = await opened(t, (opened) => vehicle((socket = opened)), { reducedMotion: "reduce" });
  await shows(page, "#legend", "speed");
  const frames = new Frames();
  frames.samples([{ at: 0, value: { speed: 1, voltage: 1 } }]);
  await page.evaluate(() => {
    window.draws = 0;
    const { clearRect } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.clearRect = function (...rest) {
      window.draws += this.canvas.closest("#plot") ? 1 : 0;
      return clearRect.apply(this, rest);
    };
  });
  for (let tick = 0; tick < 30; tick++) {
    socket.say(frames.samples(drive([{ speed: tick, voltage: 1 }])));
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
  }
  const draws = await page.evaluate(() => window.draws);
  assert.ok(draws <= 4, `${draws} draws of 30`);
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
