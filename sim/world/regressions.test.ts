/** What simulated worlds found, each as a short story of its own, with the seed that met it first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../src/base/clock.ts";
import { seededRandom } from "../../src/base/ids.ts";
import { SetClock } from "../../src/base/set-clock.test-support.ts";
import { modelStepKey } from "../../src/model/transcript.ts";
import { ATTEMPTS_WITHOUT_PROGRESS_MAX } from "../../src/model/turn.ts";
import { fault, MAIN, refOf, StoreBench } from "../../src/store/store-bench.test-support.ts";
import { runBatch } from "../../src/store/sqlite/batch.ts";
import { openInMemory } from "../../src/store/sqlite/bench.test-support.ts";
import { Kernel } from "../../src/store/sqlite/kernel.ts";
import { Disk } from "./faulty-disk.ts";
import { Tables } from "./tables.ts";

/** How long results are gathered when nothing else is set. */
const GATHER_MS = 1_000;

function setup(): StoreBench {
  return new StoreBench(openInMemory());
}

async function assertSound(bench: StoreBench): Promise<void> {
  assert.deepEqual(await bench.store.checkIntegrity(), []);
}

test("a batch that is on disk although its commit reported a failure is answered as saved, so its turns run and readers hear of it (seed 2)", () => {
  const clock = new ManualClock();
  const tables = new Tables();
  const disk = new Disk(tables);
  const kernel = new Kernel(disk.connect(null), clock, seededRandom(1));
  const message = { session: MAIN, text: "hello", provenance: "user", channel: "api", sourceId: "s1", author: null, replyTo: null, queueMode: null };
  const accept = { id: 1, verb: "acceptMessage" as const, input: { message, rules: { waitMs: 0, defaultMode: "auto", meanTurnMs: 1, independence: "rules" } } };

  disk.prepare({ at: "commit", error: "full" });
  const refused = runBatch(kernel, [accept], "the disk");
  disk.prepare({ at: "after-commit", error: "io" });
  const saved = runBatch(kernel, [accept], "the disk");
  tables.close();

  assert.ok("fault" in refused.answers[0]!);
  assert.deepEqual(refused.events, []);
  assert.ok("value" in saved.answers[0]!);
  assert.deepEqual(saved.events.map(({ type }) => type), ["session.created", "message.accepted"]);
});

test("a session whose removal is on disk although its commit reported a failure is removed for all, so its turn stops and the job that waits for it goes on (seed 80404)", () => {
  const clock = new ManualClock();
  const tables = new Tables();
  const disk = new Disk(tables);
  const kernel = new Kernel(disk.connect(null), clock, seededRandom(1));
  const message = { session: MAIN, text: "hello", provenance: "user", channel: "api", sourceId: "s1", author: null, replyTo: null, queueMode: null };
  runBatch(kernel, [{ id: 1, verb: "acceptMessage" as const, input: { message, rules: { waitMs: 0, defaultMode: "auto", meanTurnMs: 1, independence: "rules" } } }, { id: 2, verb: "claimTurns" as const, input: { turnsMax: 10, meanTurnMs: { main: 1, side: 1, subagent: 1, acp: 1, timer: 1 } } }], "the disk");
  const remove = { id: 3, verb: "deleteSession" as const, input: { key: MAIN, by: "ann" } };

  disk.prepare({ at: "commit", error: "io" });
  const refused = runBatch(kernel, [remove], "the disk");
  disk.prepare({ at: "after-commit", error: "io" });
  const saved = runBatch(kernel, [remove], "the disk");
  tables.close();

  assert.ok("fault" in refused.answers[0]!);
  assert.deepEqual([refused.events, refused.stopped], [[], []]);
  assert.ok("value" in saved.answers[0]!);
  assert.ok(saved.events.some(({ type }) => type === "turn.ended"));
  assert.equal(saved.stopped.length, 1);
});

test("an intent that was written by a try that was told it had failed can be written again, so a turn does not hang on its own journal", async () => {
  const bench = setup();
  const turn = await bench.begin(MAIN, "hello");
  const intent = { key: modelStepKey(2), kind: "model" as const, name: "m", effect: "pure" as const, input: null };
  assert.equal(await bench.store.journal({ turn: refOf(turn), writes: [{ intent }], events: [] }), true);
  assert.equal(await bench.store.journal({ turn: refOf(turn), writes: [{ intent }], events: [] }), true);
  assert.equal((await bench.crash()).turns[0]!.steps.filter(({ key }) => key === intent.key).length, 1);
});

test("stopping a conversation but not its children keeps the results that a barrier held (seed 44)", async () => {
  const bench = setup();
  const turn = await bench.begin(MAIN, "two things");
  await bench.spawn(turn, "one");
  await bench.spawn(turn, "two");
  const [one] = await bench.started();
  await bench.yielded(turn);
  await bench.done(one!, "result one");
  await bench.store.cancelSession({ key: MAIN, by: "ann", tree: false, queue: false });
  assert.equal((await bench.transcript(MAIN)).filter((line) => line.includes("result one")).length, 1);
  await assertSound(bench);
});

test("a rolled back turn takes nothing with it that children found out (seed 25)", async () => {
  const bench = setup();
  const turn = await bench.begin(MAIN, "look it up");
  await bench.spawn(turn, "child");
  const child = await bench.start();
  await bench.done(turn);
  await bench.done(child, "what the child found");
  bench.clock.advance(GATHER_MS);
  await bench.start();
  await bench.accept(MAIN, "forget that", { mode: "rollback" });
  assert.equal((await bench.transcript(MAIN)).filter((line) => line.includes("what the child found")).length, 1);
});

test("a spawn that was on its way when its turn was stopped is refused (seed 25)", async () => {
  const bench = setup();
  const turn = await bench.begin(MAIN, "spawn something");
  await bench.store.cancelSession({ key: MAIN, by: "ann", tree: true, queue: false });
  await assert.rejects(bench.spawn(turn, "too late"), fault("TURN_NOT_FOUND"));
});

test("a child that fails leaves no result held and no message counted that is not there (seeds 309 and 1819)", async () => {
  const bench = setup();
  const top = await bench.begin(MAIN, "go");
  await bench.spawn(top, "child");
  const child = await bench.start();
  await bench.spawn(child, "one");
  await bench.spawn(child, "two");
  const [one] = await bench.started();
  await bench.yielded(child);
  await bench.done(one!, "result one");
  const steered = (await bench.store.tasks({ parent: MAIN, limit: 1 })).tasks[0]!.session;
  await bench.store.steerSession({ session: steered, text: "and?", provenance: "operator", channel: "api" });
  await bench.failed(await bench.start());
  await assertSound(bench);
});

test("nothing overtakes a message whose batch is still open, also when a child's result came in between (seed 792)", async () => {
  const bench = setup();
  const turn = await bench.begin(MAIN, "begin");
  await bench.spawn(turn, "child");
  const child = await bench.start();
  await bench.accept(MAIN, "first", { waitMs: 2000 });
  await bench.done(child, "result");
  await bench.accept(MAIN, "second", { waitMs: 0, mode: "interrupt" });
  const texts: string[] = [];
  for (const { messages } of await bench.drain()) texts.push(...messages.filter(({ provenance }) => provenance === "user").map(({ text }) => text));
  assert.deepEqual(texts, ["first", "second"]);
});

test("a cancelled child's own children take no messages any more, also those that had ended before (seed 455)", async () => {
  const bench = setup();
  const top = await bench.begin(MAIN, "go");
  const child = await bench.spawn(top, "child");
  const childTurn = await bench.start();
  const grandchild = await bench.spawn(childTurn, "grandchild");
  await bench.done(await bench.start(), "done early");
  await bench.store.cancelTask({ task: child.taskId, by: "ann" });
  await assert.rejects(bench.accept(grandchild.session, "still there?"), fault("SPAWN_PARENT_GONE"));
});

test("a child whose deadline is over together with its parent's ends once, so its end stays what it was told as (seed 5184)", async () => {
  const bench = setup();
  const top = await bench.begin(MAIN, "go");
  const child = await bench.spawn(top, "child", { deadlineSeconds: 5 });
  const childTurn = await bench.start();
  const grandchild = await bench.spawn(childTurn, "grandchild", { deadlineSeconds: 5 });
  await bench.start();
  bench.clock.advance(6_000);
  await bench.claim();
  const ends = bench.events.filter(({ type }) => type === "task.ended").map(({ taskId, data }) => [taskId, data["state"]]);
  assert.deepEqual(ends, [
    [grandchild.taskId, "cancelled"],
    [child.taskId, "timed_out"],
  ]);
});

test("a turn that is stopped because its parent's turn is set aside as poison is neither ended again nor run on (seed 4962)", async () => {
  const bench = setup();
  const top = await bench.begin(MAIN, "go");
  await bench.spawn(top, "child");
  const childTurn = await bench.start();
  await bench.done(top);
  bench.clock.advance(1);
  await bench.spawn(childTurn, "grandchild", { delivery: "notify" });
  await bench.start();
  let recovered = await bench.crash();
  for (let crash = 1; crash <= ATTEMPTS_WITHOUT_PROGRESS_MAX; crash++) recovered = await bench.crash();
  assert.deepEqual(recovered.poisoned, [childTurn.turnId]);
  assert.deepEqual(recovered.turns, []);
  const ended = bench.events.filter(({ type }) => type === "turn.ended").map(({ turnId }) => turnId);
  assert.equal(new Set(ended).size, ended.length, "no turn ends twice");
});

test("what is to come moves once along with a clock that was set, also when the commit of that reported a failure and no event could tell that it was saved (seed 116932)", () => {
  const clock = new SetClock();
  const tables = new Tables();
  const disk = new Disk(tables);
  const kernel = new Kernel(disk.connect(null), clock, seededRandom(1));
  const message = { session: MAIN, text: "hello", provenance: "user", channel: "api", sourceId: "s1", author: null, replyTo: null, queueMode: null };
  const batch = (verb: "acceptMessage" | "totals", input: unknown): void => void runBatch(kernel, [{ id: 1, verb, input }], "the disk");
  batch("acceptMessage", { message, rules: { waitMs: 60_000, defaultMode: "auto", meanTurnMs: 1, independence: "rules" } });
  const readyInMs = (): number => Number(kernel.get("SELECT ready_at FROM lane WHERE session = ?", MAIN)!["ready_at"]) - clock.now();
  assert.equal(readyInMs(), 60_000);

  clock.setByMs = 14_400_000;
  disk.prepare({ at: "after-commit", error: "busy" });
  batch("totals", undefined);
  disk.prepare(null);
  batch("totals", undefined);
  assert.equal(readyInMs(), 60_000);
  clock.setByMs = 0;
  disk.prepare({ at: "commit", error: "full" });
  batch("totals", undefined);
  disk.prepare(null);
  batch("totals", undefined);
  assert.equal(readyInMs(), 60_000);
  tables.close();
});
