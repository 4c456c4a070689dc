import assert from "node:assert/strict";
import { test } from "node:test";
import { waitHintMs } from "./wait-hint.ts";

const NOW = Date.parse("2026-11-01T12:00:00Z");

for (const [what, headers, body, expected] of [
  ["seconds", { "retry-after": "2" }, "", 2000],
  ["fractions of seconds", { "retry-after": "1.5" }, "", 1500],
  ["an HTTP date", { "retry-after": "Sun, 01 Nov 2026 12:00:30 GMT" }, "", 30_000],
  ["a date that is over", { "retry-after": "Sun, 01 Nov 2026 11:00:00 GMT" }, "", 0],
  ["milliseconds before seconds, being finer", { "retry-after": "2", "retry-after-ms": "1200" }, "", 1200],
  ["Anthropic's reset of the limit that is used up", { "anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-11-01T12:00:05Z", "anthropic-ratelimit-requests-remaining": "7", "anthropic-ratelimit-requests-reset": "2026-11-01T12:09:00Z" }, "", 5000],
  ["OpenAI's durations, the longest", { "x-ratelimit-reset-requests": "1m30.5s", "x-ratelimit-reset-tokens": "20ms" }, "", 90_500],
  ["a reset in seconds since 1970", { "x-ratelimit-reset": String(NOW / 1000 + 8) }, "", 8000],
  ["words", {}, "Rate limit reached. Please try again in 2.5s.", 2500],
  ["longer words", {}, "try again in 20 seconds", 20_000],
  ["words with minutes", {}, "Please try again in 6m0s", 360_000],
  ["Google's retry delay", {}, '{"error":{"details":[{"retryDelay": "34s"}]}}', 34_000],
  ["nonsense", { "retry-after": "soon" }, "", undefined],
  ["a year", { "retry-after": "31536000" }, "", 86_400_000],
  ["nothing", {}, "", undefined],
] as const) {
  test(`a wait is read from ${what}`, () => assert.equal(waitHintMs({ headers: headers as Readonly<Record<string, string>>, body }, NOW), expected));
}
