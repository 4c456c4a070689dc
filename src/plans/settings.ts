/** Settings of plans: how many agents, how long they and their tests may take, how often they are tried. */
import { wholeNumber, type Setting, type Settings } from "../base/setting.ts";
import type { TestCommand } from "../model/merge.ts";

export const planAgentsMax: Setting<number> = {
  key: "plans.maxConcurrent",
  unit: "count",
  fallback: 4,
  ...wholeNumber({ min: 1, max: 100 }),
  takesEffect: "at once",
  doc: "How many agents may work on one plan at once. A plan may ask for fewer.",
};

export const planAttemptsMax: Setting<number> = {
  key: "plans.maxAttempts",
  unit: "count",
  fallback: 2,
  ...wholeNumber({ min: 1, max: 10 }),
  takesEffect: "at once",
  doc: "How many agents are put to work on a task, one after the other, before it counts as stuck. A person who resumes it gives it as many again.",
};

export const planTestSeconds: Setting<number> = {
  key: "plans.testTimeoutSeconds",
  unit: "s",
  fallback: 600,
  ...wholeNumber({ min: 1, max: 86_400 }),
  takesEffect: "at once",
  doc: "How long a task's tests, and the tests after a merge, may take before they count as failed.",
};

export const planTaskSeconds: Setting<number> = {
  key: "plans.taskTimeoutSeconds",
  unit: "s",
  fallback: 0,
  ...wholeNumber({ min: 0, max: 30 * 86_400 }),
  takesEffect: "at once",
  doc: "Deadline of one agent's work on a task, from when it was put to work. 0 = as for other children.",
};

export const SETTINGS: readonly Setting<unknown>[] = [planAgentsMax, planAttemptsMax, planTestSeconds, planTaskSeconds];

/** A test of a plan, in the time that it may take. */
export function testOf(command: string, settings: Settings): TestCommand {
  return { command, timeoutMs: settings.get(planTestSeconds) * 1_000 };
}
