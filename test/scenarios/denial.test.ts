/** A model that denies a tool which it has: the person does not read it as a fact, and the tool is used. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { History, ModelRatingAnswer, ReportAnswer, TaskList } from "../../src/api/wire.ts";
import { startGateway, standinConfig } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

const DENIAL = "I don't have permission to use sessions_spawn.";
const MAIN = "agent:main:main";

test("a reply that denies a granted tool is void, and the model is asked once more with the tool forced", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const reply = await gateway.ask(`! deny ${DENIAL} then call sessions_spawn {"task":"! say the tide is high","label":"tides"} then say started`);
  assert.equal(reply, "started");
  const { tasks } = await gateway.api<TaskList>("GET", "/api/tasks");
  assert.deepEqual(tasks.map(({ label }) => label), ["tides"]);
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${MAIN}/history`);
  assert.ok(entries.filter(({ role }) => role !== "user").every(({ text }) => !text.includes("permission")), "it is not in the conversation either, where the model would repeat it");
  const { health } = await gateway.api<ReportAnswer>("GET", "/api/report");
  assert.deepEqual(health.denials.map(({ model: name, tool, denied, mended }) => [name, tool, denied, mended]), [["standin/m", "sessions_spawn", 1, 1]]);
});

test("a model that denies it twice is not believed: the person is told what is true, after two calls and no more", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const reply = await gateway.ask(`! say ${DENIAL}`);
  assert.match(reply, /standin\/m answered twice that it cannot use sessions_spawn, which is not so/);
  const metrics = await (await fetch(`${gateway.url}/metrics`, { headers: { authorization: `Bearer ${gateway.token}` } })).text();
  assert.match(metrics, /yard_model_denied_tool\{model="standin\/m",tool="sessions_spawn"\} 1/);
  assert.match(metrics, /yard_model_denied_tool_mended\{model="standin\/m",tool="sessions_spawn"\} 0/);
  const stats = (await (await fetch(`${model.url}/_stats`)).json()) as { requests: number };
  assert.equal(stats.requests, 2);
});

test("a model that rightly says a tool is missing is believed", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "agents.defaults.subagents.maxSpawnDepth": 0 }) });
  assert.equal(await gateway.ask(`! say ${DENIAL}`), DENIAL);
});

test("a model's talent to delegate is measured without starting anything", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const rating = await gateway.api<ModelRatingAnswer>("POST", "/api/models/rate", { model: "standin/m" });
  assert.equal(rating.rating, "poor", "the stand-in repeats what it is told and delegates nothing");
  assert.deepEqual(rating.probes.map(({ name }) => name), ["natural request", "explicit request", "after a refusal", "several tasks"]);
  assert.deepEqual((await gateway.api<TaskList>("GET", "/api/tasks")).tasks, []);
  assert.equal((await gateway.call("POST", "/api/models/rate", { model: "nowhere/x" })).body.code, "MODEL_UNKNOWN");
});
