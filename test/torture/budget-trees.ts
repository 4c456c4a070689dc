/**
 * Random trees of children, each with one budget over all of it, and a provider that keeps count.
 *
 *     node test/torture/budget-trees.ts --trees 1000 --seed 1 [--tokens 100000] [--kills 10] [--keep] [--unlimited]
 *
 * Each tree calls a model of its own name, so the provider's log says what each one cost. Children
 * talk at length, loop on tools, fail, are cut off, get budgets of their own and are tried again;
 * the gateway is killed in between. No tree may cost one token more than its budget.
 */
import { parseArgs } from "node:util";
import type { ApiTask, SpawnAccepted } from "../../src/api/wire.ts";
import { Gateway, standinConfig } from "../support/gateway.ts";
import { spawnStandin, type SpawnedStandin } from "../support/model-standin/spawn.ts";
import { Dice } from "../../sim/world/dice.ts";

const DEPTH_MAX = 3;
const WIDTH_MAX = 4;
/** Trees that run at one moment. */
const AT_ONCE = 24;
const TREE_MAX_SECONDS = 300;
const LOOK_EVERY_MS = 200;
/** Few tools: else the bound of a first prompt hides the arithmetic. */
const TOOLS = ["sessions_spawn", "sessions_yield", "memory_search"];

export interface BudgetTreesOptions {
  readonly trees: number;
  readonly seed: number;
  readonly tokens: number;
  readonly kills?: number;
  readonly keep?: boolean;
  /** Without budgets: shows that the same trees would spend more. */
  readonly unlimited?: boolean;
}

export interface BudgetTreesReport {
  readonly trees: number;
  /** By the provider's count. */
  readonly overspent: readonly { readonly tree: number; readonly tokens: number }[];
  readonly notEnded: readonly number[];
  /** Trees whose own account knows of less than the provider counted. */
  readonly undercounted: readonly number[];
  readonly mostSpent: number;
  readonly exhausted: number;
  readonly children: number;
  readonly calls: number;
  readonly kills: number;
}

export async function runBudgetTrees(options: BudgetTreesOptions): Promise<BudgetTreesReport> {
  const model = await spawnStandin(["--first", "5ms"]);
  const gateway = new Gateway({
    config: standinConfig(model.url, {
      "agents.list": [{ id: "main", tools: { allow: TOOLS } }],
      "agents.defaults.subagents.maxSpawnDepth": DEPTH_MAX + 1,
      "agents.defaults.subagents.maxConcurrent": 32,
      "agents.defaults.subagents.maxChildrenPerAgent": WIDTH_MAX,
      "agents.defaults.subagents.gatherMs": 0,
    }),
  });
  try {
    await gateway.start();
    return await runAll(gateway, model, options);
  } finally {
    if (options.keep === true) {
      await gateway.kill9();
      console.error(gateway.home);
    } else await gateway.close();
    await model.close();
  }
}

async function runAll(gateway: Gateway, model: SpawnedStandin, { trees, seed, tokens, kills = 0, unlimited = false }: BudgetTreesOptions): Promise<BudgetTreesReport> {
  const spent = new Map<number, number>();
  const open = new Map<number, string>();
  const roots = new Map<number, string>();
  const sum = { exhausted: 0, children: 0, calls: 0, kills: 0, lastId: 0 };
  const notEnded: number[] = [];
  let next = 1;
  let stuckSince = performance.now();
  while (next <= trees || open.size > 0) {
    for (; open.size < AT_ONCE && next <= trees; next++) open.set(next, await spawnTree(gateway, { seed, tree: next, tokens, unlimited }));
    if (sum.kills < kills && next > ((sum.kills + 1) * trees) / (kills + 1)) {
      sum.kills++;
      await gateway.kill9();
      await gateway.start();
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    for (const [tree, taskId] of open) {
      const task = await gateway.api<ApiTask>("GET", `/api/tasks/${taskId}`);
      if (task.endedAt === null) continue;
      open.delete(tree);
      stuckSince = performance.now();
      roots.set(tree, taskId);
      if (task.fault?.code === "BUDGET_EXHAUSTED") sum.exhausted++;
    }
    await count(model, spent, sum);
    if (performance.now() - stuckSince < TREE_MAX_SECONDS * 1_000) continue;
    notEnded.push(...open.keys());
    break;
  }
  await count(model, spent, sum);
  // Calls that a stop cut off are settled a moment after the end of their tree.
  const undercounted: number[] = [];
  for (const [tree, taskId] of unlimited ? [] : roots) {
    const { used, reserved } = (await gateway.api<ApiTask>("GET", `/api/tasks/${taskId}`)).budget!;
    if (used.tokens! + reserved.tokens! < (spent.get(tree) ?? 0)) undercounted.push(tree);
  }
  const { groups } = await gateway.api<{ groups: { count: number }[] }>("GET", "/api/tasks?limit=1&group=kind");
  return {
    trees,
    overspent: [...spent].filter(([, cost]) => cost > tokens).map(([tree, cost]) => ({ tree, tokens: cost })),
    notEnded,
    undercounted,
    mostSpent: Math.max(0, ...spent.values()),
    exhausted: sum.exhausted,
    children: groups.reduce((total, group) => total + group.count, 0) - trees,
    calls: sum.calls,
    kills: sum.kills,
  };
}

async function spawnTree(gateway: Gateway, { seed, tree, tokens, unlimited }: { seed: number; tree: number; tokens: number; unlimited: boolean }): Promise<string> {
  const body = { task: taskOf(seed, tree, "r", 1), label: `tree ${tree}`, model: `standin/t${tree}`, idempotencyKey: `tree-${tree}`, ...(unlimited ? {} : { budget: { tokens } }) };
  return (await gateway.api<SpawnAccepted>("POST", "/api/spawns", body)).taskId;
}

/** What a node of a tree does; the same for the same seed, tree and place. */
function taskOf(seed: number, tree: number, place: string, depth: number): string {
  const dice = new Dice(seed, tree, place);
  const steps: string[] = [];
  for (let n = dice.whole(0, 3); n > 0; n--) {
    const talk = dice.chance(0.5) ? `${dice.pick([`write ${dice.spread(500, 60_000)}`, "say a part"])} & ` : "";
    steps.push(`${talk === "" ? "" : `${talk.slice(0, -3)} then `}call memory_search {"query":"q${place}${n}"}`);
  }
  const width = depth > DEPTH_MAX ? 0 : dice.whole(depth === 1 ? 2 : 0, WIDTH_MAX);
  if (width > 0) {
    const spawns = Array.from({ length: width }, (_, n) => {
      const below = `${place}.${n + 1}`;
      const own = dice.chance(0.3) ? { budget: { tokens: dice.spread(3_000, 60_000) } } : {};
      const again = dice.chance(0.2) ? { attempts: 2, backoffSeconds: 0 } : {};
      return `sessions_spawn ${JSON.stringify({ task: taskOf(seed, tree, below, depth + 1), label: below, model: `standin/t${tree}`, ...own, ...again })}`;
    });
    steps.push(`call ${spawns.join(" & ")}`, `call sessions_yield {"waitFor":"${dice.pick(["all", "all", "any"])}"}`);
  }
  const end = dice.weighted({ [`write ${dice.spread(200, 120_000)}`]: 6, "say done": 3, "fail 503 times 1": 1, "cut 3 times 1": 1, "fail 400": 0.5 });
  return `! ${[...steps, end].join(" then ")}`;
}

/** Adds up what the provider logged since the last look. What it refused is logged and costs nothing. */
async function count(model: SpawnedStandin, spent: Map<number, number>, sum: { calls: number; lastId: number }): Promise<void> {
  for (const { id, model: name, usage, status } of await model.log(sum.lastId)) {
    sum.lastId = Math.max(sum.lastId, id);
    sum.calls++;
    if (status !== 200) continue;
    const tree = Number(/^t(\d+)$/.exec(name)?.[1] ?? 0);
    spent.set(tree, (spent.get(tree) ?? 0) + (usage?.input ?? 0) + (usage?.output ?? 0));
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { trees: { type: "string", default: "1000" }, seed: { type: "string", default: "1" }, tokens: { type: "string", default: "100000" }, kills: { type: "string", default: "0" }, keep: { type: "boolean", default: false }, unlimited: { type: "boolean", default: false } },
  });
  const report = await runBudgetTrees({ trees: Number(values.trees), seed: Number(values.seed), tokens: Number(values.tokens), kills: Number(values.kills), keep: values.keep, unlimited: values.unlimited });
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.overspent.length + report.notEnded.length + report.undercounted.length === 0 ? 0 : 1;
}
