/** The large plot. uPlot draws it; which time it shows is up to `Window`, which values up to `thin`. */

import { byId, colour, element, font, setText, sizeOf } from "../dom.js";
import { part } from "../frames.js";
import * as format from "../model/format.js";
import { sides } from "../model/scales.js";
import { range, thin, valueAt } from "../model/thin.js";
import { Window } from "../model/window.js";
import { control } from "./plot-control.js";
import { Legend } from "./legend.js";

/** Whole seconds, minutes and hours, in milliseconds. */
const TIME_STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * 1000),
  ...[1, 2, 5, 10, 15, 30, 60, 120, 360].map((minutes) => minutes * 60_000),
];
const SPANS_S = [5, 10, 30, 60, 120, 300, 600, 1800];
const FIRST_SPAN_MS = 60_000;
/** With less time than this, times on the axis have milliseconds. */
const MILLISECONDS_SHOWN_MS = 10_000;
/** Of the widest of the fonts that the style sheet names. */
const DIGIT_PX = 8;
const WORDS = {
  live: { on: "Live", back: "Go live" },
  recording: { on: "Following", back: "Follow" },
};
/** How often it is looked whether all curves are legible. */
const SIDES_MS = 1000;
/** People who want no motion get a step a second. */
const STILL_MS = 1000;

export class Plot {
  #feed;
  #now;
  #uplot = null;
  #legend = new Legend();
  #series = [];
  #sides = [];
  #sidesAt = -Infinity;
  #remove;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #held = false;
  #drawStill;
  #size;
  #time = element("span", { class: "time number" });
  /** What following the newest is called, and what leads back to it. */
  words = WORDS.live;

  /**
   * @param {import("../model/feed.js").Feed} feed
   * @param {() => number} now where live curves end
   * @param {(id: number) => void} remove takes a field out
   * @param {() => void} chose somebody has chosen how much time is shown
   */
  constructor(feed, now, remove, chose) {
    this.#feed = feed;
    this.#now = now;
    this.#remove = remove;
    this.chose = chose;
    this.window = new Window(FIRST_SPAN_MS, 300_000);
    this.draw = part(() => this.#draw());
    this.#drawStill = part(() => this.#draw(), STILL_MS);
    this.#size = sizeOf(byId("plot"), () => this.changed());
    control(this, byId("plot"), {
      span: byId("plot-span"),
      zoomIn: byId("plot-in"),
      zoomOut: byId("plot-out"),
      live: byId("plot-live"),
    });
  }

  /**
   * What is plotted.
   *
   * @param {{field: import("../model/feed.js").Field, number: number}[]} series each with the number of its colour
   */
  show(series) {
    const same = ({ field, number }, at) => field === this.#series[at]?.field && number === this.#series[at].number;
    if (series.length === this.#series.length && series.every(same)) {
      return;
    }
    this.#series = series;
    this.#sides = [];
    this.#build();
  }

  /** As much as the tool keeps, of something that is live, or is played. */
  keeps(ms, live) {
    this.window.most = ms;
    this.words = live ? WORDS.live : WORDS.recording;
    this.onWindow();
  }

  /** So much time, while it follows the newest. */
  shows(spanMs) {
    this.window.zoom(spanMs / this.window.span, 1);
    this.onWindow();
  }

  get spans() {
    return SPANS_S.map((seconds) => seconds * 1000).filter((span) => span <= this.window.most);
  }

  /** Something new is there to be seen. */
  moved() {
    if (this.window.live) {
      (this.#still.matches ? this.#drawStill : this.draw)();
    }
  }

  /** The window, or the size, is another one. */
  changed() {
    this.#sidesAt = -Infinity;
    this.draw(true);
  }

  /** While the pointer draws a frame, the curves stay under it. */
  hold(held) {
    this.#held = held;
  }

  now() {
    const now = this.#now();
    return this.#still.matches ? Math.ceil(now / STILL_MS) * STILL_MS : now;
  }

  get oldest() {
    return this.#feed.table.oldest;
  }

  /** The time at a place, in pixels from the left of the curves. */
  timeAt(left) {
    return this.#uplot?.posToVal(left, "x") ?? NaN;
  }

  get over() {
    return this.#uplot?.over ?? null;
  }

  /** With the colours that hold now. */
  recolour() {
    this.#build();
  }

  #build() {
    this.#uplot?.destroy();
    this.#uplot = null;
    this.#legend.show(
      this.#series.map(({ field, number }, place) => ({ field, number, side: this.#sides[place] ?? "left" })),
      this.#remove,
    );
    this.draw();
  }

  #draw() {
    const { width, height } = this.#size;
    if (this.#held || width < 80 || height < 60) {
      return;
    }
    const [from, to] = this.window.range(this.now(), this.oldest);
    if (!Number.isFinite(to)) {
      return;
    }
    this.#arrange(from, to);
    this.#uplot ??= this.#create(width, height);
    const uplot = this.#uplot;
    if (uplot.width !== width || uplot.height !== height) {
      uplot.setSize({ width, height });
    }
    const ids = this.#series.map(({ field }) => field.id);
    const drawn = thin(this.#feed.table, ids, from, to, Math.max(100, Math.round(uplot.bbox.width / uPlot.pxRatio)));
    uplot.batch(() => {
      uplot.setData(drawn, false);
      uplot.setScale("x", { min: from, max: to });
    });
    this.#values();
  }

  /** Each curve on the scale on which it is one. */
  #arrange(from, to) {
    const at = performance.now();
    if (at - this.#sidesAt < SIDES_MS && this.#sides.length === this.#series.length) {
      return;
    }
    this.#sidesAt = at;
    const ranges = this.#series.map(({ field }) => range(this.#feed.table, field.id, from, to));
    const arranged = sides(ranges, this.#sides);
    if (arranged.join() !== this.#sides.join()) {
      this.#sides = arranged;
      this.#build();
    }
  }

  #values() {
    const left = this.#uplot.cursor.left ?? -1;
    const { table, fields } = this.#feed;
    const time = left >= 0 ? this.timeAt(left) : this.window.range(this.now())[1];
    this.#showTime(left, time);
    const newest = left < 0 && this.window.live;
    this.#legend.values((id) => (newest ? (fields.get(id)?.last ?? NaN) : valueAt(table, id, time)));
  }

  /** When it was, beside the cursor. */
  #showTime(left, time) {
    this.#time.hidden = left < 0;
    if (left >= 0) {
      setText(this.#time, format.clock(time, 3));
      const right = left > this.over.clientWidth / 2;
      Object.assign(this.#time.style, {
        left: right ? "" : `${left + 4}px`,
        right: right ? `${this.over.clientWidth - left + 4}px` : "",
      });
    }
  }

  #create(width, height) {
    const [ink, line] = [colour("dim"), colour("line")];
    const axis = {
      stroke: ink,
      font: font(12),
      grid: { stroke: line, width: 1 },
      ticks: { stroke: line, width: 1, size: 4 },
    };
    const values = (_, splits, __, ___, step) => splits.map(format.axis(splits, step));
    const scale = { range: (_, min, max) => (min === null ? [0, 1] : uPlot.rangeNum(min, max, 0.1, true)) };
    const right = this.#sides.includes("right");
    const options = {
      width,
      height,
      ms: 1,
      // Where there is no axis at the right, half of the last time is beyond the curves.
      padding: [8, () => (right ? 0 : this.window.span < MILLISECONDS_SHOWN_MS ? 40 : 30), 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { size: 7 } },
      scales: { x: { time: false, auto: false, range: (_, min, max) => [min, max] }, left: scale, right: scale },
      axes: [
        { ...axis, incrs: TIME_STEPS, space: 80, size: 30, values: (_, times, __, ___, step) => clocks(times, step) },
        { ...axis, scale: "left", size: room, values },
        ...(right ? [{ ...axis, scale: "right", side: 1, size: room, values, grid: { show: false } }] : []),
      ],
      series: [
        {},
        ...this.#series.map(({ field, number }, place) => ({
          label: String(field.id),
          scale: this.#sides[place] ?? "left",
          stroke: colour(`series-${number}`),
          width: 1.5,
          points: { size: 4 },
        })),
      ],
      hooks: { setCursor: [() => this.#uplot && this.#values()], setSelect: [(uplot) => this.#selected(uplot)] },
    };
    const uplot = new uPlot(options, [[], ...this.#series.map(() => [])], byId("plot"));
    uplot.over.append(this.#time);
    return uplot;
  }

  #selected(uplot) {
    const { left, width } = uplot.select;
    if (width > 3) {
      this.window.select(uplot.posToVal(left, "x"), uplot.posToVal(left + width, "x"));
      uplot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      this.hold(false);
      this.onWindow();
    }
  }

  /** Set by the controls: the window has been changed, and not by them. */
  onWindow = () => {};
}

/** As wide as the longest number, in steps, so that curves do not move with each digit. */
function room(_, values) {
  const longest = Math.max(4, ...(values ?? []).map((value) => value.length));
  return 16 + Math.ceil(longest / 2) * 2 * DIGIT_PX;
}

function clocks(times, step) {
  return times.map((time) => format.clock(time, step < 1000 ? 3 : 0));
}
