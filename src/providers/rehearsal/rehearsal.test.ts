import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextRound } from "node:timers/promises";
import { ManualClock, systemClock } from "../../base/clock.ts";
import { seededRandom } from "../../base/ids.ts";
import { textOf, toolCallsOf, type ChatMessage, type ModelAnswer, type ModelFrame, type ModelRequest } from "../../model/chat.ts";
import { digestText, type FinishedChild } from "../../model/digest.ts";
import { Fault } from "../../model/faults.ts";
import { WAIT_MAX_MS } from "./durations.ts";
import { COMMAND_LENGTH_MAX, INTENTS } from "./intents.ts";
import { makeRehearsal } from "./rehearsal.ts";

const ALL_TOOLS = ["sessions_spawn", "sessions_yield", "subagents", "read", "write", "list", "exec", "memory", "web_fetch"];

const user = (text: string): ChatMessage => ({ role: "user", text });

interface Options {
  readonly tools?: readonly string[];
  readonly system?: string;
  readonly now?: string;
  readonly signal?: AbortSignal;
  readonly clock?: ManualClock;
  readonly onFrame?: (frame: ModelFrame) => void;
}

function start(messages: readonly ChatMessage[], { tools = ALL_TOOLS, system = "", now = "", signal = new AbortController().signal, clock = new ManualClock(), onFrame = () => {} }: Options = {}): Promise<ModelAnswer> {
  const request: ModelRequest = {
    model: "rehearsal/rehearsal",
    system,
    now,
    messages,
    tools: tools.map((name) => ({ name, description: "", inputSchema: { type: "object" } })),
    signal,
  };
  return makeRehearsal({ clock, random: seededRandom(1) }).call(request, onFrame);
}

/** Plays a call to its end, however long it waits. */
async function ask(messages: readonly ChatMessage[], options: Options = {}): Promise<ModelAnswer> {
  const clock = options.clock ?? new ManualClock();
  const answer = start(messages, { ...options, clock });
  let over = false;
  const end = () => (over = true);
  answer.then(end, end);
  for (await nextRound(); !over; await nextRound()) clock.advance(clock.nextAt()! - clock.now());
  return answer;
}

async function textFor(message: string, options: Options = {}): Promise<string> {
  return textOf((await ask([user(message)], options)).parts);
}

/** What the gateway adds after a round of tools. */
function round(answer: ModelAnswer, resultFor: (input: Record<string, unknown>, tool: string) => string): ChatMessage[] {
  return [
    { role: "assistant", parts: answer.parts },
    { role: "tool", results: toolCallsOf(answer.parts).map(({ callId, tool, input }) => ({ callId, tool, text: resultFor(input, tool), isError: false })) },
  ];
}

const accepted = (input: Record<string, unknown>): string => JSON.stringify({ status: "accepted", taskId: "task_1", flowId: "flow_1", childSessionKey: "agent:main:subagent:1", label: input["label"] });
const child = (label: string, more: Partial<FinishedChild> = {}): FinishedChild => ({ taskId: "task_0123456789abcdef", label, state: "succeeded", result: `all about ${label}`, fault: null, ms: 3200, ...more });

test("every example of the table means its own row and no other, so the help text can be trusted", () => {
  for (const { name, example } of INTENTS) {
    assert.deepEqual(
      INTENTS.filter((intent) => intent.matches(example)).map((intent) => intent.name),
      [name],
      example,
    );
  }
});

test("other ways to say the same are understood too", () => {
  const meaning: Record<string, string> = {
    "Hi!": "greeting",
    "good morning": "greeting",
    "what are you?": "who",
    "research A, B and C": "research many",
    "look into heat pumps and geothermal energy and wait": "research many",
    "research solar in the background": "research many",
    "research solar": "research one",
    "Research solar for 10s": "research one",
    "start 20 workers for 3s": "workers",
    "spawn 3 workers and wait for any": "workers",
    "wait 5s": "wait",
    "sleep 2s": "wait",
    "wait 3 seconds then say done": "wait",
    "what are you doing": "status",
    "what is still running?": "status",
    "Status of those agents?": "status",
    "What's the status of those agents?": "status",
    "List all active agent sessions": "status",
    "What's alpha-3 stuck on?": "stuck",
    "What did agent-notification accomplish?": "accomplished",
    "stop": "stop",
    "stop everything": "stop",
    "cancel solar": "stop",
    "stop worker-3": "stop",
    "17*23": "sum",
    "what is (2 + 3) / 4?": "sum",
    "repeat: a, b": "echo",
    "echo hi": "echo",
    "$ ls": "run",
    summarise: "summary",
    "blue instead": "correction",
    fail: "fail",
  };
  for (const [text, name] of Object.entries(meaning)) assert.equal(INTENTS.find((intent) => intent.matches(text))?.name, name, text);
});

test("the same request gives the same answer and the same call ids, so a replay changes nothing", async () => {
  for (const { example } of INTENTS.filter((intent) => intent.name !== "fail")) {
    assert.deepEqual(await ask([user(example)]), await ask([user(example)]), example);
  }
});

test("it says what it is, because nobody should take it for a language model", async () => {
  for (const text of ["who are you?", "hello", "help", "book me a flight to Oslo"]) assert.match(await textFor(text), /not a language model/, text);
});

test("help lists every row of the table", async () => {
  const help = await textFor("help");
  for (const { example } of INTENTS) assert.ok(help.includes(example), example);
});

test("a message that is not understood is repeated with three things that would be", async () => {
  const text = await textFor("book me a flight to Oslo");
  assert.match(text, /"book me a flight to Oslo"/);
  assert.equal(text.match(/"(?:research|spawn|what is)[^"]*"/g)?.length, 3);
});

test("a delegation starts all children in one round, answers at once, and summarises when the results come", async () => {
  const asked = [user("research solar and research wind, then summarise")];
  const first = await ask(asked);
  assert.equal(first.stop, "tools");
  assert.deepEqual(toolCallsOf(first.parts).map((call) => call.input), [
    { task: "research solar", label: "solar" },
    { task: "research wind", label: "wind" },
  ]);

  const spawned = [...asked, ...round(first, accepted)];
  const second = await ask(spawned);
  assert.equal(second.stop, "end");
  assert.equal(textOf(second.parts), "I started 2 researches in the background: solar, wind. I will summarise when they are done; ask me anything meanwhile.");

  const notes = await textFor("research solar", { tools: [] });
  const digest = digestText([child("solar", { result: notes }), child("wind", { state: "failed", result: null, fault: new Fault("CHILD_EMPTY", {}).toRecord() })], ["tide"]);
  const last = textOf((await ask([...spawned, { role: "assistant", parts: second.parts }, user(digest)])).parts);
  assert.match(last, /2 background tasks are over, 1 of them without success/);
  assert.match(last, /- solar succeeded in 3\.2 s: Rehearsal notes on solar: .*sample text, not research/);
  assert.match(last, /- wind failed in 3\.2 s: the child ended without any output/);
  assert.match(last, /Still running: tide/);
});

test("told to wait, it yields after the spawns, and the results that wake it are the whole answer", async () => {
  const asked = [user("research solar and wind and wait")];
  const first = await ask(asked);
  const spawned = [...asked, ...round(first, accepted)];
  const second = await ask(spawned);
  assert.deepEqual(toolCallsOf(second.parts).map(({ tool, input }) => ({ tool, input })), [{ tool: "sessions_yield", input: { waitFor: "all" } }]);

  const woken = [...spawned, ...round(second, () => "waiting"), user(digestText([child("solar"), child("wind")]))];
  const text = textOf((await ask(woken)).parts);
  assert.match(text, /^2 background tasks are over\./);
  assert.match(text, /all about solar[^]*all about wind/);
});

test("a question while it waits for children gets its own answer and starts nothing anew", async () => {
  const asked = [user("research solar and wind and wait")];
  const spawned = [...asked, ...round(await ask(asked), accepted)];
  const waiting = [...spawned, ...round(await ask(spawned), () => "waiting")];
  const answer = await ask([...waiting, user("what is 6 * 7?")]);
  assert.equal(textOf(answer.parts), "6 * 7 = 42");
});

test("a spawn that is refused is named with its reason, so nobody waits for it", async () => {
  const asked = [user("research solar and wind")];
  const first = await ask(asked);
  const text = textOf((await ask([...asked, ...round(first, (input) => (input["label"] === "wind" ? "too deep" : accepted(input)))])).parts);
  assert.match(text, /I started 1 research in the background: solar\. Not started: wind \(too deep\)/);
});

test("lines that a child quotes never pass for lines of the gateway", async () => {
  const text = textOf((await ask([user(digestText([child("solar", { result: 'fine\n2. "wind" succeeded in 1.0 s (task_x)' })]))])).parts);
  assert.match(text, /^The background task is over\./);
  assert.equal(text.match(/^- /gm)?.length, 1);
});

test("a child without the spawn tool says so instead of calling it", async () => {
  const answer = await ask([user("spawn 5 workers for 2s")], { tools: ["read"] });
  assert.equal(answer.stop, "end");
  assert.match(textOf(answer.parts), /no tool sessions_spawn/);
});

test("workers are counted by label, and no message starts more than a hundred", async () => {
  const calls = toolCallsOf((await ask([user("spawn 5 workers")])).parts);
  assert.deepEqual(calls.map((call) => call.input["label"]), ["worker-1", "worker-2", "worker-3", "worker-4", "worker-5"]);
  assert.equal(calls[0]!.input["task"], "work for 3 s");
  assert.equal(new Set(calls.map((call) => call.callId)).size, 5);
  assert.match(await textFor("spawn 101 workers"), /1 to 100/);
});

test("what it tells its children to do is something that it understands itself", async () => {
  for (const text of ["research A and B for 2s", "spawn 2 workers for 250ms", "start 2 teams of 3 workers for 2s"]) {
    for (const { input } of toolCallsOf((await ask([user(text)])).parts)) {
      assert.ok(INTENTS.some((intent) => intent.matches(String(input["task"]))), String(input["task"]));
    }
  }
});

test("waiting takes the time that was asked for, and no more", async () => {
  const lengths: Record<string, number> = { "wait 5 seconds": 5000, "sleep 250 ms": 250, "work for 3s": 3000, "research solar": 3000, "research solar for 10s": 10_000, "count to 4": 600, "wait 99999 minutes": 600_000, hello: 0 };
  for (const [text, ms] of Object.entries(lengths)) {
    const clock = new ManualClock();
    await textFor(text, { clock });
    assert.equal(Math.round(clock.monotonic()), ms, text);
  }
});

test("a wait ends at once when the call is aborted, and leaves no timer", async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  const answer = start([user("wait 60s")], { clock, signal: stop.signal });
  await nextRound();
  stop.abort(new Error("stopped by a person"));
  assert.equal(clock.nextAt(), undefined);
  clock.advance(60_000);
  await assert.rejects(answer, /stopped by a person/);
  await assert.rejects(start([user("hello")], { signal: stop.signal }), /stopped by a person/);
});

test("text comes in small frames that add up to the answer", async () => {
  const frames: ModelFrame[] = [];
  const text = await textFor("research the sea 🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊 for 2s", { onFrame: (frame) => frames.push(frame) });
  const pieces = frames.map((frame) => (frame.type === "text" ? frame.text : ""));
  assert.equal(pieces.join(""), text);
  assert.ok(text.includes("🌊 .") && pieces.every((piece) => piece.isWellFormed() && [...piece].length <= 24));
});

test("running and stopping are answered from what the tool says", async () => {
  const asked = [user("what is running?")];
  const answerTo = async (list: unknown): Promise<string> => textOf((await ask([...asked, ...round(await ask(asked), () => JSON.stringify(list))])).parts);
  assert.equal(await answerTo({ active: [], recent: [] }), "Nothing is running in the background.");
  assert.match(await answerTo({ active: [{ n: 1, label: "solar", taskId: "task_1", state: "running", runtimeMs: 1200, model: null, tokens: 3 }], recent: [] }), /Running in the background: 1\n- solar: running for 1\.2 s/);

  const plan = { plan: "plan_1", title: "Shop", state: "stuck", tasks: [{ task: "alpha-1", state: "done", steps: "3 of 3", accomplished: ["Set up", "Test it"], commits: ["feat: auth"], tests: "passing" }, { task: "alpha-3", state: "stuck", steps: "1 of 3", stuckOn: "Missing NOTIFICATION_KEY in .env" }] };
  assert.equal(await answerTo({ active: [], recent: [], plans: [plan] }), 'The plan "Shop" is stuck:\n- alpha-1: done (3 of 3 steps)\n- alpha-3: stuck (1 of 3 steps): Missing NOTIFICATION_KEY in .env');
  const about = async (text: string): Promise<string> => textOf((await ask([user(text), ...round(await ask([user(text)]), () => JSON.stringify({ active: [], plans: [plan] }))])).parts);
  assert.equal(await about("What's alpha-3 stuck on?"), "Missing NOTIFICATION_KEY in .env");
  assert.equal(await about("What did alpha-1 accomplish?"), "alpha-1:\n- Set up\n- Test it\nSummary: 1 commits, tests passing, done.");

  const now = '## Running now\n- T1 (an earlier message, its answer follows by itself): "wait 60s", for 12 s\n- #1 (child): "solar", for 1 s';
  const beside = textOf((await ask([...asked, ...round(await ask(asked, { now }), () => '{"active":[]}')], { now })).parts);
  assert.equal(beside, 'Running in the background: 1\n- T1, about "wait 60s": running for 12 s');
});

test("stopping names what was stopped, one child by its label or all of them", async () => {
  for (const [text, target] of [["cancel solar", "solar"], ["stop worker-3", "worker-3"]] as const) {
    const first = await ask([user(text)]);
    assert.deepEqual(toolCallsOf(first.parts)[0]!.input, { action: "kill", target });
    assert.equal(textOf((await ask([user(text), ...round(first, () => '{"stopped":["task_1"]}')])).parts), `Stopped: ${target}.`);
    assert.match(textOf((await ask([user(text), ...round(first, () => '{"stopped":[],"note":"it had ended before: failed"}')])).parts), /was not stopped: it had ended before/);
  }
  for (const text of ["stop", "stop everything"]) {
    const looked = [user(text), ...round(await ask([user(text)]), () => '{"active":[{"label":"solar"},{"label":"wind"}]}')];
    const killing = await ask(looked);
    assert.deepEqual(toolCallsOf(killing.parts)[0]!.input, { action: "kill", target: "all" });
    assert.equal(textOf((await ask([...looked, ...round(killing, () => '{"stopped":["task_1","task_2"]}')])).parts), "Stopped: solar, wind.");
    assert.match(textOf((await ask([user(text), ...round(await ask([user(text)]), () => '{"active":[]}')])).parts), /nothing to stop/);
  }
});

test("a further instruction goes to the child that was named", async () => {
  const [call] = toolCallsOf((await ask([user("tell solar to also look at cost")])).parts);
  assert.deepEqual(call!.input, { action: "steer", target: "solar", text: "also look at cost" });
  assert.match(await textFor("also look at cost"), /^Also looked at cost\. Rehearsal notes on cost/);
  const told = [user("research solar"), { role: "assistant" as const, parts: [{ type: "text" as const, text: "notes" }] }, user("also look at cost")];
  assert.match(textOf((await ask(told)).parts), /^Rehearsal notes on solar:[^]*Also looked at cost\./, "a child's last answer is its result");
});

test("messages of one batch are answered together and in order", async () => {
  const both = await ask([user("say one"), user("what is 1 + 1?")]);
  assert.equal(textOf(both.parts), "one\n\n1 + 1 = 2");
  const corrected = textOf((await ask([user("Book 2pm"), user("make that 3pm")])).parts);
  assert.match(corrected, /"Book 2pm"[^]*Noted: 3pm\. That corrects your earlier message "Book 2pm"/);
});

test("a batch with tools and words calls the tools first and then says everything once", async () => {
  const asked = [user("list files"), user("say done")];
  const first = await ask(asked);
  assert.equal(toolCallsOf(first.parts).length, 1);
  const second = await ask([...asked, ...round(first, () => "notes.txt")]);
  assert.equal(textOf(second.parts), "Files:\nnotes.txt\n\ndone");
});

test("a steering message in the middle of a turn is answered along with the first", async () => {
  const asked = [user("read notes.txt")];
  const text = textOf((await ask([...asked, ...round(await ask(asked), () => "hello"), user("say also this")])).parts);
  assert.equal(text, "notes.txt says:\nhello\n\nalso this");
});

test("failing, crashing and empty answers can be had on request, to try what the gateway does then", async () => {
  await assert.rejects(ask([user("fail on request")]), (error) => error instanceof Fault && error.code === "PROVIDER_REJECTED" && /failed on request/.test(error.message));
  assert.deepEqual((await ask([user("answer nothing")])).parts, []);
  const asked = [user("crash tool")];
  const first = await ask(asked, { tools: [] });
  assert.equal(toolCallsOf(first.parts)[0]!.tool, "no_such_tool");
  assert.match(textOf((await ask([...asked, ...round(first, () => "no tool no_such_tool")], { tools: [] })).parts), /It said: no tool no_such_tool/);
});

test("what was said is listed from the conversation, without what the gateway wrote", async () => {
  const history: ChatMessage[] = [user("hello"), { role: "assistant", parts: [{ type: "text", text: "Hello." }] }, user(digestText([child("solar")])), { role: "assistant", parts: [{ type: "text", text: "Over." }] }, user("what did I say?")];
  assert.equal(textOf((await ask(history)).parts), "You said:\n- hello");
  assert.match(await textFor("what did I say?"), /first message/);
});

test("a compaction gets an extract of the messages instead of an answer to them", async () => {
  const history: ChatMessage[] = [user("wait 60s"), { role: "assistant", parts: [{ type: "text", text: "I waited." }] }];
  const byMessage = textOf((await ask([...history, user("[compaction] Summarise.")])).parts);
  const bySystem = textOf((await ask(history, { system: "[compaction] Summarise." })).parts);
  assert.match(byMessage, /- user: wait 60s\n- assistant: I waited\./);
  assert.equal(bySystem, byMessage);
  assert.match(await textFor('[compaction] Summarise this:\n- #1 person: "Book 2pm"'), /\n- #1 person: "Book 2pm"$/);
});

test("usage counts one call and about four characters a token, and costs nothing", async () => {
  const { usage } = await ask([user("say 12345678")], { tools: [], system: "x".repeat(88) });
  assert.deepEqual(usage, { input: 25, output: 2, cacheRead: 0, cacheWrite: 0, reasoning: 0, calls: 1, costMicros: 0 });
});

test("reading a hostile message takes no long time, whatever it is made of", async () => {
  const hostile = ["research " + "a and ".repeat(600), "research" + " ".repeat(3_900) + "x", "stop " + "!?. ".repeat(900) + "x", "tell " + "to ".repeat(1_300), "1" + "+1".repeat(1_900), "a".repeat(COMMAND_LENGTH_MAX * 100)];
  const startedAt = systemClock.monotonic();
  for (const text of hostile) await textFor(text, { tools: [] });
  assert.ok(systemClock.monotonic() - startedAt < 1_000);
});

test("a message that is too long to be a command is said to be so, with its length", async () => {
  assert.match(await textFor(`say ${"a".repeat(COMMAND_LENGTH_MAX)}`), /has 4004 characters; I read commands of at most 4000/);
});

test("no wait is longer than ten minutes, so a turn never hangs on one", async () => {
  const clock = new ManualClock();
  await textFor("research solar for 99999 minutes", { clock, tools: [] });
  assert.ok(clock.monotonic() <= WAIT_MAX_MS + 1);
});
