import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../model/faults.ts";
import { Catalogue } from "./catalogue.ts";
import { settingsOf } from "./contract-suite.ts";

const SETUP = {
  router: { api: "openai-completions", baseUrl: "http://127.0.0.1:1", models: ["meta/llama", { id: "small", contextWindow: 8000 }] },
  other: { api: "anthropic-messages", baseUrl: "http://127.0.0.1:2", models: ["small"] },
};

function catalogue(setup: object = SETUP, environment: Readonly<Record<string, string>> = {}): Catalogue {
  return new Catalogue(settingsOf({ "models.providers": setup }), (name) => environment[name]);
}

test("the model's part of a name may hold slashes, because routers name models so", () => {
  const { provider, model } = catalogue().route("router/meta/llama");
  assert.deepEqual([provider, model], ["router", "meta/llama"]);
});

test("a provider that lists models answers to others too", () => {
  assert.equal(catalogue().route("other/brand-new").listed, undefined);
});

test("a model's name alone is enough when one provider lists it, and not when two do", () => {
  assert.equal(catalogue().route("meta/llama").provider, "router");
  assert.throws(() => catalogue().route("small"), (error) => error instanceof Fault && error.code === "MODEL_UNKNOWN");
});

test("an unknown provider is refused with the names of those that are there", () => {
  assert.throws(() => catalogue().route("nobody/x"), /router, other, rehearsal/);
});

test("keys in the environment bring their providers, behind what was set up", () => {
  const environment = { ANTHROPIC_API_KEY: "a", OPENAI_API_KEY: "b", GEMINI_API_KEY: "c" };
  assert.match(catalogue({}, environment).defaultModel(), /^anthropic\/claude/);
  assert.match(catalogue({}, { OPENAI_API_KEY: "b" }).defaultModel(), /^openai\//);
  assert.match(catalogue({}, { GEMINI_API_KEY: "c" }).defaultModel(), /^gemini\//);
  assert.equal(catalogue(SETUP, environment).defaultModel(), "router/meta/llama");
});

test("a provider that was set up under a well-known name goes before the one from the environment", () => {
  const own = { anthropic: { api: "anthropic-messages", baseUrl: "http://127.0.0.1:9", apiKey: "k" } };
  assert.equal(catalogue(own, { ANTHROPIC_API_KEY: "a" }).route("anthropic/x").setup?.baseUrl, "http://127.0.0.1:9/v1");
});

test("a context window comes from the setting, then the table, then a cautious guess", () => {
  assert.equal(catalogue().contextWindow("router/small"), 8000);
  assert.equal(catalogue().contextWindow("x/claude-sonnet-5-5"), 1_000_000);
  assert.equal(catalogue().contextWindow("x/nobody-knows"), 128_000);
});
