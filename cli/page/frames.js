/**
 * When parts of the page are drawn: with the screen, all of them together some thirty times a second, each no more
 * often than it needs, and never so many in one frame that the page stops answering. A page that is not seen gets no
 * frames, and so draws nothing.
 */

/** From frame to frame: what comes in between is drawn together. The browser's part of a frame is the larger one. */
const BEAT_MS = 32;
/** What drawing may take of a frame before the rest waits for the next one. */
const BUDGET_MS = 8;

const waiting = new Set();
let last = -Infinity;
let timer = 0;
let framed = false;

/**
 * @param {() => void} draw
 * @param {number} everyMs at most this often
 * @returns {(atOnce?: boolean) => void} asks for it to be drawn; at once what follows a hand
 */
export function part(draw, everyMs = 0) {
  const drawn = { draw, everyMs, at: -Infinity };
  return (atOnce = false) => {
    waiting.add(drawn);
    request(atOnce);
  };
}

function request(atOnce) {
  if (framed || (timer !== 0 && !atOnce)) {
    return;
  }
  clearTimeout(timer);
  timer = 0;
  const wait = atOnce ? 0 : last + BEAT_MS - performance.now();
  if (wait > 0) {
    timer = setTimeout(() => request(true), wait);
  } else {
    framed = true;
    requestAnimationFrame(frame);
  }
}

function frame(now) {
  framed = false;
  last = performance.now();
  const late = () => performance.now() > last + BUDGET_MS;
  for (const part of waiting) {
    if (now - part.at < part.everyMs) {
      continue;
    }
    waiting.delete(part);
    part.at = now;
    part.draw();
    if (late()) {
      break;
    }
  }
  if (waiting.size > 0) {
    request(late());
  }
}
