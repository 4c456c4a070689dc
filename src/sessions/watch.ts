/**
 * The log as a stream: each reader gets every event after its number, once, in order, whether it
 * was stored long ago or commits right now.
 *
 * A reader first catches up from the store, page by page, while commits that happen meanwhile are
 * kept for it, and live frames between them; what it has seen already is skipped by number. Where events were removed for their age, the reader is told with `resync`.
 */
import type { Clock } from "../base/clock.ts";
import type { SessionKey } from "../base/ids.ts";
import type { LiveFrame, YardEvent } from "../model/event.ts";
import type { Store } from "../store/store.ts";
import type { Watcher } from "./sessions.ts";

/** Events read from the store at once. */
const PAGE_EVENTS = 500;
/** Commits kept for a reader that catches up; beyond this it reads them from the store. */
const KEPT_EVENTS_MAX = 5_000;

interface Reader {
  readonly session: SessionKey | null;
  readonly watcher: Watcher;
  after: number;
  /** Null once it has caught up. */
  kept: (YardEvent | LiveFrame)[] | null;
  overflowed: boolean;
  closed: boolean;
}

export class EventHub {
  readonly #store: Pick<Store, "events" | "forgottenEvents" | "onEvents">;
  readonly #clock: Pick<Clock, "now">;
  readonly #readersOf = new Map<SessionKey, Set<Reader>>();
  readonly #readersOfAll = new Set<Reader>();

  constructor(store: Pick<Store, "events" | "forgottenEvents" | "onEvents">, clock: Pick<Clock, "now">) {
    this.#store = store;
    this.#clock = clock;
    store.onEvents((events) => {
      for (const event of events) {
        for (const reader of this.#readersOfAll) this.#offer(reader, event);
        const readers = this.#readersOf.get(event.session);
        if (readers !== undefined) for (const reader of readers) this.#offer(reader, event);
      }
    });
  }

  frame(frame: LiveFrame): void {
    for (const reader of this.#readersOfAll) this.#offer(reader, frame);
    const readers = this.#readersOf.get(frame.session);
    if (readers !== undefined) for (const reader of readers) this.#offer(reader, frame);
  }

  watch(from: { session: SessionKey | null; after: number }, watcher: Watcher): () => void {
    const reader: Reader = { session: from.session, watcher, after: from.after, kept: [], overflowed: false, closed: false };
    const set = from.session === null ? this.#readersOfAll : this.#setOf(from.session);
    set.add(reader);
    const close = (): void => {
      reader.closed = true;
      set.delete(reader);
      if (from.session !== null && set.size === 0) this.#readersOf.delete(from.session);
    };
    void this.#catchUp(reader).catch((cause: unknown) => {
      if (reader.closed) return;
      close();
      watcher.onFailure(cause);
    });
    return close;
  }

  #setOf(session: SessionKey): Set<Reader> {
    let set = this.#readersOf.get(session);
    if (set === undefined) this.#readersOf.set(session, (set = new Set()));
    return set;
  }

  #offer(reader: Reader, one: YardEvent | LiveFrame): void {
    if (reader.kept === null) this.#give(reader, one);
    else if (reader.kept.length < KEPT_EVENTS_MAX) reader.kept.push(one);
    else reader.overflowed = true;
  }

  #give(reader: Reader, one: YardEvent | LiveFrame): void {
    if (reader.closed) return;
    if (!("cursor" in one)) return void reader.watcher.onFrame?.(one);
    if (isSeen(reader, one)) return;
    reader.after = numberFor(reader, one);
    reader.watcher.onEvent(one);
  }

  async #catchUp(reader: Reader): Promise<void> {
    for (;;) {
      const { session, after } = reader;
      const [page, forgotten] = await Promise.all([this.#store.events({ session, after, limit: PAGE_EVENTS }), this.#store.forgottenEvents(session)]);
      if (reader.closed) return;
      if (forgotten > reader.after) this.#resync(reader, forgotten);
      for (const event of page) this.#give(reader, event);
      if (page.length === PAGE_EVENTS) continue;
      const kept = reader.kept!;
      if (reader.overflowed) {
        reader.kept = [];
        reader.overflowed = false;
        continue;
      }
      reader.kept = null;
      // Frames from before the last event that was read from the store are over: what they led to has been given.
      const from = kept.findLastIndex((one) => "cursor" in one && isSeen(reader, one)) + 1;
      for (const one of kept.slice(from)) this.#give(reader, one);
      return;
    }
  }

  #resync(reader: Reader, upTo: number): void {
    const data = { after: reader.after, upTo };
    reader.after = upTo;
    reader.watcher.onResync?.({ session: reader.session, at: this.#clock.now(), type: "resync", data });
  }
}

/** The place of an event in what this reader follows. */
function numberFor({ session }: Reader, event: YardEvent): number {
  return session === null ? event.cursor : event.seq;
}

function isSeen(reader: Reader, event: YardEvent): boolean {
  return numberFor(reader, event) <= reader.after;
}
