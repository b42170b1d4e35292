/** What the style sheet promises: contrast in both themes, as WCAG 2 reckons it. */
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import test from "node:test";

const PAGE = new URL("../../page/", import.meta.url);
const css = await readFile(new URL("style.css", PAGE), "utf8");
const tokens = new Map(
  [...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);/g)].map(([, name, ...colours]) => [name, colours]),
);

function luminance(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

test("text can be read, and curves, lamps and edges be seen", () => {
  assert.equal(contrast("#000000", "#ffffff"), 21);
  const text = ["ink", "dim", "accent", "good", "late", "bad"];
  const seen = ["edge", ...Array.from({ length: 8 }, (_, number) => `series-${number}`)];
  for (const [theme, name] of ["light", "dark"].entries()) {
    const colour = (token) => tokens.get(token)[theme];
    for (const [names, least] of [
      [text, 4.5],
      [seen, 3],
    ]) {
      for (const token of names) {
        for (const ground of ["panel", "raised"]) {
          const is = contrast(colour(token), colour(ground));
          assert.ok(is >= least, `${token} on ${ground}, ${name}: ${is.toFixed(2)}`);
        }
      }
    }
    assert.ok(contrast(colour("on-accent"), colour("accent")) >= 4.5, `on-accent, ${name}`);
    assert.ok(contrast(colour("dim"), colour("page")) >= 4.5, `dim on page, ${name}`);
  }
});

test("each colour that is used has a value for both themes", () => {
  const used = new Set([...css.matchAll(/var\(--([\w-]+)\)/g)].map(([, name]) => name));
  for (const name of ["lamp", "series", "gap", "row"]) {
    used.delete(name);
  }
  for (const name of used) {
    assert.ok(tokens.has(name), name);
  }
});

test("nothing comes from elsewhere, nothing is markup that was text", async () => {
  const files = (await readdir(PAGE, { recursive: true })).filter((name) => /\.(js|html|css)$/.test(name));
  for (const name of files.filter((name) => !name.startsWith("uplot"))) {
    const text = await readFile(new URL(name, PAGE), "utf8");
    assert.doesNotMatch(text, /https?:\/\/|@import|url\(/, name);
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|srcdoc/, name);
    assert.ok(text.split("\n").length <= 1000, name);
    assert.ok(!/\.js$/.test(name) || text.split("\n").length <= 400, `${name} is long`);
    for (const line of text.split("\n")) {
      assert.ok(line.length <= 120, `${name}: ${line}`);
    }
  }
});
