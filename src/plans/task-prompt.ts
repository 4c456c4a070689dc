/** What an agent of a plan is told. The text is the same for every attempt, but for what was learned before. */
import type { ConflictFile } from "../model/merge.ts";
import type { Plan, PlanTask } from "../model/plan.ts";

/** The file by which a harness without our tools says how it stands. */
export const SIGNAL_FILE = ".yard-signal";

/** How much of what earlier agents learned is told. */
const LEARNED_MAX = 20;
const LEARNED_CHARS_MAX = 4_000;

export interface PromptParts {
  readonly plan: Plan;
  readonly task: PlanTask;
  readonly learned: readonly string[];
}

export function taskPrompt({ plan, task, learned }: PromptParts): string {
  const open = task.steps.filter(({ done }) => !done);
  return [
    `You work on the task "${task.id}" of the plan "${plan.title}": ${task.title}`,
    task.text,
    task.steps.length === 0 ? "" : `Steps:\n${task.steps.map((step, index) => `${index + 1}. [${step.done ? "x" : " "}] ${step.text}`).join("\n")}`,
    learned.length === 0 ? "" : `Others worked on it before you, in this same folder. What they learned:\n${learned.map((line) => `- ${line.replaceAll("\n", "\n  ")}`).join("\n")}`,
    [
      "Rules:",
      "- Your folder is a git worktree with a branch of its own. Commit there as often as you like; do not push, rebase or switch branches. Merging the integration branch into yours is allowed.",
      task.owns.length === 0 ? "" : `- Change only what you own: ${task.owns.join(", ")}. Work outside of that is refused.`,
      task.tests === null ? "" : `- The task is done when this passes: ${task.tests}`,
      open.length === 0 ? "" : `- Show which steps a commit does by a last line in its message, e.g. "Steps: 1, 2"; or give their numbers to task_signal.`,
      `- When all is done, call task_signal with "done". If you cannot go on without help, call it with "stuck" and the reason, then stop. Without that tool, write DONE or "STUCK: reason" into ${SIGNAL_FILE}.`,
    ]
      .filter((line) => line !== "")
      .join("\n"),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** For the agent whose work came second: the folder holds both sides, with conflict markers. */
export function conflictPrompt({ plan, task }: Pick<PromptParts, "plan" | "task">, files: readonly ConflictFile[]): string {
  return [
    `Your work on the task "${task.id}" of the plan "${plan.title}" (${task.title}) meets changes that were merged before it.`,
    `Your folder holds both, with conflict markers, in:\n${files.map(({ path, kind }) => `- ${path} (${kind})`).join("\n")}`,
    "Edit these files so that both intentions hold, and take every marker out. No git is needed: the gateway commits, and runs the tests. Then stop.",
  ].join("\n\n");
}

/** What the next agent is told besides. */
export function learnt(before: readonly string[], ...more: readonly (string | null)[]): readonly string[] {
  return [...before, ...more.filter((line) => line !== null).map((line) => line.slice(0, LEARNED_CHARS_MAX))].slice(-LEARNED_MAX);
}
