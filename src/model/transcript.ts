/**
 * From the steps of a turn to the entries that stay in the transcript.
 *
 * Always true of the result: every tool call is followed by its result, also when the turn was cut
 * off in the middle, so that any provider accepts the conversation afterwards.
 */
import type { MessageId } from "../base/ids.ts";
import { toolCallsOf, type AssistantPart, type ChatMessage, type ToolResult } from "./chat.ts";
import type { Entry, EntryContent, StepRecord } from "./turn.ts";

export const OUTCOME_UNKNOWN = "outcome unknown: the gateway was restarted while this ran, and it is not run again because it may have taken effect; check before you repeat it";
const NOT_FINISHED = "not finished: the turn was ended before this had a result";

export interface StepEntry {
  readonly content: EntryContent;
  readonly messageIds: readonly MessageId[];
}

export function entriesOfSteps(steps: readonly StepRecord[]): StepEntry[] {
  const entries: StepEntry[] = [];
  const results = new Map<string, ToolResult>();
  for (const step of steps) {
    if (step.kind === "tool" && step.result?.kind === "tool") results.set(step.key, step.result.result);
    if (step.kind === "tool" && step.state === "unknown") results.set(step.key, { callId: callIdOf(step.key), tool: step.name, text: OUTCOME_UNKNOWN, isError: true });
  }
  for (const step of steps) {
    if (step.result?.kind === "model") {
      const round = step.key.slice("model:".length);
      const parts = step.result.answer.parts;
      if (parts.length > 0) entries.push({ content: { role: "assistant", parts }, messageIds: [] });
      const calls = toolCallsOf(parts);
      if (calls.length === 0) continue;
      entries.push({
        content: {
          role: "tool",
          results: calls.map((call) => results.get(toolStepKey(round, call.callId)) ?? { callId: call.callId, tool: call.tool, text: NOT_FINISHED, isError: true }),
        },
        messageIds: [],
      });
    } else if (step.result?.kind === "steer") {
      entries.push({ content: { role: "user", text: step.result.text }, messageIds: step.result.messageIds });
    }
  }
  return entries;
}

export function modelStepKey(round: number): string {
  return `model:${round}`;
}

export function toolStepKey(round: number | string, callId: string): string {
  return `tool:${round}:${callId}`;
}

function callIdOf(stepKey: string): string {
  return stepKey.split(":").slice(2).join(":");
}

/** Entries as the model is shown them. */
export function toChat(entries: readonly Pick<Entry, "content">[]): ChatMessage[] {
  const messages: ChatMessage[] = [];
  for (const { content } of entries) {
    if (content.role === "notice") messages.push(noticeMessage(content.text));
    else if (content.role === "assistant") {
      const parts = content.parts.filter(isSendable);
      if (parts.length > 0) messages.push({ role: "assistant", parts });
    } else messages.push(content);
  }
  return messages;
}

/** What the gateway said itself reads as the assistant's own remark, so that turns keep alternating. */
function noticeMessage(text: string): ChatMessage {
  return { role: "assistant", parts: [{ type: "text", text: `[${text}]` }] };
}

function isSendable(part: AssistantPart): boolean {
  return part.type === "tool-call" || part.text !== "" || part.provider !== undefined;
}
