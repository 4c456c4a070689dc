import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Settings } from "../../base/setting.ts";
import { silentLog } from "../../base/log.ts";
import { Keeper, STEP_ROWS_MAX } from "../keeper.ts";
import { fileMegabytes } from "../settings.ts";
import { ANN, BOB, StoreBench } from "../store-bench.test-support.ts";
import type { Keep, SweepPlace } from "../store.ts";
import { openInMemory, openOnDisk } from "./bench.test-support.ts";
import { checkIntegrity } from "./integrity.ts";

const DAY_MS = 86_400_000;

/** One whole pass; the invariants must hold after each step. */
async function pass(bench: StoreBench, keep: Partial<Keep>, rowsMax = 7): Promise<number> {
  let removed = 0;
  let place: SweepPlace | null = null;
  do {
    const swept: Awaited<ReturnType<typeof bench.store.sweep>> = await bench.store.sweep({ keep: { eventsAfter: 0, archivedAfter: 0, resultsAfter: 0, messagesAfter: 0, ...keep }, place, rowsMax });
    removed += swept.removed;
    place = swept.next;
    assert.deepEqual(await bench.store.checkIntegrity(), []);
  } while (place !== null);
  return removed;
}

test("old events go from the front, young ones stay, and a session's numbers go on without a gap", async () => {
  const bench = new StoreBench(openInMemory());
  for (let index = 0; index < 5; index++) await bench.accept(ANN, `old ${index}`, { sourceId: `old-${index}` });
  await bench.drain();
  const { lastSeq } = (await bench.store.session(ANN))!;
  bench.clock.advance(10 * DAY_MS);
  await bench.accept(ANN, "young");
  await bench.accept(BOB, "young");
  await pass(bench, { eventsAfter: bench.clock.now() - DAY_MS });
  const left = await bench.store.events({ session: ANN, after: 0, limit: 100 });
  assert.equal(left[0]!.seq, lastSeq + 1);
  assert.equal(await bench.store.forgottenEvents(ANN), lastSeq);
  assert.equal(await bench.store.forgottenEvents(BOB), 0);
  assert.ok((await bench.store.forgottenEvents(null)) < left[0]!.cursor);
  await bench.drain();
  const all = await bench.store.events({ session: ANN, after: lastSeq, limit: 100 });
  assert.deepEqual(all.map(({ seq }) => seq), all.map((_event, index) => lastSeq + 1 + index));
  assert.equal((await bench.store.history({ key: ANN, limit: 100 }))!.entries.some(({ content }) => content.role === "user" && content.text === "old 0"), true, "the conversation itself is untouched");
});

test("a message is known by its id at its source until its time is over, whatever else was removed", async () => {
  const bench = new StoreBench(openInMemory());
  await bench.accept(ANN, "one", { sourceId: "telegram-1" });
  await bench.drain();
  bench.clock.advance(29 * DAY_MS);
  await pass(bench, { eventsAfter: bench.clock.now(), messagesAfter: bench.clock.now() - 30 * DAY_MS });
  assert.equal((await bench.accept(ANN, "one", { sourceId: "telegram-1" })).duplicate, true);
  bench.clock.advance(2 * DAY_MS);
  await pass(bench, { messagesAfter: bench.clock.now() - 30 * DAY_MS });
  assert.equal((await bench.accept(ANN, "one", { sourceId: "telegram-1" })).duplicate, false);
});

test("what waits or runs stays, however old it is", async () => {
  const bench = new StoreBench(openInMemory());
  const turn = await bench.begin(ANN, "runs");
  await bench.accept(BOB, "waits", { waitMs: 60_000 });
  bench.clock.advance(1_000 * DAY_MS);
  const now = bench.clock.now();
  await pass(bench, { eventsAfter: now, archivedAfter: now, resultsAfter: now, messagesAfter: now });
  assert.equal(await bench.done(turn), true);
  assert.equal((await bench.store.session(BOB))!.waitingMessages, 1);
});

test("an archived child goes whole after its time, its result stays until its own time, and its parent's story is complete", async () => {
  const bench = new StoreBench(openInMemory());
  const parent = await bench.begin(ANN, "spawn");
  const task = await bench.spawn(parent, "work");
  await bench.done(parent);
  await bench.drain();
  bench.clock.advance(DAY_MS);
  await bench.store.archiveIdle({ childrenEndedBefore: bench.clock.now(), unusedSince: null, limit: 10 });
  bench.clock.advance(100 * DAY_MS);
  await pass(bench, { archivedAfter: bench.clock.now() - 90 * DAY_MS });
  assert.equal(await bench.store.session(task.session), null);
  assert.equal((await bench.store.task(task.taskId))!.state, "succeeded");
  await pass(bench, { resultsAfter: bench.clock.now() });
  assert.equal(await bench.store.task(task.taskId), null);
  assert.equal(await bench.store.flow(task.flowId), null);
  assert.ok((await bench.store.history({ key: ANN, limit: 100 }))!.entries.length > 2);
});

test("under load for a long time the file stays bounded, and no step takes long", async (t) => {
  const { bench, kernel, keeper } = withKeeper(t, 16);
  const steps: number[] = [];
  const sizes: number[] = [];
  for (let day = 0; day < 10; day++) {
    for (let index = 0; index < 40; index++) {
      await bench.accept(ANN, "x".repeat(300), { sourceId: `${day}-${index}` });
      await bench.store.notice({ session: ANN, text: "y".repeat(60_000), level: "info", code: null, entry: false });
      await bench.drain();
      bench.clock.advance(DAY_MS / 40);
    }
    await keeper(steps);
    sizes.push(kernel.count("PRAGMA page_count") * kernel.count("PRAGMA page_size"));
  }
  steps.sort((a, b) => a - b);
  t.diagnostic(`file ${sizes.map((size) => `${(size / 1048576).toFixed(1)}`).join(" ")} MiB by day; ${steps.length} steps, median ${steps[steps.length >> 1]!.toFixed(2)} ms, p99 ${steps[Math.floor(steps.length * 0.99)]!.toFixed(2)} ms`);
  const mebibytes = sizes.map((size) => size / 1048576);
  assert.ok(mebibytes[3]! > 8 && Math.max(...mebibytes) < 16 * 1.4 && mebibytes.at(-1)! <= Math.max(...mebibytes.slice(0, -2)), "what is removed makes room for what comes");
  assert.ok(steps[steps.length >> 1]! < 5);
  assert.deepEqual(checkIntegrity(kernel), []);
});

/** A keeper under the hand-driven clock, with the bound on the file's size; it measures each step. */
function withKeeper(t: TestContext, megabytes: number) {
  const opened = openOnDisk(t);
  const bench = new StoreBench(opened);
  const settings: Settings = { get: (setting) => (setting.key === fileMegabytes.key ? megabytes : setting.fallback) as typeof setting.fallback, isSet: () => false, onChange: () => () => {} };
  const look = async (steps: number[]): Promise<void> => {
    const keeper = new Keeper({
      settings,
      clock: bench.clock,
      log: silentLog,
      files: { backups: async () => [], backup: async () => ({ name: "", at: 0, bytes: 0 }) },
      store: {
        async sweep(step) {
          assert.equal(step.rowsMax, STEP_ROWS_MAX);
          const startedAt = performance.now();
          const swept = await bench.store.sweep(step);
          steps.push(performance.now() - startedAt);
          return swept;
        },
      },
    });
    let isOver = false;
    const looked = keeper.retain(new AbortController().signal).then(() => (isOver = true));
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      bench.clock.advance(25);
    }
    await looked;
  };
  return { bench, kernel: opened.kernel, keeper: look };
}
