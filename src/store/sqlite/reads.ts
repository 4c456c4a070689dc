/** What others may look at: transcripts, events, tasks, flows, lanes, totals. Changes nothing. */
import type { FlowId, MessageId, SessionKey, TaskId, TurnId } from "../../base/ids.ts";
import { POOLS, type PoolName } from "../../model/lane.ts";
import type { Task } from "../../model/task.ts";
import type { Entry } from "../../model/turn.ts";
import type { YardEvent } from "../../model/event.ts";
import type { FlowRow, LaneRow, LanesView, PoolRow, SessionContext, TaskWait, TurnRow } from "../store.ts";
import type { Kernel, Row } from "./kernel.ts";
import { budgetView } from "./budgets.ts";
import { placeOf } from "./claim.ts";
import { slotsUsed, waitsForBeside } from "./lane-state.ts";
import { waitsForHarness } from "./parked.ts";
import { blockersOf } from "./path-claims.ts";
import { generationOf, poolSize } from "./rules.ts";
import { FLOW_SELECT } from "./listings.ts";
import { entryOf, flowOf, turnOf } from "./rows.ts";
import { taskWithBudget } from "./task-row.ts";

/** Lanes that one listing shows; the pools count all of them. */
const LANES_SHOWN_MAX = 1_000;

export function context(k: Kernel, { key, after, upTo }: { key: SessionKey; after: number; upTo: number }): SessionContext | null {
  const row = k.get("SELECT summary, summary_upto FROM session WHERE key = ?", key);
  if (row === undefined) return null;
  const entries = k.all("SELECT * FROM entry WHERE session = ? AND seq > ? AND seq <= ? ORDER BY seq", key, Math.max(after, row["summary_upto"]), upTo);
  return { summary: row["summary"], summaryUpTo: row["summary_upto"], entries: entries.map(entryOf) };
}

export function history(k: Kernel, { key, after, before, limit }: { key: SessionKey; after?: number; before?: number; limit: number }): { entries: Entry[]; next: number | null } | null {
  if (k.get("SELECT 1 FROM session WHERE key = ?", key) === undefined) return null;
  if (after !== undefined) {
    const rows = k.all("SELECT * FROM entry WHERE session = ? AND seq > ? ORDER BY seq LIMIT ?", key, after, limit + 1);
    const page = rows.slice(0, limit);
    return { entries: page.map(entryOf), next: rows.length > limit ? page.at(-1)!["seq"] : null };
  }
  const rows = k.all("SELECT * FROM entry WHERE session = ? AND seq < ? ORDER BY seq DESC LIMIT ?", key, before ?? Number.MAX_SAFE_INTEGER, limit + 1);
  const page = rows.slice(0, limit).reverse();
  return { entries: page.map(entryOf), next: rows.length > limit ? page[0]!["seq"] : null };
}

export function events(k: Kernel, { session, after, limit }: { session: SessionKey | null; after: number; limit: number }): YardEvent[] {
  const rows =
    session === null
      ? k.all("SELECT * FROM event WHERE cursor > ? ORDER BY cursor LIMIT ?", after, limit)
      : k.all("SELECT * FROM event WHERE session = ? AND seq > ? ORDER BY seq LIMIT ?", session, after, limit);
  return rows.map((row) => ({
    seq: row["seq"],
    session: row["session"],
    at: row["at"],
    type: row["type"],
    ...(row["turn_id"] === null ? {} : { turnId: row["turn_id"] as TurnId }),
    ...(row["task_id"] === null ? {} : { taskId: row["task_id"] as TaskId }),
    data: JSON.parse(row["data"]),
    cursor: row["cursor"],
  }));
}

export function lastCursor(k: Kernel): number {
  return k.count("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)");
}

export function forgottenEvents(k: Kernel, session: SessionKey | null): number {
  if (session === null) return k.count("SELECT value FROM meta WHERE name = 'forgotten_cursor'");
  return k.get("SELECT forgotten_seq AS seq FROM lane WHERE session = ?", session)?.["seq"] ?? 0;
}

export function task(k: Kernel, id: TaskId): Task | null {
  const row = k.get("SELECT * FROM task WHERE id = ?", id);
  return row === undefined ? null : taskWithBudget(k, row);
}

export function taskOfSession(k: Kernel, key: SessionKey): Task | null {
  const row = k.get("SELECT * FROM task WHERE session = ? ORDER BY n DESC LIMIT 1", key);
  return row === undefined ? null : taskWithBudget(k, row);
}

export function flow(k: Kernel, id: FlowId): { flow: FlowRow; tasks: (Task & { waitsFor: TaskWait | null })[] } | null {
  const row = k.get(`${FLOW_SELECT} WHERE f.id = ? GROUP BY f.id`, id);
  if (row === undefined) return null;
  const tasks = k.all("SELECT * FROM task WHERE flow_id = ? ORDER BY n", id).map((found) => ({ ...taskWithBudget(k, found), waitsFor: found["ended_at"] === null ? waitOf(k, found) : null }));
  return { flow: { ...flowOf(row), budget: budgetView(k, "tree", id) }, tasks };
}

function waitOf(k: Kernel, task: Row): TaskWait | null {
  const wait = (why: TaskWait["why"], tasks: readonly Row[] = [], until: number | null = null): TaskWait => ({ why, tasks: tasks.map((one) => one["id"]), until });
  if (task["blocked"] === 1) return wait("claims", blockersOf(k, task));
  if (task["admitted"] === 0) return wait("siblings", k.all("SELECT id FROM task WHERE parent_session = ? AND admitted = 1 AND ended_at IS NULL ORDER BY n", task["parent_session"]));
  const lane = k.get("SELECT state, ready_at FROM lane WHERE session = ?", task["session"]);
  if (lane?.["state"] === "ready") return lane["ready_at"] > k.now() ? wait("backoff", [], lane["ready_at"]) : wait("slot");
  if (task["state"] !== "waiting") return null;
  const barrier = k.get("SELECT id, deadline_at FROM barrier WHERE session = ? AND state = 'open' ORDER BY id LIMIT 1", task["session"]);
  if (barrier === undefined) return wait("children", k.all("SELECT id FROM task WHERE parent_session = ? AND ended_at IS NULL ORDER BY n", task["session"]));
  return wait("children", k.all("SELECT t.id FROM barrier_task b JOIN task t ON t.id = b.task_id WHERE b.barrier_id = ? AND t.ended_at IS NULL ORDER BY t.n", barrier["id"]), barrier["deadline_at"]);
}

export function lanes(k: Kernel, { meanTurnMs }: { meanTurnMs: Readonly<Record<PoolName, number>> }): LanesView {
  const now = k.now();
  const pools: PoolRow[] = POOLS.map((name) => ({
    name,
    size: poolSize(k, name),
    used: slotsUsed(k, name),
    waiting: k.count("SELECT count(*) FROM lane WHERE pool = ? AND state = 'ready' AND ready_at <= ?", name, now),
  }));
  const rows = k.all(
    `SELECT l.* FROM lane l WHERE l.state <> 'idle' OR EXISTS (SELECT 1 FROM turn t WHERE t.session = l.session AND t.state = 'running') ORDER BY l.state = 'ready', l.sort_key, l.session LIMIT ?`,
    LANES_SHOWN_MAX,
  );
  return { generation: generationOf(k), pools, lanes: rows.map((row) => laneOf(k, row, now, meanTurnMs)) };
}

function laneOf(k: Kernel, lane: Row, now: number, meanTurnMs: Readonly<Record<PoolName, number>>): LaneRow {
  const first = k.get("SELECT accepted_at, ready_at FROM message WHERE session = ? AND state IN ('waiting','held') ORDER BY n LIMIT 1", lane["session"]);
  const place = placeOf(k, lane, meanTurnMs);
  return {
    session: lane["session"],
    state: lane["state"],
    pool: lane["pool"],
    waitingMessages: lane["waiting"],
    position: lane["state"] === "ready" ? place.position : null,
    waitedMs: first === undefined ? 0 : now - first["accepted_at"],
    etaMs: place.etaMs,
    why: whyOf(k, lane, first, now),
    turns: runningTurns(k, lane["session"]),
  };
}

export function runningTurns(k: Kernel, session: SessionKey): TurnRow[] {
  return k
    .all("SELECT * FROM turn WHERE session = ? AND state = 'running' ORDER BY handle", session)
    .map((turn) => turnOf(turn, k.all("SELECT id FROM message WHERE turn_id = ? ORDER BY n", turn["id"]).map((row) => row["id"] as MessageId)));
}

function whyOf(k: Kernel, lane: Row, first: Row | undefined, now: number): LaneRow["why"] {
  if (lane["state"] === "ready") return lane["ready_at"] > now ? "batch" : "slot";
  if (lane["state"] === "leased") {
    const main = k.get("SELECT id FROM turn WHERE session = ? AND state = 'running' AND track = 'main'", lane["session"]);
    return main !== undefined && waitsForHarness(k, main["id"]) ? "harness" : first === undefined ? null : "turn";
  }
  if (lane["state"] === "waiting" && waitsForBeside(k, lane["session"])) return "turn";
  if (lane["state"] === "waiting") return k.get("SELECT 1 FROM barrier WHERE session = ? AND state = 'open'", lane["session"]) !== undefined ? "children" : k.get("SELECT 1 FROM task WHERE session = ? AND blocked = 1 AND ended_at IS NULL", lane["session"]) === undefined ? "siblings" : "claims";
  return null;
}

export function totals(k: Kernel): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const table of ["session", "message", "turn", "task", "event"]) counts[`${table}s`] = k.count(`SELECT count(*) FROM ${table}`);
  for (const row of k.all("SELECT state, count(*) AS n FROM task GROUP BY state")) counts[`tasks_${row["state"]}`] = row["n"];
  for (const row of k.all("SELECT state, count(*) AS n FROM message GROUP BY state")) counts[`messages_${row["state"]}`] = row["n"];
  for (const row of k.all("SELECT state, count(*) AS n FROM turn GROUP BY state")) counts[`turns_${row["state"]}`] = row["n"];
  return counts;
}
