/** What the page knows, without a browser. */
import assert from "node:assert/strict";
import test from "node:test";
import { firstPlotted, isClock, pairOfCoordinates, split } from "../../page/model/choice.js";
import { decoded, hex, shown } from "../../page/model/escape.js";
import * as format from "../../page/model/format.js";
import { health } from "../../page/model/health.js";
import { fit, isPlace, projection, scaleBar } from "../../page/model/projection.js";
import { sides } from "../../page/model/scales.js";
import { Window } from "../../page/model/window.js";

const field = (path, min, max, last = max) => ({ id: path.length, path, last, min, max });

test("what is plotted first has a name that one looks for, or moves", () => {
  const paths = (fields) => firstPlotted(fields).map(({ path }) => path);
  const clock = field("t", 1.79e12, 1.8e12);
  assert.deepEqual(paths([clock, field("a", 3, 3), field("b", 1, 9)]), ["b"]);
  assert.deepEqual(
    paths([field("car.brake", 0, 1), field("voltage", 0, 1), field("rpm", 1, 2), field("Speed", 0, 0)]),
    ["Speed", "car.brake", "rpm"],
  );
  assert.deepEqual(paths([clock, field("lat", 1, 2), field("lon", 1, 2), field("seq", 1, 2)]), []);
  assert.deepEqual(paths([]), []);
});

test("a latitude goes with the longitude beside it", () => {
  const pair = (...paths) => {
    const found = pairOfCoordinates(paths.map((path) => field(path, 1, 2)));
    return found && [found.latitude.path, found.longitude.path];
  };
  assert.deepEqual(pair("gps.lon", "base.latitude", "gps.lat"), ["gps.lat", "gps.lon"]);
  assert.deepEqual(pair("latitude", "longitude"), ["latitude", "longitude"]);
  assert.deepEqual(pair("rear_lat", "front_lng", "front_lat"), ["front_lat", "front_lng"]);
  assert.equal(pair("lateral", "long", "plateau.flat"), null);
  assert.equal(pair("a.lat", "b.lon"), null);
});

test("paths, and clocks among them", () => {
  assert.deepEqual(split("a.b.c"), { prefix: "a.b.", name: "c" });
  assert.deepEqual(split("__proto__"), { prefix: "", name: "__proto__" });
  assert.equal(isClock(field("gps.time", 0, 1.79e12)), true);
  assert.equal(isClock(field("t", 0, 12.5)), false);
  assert.equal(isClock(field("mileage", 0, 1.79e12)), false);
});

test("text shows all that is in it", () => {
  assert.equal(shown("<script>a&b</script>"), "<script>a&b</script>");
  assert.equal(shown("a\nb\r\t\0\x1b[31m\x7f\x85"), "a\\nb\\r\\t\\0\\x1b[31m\\x7f\\x85");
  assert.equal(shown("\u202eabc\u2066\u200b\ufeff"), "\\u{202e}abc\\u{2066}\\u{200b}\\u{feff}");
  assert.equal(shown("\ud800 \udc00 \u{1f600} é"), "\\u{d800} \\u{dc00} \u{1f600} é");
  assert.equal(shown("abcdef", 3), "abc…");
  assert.equal(shown("abc", 3), "abc");
  assert.equal(hex(decoded("/wABfw==")), "ff 00 01 7f");
  assert.equal(hex(decoded("not base64!")), "");
});

test("numbers keep their digits while they move", () => {
  const decimals = format.decimalsOf(0, 42.7, false);
  assert.deepEqual(
    [38.5, 38, 0, -0.0001, NaN, Infinity].map((value) => format.value(value, decimals)),
    ["38.50", "38.00", "0.00", "0.00", "–", "–"],
  );
  assert.equal(format.value(-12.5, 1), "−12.5");
  assert.equal(format.decimalsOf(0, 9000, true), 0);
  assert.equal(format.decimalsOf(50.3312, 50.3334, false), 6);
  assert.equal(format.decimalsOf(1e9, 1e9 + 0.001, false), 0);
  assert.equal(format.decimalsOf(NaN, NaN, false) >= 0, true);
  assert.equal(format.value(1.5e300, 2), "1.50e300");
  assert.equal(format.value(-2e-9, 7), "−2.00e−9");
  assert.equal(format.value(1795982066526, 0), "1795982066526");
});

test("a field's value, smallest and largest are told in one way, and none is longer than its place", () => {
  const told = (decimals, ...numbers) => numbers.map(format.notation(numbers, decimals));
  assert.deepEqual(told(6, 50.331512, 50.3312, 50.3334), ["50.331512", "50.331200", "50.333400"]);
  assert.deepEqual(told(6, -122.331512, 50, 7), ["−122.3315", "50.0000", "7.0000"]);
  assert.deepEqual(told(2, 12_345_824.12, 12_345_000, 12_345_824.12), ["12345824", "12345000", "12345824"]);
  assert.deepEqual(told(0, 25_276_514_304, 0, 25_276_514_304), ["25.2765 G", "0", "25.2765 G"]);
  assert.deepEqual(told(0, -1_548_394_712, 3, NaN), ["−1.5484 G", "0.0000 G", "–"]);
  assert.deepEqual(told(0, 1_016_289), ["1016289"]);
  assert.deepEqual(told(0, 2e15, 5), ["2.00e15", "5"]);
  assert.deepEqual(told(4, 0.5, 1e-9, 1), ["0.5000", "1.00e−9", "1.0000"]);
});

test("an axis has as many decimals as its steps need", () => {
  const told = (step, ...splits) => splits.map(format.axis(splits, step));
  assert.deepEqual(told(2.5, 92.5, 95, 97.5, 100), ["92.5", "95.0", "97.5", "100.0"]);
  assert.deepEqual(told(0.25, 0, 0.25), ["0.00", "0.25"]);
  assert.deepEqual(told(5000, 0, 5000, 10_000), ["0", "5000", "10000"]);
  assert.deepEqual(told(1e9, 24e9, 25e9), ["24 G", "25 G"]);
  assert.deepEqual(told(2.5e5, 0, 2.5e5, 1e6), ["0", "0.25 M", "1.00 M"]);
  assert.deepEqual(told(2e-9, 0, 2e-9, 4e-9), ["0", "2e−9", "4e−9"]);
  assert.deepEqual(told(5e14, 0, 5e14, 1e15), ["0", "5e14", "1.0e15"]);
});

test("sizes, rates and times", () => {
  assert.deepEqual([0, 999, 1000, 24_600, 99_960, 1e6, NaN].map(format.bytes), [
    "0 B",
    "999 B",
    "1.0 kB",
    "24.6 kB",
    "100 kB",
    "1.0 MB",
    "–",
  ]);
  assert.deepEqual([0, 999, 1000, 1234567].map(format.count), ["0", "999", "1\u202f000", "1\u202f234\u202f567"]);
  assert.deepEqual([0.04, 49.96, 99.96, 1234].map(format.rate), ["0.0", "50.0", "100", "1\u202f234"]);
  assert.deepEqual([0, 999.4, 999.6, 12_340, 125_000, 3_725_000, 360_000_000, NaN].map(format.duration), [
    "0 ms",
    "999 ms",
    "1.0 s",
    "12.3 s",
    "2 min 05 s",
    "1 h 02 min",
    "4 d 04 h",
    "–",
  ]);
  assert.deepEqual([3, -1500, NaN].map(format.skew), ["+3 ms", "−1.5 s", "–"]);
  assert.deepEqual([0, 63_250, 3_723_990].map(format.place), ["0:00.0", "1:03.2", "1:02:03.9"]);
  assert.match(format.clock(1_795_982_066_526, 3), /^\d\d:\d\d:\d\d\.526$/);
  assert.equal(format.clock(1e20), "–");
});

test("the lamp", () => {
  const state = { connected: true };
  assert.deepEqual(health(null, null, NaN), { level: "bad", word: "connecting" });
  assert.deepEqual(health(false, state, 10), { level: "bad", word: "tool gone" });
  assert.deepEqual(health(true, { connected: false }, 10), { level: "bad", word: "not connected" });
  assert.deepEqual(health(true, state, NaN), { level: "late", word: "no message yet" });
  assert.deepEqual(health(true, state, 1000), { level: "good", word: "live" });
  assert.deepEqual(health(true, state, 1001), { level: "late", word: "late" });
  assert.deepEqual(health(true, state, 5001), { level: "bad", word: "silent" });
  assert.equal(health(true, state, 9e9, { paused: true, ended: false }).word, "paused");
});

test("a degree east is shorter in the north", () => {
  const at = projection({ latitude: 60, longitude: 10 })(61, 11);
  assert.ok(Math.abs(at.y - 111_195) < 5 && Math.abs(at.x - 55_597) < 5, JSON.stringify(at));
  const over = projection({ latitude: 0, longitude: 179.9 })(0, -179.9);
  assert.ok(Math.abs(over.x - 22_239) < 5, JSON.stringify(over));
  assert.deepEqual(
    [
      [0, 0],
      [91, 0],
      [NaN, 1],
      [50, 7],
      [0, 7],
      [1, -181],
    ].map(([lat, lon]) => isPlace(lat, lon)),
    [false, false, false, true, true, false],
  );
});

test("the track fits, in the right shape, north up", () => {
  const view = fit({ left: -100, right: 100, bottom: 0, top: 50 }, 300, 200, 20);
  assert.equal(view.x(-100), 20);
  assert.equal(view.x(100), 280);
  assert.equal(view.y(25), 100);
  assert.ok(view.y(50) < view.y(0));
  assert.equal(view.x(10) - view.x(0), view.y(0) - view.y(10));
  // What stands still is not blown up.
  const still = fit({ left: 0, right: 0.1, bottom: 0, top: 0.1 }, 300, 200, 20);
  assert.equal(still.metresPerPixel, 20 / 160);
});

test("the scale bar is round, and fits", () => {
  for (const [metresPerPixel, label] of [
    [1.7, "100 m"],
    [0.0004, "2 cm"],
    [30, "2 km"],
    [1, "100 m"],
  ]) {
    const bar = scaleBar(metresPerPixel, 100);
    assert.equal(bar.label, label);
    assert.ok(bar.pixels <= 100.001 && bar.pixels > 39, `${bar.pixels}`);
  }
});

test("what would be a flat line gets the other scale", () => {
  const of = (...ranges) => sides(ranges.map(([min, max]) => ({ min, max })));
  assert.deepEqual(of([0, 40], [0, 100]), ["left", "left"]);
  assert.deepEqual(of([0, 40], [0, 1], [0, 0.8]), ["left", "right", "right"]);
  assert.deepEqual(of([0, 40], [48.1, 48.9]), ["left", "right"]);
  assert.deepEqual(of([0, 40], [7, 7]), ["left", "left"]);
  assert.deepEqual(of([NaN, NaN], [0, 1]), ["left", "left"]);
  // What is much larger has a scale to itself, and the others share one.
  assert.deepEqual(of([0, 40], [1.2345e7, 1.2346e7], [0, 1], [48, 49]), ["left", "right", "left", "left"]);
  assert.deepEqual(of([1.2345e7, 1.2346e7], [0, 40], [0, 1]), ["left", "right", "right"]);
  assert.deepEqual(of([0, 40], [NaN, NaN], [0, 1], [0, 1]), ["left", "left", "right", "right"]);
  assert.deepEqual(sides([], []), []);
  // Near the limit it stays as it is.
  const near = [
    { min: 0, max: 40 },
    { min: 0, max: 4 },
  ];
  assert.deepEqual(sides(near, ["left", "left"]), ["left", "left"]);
  assert.deepEqual(sides(near, ["left", "right"]), ["left", "right"]);
});

test("the window follows, stays, zooms and moves", () => {
  const window = new Window(60_000, 300_000);
  assert.deepEqual(window.range(100_000), [40_000, 100_000]);
  assert.deepEqual(window.range(100_000, 10_000), [40_000, 100_000]);
  assert.deepEqual(window.range(100_000, 70_000), [70_000, 100_000]);
  assert.deepEqual(window.range(100_000, 99_000), [95_000, 100_000]);
  assert.deepEqual(window.range(100_000, NaN), [40_000, 100_000]);
  window.zoom(0.5, 1);
  assert.deepEqual(window.range(200_000), [170_000, 200_000]);
  assert.equal(window.live, true);
  window.pause(200_000);
  assert.deepEqual(window.range(999_999), [170_000, 200_000]);
  window.zoom(0.5, 0);
  assert.deepEqual(window.range(999_999), [170_000, 185_000]);
  window.move(-1, 200_000, 0);
  assert.deepEqual(window.range(999_999), [155_000, 170_000]);
  window.move(-100, 200_000, 0);
  assert.deepEqual(window.range(999_999), [-7_500, 7_500]);
  window.move(1000, 200_000, 0);
  assert.equal(window.live, true);
  window.select(120_000, 110_000);
  assert.deepEqual(window.range(999_999), [110_000, 120_000]);
  window.zoom(1e9);
  assert.equal(window.span, 300_000);
  window.zoom(1e-9);
  assert.equal(window.span, 50);
});
