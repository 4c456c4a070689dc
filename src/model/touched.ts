/** What a turn's tool calls changed, by name: so that two turns side by side can be told of each other. */
import type { JsonObject } from "../base/json.ts";
import type { StepRecord } from "./turn.ts";

const RESOURCE_OF: Readonly<Record<string, (input: JsonObject) => string | null>> = {
  write: (input) => file(input["path"]),
  edit: (input) => file(input["path"]),
  memory: (input) => (input["action"] === "append" ? "file MEMORY.md" : null),
  sessions_send: (input) => named("session", input["session"]),
  subagents: (input) => (input["action"] === "steer" || input["action"] === "kill" ? named("session", input["target"]) : null),
};

export function touchedBy(steps: readonly StepRecord[]): ReadonlySet<string> {
  const touched = new Set<string>();
  for (const step of steps) {
    const resource = step.kind === "tool" && step.input !== null ? (RESOURCE_OF[step.name]?.(step.input) ?? null) : null;
    if (resource !== null) touched.add(resource);
    // A coding agent says by itself which files a call of a tool of its own has changed.
    if (step.result?.kind === "tool") for (const path of step.result.changed ?? []) touched.add(`file ${path}`);
  }
  return touched;
}

function file(path: unknown): string | null {
  return named("file", typeof path === "string" ? path.replace(/^\.\//, "") : path);
}

function named(what: string, name: unknown): string | null {
  return typeof name === "string" ? `${what} ${name}` : null;
}
