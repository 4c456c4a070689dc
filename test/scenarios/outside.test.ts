/** What a program that nobody here wrote meets first: keys, peers, commands and streams, as the contract names them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiEvent, ApiSession, MessageAccepted, SessionList, TaskList } from "../../src/api/wire.ts";
import { startGateway } from "../support/gateway.ts";

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
