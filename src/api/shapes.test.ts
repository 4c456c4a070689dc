import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageId, TurnId } from "../base/ids.ts";
import type { ApprovalState } from "../model/approval.ts";
import { NO_USAGE } from "../model/chat.ts";
import type { FaultRecord } from "../model/faults.ts";
import type { LaneState, QueueMode } from "../model/lane.ts";
import type { TaskState } from "../model/task.ts";
import type { Entry, EntryContent } from "../model/turn.ts";
import type { LaneRow, SessionRow } from "../store/store.ts";
import { nearest } from "../base/nearest.ts";
import { toApiUsage, toCancelResult, toHistoryEntry } from "./shapes.ts";
import type { ApiApprovalState, ApiFault, ApiLane, ApiQueueMode, ApiSession, ApiTaskState, HistoryEntry } from "./wire.ts";

type Same<A, B> = [A, B] extends [B, A] ? true : never;

test("the words on the wire are the words inside; this does not compile when they part", () => {
  const same: true[] = [
    true satisfies Same<ApiQueueMode, QueueMode>,
    true satisfies Same<ApiTaskState, TaskState>,
    true satisfies Same<ApiApprovalState, ApprovalState>,
    true satisfies Same<ApiLane["state"], LaneState>,
    true satisfies Same<ApiLane["why"], LaneRow["why"]>,
    true satisfies Same<ApiSession["state"], SessionRow["state"]>,
    true satisfies Same<HistoryEntry["role"], EntryContent["role"]>,
    true satisfies Same<keyof ApiFault, keyof FaultRecord>,
  ];
  assert.ok(same.every(Boolean));
});

const entry = (content: EntryContent, more: Partial<Entry> = {}): Entry => ({ seq: 4, at: 9, turnId: null, content, messageIds: [], provenance: "user", replyTo: [], ...more });

test("an entry of the history shows what was said, and which messages it belongs to", () => {
  const ids = ["msg_a", "msg_b"] as MessageId[];
  assert.deepEqual(toHistoryEntry(entry({ role: "user", text: "hi" }, { messageIds: ids, turnId: "turn_1" as TurnId })), {
    seq: 4, at: 9, role: "user", text: "hi", messageId: "msg_a", messageIds: ids, turnId: "turn_1", provenance: "user",
  });
  assert.deepEqual(toHistoryEntry(entry({ role: "notice", text: "note" })), { seq: 4, at: 9, role: "notice", text: "note", provenance: "user" });
});

test("an assistant's entry is its text and its calls; its reasoning stays inside", () => {
  const shown = toHistoryEntry(
    entry(
      { role: "assistant", parts: [{ type: "reasoning", text: "hm" }, { type: "text", text: "a" }, { type: "tool-call", callId: "c", tool: "read", input: { path: "x" }, provider: { secret: 1 } }, { type: "text", text: "b" }] },
      { replyTo: ["msg_a" as MessageId] },
    ),
  );
  assert.deepEqual([shown.text, shown.toolCalls, shown.replyTo], ["ab", [{ callId: "c", tool: "read", input: { path: "x" } }], ["msg_a"]]);
  assert.doesNotMatch(JSON.stringify(shown), /hm|secret/);
  const results = [{ callId: "c", tool: "read", text: "one", isError: false }, { callId: "d", tool: "read", text: "two", isError: true }];
  assert.deepEqual(toHistoryEntry(entry({ role: "tool", results })), { seq: 4, at: 9, role: "tool", text: "one\ntwo", toolResults: results, provenance: "user" });
});

test("costs are told in dollars, and a cancel that stopped nothing says so", () => {
  assert.equal(toApiUsage({ ...NO_USAGE, costMicros: 1_250_000 }).cost, 1.25);
  assert.equal("costMicros" in toApiUsage(NO_USAGE), false);
  assert.deepEqual([toApiUsage({ ...NO_USAGE, calls: 2, unpriced: 2 }).cost, toApiUsage(NO_USAGE).cost], [null, 0], "unknown is not free");
  assert.equal(toCancelResult({ turns: [], tasks: [], messages: 0 }).cancelled, false);
  assert.equal(toCancelResult({ turns: [], tasks: [], messages: 1 }).cancelled, true);
});

test("a mistyped name finds the near one, and a wholly different one finds none", () => {
  const known = ["session", "text", "messages.foregroundMs"];
  assert.equal(nearest("sesion", known), "session");
  assert.equal(nearest("Txt", known), "text");
  assert.equal(nearest("messages.foregroundms", known), "messages.foregroundMs");
  assert.equal(nearest("elephant", known), null);
  assert.equal(nearest("x".repeat(10_000), known), null);
});
