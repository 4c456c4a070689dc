/** The inbox: what came in, once each, in order, on disk before it is acknowledged. */
import type { MessageId, SessionKey } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import { isIndependent } from "../../model/independence.ts";
import { BATCH_WAITS_MAX, estimateWaitMs, type MessageMode, type PoolName } from "../../model/lane.ts";
import type { Accepted, NewMessage } from "../../model/message.ts";
import type { TurnRef } from "../../model/turn.ts";
import type { AcceptRules } from "../store.ts";
import { acceptBound } from "./bindings.ts";
import type { Kernel, Row } from "./kernel.ts";
import { insertMessage } from "./inbox.ts";
import { refreshLane, slotsUsed } from "./lane-state.ts";
import { openSession } from "./open-session.ts";
import { poolSize, rulesOf } from "./rules.ts";
import { nextStepNumber, runningTurn, stopTurn } from "./turn-rows.ts";

/** Unanswered texts that a new one is compared with. */
const UNANSWERED_MAX = 50;

export function acceptMessage(k: Kernel, { message, rules }: { message: NewMessage; rules: AcceptRules }): Accepted {
  return acceptBound(k, message, (led) => acceptOwn(k, { message: led, rules })) ?? acceptOwn(k, { message, rules });
}

function acceptOwn(k: Kernel, { message, rules }: { message: NewMessage; rules: AcceptRules }): Accepted {
  const row = openSession(k, message.session);
  if (message.sourceId !== null) {
    const known = k.get("SELECT id FROM message WHERE session = ? AND channel = ? AND source_id = ?", message.session, message.channel, message.sourceId);
    if (known !== undefined) return { messageId: known["id"], session: message.session, queuedAhead: 0, etaMs: 0, duplicate: true };
  }
  if (row["closed"] === 1) throw new Fault("SPAWN_PARENT_GONE", { session: message.session });
  const lane = k.get("SELECT * FROM lane WHERE session = ?", message.session)!;
  const queuedMax = rulesOf(k).queueCap;
  if (lane["waiting"] >= queuedMax) throw new Fault("LANE_FULL", { session: message.session, queued: lane["waiting"], queuedMax });

  const asked = message.queueMode ?? (row["queue_mode"] as MessageMode | null) ?? rules.defaultMode;
  const leans = asked === "parallel" && !mayRunBeside(k, message, rules);
  const mode = leans ? "auto" : asked;
  if (lane["state"] === "leased") {
    if (mode === "reject") throw new Fault("QUEUE_REJECTED", { session: message.session, etaMs: rules.meanTurnMs }, { retryAfterMs: rules.meanTurnMs });
    if (mode === "interrupt" || mode === "rollback") interrupt(k, message.session, mode);
  }
  const place = mode === "background" ? { readyAt: k.now() } : batchFor(k, message, lane, rules.waitMs);
  if (mode !== "background") closeEarlier(k, message.session, place.readyAt);
  const messageId = insertMessage(k, message.session, {
    text: message.text,
    provenance: message.provenance,
    channel: message.channel,
    mode,
    sourceId: message.sourceId,
    author: message.author,
    replyTo: message.replyTo,
    afterBeside: leans,
    ...place,
  });
  k.run("UPDATE session SET last_at = ?, archived_at = NULL WHERE key = ?", k.now(), message.session);
  refreshLane(k, message.session);
  const after = k.get("SELECT * FROM lane WHERE session = ?", message.session)!;
  const busy = after["state"] === "leased";
  const queuedAhead = lane["waiting"] + (busy ? 1 : 0);
  const etaMs = estimate(k, after, lane["waiting"], rules.meanTurnMs);
  const data = { messageId, text: message.text, provenance: message.provenance, channel: message.channel, clientMessageId: message.sourceId, mode, queuedAhead };
  k.emit(message.session, { type: "message.accepted", data });
  if (busy && mode !== "steer") k.emit(message.session, { type: "turn.queued", data: { messageIds: [messageId], queuedAhead, etaMs } });
  return { messageId, session: message.session, queuedAhead, etaMs, duplicate: false };
}

function mayRunBeside(k: Kernel, message: NewMessage, { independence }: AcceptRules): boolean {
  if (independence !== "rules") return independence === "independent";
  return isIndependent(message.text, { isReply: message.replyTo !== null, texts: unansweredTexts(k, message.session) });
}

export function unansweredTexts(k: Kernel, session: SessionKey): string[] {
  return k
    .all(
      `SELECT text FROM message m WHERE session = ?1 AND provenance IN ('user','operator')
         AND (state = 'waiting' OR (state = 'taken' AND EXISTS (SELECT 1 FROM turn t WHERE t.id = m.turn_id AND t.state = 'running')))
       ORDER BY n LIMIT ?2`,
      session, UNANSWERED_MAX,
    )
    .map((row) => row["text"] as string);
}

export function messagePlace(k: Kernel, { id, meanTurnMs }: { id: MessageId; meanTurnMs: number }): { ahead: number; etaMs: number } | null {
  const message = k.get("SELECT * FROM message WHERE id = ? AND state IN ('waiting','held','taken')", id);
  if (message === undefined) return null;
  if (message["state"] === "taken") return { ahead: 0, etaMs: 0 };
  const lane = k.get("SELECT * FROM lane WHERE session = ?", message["session"])!;
  const before = k.count("SELECT count(*) FROM lane_message WHERE session = ? AND state = 'waiting' AND batch < ?", message["session"], message["batch"]);
  const others = lane["state"] === "ready" ? k.count("SELECT count(*) FROM lane WHERE pool = ? AND state = 'ready' AND sort_key < ?", lane["pool"], lane["sort_key"]) : 1;
  return { ahead: before + others, etaMs: estimate(k, lane, before, meanTurnMs) };
}

/** What is open before a message that is ready sooner is ready then too: nothing overtakes in its lane. */
function closeEarlier(k: Kernel, session: SessionKey, readyAt: number): void {
  k.run("UPDATE message SET ready_at = ?1 WHERE session = ?2 AND state = 'waiting' AND provenance <> 'child' AND ready_at > ?1", readyAt, session);
}

/** Joins the batch that is still open, or opens one. All of a batch become ready together. */
function batchFor(k: Kernel, message: NewMessage, lane: Row, waitMs: number): { readyAt: number; batch?: number } {
  const now = k.now();
  const open = k.get(
    "SELECT batch, min(accepted_at) AS since FROM message WHERE session = ? AND state = 'waiting' AND batch = ? AND ready_at > ? AND provenance = ? GROUP BY batch",
    message.session, lane["last_batch"], now, message.provenance,
  );
  if (open === undefined) return { readyAt: now + waitMs };
  const readyAt = Math.min(now + waitMs, open["since"] + Math.max(waitMs, 1) * BATCH_WAITS_MAX);
  k.run("UPDATE message SET ready_at = ? WHERE session = ? AND state = 'waiting' AND batch = ?", readyAt, message.session, open["batch"]);
  return { readyAt, batch: open["batch"] };
}

function interrupt(k: Kernel, session: SessionKey, mode: "interrupt" | "rollback"): void {
  const main = k.get("SELECT * FROM turn WHERE session = ? AND state = 'running' AND track = 'main'", session);
  if (main !== undefined) stopTurn(k, main, { by: "a newer message", forget: mode === "rollback" });
}

function estimate(k: Kernel, lane: Row, ahead: number, meanTurnMs: number): number {
  if (lane["state"] === "leased") return Math.round((ahead + 1) * meanTurnMs);
  const pool = lane["pool"] as PoolName;
  const size = poolSize(k, pool);
  const free = Math.max(0, size - slotsUsed(k, pool));
  const position = free > 0 ? 0 : k.count("SELECT count(*) FROM lane WHERE pool = ? AND state = 'ready' AND sort_key < ?", pool, lane["sort_key"] ?? 0);
  const batchMs = Math.max(0, (lane["ready_at"] ?? 0) - k.now());
  return batchMs + estimateWaitMs({ position, size, free, meanTurnMs });
}

interface Steering {
  readonly session: SessionKey;
  readonly handle?: string;
  readonly text: string;
  readonly provenance: "user" | "operator" | "agent";
  readonly channel: string;
}

export function steerSession(k: Kernel, { session, handle, text, provenance, channel }: Steering): Accepted {
  const row = openSession(k, session);
  if (row["closed"] === 1) throw new Fault("SPAWN_PARENT_GONE", { session });
  const lane = k.get("SELECT * FROM lane WHERE session = ?", session)!;
  const turn = handle === undefined ? undefined : runningTurn(k, session, handle);
  if (handle !== undefined && turn === undefined) throw new Fault("TURN_NOT_FOUND", { turn: handle });
  const first = k.get("SELECT batch FROM message WHERE session = ? AND state = 'waiting' ORDER BY n LIMIT 1", session);
  const notStarted = first !== undefined && lane["state"] !== "leased" && turn === undefined;
  const messageId = insertMessage(k, session, {
    text,
    provenance,
    channel,
    mode: "steer",
    readyAt: k.now(),
    ...(notStarted ? { batch: first["batch"] } : {}),
    ...(turn === undefined ? {} : { forTurn: turn["id"] }),
  });
  refreshLane(k, session);
  k.emit(session, { type: "message.accepted", turnId: turn?.["id"] ?? null, data: { messageId, text, provenance, channel, clientMessageId: null, mode: "steer", queuedAhead: 0 } });
  return { messageId, session, queuedAhead: 0, etaMs: 0, duplicate: false };
}

/** Messages for this turn: those addressed to it and, on the main track, those for whatever runs. */
export function takeSteering(k: Kernel, turn: TurnRef): { id: MessageId; text: string }[] {
  const running = k.get("SELECT track FROM turn WHERE id = ? AND epoch = ? AND state = 'running'", turn.turnId, turn.epoch);
  if (running === undefined) return [];
  const rows = k.all(
    "SELECT id, text FROM message WHERE session = ? AND state = 'waiting' AND mode = 'steer' AND (for_turn = ? OR (for_turn IS NULL AND ?)) ORDER BY n",
    turn.session, turn.turnId, running["track"] === "main" ? 1 : 0,
  );
  if (rows.length === 0) return [];
  const ids = rows.map((row) => row["id"] as MessageId);
  for (const id of ids) k.run("UPDATE message SET state = 'taken', turn_id = ? WHERE id = ?", turn.turnId, id);
  const text = rows.map((row) => row["text"]).join("\n");
  const n = nextStepNumber(k, turn.turnId);
  k.run(
    "INSERT INTO step (turn_id, n, key, kind, name, effect, state, result, started_at, ended_at) VALUES (?,?,?,'steer','steer','pure','done',?,?,?)",
    turn.turnId, n, `steer:${n}`, JSON.stringify({ kind: "steer", text, messageIds: ids }), k.now(), k.now(),
  );
  refreshLane(k, turn.session);
  return rows.map((row) => ({ id: row["id"], text: row["text"] }));
}
