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

/**
 * The tasks of a page's thread while `during` lasts, the longest first, in milliseconds of the processor: what else the
 * machine is busy with makes none of them longer.
 *
 * @returns {Promise<number[]>}
 */
export async function tasks(browser, page, during) {
  await browser.startTracing(page, { categories: ["toplevel", "disabled-by-default-devtools.timeline"] });
  await during();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const thread = (event) => `${event.pid} ${event.tid}`;
  const mains = traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const ours = new Set(mains.map(thread));
  return traceEvents
    .filter((event) => event.name === "RunTask" && ours.has(thread(event)))
    .map(({ dur, tdur = 0 }) => Math.min(dur, tdur) / 1000)
    .sort((one, other) => other - one);
}
