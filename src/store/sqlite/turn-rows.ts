/** The rows of a turn: its steps, its block in the transcript, and how it is stopped from outside. */
import type { MessageId, SessionKey, TurnId } from "../../base/ids.ts";
import { NO_USAGE, addUsage, type Usage } from "../../model/chat.ts";
import { Fault } from "../../model/faults.ts";
import { touchedBy } from "../../model/touched.ts";
import { entriesOfSteps } from "../../model/transcript.ts";
import type { StepRecord, StepWrite } from "../../model/turn.ts";
import { closeApprovalsOf } from "./approvals.ts";
import { tellBound } from "./bindings.ts";
import { appendEntry, compactSession } from "./entries.ts";
import type { Kernel, Row } from "./kernel.ts";
import { refreshLane } from "./lane-state.ts";
import { ADD_USAGE, handleText, stepOf, usageValues } from "./rows.ts";
import { leaveParking } from "./parked.ts";
import { recordUsage } from "./usage.ts";

export function nextStepNumber(k: Kernel, turnId: TurnId): number {
  return k.count("SELECT coalesce(max(n), 0) + 1 FROM step WHERE turn_id = ?", turnId);
}

/** @param turn  the row of the running turn. */
export function writeSteps(k: Kernel, turn: Row, writes: readonly StepWrite[]): void {
  const now = k.now();
  const turnId = turn["id"] as TurnId;
  for (const { intent, result, unknown } of writes) {
    if (intent !== undefined) {
      // It may be there already, from a try that was told it had failed.
      k.run(
        "INSERT INTO step (turn_id, n, key, kind, name, effect, state, input, started_at) VALUES (?,?,?,?,?,?,'intent',?,?) ON CONFLICT (turn_id, key) DO NOTHING",
        turnId, nextStepNumber(k, turnId), intent.key, intent.kind, intent.name, intent.effect, intent.input === null ? null : JSON.stringify(intent.input), now,
      );
    }
    if (result !== undefined) {
      const written = k.run("UPDATE step SET state = 'done', result = ?, ended_at = ? WHERE turn_id = ? AND key = ? AND state = 'intent'", JSON.stringify(result.value), now, turnId, result.key);
      if (written > 0) recordUsage(k, turn, result.value);
    }
    if (result?.value.kind === "compaction") compactSession(k, turn["session"], result.value.summary, result.value.upTo);
    if (unknown !== undefined) k.run("UPDATE step SET state = 'unknown', ended_at = ? WHERE turn_id = ? AND key = ? AND state = 'intent'", now, turnId, unknown.key);
  }
}

export function stepsOf(k: Kernel, turnId: TurnId): StepRecord[] {
  return k.all("SELECT * FROM step WHERE turn_id = ? ORDER BY n", turnId).map(stepOf);
}

function usageOfSteps(steps: readonly StepRecord[]): Usage {
  let usage = NO_USAGE;
  for (const { result } of steps) {
    if (result?.kind === "model") usage = addUsage(usage, result.answer.usage);
    if (result?.kind === "compaction") usage = addUsage(usage, result.usage);
  }
  return usage;
}

/** The turn's steps become entries of the transcript, in one block; a side turn's block says where it belongs. */
export function fold(k: Kernel, row: Row, replyTo: readonly MessageId[]): Usage {
  const session = row["session"] as SessionKey;
  const turnId = row["id"] as TurnId;
  const steps = stepsOf(k, turnId);
  const entries = entriesOfSteps(steps);
  if (row["track"] === "side" && entries.length > 0) appendEntry(k, session, { turnId, content: { role: "notice", text: causalPosition(k, row, steps) }, messageIds: [], provenance: "system" });
  entries.forEach((entry, index) => {
    const answers = index === entries.length - 1 ? replyTo : [];
    appendEntry(k, session, { turnId, content: entry.content, messageIds: entry.messageIds, provenance: entry.content.role === "user" ? "user" : "agent", replyTo: answers });
  });
  const usage = usageOfSteps(steps);
  k.run(`UPDATE session SET ${ADD_USAGE} WHERE key = ?`, ...usageValues(usage), session);
  if (row["task_id"] !== null) k.run(`UPDATE task SET ${ADD_USAGE} WHERE id = ?`, ...usageValues(usage), row["task_id"]);
  return usage;
}

function causalPosition(k: Kernel, row: Row, steps: readonly StepRecord[]): string {
  const last = k.count("SELECT last_entry FROM lane WHERE session = ?", row["session"]);
  const after = k.get("SELECT min(seq) AS seq FROM entry WHERE session = ? AND seq > ? AND (turn_id IS NULL OR turn_id <> ?)", row["session"], row["context_upto"], row["id"])!["seq"] ?? last;
  return `${handleText(row["handle"])}, about ${JSON.stringify(row["about"])}: started before #${after}, finished after #${last}${collisions(k, row, steps)}`;
}

/** Which turns that ran at the same time changed the same things. */
function collisions(k: Kernel, row: Row, steps: readonly StepRecord[]): string {
  const touched = touchedBy(steps);
  if (touched.size === 0) return "";
  const others = k.all("SELECT id, handle FROM turn WHERE session = ? AND id <> ? AND (ended_at IS NULL OR ended_at >= ?)", row["session"], row["id"], row["started_at"]);
  const shared = others.flatMap((other) => [...touchedBy(stepsOf(k, other["id"]))].filter((one) => touched.has(one)).map((one) => `${handleText(other["handle"])} changed ${one} too`));
  return shared.length === 0 ? "" : `; check this: ${shared.join(", ")}`;
}

export function messagesOf(k: Kernel, turnId: TurnId): MessageId[] {
  return k.all("SELECT id FROM message WHERE turn_id = ? ORDER BY n", turnId).map((row) => row["id"] as MessageId);
}

export function markMessages(k: Kernel, turnId: TurnId, owed: readonly MessageId[], state: "answered" | "failed" | "cancelled"): void {
  k.run("UPDATE message SET state = ? WHERE turn_id = ? AND state = 'taken'", state, turnId);
  for (const id of owed) k.run("UPDATE message SET state = ? WHERE id = ? AND state = 'taken'", state, id);
}

/** Ends a running turn from outside. Its later writes are fenced off; what it had done stays known. */
export function stopTurn(k: Kernel, row: Row, { by, forget = false }: { by: string; forget?: boolean }): void {
  const session = row["session"] as SessionKey;
  const turnId = row["id"] as TurnId;
  const owed = JSON.parse(row["owed"]) as MessageId[];
  const fault = new Fault("TURN_CANCELLED", { by }).toRecord();
  leaveParking(k, turnId);
  k.run("UPDATE turn SET state = 'cancelled', ended_at = ?, fault = ? WHERE id = ?", k.now(), JSON.stringify(fault), turnId);
  if (forget) {
    // What children found out was not said by this turn.
    k.run("DELETE FROM entry WHERE session = ? AND turn_id = ? AND provenance <> 'child'", session, turnId);
  } else {
    fold(k, row, []);
    appendEntry(k, session, { turnId, content: { role: "notice", text: `cancelled by ${by}` }, messageIds: [], provenance: "system", replyTo: messagesOf(k, turnId) });
  }
  closeApprovalsOf(k, turnId, "the end of the turn");
  const messageIds = [...owed, ...messagesOf(k, turnId)];
  markMessages(k, turnId, owed, "cancelled");
  const data = { outcome: "cancelled", yielded: false, messageIds, ms: k.now() - row["started_at"], handle: handleText(row["handle"]), track: row["track"], fault: { ...fault } as never };
  k.emit(session, { type: "turn.ended", turnId, taskId: row["task_id"], data });
  tellBound(k, session, messageIds, turnId, { outcome: "cancelled", fault });
  k.stopped(turnId);
  refreshLane(k, session);
}

export function isRunning(k: Kernel, turn: TurnId): boolean {
  return k.get("SELECT 1 FROM turn WHERE id = ? AND state = 'running'", turn) !== undefined;
}

/** The running turn of a session that goes by a handle such as `T7`. */
export function runningTurn(k: Kernel, session: SessionKey, handle: string): Row | undefined {
  const number = /^T(\d{1,9})$/i.exec(handle)?.[1];
  return number === undefined ? undefined : k.get("SELECT * FROM turn WHERE session = ? AND handle = ? AND state = 'running'", session, Number(number));
}
