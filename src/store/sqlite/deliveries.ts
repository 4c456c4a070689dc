/** Results on their way out of the tree: each prepared with its child's end, claimed before it is sent, settled after. */
import type { JobId, RunId, SessionKey, TaskId } from "../../base/ids.ts";
import type { JsonObject } from "../../base/json.ts";
import type { AttemptEnd, Delivery, DeliveryState } from "../../model/delivery.ts";
import { Fault } from "../../model/faults.ts";
import { jobSession, mainSession } from "../../model/session.ts";
import type { ClaimedDelivery, DeliveryQuery } from "../store.ts";
import type { Kernel, Row } from "./kernel.ts";
import { openSession } from "./open-session.ts";
import { runRow } from "./run-row.ts";
import { taskWithBudget } from "./task-row.ts";
import { Where } from "./where.ts";

/** The first time that somebody has a child's result is the time of its delivery. */
export function markDelivered(k: Kernel, task: Row, data: JsonObject): void {
  k.run("UPDATE task SET delivered_at = coalesce(delivered_at, ?) WHERE id = ?", k.now(), task["id"]);
  k.emit(logOf(task), { type: "task.delivered", taskId: task["id"] as TaskId, data });
}

/** Where the events of a task stand. */
function logOf(task: Row): SessionKey {
  return (task["parent_session"] ?? task["session"]) as SessionKey;
}

type Facts = Omit<ClaimedDelivery, "delivery">;

/** Keeps what is told with it: a receiver gets the same words at every attempt, whatever becomes of the task, its parent or the job's name meanwhile. */
export function prepareDelivery(k: Kernel, of: { readonly task: TaskId } | { readonly run: RunId }, url: string): void {
  const now = k.now();
  const [task, run] = "task" in of ? [of.task, null] : [null, of.run];
  k.run(
    "INSERT INTO delivery (id, n, task_id, run_id, url, state, next_at, created_at, facts) VALUES (?, (SELECT coalesce(max(n), 0) + 1 FROM delivery), ?,?,?,'prepared',?,?,?)",
    `dlv_${k.ids.bare()}`, task, run, url, now, now, JSON.stringify(factsOf(k, task, run)),
  );
}

function factsOf(k: Kernel, task: TaskId | null, run: RunId | null): Facts {
  if (run === null) return { task: taskWithBudget(k, k.get("SELECT * FROM task WHERE id = ?", task)!) };
  return { run: runRow(k, run)!, jobName: jobOfRun(k, run).name };
}

/** Takes what is due: from now on it counts as perhaps sent, until it is settled. */
export function claimDeliveries(k: Kernel, { limit }: { limit: number }): { claimed: ClaimedDelivery[]; nextAt: number | null } {
  const due = k.all("SELECT id FROM delivery WHERE state = 'prepared' AND next_at <= ? ORDER BY next_at, id LIMIT ?", k.now(), limit);
  const claimed = due.map(({ id }) => {
    const row = k.get("UPDATE delivery SET state = 'dispatching', attempts = attempts + 1, next_at = NULL WHERE id = ? RETURNING *", id)!;
    const facts = row["facts"] === null ? factsOf(k, row["task_id"], row["run_id"]) : (JSON.parse(row["facts"]) as Facts);
    return { delivery: deliveryOf(row), ...facts } as ClaimedDelivery;
  });
  const next = k.get("SELECT next_at FROM delivery WHERE state = 'prepared' ORDER BY next_at LIMIT 1");
  return { claimed, nextAt: next?.["next_at"] ?? null };
}

export function settleDelivery(k: Kernel, { id, attempt, end }: { id: string; attempt: number; end: AttemptEnd }): boolean {
  const row = k.get("SELECT * FROM delivery WHERE id = ? AND state = 'dispatching' AND attempts = ?", id, attempt);
  if (row === undefined) return false;
  const problem = end.outcome === "delivered" ? null : end.problem;
  if (end.outcome === "later") {
    k.run("UPDATE delivery SET state = 'prepared', next_at = ?, http_status = ?, problem = ?, in_doubt = max(in_doubt, ?) WHERE id = ?", k.now() + end.afterMs, end.httpStatus, problem, end.inDoubt ? 1 : 0, id);
    return true;
  }
  const inDoubt = end.outcome !== "delivered" && ((end.outcome === "given up" && end.inDoubt) || row["in_doubt"] === 1);
  const state: DeliveryState = end.outcome === "delivered" ? "delivered" : inDoubt ? "unknown" : "rejected";
  k.run("UPDATE delivery SET state = ?, ended_at = ?, http_status = ?, problem = ?, in_doubt = ?, facts = iif(?1 = 'delivered', NULL, facts) WHERE id = ?", state, k.now(), end.httpStatus, problem, inDoubt ? 1 : 0, id);
  if (row["run_id"] !== null) {
    settleRunDelivery(k, row, { state, attempts: attempt, problem });
    return true;
  }
  const task = k.get("SELECT * FROM task WHERE id = ?", row["task_id"])!;
  if (state === "delivered") markDelivered(k, task, { by: "webhook", deliveryId: id, attempts: attempt });
  else {
    const fault = new Fault("WEBHOOK_NOT_DELIVERED", { label: task["label"], problem: problem!, attempts: attempt, delivery: id });
    k.emit(logOf(task), { type: "notice", taskId: task["id"], data: { text: fault.message, level: "error", code: fault.code, deliveryId: id, state } });
  }
  return true;
}

function settleRunDelivery(k: Kernel, row: Row, { state, attempts, problem }: { state: DeliveryState; attempts: number; problem: string | null }): void {
  const { id: jobId, name, agent } = jobOfRun(k, row["run_id"]);
  const data = { jobId, runId: row["run_id"], name, deliveryId: row["id"], state, attempts };
  k.emit(jobSession(jobId), { type: "job.delivered", data });
  if (state === "delivered") return;
  const fault = new Fault("WEBHOOK_NOT_DELIVERED", { label: name, problem: problem!, attempts, delivery: row["id"] });
  openSession(k, mainSession(agent));
  k.emit(mainSession(agent), { type: "notice", data: { text: fault.message, level: "error", code: fault.code, ...data } });
}

function jobOfRun(k: Kernel, run: RunId): { id: JobId; name: string; agent: string } {
  const row = k.get("SELECT j.id, j.name, json_extract(j.spec, '$.agent') AS agent FROM occurrence o JOIN job j ON j.id = o.job_id WHERE o.id = ?", run)!;
  return { id: row["id"], name: row["name"], agent: row["agent"] };
}

/** After a start: what was on its way when the gateway died is sent again under the same id. @returns how many. */
export function recoverDeliveries(k: Kernel): number {
  return k.run("UPDATE delivery SET state = 'prepared', next_at = ?, in_doubt = 1 WHERE id IN (SELECT id FROM delivery WHERE ended_at IS NULL) AND state = 'dispatching'", k.now());
}

/** Claimed for somebody who never heard of it, so it was not sent: due again. `except`: those that are really on their way. @returns how many. */
export function returnDeliveries(k: Kernel, { except }: { except: readonly string[] }): number {
  const taken = k.all("SELECT id FROM delivery WHERE ended_at IS NULL AND state = 'dispatching'").map((row) => row["id"] as string);
  return taken.filter((id) => !except.includes(id)).reduce((sum, id) => sum + k.run("UPDATE delivery SET state = 'prepared', next_at = ?, attempts = attempts - 1 WHERE id = ?", k.now(), id), 0);
}

/** Sends one that was given up once more, with its old id. */
export function retryDelivery(k: Kernel, id: string): Delivery | null {
  const row = k.get("SELECT * FROM delivery WHERE id = ?", id);
  if (row === undefined) return null;
  if (row["state"] !== "rejected" && row["state"] !== "unknown") throw new Fault("DELIVERY_NOT_OVER", { delivery: id, state: row["state"] });
  return deliveryOf(k.get("UPDATE delivery SET state = 'prepared', attempts = 0, next_at = ?, ended_at = NULL WHERE id = ? RETURNING *", k.now(), id)!);
}

export function deliveries(k: Kernel, query: DeliveryQuery): { deliveries: Delivery[]; next: string | null } {
  if (query.after !== undefined && !/^\d{1,15}$/.test(query.after)) throw new Fault("BAD_REQUEST", { where: "after", problem: "is not a `next` value of this listing" });
  const where = new Where();
  if (query.after !== undefined) where.and("n < ?", Number(query.after));
  if (query.state !== undefined) where.and("state = ?", query.state);
  if (query.task !== undefined) where.and("task_id = ?", query.task);
  const rows = k.all(`SELECT * FROM delivery ${where.sql} ORDER BY n DESC LIMIT ?`, ...where.values, query.limit + 1);
  const page = rows.slice(0, query.limit);
  return { deliveries: page.map(deliveryOf), next: rows.length > query.limit ? String(page.at(-1)!["n"]) : null };
}

function deliveryOf(row: Row): Delivery {
  return {
    deliveryId: row["id"],
    taskId: row["task_id"],
    runId: row["run_id"],
    url: row["url"],
    state: row["state"],
    attempts: row["attempts"],
    nextAt: row["next_at"],
    httpStatus: row["http_status"],
    problem: row["problem"],
    createdAt: row["created_at"],
    endedAt: row["ended_at"],
  };
}
