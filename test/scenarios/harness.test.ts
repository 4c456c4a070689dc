/** Harnesses through the real program: a scripted one works on children, and everything it does is known and bounded. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ApiEvent, ApiTask, ApiWorkspace, SpawnAccepted } from "../../src/api/wire.ts";
import { startGateway, type Gateway } from "../support/gateway.ts";
import { harnessConfig, heardBy, scripted, workFolder } from "../support/harness.ts";
import { wasTooBusy, watchMachine } from "../support/machine-load.ts";
import { allGone, processesWith } from "../support/processes.ts";
import { makeRepository } from "../support/workspaces.ts";
import type { Manner, Misdeed, Step } from "../support/scripted-harness.ts";

interface Bench {
  readonly gateway: Gateway;
  readonly cwd: string;
  spawn(steps: readonly Step[] | string, more?: Readonly<Record<string, unknown>>): Promise<SpawnAccepted>;
  /** Spawns and waits for the end. */
  run(steps: readonly Step[] | string, more?: Readonly<Record<string, unknown>>): Promise<ApiTask>;
  ended(task: SpawnAccepted): Promise<ApiTask>;
  events(task: Pick<ApiTask, "session">): Promise<readonly ApiEvent[]>;
  /** Everything that the harness said, in lines. */
  said(task: Pick<ApiTask, "session">): Promise<readonly string[]>;
}

async function bench(t: TestContext, manner: Manner = {}, settings: Readonly<Record<string, unknown>> = {}): Promise<Bench> {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd, manner, { "acp.approvalSeconds": 1, ...settings }) });
  const body = (steps: readonly Step[] | string, more = {}) => ({ runtime: "acp", agent: "scripted", cwd, task: typeof steps === "string" ? steps : JSON.stringify(steps), ...more });
  // Whatever the test was about: what ran is gone with its gateway.
  t.after(() => allGone(cwd));
  return {
    gateway,
    cwd,
    spawn: (steps, more) => gateway.api("POST", "/api/spawns", body(steps, more)),
    async run(steps, more) {
      const { task } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { ...body(steps, more), wait: true, waitSeconds: 60 });
      return task!;
    },
    async ended({ taskId }) {
      await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId, { timeoutMs: 40_000 });
      return gateway.api("GET", `/api/tasks/${taskId}`);
    },
    async events({ session }) {
      const { lastSeq } = (await gateway.api("GET", `/api/sessions/${encodeURIComponent(session)}`)) as { lastSeq: number };
      const events: ApiEvent[] = [];
      for await (const event of gateway.events(session)) {
        events.push(event);
        if ((event.seq ?? 0) >= lastSeq) break;
      }
      return events;
    },
    async said({ session }) {
      const { entries } = await gateway.api<{ entries: { role: string; text: string }[] }>("GET", `/api/sessions/${encodeURIComponent(session)}/history`);
      return entries.filter(({ role }) => role === "assistant").flatMap(({ text }) => text.split("\n")).filter((line) => line !== "" && !line.startsWith("("));
    },
  };
}

/** A gateway with one harness for each manner, all of them at work at once. */
async function benchOfMany(t: TestContext, manners: readonly Manner[], settings: Readonly<Record<string, unknown>> = {}): Promise<{ gateway: Gateway; cwd: string; runEach(task: string, more?: object): Promise<readonly ApiTask[]> }> {
  const cwd = workFolder(t);
  const agents = Object.fromEntries(manners.map((manner, n) => [`h${n}`, scripted(cwd, manner)]));
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "acp.agents": agents, "acp.approvalSeconds": 1, ...settings }) });
  t.after(() => allGone(cwd));
  const run = async (agent: string, task: string, more: object): Promise<ApiTask> => (await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent, cwd, task, ...more, wait: true, waitSeconds: 60 })).task!;
  return { gateway, cwd, runEach: (task, more = {}) => Promise.all(Object.keys(agents).map((agent) => run(agent, task, more))) };
}

/** Resident memory at its highest so far, megabytes. */
function peakMb(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
}

function nested(depth: number): unknown {
  return depth === 0 ? 0 : [nested(depth - 1)];
}

/** Questions that wait for somebody. */
async function openQuestions(gateway: Gateway): Promise<number> {
  return (await gateway.api<{ approvals: readonly unknown[] }>("GET", "/api/approvals?state=pending")).approvals.length;
}

test("what a harness wants to change outside of its workspace's claim is denied, also where everything is approved, until the claim is widened", async (t) => {
  const { gateway, cwd, run, said } = await bench(t, {}, { "acp.permissionMode": "approve-all", "acp.allowUnsandboxed": true, "workspaces.freeBytesMin": 0 });
  const { workspaceId, dir } = await gateway.api<ApiWorkspace>("POST", "/api/workspaces", { repository: makeRepository(join(cwd, "shop"), { "readme.md": "x\n" }), label: "auth", claims: ["src/auth/**"] });
  const asks = (path: string, more: object = {}) => ({ ask: { name: "Edit", kind: "edit", input: { file_path: join(dir, path) }, ...more } });
  const writes = (path: string) => ({ call: "fs/write_text_file", params: { path: join(dir, path), content: "x" } });
  const steps: readonly Step[] = [
    asks("src/auth/a.ts"),
    asks("src/pay/b.ts"),
    asks("src/auth/a.ts", { content: [{ type: "diff", path: join(dir, "src/pay/b.ts"), oldText: "", newText: "x" }] }),
    { ask: { name: "Read", kind: "read", input: { file_path: join(dir, "readme.md") } } },
    writes("src/pay/b.ts"),
    writes("src/auth/a.ts"),
  ];
  const before = await run(steps, { cwd: dir });
  assert.deepEqual((await said(before)), [
    "Edit: o-allow_once (1)",
    "Edit: o-reject_once (1)",
    "Edit: o-reject_once (1)",
    "Read: o-allow_once (1)",
    `fs/write_text_file: {"code":-32002,"message":"fs/write_text_file ${dir}/src/pay/b.ts: not permitted"}`,
    "fs/write_text_file: {}",
  ]);
  assert.deepEqual([existsSync(join(dir, "src/pay/b.ts")), existsSync(join(dir, "src/auth/a.ts"))], [false, true]);
  await gateway.waitEvent(({ type, data }) => type === "notice" && data["code"] === "CLAIM_OUTSIDE");

  await gateway.api("POST", `/api/workspaces/${workspaceId}/widen`, { claims: ["src/pay"] });
  await run([writes("src/pay/b.ts")], { cwd: dir });
  assert.equal(existsSync(join(dir, "src/pay/b.ts")), true);
});

test("a worktree of a trusted checkout is trusted as long as the files by which a harness would act are as they were there", async (t) => {
  const { gateway, cwd, run } = await bench(t, {}, { "workspaces.freeBytesMin": 0 });
  const files = { "readme.md": "x\n", ".gitignore": "*.local.json\n", ".claude/settings.json": "{}\n" };
  const repository = makeRepository(join(cwd, "shop"), files);
  const { dir } = await gateway.api<ApiWorkspace>("POST", "/api/workspaces", { repository, label: "auth" });
  await gateway.api("PATCH", "/api/config", { "acp.agents": { claude: scripted(cwd) } });
  const outcome = async (): Promise<string> => (await run([{ say: "hello" }], { cwd: dir, agent: "claude" })).fault?.code ?? "done";
  assert.equal(await outcome(), "ACP_WORKSPACE_UNTRUSTED");
  await gateway.api("PATCH", "/api/config", { "acp.trustedWorkspaces": [repository] });
  assert.equal(await outcome(), "done");
  for (const path of [".claude/settings.json", ".claude/settings.local.json"]) {
    writeFileSync(join(dir, path), '{"hooks": 1}\n');
    assert.equal(await outcome(), "ACP_WORKSPACE_UNTRUSTED", path);
    if (path in files) writeFileSync(join(dir, path), files[path as keyof typeof files]);
  }
});

test("what stands above a folder that belongs to no repository is looked at too, up to the person's home", async (t) => {
  const { gateway, cwd, run } = await bench(t);
  const [above, below] = [join(cwd, "x"), join(cwd, "x", "y", "z")];
  mkdirSync(below, { recursive: true });
  await gateway.api("PATCH", "/api/config", { "acp.agents": { opencode: scripted(cwd) } });
  assert.equal((await run([{ say: "hello" }], { cwd: below, agent: "opencode" })).result, "hello");
  writeFileSync(join(above, "opencode.json"), '{"plugin": ["./x.js"]}');
  const { fault } = await run([{ say: "hello" }], { cwd: below, agent: "opencode" });
  assert.equal(fault?.code, "ACP_WORKSPACE_UNTRUSTED");
  assert.ok(fault!.message.includes(join(above, "opencode.json")), fault!.message);
  const home = workFolder(t);
  mkdirSync(join(home, "y"));
  writeFileSync(join(home, "opencode.json"), "{}");
  const theirs = await startGateway(t, { config: harnessConfig(cwd, {}, { "acp.agents": { opencode: scripted(cwd) } }), env: { HOME: home } });
  const { task } = await theirs.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "opencode", cwd: join(home, "y"), task: '[{"say":"at home"}]', wait: true, waitSeconds: 60 });
  assert.equal(task!.result, "at home", "it is the person's own there");
});

test("each session of a known harness has a folder of configuration of its own, whatever its name for that is", async (t) => {
  const own = { claude: ["CLAUDE_CONFIG_DIR"], codex: ["CODEX_HOME"], gemini: ["GEMINI_CLI_HOME"], copilot: ["COPILOT_HOME"], opencode: ["XDG_CONFIG_HOME", "OPENCODE_TEST_HOME", "OPENCODE_DB"] };
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "acp.agents": Object.fromEntries(Object.keys(own).map((id) => [id, scripted(cwd)])), "acp.maxConcurrentSessions": 4 }) });
  for (const [agent, names] of Object.entries(own)) {
    const folders = new Set<string>();
    for (const _ of [1, 2]) {
      const { childSessionKey, taskId } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent, cwd, task: JSON.stringify([{ say: "here" }, { wait: "cancel" }]) });
      await gateway.waitEvent((event) => event.type === "text.delta", { session: childSessionKey });
      const { pid } = processesWith(cwd)[0]!;
      const env = new Map(readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
      for (const name of names) {
        const at = env.get(name)!;
        assert.ok(at.startsWith(`${gateway.home}/`), `${agent}: ${name}=${at}`);
        folders.add(at);
      }
      await gateway.api("POST", `/api/tasks/${taskId}/cancel`);
      await allGone(cwd);
    }
    assert.equal(folders.size, names.length * 2, `${agent}: not shared by sessions`);
  }
});

test("a harness works on a child like an agent of our own: its words are the result, its tools are events and history", async (t) => {
  const { gateway, run, events, cwd } = await bench(t);
  const task = await run([{ say: "Looking. " }, { tool: { id: "t1", name: "Grep", input: { q: "x" }, output: "two hits" } }, { update: { sessionUpdate: "plan", entries: [] } }, { update: { sessionUpdate: "from_the_future", n: 7 } }, { say: "Found two." }]);

  assert.equal(task.state, "succeeded", JSON.stringify(task.fault));
  assert.equal(task.result, "Found two.");
  assert.deepEqual([task.usage.input, task.usage.output, task.usage.calls], [10, 5, 1]);
  const seen = await events(task);
  assert.deepEqual(seen.filter(({ type }) => type.startsWith("tool.")).map(({ type, data }) => [type, data["tool"], data["ok"] ?? data["input"]]), [["tool.started", "Grep", '{"q":"x"}'], ["tool.ended", "Grep", true]]);
  assert.deepEqual(seen.filter(({ type }) => type === "harness.update").map(({ data }) => data["kind"]), ["plan", "from_the_future"], "what nobody knows is kept as it came");
  const { entries } = await gateway.api<{ entries: { role: string; text: string }[] }>("GET", `/api/sessions/${encodeURIComponent(task.session)}/history`);
  assert.deepEqual(entries.map(({ role }) => role), ["user", "assistant", "tool", "assistant"]);
  assert.match(entries[2]!.text, /two hits/);
  await allGone(cwd);
});

test("two harnesses work at once, each session with a process of its own", async (t) => {
  const { gateway, spawn, ended, cwd } = await bench(t);
  const steps: readonly Step[] = [{ say: "started" }, { wait: "cancel" }];
  const tasks = await Promise.all([spawn(steps), spawn(steps)]);
  for (const { childSessionKey } of tasks) await gateway.waitEvent((event) => event.type === "harness.state", { session: childSessionKey });
  assert.equal(new Set(heardBy(cwd).map(({ pid }) => pid)).size, 2);
  for (const { taskId } of tasks) await gateway.api("POST", `/api/tasks/${taskId}/cancel`);
  for (const task of tasks) assert.equal((await ended(task)).state, "cancelled");
  await allGone(cwd);
});

test("a stop cancels the harness, and nothing of it is left, grandchildren that left its session included", async (t) => {
  const { gateway, spawn, ended, cwd } = await bench(t);
  const task = await spawn([{ child: "setsid" }, { child: "plain" }, { say: "waiting" }, { wait: "cancel" }]);
  await gateway.waitEvent((event) => event.type === "text.delta", { session: task.childSessionKey });
  assert.equal(processesWith(cwd).length, 3);
  await gateway.api("POST", `/api/tasks/${task.taskId}/cancel`);
  assert.equal((await ended(task)).state, "cancelled");
  await allGone(cwd);
  assert.ok(heardBy(cwd).some(({ method }) => method === "session/cancel"), "it was asked to stop first");
});

test("a deadline ends a harness that answers nothing and ignores the request to end", async (t) => {
  const { spawn, ended, cwd } = await bench(t, { stubborn: true }, { "acp.cancelGraceSeconds": 1 });
  const task = await spawn([{ child: "setsid" }, { wait: "ever" }], { deadlineSeconds: 2 });
  assert.equal((await ended(task)).state, "timed_out");
  await allGone(cwd);
});

// ── what it may do ──────────────────────────────────────────────────────────────────────────

test("every request for a permission gets one answer: a kind, a title and an unknown tool are nobody's leave", async (t) => {
  const { run, said, cwd } = await bench(t);
  const task = await run([
    { ask: { name: "Flood" }, times: 1000 },
    { ask: { name: "Read", kind: "read", input: { file_path: "/etc/shadow" } } },
    { ask: { name: "Write", kind: "read", input: { file_path: "x", content: "y" } } },
    { ask: { name: "NoWayToSayNo", kinds: ["allow_always"] } },
  ]);
  assert.deepEqual(await said(task), ["Flood: o-reject_once (1000)", "Read: o-reject_once (1)", "Write: o-reject_once (1)", "NoWayToSayNo: cancelled (1)"]);
  await allGone(cwd);
});

test("approve-all approves once and never for ever, and without a word about the sandbox it is not approve-all", async (t) => {
  const careful = await bench(t, {}, { "acp.permissionMode": "approve-all" });
  assert.equal((await careful.run([{ ask: { name: "Bash" } }])).result, "Bash: o-reject_once (1)\n");
  const open = await bench(t, {}, { "acp.permissionMode": "approve-all", "acp.allowUnsandboxed": true });
  const task = await open.run([{ ask: { name: "Bash" } }]);
  assert.equal(task.result, "Bash: o-allow_once (1)\n");
  assert.ok((await open.events(task)).some(({ type, data }) => type === "notice" && data["code"] === "HARNESS_UNSANDBOXED"), "and says so");
});

test("a request after the end, for another session or while the turn is stopped is cancelled, and the next turn is not harmed", async (t) => {
  const { gateway, spawn, run, ended, cwd } = await bench(t);
  const task = await run([{ call: "session/request_permission", params: { sessionId: "another", toolCall: { toolCallId: "c" }, options: [] } }, { update: { sessionUpdate: "agent_message_chunk" } }, { afterwards: [{ say: "too late" }, { ask: { name: "Late" } }] }]);
  assert.equal(task.result, 'session/request_permission: {"outcome":{"outcome":"cancelled"}}\n');
  const asking = await spawn([{ say: "asking" }, { call: "session/request_permission", params: { toolCall: { toolCallId: "c" }, options: [] } }, { wait: "cancel" }]);
  await gateway.waitEvent((event) => event.type === "text.delta", { session: asking.childSessionKey });
  await gateway.api("POST", `/api/tasks/${asking.taskId}/cancel`);
  assert.equal((await ended(asking)).state, "cancelled");
  await allGone(cwd);
});

test("files are read and written inside the workspace only, and written only with leave", async (t) => {
  const { run, cwd } = await bench(t, {}, { "acp.permissionMode": "approve-all", "acp.allowUnsandboxed": true });
  writeFileSync(join(cwd, "a.txt"), "one\ntwo\nthree");
  const task = await run([
    { call: "fs/read_text_file", params: { path: join(cwd, "a.txt"), line: 2, limit: 1 } },
    { call: "fs/read_text_file", params: { path: join(cwd, "none.txt") } },
    { call: "fs/read_text_file", params: { path: "/etc/hostname" } },
    { call: "fs/read_text_file", params: { path: `${cwd}/../../etc/hostname` } },
    { call: "fs/write_text_file", params: { path: join(cwd, "b.txt"), content: "new" } },
    { call: "fs/write_text_file", params: { path: "/tmp/yard-escaped", content: "new" } },
  ]);
  const lines = task.result!.trimEnd().split("\n");
  assert.match(lines[0]!, /"content":"two"/);
  assert.match(lines[1]!, /-32002/);
  for (const line of [lines[2]!, lines[3]!, lines[5]!]) assert.match(line, /"code"/);
  assert.equal(readFileSync(join(cwd, "b.txt"), "utf8"), "new");
  const careful = await bench(t);
  assert.match((await careful.run([{ call: "fs/write_text_file", params: { path: join(careful.cwd, "b.txt"), content: "new" } }])).result!, /not permitted/);
});

test("a terminal runs a command with leave, tells its output and end, and dies with the session", async (t) => {
  const { run, cwd } = await bench(t, {}, { "acp.permissionMode": "approve-all", "acp.allowUnsandboxed": true });
  const task = await run([
    { call: "terminal/create", params: { command: "sh", args: ["-c", "echo hi; exit 3"] } },
    { call: "terminal/wait_for_exit", params: { terminalId: "t1" } },
    { call: "terminal/output", params: { terminalId: "t1" } },
    { call: "terminal/release", params: { terminalId: "t1" } },
    { call: "terminal/output", params: { terminalId: "t1" } },
    { call: "terminal/create", params: { command: "sleep", args: ["1000"] } },
  ]);
  const lines = task.result!.trimEnd().split("\n");
  assert.match(lines[1]!, /"exitCode":3/);
  assert.match(lines[2]!, /"output":"hi\\n"/);
  assert.match(lines[4]!, /no terminal t1/);
  await allGone(cwd);
});

test("a harness sees a few harmless variables and none of the gateway's own", async (t) => {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd), env: { NODE_OPTIONS: "--no-warnings", ANTHROPIC_API_KEY: "sk-not-for-it", SECRET_THING: "x", LC_ALL: "C.UTF-8" } });
  const spawned = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, task: JSON.stringify([{ say: "here" }, { wait: "cancel" }]) });
  await gateway.waitEvent((event) => event.type === "text.delta", { session: spawned.childSessionKey });
  const { pid } = processesWith(cwd)[0]!;
  const names = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").map((pair) => pair.split("=")[0]!).filter((name) => name !== "").sort();
  assert.deepEqual(names, ["HARNESS", "HARNESS_STATE", "HOME", "LANG", "LC_ALL", "PATH", "YARD_MARK"]);
});

test("a harness in one long call goes on while files change, and is over in time when it only talks", async (t) => {
  const { run, cwd } = await bench(t);
  const call = { update: { sessionUpdate: "tool_call", toolCallId: "c1", title: "build", kind: "execute", status: "in_progress", rawInput: { command: "make" } } };
  const rounds = (step: (n: number) => Step): Step[] => Array.from({ length: 15 }, (_, n) => [step(n), { sleep: 400 }]).flat();
  const builds = await run([call, ...rounds((n) => ({ write: { path: join(cwd, `part${n}`), text: "x" } })), { say: "built" }], { progressSeconds: 3 });
  assert.deepEqual([builds.state, builds.result], ["succeeded", "built"]);
  const talks = await run([call, ...rounds(() => ({ say: "nearly there\n" }))], { progressSeconds: 3 });
  assert.deepEqual([talks.state, talks.fault?.code], ["timed_out", "CHILD_STALLED"]);
  await allGone(cwd);
});

test("a key of the gateway that a harness finds in a file is masked in what it says, in the log and in the result", async (t) => {
  const key = "a-key-that-the-gateway-knows";
  const { run, cwd, events, said } = await bench(t, {}, { "models.providers": { other: { api: "openai-completions", baseUrl: "http://127.0.0.1:9/v1", apiKey: key } } });
  writeFileSync(join(cwd, "found"), key);
  const task = await run([{ attempt: "read", at: join(cwd, "found") }]);
  assert.deepEqual([task.state, task.result?.trim()], ["succeeded", `read ${join(cwd, "found")}: [secret]`]);
  assert.ok(!JSON.stringify([await events(task), await said(task)]).includes(key));
});

// ── what it may get wrong ───────────────────────────────────────────────────────────────────

const FATAL = ["exit 0", "exit 1", "segv", "close output", "half a line", "long line", "64 MB line"] as const;

for (const method of ["initialize", "session/new", "session/prompt"] as const) {
  test(`a harness that breaks off at ${method} in whatever way is a failed child that says why, and nothing is left`, async (t) => {
    const { runEach, cwd } = await benchOfMany(t, [...FATAL, "error"].map((misdeed) => ({ at: { [method]: misdeed as Misdeed } })), { "acp.maxConcurrentSessions": 4 });
    for (const task of await runEach("hello")) {
      assert.equal(task.state, "failed");
      assert.equal(task.fault!.code, method === "session/prompt" ? "ACP_TURN_FAILED" : "ACP_SESSION_INIT_FAILED", JSON.stringify(task.fault));
    }
    await allGone(cwd);
  });

  test(`a harness that never answers ${method} is given up in time`, async (t) => {
    const { run, cwd } = await bench(t, { at: { [method]: "hang" } }, { "acp.startTimeoutSeconds": 1, "agents.defaults.timeoutSeconds": 3 });
    const task = await run("hello", { deadlineSeconds: 4 });
    assert.ok(task.state === "failed" || task.state === "timed_out", task.state);
    await allGone(cwd);
  });

  test(`noise at ${method} is passed over: greetings, lists, answers to nothing, bytes that are no text, a flood of errors`, async (t) => {
    const { runEach } = await benchOfMany(t, (["nonsense", "latin", "flood"] as const).map((misdeed) => ({ at: { [method]: misdeed } })));
    for (const task of await runEach("hello")) assert.equal(task.result, "echo: hello");
  });
}

for (const [method, manner, more] of [
  ["session/set_mode", { modes: ["default", "careful"] }, {}],
  ["session/set_config_option", { models: ["one", "two"] }, { model: "two" }],
] as const) {
  test(`a harness that breaks off at ${method} in whatever way cannot start and says so, and nothing is left`, async (t) => {
    const cwd = workFolder(t);
    const agents = Object.fromEntries([...FATAL, "error"].map((misdeed, n) => [`h${n}`, { ...scripted(cwd, { ...manner, at: { [method]: misdeed as Misdeed } }), ...("modes" in manner ? { mode: "careful" } : {}) }]));
    const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "acp.agents": agents }) });
    const tasks = await Promise.all(Object.keys(agents).map((agent) => gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent, cwd, task: "hello", ...more, wait: true, waitSeconds: 60 })));
    for (const { task } of tasks) assert.ok(["ACP_SESSION_INIT_FAILED", "ACP_TURN_FAILED"].includes(task!.fault!.code), JSON.stringify(task!.fault));
    await allGone(cwd);
  });
}

test("a harness that breaks off when it is cancelled, in whatever way, is cancelled once, and nothing is left", async (t) => {
  const misdeeds = [...FATAL, "error", "hang"] as const;
  const { gateway, cwd } = await benchOfMany(t, misdeeds.map((misdeed) => ({ at: { "session/cancel": misdeed } })), { "acp.cancelGraceSeconds": 1, "acp.maxConcurrentSessions": 20 });
  const states = await Promise.all(
    misdeeds.map(async (_, n) => {
      const { taskId, childSessionKey } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: `h${n}`, cwd, task: '[{"say":"here"},{"wait":"ever"}]' });
      await gateway.waitEvent(({ type }) => type === "text.delta", { session: childSessionKey });
      await gateway.api("POST", `/api/tasks/${taskId}/cancel`);
      await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId);
      return (await gateway.api<ApiTask>("GET", `/api/tasks/${taskId}`)).state;
    }),
  );
  assert.deepEqual(states, misdeeds.map(() => "cancelled"));
  await allGone(cwd);
});

test("a harness that dies with its questions open leaves none of them, and asks anew when it goes on", { timeout: 120_000 }, async (t) => {
  const { gateway, cwd, runEach } = await benchOfMany(t, FATAL.map(() => ({ load: true })), { "acp.approvalSeconds": 600, "acp.maxConcurrentSessions": 10 });
  // Each has its own way to die; the list says which by the number of its agent.
  const steps = (misdeed: Misdeed): string => JSON.stringify([{ once: `died-${misdeed}`, steps: [{ ask: { name: "Write" }, times: 3, andGoOn: true }, { call: "session/nothing", params: {} }, { misdeed }] }, { until: join(cwd, "go") }, { say: "Whole." }]);
  const running = Promise.all(FATAL.map((misdeed, n) => gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: `h${n}`, cwd, task: steps(misdeed), wait: true, waitSeconds: 60 })));
  const prompts = (): number => (existsSync(join(cwd, "heard")) ? heardBy(cwd).filter(({ method }) => method === "session/prompt").length : 0);
  while (prompts() < FATAL.length * 2 && !t.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(await openQuestions(gateway), 0, "they go on, and nobody is asked in the name of the dead");
  writeFileSync(join(cwd, "go"), "");
  for (const [n, { task }] of (await running).entries()) assert.deepEqual([FATAL[n], task!.result], [FATAL[n], "Whole."], JSON.stringify(task!.fault));
  assert.equal((await runEach("hello")).length, FATAL.length);
});

test("a line of 64 MB, with its end or without, costs the gateway no more than it lets a line have", async (t) => {
  const { gateway, run } = await bench(t);
  await run("hello");
  const before = peakMb(gateway.pid);
  for (let round = 0; round < 3; round++) assert.match((await run([{ misdeed: "64 MB line" }])).fault!.message, /line of over \d+ bytes/);
  const grown = peakMb(gateway.pid) - before;
  t.diagnostic(`the gateway's peak grew by ${Math.round(grown)} MB over 576 MB of lines`);
  assert.ok(grown < 48, `${grown} MB`);
});

test("values nested 300 000 deep, names that mean something to JavaScript and numbers beyond any are taken as they come or passed over", async (t) => {
  const { gateway, run, cwd } = await bench(t);
  const line = (text: string): { raw: string } => ({ raw: `${text}\n` });
  const update = (fields: string): { raw: string } => line(`{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"x","update":${fields}}}`);
  for (const depth of [1_000, 20_000, 300_000]) {
    const deep = `DEEP${depth}`;
    const task = await run([update(`{"sessionUpdate":"plan","entries":${deep}}`), line(`{"jsonrpc":"2.0","id":1,"result":${deep}}`), line(`{"jsonrpc":"2.0","id":${depth},"method":"fs/read_text_file","params":${deep}}`), { call: "terminal/create", params: { deep: nested(100) } }, { say: `still here ${depth}` }]);
    assert.match(task.result ?? "", new RegExp(`^terminal/create: .*nested deeper than 64 levels.*\\nstill here ${depth}$`), JSON.stringify(task.fault));
  }
  const odd = await run([
    update('{"sessionUpdate":"__proto__","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'),
    { update: { sessionUpdate: "toString" } },
    { update: { sessionUpdate: "usage_update", used: 1e308, size: -1, cost: { amount: 1e300, currency: "USD" } } },
    { update: { sessionUpdate: "tool_call", toolCallId: { toString: 1 }, kind: [], status: 7, rawInput: "no object" } },
    line('{"jsonrpc":"2.0","id":1e999,"method":"fs/read_text_file","params":{}}'),
    line('{"jsonrpc":"2.0","id":"\\u0000","method":"terminal/create","params":null}'),
    { say: "odd" },
  ]);
  assert.equal(odd.result, "odd", JSON.stringify(odd.fault));
  assert.equal((await gateway.api<{ state: string }>("GET", `/api/sessions/${encodeURIComponent(odd.session)}`)).state, "idle");
  await allGone(cwd);
});

test("noise in the middle of a turn changes nothing: requests of a used id, updates of other sessions and after the end", async (t) => {
  const { run } = await bench(t);
  const line = (message: object): string => `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`;
  const task = await run([
    { raw: line({ id: 7, method: "fs/read_text_file", params: { sessionId: "x", path: "/etc/hostname" } }) },
    { raw: line({ id: 7, method: "fs/read_text_file", params: { sessionId: "x", path: "/etc/hostname" } }) },
    { raw: line({ id: 8, method: "no/such_method", params: {} }) },
    { raw: line({ method: "session/update", params: { sessionId: "another", update: { sessionUpdate: "agent_message_chunk", content: { type: "text", text: "not mine" } } } }) },
    { raw: line({ method: "session/update", params: { update: 7 } }) },
    { raw: line({ id: 0, result: { stopReason: "end_turn" } }) },
    { say: "mine" },
    { afterwards: [{ say: "late" }] },
  ]);
  assert.equal(task.result, "mine");
});

test("a flood of updates and of errors neither fills the memory nor holds up the gateway", async (t) => {
  const { gateway, spawn, ended } = await bench(t);
  const task = await spawn([{ flood: { lines: 40_000, to: "stdout" } }, { flood: { lines: 20_000, to: "stderr" } }, { say: "done" }]);
  const asked = performance.now();
  const lost = watchMachine();
  await gateway.api("GET", "/api/status");
  assert.ok(performance.now() - asked < 1_000 || wasTooBusy(lost()), "it answers meanwhile");
  assert.equal((await ended(task)).result, "done");
  assert.ok(peakMb(gateway.pid) < 300, `${peakMb(gateway.pid)} MB at the highest`);
});

test("a harness that ends without a word, or refuses, is a failure that says so", async (t) => {
  const { run } = await bench(t);
  assert.match((await run([{ stop: "end_turn" }])).fault!.message, /without a word/);
  assert.match((await run([{ say: "I must not. " }, { stop: "refusal" }])).fault!.message, /refused to go on: I must not/);
  assert.match((await run([{ say: "So far" }, { stop: "max_tokens" }])).result!, /^So far\n\n\[ended early/);
});

// ── going on ────────────────────────────────────────────────────────────────────────────────

for (const [how, manner] of [["load", { load: true, replay: 5_000 }], ["resume", { resume: true }], ["summary", {}]] as const) {
  test(`a harness that is killed in the middle of a turn goes on by ${how}, and the person is told`, async (t) => {
    const { run, events, cwd } = await bench(t, manner);
    const task = await run([{ say: "Half. " }, { tool: { id: "t1", name: "Edit", output: "edited" } }, { once: "killed", steps: [{ misdeed: "segv" }] }, { say: "Whole." }]);
    assert.equal(task.state, "succeeded", JSON.stringify(task.fault));
    assert.equal(task.result, "Whole.");
    const seen = await events(task);
    assert.deepEqual(seen.filter(({ type }) => type === "harness.state").map(({ data }) => data["how"]), ["new", how]);
    const notice = seen.find(({ type, data }) => type === "notice" && data["code"] === "HARNESS_RESTARTED");
    assert.match(String(notice?.data["text"]), how === "summary" ? /begins anew with a summary/ : new RegExp(`goes on from its own memory \\(${how}\\)`));
    assert.ok(!seen.some(({ data }) => JSON.stringify(data).includes("replayed")), "what it repeats of old times is not said again");
    assert.match(heardBy(cwd).findLast(({ method }) => method === "session/prompt")!.params.prompt[0].text, /^\[You were interrupted/);
    await allGone(cwd);
  });
}

test("a harness that breaks over its own memory, in whatever way, begins anew with a summary, and nothing of the broken one is left", async (t) => {
  const misdeeds = ["exit 0", "exit 1", "segv", "close output", "half a line", "long line", "64 MB line", "hang", "error"] as const;
  const loaded = misdeeds.map((misdeed) => ({ load: true, at: { "session/load": misdeed } }));
  const resumed = (["exit 1", "close output", "error"] as const).map((misdeed) => ({ resume: true, at: { "session/resume": misdeed } }));
  const { gateway, cwd, runEach } = await benchOfMany(t, [...loaded, ...resumed], { "acp.startTimeoutSeconds": 20 });
  const tasks = await runEach(JSON.stringify([{ tool: { id: "t1", name: "Edit", output: "edited" } }, { onceEach: true, steps: [{ misdeed: "segv" }] }, { say: "Whole." }]));
  for (const [n, task] of tasks.entries()) assert.deepEqual([n, task.result], [n, "Whole."], JSON.stringify(task.fault));
  for (const { session } of tasks) await gateway.waitEvent(({ type, data }) => type === "notice" && /begins anew with a summary/.test(String(data["text"])), { session });
  await allGone(cwd);
});

test("a harness that breaks off when its mode is set cannot start, and one that answers neither a cancel nor a close is ended", async (t) => {
  const cwd = workFolder(t);
  const agents = { bad: { ...scripted(cwd, { modes: ["default", "careful"], at: { "session/set_mode": "exit 1" } }), mode: "careful" }, deaf: scripted(cwd, { stubborn: true, at: { "session/close": "hang", "session/cancel": "hang" } }) };
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "acp.agents": agents, "acp.cancelGraceSeconds": 1 }) });
  const run = (agent: string, task: string, more = {}): Promise<SpawnAccepted> => gateway.api("POST", "/api/spawns", { runtime: "acp", agent, cwd, task, wait: true, waitSeconds: 60, ...more });
  assert.equal((await run("bad", "hello")).task!.fault!.code, "ACP_SESSION_INIT_FAILED");
  assert.equal((await run("deaf", "hello")).task!.result, "echo: hello");
  assert.equal((await run("deaf", JSON.stringify([{ wait: "ever" }]), { deadlineSeconds: 2 })).task!.state, "timed_out");
  await allGone(cwd, 20_000);
});

test("a harness that dies each time is given up after a few starts, with the reason", async (t) => {
  const { run, cwd } = await bench(t, { load: true });
  const task = await run([{ misdeed: "exit 1" }]);
  assert.equal(task.fault!.code, "ACP_TURN_FAILED");
  assert.match(task.fault!.message, /was lost 3 times while it worked \(it exited with 1\)/);
  await allGone(cwd);
});

test("after kill -9 of the gateway in the middle of a turn the harness is ended, started again, and the turn goes on", async (t) => {
  const { gateway, spawn, ended, cwd } = await bench(t, { load: true, stubborn: true });
  const task = await spawn([{ child: "setsid" }, { tool: { id: "t1", name: "Edit", output: "edited" } }, { once: "killed", steps: [{ say: "waiting" }, { wait: "ever" }] }, { say: "Whole." }]);
  await gateway.waitEvent((event) => event.type === "text.delta", { session: task.childSessionKey });
  const before = processesWith(cwd).map(({ pid }) => pid);
  await gateway.kill9();
  await gateway.start();
  assert.equal((await ended(task)).result, "Whole.");
  assert.equal(processesWith(cwd).filter(({ pid }) => before.includes(pid)).length, 0);
  await allGone(cwd);
});

test("words for a running harness go in by its own method, or become its next turn", async (t) => {
  const can = await bench(t, { steer: true });
  const steered = await can.spawn([{ say: "listening " }, { wait: "steering" }]);
  await can.gateway.waitEvent((event) => event.type === "text.delta", { session: steered.childSessionKey });
  await can.gateway.api("POST", `/api/tasks/${steered.taskId}/steer`, { text: "left!" });
  assert.equal((await can.ended(steered)).result, "listening steered: left!");

  const cannot = await bench(t);
  const later = await cannot.spawn([{ say: "busy" }, { sleep: 700 }]);
  await cannot.gateway.waitEvent((event) => event.type === "text.delta", { session: later.childSessionKey });
  await cannot.gateway.api("POST", `/api/tasks/${later.taskId}/steer`, { text: "left!" });
  assert.equal((await cannot.ended(later)).result, "echo: left!");
});

// ── the tools that it is lent ──────────────────────────────────────────────────────────────

test("a harness is lent the session tools: it hands work to another below its own session, and the token dies with its process", async (t) => {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "agents.defaults.subagents.maxSpawnDepth": 2 }) });
  const child = JSON.stringify([{ say: "found it" }]);
  const steps: readonly Step[] = [
    { attempt: "tool", at: "" },
    { attempt: "tool", at: "sessions_spawn", input: { task: child, runtime: "acp", agent: "scripted", label: "helper" } },
    { attempt: "tool", at: "sessions_yield", input: { timeoutSeconds: 60 } },
    { attempt: "tool", at: "board" },
    { attempt: "tool", at: "claims" },
  ];
  const { task } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, task: JSON.stringify(steps), wait: true, waitSeconds: 60 });
  const [list, spawned, yielded, board, claims] = task!.result!.trimEnd().split("\n");
  assert.match(list!, /board,claims,.*memory,.*sessions_send,sessions_spawn,sessions_yield/);
  assert.match(spawned!, /accepted/);
  assert.match(yielded!, /found it/);
  assert.match(board!, /"column":"done".*helper/);
  assert.match(claims!, /"yours":\[\]/);
  const { flows } = await gateway.api<{ flows: { flowId: string }[] }>("GET", "/api/flows");
  const { tasks } = await gateway.api<{ tasks: { label: string; flowId: string }[] }>("GET", "/api/tasks");
  assert.equal(tasks.find(({ label }) => label === "helper")!.flowId, task!.flowId, `one tree, of ${flows.length}`);
  await allGone(cwd);
  for (const until = Date.now() + 10_000; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const { tokens } = await gateway.api<{ tokens: { scope: string; revokedAt: number | null }[] }>("GET", "/api/tokens");
    if (tokens.length === 2 && tokens.every(({ revokedAt }) => revokedAt !== null)) break;
    assert.ok(Date.now() < until, `each process had one, and it is taken back: ${JSON.stringify(tokens)}`);
  }
});

test("a harness that speaks no HTTP gets the session tools as a program, and with acp.sessionTools off there are none", async (t) => {
  const { gateway, run, cwd } = await bench(t, { tools: "program" });
  assert.equal((await run("hello")).state, "succeeded");
  const [server] = heardBy(cwd).find(({ method }) => method === "session/new")!.params.mcpServers;
  assert.deepEqual([server.name, server.args.at(-1), server.env.map(({ name }: { name: string }) => name)], ["yardmaster", "mcp", ["YARD_TOKEN", "YARD_PORT"]]);
  await gateway.api("PATCH", "/api/config", { "acp.sessionTools": false });
  await run("hello again");
  assert.deepEqual(heardBy(cwd).findLast(({ method }) => method === "session/new")!.params.mcpServers, []);
  await allGone(cwd);
});

test("what a harness says between two prompts is in the next turn's log, and what it says before its session has a name is not lost", async (t) => {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd, { early: true }) });
  const say = async (text: string): Promise<string> => (await gateway.send(text, { session: "agent:main:api:direct:ann" })).commandReply ?? "";
  await say(`/acp spawn scripted --bind here --cwd ${cwd}`);
  await gateway.ask(JSON.stringify([{ say: "one" }, { afterwards: [{ sleep: 50 }, { update: { sessionUpdate: "from_the_future", n: 1 } }] }]), { session: "agent:main:api:direct:ann" });
  await new Promise((resolve) => setTimeout(resolve, 500));
  await gateway.ask("two", { session: "agent:main:api:direct:ann" });
  const { sessions } = await gateway.api<{ sessions: { key: string }[] }>("GET", "/api/sessions?kind=acp");
  const event = await gateway.waitEvent(({ type, data }) => type === "harness.update" && JSON.stringify(data).includes("from_the_future"), { session: sessions[0]!.key });
  assert.equal(event.data["kind"], "stray");
  assert.match(await say("/acp status"), /context 77 of 100 tokens/, "told before session/new was answered");
});

test("a harness that ends as if it were done although it says that it failed has failed", async (t) => {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "acp.agents": { codex: scripted(cwd) } }) });
  const failing = [{ update: { sessionUpdate: "session_info_update", _meta: { codex: { threadStatus: { type: "systemError" } } } } }, { say: "We are experiencing high demand." }];
  const run = async (steps: readonly object[]): Promise<ApiTask> => (await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "codex", cwd, task: JSON.stringify(steps), wait: true, waitSeconds: 60 })).task!;
  assert.match((await run(failing)).fault!.message, /could not go on: We are experiencing high demand/);
  assert.equal((await run([...failing, { update: { sessionUpdate: "session_info_update", _meta: { codex: { threadStatus: { type: "active" } } } } }])).state, "succeeded", "it came round");
});

test("a harness that switches its questions off by an option is ended, as by a mode", async (t) => {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "acp.agents": { copilot: scripted(cwd) } }) });
  const option = { id: "allow_all", name: "Allow all", category: "permissions", type: "select", currentValue: "on", options: [{ value: "on" }, { value: "off" }] };
  const steps = [{ update: { sessionUpdate: "config_option_update", configOptions: [option] } }, { sleep: 2_000 }, { say: "done as I like" }];
  const { task } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "copilot", cwd, task: JSON.stringify(steps), wait: true, waitSeconds: 60 });
  assert.match(task!.fault!.message, /allow_all=on, in which it asks nobody/);
  await allGone(cwd);
});

// ── where and how it starts ─────────────────────────────────────────────────────────────────

test("a harness that is not there, a folder that is not there and a name that nobody knows are said at once, with what to do", async (t) => {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "acp.agents": { ghost: { command: "/nowhere/ghost" } } }) });
  const unknown = await gateway.call("POST", "/api/spawns", { runtime: "acp", agent: "nobody", cwd, task: "x" });
  assert.deepEqual([unknown.status, unknown.body.code], [404, "ACP_AGENT_UNKNOWN"]);
  const { task } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "ghost", cwd, task: "x", wait: true });
  assert.equal(task!.fault!.code, "ACP_BACKEND_MISSING");
  await gateway.api("PATCH", "/api/config", { "acp.enabled": false });
  assert.equal((await gateway.call("POST", "/api/spawns", { runtime: "acp", agent: "ghost", cwd, task: "x" })).body.code, "ACP_DISABLED");
});

test("a start waits for memory, is shown waiting, and fails in words when it waited long enough", async (t) => {
  const { gateway, spawn, ended } = await bench(t, {}, { "acp.memoryReserveMb": 1_000_000, "acp.memoryWaitSeconds": 2 });
  const task = await spawn("hello");
  await gateway.waitEvent((event) => event.type === "turn.started", { session: task.childSessionKey });
  let waits: { harness: string; needsMb: number }[] = [];
  while (waits.length === 0) waits = (await gateway.api<{ memoryWaits: typeof waits }>("GET", "/api/lanes")).memoryWaits;
  assert.deepEqual([waits[0]!.harness, waits[0]!.needsMb], ["scripted", 50]);
  assert.equal((await ended(task)).fault!.code, "ACP_NO_MEMORY");
});

test("a harness that a person closes in the middle of a turn is not started again for it", async (t) => {
  const { gateway, spawn, cwd } = await bench(t, { load: true });
  const task = await spawn([{ say: "waiting" }, { wait: "ever" }]);
  await gateway.waitEvent((event) => event.type === "text.delta", { session: task.childSessionKey });
  await gateway.api("DELETE", `/api/sessions/${encodeURIComponent(task.childSessionKey)}`);
  await allGone(cwd);
  assert.equal(((await gateway.api("GET", `/api/tasks/${task.taskId}`)) as ApiTask).state, "cancelled");
  assert.equal(new Set(heardBy(cwd).map(({ pid }) => pid)).size, 1);
});

test("twenty harnesses at once leave the gateway quick and small", async (t) => {
  const { gateway, spawn, ended, cwd } = await bench(t, {}, { "acp.maxConcurrentSessions": 20 });
  const go = join(cwd, "go");
  const said = Array.from({ length: 100 }, (_, n): Step[] => [{ say: `word ${n} ` }, { sleep: 20 }]).flat();
  const steps: readonly Step[] = [{ say: "ready" }, { until: go }, ...said, { tool: { id: "t", name: "Grep", output: "x" } }, { say: "done" }];
  const tasks = await Promise.all(Array.from({ length: 20 }, () => spawn(steps)));
  for (const { childSessionKey } of tasks) await gateway.waitEvent((event) => event.type === "harness.state", { session: childSessionKey });
  await loopDelays(gateway);
  const lostTime = watchMachine();
  writeFileSync(go, "");
  const all = await Promise.all(tasks.map(ended));
  const delays = await loopDelays(gateway);
  assert.deepEqual(all.map(({ result }) => result), tasks.map(() => "done"));
  const rssMb = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${gateway.pid}/status`, "utf8"))![1]) / 1024;
  const { heldUp, stolen } = lostTime();
  const p99 = Number(/quantile="0\.99"\} (\S+)/.exec(delays)![1]);
  t.diagnostic(`loop ${delays}; held up ${heldUp.toFixed(2)}; resident ${rssMb.toFixed(0)} MB`);
  // Where others kept the processor, lateness is theirs.
  if (heldUp + stolen < HELD_UP_MAX) assert.ok(p99 < 0.05, `the loop was ${p99} s late`);
  assert.ok(rssMb < 300, `${rssMb} MB`);
  await allGone(cwd);
});

/** The part of the time in which something had to wait for the processor, above which nothing is said about lateness. */
const HELD_UP_MAX = 0.3;

/** How late the event loop was since the last call. */
async function loopDelays(gateway: Gateway): Promise<string> {
  const response = await fetch(`${gateway.url}/metrics`, { headers: { authorization: `Bearer ${gateway.token}` } });
  return (await response.text()).split("\n").filter((line) => line.startsWith("yard_event_loop_delay_seconds")).map((line) => line.replace("yard_event_loop_delay_seconds", "")).join(" ");
}
