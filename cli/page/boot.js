/**
 * Loads the page again where a part of it did not come: the tool was being started again, or the link broke. A script
 * of its own, and no module, so that it is there when those are not.
 */
(() => {
  const KEY = "leads-comm.loads";
  const FIRST_WAIT_MS = 500;
  const LONGEST_WAIT_MS = 15_000;
  /** A part that hangs says nothing. */
  const PATIENCE_MS = 20_000;

  let tries = remembered();
  let timer = setTimeout(failed, PATIENCE_MS);
  let hasFailed = false;
  const told = document.createElement("p");

  // Those of elements do not bubble.
  addEventListener("error", failedPart, true);
  document.addEventListener("leads-comm:loaded", () => {
    removeEventListener("error", failedPart, true);
    if (!hasFailed) {
      clearTimeout(timer);
      remember(0);
    }
  });

  function failedPart({ target }) {
    if (target instanceof HTMLScriptElement || (target instanceof HTMLLinkElement && target.rel === "stylesheet")) {
      failed();
    }
  }

  function failed() {
    if (!hasFailed) {
      hasFailed = true;
      again();
    }
  }

  function again() {
    const wait = Math.min(FIRST_WAIT_MS * 2 ** tries, LONGEST_WAIT_MS);
    tries += 1;
    clearTimeout(timer);
    timer = setTimeout(reload, wait);
    tell(`A part of this page could not be loaded; trying again in ${(wait / 1000).toFixed(1)} s.`);
  }

  /** Not before somebody answers: a browser's own page about an error never comes back. */
  function reload() {
    fetch(location.href, { cache: "no-store" }).then((answer) => {
      if (!answer.ok) {
        return again();
      }
      remember(tries);
      location.reload();
    }, again);
  }

  function tell(text) {
    if (document.body === null) {
      document.addEventListener("DOMContentLoaded", () => tell(text), { once: true });
      return;
    }
    told.className = "status bad broken";
    told.setAttribute("role", "alert");
    told.textContent = text;
    document.body.prepend(told);
  }

  function remembered() {
    try {
      return Math.min(10, Math.max(0, Number(sessionStorage.getItem(KEY)) || 0));
    } catch {
      return 0; // A browser may keep nothing.
    }
  }

  function remember(tries) {
    try {
      sessionStorage.setItem(KEY, String(tries));
    } catch {
      // Then each page begins with the first wait.
    }
  }
})();
