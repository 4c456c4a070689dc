/**
 * Listings: pages of sessions, tasks and flows, the newest first, with filters, search and groups.
 *
 * A page costs the same on a full store: each filter that singles out few rows has an index, and
 * the others are read along an index that is in the order of the page. Groups count the whole of
 * what the filters leave, and are made only when they are asked for.
 */
import { Fault } from "../../model/faults.ts";
import type { Task } from "../../model/task.ts";
import type { FlowQuery, FlowRow, Group, SessionQuery, SessionRow, TaskQuery } from "../store.ts";
import type { Kernel, Row } from "./kernel.ts";
import { flowOf, sessionOf } from "./rows.ts";
import { taskWithBudget } from "./task-row.ts";
import { Where } from "./where.ts";

export const SESSION_SELECT = `
  SELECT s.*, l.state, l.last_seq, l.last_entry, l.waiting,
         (SELECT count(*) FROM turn t WHERE t.session = s.key AND t.state = 'running') AS running
  FROM session s JOIN lane l ON l.session = s.key`;

const RUNNING = "SELECT session FROM turn WHERE state = 'running'";
/** The states of a session, as `sessionOf` tells them. Those that are put away are asked for with `archived`. */
const IN_STATE: Readonly<Record<NonNullable<SessionQuery["state"]>, string>> = {
  running: `s.key IN (${RUNNING})`,
  queued: `l.state = 'ready' AND s.key NOT IN (${RUNNING})`,
  waiting: `l.state = 'waiting' AND s.key NOT IN (${RUNNING})`,
  idle: `l.state IN ('idle','leased') AND s.key NOT IN (${RUNNING})`,
};
const STATE_OF_SESSION = `CASE WHEN s.archived_at IS NOT NULL THEN 'archived' WHEN s.key IN (${RUNNING}) THEN 'running' WHEN l.state = 'ready' THEN 'queued' WHEN l.state = 'waiting' THEN 'waiting' ELSE 'idle' END`;

const SESSION_GROUPS: Readonly<Record<NonNullable<SessionQuery["group"]>, string>> = {
  kind: "s.kind",
  state: STATE_OF_SESSION,
  agent: "s.agent",
  parent: "s.parent",
  label: "s.label",
  day: "date(s.last_at / 1000, 'unixepoch')",
};
const TASK_GROUPS: Readonly<Record<NonNullable<TaskQuery["group"]>, string>> = {
  kind: "kind",
  state: "state",
  agent: "agent",
  parent: "parent_session",
  label: "label",
  flow: "flow_id",
  batch: "batch",
  day: "date(queued_at / 1000, 'unixepoch')",
};
/** Groups of one listing; the largest come first. */
const GROUPS_MAX = 100;

export function sessions(k: Kernel, query: SessionQuery): { rows: SessionRow[]; next: string | null; groups: Group[] } {
  const where = new Where();
  where.and(query.archived === true ? "s.archived_at IS NOT NULL" : "s.archived_at IS NULL");
  if (query.kind !== undefined) where.and("s.kind = ?", query.kind);
  if (query.parent !== undefined) where.and("s.parent = ?", query.parent);
  if (query.label !== undefined) where.and("s.label = ?", query.label);
  if (query.state !== undefined) where.and(IN_STATE[query.state]);
  if (query.search !== undefined) where.holds(["s.key", "s.label"], query.search);
  const groups = query.group === undefined ? [] : groupsOf(k, SESSION_GROUPS[query.group], "session s JOIN lane l ON l.session = s.key", where);
  const after = afterOf(query.after);
  if (after !== null) where.and("s.last_at < ? OR (s.last_at = ? AND s.key > ?)", after.at, after.at, after.id);
  const rows = k.all(`${SESSION_SELECT} ${where.sql} ORDER BY s.last_at DESC, s.key LIMIT ?`, ...where.values, query.limit + 1);
  const page = rows.slice(0, query.limit);
  const last = page.at(-1);
  return { rows: page.map(sessionOf), next: rows.length > query.limit && last !== undefined ? `${last["last_at"]}~${last["key"]}` : null, groups };
}

/** Newest first. */
export function tasks(k: Kernel, query: TaskQuery): { tasks: Task[]; next: string | null; groups: Group[] } {
  if (query.after !== undefined && !/^\d{1,15}$/.test(query.after)) throw new Fault("BAD_REQUEST", { where: "after", problem: "is not a `next` value of this listing" });
  const where = new Where();
  addTaskFilters(where, query);
  if (query.states !== undefined) where.and(`state IN (${query.states.map(() => "?").join(",")})`, ...query.states);
  if (query.below !== undefined) {
    where.and("session IN (WITH RECURSIVE tree(key) AS (SELECT key FROM session WHERE parent = ? UNION ALL SELECT s.key FROM session s JOIN tree ON s.parent = tree.key) SELECT key FROM tree)", query.below);
  }
  const groups = query.group === undefined ? [] : groupsOf(k, TASK_GROUPS[query.group], "task", where);
  if (query.after !== undefined) where.and("n < ?", Number(query.after));
  const rows = tasksWhere(k, where, query.limit + 1);
  const page = rows.slice(0, query.limit);
  return { tasks: page.map((row) => taskWithBudget(k, row)), next: rows.length > query.limit ? String(page.at(-1)!["n"]) : null, groups };
}

/** The newest tasks that fit. They are found first and read then: reading past the long texts of the others would cost more than all the rest. */
export function tasksWhere(k: Kernel, where: Where, limit: number): Row[] {
  return k.all(`SELECT t.* FROM (SELECT id FROM task ${where.sql} ORDER BY n DESC LIMIT ?) found CROSS JOIN task t ON t.id = found.id ORDER BY t.n DESC`, ...where.values, limit);
}

/** What the list of tasks and the board are narrowed by. */
export function addTaskFilters(where: Where, filters: Pick<TaskQuery, "parent" | "flow" | "batch" | "kind" | "label" | "search">): void {
  if (filters.parent !== undefined) where.and("parent_session = ?", filters.parent);
  if (filters.flow !== undefined) where.and("flow_id = ?", filters.flow);
  if (filters.batch !== undefined) where.and("batch = ?", filters.batch);
  if (filters.kind !== undefined) where.and("kind = ?", filters.kind);
  if (filters.label !== undefined) where.and("label = ?", filters.label);
  if (filters.search !== undefined) where.holds(["label", "id", "session"], filters.search);
}

export const FLOW_SELECT = `
  SELECT f.*, count(t.id) AS tasks, sum(t.ended_at IS NULL) AS active, sum(t.state = 'succeeded') AS succeeded, sum(t.state IN ('failed','timed_out','lost')) AS failed, max(t.ended_at) AS ended_at,
         sum(t.input) AS input, sum(t.output) AS output, sum(t.cache_read) AS cache_read, sum(t.cache_write) AS cache_write, sum(t.reasoning) AS reasoning, sum(t.calls) AS calls, sum(t.cost_micros) AS cost_micros, sum(t.unpriced) AS unpriced
  FROM flow f JOIN task t ON t.flow_id = f.id`;

const IS_ACTIVE = "f.id IN (SELECT flow_id FROM task WHERE ended_at IS NULL)";
const FLOW_IN_STATE: Readonly<Record<FlowRow["state"], string>> = {
  running: IS_ACTIVE,
  ended: `f.cancelled_at IS NULL AND NOT ${IS_ACTIVE}`,
  cancelled: `f.cancelled_at IS NOT NULL AND NOT ${IS_ACTIVE}`,
};
const FLOW_GROUPS: Readonly<Record<NonNullable<FlowQuery["group"]>, string>> = {
  state: `CASE WHEN ${IS_ACTIVE} THEN 'running' WHEN f.cancelled_at IS NOT NULL THEN 'cancelled' ELSE 'ended' END`,
  root: "f.root",
  day: "date(f.started_at / 1000, 'unixepoch')",
};

export function flows(k: Kernel, query: FlowQuery): { flows: FlowRow[]; next: string | null; groups: Group[] } {
  const where = new Where();
  if (query.root !== undefined) where.and("f.root = ?", query.root);
  if (query.state !== undefined) where.and(FLOW_IN_STATE[query.state]);
  if (query.label !== undefined) where.and("f.id IN (SELECT flow_id FROM task WHERE label = ?)", query.label);
  if (query.search !== undefined) {
    const found = new Where();
    found.holds(["label", "flow_id"], query.search);
    where.and(`f.id IN (SELECT flow_id FROM task ${found.sql})`, ...found.values);
  }
  const groups = query.group === undefined ? [] : groupsOf(k, FLOW_GROUPS[query.group], "flow f", where);
  const after = afterOf(query.after);
  if (after !== null) where.and("f.started_at < ? OR (f.started_at = ? AND f.id > ?)", after.at, after.at, after.id);
  // The page is chosen before its tasks are added up, so that a long list of trees costs no more than its page.
  const page = k.all(`SELECT f.id, f.started_at FROM flow f ${where.sql} ORDER BY f.started_at DESC, f.id LIMIT ?`, ...where.values, query.limit + 1);
  const shown = page.slice(0, query.limit);
  const rows = shown.map(({ id }) => k.get(`${FLOW_SELECT} WHERE f.id = ? GROUP BY f.id`, id)).filter((row) => row !== undefined);
  const last = shown.at(-1);
  return { flows: rows.map(flowOf), next: page.length > query.limit && last !== undefined ? `${last["started_at"]}~${last["id"]}` : null, groups };
}

function groupsOf(k: Kernel, expression: string, from: string, where: Where): Group[] {
  return k
    .all(`SELECT ${expression} AS value, count(*) AS n FROM ${from} ${where.sql} GROUP BY 1 ORDER BY n DESC, value LIMIT ?`, ...where.values, GROUPS_MAX)
    .map((row) => ({ value: row["value"], count: row["n"] }));
}

/** `time~id` of the last row of the page before. */
function afterOf(after: string | undefined): { at: number; id: string } | null {
  if (after === undefined) return null;
  const [at, id] = after.split("~");
  if (!/^\d{1,16}$/.test(at ?? "") || id === undefined) throw new Fault("BAD_REQUEST", { where: "after", problem: "is not a `next` value of this listing" });
  return { at: Number(at), id };
}
