/** Conversations as models are shown them: made from steps, cut by a compaction. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { NO_USAGE, toolCallsOf, type AssistantPart, type ChatMessage } from "../../src/model/chat.ts";
import { entriesOfSteps, modelStepKey, toChat, toolStepKey } from "../../src/model/transcript.ts";
import type { Entry, StepRecord } from "../../src/model/turn.ts";
import { compactionCut, compactionPrompt } from "../../src/turns/compact.ts";
import { nastyText } from "./hostile.ts";
import { target } from "./target.ts";

const callId = fc.oneof(fc.stringMatching(/^call_[0-9]$/), fc.constantFrom("a:b", "__proto__", "x"));
const part: fc.Arbitrary<AssistantPart> = fc.oneof(
  fc.record({ type: fc.constant("text" as const), text: nastyText }),
  fc.record({ type: fc.constant("reasoning" as const), text: nastyText, provider: fc.constant({ anthropic: { signature: "s" } }) }),
  fc.record({ type: fc.constant("tool-call" as const), callId, tool: fc.constantFrom("read", "write"), input: fc.constant({}) }),
);
/** One round of a turn: an answer, and how far each of its calls got. */
const round = fc.record({
  parts: fc.array(part, { maxLength: 5 }).map((parts) => parts.filter((one, index) => one.type !== "tool-call" || !parts.slice(0, index).some((other) => other.type === "tool-call" && other.callId === one.callId))),
  calls: fc.array(fc.constantFrom("none", "intent", "done", "unknown"), { minLength: 5, maxLength: 5 }),
  steer: fc.option(nastyText, { nil: null }),
  isAnswered: fc.boolean(),
});

const conversation = target({
  name: "transcripts",
  fact: "whatever steps a turn had when it was cut off, its entries are a conversation that any provider accepts, and so is what a compaction leaves",
  share: 14,
  open: () => ({
    inputs: fc.record({ turns: fc.array(fc.record({ said: nastyText, rounds: fc.array(round, { maxLength: 4 }), notice: fc.boolean() }), { maxLength: 5 }), shuffle: fc.boolean(), tokensMax: fc.integer({ min: 1, max: 60 }), entriesMax: fc.integer({ min: 1, max: 12 }) }),
    check({ turns, shuffle, tokensMax, entriesMax }) {
      const entries: Entry[] = [];
      const add = (content: Entry["content"]): void => void entries.push({ seq: entries.length + 1, content, turnId: null, at: 0, provenance: "user", messageIds: [] } as unknown as Entry);
      for (const { said, rounds, notice } of turns) {
        add({ role: "user", text: said });
        const steps = rounds.flatMap(stepsOf);
        for (const { content } of entriesOfSteps(shuffle ? withToolsFirst(steps) : steps)) add(content);
        if (notice) add({ role: "notice", text: "stopped" } as Entry["content"]);
      }
      expectValid(toChat(entries));
      const cut = compactionCut(entries, { tokensMax, entriesMax });
      if (cut === null) return;
      const rest = entries.filter(({ seq }) => seq > cut);
      expectValid(toChat(rest));
      assert.ok(rest.length < entries.length, "a compaction leaves less than there was");
      assert.ok(rest.length === 0 || rest[0]!.content.role === "user");
      compactionPrompt(null, entries.filter(({ seq }) => seq <= cut));
    },
  }),
});

function stepsOf({ parts, calls, steer, isAnswered }: { parts: readonly AssistantPart[]; calls: readonly string[]; steer: string | null; isAnswered: boolean }, index: number): StepRecord[] {
  const number = index + 1;
  const answer = { parts, stop: "end" as const, usage: NO_USAGE, model: "m" };
  const steps: StepRecord[] = [{ key: modelStepKey(number), kind: "model", name: "m", effect: "pure", input: null, state: isAnswered ? "done" : "intent", result: isAnswered ? { kind: "model", answer } : null }];
  if (isAnswered) {
    toolCallsOf(parts).forEach((call, at) => {
      const how = calls[at];
      if (how === "none" || how === undefined) return;
      const result = how === "done" ? ({ kind: "tool", result: { callId: call.callId, tool: call.tool, text: "r", isError: false } } as const) : null;
      steps.push({ key: toolStepKey(number, call.callId), kind: "tool", name: call.tool, effect: "once", input: {}, state: how as StepRecord["state"], result });
    });
  }
  if (steer !== null) steps.push({ key: `steer:${number}`, kind: "steer", name: "steer", effect: "keyed", input: null, state: "done", result: { kind: "steer", text: steer, messageIds: [] } });
  return steps;
}

function withToolsFirst(steps: readonly StepRecord[]): StepRecord[] {
  return [...steps.filter(({ kind }) => kind === "tool"), ...steps.filter(({ kind }) => kind !== "tool")];
}

function expectValid(messages: readonly ChatMessage[]): void {
  messages.forEach((message, index) => {
    const before = messages[index - 1];
    const asked = before?.role === "assistant" ? toolCallsOf(before.parts).map((call) => call.callId) : [];
    const answered = message.role === "tool" ? message.results.map((result) => result.callId) : [];
    assert.deepEqual(answered, asked, `message ${index} answers the calls before it`);
    if (message.role === "assistant") assert.ok(message.parts.length > 0);
  });
  const last = messages.at(-1);
  assert.ok(last?.role !== "assistant" || toolCallsOf(last.parts).length === 0, "no call is left open at the end");
}

export const CONVERSATION_TARGETS = [conversation];
