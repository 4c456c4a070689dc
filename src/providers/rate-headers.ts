/** Limits of the minute as providers tell them in headers, on refusals and on answers alike. */
import type { RateLimits } from "../model/allowance.ts";

const REQUESTS = ["x-ratelimit-limit-requests", "anthropic-ratelimit-requests-limit", "x-ratelimit-limit"] as const;
const TOKENS = ["x-ratelimit-limit-tokens", "anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-input-tokens-limit"] as const;

const REQUESTS_LEFT = ["x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining", "x-ratelimit-remaining"] as const;
const TOKENS_LEFT = ["x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-input-tokens-remaining"] as const;
/** A limit of which less than this part is left is worth keeping to, before it refuses anybody. */
const LITTLE_PART = 0.25;

/** Whether little is left of a limit that an answer names. */
export function isNearlyUsedUp(headers: Readonly<Record<string, string>>): boolean {
  const { requestsPerMinute, tokensPerMinute } = limitsIn(headers);
  const isLow = (limit: number | null, left: number | null): boolean => limit !== null && left !== null && left < limit * LITTLE_PART;
  return isLow(requestsPerMinute, first(headers, REQUESTS_LEFT, 0)) || isLow(tokensPerMinute, first(headers, TOKENS_LEFT, 0));
}

export function limitsIn(headers: Readonly<Record<string, string>>): RateLimits {
  return { requestsPerMinute: first(headers, REQUESTS), tokensPerMinute: first(headers, TOKENS) };
}

/** Some count what is left in several currencies in one header (`100, 100;w=60`); the first number is meant. */
function first(headers: Readonly<Record<string, string>>, names: readonly string[], least = 1): number | null {
  for (const name of names) {
    const found = /^\s*(\d{1,12})\b/.exec(headers[name] ?? "")?.[1];
    if (found !== undefined && Number(found) >= least) return Number(found);
  }
  return null;
}
