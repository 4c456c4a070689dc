/**
 * kill -9 of the whole gateway while it runs a plan: five agents, their worktrees, their tests, and merges that conflict.
 *
 *     node test/torture/plans-kill9.ts --kills 100 --seed 1 [--keep]
 *
 * The moments are seeded: now and then one comes before the gateway is ready, and after every fourth
 * comes a longer life, because a turn that dies too often without a step is set aside. When a plan is
 * done a new repository begins, until enough kills are counted. What must hold, with git as the witness:
 *
 *   - whenever the gateway is dead, the branch is a whole result: each commit on it has all files of its
 *     task and its part of the file that it shares, and no task is there twice
 *   - the plan ends as done, with every task merged exactly once, its tests green on main, the checkout clean
 *   - no work is lost: what an agent wrote is on main, or under a ref
 *   - nothing stays behind: no worktree, no branch of an agent, no lock of git, no process with the gateway's mark
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ApiPlan, PlanDetail, WorkspaceList } from "../../src/api/wire.ts";
import { sleep, systemClock } from "../../src/base/clock.ts";
import { seededRandom } from "../../src/base/ids.ts";
import { Gateway, standinConfig } from "../support/gateway.ts";
import { spawnStandin } from "../support/model-standin/spawn.ts";
import { git, makeRepository } from "../support/workspaces.ts";

const AGENTS = 5;
/** Tasks that all add a line to one file: their merges conflict, and both additions are kept. */
const REGISTRARS = 3;
/** The others change the same line of another file: the last one in mends it. */
const LIMIT = "src/limit.mjs";
const KILL_AFTER_MIN_MS = 30;
const KILL_AFTER_MAX_MS = 3_000;
const QUIET_EVERY = 4;
const QUIET_MS = 6_000;
const KILL_AT_START_ONE_IN = 10;
const KILL_AT_START_MAX_MS = 800;
const READY_MAX_MS = 120_000;
const LOOK_MS = 100;
/** The longest that a plan may take once nobody kills it any more. */
const REST_MAX_MS = 300_000;

export interface KilledPlansReport {
  readonly kills: number;
  readonly plans: number;
  readonly tasksMerged: number;
  readonly attempts: number;
  readonly readyMsMedian: number;
  readonly readyMsMax: number;
  readonly seconds: number;
  /** Empty when every promise held. */
  readonly broken: readonly string[];
  readonly dir: string;
}

export async function killPlans(kills: number, { seed, keep = false }: { readonly seed: number; readonly keep?: boolean }): Promise<KilledPlansReport> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "yard-kill-plan-")));
  const model = await spawnStandin([]);
  mkdirSync(join(dir, "home"));
  const gateway = new Gateway({
    home: join(dir, "home"),
    readyMaxMs: READY_MAX_MS,
    config: standinConfig(model.url, { "workspaces.freeBytesMin": 0, "plans.maxConcurrent": AGENTS, "plans.maxAttempts": 10, "merges.attemptsMax": 100, "merges.radarSeconds": 1, "recovery.deathsMax": 0, "agents.defaults.subagents.maxChildrenPerAgent": 20 }),
  });
  const bytes = seededRandom(seed);
  const random = (): number => ((bytes(1)[0]! << 8) + bytes(1)[0]!) / 65_536;
  const broken: string[] = [];
  const readyMs: number[] = [];
  const startedAt = performance.now();
  const sum = { kills: 0, plans: 0, tasksMerged: 0, attempts: 0 };
  try {
    await gateway.start();
    while (sum.kills < kills || sum.plans === 0) {
      const repository = makeRepository(join(dir, `shop${sum.plans}`), START);
      const request = { text: planOf(random), repository, mode: "parallel", idempotencyKey: `plan-${sum.plans}` };
      const begin = async (): Promise<string> => (await gateway.api<ApiPlan>("POST", "/api/plans", request)).planId;
      const planId = await begin();
      for (let isOver = false; !isOver; ) {
        const isLast = sum.kills >= kills;
        const aliveMs = isLast ? REST_MAX_MS : sum.kills % QUIET_EVERY === QUIET_EVERY - 1 ? QUIET_MS : KILL_AFTER_MIN_MS + random() * (KILL_AFTER_MAX_MS - KILL_AFTER_MIN_MS);
        const run = await endOf(gateway, planId, aliveMs);
        isOver = run !== null;
        if (isLast && run === null) broken.push(`plan ${sum.plans} was not over ${REST_MAX_MS / 1000} s after the last kill`);
        if (isOver || isLast) break;
        await gateway.kill9();
        sum.kills++;
        broken.push(...halfMoved(repository).map((what) => `kill ${sum.kills}: ${what}`));
        if (random() < 1 / KILL_AT_START_ONE_IN) {
          gateway.launch();
          await sleep(systemClock, random() * KILL_AT_START_MAX_MS);
          await gateway.kill9();
          sum.kills++;
        }
        await gateway.start();
        readyMs.push(Math.round(gateway.startMs));
        if ((await begin()) !== planId) broken.push(`kill ${sum.kills}: the same key began a second plan`);
      }
      const run = await gateway.api<PlanDetail>("GET", `/api/plans/${planId}`);
      broken.push(...(await unkept(gateway, repository, run)).map((what) => `plan ${sum.plans}: ${what}`));
      sum.plans++;
      sum.tasksMerged += run.rows.filter(({ state }) => state === "done").length;
      sum.attempts += run.rows.reduce((total, { attempt }) => total + attempt, 0);
      if (broken.length > 0) break;
    }
    await gateway.stop();
    const left = processesOf(dir);
    if (left.length > 0) broken.push(`processes are left: ${left.join("; ")}`);
  } finally {
    await gateway.close();
    await model.close();
    if (!keep && broken.length === 0) rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  }
  readyMs.sort((a, b) => a - b);
  return { ...sum, readyMsMedian: readyMs[readyMs.length >> 1] ?? 0, readyMsMax: readyMs.at(-1) ?? 0, seconds: Math.round((performance.now() - startedAt) / 1000), broken, dir };
}

const START = {
  [LIMIT]: limitOf([]),
  "src/registry.mjs": "export const modules = [\n];\n",
  "test.mjs": "import { modules } from './src/registry.mjs';\nimport { existsSync, readdirSync, readFileSync } from 'node:fs';\nfor (const name of modules) if (!existsSync(`src/${name}/index.mjs`)) process.exit(1);\nfor (const name of readdirSync('src')) if (!name.endsWith('.mjs') && readFileSync(`src/${name}/index.mjs`, 'utf8') !== `export const name = \"${name}\";\\n`) process.exit(2);\n",
};

function planOf(random: () => number): string {
  const task = (n: number): string => {
    const name = `m${n}`;
    const command = `grep -q '"${name}"' src/registry.mjs || sed -i 's/^];/  "${name}",\\n];/' src/registry.mjs; git add -A; git -c user.name=A -c user.email=a@example.org commit -qm 'feat: ${name} in steps' || true`;
    const wait = (): string => `wait ${Math.round(random() * 800)}ms`;
    const steps = [
      `${wait()} then call write ${JSON.stringify({ path: `src/${name}/index.mjs`, content: contentOf(name) })}`,
      `${wait()} then call write ${JSON.stringify({ path: `src/${name}/test.mjs`, content: `import { name } from "./index.mjs";\nif (name !== "${name}") process.exit(1);\n` })}`,
      `call exec ${JSON.stringify({ command: n < REGISTRARS ? command : [process.execPath, "-e", `const fs = require("fs"); const names = new Set([...fs.readFileSync("${LIMIT}", "utf8").matchAll(/m\\d/g)].map(String)).add("${name}"); fs.writeFileSync("${LIMIT}", "export const limit = " + JSON.stringify([...names].sort()) + ";\\n");`] })}`,
      `${wait()} then say done`,
    ];
    const shared = n < REGISTRARS ? "src/registry.mjs" : LIMIT;
    const mends = `${wait()} then call write ${JSON.stringify({ path: LIMIT, content: limitOf(NAMES.slice(REGISTRARS)) })} then say both hold`;
    return `### ${name} (id: ${name}) (owns: src/${name}/**, ${shared}) (size: 1h) (tests: ${process.execPath} src/${name}/test.mjs && grep -q '"${name}"' ${shared})\n\n! ${steps.join(" then ")}\n~! ${mends}\n`;
  };
  return `# Killed\nonto: main\nagents: ${AGENTS}\ntests: ${process.execPath} test.mjs\n\n${NAMES.map((_name, n) => task(n)).join("\n")}`;
}

/** What each task lands as: agents that commit themselves choose the words. */
const landedAs = (n: number): string => (n < REGISTRARS ? `feat: m${n} in steps` : `m${n}`);

const NAMES = Array.from({ length: AGENTS }, (_each, n) => `m${n}`);

function contentOf(name: string): string {
  return `export const name = "${name}";\n`;
}

function limitOf(names: readonly string[]): string {
  return `export const limit = ${JSON.stringify(names)};\n`;
}

/** The run when it is over within the time, else null. */
async function endOf(gateway: Gateway, planId: string, withinMs: number): Promise<PlanDetail | null> {
  for (const until = performance.now() + withinMs; performance.now() < until; ) {
    const run = await gateway.api<PlanDetail>("GET", `/api/plans/${planId}`);
    if (run.state !== "running") return run;
    await sleep(systemClock, Math.max(0, Math.min(LOOK_MS, until - performance.now())));
  }
  return null;
}

/** What is half done on the branch, seen by git alone. */
function halfMoved(repository: string): string[] {
  const wrong: string[] = [];
  const landed = subjectsOf(repository).filter((subject) => subject !== "chore: project setup");
  if (new Set(landed).size !== landed.length) wrong.push(`a task is on main twice: ${landed.join(", ")}`);
  const files = new Set(git(repository, "ls-tree", "-r", "--name-only", "main").split("\n"));
  const [registry, limit] = ["src/registry.mjs", LIMIT].map((path) => git(repository, "show", `main:${path}`));
  for (const [n, name] of NAMES.entries()) {
    const has = [files.has(`src/${name}/index.mjs`), files.has(`src/${name}/test.mjs`), (n < REGISTRARS ? registry : limit)!.includes(`"${name}"`)];
    const isThere = landed.includes(landedAs(n));
    if (has.some((one) => one !== isThere)) wrong.push(`${name} is half on main: ${has.join(", ")} with ${landed.join(", ")}`);
  }
  return wrong;
}

/** What a plan that is over owes and has not. */
async function unkept(gateway: Gateway, repository: string, run: PlanDetail): Promise<string[]> {
  const wrong: string[] = halfMoved(repository);
  if (run.state !== "done") wrong.push(`it is ${run.state}: ${JSON.stringify(run.rows.map(({ id, state, problem, missing }) => ({ id, state, problem, missing })))}`);
  const subjects = subjectsOf(repository).toSorted();
  if (subjects.join() !== ["chore: project setup", ...NAMES.map((_name, n) => landedAs(n))].toSorted().join()) wrong.push(`main holds ${subjects.join(", ")}`);
  for (const name of NAMES) {
    const text = existing(() => readFileSync(join(repository, `src/${name}/index.mjs`), "utf8"));
    if (text !== contentOf(name)) wrong.push(`the checkout's src/${name}/index.mjs is ${JSON.stringify(text)}`);
  }
  const status = git(repository, "status", "--porcelain");
  if (status !== "") wrong.push(`the checkout is not clean: ${status}`);
  if (existing(() => execFileSync(process.execPath, ["test.mjs"], { cwd: repository, encoding: "utf8" })) === null) wrong.push("the tests are red on main");
  const worktrees = git(repository, "worktree", "list", "--porcelain").split("\n").filter((line) => line.startsWith("worktree ")).length - 1;
  if (worktrees > 0) wrong.push(`${worktrees} worktrees are left`);
  const branches = git(repository, "branch", "--list", "yard/*");
  if (branches !== "") wrong.push(`branches are left: ${branches}`);
  const locks = readdirSync(join(repository, ".git"), { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".lock") || path.startsWith("yard-"));
  if (locks.length > 0) wrong.push(`git's folder holds ${locks.join(", ")}`);
  const { workspaces } = await gateway.api<WorkspaceList>("GET", "/api/workspaces?state=ready,making,removing");
  if (workspaces.length > 0) wrong.push(`${workspaces.length} workspaces are left`);
  const damage = existing(() => git(repository, "fsck", "--strict", "--no-dangling"));
  if (damage === null) wrong.push("git fsck finds damage");
  return wrong;
}

function subjectsOf(repository: string): readonly string[] {
  return git(repository, "log", "--format=%s", "main").split("\n");
}

function existing<T>(look: () => T): T | null {
  try {
    return look();
  } catch {
    return null;
  }
}

/** Command lines of processes that work below a folder. */
function processesOf(dir: string): readonly string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    // By its own home or folder: a shell that somebody looks around with only remembers that it was there.
    const isHome = existing(() => readFileSync(`/proc/${pid}/environ`, "utf8"))?.split("\0").some((each) => each.startsWith(`HOME=${dir}`));
    const isThere = existing(() => readlinkSync(`/proc/${pid}/cwd`))?.startsWith(dir);
    if (Number(pid) === process.pid || !(isHome || isThere)) return [];
    return [existing(() => readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim()) ?? pid];
  });
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { kills: { type: "string", default: "100" }, seed: { type: "string", default: "1" }, keep: { type: "boolean", default: false } } });
  const report = await killPlans(Number(values.kills), { seed: Number(values.seed), keep: values.keep });
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.broken.length === 0 ? 0 : 1;
}
