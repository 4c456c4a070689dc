/** Turns: journalled steps, the one transaction that ends a turn, and what is left after a crash. */
import type { MessageId, SessionKey, TurnId } from "../../base/ids.ts";
import { NO_USAGE } from "../../model/chat.ts";
import type { NewEvent } from "../../model/event.ts";
import { Fault, type FaultRecord } from "../../model/faults.ts";
import { CRASHES_OF_ONE_ATTEMPT_MAX } from "../../model/supervision.ts";
import { ATTEMPTS_WITHOUT_PROGRESS_MAX, type StartedTurn, type StepWrite, type TurnEnd, type TurnRef } from "../../model/turn.ts";
import type { Recovered, RecoveryRules } from "../store.ts";
import { armProgress, noteLife } from "./attempts.ts";
import { closeApprovalsOf, closeLeftApprovals } from "./approvals.ts";
import { oweAnswers } from "./barriers.ts";
import { tellBound } from "./bindings.ts";
import { spendHolds } from "./budgets.ts";
import { followClockSinceLastRun } from "./clock-jump.ts";
import { appendEntry } from "./entries.ts";
import type { Kernel, Row } from "./kernel.ts";
import { refreshLane } from "./lane-state.ts";
import { leaveParking, unparkAll } from "./parked.ts";
import { handleText } from "./rows.ts";
import { startedTurnOf } from "./started-turn.ts";
import { lastThere, retireOld } from "./starts.ts";
import { settleChild } from "./tasks.ts";
import { fold, isRunning, markMessages, messagesOf, writeSteps } from "./turn-rows.ts";

// ── the journal ─────────────────────────────────────────────────────────────────────────────

function runningTurn(k: Kernel, turn: TurnRef): Row | undefined {
  return k.get("SELECT * FROM turn WHERE id = ? AND epoch = ? AND state = 'running'", turn.turnId, turn.epoch);
}

export function journal(k: Kernel, { turn, writes, events }: { turn: TurnRef; writes: readonly StepWrite[]; events: readonly NewEvent[] }): boolean {
  const row = runningTurn(k, turn);
  if (row === undefined) return false;
  writeSteps(k, row, writes);
  if (row["unproductive"] > 0 && writes.some((write) => write.result !== undefined)) k.run("UPDATE turn SET unproductive = 0 WHERE id = ?", turn.turnId);
  k.emit(turn.session, ...events);
  const ended = row["task_id"] === null ? undefined : writes.findLast((write) => write.result !== undefined)?.result!.value;
  if (ended !== undefined) noteLife(k, row["task_id"], ended.kind === "tool" ? ended.result.tool : ended.kind);
  return true;
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────

export function endTurn(k: Kernel, { turn, end, writes }: { turn: TurnRef; end: TurnEnd; writes: readonly StepWrite[] }): boolean {
  const row = runningTurn(k, turn);
  if (row === undefined) return false;
  writeSteps(k, row, writes);
  finishTurn(k, row, end);
  return true;
}

function finishTurn(k: Kernel, row: Row, end: TurnEnd): void {
  const session = row["session"] as SessionKey;
  const turnId = row["id"] as TurnId;
  const now = k.now();
  const messageIds = messagesOf(k, turnId);
  const owed = JSON.parse(row["owed"]) as MessageId[];
  const replyTo = [...owed, ...messageIds];
  const fault = end.outcome === "yielded" ? null : (end.fault ?? null);
  leaveParking(k, turnId);
  k.run("UPDATE turn SET state = ?, ended_at = ?, fault = ? WHERE id = ?", end.outcome, now, fault === null ? null : JSON.stringify(fault), turnId);
  closeApprovalsOf(k, turnId, "the end of the turn");
  const usage = fold(k, row, end.outcome === "done" ? replyTo : []);

  const news: NewEvent[] = [];
  if (end.outcome === "done") {
    news.push({ type: "reply", turnId, taskId: row["task_id"], data: { text: end.text, replyTo } });
    if (end.fault !== undefined) news.push({ type: "notice", turnId, taskId: row["task_id"], data: { text: end.fault.message, level: "warn", code: end.fault.code, replyTo } });
    markMessages(k, turnId, owed, "answered");
  } else if (end.outcome === "yielded") {
    oweAnswers(k, end.barrierId, replyTo);
    if (end.text !== "") news.push({ type: "notice", turnId, data: { text: end.text, level: "info", code: "INTERIM" } });
    news.push({ type: "turn.yielded", turnId, taskId: row["task_id"], data: { barrierId: end.barrierId, messageIds } });
  } else {
    const text = `This could not be answered: ${end.fault.message}`;
    appendEntry(k, session, { turnId, content: { role: "notice", text }, messageIds: [], provenance: "system", replyTo });
    news.push({ type: "notice", turnId, taskId: row["task_id"], data: { text: end.fault.message, level: "error", code: end.fault.code, replyTo } });
    markMessages(k, turnId, owed, "failed");
  }
  const data = { outcome: end.outcome === "yielded" ? "done" : end.outcome, yielded: end.outcome === "yielded", messageIds: replyTo, ms: now - row["started_at"], handle: handleText(row["handle"]), track: row["track"], usage: { ...usage }, ...(fault === null ? {} : { fault: { ...fault } as never }) };
  k.emit(session, ...news, { type: "turn.ended", turnId, taskId: row["task_id"], data });
  if (end.outcome !== "yielded") tellBound(k, session, replyTo, turnId, end.outcome === "done" ? { outcome: "answered", text: end.text } : { outcome: "failed", fault: end.fault });
  refreshLane(k, session);
  settleChild(k, session, end);
}

// ── after a crash ───────────────────────────────────────────────────────────────────────────

export function recover(k: Kernel, rules?: RecoveryRules): Recovered {
  const { value: generation } = k.get("UPDATE meta SET value = value + 1 WHERE name = 'generation' RETURNING value")!;
  k.forget();
  k.generation = generation as number;
  const lastAt = lastThere(k);
  followClockSinceLastRun(k);
  spendHolds(k);
  unparkAll(k);
  closeLeftApprovals(k);
  const retired = rules === undefined ? null : retireOld(k, { staleMs: rules.staleMs, lastAt });
  const turns: StartedTurn[] = [];
  const poisoned: TurnId[] = [];
  for (const found of k.all("SELECT * FROM turn WHERE state = 'running' ORDER BY started_at, id")) {
    if (!isRunning(k, found["id"])) continue; // stopped with its parent, which was set aside before it
    const session = found["session"] as SessionKey;
    const { epoch } = k.get("UPDATE lane SET epoch = epoch + 1 WHERE session = ? RETURNING epoch", session)!;
    const turn = k.get("UPDATE turn SET epoch = ?, generation = ?, attempt = attempt + 1, unproductive = unproductive + 1 WHERE id = ? RETURNING *", epoch, generation, found["id"])!;
    const task = turn["task_id"] === null ? undefined : k.get("SELECT * FROM task WHERE id = ? AND ended_at IS NULL", turn["task_id"]);
    if (task !== undefined) armProgress(k, task);
    if (turn["unproductive"] >= crashesMax(task)) {
      poisoned.push(turn["id"]);
      const fault: FaultRecord = new Fault("TURN_POISONED", { attempts: turn["unproductive"] - (crashesMax(task) > CRASHES_OF_ONE_ATTEMPT_MAX ? 1 : 0) }).toRecord();
      finishTurn(k, turn, { outcome: "failed", fault, usage: NO_USAGE });
      continue;
    }
    turns.push(startedTurnOf(k, turn));
    k.emit(session, { type: "turn.started", turnId: turn["id"], taskId: turn["task_id"], data: { messageIds: messagesOf(k, turn["id"]), track: turn["track"], attempt: turn["attempt"], handle: handleText(turn["handle"]), agent: turns.at(-1)!.sessionInfo.agent, model: turns.at(-1)!.sessionInfo.model, about: turn["about"] } });
  }
  return { generation, turns: turns.filter(({ turnId }) => isRunning(k, turnId)), poisoned, retired };
}

/** A child that has another attempt is not kept on this one for long; whatever has none is given every chance. */
function crashesMax(task: Row | undefined): number {
  return task !== undefined && task["attempt"] < task["attempt_last"] ? CRASHES_OF_ONE_ATTEMPT_MAX : ATTEMPTS_WITHOUT_PROGRESS_MAX + 1;
}
