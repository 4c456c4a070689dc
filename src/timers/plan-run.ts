/** From a job's payload to what its run does: reads the files that it is about, decides, writes nothing. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Job, JobSpec, PlanItem, RunPlan } from "../model/job.ts";
import type { Calendar } from "./calendar.ts";

/** Of a plan or a HEARTBEAT.md, bytes. */
const FILE_BYTES_MAX = 1_000_000;
/** Open items that a run may choose from. */
const ITEMS_MAX = 100;

export type Planned = RunPlan | { readonly kind: "done"; readonly why: string };

export function planRun({ spec }: Job, { now, calendar, workspaceOf, manual }: { now: number; calendar: Calendar; workspaceOf: (agent: string) => string; manual: boolean }): Planned {
  if (!manual && isOutside(spec, now, calendar)) return { kind: "skip", reason: "outside its active hours" };
  const { payload } = spec;
  switch (payload.kind) {
    case "systemEvent":
      return { kind: "message", text: payload.text, model: null };
    case "agentTurn":
      return { kind: "message", text: payload.message, model: payload.model };
    case "watchdog":
      return { kind: "watchdog", target: payload.target, action: payload.action, text: payload.text };
    case "heartbeat": {
      const text = readText(join(workspaceOf(spec.agent), "HEARTBEAT.md"));
      if (text === null || !saysSomething(text)) return { kind: "skip", reason: "HEARTBEAT.md is empty" };
      return { kind: "message", text: `${text.trim()}\n\nThis is your regular look at HEARTBEAT.md. Do what it says now. When there is nothing that the person must know, answer only ${payload.quietToken}.`, model: payload.model };
    }
    case "iterate": {
      const file = join(payload.folder, payload.plan);
      const text = readText(file);
      if (text === null) return { kind: "skip", reason: `there is no plan at ${file}` };
      const { open, total } = planItems(text);
      if (total === 0) return { kind: "skip", reason: `${file} has no items of the form "- [ ] what to do"` };
      if (open.length === 0) return { kind: "done", why: `all ${total} items of ${payload.plan} are checked` };
      const lead = payload.message ?? `Read AGENT.md in ${payload.folder} and follow it.`;
      const items: PlanItem[] = open.slice(0, ITEMS_MAX).map((item) => ({
        item,
        text: `${lead}\n\nWork in the folder ${payload.folder} on this item of ${payload.plan} and on no other:\n- [ ] ${item}\n\nWhen it is done, check it off in ${file}. When you cannot go on without a person, answer with a line that begins with STUCK: and says what is missing.`,
      }));
      return { kind: "item", folder: payload.folder, items, model: payload.model };
    }
  }
}

export function isOutside({ activeHours }: JobSpec, now: number, calendar: Calendar): boolean {
  if (activeHours === null) return false;
  const { from, to, tz } = activeHours;
  const minute = calendar.minuteOfDay(tz, now);
  return from <= to ? minute < from || minute >= to : minute < from && minute >= to;
}

/** The items of a checklist in Markdown: those that are open, each once, and how many there are. */
export function planItems(text: string): { open: string[]; total: number } {
  const open = new Set<string>();
  let total = 0;
  let fenced = false;
  for (const line of text.split("\n")) {
    if (/^\s*(```|~~~)/.test(line)) fenced = !fenced;
    const match = fenced ? null : /^\s*(?:[-*+]|\d+[.)])\s+\[([ xX])\]\s+(.+?)\s*$/.exec(line);
    if (match === null) continue;
    total++;
    if (match[1] === " ") open.add(match[2]!);
  }
  return { open: [...open], total };
}

/** Headings, comments and blank lines ask for nothing. */
function saysSomething(text: string): boolean {
  return text.replace(/<!--[\s\S]*?-->/g, "").split("\n").some((line) => line.trim() !== "" && !/^\s*#/.test(line));
}

function readText(file: string): string | null {
  try {
    const stat = statSync(file);
    return stat.isFile() && stat.size <= FILE_BYTES_MAX ? readFileSync(file, "utf8") : null;
  } catch {
    return null;
  }
}
