/** Jobs: what is due when, what ran, run now, pause. */
import { isJsonObject } from "../../base/json.ts";
import { Fault } from "../../model/faults.ts";
import { JOB_STATES, type Job, type Run } from "../../model/job.ts";
import type { UpkeepRun } from "../../model/upkeep.ts";
import { written } from "../../timers/timekeeper.ts";
import type { Jobs } from "../../timers/jobs.ts";
import type { Upkeep, UpkeepView } from "../../timers/upkeep.ts";
import { bad, choices, count, may, must, word, yesNo, type Fields, type Reader } from "../read-body.ts";
import { accepted, ok, route, TEXT_BODY_BYTES_MAX, type Route, type RouteDeps } from "../route.ts";
import { toApiFault } from "../shapes.ts";
import type { ApiJob, ApiJobRun } from "../wire.ts";
import { pageFields, present } from "./page-of.ts";

const ID_LENGTH_MAX = 100;
const HOURS_MAX = 24 * 31;
const LINES_MAX = 2_000;

const jobInPath = { jobId: must(word({ max: ID_LENGTH_MAX }), "The job's id or name.") };

/** An object, or text, whose inside is read where jobs are read. */
function part(description: string, required: boolean): Fields[string] {
  const reader: Reader<unknown> = {
    schema: { anyOf: [{ type: "object" }, { type: "string" }, { type: "null" }] },
    read(value, where) {
      if (typeof value !== "string" && value !== null && !isJsonObject(value)) throw bad(where, "must be an object or text");
      return value;
    },
  };
  return required ? must(reader, description) : may(reader, description);
}

const jobFields = {
  name: may(word({ max: ID_LENGTH_MAX }), "A name, one for each job."),
  agent: may(word({ max: ID_LENGTH_MAX }), "Who works on it."),
  target: part('Where it works: "main", "isolated" (a fresh session each time), "job" (one of its own), a session key, {session} or {label}.', false),
  misfire: part('Moments that passed while nobody could run them: "skip", {policy: "latest", graceMs} or {policy: "all", max}.', false),
  overlap: may(word({ max: 20 }), "When the run before is not complete: skip, queue or cancel."),
  staggerMs: may(count({ min: 0, max: 1_800_000 }), "Runs on a full hour start up to this much later."),
  activeHours: part('{from: "08:00", to: "22:00", tz?}: outside of them it is skipped.', false),
  delivery: part('How its result reaches somebody: "none", {mode: "notice", session?} or {mode: "webhook", url}.', false),
  enabled: may(yesNo(), "false = paused."),
};

const SCHEDULE = '{kind: "at", at}, {kind: "every", everyMs}, {kind: "cron", expr, tz?}, {kind: "task", label?} or {kind: "file", path, ref?}.';
const PAYLOAD = "{kind: systemEvent, text}, {kind: agentTurn, message, model?}, {kind: watchdog, task | label | session, action?}, {kind: heartbeat} or {kind: iterate, folder, plan?}.";

export function jobRoutes({ jobs, upkeep }: RouteDeps): readonly Route[] {
  if (jobs === undefined) return [];
  return [
    route({
      method: "GET",
      path: "/api/jobs",
      rpc: "jobs.list",
      doc: "The jobs, by name, each with its next run; what the gateway does for itself among them (origin builtin, names that begin with yard:).",
      answer: "JobList",
      query: { ...pageFields, state: may(choices(JOB_STATES), "Only jobs in one of these states.") },
      async run({ limit, after, state }) {
        const page = await jobs.list({ ...present({ after, states: state }), limit });
        const builtIn = ((await upkeep?.list()) ?? []).map(toBuiltInJob).filter((job) => job.name > (after ?? "") && (state?.includes(job.state) ?? true));
        const sorted = [...page.jobs.map(toApiJob), ...builtIn].sort((a, b) => (a.name < b.name ? -1 : 1));
        const hasMore = page.next !== null || sorted.length > limit;
        const shown = sorted.slice(0, limit);
        return ok({ jobs: shown, ...(hasMore ? { next: shown.at(-1)!.name } : {}) });
      },
    }),
    route({
      method: "POST",
      path: "/api/jobs",
      rpc: "jobs.add",
      doc: "Makes a job.",
      answer: "ApiJob",
      bodyBytesMax: TEXT_BODY_BYTES_MAX,
      body: { ...jobFields, schedule: part(SCHEDULE, true), payload: part(PAYLOAD, true) },
      run: async (input) => accepted(toApiJob(await jobs.add(present(input)))),
    }),
    route({
      method: "GET",
      path: "/api/jobs/calendar",
      rpc: "jobs.calendar",
      doc: "What comes up over all jobs, the soonest first.",
      answer: "JobCalendar",
      query: { hours: may(count({ min: 1, max: HOURS_MAX }), "How far ahead; 24 when absent."), limit: may(count({ min: 1, max: LINES_MAX }), "The most lines; 500 when absent.") },
      async run({ hours, limit }) {
        return ok({ upcoming: [...(await jobs.calendar({ hours: hours ?? 24, limit: limit ?? 500 }))] });
      },
    }),
    route({
      method: "GET",
      path: "/api/jobs/:jobId",
      rpc: "jobs.get",
      doc: "One job.",
      answer: "ApiJob",
      inPath: jobInPath,
      run: async ({ jobId }) => ok(upkeep?.has(jobId) ? toBuiltInJob(await upkeep.view(jobId)) : toApiJob(await jobs.get(jobId))),
    }),
    route({
      method: "PATCH",
      path: "/api/jobs/:jobId",
      rpc: "jobs.change",
      doc: "Changes what is given of a job; enabled: false pauses it, true resumes it.",
      answer: "ApiJob",
      inPath: jobInPath,
      bodyBytesMax: TEXT_BODY_BYTES_MAX,
      body: { ...jobFields, schedule: part(SCHEDULE, false), payload: part(PAYLOAD, false) },
      async run({ jobId, ...change }) {
        await refuseBuiltIn(upkeep, jobId);
        return ok(toApiJob(await jobs.change(jobId, present(change))));
      },
    }),
    route({
      method: "DELETE",
      path: "/api/jobs/:jobId",
      rpc: "jobs.remove",
      doc: "Stops what a job runs, and removes it with its history.",
      answer: "ApiJob",
      inPath: jobInPath,
      async run({ jobId }) {
        await refuseBuiltIn(upkeep, jobId);
        return ok(toApiJob(await jobs.remove(jobId)));
      },
    }),
    route({
      method: "POST",
      path: "/api/jobs/:jobId/run",
      rpc: "jobs.run",
      doc: "Runs a job now, besides its schedule. A built-in one answers with what it did, unless that takes long.",
      answer: "ApiJobRun",
      inPath: jobInPath,
      run: async ({ jobId }) => accepted(upkeep?.has(jobId) ? toBuiltInRun(await upkeep.run(jobId)) : toApiRun(await jobs.run(jobId))),
    }),
    route({
      method: "GET",
      path: "/api/jobs/:jobId/runs",
      rpc: "jobs.runs",
      doc: "What became of a job's moments, the newest first.",
      answer: "JobRunList",
      inPath: jobInPath,
      query: pageFields,
      run: async ({ jobId, limit, after }) => ok(await runsOf(jobs, upkeep, jobId, limit, after)),
    }),
  ];
}

async function runsOf(jobs: Jobs, upkeep: Upkeep | undefined, jobId: string, limit: number, after: string | undefined): Promise<{ runs: ApiJobRun[]; next?: string }> {
  if (after !== undefined && !/^\d{1,16}$/.test(after)) throw bad("after", "is not a `next` value of this listing");
  const query = { ...(after === undefined ? {} : { after: Number(after) }), limit };
  if (upkeep?.has(jobId)) {
    const kept = await upkeep.runs(jobId, query);
    return { runs: kept.runs.map(toBuiltInRun), ...(kept.next === null ? {} : { next: String(kept.next) }) };
  }
  const page = await jobs.runs(jobId, query);
  return { runs: page.runs.map(toApiRun), ...(page.next === null ? {} : { next: String(page.next) }) };
}

async function refuseBuiltIn(upkeep: Upkeep | undefined, jobId: string): Promise<void> {
  if (upkeep?.has(jobId)) throw new Fault("JOB_BUILT_IN", { job: jobId, setting: (await upkeep.view(jobId)).task.setting });
}

function toBuiltInJob({ task, state, why, nextAt, last, failures, since }: UpkeepView): ApiJob {
  return {
    jobId: task.name, name: task.name, agent: "", schedule: { kind: "every", everyMs: task.everyMs() }, payload: { kind: "upkeep", about: task.about, setting: task.setting }, target: "gateway", misfire: { policy: "skip" }, overlap: "skip",
    staggerMs: 0, activeHours: null, delivery: { mode: "none" }, origin: "builtin", state, enabled: state === "active", why, nextAt, dueAt: nextAt, lastAt: last?.startedAt ?? null, lastResult: last === null ? null : saidOf(last), failures, createdAt: since,
  };
}

function saidOf({ endedAt, result, fault }: UpkeepRun): string {
  return endedAt === null ? "at work" : (fault?.message ?? result ?? "nothing to do");
}

function toBuiltInRun(run: UpkeepRun): ApiJobRun {
  const { id, task, source, startedAt, endedAt, fault } = run;
  return {
    runId: id, jobId: task, scheduledFor: startedAt, source, until: startedAt, state: endedAt === null ? "running" : fault === null ? "ran" : "failed", reason: fault?.message ?? null, attempt: 1, retryAt: null, session: null, messageId: null, firedAt: startedAt,
    startedAt, endedAt, completedAt: endedAt, durationMs: endedAt === null ? null : endedAt - startedAt, spawned: 0, shipped: 0, result: endedAt === null || fault !== null ? null : saidOf(run), fault: fault === null ? null : toApiFault(fault),
  };
}

function toApiJob(job: Job): ApiJob {
  return {
    jobId: job.id, ...written(job.spec), delivery: shown(job.spec.delivery), origin: job.origin, state: job.state, enabled: job.state === "active", why: job.why, nextAt: job.nextFor, dueAt: job.dueAt, lastAt: job.lastFor, lastResult: null,
    failures: job.failures, createdAt: job.createdAt,
  };
}

/** Without what stands behind a `?`: it may be a secret. */
function shown(delivery: Job["spec"]["delivery"]): ApiJob["delivery"] {
  return delivery.mode === "webhook" ? { mode: "webhook", url: delivery.url.replace(/[?#].*$/s, "") } : delivery;
}

function toApiRun({ id, fault, ...run }: Run): ApiJobRun {
  const durationMs = run.endedAt === null || run.startedAt === null ? null : run.endedAt - run.startedAt;
  return { runId: id, ...run, durationMs, ...(fault === null ? { fault: null } : { fault: toApiFault(fault) }) };
}
