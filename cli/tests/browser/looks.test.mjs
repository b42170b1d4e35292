/** The page on narrow screens, in the dark, and without motion. */
import assert from "node:assert/strict";
import test from "node:test";
import { Frames } from "./fake.mjs";
import { PEERS, drive, opened, shows, text, vehicle } from "./scene.mjs";

for (const width of [400, 320]) {
  test(`${width} pixels are enough: nothing is beside the page`, async (t) => {
    const page = await opened(
      t,
      async (socket) => {
        const hello = { commands: ["time_lap", "hazard"], source: "x".repeat(300) };
        vehicle(socket, [{ speed: 1, gps: { lat: 50.1, lon: 7.2 }, t: Date.now() }], { hello });
        socket.say(PEERS);
        socket.say({ type: "raw", total: 1, messages: [{ seq: 1, at: 1, len: 9, text: "y".repeat(2000), cut: true }] });
      },
      { viewport: { width, height: 700 } },
    );
    await shows(page, "#peers-rows", "10.0.0.8:2");
    await shows(page, "#raw code", "yyy");
    await page.click("#raw-wrap");
    assert.deepEqual(await page.locator("#save a").allInnerTexts(), ["Save MCAP", "Save CSV"]);
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

test("without motion, the plot moves once a second", async (t) => {
  let socket;
  const page = await opened(t, (opened) => vehicle((socket = opened)), { reducedMotion: "reduce" });
  await shows(page, "#legend", "speed");
  const frames = new Frames();
  // What the first values make of the page's sizes is drawn at once, and so would be numbers that grow longer.
  socket.say(frames.samples(drive([{ speed: 10, voltage: 1 }])));
  await shows(page, "#legend", "10");
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await page.evaluate(() => {
    [window.draws, window.begin] = [0, performance.now()];
    const { clearRect } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.clearRect = function (...rest) {
      window.draws += this.canvas.closest("#plot") ? 1 : 0;
      return clearRect.apply(this, rest);
    };
  });
  for (let tick = 0; tick < 30; tick++) {
    socket.say(frames.samples(drive([{ speed: 11 + tick, voltage: 1 }])));
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
  }
  const [draws, seconds] = await page.evaluate(() => [window.draws, (performance.now() - window.begin) / 1000]);
  assert.ok(draws <= seconds + 3, `${draws} draws of 30 in ${seconds} s`);
});

test("no number is cut: neither in the table, nor on an axis", async (t) => {
  const page = await opened(t, (socket) => {
    const value = (at) => ({
      mileage: 12_345_824.125 + at,
      large: 25_276_514_304 + at * 1e9,
      latitude: 50.331512 + at / 1e4,
      west: -122.331512 + at / 1e4,
      huge: -1.5e300 * at,
      tiny: at * 1e-9,
      speed: 90 + at / 10,
      count: 123_456_000 + at,
      t: Date.now(),
    });
    vehicle(
      socket,
      Array.from({ length: 100 }, (_, at) => value(at)),
      { step: 400 },
    );
  });
  const cut = () =>
    page.evaluate(() =>
      [...document.querySelectorAll("#fields-rows td.number")]
        .filter((cell) => cell.scrollWidth > cell.clientWidth)
        .map((cell) => cell.textContent),
    );
  await shows(page, "#fields-rows", "large");
  assert.deepEqual(await cut(), []);
  const large = page.locator("#fields-rows tr", { hasText: "large" });
  assert.deepEqual(await large.locator("td.number").evaluateAll((cells) => cells.map(({ title }) => title)), [
    "124276514304",
    "25276514304",
    "124276514304",
  ]);
  // What is written on canvases, and where it ends.
  await page.evaluate(() => {
    window.written = [];
    const { fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...rest) {
      const { width } = this.measureText(text);
      const left = { left: 0, start: 0, right: width, end: width, center: width / 2 }[this.textAlign];
      const from = this.getTransform().transformPoint({ x: x - left, y }).x;
      const inside = from >= 0 && from + width <= this.canvas.width;
      if (this.canvas.closest("#plot")) window.written.push([text, inside]);
      return fillText.call(this, text, x, y, ...rest);
    };
  });
  const written = async (wanted) => {
    await page.waitForFunction((wanted) => window.written.some(([text]) => text.includes(wanted)), wanted);
    return (await page.evaluate(() => window.written)).filter(([, inside]) => !inside);
  };
  await page.selectOption("#plot-span", "300000");
  assert.deepEqual(await written(":"), []);
  await large.click();
  assert.deepEqual(await written(" G"), []);
});

test("a path that is cut says so, and a track is never cut", async (t) => {
  const page = await opened(t, (socket) => {
    const value = { motor: { temperature_of_the_second_winding: 1 }, a: { b: 2 }, gps: { lat: 50.1, lon: 7.2 } };
    vehicle(socket, [value]);
  });
  await shows(page, "#fields-rows", "temperature_of_the_second_winding");
  const prefix = (path) =>
    page
      .locator("#fields-rows tr", { hasText: path })
      .locator("button .dim")
      .evaluate((it) => it.getBoundingClientRect().width);
  assert.ok((await prefix("temperature")) >= 22);
  assert.ok((await prefix("a.b")) < 22);
  await page.waitForSelector("#map:not([hidden])");
  for (const height of [640, 900]) {
    await page.setViewportSize({ width: 1400, height });
    const [canvas, panel] = await Promise.all(["#map-canvas", "#map"].map((it) => page.locator(it).boundingBox()));
    assert.ok(canvas.y + canvas.height <= panel.y + panel.height, `${height}`);
  }
});
