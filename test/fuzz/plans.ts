/** Plan files: whatever stands in one, it is read whole or refused with lines, and what was read can be judged and drawn. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { Fault } from "../../src/model/faults.ts";
import { graphPicture } from "../../src/plans/pictures.ts";
import { readPlan } from "../../src/plans/read-plan.ts";
import { NO_FACTS } from "../../src/plans/repository-facts.ts";
import { judge } from "../../src/plans/verdict.ts";
import { damages, damageText, nastyText, pumpedText, textOfWords } from "./hostile.ts";
import { target, unlessRefused } from "./target.ts";

const MARKDOWN = "# Shop\nbase: main\ntests: npm test\n\n## Phase 1 (gate: tests, approval)\n### Schema (owns: src/{a,b}/**) (size: 45m) (budget: 20k tokens, $2)\n- [ ] One\n- [x] Two\n## Phase 2\n- [ ] **auth** In (owns: x) (after: schema) (when: schema commits feat: x)\n  - [ ] Test\n# Agent B: Docs\n- [ ] Write\n";
const YAML = 'title: Shop\nbase: main\nphases:\n  - name: one\n    gate: {tests: npm test, approval: true}\n    tasks:\n      - id: schema\n        owns: ["src/**"]\n        size: 1h30m\n        steps: ["[x] a", b]\n  - name: two\n    tasks:\n      - {id: auth, after: schema, when: {task: schema, commit: "feat: x"}, budget: {tokens: 5}}\n';
const WORDS = ["#", "##", "Phase", "Agent A:", "- [ ]", "  - [x]", "(owns: ", "(after: ", "(when: a commits b)", "(size: 1h)", "(gate: tests", ")", "(", "a", "b", "src/**", "{a,b}", ",", "\n", "\n\n", "```", "base: main", "tests:", ": ", "- ", "&a ", "*a", "!!js/x ", "<<", "---\n", "[", "]", "{", "}", '"', "phases:", "tasks:", "  - id: ", "| ", "\t", "\u0000"];

const plans = target({
  name: "plan-files",
  fact: "a plan file is read or refused with a line and a remedy for each mistake; a plan that was read can be judged and drawn",
  share: 4,
  open: () => ({
    inputs: fc.record({
      file: fc.constantFrom("PLAN.md", "plan.yaml"),
      text: fc.oneof(damages.map((changes) => damageText(MARKDOWN, changes)), damages.map((changes) => damageText(YAML, changes)), textOfWords(WORDS), nastyText, pumpedText(WORDS)),
    }),
    async check({ file, text }) {
      const plan = await unlessRefused(() => {
        try {
          return readPlan(file, text);
        } catch (thrown) {
          if (thrown instanceof Fault && thrown.code === "PLAN_INVALID") {
            const { problems } = (thrown as Fault<"PLAN_INVALID">).details;
            assert.ok(problems.length > 0 && problems.every(({ line, what, mend }) => line >= 1 && what !== "" && mend !== ""));
          }
          throw thrown;
        }
      });
      if (plan === undefined) return;
      const verdict = judge(plan, NO_FACTS, { watched: null, agentsMax: 4 });
      assert.equal(verdict.phases.flatMap(({ tasks }) => tasks).length, plan.tasks.length);
      assert.ok(Number.isFinite(verdict.speedUp) && verdict.sequential.minutes > 0);
      assert.ok(graphPicture(plan).endsWith("</svg>\n"));
    },
  }),
});

export const PLAN_TARGETS = [plans];
