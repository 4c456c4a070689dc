import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Fault } from "../model/faults.ts";
import type { PlanProblem } from "../model/plan.ts";
import { PLAN_SCHEMA } from "./plan-schema.ts";
import { readPlan } from "./read-plan.ts";

function problemsOf(file: string, text: string): readonly PlanProblem[] {
  try {
    readPlan(file, text);
  } catch (thrown) {
    assert.ok(thrown instanceof Fault && thrown.code === "PLAN_INVALID", String(thrown));
    return (thrown as Fault<"PLAN_INVALID">).details.problems;
  }
  return [];
}

const MARKDOWN = `# Shop
base: main
tests: npm test
copy: .env, config/local.json

Some prose with (a parenthesis).

## Phase 1: data (gate: tests, approval)
### Schema (owns: src/{data,db}/**, migrations) (size: 45m) (budget: 200k tokens, $2)
More about it.
- [x] Think
- [ ] Create the tables

## Phase 2 (gate: commit feat: all)
- [ ] **auth** Log in (owns: src/auth/**) (tests: npm test -- auth (fast)) (agent: coder) (model: a/b)
  - [ ] Test it
- [ ] **list** Show all (owns: src/list.ts) (after: auth, schema)
- [x] **old** Done before
- [ ] **next** After the old (owns: x) (after: old) (when: auth commits "feat: login") (harness: claude)
`;
const YAML = `title: Shop
base: main
tests: npm test
copy: [.env, config/local.json]
phases:
  - name: data
    gate: {tests: npm test, approval: true}
    tasks:
      - id: schema
        title: Schema
        text: More about it.
        owns: ["src/{data,db}/**", migrations]
        size: 45m
        budget: {tokens: 200000, money: 2}
        steps: ["[x] Think", Create the tables]
  - name: phase 2
    gate: {commit: "feat: all"}
    tasks:
      - {id: auth, title: Log in, owns: src/auth/**, tests: npm test -- auth (fast), agent: coder, model: a/b, steps: [Test it]}
      - {id: list, title: Show all, owns: src/list.ts, after: [auth, schema]}
      - {id: next, title: After the old, owns: x, when: {task: auth, commit: "feat: login"}, harness: claude}
`;

test("both kinds of file give one graph, so that people and programs can write the same plan", () => {
  const withoutLines = (text: string): unknown => JSON.parse(text, (key, value) => (key === "line" ? undefined : value));
  const [markdown, yaml] = [readPlan("PLAN.md", MARKDOWN), readPlan("plan.yaml", YAML)];
  assert.deepEqual(withoutLines(JSON.stringify(markdown)), withoutLines(JSON.stringify(yaml)));
  assert.deepEqual(markdown.tasks.map(({ line }) => line), [9, 15, 17, 19]);
});

test("headings of agents are tasks, as plans for several agents are written by hand", () => {
  const plan = readPlan("PLAN.md", "# Agent A: Builds features\n- [ ] Implement the API (owns: src/api)\n\n# Agent B (writes docs)\n- [ ] Document it (owns: docs/**)\n- [ ] Add examples\n\n# Notes\nNothing to do here.\n");
  assert.deepEqual(plan.tasks.map(({ id, title, owns, steps }) => [id, title, owns, steps.length]), [
    ["agent-a", "Builds features", ["src/api"], 1],
    ["agent-b", "writes docs", ["docs/**"], 2],
  ]);
});

test("all mistakes of a file are told at once, each with its line and a remedy, so that one round mends it", () => {
  const problems = problemsOf("PLAN.md", "# P\n- [ ] **a** One (owns: /etc) (after: bee)\n- [ ] **be** Two (size: big)\n- [ ] **be** Again (ownes: x)\n- [ ] open (owns: x\n");
  assert.deepEqual(problems.map(({ line, what }) => `${line} ${what}`), [
    '2 owns: "/etc" must be a path from the top of the workspace, not an absolute one',
    '2 "a" waits for "bee", which is no task',
    '3 size: "big" is not understood',
    '4 nothing is called "ownes"',
    '4 "be" is also the id of the task in line 3',
    "5 a parenthesis is opened and not closed",
  ]);
  assert.ok(problems.every(({ file, mend }) => file === "PLAN.md" && mend !== ""));
  const fields = problemsOf("PLAN.md", "# P\nsttup: npm ci\nonto: main\nonto: next\nNote: this is prose\n- [ ] **a** One (owns: src)\n");
  assert.deepEqual(fields.map(({ line, what, mend }) => `${line} ${what}; ${mend}`), ['2 a plan has no "sttup"; did you mean setup: ...?', "4 onto is given twice; keep one of the two"]);
});

test("tasks that wait for each other in a circle are named in order, because none of them could begin", () => {
  assert.deepEqual(problemsOf("p.yaml", "tasks:\n- {id: a, after: c}\n- {id: b, after: a}\n- {id: c, after: b}").map(({ what }) => what), ["tasks wait for each other in a circle: a → c → b → a"]);
});

test("what YAML can hide or blow up with is refused where it stands", () => {
  for (const text of ["tasks:\n- &a {id: a}\n- *a", "tasks:\n- {id: a}\n---\ntasks: []", "a: [", "- 1", "tasks:\n- {id: a, id: b}", "tasks: 7", "tasks:\n- id: a\n  onws: x"]) assert.equal(problemsOf("plan.yaml", text).length > 0, true, text);
});

test("what is said of a hostile file does not repeat all of it", () => {
  const problems = problemsOf("plan.yaml", `  - id: \n\n${"&a \na".repeat(20_000)}`);
  assert.ok(problems.length > 0 && problems.every(({ what }) => what.length <= 241), String(Math.max(...problems.map(({ what }) => what.length))));
});

test("a file of empty lines is refused in a moment, because the library would need minutes", () => {
  assert.deepEqual(problemsOf("plan.yaml", `{a}x${"\n".repeat(100_000)}y`).map(({ line, what }) => `${line} ${what}`), ["502 more than 500 empty lines in a row"]);
});

test("the examples are good plans of each strategy", () => {
  for (const folder of readdirSync("examples")) {
    for (const file of readdirSync(`examples/${folder}`)) if (/^plan\./i.test(file)) assert.ok(readPlan(file, readFileSync(`examples/${folder}/${file}`, "utf8")).tasks.length >= 3, folder);
  }
});

test("the published schema knows every field that is read, and no other", () => {
  const schema = PLAN_SCHEMA as { properties: object; $defs: { task: { properties: object } } };
  for (const [at, known] of [["", schema.properties], ["tasks:\n- id: a\n  ", schema.$defs.task.properties]] as const) {
    const told = problemsOf("plan.yaml", `${at}zzzzzzzzzz: 1`).find(({ what }) => what.includes("zzzzzzzzzz"))!.mend;
    assert.deepEqual(told.replace("use one of ", "").split(", ").toSorted(), Object.keys(known).toSorted());
  }
});
