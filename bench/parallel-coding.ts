/**
 * Is parallel coding worth it? `node bench/parallel-coding.ts [--agents 1,3,5,10] [--tasks 10] [--shared 3] [--think 4s] [--harness NAME] [--json]`
 *
 * Makes the same repository each time: modules with real tests, and a registry that some tasks
 * (three, unless `--shared` says otherwise) all add a line to. Runs the same plan with each number of agents, and counts what landed, what
 * had to be mended, what was lost, what was left behind. Agents follow scripts and make real edits,
 * unless a harness is named, which then reads the same plan.
 *
 * Last result, 2026-11-29, two cores under ten times their load of other work, so that what git and tests take
 * is pessimistic; model time 40 s a task, ten tasks of which three share a file:
 *
 *     agents   wall time   speed-up   of one agent's time   landed   conflicts mended   lost   orphans   tokens
 *          1     543.6 s       1.00                  1.00       10                  0      0         0   65 488
 *          3     219.2 s       2.48                  0.40       10                  2      0         0   65 488
 *          5     120.4 s       4.51                  0.22       10                  2      0         0   65 485
 *         10     105.6 s       5.15                  0.19       10                  2      0         0   65 485
 *
 * Three tasks that share nothing, 60 s each: 193.7 s with one agent, 72.2 s with three (0.37).
 *
 * Lost work is a module or registry line that its agent wrote and main has not.
 */
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ApiPlan, MergeList, PlanDetail, WorkspaceList } from "../src/api/wire.ts";
import { bounded, Gateway, standinConfig } from "../test/support/gateway.ts";
import { spawnStandin } from "../test/support/model-standin/spawn.ts";
import { git, makeRepository } from "../test/support/workspaces.ts";

const RUN_MS_MAX = 1_800_000;

const { values: options } = parseArgs({ options: { agents: { type: "string", default: "1,3,5,10" }, tasks: { type: "string", default: "10" }, shared: { type: "string", default: "3" }, think: { type: "string", default: "4s" }, harness: { type: "string" }, json: { type: "boolean", default: false } } });
const taskCount = Number(options.tasks);
/** So many tasks add a line to the same file. */
const sharers = Number(options.shared);

interface Result {
  readonly agents: number;
  readonly seconds: number;
  readonly speedUp: number;
  readonly landed: number;
  readonly conflictsMended: number;
  readonly stuck: number;
  readonly lost: number;
  readonly orphans: number;
  readonly tokens: number;
}

const results: Result[] = [];
for (const agents of options.agents.split(",").map(Number)) results.push(await measure(agents, results[0]?.seconds ?? null));
if (options.json) console.log(JSON.stringify({ tasks: taskCount, shared: sharers, think: options.think, results }));
else console.table(results);

async function measure(agents: number, alone: number | null): Promise<Result> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "yard-bench-plan-")));
  const model = await spawnStandin([]);
  const gateway = new Gateway({ config: standinConfig(model.url, { "workspaces.freeBytesMin": 0, "plans.maxConcurrent": 100, "agents.defaults.subagents.maxConcurrent": 100, "agents.defaults.subagents.maxChildrenPerAgent": 100 }) });
  try {
    const repository = makeRepository(join(dir, "shop"), { "src/registry.mjs": "export const modules = [\n];\n", "test.mjs": "import { modules } from './src/registry.mjs';\nimport { existsSync } from 'node:fs';\nfor (const name of modules) if (!existsSync(`src/${name}`)) process.exit(1);\n" });
    await gateway.start();
    const startedAt = performance.now();
    const { planId } = await gateway.api<ApiPlan>("POST", "/api/plans", { text: planOf(agents), repository, mode: agents === 1 ? "sequential" : "parallel" });
    const run = await bounded(RUN_MS_MAX, "the plan took too long", untilRest(gateway, planId));
    const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
    const { merges } = await gateway.api<MergeList>("GET", "/api/merges?limit=500");
    const { workspaces } = await gateway.api<WorkspaceList>("GET", "/api/workspaces?state=ready");
    const landed = merges.filter(({ state }) => state === "landed");
    return {
      agents,
      seconds,
      speedUp: Math.round(((alone ?? seconds) / seconds) * 100) / 100,
      landed: landed.length,
      conflictsMended: landed.filter(({ mendedBy }) => mendedBy !== null).length,
      stuck: run.stuck,
      lost: run.rows.filter(({ id, state }) => state === "done" && !isWhole(repository, Number(id.slice(1)))).length,
      orphans: workspaces.length + git(repository, "worktree", "list", "--porcelain").split("\n").filter((line) => line.startsWith("worktree ")).length - 1,
      tokens: run.actual.tokens,
    };
  } finally {
    await gateway.close();
    await model.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function planOf(agents: number): string {
  const task = (n: number): string => {
    const registers = n < sharers;
    const command = registers ? `sed -i 's/^];/  "m${n}",\\n];/' src/registry.mjs` : "true";
    return `### m${n} (id: m${n}) (owns: src/m${n}/**${registers ? ", src/registry.mjs" : ""}) (size: 1h) (tests: ${process.execPath} src/m${n}/test.mjs)${options.harness === undefined ? "" : ` (harness: ${options.harness})`}
Write src/m${n}/index.mjs, which exports \`name\`, and src/m${n}/test.mjs, which ends with 0 when it is "m${n}".${registers ? ` Add "m${n}" to the list in src/registry.mjs.` : ""}

! wait ${options.think} then call write ${JSON.stringify({ path: `src/m${n}/index.mjs`, content: `export const name = "m${n}";\n` })} then call write ${JSON.stringify({ path: `src/m${n}/test.mjs`, content: `import { name } from "./index.mjs";\nif (name !== "m${n}") process.exit(1);\n` })} then call exec ${JSON.stringify({ command })} then say done
`;
  };
  return `# Bench\nonto: main\nagents: ${agents}\ntests: ${process.execPath} test.mjs\n\n${Array.from({ length: taskCount }, (_each, n) => task(n)).join("\n")}`;
}

async function untilRest(gateway: Gateway, planId: string): Promise<PlanDetail> {
  const look = (): Promise<PlanDetail> => gateway.api<PlanDetail>("GET", `/api/plans/${planId}`);
  for await (const event of gateway.events(null, 0)) {
    if (event.data["planId"] !== planId || !(event.type === "plan.ended" || event.type === "plan.waiting")) continue;
    const run = await look();
    if (run.state !== "running") return run;
  }
  return look();
}

function isWhole(repository: string, n: number): boolean {
  const registered = n >= sharers || readFileSync(join(repository, "src/registry.mjs"), "utf8").includes(`"m${n}"`);
  return registered && existsSync(join(repository, `src/m${n}/index.mjs`)) && existsSync(join(repository, `src/m${n}/test.mjs`));
}
