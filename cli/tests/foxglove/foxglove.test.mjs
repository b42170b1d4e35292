/** What Foxglove's own client package sees of a vehicle. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";

import { Client, WebSocket, soon, viewed } from "./vehicle.mjs";

let vehicle;
before(async () => (vehicle = await viewed()));
after(() => vehicle.close());

/** A picture of LEADS's, and its bytes. */
function picture(camera, len) {
  const bytes = Buffer.concat([Buffer.from("ffd8ffe000104a46494600", "hex"), randomBytes(len)]);
  return { bytes, message: `${camera}:${bytes.toString("base64")}` };
}

test("it lists the channels, and receives them", async () => {
  const client = new Client(vehicle.port);
  const info = await client.wait("serverInfo");
  assert.deepEqual(info.capabilities, []);
  assert.equal(typeof info.sessionId, "string");
  vehicle.say('{"speed":0,"latitude":43.5,"longitude":-79.5}');
  vehicle.say("time_lap");
  const frames = await client.channel("/leads");
  assert.deepEqual([frames.encoding, frames.schemaEncoding, frames.schemaName], ["json", "jsonschema", "leads.Frame"]);
  const fields = JSON.parse(frames.schema).properties;
  assert.deepEqual(Object.keys(fields).sort(), ["latitude", "longitude", "speed"]);
  assert.equal((await client.channel("/leads/location")).schemaName, "foxglove.LocationFix");
  const speeds = await client.subscribe("/leads");
  const text = await client.subscribe("/text");
  assert.deepEqual(await client.record(text), { text: "time_lap" });
  const first = await client.record(speeds);
  for (let speed = 1; speed <= 100; speed++) vehicle.say(`{"speed":${speed}}`);
  await client.record(speeds, (frame) => frame.speed === 100);
  const all = client.records(speeds).map((frame) => frame.speed);
  assert.deepEqual(all, [first.speed, ...Array.from({ length: 100 }, (_, index) => index + 1)]);
  // Its time is that of this machine.
  const { timestamp } = await client.wait("message");
  assert.ok(Math.abs(Number(timestamp / 1_000_000n) - Date.now()) < 60_000);
  assert.deepEqual([client.told.errors, client.told.status], [[], []]);
  client.close();
});

test("who comes late gets the last message", async () => {
  const early = new Client(vehicle.port);
  vehicle.say("late");
  const seen = await early.subscribe("/text");
  await early.record(seen, ({ text }) => text === "late");
  const late = new Client(vehicle.port);
  const text = await late.subscribe("/text");
  assert.deepEqual(await late.record(text), { text: "late" });
  early.close();
  late.close();
});

test("a picture arrives whole", async () => {
  const { bytes, message } = picture("frvc", 100 << 10);
  vehicle.say(message);
  const client = new Client(vehicle.port);
  const channel = await client.channel("/frvc");
  assert.equal(channel.schemaName, "foxglove.CompressedImage");
  const image = await client.record(await client.subscribe("/frvc"));
  assert.ok(Buffer.from(image.data, "base64").equals(bytes));
  assert.deepEqual([image.format, image.frame_id], ["jpeg", "frvc"]);
  client.close();
});

test("who has unsubscribed gets no more", async () => {
  const client = new Client(vehicle.port);
  vehicle.say("first");
  const text = await client.subscribe("/text");
  await client.record(text, (record) => record.text === "first");
  client.client.unsubscribe(text);
  // It is answered behind that.
  client.client.subscribe(4_000_000);
  const status = await client.wait("status");
  assert.deepEqual([status.level, status.message], [2, "there is no channel 4000000"]);
  vehicle.say("second");
  const again = await client.subscribe("/text");
  await client.record(again, (record) => record.text === "second");
  assert.equal(client.records(text).filter((record) => record.text === "second").length, 0);
  client.close();
});

test("one that has stopped holds up nobody", async () => {
  vehicle.say(picture("lfvc", 10).message);
  const stopped = new Client(vehicle.port);
  const reads = new Client(vehicle.port);
  const [slow, fast] = [await stopped.subscribe("/lfvc"), await reads.subscribe("/lfvc")];
  await stopped.record(slow);
  stopped.socket.pause();
  // Much more than systems keep for a connection.
  for (let index = 0; index < 100; index++) {
    const { message, bytes } = picture("lfvc", 200 << 10);
    vehicle.say(message);
    const data = bytes.toString("base64");
    await reads.record(fast, (image) => image.data === data);
  }
  const last = reads.records(fast).at(-1).data;
  stopped.socket.resume();
  await stopped.record(slow, (image) => image.data === last);
  assert.ok(stopped.records(slow).length < 100);
  stopped.close();
  reads.close();
});

test("both names of the protocol are known", async () => {
  for (const subprotocol of ["foxglove.websocket.v1", "foxglove.sdk.v1"]) {
    const client = new Client(vehicle.port, { subprotocols: ["unknown", subprotocol] });
    await client.wait("serverInfo");
    assert.equal(client.socket.protocol, subprotocol);
    client.close();
  }
});

test("pages of others are not let in", async () => {
  for (const [origin, isLetIn] of [
    ["https://app.foxglove.dev", true],
    // Lichtblick's and Foxglove's desktop programs.
    ["file://", true],
    ["https://evil.example", false],
    ["null", false],
    ["https://app.foxglove.dev.evil.example", false],
  ]) {
    const socket = new WebSocket(`ws://127.0.0.1:${vehicle.port}/`, ["foxglove.sdk.v1"], { origin });
    const outcome = new Promise((done) => {
      socket.on("open", () => done(true));
      socket.on("unexpected-response", (_, response) => done(response.statusCode));
      socket.on("error", done);
    });
    assert.equal(await soon(outcome, origin), isLetIn || 403, origin);
    socket.terminate();
  }
});
