/** What one does with the page, with a mouse and without one. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { HELLO } from "./fake.mjs";
import { PEERS, opened, shows, text, tool, vehicle } from "./scene.mjs";

test("a click plots a field, and another takes it out", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket));
  const voltage = page.locator("#fields-rows tr", { hasText: "voltage" });
  assert.equal(await page.locator("#legend li").count(), 2);
  await voltage.click();
  assert.equal(await page.locator("#legend li").count(), 1);
  await voltage.click();
  assert.equal(await page.locator("#legend li").count(), 2);
  await page.getByRole("button", { name: "Take speed out of the plot" }).click();
  assert.deepEqual(await page.locator("#legend .name").allTextContents(), ["voltage"]);
  assert.equal(await page.getAttribute("#fields-rows tr:nth-child(1) button", "aria-pressed"), "false");
});

test("every control is reached by Tab, and seen to be", async (t) => {
  const page = await opened(t, (socket) => {
    vehicle(socket, undefined, { hello: { commands: ["time_lap"], live: false } });
    socket.say({ type: "timeline", start: 0, end: 1000, at: 10, speed: 1, paused: true, ended: false });
    socket.say(PEERS);
  });
  await shows(page, "#fields-rows", "voltage");
  await shows(page, "#peers-rows", "stopped");
  await page.evaluate(() => {
    window.named = (control) => `${control.tagName} ${control.id} ${control.textContent.trim().slice(0, 20)}`;
  });
  const wanted = await page.evaluate(() =>
    [...document.querySelectorAll("a[href], button, input, select, [tabindex='0']")]
      .filter((control) => control.tabIndex >= 0 && control.checkVisibility())
      .map(window.named),
  );
  assert.ok(wanted.length >= 18, wanted.join("\n"));
  const reached = new Set();
  for (let press = 0; press < wanted.length; press++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      const outlined = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
      return { name: window.named(document.activeElement), outlined };
    });
    assert.equal(focused.outlined, true, `no outline: ${focused.name}`);
    reached.add(focused.name);
  }
  assert.deepEqual(
    wanted.filter((name) => !reached.has(name)),
    [],
  );
  // Each has a name that a screen reader can say.
  for (const role of ["button", "link", "combobox", "searchbox", "slider"]) {
    for (const control of await page.getByRole(role).all()) {
      const named = await control.evaluate(
        (it) => it.getAttribute("aria-label") ?? (it.textContent || it.labels?.[0]?.textContent),
      );
      assert.ok(named?.trim(), await control.evaluate((it) => it.outerHTML));
    }
  }
});

test("how one moves in the plot is told, by keys too; and under the cursor, when it was", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket));
  await shows(page, "#legend", "speed");
  assert.equal(await page.isHidden("#plot-help"), true);
  await page.getByRole("button", { name: "How to move in the plot" }).press("Enter");
  for (const word of ["Wheel", "Drag", "Space", "←", "Home"]) {
    assert.ok((await page.locator("#plot-help").innerText()).includes(word), word);
  }
  await page.keyboard.press("Escape");
  assert.equal(await page.isHidden("#plot-help"), true);
  assert.equal(await page.isHidden("#plot .time"), true);
  await page.hover("#plot .u-over");
  await page.waitForFunction(() => /^\d\d:\d\d:\d\d\.\d{3}$/.test(document.querySelector("#plot .time").textContent));
  assert.equal(await page.isVisible("#plot .time"), true);
});

test("fields and plot by keys", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket));
  await shows(page, "#fields-rows", "voltage");
  await page.focus("#fields-rows button");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  assert.deepEqual(await page.locator("#legend .name").allTextContents(), ["speed"]);
  await page.focus("#plot");
  const [live, span] = [page.locator("#plot-live"), page.locator("#plot-span")];
  await page.keyboard.press("+");
  assert.equal(await span.inputValue(), "40000");
  await page.keyboard.press("-");
  assert.equal(await span.inputValue(), "60000");
  assert.equal(await live.textContent(), "Live");
  for (const [key, text] of [
    [" ", "Go live"],
    [" ", "Live"],
    ["ArrowLeft", "Go live"],
    ["Escape", "Live"],
  ]) {
    await page.keyboard.press(key);
    assert.equal(await live.textContent(), text, key);
  }
  await page.keyboard.press("Home");
  assert.equal(await span.inputValue(), "300000");
});

test("among many fields one is found by a part of its name", async (t) => {
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`group${at % 10}.field${at}`, at]));
  const page = await opened(t, (socket) => vehicle(socket, [many]));
  await shows(page, "#fields-count", "500");
  await page.fill("#fields-search", "Field49");
  await shows(page, "#fields-count", "11 of 500");
  assert.equal(await page.locator("#fields-rows tr:visible").count(), 11);
  // The only way to the table by keys is a row that is there.
  await page.press("#fields-search", "Tab");
  assert.equal(await page.evaluate(() => document.activeElement.title), "group9.field49");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await shows(page, "#legend", "group0.field490");
  await page.fill("#fields-search", "nobody");
  await shows(page, "#fields-empty:not([hidden])", "No field has this in its name");
  await page.fill("#fields-search", "");
  await page.waitForSelector("#fields-empty", { state: "hidden" });
  await shows(page, "#fields-count", "500");
});

test("wheel, dragging and a double click", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket));
  await shows(page, "#legend", "speed");
  const box = await page.locator("#plot .u-over").boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.wheel(0, 100);
  assert.equal(await page.locator("#plot-span").inputValue(), "90000");
  assert.equal(await text(page, "#plot-live"), "Live");
  await page.mouse.down();
  await page.mouse.move(x + box.width / 3, y, { steps: 4 });
  await page.mouse.up();
  await shows(page, "#plot-live", "Go live");
  const span = Number(await page.locator("#plot-span").inputValue());
  assert.ok(Math.abs(span - 20_000) < 1000, `${span}`);
  await page.mouse.dblclick(x, y);
  await shows(page, "#plot-live", "Live");
});

test("the time line of a recording", async (t) => {
  const said = [];
  let socket;
  const page = await opened(
    t,
    (opened) => {
      socket = opened;
      socket.onMessage((message) => said.push(message));
      vehicle(socket, undefined, { hello: { live: false } });
      socket.say({ type: "timeline", start: 1000, end: 61_000, at: 4250, speed: 1, paused: false, ended: false });
    },
    { timezoneId: "UTC" },
  );
  const heard = async (wanted) => {
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; await page.waitForTimeout(20)) {
      if (said.some((message) => JSON.stringify(message) === JSON.stringify(wanted))) return;
    }
    assert.fail(JSON.stringify(said));
  };
  await shows(page, "#timeline-text", "1970-01-01 00:00:04, 0:03.2 of 1:00.0");
  await shows(page, "#health-word", "playing");
  await page.click("#timeline-play");
  await heard({ type: "pause", on: true });
  socket.say({ type: "timeline", start: 1000, end: 61_000, at: 61_000, speed: 1, paused: true, ended: true });
  await shows(page, "#timeline-play", "Play");
  await shows(page, "#health-word", "at the end");
  await page.click("#timeline-play");
  await heard({ type: "seek", at: 1000 });
  await heard({ type: "pause", on: false });
  await page.selectOption("#timeline-speed", "5");
  await heard({ type: "speed", x: 5 });
  await page.locator("#timeline-at").fill("30000");
  await heard({ type: "seek", at: 31_000 });
  socket.say({ type: "reset" });
  socket.say({ type: "raw", total: 1, messages: [{ seq: 1, at: 1, len: 5, text: "after", cut: false }] });
  await shows(page, "#raw", "after");
});

test("commands: only those that are allowed, and what came of them", async (t) => {
  const page = await opened(t, (socket) => {
    vehicle(socket, undefined, { hello: { commands: ["time_lap", "hazard"] } });
    socket.onMessage(({ name }) => {
      socket.say({
        type: "commanded",
        name,
        ok: name === "time_lap",
        error: name === "time_lap" ? null : "not connected",
      });
    });
  });
  assert.deepEqual(await page.locator("#commands button").allTextContents(), ["time_lap", "hazard"]);
  await page.click("text=time_lap");
  await shows(page, "#outcome", "time_lap: sent");
  await page.click("#commands >> text=hazard");
  await shows(page, "#outcome", "hazard: not connected");
  assert.equal(await page.locator("#outcome.bad").count(), 1);
});

test("what came of it is said above the page, and nothing moves", async (t) => {
  const page = await opened(t, (socket) => {
    vehicle(socket, undefined, { hello: { commands: ["time_lap"] } });
    socket.onMessage(({ name }) => socket.say({ type: "commanded", name, ok: true, error: null }));
  });
  const top = () => page.evaluate(() => document.querySelector("main").getBoundingClientRect().top);
  await shows(page, "#fields-rows", "voltage");
  await shows(page, "#health-word", "live");
  const before = await top();
  await page.click("text=time_lap");
  await shows(page, "#outcome", "time_lap: sent");
  assert.equal(await top(), before);
});

test("what cannot be saved is said in the tool's words, and what can is a file", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket), { expected: /404/ });
  t.after(() => (tool.answers = () => false));
  const files = new Map([["/save", [404, "nothing has come that a CSV of LEADS has a place for\n"]]]);
  tool.answers = (path, response) => {
    const [status, body] = files.get(path) ?? [];
    const name = 'attachment; filename="leads.mcap"';
    return status !== undefined && response.writeHead(status, { "Content-Disposition": name }).end(body) !== null;
  };
  await page.click("text=Save CSV");
  await shows(page, "#outcome.bad", "Save CSV: nothing has come that a CSV of LEADS has a place for");
  files.set("/save", [200, "a recording"]);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("text=Save MCAP")]);
  assert.equal(download.suggestedFilename(), "leads.mcap");
  assert.equal(await readFile(await download.path(), "utf8"), "a recording");
});

test("what is selected stays, so that it can be copied", async (t) => {
  let socket;
  const raw = (seq) => ({
    type: "raw",
    total: seq,
    messages: [{ seq, at: 1, len: 9, text: `message ${seq}`, cut: false }],
  });
  const page = await opened(t, (opened) => {
    vehicle((socket = opened));
    socket.say(raw(1));
  });
  await shows(page, "#raw code", "message 1");
  await page.evaluate(() => getSelection().selectAllChildren(document.querySelector("#raw code")));
  await shows(page, "#raw-held", "held");
  socket.say(raw(2));
  await page.waitForSelector("#raw-held:not([hidden])");
  assert.equal(await page.evaluate(() => String(getSelection())), "message 1");
  await page.evaluate(() => getSelection().empty());
  await shows(page, "#raw code", "message 2");
  assert.deepEqual(await page.locator("#raw code").allTextContents(), ["message 2", "message 1"]);
});

test("one finger moves the plot, two zoom it", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket), { viewport: { width: 400, height: 800 }, hasTouch: true });
  await shows(page, "#legend", "speed");
  const box = await page.locator("#plot .u-over").boundingBox();
  const session = await page.context().newCDPSession(page);
  const touch = (type, ...xs) =>
    session.send("Input.dispatchTouchEvent", {
      type,
      touchPoints: xs.map((x, id) => ({ x: box.x + x, y: box.y + box.height / 2, id })),
    });
  await touch("touchStart", 100);
  await touch("touchMove", 130);
  await touch("touchMove", 160);
  await touch("touchEnd");
  await shows(page, "#plot-live", "Go live");
  assert.equal(await page.locator("#plot-span").inputValue(), "60000");
  await touch("touchStart", 100, 140);
  await touch("touchMove", 90, 150);
  await touch("touchMove", 80, 160);
  await touch("touchEnd");
  await page.waitForFunction(() => Number(document.querySelector("#plot-span").value) < 45_000);
  const span = Number(await page.locator("#plot-span").inputValue());
  assert.ok(span > 20_000, `${span}`);
});

test("what is plotted is there again after a reload, and nothing else that is remembered", async (t) => {
  const page = await opened(t, (socket) => vehicle(socket));
  await shows(page, "#legend", "speed");
  await page.getByRole("button", { name: "Take speed out of the plot" }).click();
  await page.selectOption("#plot-span", "120000");
  const names = () => page.locator("#legend .name").allTextContents();
  const colour = () => page.locator("#legend li").getAttribute("data-series");
  const before = await colour();
  await page.reload();
  await shows(page, "#legend", "voltage");
  assert.deepEqual([await names(), await colour()], [["voltage"], before]);
  assert.equal(await page.locator("#plot-span").inputValue(), "120000");
  const kept = (plot) => JSON.stringify([[HELLO.source, plot], 7, null]);
  for (const [stored, wanted] of [
    ["{", "speed"],
    [kept({ plotted: [["speed", 1e9], ["voltage", 0], [7, 7], 5, ["speed", 0]], spanMs: {} }), "voltage"],
    [kept([]), "speed"],
    [kept({ plotted: { length: 5 }, spanMs: -1 }), null],
  ]) {
    await page.evaluate((stored) => localStorage.setItem("leads-comm.plots", stored), stored);
    await page.reload();
    await shows(page, "#fields-rows", "voltage");
    await shows(page, "#health-word", "live");
    if (wanted !== null) await shows(page, "#legend", wanted);
    assert.equal((await names()).includes("speed"), wanted === "speed", stored);
    assert.equal(await page.locator("#plot-span").inputValue(), "60000");
  }
});
