/**
 * When parts of the page are drawn: with the screen, each no more often than it needs, and never so many in one frame
 * that the page stops answering. A page that is not seen gets no frames, and so draws nothing.
 */

/** What drawing may take of a frame before the rest waits for the next one. */
const BUDGET_MS = 8;

const waiting = new Set();
let requested = false;

/**
 * @param {() => void} draw
 * @param {number} everyMs at most this often
 * @returns {() => void} asks for it to be drawn
 */
export function part(draw, everyMs = 0) {
  const drawn = { draw, everyMs, at: -Infinity };
  return () => {
    waiting.add(drawn);
    request();
  };
}

function request() {
  if (!requested) {
    requested = true;
    requestAnimationFrame(frame);
  }
}

function frame(now) {
  requested = false;
  const end = performance.now() + BUDGET_MS;
  for (const part of waiting) {
    if (now - part.at < part.everyMs) {
      continue;
    }
    waiting.delete(part);
    part.at = now;
    part.draw();
    if (performance.now() > end) {
      break;
    }
  }
  if (waiting.size > 0) {
    request();
  }
}
