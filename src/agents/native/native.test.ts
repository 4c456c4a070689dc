import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_USAGE, type AssistantPart, type ChatMessage, type ModelClient, type ModelRequest } from "../../model/chat.ts";
import type { NewEvent } from "../../model/event.ts";
import { Fault } from "../../model/faults.ts";
import type { Tool, ToolOutcome } from "../../model/tool.ts";
import { OUTCOME_UNKNOWN, modelStepKey } from "../../model/transcript.ts";
import type { StartedTurn, StepRecord, StepWrite } from "../../model/turn.ts";
import type { AgentTurn } from "../agent.ts";
import { StepJournal, TurnSuperseded } from "../journal.ts";
import { makeNativeAgent } from "./native.ts";

type Answer = readonly AssistantPart[];

const say = (text: string): AssistantPart => ({ type: "text", text });
const call = (tool: string, callId = tool): AssistantPart => ({ type: "tool-call", callId, tool, input: {} });

function tool(name: string, run: Tool["run"], more: Partial<Tool> = {}): Tool {
  return { name, description: name, inputSchema: { type: "object" }, effect: "pure", parallel: true, run, ...more };
}

interface Script {
  readonly answers: readonly Answer[];
  readonly tools?: readonly Tool[];
  /** What an attempt before a crash had written. */
  readonly steps?: readonly StepRecord[];
  readonly steering?: string[];
  readonly stepsMax?: number;
}

/** An agent at work over a scripted model, with everything it asked and wrote. */
function setup({ answers, tools = [], steps = [], steering = [], stepsMax = 10 }: Script) {
  const asked: (readonly ChatMessage[])[] = [];
  const written: StepWrite[] = [];
  const requests: { readonly toolChoice: ModelRequest["toolChoice"]; readonly listed: readonly string[] }[] = [];
  const denials: unknown[] = [];
  const told: NewEvent[] = [];
  let superseded = false;
  const left = [...answers];
  const models = {
    async call({ messages, toolChoice, tools: specs }) {
      requests.push({ toolChoice, listed: specs.map(({ name }) => name) });
      asked.push(structuredClone(messages));
      return { parts: left.shift() ?? assert.fail("the model was asked too often"), stop: "end", usage: { ...NO_USAGE, calls: 1 }, model: "m" };
    },
  } as Pick<ModelClient, "call"> as ModelClient;
  const journal = new StepJournal(
    {
      async write(writes, events) {
        written.push(...writes);
        told.push(...events);
        return !superseded;
      },
      mayHaveSteering: () => steering.length > 0,
      takeSteering: async () => steering.splice(0).map((text) => ({ id: "msg_1" as never, text })),
    },
    steps,
    modelStepKey(1),
  );
  const controller = new AbortController();
  const turn = {
    started: { turnId: "turn_1", session: "agent:main:main", sessionInfo: { agent: "main", taskId: null, depth: 0 }, messages: [{ provenance: "user" }] } as unknown as StartedTurn,
    model: "test/m", now: "", system: "", history: [], entries: [], clearedUpTo: 0, readOnly: false, messages: [{ role: "user", text: "hi" }], tools: new Map(tools.map((each) => [each.name, each])), workspace: "/w",
    stepsMax, toolOutputMaxBytes: 1000, journal, signal: controller.signal, budgeted: null, onFrame() {}, onDenial: (denial) => void denials.push(denial), progress() {},
  } satisfies AgentTurn;
  return { asked, written, told, requests, denials, controller, supersede: () => (superseded = true), work: () => makeNativeAgent({ models, nowMs: () => 0, mask: (text) => text }).work(turn) };
}

function done(key: string, kind: "model" | "tool", result: StepRecord["result"], name = "m"): StepRecord {
  return { key, kind, name, effect: "pure", input: null, state: result === null ? "intent" : "done", result };
}

function modelStep(round: number, parts: Answer): StepRecord {
  return done(modelStepKey(round), "model", { kind: "model", answer: { parts, stop: "end", usage: NO_USAGE, model: "m" } });
}

test("an answer without a call ends the turn", async () => {
  const { work, asked } = setup({ answers: [[say("hello")]] });
  const end = await work();
  assert.deepEqual([end.outcome, end.text, asked.length], ["done", "hello", 1]);
});

test("calls are answered in the order they were made, whatever order they finish in", async () => {
  let letSlow = (): void => {};
  const slow = tool("slow", () => new Promise<ToolOutcome>((resolve) => (letSlow = () => resolve({ text: "slow" }))));
  const quick = tool("quick", async () => {
    letSlow();
    return { text: "quick" };
  });
  const { work, asked } = setup({ answers: [[call("slow"), call("quick")], [say("ok")]], tools: [slow, quick] });
  await work();
  const results = asked[1]!.at(-1)!;
  assert.ok(results.role === "tool");
  assert.deepEqual(results.results.map((result) => result.text), ["slow", "quick"]);
});

test("a tool that is not parallel runs alone, in its place", async () => {
  const order: string[] = [];
  const make = (name: string, parallel: boolean): Tool =>
    tool(name, async () => {
      order.push(`${name} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${name} ends`);
      return { text: name };
    }, { parallel });
  const { work } = setup({ answers: [[call("a"), call("b"), call("alone"), call("c")], [say("ok")]], tools: [make("a", true), make("b", true), make("alone", false), make("c", true)] });
  await work();
  assert.deepEqual(order, ["a begins", "b begins", "a ends", "b ends", "alone begins", "alone ends", "c begins", "c ends"]);
});

test("what a tool throws is told to the model, which may do better", async () => {
  const failing = tool("failing", async () => {
    throw new Fault("PATH_REFUSED", { path: "x", problem: "is outside" });
  });
  const { work, asked } = setup({ answers: [[call("failing"), call("unknown")], [say("ok")]], tools: [failing] });
  await work();
  const results = asked[1]!.at(-1)!;
  assert.ok(results.role === "tool");
  assert.deepEqual(results.results.map((result) => [result.isError, result.text]), [[true, "failing failed: x: is outside"], [true, 'there is no tool "unknown"; there are: failing']]);
});

test("the intent of a call is on disk before the call runs", async () => {
  const bench = setup({
    answers: [[call("look")], [say("ok")]],
    tools: [tool("look", async () => {
      assert.ok(bench.written.some((write) => write.intent?.key === "tool:1:look"));
      return { text: "seen" };
    })],
  });
  await bench.work();
});

test("after a crash a committed answer is not asked for again and a committed result not computed again", async () => {
  const steps = [modelStep(1, [call("look")]), done("tool:1:look", "tool", { kind: "tool", result: { callId: "look", tool: "look", text: "seen", isError: false } }, "look")];
  const { work, asked } = setup({ answers: [[say("ok")]], tools: [tool("look", async () => assert.fail("ran again"))], steps });
  assert.equal((await work()).text, "ok");
  assert.equal(asked.length, 1);
});

test("a call that a crash cut off runs again when that is harmless, and never when it takes effect once", async () => {
  for (const { effect, runs } of [{ effect: "pure", runs: 1 }, { effect: "idempotent", runs: 1 }, { effect: "keyed", runs: 1 }, { effect: "once", runs: 0 }] as const) {
    let ran = 0;
    const act = tool("act", async () => {
      ran++;
      return { text: "acted" };
    }, { effect });
    const { work, asked, written } = setup({ answers: [[say("ok")]], tools: [act], steps: [modelStep(1, [call("act")]), done("tool:1:act", "tool", null, "act")] });
    await work();
    assert.equal(ran, runs, effect);
    const results = asked[0]!.at(-1)!;
    assert.ok(results.role === "tool");
    assert.equal(results.results[0]!.text, runs === 1 ? "acted" : OUTCOME_UNKNOWN);
    assert.equal(written.some((write) => write.unknown?.key === "tool:1:act"), runs === 0);
  }
});

test("a call whose outcome nobody knows is told to have ended once, also over many crashes, so that no watcher waits for it for ever", async () => {
  const act = tool("act", async () => assert.fail("ran again"), { effect: "once" });
  const cutOff = setup({ answers: [[say("ok")]], tools: [act], steps: [modelStep(1, [call("act")]), done("tool:1:act", "tool", null, "act")] });
  await cutOff.work();
  assert.deepEqual(cutOff.told.filter(({ type }) => type === "tool.ended").map(({ data }) => data["ok"]), [false]);

  const again = setup({ answers: [[say("ok")]], tools: [act], steps: [modelStep(1, [call("act")]), { ...done("tool:1:act", "tool", null, "act"), state: "unknown" }] });
  await again.work();
  assert.deepEqual(again.told, []);
  const results = again.asked[0]!.at(-1)!;
  assert.ok(results.role === "tool");
  assert.equal(results.results[0]!.text, OUTCOME_UNKNOWN);
});

test("a keyed call has the same key over every attempt", async () => {
  const keys: string[] = [];
  const keyed = tool("send", async (_input, { stepKey }) => {
    keys.push(stepKey);
    return { text: "sent" };
  }, { effect: "keyed" });
  await setup({ answers: [[call("send")], [say("ok")]], tools: [keyed] }).work();
  await setup({ answers: [[say("ok")]], tools: [keyed], steps: [modelStep(1, [call("send")]), done("tool:1:send", "tool", null, "send")] }).work();
  assert.deepEqual(keys, ["turn_1/tool:1:send", "turn_1/tool:1:send"]);
});

test("a tool that yields ends the turn at its barrier, also when that was journalled before a crash", async () => {
  const waiting = tool("sessions_yield", async () => ({ text: "yielded", yield: { barrierId: "wait_1" } }));
  const end = await setup({ answers: [[say("I wait."), call("sessions_yield")]], tools: [waiting] }).work();
  assert.deepEqual(end.outcome === "yielded" && [end.barrierId, end.text], ["wait_1", "I wait."]);
  const step = done("tool:1:sessions_yield", "tool", { kind: "tool", result: { callId: "sessions_yield", tool: "sessions_yield", text: "yielded", isError: false }, yield: { barrierId: "wait_1" } }, "sessions_yield");
  assert.equal((await setup({ answers: [], tools: [waiting], steps: [modelStep(1, [call("sessions_yield")]), step] }).work()).outcome, "yielded");
});

test("steering is told to the model before its next call, and told again at the same place after a crash", async () => {
  const look = tool("look", async () => ({ text: "seen" }));
  const { work, asked } = setup({ answers: [[call("look")], [say("ok")]], tools: [look], steering: ["also cost"] });
  await work();
  assert.deepEqual(asked[1]!.at(-1), { role: "user", text: "also cost" });
  const steered: StepRecord = { key: "steer:3", kind: "steer", name: "steer", effect: "pure", input: null, state: "done", result: { kind: "steer", text: "also cost", messageIds: [] } };
  const again = setup({ answers: [[say("ok")]], tools: [look], steps: [modelStep(1, [call("look")]), done("tool:1:look", "tool", { kind: "tool", result: { callId: "look", tool: "look", text: "seen", isError: false } }, "look"), steered] });
  await again.work();
  assert.deepEqual(again.asked[0]!.at(-1), { role: "user", text: "also cost" });
});

test("a model that calls tools for ever is stopped at the limit", async () => {
  const look = tool("look", async () => ({ text: "seen" }));
  const { work } = setup({ answers: Array.from({ length: 3 }, () => [call("look")]), tools: [look], stepsMax: 3 });
  await assert.rejects(work(), (thrown) => thrown instanceof Fault && thrown.code === "TURN_TOO_MANY_STEPS");
});

test("a turn that lost its right to write stops before it does anything more", async () => {
  const { work, supersede } = setup({ answers: [[call("look")]], tools: [tool("look", async () => assert.fail("ran without the right to write"))] });
  supersede();
  await assert.rejects(work(), TurnSuperseded);
});

test("a tool that was stopped ends the turn, it does not become a failure for the model to read", async () => {
  const bench = setup({
    answers: [[call("slow")]],
    tools: [tool("slow", async () => {
      bench.controller.abort(new Error("stopped"));
      throw new Error("interrupted");
    })],
  });
  await assert.rejects(bench.work(), /stopped/);
});

const DENIAL = say("I don't have permission to use look_up.");
const lookUp = (): Tool => tool("look_up", async () => ({ text: "seen" }));

test("a reply that denies a tool which the model has is asked again with the tool forced, and leaves no trace", async () => {
  const { work, asked, written, requests, denials } = setup({ answers: [[DENIAL], [call("look_up")], [say("ok")]], tools: [lookUp()] });
  const end = await work();
  assert.deepEqual([end.text, requests.map(({ toolChoice }) => toolChoice)], ["ok", [undefined, { tool: "look_up" }, undefined]]);
  assert.doesNotMatch(JSON.stringify([asked, written]), /permission/, "a model that reads its own denial repeats it");
  assert.deepEqual(denials, [{ model: "test/m", tool: "look_up", mended: true }]);
});

test("after a crash between the denial and the second call, the tool is still forced, because the journal holds that it was denied", async () => {
  const before = done(modelStepKey(1), "model", { kind: "model", answer: { parts: [], stop: "end", usage: NO_USAGE, model: "m", denied: "look_up" } });
  const { work, requests } = setup({ answers: [[call("look_up")], [say("ok")]], tools: [lookUp()], steps: [before] });
  assert.equal((await work()).text, "ok");
  assert.deepEqual(requests.map(({ toolChoice }) => toolChoice), [{ tool: "look_up" }, undefined]);
});

test("a rare tool that was denied is listed when the model is made to call it, and for the rest of the turn", async () => {
  const tools = [tool("tool_search", async () => ({ text: "" })), { ...lookUp(), isRare: true }];
  const { work, requests } = setup({ answers: [[DENIAL], [call("look_up")], [say("ok")]], tools });
  assert.equal((await work()).text, "ok");
  assert.deepEqual(requests.map(({ listed }) => listed), [["tool_search"], ["tool_search", "look_up"], ["tool_search", "look_up"]]);
});

test("a denial of a tool that was tried in this turn is believed: the model has seen it fail", async () => {
  const { work, requests } = setup({ answers: [[call("look_up")], [DENIAL]], tools: [lookUp()] });
  assert.match((await work()).text, /permission/);
  assert.equal(requests.length, 2);
});
