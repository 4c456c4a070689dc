import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_USAGE } from "./chat.ts";
import { genAiAttributes } from "./genai-attributes.ts";

test("a call has the names that tracing programs look for; what was asked for and what answered are told apart", () => {
  const usage = { ...NO_USAGE, input: 100, output: 20, cacheRead: 60, cacheWrite: 10, reasoning: 5, calls: 1 };
  const attributes = genAiAttributes({ asked: "router/anthropic/claude-x", session: "agent:main:main", outputTokensMax: 500, answer: { model: "router/anthropic/claude-x-2026", stop: "tools", usage } });
  assert.deepEqual(attributes, {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "router",
    "gen_ai.conversation.id": "agent:main:main",
    "gen_ai.request.model": "anthropic/claude-x",
    "gen_ai.response.model": "anthropic/claude-x-2026",
    "gen_ai.response.finish_reasons": ["tool_calls"],
    "gen_ai.request.max_tokens": 500,
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 60,
    "gen_ai.usage.cache_creation.input_tokens": 10,
    "gen_ai.usage.reasoning.output_tokens": 5,
  });
});
