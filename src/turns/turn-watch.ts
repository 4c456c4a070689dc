/**
 * The deadlines of one turn: for the whole, and for the time without a finished step. Bytes that
 * change nothing do not count as progress.
 *
 * While the turn's model call is parked both rest: a wait for a provider is neither work nor a
 * failure to get on.
 */
import type { Clock } from "../base/clock.ts";
import { Fault } from "../model/faults.ts";

export class TurnWatch {
  readonly #clock: Clock;
  readonly #limits: { readonly progressSeconds: number; readonly totalSeconds: number };
  readonly #controller: AbortController;
  readonly #startedAt: number;
  #lastAt: number;
  /** Time that does not count: of the whole turn, and since the last progress. */
  #restedMs = 0;
  #restedSinceMs = 0;
  #restsSince: number | null = null;
  #disarm: () => void = () => {};

  constructor(clock: Clock, limits: { readonly progressSeconds: number; readonly totalSeconds: number }, controller: AbortController) {
    this.#clock = clock;
    this.#limits = limits;
    this.#controller = controller;
    this.#startedAt = clock.monotonic();
    this.#lastAt = this.#startedAt;
    this.#arm();
  }

  progress(): void {
    this.#lastAt = this.#clock.monotonic();
    this.#restedSinceMs = 0;
  }

  /** The clock stands still until `resume`. */
  rest(): void {
    if (this.#restsSince !== null) return;
    this.#restsSince = this.#clock.monotonic();
    this.#disarm();
  }

  resume(): void {
    if (this.#restsSince === null) return;
    const restedMs = this.#clock.monotonic() - this.#restsSince;
    this.#restedMs += restedMs;
    this.#restedSinceMs += restedMs;
    this.#restsSince = null;
    this.#arm();
  }

  stop(): void {
    this.#disarm();
  }

  #arm(): void {
    this.#disarm();
    const { progressSeconds, totalSeconds } = this.#limits;
    const now = this.#clock.monotonic();
    const totalMs = this.#startedAt + this.#restedMs + totalSeconds * 1000 - now;
    const progressMs = this.#lastAt + this.#restedSinceMs + progressSeconds * 1000 - now;
    if (totalMs <= 0) this.#controller.abort(new Fault("TURN_TIMED_OUT", { seconds: totalSeconds }));
    else if (progressMs <= 0) this.#controller.abort(new Fault("TURN_STALLED", { seconds: progressSeconds }));
    else this.#disarm = this.#clock.after(Math.min(totalMs, progressMs), () => this.#arm());
  }
}
