import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { CallAsked, CallGrant } from "../model/budget.ts";
import { NO_USAGE, type ChatMessage, type ModelAnswer, type ModelRequest } from "../model/chat.ts";
import { Fault } from "../model/faults.ts";
import { BudgetedCalls } from "./budgeted-calls.ts";

const SCOPES = { session: {}, tree: {}, person: {}, day: {} };
const settings: Settings = { get: (setting) => setting.fallback, isSet: () => false, onChange: () => () => {} };

type Answering = (request: ModelRequest) => Promise<ModelAnswer>;

/** Calls over an account of `tokens`, with what was asked of the store and of the model. */
function setup(tokens: number, answering: Answering) {
  const asked: CallAsked[] = [];
  const requests: ModelRequest[] = [];
  const settled: unknown[] = [];
  let left = tokens;
  const holds = new Map<string, number>();
  const calls = new BudgetedCalls({
    store: {
      async reserveCall({ asked: one }): Promise<CallGrant> {
        asked.push(one);
        const room = left - one.inputTokensMax;
        if (room < one.outputTokensMin) return { outcome: "exhausted", by: { scope: "task", name: "task_1", unit: "tokens", limit: tokens, used: tokens - left }, tokensLeft: left };
        const outputTokensMax = Math.min(room, one.outputTokensMax);
        const hold = `hold ${asked.length}`;
        holds.set(hold, one.inputTokensMax + outputTokensMax);
        left -= one.inputTokensMax + outputTokensMax;
        return { outcome: "granted", hold, outputTokensMax };
      },
      async settleCall({ hold, spent }) {
        settled.push(typeof spent === "string" ? spent : "counted");
        left += holds.get(hold)! - (spent === "unknown" ? holds.get(hold)! : spent === "nothing" ? 0 : spent.input + spent.output);
      },
      notice: async () => {},
    },
    models: {
      terms: () => ({ outputTokensMax: 1000, price: null }),
      call(request) {
        requests.push(request);
        return answering(request);
      },
    },
    settings,
    log: silentLog,
    turn: { turnId: "turn_1" as never, session: "agent:main:main" as never, epoch: 1 },
    scopes: SCOPES,
  });
  const request = (messages: readonly ChatMessage[]): ModelRequest => ({ model: "p/m", system: "s", messages, tools: [], signal: new AbortController().signal });
  return { calls, asked, requests, settled, request, left: () => left };
}

const answer = (text: string, input: number, output: number): ModelAnswer => ({ parts: [{ type: "text", text }], stop: "end", usage: { ...NO_USAGE, input, output, calls: 1 }, model: "p/m" });
const ignore = (): void => {};

test("each attempt that a provider may have counted has a reservation of its own, so a broken stream cannot be spent twice", async () => {
  const bench = setup(10_000, async (request) => {
    assert.equal((await request.again!()).maxOutputTokens, 1000);
    return answer("done", 20, 5);
  });
  await bench.calls.call(bench.request([{ role: "user", text: "hi" }]), ignore);
  assert.deepEqual(bench.settled, ["unknown", "counted"]);
  assert.equal(bench.left(), 10_000 - (bench.asked[0]!.inputTokensMax + 1000) - 25);
});

test("a further attempt for which there is no room is not made", async () => {
  const bench = setup(1_400, async (request) => {
    await request.again!();
    assert.fail("it went on");
  });
  await assert.rejects(bench.calls.call(bench.request([{ role: "user", text: "hi" }]), ignore), (cause) => cause instanceof Fault && cause.code === "BUDGET_EXHAUSTED");
  assert.deepEqual(bench.settled, ["unknown"]);
});

test("a call that the provider refused costs nothing; one that broke off stays spent", async () => {
  const refused = setup(10_000, () => Promise.reject(new Fault("PROVIDER_AUTH", { provider: "p", status: 401 })));
  await assert.rejects(refused.calls.call(refused.request([]), ignore));
  assert.equal(refused.left(), 10_000);
  const broken = setup(10_000, () => Promise.reject(new Fault("PROVIDER_BROKEN_STREAM", { provider: "p", problem: "cut" })));
  await assert.rejects(broken.calls.call(broken.request([]), ignore));
  assert.ok(broken.left() < 9_000);
});

test("an answer without a count is spent in full, because 0 would be a guess", async () => {
  const bench = setup(10_000, async () => answer("done", 0, 0));
  await bench.calls.call(bench.request([]), ignore);
  assert.deepEqual(bench.settled, ["unknown"]);
});

test("what the provider counted for the beginning of a conversation takes the place of its bytes", async () => {
  const messages: ChatMessage[] = [{ role: "user", text: "x".repeat(8_000) }];
  const bench = setup(1_000_000, async () => answer("ok", 2_000, 3));
  await bench.calls.call(bench.request(messages), ignore);
  messages.push({ role: "assistant", parts: [{ type: "text", text: "ok" }] }, { role: "user", text: "more" });
  await bench.calls.call(bench.request(messages), ignore);
  assert.ok(bench.asked[0]!.inputTokensMax > 8_000);
  assert.ok(bench.asked[1]!.inputTokensMax > 2_000 && bench.asked[1]!.inputTokensMax < 2_500, String(bench.asked[1]!.inputTokensMax));
});

test("when there is no room the model is asked once more, in short, without tools, and its words come with the reason", async () => {
  const bench = setup(3_000, async () => answer("that is all", 100, 10));
  const { answer: last, last: fault } = await bench.calls.call(bench.request([{ role: "user", text: "find it" }, { role: "tool", results: [{ callId: "1", tool: "read", text: "y".repeat(20_000), isError: false }] }]), ignore);
  assert.equal(fault!.code, "BUDGET_EXHAUSTED");
  assert.deepEqual(last.parts, [{ type: "text", text: "that is all" }]);
  const [request] = bench.requests as [ModelRequest];
  assert.deepEqual(request.tools, []);
  assert.match((request.messages[0] as { text: string }).text, /^task: find it\nwhat there is:\n[\s\S]*read: y/);
  assert.ok(bench.asked.at(-1)!.isLast && bench.asked.at(-1)!.inputTokensMax + request.maxOutputTokens! <= 3_000);
});
