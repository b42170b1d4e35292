/**
 * What the page costs, and how late it is: a vehicle that says 50 frames of about 300 bytes and 15 pictures of 100 KiB a
 * second, the command, and one browser with the page, all on this machine.
 *
 *     LEADS_COMM=target/release/leads-comm node cli/tests/browser/measure.mjs [SECONDS]
 */
import { readFile } from "node:fs/promises";
import { launch, tasks } from "./browser.mjs";
import { fakeTool } from "./fake.mjs";
import { minutes, unplugged } from "./hour.mjs";
import { pictures } from "./pictures.mjs";
import { frame } from "./track.mjs";
import { Vehicle, tagged, view } from "./vehicle.mjs";

const SECONDS = Number(process.argv[2] ?? 30);
const WARM_MS = 5000;

const browser = await launch();
const vehicle = await Vehicle.start();
const tool = await view(vehicle.address, "--monitor", "none");
const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
const large = await pictures(page, { count: 15, width: 900, height: 600, noise: 7500 });
await page.goto(tool.url);

/** When each frame was said, by its number. */
const sent = [];
let size = 0;
vehicle.every(50, (count) => {
  const { t, speed, voltage, throttle, brake, steering, acceleration, gps, motor } = frame(count / 50, Date.now());
  const text = JSON.stringify({ t, speed, voltage, throttle, brake, steering, acceleration, gps, motor, count });
  size = text.length;
  sent.push(Date.now());
  return text;
});
vehicle.every(15, (count) => tagged("front", large[count % large.length]));
await page.waitForTimeout(WARM_MS);

const session = await page.context().newCDPSession(page);
let received = 0;
session.on("Network.webSocketFrameReceived", ({ response: { opcode, payloadData } }) => {
  received += opcode === 2 ? (payloadData.length * 3) / 4 : Buffer.byteLength(payloadData);
});
await session.send("Network.enable");
await session.send("Performance.enable");
const before = { tool: await processorSeconds(tool.child.pid), page: await threadSeconds(), received };
const start = performance.now();
let seen;
const times = await tasks(browser, page, async () => {
  seen = await page.evaluate(watch, SECONDS * 1000);
});
const seconds = (performance.now() - start) / 1000;
const after = { tool: await processorSeconds(tool.child.pid), page: await threadSeconds(), received };

// A frame has arrived on the screen when it, or a later one, is there.
const late = [];
let at = 0;
for (let count = seen.shown[0][0]; count <= seen.shown.at(-1)[0]; count++) {
  while (seen.shown[at][0] < count) at++;
  late.push(seen.shown[at][1] - sent[count]);
}
late.sort((one, other) => one - other);
const quantile = (part) => `${late[Math.floor(part * (late.length - 1))].toFixed(0)} ms`;
const share = (name) => `${(((after[name] - before[name]) / seconds) * 100).toFixed(1)} % of a processor`;
const bytes = (size) => `${(size / 1e3).toFixed(0)} kB`;

console.log(`a frame                    ${size} B, pictures ${bytes(large[0].length)}`);
console.log(
  `from send to pixel         ${quantile(0.5)} (p50), ${quantile(0.99)} (p99), ${quantile(1)} (max) of ${late.length}`,
);
console.log(`the tool                   ${share("tool")}`);
console.log(`the page's thread          ${share("page")}`);
console.log(`to the browser             ${bytes((after.received - before.received) / seconds)}/s`);
console.log(
  `tasks longer than 50 ms    ${seen.long.length} of ${times.length}; the longest has ${times[0].toFixed(1)} ms of a processor`,
);
await page.close();
await vehicle.stop();
await tool.stop();
await hour();
await browser.close();

/** Each count that the table shows, and when it was on the screen; tasks that were too long. */
function watch(ms) {
  const cell = [...document.querySelectorAll("#fields-rows tr")]
    .find((row) => row.querySelector("button").title === "count")
    .querySelector(".value");
  const found = { shown: [], long: [] };
  const observer = new PerformanceObserver((list) =>
    found.long.push(...list.getEntries().map((task) => task.duration)),
  );
  observer.observe({ type: "longtask" });
  return new Promise((done) => {
    const end = performance.now() + ms;
    let last = NaN;
    // What is in the document when a frame begins was drawn at the end of the one before.
    const look = () => {
      const count = Number(cell.textContent);
      if (count !== last) {
        last = count;
        found.shown.push([count, Date.now()]);
      }
      if (performance.now() < end) {
        requestAnimationFrame(look);
      } else {
        observer.disconnect();
        done(found);
      }
    };
    requestAnimationFrame(look);
  });
}

/** User and system time of a process. */
async function processorSeconds(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function threadSeconds() {
  const { metrics } = await session.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "ThreadTime").value;
}

async function hour() {
  const fake = await fakeTool();
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  await unplugged(page);
  await page.goto(fake.url);
  const [jpeg] = await pictures(page, { count: 1 });
  const early = await minutes(page, 0, 10, jpeg);
  const late = await minutes(page, 10, 60, jpeg);
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(
    `the page's memory          ${megabytes(early)} after 10 minutes, ${megabytes(late)} after an hour (simulated)`,
  );
  fake.close();
}
