/** The fields that are plotted: colour, name, value under the cursor or now, and a way to take each out. */

import { byId, element, setText } from "../dom.js";
import { shown } from "../model/escape.js";
import * as format from "../model/format.js";

export class Legend {
  #items = [];

  /**
   * @param {{field: import("../model/feed.js").Field, number: number, side: string}[]} series
   * @param {(id: number) => void} remove
   */
  show(series, remove) {
    const focused = this.#items.findIndex(({ button }) => button === document.activeElement);
    this.#items = series.map(({ field, number, side }) => {
      const value = element("output", { class: "number", "aria-live": "off" });
      const name = shown(field.path, 60);
      const button = element("button", { type: "button", "aria-label": `Take ${name} out of the plot` }, "×");
      button.addEventListener("click", () => remove(field.id));
      const item = element("li", { "data-series": String(number) });
      item.append(
        element("span", { class: "swatch", "aria-hidden": "true" }),
        element("span", { class: "name" }, name),
      );
      if (side === "right") {
        const arrow = element("span", { "aria-hidden": "true" }, "→");
        const text = element("span", { class: "unseen" }, "on the right scale");
        item.append(element("span", { class: "label", title: "on the right scale" }, arrow, text));
      }
      item.append(value, button);
      return { field, value, button, item };
    });
    byId("legend").replaceChildren(...this.#items.map(({ item }) => item));
    if (focused >= 0) {
      (this.#items[Math.min(focused, this.#items.length - 1)]?.button ?? byId("plot")).focus();
    }
  }

  /** @param {(id: number) => number} valueOf */
  values(valueOf) {
    for (const { field, value } of this.#items) {
      const decimals = format.decimalsOf(field.min, field.max, field.whole);
      setText(value, format.value(valueOf(field.id), decimals));
    }
  }
}
