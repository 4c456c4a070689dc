import assert from "node:assert/strict";
import { test } from "node:test";
import { BadValue } from "../base/setting.ts";
import { prices, providers } from "./settings.ts";

const parse = (entry: unknown): unknown => providers.parse({ acme: entry });
const baseUrl = (api: string, address?: string): string => providers.parse({ acme: { api, baseUrl: address } }).acme!.baseUrl;

test("an address may leave out the version segment, because people write it both ways", () => {
  assert.equal(baseUrl("openai-completions", "http://127.0.0.1:8080"), "http://127.0.0.1:8080/v1");
  assert.equal(baseUrl("openai-completions", "http://127.0.0.1:8080/"), "http://127.0.0.1:8080/v1");
  assert.equal(baseUrl("anthropic-messages", "http://127.0.0.1:8080/v1/"), "http://127.0.0.1:8080/v1");
  assert.equal(baseUrl("google-generative-ai", "https://host"), "https://host/v1beta");
  assert.equal(baseUrl("openai-responses", "https://host/api/openai"), "https://host/api/openai");
  assert.equal(baseUrl("anthropic-messages"), "https://api.anthropic.com/v1");
});

for (const [what, entry, expected] of [
  ["an unknown api", { api: "openai" }, /acme\.api is one of anthropic-messages/],
  ["an unknown field", { api: "openai-completions", url: "x" }, /acme has no field "url" \(known: api, baseUrl/],
  ["an address without a scheme", { api: "openai-completions", baseUrl: "localhost:80" }, /acme\.baseUrl is an address/],
  ["an address with a password", { api: "openai-completions", baseUrl: "http://a:b@host" }, /acme\.baseUrl is an address/],
  ["two keys", { api: "openai-completions", apiKey: "a", apiKeyEnv: "B" }, /apiKey or apiKeyEnv, and not both/],
  ["a key with a line break", { api: "openai-completions", apiKey: "a\nb" }, /acme\.apiKey is a text without spaces/],
  ["a model without a name", { api: "openai-completions", models: [{}] }, /acme\.models\[0\]\.id is a name/],
  ["a context window of none", { api: "openai-completions", models: [{ id: "m", contextWindow: 0 }] }, /acme\.models\[0\]\.contextWindow is a whole number/],
  ["a header with a line break", { api: "openai-completions", headers: { "x-a": "b\r\nc: d" } }, /acme\.headers\.x-a is a text of one line/],
] as const) {
  test(`${what} is refused, and the message names the field`, () => {
    assert.throws(() => parse(entry), (error) => error instanceof BadValue && expected.test(error.expected));
  });
}

test("the built-in provider cannot be set up, because its name is taken", () => {
  assert.throws(() => providers.parse({ rehearsal: { api: "openai-completions" } }), /built in/);
});

test("prices of the cache are those of the input when they are left out", () => {
  assert.deepEqual(prices.parse({ m: { input: 2, output: 8 } }), { m: { input: 2, output: 8, cacheRead: 2, cacheWrite: 2, call: 0 } });
  assert.throws(() => prices.parse({ m: { input: -1, output: 8 } }), /"m"\.input/);
});
