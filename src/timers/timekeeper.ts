/**
 * The timekeeper: wakes when a job is due, decides what its moments become, and has the store write
 * it in one transaction.
 *
 * Timers are rows; one timer of the machine is armed, for the earliest of them. It keeps no truth:
 * what it remembers are which sessions have open runs, so that it knows when to look at them again.
 *
 * Always true:
 *   - one look is under way at most; kicks meanwhile lead to exactly one more
 *   - nothing fires twice: the store compares the moment that was decided about with the job's next one
 *   - a clock that jumps forward leaves missed moments, each with its row; one that jumps back fires
 *     nothing again, and jobs of equal steps go on from there
 *   - a job that cannot be computed is switched off, and the person is told
 */
import type { Clock } from "../base/clock.ts";
import type { JobId, RunId, SessionKey, TaskId } from "../base/ids.ts";
import { isJsonObject, type JsonObject } from "../base/json.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { ModelClient } from "../model/chat.ts";
import type { YardEvent } from "../model/event.ts";
import { asFault, Fault } from "../model/faults.ts";
import { ON_TIME_MS, type Job, type JobSpec, type JobState, type Run, type RunPlan } from "../model/job.ts";
import type { PoolName } from "../model/lane.ts";
import type { NextMoment, OpenRun, Store } from "../store/store.ts";
import { agentIds, agentsList, findAgent } from "../turns/agents-list.ts";
import { Calendar } from "./calendar.ts";
import type { CalendarLine, Jobs } from "./jobs.ts";
import { dealWithDue } from "./misfire.ts";
import { planRun, type Planned } from "./plan-run.ts";
import { readJob } from "./read-job.ts";
import { historyDays, jobsEnabled, jobsGraceSeconds, jobsList, jobsMax, jobsStaggerSeconds, jobsTimezone, runRules, watchSeconds } from "./settings.ts";
import { WatchedFiles } from "./watched-file.ts";

/** Jobs that one look deals with; more follow in the next. They share a commit, and a person who writes meanwhile waits for it: about 20 ms. */
const DUE_AT_ONCE_MAX = 32;
/** The longest sleep, so that a clock that was set forward is noticed soon. */
const SLEEP_MAX_MS = 30_000;
/** A difference between the two clocks that is no drift. */
const JUMP_MS = 1_000;
/** Pause after a look that failed, e.g. for a full disk. */
const LOOK_RETRY_MS = 1_000;
const TIDY_EVERY_MS = 3_600_000;
const TIDY_AT_ONCE_MAX = 500;
const PAGE = 500;
const DAY_MS = 86_400_000;

export interface TimekeeperDeps {
  readonly store: Store;
  readonly models: Pick<ModelClient, "knownModels">;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Log;
  readonly meanTurnMs: () => Readonly<Record<PoolName, number>>;
  readonly workspaceOf: (agent: string) => string;
  /** Asks the scheduler to claim; called right after a message was handed to the store, so both share a commit. */
  readonly kick: () => void;
}

export class Timekeeper implements Jobs {
  readonly #deps: TimekeeperDeps;
  readonly #calendar = new Calendar();
  readonly #files: WatchedFiles;
  /** Runs that are not complete, and which of them work in a session. */
  readonly #open = new Map<RunId, OpenRun>();
  readonly #inSession = new Map<SessionKey, Set<RunId>>();
  readonly #unsettled = new Set<RunId>();
  #settling = false;
  #running = false;
  #looking = false;
  #again = false;
  #driftMs = 0;
  /** The clock may have been set back since jobs were looked at. */
  #mayStall = false;
  #tidiedAt = 0;
  #watchedAt = -Infinity;
  #watchesFiles = false;
  #watchesTasks = false;
  #disarm: () => void = () => {};
  #unlisten: (() => void)[] = [];
  #idle: Promise<void> = Promise.resolve();
  #synced: Promise<void> = Promise.resolve();

  constructor(deps: TimekeeperDeps) {
    this.#deps = deps;
    this.#files = new WatchedFiles(() => deps.clock.now());
  }

  async start(): Promise<void> {
    const { store, settings, clock } = this.#deps;
    this.#running = true;
    this.#driftMs = clock.now() - clock.monotonic();
    this.#tidiedAt = clock.monotonic();
    this.#unlisten = [store.onEvents((events) => this.#onEvents(events)), settings.onChange(() => this.#syncSoon())];
    for (const run of await store.openRuns()) this.#watch(run);
    this.#settleSoon([...this.#open.keys()]);
    this.#mayStall = true;
    this.#syncSoon();
    await this.#synced;
    this.#watchesFiles = (await store.jobsOfKind({ kind: "file", limit: 1 })).length > 0;
    this.#watchesTasks = (await store.jobsOfKind({ kind: "task", limit: 1 })).length > 0;
    await this.#tasksEnded(null);
    this.kick();
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.#disarm();
    for (const unlisten of this.#unlisten) unlisten();
    this.#unlisten = [];
    await this.#synced;
    await this.#idle;
  }

  /** Something about the jobs changed, or a moment may have come. */
  kick(): void {
    if (!this.#running) return;
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    this.#disarm();
    this.#idle = this.#look();
  }

  // ── the look ──────────────────────────────────────────────────────────────────────────────

  async #look(): Promise<void> {
    const { store, settings, clock, log } = this.#deps;
    let nextAt: number | null = null;
    let failed = false;
    try {
      if (Math.abs(clock.now() - clock.monotonic() - this.#driftMs) > JUMP_MS) this.#clockJumped();
      // Equal steps are lengths of time: a clock that was set back, now or before the start, does not make them longer.
      if (this.#mayStall) await store.unstallJobs();
      this.#mayStall = false;
      if (settings.get(jobsEnabled)) {
        const due = await store.dueJobs({ limit: DUE_AT_ONCE_MAX });
        nextAt = due.nextAt;
        if (due.jobs.length + due.retries.length > 0) this.#again = true;
        await Promise.all([...due.jobs.map((job) => this.#fire(job)), ...due.retries.map((id) => this.#relaunch(id))]);
        await this.#lookAtFiles();
      }
      await this.#tidy();
    } catch (cause) {
      failed = true;
      log.error("jobs.look-failed", { cause });
    }
    this.#looking = false;
    if (!this.#running) return;
    if (failed) {
      this.#again = false;
      this.#arm(LOOK_RETRY_MS);
    } else if (this.#again) {
      this.#again = false;
      this.kick();
    } else {
      const watch = this.#watchesFiles ? this.#watchedAt + settings.get(watchSeconds) * 1000 - clock.monotonic() : SLEEP_MAX_MS;
      this.#arm(Math.max(1, Math.min(SLEEP_MAX_MS, watch, nextAt === null ? SLEEP_MAX_MS : nextAt - clock.now())));
    }
  }

  #arm(delayMs: number): void {
    this.#disarm = this.#deps.clock.after(delayMs, () => this.kick());
  }

  async #fire(job: Job): Promise<void> {
    const { store, clock, log } = this.#deps;
    try {
      const { spec } = job;
      const now = clock.now();
      const due = dealWithDue({ first: job.nextFor!, now, policy: spec.misfire, next: (after) => this.#calendar.next(spec.schedule, after, job.nextFor!), staggerMs: job.dueAt! - job.nextFor! });
      const next = this.#calendar.moment(spec, due.next);
      const planned = due.run === null ? null : this.#plan(job, false);
      const over = planned?.kind === "done" ? planned.why : next === null ? (spec.schedule.kind === "at" ? "its moment is over" : "its schedule has no further moment") : undefined;
      const plan: RunPlan | null = planned === null ? null : planned.kind === "done" ? { kind: "skip", reason: planned.why } : planned;
      const firing = store.fireJob({
        jobId: job.id,
        expected: job.nextFor!,
        passed: due.passed,
        run: plan === null ? null : { scheduledFor: due.run!, source: null, plan, queue: due.queue },
        next: over === undefined ? next : null,
        ...(over === undefined ? {} : { done: over }),
        rules: this.#rules(),
      });
      this.#deps.kick();
      this.#fired(await firing);
    } catch (thrown) {
      const fault = asFault(thrown);
      if (fault.code === "INTERNAL") log.error("job.not-computed", { job: job.id, cause: thrown });
      // Otherwise the store cannot write now, and nothing is the matter with the job.
      else if (fault.kind === "busy" || fault.kind === "outside") throw thrown;
      await store.patchJob({ id: job.id, spec: job.spec, state: "disabled", why: fault.message, next: null, fingerprint: job.fingerprint });
    }
  }

  async #relaunch(id: RunId): Promise<void> {
    const launching = this.#deps.store.launchRun({ id, rules: this.#rules() });
    this.#deps.kick();
    await launching;
    this.#settleSoon([id]);
  }

  #fired(run: Run | null): void {
    if (run === null || run.completedAt !== null) return;
    this.#heard({ id: run.id, session: run.session, isEnded: run.endedAt !== null });
    this.#settleSoon([run.id]);
  }

  #plan(job: Job, manual: boolean): Planned {
    const planned = planRun(job, { now: this.#deps.clock.now(), calendar: this.#calendar, workspaceOf: this.#deps.workspaceOf, manual });
    return (planned.kind === "message" || planned.kind === "item") && planned.model !== null ? { ...planned, model: this.#fullName(planned.model) } : planned;
  }

  /** `sonnet` means the known model with that word in its name; what nobody knows fails as a turn, and is seen there. */
  #fullName(model: string): string {
    const known = this.#deps.models.knownModels();
    return known.includes(model) || model.includes("/") ? model : (known.find((name) => name.includes(model)) ?? model);
  }

  #rules() {
    const { settings, meanTurnMs } = this.#deps;
    return runRules((setting) => settings.get(setting), meanTurnMs().timer);
  }

  // ── clocks ────────────────────────────────────────────────────────────────────────────────

  #clockJumped(): void {
    const { clock, log } = this.#deps;
    const driftMs = clock.now() - clock.monotonic();
    log.warn("clock.jumped", { byMs: Math.round(driftMs - this.#driftMs) });
    this.#driftMs = driftMs;
    this.#mayStall = true;
  }

  // ── what became of runs ───────────────────────────────────────────────────────────────────

  #watch(run: OpenRun): void {
    this.#unwatch(run.id);
    this.#open.set(run.id, run);
    if (run.session === null) return;
    const there = this.#inSession.get(run.session);
    if (there === undefined) this.#inSession.set(run.session, new Set([run.id]));
    else there.add(run.id);
  }

  /**
   * What an answer says of a run. What later verbs of its batch did is known already, from their events;
   * so the session that they told of stays, or the end of the turn in it would not be noticed.
   */
  #heard(run: OpenRun): void {
    const known = this.#open.get(run.id);
    this.#watch({ ...run, session: known?.session ?? run.session, isEnded: run.isEnded || known?.isEnded === true });
  }

  #unwatch(id: RunId): void {
    const session = this.#open.get(id)?.session ?? null;
    this.#open.delete(id);
    if (session === null) return;
    const there = this.#inSession.get(session);
    there?.delete(id);
    if (there?.size === 0) this.#inSession.delete(session);
  }

  #onEvents(events: readonly YardEvent[]): void {
    const touched: RunId[] = [];
    for (const event of events) {
      switch (event.type) {
        case "job.fired": {
          const id = event.data["runId"] as RunId;
          this.#watch({ id, session: event.data["session"] as SessionKey, isEnded: false });
          touched.push(id);
          break;
        }
        case "job.ended": {
          const run = this.#open.get(event.data["runId"] as RunId);
          if (run !== undefined) this.#watch({ ...run, isEnded: true });
          break;
        }
        case "turn.started":
        case "turn.ended":
        case "message.cancelled":
          touched.push(...(this.#inSession.get(event.session) ?? []));
          break;
        case "task.ended":
          void this.#tasksEnded(event.taskId!);
          // It may lie at any depth below a run whose own turn is over.
          for (const { id, isEnded } of this.#open.values()) if (isEnded) touched.push(id);
          break;
      }
    }
    if (touched.length > 0) this.#settleSoon(touched);
  }

  #settleSoon(ids: readonly RunId[]): void {
    for (const id of ids) this.#unsettled.add(id);
    if (this.#settling) return;
    this.#settling = true;
    void this.#settle();
  }

  async #settle(): Promise<void> {
    const { store, log, clock } = this.#deps;
    try {
      while (this.#unsettled.size > 0) {
        const ids = [...this.#unsettled].slice(0, PAGE);
        for (const id of ids) this.#unsettled.delete(id);
        const settling = store.settleRuns({ ids, rules: this.#rules() });
        this.#deps.kick();
        const open = new Map((await settling).map((run) => [run.id, run]));
        for (const id of ids) {
          const run = open.get(id);
          if (run === undefined) this.#unwatch(id);
          else this.#heard(run);
        }
      }
    } catch (cause) {
      log.error("jobs.not-settled", { cause });
      if (this.#running) clock.after(LOOK_RETRY_MS, () => this.#settleSoon([...this.#open.keys()]));
    } finally {
      this.#settling = false;
    }
    // A retry is a row with a moment of its own.
    this.kick();
  }

  // ── what sets jobs off besides time ───────────────────────────────────────────────────────

  /** Sets off the jobs that wait for the end of a task, or (null) of those that ended while nobody looked. The store writes each (job, task) once. */
  async #tasksEnded(task: TaskId | null): Promise<void> {
    const { store, settings, clock, log } = this.#deps;
    if (!this.#running || !this.#watchesTasks || !settings.get(jobsEnabled)) return;
    const since = clock.now() - settings.get(historyDays) * DAY_MS;
    try {
      for (;;) {
        const waiting = await store.jobsOfTasks({ task, since, limit: PAGE });
        await Promise.all(waiting.map((one) => this.#setOff(one.job, `task:${one.task}`)));
        if (waiting.length < PAGE) return;
      }
    } catch (cause) {
      log.error("jobs.task-not-seen", { task, cause });
    }
  }

  async #lookAtFiles(): Promise<void> {
    const { store, settings, clock } = this.#deps;
    if (!this.#watchesFiles || clock.monotonic() - this.#watchedAt < settings.get(watchSeconds) * 1000) return;
    this.#watchedAt = clock.monotonic();
    let after: JobId | undefined;
    let seen = 0;
    do {
      const jobs = await store.jobsOfKind({ kind: "file", ...(after === undefined ? {} : { after }), limit: PAGE });
      seen += jobs.length;
      after = jobs.length === PAGE ? jobs.at(-1)!.id : undefined;
      for (const job of jobs) {
        if (job.spec.schedule.kind !== "file") continue;
        const fingerprint = this.#files.fingerprintOf(job.spec.schedule);
        if (fingerprint !== job.fingerprint) await this.#setOff(job, null, fingerprint);
      }
    } while (after !== undefined);
    this.#files.looked();
    this.#watchesFiles = seen > 0;
  }

  async #setOff(job: Job, source: string | null, fingerprint?: string | null): Promise<void> {
    const planned = this.#plan(job, false);
    const plan: RunPlan = planned.kind === "done" ? { kind: "skip", reason: planned.why } : planned;
    const firing = this.#deps.store.fireJob({
      jobId: job.id,
      expected: null,
      passed: [],
      run: { scheduledFor: this.#deps.clock.now(), source, plan, queue: false },
      next: null,
      ...(fingerprint === undefined ? {} : { fingerprint }),
      rules: this.#rules(),
    });
    this.#deps.kick();
    this.#fired(await firing);
  }

  async #tidy(): Promise<void> {
    const { store, settings, clock } = this.#deps;
    if (clock.monotonic() - this.#tidiedAt < TIDY_EVERY_MS) return;
    const removed = await store.forgetRuns({ completedBefore: clock.now() - settings.get(historyDays) * DAY_MS, limit: TIDY_AT_ONCE_MAX });
    if (removed < TIDY_AT_ONCE_MAX) this.#tidiedAt = clock.monotonic();
  }

  // ── jobs ──────────────────────────────────────────────────────────────────────────────────

  async add(job: unknown, { agent }: { readonly agent?: string } = {}): Promise<Job> {
    const fallbackName = `job-${this.#deps.clock.now().toString(36)}-${Math.floor(this.#deps.clock.monotonic() * 1000).toString(36)}`;
    const isPaused = isJsonObject(job) && job["enabled"] === false;
    const spec = this.#read(job, fallbackName, agent);
    this.#refusePast(spec);
    return this.#put(spec, "made", isPaused ? "paused" : "active");
  }

  async #put(spec: JobSpec, origin: Job["origin"], state: "active" | "paused"): Promise<Job> {
    const { store, settings } = this.#deps;
    const { next, fingerprint } = this.#beginning(spec, null);
    const job = await store.putJob({ spec, origin, state, next: state === "active" ? next : null, fingerprint, jobsMax: settings.get(jobsMax) });
    this.#watchFor(spec);
    this.kick();
    return job;
  }

  /** Where a job begins to wait, from now on. A moment that is past already is due at once. */
  #beginning(spec: JobSpec, lastFor: number | null): { next: NextMoment | null; fingerprint: string | null } {
    const now = this.#deps.clock.now();
    if (spec.schedule.kind === "file") return { next: null, fingerprint: this.#files.fingerprintOf(spec.schedule) };
    if (spec.schedule.kind === "task") return { next: null, fingerprint: String(now) }; // what ended before is none of its business
    const at = spec.schedule.kind === "at" ? spec.schedule.at : this.#calendar.next(spec.schedule, spec.schedule.kind === "cron" ? Math.max(now, lastFor ?? 0) : now, now);
    return { next: this.#calendar.moment(spec, at), fingerprint: null };
  }

  async change(idOrName: string, change: unknown): Promise<Job> {
    const job = await this.get(idOrName);
    if (!isJsonObject(change)) throw new Fault("BAD_REQUEST", { where: "job", problem: "must be an object" });
    const { enabled, ...fields } = change;
    if (enabled !== undefined && typeof enabled !== "boolean") throw new Fault("BAD_REQUEST", { where: "enabled", problem: "must be true or false" });
    if (job.origin === "config" && Object.keys(fields).length > 0) throw new Fault("JOB_FROM_CONFIG", { job: job.id });
    const spec = Object.keys(fields).length === 0 ? job.spec : this.#read({ ...written(job.spec), ...fields }, job.spec.name);
    if ("schedule" in fields) this.#refusePast(spec);
    const state: JobState = enabled === undefined ? job.state : enabled ? "active" : "paused";
    return this.#patch(job, spec, state, enabled === undefined ? job.why : null);
  }

  /** Somebody who names a moment that is over has miscounted; a job that never runs would not tell. */
  #refusePast({ schedule }: JobSpec): void {
    if (schedule.kind !== "at" || schedule.at >= this.#deps.clock.now() - ON_TIME_MS) return;
    throw new Fault("BAD_REQUEST", { where: "schedule.at", problem: `${new Date(schedule.at).toISOString()} is over; it is ${new Date(this.#deps.clock.now()).toISOString()} now` });
  }

  async #patch(job: Job, spec: JobSpec, state: JobState, why: string | null): Promise<Job> {
    const same = JSON.stringify(spec.schedule) === JSON.stringify(job.spec.schedule) && job.state === "active" && state === "active";
    const fresh = this.#beginning(spec, job.lastFor);
    const kept = same && job.nextFor !== null ? this.#calendar.moment(spec, job.nextFor) : fresh.next;
    const patched = await this.#deps.store.patchJob({ id: job.id, spec, state, why, next: state === "active" ? kept : null, fingerprint: same ? job.fingerprint : fresh.fingerprint });
    if (patched === null) throw new Fault("JOB_NOT_FOUND", { job: job.id });
    if (state === "active") this.#watchFor(spec);
    this.kick();
    return patched;
  }

  #watchFor({ schedule }: JobSpec): void {
    if (schedule.kind === "file") this.#watchesFiles = true;
    if (schedule.kind === "task") this.#watchesTasks = true;
  }

  async remove(idOrName: string): Promise<Job> {
    const job = await this.get(idOrName);
    if (job.origin === "config") throw new Fault("JOB_FROM_CONFIG", { job: job.id });
    await this.#deps.store.removeJob(job.id);
    this.#deps.kick();
    return job;
  }

  async run(idOrName: string): Promise<Run> {
    const job = await this.get(idOrName);
    const planned = this.#plan(job, true);
    const plan: RunPlan = planned.kind === "done" ? { kind: "skip", reason: planned.why } : planned;
    const firing = this.#deps.store.fireJob({ jobId: job.id, expected: null, passed: [], run: { scheduledFor: this.#deps.clock.now(), source: "manual", plan, queue: false }, next: null, rules: this.#rules() });
    this.#deps.kick();
    const run = await firing;
    if (run === null) throw new Fault("JOB_NOT_FOUND", { job: idOrName });
    this.#fired(run);
    return run;
  }

  async get(idOrName: string): Promise<Job> {
    const job = await this.#deps.store.job(idOrName);
    if (job === null) throw new Fault("JOB_NOT_FOUND", { job: idOrName });
    return job;
  }

  list(query: { states?: readonly JobState[]; after?: string; limit: number }) {
    return this.#deps.store.jobs(query);
  }

  async runs(idOrName: string, query: { after?: number; limit: number }) {
    const { id } = await this.get(idOrName);
    return this.#deps.store.jobRuns({ id, ...query });
  }

  async calendar({ hours, limit }: { hours: number; limit: number }): Promise<readonly CalendarLine[]> {
    const now = this.#deps.clock.now();
    let until = now + hours * 3_600_000;
    let lines: CalendarLine[] = [];
    const soonest = (): CalendarLine[] => lines.sort((a, b) => a.at - b.at || (a.name < b.name ? -1 : 1)).slice(0, limit);
    for await (const { id, spec, nextFor } of this.#active()) {
      let own = 0;
      for (let at = nextFor; at !== null && at <= until && own < limit; at = this.#calendar.next(spec.schedule, at, nextFor!), own++) lines.push({ jobId: id, name: spec.name, at });
      if (lines.length <= 2 * limit) continue;
      // What lies behind as many lines as are asked for will not be among them: ten thousand busy jobs are no more work than few.
      lines = soonest();
      until = lines.at(-1)!.at;
    }
    return soonest();
  }

  async *#active(): AsyncGenerator<Job> {
    for (let after: string | null = ""; after !== null; ) {
      const page: { jobs: readonly Job[]; next: string | null } = await this.#deps.store.jobs({ states: ["active"], after, limit: PAGE });
      yield* page.jobs;
      after = page.next;
    }
  }

  // ── jobs of the configuration ─────────────────────────────────────────────────────────────

  /** One after the other, so that two changes do not make a job twice. */
  #syncSoon(): void {
    this.#synced = this.#synced.then(() => this.#syncConfig()).then(() => this.kick());
  }

  async #syncConfig(): Promise<void> {
    const { store, settings, log } = this.#deps;
    try {
      const wanted = new Map(settings.get(jobsList).map((one) => [String((one as JsonObject)["name"]), one as JsonObject]));
      const found = await store.configJobs();
      const known = new Map(found.map((job) => [job.spec.name, job]));
      await Promise.all(found.filter((job) => !wanted.has(job.spec.name)).map((job) => store.removeJob(job.id)));
      // All at once, so that they share a commit.
      await Promise.all(
        [...wanted].map(async ([name, one]) => {
          const job = known.get(name);
          try {
            const spec = this.#read(one, name, undefined, job);
            if (job === undefined) await this.#put(spec, "config", one["enabled"] === false ? "paused" : "active");
            else if (JSON.stringify(spec) !== JSON.stringify(job.spec)) await this.#patch(job, spec, job.state === "done" ? "active" : job.state, job.why);
          } catch (thrown) {
            log.error("jobs.list-refused", { name, problem: asFault(thrown).message });
          }
        }),
      );
    } catch (cause) {
      log.error("jobs.list-not-read", { cause });
    }
  }

  /** @throws {Fault} BAD_REQUEST, AGENT_NOT_FOUND. */
  #read(job: unknown, fallbackName: string, agent?: string, before?: Job): JobSpec {
    const { settings, clock } = this.#deps;
    const spec = readJob(job, {
      calendar: this.#calendar,
      // A job of the list keeps its zone when the machine moves; it changes with the setting only.
      timezone: settings.get(jobsTimezone) || (before?.spec.schedule.kind === "cron" ? before.spec.schedule.tz : Intl.DateTimeFormat().resolvedOptions().timeZone),
      graceMs: settings.get(jobsGraceSeconds) * 1000,
      staggerMs: settings.get(jobsStaggerSeconds) * 1000,
      now: clock.now(),
      fallbackName,
      ...(agent === undefined ? {} : { agent }),
    });
    const agents = settings.get(agentsList);
    if (findAgent(agents, spec.agent) === null) throw new Fault("AGENT_NOT_FOUND", { agent: spec.agent, known: agentIds(agents).join(", ") });
    return spec;
  }
}

export interface WrittenJob extends Omit<JobSpec, "schedule" | "payload" | "target" | "activeHours"> {
  readonly schedule: { readonly kind: JobSpec["schedule"]["kind"] };
  readonly payload: { readonly kind: JobSpec["payload"]["kind"] };
  readonly target: string | { readonly session: string } | { readonly label: string };
  readonly activeHours: { readonly from: string; readonly to: string; readonly tz: string } | null;
}

/** A job in the words that `readJob` reads. */
export function written(spec: JobSpec): WrittenJob {
  const { target, payload, schedule, activeHours } = spec;
  const bare = <T extends object>(value: T) => Object.fromEntries(Object.entries(value).filter(([, each]) => each !== null)) as { readonly kind: T extends { kind: infer Kind } ? Kind : never };
  return {
    ...spec,
    schedule: bare(schedule),
    payload: bare(payload),
    target: target.kind === "session" ? { session: target.session } : target.kind === "label" ? { label: target.label } : target.kind,
    activeHours: activeHours === null ? null : { from: timeOfDay(activeHours.from), to: timeOfDay(activeHours.to), tz: activeHours.tz },
  };
}

function timeOfDay(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}
