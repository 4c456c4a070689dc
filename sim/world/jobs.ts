/**
 * Jobs of a world: what a seed draws of them, and what must be true of their rows at the end.
 *
 * Half of the worlds have some. Their clocks often begin shortly before a change of summer time.
 * The moments that a job should have had are found by a scan of every minute, which shares nothing
 * with the calendar that is judged.
 */
import type { JsonObject } from "../../src/base/json.ts";
import type { Job, Run } from "../../src/model/job.ts";
import { bruteMoments, wallClock } from "../../src/timers/calendar-brute.test-support.ts";
import type { SeenEvent } from "./checkers.ts";
import { Dice } from "./dice.ts";

/** Jobs of one world at most. */
const JOBS_MAX = 3;
/** Worlds that last longer than this have jobs that come seldom, milliseconds. */
const LONG_WORLD_MS = 1_200_000;
/** How long after the healing clocks may still change, milliseconds; jobs go on longer. */
const CHANGE_AFTER_HEALING_MS_MAX = 180_000;
/** The scan begins this much earlier than the job, so that it knows what the wall clock has shown, milliseconds. */
const SCAN_BEFORE_MS = 3 * 3_600_000;
const MINUTE_MS = 60_000;
/** A moment that is later than this when everything is in order was forgotten, milliseconds. */
const OVERDUE_MS = 120_000;

/** Moments at which clocks change: spring and autumn, a whole and half an hour. */
const CHANGES = [
  { at: "2027-03-28T01:00:00Z", zone: "Europe/Vienna" }, { at: "2027-10-31T01:00:00Z", zone: "Europe/Vienna" },
  { at: "2027-03-14T07:00:00Z", zone: "America/New_York" }, { at: "2027-11-07T06:00:00Z", zone: "America/New_York" },
  { at: "2027-04-03T15:00:00Z", zone: "Australia/Lord_Howe" }, { at: "2027-10-02T15:30:00Z", zone: "Australia/Lord_Howe" },
];
const ZONES = ["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "UTC"];
const EXPRESSIONS = ["* * * * *", "*/2 * * * *", "*/5 * * * *", "30 * * * *", "30 2 * * *", "0,15,45 1-3 * * *"];
const SELDOM = ["*/15 * * * *", "30 * * * *", "30 2 * * *", "0,15,45 1-3 * * *"];

export interface PlannedJob {
  readonly atMs: number;
  /** As it is written. */
  readonly job: JsonObject & { readonly name: string };
  /** A child that a watchdog looks after, spawned with it. */
  readonly child: { readonly task: string; readonly label: string } | null;
  /** Run by hand, milliseconds after it was made. */
  readonly runAfterMs: readonly number[];
}

export interface WorldJobs {
  /** What the machine's clock shows at the beginning, apart from the usual; null = the usual. */
  readonly wallStartMs: number | null;
  readonly jobs: readonly PlannedJob[];
}

/** Drawn apart from the rest of a seed, which stays what it was. */
export function jobsOfWorld(seed: number, healAtMs: number): WorldJobs {
  const dice = new Dice(seed, "jobs");
  if (!dice.chance(0.5)) return { wallStartMs: null, jobs: [] };
  const change = dice.chance(0.7) ? dice.pick(CHANGES) : null;
  const wallStartMs = change === null ? null : Date.parse(change.at) - dice.whole(Math.floor(healAtMs * 0.3), healAtMs + CHANGE_AFTER_HEALING_MS_MAX);
  return { wallStartMs, jobs: Array.from({ length: dice.whole(1, JOBS_MAX) }, (_none, n) => jobOf(new Dice(seed, "job", n), n, healAtMs, change?.zone ?? null)) };
}

/** @param zone  where clocks change in this world. */
function jobOf(dice: Dice, n: number, healAtMs: number, zone: string | null): PlannedJob {
  const name = `job${n}`;
  const isLong = healAtMs > LONG_WORLD_MS;
  const kind = dice.weighted({ agentTurn: 6, systemEvent: 2, watchdog: 3 });
  const label = `watched-${n}`;
  const once = { kind: "at", at: `+${dice.spread(1, healAtMs)}ms` };
  const cron = { kind: "cron", expr: dice.pick(isLong ? SELDOM : EXPRESSIONS), tz: zone !== null && dice.chance(0.7) ? zone : dice.pick(ZONES) };
  const every = { kind: "every", everyMs: isLong ? dice.whole(300, 3_600) * 1_000 : dice.pick([20_000, 47_000, 60_000, 300_000]) };
  const schedule = kind === "watchdog" ? dice.pick([once, once, every]) : dice.pick([cron, cron, cron, every, every, once]);
  const payload = kind === "watchdog" ? { kind, label, action: dice.pick(["surface", "surface", "retry", "cancel-and-retry"]) } : kind === "agentTurn" ? { kind, message: `work of ${name}` } : { kind, text: `news of ${name}` };
  return {
    atMs: Math.floor(healAtMs * dice.next() * dice.pick([0.2, 0.8])),
    job: {
      name,
      schedule,
      payload,
      target: kind === "agentTurn" ? dice.pick(["isolated", "isolated", "job", "main"]) : "main",
      misfire: dice.pick<JsonObject>([{ policy: "skip" }, { policy: "latest", graceMs: dice.spread(1_000, 3_600_000) }, { policy: "latest", graceMs: 864_000_000 }, { policy: "all", max: dice.whole(1, 3) }]),
      overlap: dice.pick(["skip", "queue", "cancel"]),
    },
    child: kind === "watchdog" ? { task: `be watched ${n}`, label } : null,
    runAfterMs: dice.chance(0.3) ? [dice.spread(1_000, healAtMs)] : [],
  };
}

// ── judging ─────────────────────────────────────────────────────────────────────────────────

export interface SeenJobs {
  readonly jobs: readonly Job[];
  /** Of all jobs. */
  readonly runs: readonly Run[];
  readonly events: readonly SeenEvent[];
  /** By name: what the clock showed when the request that made a job came in. A slow disk saves it later, and a moment may lie between. */
  readonly askedAt: ReadonlyMap<string, number>;
}

/** What must be true of the jobs of any history; a line per violation. */
export function checkJobs(seen: SeenJobs): string[] {
  return [...momentsHaveOneRow(seen), ...attemptsAreMessages(seen), ...watchdogsTellTheTruth(seen), ...completeAfterChildren(seen)];
}

/** No moment has two rows, none that is over is without one, and each row is a moment. */
function momentsHaveOneRow({ jobs, runs, askedAt }: SeenJobs): string[] {
  const violations: string[] = [];
  for (const { id, spec, createdAt, lastFor, state } of jobs) {
    const rows = runs.filter((run) => run.jobId === id && run.source === null);
    const moments = new Set(rows.map((run) => run.scheduledFor));
    if (moments.size < rows.length) violations.push(`${spec.name} has a moment with two rows`);
    if (spec.schedule.kind === "at" && (rows.length > 1 || (state === "done" && rows.length === 0))) violations.push(`${spec.name} has one moment and ${rows.length} rows`);
    if (spec.schedule.kind !== "cron" || lastFor === null) continue;
    const asked = askedAt.get(spec.name) ?? createdAt;
    const from = Math.floor((asked - SCAN_BEFORE_MS) / MINUTE_MS) * MINUTE_MS;
    const expected = bruteMoments(spec.schedule.expr, wallClock(spec.schedule.tz, from, lastFor + MINUTE_MS), from).filter((at) => at > asked && at <= lastFor);
    const stretches = rows.filter((run) => run.until > run.scheduledFor);
    for (const at of expected) {
      if (!moments.delete(at) && !stretches.some((run) => run.scheduledFor <= at && at <= run.until)) violations.push(`${spec.name} (${spec.schedule.expr} ${spec.schedule.tz}) has no row for ${iso(at)}`);
    }
    for (const at of moments) violations.push(`${spec.name} (${spec.schedule.expr} ${spec.schedule.tz}) has a row for ${iso(at)}, which is no moment of it`);
  }
  return violations;
}

/** Each attempt of a run is one message, and each message of a job is an attempt of a run. */
function attemptsAreMessages({ runs, events }: SeenJobs): string[] {
  const violations: string[] = [];
  const attempts = new Map(runs.map((run) => [String(run.id), run.attempt]));
  const seen = new Set<string>();
  for (const { type, data } of events) {
    if (type !== "message.accepted" || data["channel"] !== "job") continue;
    const source = String(data["clientMessageId"]);
    const [run = "", attempt] = source.split(".");
    if (seen.has(source)) violations.push(`attempt ${source} became two messages`);
    seen.add(source);
    if (!attempts.has(run)) violations.push(`message ${source} has no row`);
    else if (Number(attempt) > attempts.get(run)!) violations.push(`message ${source} is of an attempt that its row does not know`);
  }
  return violations;
}

/** A watchdog says that its target has not ended if, and only if, it has not. */
function watchdogsTellTheTruth({ jobs, events }: SeenJobs): string[] {
  const violations: string[] = [];
  const watched = new Map(jobs.flatMap(({ id, spec: { payload } }) => (payload.kind === "watchdog" && "label" in payload.target ? [[String(id), payload.target.label] as const] : [])));
  const newest = new Map<string, { taskId: string; hasEnded: boolean }>();
  for (const { type, taskId, data } of events) {
    if (type === "task.accepted") newest.set(String(data["label"]), { taskId: taskId!, hasEnded: false });
    else if (type === "task.ended") {
      for (const one of newest.values()) if (one.taskId === taskId) one.hasEnded = true;
    } else if (type === "job.fired" || type === "job.ended") {
      const label = watched.get(String(data["jobId"]));
      const reason = String(data["reason"]);
      const target = label === undefined ? undefined : newest.get(label);
      if (target === undefined) continue;
      if (type === "job.fired" && reason.endsWith("has not ended") && target.hasEnded) violations.push(`${String(data["name"])} fired on ${target.taskId}, which had ended`);
      if (type === "job.ended" && reason.startsWith("nothing to do") && !target.hasEnded) violations.push(`${String(data["name"])} left ${target.taskId} alone, which had not ended`);
    }
  }
  return violations;
}

/** A run in a session of its own is complete when the children of that session have ended, not before. */
function completeAfterChildren({ runs, events }: SeenJobs): string[] {
  const violations: string[] = [];
  const sessionOf = new Map(runs.map((run) => [String(run.id), run.session]));
  const parentOf = new Map<string, string>();
  for (const { type, session, taskId, data } of events) {
    if (type === "task.accepted") parentOf.set(taskId!, session);
    else if (type === "task.ended") parentOf.delete(taskId!);
    else if (type === "job.completed") {
      const own = sessionOf.get(String(data["runId"]));
      if (own?.startsWith(`job:${String(data["jobId"])}.`) !== true) continue;
      for (const [task, parent] of parentOf) if (parent === own) violations.push(`${String(data["runId"])} was complete while its child ${task} worked`);
    }
  }
  return violations;
}

/** While nothing is wrong any more and clocks stay as they are, every job that is active comes soon enough. */
export function overdueJobs(jobs: readonly Job[], wallMs: number): string[] {
  return jobs.flatMap(({ spec, state, dueAt }) => {
    if (state !== "active" || spec.schedule.kind === "task" || spec.schedule.kind === "file") return [];
    if (dueAt === null) return [`${spec.name} is active and never comes again`];
    if (dueAt < wallMs - OVERDUE_MS) return [`${spec.name} was due at ${iso(dueAt)} and it is ${iso(wallMs)}`];
    const stepMs = spec.schedule.kind === "every" ? spec.schedule.everyMs : Infinity;
    return dueAt > wallMs + stepMs + OVERDUE_MS ? [`${spec.name} comes every ${stepMs / 1000} s, and next at ${iso(dueAt)}, while it is ${iso(wallMs)}`] : [];
  });
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
