/** Built-in jobs under a clock that the test moves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../base/clock.ts";
import type { RunId } from "../base/ids.ts";
import { silentLog } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { UpkeepRun, UpkeepTask } from "../model/upkeep.ts";
import { Upkeep } from "./upkeep.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

function setup(given: Partial<UpkeepTask> & { results?: readonly (string | null | Error)[] } = {}) {
  const clock = new ManualClock();
  const kept: UpkeepRun[] = [];
  const ran: number[] = [];
  const listeners = new Set<() => void>();
  const interval = { ms: MINUTE_MS };
  const { results = [], ...more } = given;
  let ids = 0;
  const task: UpkeepTask = {
    name: "yard:sweep",
    about: "sweeps",
    setting: "sweep.minutes",
    inSafeMode: false,
    everyMs: () => interval.ms,
    async run() {
      ran.push(clock.monotonic());
      const result = results[ran.length - 1] ?? null;
      if (result instanceof Error) throw result;
      return result;
    },
    ...more,
  };
  const upkeep = new Upkeep({
    tasks: [task],
    clock,
    log: silentLog,
    ids: { run: () => `run_${++ids}` as RunId },
    settings: {
      onChange(listener: () => void) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    } as unknown as Settings,
    store: {
      noteUpkeep: async (run) => void kept.push(run),
      upkeepRuns: async ({ task: name, limit }) => ({ runs: kept.filter((run) => run.task === name).toReversed().slice(0, limit), next: null }),
    },
  });
  return {
    clock,
    kept,
    ran,
    upkeep,
    /** Moves on in steps, so that what is due in between comes at its time. */
    async pass(ms: number, stepMs = MINUTE_MS / 2) {
      for (let gone = 0; gone < ms; gone += stepMs) {
        clock.advance(stepMs);
        await settled();
      }
    },
    setInterval(ms: number) {
      interval.ms = ms;
      for (const listener of listeners) listener();
    },
  };
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("a task comes at each interval; what it did is kept, and what found nothing to do is shown and written nowhere", async () => {
  const { upkeep, pass, ran, kept } = setup({ results: [null, "3 swept", null] });
  upkeep.start();
  await pass(3 * MINUTE_MS);
  assert.deepEqual(ran, [1, 2, 3].map((n) => n * MINUTE_MS));
  assert.deepEqual(kept.map(({ result, source }) => [result, source]), [["3 swept", null]]);
  const { state, last, nextAt } = await upkeep.view("yard:sweep");
  assert.deepEqual([state, last!.result, last!.endedAt! + MINUTE_MS], ["active", null, nextAt]);
});

test("it can be run by hand at any time, which is kept in any case, and the next time is one interval later", async () => {
  const { upkeep, pass, ran, kept, clock } = setup();
  upkeep.start();
  await pass(MINUTE_MS / 2);
  const run = await upkeep.run("yard:sweep");
  assert.deepEqual([run.source, run.result, run.endedAt], ["manual", null, clock.now()]);
  assert.deepEqual(kept, [run]);
  await settled();
  await pass(MINUTE_MS);
  assert.deepEqual(ran, [MINUTE_MS / 2, MINUTE_MS * 1.5]);
});

test("a task that is at work is not begun again: who asks gets that run, and after some seconks as it is then", async () => {
  const work = Promise.withResolvers<string>();
  let begun = 0;
  const { upkeep, pass, clock, kept } = setup({ run: () => (begun++, work.promise) });
  upkeep.start();
  await pass(MINUTE_MS);
  const asked = upkeep.run("yard:sweep");
  clock.advance(5_000);
  const { id, endedAt } = await asked;
  assert.deepEqual([begun, endedAt], [1, null]);
  await pass(10 * MINUTE_MS);
  assert.equal(begun, 1);
  work.resolve("long");
  await settled();
  assert.deepEqual(kept.map((run) => [run.id, run.result]), [[id, "long"]]);
});

test("a failure is kept with its words, counted, and the task comes again", async () => {
  const { upkeep, pass, kept, ran } = setup({ results: [new Error("no room"), new Error("no room"), "done"] });
  upkeep.start();
  await pass(2 * MINUTE_MS);
  assert.deepEqual([kept.length, kept[0]!.fault!.code, (await upkeep.view("yard:sweep")).failures], [2, "INTERNAL", 2]);
  await pass(MINUTE_MS);
  assert.deepEqual([ran.length, (await upkeep.view("yard:sweep")).failures], [3, 0]);
});

test("its setting changes its interval at once, and 0 leaves it to people", async () => {
  const { upkeep, pass, ran, setInterval } = setup();
  upkeep.start();
  await pass(MINUTE_MS / 2);
  setInterval(10 * MINUTE_MS);
  await pass(9 * MINUTE_MS);
  assert.deepEqual(ran, []);
  setInterval(0);
  await pass(HOUR_MS);
  const { state, why, nextAt } = await upkeep.view("yard:sweep");
  assert.deepEqual([ran, state, why, nextAt], [[], "disabled", "sweep.minutes is 0", null]);
  await upkeep.run("yard:sweep");
  assert.equal(ran.length, 1);
});

test("what others did in its place puts a task off, and one that is overdue comes soon after the start", async () => {
  let newest: number | null = null;
  const { upkeep, pass, ran, clock, setInterval } = setup({
    firstMs: MINUTE_MS,
    dueAt: async () => (newest === null ? 0 : newest + 24 * HOUR_MS),
  });
  setInterval(24 * HOUR_MS);
  upkeep.start();
  await settled();
  await pass(MINUTE_MS);
  newest = clock.now();
  assert.deepEqual(ran, [MINUTE_MS]);
  await pass(3 * HOUR_MS, 10 * MINUTE_MS);
  newest = clock.now(); // somebody made one by hand
  await pass(23 * HOUR_MS, 10 * MINUTE_MS);
  assert.equal(ran.length, 1);
  await pass(2 * HOUR_MS, 10 * MINUTE_MS);
  assert.ok(ran.length > 1, "and as long as none has appeared it comes again every ten minutes");
});

test("in safe mode only those that may run by themselves; a stop leaves no timer", async () => {
  const { upkeep, pass, ran, clock } = setup();
  upkeep.start({ inSafeMode: true });
  await pass(HOUR_MS);
  assert.deepEqual([ran.length, (await upkeep.view("yard:sweep")).state], [0, "paused"]);
  await upkeep.run("yard:sweep");
  upkeep.stop();
  await settled();
  assert.deepEqual([ran.length, clock.nextAt()], [1, undefined]);
});
