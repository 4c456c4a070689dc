/** Jobs and hooks through the real program: what a person sets up happens, once, and is told of. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ReportAnswer, ApiFault, ApiJob, ApiJobRun, ApiTask, DeliveryList, History, JobCalendar, JobList, JobRunList, MessageAccepted, SpawnAccepted, StatusAnswer, TaskList } from "../../src/api/wire.ts";
import { fileURLToPath } from "node:url";
import { startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";
import { startReceiver } from "../support/webhook-receiver.ts";

const MAIN = "agent:main:main";
const HOUR_MS = 3_600_000;
const LAUNCHER = fileURLToPath(new URL("../../bin/yard.mjs", import.meta.url));

async function setup(t: TestContext, more: Readonly<Record<string, unknown>> = {}, env: Readonly<Record<string, string>> = {}): Promise<Gateway> {
  const model = await startModel(t);
  return startGateway(t, { config: standinConfig(model.url, more), env });
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "yard-jobs-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const add = (gateway: Gateway, job: unknown): Promise<ApiJob> => gateway.api("POST", "/api/jobs", job);
/** The jobs besides those that are built in. */
const ownJobs = async (gateway: Gateway): Promise<ApiJob[]> => (await gateway.api<JobList>("GET", "/api/jobs")).jobs.filter(({ origin }) => origin !== "builtin");
const later = { kind: "every", everyMs: HOUR_MS };
const turn = (message: string) => ({ kind: "agentTurn", message });

/** The run of a job once everything that it set going is over. */
async function completed(gateway: Gateway, job: string, runId?: string): Promise<ApiJobRun> {
  const over = await gateway.waitEvent((event) => (event.type === "job.completed" || event.type === "job.skipped" || (event.type === "job.ended" && event.data["state"] !== "ran") || (event.type === "job.ended" && event.data["reason"] !== undefined)) && event.data["name"] === job && (runId === undefined || event.data["runId"] === runId));
  const { runs } = await gateway.api<JobRunList>("GET", `/api/jobs/${job}/runs`);
  return runs.find((run) => run.runId === over.data["runId"])!;
}

async function runNow(gateway: Gateway, job: string): Promise<ApiJobRun> {
  const run = await gateway.api<ApiJobRun>("POST", `/api/jobs/${job}/run`);
  return run.completedAt === null ? completed(gateway, job, run.runId) : run;
}

const notices = async (gateway: Gateway): Promise<string[]> => (await gateway.api<History>("GET", `/api/sessions/${MAIN}/history`)).entries.filter((entry) => entry.role === "notice").map((entry) => entry.text);

test("a job in the shape of the guides runs at its moment in a session of its own, tells the person once, and its calendar says what comes", async (t) => {
  const gateway = await setup(t);
  const made = await add(gateway, { name: "agent-auth-iteration", schedule: { kind: "every", everyMs: 1_000 }, payload: { kind: "agentTurn", message: "! say shipped", model: "m" } });
  assert.deepEqual([made.state, made.target, made.overlap, made.nextAt! > made.createdAt], ["active", "isolated", "skip", true]);
  // On a busy machine the next moment comes while this one runs, and is skipped.
  const over = await gateway.waitEvent((event) => event.type === "job.completed");
  const first = (await gateway.api<JobRunList>("GET", `/api/jobs/${made.name}/runs`)).runs.find((run) => run.runId === over.data["runId"])!;
  assert.deepEqual([first.state, first.result, first.spawned], ["ran", "shipped", 0]);
  assert.ok(first.session!.startsWith(`job:${made.jobId}.`), "a fresh session");
  const { upcoming } = await gateway.api<JobCalendar>("GET", "/api/jobs/calendar?hours=1&limit=3");
  assert.equal(upcoming.length, 3);
  const paused = await gateway.api<ApiJob>("PATCH", `/api/jobs/${made.jobId}`, { enabled: false });
  assert.deepEqual([paused.state, paused.nextAt], ["paused", null]);
  assert.ok((await notices(gateway)).includes("agent-auth-iteration: shipped"));
  await gateway.api("DELETE", "/api/jobs/agent-auth-iteration");
  assert.deepEqual(await ownJobs(gateway), []);
});

test("what the gateway does for itself is shown as built-in jobs: their last and next run, run by hand with its result kept, and nobody can remove or bend them", async (t) => {
  const gateway = await setup(t, { "agents.defaults.subagents.archiveAfterMinutes": 0, "sessions.sweepMinutes": 60 });
  await add(gateway, { name: "brief", schedule: later, payload: turn("! say hello") });
  const listed = async (): Promise<ApiJob[]> => (await gateway.api<JobList>("GET", "/api/jobs")).jobs;
  const jobs = await listed();
  assert.deepEqual(jobs.map(({ name, origin, state }) => [name, origin, state]), [["brief", "made", "active"], ["yard:archive", "builtin", "active"], ["yard:backup", "builtin", "active"], ["yard:retention", "builtin", "active"]]);
  const sweep = jobs[1]!;
  assert.deepEqual([sweep.schedule, sweep.payload["setting"], sweep.lastAt, sweep.lastResult], [{ kind: "every", everyMs: HOUR_MS }, "sessions.sweepMinutes", null, null]);
  assert.ok(sweep.nextAt! > Date.now() && sweep.nextAt! <= Date.now() + HOUR_MS);

  const { taskId, childSessionKey } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: "! say done", cleanup: "delete", wait: true });
  assert.equal((await gateway.api<ApiTask>("GET", `/api/tasks/${taskId}`)).state, "succeeded");
  const run = await gateway.api<ApiJobRun>("POST", "/api/jobs/yard:archive/run");
  assert.deepEqual([run.state, run.source, run.result], ["ran", "manual", "0 sessions archived, 1 removed"]);
  assert.equal((await gateway.call("GET", `/api/sessions/${encodeURIComponent(childSessionKey)}`)).status, 404);
  assert.equal((await gateway.api<ApiJobRun>("POST", "/api/jobs/yard:archive/run")).result, "nothing to do");
  await gateway.kill9();
  await gateway.start();
  const { runs } = await gateway.api<JobRunList>("GET", "/api/jobs/yard:archive/runs");
  assert.deepEqual(runs.map(({ runId, result }) => [runId === run.runId, result]), [[false, "nothing to do"], [true, "0 sessions archived, 1 removed"]]);
  assert.equal((await listed())[1]!.lastResult, "nothing to do", "after a restart too");

  for (const [method, body] of [["DELETE", undefined], ["PATCH", { enabled: false }]] as const) {
    const { status, body: refused } = await gateway.call(method, "/api/jobs/yard:archive", body);
    assert.deepEqual([status, refused.code, /sessions\.sweepMinutes/.test(refused.message)], [409, "JOB_BUILT_IN", true]);
  }
  const taken = await gateway.call("POST", "/api/jobs", { name: "yard:mine", schedule: later, payload: turn("x") });
  assert.deepEqual([taken.status, taken.body.code], [400, "BAD_REQUEST"]);
  await gateway.api("PATCH", "/api/config", { "sessions.sweepMinutes": 0 });
  assert.deepEqual((await listed()).filter(({ state }) => state === "disabled").map(({ name, why }) => [name, why]), [["yard:archive", "sessions.sweepMinutes is 0"]]);
  const pages: string[] = [];
  for (let after = ""; ; ) {
    const page = await gateway.api<JobList>("GET", `/api/jobs?limit=1${after === "" ? "" : `&after=${encodeURIComponent(after)}`}`);
    pages.push(...page.jobs.map(({ name }) => name));
    if (page.next === undefined) break;
    after = page.next;
  }
  assert.deepEqual(pages, jobs.map(({ name }) => name));
  const { out } = await yard(gateway, "jobs", "list");
  assert.match(out, /yard:archive +disabled +- +by hand +built in +sessions\.sweepMinutes is 0/);
  assert.match(out, /yard:retention +active +\S+ +every 10m +built in/);
  const backup = await yard(gateway, "jobs", "run", "yard:backup");
  assert.match(backup.out, /^run_\w+ ran: \S+, \d+ bytes$/m);
});

test("a moment that passed while the gateway was killed is run once after the start, and nothing is run twice", async (t) => {
  const gateway = await setup(t);
  await add(gateway, { name: "soon", schedule: { kind: "at", at: Date.now() + 1_200 }, payload: { kind: "systemEvent", text: "! say noted" } });
  await add(gateway, { name: "long", schedule: later, payload: turn("! wait 500ms then say survived") });
  const started = await gateway.api<ApiJobRun>("POST", "/api/jobs/long/run");
  await gateway.kill9();
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  await gateway.start();
  assert.equal((await completed(gateway, "soon")).state, "ran");
  assert.equal((await completed(gateway, "long", started.runId)).result, "survived");
  await gateway.restart();
  const { runs } = await gateway.api<JobRunList>("GET", "/api/jobs/soon/runs");
  assert.equal(runs.length, 1);
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${MAIN}/history`);
  assert.equal(entries.filter((entry) => entry.provenance === "timer" && entry.role === "user").length, 1);
  assert.equal((await gateway.api<ApiJob>("GET", "/api/jobs/soon")).state, "done");
});

test("a job that brings the gateway down does so once: no start catches it up, and its run says what became of it", async (t) => {
  const gateway = await setup(t);
  const status = await gateway.api<StatusAnswer>("GET", "/api/status");
  await add(gateway, { name: "restart-me", schedule: { kind: "at", at: "+300ms" }, misfire: { policy: "all", max: 3 }, payload: turn(`! call exec {"command":"kill -9 ${status.pid}"} then say back again`) });
  await gateway.exited();
  await gateway.start();
  const run = await completed(gateway, "restart-me");
  assert.deepEqual([run.state, run.result], ["ran", "back again"]);
  await gateway.restart();
  assert.equal((await gateway.api<JobRunList>("GET", "/api/jobs/restart-me/runs")).runs.length, 1);
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(run.session!)}/history`);
  assert.match(entries.find((entry) => entry.role === "tool")!.text, /^outcome unknown/);
});

test("a run that spawned children is complete when they are, with the rate of those that shipped", async (t) => {
  const gateway = await setup(t);
  await add(gateway, { name: "publish", schedule: later, payload: turn('! call sessions_spawn {"task":"! wait 300ms then say one"} x3 then say on their way') });
  const run = await gateway.api<ApiJobRun>("POST", "/api/jobs/publish/run");
  const ended = await gateway.waitEvent((event) => event.type === "job.ended" && event.data["runId"] === run.runId);
  const over = await completed(gateway, "publish", run.runId);
  assert.deepEqual([over.spawned, over.shipped], [3, 3]);
  await add(gateway, { name: "half", schedule: later, payload: turn('! call sessions_spawn {"task":"! say one"} & sessions_spawn {"task":"! fail 400","label":"broken"} then say on their way') });
  const other = await gateway.api<ApiJobRun>("POST", "/api/jobs/half/run");
  await completed(gateway, "half", other.runId);
  const { jobs } = await gateway.api<ReportAnswer>("GET", "/api/report");
  const rates = jobs.map(({ name, total, completion, failedTasks }) => [name, total, completion, failedTasks.map(({ label }) => label)]);
  assert.deepEqual(rates.toSorted(), [["half", 2, 0.5, ["broken"]], ["publish", 3, 1, []]], "one rate for each job, with the failed ones named");
  assert.ok(over.completedAt! > ended.at, "the turn was over before its children");
  for (const target of ["main", "job"]) {
    await add(gateway, { name: `in-${target}`, schedule: later, target, payload: turn('! call sessions_spawn {"task":"! wait 300ms then say one"} x2 then call sessions_spawn {"task":"! fail 400"} then say on their way') });
    const inside = await runNow(gateway, `in-${target}`);
    assert.deepEqual([inside.spawned, inside.shipped], [3, 2], target);
  }
});

test("a long job delays no other job and no person", async (t) => {
  const gateway = await setup(t, { "jobs.maxConcurrent": 2, "agents.defaults.maxConcurrent": 1 });
  await add(gateway, { name: "long", schedule: later, payload: turn("! wait 4s then say at last") });
  await add(gateway, { name: "short", schedule: later, payload: turn("! say quick") });
  await gateway.api("POST", "/api/jobs/long/run");
  await gateway.waitEvent((event) => event.type === "job.started");
  assert.equal((await runNow(gateway, "short")).result, "quick");
  assert.equal(await gateway.ask("! say here"), "here");
  const [long] = (await gateway.api<JobRunList>("GET", "/api/jobs/long/runs")).runs;
  assert.equal(long!.state, "running");
  const second = await gateway.api<ApiJobRun>("POST", "/api/jobs/long/run");
  assert.deepEqual([second.state, second.reason], ["skipped", "the run before it is not complete"]);
});

test("work of a job in a person's conversation gives way as soon as the person writes, and its result still comes", async (t) => {
  const gateway = await setup(t, { "messages.foregroundMs": 3_600_000 });
  await add(gateway, { name: "in-front", schedule: later, payload: turn("! wait 6s then say looked"), target: "main" });
  const run = await gateway.api<ApiJobRun>("POST", "/api/jobs/in-front/run");
  await gateway.waitEvent((event) => event.type === "turn.started" && event.session === MAIN);
  assert.equal(await gateway.ask("! say here at once"), "here at once");
  const [meanwhile] = (await gateway.api<JobRunList>("GET", "/api/jobs/in-front/runs")).runs;
  assert.deepEqual([meanwhile!.state, meanwhile!.runId], ["running", run.runId]);
  assert.equal((await completed(gateway, "in-front", run.runId)).result, "looked");
});

test("a watchdog stops and retries what has not ended, and leaves alone what has", async (t) => {
  const gateway = await setup(t);
  const spawned = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: "! stall times 1 then say done", label: "publisher" });
  await gateway.waitEvent((event) => event.type === "task.started" || event.type === "turn.started");
  await add(gateway, { name: "dog", schedule: { kind: "at", at: "+500ms" }, payload: { kind: "watchdog", label: "publisher", action: "cancel-and-retry" } });
  const run = await completed(gateway, "dog");
  assert.match(run.reason!, /stopped and started again/);
  const { tasks } = await gateway.api<TaskList>("GET", "/api/tasks?label=publisher");
  assert.deepEqual(tasks.map((task) => task.attempt), [2, 1]);
  assert.equal((await gateway.api<ApiTask>("GET", `/api/tasks/${spawned.taskId}`)).state, "cancelled");
  await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === tasks[0]!.taskId);
  const again = await runNow(gateway, "dog");
  assert.match(again.reason!, /nothing to do: "publisher" has ended/);
  assert.equal(again.messageId, null, "nobody is bothered");
});

test("a heartbeat with nothing to say bothers nobody, is skipped without a file, and keeps away from a busy conversation", async (t) => {
  const gateway = await setup(t);
  await add(gateway, { name: "beat", schedule: later, payload: { kind: "heartbeat" } });
  assert.equal((await runNow(gateway, "beat")).reason, "HEARTBEAT.md is empty");
  const file = join(gateway.home, "workspace", "HEARTBEAT.md");
  for (const quietly of ["HEARTBEAT_OK", "**HEARTBEAT_OK**."]) {
    writeFileSync(file, `# Look\n! say ${quietly}`);
    const quiet = await runNow(gateway, "beat");
    assert.deepEqual([quiet.state, quiet.result], ["ran", quietly]);
    assert.deepEqual(await notices(gateway), []);
  }
  writeFileSync(file, "! say The oven is on! HEARTBEAT_OK");
  await runNow(gateway, "beat");
  assert.deepEqual(await notices(gateway), ["beat: The oven is on! HEARTBEAT_OK"], "who says more than the token has something to tell");
  const { messageId } = await gateway.send("! wait 1500ms then say hello");
  await gateway.waitEvent((event) => event.type === "turn.started" && event.session === MAIN);
  assert.equal((await runNow(gateway, "beat")).reason, "the session is busy");
  assert.equal(await gateway.waitReply(messageId), "hello");
});

test("jobs over one plan take different items, stop when it is done, and pause when one is stuck", async (t) => {
  const gateway = await setup(t);
  const place = folder(t);
  const plan = join(place, "IMPLEMENTATION_PLAN.md");
  writeFileSync(plan, "# Plan\n- [x] schema\n- [ ] auth\n- [ ] payment\n");
  for (const name of ["alpha", "beta"]) await add(gateway, { name, schedule: later, payload: { kind: "iterate", folder: place, message: "! wait 700ms then say did it" } });
  const both = await Promise.all([runNow(gateway, "alpha"), runNow(gateway, "beta")]);
  const texts = await Promise.all(both.map(async (run) => (await gateway.api<History>("GET", `/api/sessions/${run.session}/history`)).entries[0]!.text));
  assert.deepEqual(texts.map((text) => /- \[ \] (\w+)/.exec(text)![1]).sort(), ["auth", "payment"]);
  await gateway.api("PATCH", "/api/jobs/beta", { payload: { kind: "iterate", folder: place, message: "! say STUCK: missing NOTIFICATION_KEY" } });
  await runNow(gateway, "beta");
  const stuck = await gateway.api<ApiJob>("GET", "/api/jobs/beta");
  assert.deepEqual([stuck.state, stuck.why], ["paused", "STUCK: missing NOTIFICATION_KEY"]);
  assert.ok((await notices(gateway)).some((text) => text.includes("missing NOTIFICATION_KEY")));
  writeFileSync(plan, "- [x] schema\n- [x] auth\n- [x] payment\n");
  await gateway.api("PATCH", "/api/jobs/alpha", { schedule: { kind: "every", everyMs: 1_000 } });
  await gateway.waitEvent((event) => event.type === "job.done" && event.data["name"] === "alpha");
  assert.equal((await gateway.api<ApiJob>("GET", "/api/jobs/alpha")).state, "done");
});

test("a finished task, a changed file and a branch that moved set jobs off, each once", async (t) => {
  const gateway = await setup(t, { "jobs.watchSeconds": 1 });
  const place = folder(t);
  mkdirSync(join(place, ".git", "refs", "heads"), { recursive: true });
  writeFileSync(join(place, ".git", "refs", "heads", "main"), "a".repeat(40));
  writeFileSync(join(place, "notes.md"), "one");
  await add(gateway, { name: "after-build", schedule: { kind: "task", label: "build" }, payload: turn("! say built") });
  await add(gateway, { name: "on-notes", schedule: { kind: "file", path: join(place, "notes.md") }, payload: turn("! say read") });
  await add(gateway, { name: "on-main", schedule: { kind: "file", path: place, ref: "main" }, payload: turn("! say moved") });
  await gateway.api("POST", "/api/spawns", { task: "! say ok", label: "build", wait: true });
  assert.equal((await completed(gateway, "after-build")).result, "built");
  writeFileSync(join(place, "notes.md"), "two");
  writeFileSync(join(place, ".git", "refs", "heads", "main"), "b".repeat(40));
  assert.equal((await completed(gateway, "on-notes")).result, "read");
  assert.equal((await completed(gateway, "on-main")).result, "moved");
  await gateway.restart();
  for (const name of ["after-build", "on-notes", "on-main"]) assert.equal((await gateway.api<JobRunList>("GET", `/api/jobs/${name}/runs`)).runs.length, 1, name);
});

test("the end of a command in the background wakes the agent with its exit code, once", async (t) => {
  const gateway = await setup(t);
  assert.equal(await gateway.ask('! call exec {"command":"sleep 1; echo compiled; exit 3","background":true} then call process {"action":"tell"} then call process {"action":"tell"} then say on its way'), "on its way");
  await gateway.waitEvent((event) => event.type === "turn.ended" && event.session === MAIN && event.data["messageIds"] !== undefined);
  const told = await gateway.waitEvent((event) => event.type === "message.accepted" && event.data["channel"] === "exec");
  assert.match(String(told.data["text"]), /^Command exec_\w+ \(sleep 1; echo compiled; exit 3\) has ended: exit 3 · .*\n> compiled$/);
  assert.equal(told.data["provenance"], "system");
  await gateway.waitReply(String(told.data["messageId"]));
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${MAIN}/history`);
  assert.equal(entries.filter((entry) => entry.role === "user" && entry.provenance === "system").length, 1);
});

test("a job's result is posted to its web address, signed, under one id; a failure too, and a quiet heartbeat not", async (t) => {
  const receiver = await startReceiver(t, (_one, nth) => (nth === 1 ? 503 : 204));
  const gateway = await setup(t, { "deliveries.webhook.allowPrivate": [receiver.place], "deliveries.webhook.retryMs": 50 });
  const delivery = { mode: "webhook", url: `${receiver.url}/jobs?key=secret` };
  const made = await add(gateway, { name: "report", schedule: later, payload: turn("! say all shipped"), delivery });
  assert.deepEqual(made.delivery, { mode: "webhook", url: `${receiver.url}/jobs` }, "what stands behind the ? may be a secret");
  const run = await runNow(gateway, "report");
  await receiver.came(2);
  const [first, second] = receiver.received;
  assert.equal(first!.text, second!.text);
  assert.equal(first!.path, "/jobs?key=secret");
  assert.match(String(first!.headers["webhook-signature"]), /^v1,/);
  const posted = JSON.parse(first!.text) as { type: string; job: { name: string }; run: { runId: string; state: string; result: string } };
  assert.deepEqual([posted.type, posted.job.name, posted.run.runId, posted.run.state, posted.run.result], ["job.completed", "report", run.runId, "ran", "all shipped"]);
  const delivered = await gateway.waitEvent((event) => event.type === "job.delivered");
  assert.deepEqual([delivered.data["runId"], delivered.data["state"], delivered.data["attempts"]], [run.runId, "delivered", 2]);
  const { deliveries } = await gateway.api<DeliveryList>("GET", "/api/deliveries");
  assert.deepEqual(deliveries.map(({ taskId, runId, state }) => [taskId, runId, state]), [[null, run.runId, "delivered"]]);
  assert.deepEqual(await notices(gateway), [], "it goes there and nowhere else");

  await add(gateway, { name: "broken", schedule: later, payload: { kind: "agentTurn", message: "hi", model: "nobody/knows" }, delivery });
  await runNow(gateway, "broken");
  await receiver.came(4);
  assert.deepEqual((JSON.parse(receiver.received.at(-1)!.text) as { run: { state: string; fault: { code: string } } }).run.state, "failed");
  writeFileSync(join(gateway.home, "workspace", "HEARTBEAT.md"), "! say HEARTBEAT_OK");
  await add(gateway, { name: "beat", schedule: later, payload: { kind: "heartbeat" }, delivery });
  await runNow(gateway, "beat");
  assert.equal((await gateway.api<DeliveryList>("GET", "/api/deliveries")).deliveries.length, 2);
  const refused = await gateway.call<ApiFault>("POST", "/api/jobs", { schedule: later, payload: turn("x"), delivery: { mode: "webhook", url: "ftp://example.org" } });
  assert.equal(refused.body.code, "ADDRESS_REFUSED");
});

test("a job whose errors do not pass is switched off, and the person is told", async (t) => {
  const gateway = await setup(t, { "jobs.disableAfter": 2, "jobs.alert.after": 1 });
  await add(gateway, { name: "broken", schedule: later, payload: { kind: "agentTurn", message: "hi", model: "nobody/knows" } });
  assert.equal((await runNow(gateway, "broken")).state, "failed");
  await runNow(gateway, "broken");
  const off = await gateway.api<ApiJob>("GET", "/api/jobs/broken");
  assert.equal(off.state, "disabled");
  assert.match(off.why!, /no model nobody\/knows/);
  const told = await notices(gateway);
  assert.ok(told.some((text) => text.includes("failed 1 times in a row")) && told.some((text) => text.includes("was switched off")));
});

test("jobs of the configuration are made, changed and removed with it, and only paused by hand", async (t) => {
  const job = { name: "brief", schedule: { kind: "cron", expr: "0 7 * * 1-5", tz: "Europe/Vienna" }, payload: turn("brief me") };
  const gateway = await setup(t, { "jobs.list": [job] });
  const [made] = await ownJobs(gateway);
  assert.deepEqual([made!.name, made!.origin, new Date(made!.nextAt!).getUTCMinutes()], ["brief", "config", 0]);
  const refused = await gateway.call("DELETE", "/api/jobs/brief");
  assert.deepEqual([refused.status, refused.body.code], [409, "JOB_FROM_CONFIG"]);
  assert.equal((await gateway.api<ApiJob>("PATCH", "/api/jobs/brief", { enabled: false })).state, "paused");
  await gateway.api("PATCH", "/api/config", { "jobs.list": [] });
  while ((await ownJobs(gateway)).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
});

test("an agent sets itself a job by its tool, but a child cannot", async (t) => {
  const gateway = await setup(t);
  const job = { name: "reminder", schedule: { kind: "at", at: "+1s" }, payload: { kind: "systemEvent", text: "! say remembered" } };
  await gateway.ask(`! call cron ${JSON.stringify({ action: "add", job })} then say set`);
  assert.equal((await completed(gateway, "reminder")).result, "remembered");
  const child = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: `! call cron ${JSON.stringify({ action: "list" })} then echo`, wait: true });
  assert.doesNotMatch(child.task!.result!, /reminder"/);
});

test("a bad job is refused with the place and the remedy, and nothing is made", async (t) => {
  const gateway = await setup(t);
  const problem = async (job: unknown): Promise<string> => (await gateway.call<ApiFault>("POST", "/api/jobs", job)).body.message;
  assert.match(await problem({ schedule: { kind: "cron", expr: "61 * * * *" }, payload: turn("x") }), /61 \* \* \* \*.*no cron expression/);
  assert.match(await problem({ schedule: { kind: "cron", expr: "0 0 30 2 *" }, payload: turn("x") }), /never comes/);
  assert.match(await problem({ schedule: { kind: "cron", expr: "0 7 * * *", tz: "Mars/Base" }, payload: turn("x") }), /no time zone/);
  assert.match(await problem({ schedule: { kind: "at", at: "2020-01-01T00:00:00Z" }, payload: turn("x") }), /2020-01-01T00:00:00.000Z is over; it is 2/);
  assert.match(await problem({ schedule: { kind: "every", everyMs: 5 }, payload: turn("x") }), /1000\.\./);
  const listed = await gateway.call<ApiFault>("PATCH", "/api/config", { "jobs.list": [{ name: "brief", schedule: { kind: "at", at: "+5m" }, payload: turn("x") }] });
  assert.match(listed.body.message, /brief: .*schedule\.at: must be a date with its zone here/);
  assert.match(await problem({ schedule: later, payload: { kind: "agentTurn", mesage: "x" } }), /did you mean message/);
  assert.equal((await gateway.call("GET", "/api/jobs/none")).body.code, "JOB_NOT_FOUND");
  assert.deepEqual(await ownJobs(gateway), []);
});

test("a webhook is let in by its own secret only, becomes one message however often it is sent, and is bounded", async (t) => {
  const secret = "correct-horse-battery";
  const hooks = [
    { name: "ci", secretEnv: "CI_SECRET", template: "! say build {{build.id}} of {{ repository }} is {{build.state}}", perMinute: 4 },
    { name: "simple", secret: "another-long-secret", auth: "bearer" },
  ];
  const gateway = await setup(t, { "hooks.list": hooks }, { CI_SECRET: secret });
  const body = JSON.stringify({ repository: "yard", build: { id: 7, state: "green" } });
  const call = async (headers: Record<string, string>, text = body, name = "ci"): Promise<{ status: number; body: MessageAccepted & ApiFault }> => {
    const answer = await fetch(`${gateway.url}/api/hooks/${name}`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: text });
    return { status: answer.status, body: (await answer.json()) as MessageAccepted & ApiFault };
  };
  const signed = (at: number, text = body, key = secret) => ({ "x-yard-timestamp": String(at), "x-yard-signature": `sha256=${createHmac("sha256", key).update(`${at}.${text}`).digest("hex")}`, "x-yard-delivery": "d1" });
  const now = Math.floor(Date.now() / 1000);
  const first = await call(signed(now));
  assert.equal(first.status, 202, first.body.message);
  assert.equal(await gateway.waitReply(first.body.messageId), "build 7 of yard is green");
  const again = await call(signed(now));
  assert.deepEqual([again.body.messageId, again.body.duplicate], [first.body.messageId, true]);
  for (const headers of [{}, signed(now, body, "wrong-secret-of-length"), signed(now - 4_000), { ...signed(now), "x-yard-timestamp": String(now + 1) }, { authorization: `Bearer ${gateway.token}` }]) {
    const refused = await call(headers as Record<string, string>);
    assert.deepEqual([refused.status, refused.body.code], [401, "HOOK_REFUSED"]);
  }
  assert.equal((await call(signed(now), body, "unknown")).status, 401);
  assert.equal((await call(signed(now), `${body} `)).status, 401, "the bytes are what is signed");
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${MAIN}/history`);
  assert.deepEqual(entries.filter((entry) => entry.role === "user").map((entry) => entry.provenance), ["webhook"]);
  await call(signed(now));
  await call(signed(now));
  assert.deepEqual([(await call(signed(now))).body.code], ["HOOK_TOO_OFTEN"]);
  assert.equal((await call({ authorization: "Bearer another-long-secret" }, "plain text", "simple")).status, 202);
  assert.ok(!JSON.stringify(await gateway.api("GET", "/api/config")).includes("another-long-secret"));
});

test("the command line makes every kind of job, refuses words that would have no effect, and makes all jobs of a file or none", async (t) => {
  const gateway = await setup(t, { "agents.defaults.model": "standin/m" });
  const place = folder(t);
  const made = async (...args: readonly string[]): Promise<ApiJob> => JSON.parse((await yard(gateway, "jobs", "add", ...args, "--json")).out) as ApiJob;
  const refused = async (args: readonly string[], why: RegExp): Promise<void> => {
    const { code, said } = await yard(gateway, "jobs", "add", ...args);
    assert.equal(code, 2, said);
    assert.match(said, why);
  };
  const brief = await made("--name", "brief", "--cron", "0 7 * * 1-5", "--tz", "Europe/Vienna", "--message", "brief me", "--model", "m", "--stagger", "5m", "--misfire", "all", "--overlap", "queue", "--target", "job", "--deliver", "none", "--hours", "06:00-09:00");
  assert.deepEqual(
    [brief.schedule, brief.payload, brief.staggerMs, brief.misfire, brief.overlap, brief.target, brief.delivery, brief.activeHours],
    [{ kind: "cron", expr: "0 7 * * 1-5", tz: "Europe/Vienna" }, { kind: "agentTurn", message: "brief me", model: "m" }, 300_000, { policy: "all", max: 10 }, "queue", "job", { mode: "none" }, { from: "06:00", to: "09:00", tz: "Europe/Vienna" }],
  );
  assert.deepEqual((await made("--at", "+15m", "--event", "milk")).target, "main");
  assert.deepEqual((await made("--every", "1d", "--message", "x", "--deliver", "https://example.org/hook?key=1")).delivery, { mode: "webhook", url: "https://example.org/hook" });
  assert.deepEqual((await made("--cron", "*/30 0 7 * * *", "--message", "x", "--deliver", "agent:main:desk:direct:7")).delivery, { mode: "notice", session: "agent:main:desk:direct:7" });
  assert.deepEqual((await made("--every", "30m", "--heartbeat", "--paused")).state, "paused");
  assert.deepEqual((await made("--at", "+15m", "--watch", "publisher", "--action", "retry")).payload, { kind: "watchdog", target: { label: "publisher" }, action: "retry" });
  assert.deepEqual((await made("--every", "15m", "--iterate", place, "--plan", "PLAN.md")).payload, { kind: "iterate", folder: place, plan: "PLAN.md" });
  assert.deepEqual((await made("--on-task", "build", "--message", "x", "--label", "desk")).target, { label: "desk" });
  assert.deepEqual((await made("--on-file", place, "--on-ref", "main", "--message", "x", "--target", MAIN)).schedule, { kind: "file", path: place, ref: "main" });
  await Promise.all([
    refused(["--every", "5m", "--tz", "UTC", "--event", "x"], /--tz goes with --cron only/),
    refused(["--every", "5m", "--event", "x", "--action", "retry"], /--action goes with --watch only/),
    refused(["--every", "5m", "--event", "x", "--model", "m"], /--model goes with --message/),
    refused(["--every", "5m", "--event", "x", "--plan", "p"], /--plan goes with --iterate only/),
    refused(["--every", "5m", "--at", "+5m", "--event", "x"], /say when with one of/),
    refused(["--every", "5m"], /say what with one of/),
    refused(["--file", join(place, "none.json")], /cannot be read/),
  ]);
  const file = join(place, "jobs.json");
  const seeds = ["auth", "payment", "notification"].map((name) => ({ name: `agent-${name}-iteration`, schedule: { kind: "every", everyMs: 900_000 }, payload: { kind: "agentTurn", message: `Read AGENT.md in /path/to/${name}/. Follow the loop.`, model: "sonnet" } }));
  writeFileSync(file, JSON.stringify({ jobs: [...seeds, { ...seeds[0], payload: {} }] }));
  const before = (await gateway.api<JobList>("GET", "/api/jobs")).jobs.length;
  assert.equal((await yard(gateway, "jobs", "add", "--file", file)).code, 1);
  assert.equal((await gateway.api<JobList>("GET", "/api/jobs")).jobs.length, before, "none of them is left");
  writeFileSync(file, JSON.stringify({ jobs: seeds }));
  const { jobs } = JSON.parse((await yard(gateway, "jobs", "add", "--file", file, "--json")).out) as JobList;
  assert.deepEqual(jobs.map(({ schedule, payload, target }) => [schedule, payload, target]), seeds.map(({ schedule, payload }) => [schedule, payload, "isolated"]));
  const shown = (await yard(gateway, "jobs", "show", "brief")).out;
  for (const word of ["stagger +5m", "hours +06:00-09:00 Europe/Vienna", "delivery +none"]) assert.match(shown, new RegExp(word));
  assert.match((await yard(gateway, "jobs", "run", "agent-auth-iteration")).out, /running in job:/);
  assert.match((await yard(gateway, "jobs", "runs", "agent-auth-iteration")).out, /state/);
  assert.match((await yard(gateway, "jobs", "calendar", "--hours", "1")).out, /agent-payment-iteration/);
  assert.equal((JSON.parse((await yard(gateway, "jobs", "pause", "agent-auth-iteration", "--json")).out) as ApiJob).state, "paused");
  assert.equal((JSON.parse((await yard(gateway, "jobs", "resume", "agent-auth-iteration", "--json")).out) as ApiJob).state, "active");
  await yard(gateway, "jobs", "remove", "agent-auth-iteration");
  assert.deepEqual([(await yard(gateway, "jobs", "show", "agent-auth-iteration")).code, (await yard(gateway, "jobs", "runs", "nobody")).code], [1, 1]);
});

function yard(gateway: Gateway, ...args: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly said: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [LAUNCHER, ...args], { env: { PATH: process.env["PATH"], HOME: gateway.home, YARD_HOME: gateway.home } }, (_failure, out, said) => resolve({ code: child.exitCode ?? -1, out, said }));
  });
}
