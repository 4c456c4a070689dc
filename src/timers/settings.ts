/** Settings of jobs and hooks. */
import { isJsonObject, type Json } from "../base/json.ts";
import { BadValue, text, wholeNumber, yesNo, type Setting } from "../base/setting.ts";
import type { RunRules } from "../model/job.ts";
import { Fault } from "../model/faults.ts";
import { readHooks, HOOKS_BOUNDS, type Hook } from "./hook.ts";
import { Calendar } from "./calendar.ts";
import { JOBS_IN_LIST_MAX, readJob } from "./read-job.ts";

export const jobsEnabled: Setting<boolean> = {
  key: "jobs.enabled",
  unit: "yes/no",
  fallback: true,
  ...yesNo(),
  takesEffect: "at once",
  doc: "Whether jobs run by themselves. While they do not, their moments pass, and are dealt with by each job's misfire policy afterwards.",
};

export const jobsList: Setting<readonly Json[]> = {
  key: "jobs.list",
  unit: "list",
  fallback: [],
  bounds: `a list of at most ${JOBS_IN_LIST_MAX} jobs: {name, schedule, payload, target?, ...}`,
  takesEffect: "at once",
  doc: "Jobs that are written here, each with a name. They are made, changed and removed as this list changes. See the guide on jobs for their fields.",
  parse(value) {
    if (!Array.isArray(value) || value.length > JOBS_IN_LIST_MAX) throw new BadValue(jobsList.bounds);
    const names = new Set<string>();
    const calendar = new Calendar();
    for (const one of value as Json[]) {
      const name = isJsonObject(one) ? one["name"] : undefined;
      if (typeof name !== "string" || name === "") throw new BadValue("a list whose every job has a name");
      if (names.has(name)) throw new BadValue(`a list in which each name stands once (${name} stands twice)`);
      names.add(name);
      check(one, name, calendar);
    }
    return value as Json[];
  },
};

/** What does not hang on other settings is refused at once, with its place. */
function check(job: Json, name: string, calendar: Calendar): void {
  try {
    readJob(job, { calendar, timezone: "UTC", graceMs: 0, staggerMs: 0, now: 0, fallbackName: name, isKept: true });
  } catch (thrown) {
    if (thrown instanceof Fault && (thrown.code === "BAD_REQUEST" || thrown.code === "ADDRESS_REFUSED")) throw new BadValue(`${jobsList.bounds} (${name}: ${thrown.message})`);
    throw thrown;
  }
}

export const jobsMax: Setting<number> = {
  key: "jobs.max",
  unit: "count",
  fallback: 20_000,
  ...wholeNumber({ min: 1, max: 1_000_000 }),
  takesEffect: "at once",
  doc: "How many jobs there may be.",
};

export const jobsTimezone: Setting<string> = {
  key: "jobs.timezone",
  unit: "text",
  fallback: "",
  ...text({ max: 100 }),
  takesEffect: "at once",
  doc: "The zone of jobs that name none, e.g. Europe/Vienna. Empty = that of this machine. A job keeps the zone that it was made with.",
};

export const jobsGraceSeconds: Setting<number> = {
  key: "jobs.misfireGraceSeconds",
  unit: "s",
  fallback: 3_600,
  ...wholeNumber({ min: 0, max: 30 * 86_400 }),
  takesEffect: "at once",
  doc: "How late a moment may be run that passed while the gateway was down, for jobs that do not say it themselves. Older ones are recorded as missed.",
};

export const jobsStaggerSeconds: Setting<number> = {
  key: "jobs.staggerSeconds",
  unit: "s",
  fallback: 0,
  ...wholeNumber({ min: 0, max: 1_800 }),
  takesEffect: "at once",
  doc: "Cron jobs that fall on a full hour start up to this much later, each always by the same amount, so that not all begin at once. For jobs that do not say it themselves.",
};

export const retriesMax: Setting<number> = {
  key: "jobs.retry.max",
  unit: "count",
  fallback: 2,
  ...wholeNumber({ min: 0, max: 20 }),
  takesEffect: "at once",
  doc: "How often a run that failed for a passing reason is tried again.",
};

export const backoffSeconds: Setting<number> = {
  key: "jobs.retry.backoffSeconds",
  unit: "s",
  fallback: 30,
  ...wholeNumber({ min: 1, max: 86_400 }),
  takesEffect: "at once",
  doc: "The pause before the first retry; each further one is twice as long.",
};

export const alertAfter: Setting<number> = {
  key: "jobs.alert.after",
  unit: "count",
  fallback: 3,
  ...wholeNumber({ min: 0, max: 1_000 }),
  takesEffect: "at once",
  doc: "Failures in a row after which the person is told. 0 = never.",
};

export const alertCooldownMinutes: Setting<number> = {
  key: "jobs.alert.cooldownMinutes",
  unit: "minutes",
  fallback: 60,
  ...wholeNumber({ min: 0, max: 100_000 }),
  takesEffect: "at once",
  doc: "The least time between two such notices of one job.",
};

export const disableAfter: Setting<number> = {
  key: "jobs.disableAfter",
  unit: "count",
  fallback: 5,
  ...wholeNumber({ min: 0, max: 1_000 }),
  takesEffect: "at once",
  doc: "Errors in a row that will not pass by themselves (a wrong key, an unknown model) after which a job is switched off. The person is told. 0 = never.",
};

export const historyDays: Setting<number> = {
  key: "jobs.historyDays",
  unit: "count",
  fallback: 30,
  ...wholeNumber({ min: 1, max: 3_650 }),
  takesEffect: "at once",
  doc: "How many days the history of jobs is kept, with the sessions that were made for single runs.",
};

export const watchSeconds: Setting<number> = {
  key: "jobs.watchSeconds",
  unit: "s",
  fallback: 5,
  ...wholeNumber({ min: 1, max: 3_600 }),
  takesEffect: "at once",
  doc: "How often files and branches that jobs wait for are looked at.",
};

export const hooksList: Setting<readonly Hook[]> = {
  key: "hooks.list",
  unit: "list",
  fallback: [],
  bounds: HOOKS_BOUNDS,
  takesEffect: "at once",
  secret: true,
  doc: "Webhooks that may come in by POST /api/hooks/NAME, each with its own secret. See the guide on hooks for their fields.",
  parse(value) {
    try {
      return readHooks(value);
    } catch (thrown) {
      if (thrown instanceof Fault && thrown.code === "BAD_REQUEST") throw new BadValue(`${HOOKS_BOUNDS} (${thrown.message})`);
      throw thrown;
    }
  },
};

export const SETTINGS: readonly Setting<unknown>[] = [
  jobsEnabled, jobsList, jobsMax, jobsTimezone, jobsGraceSeconds, jobsStaggerSeconds, retriesMax, backoffSeconds, alertAfter, alertCooldownMinutes, disableAfter, historyDays, watchSeconds, hooksList,
] as readonly Setting<unknown>[];

export function runRules(get: <T>(setting: Setting<T>) => T, meanTurnMs: number): RunRules {
  return {
    meanTurnMs,
    retriesMax: get(retriesMax),
    backoffMs: get(backoffSeconds) * 1000,
    alertAfter: get(alertAfter),
    alertCooldownMs: get(alertCooldownMinutes) * 60_000,
    disableAfter: get(disableAfter),
  };
}
