/** The child that works on a task of a plan. */
import type { Budget } from "../model/budget.ts";
import type { PlanRun } from "../model/plan-run.ts";
import type { PlanTask } from "../model/plan.ts";
import { DEFAULT_AGENT, parseSessionKey } from "../model/session.ts";
import { LABEL_LENGTH_MAX, type NewSpawn } from "../model/task.ts";
import type { Workspace } from "../model/workspace.ts";

const MICROS_PER_DOLLAR = 1_000_000;

/** What is the same for every agent of a task, whatever it is told to do. */
export function agentOf(run: PlanRun, task: PlanTask, workspace: Workspace): Omit<NewSpawn, "task" | "idempotencyKey"> {
  const budget: Budget = {
    ...(task.budget?.tokens == null ? {} : { tokens: task.budget.tokens }),
    ...(task.budget?.calls == null ? {} : { calls: task.budget.calls }),
    ...(task.budget?.money == null ? {} : { costMicros: Math.round(task.budget.money * MICROS_PER_DOLLAR) }),
  };
  return {
    label: task.id.slice(0, LABEL_LENGTH_MAX), parent: run.session, turnId: null, agent: task.harness ?? task.agent ?? parseSessionKey(run.session).parts.agent ?? DEFAULT_AGENT, kind: task.harness === null ? "subagent" : "acp", model: task.model,
    plan: run.planId, context: "isolated", cwd: workspace.dir, deadlineSeconds: null, delivery: "notify", cleanup: "keep", claims: task.owns, ...(Object.keys(budget).length === 0 ? {} : { budget }),
  };
}
