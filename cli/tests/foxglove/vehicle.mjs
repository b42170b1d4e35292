/** A vehicle, the command that views it, and clients of Foxglove's own package, which `run` has put into target. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const TARGET = new URL("../../../target/", import.meta.url);
const require = createRequire(new URL("foxglove/", TARGET));
const { FoxgloveClient } = require("@foxglove/ws-protocol");
const { WebSocket } = require("ws");

export const COMMAND = process.env.LEADS_COMM ?? fileURLToPath(new URL("debug/leads-comm", TARGET));

/** How long anything may take before a test gives up. */
const PATIENCE = 20_000;

export { WebSocket };

/** The promise, or a failure when it takes too long. */
export function soon(promise, what) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what}: it takes too long`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** `leads-comm ARGUMENTS`, once it has printed a line to stderr with what `find` looks for. */
async function start(args, find) {
  const process = spawn(COMMAND, args, { stdio: ["pipe", "pipe", "pipe"] });
  const lines = [];
  const printed = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  const found = new Promise((done, fail) => {
    process.on("error", fail);
    createInterface({ input: process.stderr }).on("line", (line) => {
      lines.push(line);
      const match = find.exec(line);
      if (match) done(match[1]);
    });
    process.on("exit", (code) => fail(new Error(`it has ended (${code}): ${lines.join("\n")}`)));
  });
  const ended = new Promise((done) => process.on("exit", done));
  return { process, printed, ended, found: await soon(found, args.join(" ")) };
}

/** A server that says what it is told to, and `view`, which looks at it. */
export async function viewed(...options) {
  const vehicle = await start(["serve", "127.0.0.1:0"], /127\.0\.0\.1:(\d+)/);
  const address = `127.0.0.1:${vehicle.found}`;
  const view = await start(
    ["view", address, "--listen", "127.0.0.1:0", "--monitor", "none", ...options],
    /http:\/\/127\.0\.0\.1:(\d+)/,
  );
  return {
    port: Number(view.found),
    say: (message) => vehicle.process.stdin.write(`${message}\n`),
    /** The next message that has come to the vehicle. */
    heard: async () => (await soon(vehicle.printed.next(), "a message")).value,
    close: async () => {
      for (const { process, ended } of [view, vehicle]) {
        process.kill("SIGINT");
        await soon(ended, "the end");
      }
    },
  };
}

/** A client of Foxglove's: what it is told is kept, and can be waited for. */
export class Client {
  constructor(port, { subprotocols = [FoxgloveClient.SUPPORTED_SUBPROTOCOL, "foxglove.sdk.v1"], ...options } = {}) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/`, subprotocols, options);
    this.client = new FoxgloveClient({ ws: this.socket });
    this.told = { serverInfo: [], status: [], message: [], channels: [], gone: [], errors: [], time: [] };
    this.waiting = [];
    const keep = (list) => (event) => this.#keep(list, [event]);
    for (const name of ["serverInfo", "status", "message", "time"]) this.client.on(name, keep(name));
    this.client.on("advertise", (channels) => this.#keep("channels", channels));
    this.client.on("unadvertise", (ids) => this.#keep("gone", ids));
    this.client.on("error", keep("errors"));
    this.closed = new Promise((done) => this.client.on("close", done));
  }

  #keep(list, events) {
    this.told[list].push(...events);
    this.waiting = this.waiting.filter((look) => !look());
  }

  /** The first thing of a kind that fits. */
  wait(list, fits = () => true) {
    const found = new Promise((done) => {
      const look = () => {
        const event = this.told[list].find(fits);
        if (event !== undefined) done(event);
        return event !== undefined;
      };
      if (!look()) this.waiting.push(look);
    });
    return soon(found, list);
  }

  channel(topic) {
    return this.wait("channels", (channel) => channel.topic === topic);
  }

  /** Subscribes to a topic as soon as there is one. */
  async subscribe(topic) {
    const { id } = await this.channel(topic);
    return this.client.subscribe(id);
  }

  /** The records of a subscription that have come by now. */
  records(subscription) {
    const own = this.told.message.filter((message) => message.subscriptionId === subscription);
    return own.map(record);
  }

  /** The first record of a subscription that fits. */
  async record(subscription, fits = () => true) {
    const own = (message) => message.subscriptionId === subscription && fits(record(message));
    return record(await this.wait("message", own));
  }

  close() {
    this.socket.terminate();
  }
}

const decoder = new TextDecoder();

export function record({ data }) {
  return JSON.parse(decoder.decode(data));
}
