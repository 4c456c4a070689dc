/**
 * Time, as everything else in the program sees it.
 *
 * Nothing outside this file reads the machine's clock or arms a timer, so the whole gateway
 * runs under a hand-driven clock in tests and in the simulator.
 *
 * Wall time (`now`) is for records and calendars; durations, deadlines and leases use
 * `monotonic`, which no clock change can bend.
 */
import { setTimeout as armTimeout, clearTimeout as disarmTimeout } from "node:timers";

export interface Clock {
  /** Wall time, milliseconds since 1970. */
  now(): number;
  /** Milliseconds since some fixed moment; never goes back. */
  monotonic(): number;
  /** Calls `action` once after `delayMs`; the returned function takes it back. */
  after(delayMs: number, action: () => void): () => void;
}

/** The longest delay that one machine timer can hold (2^31 - 1 ms, about 24.8 days). */
const TIMER_DELAY_MAX_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, action) {
    const timer = armTimeout(action, Math.min(Math.max(0, delayMs), TIMER_DELAY_MAX_MS));
    return () => disarmTimeout(timer);
  },
};

/** The day of a moment, as in `2026-11-30`. Days are those of UTC, so that they do not move with a machine. */
export function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, "2026-01-01".length);
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const disarm = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    function onAbort(): void {
      disarm();
      reject(signal!.reason);
    }
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** A clock that only moves when it is told to. */
export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #start: number;
  readonly #timers = new Map<number, { at: number; action: () => void }>();

  constructor(startMs = 1_800_000_000_000) {
    this.#now = startMs;
    this.#start = startMs;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now - this.#start;
  }

  after(delayMs: number, action: () => void): () => void {
    const id = ++this.#order;
    this.#timers.set(id, { at: this.#now + Math.max(0, delayMs), action });
    return () => this.#timers.delete(id);
  }

  /** When the next timer is due, or undefined when none is armed. */
  nextAt(): number | undefined {
    let next: number | undefined;
    for (const { at } of this.#timers.values()) if (next === undefined || at < next) next = at;
    return next;
  }

  /** Moves on by `ms` and fires what comes due, in order of due time, then of arming. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      let due: [number, { at: number; action: () => void }] | undefined;
      for (const entry of this.#timers) {
        if (entry[1].at <= end && (due === undefined || entry[1].at < due[1].at)) due = entry;
      }
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].action();
    }
    this.#now = end;
  }
}
