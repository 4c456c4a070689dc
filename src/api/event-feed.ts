/**
 * Follows the event log for one reader, no faster than the reader takes it.
 *
 *     flowing ──outlet full──▶ paused ──outlet empty──▶ flowing     goes on after the last number sent
 *        └──────────stop, failure────────┴──▶ over
 *
 * The log is the truth, so a slow reader costs no memory: the watch is ended, and begun again from
 * the last number once the reader has caught up. Only provisional frames are lost to it meanwhile.
 */
import type { SessionKey } from "../base/ids.ts";
import type { LiveFrame, Resync, YardEvent } from "../model/event.ts";
import { isMadeByMessage } from "../model/session.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Store } from "../store/store.ts";
import { bad } from "./read-body.ts";
import { sessionRow } from "./session-row.ts";
import { toApiEvent } from "./shapes.ts";

/** Unsent bytes at which a reader counts as full. */
export const UNSENT_BYTES_MAX = 1_048_576;

/** Where a feed begins. */
export interface FeedStart {
  readonly session: SessionKey | null;
  /** A `seq` of the session, or a cursor over all. */
  readonly after: number;
}

/** Writes what goes over the wire. */
export type JsonOf = (event: YardEvent | LiveFrame | Resync) => string;

export interface Outlet {
  /** Takes one event as JSON; `number` is its place in the log, null for a provisional frame. */
  send(json: string, number: number | null): void;
  isFull(): boolean;
  /** Calls `then` once when all is sent; not at all when the reader goes away first. */
  whenEmpty(then: () => void): void;
  /** The log could not be read on. */
  fail(cause: unknown): void;
}

/**
 * Reads where to begin: a number, `now`, or nothing (the start). A conversation that a first message
 * would make can be followed before that, so that nothing of it is missed.
 * @throws {Fault} SESSION_NOT_FOUND, BAD_REQUEST
 */
export async function feedStart(deps: { store: Store }, session: SessionKey | undefined, after: string | undefined, where: string): Promise<FeedStart> {
  if (session !== undefined && !isMadeByMessage(session)) await sessionRow(deps.store, session);
  if (after === "now") return { session: session ?? null, after: session === undefined ? await deps.store.lastCursor() : ((await deps.store.session(session))?.lastSeq ?? 0) };
  const number = after === undefined || after === "" ? 0 : /^\d{1,16}$/.test(after) ? Number(after) : NaN;
  if (!Number.isSafeInteger(number)) throw bad(where, "must be the number of an event, or now");
  return { session: session ?? null, after: number };
}

/** Starts to follow. @returns ends it. */
export function feed(sessions: Pick<Sessions, "watch">, from: FeedStart, outlet: Outlet, jsonOf: JsonOf): () => void {
  let after = from.after;
  let endWatch: () => void = () => {};
  let over = false;

  flow();
  return () => {
    over = true;
    endWatch();
  };

  function flow(): void {
    if (over) return;
    let watching = true;
    let unwatch: (() => void) | null = null;
    unwatch = sessions.watch(
      { session: from.session, after },
      {
        onEvent(event) {
          if (!watching) return;
          after = from.session === null ? event.cursor : event.seq;
          outlet.send(jsonOf(event), after);
          if (outlet.isFull()) pause();
        },
        onFrame(frame) {
          if (!watching) return;
          outlet.send(jsonOf(frame), null);
          if (outlet.isFull()) pause();
        },
        onResync(resync) {
          if (!watching) return;
          after = resync.data.upTo;
          outlet.send(jsonOf(resync), after);
        },
        onFailure(cause) {
          if (!watching) return;
          end();
          over = true;
          outlet.fail(cause);
        },
      },
    );
    endWatch = end;
    // What is delivered during the call itself may have filled the outlet already.
    if (!watching) unwatch();

    function end(): void {
      if (!watching) return;
      watching = false;
      unwatch?.();
    }
    function pause(): void {
      end();
      outlet.whenEmpty(flow);
    }
  }
}

/** Writes events as JSON; an event that several readers get in a row is written once. */
export function makeEventWriter(): JsonOf {
  let last: Parameters<JsonOf>[0] | null = null;
  let lastJson = "";
  return (event) => {
    if (event === last) return lastJson;
    last = event;
    lastJson = JSON.stringify(toApiEvent(event));
    return lastJson;
  };
}
