/**
 * The page: what the tool says goes into the feed, and the panels draw it, each when it is its turn.
 *
 * ```text
 *   live ──▶ protocol ──▶ feed (table of samples, newest values) ──▶ fields, plot, track
 *                    └──▶ bar, pictures, peers, messages, commands, time line
 * ```
 *
 * `model/` knows nothing of the document, and is tested without one; `panels/` has a module for each part of the page.
 */

import { byId, forgetColours } from "./dom.js";
import { part } from "./frames.js";
import { history } from "./history.js";
import { Live } from "./live.js";
import { firstPlotted } from "./model/choice.js";
import { Feed } from "./model/feed.js";
import { remember, remembered } from "./model/remembered.js";
import { Bar } from "./panels/bar.js";
import { Commands } from "./panels/commands.js";
import { Fields } from "./panels/fields.js";
import { Track } from "./panels/map.js";
import { Peers } from "./panels/peers.js";
import { Pictures } from "./panels/pictures.js";
import { Plot } from "./panels/plot.js";
import { Messages } from "./panels/raw.js";
import { saving } from "./panels/save.js";
import { Timeline } from "./panels/timeline.js";
import { themeSwitch } from "./theme.js";

/** As many curves as there are colours. */
const MOST_PLOTTED = 8;
/** For so long the page chooses again what it plots, as it gets to know the fields. */
const CHOOSES_MS = 5000;

const feed = new Feed();
/** The tool's clock less ours, or null: of a recording, time is what has been played last. */
let ahead = null;
/** Path to colour number. @type {Map<string, number>} */
const plotted = new Map();
let chosenByHand = false;
/** What is viewed; null: not known yet. @type {string | null} */
let source = null;
let firstFieldsAt = NaN;
let connections = 0;

const say = (message) => live.say(message);
const bar = new Bar();
const fields = new Fields(feed, toggle);
const plot = new Plot(feed, now, toggle, () => chose());
const track = new Track(feed);
const pictures = new Pictures(now);
const peers = new Peers(now);
const messages = new Messages();
const commands = new Commands(say);
const timeline = new Timeline(say);
saving();
const drawBar = part(() => bar.draw(), 100);

const readers = new Map(
  Object.entries({
    hello(hello) {
      feed.begin(hello.keepMs);
      fields.clear();
      pictures.clear();
      peers.clear();
      messages.clear();
      timeline.clear();
      plot.keeps(hello.keepMs, hello.live);
      bar.hello(hello);
      commands.hello(hello);
      byId("save").hidden = false;
      ahead = hello.live ? 0 : null;
      recall(hello.source);
      firstFieldsAt = NaN;
      showPlotted();
      takeHistory();
    },
    state(state) {
      if (ahead !== null) {
        ahead = state.now - performance.now();
      }
      bar.state(state);
      pictures.draw();
      moved();
    },
    fields(message) {
      feed.names(message);
      fields.names();
      track.names();
      choose();
      showPlotted();
    },
    samples(samples) {
      feed.samples(samples);
      fields.draw();
      moved();
    },
    raw: (raw) => messages.accept(raw),
    peers: (message) => peers.accept(message),
    picture: (picture) => pictures.accept(picture),
    commanded: (outcome) => commands.commanded(outcome),
    timeline(message) {
      bar.timeline(message);
      timeline.accept(message);
      moved();
    },
    reset() {
      feed.reset();
      fields.draw();
      messages.clear();
      plot.changed();
    },
  }),
);

const live = new Live({
  opened() {},
  closed(waitMs) {
    bar.closed(waitMs);
    drawBar();
  },
  message: (message) => readers.get(message.type)(message),
});

themeSwitch(byId("theme"), () => {
  forgetColours();
  plot.recolour();
  track.draw();
  moved();
});
// While nobody says anything, ages grow all the same.
setInterval(() => {
  drawBar();
  peers.draw();
}, 1000);
drawBar();
// See boot.js: all parts are there.
document.dispatchEvent(new Event("leads-comm:loaded"));

/** Where live curves end. */
function now() {
  const newest = feed.table.newest;
  if (ahead === null) {
    return newest;
  }
  const here = ahead + performance.now();
  return newest > here ? newest : here;
}

function moved() {
  drawBar();
  plot.moved();
  fields.at(now());
  track.draw();
}

function takeHistory() {
  const connection = ++connections;
  history((past) => {
    // Another connection may have begun in the meantime, with other numbers for the same fields.
    if (connection === connections) {
      feed.history(past);
      plot.changed();
      moved();
    }
  });
}

function choose() {
  firstFieldsAt = Number.isNaN(firstFieldsAt) ? performance.now() : firstFieldsAt;
  if (chosenByHand || performance.now() - firstFieldsAt > CHOOSES_MS) {
    return;
  }
  const first = firstPlotted([...feed.fields.values()]);
  plotted.clear();
  first.forEach(({ path }, number) => plotted.set(path, number));
}

/** What was plotted of this source when it was viewed last. */
function recall(viewed) {
  if (viewed === source) {
    return;
  }
  source = viewed;
  const last = remembered(source, MOST_PLOTTED);
  chosenByHand = last !== null;
  plotted.clear();
  last?.plotted.forEach((number, path) => plotted.set(path, number));
  if (last?.spanMs > 0) {
    plot.shows(last.spanMs);
  }
}

/** Plots a field, or takes it out. */
function toggle(id) {
  const { path } = feed.fields.get(id);
  chosenByHand = true;
  if (!plotted.delete(path)) {
    if (plotted.size === MOST_PLOTTED) {
      plotted.delete(plotted.keys().next().value);
    }
    const taken = new Set(plotted.values());
    plotted.set(
      path,
      [...Array(MOST_PLOTTED).keys()].find((number) => !taken.has(number)),
    );
  }
  showPlotted();
  chose();
}

function chose() {
  if (chosenByHand || plotted.size > 0) {
    remember(source, plotted, plot.window.span);
  }
}

/** A field that the vehicle does not send yet, or not any more, is plotted when it comes. */
function showPlotted() {
  const series = [...plotted]
    .map(([path, number]) => ({ field: feed.byPath(path), number }))
    .filter(({ field }) => field !== undefined);
  fields.plotted(new Map(series.map(({ field, number }) => [field.id, number])));
  plot.show(series);
}
