/** What every store must do for trees: attempts, progress, claims, circuits, handing up, order. Part of the contract, in a file of its own. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Fault } from "../model/faults.ts";
import { QUIET_LOOK_MS, type Supervision } from "../model/supervision.ts";
import { hasEnded } from "../model/task.ts";
import type { StartedTurn } from "../model/turn.ts";
import { ANN, answered, BOB, calling, fault, refOf, resulted, StoreBench, taskOf, type OpenedStore } from "./store-bench.test-support.ts";

const WATCHED: Supervision = { progressSeconds: null, attempts: 1, backoffSeconds: 0, retryModel: null, category: null, circuitFailures: 2, circuitOpenSeconds: 60, onEnd: "wait", onConflict: "wait" };
const PLACE = { workspace: "/w" };

export function treesContract(name: string, open: (t: TestContext) => Promise<OpenedStore>): void {
  function promise(text: string, story: (bench: StoreBench) => Promise<void>): void {
    test(`${name}: ${text}`, async (t) => {
      const bench = new StoreBench(await open(t));
      await bench.rules();
      await story(bench);
      assert.deepEqual(await bench.store.checkIntegrity(), []);
    });
  }
  const named = (turns: readonly StartedTurn[]): readonly (string | null)[] => turns.map(({ sessionInfo }) => sessionInfo.label);

  // ── attempts ──────────────────────────────────────────────────────────────────────────────

  promise("a child that fails is tried again under its own id until its policy is used up, and its parent hears of it once", async (bench) => {
    const parent = await bench.begin(ANN, "go");
    const child = await bench.spawn(parent, "c", { supervision: { ...WATCHED, attempts: 3, backoffSeconds: 2, retryModel: "sim/two" } });
    await bench.done(parent);
    for (const [backoffMs, model] of [[0, null], [2_000, "sim/two"], [4_000, "sim/two"]] as const) {
      if (backoffMs > 0) assert.deepEqual(await bench.started(), [], "not before its back-off is over");
      bench.clock.advance(backoffMs);
      const turn = await bench.start();
      assert.deepEqual([turn.session, turn.sessionInfo.model], [child.session, model]);
      await bench.failed(turn);
    }
    const ended = (await bench.store.task(child.taskId))!;
    assert.deepEqual([ended.state, ended.fault?.code, ended.attempt, ended.attemptLast], ["failed", "TURN_STALLED", 3, 3]);
    assert.deepEqual((await bench.store.attempts(child.taskId)).map(({ attempt, code }) => [attempt, code]), [[1, "TURN_STALLED"], [2, "TURN_STALLED"]]);
    bench.clock.advance(1_000);
    const digest = await bench.start();
    assert.equal(digest.messages.length, 1);
    assert.match(digest.messages[0]!.text, /"c" failed/);
    await bench.done(digest);
  });

  promise("an attempt that is not the last leaves nothing to deliver, so a callback hears of the end alone", async (bench) => {
    const child = await bench.spawn(null, "c", { supervision: { ...WATCHED, attempts: 2 }, delivery: "webhook", callback: "https://example.org/hook" });
    await bench.failed(await bench.start());
    assert.deepEqual((await bench.store.deliveries({ limit: 9 })).deliveries, []);
    await bench.done(await bench.start(), "at last");
    const { claimed } = await bench.store.claimDeliveries({ limit: 9 });
    assert.deepEqual(claimed.map(taskOf).map((task) => [task.taskId, task.attempt, task.result]), [[child.taskId, 2, "at last"]]);
  });

  promise("a further attempt knows nothing of the one before, so that what misled it does not mislead it again", async (bench) => {
    const child = await bench.spawn(null, "c", { supervision: { ...WATCHED, attempts: 2 } });
    const first = await bench.start();
    await bench.store.journal({ turn: refOf(first), writes: [answered(1, [{ type: "text", text: "a wrong track" }])], events: [] });
    await bench.failed(first);
    const second = await bench.start();
    assert.deepEqual(second.messages.map(({ text }) => text), ["do c"]);
    const context = await bench.store.context({ key: child.session, after: 0, upTo: second.sessionInfo.lastEntry });
    assert.deepEqual(context!.entries, []);
    await bench.done(second, "right");
    assert.equal((await bench.store.task(child.taskId))!.result, "right");
  });

  promise("an empty answer is a failed attempt, not a success", async (bench) => {
    const child = await bench.spawn(null, "c", { supervision: { ...WATCHED, attempts: 2 } });
    await bench.done(await bench.start(), " \n");
    assert.equal((await bench.store.task(child.taskId))!.state, "queued");
    await bench.done(await bench.start(), "");
    const ended = (await bench.store.task(child.taskId))!;
    assert.deepEqual([ended.state, ended.fault?.code], ["failed", "CHILD_EMPTY"]);
  });

  promise("an attempt takes its own children with it, so that the next one does not get their results", async (bench) => {
    const child = await bench.spawn(null, "c", { supervision: { ...WATCHED, attempts: 2 } });
    const turn = await bench.start();
    const below = await bench.spawn(turn, "below");
    await bench.failed(turn);
    assert.equal((await bench.store.task(below.taskId))!.state, "cancelled");
    await bench.drain(() => "done");
    assert.equal((await bench.store.task(child.taskId))!.state, "succeeded");
  });

  promise("a child that has another attempt is given up for this one after two crashes, and one without keeps its turn", async (bench) => {
    const tried = await bench.spawn(null, "tried", { supervision: { ...WATCHED, attempts: 2 } });
    const plain = await bench.spawn(null, "plain");
    await bench.started();
    await bench.crash();
    const { turns, poisoned } = await bench.crash();
    assert.deepEqual([named(turns), poisoned.length], [["plain"], 1]);
    assert.equal((await bench.store.attempts(tried.taskId))[0]?.code, "TURN_POISONED");
    for (const turn of turns) await bench.done(turn);
    await bench.drain(() => "done");
    for (const { taskId } of [tried, plain]) assert.equal((await bench.store.task(taskId))!.state, "succeeded");
  });

  promise("a running child can be told to begin again, and keeps its id", async (bench) => {
    const child = await bench.spawn(null, "c");
    const first = await bench.start();
    await assert.rejects(bench.store.retryTask({ task: child.taskId, by: "you" }), fault("TASK_NOT_FINISHED"));
    assert.equal((await bench.store.retryTask({ task: child.taskId, by: "you", restart: true }))!.taskId, child.taskId);
    assert.equal(await bench.done(first), false, "what it was doing changes nothing any more");
    await bench.drain(() => "done");
    const ended = (await bench.store.task(child.taskId))!;
    assert.deepEqual([ended.state, ended.attempt], ["succeeded", 2]);
  });

  promise("a child that works gives signs of life, and its parent's log has one for each half minute of work and none for silence", async (bench) => {
    const parent = await bench.begin(ANN, "go");
    const child = await bench.spawn(parent, "c");
    await bench.done(parent);
    const turn = await bench.start();
    const signs = () => bench.eventsOf(ANN, "task.progress").filter(({ data }) => data["lastStep"] !== undefined);
    const round = (n: number) => bench.store.journal({ turn: refOf(turn), writes: [calling(n, `c${n}`, "look"), resulted(n, `c${n}`, "look", `part ${n}`)], events: [] });
    assert.equal((await bench.store.task(child.taskId))!.aliveAt, null);
    bench.clock.advance(30_000);
    for (let n = 1; n <= 3; n++) await round(n);
    assert.deepEqual(signs().map(({ taskId, data }) => [taskId, data["lastStep"]]), [[child.taskId, "look"]]);
    assert.equal((await bench.store.task(child.taskId))!.aliveAt, bench.clock.now());
    const silentSince = bench.clock.now();
    bench.clock.advance(300_000);
    await bench.claim();
    assert.deepEqual([signs().length, (await bench.store.task(child.taskId))!.aliveAt], [1, silentSince]);
    await round(4);
    assert.equal(signs().length, 2);
    await bench.done(turn);
    assert.equal((await bench.store.task(child.taskId))!.aliveAt, null, "what has ended is not alive");
  });

  promise("a tree is stopped in the reverse order of its spawns, whatever hangs below what", async (bench) => {
    const parent = await bench.begin(ANN, "go");
    await bench.spawn(parent, "a");
    await bench.spawn(parent, "b");
    const [a, b] = await bench.started();
    await bench.spawn(b!, "b1");
    await bench.spawn(a!, "a1");
    const a2 = await bench.spawn(a!, "a2");
    const cancelled = (await bench.store.cancelFlow({ flow: a2.flowId, by: "you" }))!;
    const labels = await Promise.all(cancelled.tasks.map(async (id) => (await bench.store.task(id))!.label));
    assert.deepEqual(labels, ["a2", "a1", "b1", "b", "a"]);
    assert.deepEqual(cancelled.turns.length, 2);
    await bench.done(parent);
    assert.equal((await bench.transcript(ANN)).filter((line) => line.includes("was stopped")).length, 2, "the parent is told of its own two only");
  });

  // ── progress ──────────────────────────────────────────────────────────────────────────────

  promise("a child that brings nothing new in time is over, and one that does goes on; the same result again is nothing new", async (bench) => {
    const child = await bench.spawn(null, "c", { supervision: { ...WATCHED, progressSeconds: 10 } });
    const turn = await bench.start();
    const round = (n: number, text: string) => bench.store.journal({ turn: refOf(turn), writes: [calling(n, `c${n}`, "look"), resulted(n, `c${n}`, "look", text)], events: [] });
    for (let n = 1; n <= 3; n++) {
      bench.clock.advance(9_000);
      await round(n, `part ${n}`);
      await bench.claim();
      assert.equal((await bench.store.task(child.taskId))!.state, "running");
    }
    for (let n = 4; n <= 5; n++) {
      bench.clock.advance(5_000);
      await round(n, "part 3");
      await bench.claim();
    }
    const ended = (await bench.store.task(child.taskId))!;
    assert.deepEqual([ended.state, ended.fault?.code], ["timed_out", "CHILD_STALLED"]);
  });

  promise("a child's watch over progress rests while its turn is parked, so a wall of its provider does not end it as stalled (seed 50001)", async (bench) => {
    const parent = await bench.begin(ANN, "parent");
    const task = await bench.spawn(parent, "child", { supervision: { ...WATCHED, progressSeconds: 10 } });
    const child = (await bench.started()).find((turn) => turn.session === task.session)!;
    bench.clock.advance(4_000);
    await bench.store.parkTurn({ turn: refOf(child), parking: { reason: "wall", model: "p/m", until: 0, ahead: 0 } });
    bench.clock.advance(60_000);
    await bench.claim();
    assert.equal((await bench.store.task(task.taskId))!.state, "running");
    await bench.store.unparkTurn(refOf(child));
    bench.clock.advance(5_999);
    await bench.claim();
    assert.equal((await bench.store.task(task.taskId))!.state, "running");
    bench.clock.advance(2);
    await bench.claim();
    assert.deepEqual([(await bench.store.task(task.taskId))!.state, (await bench.store.task(task.taskId))!.fault?.code], ["timed_out", "CHILD_STALLED"]);
    await bench.done(parent);
    await bench.drain();
  });

  promise("a child's watch over progress rests also when a turn beside the one that waits for its provider began and ended meanwhile (seed 174027)", async (bench) => {
    const task = await bench.spawn(null, "child", { supervision: { ...WATCHED, progressSeconds: 10 } });
    const child = await bench.start();
    bench.clock.advance(4_000);
    await bench.store.parkTurn({ turn: refOf(child), parking: { reason: "wall", model: "p/m", until: 0, ahead: 0 } });
    await bench.accept(task.session as typeof ANN, "beside it", { mode: "background" });
    await bench.done(await bench.start());
    bench.clock.advance(60_000);
    await bench.claim();
    assert.equal((await bench.store.task(task.taskId))!.state, "running");
    await bench.store.unparkTurn(refOf(child));
    bench.clock.advance(5_999);
    await bench.claim();
    assert.equal((await bench.store.task(task.taskId))!.state, "running", "what was left of it is left");
    bench.clock.advance(2);
    await bench.claim();
    assert.equal((await bench.store.task(task.taskId))!.fault?.code, "CHILD_STALLED");
  });

  promise("a child in a long call is asked about before it is over: a changed file is something new, none is not", async (bench) => {
    const parent = await bench.begin(ANN, "go");
    const child = await bench.spawn(parent, "c", { supervision: { ...WATCHED, progressSeconds: 10 } });
    await bench.done(parent);
    const turn = await bench.start();
    const startedAt = bench.clock.now();
    await bench.store.journal({ turn: refOf(turn), writes: [calling(1, "c1", "build")], events: [] });
    bench.clock.advance(10_000);
    const quiet = [{ ...refOf(turn), since: startedAt }];
    assert.deepEqual((await bench.claim()).quiet, quiet);
    const again = await bench.claim();
    assert.deepEqual([again.quiet, again.nextAt! - bench.clock.now()], [[], QUIET_LOOK_MS], "it is named once, and again when nobody answers");
    const changedAt = bench.clock.now() - 1_000;
    await bench.store.judgeQuiet({ turn: refOf(turn), change: { path: "out/a.o", at: changedAt } });
    assert.equal((await bench.claim()).nextAt, changedAt + 10_000);
    assert.deepEqual(bench.eventsOf(ANN, "task.progress").map(({ data }) => data["changedFile"]), ["out/a.o"]);
    bench.clock.advance(9_000);
    assert.deepEqual((await bench.claim()).quiet, [{ ...refOf(turn), since: changedAt }]);
    await bench.store.judgeQuiet({ turn: { ...refOf(turn), epoch: turn.epoch + 1 }, change: null });
    assert.equal((await bench.store.task(child.taskId))!.state, "running", "an answer about another epoch changes nothing");
    await bench.store.judgeQuiet({ turn: refOf(turn), change: null });
    const ended = (await bench.store.task(child.taskId))!;
    assert.deepEqual([ended.state, ended.fault?.code], ["timed_out", "CHILD_STALLED"]);
  });

  promise("a result that comes while a child's files are looked at keeps it going", async (bench) => {
    const child = await bench.spawn(null, "c", { supervision: { ...WATCHED, progressSeconds: 10 } });
    const turn = await bench.start();
    await bench.store.journal({ turn: refOf(turn), writes: [calling(1, "c1", "build")], events: [] });
    bench.clock.advance(10_000);
    assert.equal((await bench.claim()).quiet.length, 1);
    await bench.store.journal({ turn: refOf(turn), writes: [resulted(1, "c1", "build", "built")], events: [] });
    await bench.store.judgeQuiet({ turn: refOf(turn), change: null });
    assert.equal((await bench.claim()).nextAt, bench.clock.now() + 10_000);
    assert.equal((await bench.store.task(child.taskId))!.state, "running");
  });

  promise("a child that waits for its provider when the answer about its files comes is left alone", async (bench) => {
    const child = await bench.spawn(null, "c", { supervision: { ...WATCHED, progressSeconds: 10 } });
    const turn = await bench.start();
    await bench.store.journal({ turn: refOf(turn), writes: [calling(1, "c1", "build")], events: [] });
    bench.clock.advance(10_000);
    assert.equal((await bench.claim()).quiet.length, 1);
    await bench.store.parkTurn({ turn: refOf(turn), parking: { reason: "rate", model: "m/m", until: bench.clock.now() + 60_000, ahead: 0 } });
    await bench.store.judgeQuiet({ turn: refOf(turn), change: null });
    bench.clock.advance(60_000);
    await bench.claim();
    assert.equal((await bench.store.task(child.taskId))!.state, "running");
  });

  promise("a call that is only repeated is not asked about, so turning in circles is no progress whatever it writes", async (bench) => {
    const child = await bench.spawn(null, "c", { supervision: { ...WATCHED, progressSeconds: 10 } });
    const turn = await bench.start();
    const round = (n: number) => bench.store.journal({ turn: refOf(turn), writes: [calling(n, `c${n}`, "look"), resulted(n, `c${n}`, "look", "the same")], events: [] });
    for (const n of [1, 2]) {
      await round(n);
      bench.clock.advance(4_000);
    }
    await bench.store.journal({ turn: refOf(turn), writes: [calling(3, "c3", "look")], events: [] });
    bench.clock.advance(6_000);
    assert.deepEqual((await bench.claim()).quiet, []);
    assert.equal((await bench.store.task(child.taskId))!.fault?.code, "CHILD_STALLED");
  });

  promise("waiting for its own children is not standing still", async (bench) => {
    const child = await bench.spawn(null, "c", { supervision: { ...WATCHED, progressSeconds: 10 } });
    const turn = await bench.start();
    await bench.spawn(turn, "below");
    await bench.yielded(turn);
    const below = await bench.start();
    bench.clock.advance(60_000);
    await bench.claim();
    assert.equal((await bench.store.task(child.taskId))!.state, "waiting");
    await bench.done(below);
    await bench.drain(() => "done");
    assert.equal((await bench.store.task(child.taskId))!.state, "succeeded");
  });

  // ── claims ────────────────────────────────────────────────────────────────────────────────

  promise("a child whose claim overlaps waits for the older one's end, is not overtaken, and says for whom it waits", async (bench) => {
    const first = await bench.spawn(null, "first", { claims: ["src/auth/**"], ...PLACE });
    const second = await bench.spawn(null, "second", { claims: ["src/auth/login.ts"], ...PLACE });
    const third = await bench.spawn(null, "third", { claims: ["src"], ...PLACE });
    await bench.spawn(null, "elsewhere", { claims: ["docs"], ...PLACE });
    await bench.spawn(null, "other folder", { claims: ["src"], workspace: "/v" });
    const running = await bench.started();
    assert.deepEqual(named(running), ["first", "elsewhere", "other folder"]);
    const flow = await bench.store.flow(third.flowId);
    assert.deepEqual(flow!.tasks[0]!.waitsFor, { why: "claims", tasks: [first.taskId, second.taskId], until: null });
    const lanes = await bench.store.lanes({ meanTurnMs: { main: 1, side: 1, subagent: 1, acp: 1, timer: 1 } });
    assert.deepEqual(lanes.lanes.filter(({ why }) => why === "claims").map(({ session }) => session).sort(), [second.session, third.session].sort());
    await bench.done(running[0]!);
    assert.deepEqual(named(await bench.started()), ["second"]);
    await bench.store.cancelTask({ task: second.taskId, by: "you" });
    assert.deepEqual(named(await bench.started()), ["third"], "a stopped child gives its claim back too");
  });

  promise("a refused claim leaves nothing behind", async (bench) => {
    await bench.spawn(null, "first", { claims: ["src"], ...PLACE });
    await assert.rejects(bench.spawn(null, "second", { claims: ["src/a.ts"], ...PLACE, supervision: { ...WATCHED, onConflict: "refuse" } }), fault("CLAIM_TAKEN"));
    assert.equal((await bench.store.tasks({ limit: 10 })).tasks.length, 1);
  });

  promise("a child may claim what its parent claims, and a wait that could never end is refused", async (bench) => {
    const one = await bench.spawn(null, "one", { claims: ["src"], ...PLACE });
    const two = await bench.spawn(null, "two", { claims: ["docs"], ...PLACE });
    const [first, second] = await bench.started();
    const lent = await bench.spawn(first!, "lent", { claims: ["src/a.ts"], ...PLACE });
    const waits = await bench.spawn(first!, "waits for two", { claims: ["docs/a.md"], ...PLACE });
    await assert.rejects(bench.spawn(second!, "would wait for one", { claims: ["src/b.ts"], ...PLACE }), fault("CLAIM_DEADLOCK"));
    await bench.done(first!);
    await bench.done(second!);
    await bench.drain(() => "done");
    for (const { taskId } of [one, two, lent, waits]) assert.equal((await bench.store.task(taskId))!.state, "succeeded");
  });

  promise("what a child may do is bound by all above it", async (bench) => {
    await bench.spawn(null, "one", { claims: ["src"], ...PLACE, agent: "main", cwd: "/w/sub" });
    const turn = await bench.start();
    await bench.spawn(turn, "below", { claims: ["src/a"], ...PLACE, agent: "coder" });
    const below = await bench.start();
    assert.deepEqual(below.sessionInfo.lineage, ["main"]);
    assert.deepEqual(below.sessionInfo.fences, [{ workspace: "/w", claims: ["src"] }, { workspace: "/w", claims: ["src/a"] }]);
    assert.equal(below.sessionInfo.cwd, "/w/sub", "without a folder of its own it works in its parent's");
    await bench.store.cancelTask({ task: (await bench.store.taskOfSession(turn.session))!.taskId, by: "you" });
  });

  // ── the end of an orchestrator ────────────────────────────────────────────────────────────

  promise("an orchestrator that is done before its children ends when they have, with what it says then", async (bench) => {
    const child = await bench.spawn(null, "orchestrator");
    const turn = await bench.start();
    await bench.spawn(turn, "told", {});
    await bench.spawn(turn, "noticed", { delivery: "notify" });
    await bench.done(turn, "I have started two");
    assert.equal((await bench.store.task(child.taskId))!.state, "waiting");
    await bench.drain((one) => (one.session === child.session ? "all of it" : "part"));
    assert.equal((await bench.store.task(child.taskId))!.result, "all of it");
  });

  promise("an orchestrator whose children's results go elsewhere gets the last one all the same, since nothing else would wake it", async (bench) => {
    for (const delivery of ["board", "webhook"] as const) {
      const child = await bench.spawn(null, "orchestrator");
      const turn = await bench.start();
      await bench.spawn(turn, delivery, delivery === "board" ? { delivery } : { delivery, callback: "https://example.org/hook" });
      await bench.done(turn, "I have started one");
      await bench.drain((one) => (one.session === child.session ? "all of it" : "part"));
      assert.equal((await bench.store.task(child.taskId))!.result, "all of it");
    }
  });

  promise("an orchestrator that hands up ends at once, and its parent gets the results once", async (bench) => {
    const parent = await bench.begin(ANN, "go");
    const child = await bench.spawn(parent, "orchestrator", { supervision: { ...WATCHED, onEnd: "handUp" } });
    await bench.done(parent);
    const turn = await bench.start();
    const below = await bench.spawn(turn, "below", { childrenMax: 1 });
    const inLine = await bench.spawn(turn, "in line", { childrenMax: 1 });
    await bench.done(turn, "I have started two");
    assert.deepEqual([(await bench.store.task(child.taskId))!.state, (await bench.store.task(child.taskId))!.result], ["succeeded", "I have started two"]);
    for (const { taskId } of [below, inLine]) assert.equal((await bench.store.task(taskId))!.parentSession, ANN);
    await bench.drain(() => "done");
    const digests = (await bench.store.history({ key: ANN, limit: 100 }))!.entries.filter(({ provenance }) => provenance === "child").map(({ content }) => ("text" in content ? content.text : ""));
    for (const { taskId } of [child, below, inLine]) assert.equal(digests.join("\n").split(`(${taskId})`).length, 2, "once");
  });

  // ── waiting ───────────────────────────────────────────────────────────────────────────────

  promise("a wait for children that cannot finish any more is over at once", async (bench) => {
    const turn = await bench.begin(ANN, "go");
    const children = [await bench.spawn(turn, "a"), await bench.spawn(turn, "b")];
    await bench.yielded(turn, { waitFor: 2, timeoutMs: 3_600_000 });
    await bench.started();
    for (const { taskId } of children) await bench.store.cancelTask({ task: taskId, by: "you" });
    const woken = await bench.start();
    assert.match(woken.messages[0]!.text, /results of 2 background tasks[\s\S]*was cancelled[\s\S]*was cancelled/);
    await bench.done(woken);
  });

  promise("when the time to wait is over the digest has what there is; a person is answered meanwhile", async (bench) => {
    const turn = await bench.begin(ANN, "go");
    await bench.spawn(turn, "quick");
    await bench.spawn(turn, "slow");
    await bench.yielded(turn, { timeoutMs: 60_000 });
    const [quick, slow] = await bench.started();
    await bench.done(quick!, "found");
    const asked = await bench.begin(ANN, "are you there?");
    assert.deepEqual(asked.messages.map(({ text }) => text), ["are you there?"], "the result is held for the wait");
    await bench.done(asked, "yes");
    bench.clock.advance(60_000);
    const woken = await bench.start();
    assert.match(woken.messages[0]!.text, /"quick" succeeded[\s\S]*found[\s\S]*\[still running: "slow"\]/);
    await bench.done(woken);
    await bench.done(slow!);
    await bench.drain();
  });

  // ── circuits ──────────────────────────────────────────────────────────────────────────────

  promise("after failures in a row a kind of task is refused for a while, then one tries for the others", async (bench) => {
    const dig = { supervision: { ...WATCHED, category: "dig" } };
    for (const label of ["one", "two"]) {
      await bench.spawn(null, label, dig);
      await bench.failed(await bench.start());
    }
    await assert.rejects(bench.spawn(null, "three", dig), (thrown) => thrown instanceof Fault && thrown.code === "CIRCUIT_OPEN" && thrown.retryAfterMs === 60_000);
    await bench.spawn(null, "sow", { supervision: { ...WATCHED, category: "sow" } });
    await bench.done(await bench.start());
    bench.clock.advance(60_000);
    await bench.spawn(null, "trial", dig);
    await assert.rejects(bench.spawn(null, "beside the trial", dig), fault("CIRCUIT_OPEN"));
    await bench.done(await bench.start());
    await bench.spawn(null, "four", dig);
    await bench.done(await bench.start());
  });

  promise("a child is not tried again when its failure opens the circuit", async (bench) => {
    const policy = { supervision: { ...WATCHED, category: "dig", attempts: 5 } };
    const child = await bench.spawn(null, "c", policy);
    for (let attempt = 1; !hasEnded((await bench.store.task(child.taskId))!.state); attempt++) await bench.failed(await bench.start());
    assert.deepEqual([(await bench.store.task(child.taskId))!.state, (await bench.store.task(child.taskId))!.attempt], ["failed", 2]);
  });

  // ── trees ─────────────────────────────────────────────────────────────────────────────────

  promise("the oldest tree is finished first, instead of all advancing in step", async (bench) => {
    await bench.rules({ pools: { subagent: 1 } });
    const [ann, bob] = [await bench.begin(ANN, "go"), await bench.begin(BOB, "go")];
    await bench.spawn(ann, "a");
    await bench.spawn(bob, "b");
    await bench.done(ann);
    await bench.done(bob);
    bench.clock.advance(1);
    const first = await bench.start();
    await bench.spawn(first, "a.1");
    await bench.done(first);
    const second = await bench.start();
    assert.deepEqual(named([first, second]), ["a", "a.1"], "the grandchild of the first tree goes before the child of the second");
    await bench.done(second);
    await bench.drain(() => "done");
  });

  promise("a thousand children that end at once are one turn of their parent, with each result once", async (bench) => {
    const count = 1_000;
    await bench.rules({ pools: { subagent: count } });
    const turn = await bench.begin(ANN, "go");
    const children = await Promise.all(Array.from({ length: count }, (_, n) => bench.spawn(turn, `c${n}`, { childrenMax: count })));
    await bench.done(turn);
    const running: StartedTurn[] = [];
    for (let some = await bench.started(); some.length > 0; some = await bench.started()) running.push(...some);
    assert.equal(running.length, count);
    await Promise.all(running.map((one) => bench.done(one, `${"long ".repeat(1_000)}`)));
    bench.clock.advance(1_000);
    const digest = await bench.start();
    const text = digest.messages[0]!.text;
    assert.equal(digest.messages.length, 1);
    const told = [...text.matchAll(/^\d+\. .*\((task_[a-z0-9]+)\)/gm)].map(([, id]) => id);
    assert.deepEqual(told.sort(), children.map(({ taskId }) => taskId).sort());
    assert.ok(text.length < 700_000, `${text.length} characters`);
    await bench.done(digest);
    assert.deepEqual(await bench.started(), []);
  });

  promise("a cancelled tree takes no new children, names what had succeeded, and is cancelled once", async (bench) => {
    const turn = await bench.begin(ANN, "go");
    const done = await bench.spawn(turn, "done");
    const stopped = await bench.spawn(turn, "stopped");
    const [first] = await bench.started();
    await bench.done(first!, "found");
    const cancelled = (await bench.store.cancelFlow({ flow: done.flowId, by: "you" }))!;
    assert.deepEqual([cancelled.tasks, cancelled.finished], [[stopped.taskId], [done.taskId]]);
    await assert.rejects(bench.spawn(turn, "late"), fault("FLOW_CANCELLED"));
    assert.deepEqual((await bench.store.cancelFlow({ flow: done.flowId, by: "you" }))!.tasks, []);
    assert.equal((await bench.store.task(done.taskId))!.state, "succeeded");
  });
}
