/** What a prompt costs: how small the first one is, and how much of the later ones a provider has kept. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ApiSession } from "../../src/api/wire.ts";
import { startGateway, standinConfig } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

const FIRST_PROMPT_BYTES_MAX = 6 * 1024;

const anthropic = (url: string): Record<string, unknown> => standinConfig(url, { "models.providers": { standin: { api: "anthropic-messages", baseUrl: `${url}/v1`, apiKey: "test-key", models: ["m"] } } });

for (const api of ["openai-completions", "openai-responses", "anthropic-messages", "google-generative-ai"]) {
  test(`the first prompt of a fresh session is under 6 KB with every built-in tool, so that saying hello is cheap: ${api}`, async (t) => {
    const model = await startModel(t);
    const baseUrl = `${model.url}/${api === "google-generative-ai" ? "v1beta" : "v1"}`;
    const gateway = await startGateway(t, { config: standinConfig(model.url, { "models.providers": { standin: { api, baseUrl, apiKey: "test-key", models: ["m"] } } }) });
    await gateway.ask("hello");
    const [{ bytes, tools, toolsBytes, systemBytes }] = (await model.log()) as [Awaited<ReturnType<typeof model.log>>[0]];
    t.diagnostic(`${bytes} bytes: ${tools.length} tools with ${toolsBytes}, instructions with ${systemBytes}`);
    assert.deepEqual(["read", "write", "edit", "exec", "grep", "web_fetch", "memory", "sessions_spawn", "sessions_yield", "subagents", "tool_search"].filter((name) => !tools.includes(name)), []);
    assert.ok(bytes < FIRST_PROMPT_BYTES_MAX, `${bytes} bytes`);
  });
}

test("rarely used tools are listed once they were searched for, and stay so, also after a restart", async (t) => {
  const model = await startModel(t, ["--strict"]);
  const gateway = await startGateway(t, { config: anthropic(model.url) });
  await gateway.ask('! call tool_search {"query":"status"} then call session_status {} then say done');
  const lists = (await model.log()).map(({ tools }) => tools.includes("session_status"));
  assert.deepEqual(lists, [false, true, true]);
  assert.match((await model.log())[2]!.toolResults[0]!, /"state":"running"/);
  await gateway.restart();
  await gateway.ask("! say hi");
  assert.equal((await model.log()).at(-1)!.tools.at(-1), "session_status", "behind the others, so that what stands before stays in the cache");
  await gateway.ask("! call sessions_list {} then say by name", { session: "agent:main:api:direct:2" });
  assert.match((await model.log()).at(-1)!.toolResults[0]!, /"sessions":\[\]/, "hidden is not forbidden");
});

test("over twenty turns with tools and files more than 80 % of the input tokens come from Anthropic's cache, because each call begins like the one before", async (t) => {
  const model = await startModel(t, ["--strict"]);
  const gateway = await startGateway(t, { config: anthropic(model.url) });
  const workspace = join(gateway.home, "workspace");
  mkdirSync(workspace, { recursive: true });
  for (const name of ["AGENTS.md", "SOUL.md", "USER.md"]) writeFileSync(join(workspace, name), `# ${name}\n${"A line that every turn is told. ".repeat(40)}\n`);
  for (let turn = 1; turn <= 20; turn++) {
    const text = turn % 4 === 0 ? `Look again.\n! call list {"path":"."} & read {"path":"AGENTS.md"} then say turn ${turn} saw it` : `Tell me of part ${turn}.\n! say ${"It is as it is. ".repeat(20)}`;
    await gateway.ask(text);
  }
  const { usage } = await gateway.api<ApiSession>("GET", "/api/sessions/agent%3Amain%3Amain");
  const part = usage.cacheRead / usage.input;
  t.diagnostic(`${(part * 100).toFixed(1)} % of ${usage.input} input tokens over ${usage.calls} calls came from the cache`);
  assert.equal(usage.calls, 25);
  assert.ok(part > 0.8, `${part}`);
  assert.equal((await model.stats()).problems, 0);
});

test("what runs beside a conversation is told behind everything that is kept, so a side track does not empty the cache", async (t) => {
  const model = await startModel(t, ["--strict"]);
  const gateway = await startGateway(t, { config: anthropic(model.url) });
  await gateway.ask(`! say ${"word ".repeat(800)}`);
  await gateway.send("/bg ! wait 60s then say late");
  await gateway.waitEvent(({ type, data }) => type === "turn.started" && data["track"] === "side");
  await gateway.ask("! say beside it");
  await gateway.ask('! call list {"path":"."} then say again');
  const calls = (await model.log()).filter(({ outcome, userTexts, toolResults }) => outcome === "ok" && (userTexts.some((text) => /## Running now/.test(text)) || toolResults.length > 0));
  assert.equal(calls.length, 3, "each of them was told what runs");
  for (const { usage, round } of calls) assert.ok(usage!.cacheRead / usage!.input > 0.7, `round ${round}: ${usage!.cacheRead} of ${usage!.input}`);
  assert.equal((await model.stats()).problems, 0);
});
