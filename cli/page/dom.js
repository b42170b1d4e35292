/** The little that this page asks of the document. Text is set as text: nothing that came from elsewhere is markup. */

export const byId = (id) => document.getElementById(id);

/** @param {Record<string, string>} attributes */
export function element(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Touches the document only where the text is another. */
export function setText(element, text) {
  if (element.firstChild === null || element.firstChild.data !== text) {
    element.textContent = text;
  }
}

/** Style sheet's values, until the theme is another one: to ask for them makes the browser reckon all styles. */
const asked = new Map();

/** As a colour that a canvas understands, in the theme that holds now. */
export function colour(name) {
  let known = asked.get(name);
  if (known === undefined) {
    const probe = element("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    known = getComputedStyle(probe).color;
    probe.remove();
    asked.set(name, known);
  }
  return known;
}

export function forgetColours() {
  asked.clear();
}

/** For a canvas, the font of the page. */
export function font(pixels) {
  const family = asked.get("font") ?? getComputedStyle(document.body).fontFamily;
  asked.set("font", family);
  return `${pixels}px ${family}`;
}

/** How large an element is, without asking for it when it is drawn; `changed` is called when it is another size. */
export function sizeOf(observed, changed) {
  const size = { width: 0, height: 0 };
  new ResizeObserver(([{ contentRect }]) => {
    [size.width, size.height] = [Math.floor(contentRect.width), Math.floor(contentRect.height)];
    changed();
  }).observe(observed);
  return size;
}

/** Makes a canvas as large as its element, in the pixels of the screen; the context draws in those of the page. */
export function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    [canvas.width, canvas.height] = [w, h];
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
