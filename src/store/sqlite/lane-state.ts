/**
 * The state of one lane, always derived from its messages, turns and barriers.
 */
import type { SessionKey } from "../../base/ids.ts";
import { FAIR_SHARE_MAX_MS, FAIR_SHARE_STEP_MS, POOLS, WAIT_NOTICE_MS, childSortKey, sortKey, workClassOf, type PoolName } from "../../model/lane.ts";
import type { Kernel, Row } from "./kernel.ts";
import { rulesOf } from "./rules.ts";
import { slotsLent, waitsForHarness } from "./parked.ts";

/** Brings a lane's state in line with its messages, turns and barriers. Call after any of them changed. */
export function refreshLane(k: Kernel, session: SessionKey): void {
  const lane = k.get("SELECT l.*, s.kind, s.parent, s.task_id FROM lane l JOIN session s ON s.key = l.session WHERE l.session = ?", session);
  if (lane === undefined) return;
  const waiting = k.get("SELECT count(*) AS n, min(ready_at) AS ready_at FROM lane_message WHERE session = ? AND state = 'waiting'", session)!;
  const main = k.get("SELECT id, started_at FROM turn WHERE session = ? AND state = 'running' AND track = 'main'", session);
  const now = k.now();
  const checkAt = waiting["n"] === 0 ? null : nextCheck(k, lane, waiting["ready_at"], main);
  if (main !== undefined) {
    setLane(k, session, "leased", null, null, waiting["n"], checkAt);
  } else if (waiting["n"] > 0 && !isHeldBack(k, lane) && !waitsForBeside(k, session)) {
    const keep = lane["state"] === "ready" && lane["ready_at"] <= now;
    const place = keep ? lane["sort_key"] : placeInLine(k, lane, Math.max(waiting["ready_at"], now));
    setLane(k, session, "ready", waiting["ready_at"], place, waiting["n"], checkAt);
  } else {
    const waits = waiting["n"] > 0 || k.get("SELECT 1 FROM barrier WHERE session = ? AND state = 'open'", session) !== undefined;
    setLane(k, session, waits ? "waiting" : "idle", null, null, waiting["n"], null);
  }
}

function setLane(k: Kernel, session: SessionKey, state: string, readyAt: number | null, place: number | null, waiting: number, checkAt: number | null): void {
  k.run(
    "UPDATE lane SET state = ?, ready_at = ?, sort_key = ?, waiting = ?, check_at = ?, noticed = CASE WHEN ? = 0 THEN 0 ELSE noticed END WHERE session = ?",
    state, readyAt, place, waiting, checkAt, waiting, session,
  );
}

/** A child whose siblings fill their parent's cap waits until one of them ends; one whose claims overlap, until they are free. */
function isHeldBack(k: Kernel, lane: Row): boolean {
  return lane["task_id"] !== null && k.get("SELECT 1 FROM task WHERE id = ? AND (admitted = 0 OR blocked = 1) AND ended_at IS NULL", lane["task_id"]) !== undefined;
}

/** The next message leans on something that still runs beside the lane. */
export function waitsForBeside(k: Kernel, session: SessionKey): boolean {
  const head = k.get("SELECT after_beside FROM lane_message WHERE session = ? AND state = 'waiting' ORDER BY n LIMIT 1", session);
  return head?.["after_beside"] === 1 && k.get("SELECT 1 FROM turn WHERE session = ? AND state = 'running' AND origin = 'parallel'", session) !== undefined;
}

function placeInLine(k: Kernel, lane: Row, readyAt: number): number {
  if (lane["kind"] === "subagent" || lane["kind"] === "acp") {
    const tree = k.get("SELECT f.place, t.n - (SELECT min(n) FROM task WHERE flow_id = f.id) AS nth FROM task t JOIN flow f ON f.id = t.flow_id WHERE t.id = ?", lane["task_id"]);
    return childSortKey({ treePlace: tree?.["place"] ?? readyAt, readyAt, nth: tree?.["nth"] ?? 0 });
  }
  const head = k.get("SELECT provenance FROM lane_message WHERE session = ? AND state = 'waiting' ORDER BY n LIMIT 1", lane["session"])!;
  const others = k.count(
    "SELECT count(*) FROM (SELECT 1 FROM lane WHERE owner = ? AND state IN ('ready','leased') AND session <> ? LIMIT ?)",
    lane["owner"], lane["session"], FAIR_SHARE_MAX_MS / FAIR_SHARE_STEP_MS,
  );
  return sortKey({ class: workClassOf(head["provenance"], false), readyAt, inFlight: others });
}

/** When this lane must be looked at again although nothing happens to it: a notice, or a promotion. */
function nextCheck(k: Kernel, lane: Row, firstReadyAt: number, main: Row | undefined): number | null {
  const notice = lane["noticed"] === 0 ? firstReadyAt + WAIT_NOTICE_MS : null;
  const promotion = main === undefined ? null : promotionDueAt(k, lane["session"], main);
  if (notice === null) return promotion;
  return promotion === null ? notice : Math.min(notice, promotion);
}

/**
 * When the turn in the lane gives way to a person who waits. One that only a job asked for does so at once; one that
 * waits for its harness itself would leave nobody more than the next one gets, so it is looked at again later.
 * @param main  its id and start.
 */
export function promotionDueAt(k: Kernel, session: SessionKey, main: Row): number | null {
  if (isForItsParent(k, session)) return null;
  const { ready_at: readyAt, independent } = k.get(
    "SELECT min(ready_at) AS ready_at, max(mode = 'parallel') AS independent FROM message WHERE session = ? AND state = 'waiting' AND mode IN ('auto','parallel') AND provenance IN ('user','operator')",
    session,
  )!;
  if (readyAt === null) return null;
  const { foregroundMs } = rulesOf(k);
  if (waitsForHarness(k, main["id"])) return k.now() + Math.max(foregroundMs, WAIT_NOTICE_MS);
  const roomAt = independent === 1 ? roomDueAt(k, session) : null;
  const isForSomebody = k.get("SELECT 1 FROM message WHERE turn_id = ? AND provenance <> 'timer'", main["id"]) !== undefined;
  return roomAt ?? (isForSomebody ? Math.max(readyAt, main["started_at"] + foregroundMs) : readyAt);
}

/**
 * An independent message for which no place beside the lane is left gets the lane itself, at once and
 * once: when the turn in front has gone beside too, there are more than `sideTurnsMax` there.
 * @returns when; null = the first in line is no such message, or it has to wait.
 */
function roomDueAt(k: Kernel, session: SessionKey): number | null {
  const { sideTurnsMax } = rulesOf(k);
  const beside = k.count("SELECT count(*) FROM turn WHERE session = ? AND state = 'running' AND track = 'side'", session);
  if (sideTurnsMax === 0 || beside !== sideTurnsMax) return null;
  const first = k.get("SELECT mode, ready_at FROM message WHERE session = ? AND state = 'waiting' ORDER BY n LIMIT 1", session)!;
  return first["mode"] === "parallel" ? first["ready_at"] : null;
}

/** What it does is for whoever spawned it; a coding agent that a person started, or whose task is over, is a conversation. */
function isForItsParent(k: Kernel, session: SessionKey): boolean {
  const row = k.get("SELECT kind, task_id FROM session WHERE key = ?", session);
  if (row?.["kind"] !== "acp") return row?.["kind"] === "subagent";
  return row["task_id"] !== null && k.get("SELECT 1 FROM task WHERE id = ? AND ended_at IS NULL", row["task_id"]) !== undefined;
}

/** {@link slotsUsed} of every pool. */
export function slotsUsedByPool(k: Kernel): Record<PoolName, number> {
  const running = new Map(k.all("SELECT pool, count(*) AS n FROM turn WHERE state = 'running' GROUP BY pool").map(({ pool, n }) => [pool, n as number]));
  return Object.fromEntries(POOLS.map((pool) => [pool, (running.get(pool) ?? 0) - slotsLent(k, pool)])) as Record<PoolName, number>;
}

/** Running turns of a pool, without those that lend their slot while they wait for a provider. */
export function slotsUsed(k: Kernel, pool: PoolName): number {
  return k.count("SELECT count(*) FROM turn WHERE pool = ? AND state = 'running'", pool) - slotsLent(k, pool);
}
