/** The model proxy: other programs call models with a scoped token, and the real key stays in the gateway. */
import assert from "node:assert/strict";
import { createServer, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import type { ApiAccessToken, ApiSession, ApiTask, LanesAnswer, SpawnAccepted, TokenList, TokenMade } from "../../src/api/wire.ts";
import { startGateway, type Gateway } from "../support/gateway.ts";
import { harnessConfig, scripted, workFolder } from "../support/harness.ts";
import { startModel } from "../support/model.ts";

const REAL_KEY = "sk-the-real-key";

function providersAt(url: string): Record<string, unknown> {
  return {
    "models.providers": {
      claude: { api: "anthropic-messages", baseUrl: `${url}/v1`, apiKey: REAL_KEY, models: ["m"] },
      other: { api: "openai-completions", baseUrl: `${url}/v1`, apiKey: REAL_KEY, models: ["m"] },
      google: { api: "google-generative-ai", baseUrl: `${url}/v1beta`, apiKey: REAL_KEY, models: ["m"] },
    },
    "agents.defaults.model": "claude/m",
    "messages.messageWaitMs": 0,
  };
}

const mint = (gateway: Gateway, more: object = {}): Promise<TokenMade> => gateway.api<TokenMade>("POST", "/api/tokens", { scope: "proxy", ...more });

function ask(gateway: Gateway, path: string, headers: Record<string, string>, body: unknown, signal?: AbortSignal): Promise<Response> {
  return fetch(`${gateway.url}/proxy/${path}`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body), ...(signal === undefined ? {} : { signal }) });
}

const hello = (text: string): { role: string; content: string }[] => [{ role: "user", content: text }];

/** A provider of the test's own, which keeps what it was sent. */
async function startProvider(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse, body: string) => void): Promise<{ url: string; seen: { url: string; headers: IncomingHttpHeaders; body: string }[] }> {
  const seen: { url: string; headers: IncomingHttpHeaders; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      seen.push({ url: request.url!, headers: request.headers, body });
      answer(request, response, body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

test("each API's library finds its own provider through the proxy, with the scoped token where it puts its key, and the usage is counted on the token and its session", async (t) => {
  const model = await startModel(t, ["--key", REAL_KEY]);
  const gateway = await startGateway(t, { config: providersAt(model.url) });
  await gateway.ask("! say made");
  const before = (await gateway.api<ApiSession>("GET", "/api/sessions/agent%3Amain%3Amain")).usage;
  const { secret, id } = await mint(gateway, { label: "harness", session: "agent:main:main" });

  const anthropic = await ask(gateway, "anthropic/v1/messages?beta=true", { "x-api-key": secret, "anthropic-version": "2023-06-01" }, { model: "m", max_tokens: 100, stream: true, messages: hello("! say hello there") });
  assert.equal(anthropic.status, 200);
  assert.match(anthropic.headers.get("content-type")!, /event-stream/);
  assert.match(await anthropic.text(), /hello there[\s\S]*message_stop/);

  const chat = await ask(gateway, "openai/v1/chat/completions", { authorization: `Bearer ${secret}` }, { model: "other/m", messages: hello("! say chat") });
  assert.equal(((await chat.json()) as { choices: { message: { content: string } }[] }).choices[0]!.message.content, "chat");
  const short = await ask(gateway, "openai/chat/completions", { authorization: `Bearer ${secret}` }, { model: "m", messages: hello("! say short") });
  assert.equal(short.status, 200, "also without the version segment");

  const google = await ask(gateway, "google/v1beta/models/m:streamGenerateContent?alt=sse", { "x-goog-api-key": secret }, { contents: [{ role: "user", parts: [{ text: "! say gem" }] }] });
  assert.match(await google.text(), /gem/);
  assert.equal((await model.stats()).outcomes["ok"], 5, "the real key was taken each time");
  assert.deepEqual((await model.log()).slice(1).map(({ model: name }) => name), ["m", "m", "m", "m"], "the provider's own names of the models");

  const { tokens } = await gateway.api<TokenList>("GET", "/api/tokens");
  const used = tokens.find((each) => each.id === id)!.usage;
  const after = (await gateway.api<ApiSession>("GET", "/api/sessions/agent%3Amain%3Amain")).usage;
  const logged = (await model.log()).slice(1);
  assert.equal(used.calls, 4);
  assert.equal(used.input, logged.reduce((sum, { usage }) => sum + usage!.input, 0));
  assert.equal(used.output, logged.reduce((sum, { usage }) => sum + usage!.output, 0));
  assert.deepEqual([after.calls - before.calls, after.input - before.input], [used.calls, used.input]);
});

test("a proxy token opens the proxy and nothing else, the gateway's token does not open the proxy, and a revoked one is refused at once", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: providersAt(model.url) });
  const { secret, id } = await mint(gateway);
  const body = { model: "m", max_tokens: 9, messages: hello("! say x") };
  assert.equal((await gateway.call("GET", "/api/sessions", undefined, { authorization: `Bearer ${secret}` })).status, 401);
  const own = await ask(gateway, "anthropic/v1/messages", { "x-api-key": gateway.token }, body);
  assert.equal(own.status, 401);
  assert.deepEqual(((await own.json()) as { type: string; error: { type: string } }).error.type, "authentication_error", "in the words of the API");
  assert.equal((await ask(gateway, "openai/v1/chat/completions", {}, body)).status, 401);
  assert.equal((await ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, body)).status, 200);

  await gateway.restart();
  assert.equal((await ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, body)).status, 200, "it outlives a restart");
  assert.ok((await gateway.api<ApiAccessToken>("DELETE", `/api/tokens/${id}`)).revokedAt !== null);
  assert.equal((await ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, body)).status, 401);
  const short = await mint(gateway, { forSeconds: 1 });
  await new Promise((resolve) => setTimeout(resolve, 1_050));
  assert.equal((await ask(gateway, "anthropic/v1/messages", { "x-api-key": short.secret }, body)).status, 401, "its time is over");
  assert.equal((await gateway.call("POST", "/api/tokens", { scope: "everything" })).status, 400);
  assert.equal((await gateway.call("DELETE", "/api/tokens/tok_none")).status, 404);
});

test("the proxy reaches only paths of the API at configured providers, so it is no open relay", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: { ...providersAt(model.url), "models.providers": { other: { api: "openai-completions", baseUrl: `${model.url}/v1`, apiKey: REAL_KEY }, google: { api: "google-generative-ai", baseUrl: `${model.url}/v1beta`, apiKey: REAL_KEY } } } });
  const { secret } = await mint(gateway);
  const headers = { authorization: `Bearer ${secret}` };
  const before = (await model.stats()).requests;
  const body = { model: "m", messages: hello("! say x") };
  for (const path of ["openai/v1/files", "openai/v1/../../_config", "openai/v1/%2e%2e/_log", "openai/v1//evil.example/chat/completions", "openai/http://evil.example/v1/chat/completions", "openai/v1/chat/completions/..", "openai/@evil.example/chat/completions"]) {
    const answer = await ask(gateway, path, headers, body);
    assert.ok(answer.status === 404 || answer.status === 401, `${path}: ${answer.status}`);
  }
  const none = await ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, { ...body, max_tokens: 5 });
  assert.equal(none.status, 404, "no provider speaks it");
  assert.match(await none.text(), /models\.providers/);
  // As they are, without a library that would straighten them.
  for (const path of ["openai/v1/models/../_log", "openai/v1/models/../../_stats", "google/v1beta/models/..%2f..%2f_x:generateContent", "google/v1beta/models/m%3fx:generateContent", "openai/v1/models/.", "google/v1beta/models/.."]) {
    const method = path.includes("generate") ? "POST" : "GET";
    assert.equal(await rawStatus(gateway, method, `/proxy/${path}`, secret), 404, path);
  }
  assert.equal((await model.stats()).requests, before, "nothing of it arrived anywhere");
});

test("the caller's credential, cookies and addresses stay behind, the provider's key and cookies too, and everything else passes as it came", async (t) => {
  const { url, seen } = await startProvider(t, (_request, response) => {
    response.writeHead(503, { "content-type": "application/json", "retry-after": "7", "anthropic-ratelimit-requests-remaining": "0", "set-cookie": "a=b", "x-secret-echo": REAL_KEY }).end('{"type":"error","error":{"type":"api_error","message":"not now"}}');
  });
  const gateway = await startGateway(t, { config: providersAt(url) });
  const { secret } = await mint(gateway);
  const sent = '{ "model":"m",  "unknown_field":[1,2.50],"messages":[] }';
  const answer = await fetch(`${gateway.url}/proxy/anthropic/v1/messages?beta=true&key=${secret}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": secret, cookie: "c=d", "x-forwarded-for": "1.2.3.4", "anthropic-beta": "new-thing", "x-stainless-lang": "js" },
    body: sent,
  });
  assert.equal(answer.status, 503);
  assert.match(await answer.text(), /not now/, "errors come as the provider sent them");
  assert.deepEqual([answer.headers.get("retry-after"), answer.headers.get("anthropic-ratelimit-requests-remaining"), answer.headers.get("set-cookie"), answer.headers.get("x-secret-echo")], ["7", "0", null, null]);
  const [{ url: path, headers, body }] = seen as [(typeof seen)[0]];
  assert.equal(path, "/v1/messages?beta=true");
  assert.equal(body, sent, "byte for byte");
  assert.deepEqual([headers["x-api-key"], headers["anthropic-beta"], headers["x-stainless-lang"], headers["authorization"], headers["cookie"], headers["x-forwarded-for"]], [REAL_KEY, "new-thing", "js", undefined, undefined, undefined]);
  assert.ok(!JSON.stringify(seen).includes(secret));
  assert.ok(!gateway.log().includes(secret) && !gateway.log().includes(REAL_KEY));
});

test("an abort passes through both ways: a caller that goes ends the provider's call, a provider that breaks off breaks the caller's stream", async (t) => {
  let closed: (() => void) | undefined;
  const providerSawEnd = new Promise<void>((resolve) => (closed = resolve));
  const { url } = await startProvider(t, (request, response, body) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).write("data: {}\n\n");
    if (body.includes("break")) setImmediate(() => request.socket.destroy());
    else response.on("close", () => closed!());
  });
  const gateway = await startGateway(t, { config: providersAt(url) });
  const { secret } = await mint(gateway);
  const gone = new AbortController();
  const answer = await ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, { model: "m", messages: hello("wait") }, gone.signal);
  const reader = answer.body!.getReader();
  assert.match(new TextDecoder().decode((await reader.read()).value), /data/, "the first piece came before the answer's end");
  gone.abort();
  await providerSawEnd;
  const broken = await ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, { model: "m", messages: hello("break") });
  await assert.rejects(broken.text());
});

test("a call through the proxy takes a few milliseconds longer at most, so that a harness does not notice it", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: providersAt(model.url) });
  const { secret } = await mint(gateway);
  const body = { model: "m", max_tokens: 100, stream: true, messages: hello("! say hello there") };
  const direct = (): Promise<Response> => fetch(`${model.url}/v1/messages`, { method: "POST", headers: { "content-type": "application/json", "x-api-key": REAL_KEY }, body: JSON.stringify(body) });
  const proxied = (): Promise<Response> => ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, body);
  const added: number[] = [];
  const bases: number[] = [];
  for (let round = 0; round < 60; round++) {
    const base = await timed(direct);
    bases.push(base);
    added.push((await timed(proxied)) - base);
  }
  const [median, base] = [added, bases].map((each) => each.slice(10).sort((a, b) => a - b)[25]!) as [number, number];
  t.diagnostic(`added ${median.toFixed(2)} ms at the median to the whole call`);
  // The whole call with its token check and its usage; how slow the machine is shows in the call without it.
  assert.ok(median < 10 + 5 * base, `${median} ms beside ${base} ms`);
});

test("a caller hears nothing of a wall: its call waits, is seen among the parked ones, and is answered; one that is longer than all patience is told at once as the provider said it", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: { ...providersAt(model.url), "models.retry.maxWaitSeconds": 20 } });
  const { secret } = await mint(gateway);
  const body = { model: "m", max_tokens: 100, stream: true, messages: hello("! fail 529 after 2s times 2 then say after all") };
  const call = ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, body);
  let parked = 0;
  while (parked === 0) parked = (await gateway.api<LanesAnswer>("GET", "/api/lanes")).parked.length;
  const answer = await call;
  assert.equal(answer.status, 200);
  assert.match(await answer.text(), /after all/);
  const statuses = (await model.log()).map(({ status, arrivedAt }) => ({ status, arrivedAt }));
  assert.deepEqual(statuses.map(({ status }) => status), [529, 529, 200]);
  assert.ok(statuses[2]!.arrivedAt - statuses[0]!.arrivedAt >= 4_000, "as long as it was asked to");
  const long = await ask(gateway, "openai/v1/chat/completions", { authorization: `Bearer ${secret}` }, { model: "m", messages: hello("! fail 429 after 10m") });
  assert.equal(long.status, 429);
  assert.equal(long.headers.get("retry-after"), "600");
  assert.match(await long.text(), /the script says 429/);
});

test("one of three credentials is refused: callers of the proxy are answered with another, and the operator is told once", async (t) => {
  const model = await startModel(t, ["--key", "good-1", "--key", "good-3"]);
  const accounts = [{ name: "a", apiKey: "good-1" }, { name: "b", apiKey: "bad-2" }, { name: "c", apiKey: "good-3" }];
  const gateway = await startGateway(t, { config: { ...providersAt(model.url), "models.providers": { claude: { api: "anthropic-messages", baseUrl: `${model.url}/v1`, accounts, models: ["m"] } } } });
  const { secret } = await mint(gateway);
  const calls = Array.from({ length: 9 }, (_, n) => ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, { model: "m", max_tokens: 50, messages: hello(`! say it is ${n}`) }));
  for (const [n, call] of calls.entries()) assert.match(await (await call).text(), new RegExp(`it is ${n}`));
  const told: string[] = [];
  const { messageId } = await gateway.send("! say hello");
  await gateway.waitReply(messageId);
  for await (const event of gateway.events("agent:main:main", 0)) {
    if (event.type === "notice" && event.data["code"] === "PROVIDER_AUTH") told.push(String(event.data["text"]));
    if (event.type === "reply") break;
  }
  assert.equal(told.length, 1);
  assert.match(told[0]!, /account b refused its credential/);
});

test("budgets hold for calls through the proxy too: the answer is cut to what is left, and what does not fit is refused in the API's words", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: { ...providersAt(model.url), "budgets.day.tokens": 20_000 } });
  const { secret } = await mint(gateway);
  const long = (size: number): unknown => ({ model: "m", max_tokens: 15_000, messages: hello(`${"x".repeat(size)}\n! write 40000`) });
  const first = await ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, long(4_000));
  assert.equal(((await first.json()) as { stop_reason: string }).stop_reason, "end_turn", "all of it fits");
  const cut = await ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, long(100));
  assert.equal(((await cut.json()) as { stop_reason: string }).stop_reason, "max_tokens", "it is held to what is left");
  const refused = await ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, long(12_000));
  assert.equal(refused.status, 402);
  const { error } = (await refused.json()) as { error: { message: string } };
  assert.match(error.message, /the day budget has no room for more/);
  const { total } = await gateway.api<{ total: { input: number; output: number; calls: number } }>("GET", "/api/usage");
  assert.equal(total.calls, 2);
  assert.ok(total.input + total.output <= 20_000, `${total.input + total.output}`);
  const free = await fetch(`${gateway.url}/proxy/anthropic/v1/models`, { headers: { "x-api-key": secret } });
  assert.equal(free.status, 200, "a list costs nothing");
});

test("the budget of a child holds for what its coding agent calls through the proxy", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: providersAt(model.url) });
  const { taskId, childSessionKey } = await gateway.api<{ taskId: string; childSessionKey: string }>("POST", "/api/spawns", { task: "! wait 60s then say late", budget: { calls: 3 } });
  await gateway.waitEvent(({ type, session }) => type === "turn.started" && session === childSessionKey);
  const { secret } = await mint(gateway, { session: childSessionKey });
  const statuses: number[] = [];
  for (let n = 0; n < 3; n++) statuses.push((await ask(gateway, "anthropic/v1/messages", { "x-api-key": secret }, { model: "m", max_tokens: 50, messages: hello("! say x") })).status);
  // One is reserved for its own call under way, and one is kept back for its last.
  assert.deepEqual(statuses, [200, 402, 402]);
  const { budget } = await gateway.api<{ budget: { used: { calls: number } } }>("GET", `/api/tasks/${taskId}`);
  assert.equal(budget.used.calls, 1);
});

async function rawStatus(gateway: Gateway, method: string, path: string, secret: string): Promise<number> {
  const request = httpRequest({ host: "127.0.0.1", port: new URL(gateway.url).port, method, path, headers: { authorization: `Bearer ${secret}` } });
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  response.resume();
  return response.statusCode!;
}

async function timed(call: () => Promise<Response>): Promise<number> {
  const startedAt = performance.now();
  await (await call()).text();
  return performance.now() - startedAt;
}

test("a coding agent with proxy: true calls models with a token of its session's own: no key reaches it, its calls are counted once and in its child's budget, its turn rests while a call waits, and the token ends with its process", async (t) => {
  const model = await startModel(t, ["--key", REAL_KEY]);
  const cwd = workFolder(t);
  const agent = scripted(cwd) as { env: Record<string, string> };
  const gateway = await startGateway(t, {
    env: { THE_REAL_KEY: REAL_KEY },
    config: harnessConfig(cwd, {}, {
      ...providersAt(model.url),
      "agents.defaults.progressTimeoutSeconds": 3,
      "acp.agents": { scripted: { ...agent, proxy: true, envFrom: ["THE_REAL_KEY"], env: { ...agent.env, MODEL_URL: "{proxy}/openai/v1", MODEL_KEY: "{token}" } } },
    }),
  });
  const task = JSON.stringify([{ env: "THE_REAL_KEY" }, { env: "MODEL_URL" }, { env: "MODEL_KEY" }, { model: "! fail 529 after 6s times 1 then say from the model" }]);
  const { taskId } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, task, budget: { calls: 2 } });
  const parked = await gateway.waitEvent(({ type }) => type === "turn.parked");
  assert.equal(parked.data["reason"], "wall");
  await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId, { timeoutMs: 60_000 });
  const row = await gateway.api<ApiTask>("GET", `/api/tasks/${taskId}`);
  const [, secret] = /MODEL_KEY=(yardp_\S+)/.exec(row.result ?? "") ?? [];
  assert.deepEqual([row.state, row.result], ["succeeded", `THE_REAL_KEY=\nMODEL_URL=${gateway.url}/proxy/openai/v1\nMODEL_KEY=${secret}\nfrom the model`], JSON.stringify(row.fault));
  assert.equal(row.usage.calls, 1, "counted where it passed, and not again by the agent's own words");
  assert.equal(row.usage.input, (await model.log()).at(-1)!.usage!.input);
  assert.equal(row.budget!.used!.calls, 1);
  const itsToken = async () => (await gateway.api<TokenList>("GET", "/api/tokens")).tokens.find(({ session, scope }) => session === row.session && scope === "proxy")!;
  assert.equal((await itsToken()).usage.calls, 1);
  const late = await ask(gateway, "openai/v1/chat/completions", { authorization: `Bearer ${secret}` }, { model: "m", messages: hello("! say x") });
  assert.equal(late.status, 401, "it ended with its child");
  await gateway.restart();
  assert.notEqual((await itsToken()).revokedAt, null, "and was taken back with its process");
});
