/** What a plan's tasks come to so far: rows, live workspaces and the records of their agents, put together. */
import type { JsonObject } from "../base/json.ts";
import type { Usage } from "../model/chat.ts";
import type { PlanEvidence, PlanRun, PlanTaskRun } from "../model/plan-run.ts";
import type { PlanTask } from "../model/plan.ts";
import type { Cost } from "../model/verdict.ts";
import type { WorkspaceStatus } from "../model/workspace.ts";
import type { Store } from "../store/store.ts";
import type { Workspaces } from "../workspaces/workspaces.ts";
import { stepsOf } from "./evidence.ts";
import type { Branch } from "./pictures.ts";

export interface TaskStatus {
  readonly task: PlanTask;
  readonly row: PlanTaskRun;
  readonly branch: string | null;
  /** Subjects, oldest first. */
  readonly commits: readonly string[];
  readonly changed: readonly string[];
  readonly outside: readonly string[];
  readonly evidence: PlanEvidence | null;
  /** As the commits show it, also while its agent still works. */
  readonly steps: PlanEvidence["steps"];
  /** What it may change: what it owns, and what it was given since. */
  readonly claim: readonly string[];
  /** Of all agents that worked on it, and of their children. */
  readonly usage: Usage | null;
}

export interface PlanStatus {
  readonly run: PlanRun;
  readonly tasks: readonly TaskStatus[];
  readonly estimate: Cost;
  readonly actual: Cost;
}

interface Sources {
  readonly store: Store;
  readonly workspaces: Workspaces;
  readonly nowMs: () => number;
}

const NOTHING_DONE = { commits: [], changed: [] };
const HISTORY_COMMITS_MAX = 100;
const BRANCHES_SHOWN_MAX = 50;
const TASKS_TOLD_MAX = 50;
const LINES_TOLD_MAX = 10;
const PROBLEM_TOLD_CHARS_MAX = 500;

export async function statusOf(run: PlanRun, { store, workspaces, nowMs }: Sources): Promise<PlanStatus> {
  const used = new Map((await store.planUsage(run.planId)).map(({ task, usage }) => [task, usage]));
  const tasks = await Promise.all(
    run.tasks.map(async (row): Promise<TaskStatus> => {
      const task = run.plan.tasks.find(({ id }) => id === row.id)!;
      const workspace = row.workspace === null ? null : await workspaces.get(row.workspace);
      const live: WorkspaceStatus | null = workspace?.state === "ready" ? await workspaces.status(workspace.id).catch(() => null) : null;
      return {
        task,
        row,
        branch: workspace?.branch ?? null,
        commits: live?.commits.map(({ subject }) => subject).toReversed() ?? row.evidence?.commits ?? [],
        changed: live?.changed ?? row.evidence?.changed ?? [],
        outside: live?.outside ?? row.evidence?.outside ?? [],
        evidence: row.evidence,
        steps: row.state === "done" || live === null ? (row.evidence?.steps ?? stepsOf(task, NOTHING_DONE, [])) : stepsOf(task, live, []),
        claim: workspace?.claims ?? task.owns,
        usage: used.get(row.id) ?? null,
      };
    }),
  );
  const usages = tasks.flatMap(({ usage }) => usage ?? []);
  const actual = {
    minutes: Math.round(((run.endedAt ?? nowMs()) - run.startedAt) / 6_000) / 10,
    requests: usages.reduce((sum, { calls }) => sum + calls, 0),
    tokens: usages.reduce((sum, { input, output }) => sum + input + output, 0),
  };
  return { run, tasks, estimate: run.verdict[run.mode ?? run.verdict.mode], actual };
}

/** The integration branch first, then every task's branch, also of those that are merged. */
export async function branchesOf(run: PlanRun, workspaces: Workspaces): Promise<readonly Branch[]> {
  const branches: Branch[] = [{ name: run.onto, commits: await workspaces.commits(run.repository, run.onto, { limit: HISTORY_COMMITS_MAX }) }];
  for (const { id, workspace: key, evidence } of run.tasks) {
    const workspace = key === null ? null : await workspaces.get(key);
    // What was merged is shown as it was before; its branch is gone, and its commits are kept.
    const tip = workspace?.state === "ready" ? workspace.branch : evidence === null ? null : await workspaces.resolve(run.repository, evidence.head);
    if (tip !== null && branches.length < BRANCHES_SHOWN_MAX) branches.push({ name: id, commits: await workspaces.commits(run.repository, tip, { limit: HISTORY_COMMITS_MAX }) });
  }
  return branches;
}

/** For a model that is asked how its agents are: what each has done, by commits and evidence, and why one is stuck. */
export function toldStatus({ run, tasks }: PlanStatus): JsonObject {
  return {
    plan: run.planId,
    title: run.plan.title,
    state: run.state,
    ...(run.waitsFor === null ? {} : { waitsFor: run.waitsFor }),
    tasks: tasks.slice(0, TASKS_TOLD_MAX).map(({ task, row, commits, evidence, steps }) => ({
      task: task.id,
      state: row.state,
      ...(task.steps.length === 0 ? {} : { steps: `${steps.filter(({ ticked }) => ticked).length} of ${steps.length}`, accomplished: steps.filter(({ ticked }) => ticked).map(({ text }) => text).slice(0, LINES_TOLD_MAX) }),
      ...(commits.length === 0 ? {} : { commits: commits.slice(-LINES_TOLD_MAX) }),
      ...(evidence?.tests == null ? {} : { tests: evidence.tests.exitCode === 0 ? "passing" : "failing" }),
      ...(row.problem === null ? {} : { stuckOn: row.problem.slice(0, PROBLEM_TOLD_CHARS_MAX) }),
    })),
  };
}

/** One line for each task, as a person would tell it: `alpha-3: stuck on 2/5 steps: missing NOTIFICATION_KEY`. */
export function statusLines({ run, tasks }: PlanStatus): readonly string[] {
  const done = tasks.filter(({ row }) => row.state === "done").length;
  return [
    `${run.plan.title} (${run.planId}): ${run.state}, ${done} of ${tasks.length} tasks done${run.waitsFor === null ? "" : `; waits for ${run.waitsFor}`}`,
    ...tasks.map(({ task, row, commits, evidence, steps: list }) => {
      const steps = list.length === 0 ? "" : ` ${list.filter(({ ticked }) => ticked).length}/${list.length} steps,`;
      const tests = evidence?.tests == null ? "" : evidence.tests.exitCode === 0 ? ", tests passing" : ", tests failing";
      const worked = row.attempt === 0 ? "" : `:${steps} ${commits.length} ${commits.length === 1 ? "commit" : "commits"}${tests}`;
      return `- ${task.id} ${row.state}${worked}${row.problem === null ? "" : ` — ${row.problem.split("\n")[0]}`}`;
    }),
  ];
}
