/** The WebSocket to the tool, which is opened again for as long as the page is. */

import { SUBPROTOCOL, read, readPicture } from "./model/protocol.js";

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 4000;
/** The tool says something four times a second: after this time it is not there any more. */
const SILENCE_MS = 6000;

export class Live {
  #socket = null;
  #wait = FIRST_WAIT_MS;
  #heard = 0;
  #on;

  /** @param {{opened: () => void, closed: (waitMs: number) => void, message: (message: object) => void}} on */
  constructor(on) {
    this.#on = on;
    this.#open();
    setInterval(() => this.#listen(), 1000);
    // A machine that slept need not wait for the next attempt.
    addEventListener("online", () => this.#socket ?? this.#open());
  }

  get open() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Whether it has been said; nothing is kept for later. */
  say(message) {
    if (!this.open) {
      return false;
    }
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #open() {
    const url = new URL("./", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, [SUBPROTOCOL]);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#heard = performance.now();
    socket.addEventListener("open", () => this.#on.opened());
    socket.addEventListener("message", ({ data }) => {
      this.#heard = performance.now();
      const message = typeof data === "string" ? read(data) : readPicture(data);
      if (message !== null) {
        this.#wait = FIRST_WAIT_MS;
        this.#on.message(message);
      }
    });
    socket.addEventListener("close", () => this.#closed(socket));
  }

  #closed(socket) {
    if (socket !== this.#socket) {
      return;
    }
    this.#socket = null;
    this.#on.closed(this.#wait);
    setTimeout(() => this.#socket ?? this.#open(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
  }

  #listen() {
    if (this.#socket !== null && performance.now() - this.#heard > SILENCE_MS) {
      const socket = this.#socket;
      // Its own end may take the system minutes.
      socket.close();
      this.#closed(socket);
    }
  }
}
