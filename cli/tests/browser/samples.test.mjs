/** The way of the samples: from what the tool says into the table, and from there into what is drawn. */
import assert from "node:assert/strict";
import test from "node:test";
import { Feed } from "../../page/model/feed.js";
import { numbers, ratesOut } from "../../page/model/monitor.js";
import { read, readPicture } from "../../page/model/protocol.js";
import { Table } from "../../page/model/table.js";
import { range, thin, valueAt } from "../../page/model/thin.js";
import { picture } from "./fake.mjs";

const rows = (from, count, step = 20) => Float64Array.from({ length: count }, (_, row) => from + row * step);
const column = (id, values) => new Map([[id, values]]);

test("a table keeps the last minutes, and no more", () => {
  const table = new Table(10_000);
  for (let at = 0; at < 100_000; at += 1000) {
    table.append(rows(at, 50), column(1, rows(at, 50)));
  }
  assert.equal(table.newest, 99_980);
  assert.equal(table.oldest, 89_980);
  assert.equal(table.length, 501);
  assert.deepEqual(table.column(1), table.times);
  assert.equal(table.column(2), undefined);
  table.clear();
  assert.deepEqual([table.length, table.newest, table.column(1)], [0, NaN, undefined]);
});

test("however many fields there are, a table has so many values", () => {
  const cells = 4000;
  const table = new Table(Infinity, cells);
  for (let id = 0; id < 30; id++) {
    table.append(rows(id * 100_000, 700), column(id, rows(id * 100_000, 700)));
    assert.ok(table.length * (id + 2) <= cells, `${table.length} rows of ${id + 1}`);
    assert.equal(table.newest, id * 100_000 + 699 * 20);
    assert.equal(table.column(id).at(-1), table.newest);
    assert.ok(table.length >= Math.min(700, 0.5 * Math.floor(cells / (id + 2))), `${table.length} rows of ${id + 1}`);
  }
  // More at once than there is room for: the newest stay.
  table.append(rows(1e9, 10_000), column(3, rows(1e9, 10_000)));
  assert.equal(table.newest, 1e9 + 9999 * 20);
});

test("what a row does not have is not there", () => {
  const table = new Table(Infinity);
  table.append([10, 20], column(1, [1, 2]));
  table.append([30, 40], column(2, [NaN, 4]));
  assert.deepEqual([...table.column(1)], [1, 2, NaN, NaN]);
  assert.deepEqual([...table.column(2)], [NaN, NaN, NaN, 4]);
  assert.deepEqual(
    [0, 10, 11, 40, 41].map((time) => table.rowAt(time)),
    [0, 0, 1, 3, 4],
  );
  assert.equal(valueAt(table, 1, 35), 2);
  assert.equal(valueAt(table, 1, 5), NaN);
  assert.equal(valueAt(table, 9, 35), NaN);
  assert.deepEqual(range(table, 1, 15, 100), { min: 2, max: 2 });
  assert.deepEqual(range(table, 2, 0, 30), { min: NaN, max: NaN });
});

test("silence is a gap, and a slow field is none", () => {
  const table = new Table(Infinity);
  table.append(rows(0, 50), column(1, rows(0, 50)));
  table.append([4000, 4020], column(1, [1, 2]));
  table.append([4040], column(1, [3]), true);
  assert.deepEqual([...table.breaks.subarray(48)], [0, 0, 1, 0, 1]);
  const slow = new Table(Infinity);
  slow.append(rows(0, 9, 5000), column(1, rows(0, 9)));
  assert.deepEqual([...slow.breaks.subarray(2)], [0, 0, 0, 0, 0, 0, 0]);
});

test("a clock that is set back does not turn the curve around", () => {
  const table = new Table(Infinity);
  table.append([100, 50, 120], column(1, [1, 2, 3]));
  assert.deepEqual([...table.times], [100, 100, 120]);
});

test("few rows are drawn as they are, with a break where something is missing", () => {
  const table = new Table(Infinity);
  table.append([0, 10, 20], column(1, [1, NaN, 3]));
  table.append([30], column(1, [4]), true);
  assert.deepEqual(thin(table, [1, 2], 0, 30, 100), [
    [0, 10, 20, 25, 30],
    [1, undefined, 3, null, 4],
    [null, null, null, null, null],
  ]);
});

test("where a field is no number its curve breaks, and no other one", () => {
  const said = '{"type":"samples","seq":1,"t":[0,10,20,30],"v":{"1":[1,"NaN",null,3],"2":[7,8,9,null]}}';
  const table = new Table(Infinity);
  const { times, columns } = read(said);
  table.append(times, columns);
  assert.deepEqual(thin(table, [1, 2], 0, 30, 100).slice(1), [
    [1, null, null, 3],
    [7, 8, 9, undefined],
  ]);
  assert.deepEqual(range(table, 1, 0, 100), { min: 1, max: 3 });
  assert.deepEqual(
    [5, 25, 30].map((time) => valueAt(table, 1, time)),
    [1, NaN, 3],
  );
  const feed = new Feed();
  feed.begin(300_000);
  feed.names({ more: 0, fields: [{ id: 1, path: "a", last: 1, at: 0, min: 1, max: 1 }] });
  feed.samples({ seq: 1, times: [5, 6], columns: column(1, columns.get(1).slice(0, 2)) });
  assert.deepEqual([feed.fields.get(1).last, feed.fields.get(1).max], [1, 1]);
  // Among many rows as well.
  const long = new Table(Infinity);
  const values = Array.from({ length: 5000 }, (_, row) => (row >= 2000 && row < 2500 ? "NaN" : row % 7));
  const many = read(JSON.stringify({ type: "samples", seq: 1, t: values.map((_, row) => row), v: { 1: values } }));
  long.append(many.times, many.columns);
  const [at, drawn] = thin(long, [1], 0, 5000, 100);
  const gaps = at.filter((_, place) => drawn[place] === null);
  assert.ok(gaps.length >= 8 && gaps[0] >= 2000 && gaps.at(-1) < 2501, `${gaps}`);
  // All of it, so that no line is drawn between the pixels.
  assert.ok(drawn.slice(at.indexOf(gaps[0]), at.indexOf(gaps.at(-1))).every((value) => value === null));
});

test("of many rows each pixel has the smallest and the largest", () => {
  const table = new Table(Infinity);
  const values = Float64Array.from({ length: 60_000 }, (_, row) => Math.sin(row / 500));
  values[31_234] = 50;
  values[45_678] = -50;
  table.append(rows(0, 60_000, 1), column(1, values));
  const [times, drawn] = thin(table, [1], 0, 60_000, 300);
  assert.ok(times.length <= 2 * 302, `${times.length}`);
  assert.ok(drawn.includes(50) && drawn.includes(-50));
  assert.ok(times.every((time, at) => at === 0 || time >= times[at - 1]));
  // A pixel further on, what was there is drawn as before.
  const [moved, again] = thin(table, [1], 200, 60_200, 300);
  const at = moved.indexOf(times[100]);
  assert.ok(at > 0);
  assert.deepEqual(again.slice(at, at + 400), drawn.slice(100, 500));
});

test("a break among many rows is a break", () => {
  const table = new Table(Infinity);
  table.append(rows(0, 5000, 1), column(1, new Float64Array(5000)));
  table.append(rows(5000, 5000, 1), column(1, new Float64Array(5000)), true);
  const [times, drawn] = thin(table, [1], 0, 10_000, 100);
  assert.equal(drawn.filter((value) => value === null).length, 1);
  assert.equal(times[drawn.indexOf(null)], 4999.5);
});

test("the past and the present are joined without a seam", () => {
  const feed = new Feed();
  feed.begin(300_000);
  const live = (seq, at) => feed.samples({ seq, times: [at], columns: column(1, [at]) });
  live(7, 70);
  live(8, 80);
  live(9, 90);
  feed.history({ seq: 8, times: [50, 60, 70, 80], columns: column(1, [50, 60, 70, 80]) });
  live(10, 100);
  assert.deepEqual([...feed.table.column(1)], [50, 60, 70, 80, 90, 100]);
  assert.deepEqual([...feed.table.breaks], [0, 0, 0, 0, 0, 0]);
  live(13, 130);
  assert.deepEqual([...feed.table.breaks], [0, 0, 0, 0, 0, 0, 1]);
  // Without a past, what waited is there all the same.
  feed.begin(300_000);
  live(1, 10);
  feed.history(null);
  assert.deepEqual([...feed.table.times], [10]);
});

test("a history that never comes holds back a bounded time", () => {
  const feed = new Feed();
  feed.begin(300_000);
  for (let seq = 1; seq <= 5000; seq++) {
    feed.samples({ seq, times: [seq], columns: column(1, [seq]) });
  }
  feed.history(null);
  assert.equal(feed.table.length, 1200);
  assert.equal(feed.table.newest, 5000);
});

test("a field is what the newest of names and samples says", () => {
  const feed = new Feed();
  feed.begin(300_000);
  const named = (last, at, more = {}) => ({
    more: 0,
    fields: [{ id: 1, path: "a", last, at, min: 0, max: 5, ...more }],
  });
  const sample = (value, at) => feed.samples({ seq: at, times: [at, at + 1], columns: column(1, [value, NaN]) });
  // Its samples may be faster than its name.
  sample(4, 20);
  feed.names(named(3, 10));
  const field = feed.fields.get(1);
  assert.deepEqual([field.last, field.at, field.min, field.max, field.whole], [4, 20, 0, 5, true]);
  sample(7.5, 30);
  assert.deepEqual([field.last, field.max, field.whole], [7.5, 7.5, false]);
  feed.names(named(4, 20));
  assert.equal(feed.fields.get(1), field);
  assert.deepEqual([field.last, field.max, field.whole], [7.5, 7.5, false]);
  feed.names(named(6, 40, { min: -2 }));
  assert.deepEqual([field.last, field.min], [6, -2]);
  assert.equal(feed.byPath("a"), field);
  // After a jump, the time before is the newest, and what has been is not known.
  feed.reset();
  assert.deepEqual([field.last, field.min, field.max], [NaN, NaN, NaN]);
  feed.names(named(2, 5));
  assert.deepEqual([field.last, field.min, field.max, field.whole], [2, 0, 5, true]);
});

test("messages of another kind are nothing", () => {
  for (const json of ["", "{", "null", "[]", "7", '{"type":"other"}', '{"type":"__proto__"}', '{"type":7}']) {
    assert.equal(read(json), null, json);
  }
  for (const type of ["hello", "state", "fields", "samples", "raw", "peers", "timeline", "reset", "commanded"]) {
    assert.equal(read(JSON.stringify({ type })).type, type);
    const hostile = { commands: 7, fields: [null, 3, {}], v: { a: 1, 2: [1] }, t: "x", messages: [[]], numbers: [] };
    assert.equal(read(JSON.stringify({ type, ...hostile })).type, type);
  }
});

test("numbers that are none are NaN, and names are only names", () => {
  const samples = read('{"type":"samples","seq":1,"t":[1,2,3],"v":{"4":[1e400,null,"7"],"5":[1],"__proto__":[1,2,3]}}');
  assert.deepEqual([...samples.columns.get(4)], [NaN, NaN, NaN]);
  assert.equal(samples.columns.has(5), false);
  const fields = read('{"type":"fields","fields":[{"id":1,"path":"__proto__.constructor","last":1e400}]}').fields;
  assert.deepEqual([fields[0].path, fields[0].last], ["__proto__.constructor", NaN]);
  assert.equal({}.polluted, undefined);
});

test("a picture is one by its bytes", () => {
  const buffer = (name, at, bytes) => {
    const { buffer, byteOffset, length } = picture(name, at, Buffer.from(bytes));
    return buffer.slice(byteOffset, byteOffset + length);
  };
  const jpeg = readPicture(buffer("vorne é", 1234.5, [0xff, 0xd8, 0xff, 0xe0]));
  assert.deepEqual([jpeg.name, jpeg.at, jpeg.mime, jpeg.bytes.length], ["vorne é", 1234.5, "image/jpeg", 4]);
  assert.equal(readPicture(buffer("a", 1, [0x89, 0x50, 0x4e, 0x47])).mime, "image/png");
  assert.equal(
    readPicture(
      buffer(
        "a",
        1,
        [..."RIFF0000WEBP"].map((char) => char.charCodeAt(0)),
      ),
    ).mime,
    "image/webp",
  );
  assert.equal(
    readPicture(
      buffer(
        "a",
        1,
        [..."<svg>"].map((char) => char.charCodeAt(0)),
      ),
    ).mime,
    null,
  );
  const whole = buffer("abc", 1, []);
  for (let length = 0; length < whole.byteLength; length++) {
    assert.equal(readPicture(whole.slice(0, length)), null, `${length}`);
  }
  assert.notEqual(readPicture(whole), null);
});

test("a monitor's numbers: the worst first, and how fast each is written to", () => {
  const at = (at_ms, bytes) =>
    numbers({
      at_ms,
      service: { connections: 300 },
      connections: [
        { id: 1, peer: "a", state: "live", policy: "drop_oldest", conflate: true, traffic: { written: { bytes } } },
        { id: 2, peer: "b", state: "stopped", policy: 7, traffic: [] },
        { id: 3, peer: "c", state: "<b>", traffic: { written: { bytes: 1e400 } } },
      ],
    });
  const [before, now] = [at(1000, 500), at(3000, 2500)];
  assert.deepEqual(
    now.connections.map(({ id, state }) => [id, state]),
    [
      [2, "stopped"],
      [1, "live"],
      [3, "live"],
    ],
  );
  assert.equal(now.connections[1].policy, "drop oldest, conflated");
  assert.equal(now.count, 300);
  assert.equal(ratesOut(now, before).get(1), 1000);
  assert.equal(Number.isNaN(ratesOut(now, null).get(1)), true);
});
