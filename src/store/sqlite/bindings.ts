/**
 * Bindings: the plain messages of a conversation go to a harness session, which answers in it.
 *
 * The message is one row, in the harness session's inbox. The conversation's log says that it came
 * and what became of it, in the same transactions. What a harness said stands in the conversation's
 * transcript as a quoted notice: it is not the words of the conversation's own agent.
 *
 * While nothing was ever bound, messages and turns pay for this with one look into memory.
 */
import type { MessageId, SessionKey, TurnId } from "../../base/ids.ts";
import type { NewEvent } from "../../model/event.ts";
import { Fault, type FaultRecord } from "../../model/faults.ts";
import type { Accepted, NewMessage } from "../../model/message.ts";
import { childSession, parseSessionKey } from "../../model/session.ts";
import type { Binding } from "../store.ts";
import { appendEntry } from "./entries.ts";
import type { Kernel } from "./kernel.ts";
import { insertSession, openSession } from "./open-session.ts";

interface Remembered {
  readonly targets: ReadonlyMap<SessionKey, SessionKey>;
  /** Messages may wait for an answer by a binding that is gone. */
  readonly wasUsed: boolean;
}

function remembered(k: Kernel): Remembered {
  return k.remember("bindings", () => ({
    targets: new Map(k.all("SELECT conversation, target FROM binding").map((row) => [row["conversation"], row["target"]])),
    wasUsed: k.get("SELECT 1 FROM bound_message LIMIT 1") !== undefined,
  }));
}

export function openHarnessSession(k: Kernel, { agent, parent, cwd, label }: { agent: string; parent: SessionKey; cwd: string | null; label: string | null }): SessionKey {
  const above = openSession(k, parent);
  const key = childSession(agent, "acp", k.ids.bare());
  insertSession(k, { key, kind: "acp", agent, parent, taskId: null, depth: above["depth"], label, model: null, cwd, authority: null });
  return key;
}

/** @throws {Fault} SESSION_NOT_FOUND, BAD_REQUEST. */
export function bind(k: Kernel, { conversation, target }: Binding): void {
  if (isOfAgent(conversation)) throw new Fault("BAD_REQUEST", { where: "conversation", problem: "only a conversation of people can be bound to a coding agent" });
  if (parseSessionKey(target).parts.kind !== "acp") throw new Fault("BAD_REQUEST", { where: "target", problem: "is not a session of a coding agent" });
  openSession(k, target);
  openSession(k, conversation);
  k.run("INSERT OR REPLACE INTO binding VALUES (?,?,?)", conversation, target, k.now());
  k.forget();
  k.emit(conversation, { type: "session.changed", data: { boundTo: target } });
}

function isOfAgent(key: SessionKey): boolean {
  const { kind } = parseSessionKey(key).parts;
  return kind === "subagent" || kind === "acp";
}

/** @returns what it was bound to. */
export function unbind(k: Kernel, conversation: SessionKey): SessionKey | null {
  const row = k.get("DELETE FROM binding WHERE conversation = ? RETURNING target", conversation);
  if (row === undefined) return null;
  k.forget();
  k.emit(conversation, { type: "session.changed", data: { boundTo: null } });
  return row["target"];
}

/** @returns the conversations that were bound to it. */
export function unbindTarget(k: Kernel, target: SessionKey): SessionKey[] {
  const conversations = k.all("SELECT conversation FROM binding WHERE target = ?", target).map((row) => row["conversation"] as SessionKey);
  for (const conversation of conversations) unbind(k, conversation);
  return conversations;
}

export function boundTo(k: Kernel, conversation: SessionKey): SessionKey | null {
  return remembered(k).targets.get(conversation) ?? null;
}

/**
 * Takes a message that a binding leads elsewhere, or led when it was sent the first time.
 * @returns null when it is the conversation's own.
 */
export function acceptBound(k: Kernel, message: NewMessage, accept: (message: NewMessage) => Accepted): Accepted | null {
  const { targets, wasUsed } = remembered(k);
  const { session: conversation, channel, sourceId, text, provenance } = message;
  if (wasUsed && sourceId !== null) {
    const known = k.get("SELECT message FROM bound_message WHERE conversation = ? AND channel = ? AND source_id = ?", conversation, channel, sourceId);
    if (known !== undefined) return { messageId: known["message"], session: conversation, queuedAhead: 0, etaMs: 0, duplicate: true };
  }
  const target = targets.get(conversation);
  if (target === undefined || message.queueMode === "background" || (provenance !== "user" && provenance !== "operator")) return null;
  if (sourceId !== null && k.get("SELECT 1 FROM message WHERE session = ? AND channel = ? AND source_id = ?", conversation, channel, sourceId) !== undefined) return null;

  // Sources are told apart here: two conversations that are bound to one session may count alike.
  const accepted = accept({ ...message, session: target, sourceId: null });
  const { messageId, queuedAhead } = accepted;
  k.run("INSERT INTO bound_message VALUES (?,?,?,?)", messageId, conversation, channel, sourceId);
  if (!wasUsed) k.forget();
  k.run("UPDATE session SET last_at = ?, archived_at = NULL WHERE key = ?", k.now(), conversation);
  appendEntry(k, conversation, { turnId: null, content: { role: "user", text }, messageIds: [messageId], provenance });
  k.emit(conversation, { type: "message.accepted", data: { messageId, text, provenance, channel, clientMessageId: sourceId, mode: message.queueMode ?? "auto", queuedAhead, boundTo: target } });
  return { ...accepted, session: conversation, passedTo: target };
}

/** What a person should know of a harness session, they should know where they talk to it. */
export function noticeToBound(k: Kernel, target: SessionKey, event: NewEvent): void {
  for (const [conversation, bound] of remembered(k).targets) if (bound === target) k.emit(conversation, event);
}

export type BoundEnd = { readonly outcome: "answered"; readonly text: string } | { readonly outcome: "failed" | "cancelled"; readonly fault: FaultRecord };

/** Tells conversations what became of the messages that they passed on. Called by whatever ends messages. */
export function tellBound(k: Kernel, target: SessionKey, messageIds: readonly MessageId[], turnId: TurnId | null, end: BoundEnd): void {
  if (!remembered(k).wasUsed || messageIds.length === 0) return;
  const byConversation = new Map<SessionKey, MessageId[]>();
  for (const id of messageIds) {
    const row = k.get("SELECT conversation FROM bound_message WHERE message = ?", id);
    if (row !== undefined) byConversation.set(row["conversation"], [...(byConversation.get(row["conversation"]) ?? []), id]);
  }
  const name = parseSessionKey(target).parts.agent;
  for (const [conversation, ids] of byConversation) {
    const said = end.outcome === "answered" ? `${name} answered:\n${end.text.replace(/^/gm, "> ")}` : end.outcome === "failed" ? `${name} could not answer this: ${end.fault.message}` : `${name} was stopped`;
    appendEntry(k, conversation, { turnId: null, content: { role: "notice", text: said }, messageIds: [], provenance: "child", replyTo: ids });
    k.emit(conversation, ...eventsOf(target, ids, end).map((event) => ({ ...event, turnId })));
  }
}

function eventsOf(target: SessionKey, messageIds: readonly MessageId[], end: BoundEnd): NewEvent[] {
  if (end.outcome === "answered") return [{ type: "reply", data: { text: end.text, replyTo: [...messageIds], boundTo: target } }];
  const over: NewEvent = { type: "turn.ended", data: { outcome: end.outcome, yielded: false, messageIds: [...messageIds], fault: { ...end.fault } as never, boundTo: target } };
  if (end.outcome === "cancelled") return [over];
  return [{ type: "notice", data: { text: end.fault.message, level: "error", code: end.fault.code, replyTo: [...messageIds], boundTo: target } }, over];
}
