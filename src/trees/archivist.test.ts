/** The sweep of sessions under a clock that the test moves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "../base/log.ts";
import type { Setting, Settings } from "../base/setting.ts";
import { openInMemory } from "../store/sqlite/bench.test-support.ts";
import { ANN, MAIN, StoreBench } from "../store/store-bench.test-support.ts";
import { Archivist } from "./archivist.ts";
import { archiveAfterMinutes, archiveUnusedDays } from "./settings.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

function sweeping(values: ReadonlyMap<Setting<number>, number>): StoreBench {
  const bench = new StoreBench(openInMemory());
  const settings = { get: <T>(setting: Setting<T>): T => (values.get(setting as never) ?? setting.fallback) as T } as Settings;
  new Archivist({ store: bench.store, settings, clock: bench.clock, log: silentLog }).start();
  return bench;
}

/** Moves the clock in steps, so that each sweep comes at its minute. */
async function pass(bench: StoreBench, ms: number, stepMs = MINUTE_MS): Promise<void> {
  for (let gone = 0; gone < ms; gone += stepMs) {
    bench.clock.advance(stepMs);
    for (let round = 0; round < 20; round++) await Promise.resolve();
    await bench.store.checkIntegrity();
  }
}

async function listed(bench: StoreBench, archived: boolean): Promise<readonly string[]> {
  return (await bench.store.sessions({ archived, limit: 100 })).rows.map(({ key }) => key);
}

test("sessions of ended children are put away after their time, those that were to be deleted are gone, and the tasks of both stay with their results", async () => {
  const bench = sweeping(new Map([[archiveAfterMinutes, 3]]));
  const kept = await bench.spawn(null, "kept 2026-11-29");
  const gone = await bench.spawn(null, "gone", { cleanup: "delete" });
  for (const turn of await bench.started()) await bench.done(turn, "found");
  const working = await bench.spawn(null, "working");
  await bench.start();
  await pass(bench, 2 * MINUTE_MS);
  assert.deepEqual([await listed(bench, true), (await listed(bench, false)).toSorted()], [[], [kept.session, working.session].toSorted()]);
  await pass(bench, 3 * MINUTE_MS);
  assert.deepEqual([await listed(bench, true), await listed(bench, false)], [[kept.session], [working.session]]);
  for (const { taskId } of [kept, gone]) assert.equal((await bench.store.task(taskId))!.result, "found");
});

test("a conversation that nobody used for its days is put away, the next message brings it back, and the main session stays", async () => {
  const bench = sweeping(new Map([[archiveUnusedDays, 2]]));
  for (const session of [ANN, MAIN]) await bench.done(await bench.begin(session, "hello"));
  await pass(bench, 3 * DAY_MS, DAY_MS);
  assert.deepEqual([await listed(bench, true), await listed(bench, false)], [[ANN], [MAIN]]);
  await bench.accept(ANN, "again");
  await bench.drain();
  assert.deepEqual(await listed(bench, true), []);
});
