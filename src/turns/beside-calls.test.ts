import assert from "node:assert/strict";
import { test } from "node:test";
import type { Setting, Settings } from "../base/setting.ts";
import { silentLog } from "../base/log.ts";
import { NO_USAGE, type ModelAnswer, type ModelRequest } from "../model/chat.ts";
import { ANN, fault, StoreBench } from "../store/store-bench.test-support.ts";
import { openInMemory } from "../store/sqlite/bench.test-support.ts";
import { BesideCalls } from "./beside-calls.ts";

const NOTHING_SET: Settings = { get: <T>(setting: Setting<T>) => setting.fallback, isSet: () => false, onChange: () => () => {} };
const ANSWER: ModelAnswer = { parts: [{ type: "text", text: "yes" }], stop: "end", usage: { ...NO_USAGE, input: 40, output: 1, calls: 1 }, model: "p/m" };
const REQUEST: ModelRequest = { model: "p/m", system: "", messages: [{ role: "user", text: "can it be answered on its own?" }], tools: [], maxOutputTokens: 5, signal: new AbortController().signal };

test("a question about a message to a child counts in the child's budget, and is not asked when that has no room", async () => {
  const bench = new StoreBench(openInMemory());
  await bench.rules();
  const child = await bench.spawn(await bench.begin(ANN, "go"), "child", { budget: { tokens: 10_000, calls: 1 } });
  const asked: ModelRequest[] = [];
  const models = { terms: () => ({ outputTokensMax: 100, price: null }), call: async (request: ModelRequest) => (asked.push(request), ANSWER) };
  const beside = new BesideCalls({ store: bench.store, models, settings: NOTHING_SET, log: silentLog }).client(child.session);
  await beside.call(REQUEST, () => {});
  const { budget } = (await bench.store.task(child.taskId))!;
  assert.deepEqual([budget?.used.tokens, budget?.used.calls, budget?.reserved.tokens], [41, 1, 0]);
  await assert.rejects(beside.call(REQUEST, () => {}), fault("BUDGET_EXHAUSTED"));
  assert.equal(asked.length, 1);
  assert.deepEqual(await bench.store.checkIntegrity(), []);
});
