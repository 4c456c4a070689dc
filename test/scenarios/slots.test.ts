/** Slots, as people feel them: with four, the fifth waits; with eight, nobody does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

const MODEL_MS = 1000;
const SLACK_MS = 400;

test("five people at once with four slots: four are answered after one model call, the fifth after two; with eight slots all after one", async (t) => {
  const model = await startModel(t, ["--total", `${MODEL_MS}ms`]);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const four = await waits(gateway, "a");
  assert.deepEqual(four.map(calls), [1, 1, 1, 1, 2], `waits of ${four.map(Math.round).join(", ")} ms`);
  await gateway.api("PATCH", "/api/config", { "agents.defaults.maxConcurrent": 8 });
  const eight = await waits(gateway, "b");
  assert.deepEqual(eight.map(calls), [1, 1, 1, 1, 1], `waits of ${eight.map(Math.round).join(", ")} ms`);
});

/** Milliseconds from each of five messages to its answer, shortest first. */
async function waits(gateway: Gateway, round: string): Promise<number[]> {
  const five = Array.from({ length: 5 }, (_none, index) => `agent:main:api:direct:${round}${index}`);
  const times = await Promise.all(
    five.map(async (session) => {
      const sentAt = performance.now();
      await gateway.ask("hi", { session });
      return performance.now() - sentAt;
    }),
  );
  return times.toSorted((one, other) => one - other);
}

/** After how many model calls an answer came. */
function calls(ms: number): number {
  const count = Math.floor(ms / MODEL_MS);
  assert.ok(ms - count * MODEL_MS < SLACK_MS, `${Math.round(ms)} ms is not a whole number of model calls`);
  return count;
}
