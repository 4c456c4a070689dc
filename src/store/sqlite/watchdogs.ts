/** A watchdog looks at its target in the very transaction that fires it: what has ended is left alone. */
import type { TaskId } from "../../base/ids.ts";
import type { RunPlan } from "../../model/job.ts";
import type { Kernel, Row } from "./kernel.ts";
import { cancelTask, startAgain } from "./tasks.ts";

/** @returns why it did what it did, and the message to say; null = there is nothing to say. */
export function runWatchdog(k: Kernel, { target, action, text }: RunPlan & { kind: "watchdog" }, by: string): { reason: string; text: string | null } {
  const name = "task" in target ? target.task : "label" in target ? `"${target.label}"` : target.session;
  const task = findTask(k, target);
  if (task === undefined && "session" in target) return ofSession(k, target.session, text);
  if (task === undefined) return { reason: `no task ${name} was found`, text: said(text, `WATCHDOG: there is no task ${name}; it was never started, or it is gone.`) };
  const id = task["id"] as TaskId;
  if (task["ended_at"] !== null) return { reason: `nothing to do: ${name} has ended (${task["state"]})`, text: null };
  if (action === "surface") return { reason: `${name} has not ended`, text: said(text, `WATCHDOG: ${describe(task)} has not ended (${task["state"]}).`) };
  if (action === "cancel-and-retry") cancelTask(k, { task: id, by });
  const again = startAgain(k, k.get("SELECT * FROM task WHERE id = ?", id)!, by);
  return { reason: `${action === "retry" ? "started beside it" : "stopped and started again"} as ${again.taskId}`, text: said(text, `WATCHDOG: ${describe(task)} had not ended in time and was ${action === "retry" ? "started once more" : "stopped and started again"} as ${again.taskId}.`) };
}

function findTask(k: Kernel, target: (RunPlan & { kind: "watchdog" })["target"]): Row | undefined {
  if ("task" in target) return k.get("SELECT * FROM task WHERE id = ?", target.task);
  if ("session" in target) return k.get("SELECT * FROM task WHERE session = ? ORDER BY n DESC LIMIT 1", target.session);
  return k.get("SELECT * FROM task WHERE label = ? ORDER BY n DESC LIMIT 1", target.label);
}

/** A session that is no child: it has ended what it does when nothing of it runs or waits. */
function ofSession(k: Kernel, session: string, text: string | null): { reason: string; text: string | null } {
  const lane = k.get("SELECT state FROM lane WHERE session = ?", session);
  if (lane === undefined) return { reason: `no session ${session} was found`, text: said(text, `WATCHDOG: there is no session ${session}.`) };
  const runs = lane["state"] !== "idle" || k.get("SELECT 1 FROM turn WHERE session = ? AND state = 'running'", session) !== undefined;
  return runs ? { reason: `${session} is still at work`, text: said(text, `WATCHDOG: session ${session} is still at work.`) } : { reason: `nothing to do: ${session} is idle`, text: null };
}

function describe(task: Row): string {
  return `task ${JSON.stringify(task["label"])} (${task["id"]})`;
}

function said(own: string | null, fallback: string): string {
  return own === null ? fallback : `${own}\n${fallback}`;
}
