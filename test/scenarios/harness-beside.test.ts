/** A quick question to a coding agent that is at work, through the real program: a second session of it answers, and one goes on. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { ApiEvent, LanesAnswer, MessageAccepted } from "../../src/api/wire.ts";
import { NoReply, startGateway, type Gateway } from "../support/gateway.ts";
import { harnessConfig, heardBy, workFolder } from "../support/harness.ts";
import { allGone, processesWith } from "../support/processes.ts";
import type { Manner, Step } from "../support/scripted-harness.ts";

const YARD = fileURLToPath(new URL("../../bin/yard.mjs", import.meta.url));
const ANN = "agent:main:api:direct:ann";
/** Longer than any test: nothing is promoted by itself. */
const NEVER_MS = 600_000;

interface Bench {
  readonly gateway: Gateway;
  readonly cwd: string;
  /** Session of the coding agent. */
  readonly key: string;
  /** Says something in the conversation that is bound to it. */
  send(steps: readonly Step[] | string): Promise<MessageAccepted>;
  ask(steps: readonly Step[] | string): Promise<string>;
  command(text: string): Promise<string>;
  promote(): Promise<string>;
  /** Resolves when it was asked for this. */
  asked(word: string): Promise<void>;
}

async function bench(t: TestContext, manner: Manner = {}, settings: Readonly<Record<string, unknown>> = {}): Promise<Bench> {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd, manner, { "messages.foregroundMs": NEVER_MS, ...settings }) });
  const command = async (text: string): Promise<string> => (await gateway.send(text, { session: ANN })).commandReply ?? "";
  const [, key = ""] = /\((agent:scripted:acp:[^)]+)\)/.exec(await command(`/acp spawn scripted --bind here --cwd ${cwd}`))!;
  const words = (steps: readonly Step[] | string): string => (typeof steps === "string" ? steps : JSON.stringify(steps));
  return {
    gateway,
    cwd,
    key,
    send: (steps) => gateway.send(words(steps), { session: ANN }),
    ask: (steps) => gateway.ask(words(steps), { session: ANN }),
    command,
    promote: async () => (await gateway.api<{ handle: string }>("POST", `/api/sessions/${encodeURIComponent(key)}/promote`)).handle,
    asked: (word) => until(`it is asked for ${word}`, () => prompts(cwd).some(({ text }) => text.includes(word))),
  };
}

const prompts = (cwd: string): { pid: number; text: string }[] => heardBy(cwd).filter(({ method }) => method === "session/prompt").map(({ pid, params }) => ({ pid, text: params.prompt[0].text as string }));

async function until(what: string, holds: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  for (const end = Date.now() + withinMs; !(await holds()); ) {
    assert.ok(Date.now() < end, `${what}, in time`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** All events that are on disk of a session by now. */
async function events(gateway: Gateway, session: string): Promise<readonly ApiEvent[]> {
  const { lastSeq } = await gateway.api<{ lastSeq: number }>("GET", `/api/sessions/${encodeURIComponent(session)}`);
  const seen: ApiEvent[] = [];
  for await (const event of gateway.events(session)) {
    if (event.seq !== undefined) seen.push(event);
    if ((event.seq ?? 0) >= lastSeq) break;
  }
  return seen;
}

test("a quick question is answered by a second session while the first works on a promoted turn; then one session goes on and knows both", async (t) => {
  const { gateway, cwd, key, send, ask, promote, asked, command } = await bench(t);
  const go = join(cwd, "go");
  assert.equal(await ask("hello"), "echo: hello");
  const long = await send([{ say: "working " }, { until: go }, { say: "whole" }]);
  await asked("working");
  const handle = await promote();
  const quick = await ask("quick question?");
  assert.match(quick, /second session/);
  assert.match(quick, /> hello\necho: hello/, "it was told what was said before");
  assert.match(quick, new RegExp(`## Running now\n- ${handle} \\(an earlier message`), "and what still runs");
  assert.match(await ask("another one?"), /^echo: \[from the gateway\]/, "the second session stays while the first works");
  const [first, , second, third] = prompts(cwd);
  assert.notEqual(second!.pid, first!.pid);
  assert.equal(third!.pid, second!.pid);
  assert.match(await command("/acp status"), new RegExp(`\n${handle} beside: [^]*beside it \\d+`));

  writeFileSync(go, "");
  assert.equal(await gateway.waitReply(long.messageId), "working whole");
  await until("the second process is gone", () => processesWith(cwd).length === 1);
  const known = await ask("what do you know?");
  assert.match(known, /^I know: hello \| \[\{"say":"working "/, "it is the session that was there first");
  const told = prompts(cwd).at(-1)!;
  assert.equal(told.pid, first!.pid);
  assert.match(told.text, /Meanwhile this was said[^]*> quick question\?[^]*> another one\?/);
  assert.match(told.text, new RegExp(`${handle}, about .*started before #\\d+, finished after #\\d+`));
  assert.doesNotMatch(told.text, /^\[Meanwhile[^\n]*\n> hello/, "what it knows is not told again");
  await ask("and on");
  assert.equal(prompts(cwd).at(-1)!.text, "and on", "nor is what it was told");

  const log = await events(gateway, key);
  assert.deepEqual(log.filter(({ data }) => data["code"] === "PROMOTED").map(({ data }) => data["handle"]), [handle], "one notice");
  assert.deepEqual(log.filter(({ type, data }) => type === "notice" && data["code"] === "HARNESS_RESTARTED").length, 0, "nothing was lost, so nobody is told so");
  assert.equal(log.filter(({ type, data }) => type === "reply" && data["text"] === "working whole").length, 1);
  await command("/acp close");
  await allGone(cwd);
});

test("a turn that holds up a person for messages.foregroundMs goes beside the conversation by itself, with one notice there", async (t) => {
  const { gateway, cwd, send, ask } = await bench(t, {}, { "messages.foregroundMs": 500 });
  const go = join(cwd, "go");
  const long = await send([{ say: "working " }, { until: go }, { say: "whole" }]);
  const quick = await ask("quick question?");
  assert.match(quick, /T1 \(an earlier message[^]*quick question\?$/);
  assert.ok(!existsSync(go));
  writeFileSync(go, "");
  assert.equal(await gateway.waitReply(long.messageId), "working whole");
  const notices = (await events(gateway, ANN)).filter(({ data }) => data["code"] === "PROMOTED");
  assert.deepEqual(notices.map(({ data }) => data["handle"]), ["T1"]);
  await allGoneButOne(cwd);
});

test("a child that a coding agent works on is not promoted for what a person says to it meanwhile: its result is for whoever asked for it", async (t) => {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "messages.foregroundMs": 100 }) });
  const { taskId, childSessionKey } = await gateway.api<{ taskId: string; childSessionKey: string }>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, task: JSON.stringify([{ say: "working " }, { sleep: 1500 }, { say: "whole" }]) });
  await gateway.waitEvent(({ type }) => type === "text.delta", { session: childSessionKey });
  assert.equal(await gateway.ask("and?", { session: childSessionKey }), "echo: and?");
  const { result } = await gateway.api<{ result: string }>("GET", `/api/tasks/${taskId}`);
  assert.equal(result, "echo: and?", "the last words are the result");
  assert.equal((await events(gateway, childSessionKey)).filter(({ type }) => type === "turn.promoted").length, 0);
});

test("after kill -9 of the gateway while both work, both processes are swept, both turns go on, and each answer comes once", async (t) => {
  const { gateway, cwd, send, promote, asked } = await bench(t, { load: true, stubborn: true });
  const long = await send([{ once: "a", steps: [{ say: "long begins" }, { wait: "ever" }] }, { say: "long is done" }]);
  await asked("long begins");
  await promote();
  const quick = await send([{ once: "b", steps: [{ say: "quick begins" }, { wait: "ever" }] }, { say: "quick is done" }]);
  await asked("quick begins");
  await until("both are at work", () => existsSync(join(cwd, "a")) && existsSync(join(cwd, "b")));
  const before = processesWith(cwd).map(({ pid }) => pid);
  assert.equal(before.length, 2);
  await gateway.kill9();
  await gateway.start();
  assert.equal(await gateway.waitReply(long.messageId), "long is done");
  assert.equal(await gateway.waitReply(quick.messageId), "quick is done");
  assert.equal(processesWith(cwd).filter(({ pid }) => before.includes(pid)).length, 0);
  const heard = heardBy(cwd);
  const loaded = heard.find(({ method }) => method === "session/load")!;
  assert.match(heard.find(({ pid, method }) => pid === loaded.pid && method === "session/prompt")!.params.prompt[0].text, /long begins/, "the first session goes on with the turn that it was at work on");
  const replies = (await events(gateway, ANN)).filter(({ type }) => type === "reply").map(({ data }) => String(data["text"])).filter((text) => text.endsWith("is done"));
  assert.deepEqual(replies.toSorted(), ["long is done", "quick is done"]);
  await allGoneButOne(cwd);
});

test("either of the two may die in the middle: it is started again where it was, and the other does not notice", async (t) => {
  const { gateway, cwd, key, send, promote, asked } = await bench(t, { load: true });
  const [die, go] = [join(cwd, "die"), join(cwd, "go")];
  const long = await send([{ say: "long " }, { until: die }, { once: "a", steps: [{ misdeed: "segv" }] }, { say: "is done" }]);
  await asked("long ");
  await promote();
  const quick = await send([{ say: "quick " }, { once: "b", steps: [{ misdeed: "exit 1" }] }, { until: go }, { say: "is done" }]);
  await until("the second is started again", () => heardBy(cwd).filter(({ method }) => method === "session/load").length === 1);
  writeFileSync(die, "");
  assert.match(await gateway.waitReply(long.messageId), /is done$/);
  writeFileSync(go, "");
  assert.match(await gateway.waitReply(quick.messageId), /is done$/);
  const loaded = heardBy(cwd).filter(({ method }) => method === "session/load").map(({ params }) => params.sessionId);
  assert.equal(new Set(loaded).size, 2, "each goes on from its own memory");
  const notices = (await events(gateway, key)).filter(({ data }) => data["code"] === "HARNESS_RESTARTED").map(({ data }) => String(data["text"]));
  assert.deepEqual(notices.map((text) => text.replace(/ was started again .*/, "")), ["The second session of scripted", "scripted"]);
  await allGoneButOne(cwd);
});

test("a promoted turn is looked at, steered and stopped by its handle, by the coding agent and by the person, and what runs beside it goes on", async (t) => {
  const { gateway, cwd, send, ask, promote, asked, command } = await bench(t, { steer: true });
  const tool = (input: object): Step => ({ attempt: "tool", at: "subagents", input });
  const first = await send([{ say: "listening" }, { wait: "steering" }]);
  await asked("listening");
  const handle = await promote();
  assert.match(await ask([tool({ action: "info", target: handle })]), new RegExp(`"handle":\\s*"${handle}"`));
  await ask([tool({ action: "steer", target: handle, text: "left!" })]);
  assert.match(await gateway.waitReply(first.messageId), /steered: left!/);

  const go = join(cwd, "go");
  const second = await send([{ say: "endless" }, { wait: "cancel" }]);
  await asked("endless");
  const other = await promote();
  const beside = await send([{ say: "beside it" }, { until: go }]);
  await asked("beside it");
  assert.match(await command(`/stop ${other}`), new RegExp(`${other} is stopped`));
  await assert.rejects(gateway.waitReply(second.messageId), (error) => error instanceof NoReply && error.event.data["outcome"] === "cancelled");
  writeFileSync(go, "");
  assert.equal(await gateway.waitReply(beside.messageId), "beside it");
  await ask("and now?");
  assert.match(prompts(cwd).at(-1)!.text, /\[cancelled by you\][^]*beside it/, "the first session is told what became of both");
  await allGoneButOne(cwd);
});

test("where no second session can be had the question waits without a slot, shown with the reason, and is answered as soon as the first is free", async (t) => {
  const { gateway, cwd, key, send, ask, promote, asked } = await bench(t);
  const go = join(cwd, "go");
  await ask("hello");
  await gateway.api("PATCH", "/api/config", { "acp.memoryReserveMb": 1_000_000 });
  const long = await send([{ say: "working " }, { until: go }, { say: "whole" }]);
  await asked("working");
  await promote();
  const quick = await send("quick question?");
  await gateway.waitEvent(({ type, data }) => type === "turn.parked" && data["reason"] === "harness", { session: key });
  const { pools, lanes, memoryWaits } = await gateway.api<LanesAnswer>("GET", "/api/lanes");
  assert.equal(lanes.find(({ session }) => session === key)!.why, "harness");
  assert.deepEqual(pools.filter(({ name }) => name === "acp" || name === "side").map(({ name, used }) => [name, used]), [["side", 1], ["acp", 0]]);
  const shown = execFileSync(process.execPath, [YARD, "lanes"], { env: { PATH: "/usr/bin:/bin", HOME: gateway.home, YARD_HOME: gateway.home }, encoding: "utf8" });
  assert.match(shown, /T2 runs beside[^]*T3 waits for its coding agent, without a slot/);
  assert.deepEqual(memoryWaits.map(({ session, harness }) => [session, harness]), [[key, "scripted"]]);
  writeFileSync(go, "");
  assert.equal(await gateway.waitReply(long.messageId), "working whole");
  assert.match(await gateway.waitReply(quick.messageId), /quick question\?$/);
  assert.equal(new Set(prompts(cwd).map(({ pid }) => pid)).size, 1);
});

test("no more sessions stand beside the first than sessions.sideTurnsMax, and a turn that waits for one is not promoted to make room for the next", async (t) => {
  const { gateway, cwd, key, send, promote, asked } = await bench(t, {}, { "sessions.sideTurnsMax": 1, "messages.foregroundMs": 3000 });
  const go = join(cwd, "go");
  const long = await Promise.all(["one ", "two "].map(async (word) => {
    const accepted = await send([{ say: word }, { until: go }, { say: "whole" }]);
    await asked(word);
    await promote();
    return { ...accepted, word };
  }));
  const waits = await send("three?");
  const after = await send("four?");
  await gateway.waitEvent(({ type, data }) => type === "turn.parked" && data["reason"] === "harness", { session: key });
  assert.equal(processesWith(cwd).length, 2);
  writeFileSync(go, "");
  for (const { messageId, word } of long) assert.equal(await gateway.waitReply(messageId), `${word}whole`);
  for (const { messageId } of [waits, after]) await gateway.waitReply(messageId);
  assert.equal((await events(gateway, key)).filter(({ type }) => type === "turn.promoted").length, 2);
  await allGoneButOne(cwd);
});

test("a coding agent that can copy its session answers beside it from a copy", async (t) => {
  const { gateway, cwd, send, ask, promote, asked } = await bench(t, { fork: true });
  const go = join(cwd, "go");
  await ask("hello");
  const long = await send([{ say: "working " }, { until: go }, { say: "whole" }]);
  await asked("working");
  await promote();
  const known = await ask("what do you know?");
  assert.match(known, /^I know: hello \|/);
  assert.doesNotMatch(prompts(cwd).at(-1)!.text, /> hello/, "what the copy knows is not told again");
  assert.match(prompts(cwd).at(-1)!.text, /> \[\{"say":"working "/, "what the first is at work on is");
  writeFileSync(go, "");
  await gateway.waitReply(long.messageId);
  await allGoneButOne(cwd);
});

const ENDS: Readonly<Record<string, (bench: Bench) => Promise<unknown>>> = {
  "/acp close": ({ command }) => command("/acp close"),
  "the removal of its session": ({ gateway, key }) => gateway.api("DELETE", `/api/sessions/${encodeURIComponent(key)}`),
};

for (const [how, end] of Object.entries(ENDS)) {
  test(`${how} ends both sessions of it with all that they started while both work`, async (t) => {
    const all = await bench(t, { stubborn: true });
    await all.send([{ say: "long" }, { child: "setsid" }, { wait: "ever" }]);
    await all.asked("long");
    await all.promote();
    await all.send([{ say: "quick" }, { child: "setsid" }, { wait: "ever" }]);
    await until("both work", () => processesWith(all.cwd).length === 4);
    await end(all);
    await allGone(all.cwd);
  });
}

test("a message that is independent, in mode parallel, is answered beside the work at once, and changes nothing without asking anybody", async (t) => {
  const { gateway, cwd, key, send, asked } = await bench(t, {}, { "messages.parallel.judge": "always", "acp.permissionMode": "approve-all", "acp.allowUnsandboxed": true });
  const go = join(cwd, "go");
  const long = await send([{ say: "working " }, { until: go }, { ask: { name: "Bash", kind: "execute", input: { command: "ls" } } }]);
  await asked("working");
  const steps: readonly Step[] = [{ ask: { name: "Bash", kind: "execute", input: { command: "rm x" } } }, { call: "fs/write_text_file", params: { path: join(cwd, "never"), content: "x" } }, { call: "fs/read_text_file", params: { path: join(cwd, "heard"), limit: 1 } }];
  const quick = await gateway.ask(JSON.stringify(steps), { session: ANN, queueMode: "parallel" });
  assert.match(quick, /^Bash: o-reject_once[^]*not permitted[^]*fs\/read_text_file: \{"content"/);
  assert.ok(!existsSync(join(cwd, "never")));
  writeFileSync(go, "");
  assert.match(await gateway.waitReply(long.messageId), /Bash: o-allow_once/, "the conversation's own turn may");
  assert.equal((await events(gateway, key)).filter(({ type }) => type === "turn.promoted" || type === "approval.requested").length, 0);
});

test("what was cleared in its conversation a coding agent does not know any more: not in its session, not in a second one, not after kill -9", async (t) => {
  const { gateway, cwd, key, send, ask, promote, asked } = await bench(t, { load: true, fork: true });
  const clear = (): Promise<MessageAccepted> => gateway.send("/reset", { session: key });
  const go = join(cwd, "go");
  assert.equal(await ask("hello"), "echo: hello");
  assert.match(await ask("what do you know?"), /^I know: hello/);
  await clear();
  assert.equal(await ask("what do you know?"), "I know: ");
  assert.equal(prompts(cwd).at(-1)!.text, "what do you know?", "and it is told nothing of it");
  assert.deepEqual((await events(gateway, key)).filter(({ data }) => data["code"] === "HARNESS_RESTARTED"), [], "nothing was lost, so nobody is told so");

  const long = await send([{ say: "working " }, { until: go }, { say: "whole" }]);
  await asked("working");
  await promote();
  await clear();
  assert.doesNotMatch(await ask("what do you know?"), /working/, "a second session is no copy of the first");
  writeFileSync(go, "");
  assert.equal(await gateway.waitReply(long.messageId), "working whole", "what was under way goes on");
  await until("the second process is gone", () => processesWith(cwd).length === 1);
  assert.doesNotMatch(await ask("what do you know?"), /^I know: .*working/);

  await ask("good day");
  await clear();
  await gateway.kill9();
  await gateway.start();
  assert.equal(await ask("what do you know?"), "I know: ");
});

test("when both changed the same file, the conversation is told", async (t) => {
  const { gateway, cwd, send, ask, promote, asked } = await bench(t);
  const go = join(cwd, "go");
  const edit = (toolCallId: string): Step => ({ update: { sessionUpdate: "tool_call", toolCallId, title: "Edit", kind: "edit", status: "completed", locations: [{ path: join(cwd, "shop.ts") }], rawInput: { file_path: join(cwd, "shop.ts") } } });
  const long = await send([{ say: "working " }, edit("e1"), { until: go }, { say: "whole" }]);
  await asked("working");
  await promote();
  await ask([edit("e2"), { say: "quick" }]);
  writeFileSync(go, "");
  await gateway.waitReply(long.messageId);
  await ask("and now?");
  assert.match(prompts(cwd).at(-1)!.text, /check this: T2 changed file .*shop\.ts too/);
});

/** The one that goes on is kept; the other is not. */
async function allGoneButOne(cwd: string): Promise<void> {
  await until("one process is left", () => processesWith(cwd).length === 1);
}
