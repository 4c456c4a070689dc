/**
 * One attempt of a model call: one HTTP request, read to its end under three deadlines.
 *
 * Always true: when it returns or throws, its timer is gone and its request is over.
 */
import type { LanguageModelV4, LanguageModelV4CallOptions } from "@ai-sdk/provider";
import type { Clock } from "../base/clock.ts";
import type { AnswerBuilder } from "./answer.ts";
import { MissedDeadline } from "./failure.ts";

/** Milliseconds. Only parts that move the answer on count as signs of life. */
export interface Deadlines {
  readonly firstByteMs: number;
  readonly betweenChunksMs: number;
  readonly totalMs: number;
}

/** How long a connection may stay open after the answer's end; waiting for its close lets it be used again. */
export const AFTER_END_MS_MAX = 1000;
/** A timer that is later than this was held up, and so was whatever the provider sent meanwhile: that is read first. */
export const HELD_UP_MS = 250;

/**
 * Reads one answer into `builder`.
 * @returns the headers that came with it, names in lower case.
 * @param options makes the call's options for the signal that ends the request.
 * @throws the reason of `signal` when it aborts, {@link MissedDeadline}, or whatever the libraries throw.
 */
export async function attempt(model: LanguageModelV4, options: (signal: AbortSignal) => LanguageModelV4CallOptions, builder: AnswerBuilder, deadlines: Deadlines, clock: Clock, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
  signal.throwIfAborted();
  const request = new AbortController();
  const onAbort = (): void => request.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  let headers: Readonly<Record<string, string>> = {};
  const watch = new Watch(clock, deadlines, (missed) => request.abort(missed));
  try {
    const { stream, response } = await model.doStream(options(request.signal));
    headers = response?.headers ?? {};
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!builder.take(value)) continue;
      if (builder.finished) watch.lastWord();
      else watch.progress();
    }
    request.signal.throwIfAborted();
    return headers;
  } catch (thrown) {
    if (signal.aborted) throw signal.reason;
    // A connection that is held open, or breaks, after the answer's end takes nothing from the answer.
    if (builder.finished) return headers;
    throw request.signal.aborted ? request.signal.reason : thrown;
  } finally {
    watch.stop();
    signal.removeEventListener("abort", onAbort);
    if (!builder.finished) request.abort();
  }
}

/** One timer for three deadlines; signs of life only note the time, so they cost nothing. */
class Watch {
  readonly #clock: Clock;
  #deadlines: Deadlines;
  readonly #onMissed: (missed: MissedDeadline) => void;
  readonly #startedAt: number;
  #lastAt: number | undefined;
  #disarm: () => void = () => {};

  constructor(clock: Clock, deadlines: Deadlines, onMissed: (missed: MissedDeadline) => void) {
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#onMissed = onMissed;
    this.#startedAt = clock.monotonic();
    this.#arm();
  }

  progress(): void {
    const first = this.#lastAt === undefined;
    this.#lastAt = this.#clock.monotonic();
    if (!first) return;
    this.#disarm();
    this.#arm();
  }

  /** The answer is complete: only the end of the stream is still to come. */
  lastWord(): void {
    this.#deadlines = { ...this.#deadlines, betweenChunksMs: AFTER_END_MS_MAX };
    this.#lastAt = this.#clock.monotonic();
    this.#disarm();
    this.#arm();
  }

  stop(): void {
    this.#disarm();
  }

  #arm(): void {
    const { inMs, deadline, ms } = this.#next();
    if (inMs <= 0) this.#onMissed(new MissedDeadline(deadline, ms));
    else {
      const dueAt = this.#clock.monotonic() + inMs;
      this.#disarm = this.#clock.after(inMs, () => {
        if (this.#clock.monotonic() - dueAt > HELD_UP_MS) this.#disarm = this.#clock.after(HELD_UP_MS, () => this.#arm());
        else this.#arm();
      });
    }
  }

  #next(): { inMs: number; deadline: string; ms: number } {
    const { firstByteMs, betweenChunksMs, totalMs } = this.#deadlines;
    const now = this.#clock.monotonic();
    const total = { inMs: this.#startedAt + totalMs - now, deadline: "total", ms: totalMs };
    const silence =
      this.#lastAt === undefined
        ? { inMs: this.#startedAt + firstByteMs - now, deadline: "first byte", ms: firstByteMs }
        : { inMs: this.#lastAt + betweenChunksMs - now, deadline: "between chunks", ms: betweenChunksMs };
    return silence.inMs < total.inMs ? silence : total;
  }
}
