import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChatMessage } from "../../model/chat.ts";
import { FoundOut, currentTurn, plainWords } from "./conversation.ts";

const user = (text: string): ChatMessage => ({ role: "user", text });
const answer = (text: string): ChatMessage => ({ role: "assistant", parts: [{ type: "text", text }] });
const called = (callId: string, action: string): ChatMessage => ({ role: "assistant", parts: [{ type: "tool-call", callId, tool: "subagents", input: { action } }] });
const result = (callId: string, text: string): ChatMessage => ({ role: "tool", results: [{ callId, tool: "subagents", text, isError: false }] });

test("messages after the last answer belong to the current turn, so that a batch is answered whole", () => {
  const turn = currentTurn([user("hello"), answer("Hello."), user("Book 2pm"), user("make that 3pm")]);
  assert.deepEqual(turn.asks, ["Book 2pm", "make that 3pm"]);
  assert.deepEqual(turn.earlier, ["hello"]);
});

test("a message that called tools is no answer, so the turn goes on through its rounds", () => {
  const turn = currentTurn([user("status"), called("c1", "list"), result("c1", "{}")]);
  assert.deepEqual(turn.asks, ["status"]);
  assert.equal(turn.answered.length, 1);
});

test("a message whose turn failed is not answered again, because the gateway's notice closed it", () => {
  const turn = currentTurn([user("fail"), answer("[This could not be answered: refused]"), user("hello")]);
  assert.deepEqual(turn.asks, ["hello"]);
});

test("a notice that comes while the turn runs does not end it", () => {
  const turn = currentTurn([user("wait 60 s"), answer("[goes on as T1]")]);
  assert.deepEqual(turn.asks, ["wait 60 s"]);
});

test("one result serves one ask, so two asks for the same tool get a result each", () => {
  const { answered } = currentTurn([user("status"), user("status"), called("c1", "list"), result("c1", "first")]);
  const found = new FoundOut(answered);
  const call = { tool: "subagents", input: { action: "list" } };
  assert.equal(found.take(call)?.text, "first");
  assert.equal(found.take(call), null);
});

test("marks of the gateway and politeness are no part of what was meant", () => {
  assert.equal(plainWords("[from telegram] [12:00] could you please list files"), "list files");
  assert.equal(plainWords("please"), "please");
  assert.equal(plainWords("[only a mark]"), "[only a mark]");
});
