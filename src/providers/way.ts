/**
 * A way to a model: one account of a provider with one model. What stands in the way of a call now, and taking a
 * place of the minute for it.
 *
 * Always true:
 *   - what is taken of a limit is taken in the book, which outlives this process and may be shared
 *   - a limit that was set is never passed
 *
 * A limit that was only learned may be wrong, or full of a burst that the provider has forgiven by now: a person
 * goes beyond it when the next place is far, one in a place.
 */
import type { Log } from "../base/log.ts";
import type { AllowanceBook, AllowanceChange, RateLimits } from "../model/allowance.ts";
import type { ParkingReason } from "../model/parking.ts";
import type { Refusal } from "./admission.ts";
import type { Next } from "./call-line.ts";
import { LearnedLimit } from "./learned-limit.ts";
import type { AccountLimits } from "./settings.ts";
import { Wall } from "./wall.ts";

/** A part of the calls under way is kept for people, from this many on. */
const RESERVE_FROM = 4;
const RESERVE_PART = 0.1;
/** A minute's worth of calls is spread over this long. */
const PACE_MS = 61_000;
/** The time between two calls, where no limit says it; and the shortest that people try a wall by. */
const PLACE_MS = 2_000;
const PLACE_MS_MIN = 1_000;
/** A person goes beyond a learned limit when the next place is farther than this; the background leaves them one that is nearer. */
const BEYOND_FROM_PLACES = 1.6;
/** Who goes beyond a learned limit and is refused waits for so many places at most before the next try. */
const BEYOND_PLACES_MAX = 2;
/** A pause before the book is asked again, when it could not answer (a full disk). */
const BOOK_RETRY_MS = 1_000;

export interface Obstacle {
  readonly reason: ParkingReason;
  /** Infinity = until another call is taken or ends. */
  readonly at: number;
}

/** What was taken in the book for a call. */
export interface Taken {
  readonly tokens: number;
  readonly isBeyond: boolean;
}

const NOTHING: Taken = { tokens: 0, isBeyond: false };

export interface WayDeps {
  readonly log: Log;
  readonly book: AllowanceBook;
  /** 0..1, spreads what would come at once. */
  chance(): number;
  limitsOf(provider: string): AccountLimits;
  now(): number;
  /** The same moment by the wall clock as it stands now, which is what the book goes by. */
  wallTime(at: number): number;
}

/** One call on its way, from its start to its end. */
export interface Passage {
  readonly person: boolean;
  readonly startedAt: number;
  readonly taken: Taken;
  isAnswered: boolean;
}

export class Way {
  readonly key: string;
  readonly provider: string;
  readonly model: string;
  readonly accountName: string;
  readonly wall = new Wall();
  readonly #deps: WayDeps;
  readonly #learned = new LearnedLimit();
  #underWay = 0;
  /** Those of them that the provider has not taken yet. */
  #unanswered = 0;
  #unansweredPeople = 0;
  #lastStartedAt = -Infinity;
  /** No need to ask the book before. */
  #notBefore = { paced: 0, unpaced: 0 };
  /** Refusals in a row of calls that went beyond the learned limit, and the last one's moment. */
  #beyond = { refusals: 0, at: -Infinity };

  constructor(deps: WayDeps, key: string, provider: string, model: string, accountName: string) {
    this.#deps = deps;
    this.key = key;
    this.provider = provider;
    this.model = model;
    this.accountName = accountName;
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** The narrower of what was set and what was learned. */
  limits(): RateLimits {
    const set = this.#deps.limitsOf(this.provider);
    const learned = this.#learned.limits;
    return { requestsPerMinute: least(set.requestsPerMinute, learned.requestsPerMinute), tokensPerMinute: least(set.tokensPerMinute, learned.tokensPerMinute) };
  }

  /** Nothing is known of it that would be missed. */
  get isIdle(): boolean {
    return this.#underWay === 0 && this.wall.until(false) <= this.#deps.now() && !isLimited(this.#learned.limits);
  }

  /** Takes up what was known before a restart. */
  restore(learned: RateLimits, wallUntil: number): void {
    const now = this.#deps.now();
    this.#learned.restore(learned);
    // It may have been just before.
    this.#lastStartedAt = now;
    if (wallUntil > now) this.wall.restore(wallUntil, now);
  }

  /** Limits were set anew. */
  reconsider(): void {
    this.#notBefore = { paced: 0, unpaced: 0 };
  }

  /** What keeps a call from going this way now, and until when; null = nothing. */
  obstacle(person: boolean, paced: boolean): Obstacle | null {
    const now = this.#deps.now();
    const walled = this.wall.obstacle(person, { underWay: this.#underWay, unanswered: this.#unanswered, unansweredPeople: this.#unansweredPeople }, now);
    if (walled !== null) return { reason: "wall", at: walled };
    const { inFlight: max } = this.#deps.limitsOf(this.provider);
    if (max !== null) {
      const reserve = person || max < RESERVE_FROM ? 0 : Math.max(1, Math.floor(max * RESERVE_PART));
      if (this.#underWay >= max - reserve) return { reason: "busy", at: Infinity };
    }
    const notBefore = paced ? this.#notBefore.paced : this.#notBefore.unpaced;
    return notBefore > now ? { reason: "rate", at: notBefore } : null;
  }

  // ── places of the minute ────────────────────────────────────────────────────────────────────

  /** A place for a call that nothing limits. */
  get free(): Taken | null {
    return isLimited(this.limits()) ? null : NOTHING;
  }

  /** Takes a place in the book, when there is a limit; null = not now, and it is noted when. */
  async take({ waiting: { ask }, paced }: Next): Promise<Taken | null> {
    const limits = this.limits();
    if (!isLimited(limits)) return NOTHING;
    const { book, chance, log, now } = this.#deps;
    const tokens = limits.tokensPerMinute === null ? 0 : ask.tokens();
    const place = { key: this.key, limits, tokens, person: !paced };
    let at: number;
    try {
      const { waitMs, spreadMs } = await book.takeAllowance(place);
      if (waitMs === 0) return { tokens, isBeyond: false };
      at = now() + waitMs + spreadMs * chance();
      const beyondAt = ask.person ? this.#beyondAt(waitMs) : Infinity;
      if (beyondAt > now()) at = Math.min(at, beyondAt);
      else {
        const beyond = await book.takeAllowance({ ...place, isBeyond: true });
        if (beyond.waitMs === 0) return { tokens, isBeyond: true };
        at = now() + beyond.waitMs;
      }
    } catch (cause) {
      log.warn("allowance.not-taken", { key: this.key, cause });
      at = now() + BOOK_RETRY_MS;
    }
    this.#notBefore[paced ? "paced" : "unpaced"] = at;
    return null;
  }

  giveBack(taken: Taken): void {
    if (taken !== NOTHING) this.#adjust({ requests: -1, tokens: -taken.tokens });
  }

  /** When a person may go beyond a learned limit whose next place is so far; Infinity = not. */
  #beyondAt(waitMs: number): number {
    const placeMs = this.#placeMs();
    const set = this.#deps.limitsOf(this.provider).requestsPerMinute;
    if (waitMs <= BEYOND_FROM_PLACES * placeMs || (set !== null && set <= (this.#learned.limits.requestsPerMinute ?? Infinity))) return Infinity;
    return this.#lastStartedAt + placeMs * Math.min(BEYOND_PLACES_MAX, Math.max(1, this.#beyond.refusals));
  }

  /** The time between two calls at the pace in force. */
  #placeMs(): number {
    const { requestsPerMinute } = this.limits();
    return requestsPerMinute === null ? PLACE_MS : Math.max(PLACE_MS_MIN, PACE_MS / requestsPerMinute);
  }

  // ── calls under way ─────────────────────────────────────────────────────────────────────────

  started(person: boolean, taken: Taken): Passage {
    const startedAt = this.#deps.now();
    this.#underWay++;
    this.#unanswered++;
    if (person) this.#unansweredPeople++;
    this.#lastStartedAt = startedAt;
    this.#learned.sent(startedAt);
    return { person, startedAt, taken, isAnswered: false };
  }

  /** The provider takes the call. */
  took(passage: Passage): void {
    if (passage.isAnswered) return;
    this.#answered(passage);
    if (passage.taken.isBeyond) this.#beyond = { refusals: 0, at: -Infinity };
    // A call that was sent before a wall says nothing of what is behind it.
    if (!this.wall.tookCall(passage.startedAt)) return;
    if (this.#learned.taken(this.#deps.now())) this.#tell();
  }

  /** It was answered to its end; `tokens` as counted by the provider, null = it did not say. */
  served({ taken }: Passage, headers: Readonly<Record<string, string>>, tokens: number | null): void {
    if (this.#learned.heard(headers, this.#deps.now())) this.#tell();
    if (tokens !== null && taken.tokens > 0 && tokens !== taken.tokens) this.#adjust({ tokens: tokens - taken.tokens });
  }

  /** The provider refuses everybody for now. @returns how long calls of this kind wait. */
  refused({ person, startedAt, taken: { isBeyond } }: Passage, refusal: Refusal): number {
    const now = this.#deps.now();
    const knownUntil = this.wall.until(true);
    const isFirst = !this.wall.isUntried;
    const isNews = this.wall.refused({ startedAt, isOverload: refusal.is === "overloaded", waitMs: refusal.waitMs, underWay: this.#underWay, placeMs: this.#placeMs(), chance: this.#deps.chance() }, now);
    if (isBeyond) this.#beyond = { refusals: now - this.#beyond.at < PACE_MS ? this.#beyond.refusals + 1 : 1, at: now };
    // That there is no room beyond a limit does not say that it is lower.
    if (this.#learned.refused(refusal, isNews && !isBeyond ? (isFirst ? "first" : "again") : "nothing", now)) this.#tell();
    if (this.wall.until(true) > knownUntil) this.#adjust({ wallUntil: this.#deps.wallTime(this.wall.until(true)) });
    return this.wall.until(person) - now;
  }

  ended(passage: Passage): void {
    this.#underWay--;
    if (!passage.isAnswered) this.#answered(passage);
  }

  #answered(passage: Passage): void {
    passage.isAnswered = true;
    this.#unanswered--;
    if (passage.person) this.#unansweredPeople--;
  }

  #tell(): void {
    const { limits: learned } = this.#learned;
    this.reconsider();
    this.#deps.log.info("provider limit learned", { key: this.key, requestsPerMinute: learned.requestsPerMinute, tokensPerMinute: learned.tokensPerMinute });
    this.#adjust({ learned, sent: this.#learned.meter(this.#deps.now()) });
  }

  #adjust(change: Omit<AllowanceChange, "key">): void {
    this.#deps.book.adjustAllowance({ key: this.key, ...change }).catch((cause: unknown) => this.#deps.log.warn("allowance.not-kept", { key: this.key, cause }));
  }
}

function isLimited({ requestsPerMinute, tokensPerMinute }: RateLimits): boolean {
  return requestsPerMinute !== null || tokensPerMinute !== null;
}

function least(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : Math.min(a, b);
}
