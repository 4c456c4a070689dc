/**
 * The limit of one account and model that nobody set: learned from what the provider says and from whom it refuses.
 *
 * A limit that headers name is believed at once. One that nobody names is as much as went through in the last
 * minute, once the provider has refused twice; it grows while all goes well, and falls back to what went through.
 * The longer it holds, the longer it is left alone: each try costs somebody a refusal.
 *
 * Not here: keeping to it (`model/allowance.ts`), and walls.
 */
import { NO_LIMITS, SentMeter, takenIn, type Meter, type RateLimits } from "../model/allowance.ts";
import type { Refusal } from "./admission.ts";
import { isNearlyUsedUp, limitsIn } from "./rate-headers.ts";

const MINUTE_MS = 60_000;
/** A second refusal within this time says that there is a limit to be learned. */
const AGAIN_WITHIN_MS = 120_000;
const LEARN_FROM_CALLS = 3;
/** A limit that was guessed grows after each minute in which it was used and nobody was refused: by one, two, four a minute. */
export const GROW_AFTER_MS = 61_000;
/** It is left alone for twice as long each time when it proves right, up to this. */
const GROW_AFTER_MS_MAX = 8 * 61_000;
const IS_USED_PART = 0.8;
const SHRINK_TO_PART = 0.9;
/** A minute in which little went through does not make it fall by more than this at once. */
const SHRINK_TO_PART_MIN = 0.5;

export class LearnedLimit {
  #limits: RateLimits = NO_LIMITS;
  /** What headers say is the limit; a guess never grows over it. */
  #told: RateLimits = NO_LIMITS;
  #learnedAt = 0;
  #refusedAt = -Infinity;
  #growBy = 1;
  #growAfterMs = GROW_AFTER_MS;
  /** What it was after it last fell. */
  #heldAt = 0;
  /** The limits when the provider began to refuse, and whether nothing at all went through for a minute since. */
  #before: RateLimits = NO_LIMITS;
  #isWall = false;
  readonly #sent = new SentMeter();
  /** Those of them that came back with a refusal. */
  readonly #refused = new SentMeter();

  get limits(): RateLimits {
    return this.#limits;
  }

  /** Takes up what was known before a restart. */
  restore(limits: RateLimits): void {
    this.#limits = this.#before = limits;
  }

  sent(now: number): void {
    this.#sent.add(now);
  }

  /** All that was sent in the last minute. */
  meter(now: number): Meter {
    return this.#sent.meter(now);
  }

  /**
   * @param tells  "first": the provider took a call since the last refusal; "nothing": that went out before it.
   * @returns whether the limits are others now; so do the other two.
   */
  refused({ is, headers, waitMs }: Refusal, tells: "first" | "again" | "nothing", now: number): boolean {
    this.#refused.add(now);
    const sinceLastMs = now - this.#refusedAt;
    if (tells === "nothing") return false;
    this.#refusedAt = now;
    if (tells === "first") this.#before = this.#limits;
    else if (this.#passed(now) === 0) this.#isWall = true;
    if (is !== "limited") return false;
    // Who is asked to wait for less than a place did not meet a limit of that many places a minute.
    const mayBe = (perMinute: number): boolean => waitMs === null || waitMs >= MINUTE_MS / perMinute / 2;
    const named = limitsIn(headers);
    let { requestsPerMinute } = this.#limits;
    if (named.requestsPerMinute !== null) requestsPerMinute = named.requestsPerMinute === requestsPerMinute && tells === "first" ? this.#shrunk(requestsPerMinute, mayBe, now) : named.requestsPerMinute;
    else if (requestsPerMinute !== null) requestsPerMinute = tells === "first" ? this.#shrunk(requestsPerMinute, mayBe, now) : requestsPerMinute;
    else if (named.tokensPerMinute === null && sinceLastMs < AGAIN_WITHIN_MS) {
      const passed = this.#passed(now);
      if (passed >= LEARN_FROM_CALLS && mayBe(passed)) requestsPerMinute = passed;
    }
    if (named.requestsPerMinute !== null || named.tokensPerMinute !== null) this.#told = named;
    this.#growBy = 1;
    return this.#set({ requestsPerMinute, tokensPerMinute: named.tokensPerMinute ?? this.#limits.tokensPerMinute }, now);
  }

  /** An answer's headers may name a limit that was raised or lowered, or one that is nearly used up and refuses somebody soon. */
  heard(headers: Readonly<Record<string, string>>, now: number): boolean {
    if (this.#limits.requestsPerMinute === null && this.#limits.tokensPerMinute === null && !isNearlyUsedUp(headers)) return false;
    const named = limitsIn(headers);
    const requestsPerMinute = named.requestsPerMinute === null || named.requestsPerMinute === this.#told.requestsPerMinute ? this.#limits.requestsPerMinute : named.requestsPerMinute;
    const tokensPerMinute = named.tokensPerMinute ?? this.#limits.tokensPerMinute;
    if (named.requestsPerMinute !== null || named.tokensPerMinute !== null) this.#told = named;
    return this.#set({ requestsPerMinute, tokensPerMinute }, now);
  }

  /** A call was taken. */
  taken(now: number): boolean {
    const wasWall = this.#isWall;
    this.#isWall = false;
    // Who takes nothing for a minute has no limit of the minute: it was a wall, and what was guessed of it is void.
    if (wasWall && this.#told.requestsPerMinute === null) return this.#set({ ...this.#limits, requestsPerMinute: this.#before.requestsPerMinute }, now);
    const { requestsPerMinute } = this.#limits;
    const most = this.#told.requestsPerMinute ?? Infinity;
    if (requestsPerMinute === null || requestsPerMinute >= most) return false;
    const isFirst = this.#growBy === 1;
    if (now - Math.max(this.#learnedAt, this.#refusedAt) < (isFirst ? this.#growAfterMs : GROW_AFTER_MS) || takenIn(this.meter(now), now) < requestsPerMinute * IS_USED_PART) return false;
    const grown = Math.min(most, requestsPerMinute + Math.min(this.#growBy, Math.ceil(requestsPerMinute / 2)));
    this.#growBy *= 2;
    return this.#set({ ...this.#limits, requestsPerMinute: grown }, now);
  }

  /** Once a minute at most: what was refused since the last time was sent under the old limit. */
  #shrunk(perMinute: number, mayBe: (perMinute: number) => boolean, now: number): number {
    if (now - this.#learnedAt < GROW_AFTER_MS || !mayBe(perMinute)) return perMinute;
    const passed = this.#passed(now);
    const isProof = takenIn(this.meter(now), now) >= perMinute * IS_USED_PART && passed < perMinute;
    const fallen = Math.max(1, Math.floor(isProof ? Math.max(passed, perMinute * SHRINK_TO_PART_MIN) : perMinute * SHRINK_TO_PART));
    const isAsBefore = fallen >= this.#heldAt * SHRINK_TO_PART && fallen <= this.#heldAt / SHRINK_TO_PART;
    this.#growAfterMs = isAsBefore ? Math.min(GROW_AFTER_MS_MAX, 2 * this.#growAfterMs) : GROW_AFTER_MS;
    this.#heldAt = fallen;
    return fallen;
  }

  /** Calls of the last minute that were not refused. */
  #passed(now: number): number {
    return takenIn(this.meter(now), now) - takenIn(this.#refused.meter(now), now);
  }

  #set(limits: RateLimits, now: number): boolean {
    if (limits.requestsPerMinute === this.#limits.requestsPerMinute && limits.tokensPerMinute === this.#limits.tokensPerMinute) return false;
    this.#limits = limits;
    this.#learnedAt = now;
    return true;
  }
}
