/**
 * The message of the one clean commit that a task's work lands as.
 *
 * An agent that made one commit has said what it is; its words are kept. Where it took several, trial and
 * error among them, the plan says it, and what was squashed is listed below.
 */
import type { PlanTask } from "../model/plan.ts";
import { GATEWAY_AUTHOR, type Commit } from "../model/workspace.ts";

const COMMITS_SHOWN_MAX = 50;
/** Lines that were for the gateway. */
const FOR_US = /^(Steps|Yard-[A-Za-z]+):.*$/gm;

/** @param commits  those of its branch, newest first. */
export function landingMessage(task: PlanTask, commits: readonly Commit[]): string {
  const own = commits.filter(({ author, parents }) => author !== GATEWAY_AUTHOR && parents.length === 1).toReversed();
  const steps = task.steps.map(({ text }) => `- ${text}`).join("\n");
  const parts = own.length === 1 ? [own[0]!.subject, own[0]!.body.replaceAll(FOR_US, "").trim() || steps] : [task.title, steps, squashed(own)];
  return parts.filter((part) => part !== "").join("\n\n");
}

function squashed(commits: readonly Commit[]): string {
  const more = commits.length - COMMITS_SHOWN_MAX;
  const lines = commits.slice(0, COMMITS_SHOWN_MAX).map(({ subject }) => `* ${subject}`);
  return [...lines, ...(more > 0 ? [`* and ${more} more`] : [])].join("\n");
}
