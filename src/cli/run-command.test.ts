/** Commands against a stand-in that answers as the gateway's HTTP contract says. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { test, type TestContext } from "node:test";
import type { ApiEvent, FlowTask } from "../api/wire.ts";
import { ManualClock, systemClock, type Clock } from "../base/clock.ts";
import { writeGatewayFile } from "../config/gateway-file.ts";
import { treeLines } from "./commands/tasks.ts";
import { runCommand } from "./run-command.ts";

type Answer = unknown | ((request: { query: URLSearchParams; body: Record<string, unknown> }) => unknown);
interface Refusal {
  readonly status: number;
  readonly fault: { readonly code: string; readonly message: string };
}

async function stateDir(t: TestContext): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "yard-cli-"));
  t.after(() => rm(home, { recursive: true, force: true }));
  return home;
}

/** A gateway that answers `"GET /api/lanes"` and the like from a table, and streams events. */
async function standIn(t: TestContext, answers: Record<string, Answer>, streams: readonly (readonly Partial<ApiEvent>[])[] = []) {
  const requests: { route: string; query: URLSearchParams; body: Record<string, unknown>; authorization: string | undefined }[] = [];
  const left = [...streams];
  const { promise: streaming, resolve: startStreaming } = Promise.withResolvers<void>();
  const server = createServer((request, response) => void serve(request, response));
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += chunk;
    const { pathname, searchParams: query } = new URL(request.url!, "http://x");
    const body = text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
    const route = `${request.method} ${pathname}`;
    requests.push({ route, query, body, authorization: request.headers.authorization });
    if (pathname === "/api/events") {
      response.writeHead(200, { "content-type": "text/event-stream" }).write(": hello\n\n");
      startStreaming();
      const events = left.shift();
      for (const event of events ?? []) response.write(`id: ${event.seq}\ndata: ${JSON.stringify({ session: "s", at: 0, ...event })}\n\n`);
      if (events !== undefined && left.length > 0) response.end();
      return;
    }
    const answer = answers[route];
    const value = typeof answer === "function" ? (answer as (request: object) => unknown)({ query, body }) : answer;
    const refusal = value === undefined ? { status: 404, fault: { code: "SESSION_NOT_FOUND", message: "no session" } } : isRefusal(value) ? value : null;
    response.writeHead(refusal?.status ?? 200, { "content-type": "application/json" }).end(JSON.stringify(refusal?.fault ?? value));
  }
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const home = await stateDir(t);
  await writeFile(join(home, "token"), "secret-token\n", { mode: 0o600 });
  await writeGatewayFile(home, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pid: process.pid, generation: 1 }, null);
  return { home, requests, streaming };
}

function isRefusal(value: unknown): value is Refusal {
  return typeof value === "object" && value !== null && "fault" in value && "status" in value;
}

async function yard(home: string, words: readonly string[], options: { clock?: Clock; input?: string } = {}) {
  const output = new PassThrough();
  const errors = new PassThrough();
  const exitCode = await runCommand(words, {
    terminal: { input: Readable.from(options.input === undefined ? [] : [options.input]), output, errors },
    environment: { YARD_HOME: home },
    clock: options.clock ?? systemClock,
    program: "yard",
  });
  return { exitCode, out: String(output.read() ?? ""), err: String(errors.read() ?? "") };
}

test("wrong use exits 2 with one line that says what is wrong", async (t) => {
  const home = await stateDir(t);
  for (const [words, problem] of [
    [["gibberish"], /^yard: WRONG_USE: unknown command 'gibberish'\n$/],
    [["lanes", "--nope"], /^yard: WRONG_USE: unknown option '--nope'.*\n$/],
    [["send"], /^yard: WRONG_USE: missing required argument 'text'\n$/],
    [["sessions"], /^yard: WRONG_USE: say which.*\n$/],
    [["up", "--port", "99999"], /^yard: WRONG_USE: .*0\.\.65535.*\n$/],
    [["send", "x", "--queue-mode", "loud"], /^yard: WRONG_USE: .*auto, followup.*\n$/],
  ] as const) {
    const { exitCode, err } = await yard(home, words);
    assert.equal(exitCode, 2, words.join(" "));
    assert.match(err, problem);
  }
});

test("help is no error", async (t) => {
  const home = await stateDir(t);
  for (const words of [[], ["--help"], ["tasks", "flow", "--help"], ["help", "send"]]) {
    const { exitCode, out, err } = await yard(home, words);
    assert.deepEqual([exitCode, err], [0, ""], words.join(" "));
    assert.match(out, /Usage: yard/);
  }
});

test("the version is printed by the command and by the option that people try first", async (t) => {
  const home = await stateDir(t);
  const { out } = await yard(home, ["version"]);
  for (const option of ["--version", "-V"]) assert.deepEqual(await yard(home, [option]), { exitCode: 0, out, err: "" });
});

test("without a gateway commands exit 3, and with --json the fault is JSON, so that scripts can tell", async (t) => {
  const home = await stateDir(t);
  assert.match((await yard(home, ["lanes"])).err, /^yard: GATEWAY_NOT_THERE: .*yard up/);
  const { exitCode, err } = await yard(home, ["lanes", "--json"]);
  assert.deepEqual([exitCode, (JSON.parse(err) as { code: string }).code], [3, "GATEWAY_NOT_THERE"]);
});

test("the token is not sent to whoever took the port of a gateway that has died", async (t) => {
  const { home, requests } = await standIn(t, {});
  const file = join(home, "gateway.json");
  await writeFile(file, (await readFile(file, "utf8")).replace(String(process.pid), String(2 ** 30)));
  assert.equal((await yard(home, ["lanes"])).exitCode, 3);
  assert.deepEqual(requests, []);
});

test("a listing asks with the token and prints a table, or the gateway's own answer with --json", async (t) => {
  const answer = { sessions: [{ key: "agent:main:main", label: "Ann\u001b[2J", state: "idle", waitingMessages: 0, lastAt: 0, usage: { input: 1, output: 2 } }], next: "c1" };
  const { home, requests } = await standIn(t, { "GET /api/sessions": answer });
  const { out } = await yard(home, ["sessions", "list", "--kind", "main", "--limit", "5"]);
  assert.match(out, /^session +state .*\nagent:main:main +idle .*Ann\nmore: --after c1\n$/);
  assert.deepEqual(JSON.parse((await yard(home, ["sessions", "list", "--json"])).out), answer);
  assert.equal(requests[0]!.authorization, "Bearer secret-token");
  assert.equal(String(requests[0]!.query), "kind=main&limit=5");
});

const ACCEPTED = { messageId: "m1", session: "agent:main:main", queuedAhead: 0, etaMs: 0, duplicate: false };

test("send --wait prints the reply to its own message, not the one before", async (t) => {
  const { home, requests } = await standIn(t, { "GET /api/sessions/agent%3Amain%3Amain": { lastSeq: 7 }, "POST /api/messages": ACCEPTED }, [
    [
      { seq: 8, type: "reply", data: { text: "other", replyTo: ["m0"] } },
      { seq: 9, type: "turn.ended", data: { outcome: "done", messageIds: ["m1"], yielded: true } },
      { seq: 10, type: "reply", data: { text: "mine", replyTo: ["m1"] } },
    ],
  ]);
  assert.deepEqual(await yard(home, ["send", "hello", "--wait", "--session", "main", "--queue-mode", "collect"]), { exitCode: 0, out: "mine\n", err: "" });
  const sent = requests.find(({ route }) => route === "POST /api/messages")!.body;
  assert.deepEqual([sent["text"], sent["session"], sent["queueMode"], typeof sent["clientMessageId"]], ["hello", "agent:main:main", "collect", "string"]);
  assert.equal(requests.at(-1)!.query.get("after"), "7");
});

test("send --wait exits 1 with the turn's fault, so that a script sees that there is no answer", async (t) => {
  const fault = { code: "PROVIDER_AUTH", message: "mock refused the credential", details: {}, retryable: false };
  const { home } = await standIn(t, { "POST /api/messages": ACCEPTED }, [[{ seq: 1, type: "turn.ended", data: { outcome: "failed", messageIds: ["m1"], fault } }]]);
  assert.deepEqual(await yard(home, ["send", "hello", "--wait"]), { exitCode: 1, out: "", err: "yard: PROVIDER_AUTH: mock refused the credential\n" });
});

test("a lost stream is taken up again after the last event that was read", async (t) => {
  const { home, requests } = await standIn(t, { "POST /api/messages": ACCEPTED }, [[{ seq: 4, type: "turn.started", data: {} }], [{ seq: 5, type: "reply", data: { text: "late", replyTo: ["m1"] } }]]);
  assert.equal((await yard(home, ["send", "hello", "--wait"])).out, "late\n");
  assert.deepEqual(requests.filter(({ route }) => route === "GET /api/events").map(({ query }) => query.get("after")), ["0", "4"]);
});

test("a wait has an end, and says that the work goes on", async (t) => {
  const { home, streaming } = await standIn(t, { "POST /api/messages": ACCEPTED });
  const clock = new ManualClock();
  const waiting = yard(home, ["send", "hello", "--wait", "--timeout", "60"], { clock });
  await streaming;
  clock.advance(60_000);
  const { exitCode, err } = await waiting;
  assert.equal(exitCode, 1);
  assert.match(err, /WAIT_TIMED_OUT.*goes on/);
});

test("a slash command answers at once, and - reads the message from standard input", async (t) => {
  const { home, requests } = await standIn(t, { "POST /api/messages": { ...ACCEPTED, commandReply: "the help" } }, [[{ seq: 1, type: "reply", data: { text: "the help", replyTo: [ACCEPTED.messageId], code: "COMMAND" } }]]);
  assert.equal((await yard(home, ["send", "-", "--wait"], { input: "/help\n" })).out, "the help\n");
  assert.equal(requests.find(({ route }) => route === "POST /api/messages")!.body["text"], "/help\n");
});

test("spawn --wait prints the child's result, and exits 1 when it failed", async (t) => {
  const ended = { taskId: "k1", state: "succeeded", result: "42" };
  const answers = { "POST /api/spawns": { status: "accepted", taskId: "k1", flowId: "f", childSessionKey: "agent:main:subagent:x" }, "GET /api/tasks/k1": ended as object };
  const stream = [[{ seq: 1, type: "task.ended", taskId: "k1", data: {} }]];
  const good = await standIn(t, answers, stream);
  assert.equal((await yard(good.home, ["spawn", "count", "--label", "L", "--deadline", "9", "--wait"])).out, "42\n");
  assert.deepEqual((({ task, label, deadlineSeconds }) => [task, label, deadlineSeconds])(good.requests[0]!.body), ["count", "L", 9]);
  const bad = await standIn(t, { ...answers, "GET /api/tasks/k1": { ...ended, state: "failed", fault: { code: "CHILD_EMPTY", message: "no output" } } }, stream);
  assert.deepEqual(await yard(bad.home, ["spawn", "count", "--wait"]), { exitCode: 1, out: "", err: "yard: CHILD_EMPTY: no output\n" });
});

test("a refusal of the gateway is printed as it is", async (t) => {
  const { home } = await standIn(t, { "POST /api/tasks/k1/retry": { status: 409, fault: { code: "TASK_NOT_FINISHED", message: "task k1 is running" } } });
  assert.deepEqual(await yard(home, ["tasks", "retry", "k1"]), { exitCode: 1, out: "", err: "yard: TASK_NOT_FINISHED: task k1 is running\n" });
});

test("config works on the file without a gateway and through it with one, so that changes count at once", async (t) => {
  const alone = await stateDir(t);
  assert.match((await yard(alone, ["config", "set", "agents.defaults.maxConcurrent", "8"])).out, /is now 8 \(takes effect at the next start\)/);
  assert.equal((await yard(alone, ["config", "get", "agents.defaults.maxConcurrent"])).out, "8\n");
  await yard(alone, ["config", "set", "models.providers.mock", "{api: 'openai-completions', baseUrl: 'http://127.0.0.1:1', apiKey: 'key-of-mock'}"]);
  await yard(alone, ["config", "set", "models.providers.mock.baseUrl", "http://127.0.0.1:2/v1"]);
  assert.match(await readFile(join(alone, "yardmaster.json5"), "utf8"), /127\.0\.0\.1:2\/v1/);
  assert.equal((await yard(alone, ["config", "get", "models.providers"])).out, "[secret]\n");
  assert.match((await yard(alone, ["config", "set", "maxConcurent", "8"])).err, /SETTING_UNKNOWN.*did you mean agents\.defaults\.maxConcurrent/);

  const changed = { changed: [{ key: "agents.defaults.maxConcurrent", value: 9, takesEffect: "at once" }] };
  const { home, requests } = await standIn(t, { "PATCH /api/config": changed });
  assert.match((await yard(home, ["config", "set", "agents.defaults.maxConcurrent", "9"])).out, /is now 9 \(takes effect at once\)/);
  assert.deepEqual(requests[0]!.body, { "agents.defaults.maxConcurrent": "9" });
});

test("doctor exits 1 when something must be mended, and says what", async (t) => {
  const home = await stateDir(t);
  assert.equal((await yard(home, ["doctor"])).exitCode, 0);
  await writeFile(join(home, "yardmaster.json5"), "{ gateway: { prot: 1 } }");
  const { exitCode, out } = await yard(home, ["doctor", "--json"]);
  assert.equal(exitCode, 1);
  assert.match(out, /gateway\.port/);
});

test("a chat without a terminal sends each line, shows what comes in and ends when all is answered", async (t) => {
  let count = 0;
  const { home } = await standIn(t, { "POST /api/messages": () => ({ ...ACCEPTED, messageId: `m${++count}` }) }, [
    [
      { type: "text.delta", turnId: "t1", data: { text: "first\nans" } },
      { type: "text.delta", turnId: "t1", data: { text: "wer" } },
      { seq: 1, type: "reply", turnId: "t1", data: { text: "first\nanswer", replyTo: ["m1"] } },
      { seq: 2, type: "notice", turnId: "t2", data: { text: "a notice", level: "info" } },
      { seq: 3, type: "reply", turnId: "t2", data: { text: "second", replyTo: ["m2"] } },
    ],
  ]);
  assert.deepEqual(await yard(home, ["chat"], { input: "one\ntwo\n" }), { exitCode: 0, out: "first\nanswer\n· a notice\nsecond\n", err: "" });
});

test("completion knows every command, in every shell", async (t) => {
  const home = await stateDir(t);
  for (const shell of ["bash", "zsh", "fish"]) assert.match((await yard(home, ["completion", shell])).out, /tasks flow.*show/s);
});

test("top shows pools, lanes and children once where nobody watches, and all of it as JSON", async (t) => {
  const pool = { name: "main", size: 4, used: 1, waiting: 0 };
  const lane = { session: "agent:main:main", waitingMessages: 0, why: null, position: null, etaMs: 0, waitedMs: 0, turns: [{ handle: "T1", track: "main", startedAt: 0, about: "research" }] };
  const lanes = { pools: [pool], lanes: [lane], parked: [], accounts: [], memoryWaits: [], draining: false };
  const tasks = [{ taskId: "k1", label: "solar", state: "running", queuedAt: 0, startedAt: 0, usage: { input: 1, output: 2 } }];
  const { home, requests } = await standIn(t, { "GET /api/lanes": lanes, "GET /api/tasks": { tasks } });
  const { out, exitCode } = await yard(home, ["top"], { clock: new ManualClock() });
  assert.match(out, /main +1 of 4[\s\S]*T1 runs[\s\S]*solar +running/);
  assert.equal(exitCode, 0);
  assert.equal(requests.find(({ route }) => route === "GET /api/tasks")!.query.get("state"), "queued,running,waiting");
  assert.deepEqual(JSON.parse((await yard(home, ["top", "--json"])).out), { lanes, tasks });
});

test("import openclaw shows what it would take over, takes it with --yes, overwrites nothing and prints no secret", async (t) => {
  const [home, other] = [await stateDir(t), await stateDir(t)];
  await mkdir(join(other, "workspace"));
  for (const name of ["AGENTS.md", "SOUL.md"]) await writeFile(join(other, "workspace", name), `theirs: ${name}`);
  await mkdir(join(home, "workspace"));
  await writeFile(join(home, "workspace", "SOUL.md"), "ours");
  await writeFile(
    join(other, "openclaw.json"),
    `{ // with comments
      agents: { defaults: { maxConcurrent: 6, model: { primary: "acme/large", fallbacks: ["acme/small"] }, subagents: { maxSpawnDepth: 99 } } },
      models: { providers: { acme: { api: "openai-completions", baseUrl: "http://127.0.0.1:1/v1", apiKey: "sk-very-secret", models: ["large", "small"] } } },
      gateway: { port: 18789 }, telemetry: { on: true },
    }`,
  );
  const shown = await yard(home, ["import", "openclaw", other]);
  assert.deepEqual([shown.exitCode, (await yard(home, ["config", "get", "agents.defaults.maxConcurrent"])).out], [0, "4\n"], "nothing was changed");
  assert.doesNotMatch(shown.out, /very-secret/);
  assert.match(shown.out, /left out +agents\.defaults\.subagents\.maxSpawnDepth +.*0\.\.5[\s\S]*left out +telemetry\.on +there is no such setting/);
  const { settings, files, done } = JSON.parse((await yard(home, ["import", "openclaw", other, "--yes", "--json"])).out) as { settings: string[]; files: string[]; done: boolean };
  assert.deepEqual([settings.toSorted(), files, done], [["agents.defaults.fallbackModels", "agents.defaults.maxConcurrent", "agents.defaults.model", "models.providers"], ["AGENTS.md"], true]);
  assert.equal((await yard(home, ["config", "get", "agents.defaults.model"])).out, "acme/large\n");
  assert.deepEqual([await readFile(join(home, "workspace", "AGENTS.md"), "utf8"), await readFile(join(home, "workspace", "SOUL.md"), "utf8")], ["theirs: AGENTS.md", "ours"]);
  assert.equal((await yard(home, ["import", "openclaw", home])).exitCode, 2, "there is no such installation");
});

test("doctor --security fails for what nobody can mean, notes the doors that settings open, and is content with a fresh installation", async (t) => {
  const home = await stateDir(t);
  const levels = async (): Promise<Record<string, string>> => {
    const { findings } = JSON.parse((await yard(home, ["doctor", "--security", "--json"])).out) as { findings: { check: string; level: string }[] };
    return Object.fromEntries(findings.map(({ check, level }) => [check, level]));
  };
  assert.equal((await yard(home, ["doctor", "--security"])).exitCode, 0);
  await writeFile(join(home, "yardmaster.json5"), "{ gateway: { allowNetwork: true }, tools: { web: { allowPrivate: ['localhost:3000'] } } }", { mode: 0o600 });
  assert.deepEqual((({ files, network, web_fetch: web }) => ({ files, network, web }))(await levels()), { files: "ok", network: "note", web: "note" });
  await chmod(join(home, "yardmaster.json5"), 0o644);
  const { exitCode, out } = await yard(home, ["doctor", "--security"]);
  assert.equal(exitCode, 1);
  assert.match(out, /bad +files +other users have rights to yardmaster\.json5; run: chmod go= /);
  await writeFile(join(home, "token"), "short\n", { mode: 0o600 });
  assert.equal((await levels())["token"], "bad");
});

test("a tree is drawn with each child below its parent, its cost, its attempt, what is left to it and what it waits for", () => {
  const budget = { limit: { tokens: 100 }, left: { tokens: 40 } };
  const task = (taskId: string, parentTask: string | null) => ({ taskId, parentTask, label: taskId.toUpperCase(), state: "running", queuedAt: 0, endedAt: null, usage: { input: 0, output: 0, cost: 0 }, attempt: taskId === "d" ? 2 : 1, claims: [], budget: taskId === "b" ? budget : null, aliveAt: taskId === "c" ? 2000 : null, waitsFor: taskId === "a" ? { why: "children", tasks: ["b", "c"], until: null } : null }) as unknown as FlowTask;
  assert.deepEqual(treeLines([task("a", null), task("b", "a"), task("c", "a"), task("d", "elsewhere")], 5000), [
    "├─ A  running  5s  $0.0000  a  waits for B, C",
    "│  ├─ B  running  5s  $0.0000  b  40 of 100 tokens left",
    "│  └─ C  running  5s  $0.0000  c  last step 3s ago",
    "└─ D  running  5s  $0.0000  d  attempt 2",
  ]);
});
