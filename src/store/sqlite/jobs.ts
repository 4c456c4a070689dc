/** Jobs as rows: made, changed, removed, found, and when each is due. What becomes of their moments is in `job-runs.ts`. */
import type { JobId, RunId, TaskId } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import type { Job, JobSpec, JobState, Schedule } from "../../model/job.ts";
import { jobSession } from "../../model/session.ts";
import type { JobPatch, JobQuery, NewJob } from "../store.ts";
import { isOwnSession, tellOwner, warnOwner } from "./job-log.ts";
import { openRunsOf, supersede } from "./job-runs.ts";
import type { Kernel, Row } from "./kernel.ts";
import { deleteSession } from "./sessions.ts";

export function putJob(k: Kernel, { spec, origin, state, next, fingerprint, jobsMax }: NewJob): Job {
  const known = k.get("SELECT id FROM job WHERE name = ?", spec.name);
  if (known !== undefined) throw new Fault("JOB_NAME_TAKEN", { name: spec.name, job: known["id"] });
  if (k.count("SELECT count(*) FROM job") >= jobsMax) throw new Fault("JOBS_FULL", { jobsMax });
  const id = k.ids.job();
  k.run(
    "INSERT INTO job (id, name, origin, kind, spec, state, next_for, due_at, fingerprint, created_at) VALUES (?,?,?,?,?,?,?,?,?,?)",
    id, spec.name, origin, spec.schedule.kind, JSON.stringify(spec), state, next?.nextFor ?? null, next?.dueAt ?? null, fingerprint, k.now(),
  );
  tellOwner(k, spec, { type: "job.created", data: { jobId: id, name: spec.name, nextFor: next?.nextFor ?? null } });
  return jobRow(k, id)!;
}

export function patchJob(k: Kernel, { id, spec, state, why, next, fingerprint }: JobPatch): Job | null {
  const row = k.get("SELECT * FROM job WHERE id = ?", id);
  if (row === undefined) return null;
  const named = k.get("SELECT id FROM job WHERE name = ? AND id <> ?", spec.name, id);
  if (named !== undefined) throw new Fault("JOB_NAME_TAKEN", { name: spec.name, job: named["id"] });
  const resumed = state === "active" && row["state"] !== "active";
  k.run(
    "UPDATE job SET name = ?, kind = ?, spec = ?, state = ?, why = ?, next_for = ?, due_at = ?, fingerprint = ?, failures = ?, permanent = ?, alerted_at = ? WHERE id = ?",
    spec.name, spec.schedule.kind, JSON.stringify(spec), state, why, next?.nextFor ?? null, next?.dueAt ?? null, fingerprint,
    resumed ? 0 : row["failures"], resumed ? 0 : row["permanent"], resumed ? null : row["alerted_at"], id,
  );
  const type = state === "disabled" && row["state"] !== "disabled" ? "job.disabled" : "job.changed";
  tellOwner(k, spec, { type, data: { jobId: id, name: spec.name, state, why, nextFor: next?.nextFor ?? null } });
  if (type === "job.disabled") warnOwner(k, spec, id, `Job ${spec.name} was switched off: ${why}`, "JOB_DISABLED");
  return jobRow(k, id);
}

export function removeJob(k: Kernel, id: JobId): boolean {
  const row = k.get("SELECT * FROM job WHERE id = ?", id);
  if (row === undefined) return false;
  const spec = JSON.parse(row["spec"]) as JobSpec;
  for (const open of openRunsOf(k, id)) supersede(k, open, spec, "the job was removed");
  for (const { session } of k.all("SELECT DISTINCT session FROM occurrence WHERE job_id = ? AND session IS NOT NULL", id)) {
    if (isOwnSession(id, session)) deleteSession(k, { key: session, by: "the end of the job" });
  }
  deleteSession(k, { key: jobSession(id), by: "the end of the job" });
  k.run("DELETE FROM job WHERE id = ?", id);
  tellOwner(k, spec, { type: "job.removed", data: { jobId: id, name: spec.name } });
  return true;
}

export function job(k: Kernel, idOrName: string): Job | null {
  return jobRow(k, idOrName as JobId) ?? rowOrNull(k.get("SELECT * FROM job WHERE name = ?", idOrName));
}

/** By name. */
export function jobs(k: Kernel, query: JobQuery): { jobs: Job[]; next: string | null } {
  const rows = k.all(
    "SELECT * FROM job WHERE name > ?1 AND (?2 IS NULL OR state IN (SELECT value FROM json_each(?2))) ORDER BY name LIMIT ?3",
    query.after ?? "", query.states === undefined ? null : JSON.stringify(query.states), query.limit + 1,
  );
  const page = rows.slice(0, query.limit);
  return { jobs: page.map(jobOf), next: rows.length > query.limit ? page.at(-1)!["name"] : null };
}

export function jobsOfKind(k: Kernel, { kind, after, limit }: { kind: Schedule["kind"]; after?: JobId; limit: number }): Job[] {
  return k.all("SELECT * FROM job WHERE kind = ? AND id > ? AND state = 'active' ORDER BY id LIMIT ?", kind, after ?? "", limit).map(jobOf);
}

export function jobsOfTasks(k: Kernel, { task, since, limit }: { task: TaskId | null; since: number; limit: number }): { job: Job; task: TaskId }[] {
  const waiting = `
    json_extract(j.spec, '$.schedule.label') IS NULL OR json_extract(j.spec, '$.schedule.label') = t.label)
    AND NOT EXISTS (SELECT 1 FROM occurrence o WHERE o.job_id = j.id AND o.source = 'task:' || t.id)`;
  const rows = task === null
    ? k.all(`SELECT j.*, t.id AS task_id FROM task t JOIN job j ON j.kind = 'task' AND j.state = 'active' WHERE t.ended_at >= ? AND t.ended_at >= coalesce(CAST(j.fingerprint AS INTEGER), j.created_at) AND (${waiting} ORDER BY t.ended_at, j.id LIMIT ?`, since, limit)
    : k.all(`SELECT j.*, t.id AS task_id FROM task t JOIN job j ON j.kind = 'task' AND j.state = 'active' WHERE t.id = ? AND t.ended_at IS NOT NULL AND (${waiting} ORDER BY j.id LIMIT ?`, task, limit);
  return rows.map((row) => ({ job: jobOf(row), task: row["task_id"] as TaskId }));
}

export function configJobs(k: Kernel): Job[] {
  return k.all("SELECT * FROM job WHERE origin = 'config' ORDER BY name").map(jobOf);
}

export function dueJobs(k: Kernel, { limit }: { limit: number }): { jobs: Job[]; retries: RunId[]; nextAt: number | null } {
  const now = k.now();
  const due = k.all("SELECT * FROM job WHERE due_at <= ? ORDER BY due_at LIMIT ?", now, limit);
  const retries = k.all("SELECT id FROM occurrence WHERE retry_at <= ? ORDER BY retry_at LIMIT ?", now, limit);
  const { at } = k.get("SELECT min(at) AS at FROM (SELECT min(due_at) AS at FROM job WHERE due_at > ? UNION ALL SELECT min(retry_at) FROM occurrence WHERE retry_at > ?)", now, now)!;
  return { jobs: due.map(jobOf), retries: retries.map((row) => row["id"]), nextAt: at };
}

/**
 * Jobs of equal steps whose next moment is further away than one step go on one step from now: the clock was set back under them.
 * Never on the old steps, whose moments may have their rows already. @returns how many.
 */
export function unstallJobs(k: Kernel): number {
  const step = "json_extract(spec, '$.schedule.everyMs')";
  const at = `?1 + ${step} + ((next_for - ?1) % ${step} = 0)`;
  return k.run(`UPDATE job SET next_for = ${at}, due_at = ${at} WHERE kind = 'every' AND due_at > ?1 + ${step} + 1`, k.now());
}

// ── from rows ───────────────────────────────────────────────────────────────────────────────

function jobRow(k: Kernel, id: JobId): Job | null {
  return rowOrNull(k.get("SELECT * FROM job WHERE id = ?", id));
}

function rowOrNull(row: Row | undefined): Job | null {
  return row === undefined ? null : jobOf(row);
}

function jobOf(row: Row): Job {
  return {
    id: row["id"], spec: JSON.parse(row["spec"]), origin: row["origin"], state: row["state"] as JobState, why: row["why"], nextFor: row["next_for"], dueAt: row["due_at"],
    lastFor: row["last_for"], fingerprint: row["fingerprint"], failures: row["failures"], createdAt: row["created_at"],
  };
}
