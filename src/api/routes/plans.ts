/** Plans over a repository: checked, run, looked at, approved, helped on, stopped. */
import { isAbsolute } from "node:path";
import type { PlanId } from "../../base/ids.ts";
import { PLAN_BYTES_MAX } from "../../model/plan.ts";
import { DEFAULT_AGENT, mainSession } from "../../model/session.ts";
import { graphPicture, historyPicture } from "../../plans/pictures.ts";
import { branchesOf } from "../../plans/status.ts";
import { verdictText } from "../../plans/verdict-text.ts";
import { toApiPlan, toPlanDetail } from "../plan-shapes.ts";
import { bad, choice, may, must, prose, sessionKey, word, yesNo } from "../read-body.ts";
import { accepted, CALLER, ok, route, TEXT_BODY_BYTES_MAX, type Route, type RouteDeps } from "../route.ts";
import { pageFields, present } from "./page-of.ts";

const ID_LENGTH_MAX = 200;
const PATH_LENGTH_MAX = 4096;
const NOTE_BYTES_MAX = 4_000;
const FILE = "PLAN.md";

const planInPath = { planId: must(word({ max: ID_LENGTH_MAX }), "The plan's id.") };
const source = {
  text: must(prose({ bytesMax: PLAN_BYTES_MAX }), "The plan's file as text."),
  file: may(word({ max: PATH_LENGTH_MAX }), `Its name: .yaml, .yml and .json are read as plan.yaml, the rest as PLAN.md; ${FILE} when absent.`),
  repository: must(word({ max: PATH_LENGTH_MAX }), "A folder in the repository, absolute."),
  watched: may(yesNo(), "Whether somebody has time to look; as the plan says when absent."),
};

export function planRoutes({ plans: runner, workspaces }: RouteDeps): readonly Route[] {
  if (runner === undefined || workspaces === undefined) return [];
  const sourceOf = (input: { text: string; file: string | undefined; repository: string }) => {
    if (!isAbsolute(input.repository)) throw bad("repository", "must be an absolute path");
    return { text: input.text, file: input.file ?? FILE, repository: input.repository };
  };
  return [
    route({
      method: "POST",
      path: "/api/plans/check",
      rpc: "plans.check",
      doc: "Says whether a plan should run sequentially or in parallel, and why. Nothing is begun.",
      answer: "PlanChecked",
      bodyBytesMax: TEXT_BODY_BYTES_MAX,
      body: source,
      async run(input) {
        const { plan, verdict } = await runner.check(sourceOf(input), { watched: input.watched ?? null });
        return ok({ title: plan.title, verdict, text: verdictText(plan.title, verdict), svg: graphPicture(plan) });
      },
    }),
    route({
      method: "POST",
      path: "/api/plans",
      rpc: "plans.run",
      doc: "Begins to run a plan: agents in worktrees of their own, their work merged with tests.",
      answer: "ApiPlan",
      bodyBytesMax: TEXT_BODY_BYTES_MAX,
      body: {
        ...source,
        session: may(sessionKey(), "The conversation that it belongs to; the main one when absent."),
        mode: may(choice(["sequential", "parallel"]), "Against the verdict."),
        idempotencyKey: may(word({ max: ID_LENGTH_MAX }), "The same key never begins twice."),
      },
      async run(input) {
        const run = await runner.run({ ...sourceOf(input), session: input.session ?? mainSession(DEFAULT_AGENT), mode: input.mode ?? null, watched: input.watched ?? null, idempotencyKey: input.idempotencyKey ?? null });
        return accepted(toApiPlan(run));
      },
    }),
    route({
      method: "GET",
      path: "/api/plans",
      rpc: "plans.list",
      doc: "The runs of plans, the newest first.",
      answer: "PlanList",
      query: pageFields,
      async run({ limit, after }) {
        const { plans, next } = await runner.list({ ...present({ after: after as PlanId | undefined }), limit });
        return ok({ plans: plans.map(toApiPlan), ...(next === null ? {} : { next }) });
      },
    }),
    route({
      method: "GET",
      path: "/api/plans/:planId",
      rpc: "plans.get",
      doc: "One run with each task: commits, tests, claim, cost, signal, and what is missing.",
      answer: "PlanDetail",
      inPath: planInPath,
      run: async ({ planId }) => ok(toPlanDetail(await runner.status(planId as PlanId))),
    }),
    route({
      method: "GET",
      path: "/api/plans/:planId/picture",
      rpc: "plans.picture",
      doc: "The graph of its tasks and the history of its branches, as SVG.",
      answer: "PlanPictures",
      inPath: planInPath,
      async run({ planId }) {
        const run = await runner.get(planId as PlanId);
        const states = new Map(run.tasks.map(({ id, state }) => [id, state]));
        return ok({ graph: graphPicture(run.plan, states), history: historyPicture(run.plan.title, await branchesOf(run, workspaces)) });
      },
    }),
    route({
      method: "POST",
      path: "/api/plans/:planId/cancel",
      rpc: "plans.cancel",
      doc: "Stops its agents. What they did stays under backup refs.",
      answer: "ApiPlan",
      inPath: planInPath,
      run: async ({ planId }) => ok(toApiPlan(await runner.cancel(planId as PlanId, CALLER))),
    }),
    route({
      method: "POST",
      path: "/api/plans/:planId/approve",
      rpc: "plans.approve",
      doc: "Says yes to the gate that asks.",
      answer: "ApiPlan",
      inPath: planInPath,
      run: async ({ planId }) => accepted(toApiPlan(await runner.approve(planId as PlanId, CALLER))),
    }),
    route({
      method: "POST",
      path: "/api/plans/:planId/resume",
      rpc: "plans.resume",
      doc: "Puts successors to work on what is stuck, in the same workspaces.",
      answer: "ApiPlan",
      inPath: planInPath,
      body: {
        task: may(word({ max: ID_LENGTH_MAX }), "One task; all that are stuck when absent."),
        note: may(prose({ bytesMax: NOTE_BYTES_MAX }), "What the successor should know, e.g. what was mended."),
      },
      run: async ({ planId, task, note }) => accepted(toApiPlan(await runner.resume(planId as PlanId, { task: task ?? null, note: note ?? null, by: CALLER }))),
    }),
  ];
}
