import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ManualClock } from "../base/clock.ts";
import type { SessionKey, TurnId } from "../base/ids.ts";
import { MARK_VARIABLE } from "../base/process-table.ts";
import { BACKGROUND_MAX } from "./commands.ts";
import { makeBench, TURN, until } from "./tool-bench.test-support.ts";

const ON_LINUX = process.platform === "linux" ? {} : { skip: "needs /proc" };

/** The processes that a bench's commands still have. */
function leftOf(installation: string): readonly string[] {
  return readdirSync("/proc").filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, "latin1").includes(`${MARK_VARIABLE}=${installation}.`);
    } catch {
      return false;
    }
  });
}

function idIn(text: string): string {
  return /exec_[0-9a-z]+/.exec(text)![0];
}

test("a command's output comes in order with its exit code; a failure is an error", async (t) => {
  const { call } = makeBench(t);
  const good = await call("exec", { command: "echo out; echo err >&2; printf end" });
  assert.match(good.text, /^(out\nerr\nend|err\nout\nend|out\nend.*err)\n\[exit 0 · \d+\.\d s\]$/s);
  assert.equal(good.isError, false);
  const bad = await call("exec", { command: "echo no; exit 7" });
  assert.match(bad.text, /^no\n\[exit 7 · /);
  assert.equal(bad.isError, true);
  assert.match((await call("exec", { command: "kill -9 $$" })).text, /^\[ended by SIGKILL · /);
});

test("a list of words reaches the program as it is, because no shell sees it", async (t) => {
  const { call } = makeBench(t);
  const { text } = await call("exec", { command: ["printf", "%s|", "$HOME", "a b", "; id", "`id`", "*"] });
  assert.match(text, /^\$HOME\|a b\|; id\|`id`\|\*\|\n\[exit 0/);
});

test("a command sees a few named variables and none of the gateway's others", async (t) => {
  const environment = {
    PATH: "/usr/bin:/bin", HOME: "/home/x", LANG: "C.UTF-8", LC_ALL: "C", TERM: "dumb", TZ: "UTC", TMPDIR: "/tmp", USER: "x", SHELL: "/bin/sh",
    NODE_OPTIONS: "--require=/evil.js", LD_PRELOAD: "/evil.so", LD_LIBRARY_PATH: "/evil", DYLD_INSERT_LIBRARIES: "/evil", BASH_ENV: "/evil", ENV: "/evil", PYTHONPATH: "/evil", GIT_SSH_COMMAND: "evil", HTTPS_PROXY: "http://evil",
    OPENAI_API_KEY: "canary", ANTHROPIC_API_KEY: "canary", ANTHROPIC_BASE_URL: "http://evil", YARD_TOKEN: "canary", YARD_HOME: "/secret", LC_evil: "x",
  };
  const { call } = makeBench(t, { environment });
  const { text } = await call("exec", { command: ["env"] });
  const names = text.split("\n").filter((line) => line.includes("=")).map((line) => line.split("=")[0]);
  assert.deepEqual(names.sort(), ["HOME", "LANG", "LC_ALL", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", MARK_VARIABLE]);
});

test("a command runs in the workspace or a folder of it, and is not started elsewhere", async (t) => {
  const { call, workspace } = makeBench(t, { files: { "sub/x": "" } });
  assert.match((await call("exec", { command: "pwd" })).text, new RegExp(`^${workspace}\n`));
  assert.match((await call("exec", { command: "pwd", cwd: "sub" })).text, new RegExp(`^${workspace}/sub\n`));
  assert.match((await call("exec", { command: "pwd", cwd: "../outside" })).text, /leads out of the workspace/);
  assert.match((await call("exec", { command: "pwd", cwd: "sub/x" })).text, /is a file, not a folder/);
});

test("input is given to the command and then closed; without input there is none to wait for", async (t) => {
  const { call } = makeBench(t);
  assert.match((await call("exec", { command: "cat", input: "hello" })).text, /^hello\n\[exit 0/);
  assert.match((await call("exec", { command: "cat" })).text, /^\[exit 0/);
  // A command that does not read what it is given is not the gateway's problem.
  assert.match((await call("exec", { command: "exec 0<&-; echo done", input: "x".repeat(1_000_000) })).text, /^done\n\[exit 0/);
});

test("what cannot start is an answer that says why", async (t) => {
  const { call } = makeBench(t);
  assert.deepEqual(await call("exec", { command: ["no-such-program-here"] }), { text: "cannot start no-such-program-here: no such program", isError: true });
  assert.deepEqual(await call("exec", { command: "echo a\0b" }), { text: "the command holds a NUL character", isError: true });
  assert.match((await call("exec", { command: [] })).text, /command must be text, or a list/);
});

test("a flood of 100 MB is counted, not kept", async (t) => {
  const { call } = makeBench(t, { settings: { "tools.exec.outputMaxBytes": 10_000 } });
  const { text } = await call("exec", { command: "echo first; head -c 104857600 /dev/zero | tr '\\0' 'x'; echo; echo last" });
  assert.match(text, /^first\nx+\n\[\.\.\. 104847612 bytes left out \.\.\.\]\nx+\nlast\n\[exit 0/);
  assert.ok(text.length < 10_200);
});

test("when its time is up a command is ended with everything it started, also what ignores SIGTERM", ON_LINUX, async (t) => {
  const clock = new ManualClock();
  const { call, installation, workspace } = makeBench(t, { clock });
  mkdirSync(join(workspace, "ready"));
  const running = call("exec", { command: `trap "" TERM; setsid sh -c 'trap "" TERM; touch ready/b; while :; do sleep 1; done' & touch ready/a; while :; do sleep 1; done`, timeoutSeconds: 5 });
  await until(() => readdirSync(join(workspace, "ready")).length === 2);

  clock.advance(5000);

  const ended = await running;
  assert.match(ended.text, /^\[ended because its time of 5 s was up · /);
  assert.equal(ended.isError, true);
  assert.deepEqual(leftOf(installation), []);
});

test("the usual time limit comes from the setting", async (t) => {
  const clock = new ManualClock();
  const { call, workspace } = makeBench(t, { clock, settings: { "tools.exec.timeoutSeconds": 7 } });
  const running = call("exec", { command: "touch up; exec sleep 300" });
  await until(() => readdirSync(workspace).includes("up"));
  clock.advance(7000);
  assert.match((await running).text, /its time of 7 s was up/);
});

test("a running command counts as progress, because it has a time limit of its own", async (t) => {
  const clock = new ManualClock();
  const { call, workspace } = makeBench(t, { clock });
  let beats = 0;
  const running = call("exec", { command: "touch up; exec sleep 300" }, { progress: () => beats++ });
  await until(() => readdirSync(workspace).includes("up"));
  clock.advance(90_000);
  assert.equal(beats, 3);
  clock.advance(30_000);
  await running;
  assert.equal(clock.nextAt(), undefined);
});

test("a cancelled turn's command is gone before the call returns", ON_LINUX, async (t) => {
  const { call, installation, workspace } = makeBench(t);
  const cancel = new AbortController();
  const running = call("exec", { command: "setsid sleep 300 & touch up; sleep 300" }, { signal: cancel.signal });
  await until(() => readdirSync(workspace).includes("up"));
  cancel.abort(new Error("cancelled by a person"));
  await assert.rejects(running, /cancelled by a person/);
  assert.deepEqual(leftOf(installation), []);
});

test("a turn that was cancelled before starts nothing", async (t) => {
  const { call, workspace } = makeBench(t);
  await assert.rejects(call("exec", { command: "touch ran" }, { signal: AbortSignal.abort(new Error("cancelled")) }), /cancelled/);
  assert.deepEqual(readdirSync(workspace), []);
});

test("what a foreground command leaves running is ended, and the model is told how to keep it", ON_LINUX, async (t) => {
  const { call, installation } = makeBench(t);
  const { text, isError } = await call("exec", { command: "sleep 300 & echo started" });
  assert.match(text, /^started\n\[exit 0 · .* · 1 of its processes still ran and were ended; use background/);
  assert.equal(isError, false);
  assert.deepEqual(leftOf(installation), []);
});

test("a background command is polled, written to, and tells its end", async (t) => {
  const { call } = makeBench(t);
  const started = await call("exec", { command: "while read line; do echo got $line; done; echo bye; exit 4", background: true });
  const id = idIn(started.text);
  assert.match((await call("process", { action: "list" })).text, new RegExp(`^${id} \\[running · .*\\] while read line`));

  await call("process", { action: "write", id, input: "one\n" });
  assert.match((await call("process", { action: "poll", id, waitSeconds: 30 })).text, /^got one\n\[running · /);
  assert.match((await call("process", { action: "poll", id })).text, /^\[running · /);
  assert.equal((await call("process", { action: "write", id })).text, "closed its input");
  let last = await call("process", { action: "poll", id, waitSeconds: 30 });
  let all = last.text;
  while (all.includes("running")) {
    last = await call("process", { action: "poll", id, waitSeconds: 30 });
    all = all.replace(/\[running.*\]/, "") + last.text;
  }
  assert.match(all, /bye\n+\[exit 4 · /);
  assert.equal(last.isError, true);
  assert.match((await call("process", { action: "write", id, input: "x" })).text, /its input is closed/);
});

test("a poll waits no longer than asked, and no longer than its turn", async (t) => {
  const clock = new ManualClock();
  const { call } = makeBench(t, { clock });
  const id = idIn((await call("exec", { command: ["sleep", "300"], background: true })).text);
  const polled = call("process", { action: "poll", id, waitSeconds: 30 });
  clock.advance(30_000);
  assert.match((await polled).text, /^\[running · 30\.0 s\]$/);

  const cancel = new AbortController();
  const cancelled = call("process", { action: "poll", id, waitSeconds: 30 }, { signal: cancel.signal });
  cancel.abort(new Error("cancelled"));
  await assert.rejects(cancelled, /cancelled/);
  assert.match((await call("process", { action: "poll", id, waitSeconds: 31 })).text, /waitSeconds must be a whole number from 0 to 30/);
});

test("kill ends a background command and everything it started", ON_LINUX, async (t) => {
  const { call, installation } = makeBench(t);
  const id = idIn((await call("exec", { command: "echo up; setsid sleep 300 & sleep 300", background: true })).text);
  await call("process", { action: "poll", id, waitSeconds: 30 });
  const killed = await call("process", { action: "kill", id });
  assert.match(killed.text, /^\[stopped · /);
  assert.equal(killed.isError, false);
  assert.deepEqual(leftOf(installation), []);
});

test("a session sees and reaches its own commands only", async (t) => {
  const { call } = makeBench(t);
  const id = idIn((await call("exec", { command: ["sleep", "300"], background: true })).text);
  const other = { session: "agent:other:main" as SessionKey };
  assert.equal((await call("process", { action: "list" }, other)).text, "[no command runs in the background]");
  for (const action of ["poll", "kill", "write"]) assert.match((await call("process", { action, id }, other)).text, /no command exec_.* in the background/);
});

test("a session has a bounded number of background commands, and an ended one makes room", async (t) => {
  const { call } = makeBench(t);
  const started = await Promise.all(Array.from({ length: BACKGROUND_MAX + 2 }, () => call("exec", { command: ["sleep", "300"], background: true })));
  // Which of those that ask at one moment are too many is nobody's promise.
  const { true: refused = [], false: running = [] } = Object.groupBy(started, ({ isError }) => String(isError) as "true" | "false");
  assert.equal(refused.length, 2);
  assert.match(refused[0]!.text, /16 commands already run in the background/);
  await call("process", { action: "kill", id: idIn(running[0]!.text) });
  assert.equal((await call("exec", { command: ["sleep", "300"], background: true })).isError, false);
});

test("the end of a turn ends its foreground commands; the end of a session ends everything of it", ON_LINUX, async (t) => {
  const { call, commands, installation, workspace } = makeBench(t);
  await call("exec", { command: ["sleep", "300"], background: true });
  await call("exec", { command: ["sleep", "300"], background: true }, { session: "agent:other:main" as SessionKey });
  const foreground = call("exec", { command: "touch up; exec sleep 300" });
  const elsewhere = call("exec", { command: "touch up2; exec sleep 300" }, { turnId: "turn_other" as TurnId });
  await until(() => readdirSync(workspace).length === 2);
  // For a moment a process that becomes another program has no environment to be known by.
  await until(() => leftOf(installation).length === 4);

  await commands.endTurn(TURN);
  assert.match((await foreground).text, /^\[stopped · /);
  assert.equal(leftOf(installation).length, 3);

  await commands.endSession("agent:main:main" as SessionKey);
  await elsewhere;
  assert.equal(leftOf(installation).length, 1);

  await commands.stopAll();
  assert.deepEqual(leftOf(installation), []);
});
