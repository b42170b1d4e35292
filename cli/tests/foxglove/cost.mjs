/**
 * What a client of Foxglove's costs, and how late it sees what a vehicle says; to be run by hand, behind `run`:
 *
 *     LEADS_COMM=target/release/leads-comm node cli/tests/foxglove/cost.mjs
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

import { COMMAND, Client } from "./vehicle.mjs";

const SECONDS = 10;

const server = net.createServer({ noDelay: true }).listen(0, "127.0.0.1");
await once(server, "listening");
const address = `127.0.0.1:${server.address().port}`;
const view = spawn(COMMAND, ["view", address, "--listen", "127.0.0.1:0", "--monitor", "none"], {
  stdio: ["ignore", "ignore", "pipe"],
});
const connected = once(server, "connection");
let port;
for await (const line of createInterface({ input: view.stderr })) {
  port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
  if (port) break;
}
const [vehicle] = await connected;
const client = new Client(port);

vehicle.write("frvc:/9j/;");
const pictures = await client.subscribe("/frvc");
await client.record(pictures);
for (const kib of [1, 100, 1000]) {
  const times = [];
  for (let round = 0; round < 50; round++) {
    const picture = randomBytes(kib << 10).toString("base64");
    const sent = performance.now();
    vehicle.write(`frvc:${picture};`);
    await client.record(pictures, (record) => record.data === picture);
    times.push(performance.now() - sent);
    client.told.message.length = 0;
  }
  times.sort((one, other) => one - other);
  console.log(`a picture of ${kib} KiB: p50 ${times[25].toFixed(1)} ms, worst of 50 ${times[49].toFixed(1)} ms`);
}

const fields = Array.from({ length: 25 }, (_, field) => field);
const frame = (time) => Object.fromEntries(fields.map((field) => [`field${field}`, Math.sin(time + field)]));
vehicle.write(`${JSON.stringify(frame(0))};`);
await client.subscribe("/leads");
let [messages, bytes] = [0, 0];
client.client.on("message", ({ data }) => {
  messages += 1;
  bytes += data.byteLength;
  client.told.message.length = 0;
});
/** How long the processor has worked for it, in seconds. */
const worked = () => {
  const parts = readFileSync(`/proc/${view.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(parts[11]) + Number(parts[12])) / 100;
};
const before = worked();
const picture = `frvc:${randomBytes(100 << 10).toString("base64")};`;
const frames = setInterval(() => vehicle.write(`${JSON.stringify(frame(performance.now()))};`), 1000 / 50);
const shots = setInterval(() => vehicle.write(picture), 1000 / 15);
await pause(SECONDS * 1000);
clearInterval(frames);
clearInterval(shots);
const cpu = ((100 * (worked() - before)) / SECONDS).toFixed(1);
const memory = /VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${view.pid}/status`, "utf8"))[1];
const rate = `${(messages / SECONDS).toFixed(0)} messages and ${(bytes / SECONDS / 1e6).toFixed(1)} MB a second`;
console.log(`${rate}: ${cpu} % of a processor, ${(memory / 1024).toFixed(0)} MiB`);

client.close();
view.kill("SIGINT");
vehicle.destroy();
server.close();
