/** What came of what somebody asked for: said for a while, above the page, so that nothing moves. */

import { byId, setText } from "./dom.js";

const SHOWN_MS = 8000;
let timer = 0;

/** @param {boolean} ok whether it could be done */
export function tell(ok, text) {
  const outcome = byId("outcome");
  outcome.classList.toggle("bad", !ok);
  // Empty first, so that the same outcome is said again.
  setText(outcome, "");
  clearTimeout(timer);
  requestAnimationFrame(() => setText(outcome, text));
  timer = setTimeout(() => setText(outcome, ""), SHOWN_MS);
}
