/** Trees of children that nobody looks after: each ends truthfully, whatever becomes of its model or the gateway. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ApiTask, FlowDetail, FlowList, History, SpawnAccepted, TaskDetail } from "../../src/api/wire.ts";
import { isReplyTo, startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

const WIDTH = 4;
const DEPTH = 3;
const CHILDREN = WIDTH + WIDTH ** 2 + WIDTH ** 3;
const LEAF_WAIT_MAX_MS = 400;
const TREE_MAX_MS = 120_000;

/** What one of the tree is told: spawn four and wait for them, or (at the bottom) take a while and answer, some only at the second try. */
function script(depth: number, random: () => number, label: string): string {
  if (depth === DEPTH) return `! wait ${Math.floor(random() * LEAF_WAIT_MAX_MS)}ms then say ${label} is done${random() < 0.2 ? " then fail 503 times 1" : ""}`;
  const calls = Array.from({ length: WIDTH }, (_, n) => {
    const below = `${label}.${n + 1}`;
    return `sessions_spawn ${JSON.stringify({ task: script(depth + 1, random, below), label: below })}`;
  });
  return `! call ${calls.join(" & ")} then call sessions_yield {"waitFor":"all"}`;
}

test("84 children in three levels with a model that dawdles and fails, and a gateway killed twice, all succeed, with one digest for each batch", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "agents.defaults.subagents.maxSpawnDepth": DEPTH, "agents.defaults.subagents.maxConcurrent": 16 }) });
  const { messageId, session } = await gateway.send(script(0, seeded(7), "t"));
  for (const tasks of [WIDTH + 3, CHILDREN / 2]) {
    await until(async () => (await flowOf(gateway)).tasks.length >= tasks, TREE_MAX_MS);
    await gateway.kill9();
    await gateway.start();
  }
  await gateway.waitEvent((event) => isReplyTo(event, messageId), { timeoutMs: TREE_MAX_MS });
  const { tasks } = await flowOf(gateway);
  assert.deepEqual([tasks.length, tasks.filter(({ state }) => state === "succeeded").length], [CHILDREN, CHILDREN]);

  const parents = [session, ...tasks.filter(({ depth }) => depth < DEPTH).map((task) => task.session)];
  for (const parent of parents) {
    const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(parent)}/history?limit=100`);
    const digests = entries.filter(({ provenance }) => provenance === "child");
    assert.equal(digests.length, 1, `${parent} got one digest`);
    const told = tasks.filter(({ parentSession }) => parentSession === parent).map(({ taskId }) => digests[0]!.text.split(`(${taskId})`).length - 1);
    assert.deepEqual(told, Array.from({ length: WIDTH }, () => 1), `${parent} got each result once`);
  }
});

test("a child that hangs, one whose calls always fail, one that says nothing and one that turns in circles each end with their own reason, after as many attempts as they were given", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const circle = Array.from({ length: 40 }, () => `wait 100ms then call list {"path":"."}`).join(" then ");
  const bad = [
    { label: "hangs", task: "! stall", progressSeconds: 1, state: "timed_out", code: "CHILD_STALLED" },
    { label: "fails", task: "! fail 400", state: "failed", code: "PROVIDER_REJECTED" },
    { label: "silent", task: "! think nothing to say", state: "failed", code: "CHILD_EMPTY" },
    { label: "circles", task: `! ${circle}`, progressSeconds: 1, state: "timed_out", code: "CHILD_STALLED" },
  ] as const;
  const ended = await Promise.all(
    bad.map(async ({ state: _state, code: _code, ...spawn }) => {
      const { taskId } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { ...spawn, attempts: 2, backoffSeconds: 0, wait: true });
      return gateway.api<TaskDetail>("GET", `/api/tasks/${taskId}`);
    }),
  );
  assert.deepEqual(
    ended.map(({ label, state, fault, attempt, tried }) => ({ label, state, code: fault?.code, attempt, tried: tried.map(({ code }) => code) })),
    bad.map(({ label, state, code }) => ({ label, state, code, attempt: 2, tried: [code] })),
  );
});

test("a child that fails once and has a second attempt succeeds, and its parent is told of the success only", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const { messageId, session } = await gateway.send(`! call sessions_spawn ${JSON.stringify({ task: "! say found it then fail 400 times 1", label: "second try", attempts: 2, backoffSeconds: 0 })} then call sessions_yield {}`);
  const reply = await gateway.waitEvent((event) => isReplyTo(event, messageId));
  assert.match(String(reply.data["text"]), /"second try" succeeded/);
  await gateway.waitEvent((event) => event.type === "task.attempt" && event.data["attempt"] === 2, { session });
});

test("children with overlapping claims work one after the other, and a write outside of a claim is refused and told to the model", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const write = (path: string, content: string): string => `! wait 300ms then call write ${JSON.stringify({ path, content })} then echo`;
  const spawn = (label: string, claims: string[], task: string) => gateway.api<SpawnAccepted>("POST", "/api/spawns", { label, task, claims });
  const first = await spawn("first", ["src/auth/**"], write("src/auth/login.ts", "one"));
  const second = await spawn("second", ["src/auth/login.ts"], write("src/auth/login.ts", "two"));
  const stranger = await spawn("stranger", ["docs"], write("src/auth/login.ts", "three"));
  const waiting = await gateway.api<FlowDetail>("GET", `/api/flows/${second.flowId}`);
  assert.deepEqual(waiting.tasks[0]!.waitsFor, { why: "claims", tasks: [first.taskId], until: null });
  const ended = await Promise.all([first, second, stranger].map(({ taskId }) => taskEnd(gateway, taskId)));
  assert.ok(ended[1]!.startedAt! >= ended[0]!.endedAt!, "the second began when the first had ended");
  assert.match(ended[2]!.result ?? "", /src\/auth\/login.ts is outside of what this child claimed \(docs\)/);
  assert.equal(readFileSync(join(gateway.home, "workspace/src/auth/login.ts"), "utf8"), "two");
  const { body, status } = await gateway.call("POST", "/api/spawns", { task: "x", claims: ["/etc"] });
  assert.deepEqual([status, body.code], [400, "BAD_REQUEST"]);
});

test("a child never has a tool that its parent has not, whatever its own agent is allowed", async (t) => {
  const model = await startModel(t);
  const config = standinConfig(model.url, {
    "agents.defaults.subagents.maxSpawnDepth": 3,
    "agents.defaults.subagents.tools": { 2: { deny: ["edit"] } },
    "agents.list": [{ id: "main", tools: { deny: ["exec"] }, subagents: { allowAgents: ["coder"] } }, { id: "coder" }, { id: "secret" }],
  });
  const gateway = await startGateway(t, { config });
  mkdirSync(join(gateway.home, "workspace"), { recursive: true });
  const exec = `! call exec {"command":"touch made"} & edit {"path":"a","old":"b","new":"c"} then echo`;
  await gateway.ask(`! call sessions_spawn ${JSON.stringify({ task: exec, agent: "coder" })} then call sessions_yield {}`);
  const inChild = (await flowOf(gateway)).tasks[0]!.result!;
  assert.match(inChild, /there is no tool "exec"/);
  assert.doesNotMatch(inChild, /there is no tool "edit"/, "the rule of depth 2 does not hold at depth 1");
  const nested = `! call sessions_spawn ${JSON.stringify({ task: exec, agent: "coder" })} then call sessions_yield {}`;
  await gateway.ask(`! call sessions_spawn ${JSON.stringify({ task: nested, agent: "coder" })} then call sessions_yield {}`);
  const deepest = (await flowOf(gateway)).tasks.find(({ depth }) => depth === 2)!;
  assert.match(deepest.result!, /there is no tool "exec"[\s\S]*there is no tool "edit"/);
  assert.ok(!existsSync(join(gateway.home, "workspace/made")));
  assert.match(await gateway.ask(`! call sessions_spawn {"task":"x","agent":"secret"} then echo`), /no agent secret; known: main, coder/);
});

async function flowOf(gateway: Gateway): Promise<FlowDetail> {
  const { flows } = await gateway.api<FlowList>("GET", "/api/flows?limit=1");
  if (flows[0] === undefined) return { tasks: [] } as unknown as FlowDetail;
  return gateway.api("GET", `/api/flows/${flows[0].flowId}`);
}

async function taskEnd(gateway: Gateway, taskId: string): Promise<ApiTask> {
  await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId);
  return gateway.api("GET", `/api/tasks/${taskId}`);
}

async function until(isTrue: () => Promise<boolean>, maxMs: number): Promise<void> {
  const since = performance.now();
  while (!(await isTrue())) {
    assert.ok(performance.now() - since < maxMs, `not within ${maxMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Numbers of 0 to 1, the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}
