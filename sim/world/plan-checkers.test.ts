/** Each checker of plans is shown a small history that breaks its rule, and one that does not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Merge } from "../../src/model/merge.ts";
import type { PlanRun } from "../../src/model/plan-run.ts";
import { readPlan } from "../../src/plans/read-plan.ts";
import type { Landed } from "./fake-git.ts";
import { PLAN_CHECKERS, checkPlans, type PlanNews, type SeenPlans } from "./plan-checkers.ts";

const PLAN = "plan_1";
const plan = readPlan("plan.json", JSON.stringify({ tasks: [{ id: "a", owns: ["src/**"] }, { id: "b", owns: ["src/b.ts"], after: ["a"] }] }));

const accepted = (task: string, taskId: string, what = "1"): PlanNews => ({ kind: "task.accepted", taskId, key: `${PLAN}/${task}/${what}`, data: {} });
const ended = (task: string, taskId: string): PlanNews => ({ kind: "task.ended", taskId, key: `${PLAN}/${task}/1`, data: {} });
const moved = (task: string, state: string, more: object = {}): PlanNews => ({ kind: "plan.task", data: { planId: PLAN, task, state, ...more } });
const landed = (...work: readonly Partial<Landed>[]): PlanNews => ({ kind: "ref", atMs: 1, ref: "refs/heads/main", from: "1", to: "2", landed: work.map((one) => ({ plan: PLAN, task: "a", merge: "merge_1", changed: ["src/a.ts"], ...one })) });
const over = (state: string): PlanNews => ({ kind: "plan.ended", data: { planId: PLAN, state } });

function good(): SeenPlans {
  const news: readonly PlanNews[] = [accepted("a", "k1"), ended("a", "k1"), landed({}), moved("a", "done"), accepted("b", "k2"), ended("b", "k2"), landed({ task: "b", merge: "merge_2" }), moved("b", "done"), over("done")];
  return { plans: [{ plan, mode: null, run: { planId: PLAN } as unknown as PlanRun }], news, worktrees: [], folders: [], workspaces: [], merges: [], backAgain: [], outside: [], isOver: true };
}

const BROKEN: Readonly<Record<string, (seen: SeenPlans) => SeenPlans>> = {
  doneHasLanded: (seen) => ({ ...seen, news: seen.news.filter(({ kind }) => kind !== "ref") }),
  workLandsOnce: (seen) => ({ ...seen, news: [...seen.news, landed({ merge: "merge_3" })] }),
  takenBackIsGone: (seen) => ({ ...seen, backAgain: ["src/a.ts of merge_1"] }),
  landsInsideItsClaim: (seen) => ({ ...seen, outside: ["src/c.ts of plan_1/a"] }),
  tasksWaitForWhatTheyNeed: (seen) => ({ ...seen, news: [accepted("b", "k2"), ...seen.news] }),
  cancelledPlansRest: (seen) => ({ ...seen, news: [over("cancelled"), ...seen.news] }),
  oneChildAtATime: (seen) => ({ ...seen, news: [accepted("a", "k1"), accepted("a", "k3", "2")] }),
  clashesAreApart: (seen) => ({ ...seen, news: [accepted("a", "k1"), accepted("b", "k2")] }),
  stuckForAReason: (seen) => ({ ...seen, news: [moved("a", "stuck", { problem: "workspace ws_1 was handed over: epoch 1 is over, 2 holds it now" })] }),
  nothingIsLeftBehind: (seen) => ({ ...seen, worktrees: ["/sim/workspaces/ws_1"] }),
};

test("plans in which all went well are found to be good", () => {
  assert.deepEqual(checkPlans(good()), []);
});

for (const [name, check] of Object.entries(PLAN_CHECKERS)) {
  test(`${name} notices the plan that breaks it, so that its silence means something`, () => {
    assert.deepEqual(check(good()), []);
    assert.ok(check(BROKEN[name]!(good())).length > 0);
  });
}

test("what had the right to move the branch before the cancel may land after it, and so may what a person puts back in line", () => {
  const advancing: PlanNews = { kind: "merge.advancing", data: { merge: "merge_1" } };
  assert.deepEqual(PLAN_CHECKERS["cancelledPlansRest"]!({ ...good(), news: [advancing, over("cancelled"), landed({})] }), []);
  assert.deepEqual(PLAN_CHECKERS["cancelledPlansRest"]!({ ...good(), news: [over("cancelled"), { kind: "retried", merge: "merge_1" }, landed({})] }), []);
  assert.equal(PLAN_CHECKERS["cancelledPlansRest"]!({ ...good(), news: [over("cancelled"), advancing, landed({})] }).length, 1);
});

test("what a person took back may land once more when it is put back in line, and no oftener", () => {
  const undone: PlanNews = { kind: "merge.undone", data: { merge: "merge_1" } };
  const { news } = good();
  const retried: PlanNews = { kind: "retried", merge: "merge_1" };
  assert.deepEqual(PLAN_CHECKERS["workLandsOnce"]!({ ...good(), news: [...news, undone, retried, landed({})] }), []);
  assert.equal(PLAN_CHECKERS["workLandsOnce"]!({ ...good(), news: [...news, undone, retried, landed({}), landed({})] }).length, 1);
  assert.equal(PLAN_CHECKERS["workLandsOnce"]!({ ...good(), news: [...news, undone, landed({})] }).length, 1, "by itself");
});

test("what the queue took back itself, because no checkout could follow, may land again (seed 169696)", () => {
  const again: PlanNews = { ...landed({}), from: "1", to: "3" } as PlanNews;
  const back: PlanNews = { kind: "ref", atMs: 1, ref: "refs/heads/main", from: "2", to: "1", landed: [] };
  assert.deepEqual(PLAN_CHECKERS["workLandsOnce"]!({ ...good(), news: [landed({}), back, again] }), []);
  assert.equal(PLAN_CHECKERS["workLandsOnce"]!({ ...good(), news: [landed({}), again] }).length, 1);
});

test("a merge that is still under way when all is over is left behind", () => {
  assert.equal(PLAN_CHECKERS["nothingIsLeftBehind"]!({ ...good(), merges: [{ id: "merge_1", state: "running" } as unknown as Merge] }).length, 1);
});
