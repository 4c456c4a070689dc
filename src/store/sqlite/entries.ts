/** A session's transcript: appending to it, and what of it the model is still told. */
import type { MessageId, SessionKey, TurnId } from "../../base/ids.ts";
import type { EntryContent } from "../../model/turn.ts";
import type { Kernel } from "./kernel.ts";

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

/** Replaces everything up to an entry by a summary, in what the model is told. */
export function compactSession(k: Kernel, key: SessionKey, summary: string, upTo: number): void {
  k.run("UPDATE session SET summary = ?, summary_upto = ? WHERE key = ? AND summary_upto < ?", summary, upTo, key, upTo);
  k.emit(key, { type: "session.compacted", data: { upTo, characters: summary.length } });
}
