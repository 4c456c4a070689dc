/** Children that wait, end late, fail in a row, or are met by a crash: what the parent and the person are told, through the real program. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ApiEvent, ApiTask, FlowDetail, FlowList, History, SpawnAccepted, SpawnsAccepted, TaskDetail } from "../../src/api/wire.ts";
import { isReplyTo, startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

const YARD = join(import.meta.dirname, "..", "..", "bin", "yard.mjs");
/** Long enough for a command of a few lines to get its turn on a busy machine. */
const PROGRESS_SECONDS = 3;
const MAIN = "agent:main:main";

async function setup(t: TestContext, more: Readonly<Record<string, unknown>> = {}): Promise<Gateway> {
  const model = await startModel(t);
  return startGateway(t, { config: standinConfig(model.url, { "agents.defaults.subagents.maxSpawnDepth": 5, "agents.defaults.subagents.gatherMs": 0, ...more }) });
}

/** A call of sessions_spawn, as a script writes it. */
function spawn(label: string, task: string, more: Readonly<Record<string, unknown>> = {}): string {
  return `sessions_spawn ${JSON.stringify({ label, task, ...more })}`;
}

function ended(gateway: Gateway, label: string): Promise<ApiEvent> {
  return gateway.waitEvent((event) => event.type === "task.ended" && event.data["label"] === label);
}

// ── nesting ─────────────────────────────────────────────────────────────────────────────────

test("five levels of children hand their results up level by level, and the deepest is offered no tool to go deeper", async (t) => {
  const gateway = await setup(t);
  let task = '! call sessions_spawn {"task":"! say too deep"} then echo';
  for (let depth = 5; depth > 1; depth--) task = `! call ${spawn(`level ${depth}`, task)} then call sessions_yield {}`;
  const { messageId } = await gateway.send(`! call ${spawn("level 1", task)} then call sessions_yield {}`);
  const reply = await gateway.waitEvent((event) => isReplyTo(event, messageId), { timeoutMs: 60_000 });
  assert.match(String(reply.data["text"]), /"level 1" succeeded/);
  const { flows } = await gateway.api<FlowList>("GET", "/api/flows");
  const { tasks } = await gateway.api<FlowDetail>("GET", `/api/flows/${flows[0]!.flowId}`);
  assert.deepEqual(tasks.map(({ depth, state }) => [depth, state]), [1, 2, 3, 4, 5].map((depth) => [depth, "succeeded"]));
  assert.match(tasks.at(-1)!.result!, /there is no tool "sessions_spawn"/);
  for (const { session, depth } of tasks.slice(0, 4)) {
    const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(session)}/history`);
    assert.equal(entries.filter(({ provenance }) => provenance === "child").length, 1, `level ${depth} got one digest`);
  }
  const { status, body } = await gateway.call("PATCH", "/api/config", { "agents.defaults.subagents.maxSpawnDepth": 6 });
  assert.equal(status, 400);
  assert.match(body.message, /0\.\.5/);
});

for (const onEnd of ["wait", "handUp"] as const) {
  test(`an orchestrator that is done before its children ${onEnd === "wait" ? "ends when they have, with what it says then" : "hands them up, and its parent gets their results"}`, async (t) => {
    const gateway = await setup(t);
    const task = `! call ${spawn("leaf", "! wait 1500ms then say fruit")} then say off already`;
    const { messageId } = await gateway.send(`! call ${spawn("orchestrator", task, { onEnd })} then call sessions_yield {}`);
    const orchestrator = await ended(gateway, "orchestrator");
    const leaf = await ended(gateway, "leaf");
    const reply = await gateway.waitEvent((event) => isReplyTo(event, messageId));
    if (onEnd === "wait") {
      assert.ok(orchestrator.at >= leaf.at, "it stayed until its child had ended");
      assert.match(String(reply.data["text"]), /"orchestrator" succeeded[\s\S]*fruit/);
      assert.notEqual(leaf.session, MAIN);
      return;
    }
    assert.ok(orchestrator.at < leaf.at, "it ended at once");
    assert.equal(orchestrator.data["result"], "off already");
    assert.equal(leaf.session, MAIN, "the child belongs to the parent now");
    await gateway.waitEvent((event) => event.type === "turn.started" && /"leaf" succeeded[\s\S]*fruit/.test(String(event.data["digest"])), { session: MAIN });
  });
}

// ── waiting ─────────────────────────────────────────────────────────────────────────────────

const THREE = [spawn("fast", "! say 1"), spawn("middle", "! wait 700ms then say 2"), spawn("slow", "! wait 60s then say 3")].join(" & ");

for (const { wait, told, running } of [
  { wait: { waitFor: "any" }, told: ["fast"], running: ["middle", "slow"] },
  { wait: { waitFor: 2 }, told: ["fast", "middle"], running: ["slow"] },
  { wait: { waitFor: "all", timeoutSeconds: 2 }, told: ["fast", "middle"], running: ["slow"] },
]) {
  test(`a wait for ${JSON.stringify(wait)} is over with ${told.join(" and ")}, names what still runs, and a person is answered meanwhile`, async (t) => {
    const gateway = await setup(t);
    const { messageId, session } = await gateway.send(`! call ${THREE} then call sessions_yield ${JSON.stringify(wait)}`);
    await gateway.waitEvent((event) => event.type === "turn.yielded");
    assert.equal(await gateway.ask("! say still here"), "still here");
    const reply = String((await gateway.waitEvent((event) => isReplyTo(event, messageId))).data["text"]);
    for (const label of told) assert.match(reply, new RegExp(`"${label}" succeeded`));
    for (const label of running) assert.match(reply, new RegExp(`still running: .*"${label}"`));
    await gateway.api("POST", `/api/sessions/${encodeURIComponent(session)}/cancel`, {});
  });
}

test("a wait whose last child is stopped is over at once, since nothing can end any more", async (t) => {
  const gateway = await setup(t);
  const { messageId } = await gateway.send(`! call ${spawn("stuck", "! stall")} then call sessions_yield {"timeoutSeconds":600}`);
  const { taskId } = await gateway.waitEvent((event) => event.type === "task.started");
  await gateway.waitEvent((event) => event.type === "turn.yielded");
  const [at] = [performance.now(), await gateway.api("POST", `/api/tasks/${taskId}/cancel`, {})];
  await gateway.waitEvent((event) => isReplyTo(event, messageId));
  assert.ok(performance.now() - at < 10_000);
});

// ── failures ────────────────────────────────────────────────────────────────────────────────

test("failures in a row of one kind of task open its circuit: refused with the time to come back, then one may try", async (t) => {
  const gateway = await setup(t, { "agents.defaults.subagents.circuit.failures": 2, "agents.defaults.subagents.circuit.openSeconds": 2 });
  const ask = (task: string, category = "dig") => gateway.call<SpawnAccepted>("POST", "/api/spawns", { task, category, attempts: 5, backoffSeconds: 0, wait: true });
  const first = await ask("! fail 400");
  assert.deepEqual([first.body.task!.state, first.body.task!.attempt], ["failed", 2], "no third attempt once the circuit is open");
  const { status, body } = await gateway.call("POST", "/api/spawns", { task: "! say hi", category: "dig" });
  assert.deepEqual([status, body.code, body.retryable], [503, "CIRCUIT_OPEN", true]);
  assert.match(body.message, /2 .*failed|failed.* 2/);
  assert.equal((await ask("! say other", "sow")).body.task!.state, "succeeded");
  let trial = await ask("! say mended");
  for (const since = performance.now(); trial.status !== 200 && performance.now() - since < 20_000; trial = await ask("! say mended")) await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(trial.body.task!.state, "succeeded");
  assert.equal((await ask("! say again")).body.task!.state, "succeeded");
});

test("a child under which the gateway died twice begins its next attempt, and each attempt is told of under one id", async (t) => {
  const gateway = await setup(t);
  const { taskId, flowId } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: "! stall times 3 then say out of it", label: "cursed", attempts: 2, backoffSeconds: 0 });
  const show = (): Promise<TaskDetail> => gateway.api("GET", `/api/tasks/${taskId}`);
  await gateway.waitEvent((event) => event.type === "turn.started" && event.taskId === taskId);
  for (let kill = 1; kill <= 2; kill++) {
    await gateway.kill9();
    await gateway.start();
  }
  await gateway.waitEvent((event) => event.type === "task.attempt" && event.taskId === taskId);
  const { attempt, tried } = await show();
  assert.deepEqual([attempt, tried.map(({ code }) => code)], [2, ["TURN_POISONED"]]);
  assert.match(await yard(gateway, "tasks", "show", "cursed"), /attempt 1 ended after .*TURN_POISONED/);
  await gateway.api("POST", `/api/flows/${flowId}/cancel`, {});
  assert.equal((await show()).state, "cancelled");
});

test("a child in one long command lives on while the command changes files, and is over when it only prints, also into a file", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "agents.defaults.subagents.maxConcurrent": 8 }) });
  const exec = (command: string): string => `! call exec ${JSON.stringify({ command })} then say built`;
  const often = (what: string): string => `for i in $(seq ${(PROGRESS_SECONDS * 2) / 0.3}); do ${what}; sleep 0.3; done`;
  const spawns = {
    writes: exec(`mkdir -p w && cd w && ${often("echo $i > part$i")}`),
    prints: exec(often("echo $i")),
    logs: exec(`mkdir -p l && ${often("echo $i")} > l/printed.txt`),
    quiet: exec(`sleep ${PROGRESS_SECONDS * 2}`),
  };
  const folders = Object.keys(spawns).map((name) => {
    const cwd = join(gateway.home, "folders", name);
    mkdirSync(cwd, { recursive: true });
    return cwd;
  });
  const ended = await Promise.all(Object.entries(spawns).map(([label, task], n) => gateway.api<SpawnAccepted>("POST", "/api/spawns", { label, task, cwd: folders[n], progressSeconds: PROGRESS_SECONDS, wait: true })));
  const states = await Promise.all(ended.map(({ taskId }) => gateway.api<TaskDetail>("GET", `/api/tasks/${taskId}`)));
  assert.deepEqual(states.map(({ label, state, fault }) => [label, state, fault?.code ?? null]), [
    ["writes", "succeeded", null],
    ["prints", "timed_out", "CHILD_STALLED"],
    ["logs", "timed_out", "CHILD_STALLED"],
    ["quiet", "timed_out", "CHILD_STALLED"],
  ]);
  const sign = await gateway.waitEvent((event) => event.type === "task.progress" && event.data["changedFile"] !== undefined, { session: states[0]!.session });
  assert.match(String(sign.data["changedFile"]), /^w\/part\d+$/);
});

test("a child whose command changes files is still over at its deadline", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const command = "n=0; while true; do n=$((n+1)); echo > file$n; sleep 0.1; done";
  const { taskId } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: `! call exec ${JSON.stringify({ command })}`, progressSeconds: 1, deadlineSeconds: 4, wait: true });
  const { state, fault } = await gateway.api<TaskDetail>("GET", `/api/tasks/${taskId}`);
  assert.deepEqual([state, fault?.code], ["timed_out", "CHILD_TIMED_OUT"]);
});

test("a child's signs of life are seen while it works", async (t) => {
  const gateway = await setup(t);
  const { taskId } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: '! call list {"path":"."} then wait 20s then say late', label: "busy" });
  await gateway.waitEvent((event) => event.type === "tool.ended");
  const { aliveAt, startedAt } = await gateway.api<TaskDetail>("GET", "/api/tasks/busy");
  assert.ok(aliveAt! >= startedAt!);
  assert.match(await yard(gateway, "tasks", "show", "busy"), /last step +\d+s ago/);
  await gateway.api("POST", `/api/tasks/${taskId}/cancel`, {});
});

// ── what is shown ───────────────────────────────────────────────────────────────────────────

test("yard tasks flow show draws the tree: state, age, cost, what is left, what is claimed, and what each waits for", async (t) => {
  const gateway = await setup(t, { "budgets.tree.children": 9, "models.prices": { "standin/m": { input: 1, output: 1 } }, "agents.defaults.subagents.maxConcurrent": 3 });
  const team = `! call ${spawn("worker", "! wait 60s then say 1", { claims: ["src"] })} & ${spawn("next", "! say 2", { claims: ["src/a.ts"] })} then call sessions_yield {"timeoutSeconds":300}`;
  await gateway.send(`! call ${spawn("team", team, { budget: { tokens: 500_000 } })} then say on its way`);
  await gateway.waitEvent((event) => event.type === "turn.yielded");
  const { flows } = await gateway.api<FlowList>("GET", "/api/flows");
  const drawn = await yard(gateway, "tasks", "flow", "show", flows[0]!.flowId);
  assert.match(drawn, /budget left +6 of 9 children/);
  assert.match(drawn, /└─ team {2}waiting {2}\d+s {2}\$0\.0\d+ {2}task_\w+ {2}\d+ of 500000 tokens left {2}waits for worker, next, \d+m at most/);
  assert.match(drawn, / {3}├─ worker {2}running .*claims src/);
  assert.match(drawn, / {3}└─ next {2}queued .*waits for what is claimed by worker/);
  const listed = await yard(gateway, "tasks", "list", "--label", "next");
  assert.match(listed, /src\/a\.ts/);
  const json = JSON.parse(await yard(gateway, "tasks", "flow", "show", flows[0]!.flowId, "--json")) as FlowDetail;
  assert.equal(json.budget!.left.children, 6);
  await yard(gateway, "tasks", "flow", "cancel", flows[0]!.flowId);
});

test("yard spawn takes every parameter; the same key spawns once; a claim that is taken is refused when asked; words do for claims too", async (t) => {
  const gateway = await setup(t);
  await gateway.ask("! say the secret word is plum");
  const first = JSON.parse(await yard(gateway, "spawn", "! wait 60s then say 1", "--label", "deploy", "--claim", "name:deploy", "--budget-seconds", "600", "--key", "k1", "--json")) as SpawnAccepted;
  const second = JSON.parse(await yard(gateway, "spawn", "! say 1", "--key", "k1", "--json")) as SpawnAccepted;
  assert.deepEqual([second.taskId, second.duplicate], [first.taskId, true]);
  await assert.rejects(yard(gateway, "spawn", "! say 2", "--claim", "name:deploy", "--on-conflict", "refuse"), /CLAIM_TAKEN.*"deploy"/);
  const forked = JSON.parse(await yard(gateway, "spawn", "! say forked", "--parent", MAIN, "--context", "fork", "--cleanup", "delete", "--delivery", "board", "--wait", "--json")) as SpawnAccepted;
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(forked.childSessionKey)}/history`);
  assert.ok(entries.some(({ text }) => text.includes("plum")), "it began with what its parent knew");
  const task = await gateway.api<ApiTask>("GET", `/api/tasks/${first.taskId}`);
  assert.ok(task.deadlineAt !== null && task.deadlineAt - task.queuedAt === 600_000);
  await yard(gateway, "tasks", "cancel", "deploy");
});

// ── many at once ────────────────────────────────────────────────────────────────────────────

test("children of one parent that end in the same moment come to it in one turn for each batch, each result once", async (t) => {
  const children = 150;
  const gateway = await setup(t, { "agents.defaults.subagents.maxConcurrent": children, "agents.defaults.subagents.maxChildrenPerAgent": children, "agents.defaults.subagents.gatherMs": 1000 });
  await gateway.ask("! say hello");
  const endsAt = Date.now() + 4_000;
  const spawns = Array.from({ length: children }, (_, n) => ({ task: `! wait ${endsAt - Date.now()}ms then say r${n}`, label: `c${n}`, parent: MAIN }));
  const { spawns: accepted } = await gateway.api<SpawnsAccepted>("POST", "/api/spawns", { spawns });
  const left = new Set(accepted.map(({ taskId }) => taskId));
  let turns = 0;
  await gateway.waitEvent((event) => {
    if (event.type !== "turn.started" || typeof event.data["digest"] !== "string") return false;
    turns++;
    for (const [, id] of event.data["digest"].matchAll(/^\d+\. .*\((task_\w+)\)/gm)) assert.ok(left.delete(id!), `${id} came twice`);
    return left.size === 0;
  }, { session: MAIN, timeoutMs: 60_000 });
  t.diagnostic(`${children} results in ${turns} turns`);
  assert.ok(turns <= 10, `${turns} turns for ${children} results`);
});

function yard(gateway: Gateway, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [YARD, ...args], { env: { PATH: "/usr/bin:/bin", HOME: gateway.home, YARD_HOME: gateway.home } }, (error, stdout, stderr) => (error === null ? resolve(stdout) : reject(new Error(stderr))));
  });
}
