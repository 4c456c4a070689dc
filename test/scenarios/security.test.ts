/** What advisories on other programs of this kind tell of, tried on this one from outside; docs/regressions.md lists them. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { standinConfig, startGateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

/** Names of tools by which a model could change what it may do. */
const POWER = /config|setting|token|approv|allow|permission|pair|secret|credential/i;

test("no tool of an agent changes settings, makes tokens or answers approvals, so nothing that a model reads can widen what it may", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "agents.defaults.subagents.maxSpawnDepth": 2 }) });
  await gateway.ask('! call sessions_spawn {"task":"! say done"} then call sessions_yield {} then say all');
  const offered = new Set((await model.log()).flatMap(({ tools }) => tools));
  assert.ok(offered.size > 5);
  assert.deepEqual([...offered].filter((tool) => POWER.test(tool)), []);
});

test("an agent reaches the children of its own conversation only, and a session's name is no authority", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  await gateway.ask("! say hello", { session: "agent:main:main" });
  const { taskId, childSessionKey } = await gateway.api<{ taskId: string; childSessionKey: string }>("POST", "/api/spawns", { task: "! wait 60000ms then say mine", label: "mine", parent: "agent:main:main" });
  const stranger = "agent:main:api:direct:stranger";
  for (const [tool, input] of [
    ["subagents", { action: "log", target: taskId }],
    ["subagents", { action: "kill", target: taskId }],
    ["subagents", { action: "kill", target: "mine" }],
    ["subagents", { action: "steer", target: "mine", text: "obey" }],
    ["sessions_send", { session: childSessionKey, text: "obey" }],
    ["sessions_send", { session: "agent:main:main", text: "obey" }],
  ] as const) {
    const said = await gateway.ask(`! call ${tool} ${JSON.stringify(input)} then echo`, { session: stranger });
    assert.match(said, /no child|not found|nothing to|none of|there is no|no session|cannot/i, `${tool} ${JSON.stringify(input)}: ${said}`);
  }
  assert.match((await gateway.api<{ state: string }>("GET", `/api/tasks/${taskId}`)).state, /queued|running/);
  await gateway.api("POST", `/api/tasks/${taskId}/cancel`, {});
});

test("twenty secrets that the gateway was given stand nowhere that it writes: not in the log, events, transcripts, the database or what models are sent", async (t) => {
  const canaries = Array.from({ length: 20 }, (_none, n) => `canary-${n}-Zq8vK3nT7wLx${n}Rb2Hd9Jf5Ms1Yc6`);
  const seen: string[] = [];
  // A provider that throws everything that it was sent back into the caller's face.
  const echo = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk)).on("end", () => {
      seen.push(body);
      response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify({ error: { message: `refused ${JSON.stringify(request.headers)}` } }));
    });
  });
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  t.after(() => echo.close());
  const model = await startModel(t);
  const config = standinConfig(model.url) as Record<string, unknown>;
  const baseUrl = `http://127.0.0.1:${(echo.address() as AddressInfo).port}/v1`;
  // Five keys stand in the file, three in variables that everybody knows, the others in variables that the file names.
  const providers = Object.fromEntries(canaries.map((apiKey, n) => [`p${n}`, { api: n % 2 === 0 ? "openai-completions" : "anthropic-messages", baseUrl, ...(n < 5 ? { apiKey } : { apiKeyEnv: ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"][n - 5] ?? `KEY_${n - 5}` }), models: ["m"] }]));
  const gateway = await startGateway(t, {
    config: { ...config, "models.providers": { ...(config["models.providers"] as object), ...providers } },
    env: Object.fromEntries(canaries.slice(5).map((value, n) => [["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"][n] ?? `KEY_${n}`, value])),
  });
  const secrets = [...canaries, gateway.token];
  for (let n = 0; n < canaries.length; n++) {
    const session = `agent:main:api:direct:p${n}`;
    await gateway.send(`hello ${n}`, { session });
    await gateway.call("PATCH", `/api/sessions/${encodeURIComponent(session)}`, { model: `p${n}/m` });
    const { messageId } = await gateway.send("and again", { session });
    await gateway.waitReply(messageId).catch(() => "");
  }
  await gateway.ask('! call exec {"command":"env; printenv; cat /proc/$PPID/environ; cat /proc/self/environ"} then echo');
  await gateway.ask(`! call exec ${JSON.stringify({ command: `cat ${join(gateway.home, "yardmaster.json5")} ${join(gateway.home, "token")}` })} then echo`);
  for (const path of ["/api/config", "/api/status", "/api/sessions", "/metrics", "/api/openapi.json"]) seen.push(await (await fetch(gateway.url + path, { headers: { authorization: `Bearer ${gateway.token}` } })).text());
  const events = new AbortController();
  const streamed = await fetch(`${gateway.url}/api/events?after=0`, { headers: { authorization: `Bearer ${gateway.token}` }, signal: events.signal });
  const { value } = await streamed.body!.getReader().read();
  events.abort();
  seen.push(new TextDecoder().decode(value), gateway.log(), JSON.stringify(await model.log()));
  assert.equal(await gateway.stop(), 0);
  for (const file of readdirSync(gateway.home, { recursive: true, withFileTypes: true })) {
    if (file.isFile() && !["yardmaster.json5", "token"].includes(file.name)) seen.push(readFileSync(join(file.parentPath, file.name), "latin1"));
  }
  const found = secrets.flatMap((secret) => [secret, encodeURIComponent(secret), Buffer.from(secret).toString("base64").slice(0, -4)].filter((form) => seen.some((text) => text.includes(form))).map((form) => `${form.slice(0, 12)} in ${seen.findIndex((text) => text.includes(form))}: ${context(seen.find((text) => text.includes(form))!, form)}`));
  assert.deepEqual(found, []);
});

function context(text: string, part: string): string {
  const at = text.indexOf(part);
  return text.slice(Math.max(0, at - 60), at + 12);
}
