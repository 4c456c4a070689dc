import assert from "node:assert/strict";
import { test } from "node:test";
import type { Verdict } from "../model/verdict.ts";
import { readPlan } from "./read-plan.ts";
import { NO_FACTS, type RepositoryFacts } from "./repository-facts.ts";
import { judge } from "./verdict.ts";
import { verdictText } from "./verdict-text.ts";

function check(plan: string, facts: RepositoryFacts = NO_FACTS, watched: boolean | null = null): Verdict {
  return judge(readPlan("PLAN.md", `tests: npm test\n${plan}`), facts, { watched, agentsMax: 4 });
}
const against = (verdict: Verdict): readonly string[] => verdict.phases.flatMap(({ reasons }) => reasons.filter(({ weight }) => weight === "against").map(({ code }) => code));
const THREE = "- [ ] **a** One (owns: a/**) (size: 1h)\n- [ ] **b** Two (owns: b/**) (size: 1h)\n- [ ] **c** Three (owns: c/**) (size: 1h)\n";

test("three tasks in folders of their own run in parallel, nearly three times as fast", () => {
  const verdict = check(THREE);
  assert.equal(verdict.mode, "parallel");
  assert.ok(verdict.speedUp > 2.5 && verdict.speedUp <= 3, String(verdict.speedUp));
  assert.ok(verdict.parallel.requests > verdict.sequential.requests, "more agents read in");
  assert.match(verdictText("P", verdict), /^P: PARALLEL[\s\S]*truly independent\?\n {2}├─ NO {2}→ Sequential\n {2}└─ YES → Continue ◀[\s\S]*└─ YES → Parallelize! ◀[\s\S]*with 3 agents/);
  assert.match(verdictText("P", verdict), /Reckoned from \d+ files and \d+ commits of the repository; 2 minutes to start an agent, 2 to merge its work, 10 for a conflict; not said whether somebody looks\./);
});

test("one long context reads more tokens than fresh ones, so parallel work costs fewer", () => {
  const steps = Array.from({ length: 4 }, (_each, index) => `  - [ ] Step ${index}\n`).join("");
  const verdict = check(["a", "b", "c"].map((name) => `- [ ] **${name}** Part (owns: ${name}/**)\n${steps}`).join(""));
  assert.ok(verdict.parallel.tokens < verdict.sequential.tokens, JSON.stringify(verdict.parallel));
});

test("a chain of tasks is sequential, because each waits for the one before", () => {
  const verdict = check("- [ ] **schema** Schema (owns: a) (size: 1h)\n- [ ] **access** Access (owns: b) (after: schema) (size: 1h)\n- [ ] **api** API (owns: c) (after: access) (size: 1h)\n");
  assert.deepEqual([verdict.mode, against(verdict)], ["sequential", ["dependencies"]]);
  assert.deepEqual(verdict.phases[0]!.decisions.map(({ answer }) => answer), ["no", "not asked", "not asked", "not asked"]);
  assert.match(verdictText("P", verdict), /truly independent\?\n {2}├─ NO {2}→ Sequential ◀ each task waits[\s\S]*easy to resolve\? {3}\(not asked\)/);
});

test("two tasks that own the same path are sequential, and the path is named", () => {
  const verdict = check("- [ ] **a** Refactor (owns: src/**) (size: 1h)\n- [ ] **b** Feature (owns: src/parser.ts) (size: 1h)\n");
  assert.deepEqual([verdict.mode, against(verdict)], ["sequential", ["overlap"]]);
  assert.match(verdict.phases[0]!.decisions[0]!.because, /a and b both own src\/\*\*/);
});

test("a task that does not say what it owns cannot be known to be independent", () => {
  assert.deepEqual(against(check("- [ ] **a** One (owns: a) (size: 1h)\n- [ ] **b** Two (size: 1h)\n")), ["unowned"]);
});

test("tasks that both add a dependency will meet in the manifest", () => {
  const verdict = check("- [ ] **a** Add the dependency express (owns: a) (size: 1h)\n- [ ] **b** Add dependency commander (owns: b) (size: 1h)\n", { files: ["package.json"], commits: [] });
  assert.equal(verdict.mode, "sequential");
  assert.equal(verdict.conflictsExpected, 1);
  assert.match(verdict.phases[0]!.decisions[1]!.because, /package\.json \(manifest\)/);
});

test("files that always changed together in the log are told, though nobody says so", () => {
  const commits = Array.from({ length: 5 }, (_each, index) => [`src/commands/${index % 2 === 0 ? "auth" : "list"}.ts`, "src/cli.ts"]);
  const facts = { files: ["src/cli.ts", "src/commands/auth.ts", "src/commands/list.ts"], commits: [...commits, ...commits] };
  const verdict = check("- [ ] **a** Auth (owns: src/commands/auth.ts) (size: 1h)\n- [ ] **b** List (owns: src/commands/list.ts) (size: 1h)\n", facts);
  assert.equal(verdict.mode, "sequential");
  assert.deepEqual(verdict.phases[0]!.reasons.find(({ code }) => code === "shared-file")?.paths, ["src/cli.ts"]);
});

test("ten tiny tasks are not worth ten agents", () => {
  assert.deepEqual(against(check(Array.from({ length: 10 }, (_each, n) => `- [ ] **t${n}** Do (owns: f${n}) (size: 5m)\n`).join(""))), ["too-small"]);
});

test("without anybody to look, one after the other is safer", () => {
  assert.deepEqual(against(check(THREE, NO_FACTS, false)), ["unwatched"]);
  assert.equal(check(`watched: yes\n${THREE}`).mode, "parallel");
});

test("each phase is judged by itself: one that prepares alone, then three side by side", () => {
  const verdict = check(`## Phase 1\n- [ ] **base** Shared (owns: shared/**) (size: 1h)\n## Phase 2\n${THREE}`);
  assert.deepEqual(verdict.phases.map(({ mode }) => mode), ["sequential", "parallel"]);
  assert.equal(verdict.sequential.minutes, 240);
});
