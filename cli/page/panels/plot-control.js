/** How one moves through the plot: by keys, buttons, wheel, pointer and fingers. */

import { element } from "../dom.js";
import * as format from "../model/format.js";

const STEP = 0.1;
const ZOOM = 1.5;

/**
 * @param {import("./plot.js").Plot} plot
 * @param {HTMLElement} box
 * @param {{span: HTMLSelectElement, zoomIn: HTMLElement, zoomOut: HTMLElement, live: HTMLElement}} controls
 */
export function control(plot, box, { span, zoomIn, zoomOut, live }) {
  const { window } = plot;
  const change = () => {
    live.setAttribute("aria-pressed", String(window.live));
    live.textContent = window.live ? plot.words.on : plot.words.back;
    showSpan(span, plot);
    plot.changed();
  };
  const zoom = (factor, place) => {
    const [from, to] = window.range(plot.now(), plot.oldest);
    // Of a curve that has only just begun there is less to be seen than the window may show.
    window.zoom(factor < 1 && to > from ? (factor * (to - from)) / window.span : factor, window.live ? 1 : place);
    change();
    if (window.live) {
      plot.chose();
    }
  };
  const move = (part) => {
    window.move(part, plot.now(), plot.oldest);
    change();
  };
  const toggle = () => {
    if (window.live) {
      window.pause(plot.now());
    } else {
      window.goLive();
    }
    change();
  };
  plot.onWindow = change;

  live.addEventListener("click", toggle);
  zoomIn.addEventListener("click", () => zoom(1 / ZOOM));
  zoomOut.addEventListener("click", () => zoom(ZOOM));
  span.addEventListener("change", () => {
    window.zoom(Number(span.value) / window.span, window.live ? 1 : 0.5);
    change();
    plot.chose();
  });

  const keys = new Map(
    Object.entries({
      ArrowLeft: () => move(-STEP),
      ArrowRight: () => move(STEP),
      PageUp: () => move(-1),
      PageDown: () => move(1),
      "+": () => zoom(1 / ZOOM),
      "=": () => zoom(1 / ZOOM),
      "-": () => zoom(ZOOM),
      " ": toggle,
      Home: () => {
        window.goLive();
        window.zoom(window.most / window.span);
        change();
      },
      End: () => {
        window.goLive();
        change();
      },
    }),
  );
  keys.set("Escape", keys.get("End"));
  box.addEventListener("keydown", (event) => {
    const act = keys.get(event.key);
    if (act !== undefined && event.target === box && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      act();
    }
  });

  box.addEventListener("dblclick", keys.get("End"));
  box.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        move(event.deltaX / box.clientWidth);
      } else {
        zoom(
          ZOOM ** (Math.sign(event.deltaY) * Math.min(1, Math.abs(event.deltaY) / 50)),
          placeOf(plot, event.clientX),
        );
      }
    },
    { passive: false },
  );
  fingers(plot, box, move, zoom);
  change();
}

/** One finger moves, two zoom; a mouse chooses a piece of time, which uPlot draws. */
function fingers(plot, box, move, zoom) {
  /** @type {Map<number, number>} where each is */
  const down = new Map();
  const spread = () => Math.max(20, Math.max(...down.values()) - Math.min(...down.values()));
  box.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse") {
      plot.hold(event.button === 0);
    } else {
      down.set(event.pointerId, event.clientX);
    }
  });
  addEventListener("pointermove", (event) => {
    if (event.buttons === 0) {
      plot.hold(false); // It was let go outside of the window.
    }
    const before = down.get(event.pointerId);
    if (before === undefined) {
      return;
    }
    const wide = spread();
    down.set(event.pointerId, event.clientX);
    if (down.size === 1) {
      move((before - event.clientX) / box.clientWidth);
    } else {
      zoom(wide / spread(), placeOf(plot, event.clientX));
    }
  });
  const up = (event) => {
    down.delete(event.pointerId);
    plot.hold(false);
  };
  addEventListener("pointerup", up);
  addEventListener("pointercancel", up);
}

/** From 0 at the left of the curves to 1. */
function placeOf(plot, clientX) {
  const rect = plot.over?.getBoundingClientRect();
  return rect ? Math.min(1, Math.max(0, (clientX - rect.left) / rect.width)) : 0.5;
}

/** The spans there are to choose from, and the one that holds, if it is none of them. */
function showSpan(select, plot) {
  const spans = plot.spans.includes(plot.window.span) ? plot.spans : [...plot.spans, plot.window.span];
  const wanted = spans.sort((one, other) => one - other).join();
  if (select.dataset.spans !== wanted) {
    select.dataset.spans = wanted;
    select.replaceChildren(...spans.map((span) => element("option", { value: String(span) }, spanText(span))));
  }
  select.value = String(plot.window.span);
}

function spanText(ms) {
  return ms >= 60_000 && ms % 60_000 === 0
    ? `${ms / 60_000} min`
    : ms >= 10_000
      ? `${Math.round(ms / 1000)} s`
      : format.duration(ms);
}
