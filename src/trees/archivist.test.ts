/** What the sweep of sessions puts away, and when. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "../base/log.ts";
import type { Setting, Settings } from "../base/setting.ts";
import { openInMemory } from "../store/sqlite/bench.test-support.ts";
import { ANN, MAIN, StoreBench } from "../store/store-bench.test-support.ts";
import { archiveTask } from "./archivist.ts";
import { archiveAfterMinutes, archiveUnusedDays } from "./settings.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

interface Sweeping {
  readonly bench: StoreBench;
  /** Moves the clock in steps, with a sweep at each. @returns what each that found something said. */
  pass(ms: number, stepMs?: number): Promise<readonly string[]>;
}

function sweeping(values: ReadonlyMap<Setting<number>, number>): Sweeping {
  const bench = new StoreBench(openInMemory());
  const settings = { get: <T>(setting: Setting<T>): T => (values.get(setting as never) ?? setting.fallback) as T } as Settings;
  const task = archiveTask({ store: bench.store, settings, clock: bench.clock, log: silentLog });
  return {
    bench,
    async pass(ms, stepMs = MINUTE_MS) {
      const said: string[] = [];
      for (let gone = 0; gone < ms; gone += stepMs) {
        bench.clock.advance(stepMs);
        const did = await task.run(new AbortController().signal);
        if (did !== null) said.push(did);
      }
      return said;
    },
  };
}

async function listed(bench: StoreBench, archived: boolean): Promise<readonly string[]> {
  return (await bench.store.sessions({ archived, limit: 100 })).rows.map(({ key }) => key);
}

test("sessions of ended children are put away after their time, those that were to be deleted are gone, and the tasks of both stay with their results", async () => {
  const { bench, pass } = sweeping(new Map([[archiveAfterMinutes, 3]]));
  const kept = await bench.spawn(null, "kept 2026-11-29");
  const gone = await bench.spawn(null, "gone", { cleanup: "delete" });
  for (const turn of await bench.started()) await bench.done(turn, "found");
  const working = await bench.spawn(null, "working");
  await bench.start();
  assert.deepEqual(await pass(2 * MINUTE_MS), ["0 sessions archived, 1 removed"]);
  assert.deepEqual([await listed(bench, true), (await listed(bench, false)).toSorted()], [[], [kept.session, working.session].toSorted()]);
  assert.deepEqual(await pass(3 * MINUTE_MS), ["1 sessions archived, 0 removed"]);
  assert.deepEqual([await listed(bench, true), await listed(bench, false)], [[kept.session], [working.session]]);
  for (const { taskId } of [kept, gone]) assert.equal((await bench.store.task(taskId))!.result, "found");
});

test("a conversation that nobody used for its days is put away, the next message brings it back, and the main session stays", async () => {
  const { bench, pass } = sweeping(new Map([[archiveUnusedDays, 2]]));
  for (const session of [ANN, MAIN]) await bench.done(await bench.begin(session, "hello"));
  await pass(3 * DAY_MS, DAY_MS);
  assert.deepEqual([await listed(bench, true), await listed(bench, false)], [[ANN], [MAIN]]);
  await bench.accept(ANN, "again");
  await bench.drain();
  assert.deepEqual(await listed(bench, true), []);
});
