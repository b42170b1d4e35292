/** The table of all fields that are numbers: what each is, was, and whether it is plotted. */

import { byId, colour, element, setText, sized } from "../dom.js";
import { part } from "../frames.js";
import { isClock, split } from "../model/choice.js";
import { shown } from "../model/escape.js";
import * as format from "../model/format.js";
import { range, thin } from "../model/thin.js";
import { Window } from "../model/window.js";

/** With fewer than this many one finds a name by looking. */
const SEARCHED = 12;
const NO_FIELDS = "No numbers yet: they are found by themselves in messages that are JSON.";
const SPARK = { width: 64, height: 18 };
const SPARK_SPAN = new Window(60_000, 60_000);
/** A part of a path of so many characters is not cut: its ellipsis would be as long. */
const SHORT_PREFIX = 4;
/** Small curves in one frame: the others follow in the next ones. */
const SPARKS_AT_ONCE = 6;

export class Fields {
  #feed;
  #toggle;
  /** Field to colour number, of what is plotted. */
  #plotted = new Map();
  /** @type {Map<number, Row>} */
  #rows = new Map();
  #visible = new Set();
  #sparks = [];
  #observer;
  #now = NaN;
  #drawSparks;

  /**
   * @param {import("../model/feed.js").Feed} feed
   * @param {(id: number) => void} toggle plots a field, or takes it out
   */
  constructor(feed, toggle) {
    this.#feed = feed;
    this.#toggle = toggle;
    this.draw = part(() => this.#draw());
    this.#drawSparks = part(() => this.#sparkLines(), 100);
    this.#observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "100px" });
    const body = byId("fields-rows");
    body.addEventListener("click", ({ target }) => this.#chosen(target));
    body.addEventListener("keydown", (event) => this.#key(event));
    byId("fields-search").addEventListener("input", () => this.#filter());
  }

  clear() {
    this.#observer.disconnect();
    this.#rows.clear();
    this.#visible.clear();
    this.#sparks = [];
    byId("fields-rows").replaceChildren();
    this.draw();
  }

  /** @param {Map<number, number>} plotted field to colour number */
  plotted(plotted) {
    this.#plotted = plotted;
    for (const row of this.#rows.values()) {
      row.mark(plotted.get(row.field.id));
    }
  }

  /** Those that have a name now. */
  names() {
    for (const field of this.#feed.fields.values()) {
      const row = this.#rows.get(field.id);
      if (row !== undefined) {
        row.field = field;
        continue;
      }
      this.#add(field);
    }
    this.#filter();
    this.draw();
  }

  /** The curves end here. */
  at(now) {
    this.#now = now;
    this.#drawSparks();
  }

  #add(field) {
    const row = new Row(field);
    row.button.tabIndex = this.#rows.size === 0 ? 0 : -1;
    row.mark(this.#plotted.get(field.id));
    this.#rows.set(field.id, row);
    byId("fields-rows").append(row.element);
    this.#observer.observe(row.element);
  }

  #draw() {
    for (const id of this.#visible) {
      this.#rows.get(id)?.draw();
    }
  }

  #sparkLines() {
    if (this.#sparks.length === 0) {
      this.#sparks = [...this.#visible];
    }
    for (const id of this.#sparks.splice(0, SPARKS_AT_ONCE)) {
      const number = this.#plotted.get(id);
      const stroke = colour(number === undefined ? "dim" : `series-${number}`);
      this.#rows.get(id)?.spark(this.#feed.table, this.#now, stroke);
    }
    if (this.#sparks.length > 0) {
      this.#drawSparks();
    }
  }

  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const id = Number(target.dataset.id);
      if (isIntersecting) {
        this.#visible.add(id);
        this.#rows.get(id)?.draw();
      } else {
        this.#visible.delete(id);
      }
    }
  }

  #filter() {
    const search = byId("fields-search");
    search.hidden = this.#rows.size <= SEARCHED && search.value === "";
    const wanted = search.value.trim().toLowerCase();
    let found = 0;
    for (const row of this.#rows.values()) {
      row.element.hidden = !row.field.path.toLowerCase().includes(wanted);
      found += row.element.hidden ? 0 : 1;
    }
    const more = this.#feed.more > 0 ? `, ${format.count(this.#feed.more)} more not shown` : "";
    setText(
      byId("fields-count"),
      wanted === "" ? `${this.#rows.size}${more}` : `${found} of ${this.#rows.size}${more}`,
    );
    byId("fields-empty").hidden = found > 0;
    setText(byId("fields-empty"), this.#rows.size === 0 ? NO_FIELDS : "No field has this in its name.");
    this.#reachable();
  }

  /** One of the rows that are there is where Tab arrives. */
  #reachable(chosen = null) {
    const rows = [...this.#rows.values()].filter(({ element }) => !element.hidden);
    const one = chosen ?? rows.find(({ button }) => button.tabIndex === 0) ?? rows[0];
    for (const row of this.#rows.values()) {
      row.button.tabIndex = row === one ? 0 : -1;
    }
  }

  #rowOf(target) {
    return this.#rows.get(Number(target.closest("tr")?.dataset.id));
  }

  #chosen(target) {
    const row = this.#rowOf(target);
    if (row !== undefined && String(getSelection()) === "") {
      this.#reachable(row);
      this.#toggle(row.field.id);
    }
  }

  #key(event) {
    const row = this.#rowOf(event.target);
    const rows = [...this.#rows.values()].filter(({ element }) => !element.hidden);
    const place = rows.indexOf(row);
    const to = { ArrowUp: place - 1, ArrowDown: place + 1, Home: 0, End: rows.length - 1 }[event.key];
    if (rows[to] !== undefined) {
      event.preventDefault();
      this.#reachable(rows[to]);
      rows[to].button.focus();
    }
  }
}

class Row {
  constructor(field) {
    this.field = field;
    const { prefix, name } = split(field.path);
    this.button = element("button", { type: "button", "aria-pressed": "false", title: shown(field.path, 200) });
    this.button.append(
      element("span", { class: "swatch", "aria-hidden": "true" }),
      element("span", { class: prefix.length > SHORT_PREFIX ? "dim" : "dim whole" }, shown(prefix, 100)),
      element("span", {}, shown(name, 100)),
    );
    if (prefix === "") {
      this.button.children[1].remove();
    }
    this.value = element("td", { class: "number value" });
    this.min = element("td", { class: "number dim" });
    this.max = element("td", { class: "number dim" });
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.element = element(
      "tr",
      { "data-id": String(field.id) },
      element("th", { scope: "row" }, this.button),
      this.value,
      element("td", { class: "spark" }, this.canvas),
      this.min,
      this.max,
    );
  }

  mark(number) {
    this.button.setAttribute("aria-pressed", String(number !== undefined));
    this.element.dataset.series = number ?? "";
  }

  draw() {
    const { last, min, max, whole } = this.field;
    if (isClock(this.field)) {
      setNumber(this.value, format.clock(last, 3));
      setNumber(this.min, format.clock(min));
      setNumber(this.max, format.clock(max));
      return;
    }
    const tell = format.notation([last, min, max], format.decimalsOf(min, max, whole));
    for (const [cell, number] of [
      [this.value, last],
      [this.min, min],
      [this.max, max],
    ]) {
      setNumber(cell, tell(number));
      cell.title = Number.isFinite(number) ? String(number) : "";
    }
  }

  spark(table, now, stroke) {
    const { width, height } = SPARK;
    const [from, to] = SPARK_SPAN.range(now, table.oldest);
    const context = sized(this.canvas, width, height);
    const { min, max } = range(table, this.field.id, from, to);
    const [times, values] = thin(table, [this.field.id], from, to, width);
    const scale = max > min ? (height - 3) / (max - min) : 0;
    const middle = max > min ? 0 : -height / 2 + 1.5;
    context.strokeStyle = stroke;
    context.lineWidth = 1;
    context.lineJoin = "round";
    context.beginPath();
    let drawing = false;
    for (let at = 0; at < times.length; at++) {
      if (values[at] === undefined) {
        continue;
      }
      if (values[at] === null) {
        drawing = false;
        continue;
      }
      const x = ((times[at] - from) / (to - from)) * width;
      const y = height - 1.5 - (values[at] - min) * scale + middle;
      context[drawing ? "lineTo" : "moveTo"](x, y);
      drawing = true;
    }
    context.stroke();
  }
}

/** A long one is smaller. */
function setNumber(cell, text) {
  setText(cell, text);
  cell.classList.toggle("long", text.length > 7);
  cell.classList.toggle("longer", text.length > 8);
  cell.classList.toggle("longest", text.length > 10);
}
