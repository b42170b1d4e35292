/** Which of the plotted fields share a scale: two at most, left and right. */

/** A field that fills less than this part of its scale is no curve any more. */
const LEGIBLE = 1 / 15;

/**
 * The first field is on the left, and so is each that stays a curve there and leaves the others theirs.
 *
 * @param {{min: number, max: number}[]} ranges of what is shown, NaN where there is nothing
 * @param {("left" | "right")[]} before as it was: what is there stays a little longer, so that nothing jumps to and fro
 * @returns {("left" | "right")[]}
 */
export function sides(ranges, before = []) {
  let left = null;
  return ranges.map((range, place) => {
    if (!(range.max >= range.min)) {
      return before[place] ?? "left";
    }
    if (left === null) {
      left = { min: range.min, max: range.max, least: span(range) };
      return "left";
    }
    const joined = {
      min: Math.min(left.min, range.min),
      max: Math.max(left.max, range.max),
      least: smallest(left.least, span(range)),
    };
    const legible = before[place] === "right" ? LEGIBLE * 2 : LEGIBLE;
    if (joined.least < span(joined) * legible) {
      return "right";
    }
    left = joined;
    return "left";
  });
}

function span({ min, max }) {
  return max - min;
}

/** What does not move at all is legible anywhere. */
function smallest(one, other) {
  return Math.min(...[one, other].filter((span) => span > 0), Infinity);
}
