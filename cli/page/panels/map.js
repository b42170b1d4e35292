/** The track: where the vehicle has been in the last minutes. Drawn without a map, north up. */

import { byId, colour, font, setText, sizeOf, sized } from "../dom.js";
import { part } from "../frames.js";
import { pairOfCoordinates } from "../model/choice.js";
import { GAP } from "../model/json.js";
import { fit, isPlace, projection, scaleBar } from "../model/projection.js";

const PADDING = 22;
/** What is said to a screen reader changes this often. */
const SAID_MS = 5000;

export class Track {
  #feed;
  #pair = null;
  #saidAt = -Infinity;
  #size;

  /** @param {import("../model/feed.js").Feed} feed */
  constructor(feed) {
    this.#feed = feed;
    this.draw = part(() => this.#draw(), 200);
    this.#size = sizeOf(byId("map-canvas").parentElement, () => this.draw());
  }

  names() {
    this.#pair = pairOfCoordinates([...this.#feed.fields.values()]);
    this.draw();
  }

  #draw() {
    const points = this.#pair === null ? [] : this.#points();
    byId("map").hidden = points.length === 0;
    if (points.length === 0) {
      return;
    }
    const { width, height } = this.#size;
    if (width === 0) {
      return;
    }
    const context = sized(byId("map-canvas"), width, height);
    const view = fit(boundsOf(points), width, height, PADDING);
    drawTrack(context, points, view);
    drawPlace(context, points, view);
    drawScale(context, view, width, height);
    this.#say();
  }

  /** Metres, from the last place; null where something is missing. */
  #points() {
    const { table } = this.#feed;
    const latitudes = table.column(this.#pair.latitude.id);
    const longitudes = table.column(this.#pair.longitude.id);
    if (latitudes === undefined || longitudes === undefined) {
      return [];
    }
    const { breaks } = table;
    const points = [];
    let project = null;
    for (let row = latitudes.length - 1; row >= 0; row--) {
      const [latitude, longitude] = [latitudes[row], longitudes[row]];
      if (isPlace(latitude, longitude)) {
        project ??= projection({ latitude: latitudes[row], longitude: longitudes[row] });
        points.push(project(latitude, longitude));
      }
      // A message of another kind says nothing of a place; one that says that there is none breaks the track.
      const isNone = latitude === GAP || longitude === GAP || (latitude === 0 && longitude === 0);
      if ((breaks[row] === 1 || isNone) && points.length > 0) {
        points.push(null);
      }
    }
    return points;
  }

  #say() {
    const { latitude, longitude } = this.#pair;
    const { fields } = this.#feed;
    const north = degrees(fields.get(latitude.id)?.last, "N", "S");
    const text = `${north} ${degrees(fields.get(longitude.id)?.last, "E", "W")}`;
    setText(byId("map-text"), text);
    if (performance.now() - this.#saidAt > SAID_MS) {
      this.#saidAt = performance.now();
      byId("map-canvas").setAttribute("aria-label", `Track, now at ${text}`);
    }
  }
}

function degrees(value, positive, negative) {
  return Number.isFinite(value) ? `${Math.abs(value).toFixed(6)}° ${value < 0 ? negative : positive}` : "–";
}

function boundsOf(points) {
  const bounds = { left: Infinity, right: -Infinity, bottom: Infinity, top: -Infinity };
  for (const point of points) {
    if (point !== null) {
      bounds.left = Math.min(bounds.left, point.x);
      bounds.right = Math.max(bounds.right, point.x);
      bounds.bottom = Math.min(bounds.bottom, point.y);
      bounds.top = Math.max(bounds.top, point.y);
    }
  }
  return bounds;
}

function drawTrack(context, points, view) {
  context.strokeStyle = colour("series-0");
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.beginPath();
  let last = null;
  for (const point of points) {
    if (point === null) {
      last = null;
      continue;
    }
    const [x, y] = [view.x(point.x), view.y(point.y)];
    if (last === null) {
      context.moveTo(x, y);
    } else if (Math.abs(x - last.x) + Math.abs(y - last.y) < 1) {
      continue; // Less than a pixel.
    } else {
      context.lineTo(x, y);
    }
    last = { x, y };
  }
  context.stroke();
}

/** The newest place, with a point in the direction in which it moves. */
function drawPlace(context, points, view) {
  const here = points.find((point) => point !== null);
  const before = points.find((point) => point !== null && Math.hypot(point.x - here.x, point.y - here.y) > 1);
  context.save();
  context.translate(view.x(here.x), view.y(here.y));
  context.fillStyle = colour("accent");
  context.strokeStyle = colour("panel");
  context.lineWidth = 2;
  context.beginPath();
  if (before === undefined) {
    context.arc(0, 0, 5, 0, 2 * Math.PI);
  } else {
    context.rotate(Math.atan2(here.x - before.x, here.y - before.y));
    context.moveTo(0, -8);
    context.lineTo(6, 7);
    context.lineTo(0, 4);
    context.lineTo(-6, 7);
    context.closePath();
  }
  context.stroke();
  context.fill();
  context.restore();
}

function drawScale(context, view, width, height) {
  const bar = scaleBar(view.metresPerPixel, width / 3);
  const [left, bottom] = [10, height - 8];
  context.strokeStyle = context.fillStyle = colour("dim");
  context.lineWidth = 1;
  context.font = font(11);
  context.textAlign = "left";
  context.beginPath();
  context.moveTo(left + 0.5, bottom - 5);
  context.lineTo(left + 0.5, bottom + 0.5);
  context.lineTo(left + bar.pixels + 0.5, bottom + 0.5);
  context.lineTo(left + bar.pixels + 0.5, bottom - 5);
  context.stroke();
  context.fillText(bar.label, left + bar.pixels + 6, bottom + 1);
  context.textAlign = "center";
  context.fillText("N", width - 14, 24);
  context.beginPath();
  context.moveTo(width - 14, 4);
  context.lineTo(width - 10, 13);
  context.lineTo(width - 18, 13);
  context.fill();
}
