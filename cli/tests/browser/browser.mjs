/** Debian's Chromium, without a window, driven by what `.ci/browser` has put into target. */
import { createRequire } from "node:module";

const require = createRequire(new URL("../../../target/browser/", import.meta.url));
const { chromium } = require("playwright-core");

const OPTIONS = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // Chromium refuses to run as root with its sandbox, and tests do in many places.
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
};

export function launch() {
  return chromium.launch(OPTIONS);
}

/** A browser, and its process: `signal` is sent to all of its processes. */
export async function launchProcess() {
  const server = await chromium.launchServer(OPTIONS);
  const browser = await chromium.connect(server.wsEndpoint());
  return {
    browser,
    signal: (signal) => process.kill(-server.process().pid, signal),
    close: () => server.close(),
  };
}
