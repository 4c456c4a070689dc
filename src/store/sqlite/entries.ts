/** A session's transcript: appending to it, and what of it the model is still told. */
import type { MessageId, SessionKey, TurnId } from "../../base/ids.ts";
import type { Usage } from "../../model/chat.ts";
import type { EntryContent } from "../../model/turn.ts";
import type { Kernel } from "./kernel.ts";
import { ADD_USAGE, usageValues } from "./rows.ts";
import { recordCall } from "./usage.ts";

export interface NewEntry {
  readonly turnId: TurnId | null;
  readonly content: EntryContent;
  readonly messageIds: readonly MessageId[];
  readonly provenance: string;
  readonly replyTo?: readonly MessageId[];
}

/** Writes one entry with the next number. @returns its number. */
export function appendEntry(k: Kernel, session: SessionKey, entry: NewEntry): number {
  const { last_entry: seq } = k.advance(session, { last_entry: 1 })!;
  k.run(
    "INSERT INTO entry (session, seq, turn_id, at, content, message_ids, reply_to, provenance) VALUES (?,?,?,?,?,?,?,?)",
    session, seq, entry.turnId, k.now(), JSON.stringify(entry.content), JSON.stringify(entry.messageIds), JSON.stringify(entry.replyTo ?? []), entry.provenance,
  );
  return seq;
}

/** Replaces everything up to an entry by a summary, in what the model is told. Told only once. */
export function compactSession(k: Kernel, key: SessionKey, summary: string, upTo: number): void {
  if (k.run("UPDATE session SET summary = ?, summary_upto = ? WHERE key = ? AND summary_upto < ?", summary, upTo, key, upTo) === 0) return;
  k.emit(key, { type: "session.compacted", data: { upTo, characters: summary.length } });
}

/** A summary that was made beside the conversation counts only if nothing else shortened the context meanwhile. */
export function summariseSession(k: Kernel, { key, createdAt, from, upTo, summary, usage, model }: { key: SessionKey; createdAt: number; from: number; upTo: number; summary: string; usage: Usage; model: string }): boolean {
  if (k.run(`UPDATE session SET ${ADD_USAGE} WHERE key = ? AND created_at = ?`, ...usageValues(usage), key, createdAt) === 0) return false;
  recordCall(k, key, model, usage);
  if (k.get("SELECT 1 FROM session WHERE key = ? AND summary_upto = ?", key, from) === undefined) return false;
  compactSession(k, key, summary, upTo);
  return true;
}
