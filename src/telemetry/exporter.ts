/**
 * Sends spans to a collector, in batches, beside everything else.
 *
 *     add ──▶ waiting ──full batch, or a moment──▶ posted ──ok──▶ gone
 *                ▲                                    │
 *                └──────── later, when it is busy ◀───┘ refused for good: thrown away
 *
 * Always true: adding a span never waits and never throws; one post is under way at a time; what
 * waits is bounded, and when a collector is away for long the oldest spans go and are counted.
 */
import { sleep, type Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { encodeSpans, type Span } from "./span.ts";

const SPANS_WAITING_MAX = 8_192;
const BATCH_SPANS_MAX = 512;
/** A span is on its way after so long at the latest. */
const GATHER_MS = 1_000;
const POST_MS_MAX = 10_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_LONGEST_MS = 60_000;
/** For what still waits when the gateway stops. */
const LAST_POST_MS_MAX = 2_000;
/** Answers after which the same batch may be sent again, by the protocol. */
const BUSY: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export interface ExporterDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** With its path, e.g. `http://127.0.0.1:4318/v1/traces`. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly resource: Readonly<Record<string, string | number>>;
  readonly version: string;
}

export class Exporter {
  readonly #deps: ExporterDeps;
  #waiting: Span[] = [];
  #lost = 0;
  #isAway = false;
  #retryMs = RETRY_FIRST_MS;
  #disarm: (() => void) | null = null;
  #posting: Promise<void> | null = null;
  readonly #closing = new AbortController();

  constructor(deps: ExporterDeps) {
    this.#deps = deps;
  }

  add(span: Span): void {
    if (this.#closing.signal.aborted) return;
    this.#waiting.push(span);
    if (this.#waiting.length > SPANS_WAITING_MAX) {
      this.#waiting.splice(0, BATCH_SPANS_MAX);
      this.#lost += BATCH_SPANS_MAX;
    }
    if (this.#posting !== null) return;
    if (this.#waiting.length >= BATCH_SPANS_MAX) this.#flush();
    else this.#disarm ??= this.#deps.clock.after(GATHER_MS, () => this.#flush());
  }

  /** Sends what waits, once and for a moment, and takes nothing more. */
  async stop(): Promise<void> {
    this.#closing.abort();
    this.#disarm?.();
    await this.#posting;
    const { clock } = this.#deps;
    const bound = new AbortController();
    const disarm = clock.after(LAST_POST_MS_MAX, () => bound.abort());
    try {
      while (this.#waiting.length > 0) if ((await this.#post(this.#waiting.splice(0, BATCH_SPANS_MAX), bound.signal)) !== "sent") break;
    } finally {
      disarm();
    }
  }

  #flush(): void {
    this.#disarm?.();
    this.#disarm = null;
    this.#posting ??= this.#send().finally(() => {
      this.#posting = null;
      if (this.#waiting.length > 0 && !this.#closing.signal.aborted) this.#disarm ??= this.#deps.clock.after(GATHER_MS, () => this.#flush());
    });
  }

  async #send(): Promise<void> {
    const { clock } = this.#deps;
    while (this.#waiting.length > 0 && !this.#closing.signal.aborted) {
      const batch = this.#waiting.splice(0, BATCH_SPANS_MAX);
      const outcome = await this.#post(batch, this.#closing.signal);
      if (outcome !== "busy") {
        this.#retryMs = RETRY_FIRST_MS;
        continue;
      }
      this.#waiting.unshift(...batch);
      await sleep(clock, this.#retryMs, this.#closing.signal).catch(() => {});
      this.#retryMs = Math.min(RETRY_LONGEST_MS, this.#retryMs * 2);
    }
  }

  async #post(batch: readonly Span[], signal: AbortSignal): Promise<"sent" | "busy" | "refused"> {
    const { clock, url, headers, resource, version } = this.#deps;
    const bound = new AbortController();
    const disarm = clock.after(POST_MS_MAX, () => bound.abort());
    try {
      const body = encodeSpans(batch, resource, version);
      const response = await fetch(url, { method: "POST", headers: { ...headers, "content-type": "application/json" }, body, redirect: "error", signal: AbortSignal.any([signal, bound.signal]) });
      await response.body?.cancel();
      if (response.ok) this.#isBack();
      else this.#goneWrong({ status: response.status });
      return response.ok ? "sent" : BUSY.has(response.status) ? "busy" : "refused";
    } catch (cause) {
      if (!signal.aborted) this.#goneWrong({ problem: cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : String(cause) });
      return "busy";
    } finally {
      disarm();
    }
  }

  /** Told once for each time that it is away. */
  #goneWrong(why: Readonly<Record<string, unknown>>): void {
    if (!this.#isAway) this.#deps.log.warn("traces.not-sent", why);
    this.#isAway = true;
  }

  #isBack(): void {
    if (this.#isAway) this.#deps.log.info("traces.sent-again", { lost: this.#lost });
    this.#isAway = false;
    this.#lost = 0;
  }
}
