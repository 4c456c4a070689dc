/** Plans, from the rows inside to the shapes on the wire. */
import type { PlanRun } from "../model/plan-run.ts";
import type { PlanStatus, TaskStatus } from "../plans/status.ts";
import { toApiUsage } from "./shapes.ts";
import type { ApiPlan, ApiPlanTask, PlanDetail } from "./wire.ts";

export function toApiPlan(run: PlanRun): ApiPlan {
  const count = (state: string): number => run.tasks.filter((task) => task.state === state).length;
  return {
    planId: run.planId,
    title: run.plan.title,
    state: run.state,
    repository: run.repository,
    onto: run.onto,
    session: run.session,
    mode: run.mode ?? run.verdict.mode,
    phase: run.plan.phases[run.phase]!.name,
    waitsFor: run.waitsFor,
    problem: run.problem,
    tasks: run.tasks.length,
    done: count("done"),
    stuck: count("stuck"),
    startedAt: run.startedAt,
    endedAt: run.endedAt,
  };
}

export function toPlanDetail({ run, tasks, estimate, actual }: PlanStatus): PlanDetail {
  return {
    ...toApiPlan(run),
    verdict: run.verdict,
    rows: tasks.map((status) => toApiPlanTask(run, status)),
    gates: run.gates.map(({ phase, tests, approvedBy, at }) => ({ phase: run.plan.phases[phase]!.name, testsExitCode: tests?.exitCode ?? null, approvedBy, at })),
    estimate,
    actual,
  };
}

function toApiPlanTask(run: PlanRun, { task, row, branch, commits, changed, outside, claim, evidence, steps, usage }: TaskStatus): ApiPlanTask {
  const tests = evidence?.tests ?? null;
  return {
    id: task.id,
    title: task.title,
    phase: run.plan.phases[task.phase]!.name,
    state: row.state,
    attempt: row.attempt,
    after: task.after,
    claim,
    taskId: row.childTask,
    session: row.childSession,
    workspace: row.workspace,
    branch,
    merge: row.merge,
    commits,
    lastCommit: commits.at(-1) ?? null,
    changed,
    outside,
    tests: tests === null ? null : { command: tests.command, exitCode: tests.exitCode, tree: tests.tree, ms: tests.ms },
    steps,
    missing: evidence?.missing ?? [],
    signal: row.signal === null ? null : { kind: row.signal.kind, reason: row.signal.reason, by: row.signal.by, at: row.signal.at },
    problem: row.problem,
    usage: usage === null ? null : toApiUsage(usage),
    startedAt: row.startedAt,
    endedAt: row.endedAt,
  };
}
