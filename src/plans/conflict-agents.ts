/** Conflicts of merges that belong to a plan: the agents of its tasks mend their work, or do it again on what landed. */
import type { Settings } from "../base/setting.ts";
import type { ConflictHelp, ConflictRequest } from "../merges/merges.ts";
import type { PlanRun, PlanTaskChange, PlanTaskRun } from "../model/plan-run.ts";
import { hasEnded, type NewSpawn, type Task } from "../model/task.ts";
import type { Store } from "../store/store.ts";
import type { Trees } from "../trees/trees.ts";
import type { Workspaces } from "../workspaces/workspaces.ts";
import { taskOf, workIn } from "./places.ts";
import { testOf } from "./settings.ts";
import { agentOf } from "./task-agent.ts";
import { conflictPrompt, learnt, taskPrompt } from "./task-prompt.ts";

/** Longest that the agent of a conflict may take. */
const RESOLVE_MS = 3_600_000;

export interface ConflictAgentsDeps {
  readonly store: Pick<Store, "plans" | "movePlanTask">;
  readonly trees: Pick<Trees, "spawn" | "waitFor" | "cancelTask">;
  readonly workspaces: Pick<Workspaces, "create" | "test" | "commit" | "remove">;
  readonly settings: Settings;
}

export class ConflictAgents implements ConflictHelp {
  readonly #deps: ConflictAgentsDeps;

  constructor(deps: ConflictAgentsDeps) {
    this.#deps = deps;
  }

  async resolve({ workspace, conflict, merge, signal }: ConflictRequest): Promise<boolean> {
    const found = await workIn(this.#deps.store, workspace, ["merging"]);
    if (found === null) return false;
    const { run, row } = found;
    const task = taskOf(run, row.id);
    const child = await this.#workOn(run, row, {
      ...agentOf(run, task, workspace),
      task: `${conflictPrompt({ plan: run.plan, task }, conflict.files)}${task.text === "" ? "" : `\n\nWhat the task was:\n\n> ${task.text.replaceAll("\n", "\n> ")}`}`,
      idempotencyKey: `${run.planId}/${row.id}/${merge.id}/resolve/${merge.attempts}`,
    }, signal);
    return child.state === "succeeded";
  }

  async redo({ workspace: old, conflict, merge, signal }: ConflictRequest) {
    const { workspaces, settings } = this.#deps;
    const found = await workIn(this.#deps.store, old, ["merging"]);
    if (found === null) return null;
    const { run, row } = found;
    const task = taskOf(run, row.id);
    const { copy, setup } = run.plan;
    const workspace = await workspaces.create({ repository: run.repository, base: conflict.onto, label: `${run.planId}/${row.id}`, claims: old.claims, session: run.session, copy, ...(setup === null ? {} : { setup }) }, signal);
    const why = `it conflicted with what was merged before in ${conflict.files.map(({ path }) => path).join(", ")}; do it again on top of that`;
    const child = await this.#workOn(run, row, {
      ...agentOf(run, task, workspace),
      task: taskPrompt({ plan: run.plan, task, learned: learnt(row.learned, why) }),
      idempotencyKey: `${run.planId}/${row.id}/${merge.id}/redo/${merge.attempts}`,
    }, signal);
    const tests = task.tests === null || child.state !== "succeeded" ? null : await workspaces.test(workspace.id, testOf(task.tests, settings), signal);
    if (child.state !== "succeeded" || (tests !== null && tests.exitCode !== 0)) {
      await workspaces.remove(workspace.id);
      return null;
    }
    await workspaces.commit(workspace.id, workspace.epoch, task.title);
    await this.#note(run, row, { workspace: workspace.id, epoch: workspace.epoch });
    await workspaces.remove(old.id);
    return { workspace: workspace.id, epoch: workspace.epoch };
  }

  async #workOn(run: PlanRun, row: PlanTaskRun, spawn: NewSpawn, signal: AbortSignal): Promise<Task> {
    const { trees } = this.#deps;
    const { task: child } = await trees.spawn(spawn);
    await this.#note(run, row, { childTask: child.taskId, childSession: child.session, attempt: row.attempt + 1 });
    const ended = await trees.waitFor(child.taskId, { timeoutMs: RESOLVE_MS, signal });
    if (!hasEnded(ended.state)) await trees.cancelTask(child.taskId, "its time limit");
    return ended;
  }

  async #note({ planId }: PlanRun, { id }: PlanTaskRun, change: PlanTaskChange): Promise<void> {
    await this.#deps.store.movePlanTask({ plan: planId, task: id, from: "merging", to: "merging", change });
  }
}
