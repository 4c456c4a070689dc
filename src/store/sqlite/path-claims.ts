/**
 * Claims of children: who may go on, and who waits in line for whom.
 *
 * Always true:
 *   - a child with claims runs only while no older child outside its own line of ancestors holds one
 *     that overlaps; older ones that wait themselves are waited for too, so nobody is overtaken
 *   - claims are gone when their child has ended
 *   - a wait that could never end is refused when the child is spawned: waits for claims go to older
 *     children only, so a circle can close only through the children of somebody who is waited for
 */
import type { SessionKey, TaskId } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import { fencesOverlap, type Fence } from "../../model/path-claims.ts";
import type { OnConflict } from "../../model/supervision.ts";
import type { Kernel, Row } from "./kernel.ts";
import { refreshLane } from "./lane-state.ts";

/** Puts a new child's claims down. @returns those that it waits for. @throws {Fault} CLAIM_TAKEN, CLAIM_DEADLOCK. */
export function takeClaims(k: Kernel, task: Row, { workspace, claims }: Fence, onConflict: OnConflict): readonly Row[] {
  claims.forEach((claim, n) => k.run("INSERT INTO claim (task_id, n, workspace, claim) VALUES (?,?,?,?)", task["id"], n, workspace, claim));
  const blockers = blockersOf(k, task);
  if (blockers.length === 0) return [];
  const claim = claims.join(", ");
  const holder = String(blockers[0]!["label"]);
  if (onConflict === "refuse") throw new Fault("CLAIM_TAKEN", { claim, holder });
  if (wouldWaitForItself(k, task, blockers)) throw new Fault("CLAIM_DEADLOCK", { claim, holder });
  k.run("UPDATE task SET blocked = 1 WHERE id = ?", task["id"]);
  return blockers;
}

/** After a child with claims has ended: those that waited for it go on, the oldest first. */
export function releaseClaims(k: Kernel, taskId: TaskId): void {
  if (k.run("DELETE FROM claim WHERE task_id = ?", taskId) === 0) return;
  for (const waiting of k.all("SELECT * FROM task WHERE blocked = 1 AND ended_at IS NULL ORDER BY n")) {
    if (blockersOf(k, waiting).length > 0) continue;
    k.run("UPDATE task SET blocked = 0 WHERE id = ?", waiting["id"]);
    refreshLane(k, waiting["session"]);
    k.emit((waiting["parent_session"] ?? waiting["session"]) as SessionKey, { type: "task.progress", taskId: waiting["id"], data: { label: waiting["label"], session: waiting["session"], state: "queued", claimed: JSON.parse(waiting["claims"]) } });
  }
}

/** Older children whose claims overlap with those of this one. */
export function blockersOf(k: Kernel, task: Row): readonly Row[] {
  const mine = fenceOf(k, task["id"]);
  if (mine.claims.length === 0) return [];
  const ancestors = ancestorsOf(k, task);
  return k
    .all("SELECT * FROM task WHERE id IN (SELECT task_id FROM claim) AND n < ? AND ended_at IS NULL ORDER BY n", task["n"])
    .filter((other) => !ancestors.has(other["id"]) && fencesOverlap(mine, fenceOf(k, other["id"])));
}

function fenceOf(k: Kernel, taskId: string): Fence {
  const rows = k.all("SELECT workspace, claim FROM claim WHERE task_id = ? ORDER BY n", taskId);
  return { workspace: rows[0]?.["workspace"] ?? "", claims: rows.map((row) => row["claim"]) };
}

function ancestorsOf(k: Kernel, task: Row): ReadonlySet<string> {
  const ids = new Set<string>();
  for (let id = task["parent_task"]; id !== null && id !== undefined; id = k.get("SELECT parent_task FROM task WHERE id = ?", id)?.["parent_task"]) ids.add(id);
  return ids;
}

/** Follows who waits for whom from those that this child would wait for, up to its own ancestors. */
function wouldWaitForItself(k: Kernel, task: Row, blockers: readonly Row[]): boolean {
  const ancestors = ancestorsOf(k, task);
  const seen = new Set<string>();
  const open = [...blockers];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    if (ancestors.has(one["id"])) return true;
    if (seen.has(one["id"])) continue;
    seen.add(one["id"]);
    open.push(...k.all("SELECT * FROM task WHERE parent_session = ? AND ended_at IS NULL", one["session"]));
    if (one["admitted"] === 0) open.push(...k.all("SELECT * FROM task WHERE parent_session = ? AND admitted = 1 AND ended_at IS NULL", one["parent_session"]));
    if (one["blocked"] === 1) open.push(...blockersOf(k, one));
  }
  return false;
}
