/**
 * What happens when agents of one plan meet in the same files: each case through the real program, with
 * real git and real tests. `~!` lines are what an agent does when it is asked to mend a conflict.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ApiMerge, History, MergeList } from "../../src/api/wire.ts";
import { isDone, meet, openShop, row, subjects, TESTS, writes, type Shop } from "../support/shop.ts";
import { git } from "../support/workspaces.ts";

const PARALLEL = { mode: "parallel" };
const MANIFEST = `${JSON.stringify({ name: "shop", dependencies: {} }, null, 2)}\n`;

async function merges(shop: Shop): Promise<readonly ApiMerge[]> {
  return (await shop.gateway.api<MergeList>("GET", "/api/merges")).merges;
}

function runs(command: string): string {
  return `call exec ${JSON.stringify({ command })}`;
}

test("both add a dependency to package.json and a command to cli.mjs: both of each are kept, and the tests decide", async (t) => {
  const shop = await openShop(t, {
    "package.json": MANIFEST,
    "src/cli.mjs": "export const commands = {};\n// commands\n",
    "tests/cli.test.mjs": "import { readFileSync } from 'node:fs';\nimport { commands } from '../src/cli.mjs';\nconst { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));\nif (Object.keys(commands).length !== Object.keys(dependencies).length) process.exit(1);\n",
  });
  const task = (name: string, other: string, dependency: string): string => {
    const edit = `const fs = require("fs"); const p = JSON.parse(fs.readFileSync("package.json")); p.dependencies["${dependency}"] = "1.0.0"; fs.writeFileSync("package.json", JSON.stringify(p, null, 2) + "\\n"); fs.appendFileSync("src/cli.mjs", "commands.${name} = () => \\"${name}\\";\\n");`;
    return `### ${name} (owns: package.json, src/cli.mjs) (size: 1h)\n\n! ${runs(meet(name, other))} then ${runs(`${process.execPath} -e '${edit}'`)} then say done\n`;
  };
  const planId = await shop.run(`# Commands\nonto: main\ntests: ${TESTS}\n\n${task("auth", "list", "express")}\n${task("list", "auth", "commander")}`, PARALLEL);
  await shop.until(planId, isDone);

  assert.deepEqual(Object.keys(JSON.parse(readFileSync(join(shop.repository, "package.json"), "utf8")).dependencies).toSorted(), ["commander", "express"]);
  const cli = readFileSync(join(shop.repository, "src/cli.mjs"), "utf8");
  assert.ok(cli.includes("commands.auth") && cli.includes("commands.list") && !cli.includes("<<<"), cli);
  assert.deepEqual((await merges(shop)).map(({ mendedBy }) => mendedBy).toSorted(), ["accept-both", null]);
  assert.deepEqual(subjects(shop.repository).toSorted(), ["auth", "chore: project setup", "list"]);
});

const PRICE = "export const price = (n) => n * 2;\n";
const BOTH = "export const price = (n) => n * 2 + 3 - 1;\n";
const PRICE_TEST = "import { price } from '../src/price.mjs';\nif (![2, 5, 1, 4].includes(price(1))) process.exit(1);\n";

/** Two tasks that change the same line; `again` is what one does when it works on top of the other. */
function priceTask(name: string, other: string, change: string, again: string, mends: string): string {
  const first = `grep -q 'n \\* 2;' src/price.mjs && { ${meet(name, other)}; echo 'export const price = (n) => n * 2 ${change};' > src/price.mjs; } || ${again}`;
  return `### ${name} (owns: src/price.mjs) (size: 1h)\n\n! ${runs(first)} then say done\n~! ${mends}\n`;
}

test("the same function changed by both: the last one in mends it in its own workspace, and the tests decide", async (t) => {
  const shop = await openShop(t, { "src/price.mjs": PRICE, "tests/price.test.mjs": PRICE_TEST });
  const mends = `call write ${JSON.stringify({ path: "src/price.mjs", content: BOTH })} then say both hold now`;
  const planId = await shop.run(`# Prices\nonto: main\ntests: ${TESTS}\n\n${priceTask("tax", "discount", "+ 3", "true", mends)}\n${priceTask("discount", "tax", "- 1", "true", mends)}`, PARALLEL);
  const run = await shop.until(planId, isDone);

  assert.equal(readFileSync(join(shop.repository, "src/price.mjs"), "utf8"), BOTH);
  const [second, first] = await merges(shop);
  assert.deepEqual([first?.mendedBy, second?.mendedBy, second?.attempts], [null, "last-in-rebases", 2]);
  assert.equal(git(shop.repository, "log", "--format=%P", "-1", "main"), first?.to, "the second stands on the first, in one line of history");
  const usage = (id: string): number => row(run, id).usage!.calls;
  assert.deepEqual([usage("tax"), usage("discount")].toSorted((a, b) => a - b), [2, 4], "the cost of mending counts as the task's");
  assert.equal(run.actual.requests, 6);
});

test("the same function changed by both, and too hard to mend: the work is done again on what landed", async (t) => {
  const shop = await openShop(t, { "src/price.mjs": PRICE, "tests/price.test.mjs": PRICE_TEST });
  const again = `echo '${BOTH.trim()}' > src/price.mjs`;
  const planId = await shop.run(`# Prices\nonto: main\ntests: ${TESTS}\n\n${priceTask("tax", "discount", "+ 3", again, "say I cannot see how")}\n${priceTask("discount", "tax", "- 1", again, "say I cannot see how")}`, PARALLEL);
  await shop.until(planId, isDone);

  assert.equal(readFileSync(join(shop.repository, "src/price.mjs"), "utf8"), BOTH);
  const all = await merges(shop);
  assert.deepEqual(all.map(({ mendedBy }) => mendedBy), ["abort-and-retry", null], JSON.stringify(all, null, 1));
  assert.match(git(shop.repository, "for-each-ref", "--format=%(refname)", "refs/yard/backup"), /backup/, "the first try is kept");
  assert.equal(git(shop.repository, "worktree", "list").split("\n").length, 1);
});

test("what an agent has read and another has merged since is told to it with its next tool call", async (t) => {
  const shop = await openShop(t, { "src/shared.mjs": "export const v1 = 1;\n" });
  const reader = `! call read {"path":"src/shared.mjs"} then ${runs("touch ../was-read; until git show main:src/shared.mjs | grep -q v2; do sleep 0.1; done; sleep 1")} then ${runs("true")} then call write {"path":"src/reader.mjs","content":"1"} then say done`;
  const writer = `! ${runs("until [ -e ../was-read ]; do sleep 0.1; done")} then call write {"path":"src/shared.mjs","content":"export const v2 = 2;\\n"} then say done`;
  const planId = await shop.run(`# News\nonto: main\n\n### reader (owns: src/reader.mjs) (size: 1h)\n\n${reader}\n\n### writer (owns: src/shared.mjs) (size: 1h)\n\n${writer}\n`, PARALLEL);
  const run = await shop.until(planId, isDone);
  const { entries } = await shop.gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(row(run, "reader").session!)}/history`);
  const told = entries.filter(({ role, text }) => role === "tool" && /\[From the gateway: src\/shared\.mjs changed since you read it: the work of plan_\w+\/writer has landed on main\./.test(text));
  assert.equal(told.length, 1, JSON.stringify(entries.map(({ role, text }) => [role, text])));
});

test("an agent gets a wider claim when it asks, but not what another task of the plan still has to do", async (t) => {
  const shop = await openShop(t, { "readme.md": "claims\n" });
  const auth = `! call write {"path":"docs/a.md","content":"too early"} then call claim_widen {"paths":["src/pay/**"]} then call claim_widen {"paths":["docs/**"]} then call write {"path":"docs/a.md","content":"a"} then call write {"path":"src/auth/a.mjs","content":"1"} then call task_signal {"signal":"done"} then say done`;
  const planId = await shop.run(`# Claims\nonto: main\n\n### auth (owns: src/auth/**) (size: 1h)\n\n${auth}\n\n### pay (owns: src/pay/**) (size: 1h) (after: auth)\n\n${writes({ "src/pay/a.mjs": "1" })}\n`);
  const run = await shop.until(planId, isDone);
  const { entries } = await shop.gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(row(run, "auth").session!)}/history`);
  const results = entries.filter(({ role }) => role === "tool").map(({ text }) => text);
  assert.match(results[0]!, /docs\/a\.md is outside of what this child claimed \(src\/auth\/\*\*\)/);
  assert.match(results[1]!, /src\/pay\/\*\* belongs to the task pay/);
  assert.match(results[2]!, /you may now change: src\/auth\/\*\*, docs\/\*\*/);
  assert.deepEqual(row(run, "auth").claim, ["src/auth/**", "docs/**"]);
  assert.equal(git(shop.repository, "show", "main:docs/a.md"), "a");
});
