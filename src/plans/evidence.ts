/**
 * Evidence: what the gateway finds in a workspace, as opposed to what an agent says.
 *
 * A step of a checklist counts as ticked when a commit shows it: by its number in a line `Steps: 1, 2`,
 * by a subject that says it, by the file it names being changed, or by its line ticked in a committed
 * plan file. A pure function; running the tests and committing is done by the caller.
 */
import type { TestEvidence } from "../model/merge.ts";
import type { PlanEvidence } from "../model/plan-run.ts";
import type { PlanTask } from "../model/plan.ts";
import type { Commit, WorkspaceStatus } from "../model/workspace.ts";

/** Share of a step's words that a commit's subject must have. */
const WORDS_PART_MIN = 0.6;
const OUTPUT_SHOWN_CHARS = 1_500;
const PATHS_SHOWN_MAX = 10;
const STEPS_LINE = /^Steps:[ \t]*(all|\d{1,4}(?:[ \t]*[,–-][ \t]*\d{1,4})*)[ \t]*$/gim;

export function judgeEvidence(task: PlanTask, status: WorkspaceStatus, tests: TestEvidence | null, planTexts: readonly string[], at: number): PlanEvidence {
  const steps = stepsOf(task, status, planTexts);
  const unticked = steps.flatMap((step, index) => (step.ticked ? [] : [`${index + 1} (${step.text})`]));
  const missing = [
    ...(status.changed.length === 0 ? ["nothing was changed"] : []),
    ...(status.outside.length === 0 ? [] : [`files outside of what it owns were changed: ${status.outside.slice(0, PATHS_SHOWN_MAX).join(", ")}`]),
    ...(tests === null || tests.exitCode === 0 ? [] : [`"${tests.command}" ${tests.timedOut ? "took too long" : `ended with ${tests.exitCode}`}:\n${tests.output.slice(-OUTPUT_SHOWN_CHARS)}`]),
    ...(unticked.length === 0 ? [] : [`no commit shows step ${unticked.join(", ")}; end a commit's message with a line such as "Steps: 1, 2"`]),
  ];
  return { head: status.head, commits: status.commits.map(({ subject }) => subject).toReversed(), changed: status.changed, outside: status.outside, tests, steps, missing, at };
}

/** The checklist as the commits so far show it. */
export function stepsOf(task: PlanTask, { commits, changed }: Pick<WorkspaceStatus, "commits" | "changed">, planTexts: readonly string[]): PlanEvidence["steps"] {
  const ticked = tickedSteps(task, commits, changed, planTexts);
  return task.steps.map((step, index) => ({ text: step.text, ticked: step.done || ticked.has(index + 1) }));
}

function tickedSteps(task: PlanTask, commits: readonly Commit[], changed: readonly string[], planTexts: readonly string[]): ReadonlySet<number> {
  const ticked = new Set<number>();
  for (const { subject, body } of commits) {
    for (const [, numbers] of `${subject}\n${body}`.matchAll(STEPS_LINE)) for (const step of stepNumbers(numbers!, task.steps.length)) ticked.add(step);
    const said = wordsOf(subject);
    for (const [index, step] of task.steps.entries()) {
      const words = wordsOf(step.text);
      if (words.size > 0 && [...words].filter((word) => said.has(word)).length / words.size >= WORDS_PART_MIN) ticked.add(index + 1);
    }
  }
  for (const [index, step] of task.steps.entries()) {
    if (changed.some((path) => step.text.includes(path))) ticked.add(index + 1);
    if (planTexts.some((text) => text.split("\n").some((line) => /^\s*[-*+]\s+\[[xX]\]/.test(line) && line.includes(step.text)))) ticked.add(index + 1);
  }
  return ticked;
}

/** `1, 3-5` or `all`. */
export function stepNumbers(text: string, count: number): readonly number[] {
  if (text.trim().toLowerCase() === "all") return Array.from({ length: count }, (_each, index) => index + 1);
  return text.split(",").flatMap((part) => {
    const [first, last] = part.split(/[–-]/).map(Number);
    if (!Number.isInteger(first) || first! < 1) return [];
    return Array.from({ length: Math.max(0, Math.min(last ?? first!, count) - first! + 1) }, (_each, index) => first! + index);
  });
}

function wordsOf(text: string): ReadonlySet<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\d]{3,}/gu) ?? []);
}

/** DONE or STUCK in a signal file, a commit's trailer `Yard-Signal: STUCK reason`, or the first line of an answer. */
export function readSignal(text: string): { readonly kind: "done" | "stuck"; readonly reason: string | null } | null {
  const [, kind, reason] = /^\s*(?:Yard-Signal:\s*)?(DONE|STUCK)\b[ \t]*[:—–-]?[ \t]*(.{0,1000})/m.exec(text.slice(0, 20_000)) ?? [];
  if (kind === undefined) return null;
  return { kind: kind === "DONE" ? "done" : "stuck", reason: reason?.trim() || null };
}
