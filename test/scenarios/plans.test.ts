/**
 * Plans over real repositories: a real gateway, real git, real tests; the agents follow scripts that
 * stand in the plan, and make real edits.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Board, PlanChecked, PlanPictures } from "../../src/api/wire.ts";
import { letTimePass } from "../support/let-time-pass.ts";
import { COMMIT, isDone, openShop, row, subjects, TESTS, writes } from "../support/shop.ts";
import { git } from "../support/workspaces.ts";

test("sub-projects: three agents build services that do not touch, and all three land on main with green tests", async (t) => {
  const shop = await openShop(t, { "readme.md": "shop\n" });
  const service = (name: string): string => `### ${name} (owns: services/${name}/**) (size: 45m) (tests: ${process.execPath} services/${name}/${name}.test.mjs)
- [ ] Build ${name}
- [ ] Test ${name}

${writes({ [`services/${name}/${name}.mjs`]: `export const name = "${name}";\n`, [`services/${name}/${name}.test.mjs`]: `import { name } from "./${name}.mjs";\nif (name !== "${name}") process.exit(1);\n` })}
`;
  const plan = `# Services\nonto: main\ntests: ${TESTS}\n\n${["auth", "gateway", "notification"].map(service).join("\n")}`;
  const checked = await shop.gateway.api<PlanChecked>("POST", "/api/plans/check", { text: plan, repository: shop.repository });
  assert.equal(checked.verdict.mode, "parallel");
  assert.ok(checked.verdict.speedUp > 2, `speed-up ${checked.verdict.speedUp}`);
  assert.match(checked.text, /Is the work truly independent\?[\s\S]*Parallelize!/);

  const run = await shop.until(await shop.run(plan), isDone);

  assert.deepEqual(run.rows.map(({ state }) => state), ["done", "done", "done"]);
  assert.deepEqual(subjects(shop.repository).toSorted(), ["auth", "chore: project setup", "gateway", "notification"]);
  assert.equal(row(run, "auth").tests?.exitCode, 0);
  assert.deepEqual(row(run, "auth").steps.map(({ ticked }) => ticked), [true, true]);
  assert.equal(readFileSync(join(shop.repository, "services/auth/auth.mjs"), "utf8"), 'export const name = "auth";\n');
  const { graph, history } = await shop.gateway.api<PlanPictures>("GET", `/api/plans/${run.planId}/picture`);
  assert.match(graph, /^<svg .*auth/s);
  assert.match(history, /chore: project setup/);
});

test("feature-parallel: commands in files of their own are built side by side, and the shared file is left alone", async (t) => {
  const shop = await openShop(t, { "package.json": "{}\n", "src/cli.mjs": "import { readdirSync } from 'node:fs';\n" });
  const command = (name: string): string => `# Agent ${name}: PLAN-${name.toUpperCase()}.md (owns: src/commands/${name}.mjs, tests/${name}.test.mjs) (size: 1h)
- [ ] Implement \`${name}\` command
- [ ] Test \`${name}\` command

${writes({ [`src/commands/${name}.mjs`]: `export const run = () => "${name}";\n`, [`tests/${name}.test.mjs`]: `import { run } from "../src/commands/${name}.mjs";\nif (run() !== "${name}") process.exit(1);\n` })}
`;
  const planId = await shop.run(`# Commands\nonto: main\ntests: ${TESTS}\n\n${["auth", "list", "upload"].map(command).join("\n")}`);
  const run = await shop.until(planId, isDone);
  assert.equal(run.mode, "parallel");
  assert.deepEqual(run.rows.map(({ changed }) => changed.length), [2, 2, 2]);
  assert.deepEqual(run.rows.map(({ claim }) => claim[0]), ["auth", "list", "upload"].map((name) => `src/commands/${name}.mjs`));
  assert.equal(subjects(shop.repository).length, 4);
});

test("test-parallel: the tester begins on the builder's commit while the builder goes on, and both histories land", async (t) => {
  const shop = await openShop(t, { "readme.md": "parser\n" });
  const build = [
    `mkdir -p src && echo 'export const parse = (text) => text.split(",");' > src/parser.mjs && git add src && ${COMMIT} 'feat: implement parser'`,
    `until [ -e ../tester-began ]; do sleep 0.1; done; echo 'export const check = (rows) => rows.length > 0;' > src/checker.mjs && git add src && ${COMMIT} 'feat: implement checker'`,
  ];
  const probe = "touch ../tester-began; mkdir -p tests; grep -q parse src/parser.mjs && echo 'import { parse } from \"../src/parser.mjs\"; if (parse(\"a,b\").length !== 2) process.exit(1);' > tests/parser.test.mjs";
  const planId = await shop.run(`# Parser
onto: main
tests: ${TESTS}

### builder (owns: src/**) (size: 2h)
- [ ] Implement parser
- [ ] Implement checker

! ${build.map((command) => `call exec ${JSON.stringify({ command })}`).join(" then ")} then say done

### tester (owns: tests/**) (size: 1h) (when: builder commits feat: implement parser)
- [ ] Write parser tests

! call exec ${JSON.stringify({ command: probe })} then call task_signal {"signal":"done","steps":"1"} then say done
`, { mode: "parallel" });
  const run = await shop.until(planId, isDone);
  assert.deepEqual(row(run, "builder").commits, ["feat: implement parser", "feat: implement checker"]);
  assert.ok(subjects(shop.repository).includes("feat: implement parser"), "the commit that the tester built on is in the history");
  assert.ok(readFileSync(join(shop.repository, "tests/parser.test.mjs"), "utf8").includes("parse"));
});

test("layer-parallel: each layer sees the one before it merged, and a gate waits for a person", async (t) => {
  const shop = await openShop(t, { "readme.md": "layers\n" });
  const layer = (name: string, below: string | null): string => {
    const command = `${below === null ? "true" : `test -f src/${below}.mjs`} && mkdir -p src && echo 'export const ${name} = 1;' > src/${name}.mjs`;
    return `### ${name} (owns: src/${name}.mjs) (size: 1h) (tests: test -f src/${name}.mjs)\n\n! call exec ${JSON.stringify({ command })} then say done\n`;
  };
  const planId = await shop.run(`# Layers\nonto: main\n\n## Phase 1: data (gate: tests, approval) (tests: test -f src/data.mjs)\n${layer("data", null)}\n## Phase 2: logic (gate: done)\n${layer("logic", "data")}\n## Phase 3: api\n${layer("api", "logic")}`);
  const waiting = await shop.until(planId, ({ state }) => state === "waiting");
  assert.deepEqual([waiting.phase, waiting.waitsFor, row(waiting, "logic").state], ["data", "the approval of a person", "waiting"]);
  await shop.gateway.api("POST", `/api/plans/${planId}/approve`);
  const run = await shop.until(planId, isDone);
  assert.deepEqual(subjects(shop.repository), ["api", "logic", "data", "chore: project setup"]);
  assert.equal(run.gates[0]?.approvedBy, "operator");
});

test("an agent that misses a key is stuck with its reason, chat tells it, and after the fix a successor finishes in the same workspace", async (t) => {
  const shop = await openShop(t, { ".gitignore": ".env\n", "readme.md": "notify\n" });
  writeFileSync(join(shop.repository, ".env"), "OTHER=1\n");
  const command = `if grep -q NOTIFICATION_KEY .env; then cat half.txt > done.txt; git add -A; ${COMMIT} 'feat: send by mail'; else echo half > half.txt; git add -A; ${COMMIT} 'feat: set up notifications'; echo 'STUCK: Missing NOTIFICATION_KEY in .env' > .yard-signal; fi`;
  const planId = await shop.run(`# Notify\nonto: main\ncopy: .env\n\n### notification (owns: *.txt) (size: 1h) (tests: test -f done.txt)\n- [ ] Set up notifications\n- [ ] Send by mail\n\n! call exec ${JSON.stringify({ command })} then say finished\n`);
  const stuck = await shop.until(planId, ({ state }) => state === "stuck");
  assert.deepEqual([row(stuck, "notification").signal?.reason, row(stuck, "notification").problem], ["Missing NOTIFICATION_KEY in .env", "Missing NOTIFICATION_KEY in .env"]);
  const told = await shop.gateway.ask('! call plan_status {} then echo');
  assert.match(told, /notification stuck: 1\/2 steps, 1 commit — Missing NOTIFICATION_KEY in \.env/);
  const listed = await shop.gateway.ask('! call subagents {"action":"list"} then echo');
  assert.match(listed, /"task":"notification","state":"stuck","steps":"1 of 2","accomplished":\["Set up notifications"\],"commits":\["feat: set up notifications"\],"stuckOn":"Missing NOTIFICATION_KEY in \.env"/, "whoever asks for the children hears of it too");

  writeFileSync(join(shop.repository, ".env"), "NOTIFICATION_KEY=1\n");
  await shop.gateway.api("POST", `/api/plans/${planId}/resume`, { note: "the key is in .env now" });
  const run = await shop.until(planId, isDone);
  assert.equal(row(run, "notification").attempt, 2);
  assert.equal(row(run, "notification").workspace, row(stuck, "notification").workspace);
  assert.equal(readFileSync(join(shop.repository, "done.txt"), "utf8"), "half\n");
});

test("a gate waits for a commit on the branch, and opens by itself when somebody makes it", async (t) => {
  const shop = await openShop(t, { "readme.md": "gate\n" });
  const planId = await shop.run(`# Gate\nonto: main\n\n## Phase 1: schema (gate: commit chore: freeze the schema)\n- [ ] **schema** Schema (owns: src/schema.mjs) (size: 1h)\n\n  ${writes({ "src/schema.mjs": "1" })}\n\n## Phase 2: use\n- [ ] **use** Use (owns: src/use.mjs) (size: 1h)\n\n  ${writes({ "src/use.mjs": "1" })}\n`);
  const waiting = await shop.until(planId, ({ state }) => state === "waiting");
  assert.deepEqual([waiting.waitsFor, row(waiting, "use").state], ['a commit "chore: freeze the schema" on main', "waiting"]);
  git(shop.repository, "commit", "-q", "--allow-empty", "-m", "chore: freeze the schema of the shop");
  await shop.until(planId, isDone);
  assert.deepEqual(subjects(shop.repository), ["Use", "chore: freeze the schema of the shop", "Schema", "chore: project setup"]);
});

test("a checkout with changes keeps work from landing; once it is clean, resuming lands it without another agent", async (t) => {
  const shop = await openShop(t, { "readme.md": "mine\n" });
  writeFileSync(join(shop.repository, "readme.md"), "not committed\n");
  const planId = await shop.run(`# Dirty\nonto: main\n\n### auth (owns: auth.txt) (size: 1h)\n${writes({ "auth.txt": "1" })}\n`);
  const stuck = await shop.until(planId, ({ state }) => state === "stuck");
  assert.match(row(stuck, "auth").problem!, /^main is checked out in .* with changes that are not committed/);
  assert.equal(readFileSync(join(shop.repository, "readme.md"), "utf8"), "not committed\n");
  git(shop.repository, "checkout", "-q", "readme.md");
  await shop.gateway.api("POST", `/api/plans/${planId}/resume`);
  const run = await shop.until(planId, isDone);
  assert.equal(row(run, "auth").attempt, 1);
  assert.equal(readFileSync(join(shop.repository, "auth.txt"), "utf8"), "1");
});

test("STUCK is heard from the tool, a file, a commit's trailer and an answer; board, chat and status tell why", async (t) => {
  const shop = await openShop(t, { "readme.md": "stuck\n" });
  const ways: Readonly<Record<string, string>> = {
    tool: `call task_signal {"signal":"stuck","reason":"no key for the tool"} then say I stop`,
    file: `call exec {"command":"echo 'STUCK: no key in the file' > .yard-signal"} then say I stop`,
    trailer: `call exec ${JSON.stringify({ command: `echo half > trailer.txt; git add -A; ${COMMIT} 'wip' -m 'Yard-Signal: STUCK no key in the trailer'` })} then say I stop`,
    answer: "say STUCK: no key in the answer",
  };
  const planId = await shop.run(`# Stuck\nonto: main\nagents: 4\n\n${Object.entries(ways).map(([name, script]) => `### ${name} (owns: ${name}.txt) (size: 1h)\n\n! ${script}\n`).join("\n")}`, { mode: "parallel" });
  const run = await shop.until(planId, ({ state }) => state === "stuck");
  const reasons = { tool: "no key for the tool", file: "no key in the file", trailer: "no key in the trailer", answer: "no key in the answer" };
  assert.deepEqual(Object.fromEntries(run.rows.map(({ id, problem }) => [id, problem])), reasons);
  assert.deepEqual(run.rows.map(({ signal }) => signal?.by), ["tool", "file", "trailer", "answer"]);

  const { columns } = await shop.gateway.api<Board>("GET", "/api/board");
  assert.deepEqual(Object.fromEntries(columns.flatMap(({ cards }) => cards).flatMap(({ stuck }) => (stuck === undefined ? [] : [[stuck.task, stuck.reason]]))), reasons);
  const told: string[] = [];
  for await (const { type, data } of shop.gateway.events("agent:main:main")) {
    if (type === "notice" && data["code"] === "PLAN") told.push(data["text"] as string);
    if (told.at(-1)?.includes("cannot go on")) break;
  }
  assert.equal(told.filter((text) => / is stuck:\n> no key/.test(text)).length, 4);
  assert.match(await shop.gateway.ask("! call plan_status {} then echo"), /- trailer stuck: 1 commit — no key in the trailer/);
});

test("work that is green alone and red together is not merged; the branch is named, and its agent mends it", async (t) => {
  const shop = await openShop(t, { "src/auth.mjs": "export const v1 = 1;\n", "tests/all.test.mjs": "import { readdirSync } from 'node:fs';\nfor (const file of readdirSync('src')) await import(`../src/${file}`);\n" }, { "plans.maxAttempts": 1 });
  const first = "echo 'import { v1 } from \"./auth.mjs\"; export const send = v1;' > src/notification.mjs; until git show main:src/auth.mjs | grep -q v2; do sleep 0.1; done";
  const second = "git -c user.name=N -c user.email=n@example.org merge -q main -m 'Merge main' && echo 'import { v2 } from \"./auth.mjs\"; export const send = v2;' > src/notification.mjs";
  const notify = `if [ -f src/notification.mjs ]; then git add -A; ${second}; else ${first}; fi`;
  const planId = await shop.run(`# Versions
onto: main
tests: ${TESTS}

### auth (owns: src/auth.mjs) (size: 1h) (tests: ${TESTS})

${writes({ "src/auth.mjs": "export const v2 = 2;\n" })}

### notification (owns: src/notification.mjs) (size: 1h) (tests: ${TESTS})

! call exec ${JSON.stringify({ command: notify })} then say finished
`);
  const stuck = await shop.until(planId, ({ state }) => state === "stuck");
  const { problem, branch, tests } = row(stuck, "notification");
  assert.equal(tests?.exitCode, 0, "its own tests were green");
  assert.ok(problem!.includes(branch!.replace("refs/heads/", "")), problem!);
  assert.match(problem!, /does not provide an export named 'v1'/);
  assert.deepEqual(subjects(shop.repository), ["auth", "chore: project setup"]);

  await shop.gateway.api("POST", `/api/plans/${planId}/resume`);
  await shop.until(planId, isDone);
  assert.match(readFileSync(join(shop.repository, "src/notification.mjs"), "utf8"), /v2/);
});

test("what an agent says is no evidence: red tests, files of others and unticked steps keep its work from main", async (t) => {
  const shop = await openShop(t, { "readme.md": "evidence\n" }, { "plans.maxAttempts": 1 });
  const planId = await shop.run(`# Evidence
onto: main

### red (owns: red.txt) (size: 1h) (tests: exit 3)
${writes({ "red.txt": "x" })}
### thief (owns: own.txt) (size: 1h)

! call exec {"command":"echo x > own.txt; echo y > red.txt"} then say DONE
### vague (owns: vague.txt) (size: 1h)
- [ ] Write the parser
- [ ] Measure it
${writes({ "vague.txt": "x" }, { signal: "done", steps: "1" })}
### idle (owns: idle.txt) (size: 1h)

! say all is done, DONE
`);
  const run = await shop.until(planId, ({ state }) => state === "stuck");
  const problem = (id: string): string => row(run, id).problem ?? "";
  assert.match(problem("red"), /"exit 3" ended with 3/);
  assert.match(problem("thief"), /outside of what it owns were changed: red\.txt/);
  assert.match(problem("vague"), /no commit shows step 2 \(Measure it\)/);
  assert.match(problem("idle"), /nothing was changed/);
  assert.deepEqual(subjects(shop.repository), ["chore: project setup"]);
  await shop.gateway.api("POST", `/api/plans/${planId}/cancel`);
  assert.match(git(shop.repository, "for-each-ref", "--format=%(refname)", "refs/yard/backup"), /refs\/yard\/backup/, "nothing that was written is lost");
});

test("a gateway that is killed in the middle of a plan goes on with it, and nothing lands twice", async (t) => {
  const shop = await openShop(t, { "readme.md": "crash\n" });
  const task = (name: string): string => `### ${name} (owns: ${name}/**) (size: 1h)\n\n! wait 300ms then call write ${JSON.stringify({ path: `${name}/a.txt`, content: name })} then wait 200ms then say done\n`;
  const planId = await shop.run(`# Crash\nonto: main\ntests: true\n\n${["a", "b", "c"].map(task).join("\n")}`);
  for (const type of ["plan.task", "merge.running"]) {
    await shop.gateway.waitEvent((event) => event.type === type && event.data["state"] !== "preparing");
    await shop.gateway.kill9();
    await shop.gateway.start();
  }
  await shop.until(planId, isDone);
  assert.deepEqual(subjects(shop.repository).toSorted(), ["a", "b", "c", "chore: project setup"]);
});

test("a plan that was left for days rests after the start, says so, and goes on when a person resumes it", async (t) => {
  const shop = await openShop(t, { "readme.md": "old\n" });
  const planId = await shop.run(`# Old\nonto: main\n\n### auth (owns: auth.txt) (size: 1h)\n\n! call exec ${JSON.stringify({ command: "mkdir ../began && sleep 600 || true" })} then call write {"path":"auth.txt","content":"1"} then say done\n`);
  await shop.until(planId, (run) => row(run, "auth").state === "working");
  while (!existsSync(join(shop.gateway.home, "workspaces", "began"))) await new Promise(setImmediate);
  await shop.gateway.kill9();
  letTimePass(join(shop.gateway.home, "yard.sqlite"), 4 * 86_400_000);
  await shop.gateway.start();
  const rests = await shop.until(planId, ({ state }) => state === "stuck");
  assert.deepEqual([rests.stuck, rests.problem], [0, "a person to resume it: the gateway was away for 96 hours"]);
  await shop.gateway.waitEvent(({ type, data }) => type === "notice" && String(data["text"]).includes("rests, because the gateway was away"));
  await shop.gateway.api("POST", `/api/plans/${planId}/resume`);
  await shop.until(planId, isDone);
  assert.deepEqual(subjects(shop.repository), ["auth", "chore: project setup"]);
});

test("in safe mode no plan begins or goes on; after a stop that is asked for it does, and a task that went on counts as something done", async (t) => {
  const shop = await openShop(t, { "readme.md": "safe\n" }, { "recovery.deathsMax": 1 });
  const plan = (name: string): string => `# Safe\nonto: main\n\n### ${name} (owns: ${name}.txt) (size: 1h)\n\n! stall times 2 then call write ${JSON.stringify({ path: `${name}.txt`, content: "1" })} then say done\n`;
  const planId = await shop.run(plan("auth"), { idempotencyKey: "once" });
  await shop.until(planId, (run) => row(run, "auth").state === "working");
  for (let death = 1; death <= 2; death++) {
    await shop.gateway.kill9();
    await shop.gateway.start();
  }
  const begin = (text: string, idempotencyKey: string) => shop.gateway.call("POST", "/api/plans", { text, repository: shop.repository, idempotencyKey });
  for (const answer of [await begin(plan("other"), "twice"), await begin(plan("auth"), "once")]) assert.deepEqual([answer.status, answer.body.code], [503, "SAFE_MODE"]);
  assert.equal(row(await shop.until(planId, () => true), "auth").state, "working");

  assert.equal(await shop.gateway.stop(), 0);
  await shop.gateway.start();
  await shop.until(planId, isDone);
  assert.deepEqual(subjects(shop.repository), ["auth", "chore: project setup"]);
});

test("a broken plan is refused whole: every mistake with file, line and remedy, and no run", async (t) => {
  const shop = await openShop(t, { "readme.md": "x\n" });
  const { status, body } = await shop.gateway.call<{ code: string; message: string; details: { problems: { line: number }[] } }>("POST", "/api/plans", {
    text: "# P\n- [ ] **a** One (owns: ../up) (after: bee)\n- [ ] **be** Two (size: big) (ownes: x)\n",
    repository: shop.repository,
  });
  assert.deepEqual([status, body.code, body.details.problems.map(({ line }) => line)], [400, "PLAN_INVALID", [2, 2, 3, 3]]);
  assert.match(body.message, /PLAN\.md:2: "a" waits for "bee", which is no task; did you mean be\?/);
  assert.deepEqual(await shop.gateway.api("GET", "/api/plans"), { plans: [] });
});
