/** `/v1/*`: programs made for OpenAI's APIs speak with agents, by a client library and by the bare wire. */
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { LanguageModelV4, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { test, type TestContext } from "node:test";
import type { History, ModelList, SessionList } from "../../src/api/wire.ts";
import { startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";
import type { SpawnedStandin } from "../support/model-standin/spawn.ts";

async function setup(t: TestContext): Promise<{ model: SpawnedStandin; gateway: Gateway }> {
  const model = await startModel(t);
  return { model, gateway: await startGateway(t, { config: standinConfig(model.url, { "agents.list": [{ id: "reviewer" }] }) }) };
}

const user = (text: string) => ({ role: "user" as const, content: [{ type: "text" as const, text }] });
const said = (text: string): { role: string; content: string }[] => [{ role: "user", content: text }];
type Loose = Record<string, any>; // oxlint-disable-line typescript/no-explicit-any

async function streamed(model: LanguageModelV4, text: string, signal?: AbortSignal): Promise<{ text: string; parts: LanguageModelV4StreamPart[] }> {
  const { stream } = await model.doStream({ prompt: [user(text)], ...(signal === undefined ? {} : { abortSignal: signal }) });
  const parts: LanguageModelV4StreamPart[] = [];
  for await (const part of stream) parts.push(part);
  return { text: parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join(""), parts };
}

test("a client library of the Chat API talks with an agent, whole and streamed, and hears what it cost", async (t) => {
  const { gateway } = await setup(t);
  const provider = createOpenAICompatible({ name: "yard", baseURL: `${gateway.url}/v1`, apiKey: gateway.token, includeUsage: true });
  const whole = await provider.chatModel("main").doGenerate({ prompt: [{ role: "system", content: "Be kind." }, user("! say hello you")] });
  assert.deepEqual(whole.content, [{ type: "text", text: "hello you" }]);
  assert.ok(whole.usage.inputTokens.total! > 100 && whole.usage.outputTokens.total! > 0);

  const { text, parts } = await streamed(provider.chatModel("reviewer"), "! say one then wait 60ms then say two");
  assert.equal(text, "one\ntwo");
  assert.ok(parts.filter(({ type }) => type === "text-delta").length >= 2, "it came in pieces");
  const finish = parts.find((part) => part.type === "finish")!;
  assert.equal(finish.finishReason.unified, "stop");
  assert.ok(finish.usage.inputTokens.total! > 100);
  assert.deepEqual((await gateway.api<SessionList>("GET", "/api/sessions")).sessions, [], "a conversation that nobody named leaves nothing behind");
});

test("a client library of the Responses API talks with an agent, and goes on from an answer by its id", async (t) => {
  const { gateway } = await setup(t);
  const provider = createOpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.token });
  const { text } = await streamed(provider.responses("main"), "! say first answer");
  assert.equal(text, "first answer");
  const whole = await provider.responses("main").doGenerate({ prompt: [user("! say whole")] });
  assert.deepEqual(whole.content.map((part) => part.type === "text" && part.text), ["whole"]);

  const first = await gateway.api<Loose>("POST", "/v1/responses", { model: "main", input: "! say remembered" });
  assert.deepEqual([first["object"], first["status"], first["output"][0].content[0].text], ["response", "completed", "remembered"]);
  const second = await gateway.api<Loose>("POST", "/v1/responses", { model: "main", input: "! say more", previous_response_id: first["id"] });
  assert.equal(second["previous_response_id"], first["id"]);
  const session = Buffer.from(String(second["id"]).slice(5).split(".")[0]!, "base64url").toString();
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(session)}/history`);
  assert.deepEqual(entries.map((entry) => entry.text), ["! say remembered", "remembered", "! say more", "more"]);
});

test("a conversation is chosen by header, by metadata or by user, and what the caller repeats of it is not said twice", async (t) => {
  const { gateway, model } = await setup(t);
  const chat = (body: object, headers: Record<string, string> = {}) => gateway.call<Loose>("POST", "/v1/chat/completions", { model: "main", ...body }, headers);
  await chat({ messages: said("! say a"), user: "ann" });
  await chat({ messages: [{ role: "system", content: "ignored" }, ...said("! say a"), { role: "assistant", content: "a" }, ...said("! say b")], user: "ann" });
  await chat({ messages: said("! say c") }, { "x-yard-session": "agent:main:openai:direct:ann" });
  await chat({ messages: said("! say d"), metadata: { session: "agent:main:openai:direct:ann" } });
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent("agent:main:openai:direct:ann")}/history`);
  assert.deepEqual(entries.map((entry) => entry.text), ["! say a", "a", "! say b", "b", "! say c", "c", "! say d", "d"]);
  await chat({ messages: said("! say e"), user: "someone@example.org/with spaces", model: "main/standin/other" });
  assert.equal((await model.log()).at(-1)!.model, "other", "agent/model names the model too");

  const fresh = await chat({ messages: [{ role: "system", content: "Talk like a pirate." }, ...said("hi"), { role: "assistant", content: "ahoy" }, ...said("! say f")] });
  assert.equal(fresh.body["choices"][0].message.content, "f");
  const [told] = (await model.log()).at(-1)!.userTexts;
  assert.match(told!, /\[Instructions\]\nTalk like a pirate\.[\s\S]*user: hi\nassistant: ahoy[\s\S]*! say f$/, "a passing conversation is told everything");
});

test("a request is answered at once, because whoever sends one waits for its answer and sends no second line to it", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: { ...standinConfig(model.url), "messages.messageWaitMs": 60_000 } });
  const answer = await gateway.api<Loose>("POST", "/v1/chat/completions", { model: "main", user: "ann", messages: said("! say at once") });
  assert.equal(answer["choices"][0].message.content, "at once");
});

test("a request sent again with the same idempotency key gets the same answer and makes no second turn", async (t) => {
  const { gateway, model } = await setup(t);
  const send = () => gateway.call<Loose>("POST", "/v1/chat/completions", { model: "main", messages: said("! say once"), user: "ann" }, { "idempotency-key": "k1" });
  const [first, second] = [await send(), await send()];
  assert.deepEqual([first.body["choices"][0].message.content, second.body["choices"][0].message.content], ["once", "once"]);
  assert.equal((await model.stats()).requests, 1);
});

test("what goes wrong is said in OpenAI's words with its status, before the stream as well as in it", async (t) => {
  const { gateway } = await setup(t);
  const chat = (body: object, headers: Record<string, string> = {}) => gateway.call<Loose>("POST", "/v1/chat/completions", body, headers);
  const wrong = await chat({ model: "main", messages: said("x") }, { authorization: "Bearer wrong" });
  assert.deepEqual([wrong.status, wrong.body["error"].code], [401, "invalid_api_key"]);
  const nobody = await chat({ model: "nobody", messages: said("x") });
  assert.deepEqual([nobody.status, nobody.body["error"].code, nobody.body["error"].type], [404, "model_not_found", "invalid_request_error"]);
  for (const body of [{ messages: said("x") }, { model: "main" }, { model: "main", messages: [] }, { model: "main", messages: [{ role: "robot", content: "x" }] }, { model: "main", messages: said("x"), n: 2 }, { model: "main", messages: said("x"), tools: [{ type: "function" }] }, { model: "main", messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] }]) {
    const answer = await chat(body);
    assert.deepEqual([answer.status, answer.body["error"].type], [400, "invalid_request_error"], JSON.stringify(body));
  }
  const failed = await chat({ model: "main", messages: said("! fail 400") });
  assert.equal(failed.status, 502);
  assert.match(failed.body["error"].message, /rejected the request/);

  const response = await fetch(`${gateway.url}/v1/chat/completions`, { method: "POST", headers: { authorization: `Bearer ${gateway.token}`, "content-type": "application/json" }, body: JSON.stringify({ model: "main", stream: true, messages: said("! fail 400") }) });
  assert.equal(response.status, 200);
  const text = await response.text();
  assert.match(text, /"error":\{"message":"[^}]*rejected the request[\s\S]*data: \[DONE\]/);
});

test("a caller that goes away ends the turn of a passing conversation; in a lasting one the turn goes on and its answer stays", async (t) => {
  const { gateway, model } = await setup(t);
  const begin = async (body: object): Promise<void> => {
    const gone = new AbortController();
    const response = await fetch(`${gateway.url}/v1/chat/completions`, { method: "POST", headers: { authorization: `Bearer ${gateway.token}`, "content-type": "application/json" }, body: JSON.stringify({ model: "main", stream: true, ...body }), signal: gone.signal });
    const reader = response.body!.getReader();
    let text = "";
    while (!text.includes("begun")) text += new TextDecoder().decode((await reader.read()).value);
    gone.abort();
  };
  await begin({ messages: said("! say begun then wait 60s then say never") });
  await until(async () => (await model.log()).some(({ outcome }) => outcome === "client gone"));
  await begin({ messages: said("! say begun then wait 300ms then say ended"), user: "ann" });
  const reply = await gateway.waitEvent(({ type, session }) => type === "reply" && session.endsWith("ann"));
  assert.equal(reply.data["text"], "begun\nended");
});

test("what was streamed always holds the answer whole, also when the model spoke before a tool or its call began anew", async (t) => {
  const { gateway } = await setup(t);
  const provider = createOpenAICompatible({ name: "yard", baseURL: `${gateway.url}/v1`, apiKey: gateway.token });
  const withTool = await streamed(provider.chatModel("main"), '! say let me look then call list {"path":"."} then say found it');
  assert.equal(withTool.text, "let me look\n\nfound it");
  const anew = await streamed(provider.chatModel("main"), "! say a rather long answer that is cut in the middle of its way then cut 1 times 1");
  assert.ok(anew.text.endsWith("a rather long answer that is cut in the middle of its way"), anew.text);
});

test("GET /v1/models lists the agents first, because those are what a client should pick", async (t) => {
  const { gateway } = await setup(t);
  const { data } = await gateway.api<ModelList>("GET", "/v1/models");
  assert.deepEqual(data.slice(0, 2).map(({ id, owned_by }) => [id, owned_by]), [["main", "yardmaster"], ["reviewer", "yardmaster"]]);
});

async function until(fits: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await fits()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("it never came to that");
}
