/** Budgets, usage and results that must fit a schema, through the real program and by the provider's own count. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ApiTask, FlowDetail, SpawnAccepted, TaskList, UsageAnswer } from "../../src/api/wire.ts";
import { isReplyTo, startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import type { SpawnedStandin } from "../support/model-standin/spawn.ts";
import { startModel } from "../support/model.ts";

const YARD = join(import.meta.dirname, "..", "..", "bin", "yard.mjs");
/** Without it a first prompt is bounded at several thousand tokens, which hides the arithmetic of small budgets. */
const FEW_TOOLS = { "agents.list": [{ id: "main", tools: { allow: ["sessions_spawn", "sessions_yield", "memory_search"] } }], "agents.defaults.subagents.maxSpawnDepth": 3, "agents.defaults.subagents.gatherMs": 0 };

async function counted(model: SpawnedStandin): Promise<number> {
  return (await model.log()).reduce((sum, { usage }) => sum + (usage?.input ?? 0) + (usage?.output ?? 0), 0);
}

async function spawnAndWait(gateway: Gateway, body: object): Promise<ApiTask> {
  return (await gateway.api<SpawnAccepted>("POST", "/api/spawns", { ...body, wait: true })).task!;
}

async function setup(t: TestContext, more: object = {}, modelArgs: readonly string[] = []): Promise<{ model: SpawnedStandin; gateway: Gateway }> {
  const model = await startModel(t, modelArgs);
  return { model, gateway: await startGateway(t, { config: standinConfig(model.url, { ...FEW_TOOLS, ...more }) }) };
}

test("a child that would talk without end is cut at its budget, says what there is, and ends truthfully", async (t) => {
  const { model, gateway } = await setup(t);
  const task = await spawnAndWait(gateway, { task: '! say step one is done & call memory_search {"query":"x"} then write 90000 then say never', label: "talker", budget: { tokens: 12_000 } });
  assert.equal(task.state, "failed");
  assert.equal(task.fault!.code, "BUDGET_EXHAUSTED");
  assert.ok(task.result!.length > 0, "what there is");
  const used = await counted(model);
  assert.ok(used <= 12_000, `${used} tokens by the provider's count`);
  assert.equal(task.budget!.used.tokens, used, "nothing is guessed when the provider counted");
  assert.deepEqual([task.budget!.limit.tokens, task.budget!.reserved.tokens], [12_000, 0]);
  assert.equal(task.budget!.left.tokens, 12_000 - used);
});

test("a child that loops on tools gets one last call when its calls are used up, and no more", async (t) => {
  const { model, gateway } = await setup(t);
  const loop = Array.from({ length: 9 }, (_none, index) => `call memory_search {"query":"q${index}"}`).join(" then ");
  const task = await spawnAndWait(gateway, { task: `! ${loop} then say never`, budget: { calls: 4 } });
  assert.deepEqual([task.state, task.fault!.code, task.usage.calls], ["failed", "BUDGET_EXHAUSTED", 4]);
  const log = await model.log();
  assert.equal(log.length, 4);
  assert.deepEqual([log[3]!.tools, /your last answer|what there is/.test(log[3]!.userTexts.join())], [[], true]);
  assert.match(task.result!, /^You said: /, "the last answer is the result");
});

test("children of a budgeted child spend from it, a child's own budget is set aside and comes back, and more than is left is refused", async (t) => {
  const { gateway } = await setup(t);
  const big = '! call sessions_spawn {"task":"! wait 300ms then say small","label":"small","budget":{"tokens":20000}} & sessions_spawn {"task":"! say never","label":"big","budget":{"tokens":500000}} then call sessions_yield {"waitFor":"all"} then say over';
  const accepted = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: big, label: "root", budget: { tokens: 100_000, children: 5 } });
  await gateway.waitEvent((event) => event.type === "task.accepted" && event.data["label"] === "small");
  const during = await gateway.api<ApiTask>("GET", `/api/tasks/${accepted.taskId}`);
  assert.ok(during.budget!.reserved.tokens! >= 20_000, "set aside");
  await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === accepted.taskId);
  const { tasks } = await gateway.api<TaskList>("GET", `/api/tasks?flow=${accepted.flowId}`);
  const [small, root] = tasks as [ApiTask, ApiTask];
  assert.deepEqual(tasks.map((task) => [task.label, task.state]), [["small", "succeeded"], ["root", "succeeded"]], "the big one was refused");
  assert.equal(root.budget!.reserved.tokens, 0);
  assert.equal(root.budget!.used.tokens, root.usage.input + root.usage.output + small.usage.input + small.usage.output, "the child's use counts, its rest came back");
  assert.equal(root.budget!.used.children, 1);
});

test("many children at once on one budget never spend more than it, and each ends", async (t) => {
  const { model, gateway } = await setup(t, { "agents.defaults.subagents.maxConcurrent": 12, "agents.defaults.subagents.maxChildrenPerAgent": 12 }, ["--first", "30ms"]);
  const task = '! call sessions_spawn {"task":"! write 30000 then say never","label":"writer <i>"} x 12 then call sessions_yield {"waitFor":"all"} then say over';
  const root = await spawnAndWait(gateway, { task, budget: { tokens: 40_000 } });
  const used = await counted(model);
  assert.ok(used <= 40_000, `${used} tokens by the provider's count`);
  assert.ok(used > 12_000, `${used}: the budget was used`);
  const { tasks } = await gateway.api<TaskList>("GET", `/api/tasks?flow=${root.flowId}`);
  assert.ok(tasks.every(({ endedAt }) => endedAt !== null));
});

test("after kill -9 a call on its way counts as spent, so the repeated one cannot overspend", async (t) => {
  const { model, gateway } = await setup(t, {}, ["--total", "1500ms"]);
  const { taskId } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: "! write 4000", budget: { tokens: 30_000 } });
  while ((await model.log()).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await gateway.kill9();
  await gateway.start();
  await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId);
  const task = await gateway.api<ApiTask>("GET", `/api/tasks/${taskId}`);
  const provider = await counted(model);
  assert.ok(task.budget!.used.tokens! >= provider, `${task.budget!.used.tokens} must not be below ${provider}`);
  assert.ok(task.budget!.used.tokens! <= 30_000 && provider <= 30_000);
});

test("a budget of money moves to the cheaper model first, tells it, and refuses a model without a price", async (t) => {
  const prices = { "standin/m": { input: 1000, output: 1000 }, "standin/cheap": { input: 1, output: 1 } };
  const { model, gateway } = await setup(t, { "models.prices": prices, "budgets.cheaperModel": "standin/cheap" });
  const task = await spawnAndWait(gateway, { task: "! say done", budget: { cost: 0.5 } });
  assert.deepEqual([task.state, task.result], ["succeeded", "done"]);
  assert.deepEqual((await model.log()).map((one) => one.model), ["cheap"]);
  assert.ok(task.budget!.used.cost! > 0 && task.budget!.used.cost! <= 0.5);
  const notice = await gateway.waitEvent((event) => event.type === "notice" && event.data["code"] === "BUDGET_CHEAPER_MODEL");
  assert.match(String(notice.data["text"]), /standin\/cheap goes on/);
  const unpriced = await spawnAndWait(gateway, { task: "! say done", model: "standin/other", budget: { cost: 1 } });
  assert.deepEqual([unpriced.state, unpriced.fault!.code], ["failed", "BUDGET_PRICE_UNKNOWN"]);
});

test("a person's day has a limit that holds over conversations; another person is not concerned", async (t) => {
  const { gateway } = await setup(t, { "budgets.person.calls": 2 });
  const ask = async (peer: string): Promise<string> => {
    const { messageId } = await gateway.send("hello", { channel: "api", peer });
    const end = await gateway.waitEvent((event) => isReplyTo(event, messageId) || (event.type === "turn.ended" && (event.data["messageIds"] as string[]).includes(messageId)));
    return end.type === "reply" ? "answered" : (end.data["fault"] as { code: string }).code;
  };
  assert.deepEqual([await ask("ann"), await ask("ann"), await ask("ann"), await ask("bob")], ["answered", "answered", "BUDGET_EXHAUSTED", "answered"]);
});

test("usage adds up by model, session, person, tree and day, stays when a session is deleted, and an unknown price is not 0", async (t) => {
  const { model, gateway } = await setup(t, { "models.prices": { "standin/m": { input: 2, output: 8 } } });
  await gateway.ask("hello", { channel: "api", peer: "ann" });
  const child = await spawnAndWait(gateway, { task: "! say priced" });
  await spawnAndWait(gateway, { task: "! say unpriced", model: "standin/other" });
  const by = (group: string): Promise<UsageAnswer> => gateway.api("GET", `/api/usage?by=${group}`);
  const models = await by("model");
  assert.equal(models.total.input + models.total.output, await counted(model));
  const priced = models.rows.find(({ name }) => name === "standin/m")!.usage;
  assert.equal(priced.cost, (priced.input * 2 + priced.output * 8) / 1e6);
  assert.deepEqual(models.rows.filter(({ name }) => name === "standin/other").map(({ usage }) => [usage.cost, usage.unpriced, usage.calls]), [[null, 1, 1]]);
  assert.deepEqual((await by("person")).rows.map(({ name }) => name).sort(), ["ann", "operator"]);
  assert.deepEqual((await by("flow")).rows.find(({ name }) => name === child.flowId)!.usage, child.usage);
  const day = new Date().toISOString().slice(0, 10);
  assert.ok((await by("day")).rows.every(({ name }) => name <= day));
  assert.equal((await gateway.api<UsageAnswer>("GET", "/api/usage?since=2999-01-01")).total.calls, 0);
  await gateway.api("DELETE", `/api/sessions/${encodeURIComponent(child.session)}`);
  assert.deepEqual((await by("model")).total, models.total);
  const metrics = await (await fetch(`${gateway.url}/metrics`, { headers: { authorization: `Bearer ${gateway.token}` } })).text();
  assert.match(metrics, new RegExp(`yard_model_tokens_total\\{model="standin/m",kind="input"\\} ${priced.input}\\n`));
  assert.equal((await gateway.call("GET", "/api/usage?since=yesterday")).status, 400);
  assert.match(await yard(gateway, "usage", "--by", "model"), /standin\/other[\s\S]*unknown/);
});

test("yard spawn takes a budget, and yard tasks show tells what is left", async (t) => {
  const { gateway } = await setup(t);
  const { taskId } = JSON.parse(await yard(gateway, "spawn", "! say hi", "--budget-tokens", "50000", "--budget-calls", "3", "--json")) as SpawnAccepted;
  await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId);
  assert.match(await yard(gateway, "tasks", "show", taskId), /budget left +\d+ of 50000 tokens, 2 of 3 calls/);
});

test("a tree's limit of children from settings is kept over all depths and told by the flow", async (t) => {
  const { gateway } = await setup(t, { "budgets.tree.children": 3 });
  const task = '! call sessions_spawn {"task":"! say leaf","label":"leaf <i>"} x 4 then call sessions_yield {"waitFor":"all"} then say over';
  const root = await spawnAndWait(gateway, { task, label: "root" });
  const flow = await gateway.api<FlowDetail>("GET", `/api/flows/${root.flowId}`);
  assert.deepEqual([flow.total, flow.budget!.used.children, flow.budget!.left.children], [3, 3, 0]);
});

// ── results that must fit a schema ──────────────────────────────────────────────────────────

const CITY = { type: "object", properties: { city: { type: "string" }, people: { type: "integer", minimum: 0 } }, required: ["city", "people"], additionalProperties: false };

test("a result that fits its schema is there as JSON, also in a code block, and the child was told the schema", async (t) => {
  const { model, gateway } = await setup(t);
  const task = await spawnAndWait(gateway, { task: '! say {"city":"Bern","people":134000}', outputSchema: CITY });
  assert.deepEqual([task.state, task.output], ["succeeded", { city: "Bern", people: 134_000 }]);
  assert.match((await model.log())[0]!.userTexts.join(), /"additionalProperties":false/);
});

test("a result that does not fit gets one correction that names what is wrong; a second one fails the child", async (t) => {
  const { model, gateway } = await setup(t);
  // The stand-in follows the newest script, and the correction holds none: its second answer is no JSON either.
  const wrong = await spawnAndWait(gateway, { task: '! say {"city":"Bern","people":-1}', label: "wrong", outputSchema: CITY });
  assert.deepEqual([wrong.state, wrong.fault!.code, wrong.output], ["failed", "RESULT_INVALID", undefined]);
  const [, correction] = await model.log();
  assert.match(correction!.userTexts.join(), /\.people must be at least 0/);
  assert.equal((await model.log()).length, 2);
  await model.configure({ reply: '```json\n{"city":"Bern","people":7}\n```' });
  const mended = await spawnAndWait(gateway, { task: "! say sorry", label: "mended", outputSchema: CITY });
  assert.deepEqual([mended.state, mended.output], ["succeeded", { city: "Bern", people: 7 }]);
});

test("a schema that could not be kept is refused at the door", async (t) => {
  const { gateway } = await setup(t);
  const refused = await gateway.call("POST", "/api/spawns", { task: "x", outputSchema: { type: "string", pattern: "(a+)+$" } });
  assert.deepEqual([refused.status, refused.body.code], [400, "BAD_REQUEST"]);
  assert.match(refused.body.message, /outputSchema.*pattern/);
});

function yard(gateway: Gateway, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [YARD, ...args], { env: { PATH: "/usr/bin:/bin", HOME: gateway.home, YARD_HOME: gateway.home } }, (error, stdout, stderr) => (error === null ? resolve(stdout) : reject(new Error(stderr))));
  });
}
