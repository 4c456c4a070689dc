/** How long a provider asks us to wait: read from headers and error texts, each API has its own way. */
import type { Failure } from "./failure.ts";

/** Nobody is believed who asks for more. */
const HINT_MS_MAX = 86_400_000;

/** Headers with the moment at which a limit is lifted, and the one that says how much is left until then. */
const RESETS = [
  ["anthropic-ratelimit-requests-reset", "anthropic-ratelimit-requests-remaining"],
  ["anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"],
  ["anthropic-ratelimit-input-tokens-reset", "anthropic-ratelimit-input-tokens-remaining"],
  ["anthropic-ratelimit-output-tokens-reset", "anthropic-ratelimit-output-tokens-remaining"],
  ["x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"],
  ["x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"],
  ["x-ratelimit-reset", "x-ratelimit-remaining"],
] as const;

const IN_TEXT = /(?:try again|retry|wait)(?: in| after)?:? (\d+(?:\.\d+)?(?:ms|[hms])(?:\d+(?:\.\d+)?(?:ms|[hms]))*|\d+(?:\.\d+)? ?(?:milliseconds?|seconds?|minutes?|hours?))/i;
/** A moment: `resets at 2026-11-01T12:00:30Z`, or in seconds since 1970 (`limit reached|1793534430`). */
const AT_IN_TEXT = /\b(?:resets?(?: at| on)?|(?:try again|available)(?: again)? (?:at|after)|until)\W{0,3}(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?|\d{10}(?:\d{3})?\b)|limit reached\|(\d{10})\b/i;
const GOOGLE_DELAY = /"retryDelay"\s*:\s*"(\d+(?:\.\d+)?s)"/;

/** Milliseconds that the provider asks for, or undefined when it says nothing. `nowMs` is wall time. */
export function waitHintMs(failure: Pick<Failure, "headers" | "body">, nowMs: number): number | undefined {
  const { headers, body } = failure;
  const hint = milliseconds(headers["retry-after-ms"]) ?? retryAfter(headers["retry-after"], nowMs) ?? latestReset(headers, nowMs) ?? inText(body) ?? momentInText(body, nowMs);
  return hint === undefined || !Number.isFinite(hint) ? undefined : Math.min(Math.max(0, Math.ceil(hint)), HINT_MS_MAX);
}

function milliseconds(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : undefined;
}

/** Seconds, or an HTTP date. */
function retryAfter(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  const seconds = milliseconds(text);
  if (seconds !== undefined) return seconds * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at - nowMs;
}

/** The latest reset among the limits that are used up. */
function latestReset(headers: Readonly<Record<string, string>>, nowMs: number): number | undefined {
  let latest: number | undefined;
  for (const [reset, remaining] of RESETS) {
    const text = headers[reset];
    if (text === undefined || Number(headers[remaining] ?? 0) > 0) continue;
    const wait = momentOrDuration(text.trim(), nowMs);
    if (wait !== undefined && (latest === undefined || wait > latest)) latest = wait;
  }
  return latest;
}

/** A date, seconds since 1970, seconds from now, or a duration such as `1m30.5s`. */
function momentOrDuration(text: string, nowMs: number): number | undefined {
  const number = milliseconds(text);
  if (number !== undefined) return number > 1e12 ? number - nowMs : number > 1e9 ? number * 1000 - nowMs : number * 1000;
  const parts = durationMs(text);
  if (parts !== undefined) return parts;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at - nowMs;
}

function inText(body: string): number | undefined {
  const found = GOOGLE_DELAY.exec(body)?.[1] ?? IN_TEXT.exec(body)?.[1];
  return found === undefined ? undefined : durationMs(found);
}

function momentInText(body: string, nowMs: number): number | undefined {
  const found = AT_IN_TEXT.exec(body);
  const text = found?.[1] ?? found?.[2];
  if (text === undefined) return undefined;
  // A time without a zone is meant as UTC: providers do not know where we are.
  return momentOrDuration(/^\d+$|(?:Z|UTC|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`, nowMs);
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function durationMs(text: string): number | undefined {
  const short = text.toLowerCase().replace(/ ?milliseconds?/, "ms").replace(/ ?(second|minute|hour)s?/, (_all, unit: string) => unit[0]!);
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[hms]))+$/.test(short)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of short.matchAll(/(\d+(?:\.\d+)?)(ms|[hms])/g)) sum += Number(amount) * UNIT_MS[unit!]!;
  return sum;
}
