/** The rating of models, with models that are functions. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_USAGE, type AssistantPart, type ModelRequest } from "../model/chat.ts";
import { rateModel, type ModelRating } from "./delegation-probes.ts";

const SPAWN = { name: "sessions_spawn", description: "Starts a child.", inputSchema: { type: "object" } };

function rate(answer: (request: ModelRequest) => AssistantPart[]): Promise<ModelRating> {
  const call = async (request: ModelRequest) => ({ parts: answer(request), stop: "end" as const, usage: NO_USAGE, model: request.model });
  return rateModel({ models: { call }, tools: [SPAWN], nowMs: () => 0 }, "test/m", new AbortController().signal);
}

const say = (text: string): AssistantPart[] => [{ type: "text", text }];
const spawn = (count: number): AssistantPart[] => Array.from({ length: count }, (_, i) => ({ type: "tool-call", callId: `c${i}${Math.random()}`, tool: "sessions_spawn", input: { task: "t" } }));

test("a model that starts the children by itself is good, also one that starts them one by one", async () => {
  assert.equal((await rate(() => spawn(3))).rating, "good");
  const oneByOne = await rate(() => spawn(1));
  assert.deepEqual([oneByOne.rating, oneByOne.probes.map(({ children }) => children)], ["good", [1, 1, 1, 3]]);
});

test("a model that denies its tool and uses it when made to is usable, since the gateway makes it", async () => {
  const { rating, probes } = await rate(({ toolChoice }) => (typeof toolChoice === "object" ? spawn(3) : say("I don't have permission to use sessions_spawn.")));
  assert.equal(rating, "usable");
  assert.ok(probes.every(({ denied, mended, passed }) => denied && mended && !passed));
});

test("a model that does the work itself, or denies its tool to the end, is poor; what it said is shown", async () => {
  assert.equal((await rate(() => say("Tidal power is old."))).rating, "poor");
  const { rating, probes } = await rate(() => say("I cannot spawn sub-agents."));
  assert.deepEqual([rating, probes[0]!.text], ["poor", "I cannot spawn sub-agents."]);
});

test("the request after a refusal holds the refusal, since that is what makes models repeat it", async () => {
  const { probes } = await rate(({ messages }) => (JSON.stringify(messages).includes("permission") ? say("I still don't have permission to use sessions_spawn.") : spawn(3)));
  assert.deepEqual(probes.map(({ passed }) => passed), [true, true, false, true]);
});
