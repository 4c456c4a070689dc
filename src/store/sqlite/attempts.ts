/** Attempts of one child: whether it still brings anything new, and how it begins again. */
import type { SessionKey, TaskId } from "../../base/ids.ts";
import type { FaultRecord } from "../../model/faults.ts";
import { backoffMs, HEARTBEAT_MS, QUIET_LOOK_MS, type Attempt, type FileChange, type QuietTurn } from "../../model/supervision.ts";
import { isCircuitOpen } from "./circuits.ts";
import { appendEntry } from "./entries.ts";
import type { Kernel, Row } from "./kernel.ts";
import { insertMessage } from "./inbox.ts";
import { refreshLane } from "./lane-state.ts";
import { lastNewResultAt } from "./progress.ts";

/** Stands before the schema that a child's result must fit. */
export const SCHEMA_REQUEST = "[result] End with one JSON value and nothing else. It must fit this JSON Schema:";

/** What a child is told at the beginning of each attempt. */
export function taskText(task: string, schema: string | null): string {
  return schema === null ? task : `${task}\n\n${SCHEMA_REQUEST}\n${schema}`;
}

/** Whether a child whose attempt is over may try again by its policy. */
export function mayTryAgain(k: Kernel, task: Row): boolean {
  return task["attempt"] < task["attempt_last"] && !isCircuitOpen(k, task);
}

/**
 * The next attempt of a child whose turns have stopped: same task, same session, empty context.
 * It starts by itself after its back-off.
 */
export function beginNextAttempt(k: Kernel, task: Row, why: { fault: FaultRecord; by: string; delayMs?: number; fork: (session: SessionKey) => void }): void {
  const now = k.now();
  const session = task["session"] as SessionKey;
  const attempt = task["attempt"] + 1;
  const model = task["retry_model"] ?? task["model"];
  const delayMs = why.delayMs ?? backoffMs(task["backoff_seconds"], attempt);
  k.run("INSERT INTO attempt (task_id, attempt, model, fault, started_at, ended_at) VALUES (?,?,?,?,?,?)", task["id"], task["attempt"], task["model"], JSON.stringify(why.fault), task["started_at"], now);
  k.run(
    "UPDATE task SET state = 'queued', attempt = ?, attempt_last = max(attempt_last, ?), model = ?, started_at = NULL, progress_due_at = NULL, alive_at = NULL, corrections = 0 WHERE id = ?",
    attempt, attempt, model, task["id"],
  );
  const text = `attempt ${task["attempt"]} is over: ${why.fault.message}`;
  const upTo = appendEntry(k, session, { turnId: null, content: { role: "notice", text }, messageIds: [], provenance: "system" });
  k.run("UPDATE session SET summary = NULL, summary_upto = ?, model = coalesce(?, model) WHERE key = ?", upTo, task["retry_model"], session);
  if (task["forked"] === 1) why.fork(session);
  insertMessage(k, session, { text: taskText(task["task"], task["output_schema"]), provenance: task["parent_session"] === null ? "operator" : "agent", channel: "spawn", mode: "followup", readyAt: now + delayMs });
  refreshLane(k, session);
  const data = { label: task["label"], session, state: "queued", attempt, attempts: Math.max(task["attempt_last"], attempt), after: task["id"], by: why.by, delayMs, model, fault: { ...why.fault } as never };
  k.emit((task["parent_session"] ?? session) as SessionKey, { type: "task.attempt", taskId: task["id"], data });
}

export function attempts(k: Kernel, id: TaskId): Attempt[] {
  return k.all("SELECT * FROM attempt WHERE task_id = ? ORDER BY attempt", id).map((row) => {
    const { code, message } = JSON.parse(row["fault"]) as FaultRecord;
    return { attempt: row["attempt"], model: row["model"], startedAt: row["started_at"], endedAt: row["ended_at"], code, message };
  });
}

// ── progress ────────────────────────────────────────────────────────────────────────────────

/** A turn of the child starts, or goes on after a crash: from now on something new must come in time. */
export function armProgress(k: Kernel, task: Row): void {
  if (task["progress_ms"] !== null) k.run("UPDATE task SET progress_due_at = ? WHERE id = ?", k.now() + task["progress_ms"], task["id"]);
}

/**
 * A step of a child ended: it is alive. Its parent's log hears of it now and then, so that silence
 * there means something; whether it brings anything new is another question.
 */
export function noteLife(k: Kernel, taskId: TaskId, step: string): void {
  const now = k.now();
  const task = k.get("SELECT label, session, parent_session, state, started_at, alive_at FROM task WHERE id = ? AND ended_at IS NULL", taskId);
  if (task === undefined) return;
  k.run("UPDATE task SET alive_at = ? WHERE id = ?", now, taskId);
  const before = task["alive_at"] ?? task["started_at"] ?? now;
  if (Math.floor(before / HEARTBEAT_MS) === Math.floor(now / HEARTBEAT_MS)) return;
  const { label, session, state } = task;
  k.emit((task["parent_session"] ?? session) as SessionKey, { type: "task.progress", taskId, data: { label, session, state, lastStep: step } });
}

/** What is to be made of a child whose time for progress is over: it has time left after all, stood still, or its files may tell. */
export type Standing = "has time" | "stands still" | QuietTurn;

/**
 * Whether a child whose time for progress is over has really stood still. What counts is the result
 * of a tool that this attempt has not had before; a call that brings the same again does not, and
 * neither do bytes of an answer. A call that still runs is judged by its files, unless it is only
 * repeated. Looked at only when the time is over: it costs nothing until then.
 */
export function standingOf(k: Kernel, task: Row, now: number): Standing {
  // Of turns that wait for their provider the watch rests; another one beside them may have set it going.
  const isAtWork = k.get("SELECT 1 FROM turn t WHERE t.session = ? AND t.state = 'running' AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.turn_id = t.id AND p.reason <> 'harness')", task["session"]) !== undefined;
  if (!isAtWork) {
    k.run("UPDATE task SET progress_due_at = NULL WHERE id = ?", task["id"]);
    return "has time";
  }
  const at = lastNewResultAt(k, task);
  const dueAt = Math.max((at ?? 0) + task["progress_ms"], task["progress_due_at"]);
  if (dueAt > now) {
    k.run("UPDATE task SET progress_due_at = ? WHERE id = ?", dueAt, task["id"]);
    return "has time";
  }
  const turn = turnInNewCall(k, task, at);
  if (turn === undefined) return "stands still";
  k.run("UPDATE task SET progress_due_at = ? WHERE id = ?", now + QUIET_LOOK_MS, task["id"]);
  return { turnId: turn["id"], session: task["session"], epoch: turn["epoch"], since: dueAt - task["progress_ms"] };
}

/** The files of a child were looked at. True: neither they nor its steps brought anything new. */
export function stoodStill(k: Kernel, task: Row, change: FileChange | null): boolean {
  const now = k.now();
  const movedAt = Math.max(lastNewResultAt(k, task) ?? 0, Math.min(change?.at ?? 0, now));
  if (movedAt + task["progress_ms"] <= now) return true;
  k.run("UPDATE task SET progress_due_at = ? WHERE id = ?", movedAt + task["progress_ms"], task["id"]);
  if (change === null) return false;
  const { label, session, parent_session: parent, state } = task;
  k.run("UPDATE task SET alive_at = max(coalesce(alive_at, 0), ?) WHERE id = ?", movedAt, task["id"]);
  k.emit((parent ?? session) as SessionKey, { type: "task.progress", taskId: task["id"], data: { label, session, state, changedFile: change.path } });
  return false;
}

/** The turn in which a tool works on a call that was not made and over already since the last new result. */
function turnInNewCall(k: Kernel, task: Row, newResultAt: number | null): Row | undefined {
  return k.get(
    `SELECT t.id, t.epoch FROM turn t JOIN step s ON s.turn_id = t.id
     WHERE t.session = ?1 AND t.state = 'running' AND s.kind = 'tool' AND s.state = 'intent' AND NOT EXISTS (
       SELECT 1 FROM turn u JOIN step done ON done.turn_id = u.id
       WHERE u.session = ?1 AND u.started_at >= ?2 AND done.kind = 'tool' AND done.state = 'done' AND done.ended_at > ?3 AND done.name = s.name AND done.input IS s.input)
     ORDER BY t.handle DESC LIMIT 1`,
    task["session"], task["started_at"] ?? 0, newResultAt ?? 0,
  );
}
