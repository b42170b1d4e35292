/** Debian's Chromium, without a window, driven by what `.ci/browser` has put into target. */
import { createRequire } from "node:module";

const require = createRequire(new URL("../../../target/browser/", import.meta.url));
const { chromium } = require("playwright-core");

export function launch(options = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Chromium refuses to run as root with its sandbox, and tests do in many places.
    args: ["--no-sandbox", "--disable-dev-shm-usage", ...(options.args ?? [])],
  });
}
