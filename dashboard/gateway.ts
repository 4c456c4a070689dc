/**
 * Keeps the page in step with the gateway: the stream, the lists, the messages on their way.
 *
 * The stream is opened before anything is listed, so that nothing falls in between. A broken line
 * is opened again from the last cursor, with growing pauses. A message goes out with an id of its
 * own and is sent again with the same id until the gateway answers; those of one session go out
 * one after the other, in the order in which they were written.
 */
import type { ApiEvent } from "../src/api/wire.ts";
import { api, problemOf, readTail, Refusal, streamEvents } from "./api.ts";
import { oneLine } from "./format.ts";
import type { Store } from "./store.ts";

/** Events are gathered this long before the page is drawn again. */
const GATHER_MS = 30;
const RETRY_MIN_MS = 400;
const RETRY_MAX_MS = 8000;
/** Lists are fetched at most this often, however much happens. */
const LANES_EVERY_MS = 1500;
const SESSIONS_EVERY_MS = 1000;
const TASKS_EVERY_MS = 1000;
const CONVERSATION_EVERY_MS = 1000;
/** How many stored events are read again with a conversation. */
const TAIL_EVENTS = 400;
const LABEL_MAX_CHARS = 48;
/** Answers that mean "not now": the message is sent again. */
const TRY_AGAIN_STATUS = [502, 503, 504];

export class Gateway {
  readonly #store: Store;
  readonly #end = new AbortController();
  readonly #loading = new Set<string>();
  /** Sessions that have no history yet: the gateway makes them with their first message. */
  readonly #fresh = new Set<string>();
  /** Fresh sessions that get their first message's words as label. */
  readonly #unnamed = new Set<string>();
  readonly #lastInLine = new Map<string, Promise<void>>();
  #cursor: string | null = null;
  #gathered: ApiEvent[] = [];
  /** Ends the pause before the next attempt: the line is back, or the person logged in. */
  #wake = new AbortController();

  constructor(store: Store) {
    this.#store = store;
  }

  start(): void {
    const { signal } = this.#end;
    const refreshSessions = this.#keepFresh("sessions", SESSIONS_EVERY_MS, () => this.#fetchSessions());
    const refreshLanes = this.#keepFresh("lanes", LANES_EVERY_MS, () => this.#fetchLanes());
    const refreshTasks = this.#keepFresh("tasks", TASKS_EVERY_MS, () => this.#fetchTasks());
    const unsubscribe = this.#store.subscribe(() => {
      refreshSessions();
      refreshLanes();
      refreshTasks();
      this.#loadWhatIsOpen();
    });
    signal.addEventListener("abort", unsubscribe, { once: true });
    addEventListener("online", () => this.#wakeUp(), { signal });
    document.addEventListener("visibilitychange", () => this.#wakeUp(), { signal });
    void this.#stayConnected();
  }

  stop(): void {
    this.#end.abort();
  }

  /** @throws {Refusal} the token is wrong, or there were too many wrong ones. */
  async login(token: string): Promise<void> {
    await api.login(token);
    this.#store.dispatch({ type: "access", access: "open" });
    this.#wakeUp();
  }

  /** Sends a message; it is shown at once. */
  send(session: string, text: string): void {
    const clientMessageId = crypto.randomUUID();
    this.#store.dispatch({ type: "sending", session, clientMessageId, text, at: Date.now() });
    this.#enqueue(session, clientMessageId, text);
  }

  /** Sends a refused message again, as a new one. */
  sendAgain(session: string, clientMessageId: string, text: string): void {
    this.#store.dispatch({ type: "forget", session, clientMessageId });
    this.send(session, text);
  }

  async loadOlder(session: string): Promise<void> {
    const before = this.#store.get().conversations.get(session)?.olderBefore;
    if (before == null) return;
    const page = await api.history(session, before, this.#end.signal);
    this.#store.dispatch({ type: "older", session, entries: page.entries, olderBefore: page.next ?? null });
  }

  async loadMoreSessions(): Promise<void> {
    const after = this.#store.get().sessionsNext;
    if (after === null) return;
    const page = await api.sessions(after, this.#end.signal);
    this.#store.dispatch({ type: "sessions", sessions: page.sessions, next: page.next ?? null, more: true });
  }

  /** Says that this session is new: there is nothing to load until its first message is sent, which may name it. */
  markFresh(session: string, isUnnamed: boolean): void {
    this.#fresh.add(session);
    if (isUnnamed) this.#unnamed.add(session);
  }

  async loadConversation(session: string): Promise<void> {
    const { signal } = this.#end;
    if (this.#fresh.delete(session)) {
      this.#store.dispatch({ type: "loaded", session, page: { entries: [], olderBefore: null, tail: [], lastSeq: 0 } });
      return;
    }
    this.#loading.add(session);
    this.#store.dispatch({ type: "loading", session });
    try {
      const row = await api.session(session, signal);
      const page = await api.history(session, null, signal);
      const tail = row.lastSeq === 0 ? [] : await readTail(session, Math.max(0, row.lastSeq - TAIL_EVENTS), row.lastSeq, signal);
      this.#store.dispatch({ type: "loaded", session, page: { entries: page.entries, olderBefore: page.next ?? null, tail, lastSeq: row.lastSeq } });
    } catch (thrown) {
      const isNew = thrown instanceof Refusal && thrown.status === 404;
      if (isNew) this.#store.dispatch({ type: "loaded", session, page: { entries: [], olderBefore: null, tail: [], lastSeq: 0 } });
      else this.#store.dispatch({ type: "not-loaded", session, problem: problemOf(thrown) });
      this.#askForLogin(thrown);
    }
    await this.#pause(CONVERSATION_EVERY_MS);
    this.#loading.delete(session);
    this.#loadWhatIsOpen();
  }

  // ── the stream ────────────────────────────────────────────────────────────────────────────

  async #stayConnected(): Promise<void> {
    const { signal } = this.#end;
    let pauseMs = RETRY_MIN_MS;
    while (!signal.aborted) {
      try {
        this.#store.dispatch({ type: "status", status: await api.status(signal) });
        const resumed = this.#cursor !== null;
        await streamEvents(
          this.#cursor,
          {
            open: () => {
              pauseMs = RETRY_MIN_MS;
              this.#store.dispatch({ type: "connected", resumed });
              this.#wakeUp();
            },
            event: (event, cursor) => {
              this.#cursor = cursor ?? this.#cursor;
              // Events in between are no longer kept: what is shown may have a hole.
              if (event.type === "resync") this.#store.dispatch({ type: "connected", resumed: false });
              else this.#gather(event);
            },
          },
          signal,
        );
      } catch (thrown) {
        this.#askForLogin(thrown);
      }
      if (signal.aborted) return;
      this.#store.dispatch({ type: "connection", connection: "lost" });
      await this.#pauseUntilWoken(pauseMs);
      pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS);
    }
  }

  #gather(event: ApiEvent): void {
    this.#gathered.push(event);
    if (this.#gathered.length > 1) return;
    setTimeout(() => {
      const events = this.#gathered;
      this.#gathered = [];
      this.#store.dispatch({ type: "events", events });
    }, GATHER_MS);
  }

  // ── lists ─────────────────────────────────────────────────────────────────────────────────

  /** Fetches a list when the state wants it: at once, and then at most every so often. */
  #keepFresh(list: "sessions" | "lanes" | "tasks", everyMs: number, fetchList: () => Promise<void>): () => void {
    let served = 0;
    let isBusy = false;
    const check = (): void => {
      const { wants, connection, open } = this.#store.get();
      if (isBusy || connection !== "open" || (list === "tasks" && open === "") || wants[list] === served) return;
      isBusy = true;
      served = wants[list];
      // What fails here is fetched again when the line is back.
      void fetchList()
        .catch((thrown: unknown) => this.#askForLogin(thrown))
        .then(() => this.#pause(everyMs))
        .then(() => {
          isBusy = false;
          check();
        });
    };
    return check;
  }

  async #fetchSessions(): Promise<void> {
    const page = await api.sessions(null, this.#end.signal);
    this.#store.dispatch({ type: "sessions", sessions: page.sessions, next: page.next ?? null, more: false });
  }

  async #fetchLanes(): Promise<void> {
    const known = this.#store.get().turns;
    this.#store.dispatch({ type: "lanes", lanes: await api.lanes(this.#end.signal), known });
  }

  async #fetchTasks(): Promise<void> {
    const parent = this.#store.get().open;
    const list = await api.tasks(parent, this.#end.signal);
    this.#store.dispatch({ type: "tasks", parent, tasks: list.tasks });
  }

  #loadWhatIsOpen(): void {
    const { open, conversations, connection } = this.#store.get();
    if (connection !== "open" || conversations.get(open)?.phase !== "stale" || this.#loading.has(open)) return;
    void this.loadConversation(open);
  }

  // ── messages on their way ─────────────────────────────────────────────────────────────────

  #enqueue(session: string, clientMessageId: string, text: string): void {
    const before = this.#lastInLine.get(session) ?? Promise.resolve();
    const mine = before.then(() => this.#deliver(session, clientMessageId, text));
    this.#lastInLine.set(session, mine);
    void mine.then(() => {
      if (this.#lastInLine.get(session) === mine) this.#lastInLine.delete(session);
    });
  }

  async #deliver(session: string, clientMessageId: string, text: string): Promise<void> {
    const { signal } = this.#end;
    for (let pauseMs = RETRY_MIN_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS)) {
      try {
        const accepted = await api.send({ text, session, channel: "web", clientMessageId }, signal);
        this.#store.dispatch({ type: "sent", session, clientMessageId, accepted, now: Date.now() });
        // Only for the looks: the key stays the name when this fails.
        if (this.#unnamed.delete(session)) void api.label(session, oneLine(text, LABEL_MAX_CHARS)).catch(() => undefined);
        return;
      } catch (thrown) {
        this.#askForLogin(thrown);
        if (thrown instanceof Refusal && thrown.status !== 401 && !TRY_AGAIN_STATUS.includes(thrown.status)) {
          this.#store.dispatch({ type: "refused", session, clientMessageId, fault: thrown.fault });
          return;
        }
      }
      await this.#pauseUntilWoken(pauseMs);
    }
  }

  #askForLogin(thrown: unknown): void {
    if (thrown instanceof Refusal && thrown.status === 401) this.#store.dispatch({ type: "access", access: "login" });
  }

  // ── waiting ───────────────────────────────────────────────────────────────────────────────

  #wakeUp(): void {
    this.#wake.abort();
    this.#wake = new AbortController();
  }

  #pauseUntilWoken(ms: number): Promise<void> {
    return this.#pause(ms, this.#wake.signal);
  }

  #pause(ms: number, woken: AbortSignal = this.#end.signal): Promise<void> {
    const either = AbortSignal.any([woken, this.#end.signal]);
    return new Promise((resolve) => {
      if (either.aborted) return resolve();
      const timer = setTimeout(resolve, ms);
      either.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}
