/** Starting children, and saying what became of them. */
import { isJsonObject, parseJson, type Json } from "../../base/json.ts";
import type { ToolResult } from "../../model/chat.ts";
import { LABEL_LENGTH_MAX } from "../../model/task.ts";
import { play, say, using, type Act, type Scene } from "./act.ts";
import type { WantedCall } from "./conversation.ts";
import type { Digest, DigestChild } from "./read-digest.ts";

export interface Child {
  readonly task: string;
  readonly label: string;
}

/** For how many children the person said to wait; null = go on at once. */
export type WaitFor = "all" | "any" | number | null;

/** Characters of all results together, and at least of each, that a summary shows. */
const SUMMARY_MAX_CHARS = 8_000;
const SUMMARY_EACH_MIN_CHARS = 160;

/** The most labels that one sentence names. */
const NAMES_MAX = 20;

/** Spawns all children in one round; then answers, or ends the turn until they are done. */
export function startChildren(scene: Scene, noun: string, children: readonly Child[], waitFor: WaitFor): Act {
  const calls = children.map(({ task, label }): WantedCall => ({ tool: "sessions_spawn", input: { task, label: label.slice(0, LABEL_LENGTH_MAX) } }));
  return using(scene, calls, (results) => {
    const started = children.filter((_child, index) => isAccepted(results[index]!)).map((child) => child.label);
    const refused = children.flatMap((child, index) => (isAccepted(results[index]!) ? [] : [`${child.label} (${firstLine(results[index]!.text)})`]));
    const problems = refused.length === 0 ? "" : ` Not started: ${refused.join("; ")}.`;
    if (started.length === 0) return say(`I could not start anything.${problems}`);
    if (waitFor !== null) return waitForChildren(scene, waitFor, problems);
    const count = `${started.length} ${started.length === 1 ? noun : plural(noun)}`;
    return say(`I started ${count} in the background: ${names(started)}.${problems} I will summarise when ${started.length === 1 ? "it is" : "they are"} done; ask me anything meanwhile.`);
  });
}

/** The digest that wakes the session is an ask of its own, so a wait that holds has nothing to say. */
function waitForChildren(scene: Scene, waitFor: "all" | "any" | number, problems: string): Act {
  return using(scene, [{ tool: "sessions_yield", input: { waitFor } }], ([waited]) => {
    if (waited!.isError) return say(`They were started, but I could not wait for them: ${firstLine(waited!.text)}${problems}`);
    return problems === "" ? play() : say(problems.trim());
  });
}

export function summaryOf({ children, stillRunning }: Digest): Act {
  const each = Math.max(SUMMARY_EACH_MIN_CHARS, Math.floor(SUMMARY_MAX_CHARS / Math.max(1, children.length)));
  const failed = children.filter((child) => !child.state.startsWith("succeeded")).length;
  const head = children.length === 1 ? "The background task is over." : `${children.length} background tasks are over${failed === 0 ? "" : `, ${failed} of them without success`}.`;
  const lines = children.map((child) => `- ${child.label} ${child.state.replace(/ \(task_\w+\)/, "")}${resultOf(child, each)}`);
  const rest = stillRunning.length === 0 ? [] : [`Still running: ${names(stillRunning)}.`];
  return say([`${head} Summary:`, ...lines, ...rest].join("\n"));
}

function resultOf(child: DigestChild, lengthMax: number): string {
  const text = child.result.replace(/^Looking into .*\n+/, "").replace(/\s+/g, " ").trim();
  if (text === "") return "";
  return `: ${text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}…`}`;
}

function isAccepted(result: ToolResult): boolean {
  const answer = jsonIn(result.text);
  return !result.isError && isJsonObject(answer) && answer["status"] === "accepted";
}

/** A tool's text as JSON; null when it is none. */
export function jsonIn(text: string): Json {
  try {
    return parseJson(text);
  } catch {
    return null;
  }
}

export function firstLine(text: string): string {
  const lengthMax = 300;
  return text.trim().split("\n")[0]!.slice(0, lengthMax);
}

export function names(labels: readonly string[]): string {
  const shown = labels.slice(0, NAMES_MAX).join(", ");
  return labels.length <= NAMES_MAX ? shown : `${shown} and ${labels.length - NAMES_MAX} more`;
}

function plural(noun: string): string {
  return /(?:s|ch|sh|x)$/.test(noun) ? `${noun}es` : `${noun}s`;
}
