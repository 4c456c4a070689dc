/** Writes rows of the inbox. */
import type { MessageId, SessionKey, TaskId, TurnId } from "../../base/ids.ts";
import type { MessageMode } from "../../model/lane.ts";
import type { Provenance } from "../../model/provenance.ts";
import type { Kernel } from "./kernel.ts";

export interface InboxRow {
  readonly text: string;
  readonly provenance: Provenance;
  readonly channel: string;
  readonly mode: MessageMode;
  readonly readyAt: number;
  readonly batch?: number;
  readonly sourceId?: string | null;
  readonly author?: string | null;
  readonly replyTo?: MessageId | null;
  readonly childTask?: TaskId;
  /** The running turn that it is meant for. */
  readonly forTurn?: TurnId;
  /** It leans on something that runs beside the lane, and waits for that. */
  readonly afterBeside?: boolean;
  readonly barrierId?: string | null;
  readonly held?: boolean;
}

/** Writes one inbox row with the next number. The caller refreshes the lane. */
export function insertMessage(k: Kernel, session: SessionKey, row: InboxRow): MessageId {
  const id = k.ids.message();
  const lane = k.advance(session, { last_message: 1, last_batch: row.batch === undefined ? 1 : 0 })!;
  k.run(
    `INSERT INTO message (id, session, n, batch, channel, source_id, author, provenance, text, mode, reply_to, child_task, for_turn, after_beside, state, barrier_id, accepted_at, ready_at)
     VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
    id, session, lane["last_message"], row.batch ?? lane["last_batch"], row.channel, row.sourceId ?? null, row.author ?? null, row.provenance, row.text, row.mode,
    row.replyTo ?? null, row.childTask ?? null, row.forTurn ?? null, row.afterBeside ? 1 : 0, row.held ? "held" : "waiting", row.barrierId ?? null, k.now(), row.readyAt,
  );
  return id;
}
