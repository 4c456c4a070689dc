import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiEvent } from "../api/wire.ts";
import { Conversation } from "./conversation.ts";

const event = (type: string, data: Record<string, unknown>, turnId = "t1"): ApiEvent => ({ session: "s", at: 0, type, turnId, data });
const kinds = (conversation: Conversation, ...events: ApiEvent[]) => events.flatMap((one) => conversation.take(one)).map((piece) => ("text" in piece ? `${piece.kind}: ${piece.text}` : piece.kind));

test("an answer that was shown while it was written is not shown again", () => {
  const conversation = new Conversation();
  assert.deepEqual(kinds(conversation, event("text.delta", { text: "Hel" }), event("text.delta", { text: "lo." }), event("reply", { text: "Hello.", replyTo: [] })), ["delta: Hel", "delta: lo.", "end"]);
});

test("an answer that came out otherwise is shown as it was given, because what was written before is void", () => {
  const conversation = new Conversation();
  assert.deepEqual(kinds(conversation, event("text.delta", { text: "Hal" }), event("text.void", {}), event("text.delta", { text: "He" }), event("reply", { text: "Hello.", replyTo: [] })), [
    "delta: Hal",
    "void",
    "delta: He",
    "void",
    "answer: Hello.",
  ]);
});

test("of two turns that write at once one is shown as it writes and the other when it is done", () => {
  const conversation = new Conversation();
  assert.deepEqual(
    kinds(
      conversation,
      event("text.delta", { text: "one" }),
      event("text.delta", { text: "two" }, "t2"),
      event("reply", { text: "two", replyTo: [] }, "t2"),
      event("text.delta", { text: " more" }),
      event("reply", { text: "one more", replyTo: [] }),
    ),
    ["delta: one", "answer: two", "delta:  more", "end"],
  );
});

test("an answer to an earlier message says which, so that it is not taken for the answer to the last", () => {
  const conversation = new Conversation();
  const said = (messageId: string, text: string, clientMessageId: string) => event("message.accepted", { messageId, text, clientMessageId, provenance: "operator" });
  conversation.sending("c1");
  conversation.sending("c2");
  assert.deepEqual(kinds(conversation, said("m1", "Book 2pm", "c1"), said("m2", "How late is it?", "c2")), []);
  assert.deepEqual(kinds(conversation, event("reply", { text: "3pm", replyTo: ["m2"] }), event("reply", { text: "Booked.", replyTo: ["m1"] })), ["answer: 3pm", "answer: (to “Book 2pm”) Booked."]);
});

test("what other people say in the conversation is shown, what children and timers say is not", () => {
  const conversation = new Conversation();
  const said = (provenance: string) => event("message.accepted", { messageId: "m", text: "hi", clientMessageId: "other", provenance });
  assert.deepEqual(kinds(conversation, said("user"), said("child"), said("timer")), ["said: hi"]);
});

test("messages are counted off by answer, failure and cancel, also when these come before the acknowledgement", () => {
  const conversation = new Conversation();
  conversation.accepted("m1");
  conversation.accepted("m2");
  conversation.take(event("reply", { text: "x", replyTo: ["m1"] }));
  conversation.take(event("turn.ended", { outcome: "failed", messageIds: ["m2", "m3"], fault: { code: "X", message: "x" } }));
  conversation.accepted("m3");
  assert.equal(conversation.waiting, 0);
  conversation.accepted("m4");
  conversation.take(event("turn.ended", { outcome: "done", yielded: true, messageIds: ["m4"] }));
  assert.equal(conversation.waiting, 1, "a turn that waits for children has not answered");
  conversation.take(event("message.cancelled", { messageIds: ["m4"], by: "me" }));
  assert.equal(conversation.waiting, 0);
});

test("the answer to a command is shown once, whichever of its two ways here was quicker", () => {
  const notice = event("reply", { text: "the help", replyTo: ["m1"], code: "COMMAND" });
  const conversation = new Conversation();
  assert.deepEqual([...conversation.commandReply("the help"), ...conversation.take(notice)], [{ kind: "answer", text: "the help" }]);
  assert.deepEqual([...conversation.take(notice), ...conversation.commandReply("the help")], [{ kind: "answer", text: "the help" }]);
});
