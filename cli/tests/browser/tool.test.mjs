/** The page in a browser, served by the command, with a vehicle on the other side. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { launch, launchProcess, tasks } from "./browser.mjs";
import { pictures } from "./pictures.mjs";
import { frame } from "./track.mjs";
import { Process, Vehicle, tagged, view } from "./vehicle.mjs";

const PATIENCE = { timeout: 20_000 };

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser.close());

/** A vehicle, the command that shows it, and a page. */
async function scene(t, ...args) {
  const vehicle = await Vehicle.start();
  const tool = await view(vehicle.address, "--monitor", "none", ...args);
  let page;
  t.after(async () => {
    // First, since it asks again for what a tool that ends does not answer.
    await page?.close();
    await vehicle.stop();
    assert.equal(await tool.stop(), 0);
  });
  await until(() => vehicle.peers === 1);
  page = await open(t, tool.url);
  return { vehicle, tool, page };
}

/** A page that must not complain of anything. */
async function open(t, url, from = browser) {
  const page = await from.newPage({ viewport: { width: 1400, height: 900 } });
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.stack));
  t.after(async () => {
    await page.close();
    assert.deepEqual(
      complaints.filter((text) => !/WebSocket connection|ERR_CONNECTION_REFUSED/.test(text)),
      [],
    );
  });
  await page.goto(url);
  return page;
}

async function until(holds, ms = PATIENCE.timeout) {
  for (const deadline = Date.now() + ms; !(await holds()); await new Promise((done) => setTimeout(done, 10))) {
    assert.ok(Date.now() < deadline, `never came true: ${holds}`);
  }
}

async function temporary(t) {
  const folder = await mkdtemp(join(tmpdir(), "leads-comm-page-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

const shows = (page, selector, wanted) =>
  page.waitForFunction(
    ([selector, wanted]) =>
      [...document.querySelectorAll(selector)].some((found) => found.textContent.includes(wanted)),
    [selector, wanted],
    PATIENCE,
  );

const row = (page, path) => page.locator("#fields-rows tr", { hasText: path }).first();

test("a value is seen within 200 ms of its being sent", async (t) => {
  const { vehicle, page } = await scene(t);
  vehicle.say({ speed: 0.5 });
  await shows(page, ".value", "0.5");
  // What is on the screen, and since when: two frames after it has been put into the page.
  await page.evaluate(() => {
    window.seen = new Map();
    const look = () => {
      const text = document.querySelector("#fields-rows .value").textContent;
      requestAnimationFrame(() =>
        requestAnimationFrame(() => window.seen.has(text) || window.seen.set(text, Date.now())),
      );
    };
    new MutationObserver(look).observe(document.querySelector("#fields-rows"), {
      subtree: true,
      childList: true,
      characterData: true,
    });
  });
  let best = Infinity;
  for (let value = 101; value < 130 && best > 200; value++) {
    const sent = Date.now();
    vehicle.say({ speed: value });
    const found = await page.waitForFunction(
      (wanted) => {
        const text = [...window.seen.keys()].find((text) => Number(text) === wanted);
        return text && window.seen.get(text);
      },
      value,
      PATIENCE,
    );
    best = Math.min(best, (await found.jsonValue()) - sent);
  }
  t.diagnostic(`${best} ms`);
  assert.ok(best <= 200, `${best} ms`);
});

test("what is driven is plotted, and its track drawn", async (t) => {
  const { vehicle, page } = await scene(t);
  vehicle.every(50, (count) => frame(count / 50, Date.now()));
  await shows(page, "#legend .name", "speed");
  await page.waitForSelector("#map:not([hidden])", PATIENCE);
  const drawn = () => page.evaluate(() => document.querySelector("#plot canvas").toDataURL());
  const before = await drawn();
  await until(async () => (await drawn()) !== before);
  await shows(page, "#health-word", "live");
  await shows(page, "#figures", "clock skew");
  assert.ok((await page.locator("#fields-rows tr").count()) > 20);
});

test("a vehicle that is started again is there again", async (t) => {
  const { vehicle, tool, page } = await scene(t);
  vehicle.say({ speed: 1 });
  await shows(page, "#health-word", "live");
  await vehicle.stop();
  await shows(page, "#health-word", "not connected");
  const again = await Vehicle.start(vehicle.port);
  t.after(() => again.stop());
  vehicle.stop = () => {};
  await until(() => again.peers === 1);
  again.say({ speed: 2222 });
  await shows(page, ".value", "2222");
  await shows(page, "#health-word", "live");
  assert.equal(tool.child.exitCode, null);
});

test("a tool that is started again is found again", async (t) => {
  const vehicle = await Vehicle.start();
  let tool = await view(vehicle.address);
  t.after(async () => {
    await vehicle.stop();
    await tool.stop();
  });
  const page = await open(t, tool.url);
  await until(() => vehicle.peers === 1);
  vehicle.say({ speed: 1 });
  await shows(page, ".value", "1");
  await tool.stop();
  await shows(page, "#health-word", "tool gone");
  const { port } = new URL(tool.url);
  tool = new Process(["view", vehicle.address, "--listen", `127.0.0.1:${port}`]);
  await until(() => vehicle.peers === 1);
  await until(async () => {
    vehicle.say({ speed: 7777 });
    return (await page.locator(".value").allTextContents()).includes("7777");
  });
});

test("nothing that a vehicle says is more than text", async (t) => {
  const { vehicle, page } = await scene(t);
  const evil = `<img src=x onerror="window.hit=1"><script>window.hit=1</script>`;
  for (const message of [
    evil,
    { [evil]: 1, constructor: 2 },
    `{"__proto__":{"polluted":3},"a":1e400,"b":-1e400,"c":NaN,"n":${"9".repeat(400)}}`,
    "[".repeat(100_000),
    `{"deep":${'{"a":'.repeat(60)}1${"}".repeat(60)}}`,
    Buffer.from([0xff, 0xfe, 0x00, 0x80]),
    "x".repeat(1 << 20),
    `${evil}:/9j/4AAQ`,
    `{"x_base64":"PHN2ZyBvbmxvYWQ9d2luZG93LmhpdD0xPg=="}`,
  ]) {
    vehicle.say(message);
  }
  vehicle.say({ last: 5151 });
  await shows(page, ".value", "5151");
  await shows(page, "#raw code", "ff fe 00 80");
  await shows(page, "#raw code", "<script>window.hit=1</script>");
  await shows(page, "#fields-rows th", "<script>");
  assert.equal(await page.evaluate(() => window.hit ?? {}.polluted), undefined);
  assert.equal(await page.locator("main script").count(), 0);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
  await shows(page, "#health-word", "live");
});

test("a page of another origin gets no socket, and sends no command", async (t) => {
  const { tool, vehicle } = await scene(t, "--allow", "hazard");
  const { host, port } = new URL(tool.url);
  const ask = (headers, method = "GET", path = "/", body = "") =>
    new Promise((done, failed) => {
      const request = http.request({ port, host: "127.0.0.1", method, path, headers: { Host: host, ...headers } });
      request.on("upgrade", (response, socket) => (socket.destroy(), done(response.statusCode)));
      request.on("response", (response) => (response.resume(), done(response.statusCode)));
      request.on("error", failed);
      request.end(body);
    });
  const upgrade = {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AQIDBAUGBwgJCgsMDQ4PEA==",
    "Sec-WebSocket-Protocol": "leads-comm.view.1",
  };
  assert.equal(await ask({ ...upgrade, Origin: `http://${host}` }), 101);
  assert.equal(await ask({ ...upgrade, Origin: "http://evil.example" }), 403);
  assert.equal(await ask({ ...upgrade, Origin: "null" }), 403);
  assert.ok((await ask({ ...upgrade, Origin: "http://evil.example", Host: "evil.example" })) >= 400);
  const command = JSON.stringify({ name: "hazard" });
  assert.equal(await ask({ Origin: "http://evil.example" }, "POST", "/command", command), 403);
  assert.deepEqual(vehicle.heard, []);
  assert.equal(await ask({ Origin: `http://${host}` }, "POST", "/command", command), 200);
  await until(() => vehicle.heard.includes("hazard"));
});

test("with a token the page is as it is without one, and the token leaves the address", async (t) => {
  const folder = await temporary(t);
  await writeFile(join(folder, "token"), "a-token-of-the-tests");
  const { vehicle, tool, page } = await scene(t, "--web-token-file", join(folder, "token"), "--allow", "hazard");
  assert.match(tool.url, /token=/);
  vehicle.say({ speed: 4321 });
  await shows(page, ".value", "4321");
  assert.doesNotMatch(page.url(), /token/);
  assert.equal(await page.evaluate(() => document.cookie), "");
  await page.getByRole("button", { name: "hazard" }).click();
  await until(() => vehicle.heard.includes("hazard"));
  // Another browser has not been given it.
  const stranger = await browser.newContext();
  t.after(() => stranger.close());
  const answer = await stranger.request.get(new URL("/", tool.url).href);
  assert.ok([401, 403].includes(answer.status()), `${answer.status()}`);
});

test("a link with the token leads here from pages of other sites too", async (t) => {
  const folder = await temporary(t);
  await writeFile(join(folder, "token"), "a-token-of-the-tests");
  const { vehicle, tool } = await scene(t, "--web-token-file", join(folder, "token"));
  vehicle.say({ speed: 4321 });
  const mail = http.createServer((_, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<a href="${tool.url}">see our car</a>`);
  });
  await new Promise((done) => mail.listen(0, "127.0.0.1", done));
  t.after(() => mail.close());
  const reader = await browser.newContext();
  t.after(() => reader.close());
  // To a browser, another site than 127.0.0.1.
  const page = await open(t, `http://localhost:${mail.address().port}/`, reader);
  await page.getByRole("link").click();
  await shows(page, ".value", "4321");
});

test("a page that has been in the background is whole again", async (t) => {
  const { vehicle, page } = await scene(t);
  vehicle.every(50, (count) => ({ count }));
  await shows(page, "#fields-rows th", "count");
  const session = await page.context().newCDPSession(page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  const begin = Date.now();
  await until(() => Date.now() - begin > 1500);
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await shows(page, "#health-word", "live");
  const count = async () => Number(await row(page, "count").locator(".value").textContent());
  await until(async () => (await count()) > 100);
});

test("a button sends its command to the vehicle", async (t) => {
  const { vehicle, page } = await scene(t, "--allow", "time_lap,hazard");
  await page.getByRole("button", { name: "time_lap" }).click();
  await shows(page, "#outcome", "time_lap: sent");
  await until(() => vehicle.heard.includes("time_lap"));
  await vehicle.stop();
  vehicle.stop = () => {};
  await shows(page, "#health-word", "not connected");
  await page.getByRole("button", { name: "hazard" }).click();
  await shows(page, "#outcome", "hazard: the vehicle is not connected");
});

test("what is saved is shown again, with a time line", async (t) => {
  const folder = await temporary(t);
  const { vehicle, page } = await scene(t);
  // Two seconds.
  vehicle.every(50, (count) => (count <= 100 ? { ...frame(count / 50, Date.now()), mark: count } : "later"));
  await until(async () => (await row(page, "mark").locator(".value").textContent()) === "100");
  const file = join(folder, "drive.mcap");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "MCAP" }).click(),
  ]);
  assert.match(download.suggestedFilename(), /\.mcap$/);
  await download.saveAs(file);
  const [table] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "CSV" }).click()]);
  assert.match(table.suggestedFilename(), /\.csv$/);

  const tool = await view(file);
  t.after(() => tool.stop());
  const player = await open(t, tool.url);
  await player.waitForSelector("#timeline:not([hidden])", PATIENCE);
  // It may be over already.
  await shows(player, "#fields-rows th", "mark");
  await shows(player, "#timeline-play", "Play");
  await player.locator("#timeline-at").fill("0");
  await player.selectOption("#timeline-speed", "0.1");
  await player.click("#timeline-play");
  await shows(player, "#timeline-play", "Pause");
  await player.click("#timeline-play");
  await shows(player, "#timeline-play", "Play");
  await player.selectOption("#timeline-speed", "50");
  await player.click("#timeline-play");
  await shows(player, "#health-word", "at the end");
  await until(async () => (await row(player, "mark").locator(".value").textContent()) === "100");
});

test("a browser that stands still holds up nobody", async (t) => {
  const { vehicle, tool, page } = await scene(t);
  const other = await launchProcess();
  t.after(() => other.close());
  const stopped = await open(t, tool.url, other.browser);
  const [large] = await pictures(page, { count: 1, width: 900, height: 600, noise: 9000 });
  vehicle.every(15, () => tagged("front", large));
  vehicle.every(50, (count) => ({ count }));
  await shows(stopped, "figcaption", "900×600");
  const count = async (page) => Number(await row(page, "count").locator(".value").textContent());
  other.signal("SIGSTOP");
  try {
    // As long as it takes to fill what systems keep for a connection.
    const begin = await count(page);
    await until(async () => (await count(page)) > begin + 250);
    await shows(page, "#health-word", "live");
    assert.deepEqual(
      await page.locator("#figures div:not([hidden])", { hasText: "left out" }).locator("dd").allTextContents(),
      ["0"],
    );
  } finally {
    other.signal("SIGCONT");
  }
  // It has what is new now, and not first what it has missed.
  const now = await count(page);
  await until(async () => (await count(stopped)) > now);
});

test("a viewer that stands still is seen to, among others that are live", async (t) => {
  const service = new Process(["serve", "127.0.0.1:0", "--monitor=127.0.0.1:0", "--slow", "drop"], { input: "pipe" });
  t.after(() => service.stop());
  const [, address] = await service.match(/listening on (127.0.0.1:\d+)/);
  const [, monitor] = await service.match(/numbers on (127.0.0.1:\d+)/);
  const tool = await view(address, "--monitor", monitor);
  t.after(() => tool.stop());
  const [live, stopped] = [new Process(["listen", address]), new Process(["listen", address])];
  t.after(async () => {
    stopped.child.kill("SIGCONT");
    await Promise.all([live.stop(), stopped.stop()]);
  });
  await Promise.all([live, stopped].map((viewer) => viewer.match(/connected/)));
  const page = await open(t, tool.url);
  const timer = setInterval(() => service.child.stdin.write(`{"pad":"${"x".repeat(200_000)}"}\n`), 20);
  t.after(() => clearInterval(timer));
  const states = () => page.locator("#peers-rows .state").allTextContents();
  await until(async () => (await states()).join() === "live,live,live");
  stopped.child.kill("SIGSTOP");
  await until(async () => (await states()).join() === "stopped,live,live");
  assert.equal(await page.getAttribute("#peers-rows tr:first-child", "data-level"), "bad");
  await live.stop();
  await shows(page, "#departures", "goodbye");
});

test("50 messages and 15 pictures a second leave no task longer than 50 ms", async (t) => {
  const { vehicle, tool, page } = await scene(t);
  const large = await pictures(page, { count: 5, width: 900, height: 600, noise: 9000 });
  vehicle.every(50, (count) => frame(count / 50, Date.now()));
  vehicle.every(15, (count) => tagged("front", large[count % large.length]));
  // A page that is at fault has such a task each time; a machine whose neighbours slow its processor, now and then.
  let times;
  for (let tries = 0; tries < 3 && !(times?.[0] < 50); tries++) {
    times = await tasks(browser, page, async () => {
      await page.goto(tool.url);
      await shows(page, "figcaption", "900×600");
      const total = async () => Number((await page.locator("#raw-count").textContent()).replace(/\D/g, ""));
      const begin = await total();
      await until(async () => (await total()) > begin + 250);
    });
    t.diagnostic(`${times.length} tasks, the longest ${times.slice(0, 3).map((ms) => ms.toFixed(1))} ms`);
    assert.ok(times.length > 500, `${times.length} tasks`);
  }
  assert.ok(times[0] < 50, `${times.slice(0, 10)}`);
});
