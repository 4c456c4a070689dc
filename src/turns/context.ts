/**
 * What a session's next turn is told of the conversation before it.
 *
 * The store is the truth; what was read once is kept while there is room, and only newer entries
 * are read for the next turn, so a long session costs no more than a short one.
 */
import type { SessionKey } from "../base/ids.ts";
import type { SessionContext, Store } from "../store/store.ts";
import type { Entry, RecentEntries, StartedTurn } from "../model/turn.ts";

/** Memory that is kept over all sessions, as {@link bytesOf} counts it. Past that the store is read again, which takes some milliseconds. */
export const CACHED_BYTES_MAX = 16_000_000;
/** What an entry takes besides its text, measured on the heap: most entries are short, and their text is the least of them. */
export const ENTRY_BYTES = 500;

interface Cached {
  readonly createdAt: number;
  readonly summary: string | null;
  readonly summaryUpTo: number;
  readonly entries: readonly Entry[];
  readonly upTo: number;
  readonly bytes: number;
}

const NOTHING = { summary: null, summaryUpTo: 0, upTo: 0 };

export class Contexts {
  readonly #store: Pick<Store, "context">;
  readonly #cache = new Map<SessionKey, Cached>();
  #bytes = 0;

  constructor(store: Pick<Store, "context">) {
    this.#store = store;
  }

  /** The context of a turn that starts now. */
  of(started: StartedTurn): Promise<SessionContext> {
    return this.#of(started, started.recent);
  }

  /** The same, after the conversation was made shorter. */
  again(started: StartedTurn): Promise<SessionContext> {
    return this.#of(started, null);
  }

  async #of(started: StartedTurn, recent: RecentEntries | null): Promise<SessionContext> {
    const { key, lastEntry, createdAt } = started.sessionInfo;
    if (lastEntry === 0) {
      // Nothing was said yet: what is kept is of a session of the same name that was deleted.
      this.#forget(key);
      return { summary: null, summaryUpTo: 0, entries: [] };
    }
    const known = this.#cache.get(key);
    const reusable = known !== undefined && known.createdAt === createdAt && known.upTo <= lastEntry ? known : undefined;
    const news = newsIn(recent, reusable ?? NOTHING, lastEntry) ?? (await this.#store.context({ key, after: reusable?.upTo ?? 0, upTo: lastEntry }));
    if (news === null) return { summary: null, summaryUpTo: 0, entries: [] };
    const old = (reusable?.entries ?? []).filter((entry) => entry.seq > news.summaryUpTo);
    const entries = [...old, ...news.entries];
    const omit = new Set<string>(started.omit);
    const isOmitted = (entry: Entry): boolean => entry.turnId !== null && omit.has(entry.turnId);
    // What a turn that still runs said may be taken back, so it is not kept.
    const open = entries.find(isOmitted);
    const upTo = open === undefined ? lastEntry : open.seq - 1;
    const kept = open === undefined ? entries : entries.filter((entry) => entry.seq <= upTo);
    this.#keep(key, { createdAt, summary: news.summary, summaryUpTo: news.summaryUpTo, entries: kept, upTo, bytes: kept.reduce((sum, entry) => sum + bytesOf(entry), 0) });
    return { summary: news.summary, summaryUpTo: news.summaryUpTo, entries: open === undefined ? entries : entries.filter((entry) => !isOmitted(entry)) };
  }

  #forget(key: SessionKey): void {
    this.#bytes -= this.#cache.get(key)?.bytes ?? 0;
    this.#cache.delete(key);
  }

  #keep(key: SessionKey, context: Cached): void {
    const before = this.#cache.get(key);
    this.#bytes += context.bytes - (before?.bytes ?? 0);
    this.#cache.delete(key);
    this.#cache.set(key, context);
    for (const [oldest, { bytes }] of this.#cache) {
      if (this.#bytes <= CACHED_BYTES_MAX) break;
      this.#cache.delete(oldest);
      this.#bytes -= bytes;
    }
  }
}

/** What is new since what is kept, if it came with the turn: then the store need not be asked. */
function newsIn(recent: RecentEntries | null, kept: Pick<Cached, "summary" | "summaryUpTo" | "upTo">, lastEntry: number): SessionContext | null {
  if (recent === null || recent.summaryUpTo !== kept.summaryUpTo || recent.hasSummary !== (kept.summary !== null)) return null;
  const entries = recent.entries.filter(({ seq }) => seq > kept.upTo);
  return entries.length === lastEntry - kept.upTo ? { summary: kept.summary, summaryUpTo: kept.summaryUpTo, entries } : null;
}

/** Memory that an entry takes, roughly. */
function bytesOf(entry: Entry): number {
  return ENTRY_BYTES + sizeOf(entry);
}

/** Characters that an entry adds to a prompt, roughly. */
export function sizeOf({ content }: Pick<Entry, "content">): number {
  switch (content.role) {
    case "assistant":
      return content.parts.reduce((sum, part) => sum + (part.type === "tool-call" ? JSON.stringify(part.input).length + part.tool.length : part.text.length), 0);
    case "tool":
      return content.results.reduce((sum, result) => sum + result.text.length, 0);
    default:
      return content.text.length;
  }
}
