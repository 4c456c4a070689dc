/**
 * What the stand-in counts: tokens (four bytes each), what a prompt cache would have held, and
 * who is over a rate limit. Rules of the caches: a prefix is kept at each breakpoint, at least
 * 1024 tokens long, for five minutes after it was last used.
 */
import { createHash } from "node:crypto";
import { list, type Loose } from "./conversation.ts";

export const tokensOf = (bytes: number): number => Math.ceil(bytes / 4);

const CACHED_TOKENS_MIN = 1024;
const CACHE_LIFE_MS = 300_000;
const CACHED_PREFIXES_MAX = 20_000;
/** How many blocks before a breakpoint an older prefix is still found. */
const LOOK_BACK_BLOCKS = 20;
const BREAKPOINTS_MAX = 4;

export class PromptCache {
  readonly #until = new Map<string, number>();

  /** Cached and newly cached prompt tokens of an Anthropic request; `problem` when it is refused. */
  count(body: Loose, nowMs: number): { read: number; written: number; problem?: string } {
    const blocks = [
      ...list(body.tools),
      ...(typeof body.system === "string" ? [{ text: body.system }] : list(body.system)),
      ...list(body.messages).flatMap((message) =>
        typeof message.content === "string" ? [{ role: message.role, text: message.content }] : list(message.content).map((block): Loose => ({ role: message.role, ...block })),
      ),
    ] as Loose[];
    const breakpoints = blocks.flatMap((block, index) => (block.cache_control == null ? [] : [index]));
    if (breakpoints.length === 0) return { read: 0, written: 0 };
    if (breakpoints.length > BREAKPOINTS_MAX) return { read: 0, written: 0, problem: `a maximum of ${BREAKPOINTS_MAX} blocks with cache_control may be provided, found ${breakpoints.length}` };

    const hash = createHash("sha1").update(String(body.model));
    const prefixes: { key: string; tokens: number }[] = [];
    let bytes = 0;
    for (const block of blocks.slice(0, breakpoints.at(-1)! + 1)) {
      const text = JSON.stringify({ ...block, cache_control: undefined });
      bytes += text.length;
      hash.update(text);
      prefixes.push({ key: hash.copy().digest("base64"), tokens: tokensOf(bytes) });
    }

    let read = 0;
    for (const breakpoint of breakpoints) {
      for (let i = breakpoint; i >= Math.max(0, breakpoint - LOOK_BACK_BLOCKS); i--) {
        const { key, tokens } = prefixes[i]!;
        if ((this.#until.get(key) ?? 0) <= nowMs) continue;
        this.#until.set(key, nowMs + CACHE_LIFE_MS);
        read = Math.max(read, tokens);
        break;
      }
    }
    let end = read;
    for (const breakpoint of breakpoints) {
      const { key, tokens } = prefixes[breakpoint]!;
      if (tokens < CACHED_TOKENS_MIN) continue;
      this.#until.set(key, nowMs + CACHE_LIFE_MS);
      end = Math.max(end, tokens);
    }
    for (const key of this.#until.keys()) {
      if (this.#until.size <= CACHED_PREFIXES_MAX) break;
      this.#until.delete(key);
    }
    return { read, written: end - read };
  }
}

/** A bucket that refills evenly: `perMinute` may be taken at once, then at that pace. */
export class Bucket {
  #level: number | null = null;
  #at = 0;

  /** Takes `amount`; answers 0 when it was there, else the wait in ms until it will be. */
  take(amount: number, perMinute: number, nowMs: number): number {
    const level = Math.min(perMinute, (this.#level ?? perMinute) + ((nowMs - this.#at) * perMinute) / 60_000);
    this.#at = nowMs;
    this.#level = level;
    if (level < Math.min(amount, perMinute)) return Math.ceil(((Math.min(amount, perMinute) - level) * 60_000) / perMinute);
    this.#level = level - amount;
    return 0;
  }

  get left(): number {
    return Math.max(0, Math.floor(this.#level ?? 0));
  }

  reset(): void {
    this.#level = null;
  }
}

export interface Limits {
  readonly requestsPerMinute: number;
  readonly tokensPerMinute: number;
  readonly inFlightMax: number;
}

/** Headers of a refusal for a rate, as each API spells them. */
export function limitHeaders(api: string, what: "requests" | "tokens", limit: number, waitMs: number, nowMs: number): Record<string, string> {
  const retryAfter = String(Math.max(1, Math.ceil(waitMs / 1000)));
  if (api === "google") return {};
  if (api === "anthropic") {
    const name = `anthropic-ratelimit-${what}`;
    return { "retry-after": retryAfter, [`${name}-limit`]: String(limit), [`${name}-remaining`]: "0", [`${name}-reset`]: new Date(nowMs + waitMs).toISOString() };
  }
  return {
    "retry-after": retryAfter,
    "retry-after-ms": String(waitMs),
    [`x-ratelimit-limit-${what}`]: String(limit),
    [`x-ratelimit-remaining-${what}`]: "0",
    [`x-ratelimit-reset-${what}`]: waitMs < 1000 ? `${waitMs}ms` : `${(waitMs / 1000).toFixed(3)}s`,
  };
}

/** Headers of an answer: the limit, and what is left of it. */
export function leftHeaders(api: string, what: "requests" | "tokens", limit: number, left: number): Record<string, string> {
  if (limit === 0 || api === "google") return {};
  if (api === "anthropic") return { [`anthropic-ratelimit-${what}-limit`]: String(limit), [`anthropic-ratelimit-${what}-remaining`]: String(left) };
  return { [`x-ratelimit-limit-${what}`]: String(limit), [`x-ratelimit-remaining-${what}`]: String(left) };
}
