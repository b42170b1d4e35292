/** Which of the plotted fields share a scale: two at most, left and right. */

/** A field that fills less than this part of its scale is no curve any more. */
const LEGIBLE = 1 / 15;

/** What is arranged anew is to be better by this, or it stays as it is, so that nothing jumps to and fro. */
const BETTER = Math.log(2);

/**
 * One scale, if each field is a curve on it; else the two on which they fill the most. The first field is on the left.
 *
 * @param {{min: number, max: number}[]} ranges of what is shown, NaN where there is nothing
 * @param {("left" | "right")[]} before as it was
 * @returns {("left" | "right")[]}
 */
export function sides(ranges, before = []) {
  const shown = ranges.filter(({ min, max }) => max >= min);
  const wasOne = !before.includes("right");
  const arranged = [...ranges.keys()].map((place) => before[place] ?? "left");
  const parts = parted(shown, 0).map(Math.log);
  if (Math.min(...parts, 0) >= Math.log(wasOne ? LEGIBLE : LEGIBLE * 2)) {
    return arranged.map(() => "left");
  }
  // A bit of this number is a field: 1, and it is on the right. The first one never is.
  const worth = (right) => parted(shown, right).reduce((sum, part) => sum + Math.log(part), 0);
  const places = ranges.flatMap(({ min, max }, place) => (max >= min ? [place] : []));
  const old = places.reduce((right, place, bit) => right | (before[place] === "right" ? 1 << bit : 0), 0);
  let best = old % 2 === 0 ? old : 0;
  for (let right = 0; right < 1 << shown.length; right += 2) {
    if (worth(right) > worth(best) + (best === old && !wasOne ? BETTER : 1e-9)) {
      best = right;
    }
  }
  places.forEach((place, bit) => (arranged[place] = (best >> bit) & 1 ? "right" : "left"));
  return arranged;
}

/** What part of its scale each field fills that moves. */
function parted(ranges, right) {
  const sides = [0, 1].map((side) => ranges.filter((_, bit) => ((right >> bit) & 1) === side));
  return sides.flatMap((side) => {
    const joined = Math.max(...side.map(({ max }) => max)) - Math.min(...side.map(({ min }) => min));
    return side.filter((range) => span(range) > 0).map((range) => span(range) / joined);
  });
}

function span({ min, max }) {
  return max - min;
}
