/**
 * A digest: the results of one or more finished children, as the one message that their parent gets.
 *
 * Everything that a child said is quoted line by line, so that it can never pass for words of the
 * person or of the gateway. States come from the runtime, never from what a child says.
 */
import type { FaultRecord } from "./faults.ts";
import type { TaskState } from "./task.ts";

/** The most of one child's result that its parent is given, characters; the task keeps all of it. */
export const DIGEST_RESULT_MAX_CHARS = 24_000;

export interface FinishedChild {
  readonly taskId: string;
  readonly label: string;
  readonly state: TaskState;
  readonly result: string | null;
  readonly fault: FaultRecord | null;
  readonly ms: number;
}

const HOW: Partial<Record<TaskState, string>> = {
  succeeded: "succeeded",
  failed: "failed",
  timed_out: "timed out",
  cancelled: "was cancelled",
  lost: "was lost",
};

export function digestText(children: readonly FinishedChild[], stillRunning: readonly string[] = []): string {
  const lines = [children.length === 1 ? "[result of a background task]" : `[results of ${children.length} background tasks]`];
  children.forEach((child, index) => {
    const reason = child.fault === null ? "" : `: ${oneLine(child.fault.message)}`;
    lines.push(`${index + 1}. ${JSON.stringify(child.label)} ${HOW[child.state] ?? child.state} in ${(child.ms / 1000).toFixed(1)} s (${child.taskId})${reason}`);
    if (child.result !== null && child.result !== "") lines.push(quote(shorten(child.result)));
  });
  if (stillRunning.length > 0) lines.push(`[still running: ${stillRunning.map((label) => JSON.stringify(label)).join(", ")}]`);
  return lines.join("\n");
}

function quote(text: string): string {
  return text.split("\n").map((line) => `> ${line}`).join("\n");
}

function shorten(text: string): string {
  if (text.length <= DIGEST_RESULT_MAX_CHARS) return text;
  return `${text.slice(0, DIGEST_RESULT_MAX_CHARS)}\n(${text.length - DIGEST_RESULT_MAX_CHARS} more characters: subagents {"action":"log"})`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ");
}
