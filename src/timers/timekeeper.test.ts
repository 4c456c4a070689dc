/** What the timekeeper does with one job, under a clock that is moved by hand. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { ManualClock } from "../base/clock.ts";
import { seededRandom } from "../base/ids.ts";
import { silentLog } from "../base/log.ts";
import type { Setting, Settings } from "../base/setting.ts";
import type { JobSpec } from "../model/job.ts";
import { runBatch, type BatchAnswer, type VerbCall } from "../store/sqlite/batch.ts";
import { openDatabase } from "../store/sqlite/database.ts";
import { Kernel } from "../store/sqlite/kernel.ts";
import { openStoreInProcess } from "../store/sqlite/open-in-process.ts";
import { StoreClient } from "../store/sqlite/store-client.ts";
import { VERB_NAMES } from "../store/sqlite/verbs.ts";
import { MEAN, StoreBench } from "../store/store-bench.test-support.ts";
import type { Store } from "../store/store.ts";
import { Timekeeper } from "./timekeeper.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 1_440 * MINUTE_MS;
const START = Date.UTC(2026, 5, 1, 12);
const settings: Settings = { get: <T>(setting: Setting<T>) => setting.fallback, isSet: () => false, onChange: () => () => {} };

interface House {
  readonly clock: ManualClock;
  readonly store: Store;
  readonly bench: StoreBench;
  readonly keeper: Timekeeper;
  /** Lets time pass, and what it brings. */
  pass(ms: number): Promise<void>;
}

async function setup(t: TestContext): Promise<House> {
  const clock = new ManualClock(START);
  const { store } = openStoreInProcess({ clock, random: seededRandom(1) });
  const bench = new StoreBench({ store, clock, reopen: () => assert.fail() });
  await bench.rules();
  const keeper = new Timekeeper({ store, models: { knownModels: () => [] }, settings, clock, log: silentLog, meanTurnMs: () => MEAN, workspaceOf: () => "/nowhere", kick: () => {} });
  t.after(async () => {
    await keeper.stop();
    await store.close();
  });
  return {
    clock, store, bench, keeper,
    async pass(ms) {
      clock.advance(ms);
      for (let round = 0; round < 5; round++) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

const SPEC: JobSpec = {
  name: "job", agent: "main", schedule: { kind: "cron", expr: "0 13 * * *", tz: "UTC" }, payload: { kind: "agentTurn", message: "go", model: null }, target: { kind: "isolated" },
  misfire: { policy: "latest", graceMs: 60 * MINUTE_MS }, overlap: "skip", staggerMs: 0, activeHours: null, delivery: { mode: "none" },
};

function put(store: Store, spec: Partial<JobSpec>, at: number) {
  return store.putJob({ spec: { ...SPEC, ...spec }, origin: "made", state: "active", next: { nextFor: at, dueAt: at }, fingerprint: null, jobsMax: 10 });
}

test("a job whose next moment cannot be computed any more is switched off, and the person is told why", async (t) => {
  const { store, bench, keeper, pass } = await setup(t);
  await put(store, { schedule: { kind: "cron", expr: "0 13 * *", tz: "UTC" } }, START);
  await put(store, { name: "zone", schedule: { kind: "cron", expr: "0 13 * * *", tz: "Mars/Base" } }, START);
  await put(store, { name: "sound" }, START);
  await keeper.start();
  await pass(0);
  const { jobs } = await store.jobs({ limit: 10 });
  assert.deepEqual(jobs.map((job) => [job.spec.name, job.state]), [["job", "disabled"], ["sound", "active"], ["zone", "disabled"]]);
  const notices = bench.events.filter((event) => event.type === "notice").map((event) => String(event.data["text"]));
  assert.ok(notices.some((text) => text.startsWith("Job job was switched off: ") && text.includes("0 13 * *")), notices.join("\n"));
  assert.ok(notices.some((text) => text.startsWith("Job zone was switched off: ")), notices.join("\n"));
});

test("a job whose next moment passed while nothing ran comes again, and what was missed has its rows", async (t) => {
  const { store, keeper, pass, clock } = await setup(t);
  const job = await put(store, {}, START - 3 * DAY_MS + 60 * MINUTE_MS);
  await keeper.start();
  await pass(0);
  const { runs } = await store.jobRuns({ id: job.id, limit: 10 });
  assert.deepEqual(runs.map((run) => run.state), ["missed", "superseded", "superseded"], "the newest is 23 hours old");
  assert.equal((await store.job("job"))!.nextFor, clock.now() + 60 * MINUTE_MS);
  await pass(60 * MINUTE_MS);
  assert.equal((await store.jobRuns({ id: job.id, limit: 1 })).runs[0]!.state, "running");
});

test("the calendar tells what comes soonest over all jobs, however many moments lie behind", async (t) => {
  const { store, keeper } = await setup(t);
  const steps = [1_000, 7_000, 60_000, 1_000, 3_600_000];
  for (const [n, everyMs] of steps.entries()) await put(store, { name: `job${n}`, schedule: { kind: "every", everyMs } }, START + 500 + n);
  const all = steps.flatMap((everyMs, n) => Array.from({ length: Math.ceil(3_600_000 / everyMs) }, (_none, step) => ({ name: `job${n}`, at: START + 500 + n + step * everyMs })));
  const expected = all.toSorted((a, b) => a.at - b.at).slice(0, 40);
  assert.deepEqual((await keeper.calendar({ hours: 1, limit: 40 })).map(({ name, at }) => ({ name, at })), expected);
});

test("a moment that is caught up outside the job's hours is not run, so nothing trades at night", async (t) => {
  const { store, keeper, pass } = await setup(t);
  const job = await put(store, { misfire: { policy: "latest", graceMs: 10 * DAY_MS }, activeHours: { from: 13 * 60, to: 20 * 60, tz: "UTC" } }, START - DAY_MS + 60 * MINUTE_MS);
  await keeper.start();
  await pass(0);
  const [run] = (await store.jobRuns({ id: job.id, limit: 10 })).runs;
  assert.deepEqual([run!.state, run!.reason], ["skipped", "outside its active hours"]);
});

interface Line {
  readonly keeper: Timekeeper;
  readonly bench: StoreBench;
  readonly store: Store;
  /** What was asked for is done, and not answered yet. */
  batch(): Promise<BatchAnswer>;
  answer(batch: BatchAnswer): void;
  /** Goes on until nothing is asked for any more. */
  quiet<Value>(asked: Promise<Value>): Promise<Value>;
}

/** A keeper whose store answers when the test says so, with a job that queues its runs and is running. */
async function onTheLine(t: TestContext): Promise<Line> {
  const clock = new ManualClock(START);
  const kernel = new Kernel(openDatabase(":memory:"), clock, seededRandom(1));
  const calls: VerbCall[] = [];
  const client = new StoreClient((more) => void calls.push(...more), queueMicrotask);
  const store = client.asStore(VERB_NAMES, async () => kernel.db.close());
  const bench = new StoreBench({ store, clock, reopen: () => assert.fail() });
  /** What was asked for is done, and not answered yet. */
  const batch = async (): Promise<BatchAnswer> => {
    await new Promise((resolve) => setImmediate(resolve));
    return runBatch(kernel, calls.splice(0), "memory");
  };
  const quiet = async <Value>(asked: Promise<Value>): Promise<Value> => {
    for (let round = 0; round < 20; round++) client.answer(await batch());
    return asked;
  };
  await quiet(bench.rules());
  const keeper = new Timekeeper({ store, models: { knownModels: () => [] }, settings, clock, log: silentLog, meanTurnMs: () => MEAN, workspaceOf: () => "/nowhere", kick: () => {} });
  t.after(async () => {
    await quiet(keeper.stop());
    await store.close();
  });
  await quiet(put(store, { overlap: "queue", schedule: { kind: "every", everyMs: DAY_MS } }, START + DAY_MS));
  await quiet(keeper.start());
  await quiet(keeper.run("job"));
  return { keeper, bench, store, batch, answer: (done) => client.answer(done), quiet };
}

test("a run that began while it was told to wait is seen to end, so that those in line behind it come too (seed 27214)", async (t) => {
  const { keeper, bench, store, batch, answer, quiet } = await onTheLine(t);
  const ended = bench.done(await quiet(bench.start()), "first");
  const firstEnd = await batch();
  // The second is fired before the keeper hears of that end, and both are one batch: told to wait, it begins in it.
  const second = keeper.run("job");
  answer(await batch());
  await new Promise((resolve) => setImmediate(resolve));
  answer(firstEnd);
  const started = bench.start();
  answer(await batch());
  // Its end comes in one batch with the question what became of it, and after it.
  const over = bench.done(await started, "second");
  await quiet(Promise.all([ended, second, over]));
  const { runs } = await quiet(store.jobRuns({ id: (await second).jobId, limit: 10 }));
  assert.deepEqual(runs.map(({ state, result, completedAt }) => [state, result, completedAt !== null]), [["ran", "second", true], ["ran", "first", true]]);
});

test("a run whose last child ended in the moment in which its own turn was seen to be over is complete (seed 77565)", async (t) => {
  const { bench, store, batch, answer, quiet } = await onTheLine(t);
  const turn = await quiet(bench.start());
  await quiet(bench.spawn(turn, "digger", { delivery: "notify" }));
  const child = await quiet(bench.start());
  const ended = bench.done(turn, "started it");
  answer(await batch());
  // The keeper asks what became of the run; the child's end is in the same batch, after the answer to that.
  const over = bench.done(child, "dug");
  await quiet(Promise.all([ended, over]));
  const { runs } = await quiet(store.jobRuns({ id: (await quiet(store.job("job")))!.id, limit: 10 }));
  assert.deepEqual(runs.map(({ state, spawned, completedAt }) => [state, spawned, completedAt !== null]), [["ran", 1, true]]);
});
