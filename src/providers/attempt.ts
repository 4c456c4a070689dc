/**
 * One attempt of a model call: one HTTP request, read to its end under three deadlines.
 *
 * Always true: when it returns or throws, its timer is gone and its request is over.
 */
import type { LanguageModelV4CallOptions, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { Clock } from "../base/clock.ts";
import type { AnswerBuilder } from "./answer.ts";
import { BadAnswer, ErrorInStream, MissedDeadline, oneLine, Refused } from "./failure.ts";
import { isGood, type HttpAnswer, type Send } from "./http-send.ts";
import type { Model } from "./models.ts";
import { EventStream } from "./wire/event-stream.ts";
import type { AnswerReader } from "./wire/reader.ts";

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

/** Of a page that came instead of an answer, as much is read; the rest is not waited for. */
const EXCERPT_CHARACTERS_MAX = 4096;

/** Makes the options of a call whose request ends with the signal. */
export type OptionsFor = (signal: AbortSignal) => LanguageModelV4CallOptions & { abortSignal: AbortSignal };

/**
 * Reads one answer into `builder`.
 * @param onTaken called when the answer begins: the provider took the request.
 * @returns the headers that came with it, names in lower case.
 * @throws the reason of `signal` when it aborts, {@link MissedDeadline}, {@link Refused}, {@link ErrorInStream}, {@link BadAnswer}, or what broke the connection.
 */
export async function attempt(send: Send, model: Model, options: OptionsFor, builder: AnswerBuilder, deadlines: Deadlines, clock: Clock, signal: AbortSignal, onTaken: () => void = () => {}): Promise<Readonly<Record<string, string>>> {
  signal.throwIfAborted();
  const request = new AbortController();
  const onAbort = (): void => request.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const watch = new Watch(clock, deadlines, (missed) => request.abort(missed));
  let isTaken = false;
  let hasBegun = false;
  let isOver = false;
  const say = (part: LanguageModelV4StreamPart): void => {
    if (!builder.take(part)) return;
    hasBegun = true;
    if (!isOver) watch.progress();
  };
  let headers: Readonly<Record<string, string>> = {};
  let reader: AnswerReader | undefined;
  try {
    const answer = await send(await model.request(options(request.signal)));
    headers = answer.headers;
    await expectEvents(answer);
    const from = (reader = model.read(say));
    const events = new EventStream((event) => {
      if (!from.take(event)) builder.puzzle(event);
      // An error that comes first in an answer with a good status throws before.
      if (!isTaken) onTaken();
      isTaken = true;
    });
    await answer.read((bytes) => {
      events.feed(bytes);
      if (isOver || !from.isOver) return;
      isOver = true;
      watch.lastWord();
    });
    from.end();
    request.signal.throwIfAborted();
    return headers;
  } catch (thrown) {
    if (signal.aborted) throw signal.reason;
    // A connection that is held open, or breaks, after the answer's end takes nothing from the answer.
    if (reader?.isOver && !builder.finished) reader.end();
    if (builder.finished) return headers;
    if (request.signal.aborted) throw request.signal.reason;
    // Before anything of an answer an error is a refusal, whatever status it came with.
    throw thrown instanceof ErrorInStream && !hasBegun ? thrown.asRefusal(headers) : thrown;
  } finally {
    watch.stop();
    signal.removeEventListener("abort", onAbort);
    if (!builder.finished) request.abort();
  }
}

/** @throws {Refused} a status that is no good one; {@link BadAnswer} a good one with a page or plain JSON. */
async function expectEvents(answer: HttpAnswer): Promise<void> {
  const { status, headers } = answer;
  if (!isGood(status)) throw new Refused(status, headers, await textOf(answer));
  const type = headers["content-type"] ?? "";
  if (/text\/html|application\/json/.test(type)) throw new BadAnswer(`${type.split(";")[0]} instead of an event stream: ${oneLine(await textOf(answer, EXCERPT_CHARACTERS_MAX))}`);
}

/** The body, or its beginning. */
async function textOf(answer: HttpAnswer, charactersMax = Infinity): Promise<string> {
  const decoder = new TextDecoder();
  const enough = new Error("enough was read");
  let text = "";
  await answer
    .read((bytes) => {
      text += decoder.decode(bytes, { stream: true });
      if (text.length >= charactersMax) throw enough;
    })
    .catch((cause: unknown) => {
      if (cause !== enough) throw cause;
    });
  return (text + decoder.decode()).slice(0, charactersMax);
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
