/**
 * Random histories of a timekeeper: clocks that jump two days either way, a gateway that is down for
 * hours, kills before and after any write. Whatever happens, every moment of a job has one row and at
 * most one message, and every job goes on.
 *
 * `YARD_JOBS_RUNS` sets how many histories (6), `YARD_JOBS_SEED` which. The sabotages at the end
 * break a promise each, to show that the checks would notice.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, type Clock } from "../base/clock.ts";
import { seededRandom, type JobId } from "../base/ids.ts";
import { silentLog } from "../base/log.ts";
import type { Setting, Settings } from "../base/setting.ts";
import { Fault } from "../model/faults.ts";
import type { JobSpec, Misfire } from "../model/job.ts";
import type { StartedTurn } from "../model/turn.ts";
import { openStoreInProcess } from "../store/sqlite/open-in-process.ts";
import type { Kernel } from "../store/sqlite/kernel.ts";
import { MEAN, StoreBench } from "../store/store-bench.test-support.ts";
import type { Store } from "../store/store.ts";
import { Calendar } from "./calendar.ts";
import { Timekeeper } from "./timekeeper.ts";

const RUNS = Number(process.env["YARD_JOBS_RUNS"] ?? 6);
const SEED = Number(process.env["YARD_JOBS_SEED"] ?? 20_261_121);
const STEPS = 25;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Wall time that can be set, over a time that only goes on. */
class JumpClock implements Clock {
  readonly inner = new ManualClock(Date.UTC(2026, 9, 24, 20));
  offset = 0;
  now(): number {
    return this.inner.now() + this.offset;
  }
  monotonic(): number {
    return this.inner.monotonic();
  }
  after(delayMs: number, action: () => void): () => void {
    return this.inner.after(delayMs, action);
  }
}

const settings: Settings = { get: <T>(setting: Setting<T>) => setting.fallback, isSet: () => false, onChange: () => () => {} };

/** A process that can die between any two writes, with the last one done or not. */
class Process {
  readonly keeper: Timekeeper;
  #alive = true;
  #writesLeft = Infinity;
  #lastIsDone = false;

  constructor(store: Store, clock: Clock, sabotage: Sabotage) {
    const never = new Promise<never>(() => {});
    const guarded = new Proxy(store, {
      get: (target, name: keyof Store) => {
        if (name === "onEvents") return (listener: (events: never) => void) => target.onEvents((events) => this.#alive && listener(events as never));
        return (...args: unknown[]) => {
          if (!this.#alive) return never;
          if (this.#writesLeft-- <= 0) {
            this.#alive = false;
            if (this.#lastIsDone) void call(target, name, args).catch(() => {});
            return never;
          }
          return call(target, name, args).then((value) => (this.#alive ? value : never));
        };
      },
    });
    const call = (target: Store, name: keyof Store, args: unknown[]): Promise<unknown> => (sabotage.verb?.(name, args) ?? (target[name] as (...given: unknown[]) => Promise<unknown>)(...args)) as Promise<unknown>;
    this.keeper = new Timekeeper({
      store: guarded,
      models: { knownModels: () => [] },
      settings,
      clock: { now: () => clock.now(), monotonic: () => clock.monotonic(), after: (ms, action) => clock.after(ms, () => this.#alive && action()) },
      log: silentLog,
      meanTurnMs: () => MEAN,
      workspaceOf: () => "/nowhere",
      kick: () => {},
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  die({ after, lastIsDone }: { after: number; lastIsDone: boolean }): void {
    this.#writesLeft = after;
    this.#lastIsDone = lastIsDone;
  }

  kill(): void {
    this.#alive = false;
  }
}

interface Sabotage {
  readonly name: string;
  readonly verb?: (name: string, args: unknown[]) => Promise<unknown> | undefined;
  readonly prepare?: (kernel: Kernel) => void;
  /** After each start of a process. */
  readonly started?: (store: Store, clock: Clock, kernel: Kernel) => Promise<void>;
}

class History {
  readonly clock = new JumpClock();
  readonly store: Store;
  readonly kernel: Kernel;
  readonly #bench: StoreBench;
  readonly #below: (max: number) => number;
  readonly #sabotage: Sabotage;
  readonly #running: StartedTurn[] = [];
  #process: Process;
  /** The furthest that the wall clock was while a process could see it. */
  #furthest = 0;
  readonly #jobs: { id: JobId; spec: JobSpec; madeAt: number }[] = [];

  constructor(seed: number, sabotage: Sabotage) {
    const random = seededRandom(seed * 7919 + 13);
    this.#below = (max) => (random(4).reduce((sum, byte) => sum * 256 + byte, 0) >>> 0) % max;
    const opened = openStoreInProcess({ clock: this.clock, random: seededRandom(seed + 1) });
    this.store = opened.store;
    this.kernel = opened.kernel;
    this.#sabotage = sabotage;
    sabotage.prepare?.(this.kernel);
    this.#bench = new StoreBench({ store: opened.store, clock: this.clock.inner, reopen: () => assert.fail() });
    this.#process = new Process(this.store, this.clock, sabotage);
  }

  async live(): Promise<void> {
    await this.#bench.rules();
    await this.#start();
    await this.#makeJobs();
    for (let step = 0; step < STEPS; step++) await this.#step();
    await this.#rest();
  }

  async #makeJobs(): Promise<void> {
    const misfires: readonly Misfire[] = [{ policy: "skip" }, { policy: "latest", graceMs: HOUR_MS }, { policy: "latest", graceMs: 10 * DAY_MS }, { policy: "all", max: 3 }];
    const crons = ["*/7 * * * *", "30 2 * * *", "0 * * * *", "15,45 1-3 * * *"];
    const zones = ["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "UTC"];
    for (let n = 0; n < 5; n++) {
      const schedule = n === 0 ? { kind: "every", everyMs: 10 * MINUTE_MS } : n === 1 ? { kind: "at", at: this.clock.now() + this.#below(30) * HOUR_MS + 1 } : { kind: "cron", expr: crons[this.#below(4)]!, tz: zones[this.#below(4)]! };
      const job = await this.#process.keeper.add({
        name: `job${n}`, schedule, payload: { kind: "agentTurn", message: "go" }, target: ["isolated", "job", "main"][this.#below(3)]!,
        misfire: { ...misfires[this.#below(4)]! }, overlap: ["skip", "queue", "cancel"][this.#below(3)]!, staggerMs: this.#below(2) * 5_000,
      });
      this.#jobs.push({ id: job.id, spec: job.spec, madeAt: this.clock.now() });
    }
  }

  async #step(): Promise<void> {
    switch (this.#below(8)) {
      case 0:
        this.clock.offset += (this.#below(2) === 0 ? 1 : -1) * this.#below(2 * DAY_MS);
        return this.#pass(MINUTE_MS);
      case 1: {
        this.#process.kill();
        await this.#settle();
        this.clock.inner.advance(this.#below(12 * HOUR_MS));
        return this.#start();
      }
      case 2:
      case 3:
        this.#process.die({ after: this.#below(12), lastIsDone: this.#below(2) === 0 });
        await this.#pass(this.#below(2 * HOUR_MS));
        this.#process.kill();
        return this.#start();
      case 4:
        if (this.#process.alive) await this.#process.keeper.run(`job${this.#below(5)}`);
        return this.#pass(MINUTE_MS);
      default:
        return this.#pass(this.#below(2 * HOUR_MS));
    }
  }

  async #start(): Promise<void> {
    this.#process = new Process(this.store, this.clock, this.#sabotage);
    await this.#sabotage.started?.(this.store, this.clock, this.kernel);
    await this.#process.keeper.start();
    await this.#settle();
    this.#see();
  }

  /** Time goes on, and turns run and end, some of them badly. */
  async #pass(ms: number): Promise<void> {
    const until = this.clock.inner.now() + ms;
    for (;;) {
      const next = this.clock.inner.nextAt();
      const at = next === undefined || next > until ? until : next;
      this.clock.inner.advance(at - this.clock.inner.now());
      await this.#settle();
      this.#see();
      if (this.#below(3) === 0) await this.#work();
      if (at === until) return;
    }
  }

  #see(): void {
    if (this.#process.alive) this.#furthest = Math.max(this.#furthest, this.clock.now());
  }

  async #work(): Promise<void> {
    this.#running.push(...(await this.#bench.claim()).started);
    for (const turn of this.#running.splice(0, this.#below(4))) {
      if (this.#below(6) === 0) await this.#bench.failed(turn, new Fault(this.#below(2) === 0 ? "TURN_STALLED" : "PROVIDER_UNREACHABLE", { seconds: 1, provider: "p", problem: "x" } as never).toRecord());
      else await this.#bench.done(turn);
    }
    await this.#settle();
  }

  async #settle(): Promise<void> {
    for (let round = 0; round < 3; round++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Everything is let come to its end. */
  async #rest(): Promise<void> {
    if (!this.#process.alive) await this.#start();
    const steps = (): number => this.kernel.count("SELECT count(*) FROM occurrence WHERE job_id = ?", this.#jobs[0]!.id);
    const before = steps();
    await this.#pass(21 * MINUTE_MS);
    if ((await this.store.job("job0"))!.state === "active") assert.ok(steps() > before, "a job of equal steps goes on, wherever the clock was set");
    // The clock is put right, so that every moment that was ever shown has its row.
    this.clock.offset = Math.max(this.clock.offset, this.#furthest - this.clock.inner.now());
    await this.#pass(21 * MINUTE_MS);
    for (let left = 0; left < 60; left++) await this.#work();
  }

  /** What must hold, as a list of what does not. */
  async problems(): Promise<string[]> {
    const problems = [...(await this.store.checkIntegrity())];
    const calendar = new Calendar();
    for (const { id, spec, madeAt } of this.#jobs) {
      const rows = this.kernel.all("SELECT scheduled_for, until FROM occurrence WHERE job_id = ? AND source IS NULL ORDER BY scheduled_for", id);
      const seen = rows.map((row) => row["scheduled_for"] as number);
      if (new Set(seen).size < seen.length) problems.push(`${spec.name}: a moment has two rows`);
      const job = await this.store.job(id);
      if (spec.schedule.kind === "cron") {
        // A job that was switched off or waits for its next moment has rows up to there.
        const until = Math.min(this.#furthest - 60_000, (job!.nextFor ?? 0) - 1);
        const stretches = rows.filter((row) => row["until"] > row["scheduled_for"]);
        for (let at = calendar.next(spec.schedule, madeAt, 0); at !== null && at <= until; at = calendar.next(spec.schedule, at, 0)) {
          const moment = at;
          if (!seen.includes(moment) && !stretches.some((row) => row["scheduled_for"] <= moment && moment <= row["until"])) problems.push(`${spec.name}: ${new Date(moment).toISOString()} has no row`);
        }
        for (const at of seen) if (calendar.next(spec.schedule, at - 1, 0) !== at) problems.push(`${spec.name}: ${new Date(at).toISOString()} is no moment of it`);
      }
      if (spec.schedule.kind === "at" && job!.state === "done" && seen.length !== 1) problems.push(`${spec.name}: its one moment has ${seen.length} rows`);
    }
    const twice = this.kernel.count("SELECT count(*) - count(DISTINCT source_id) FROM message WHERE channel = 'job'");
    if (twice > 0) problems.push("an attempt became two messages");
    const orphans = this.kernel.count("SELECT count(*) FROM message WHERE channel = 'job' AND substr(source_id, 1, instr(source_id, '.') - 1) NOT IN (SELECT id FROM occurrence)");
    if (orphans > 0) problems.push("a message of a job has no row");
    return problems;
  }
}

async function problemsOf(seed: number, sabotage: Sabotage = { name: "none" }): Promise<string[]> {
  const history = new History(seed, sabotage);
  try {
    await history.live();
    return await history.problems();
  } finally {
    await history.store.close();
  }
}

test("whatever clocks and kills do, no moment of a job is run twice and none is without its row", async () => {
  for (let run = 0; run < RUNS; run++) assert.deepEqual(await problemsOf(SEED + run), [], `seed ${SEED + run}`);
});

const SABOTAGES: readonly Sabotage[] = [
  {
    name: "moments that passed are not written",
    verb: (name, args) => {
      if (name === "fireJob") Object.assign(args[0] as object, { passed: [] });
      return undefined;
    },
  },
  {
    name: "a start begins all jobs anew, and nobody looks whether a moment has its row",
    prepare: (kernel) => {
      kernel.db.exec("DROP INDEX occurrence_moment; DROP INDEX occurrence_open; CREATE INDEX occurrence_open ON occurrence (job_id) WHERE completed_at IS NULL");
      const get = kernel.get.bind(kernel);
      kernel.get = (sql, ...values) => (sql === "SELECT 1 FROM occurrence WHERE job_id = ? AND scheduled_for = ?" ? undefined : get(sql, ...values));
    },
    started: async (store, clock, kernel) => {
      const calendar = new Calendar();
      for (const job of (await store.jobs({ states: ["active"], limit: 100 })).jobs) {
        if (job.spec.schedule.kind !== "cron") continue;
        const at = calendar.next(job.spec.schedule, clock.now() - HOUR_MS, 0)!;
        kernel.run("UPDATE OR IGNORE job SET next_for = ?, due_at = ? WHERE id = ?", Math.max(at, (job.lastFor ?? 0) - HOUR_MS), at, job.id);
      }
    },
  },
  { name: "a clock that was set back leaves equal steps waiting", verb: (name) => (name === "unstallJobs" ? Promise.resolve(0) : undefined) },
];

for (const sabotage of SABOTAGES) {
  test(`the checks notice when ${sabotage.name}`, async () => {
    for (let seed = SEED; seed < SEED + 30; seed++) {
      const problems = await problemsOf(seed, sabotage).catch((cause: unknown) => [String(cause)]);
      if (problems.length > 0) return;
    }
    assert.fail("nobody noticed");
  });
}
