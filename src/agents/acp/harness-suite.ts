/**
 * The rooms of one session of ours: one at home, and spares for turns that work beside another.
 *
 *     T1 at home ──promoted──▶ T1 goes on at home, T2 in a spare ──T1 ends──▶ T3 at home, told what T2 did
 *
 * The conversation goes on at home as soon as nobody works there: the spares end then, each when its
 * turn does. What was said in a spare reaches home with its next prompt.
 *
 * Always true:
 *   - a turn has a room alone; who waits for one gets it in order
 *   - there are never more spares than may be, and none is left when nothing runs
 *   - a turn that goes on after a restart comes home before one that worked in a spare
 */
import { abortable } from "../../base/abortable.ts";
import type { SessionKey, TurnId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { HarnessKnowledge } from "../../model/harness.ts";

/** A room as the suite sees it; see {@link HarnessRoom}. */
export interface SuiteRoom {
  readonly key: SessionKey;
  readonly number: number;
  readonly known: HarnessKnowledge;
  /** False once it was closed on purpose. */
  readonly isOpen: boolean;
  isTaken: boolean;
  wasTaken: boolean;
  model: string | null;
  clearedUpTo: number;
  started(): Promise<unknown>;
  left(): void;
  armIdle(ms: number, then: () => void): void;
  disarmIdle(): void;
  close(): Promise<boolean>;
}

export interface SuiteDeps<Room extends SuiteRoom> {
  readonly log: Log;
  readonly sparesMax: () => number;
  /** How long a room that nobody uses is kept, milliseconds. */
  readonly idleMs: () => number;
  /** A room for the spare of this number, not started. */
  readonly makeSpare: (home: Room, number: number) => Room;
  /** Nobody used home for long, and no spare is at work. */
  readonly onIdle: (suite: Suite<Room>) => void;
  readonly track: (work: Promise<unknown>) => void;
}

/** Who wants a room. */
export interface Guest {
  readonly turn: TurnId;
  readonly model: string | null;
  /** Entries of the conversation up to this one are not to be known any more; 0 = none. */
  readonly clearedUpTo: number;
  /** Turns that ran for the session when this one began. */
  readonly beside: readonly TurnId[];
  /** It waits (true) until it has a room (false). */
  readonly onWait: (waits: boolean) => void;
}

export class Suite<Room extends SuiteRoom> {
  readonly home: Room;
  readonly #deps: SuiteDeps<Room>;
  readonly #spares: Room[] = [];
  readonly #line: PromiseWithResolvers<Room>[] = [];

  constructor(deps: SuiteDeps<Room>, home: Room) {
    this.#deps = deps;
    this.home = home;
  }

  get key(): SessionKey {
    return this.home.key;
  }

  get spares(): readonly Room[] {
    return this.#spares;
  }

  /** A turn has one of its rooms. */
  get isAtWork(): boolean {
    return this.home.isTaken || this.#spares.some(({ isTaken }) => isTaken);
  }

  /** Lets `work` have a room alone. @throws the signal's reason when aborted; what the work throws. */
  async use<T>(guest: Guest, signal: AbortSignal, work: (room: Room) => Promise<T>): Promise<T> {
    const room = this.#free(guest) ?? (await this.#waited(guest, signal));
    room.model = guest.model;
    room.clearedUpTo = guest.clearedUpTo;
    room.wasTaken = true;
    room.disarmIdle();
    try {
      return await work(room);
    } finally {
      this.#leave(room);
    }
  }

  /** Arms the end of what nobody uses; for a room that was started without a turn. */
  rest(): void {
    if (!this.home.isTaken && this.home.isOpen) this.home.armIdle(this.#deps.idleMs(), () => (this.isAtWork ? this.rest() : this.#deps.onIdle(this)));
  }

  /** Ends a spare that nobody uses. */
  endSpare(room: Room): void {
    const at = this.#spares.indexOf(room);
    if (at !== -1) this.#spares.splice(at, 1);
    this.#deps.track(room.close());
  }

  /** Ends everything in it. False: nothing ran. */
  async close(): Promise<boolean> {
    const rooms = [this.home, ...this.#spares.splice(0)];
    const closed = Promise.all(rooms.map((room) => room.close()));
    // Whoever waits gets a room that is closed, and hears that from it.
    for (const guest of this.#line.splice(0)) guest.resolve(this.home);
    return (await closed).includes(true);
  }

  /** A room that the guest can have at once. */
  #free({ turn, beside }: Guest): Room | null {
    const { home } = this;
    // What is closed says so itself to whoever comes.
    if (!home.isOpen) return home;
    const worksAtHome = home.known.turns.at(-1);
    // After a restart it is kept for the turn that was at work in it, which comes back for it.
    const isKept = !home.wasTaken && worksAtHome !== undefined && worksAtHome !== turn && beside.includes(worksAtHome);
    const room = !home.isTaken && !isKept ? home : this.#spares.find(({ isTaken }) => !isTaken);
    if (room === undefined) return null;
    room.isTaken = true;
    return room;
  }

  async #waited(guest: Guest, signal: AbortSignal): Promise<Room> {
    guest.onWait(true);
    const place = Promise.withResolvers<Room>();
    this.#line.push(place);
    let got: Room | null = null;
    try {
      got = await this.#spareOr(place.promise, guest, signal);
      // None can be had, so home is not kept for anybody.
      if (got === null && !this.home.isTaken) got = this.#taken(this.home);
      got ??= await abortable(signal, place.promise);
      return got;
    } finally {
      const at = this.#line.indexOf(place);
      if (at !== -1) this.#line.splice(at, 1);
      // What was given to a guest that had another, or gave up, goes to the next.
      else void place.promise.then((room) => room === got || this.#leave(room));
      guest.onWait(false);
    }
  }

  /** A spare, unless a room is free sooner than it has started. @returns null: there can be none. */
  async #spareOr(freed: Promise<Room>, { model, clearedUpTo }: Guest, signal: AbortSignal): Promise<Room | null> {
    if (this.#spares.length >= this.#deps.sparesMax()) return null;
    const numbers = new Set(this.#spares.map(({ number }) => number));
    let number = 1;
    while (numbers.has(number)) number++;
    const spare = this.#taken(this.#deps.makeSpare(this.home, number));
    spare.model = model;
    spare.clearedUpTo = clearedUpTo;
    this.#spares.push(spare);
    try {
      const room = await abortable(signal, Promise.race([freed, spare.started().then(() => spare)]));
      if (room !== spare) this.endSpare(spare);
      return room;
    } catch (cause) {
      this.endSpare(spare);
      signal.throwIfAborted();
      this.#deps.log.warn("harness.no-spare", { session: this.key, problem: (cause as Error).message });
      return null;
    }
  }

  #taken(room: Room): Room {
    room.isTaken = true;
    return room;
  }

  #leave(room: Room): void {
    const next = room.isOpen ? this.#line.shift() : undefined;
    if (next !== undefined) return next.resolve(room);
    room.left();
    if (!this.home.isTaken) for (const spare of this.#spares.filter(({ isTaken }) => !isTaken)) this.endSpare(spare);
    if (room === this.home) this.rest();
    else if (room.isOpen) room.armIdle(this.#deps.idleMs(), () => room.isTaken || this.endSpare(room));
  }
}
