import assert from "node:assert/strict";
import { test } from "node:test";
import type { NewEvent } from "../../model/event.ts";
import type { HarnessSpec } from "../../model/harness.ts";
import type { StepWrite } from "../../model/turn.ts";
import type { AgentTurn } from "../agent.ts";
import { StepJournal } from "../journal.ts";
import { TurnRecord } from "./turn-record.ts";

test("a harness that was started again and counts its calls from the beginning has each of them in the log by a name of its own", async () => {
  const events: NewEvent[] = [];
  const writes: StepWrite[] = [];
  const journal = new StepJournal({ write: async (some, told) => (writes.push(...some), events.push(...told), true), takeSteering: async () => [], mayHaveSteering: () => false }, [], "model:1");
  const turn = { started: { turnId: "turn_1", steps: [] }, journal, toolOutputMaxBytes: 1_000, onFrame: () => {}, progress: () => {} } as unknown as AgentTurn;
  const record = new TurnRecord(turn, { id: "sim", toolNameAt: null, readingTools: {} } as unknown as HarnessSpec, () => 0);
  const call = { sessionUpdate: "tool_call", toolCallId: "1", title: "do it", rawInput: { a: 1 } };
  record.update(call);
  record.breakOff();
  record.update(call);
  record.update({ sessionUpdate: "tool_call_update", toolCallId: "1", status: "completed" });
  record.update({ sessionUpdate: "agent_message_chunk", content: { type: "text", text: "done" } });
  record.finish({ input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0, calls: 0, costMicros: 0 } as never);
  await record.flush();
  assert.deepEqual(events.filter(({ type }) => type.startsWith("tool.")).map(({ type, data }) => `${type} ${String(data["callId"])}`), ["tool.started 1", "tool.ended 1", "tool.started 1#2", "tool.ended 1#2"]);
  assert.equal(new Set(writes.flatMap(({ intent }) => (intent === undefined ? [] : [intent.key]))).size, writes.filter(({ intent }) => intent !== undefined).length);
});
