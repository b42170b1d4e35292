/**
 * A tool that is not there: it serves the page's files, and says to the page what a test wants it to say. So that what
 * happens seldom can be tested: gaps, jumps, peers that stand, hostile names.
 */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const PAGE = fileURLToPath(new URL("../../page/", import.meta.url));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};
const POLICY =
  "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; " +
  "frame-ancestors 'none'";

/** The page's files, and `/history`. */
export async function fakeTool() {
  const tool = {
    history: { seq: 0, t: [], v: {} },
    /** Answers a request as a test wants it; false: as always. @type {(path: string, response: object) => boolean} */
    answers: () => false,
  };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://127.0.0.1");
    response.setHeader("Content-Security-Policy", POLICY);
    response.setHeader("X-Content-Type-Options", "nosniff");
    if (tool.answers(pathname, response)) {
      return;
    }
    if (pathname === "/history") {
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify(tool.history));
      return;
    }
    const path = join(PAGE, normalize(pathname === "/" ? "/index.html" : pathname));
    try {
      response.setHeader("Content-Type", TYPES[extname(path)] ?? "text/plain");
      response.end(await readFile(path));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  tool.url = `http://127.0.0.1:${server.address().port}/`;
  tool.close = () => {
    server.close();
    server.closeAllConnections();
  };
  return tool;
}

export const HELLO = {
  type: "hello",
  version: "0.1.0",
  source: "10.0.0.4:16900",
  live: true,
  commands: [],
  keep_s: 300,
  monitor: null,
  files: null,
};

export const STATE = {
  type: "state",
  now: 0,
  connected: true,
  since: 0,
  status: "connected to 10.0.0.4:16900",
  age_ms: 5,
  messages_per_s: 50,
  bytes_per_s: 24_600,
  messages: 12_345,
  bytes: 1e6,
  left_out: 0,
  not_json: 0,
  skew_ms: null,
  thinned: 0,
};

/** The other side of the page's WebSocket; `speak(socket)` is called for each that is opened. */
export async function route(page, speak) {
  await page.routeWebSocket(/^ws:/, (socket) => {
    speak({
      say: (message) => socket.send(JSON.stringify(message)),
      picture: (name, at, bytes) => socket.send(picture(name, at, bytes)),
      close: () => socket.close(),
      onMessage: (heard) => socket.onMessage((text) => heard(JSON.parse(text))),
    });
  });
}

export function picture(name, at, bytes) {
  const label = Buffer.from(name);
  const head = Buffer.alloc(10 + label.length);
  head.writeUInt8(1, 0);
  head.writeUInt8(label.length, 1);
  label.copy(head, 2);
  head.writeDoubleBE(at, 2 + label.length);
  return Buffer.concat([head, bytes]);
}

/** The numeric fields of an object, as the tool finds them: path to number. */
export function flat(value, prefix = "", into = new Map()) {
  for (const [key, inner] of Object.entries(value)) {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    if (typeof inner === "object") {
      flat(inner, path, into);
    } else if (typeof inner !== "string") {
      into.set(path, Number(inner));
    }
  }
  return into;
}

/** The messages `samples` and `fields` of frames, `{at, value}` each. */
export class Frames {
  #ids = new Map();
  #fields = new Map();
  seq = 0;

  samples(frames) {
    const v = {};
    frames.forEach(({ at, value }, row) => {
      for (const [path, number] of flat(value)) {
        if (!this.#ids.has(path)) {
          this.#ids.set(path, this.#ids.size + 1);
        }
        const id = this.#ids.get(path);
        const field = this.#fields.get(path) ?? { id, path, min: Infinity, max: -Infinity, count: 0 };
        const { min, max, count } = field;
        const grown = { min: Math.min(min, number), max: Math.max(max, number), count: count + 1 };
        this.#fields.set(path, { ...field, ...grown, last: number, at });
        v[id] ??= frames.map(() => null);
        v[id][row] = number;
      }
    });
    return { type: "samples", seq: ++this.seq, t: frames.map(({ at }) => at), v };
  }

  fields() {
    return { type: "fields", fields: [...this.#fields.values()], more: 0 };
  }
}
