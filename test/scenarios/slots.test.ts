/** Slots, as people feel them: with four, the fifth waits; with eight, nobody does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import type { LogRecord } from "../support/model-standin/log-record.ts";
import { startModel } from "../support/model.ts";

const MODEL_MS = 1000;

test("five people at once with four slots: four are at the model together and the fifth after them; with eight slots all at once", async (t) => {
  const model = await startModel(t, ["--total", `${MODEL_MS}ms`]);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  await fiveAtOnce(gateway, "a");
  const four = await model.log();
  assert.equal((await model.stats()).inFlightMax, 4);
  const [first, , , , fifth] = four as [LogRecord, LogRecord, LogRecord, LogRecord, LogRecord];
  assert.ok(fifth.arrivedAt >= first.endedAt!, "the fifth waited for a slot");

  await model.reset();
  await gateway.api("PATCH", "/api/config", { "agents.defaults.maxConcurrent": 8 });
  await fiveAtOnce(gateway, "b");
  assert.equal((await model.stats()).inFlightMax, 5, "without a restart");
});

async function fiveAtOnce(gateway: Gateway, round: string): Promise<void> {
  const sessions = Array.from({ length: 5 }, (_none, index) => `agent:main:api:direct:${round}${index}`);
  const answers = await Promise.all(sessions.map((session) => gateway.ask("hi", { session })));
  assert.deepEqual(new Set(answers), new Set(["You said: hi"]));
}
