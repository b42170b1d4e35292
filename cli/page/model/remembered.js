/**
 * What was plotted last, of each source: kept by the browser, which may keep nothing, and which others may have written
 * to. So nothing of it is believed that could not have been chosen here.
 */

import { isObject, list } from "./json.js";

const KEY = "leads-comm.plots";
const MOST_SOURCES = 20;
const LONGEST_PATH = 300;

/**
 * @param {string} source
 * @param {number} most how many can be plotted
 * @returns {{plotted: Map<string, number>, spanMs: number} | null} path to colour number
 */
export function remembered(source, most) {
  const known = all().find(([name]) => name === source)?.[1];
  if (!isObject(known)) {
    return null;
  }
  const plotted = new Map();
  for (const [path, number] of list(known.plotted, most).filter(Array.isArray)) {
    const isPath = typeof path === "string" && path.length <= LONGEST_PATH;
    const isFree = Number.isInteger(number) && number >= 0 && number < most && ![...plotted.values()].includes(number);
    if (isPath && isFree) {
      plotted.set(path, number);
    }
  }
  return { plotted, spanMs: known.spanMs > 0 ? Number(known.spanMs) : NaN };
}

/** Of the newest sources. */
export function remember(source, plotted, spanMs) {
  const others = all().filter(([name]) => name !== source);
  const now = [source, { plotted: [...plotted], spanMs }];
  try {
    localStorage.setItem(KEY, JSON.stringify([now, ...others].slice(0, MOST_SOURCES)));
  } catch {
    // Then it is as if it had never been chosen.
  }
}

function all() {
  try {
    return list(JSON.parse(localStorage.getItem(KEY)), MOST_SOURCES).filter(Array.isArray);
  } catch {
    return [];
  }
}
