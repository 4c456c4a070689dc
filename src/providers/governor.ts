/**
 * The governor: every call to a model is let through here, and its end is told here.
 *
 *     admit ──free──▶ under way ──end(ok | failed | gone)──▶ over
 *        │                ▲
 *        └─parked─────────┘   people first, then in order of arrival
 *
 *     open ──429, 529──▶ walled ──its end──▶ probing(1, 2, 4 … under way) ──▶ open
 *     open, probing ──401, 403──▶ closed for a minute, this credential only
 *
 * There is one line for each model of a provider, and each account of the provider serves it as far
 * as its limits go: calls under way, requests and tokens a minute. Limits come from settings, from
 * headers of refusals and of answers that leave little, or from what the provider took before it refused twice.
 *
 * Always true:
 *   - a call that nothing limits costs no wait, no timer and no write
 *   - what is taken of a limit is taken in the book, which outlives this process and may be shared
 *   - after a wall one call goes first; the others follow as it and its followers come back well
 *   - a waiting call can be cancelled at once, and leaves nothing behind
 *
 * Not here: what a failure means (`verdict.ts`), HTTP, who is asked next when a model cannot be had.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { NO_LIMITS, SentMeter, takenIn, type AllowanceBook, type RateLimits } from "../model/allowance.ts";
import { Fault } from "../model/faults.ts";
import type { LaneToProvider, ParkedCall, Parking, ParkingReason, ProviderLanes } from "../model/parking.ts";
import type { Account, AccountLimits } from "./settings.ts";
import { isNearlyUsedUp, limitsIn } from "./rate-headers.ts";

/** How long a refused credential is not tried again. */
export const CLOSED_MS = 60_000;
/** Walls without a word about their end: the first, doubling up to the longest. */
const WALL_FIRST_MS = 500;
const WALL_LONGEST_MS = 30_000;
/** All do not come back at the same moment. */
const WALL_JITTER_MS_MAX = 1_000;
/** After this many calls side by side a wall is forgotten. */
const WINDOW_FORGOTTEN_AT = 64;
/** Of this many people in a row, one gives way to the background, so that it never starves. */
const PEOPLE_IN_A_ROW_MAX = 3;
/** A part of the calls under way is kept for people, from this many on. */
const RESERVE_FROM = 4;
const RESERVE_PART = 0.1;
/** A second refusal within this time says that there is a limit to be learned. */
const AGAIN_WITHIN_MS = 120_000;
const LEARN_FROM_CALLS = 3;
/** A limit that was guessed grows after each minute without a refusal: by one, two, four a minute. */
const GROW_AFTER_MS = 61_000;
const SHRINK_TO_PART = 0.9;
const MINUTE_MS = 60_000;
/** A pause before the book is asked again, when it could not answer (a full disk). */
const BOOK_RETRY_MS = 1_000;
const LINES_MAX = 2_000;
const WAITING_MAX = 100_000;

export interface CallAsk {
  readonly provider: string;
  readonly model: string;
  /** A person waits for the answer. */
  readonly person: boolean;
  /** Input and output, estimated; asked only when tokens are limited. */
  tokens(): number;
  readonly signal: AbortSignal;
  /** Its place in line, from an earlier `Admission` of the same call that ended in a refusal, or of {@link orderOfResumed}; without it, the end. */
  readonly order?: number;
  /** A wall that ends later than this from now is not waited for. */
  readonly patienceMs: number;
  /** The session that it works for, for listings. */
  readonly session?: string;
  /** Called once, when it has to wait. */
  onParked?(parking: Parking): void;
}

export type CallEnd =
  /** `tokens` as counted by the provider; null = it did not say. */
  | { readonly is: "ok"; readonly headers: Readonly<Record<string, string>>; readonly tokens: number | null }
  /** The provider refuses for now; `waitMs` is what it asked for. */
  | { readonly is: "limited" | "overloaded"; readonly headers: Readonly<Record<string, string>>; readonly waitMs: number | null }
  /** The credential was refused; `all` = for every model. */
  | { readonly is: "refused"; readonly status: number; readonly all: boolean }
  /** Anything else: cancelled, cut off, rejected. */
  | { readonly is: "gone" };

/** The right to make one call with one account. `end` must be called once, whatever happens. */
export interface Admission {
  readonly account: Account;
  readonly order: number;
  /** @returns for a refusal, how long everyone waits now. */
  end(end: CallEnd): number;
}

export interface GovernorDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly book: AllowanceBook;
  /** 0..1, spreads what would come at once. */
  chance(): number;
  /** Read anew for every call. Empty = the provider is gone. @throws {Fault} PROVIDER_NO_KEY */
  accountsOf(provider: string): readonly Account[];
  limitsOf(provider: string): AccountLimits;
  /** A credential was refused; told once until it works again. */
  onRefused(provider: string, account: Account, status: number): void;
}

interface Waiting {
  readonly ask: CallAsk;
  readonly order: number;
  readonly since: number;
  told: boolean;
  admit(admission: Admission): void;
  refuse(cause: unknown): void;
}

/** What is known of one account with one model. */
interface Way {
  readonly key: string;
  readonly provider: string;
  readonly model: string;
  readonly accountName: string;
  inFlight: number;
  wallUntil: number;
  /** When the last wall was put up; calls sent before it say nothing new. */
  wallAt: number;
  walls: number;
  /** Calls that may be under way; Infinity = no wall lately. */
  window: number;
  /** Up to here the window doubles. */
  doublesTo: number;
  /** No need to ask the book before. */
  notBefore: { person: number; background: number };
  readonly sent: SentMeter;
  /** Those of them that came back with a refusal. */
  readonly refused: SentMeter;
  learned: RateLimits;
  /** What headers say is the limit; a guess never grows over it. */
  told: RateLimits;
  learnedAt: number;
  growBy: number;
}

interface Line {
  readonly provider: string;
  readonly model: string;
  readonly people: Waiting[];
  readonly background: Waiting[];
  peopleInARow: number;
  turn: number;
  pumping: boolean;
  again: boolean;
  disarm: (() => void) | null;
}

type Pick = { readonly account: Account; readonly way: Way } | { readonly reason: ParkingReason; readonly at: number };

/** The place in line of a call that a restart cut off: before all that came since, in the order in which their work began. */
export function orderOfResumed(beganAt: number): number {
  return beganAt - Number.MAX_SAFE_INTEGER;
}

export class Governor {
  readonly #deps: GovernorDeps;
  readonly #startedAt: number;
  readonly #lines = new Map<string, Line>();
  readonly #ways = new Map<string, Way>();
  /** Refused credentials by provider and secret: a new secret under an old name is a new credential. */
  readonly #closed = new Map<string, { readonly until: number; readonly status: number }>();
  readonly #toldOf = new Set<string>();
  #lastOrder = 0;
  #waiting = 0;

  constructor(deps: GovernorDeps) {
    this.#deps = deps;
    this.#startedAt = deps.clock.now() - deps.clock.monotonic();
  }

  /** Wall time as it went on since the start, whatever the machine's clock was set to meanwhile: waits are durations. */
  #now(): number {
    return this.#startedAt + this.#deps.clock.monotonic();
  }

  /** The same moment by the wall clock as it stands now, which is what the book and people go by. */
  #wallTime(at: number): number {
    return at - this.#now() + this.#deps.clock.now();
  }

  /** Takes up the walls and limits that were known before a restart. */
  async start(): Promise<void> {
    for (const { key, wallUntil, learned } of await this.#deps.book.allowances()) {
      const [provider, accountName, ...model] = key.split("/");
      const way = this.#way(provider!, model.join("/"), accountName!);
      way.learned = learned;
      if (wallUntil > this.#now()) Object.assign(way, { wallUntil, window: 1, doublesTo: WINDOW_FORGOTTEN_AT, walls: 1 });
    }
  }

  /** After a change of settings: a credential may have been mended. */
  reconsider(): void {
    this.#closed.clear();
    for (const line of this.#lines.values()) void this.#pump(line);
  }

  /**
   * Lets a call through, now or when its turn comes. Not a promise when nothing limits it.
   * @throws {Fault} PROVIDER_AUTH (every credential was refused), PROVIDER_RATE_LIMITED (a wall longer than its patience).
   */
  admit(ask: CallAsk): Admission | Promise<Admission> {
    ask.signal.throwIfAborted();
    const line = this.#line(ask.provider, ask.model);
    const order = ask.order ?? ++this.#lastOrder;
    if (line.people.length + line.background.length === 0 && !line.pumping) {
      const pick = this.#pick(line, ask);
      if ("way" in pick && !isLimited(this.#limits(pick.way))) return this.#start(pick.account, pick.way, order, 0);
    }
    if (this.#waiting >= WAITING_MAX) throw new Fault("TOO_MANY_AT_ONCE", { what: "waiting model calls", max: WAITING_MAX });
    return this.#wait(line, ask, order);
  }

  lanes(): ProviderLanes {
    const now = this.#now();
    const accounts = [...this.#ways.values()].map((way): LaneToProvider => {
      const limits = this.#limits(way);
      const walled = way.wallUntil > now;
      const closed = this.#closedUntil(way, now);
      return {
        provider: way.provider,
        model: way.model,
        account: way.accountName,
        state: closed !== null ? "closed" : walled ? "walled" : way.window === Infinity ? "open" : "probing",
        until: closed ?? (walled ? this.#wallTime(way.wallUntil) : null),
        inFlight: way.inFlight,
        requestsPerMinute: limits.requestsPerMinute,
        tokensPerMinute: limits.tokensPerMinute,
      };
    });
    const parked = [...this.#lines.values()].flatMap((line) => [...line.people, ...line.background].map((waiting, ahead): ParkedCall => ({ ...this.#parking(line, waiting, ahead), session: waiting.ask.session ?? null, since: this.#wallTime(waiting.since), person: waiting.ask.person })));
    return { accounts, parked };
  }

  isClosed(provider: string, account: Account): boolean {
    return this.#refusal(provider, account, null) !== undefined;
  }

  /**
   * True when another account can take a call of this model: at once, or also after its wall. What was refused
   * for good is worth waiting for another account; what was refused for now is not, for it waits anyway.
   */
  hasOtherAccount(provider: string, model: string, besides: Account, also: "walled" | "open only"): boolean {
    const now = this.#now();
    return this.#accounts(provider).some((account) => account.name !== besides.name && this.#refusal(provider, account, model) === undefined && (also === "walled" || this.#way(provider, model, account.name).wallUntil <= now));
  }

  // ── the line ────────────────────────────────────────────────────────────────────────────────

  #wait(line: Line, ask: CallAsk, order: number): Promise<Admission> {
    return new Promise((resolve, reject) => {
      const queue = ask.person ? line.people : line.background;
      const leave = (): void => {
        const at = queue.indexOf(waiting);
        if (at === -1) return;
        queue.splice(at, 1);
        this.#waiting--;
        ask.signal.removeEventListener("abort", onAbort);
      };
      const onAbort = (): void => {
        leave();
        reject(ask.signal.reason as Error);
        if (line.people.length + line.background.length === 0) this.#disarm(line);
      };
      const waiting: Waiting = {
        ask,
        order,
        since: this.#now(),
        told: false,
        admit: (admission) => {
          leave();
          resolve(admission);
        },
        refuse: (cause) => {
          leave();
          reject(cause as Error);
        },
      };
      // A call that comes back after a refusal has its old place.
      const at = queue.findLastIndex((other) => other.order < order);
      queue.splice(at + 1, 0, waiting);
      this.#waiting++;
      ask.signal.addEventListener("abort", onAbort, { once: true });
      void this.#pump(line);
    });
  }

  #disarm(line: Line): void {
    line.disarm?.();
    line.disarm = null;
  }

  /** Lets through whoever may go, and arms the timer for the next. One at a time for each line. */
  async #pump(line: Line): Promise<void> {
    if (line.pumping) {
      line.again = true;
      return;
    }
    line.pumping = true;
    try {
      do {
        line.again = false;
        this.#disarm(line);
        await this.#letThrough(line);
      } while (line.again);
    } finally {
      line.pumping = false;
    }
    this.#tellParked(line);
  }

  async #letThrough(line: Line): Promise<void> {
    for (;;) {
      const next = this.#next(line);
      if (next === undefined) return;
      let pick: Pick;
      try {
        pick = this.#pick(line, next.ask);
      } catch (cause) {
        next.refuse(cause);
        continue;
      }
      if (!("way" in pick)) {
        if (pick.at < Infinity) line.disarm = this.#deps.clock.after(Math.max(1, pick.at - this.#now()), () => void this.#pump(line));
        return;
      }
      const limits = this.#limits(pick.way);
      const tokens = limits.tokensPerMinute === null ? 0 : next.ask.tokens();
      if (isLimited(limits) && !(await this.#take(pick.way, limits, next.ask.person, tokens))) continue;
      // While the book was asked the call may have been cancelled; what was taken serves the next one. Or the
      // provider may have refused somebody else, and then nobody goes.
      const now = this.#isWaiting(line, next) ? next : this.#next(line);
      if (now === undefined || !this.#isFree(pick, now.ask)) {
        if (isLimited(limits)) this.#adjust({ key: pick.way.key, requests: -1, tokens: -tokens });
        if (now === undefined) return;
        continue;
      }
      line.peopleInARow = now.ask.person ? line.peopleInARow + 1 : 0;
      now.admit(this.#start(pick.account, pick.way, now.order, tokens));
    }
  }

  /** People first, but the background is never passed over for ever. */
  #next({ people, background, peopleInARow }: Line): Waiting | undefined {
    if (people.length > 0 && (background.length === 0 || peopleInARow < PEOPLE_IN_A_ROW_MAX)) return people[0];
    return background[0] ?? people[0];
  }

  #isWaiting(line: Line, waiting: Waiting): boolean {
    return (waiting.ask.person ? line.people : line.background).includes(waiting);
  }

  async #take(way: Way, limits: RateLimits, person: boolean, tokens: number): Promise<boolean> {
    const asked = person ? "person" : "background";
    try {
      const { waitMs, spreadMs } = await this.#deps.book.takeAllowance({ key: way.key, limits, tokens, person });
      if (waitMs === 0) return true;
      way.notBefore[asked] = this.#now() + waitMs + spreadMs * this.#deps.chance();
    } catch (cause) {
      this.#deps.log.warn("allowance.not-taken", { key: way.key, cause });
      way.notBefore[asked] = this.#now() + BOOK_RETRY_MS;
    }
    return false;
  }

  /** Who may serve a call now, or when the first of them can; accounts take turns. */
  #pick(line: Line, ask: CallAsk): Pick {
    const { accountsOf, limitsOf } = this.#deps;
    const now = this.#now();
    const accounts = accountsOf(line.provider);
    const { inFlight: inFlightMax } = limitsOf(line.provider);
    let soonest: { reason: ParkingReason; at: number } | undefined;
    let refusal: { readonly status: number } | undefined;
    let best: { readonly account: Account; readonly way: Way } | undefined;
    for (let i = 0; i < accounts.length; i++) {
      const account = accounts[(line.turn + i) % accounts.length]!;
      const closed = this.#refusal(line.provider, account, line.model);
      if (closed !== undefined) {
        refusal = closed;
        continue;
      }
      const way = this.#way(line.provider, line.model, account.name);
      const obstacle = obstacleOf(way, ask.person, inFlightMax, now);
      if (obstacle === null) {
        if (best === undefined || way.inFlight < best.way.inFlight) best = { account, way };
      } else if (soonest === undefined || obstacle.at < soonest.at) soonest = obstacle;
    }
    if (best !== undefined) {
      line.turn = (line.turn + 1) % accounts.length;
      return best;
    }
    if (soonest === undefined) throw refusedFault(line.provider, refusal?.status ?? 401);
    if (soonest.reason === "wall" && soonest.at < Infinity && soonest.at - now > ask.patienceMs) {
      const leftMs = soonest.at - now;
      throw new Fault("PROVIDER_RATE_LIMITED", { provider: line.provider, waitedMs: 0 }, { retryAfterMs: Math.ceil(leftMs) });
    }
    return soonest;
  }

  #isFree({ account, way }: { readonly account: Account; readonly way: Way }, ask: CallAsk): boolean {
    return this.#refusal(way.provider, account, way.model) === undefined && obstacleOf(way, ask.person, this.#deps.limitsOf(way.provider).inFlight, this.#now()) === null;
  }

  // ── a call under way ────────────────────────────────────────────────────────────────────────

  #start(account: Account, way: Way, order: number, tokens: number): Admission {
    const startedAt = this.#now();
    way.inFlight++;
    way.sent.add(startedAt);
    let over = false;
    return {
      account,
      order,
      end: (end) => {
        if (over) return 0;
        over = true;
        const waitMs = this.#end(way, account, tokens, startedAt, end);
        const line = this.#lines.get(lineKey(way.provider, way.model));
        if (line !== undefined && line.people.length + line.background.length > 0) void this.#pump(line);
        return waitMs;
      },
    };
  }

  #end(way: Way, account: Account, estimated: number, startedAt: number, end: CallEnd): number {
    const sideBySide = way.inFlight--;
    switch (end.is) {
      case "ok":
        this.#toldOf.delete(secretKey(way.provider, account));
        // A call that was sent before the wall says nothing of what is behind it.
        if (startedAt >= way.wallAt) this.#wentWell(way);
        this.#hear(way, end.headers);
        if (end.tokens !== null && estimated > 0 && end.tokens !== estimated) this.#adjust({ key: way.key, tokens: end.tokens - estimated });
        return 0;
      case "limited":
      case "overloaded":
        return this.#wall(way, end, sideBySide, startedAt);
      case "refused":
        this.#close(way, account, end.status, end.all);
        return 0;
      case "gone":
        return 0;
    }
  }

  #wentWell(way: Way): void {
    if (way.window !== Infinity) {
      way.window += way.window < way.doublesTo ? 1 : 1 / way.window;
      if (way.window >= WINDOW_FORGOTTEN_AT) way.window = Infinity;
    }
    if (way.wallUntil <= this.#now()) way.walls = 0;
    this.#grow(way);
  }

  #wall(way: Way, end: { is: "limited" | "overloaded"; headers: Readonly<Record<string, string>>; waitMs: number | null }, sideBySide: number, startedAt: number): number {
    const { chance } = this.#deps;
    const now = this.#now();
    way.refused.add(now);
    // Calls that were on their way when the wall went up tell of the same wall.
    const isSame = startedAt < way.wallAt;
    if (!isSame) {
      const sinceLast = now - way.wallAt;
      way.walls++;
      way.wallAt = now;
      way.doublesTo = Math.max(1, end.is === "overloaded" ? Math.floor(sideBySide / 2) : sideBySide);
      way.window = 1;
      if (end.is === "limited") this.#learn(way, end, sinceLast);
    }
    const backoff = Math.min(WALL_LONGEST_MS, WALL_FIRST_MS * 2 ** Math.min(way.walls - 1, 16));
    const waitMs = end.waitMs === null ? backoff / 2 + (chance() * backoff) / 2 : Math.max(end.waitMs, WALL_FIRST_MS / 2) + chance() * Math.min(WALL_JITTER_MS_MAX, end.waitMs / 4);
    const until = now + Math.round(waitMs);
    if (until > way.wallUntil) {
      way.wallUntil = until;
      this.#adjust({ key: way.key, wallUntil: this.#wallTime(until) });
    }
    return way.wallUntil - now;
  }

  // ── limits that nobody set ──────────────────────────────────────────────────────────────────

  /** After a refusal: the limit that the headers name, or as much as went through in the last minute. */
  #learn(way: Way, { headers, waitMs }: { headers: Readonly<Record<string, string>>; waitMs: number | null }, sinceLastMs: number): void {
    const now = this.#now();
    // Who is asked to wait for less than a place did not meet a limit of that many places a minute.
    const mayBe = (perMinute: number): boolean => waitMs === null || waitMs >= MINUTE_MS / perMinute / 2;
    const named = limitsIn(headers);
    const sent = way.sent.meter(now);
    const passed = takenIn(sent, now) - takenIn(way.refused.meter(now), now);
    let { requestsPerMinute } = way.learned;
    if (named.requestsPerMinute !== null && named.requestsPerMinute !== requestsPerMinute) requestsPerMinute = named.requestsPerMinute;
    else if (requestsPerMinute !== null) {
      // Once a minute at most: what was refused since the last time was sent under the old limit.
      if (now - way.learnedAt >= GROW_AFTER_MS && mayBe(requestsPerMinute)) requestsPerMinute = Math.max(1, Math.floor(requestsPerMinute * SHRINK_TO_PART));
    } else if (named.tokensPerMinute === null && sinceLastMs < AGAIN_WITHIN_MS && passed >= LEARN_FROM_CALLS && mayBe(passed)) requestsPerMinute = passed;
    way.told = named;
    this.#setLearned(way, { requestsPerMinute, tokensPerMinute: named.tokensPerMinute ?? way.learned.tokensPerMinute });
    way.growBy = 1;
  }

  /** An answer's headers may name a limit that was raised or lowered, or one that is nearly used up and refuses somebody soon. */
  #hear(way: Way, headers: Readonly<Record<string, string>>): void {
    if (!isLimited(way.learned) && !isNearlyUsedUp(headers)) return;
    const named = limitsIn(headers);
    const requestsPerMinute = named.requestsPerMinute === null || named.requestsPerMinute === way.told.requestsPerMinute ? way.learned.requestsPerMinute : named.requestsPerMinute;
    const tokensPerMinute = named.tokensPerMinute ?? way.learned.tokensPerMinute;
    if (named.requestsPerMinute !== null || named.tokensPerMinute !== null) way.told = named;
    this.#setLearned(way, { requestsPerMinute, tokensPerMinute });
  }

  #grow(way: Way): void {
    const { requestsPerMinute } = way.learned;
    if (requestsPerMinute === null || requestsPerMinute >= (way.told.requestsPerMinute ?? Infinity)) return;
    if (this.#now() - Math.max(way.learnedAt, way.wallAt) < GROW_AFTER_MS) return;
    const grown = Math.min(way.told.requestsPerMinute ?? Infinity, requestsPerMinute + Math.min(way.growBy, Math.ceil(requestsPerMinute / 2)));
    way.growBy *= 2;
    this.#setLearned(way, { ...way.learned, requestsPerMinute: grown });
  }

  #setLearned(way: Way, learned: RateLimits): void {
    if (learned.requestsPerMinute === way.learned.requestsPerMinute && learned.tokensPerMinute === way.learned.tokensPerMinute) return;
    const now = this.#now();
    way.learned = learned;
    way.learnedAt = now;
    way.notBefore = { person: 0, background: 0 };
    this.#deps.log.info("provider limit learned", { key: way.key, requestsPerMinute: learned.requestsPerMinute, tokensPerMinute: learned.tokensPerMinute });
    this.#adjust({ key: way.key, learned, sent: way.sent.meter(now) });
  }

  /** The narrower of what was set and what was learned. */
  #limits(way: Way): RateLimits {
    const set = this.#deps.limitsOf(way.provider);
    return { requestsPerMinute: least(set.requestsPerMinute, way.learned.requestsPerMinute), tokensPerMinute: least(set.tokensPerMinute, way.learned.tokensPerMinute) };
  }

  #adjust(change: Parameters<AllowanceBook["adjustAllowance"]>[0]): void {
    this.#deps.book.adjustAllowance(change).catch((cause: unknown) => this.#deps.log.warn("allowance.not-kept", { key: change.key, cause }));
  }

  // ── refused credentials ─────────────────────────────────────────────────────────────────────

  #close(way: Way, account: Account, status: number, all: boolean): void {
    const until = this.#deps.clock.monotonic() + CLOSED_MS;
    this.#closed.set(all ? secretKey(way.provider, account) : `${secretKey(way.provider, account)}\0${way.model}`, { until, status });
    if (this.#closed.size > LINES_MAX) this.#closed.delete(this.#closed.keys().next().value!);
    const told = secretKey(way.provider, account);
    if (this.#toldOf.has(told)) return;
    this.#toldOf.add(told);
    this.#deps.onRefused(way.provider, account, status);
  }

  #refusal(provider: string, account: Account, model: string | null): { readonly until: number; readonly status: number } | undefined {
    if (this.#closed.size === 0) return undefined;
    const key = secretKey(provider, account);
    for (const found of [this.#closed.get(key), this.#closed.get(`${key}\0${model ?? ""}`)]) {
      if (found !== undefined && this.#deps.clock.monotonic() < found.until) return found;
    }
    return undefined;
  }

  #closedUntil(way: Way, now: number): number | null {
    if (this.#closed.size === 0) return null;
    const account = this.#accounts(way.provider).find(({ name }) => name === way.accountName);
    const refusal = account === undefined ? undefined : this.#refusal(way.provider, account, way.model);
    return refusal === undefined ? null : Math.round(now + refusal.until - this.#deps.clock.monotonic());
  }

  #accounts(provider: string): readonly Account[] {
    try {
      return this.#deps.accountsOf(provider);
    } catch {
      return []; // it was taken out of the settings, or its key was
    }
  }

  // ── what is told ────────────────────────────────────────────────────────────────────────────

  #tellParked(line: Line): void {
    for (const queue of [line.people, line.background]) {
      for (const [place, waiting] of queue.entries()) {
        if (waiting.told) continue;
        waiting.told = true;
        waiting.ask.onParked?.(this.#parking(line, waiting, (queue === line.people ? 0 : line.people.length) + place));
      }
    }
  }

  #parking(line: Line, { ask }: Waiting, ahead: number): Parking & { readonly reason: ParkingReason } {
    const now = this.#now();
    const { inFlight } = this.#deps.limitsOf(line.provider);
    let until = Infinity;
    let reason: ParkingReason = "rate";
    let perMinute = 0;
    for (const { name } of this.#accounts(line.provider)) {
      const way = this.#way(line.provider, line.model, name);
      const obstacle = obstacleOf(way, ask.person, inFlight, now);
      const at = Math.max(now, way.wallUntil, Math.min(obstacle?.at ?? now, now + GROW_AFTER_MS));
      if (at < until) [until, reason] = [at, obstacle?.reason ?? "rate"];
      perMinute += this.#limits(way).requestsPerMinute ?? Infinity;
    }
    const lineMs = perMinute > 0 ? (ahead * 60_000) / perMinute : 0;
    return { reason, model: `${line.provider}/${line.model}`, until: Math.round(this.#wallTime((until === Infinity ? now : until) + lineMs)), ahead };
  }

  #line(provider: string, model: string): Line {
    const key = lineKey(provider, model);
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = { provider, model, people: [], background: [], peopleInARow: 0, turn: 0, pumping: false, again: false, disarm: null };
      this.#lines.set(key, line);
      if (this.#lines.size > LINES_MAX) this.#forgetIdle();
    }
    return line;
  }

  #way(provider: string, model: string, accountName: string): Way {
    const key = `${provider}/${accountName}/${model}`;
    let way = this.#ways.get(key);
    if (way === undefined) {
      way = {
        key,
        provider,
        model,
        accountName,
        inFlight: 0,
        wallUntil: 0,
        wallAt: -Infinity,
        walls: 0,
        window: Infinity,
        doublesTo: WINDOW_FORGOTTEN_AT,
        notBefore: { person: 0, background: 0 },
        sent: new SentMeter(),
        refused: new SentMeter(),
        learned: NO_LIMITS,
        told: NO_LIMITS,
        learnedAt: 0,
        growBy: 1,
      };
      this.#ways.set(key, way);
    }
    return way;
  }

  /** Names of models come from outside; those that nobody uses are let go. */
  #forgetIdle(): void {
    const now = this.#now();
    for (const [key, line] of this.#lines) if (!line.pumping && line.people.length + line.background.length === 0) this.#lines.delete(key);
    for (const [key, way] of this.#ways) if (way.inFlight === 0 && way.wallUntil <= now && way.learned === NO_LIMITS) this.#ways.delete(key);
  }
}

/** What keeps a call from going this way now, and until when; Infinity = until another call ends. */
function obstacleOf(way: Way, person: boolean, inFlightMax: number | null, now: number): { reason: ParkingReason; at: number } | null {
  if (way.wallUntil > now) return { reason: "wall", at: way.wallUntil };
  if (way.inFlight >= Math.floor(way.window)) return { reason: "wall", at: Infinity };
  if (inFlightMax !== null) {
    const reserve = person || inFlightMax < RESERVE_FROM ? 0 : Math.max(1, Math.floor(inFlightMax * RESERVE_PART));
    if (way.inFlight >= inFlightMax - reserve) return { reason: "busy", at: Infinity };
  }
  const notBefore = person ? way.notBefore.person : way.notBefore.background;
  return notBefore > now ? { reason: "rate", at: notBefore } : null;
}

/** Every credential was refused a moment ago. */
function refusedFault(provider: string, status: number): Fault {
  return status === 402 ? new Fault("PROVIDER_QUOTA", { provider, problem: "so it said less than a minute ago" }) : new Fault("PROVIDER_AUTH", { provider, status });
}

function isLimited({ requestsPerMinute, tokensPerMinute }: RateLimits): boolean {
  return requestsPerMinute !== null || tokensPerMinute !== null;
}

function least(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : Math.min(a, b);
}

const lineKey = (provider: string, model: string): string => `${provider}/${model}`;
const secretKey = (provider: string, account: Account): string => `${provider}\0${account.key ?? ""}`;
