/** Who else is connected to the service, how each stands, and who has gone and why. */

import { byId, element, setText } from "../dom.js";
import { part } from "../frames.js";
import { shown } from "../model/escape.js";
import * as format from "../model/format.js";
import { ratesOut } from "../model/monitor.js";

const MOST_DEPARTURES = 5;
/** A monitor says its numbers each second: older ones are not what is now. */
const OLD_MS = 3000;

export class Peers {
  #now;
  #numbers = null;
  #at = NaN;
  #rates = new Map();
  #error = null;
  /** @type {Map<number, {element: HTMLElement, cells: HTMLElement[]}>} */
  #rows = new Map();

  /** @param {() => number} now by the clock of the tool, which says when the numbers came */
  constructor(now) {
    this.#now = now;
    this.draw = part(() => this.#draw(), 250);
  }

  clear() {
    this.#numbers = null;
    this.#error = null;
    this.draw();
  }

  accept({ at, numbers, error }) {
    this.#error = error;
    if (numbers !== null) {
      this.#rates = ratesOut(numbers, this.#numbers);
      this.#numbers = numbers;
      this.#at = at;
    }
    this.draw();
  }

  #draw() {
    const numbers = this.#numbers;
    byId("peers").hidden = numbers === null;
    if (numbers === null) {
      return;
    }
    const { connections, departures, count, name } = numbers;
    const more = count > connections.length ? `the worst ${connections.length} of ${count}` : `${count}`;
    const ageMs = Math.max(0, this.#now() - this.#at);
    const isOld = ageMs > OLD_MS;
    byId("peers").classList.toggle("old", isOld);
    const said = this.#error === null ? `${more} at ${shown(name, 60)}` : shown(this.#error, 120);
    setText(byId("peers-text"), isOld ? `${said}; numbers of ${format.duration(ageMs)} ago` : said);
    const rows = connections.map((connection) => this.#row(connection));
    const body = byId("peers-rows");
    if (rows.length !== body.children.length || rows.some((row, at) => body.children[at] !== row)) {
      body.replaceChildren(...rows);
    }
    const here = new Set(connections.map(({ id }) => id));
    for (const id of this.#rows.keys()) {
      if (!here.has(id)) {
        this.#rows.delete(id);
      }
    }
    byId("departures-title").hidden = departures.length === 0;
    byId("departures").replaceChildren(...departures.slice(0, MOST_DEPARTURES).map((one) => departed(one, ageMs)));
  }

  #row(connection) {
    let row = this.#rows.get(connection.id);
    if (row === undefined) {
      const kinds = ["state", "name", "number", "number", "number", "number", "number", ""];
      const cells = kinds.map((kind) => element("td", { class: kind }));
      cells[0].append(element("span", { class: "lamp", "aria-hidden": "true" }), element("span"));
      row = { element: element("tr", {}, ...cells), cells };
      this.#rows.set(connection.id, row);
    }
    const [state, ...others] = row.cells;
    row.element.dataset.level = { live: "good", slow: "late", stopped: "bad" }[connection.state];
    setText(state.lastChild, connection.state);
    const { queued, mostQueued, oldestMs } = connection;
    const part = mostQueued > 0 && queued > 0 ? ` (${Math.round((queued / mostQueued) * 100)} %)` : "";
    const rate = this.#rates.get(connection.id);
    const texts = [
      shown(connection.peer, 60),
      rate >= 0 ? `${format.bytes(rate)}/s` : "–",
      format.bytes(queued) + part,
      Number.isFinite(oldestMs) ? format.duration(oldestMs) : "",
      format.count(connection.dropped),
      format.count(connection.conflated),
      shown(connection.policy, 40),
    ];
    others.forEach((cell, at) => setText(cell, texts[at]));
    return row.element;
  }
}

function departed({ peer, agoMs, lastedMs, kind, reason }, ageMs) {
  const why = shown(reason === "" ? kind : reason, 120);
  return element(
    "li",
    {},
    element("span", { class: "name" }, shown(peer, 60)),
    element("span", {}, why),
    element(
      "span",
      { class: "number dim" },
      `${format.duration(agoMs + ageMs)} ago, after ${format.duration(lastedMs)}`,
    ),
  );
}
