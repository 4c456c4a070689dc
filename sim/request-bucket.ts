/**
 * The provider's limit of requests a minute: a bucket that holds one minute's worth and refills
 * evenly. Who finds it empty waits in line, first come first served, and is never refused.
 */
import type { Clock } from "../src/base/clock.ts";
import { sleep } from "../src/base/clock.ts";

const MINUTE_MS = 60_000;

export class RequestBucket {
  readonly #clock: Clock;
  /** Null = no limit. */
  readonly #perMinute: number | null;
  /** The bucket's fill as a moment: it is empty when this is now, full when this is a minute ago. */
  #emptyAt: number;

  constructor(clock: Clock, perMinute: number | null) {
    this.#clock = clock;
    this.#perMinute = perMinute;
    this.#emptyAt = clock.monotonic() - MINUTE_MS;
  }

  /** Resolves when the request may go out. A request that is given up gives nothing back: it holds its place in line. */
  async take(signal: AbortSignal): Promise<void> {
    if (this.#perMinute === null) return;
    const now = this.#clock.monotonic();
    this.#emptyAt = Math.max(this.#emptyAt, now - MINUTE_MS) + MINUTE_MS / this.#perMinute;
    // A hair of tolerance: sums of thirds of milliseconds must not make the last request of a minute wait.
    const waitMs = Math.ceil(this.#emptyAt - now - 1e-6);
    if (waitMs > 0) await sleep(this.#clock, waitMs, signal);
  }
}
