/** A vehicle for the command: a TCP server that says what it is told to, as LEADS does; and the command itself. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** What a browser test runs: `.ci/browser` builds it. */
export const COMMAND =
  process.env.LEADS_COMM ?? fileURLToPath(new URL("../../../target/debug/leads-comm", import.meta.url));

const SEPARATOR = ";";

export class Vehicle {
  #server;
  #peers = new Set();
  #timers = [];
  /** What clients have said. */
  heard = [];

  /** @param {number} port 0: one that is free */
  static async start(port = 0) {
    const vehicle = new Vehicle();
    vehicle.#server = createServer({ noDelay: true }, (peer) => {
      vehicle.#peers.add(peer);
      peer.on("data", (data) =>
        vehicle.heard.push(
          ...data
            .toString()
            .split(SEPARATOR)
            .filter((text) => text !== ""),
        ),
      );
      peer.on("error", () => {});
      peer.on("close", () => vehicle.#peers.delete(peer));
    });
    vehicle.#server.listen(port, "127.0.0.1");
    await once(vehicle.#server, "listening");
    vehicle.port = vehicle.#server.address().port;
    return vehicle;
  }

  get address() {
    return `127.0.0.1:${this.port}`;
  }

  get peers() {
    return this.#peers.size;
  }

  /** @param {object | string | Buffer} message objects as JSON */
  say(message) {
    const bytes = typeof message === "object" && !Buffer.isBuffer(message) ? JSON.stringify(message) : message;
    for (const peer of this.#peers) {
      peer.write(Buffer.concat([Buffer.from(bytes), Buffer.from(SEPARATOR)]));
    }
  }

  /** Says what `next` gives, so many times a second, without falling behind. */
  every(hertz, next) {
    const start = performance.now();
    let count = 0;
    const timer = setInterval(() => {
      for (; count < ((performance.now() - start) * hertz) / 1000; count++) {
        this.say(next(count));
      }
    }, 5);
    this.#timers.push(timer);
  }

  async stop() {
    this.#timers.forEach(clearInterval);
    for (const peer of this.#peers) {
      peer.destroy();
    }
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** A picture as LEADS sends it. */
export function tagged(name, jpeg) {
  return `${name}:${jpeg.toString("base64")}`;
}

/** The command as a process; `line` waits for a line of stderr, `stop` ends it as Ctrl-C does. */
export class Process {
  #lines = [];
  #waiting = [];

  constructor(args, { input = "ignore" } = {}) {
    this.child = spawn(COMMAND, args, { stdio: [input, "ignore", "pipe"] });
    this.ended = once(this.child, "exit");
    // A test may write to it when it has ended.
    this.child.stdin?.on("error", () => {});
    createInterface({ input: this.child.stderr }).on("line", (line) => {
      this.#lines.push(line);
      this.#waiting.forEach((look) => look());
    });
  }

  get told() {
    return this.#lines.join("\n");
  }

  /** The first match of a pattern in what it tells. */
  async match(pattern, ms = 10_000) {
    let timer;
    return new Promise((done, failed) => {
      timer = setTimeout(() => failed(new Error(`no ${pattern} in ${this.told}`)), ms);
      const look = () => {
        const found = this.told.match(pattern);
        if (found !== null) done(found);
      };
      this.#waiting.push(look);
      look();
    }).finally(() => clearTimeout(timer));
  }

  async stop() {
    this.child.kill("SIGINT");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 5000);
    const [code] = await this.ended;
    clearTimeout(timer);
    return code;
  }
}

/** `leads-comm view`, and where its page is. */
export async function view(...args) {
  const process = new Process(["view", "--listen", "127.0.0.1:0", ...args]);
  const [url] = await process.match(/http:\/\/\S+/);
  process.url = url;
  return process;
}
