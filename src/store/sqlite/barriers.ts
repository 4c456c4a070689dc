/**
 * Barriers: a session that waits for children, as rows. Nothing holds a slot meanwhile.
 *
 *     open ──enough children ended──▶ met
 *       ├────deadline───────────────▶ timed_out
 *       └────session stopped────────▶ cancelled
 *
 * While a barrier is open, the messages of its children are held; when it is met they become one
 * digest for the session's next turn.
 */
import type { BarrierId, MessageId, SessionKey, TaskId } from "../../base/ids.ts";
import type { BarrierOpened, BarrierRequest } from "../store.ts";
import { armProgress } from "./attempts.ts";
import type { Kernel, Row } from "./kernel.ts";
import { insertMessage } from "./inbox.ts";
import { refreshLane } from "./lane-state.ts";

const NOTHING_LEFT = "[nothing is left to wait for]";

export function openBarrier(k: Kernel, request: BarrierRequest): BarrierOpened {
  const { session, turnId } = request.turn;
  const before = k.get("SELECT id, state FROM barrier WHERE step_key = ?", request.stepKey);
  if (before !== undefined) return { outcome: before["state"] === "open" ? "open" : "met", barrierId: before["id"], tasks: tasksOf(k, before["id"]) };

  const wanted = undelivered(k, session).filter((id) => request.tasks === null || request.tasks.includes(id));
  if (wanted.length === 0) return { outcome: "nothing-to-wait-for" };
  const need = request.waitFor === "all" ? wanted.length : request.waitFor === "any" ? 1 : Math.min(Math.max(1, request.waitFor), wanted.length);
  const barrierId = k.ids.barrier();
  k.run(
    "INSERT INTO barrier (id, session, turn_id, step_key, need, state, deadline_at) VALUES (?,?,?,?,?,'open',?)",
    barrierId, session, turnId, request.stepKey, need, request.timeoutMs === null ? null : k.now() + request.timeoutMs,
  );
  for (const task of wanted) {
    k.run("INSERT INTO barrier_task VALUES (?, ?)", barrierId, task);
    k.run("UPDATE message SET state = 'held', barrier_id = ? WHERE child_task = ? AND session = ? AND state = 'waiting' AND barrier_id IS NULL", barrierId, task, session);
  }
  const met = checkBarrier(k, barrierId);
  refreshLane(k, session);
  return { outcome: met ? "met" : "open", barrierId, tasks: wanted };
}

/** Children that are active, or whose result no turn has taken yet and no earlier barrier released for its own turn. */
function undelivered(k: Kernel, session: SessionKey): TaskId[] {
  return k
    .all(
      `SELECT id FROM task WHERE parent_session = ?1 AND ended_at IS NULL
       UNION SELECT child_task FROM message WHERE session = ?1 AND state = 'waiting' AND child_task IS NOT NULL AND barrier_id IS NULL`,
      session,
    )
    .map((row) => row["id"] as TaskId);
}

function tasksOf(k: Kernel, barrierId: string): TaskId[] {
  return k.all("SELECT task_id FROM barrier_task WHERE barrier_id = ?", barrierId).map((row) => row["task_id"] as TaskId);
}

/** The open barriers that wait for a child; the one that was opened first gets its result. */
export function barriersFor(k: Kernel, session: SessionKey, task: TaskId): BarrierId[] {
  return k
    .all(
      `SELECT b.id FROM barrier b JOIN barrier_task t ON t.barrier_id = b.id JOIN turn u ON u.id = b.turn_id
       WHERE t.task_id = ? AND b.session = ? AND b.state = 'open' ORDER BY u.handle, b.id`,
      task, session,
    )
    .map((row) => row["id"] as BarrierId);
}

/** The turn that a barrier wakes answers these messages. When another turn took its digest already, one more is woken for them. */
export function oweAnswers(k: Kernel, barrierId: BarrierId, messages: readonly MessageId[]): void {
  const barrier = k.get("UPDATE barrier SET owed = ? WHERE id = ? RETURNING session, state", JSON.stringify(messages), barrierId)!;
  if (barrier["state"] === "open" || k.get("SELECT 1 FROM message WHERE session = ? AND state = 'waiting' AND barrier_id = ?", barrier["session"], barrierId) !== undefined) return;
  wake(k, barrier["session"], barrierId, NOTHING_LEFT);
}

/**
 * A session that is stopped waits for nothing any more, and what its barriers owed is not answered.
 * Without `released`, those whose digest is in line already are left alone: it pays their debt.
 */
export function cancelBarriers(k: Kernel, session: SessionKey, { by, released }: { by: string; released: boolean }): void {
  const stopped = k.all("SELECT id, owed FROM barrier WHERE session = ?1 AND state = 'open' UNION SELECT id, owed FROM barrier WHERE session = ?1 AND owed <> '[]' AND ?2", session, released ? 1 : 0);
  const messageIds: MessageId[] = [];
  for (const { id, owed } of stopped) {
    k.run("UPDATE barrier SET state = CASE state WHEN 'open' THEN 'cancelled' ELSE state END, owed = '[]' WHERE id = ?", id);
    k.run("UPDATE message SET state = 'cancelled' WHERE session = ? AND state = 'waiting' AND barrier_id = ? AND provenance = 'system'", session, id);
    for (const message of JSON.parse(owed) as MessageId[]) if (k.run("UPDATE message SET state = 'cancelled' WHERE id = ? AND state = 'taken'", message) === 1) messageIds.push(message);
  }
  if (messageIds.length > 0) k.emit(session, { type: "message.cancelled", data: { messageIds, by } });
  refreshLane(k, session);
}

/** Meets the barrier when enough of its children have ended. @returns whether it is met. */
export function checkBarrier(k: Kernel, barrierId: BarrierId): boolean {
  const barrier = k.get("SELECT * FROM barrier WHERE id = ? AND state = 'open'", barrierId);
  if (barrier === undefined) return true;
  const children = k.get("SELECT count(*) AS n, count(t.ended_at) AS ended FROM barrier_task b JOIN task t ON t.id = b.task_id WHERE b.barrier_id = ?", barrierId)!;
  if (children["ended"] < barrier["need"] && children["ended"] < children["n"]) return false;
  release(k, barrier, "met");
  return true;
}

export function expireBarriers(k: Kernel, now: number): void {
  for (const barrier of k.all("SELECT * FROM barrier WHERE state = 'open' AND deadline_at <= ?", now)) release(k, barrier, "timed_out");
}

function release(k: Kernel, barrier: Row, state: "met" | "timed_out"): void {
  const session = barrier["session"] as SessionKey;
  k.run("UPDATE barrier SET state = ? WHERE id = ?", state, barrier["id"]);
  const released = k.run("UPDATE message SET state = 'waiting', ready_at = ? WHERE barrier_id = ? AND state = 'held'", k.now(), barrier["id"]);
  if (released === 0) {
    const running = k.all("SELECT t.label FROM barrier_task b JOIN task t ON t.id = b.task_id WHERE b.barrier_id = ? AND t.ended_at IS NULL", barrier["id"]).map((row) => JSON.stringify(row["label"]));
    wake(k, session, barrier["id"], state === "timed_out" ? `[the time to wait is over; still running: ${running.join(", ")}]` : NOTHING_LEFT);
  }
  refreshLane(k, session);
}

function wake(k: Kernel, session: SessionKey, barrierId: BarrierId, text: string): void {
  insertMessage(k, session, { text, provenance: "system", channel: "barrier", mode: "followup", readyAt: k.now(), barrierId });
}

/** A child's turn starts: its task runs. */
export function wakeTask(k: Kernel, task: Row): void {
  const log = (task["parent_session"] ?? task["session"]) as SessionKey;
  armProgress(k, task);
  const event = { taskId: task["id"] as TaskId, data: { label: task["label"], session: task["session"], state: "running" } };
  if (task["state"] === "queued") {
    k.run("UPDATE task SET state = 'running', started_at = ? WHERE id = ?", k.now(), task["id"]);
    k.emit(log, { type: "task.started", ...event });
  } else if (task["state"] === "waiting") {
    k.run("UPDATE task SET state = 'running' WHERE id = ?", task["id"]);
    k.emit(log, { type: "task.progress", ...event });
  }
}
