/** How things stand, in a word: what the lamp shows, and what is said beside it. */

const LATE_MS = 1000;
const SILENT_MS = 5000;

/**
 * @param {boolean | null} served whether the tool itself speaks with this page; null: not known yet
 * @param {{connected: boolean} | null} state what it said last
 * @param {number} ageMs since the vehicle's last message
 * @returns {{level: "good" | "late" | "bad", word: string}}
 */
export function health(served, state, ageMs, timeline = null) {
  if (served === false) {
    return { level: "bad", word: "tool gone" };
  }
  if (state === null) {
    return { level: "bad", word: "connecting" };
  }
  if (timeline !== null) {
    return { level: "good", word: timeline.ended ? "at the end" : timeline.paused ? "paused" : "playing" };
  }
  if (!state.connected) {
    return { level: "bad", word: "not connected" };
  }
  if (!Number.isFinite(ageMs)) {
    return { level: "late", word: "no message yet" };
  }
  if (ageMs > SILENT_MS) {
    return { level: "bad", word: "silent" };
  }
  return ageMs > LATE_MS ? { level: "late", word: "late" } : { level: "good", word: "live" };
}
