/** Each word of a spawn with `runtime: "acp"`: it does what it says, or is refused in words; nothing is passed over in silence. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ApiTask, SpawnAccepted } from "../../src/api/wire.ts";
import { startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import { harnessConfig, heardBy, scripted, workFolder } from "../support/harness.ts";
import { startModel } from "../support/model.ts";
import type { Step } from "../support/scripted-harness.ts";

const YARD = join(import.meta.dirname, "..", "..", "bin", "yard.mjs");
const SAY: readonly Step[] = [{ say: "ok" }];
const HANG: readonly Step[] = [{ say: "begun" }, { wait: "ever" }];
const SCHEMA = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
const spawnsLeaf = (task: string, more = {}): Step => ({ attempt: "tool", at: "sessions_spawn", input: { task, ...more } });

interface Row {
  readonly what: string;
  readonly steps?: readonly Step[];
  readonly more: Readonly<Record<string, unknown>>;
  /** How the task ends; for a refusal see `refused`. */
  readonly state?: ApiTask["state"];
  readonly fault?: string;
  readonly refused?: string;
  readonly says?: RegExp;
  also?(task: ApiTask, gateway: Gateway): unknown;
}

const TABLE: readonly Row[] = [
  { what: "deadlineSeconds", steps: HANG, more: { deadlineSeconds: 2 }, state: "timed_out", fault: "CHILD_TIMED_OUT" },
  { what: "budget.seconds is the deadline", steps: HANG, more: { budget: { seconds: 2 } }, state: "timed_out", fault: "CHILD_TIMED_OUT" },
  { what: "progressSeconds, which words alone do not count for", steps: [{ say: "a" }, { sleep: 1_500 }, { say: "b" }, { sleep: 1_500 }, { say: "c" }, { wait: "ever" }], more: { progressSeconds: 2 }, state: "timed_out", fault: "CHILD_STALLED" },
  { what: "attempts and backoffSeconds", steps: HANG, more: { progressSeconds: 1, attempts: 2, backoffSeconds: 0 }, state: "timed_out", also: (task) => assert.equal(task.attempt, 2) },
  { what: "model", more: { model: "two" }, state: "succeeded" },
  { what: "a model that it does not have", more: { model: "seven" }, state: "failed", fault: "ACP_NO_SUCH_OPTION", says: /it has: one, two/ },
  { what: "budget.tokens of one that calls models by itself", more: { budget: { tokens: 5 } }, refused: "ACP_BUDGET_UNKEPT", says: /acp\.agents\.scripted\.proxy/ },
  { what: "budget.calls of one that calls models by itself", more: { budget: { calls: 1 } }, refused: "ACP_BUDGET_UNKEPT" },
  { what: "budget.cost of one that calls models by itself", more: { budget: { cost: 0.1 } }, refused: "ACP_BUDGET_UNKEPT" },
  { what: "budget.children", steps: [spawnsLeaf("one"), spawnsLeaf("two", { runtime: "subagent" })], more: { budget: { children: 1 }, onEnd: "handUp" }, state: "succeeded", says: /accepted[\s\S]*(budget|BUDGET)/ },
  { what: "onEnd wait", steps: [{ onceEach: true, steps: [spawnsLeaf("wait 1s then say leaf", { runtime: "subagent" })] }, { say: "done" }], more: { onEnd: "wait" }, state: "succeeded", says: /result of a background task[\s\S]*leaf/ },
  { what: "onEnd handUp", steps: [spawnsLeaf("wait 1s then say leaf", { agent: "scripted", runtime: "acp" }), { say: "done" }], more: { onEnd: "handUp" }, state: "succeeded", says: /done$/ },
  { what: "outputSchema that the result fits", steps: [{ say: '{"a": 1}' }], more: { outputSchema: SCHEMA }, state: "succeeded", also: (task) => assert.deepEqual(task.output, { a: 1 }) },
  { what: "outputSchema that it does not fit, after one correction", more: { outputSchema: SCHEMA }, state: "failed", fault: "RESULT_INVALID" },
  { what: "an outputSchema that could not be kept", more: { outputSchema: { pattern: "x" } }, refused: "BAD_REQUEST" },
  { what: "context fork", more: { parent: "agent:main:main", context: "fork" }, state: "succeeded" },
  { what: "cwd that is no absolute path", more: { cwd: "x" }, refused: "BAD_REQUEST", says: /absolute/ },
  { what: "cwd that is not there", more: { cwd: "/no/such/folder" }, state: "failed", fault: "ACP_SESSION_INIT_FAILED", says: /no folder/ },
  { what: "claims that are no paths of the workspace", more: { claims: ["../x"] }, refused: "BAD_REQUEST", says: /claims/ },
  { what: "an agent that is none of them", more: { agent: "nobody" }, refused: "ACP_AGENT_UNKNOWN", says: /scripted/ },
  { what: "another runtime than the agent's", more: { runtime: "subagent" }, refused: "AGENT_NOT_FOUND", says: /runtime "acp"/ },
  { what: "delivery webhook without an address", more: { delivery: "webhook" }, refused: "BAD_REQUEST", says: /callback/ },
  { what: "a callback into the private network", more: { callback: "http://127.0.0.1:9/x" }, refused: "ADDRESS_REFUSED" },
  { what: "delivery board", more: { delivery: "board", parent: "agent:main:main" }, state: "succeeded" },
  { what: "delivery notify", more: { delivery: "notify", parent: "agent:main:main" }, state: "succeeded" },
  { what: "cleanup delete, which happens later, when the result has been told", more: { cleanup: "delete" }, state: "succeeded" },
  { what: "category", more: { category: "chores" }, state: "succeeded" },
  { what: "label", more: { label: "a name" }, state: "succeeded", also: (task) => assert.equal(task.label, "a name") },
  { what: "a word that is none", more: { frobnicate: 1 }, refused: "BAD_REQUEST", says: /frobnicate/ },
];

async function bench(t: TestContext, more: Readonly<Record<string, unknown>> = {}): Promise<{ gateway: Gateway; cwd: string }> {
  const cwd = workFolder(t);
  const agents = { scripted: scripted(cwd, { load: true, models: ["one", "two"] }), failing: scripted(cwd, { models: ["one", "two"], at: { "session/prompt": "error" } }) };
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "acp.agents": agents, "acp.maxConcurrentSessions": 20, "agents.defaults.subagents.maxSpawnDepth": 3, ...more }) });
  return { gateway, cwd };
}

test("each parameter of a spawn holds for a coding agent, or is refused with a fault that says what to do", async (t) => {
  const { gateway, cwd } = await bench(t);
  await Promise.all(
    TABLE.map(async ({ what, steps = SAY, more, state, fault, refused, says, also }) => {
      const { status, body } = await gateway.call<SpawnAccepted & { code?: string; message?: string }>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, task: JSON.stringify(steps), ...more, wait: true, waitSeconds: 60 });
      if (refused !== undefined) {
        assert.deepEqual([what, status >= 400, body.code], [what, true, refused], JSON.stringify(body));
        return void (says === undefined || assert.match(body.message!, says, what));
      }
      const task = body.task!;
      assert.deepEqual([what, task?.state, task?.fault?.code ?? null], [what, state, fault ?? task?.fault?.code ?? null], JSON.stringify(body));
      if (says !== undefined) assert.match(fault === undefined ? task.result! : task.fault!.message, says, what);
      await also?.(task, gateway);
    }),
  );
  assert.ok(heardBy(cwd).some(({ method, params }) => method === "session/set_config_option" && params.value === "two"), "the model was set");
});

test("a coding agent's further attempts may have another of its own models, and a key spawns it once", async (t) => {
  const { gateway, cwd } = await bench(t);
  const spawn = (more: object): Promise<SpawnAccepted> => gateway.api("POST", "/api/spawns", { runtime: "acp", cwd, task: "hello", wait: true, waitSeconds: 60, ...more });
  const { task } = await spawn({ agent: "failing", attempts: 2, backoffSeconds: 0, retryModel: "two" });
  assert.deepEqual([task!.state, task!.attempt], ["failed", 2]);
  assert.deepEqual(heardBy(cwd).filter(({ method }) => method === "session/set_config_option").map(({ params }) => params.value), ["two"]);
  const [first, second] = [await spawn({ agent: "scripted", idempotencyKey: "k" }), await spawn({ agent: "scripted", idempotencyKey: "k" })];
  assert.deepEqual([first.duplicate, second.duplicate, second.taskId], [false, true, first.taskId]);
});

test("a child of a coding agent that names nobody is one of its own kind; with runtime subagent it is the gateway's own agent", async (t) => {
  const { gateway, cwd } = await bench(t);
  const { task } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, task: JSON.stringify([spawnsLeaf("hello", { label: "own" }), spawnsLeaf("what is 6 * 7?", { label: "other", runtime: "subagent" })]), onEnd: "handUp", wait: true, waitSeconds: 60 });
  const { tasks } = await gateway.api<{ tasks: readonly ApiTask[] }>("GET", `/api/flows/${task!.flowId}`);
  const child = (label: string): ApiTask => tasks.find((one) => one.label === label)!;
  assert.deepEqual([child("own").kind, child("own").agent, child("other").kind, child("other").agent], ["acp", "scripted", "subagent", "main"]);
});

test("claims keep coding agents apart: one that wants the same waits, or is refused when asked to be", async (t) => {
  const { gateway, cwd } = await bench(t);
  const spawn = (steps: readonly Step[], more: object) => gateway.call<SpawnAccepted & { code?: string }>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, task: JSON.stringify(steps), claims: ["src"], ...more });
  const first = (await spawn(HANG, {})).body;
  await gateway.waitEvent(({ type }) => type === "text.delta", { session: first.childSessionKey });
  assert.equal((await spawn(SAY, { onConflict: "refuse" })).body.code, "CLAIM_TAKEN");
  const waiting = (await spawn(SAY, {})).body;
  assert.equal((await gateway.api<ApiTask>("GET", `/api/tasks/${waiting.taskId}`)).state, "queued");
  await gateway.api("POST", `/api/tasks/${first.taskId}/cancel`);
  await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === waiting.taskId);
  assert.equal((await gateway.api<ApiTask>("GET", `/api/tasks/${waiting.taskId}`)).result, "ok");
});

test("an agent's sessions_spawn and `yard spawn` say the same of a coding agent, also below a budget that it could not keep", async (t) => {
  const model = await startModel(t);
  const { gateway, cwd } = await bench(t, standinConfig(model.url));
  const asTool = (more: object): string => JSON.stringify({ runtime: "acp", agent: "scripted", task: "hello", ...more });
  assert.match(await gateway.ask(`! call sessions_spawn ${asTool({ budget: { tokens: 500 } })} then say it said: <last>`), /it said: .*acp\.agents\.scripted\.proxy/);
  assert.match(await gateway.ask(`! call sessions_spawn ${asTool({ deadlineSeconds: 30, attempts: 2, retryModel: "two", progressSeconds: 20, onEnd: "handUp", budget: { children: 2 } })} then say it said: <last>`), /it said: .*accepted/);
  const below = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: `! call sessions_spawn ${asTool({})} then say it said: <last>`, label: "thrifty", budget: { tokens: 100_000 }, wait: true, waitSeconds: 60 });
  assert.match(below.task!.result!, /the budget of thrifty of tokens could not be kept/);

  const words = ["spawn", "hello", "--runtime", "acp", "--agent", "scripted", "--cwd", cwd];
  await assert.rejects(yard(gateway, ...words, "--budget-cost", "1"), /ACP_BUDGET_UNKEPT/);
  const done = await yard(gateway, ...words, "--deadline", "30", "--attempts", "2", "--retry-model", "two", "--progress", "20", "--on-end", "wait", "--budget-children", "1", "--key", "k", "--wait");
  assert.equal(done.trim(), "echo: hello");
});

function yard(gateway: Gateway, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [YARD, ...args], { env: { PATH: "/usr/bin:/bin", HOME: gateway.home, YARD_HOME: gateway.home } }, (error, stdout, stderr) => (error === null ? resolve(stdout) : reject(new Error(stderr))));
  });
}
