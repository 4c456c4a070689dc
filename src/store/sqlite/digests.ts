/** Digests in a parent's transcript: each child's result once, by whatever way it gets there. */
import type { SessionKey, TaskId, TurnId } from "../../base/ids.ts";
import { digestText, type FinishedChild } from "../../model/digest.ts";
import { appendEntry } from "./entries.ts";
import type { Kernel, Row } from "./kernel.ts";
import { refreshLane } from "./lane-state.ts";

/** Children that a digest names as still running. */
const STILL_RUNNING_MAX = 20;

/** Writes the results that these announcements stand for as one entry. @returns its text. */
export function writeDigest(k: Kernel, session: SessionKey, turnId: TurnId | null, announcements: readonly Row[]): string {
  const finished = announcements.map((message) => finishedChild(k, message["child_task"]));
  const running = k.all("SELECT label FROM task WHERE parent_session = ? AND ended_at IS NULL ORDER BY n LIMIT ?", session, STILL_RUNNING_MAX).map((row) => String(row["label"]));
  const text = digestText(finished, running);
  appendEntry(k, session, { turnId, content: { role: "user", text }, messageIds: announcements.map((message) => message["id"]), provenance: "child" });
  return text;
}

/**
 * For a session that is told to stop: results that were on their way go into the transcript, but
 * wake nobody. Without `waiting`, only those that a barrier held.
 */
export function deliverQuietly(k: Kernel, session: SessionKey, { waiting }: { waiting: boolean }): void {
  const announcements = k.all("SELECT * FROM message WHERE session = ? AND (state = 'held' OR (state = 'waiting' AND ?)) AND child_task IS NOT NULL ORDER BY n", session, waiting ? 1 : 0);
  if (announcements.length === 0) return;
  writeDigest(k, session, null, announcements);
  for (const message of announcements) {
    k.run("UPDATE message SET state = 'answered' WHERE id = ?", message["id"]);
    k.run("UPDATE task SET delivered_at = coalesce(delivered_at, ?) WHERE id = ?", k.now(), message["child_task"]);
    k.emit(session, { type: "task.delivered", taskId: message["child_task"], data: { quiet: true } });
  }
}

/** For a caller that asks for results instead of being woken by them. @returns whose they were. */
export function takeResults(k: Kernel, { session, tasks }: { session: SessionKey; tasks: readonly TaskId[] | null }): TaskId[] {
  const waiting = k.all("SELECT * FROM message WHERE session = ? AND state = 'waiting' AND child_task IS NOT NULL AND barrier_id IS NULL ORDER BY n", session);
  const taken = tasks === null ? waiting : waiting.filter((message) => tasks.includes(message["child_task"]));
  if (taken.length === 0) return [];
  writeDigest(k, session, null, taken);
  for (const message of taken) {
    k.run("UPDATE message SET state = 'answered' WHERE id = ?", message["id"]);
    k.emit(session, { type: "task.delivered", taskId: message["child_task"], data: { quiet: true } });
  }
  refreshLane(k, session);
  return taken.map((message) => message["child_task"]);
}

function finishedChild(k: Kernel, taskId: TaskId): FinishedChild {
  const task = k.get("SELECT * FROM task WHERE id = ?", taskId)!;
  return {
    taskId,
    label: task["label"],
    state: task["state"],
    result: task["output_json"] ?? task["result"],
    fault: task["fault"] === null ? null : JSON.parse(task["fault"]),
    ms: task["ended_at"] - task["queued_at"],
  };
}
