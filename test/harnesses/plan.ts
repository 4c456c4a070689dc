/**
 * Two real coding agents of different makers as workers of one plan, offline, against the model stand-in:
 *
 *     node test/harnesses/plan.ts [claude opencode]
 *
 * Each builds a module with a test in a worktree of its own and commits it; the gateway runs the tests,
 * merges both, and runs the tests of the whole after each merge. What the agents ask for is answered by
 * a person, here by this script. Prints one line per fact, and exits with 1 when one does not hold.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiPlan, ApprovalList, History, PlanDetail } from "../../src/api/wire.ts";
import { sleep, systemClock } from "../../src/base/clock.ts";
import { Gateway } from "../support/gateway.ts";
import { spawnStandin } from "../support/model-standin/spawn.ts";
import { allGone } from "../support/processes.ts";
import { git, makeRepository } from "../support/workspaces.ts";
import { entryFor, install, packageOf, REAL_HARNESSES, type RealHarness } from "./programs.ts";

const RUN_MS_MAX = 300_000;
const LOOK_MS = 100;
const LOG_CHARS_MAX = 2_000;

const named = process.argv.slice(2) as RealHarness[];
const workers = named.length > 0 ? named : (["claude", "opencode"] as const);
for (const id of workers) assert.ok(REAL_HARNESSES.includes(id), `no coding agent ${id} here; known: ${REAL_HARNESSES.join(", ")}`);

const scratch = realpathSync(mkdtempSync(join(tmpdir(), "yard-real-plan-")));
const model = await spawnStandin([]);
const agents: Record<string, object> = {};
for (const id of workers) {
  const home = join(scratch, id);
  mkdirSync(home);
  const entry = entryFor(id, { program: await install(id), modelUrl: model.url, home });
  agents[id] = { ...entry, env: { ...entry.env, COURSE: scratch } };
}
const gateway = new Gateway({ readyMaxMs: 60_000, config: { "acp.agents": agents, "messages.messageWaitMs": 0, "acp.memoryReserveMb": 0, "workspaces.freeBytesMin": 0, "plans.maxAttempts": 1 } });
let isOver = false;
try {
  const repository = makeRepository(join(scratch, "shop"), { "test.mjs": "import { readdirSync } from 'node:fs';\nfor (const name of readdirSync('src')) await import(`./src/${name}/test.mjs`);\n", "src/base/test.mjs": "" });
  await gateway.start();
  const answering = answerAll(gateway);
  const startedAt = performance.now();
  const { planId } = await gateway.api<ApiPlan>("POST", "/api/plans", { text: `# Two makers\nonto: main\ntests: ${process.execPath} test.mjs\n\n${workers.map(taskOf).join("\n")}`, repository, mode: "parallel" });
  let run = await gateway.api<PlanDetail>("GET", `/api/plans/${planId}`);
  for (const until = performance.now() + RUN_MS_MAX; run.state === "running" && performance.now() < until; run = await gateway.api("GET", `/api/plans/${planId}`)) await sleep(systemClock, LOOK_MS);
  isOver = true;
  const asked = await answering;
  for (const { id, state, session } of run.rows) {
    if (state === "done" || session === null) continue;
    const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(session)}/history`);
    say(`${id} is ${state}; it said: ${entries.map(({ role, text }) => `${role}: ${text}`).join("\n").slice(-LOG_CHARS_MAX)}`);
  }
  assert.equal(run.state, "done", JSON.stringify(run.rows.map(({ id, state, problem, missing }) => ({ id, state, problem, missing })), null, 1));
  say(`the plan is done in ${Math.round((performance.now() - startedAt) / 100) / 10} s; ${asked} questions were answered`);
  for (const id of workers) {
    const row = run.rows.find((each) => each.id === id)!;
    assert.equal(row.tests?.exitCode, 0);
    assert.deepEqual(row.commits, [`feat: add ${id}`]);
    assert.match(git(repository, "show", `main:src/${id}/index.mjs`), new RegExp(`"${id}"`));
    say(`${packageOf(id)}: merged, tests green, ${row.usage?.calls} requests, ${(row.usage?.input ?? 0) + (row.usage?.output ?? 0)} tokens`);
  }
  assert.deepEqual(git(repository, "log", "--format=%s", "main").split("\n").toSorted(), ["chore: project setup", ...workers.map((id) => `feat: add ${id}`)].toSorted());
  assert.equal(git(repository, "status", "--porcelain"), "");
  assert.equal(git(repository, "worktree", "list").split("\n").length, 1);
  assert.match(readFileSync(join(repository, `src/${workers[0]}/index.mjs`), "utf8"), /name/);
  say("main holds both, the checkout has followed, no worktree is left");
  await gateway.stop();
  await allGone(scratch);
  say("no process is left");
} catch (cause) {
  process.stdout.write(`FAILED  ${(cause as Error).message}\n${gateway.log().split("\n").slice(-20).join("\n")}\n`);
  process.exitCode = 1;
} finally {
  isOver = true;
  await gateway.close();
  await model.close();
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
}

function taskOf(id: string): string {
  const command = [
    `mkdir -p src/${id}`,
    `echo 'export const name = "${id}";' > src/${id}/index.mjs`,
    `echo 'import { name } from "./index.mjs"; if (name !== "${id}") process.exit(1);' > src/${id}/test.mjs`,
    "git add -A",
    `git -c user.name=${id} -c user.email=${id}@example.org commit -qm 'feat: add ${id}'`,
  ].join(" && ");
  return `### ${id} (harness: ${id}) (owns: src/${id}/**) (size: 1h) (tests: ${process.execPath} src/${id}/test.mjs)\n\n! call @run ${JSON.stringify({ command })} then say DONE, it is committed\n`;
}

/** Says yes to everything until the run is over. @returns how much that was. */
async function answerAll(to: Gateway): Promise<number> {
  let count = 0;
  while (!isOver) {
    const { approvals } = await to.api<ApprovalList>("GET", "/api/approvals?state=pending");
    for (const { approvalId } of approvals) if ((await to.call("POST", `/api/approvals/${approvalId}`, { answer: "once" })).status < 300) count++;
    await sleep(systemClock, LOOK_MS);
  }
  return count;
}

function say(fact: string): void {
  process.stdout.write(`ok  ${fact}\n`);
}
