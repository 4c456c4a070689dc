/**
 * The front door as others see it: everything that comes in is accepted here, everything that
 * happened is watched from here.
 */
import type { Fault } from "../model/faults.ts";
import type { MessageId, SessionKey } from "../base/ids.ts";
import type { LiveFrame, Resync, YardEvent } from "../model/event.ts";
import type { MessageMode } from "../model/lane.ts";
import type { Accepted } from "../model/message.ts";
import type { Provenance } from "../model/provenance.ts";
import type { Cancelled, Promotion } from "../store/store.ts";

export interface Incoming {
  readonly session: SessionKey;
  readonly text: string;
  readonly provenance: Provenance;
  readonly channel: string;
  readonly sourceId?: string | null;
  readonly author?: string | null;
  readonly queueMode?: MessageMode | null;
  readonly replyTo?: MessageId | null;
  /** True when the sender waits for the answer to just this, so that no batch is held open for more. */
  readonly isWhole?: boolean;
  /** Slash commands are read from raw text of an authorised person only. */
  readonly mayCommand: boolean;
}

export interface Received extends Accepted {
  /** The answer to a slash command; null for an ordinary message. */
  readonly commandReply: string | null;
}

export interface Watcher {
  onEvent(event: YardEvent): void;
  onFrame?(frame: LiveFrame): void;
  /** Events that it asked for are gone; those after `data.upTo` follow. */
  onResync?(resync: Resync): void;
  /** The log could not be read on; the watch is over. */
  onFailure(cause: unknown): void;
}

export interface Sessions {
  /**
   * Puts a message in a session's inbox and returns once it is on disk; a command is carried out.
   * @throws {Fault} BAD_REQUEST, BODY_TOO_LARGE, LANE_FULL, QUEUE_REJECTED, DRAINING, DISK_FULL.
   */
  accept(incoming: Incoming): Promise<Received>;
  /**
   * Follows the log from after a number: stored events first, then new ones as they commit, each
   * once and in order, with live frames in between. `session` null = all sessions, `after` is then a cursor.
   * @returns a function that ends the watch.
   */
  watch(from: { session: SessionKey | null; after: number }, watcher: Watcher): () => void;
  /** Stops what runs in a session and, with `tree`, its children. @throws {Fault} SESSION_NOT_FOUND */
  cancel(key: SessionKey, options: { by: string; tree: boolean; queue: boolean }): Promise<Cancelled>;
  /** Stops one turn by its handle, e.g. `T7`. @throws {Fault} SESSION_NOT_FOUND, TURN_NOT_FOUND */
  cancelTurn(key: SessionKey, handle: string, by: string): Promise<Cancelled>;
  /** Lets the running turn go on beside the conversation. @throws {Fault} SESSION_NOT_FOUND, TURN_NOT_FOUND when none runs */
  promote(key: SessionKey): Promise<Promotion>;
  /** Clears the context; the key stays. @throws {Fault} SESSION_NOT_FOUND */
  reset(key: SessionKey, by: string): Promise<void>;
  /**
   * Begins to replace the older part by a summary, in what the model is told; `session.compacted` says when it is done.
   * @returns how many entries it stands for; 0 = nothing to make shorter. @throws {Fault} SESSION_NOT_FOUND, TOO_MANY_AT_ONCE
   */
  compact(key: SessionKey): Promise<number>;
  /** Ends and removes a session. @throws {Fault} SESSION_NOT_FOUND */
  remove(key: SessionKey, by: string): Promise<Cancelled>;
  /** From now on nothing new is accepted; whoever tries is told why. */
  drain(why?: Fault): void;
  readonly draining: boolean;
  /** Why nothing new is accepted; null = it is. */
  readonly refusal: Fault | null;
}
