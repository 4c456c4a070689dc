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
/** The results of one digest share this, so that a thousand children do not make a message that no model can read. */
export const DIGEST_RESULTS_MAX_CHARS = 480_000;
const DIGEST_RESULT_MIN_CHARS = 200;

export interface FinishedChild {
  readonly taskId: string;
  readonly label: string;
  readonly state: TaskState;
  readonly result: string | null;
  readonly fault: FaultRecord | null;
  readonly ms: number;
}

/** Everything that some reader takes for the end of a line: a child must not begin one of the gateway's. */
const LINE_END = /\r\n|[\n\v\f\r\u0085\u2028\u2029]/;

const HOW: Partial<Record<TaskState, string>> = {
  succeeded: "succeeded",
  failed: "failed",
  timed_out: "timed out",
  cancelled: "was cancelled",
  lost: "was lost",
};

export function digestText(children: readonly FinishedChild[], stillRunning: readonly string[] = []): string {
  const lines = [children.length === 1 ? "[result of a background task]" : `[results of ${children.length} background tasks]`];
  const charsMax = Math.max(DIGEST_RESULT_MIN_CHARS, Math.min(DIGEST_RESULT_MAX_CHARS, Math.floor(DIGEST_RESULTS_MAX_CHARS / children.length)));
  children.forEach((child, index) => {
    const reason = child.fault === null ? "" : `: ${oneLine(child.fault.message)}`;
    lines.push(`${index + 1}. ${inQuotes(child.label)} ${HOW[child.state] ?? child.state} in ${(child.ms / 1000).toFixed(1)} s (${child.taskId})${reason}`);
    if (child.result !== null && child.result !== "") lines.push(quote(shorten(child.result, charsMax)));
  });
  if (stillRunning.length > 0) lines.push(`[still running: ${stillRunning.map(inQuotes).join(", ")}]`);
  return lines.join("\n");
}

function quote(text: string): string {
  return text.split(LINE_END).map((line) => `> ${line}`).join("\n");
}

/** As JSON does, and what JSON leaves as it is though it ends a line is escaped too. */
function inQuotes(label: string): string {
  return JSON.stringify(label).replace(/[\u0085\u2028\u2029]/g, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function shorten(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  const isPairCut = /[\uD800-\uDBFF]/.test(text[charsMax - 1]!);
  const end = isPairCut ? charsMax - 1 : charsMax;
  return `${text.slice(0, end)}\n(${text.length - end} more characters: subagents {"action":"log"})`;
}

function oneLine(text: string): string {
  return text.replace(/[\s\u0085]+/g, " ");
}
