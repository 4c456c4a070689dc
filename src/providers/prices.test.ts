import assert from "node:assert/strict";
import { test } from "node:test";
import { costMicros, priceBound, priceOf } from "./prices.ts";

const TOKENS = { input: 1_000_000, output: 100_000, cacheRead: 600_000, cacheWrite: 200_000 };

test("cached tokens are not paid twice: they are part of the input", () => {
  assert.equal(costMicros("anthropic", "claude-sonnet-5-5", TOKENS, {}), 200_000 * 2 + 600_000 * 0.2 + 200_000 * 2.5 + 100_000 * 10);
});

test("the longest name that fits counts, because families share the beginnings of their names", () => {
  assert.equal(costMicros("p", "gpt-5.4-mini-2026-03-17", { ...TOKENS, cacheRead: 0, cacheWrite: 0 }, {}), 750_000 + 450_000);
  assert.equal(costMicros("router", "anthropic/claude-opus-5-5", { input: 10, output: 0, cacheRead: 0, cacheWrite: 0 }, {}), 40);
});

test("a price of one's own goes before the table, the one with the provider's name first", () => {
  const free = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, call: 0 };
  assert.equal(costMicros("mine", "gpt-5.4", TOKENS, { "mine/gpt-5.4": free }), 0);
  assert.notEqual(costMicros("theirs", "gpt-5.4", TOKENS, { "mine/gpt-5.4": free }), 0);
});

test("what an unknown model costs is unknown, because 0 would look like a fact", () => {
  assert.equal(costMicros("p", "nobody-knows", TOKENS, {}), null);
});

test("a model that is billed by the request costs the same for any number of tokens", () => {
  const perCall = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, call: 0.04 };
  assert.equal(costMicros("copilot", "m", TOKENS, { m: perCall }), 40_000);
  assert.equal(priceBound(perCall).call, 40_000);
});

test("the bound of a price counts every token of the prompt as the dearest kind, so no mix of caching can exceed it", () => {
  const price = priceOf("anthropic", "claude-sonnet-5-5", {})!;
  const bound = priceBound(price);
  assert.ok(costMicros("anthropic", "claude-sonnet-5-5", TOKENS, {})! <= TOKENS.input * bound.input + TOKENS.output * bound.output);
});
