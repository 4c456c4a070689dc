/**
 * A wall: a provider refuses one account's calls of a model for now (429, 529). Who may go when, and how all come back.
 *
 *     open ──refused──▶ standing ──its end──▶ probing ──taken──▶ opening(1, 2, 4 … unanswered) ──▶ open
 *                          ▲                     │
 *                          └──────refused────────┘
 *
 * A wall that tells its end is waited for by everybody. One that does not is tried: by background calls after
 * pauses that double, by a person's call about once in a place. A person should be the first to learn that it is
 * gone, and a request for each place is what the provider takes in good times.
 *
 * Always true:
 *   - of the background one call goes first; each that is taken lets one more in
 *   - a person's call need not await that one: it may go beside it, one at a time
 *   - what a probe meets says nothing of how many calls may be under way; only the first refusal does
 */

/** Walls without a word about their end: the first pause, doubling up to the longest. */
const PAUSE_FIRST_MS = 500;
const PAUSE_LONGEST_MS = 30_000;
/** All do not come back at the same moment. */
const JITTER_MS_MAX = 1_000;
/**
 * A person's call tries a wall again after this part of a place at least, and at most: spread wide, so that nothing
 * keeps step with it, and late rather than early, so that places of the minute are left for those who follow.
 */
const PERSON_PART_MIN = 0.1;
const PERSON_PART_MAX = 1.7;
const PERSON_SPREAD_POWER = 0.6;
/** A wall that has stood for long is tried less often: its end is late by this part of it at most. */
const AGE_PART = 1 / 200;
/** After this many calls side by side a wall is forgotten. */
const FORGOTTEN_AT = 64;

export interface RefusedCall {
  readonly startedAt: number;
  readonly isOverload: boolean;
  /** What the provider asked for; null = it did not say. */
  readonly waitMs: number | null;
  /** Calls that were under way, this one included. */
  readonly underWay: number;
  /** The time between two calls at the pace in force. */
  readonly placeMs: number;
  /** 0..1 */
  readonly chance: number;
}

/** Calls that are under way, and those of them that the provider has not taken yet. */
export interface Crowd {
  readonly underWay: number;
  readonly unanswered: number;
  readonly unansweredPeople: number;
}

export class Wall {
  #backgroundAt = 0;
  #peopleAt = 0;
  /** Refusals since a call was taken; those of calls that were on their way together count as one. */
  #refusals = 0;
  /** When the last one came, and the first. Calls sent before the last say nothing new. */
  #lastAt = -Infinity;
  #firstAt = -Infinity;
  /** Calls that may be on their way without an answer's beginning. */
  #unansweredMax = Infinity;
  /** Calls of the background that may be under way at all, and all calls. */
  #backgroundMax = Infinity;
  #underWayMax = Infinity;

  /** Takes up a wall that was known before a restart. */
  restore(until: number, now: number): void {
    this.#backgroundAt = this.#peopleAt = until;
    this.#refusals = 1;
    this.#firstAt = now;
    this.#unansweredMax = 1;
  }

  /** Nobody of this kind goes before. */
  until(person: boolean): number {
    return person ? this.#peopleAt : this.#backgroundAt;
  }

  /** Nobody was taken since the last refusal. */
  get isUntried(): boolean {
    return this.#refusals > 0;
  }

  get isOpen(): boolean {
    return this.#unansweredMax === Infinity && this.#backgroundMax === Infinity;
  }

  /** Until when a call must wait; Infinity = until another is taken or ends; null = it may go. */
  obstacle(person: boolean, { unanswered, unansweredPeople, underWay }: Crowd, now: number): number | null {
    const until = this.until(person);
    if (until > now) return until;
    // A person's call goes beside one of the background, not beside another person's.
    const isFree = person
      ? unansweredPeople < this.#unansweredMax && unanswered <= this.#unansweredMax && underWay <= this.#underWayMax
      : unanswered < this.#unansweredMax && underWay < Math.floor(this.#backgroundMax);
    return isFree ? null : Infinity;
  }

  /** The provider took a call, which says that there is no wall. @returns false when it was sent before the wall stood, and so says nothing. */
  tookCall(startedAt: number): boolean {
    if (startedAt <= this.#lastAt) return false;
    this.#refusals = 0;
    this.#backgroundAt = this.#peopleAt = 0;
    this.#unansweredMax = forgotten(this.#unansweredMax + 1);
    this.#backgroundMax = forgotten(this.#backgroundMax + 1 / this.#backgroundMax);
    this.#underWayMax = Math.max(this.#underWayMax, this.#backgroundMax);
    return true;
  }

  /** @returns whether this tells of a new wall, and not of one that a call beside it met. */
  refused({ startedAt, isOverload, waitMs, underWay, placeMs, chance }: RefusedCall, now: number): boolean {
    const isNews = startedAt > this.#lastAt;
    if (isNews) {
      if (this.#refusals++ === 0) {
        this.#firstAt = now;
        this.#underWayMax = underWay;
        this.#backgroundMax = Math.max(1, isOverload ? Math.floor(underWay / 2) : underWay);
      }
      this.#lastAt = now;
      this.#unansweredMax = 1;
    }
    let background: number;
    let people: number;
    if (waitMs !== null) background = people = Math.max(waitMs, PAUSE_FIRST_MS / 2) + chance * Math.min(JITTER_MS_MAX, waitMs / 4);
    else {
      const pause = Math.min(PAUSE_LONGEST_MS, PAUSE_FIRST_MS * 2 ** Math.min(this.#refusals - 1, 16));
      background = pause / 2 + (chance * pause) / 2;
      const place = Math.max(placeMs, (now - this.#firstAt) * AGE_PART);
      people = Math.min(background, place * (PERSON_PART_MIN + (PERSON_PART_MAX - PERSON_PART_MIN) * chance ** PERSON_SPREAD_POWER));
    }
    this.#backgroundAt = Math.max(this.#backgroundAt, now + Math.round(background));
    this.#peopleAt = Math.max(this.#peopleAt, now + Math.round(people));
    return isNews;
  }
}

function forgotten(max: number): number {
  return max >= FORGOTTEN_AT ? Infinity : max;
}
