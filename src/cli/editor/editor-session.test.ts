import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionUpdate } from "@agentclientprotocol/sdk";
import type { ApiEvent } from "../../api/wire.ts";
import { EditorSession, type Asked } from "./editor-session.ts";

function setup() {
  const updates: SessionUpdate[] = [];
  const asked: Asked[] = [];
  const session = new EditorSession({ update: (update) => void updates.push(update), ask: (approval) => void asked.push(approval) });
  return {
    session,
    asked,
    take: (type: string, data: Record<string, unknown> = {}, turnId = "t1"): void => session.take({ session: "s", at: 0, type, turnId, data } as ApiEvent),
    said: (): string => updates.flatMap((update) => (update.sessionUpdate === "agent_message_chunk" && update.content.type === "text" ? [update.content.text] : [])).join("|"),
  };
}

test("an answer that was shown as it was written is not shown again; one that differs is, whole", () => {
  const { take, said } = setup();
  take("text.delta", { text: "for" });
  take("text.delta", { text: "ty" });
  take("reply", { text: "forty", replyTo: ["m1"] });
  assert.equal(said(), "for|ty");
  take("text.delta", { text: "wro" });
  take("text.void", {});
  take("reply", { text: "right", replyTo: ["m2"] });
  take("text.delta", { text: "a" });
  take("reply", { text: "ab", replyTo: ["m3"] });
  assert.equal(said(), "for|ty|wro|\n\n(begins again)\n\n|right|a|b");
});

test("text before a tool call is no part of the answer after it", () => {
  const { take, said } = setup();
  take("text.delta", { text: "let me look" });
  take("tool.started", { callId: "c", tool: "read", input: "{}" });
  take("text.delta", { text: "found" });
  take("reply", { text: "found", replyTo: ["m1"] });
  assert.equal(said(), "let me look|found");
});

test("a prompt ends once, also when its end is known before its number is", async () => {
  const { session, take } = setup();
  take("reply", { text: "x", replyTo: ["m1"] });
  assert.deepEqual(await session.endOf("m1"), { stopReason: "end_turn" });
  const second = session.endOf("m2");
  take("turn.ended", { outcome: "cancelled", messageIds: ["m2"] });
  assert.deepEqual(await second, { stopReason: "cancelled" });
  const third = session.endOf("m3");
  const fault = { code: "TURN_TIMED_OUT", message: "too long", details: {}, retryable: false };
  take("turn.ended", { outcome: "failed", messageIds: ["m3"], fault });
  assert.deepEqual(await third, { fault });
});

test("what waits for approval is put to the editor", () => {
  const { take, asked } = setup();
  take("approval.requested", { approvalId: "A1", tool: "write", what: "write a.txt", path: "/p/a.txt", input: { path: "a.txt" } });
  assert.deepEqual(asked.map(({ approvalId, what }) => [approvalId, what]), [["A1", "write a.txt"]]);
});
