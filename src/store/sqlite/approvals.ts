/**
 * Approvals: asked once by their key, answered once, ended with the turn that waits for them.
 *
 * What ends a turn pays nothing for this while nothing is pending: whether something is, is remembered.
 */
import type { SessionKey, TurnId } from "../../base/ids.ts";
import { oneLine, requestText, type Approval, type ApprovalAnswer, type ApprovalState, type NewApproval, type StandingApproval } from "../../model/approval.ts";
import { Fault } from "../../model/faults.ts";
import { DEFAULT_AGENT, mainSession, parseSessionKey } from "../../model/session.ts";
import type { ApprovalQuery } from "../store.ts";
import type { Kernel, Row } from "./kernel.ts";
import { openSession } from "./open-session.ts";

/** The pending ones have an index of their own, which a parameter alone would hide. */
const PENDING = "state = 'pending' AND ?2 = state";
const ID = /^A(\d{1,15})$/i;

export function askApproval(k: Kernel, ask: NewApproval): Approval {
  const known = k.get("SELECT * FROM approval WHERE ask_key = ?", ask.askKey);
  if (known !== undefined) return approvalOf(known);
  if (k.get("SELECT 1 FROM session WHERE key = ?", ask.session) === undefined) throw new Fault("SESSION_NOT_FOUND", { session: ask.session });
  const place = placeOf(k, ask.session);
  const standing = k.get("SELECT given_by FROM standing_approval WHERE place = ? AND holder = ? AND tool = ? AND hash = ? AND cwd = ?", place, ask.holder, ask.tool, ask.hash, ask.cwd);
  const isOver = ask.turnId !== null && k.get("SELECT 1 FROM turn WHERE id = ? AND state = 'running'", ask.turnId) === undefined;
  const now = k.now();
  const state: ApprovalState = isOver ? "cancelled" : standing !== undefined ? "approved" : "pending";
  const by = isOver ? "the end of the turn" : (standing?.["given_by"] ?? null);
  const row = k.get(
    `INSERT INTO approval (ask_key, session, place, turn_id, holder, tool, what, path, input, hash, cwd, state, asked_at, expires_at, ended_at, ended_by, standing)
     VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING *`,
    ask.askKey, ask.session, place, ask.turnId, ask.holder, ask.tool, ask.what, ask.path, JSON.stringify(ask.input), ask.hash, ask.cwd, state, now, ask.expiresAt,
    state === "pending" ? null : now, by, state === "approved" ? 1 : 0,
  )!;
  const approval = approvalOf(row);
  if (state === "pending") {
    k.forget();
    emitToBoth(k, approval, "approval.requested");
    k.emit(place, { type: "notice", data: { text: requestText(approval), level: "warn", code: "APPROVAL", approvalId: approval.id } });
  } else {
    emitToBoth(k, approval, "approval.answered");
  }
  return approval;
}

/** Where people see it: the conversation that is bound to the session, or else to what spawned it, or the operator's own. */
function placeOf(k: Kernel, session: SessionKey): SessionKey {
  for (let at: SessionKey | null = session; at !== null; ) {
    const bound = k.get("SELECT conversation FROM binding WHERE target = ? ORDER BY bound_at DESC, conversation LIMIT 1", at);
    if (bound !== undefined) return bound["conversation"];
    const row: Row | undefined = k.get("SELECT kind, parent FROM session WHERE key = ?", at);
    if (row !== undefined && row["kind"] !== "subagent" && row["kind"] !== "acp") return at;
    at = row?.["parent"] ?? null;
  }
  const main = mainSession(DEFAULT_AGENT);
  openSession(k, main);
  return main;
}

/** @throws {Fault} APPROVAL_NOT_FOUND, APPROVAL_ENDED. */
export function answerApproval(k: Kernel, { id, answer, by, from }: { id: string; answer: ApprovalAnswer; by: string; from: SessionKey | null }): Approval {
  const row = rowOf(k, id);
  if (row === undefined || (from !== null && !mayAnswer(row, from))) {
    // Somebody who may not answer it learns nothing of it.
    throw new Fault("APPROVAL_NOT_FOUND", { approval: id });
  }
  if (row["state"] !== "pending") throw new Fault("APPROVAL_ENDED", { approval: `A${row["n"]}`, state: row["state"], by: row["ended_by"] });
  if (row["expires_at"] <= k.now()) {
    // Its timer is late; an answer that comes after the time counts no more.
    throw new Fault("APPROVAL_ENDED", { approval: `A${row["n"]}`, state: "expired", by: "the time" });
  }
  if (answer === "always") {
    openSession(k, row["place"]);
    k.run(
      "INSERT OR REPLACE INTO standing_approval (place, holder, tool, hash, cwd, what, given_at, given_by) VALUES (?,?,?,?,?,?,?,?)",
      row["place"], row["holder"], row["tool"], row["hash"], row["cwd"], oneLine(`${row["what"]} ${row["input"]}`), k.now(), by,
    );
  }
  return settle(k, row, answer === "deny" ? "denied" : "approved", by, answer === "always");
}

/** Answers are taken where it was shown, in the session itself, and in the operator's own conversations. */
function mayAnswer(row: Row, from: SessionKey): boolean {
  return from === row["place"] || from === row["session"] || parseSessionKey(from).parts.kind === "main";
}

/** Its time is up, or nobody needs the answer any more. One that has ended stays as it is. */
export function endApproval(k: Kernel, { askKey, state, by }: { askKey: string; state: "expired" | "cancelled"; by: string }): Approval | null {
  const row = k.get("SELECT * FROM approval WHERE ask_key = ?", askKey);
  if (row === undefined) return null;
  if (row["state"] !== "pending") return approvalOf(row);
  const ended = settle(k, row, state, by, false);
  if (state === "expired") k.emit(ended.place, { type: "notice", data: { text: `${ended.id} was denied: nobody answered in time.`, level: "warn", code: "APPROVAL_EXPIRED", approvalId: ended.id } });
  return ended;
}

function settle(k: Kernel, row: Row, state: ApprovalState, by: string, standing: boolean): Approval {
  const ended = approvalOf(k.get("UPDATE approval SET state = ?, ended_at = ?, ended_by = ?, standing = ? WHERE n = ? AND state = 'pending' RETURNING *", state, k.now(), by, standing ? 1 : 0, row["n"])!);
  k.forget();
  emitToBoth(k, ended, "approval.answered");
  return ended;
}

function emitToBoth(k: Kernel, approval: Approval, type: "approval.requested" | "approval.answered"): void {
  const { id, askKey, session, place, turnId, holder, tool, what, path, input, cwd, state, expiresAt, by, standing } = approval;
  const asked = { approvalId: id, askKey, session, place, holder, tool, what, path, cwd };
  const data = type === "approval.requested" ? { ...asked, input, expiresAt } : { ...asked, state, by, standing };
  for (const log of new Set([session, place])) k.emit(log, { type, turnId: log === session ? turnId : null, data });
}

/** Closes what a turn asked and nobody answered. Called by whatever ends a turn. */
export function closeApprovalsOf(k: Kernel, turnId: TurnId, by: string): void {
  if (!isAnyPending(k)) return;
  for (const row of k.all("SELECT * FROM approval WHERE turn_id = ? AND state = 'pending'", turnId)) settle(k, row, "cancelled", by, false);
}

/** After a crash: whoever waited for these is gone, and a turn that goes on asks anew. */
export function closeLeftApprovals(k: Kernel): void {
  for (const row of k.all("SELECT * FROM approval WHERE state = 'pending' AND turn_id IS NOT NULL")) settle(k, row, "cancelled", "a restart", false);
}

function isAnyPending(k: Kernel): boolean {
  return k.remember("approvals pending", () => k.get("SELECT 1 FROM approval WHERE state = 'pending' LIMIT 1") !== undefined);
}

export function approval(k: Kernel, id: string): Approval | null {
  const row = rowOf(k, id);
  return row === undefined ? null : approvalOf(row);
}

/** Newest first. */
export function approvals(k: Kernel, { state, place, session, after, limit }: ApprovalQuery): { approvals: Approval[]; next: string | null } {
  if (after !== undefined && !/^\d{1,15}$/.test(after)) throw new Fault("BAD_REQUEST", { where: "after", problem: "is not a `next` value of this listing" });
  const rows = k.all(
    `SELECT * FROM approval WHERE n < ?1 AND ${state === "pending" ? PENDING : "(?2 IS NULL OR state = ?2)"} AND (?3 IS NULL OR place = ?3) AND (?4 IS NULL OR session = ?4) ORDER BY n DESC LIMIT ?5`,
    after === undefined ? Number.MAX_SAFE_INTEGER : Number(after), state ?? null, place ?? null, session ?? null, limit + 1,
  );
  const page = rows.slice(0, limit);
  return { approvals: page.map(approvalOf), next: rows.length > limit ? String(page.at(-1)!["n"]) : null };
}

export function standingApprovals(k: Kernel, place: SessionKey): StandingApproval[] {
  return k.all("SELECT * FROM standing_approval WHERE place = ? ORDER BY given_at, tool, hash", place).map((row) => ({
    place: row["place"], holder: row["holder"], tool: row["tool"], what: row["what"], hash: row["hash"], cwd: row["cwd"], givenAt: row["given_at"], by: row["given_by"],
  }));
}

export function forgetStanding(k: Kernel, place: SessionKey): number {
  return k.run("DELETE FROM standing_approval WHERE place = ?", place);
}

function rowOf(k: Kernel, id: string): Row | undefined {
  const n = ID.exec(id)?.[1];
  return n === undefined ? undefined : k.get("SELECT * FROM approval WHERE n = ?", Number(n));
}

function approvalOf(row: Row): Approval {
  return {
    id: `A${row["n"]}`,
    askKey: row["ask_key"],
    session: row["session"],
    place: row["place"],
    turnId: row["turn_id"],
    holder: row["holder"],
    tool: row["tool"],
    what: row["what"],
    path: row["path"],
    input: JSON.parse(row["input"]),
    hash: row["hash"],
    cwd: row["cwd"],
    state: row["state"],
    askedAt: row["asked_at"],
    expiresAt: row["expires_at"],
    endedAt: row["ended_at"],
    by: row["ended_by"],
    standing: row["standing"] === 1,
  };
}
