/** How the children fare: the task board, the rates of completion, and what waits or comes late. Changes nothing but counts and marks. */
import type { SessionKey } from "../../base/ids.ts";
import type { TaskState } from "../../model/task.ts";
import type { BoardColumn, BoardQuery, FailedTask, Health, Missed, Report, ReportGroup, Spread, ToolDenial } from "../store.ts";
import { addTaskFilters, tasksWhere } from "./listings.ts";
import { flowsOfRun } from "./job-runs.ts";
import type { Kernel, Row } from "./kernel.ts";
import { taskWithBudget } from "./task-row.ts";
import { Where } from "./where.ts";

/** Columns count their cards up to this and one more, so that a board costs the same on a full store. */
const COUNTED_MAX = 10_000;
const GROUPS_MAX = 50;
/** Failed children of one group that are named; all are counted. */
const FAILED_NAMED_MAX = 100;
/** Runs of jobs that the report looks at, the newest. */
const RUNS_MAX = 1_000;
/** Ended children that figures of time are taken from. */
const SAMPLES_MAX = 1_000;
const MISSED_MAX = 50;

/** A column of the board and the states that its cards are in. */
const COLUMNS: readonly (readonly [name: BoardColumn["name"], states: readonly TaskState[]])[] = [
  ["queued", ["queued"]],
  ["running", ["running"]],
  ["waiting", ["waiting"]],
  ["done", ["succeeded"]],
  ["failed", ["failed", "timed_out", "lost"]],
  ["cancelled", ["cancelled"]],
];

export function board(k: Kernel, { limit, ...filters }: BoardQuery): BoardColumn[] {
  return COLUMNS.map(([name, states]) => {
    const found = states.flatMap((state) => cardsIn(k, state, filters, limit)).toSorted((a, b) => b["n"] - a["n"]);
    const total = states.reduce((sum, state) => sum + countIn(k, state, filters), 0);
    return { name, total: Math.min(total, COUNTED_MAX), isMore: total > COUNTED_MAX, tasks: found.slice(0, limit).map((row) => taskWithBudget(k, row)) };
  });
}

function cardsIn(k: Kernel, state: TaskState, filters: Omit<BoardQuery, "limit">, limit: number): Row[] {
  const where = new Where();
  where.and("state = ?", state);
  addTaskFilters(where, filters);
  return tasksWhere(k, where, limit);
}

function countIn(k: Kernel, state: TaskState, filters: Omit<BoardQuery, "limit">): number {
  const where = new Where();
  where.and("state = ?", state);
  addTaskFilters(where, filters);
  return k.count(`SELECT count(*) FROM (SELECT 1 FROM task ${where.sql} LIMIT ${COUNTED_MAX + 1})`, ...where.values);
}

// ── rates ───────────────────────────────────────────────────────────────────────────────────
// The index holds all that is counted, so that no long text is read past; left alone, SQLite takes the order of the groups instead.

const DAY = "date(queued_at / 1000, 'unixepoch')";
const SECONDS_PER_DAY = 86_400;

export function report(k: Kernel, { since }: { since: number }): Report {
  const groups = (column: string, isOfGroup: string): ReportGroup[] =>
    k
      .all(
        `SELECT ${column} AS value, ${COUNTS} FROM task INDEXED BY task_queued WHERE queued_at >= ? AND ${column} IS NOT NULL GROUP BY 1 ORDER BY started_at DESC LIMIT ?`,
        since, GROUPS_MAX,
      )
      .map((row) => groupOf(row, row["failed"] === 0 ? [] : failedWhere(k, isOfGroup, row["value"], since)));
  const total = k.get(`SELECT 'all' AS value, ${COUNTS} FROM task INDEXED BY task_queued WHERE queued_at >= ?`, since)!;
  return {
    since,
    total: groupOf(total, failedWhere(k, "?1 = 'all'", "all", since)),
    batches: groups("batch", "batch = ?1"),
    flows: groups("flow_id", "flow_id = ?1"),
    jobs: jobGroups(k, since),
    days: groups(DAY, `queued_at >= unixepoch(?1) * 1000 AND queued_at < (unixepoch(?1) + ${SECONDS_PER_DAY}) * 1000`),
    health: health(k),
  };
}

/** The newest that failed of a group. */
function failedWhere(k: Kernel, isOfGroup: string, value: string, since: number): Row[] {
  return k.all(`SELECT id, label, state, fault FROM task WHERE ${isOfGroup} AND queued_at >= ?2 AND state IN ('failed','timed_out','lost') ORDER BY queued_at DESC, n DESC LIMIT ?3`, value, since, FAILED_NAMED_MAX);
}

/** The children of each job's runs, over all their trees; jobs that started none are left out. */
function jobGroups(k: Kernel, since: number): ReportGroup[] {
  const runs = ["completed_at >= ?1 AND completed_at IS NOT NULL", "completed_at IS NULL AND fired_at >= ?1"].flatMap((which) =>
    k.all(`SELECT o.job_id, o.session, o.message_id, j.name FROM occurrence o JOIN job j ON j.id = o.job_id WHERE o.session IS NOT NULL AND ${which} ORDER BY completed_at DESC LIMIT ?2`, since, RUNS_MAX),
  );
  const flowsOf = new Map<string, string[]>();
  for (const run of runs) flowsOf.set(run["name"], [...(flowsOf.get(run["name"]) ?? []), ...flowsOfRun(k, run)]);
  return [...flowsOf]
    .filter(([, flows]) => flows.length > 0)
    .slice(0, GROUPS_MAX)
    .map(([name, flows]) => {
      const isOfJob = "flow_id IN (SELECT value FROM json_each(?1))";
      const list = JSON.stringify(flows);
      const row = k.get(`SELECT ${COUNTS} FROM task WHERE ${isOfJob}`, list)!;
      return groupOf({ ...row, value: name }, failedWhere(k, isOfJob, list, 0));
    });
}

const COUNTS = `count(*) AS total, coalesce(sum(state IN ('queued','running','waiting')), 0) AS active, coalesce(sum(state = 'succeeded'), 0) AS succeeded,
  coalesce(sum(state = 'cancelled'), 0) AS cancelled, coalesce(sum(state IN ('failed','timed_out','lost')), 0) AS failed, min(queued_at) AS started_at`;

function groupOf(row: Row, failed: readonly Row[]): ReportGroup {
  const judged = row["succeeded"] + row["failed"];
  return {
    value: row["value"],
    startedAt: row["started_at"],
    total: row["total"],
    active: row["active"],
    succeeded: row["succeeded"],
    failed: row["failed"],
    cancelled: row["cancelled"],
    completion: judged === 0 ? null : row["succeeded"] / judged,
    failedTasks: failed.map((one): FailedTask => ({ taskId: one["id"], label: one["label"], state: one["state"], code: one["fault"] === null ? null : JSON.parse(one["fault"]).code })),
  };
}

export function health(k: Kernel): Health {
  const recent = k.all("SELECT started_at - queued_at AS waited, delivered_at - ended_at AS announced FROM task WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT ?", SAMPLES_MAX);
  const open = k.get("SELECT count(*) AS n, min(created_at) AS oldest FROM delivery WHERE ended_at IS NULL")!;
  const announcements = k.get("SELECT count(*) AS n, min(accepted_at) AS oldest FROM message WHERE child_task IS NOT NULL AND state IN ('waiting','held')")!;
  const oldest = [open["oldest"], announcements["oldest"]].filter((at) => at !== null) as number[];
  const deliveries: Record<string, number> = { prepared: 0, dispatching: 0, delivered: 0, rejected: 0, unknown: 0 };
  for (const row of k.all("SELECT state, count(*) AS n FROM delivery GROUP BY state")) deliveries[row["state"]] = row["n"];
  return {
    announceMs: spreadOf(recent.map((row) => row["announced"])),
    spawnWaitMs: spreadOf(recent.map((row) => row["waited"])),
    undelivered: open["n"] + announcements["n"],
    oldestUndeliveredMs: oldest.length === 0 ? 0 : k.now() - Math.min(...oldest),
    deliveries,
    deliveryRetries: k.count("SELECT coalesce(sum(attempts - 1), 0) FROM delivery WHERE attempts > 1"),
    taskRetries: k.count("SELECT count(*) FROM task WHERE attempt > 1"),
    denials: denials(k),
  };
}

function spreadOf(values: readonly (number | null)[]): Spread {
  const sorted = values.filter((value) => value !== null).toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}

// ── models that deny their tools ────────────────────────────────────────────────────────────

export function countDenial(k: Kernel, { model, tool, mended }: { model: string; tool: string; mended: boolean }): void {
  k.run(
    `INSERT INTO tool_denial (model, tool, denied, mended, last_at) VALUES (?,?,1,?,?)
     ON CONFLICT (model, tool) DO UPDATE SET denied = denied + 1, mended = mended + excluded.mended, last_at = excluded.last_at`,
    model, tool, mended ? 1 : 0, k.now(),
  );
}

function denials(k: Kernel): ToolDenial[] {
  return k.all("SELECT * FROM tool_denial ORDER BY model, tool").map((row) => ({ model: row["model"], tool: row["tool"], denied: row["denied"], mended: row["mended"], lastAt: row["last_at"] }));
}

// ── what a person missed ────────────────────────────────────────────────────────────────────

export function markSeen(k: Kernel, { session, seq }: { session: SessionKey; seq: number }): boolean {
  const lane = k.get("SELECT last_seq FROM lane WHERE session = ?", session);
  if (lane === undefined) return false;
  k.run(
    "INSERT INTO seen (session, seq, at) VALUES (?,?,?) ON CONFLICT (session) DO UPDATE SET seq = max(seq, excluded.seq), at = excluded.at",
    session, Math.min(seq, lane["last_seq"]), k.now(),
  );
  return true;
}

/** Ends of children, notices and answers since the person's last look; nothing when nobody ever looked. */
export function missed(k: Kernel, session: SessionKey): Missed | null {
  const lane = k.get("SELECT last_seq FROM lane WHERE session = ?", session);
  if (lane === undefined) return null;
  const seen = k.get("SELECT seq, at FROM seen WHERE session = ?", session);
  if (seen === undefined) return { seenSeq: lane["last_seq"], seenAt: null, events: [] };
  const rows = k.all("SELECT * FROM event WHERE session = ? AND seq > ? AND type IN ('task.ended','notice','reply') ORDER BY seq DESC LIMIT ?", session, seen["seq"], MISSED_MAX);
  return { seenSeq: seen["seq"], seenAt: seen["at"], events: rows.reverse().map((row) => ({ seq: row["seq"], at: row["at"], type: row["type"], taskId: row["task_id"], data: JSON.parse(row["data"]) })) };
}
