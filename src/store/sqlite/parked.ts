/**
 * Turns whose model call waits for its provider, or that wait for their coding agent, which is at work on something else.
 *
 * A parked turn runs on as far as its lane is concerned, but it lends its slot to others, and the
 * deadline of its task and the watch over its progress rest. When its call is let through it takes its
 * slot back over the pool's size if need be: the provider's limits hold it back already, and a second
 * line would only be longer.
 */
import type { TurnId } from "../../base/ids.ts";
import type { PoolName } from "../../model/lane.ts";
import type { Parking } from "../../model/parking.ts";
import type { TurnRef } from "../../model/turn.ts";
import type { Kernel, Row } from "./kernel.ts";
import { lastNewResultAt } from "./progress.ts";

/** Slots of one pool that may be lent at a time, so that a long wall does not start every turn there is. */
const LENT_SLOTS_MAX = 256;

export function parkTurn(k: Kernel, { turn, parking }: { turn: TurnRef; parking: Parking }): boolean {
  const row = k.get("SELECT * FROM turn WHERE id = ? AND epoch = ? AND state = 'running'", turn.turnId, turn.epoch);
  if (row === undefined) return false;
  const now = k.now();
  // Where its coding agent is at work, the task is: its deadline goes on.
  const task = row["task_id"] === null || parking.reason === "harness" ? undefined : k.get("SELECT * FROM task WHERE id = ? AND ended_at IS NULL", row["task_id"]);
  const progressDueAt = task === undefined || task["progress_due_at"] === null ? null : Math.max(task["progress_due_at"], (lastNewResultAt(k, task) ?? 0) + task["progress_ms"]);
  const left = (at: number | null | undefined): number | null => (at == null ? null : Math.max(0, at - now));
  const isNew = k.run(
    "INSERT INTO parked (turn_id, since, reason, model, until, deadline_left_ms, progress_left_ms) VALUES (?,?,?,?,?,?,?) ON CONFLICT (turn_id) DO NOTHING",
    turn.turnId, now, parking.reason, parking.model, Math.ceil(parking.until), left(task?.["deadline_at"]), left(progressDueAt),
  );
  if (isNew === 0) return true;
  k.forget();
  if (task !== undefined) k.run("UPDATE task SET deadline_at = NULL, progress_due_at = NULL WHERE id = ?", task["id"]);
  k.emit(turn.session, { type: "turn.parked", turnId: turn.turnId, taskId: row["task_id"], data: { reason: parking.reason, model: parking.model, until: Math.ceil(parking.until), ahead: parking.ahead } });
  return true;
}

export function unparkTurn(k: Kernel, turn: TurnRef): boolean {
  const row = k.get("SELECT * FROM turn WHERE id = ? AND epoch = ? AND state = 'running'", turn.turnId, turn.epoch);
  const parked = row === undefined ? undefined : takeOut(k, turn.turnId);
  if (parked === undefined) return false;
  k.emit(turn.session, { type: "turn.resumed", turnId: turn.turnId, taskId: row!["task_id"], data: { waitedMs: Math.max(0, k.now() - parked["since"]) } });
  return true;
}

/** After a start nothing waits any more: turns that go on ask again, and find the same wall. */
export function unparkAll(k: Kernel): void {
  for (const { turn_id: turnId } of k.all("SELECT turn_id FROM parked")) takeOut(k, turnId);
}

/** A turn that ends while it is parked. Costs nothing while none is. */
export function leaveParking(k: Kernel, turnId: TurnId): void {
  if (parkedCount(k) > 0) takeOut(k, turnId);
}

/** Slots of a pool that are lent out. */
export function slotsLent(k: Kernel, pool: PoolName): number {
  if (parkedCount(k) === 0) return 0;
  return Math.min(LENT_SLOTS_MAX, k.count("SELECT count(*) FROM parked p JOIN turn t ON t.id = p.turn_id WHERE t.pool = ? AND t.state = 'running'", pool));
}

/** Its coding agent is at work on something else. */
export function waitsForHarness(k: Kernel, turnId: TurnId): boolean {
  return parkedCount(k) > 0 && k.get("SELECT 1 FROM parked WHERE turn_id = ? AND reason = 'harness'", turnId) !== undefined;
}

/** Remembered, because every claim and every end of a turn asks, and it is nearly always none. */
function parkedCount(k: Kernel): number {
  return k.remember("parked turns", () => k.count("SELECT count(*) FROM parked"));
}

function takeOut(k: Kernel, turnId: TurnId): Row | undefined {
  const parked = k.get("DELETE FROM parked WHERE turn_id = ? RETURNING *", turnId);
  if (parked === undefined) return undefined;
  k.forget();
  const { deadline_left_ms: deadlineMs, progress_left_ms: progressMs } = parked;
  const taskId = deadlineMs === null && progressMs === null ? null : k.get("SELECT task_id FROM turn WHERE id = ?", turnId)!["task_id"];
  if (taskId === null) return parked;
  // Both rest until no turn of the child is parked any more.
  const other = k.get("SELECT p.turn_id FROM parked p JOIN turn t ON t.id = p.turn_id WHERE t.task_id = ? LIMIT 1", taskId);
  if (other !== undefined) k.run("UPDATE parked SET deadline_left_ms = coalesce(?, deadline_left_ms), progress_left_ms = coalesce(?, progress_left_ms) WHERE turn_id = ?", deadlineMs, progressMs, other["turn_id"]);
  else k.run("UPDATE task SET deadline_at = coalesce(?1 + ?2, deadline_at), progress_due_at = coalesce(max(?1 + ?3, coalesce(progress_due_at, 0)), progress_due_at) WHERE id = ?4 AND ended_at IS NULL", k.now(), deadlineMs, progressMs, taskId);
  return parked;
}
