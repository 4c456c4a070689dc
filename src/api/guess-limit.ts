/**
 * How often one may be wrong about the token.
 *
 * Over the limit a wrong token is told to wait. A right one always gets in: otherwise any program on
 * this machine could lock the person out by guessing. Guessing stays hopeless either way; the token
 * has 256 bits, and this keeps the noise and the log small.
 */
import type { Clock } from "../base/clock.ts";

const WINDOW_MS = 60_000;
const WRONG_PER_ADDRESS_MAX = 20;
const WRONG_IN_ALL_MAX = 200;
/** How long one is told to wait. */
const PAUSE_MS = 30_000;
/** Addresses that are remembered; beyond that the limit over all of them still stands. */
const ADDRESSES_MAX = 1000;

interface Tally {
  wrong: number;
  windowEndsAt: number;
  pauseEndsAt: number;
}

export class GuessLimit {
  readonly #clock: Clock;
  readonly #all: Tally = { wrong: 0, windowEndsAt: 0, pauseEndsAt: 0 };
  readonly #byAddress = new Map<string, Tally>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts one wrong guess. @returns how long to wait, 0 = not over the limit. */
  wrong(address: string): number {
    return Math.max(this.#count(this.#all, WRONG_IN_ALL_MAX), this.#count(this.#tallyOf(address), WRONG_PER_ADDRESS_MAX));
  }

  #tallyOf(address: string): Tally {
    let tally = this.#byAddress.get(address);
    if (tally === undefined) {
      for (const [oldest] of this.#byAddress) {
        if (this.#byAddress.size < ADDRESSES_MAX) break;
        this.#byAddress.delete(oldest);
      }
      tally = { wrong: 0, windowEndsAt: 0, pauseEndsAt: 0 };
      this.#byAddress.set(address, tally);
    }
    return tally;
  }

  #count(tally: Tally, wrongMax: number): number {
    const now = this.#clock.monotonic();
    if (now >= tally.windowEndsAt && now >= tally.pauseEndsAt) {
      tally.wrong = 0;
      tally.windowEndsAt = now + WINDOW_MS;
    }
    tally.wrong++;
    if (tally.wrong > wrongMax && now >= tally.pauseEndsAt) tally.pauseEndsAt = now + PAUSE_MS;
    return Math.max(0, tally.pauseEndsAt - now);
  }
}
