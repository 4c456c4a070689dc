/**
 * The claim: who runs now. One transaction turns ready lanes into running turns, as far as their
 * pools have free slots, and does everything that has come due.
 */
import type { MessageId, SessionKey, TaskId, TurnId } from "../../base/ids.ts";
import { POOLS, WAIT_NOTICE_MS, estimateWaitMs, type PoolName } from "../../model/lane.ts";
import { POOL_OF_KIND } from "../../model/session.ts";
import { modelStepKey } from "../../model/transcript.ts";
import type { EntryContent, StartedTurn, TurnOrigin } from "../../model/turn.ts";
import type { Claim, ClaimRules, PromotedTurn } from "../../model/claim.ts";
import type { Promotion } from "../store.ts";
import { expireBarriers, wakeTask } from "./barriers.ts";
import { boundTo, noticeToBound } from "./bindings.ts";
import { writeDigest } from "./digests.ts";
import { appendEntry } from "./entries.ts";
import type { Kernel, Row } from "./kernel.ts";
import { promotionDueAt, refreshLane, slotsUsed, slotsUsedByPool } from "./lane-state.ts";
import { handleText } from "./rows.ts";
import { generationOf, poolSize, rulesOf } from "./rules.ts";
import { besideOf, recentEntries, sessionInfoOf } from "./started-turn.ts";
import { expireTasks } from "./tasks.ts";
import { OPERATOR } from "./usage.ts";

/** Characters of a turn's first message that listings show. */
const ABOUT_LENGTH_MAX = 80;

export function claimTurns(k: Kernel, rules: ClaimRules): Claim {
  const now = k.now();
  expireBarriers(k, now);
  const quiet = expireTasks(k, now);
  const promoted = checkLanes(k, rules, now);
  const isAnyReady = k.get("SELECT 1 FROM lane WHERE state = 'ready' AND ready_at <= ? LIMIT 1", now) !== undefined;
  const started = isAnyReady ? startReadyLanes(k, rules, now) : [];
  started.push(...startSideTurns(k, now));
  return { started, promoted, quiet, nextAt: nextDueAt(k, now), more: started.length >= rules.turnsMax };
}

function startReadyLanes(k: Kernel, rules: ClaimRules, now: number): StartedTurn[] {
  const started: StartedTurn[] = [];
  const used = slotsUsedByPool(k);
  for (const pool of POOLS) {
    if (pool === "side") continue;
    const free = Math.min(poolSize(k, pool) - used[pool], rules.turnsMax - started.length);
    if (free <= 0) continue;
    const lanes = k.all("SELECT session FROM lane WHERE pool = ? AND state = 'ready' AND ready_at <= ? ORDER BY sort_key, session LIMIT ?", pool, now, free);
    for (const { session } of lanes) started.push(startTurn(k, session, "lane", headOfLine(k, session, now)));
  }
  return started;
}

function nextDueAt(k: Kernel, now: number): number | null {
  const { at } = k.get(
    `SELECT min(at) AS at FROM (
       SELECT min(ready_at) AS at FROM lane WHERE state = 'ready' AND ready_at > ?
       UNION ALL SELECT min(check_at) FROM lane WHERE check_at IS NOT NULL
       UNION ALL SELECT min(deadline_at) FROM barrier WHERE state = 'open' AND deadline_at IS NOT NULL
       UNION ALL SELECT min(deadline_at) FROM task WHERE ended_at IS NULL AND deadline_at IS NOT NULL
       UNION ALL SELECT min(progress_due_at) FROM task WHERE ended_at IS NULL AND progress_due_at IS NOT NULL
       UNION ALL SELECT min(ready_at) FROM message WHERE state = 'waiting' AND mode IN ('parallel','background') AND ready_at > ?)`,
    now, now,
  )!;
  return at;
}

/** Promotes turns that hold up a person for too long, and tells those who have waited for long. */
function checkLanes(k: Kernel, rules: ClaimRules, now: number): PromotedTurn[] {
  const promoted: PromotedTurn[] = [];
  for (const lane of k.all("SELECT * FROM lane WHERE check_at <= ?", now)) {
    const session = lane["session"] as SessionKey;
    const main = k.get("SELECT id, started_at FROM turn WHERE session = ? AND state = 'running' AND track = 'main'", session);
    const promotionAt = main === undefined ? null : promotionDueAt(k, session, main);
    if (promotionAt !== null && promotionAt <= now) {
      const isLong = main!["started_at"] + rulesOf(k).foregroundMs <= now;
      promoted.push(promote(k, session, main!["id"], isLong ? "it takes long" : "for another message"));
      continue;
    }
    if (lane["noticed"] === 0) noticeWait(k, lane, rules, now);
    refreshLane(k, session);
  }
  return promoted;
}

function noticeWait(k: Kernel, lane: Row, rules: ClaimRules, now: number): void {
  const first = k.get("SELECT min(ready_at) AS ready_at FROM lane_message WHERE session = ? AND state = 'waiting'", lane["session"])!;
  if (first["ready_at"] === null || first["ready_at"] > now - WAIT_NOTICE_MS) return;
  const { position, etaMs } = placeOf(k, lane, rules.meanTurnMs);
  k.run("UPDATE lane SET noticed = 1 WHERE session = ?", lane["session"]);
  k.emit(lane["session"], { type: "lane.waiting", data: { waitedMs: now - first["ready_at"], position, etaMs, why: lane["state"] === "leased" ? "turn" : "slot", pool: lane["pool"] } });
}

/** The place of a lane in its pool's line (0 = next) and when it should start. */
export function placeOf(k: Kernel, lane: Row, meanTurnMs: Readonly<Record<PoolName, number>>): { position: number; etaMs: number } {
  const pool = lane["pool"] as PoolName;
  if (lane["state"] === "leased") return { position: 0, etaMs: Math.round(meanTurnMs[pool]) };
  if (lane["state"] !== "ready") return { position: 0, etaMs: 0 };
  const position = k.count("SELECT count(*) FROM lane WHERE pool = ? AND state = 'ready' AND (sort_key, session) < (?, ?)", pool, lane["sort_key"], lane["session"]);
  const size = poolSize(k, pool);
  return { position, etaMs: estimateWaitMs({ position, size, free: Math.max(0, size - slotsUsed(k, pool)), meanTurnMs: meanTurnMs[pool] }) };
}

/** Messages that may start beside their lane: `background` ones always, `parallel` ones when the lane is busy. */
function startSideTurns(k: Kernel, now: number): StartedTurn[] {
  const started: StartedTurn[] = [];
  const rules = rulesOf(k);
  const batches = k.all(
    `SELECT m.session, m.batch, m.mode FROM message m JOIN lane l ON l.session = m.session
     WHERE m.state = 'waiting' AND m.mode IN ('parallel','background') AND m.ready_at <= ? AND (m.mode = 'background' OR l.state = 'leased')
     GROUP BY m.session, m.batch, m.mode ORDER BY min(m.accepted_at)`,
    now,
  );
  let free = batches.length === 0 ? 0 : poolSize(k, "side") - slotsUsed(k, "side");
  for (const { session, batch, mode } of batches) {
    if (free <= 0) break;
    const beside = k.count("SELECT count(*) FROM turn WHERE session = ? AND state = 'running' AND track = 'side'", session);
    if (mode === "parallel" && beside >= rules.sideTurnsMax) continue;
    started.push(startTurn(k, session, mode, k.all("SELECT * FROM message WHERE session = ? AND state = 'waiting' AND batch = ? AND mode = ? ORDER BY n", session, batch, mode)));
    free--;
  }
  return started;
}

function startTurn(k: Kernel, session: SessionKey, origin: TurnOrigin, messages: readonly Row[]): StartedTurn {
  const now = k.now();
  const track = origin === "lane" ? "main" : "side";
  const row = k.get("SELECT s.*, l.last_entry, l.epoch, l.last_handle FROM session s JOIN lane l ON l.session = s.key WHERE s.key = ?", session)!;
  const contextUpTo = row["last_entry"] as number;
  const recent = recentEntries(k, row, contextUpTo);
  const turnId = k.ids.turn();
  const pool = track === "side" ? "side" : POOL_OF_KIND[row["kind"] as keyof typeof POOL_OF_KIND];
  const task = row["task_id"] === null ? undefined : k.get("SELECT * FROM task WHERE id = ? AND ended_at IS NULL", row["task_id"]);
  const owed = owedByBarriers(k, messages);
  const { epoch, last_handle: handle } = k.advance(session, { epoch: 1, last_handle: 1 })!;
  k.run("UPDATE lane SET noticed = 0 WHERE session = ? AND noticed <> 0", session);
  const about = String(messages[0]!["child_task"] === null ? messages[0]!["text"] : "results of background tasks").trim().split("\n")[0]!.slice(0, ABOUT_LENGTH_MAX);
  const generation = generationOf(k);
  k.run(
    "INSERT INTO turn (id, session, handle, track, origin, pool, state, epoch, generation, task_id, about, context_upto, owed, started_at, person, tree) VALUES (?,?,?,?,?,?,'running',?,?,?,?,?,?,?,?,?)",
    turnId, session, handle, track, origin, pool, epoch, generation, task?.["id"] ?? null, about, contextUpTo, JSON.stringify(owed), now, task?.["person"] ?? personOf(k, messages), task?.["flow_id"] ?? "",
  );
  for (const message of messages) {
    k.run("UPDATE message SET state = 'taken', turn_id = ? WHERE id = ?", turnId, message["id"]);
    if (message["child_task"] !== null) k.run("UPDATE task SET delivered_at = coalesce(delivered_at, ?) WHERE id = ?", now, message["child_task"]);
  }
  const taken = takenTexts(k, session, turnId, messages);
  k.run("INSERT INTO step (turn_id, n, key, kind, name, effect, state, started_at) VALUES (?, 1, ?, 'model', 'model', 'pure', 'intent', ?)", turnId, modelStepKey(1), now);
  k.run("UPDATE session SET last_at = ?, archived_at = NULL WHERE key = ?", now, session);
  refreshLane(k, session);
  const messageIds = messages.map((message) => message["id"] as MessageId);
  k.emit(
    session,
    ...messages.filter((message) => message["child_task"] !== null).map((message) => ({ type: "task.delivered" as const, turnId, taskId: message["child_task"] as TaskId, data: { by: "digest" } })),
    { type: "turn.started", turnId, taskId: task?.["id"] ?? null, data: { messageIds, track, attempt: 1, handle: handleText(handle), agent: row["agent"], model: row["model"], about, ...(messages[0]!["child_task"] === null ? {} : { digest: taken[0]!.text }) } },
  );
  if (task !== undefined) wakeTask(k, task);
  if (origin === "background") tellBackground(k, session, turnId, handleText(handle));
  return {
    turnId,
    session,
    epoch,
    track,
    origin,
    pool,
    attempt: 1,
    startedAt: now,
    handle: handleText(handle),
    sessionInfo: sessionInfoOf(row, contextUpTo),
    recent,
    messages: taken,
    ...besideOf(k, session, turnId),
    steps: [],
    deadlineAt: task?.["deadline_at"] ?? null,
    budgeted: task !== undefined && task["budgeted"] > 0,
  };
}

/** Whose usage it is: that of who wrote, of whom the children worked for, or of whoever holds the token. */
function personOf(k: Kernel, messages: readonly Row[]): string {
  const author = messages.find((message) => message["author"] !== null)?.["author"];
  const child = messages[0]!["child_task"];
  return author ?? (child === null ? OPERATOR : (k.get("SELECT person FROM task WHERE id = ?", child)?.["person"] ?? OPERATOR));
}

function tellBackground(k: Kernel, session: SessionKey, turnId: TurnId, handle: string): void {
  const text = `I do this in the background as ${handle}; the answer follows when it is done.`;
  appendEntry(k, session, { turnId, content: { role: "notice", text }, messageIds: [], provenance: "system" });
  k.emit(session, { type: "notice", turnId, data: { text, level: "info", code: "BACKGROUND", handle } });
}

/** The messages that the next turn takes: one batch, or all finished children, or (collect) all that wait. */
function headOfLine(k: Kernel, session: SessionKey, now: number): Row[] {
  const ready = k.all("SELECT * FROM lane_message WHERE session = ? AND state = 'waiting' AND ready_at <= ? ORDER BY n", session, now);
  const head = ready[0]!;
  if (head["provenance"] === "child") return ready.filter((message) => message["provenance"] === "child");
  const rest = ready.filter((message) => message["provenance"] !== "child");
  if (head["mode"] === "collect") {
    const end = rest.findIndex((message) => message["n"] > head["n"] && message["mode"] !== "collect");
    return end === -1 ? rest : rest.slice(0, end);
  }
  return rest.filter((message) => message["batch"] === head["batch"]);
}

/** Writes what the turn took into the transcript, and gives it as the agent will see it. */
function takenTexts(k: Kernel, session: SessionKey, turnId: TurnId, messages: readonly Row[]): StartedTurn["messages"] {
  const children = messages.filter((message) => message["child_task"] !== null);
  if (children.length > 0) {
    const text = writeDigest(k, session, turnId, children);
    const first = children[0]!;
    return [{ id: first["id"], text, provenance: "child", channel: first["channel"], acceptedAt: first["accepted_at"], childTask: first["child_task"] }];
  }
  return messages.map((message) => {
    const content: EntryContent = { role: "user", text: message["text"] };
    appendEntry(k, session, { turnId, content, messageIds: [message["id"]], provenance: message["provenance"] });
    return { id: message["id"], text: message["text"], provenance: message["provenance"], channel: message["channel"], acceptedAt: message["accepted_at"], childTask: null };
  });
}

/** Messages whose turn yielded without an answer: the turn that the barrier wakes answers them. */
function owedByBarriers(k: Kernel, messages: readonly Row[]): MessageId[] {
  const ids = new Set(messages.map((message) => message["barrier_id"] as string | null).filter((id) => id !== null));
  const owed: MessageId[] = [];
  for (const id of ids) {
    const barrier = k.get("SELECT owed FROM barrier WHERE id = ?", id);
    if (barrier === undefined) continue;
    owed.push(...(JSON.parse(barrier["owed"]) as MessageId[]));
    k.run("UPDATE barrier SET owed = '[]' WHERE id = ?", id);
  }
  return owed;
}

// ── promotion ───────────────────────────────────────────────────────────────────────────────

export function promoteTurn(k: Kernel, { session, turnId }: { session: SessionKey; turnId: TurnId | null }): Promotion {
  const turn =
    turnId === null
      ? k.get("SELECT * FROM turn WHERE session = ? AND state = 'running' ORDER BY track, handle DESC LIMIT 1", session)
      : k.get("SELECT * FROM turn WHERE id = ? AND session = ? AND state = 'running'", turnId, session);
  if (turn === undefined) {
    // What a person wrote in a bound conversation is worked on in the session that it is bound to.
    const target = turnId === null ? boundTo(k, session) : null;
    return target === null ? { outcome: "nothing-runs" } : promoteTurn(k, { session: target, turnId });
  }
  if (turn["track"] === "side") return { outcome: "already-side", handle: handleText(turn["handle"]) };
  return { outcome: "promoted", turn: promote(k, session, turn["id"]) };
}

/** The turn goes on as it is; only its track, its slot and the lane change. */
function promote(k: Kernel, session: SessionKey, turnId: TurnId, why: "it takes long" | "for another message" = "it takes long"): PromotedTurn {
  const turn = k.get("UPDATE turn SET track = 'side', pool = 'side' WHERE id = ? RETURNING handle, about", turnId)!;
  const handle = handleText(turn["handle"]);
  const begins = why === "it takes long" ? "This takes longer, so it goes on" : "So that your next message is not held up, this goes on";
  const text = `${begins} beside our conversation as ${handle}; the answer follows when it is done.`;
  appendEntry(k, session, { turnId, content: { role: "notice", text }, messageIds: [], provenance: "system" });
  refreshLane(k, session);
  const notice = { type: "notice", turnId, data: { text, level: "info", code: "PROMOTED", handle } } as const;
  k.emit(session, { type: "turn.promoted", turnId, data: { handle, about: turn["about"], text } }, notice);
  noticeToBound(k, session, notice);
  return { turnId, session, handle };
}
