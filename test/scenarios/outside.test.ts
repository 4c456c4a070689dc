/** What a program that nobody here wrote meets first: keys, peers, commands and streams, as the contract names them. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import type { JsonObject } from "../../src/base/json.ts";
import { readOutput } from "../../src/model/output-schema.ts";
import type { ApiEvent, ApiSession, ApiTask, CancelResult, MessageAccepted, SessionList, TaskList } from "../../src/api/wire.ts";
import { Gateway, startGateway } from "../support/gateway.ts";

const NO_WAIT = { "messages.messageWaitMs": 0 };

test("a conversation can be followed before its first message, so that a program which listens first misses nothing", async (t) => {
  const gateway = await startGateway(t, { config: NO_WAIT });
  const session = "agent:main:shop:direct:7";
  const seen: ApiEvent[] = [];
  const listening = (async () => {
    for await (const event of gateway.events(session, "now")) {
      seen.push(event);
      if (event.type === "turn.ended") return;
    }
  })();
  assert.equal((await gateway.call("GET", `/api/sessions/${encodeURIComponent(session)}`)).status, 404, "listening makes no session");
  const { messageId } = await gateway.send("say hi", { channel: "shop", peer: "7" });
  await listening;
  assert.deepEqual(seen.filter(({ seq }) => seq !== undefined).map(({ seq, type }) => `${seq} ${type}`), ["1 session.created", "2 message.accepted", "3 turn.started", "4 reply", "5 turn.ended"]);
  assert.deepEqual(seen.find(({ type }) => type === "reply")!.data, { text: "hi", replyTo: [messageId] });
  assert.equal((await gateway.call("GET", "/api/events?session=agent%3Amain%3Asubagent%3Anone")).status, 404, "a child is only made by a spawn");
});

test("people have conversations of their own, whatever they are called where they come from; null stands for a field that is left out", async (t) => {
  const gateway = await startGateway(t, { config: NO_WAIT });
  const keys: string[] = [];
  for (const peer of ["+43 664 1", "-100123", "@ann:example.org"]) {
    assert.equal(await gateway.ask(`say to ${peer}`, { channel: "chat", peer }), `to ${peer}`);
  }
  assert.equal(await gateway.ask("say from the desk", { session: "agent:main:desk" }), "from the desk");
  const { sessions } = await gateway.api<SessionList>("GET", "/api/sessions");
  for (const { key } of sessions) {
    assert.equal((await gateway.api<ApiSession>("GET", `/api/sessions/${encodeURIComponent(key)}`)).key, key);
    keys.push(key);
  }
  assert.deepEqual(keys, ["agent:main:desk", "agent:main:chat:direct:%40ann%3Aexample.org".replace("%40", "@"), "agent:main:chat:direct:-100123", "agent:main:chat:direct:+43%20664%201"]);

  const bare = await gateway.api<MessageAccepted>("POST", "/api/messages", { text: "say hi", session: null, channel: null, peer: null, clientMessageId: null, queueMode: null, replyTo: null });
  assert.equal(bare.session, "agent:main:main");
  const refused = await gateway.call("POST", "/api/messages", { text: "hi", session: "agent:nobody:main" });
  assert.deepEqual([refused.status, refused.body.code], [404, "AGENT_NOT_FOUND"], "at once, and not by a turn that fails");
  const row = await gateway.call("PATCH", "/api/sessions/agent%3Amain%3Adesk", { model: "nope/x" });
  assert.deepEqual([row.status, row.body.code], [400, "MODEL_UNKNOWN"]);
});

test("a command has an id and one reply that names it, and is carried out once, however often it is sent", async (t) => {
  const gateway = await startGateway(t, { config: NO_WAIT });
  const status = await gateway.send("/status", { clientMessageId: "c1" });
  assert.match(status.messageId, /^msg_/);
  assert.equal(await gateway.waitReply(status.messageId), status.commandReply);

  const first = await gateway.send("/subagents spawn say done", { clientMessageId: "c2" });
  const second = await gateway.send("/subagents spawn say done", { clientMessageId: "c2" });
  assert.deepEqual([first.duplicate, second.duplicate, second.messageId, second.commandReply], [false, true, first.messageId, first.commandReply]);
  assert.equal((await gateway.api<TaskList>("GET", "/api/tasks")).tasks.length, 1);

  const background = await gateway.send("/bg say it took a while", { clientMessageId: "c3" });
  assert.match(background.commandReply!, /in the background/);
  assert.equal(await gateway.waitReply(background.messageId), "it took a while", "the answer to what was asked names the message that asked");
  await gateway.restart();
  const again = await gateway.send("/bg say it took a while", { clientMessageId: "c3" });
  assert.deepEqual([again.messageId, again.duplicate], [background.messageId, true], "also after a restart");
});

/** A schema of the document on its own: references filled in, and nothing allowed that is not named. */
function closed(schema: JsonObject, shapes: Readonly<Record<string, JsonObject>>): JsonObject {
  const inside = (one: unknown): unknown => (Array.isArray(one) ? one.map(inside) : typeof one === "object" && one !== null ? closed(one as JsonObject, shapes) : one);
  const { $ref, allOf, description: _description, ...own } = schema;
  if (typeof $ref === "string") return closed(shapes[$ref.split("/").at(-1)!]!, shapes);
  if (Array.isArray(allOf) && allOf.length === 1) return closed(allOf[0] as JsonObject, shapes);
  const properties = own["properties"] as Readonly<Record<string, JsonObject>> | undefined;
  const filled = Object.fromEntries(Object.entries(own).filter(([name]) => name !== "properties").map(([name, one]) => [name, ["required", "enum", "type"].includes(name) ? one : inside(one)]));
  if (properties === undefined) return filled as JsonObject;
  return { ...filled, properties: Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, closed(one, shapes)])), additionalProperties: own["additionalProperties"] ?? false } as JsonObject;
}

test("the OpenAPI document is true: what the routes and the stream answer has every field that it names, and no other", async (t) => {
  const gateway = await startGateway(t, { config: { ...NO_WAIT, "agents.defaults.subagents.gatherMs": 0 } });
  const { messageId } = await gateway.send("research solar and research wind, then summarise");
  await gateway.waitReply(messageId);
  await gateway.waitEvent(({ type, data }) => type === "reply" && /background task/.test(String(data["text"])));
  const { tasks } = await gateway.api<TaskList>("GET", "/api/tasks");
  const document = await gateway.api<{ paths: Record<string, Record<string, JsonObject>>; components: { schemas: Record<string, JsonObject> } }>("GET", "/api/openapi.json");
  const shapes = document.components.schemas;
  const check = (name: string, schema: JsonObject, answer: unknown): void => {
    const read = readOutput(closed(schema, shapes), JSON.stringify(answer));
    assert.deepEqual("problems" in read ? read.problems : [], [], name);
  };

  const named: Readonly<Record<string, string>> = { "{session}": encodeURIComponent("agent:main:main"), "{taskId}": tasks[0]!.taskId, "{flowId}": tasks[0]!.flowId };
  let checked = 0;
  for (const [template, operations] of Object.entries(document.paths)) {
    const path = template.replace(/\{\w+\}/g, (parameter) => named[parameter] ?? parameter);
    const schema = (operations["get"]?.["responses"] as undefined | { "2XX": { content?: Record<string, { schema: JsonObject }> } })?.["2XX"].content?.["application/json"]?.schema;
    if (schema === undefined || path.includes("{")) continue;
    check(template, schema, await gateway.api("GET", path));
    checked++;
  }
  assert.ok(checked >= 25, `${checked} routes`);
  check("messages.send", shapes["MessageAccepted"]!, await gateway.send("/status"));
  check("spawns.create", shapes["SpawnAccepted"]!, await gateway.api("POST", "/api/spawns", { task: "say done", wait: true }));
  check("a refusal", shapes["ApiFault"]!, (await gateway.call("GET", "/api/tasks/none")).body);
  const types = new Set<string>();
  for await (const event of gateway.events()) {
    check(event.type, shapes["ApiEvent"]!, event);
    types.add(event.type);
    if (event.type === "task.ended" && types.has("reply")) break;
  }
  assert.ok(types.size >= 9, [...types].join(", "));
});

test("no file of the gateway's own can be read by other users, also one that could before", async (t) => {
  const gateway = await startGateway(t, { config: NO_WAIT });
  const open = (): string[] => readdirSync(gateway.home, { withFileTypes: true }).filter((one) => (statSync(join(gateway.home, one.name)).mode & 0o077) !== 0).map(({ name }) => name);
  await gateway.ask("say hi");
  assert.deepEqual(open(), []);
  await gateway.stop();
  for (const name of ["yard.sqlite", "gateway.lock"]) chmodSync(join(gateway.home, name), 0o644);
  await gateway.start();
  await gateway.ask("say hi");
  assert.deepEqual(open(), []);
});

test("a refused socket says that its connection ends, so that a client with a pool does not ask on it again", async (t) => {
  const gateway = await startGateway(t);
  const headers = { authorization: `Bearer ${gateway.token}`, origin: "http://evil.example", connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
  const answer = await new Promise<{ status: number | undefined; connection: string | undefined }>((resolve, reject) => {
    request(`${gateway.url}/api/socket`, { headers }, (response) => {
      response.resume().on("end", () => resolve({ status: response.statusCode, connection: response.headers.connection }));
    }).on("error", reject).end();
  });
  assert.deepEqual(answer, { status: 403, connection: "close" });
});

test("a gateway that is given its token by the environment says where it can be read, and that file goes with it", async (t) => {
  const token = "0123456789abcdef0123456789abcdef-given";
  const gateway = await startGateway(t, { env: { YARD_TOKEN: token } });
  const own = readFileSync(gateway.tokenFile, "utf8").trim();
  assert.equal(own, token);
  assert.equal((await fetch(`${gateway.url}/api/status`, { headers: { authorization: `Bearer ${own}` } })).status, 200);
  assert.equal(statSync(gateway.tokenFile).mode & 0o077, 0);
  await gateway.stop();
  assert.equal(existsSync(gateway.tokenFile), false);
});

test("a task is named by its label wherever it is named by its id", async (t) => {
  const gateway = await startGateway(t, { config: NO_WAIT });
  await gateway.api("POST", "/api/spawns", { task: "wait 20s, then say late", label: "slow one" });
  await gateway.waitEvent(({ type }) => type === "task.started");
  const name = encodeURIComponent("slow one");
  const { taskId } = await gateway.api<ApiTask>("GET", `/api/tasks/${name}`);
  assert.equal((await gateway.call("POST", `/api/tasks/${name}/steer`, { text: "hurry" })).status, 202);
  assert.deepEqual((await gateway.api<CancelResult>("POST", `/api/tasks/${name}/cancel`)).tasks, [taskId]);
  const ended = await gateway.call("POST", `/api/tasks/${name}/steer`, { text: "hurry" });
  assert.deepEqual([ended.status >= 400, ended.body.code], [true, "TASK_ENDED"]);
});

test("a child can be given to the person's own session before anything was said there", async (t) => {
  const gateway = await startGateway(t, { config: { ...NO_WAIT, "agents.defaults.subagents.gatherMs": 0 } });
  await gateway.api("POST", "/api/spawns", { task: "say the sun is hot", label: "sun", parent: "agent:main:main" });
  const digest = await gateway.waitEvent(({ type, session, data }) => type === "reply" && session === "agent:main:main" && /sun/.test(String(data["text"])));
  assert.match(String(digest.data["text"]), /the sun is hot/);
  const refused = await gateway.call("POST", "/api/spawns", { task: "say hi", parent: "agent:main:shop:direct:nobody" });
  assert.deepEqual([refused.status, refused.body.code], [404, "SESSION_NOT_FOUND"]);
});

test("a state directory where none can be made is one clear error, and not a start that never ends", { skip: process.platform === "linux" ? false : "there is no /proc here" }, async (t) => {
  const gateway = new Gateway({ env: { YARD_HOME: "/proc/nope/deeper" } });
  t.after(() => gateway.close());
  await assert.rejects(gateway.start(), /STATE_DIR_UNSAFE.*cannot be made/);
});
