/**
 * Plans: begun once, moved by compare-and-swap of their state, each move together with its event.
 *
 * A move from another state than the caller saw changes nothing and says so; then the caller looks again.
 */
import type { MergeId, PlanId, SessionKey } from "../../base/ids.ts";
import type { JsonObject } from "../../base/json.ts";
import { addUsage, NO_USAGE, type Usage } from "../../model/chat.ts";
import { mayMove, type PlanChange, type PlanRun, type PlanState, type PlanTaskChange, type PlanTaskRun, type PlanTaskState } from "../../model/plan-run.ts";
import { assert } from "../../base/assert.ts";
import type { NewPlanRun } from "../store.ts";
import type { Kernel, Row } from "./kernel.ts";
import type { MergeState } from "../../model/merge.ts";
import { openSession } from "./open-session.ts";
import { usageOf, USAGE_COLUMNS } from "./rows.ts";
import { merges, moveMerges } from "./workspaces.ts";

/** Merges that have not been given the right to move their branch. */
const OPEN_MERGES: readonly MergeState[] = ["queued", "running", "resolving"];

export function beginPlan(k: Kernel, { id, plan, file, verdict, repository, base, onto, session, mode, startKey }: NewPlanRun): { run: PlanRun; created: boolean } {
  const known = startKey === null ? undefined : k.get("SELECT * FROM plan WHERE start_key = ?", startKey);
  if (known !== undefined) return { run: runOf(k, known), created: false };
  openSession(k, session);
  k.run(
    "INSERT INTO plan (id, state, file, plan, verdict, repository, base, onto, session, mode, start_key, started_at) VALUES (?,'running',?,?,?,?,?,?,?,?,?,?)",
    id, file, JSON.stringify(plan), JSON.stringify(verdict), repository, base, onto, session, mode, startKey, k.now(),
  );
  for (const [n, task] of plan.tasks.entries()) k.run("INSERT INTO plan_task (plan_id, id, n, state) VALUES (?,?,?,'waiting')", id, task.id, n);
  k.emit(session, { type: "plan.started", data: { planId: id, title: plan.title, repository, onto, tasks: plan.tasks.length, phases: plan.phases.length, mode: mode ?? verdict.mode } });
  return { run: planRun(k, id)!, created: true };
}

export function planRun(k: Kernel, id: PlanId): PlanRun | null {
  const row = k.get("SELECT * FROM plan WHERE id = ?", id);
  return row === undefined ? null : runOf(k, row);
}

/** Newest first; `after` is the id of the last one before. */
export function plans(k: Kernel, { active, session, after, limit }: { active?: boolean; session?: SessionKey; after?: PlanId; limit: number }): { plans: PlanRun[]; next: PlanId | null } {
  const place = after === undefined ? undefined : k.get("SELECT started_at FROM plan WHERE id = ?", after);
  const rows = k.all(
    `SELECT * FROM plan WHERE (?1 = 0 OR ended_at IS NULL) AND (?2 IS NULL OR session = ?2) AND (?3 IS NULL OR started_at < ?3 OR (started_at = ?3 AND id > ?4))
     ORDER BY started_at DESC, id LIMIT ?5`,
    active === true ? 1 : 0, session ?? null, place?.["started_at"] ?? null, after ?? "", limit + 1,
  );
  return { plans: rows.slice(0, limit).map((row) => runOf(k, row)), next: rows.length > limit ? rows[limit - 1]!["id"] : null };
}

export function planTaskOfSession(k: Kernel, session: SessionKey): { plan: PlanRun; task: PlanTaskRun } | null {
  const row = k.get("SELECT plan_id, id FROM plan_task WHERE child_session = ?", session);
  const plan = row === undefined ? null : planRun(k, row["plan_id"]);
  return plan === null ? null : { plan, task: plan.tasks.find(({ id }) => id === row!["id"])! };
}

/** Keys of a plan's children are `<plan>/<task>/<what for>`; "0" is the character after "/". */
export function planUsage(k: Kernel, id: PlanId): { task: string; usage: Usage }[] {
  const children = k.all("SELECT id, spawn_key FROM task WHERE spawn_key >= ? AND spawn_key < ?", `${id}/`, `${id}0`);
  const byTask = new Map<string, Usage>();
  for (const child of children) {
    const task = (child["spawn_key"] as string).split("/")[1]!;
    const rows = k.all(
      `WITH RECURSIVE below (id, session) AS (SELECT id, session FROM task WHERE id = ?1 UNION SELECT t.id, t.session FROM task t JOIN below b ON t.parent_session = b.session)
       SELECT ${USAGE_COLUMNS} FROM task WHERE id IN (SELECT id FROM below)`,
      child["id"],
    );
    byTask.set(task, rows.map(usageOf).reduce(addUsage, byTask.get(task) ?? NO_USAGE));
  }
  return [...byTask].map(([task, usage]) => ({ task, usage }));
}

export function movePlan(k: Kernel, { plan: id, from, to, change = {}, event }: { plan: PlanId; from: PlanState; to: PlanState; change?: PlanChange; event?: { type: "plan.phase" | "plan.waiting" | "plan.ended"; data: JsonObject } }): boolean {
  const row = k.get("SELECT session FROM plan WHERE id = ? AND state = ?", id, from);
  if (row === undefined) return false;
  const ended = to === "done" || to === "cancelled";
  const values: Row = {
    state: to,
    ...(change.phase === undefined ? {} : { phase: change.phase }),
    waits_for: to === "waiting" ? (change.waitsFor ?? "a person") : null,
    ...(change.problem === undefined ? {} : { problem: change.problem }),
    ...(change.gates === undefined ? {} : { gates: JSON.stringify(change.gates) }),
    ended_at: ended ? k.now() : null,
  };
  set(k, "plan", values, "id = ?", [id]);
  if (to === "cancelled") cancelMerges(k, id);
  if (ended) k.run("UPDATE plan_task SET state = 'cancelled', problem = NULL, ended_at = ? WHERE plan_id = ? AND ended_at IS NULL", k.now(), id);
  if (event !== undefined) k.emit(row["session"], { type: event.type, data: { planId: id, state: to, ...event.data } });
  return true;
}

/** What is in line for a plan's tasks does not land after its end; only what has been given the right to move the branch already does. */
function cancelMerges(k: Kernel, id: PlanId): void {
  for (const { workspace, merge_id: known } of k.all("SELECT workspace, merge_id FROM plan_task WHERE plan_id = ?", id)) {
    // One that was just put in line is not yet in the task's row; one whose work is done anew in another workspace is still of the old one.
    const inLine = workspace === null ? [] : merges(k, { workspace, states: OPEN_MERGES, limit: OPEN_MERGES.length }).map((one) => one.id);
    for (const open of new Set<MergeId>([...inLine, ...(known === null ? [] : [known])])) moveMerges(k, [{ id: open, from: OPEN_MERGES, patch: { state: "cancelled", endedAt: k.now() } }]);
  }
}

export function movePlanTask(k: Kernel, { plan: id, task, from, to, change = {}, data = {} }: { plan: PlanId; task: string; from: PlanTaskState; to: PlanTaskState; change?: PlanTaskChange; data?: JsonObject }): boolean {
  assert(from === to || mayMove(from, to), `a plan's task goes from ${from} to ${to} by a legal move`);
  const plan = k.get("SELECT session, ended_at FROM plan WHERE id = ?", id);
  const row = k.get("SELECT * FROM plan_task WHERE plan_id = ? AND id = ? AND state = ?", id, task, from);
  if (plan === undefined || row === undefined || plan["ended_at"] !== null) return false;
  const values: Row = { state: to, problem: to === "stuck" ? (change.problem ?? row["problem"] ?? "it stopped without saying why") : null, ended_at: to === "done" || to === "cancelled" ? k.now() : null };
  if (row["started_at"] === null && to === "preparing") values["started_at"] = k.now();
  for (const [name, column] of [["attempt", "attempt"], ["childTask", "child_task"], ["childSession", "child_session"], ["workspace", "workspace"], ["epoch", "epoch"], ["merge", "merge_id"]] as const) {
    if (change[name] !== undefined) values[column] = change[name];
  }
  for (const name of ["signal", "evidence", "learned"] as const) if (change[name] !== undefined) values[name] = change[name] === null ? null : JSON.stringify(change[name]);
  set(k, "plan_task", values, "plan_id = ? AND id = ?", [id, task]);
  if (from === to && change.signal === undefined) return true;
  k.emit(plan["session"], { type: from === to ? "plan.signal" : "plan.task", ...(values["child_task"] ? { taskId: values["child_task"] } : {}), data: { planId: id, task, from, state: to, ...(values["problem"] === null ? {} : { problem: values["problem"] }), ...data } });
  return true;
}

function set(k: Kernel, table: "plan" | "plan_task", values: Row, where: string, keys: readonly string[]): void {
  const names = Object.keys(values);
  k.run(`UPDATE ${table} SET ${names.map((name) => `${name} = ?`).join(", ")} WHERE ${where}`, ...names.map((name) => values[name]), ...keys);
}

function runOf(k: Kernel, row: Row): PlanRun {
  return {
    planId: row["id"],
    state: row["state"],
    plan: JSON.parse(row["plan"]),
    file: row["file"],
    verdict: JSON.parse(row["verdict"]),
    repository: row["repository"],
    base: row["base"],
    onto: row["onto"],
    session: row["session"],
    mode: row["mode"],
    phase: row["phase"],
    waitsFor: row["waits_for"],
    problem: row["problem"],
    gates: JSON.parse(row["gates"]),
    startedAt: row["started_at"],
    endedAt: row["ended_at"],
    tasks: k.all("SELECT * FROM plan_task WHERE plan_id = ? ORDER BY n", row["id"]).map(taskRunOf),
  };
}

function taskRunOf(row: Row): PlanTaskRun {
  return {
    id: row["id"],
    state: row["state"],
    attempt: row["attempt"],
    childTask: row["child_task"],
    childSession: row["child_session"],
    workspace: row["workspace"],
    epoch: row["epoch"],
    merge: row["merge_id"],
    signal: row["signal"] === null ? null : JSON.parse(row["signal"]),
    evidence: row["evidence"] === null ? null : JSON.parse(row["evidence"]),
    problem: row["problem"],
    learned: JSON.parse(row["learned"]),
    startedAt: row["started_at"],
    endedAt: row["ended_at"],
  };
}
