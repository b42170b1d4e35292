/** Commands from Foxglove, where they are allowed, and recordings. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, viewed } from "./vehicle.mjs";

test("a command that is allowed goes to the vehicle", async () => {
  const vehicle = await viewed("--allow", "time_lap");
  try {
    const client = new Client(vehicle.port);
    const info = await client.wait("serverInfo");
    assert.deepEqual([info.capabilities, info.supportedEncodings], [["clientPublish"], ["json"]]);
    const channel = client.client.advertise({ topic: "/command", encoding: "json", schemaName: "" });
    const publish = (record) => client.client.sendMessage(channel, Buffer.from(JSON.stringify(record)));
    publish({ text: "time_lap" });
    publish({ text: "hazard" });
    await client.wait("status", ({ level, message }) => level === 2 && message.includes("--allow"));
    assert.equal(client.told.status.length, 1);
    assert.deepEqual(await vehicle.heard(), "time_lap");
    client.close();
  } finally {
    await vehicle.close();
  }
});
