/** Saving: the tool makes a file of the last minutes, or says why there is none. */

import { byId, element } from "../dom.js";
import { shown } from "../model/escape.js";
import { tell } from "../outcome.js";

/** The links lead to the files; here they are fetched, so that what is answered instead of one can be shown. */
export function saving() {
  byId("save").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link !== null && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      save(link.href, link.textContent.trim());
    }
  });
}

async function save(href, what) {
  tell(true, `${what}: …`);
  try {
    const answer = await fetch(href);
    if (!answer.ok) {
      tell(false, `${what}: ${shown((await answer.text()).trim(), 200)}`);
      return;
    }
    const [, name] = /filename="([^"]*)"/.exec(answer.headers.get("Content-Disposition")) ?? ["", ""];
    download(await answer.blob(), name);
    tell(true, `${what}: saved`);
  } catch {
    tell(false, `${what}: leads-comm view does not answer`);
  }
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  // By then the browser has begun with it.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
