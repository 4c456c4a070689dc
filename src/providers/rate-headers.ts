/** Limits of the minute as providers tell them in headers, on refusals and on answers alike. */
import type { RateLimits } from "../model/allowance.ts";

const REQUESTS = ["x-ratelimit-limit-requests", "anthropic-ratelimit-requests-limit", "x-ratelimit-limit"] as const;
const TOKENS = ["x-ratelimit-limit-tokens", "anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-input-tokens-limit"] as const;

export function limitsIn(headers: Readonly<Record<string, string>>): RateLimits {
  return { requestsPerMinute: first(headers, REQUESTS), tokensPerMinute: first(headers, TOKENS) };
}

/** Some count what is left in several currencies in one header (`100, 100;w=60`); the first number is meant. */
function first(headers: Readonly<Record<string, string>>, names: readonly string[]): number | null {
  for (const name of names) {
    const found = /^\s*(\d{1,12})\b/.exec(headers[name] ?? "")?.[1];
    if (found !== undefined && Number(found) > 0) return Number(found);
  }
  return null;
}
