/**
 * A message: one thing that came in, durable before it is acknowledged.
 *
 *     waiting ──claim──▶ taken ──turn ends──▶ answered | failed | cancelled
 *        │  └─barrier─▶ held ──barrier met──▶ waiting
 *        └──cancel, reset──▶ cancelled
 */
import type { MessageId, SessionKey, TaskId } from "../base/ids.ts";
import type { MessageMode } from "./lane.ts";
import type { Provenance } from "./provenance.ts";

export type MessageState = "waiting" | "held" | "taken" | "answered" | "failed" | "cancelled";

/** Largest text of one message, bytes of UTF-8. */
export const MESSAGE_BYTES_MAX = 1_000_000;

export interface NewMessage {
  readonly session: SessionKey;
  readonly text: string;
  readonly provenance: Provenance;
  /** The channel it came by, e.g. `api`, `web`, `terminal`, `telegram`. */
  readonly channel: string;
  /** Identity at the source, unique per channel and session; a second one is a duplicate. */
  readonly sourceId: string | null;
  /** Who wrote it, for fair share and records; e.g. the peer's id. */
  readonly author: string | null;
  readonly queueMode: MessageMode | null;
  /** The message that this one answers, when the platform says so. */
  readonly replyTo: MessageId | null;
}

export interface Accepted {
  readonly messageId: MessageId;
  readonly session: SessionKey;
  /** Messages of this session in front of it; 0 = next. */
  readonly queuedAhead: number;
  readonly etaMs: number;
  readonly duplicate: boolean;
  /** The harness session that it went to by a binding. */
  readonly passedTo?: SessionKey;
}

/** A message as a turn takes it. */
export interface TakenMessage {
  readonly id: MessageId;
  readonly text: string;
  readonly provenance: Provenance;
  readonly channel: string;
  readonly acceptedAt: number;
  readonly childTask: TaskId | null;
}
