/**
 * What every store must do, as tests: `storeContract(name, open)` registers them for one.
 *
 * Each test says one promise of `store.ts` with its reason. After each, the store looks at itself
 * and must find nothing wrong.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { RunId, SessionKey, TaskId, TurnId } from "../base/ids.ts";
import type { ScopeBudgets } from "../model/budget.ts";
import type { AttemptEnd } from "../model/delivery.ts";
import { NO_USAGE } from "../model/chat.ts";
import { Fault } from "../model/faults.ts";
import type { Job, JobSpec, Run, RunRules, Schedule } from "../model/job.ts";
import { hasEnded, type TaskState } from "../model/task.ts";
import { ATTEMPTS_WITHOUT_PROGRESS_MAX } from "../model/turn.ts";
import { UPKEEP_RUNS_MAX, type UpkeepRun } from "../model/upkeep.ts";
import { approvalContract } from "./contract-of-approvals.ts";
import { ANN, answered, BOB, calling, fault, MAIN, MEAN, refOf, resulted, StoreBench, taskOf, type OpenedStore } from "./store-bench.test-support.ts";
import type { SweepPlace } from "./store.ts";

const HOUR_MS = 3_600_000;
const NO_SCOPES: ScopeBudgets = { session: {}, tree: {}, person: {}, day: {} };

export function storeContract(name: string, open: (t: TestContext) => Promise<OpenedStore>): void {
  function promise(text: string, story: (bench: StoreBench, t: TestContext) => Promise<void>): void {
    test(`${name}: ${text}`, async (t) => {
      const bench = new StoreBench(await open(t));
      await bench.rules();
      await story(bench, t);
      assert.deepEqual(await bench.store.checkIntegrity(), []);
      assertNoGaps(bench);
    });
  }

  // ── providers ─────────────────────────────────────────────────────────────────────────────

  const PARKING = { reason: "wall", model: "p/m", until: 0, ahead: 0 } as const;

  promise("a parked turn lends its slot and takes it back over the size, so nobody waits behind a wall that is not theirs", async (bench) => {
    await bench.rules({ pools: { main: 1 } });
    const first = await bench.begin(ANN, "one");
    await bench.accept(BOB, "two");
    assert.deepEqual(await bench.started(), []);
    assert.equal(await bench.store.parkTurn({ turn: refOf(first), parking: PARKING }), true);
    const second = await bench.start();
    assert.equal(second.session, BOB);
    assert.equal(await bench.store.unparkTurn(refOf(first)), true);
    await bench.accept("agent:main:web:direct:eve" as typeof ANN, "three");
    assert.deepEqual(await bench.started(), [], "two hold the one slot now");
    await bench.done(first);
    await bench.done(second);
    await bench.done(await bench.start());
    assert.deepEqual(bench.events.filter(({ type }) => type === "turn.parked" || type === "turn.resumed").map(({ type }) => type), ["turn.parked", "turn.resumed"]);
  });

  promise("a turn that ends while it is parked leaves no slot lent, and a late word of it changes nothing", async (bench) => {
    await bench.rules({ pools: { main: 1 } });
    const first = await bench.begin(ANN, "one");
    await bench.store.parkTurn({ turn: refOf(first), parking: PARKING });
    await bench.store.cancelSession({ key: ANN, by: "ann", tree: false, queue: false });
    assert.equal(await bench.store.unparkTurn(refOf(first)), false);
    assert.equal(await bench.store.parkTurn({ turn: refOf(first), parking: PARKING }), false);
    const second = await bench.begin(BOB, "two");
    await bench.accept(ANN, "three");
    assert.deepEqual(await bench.started(), []);
    await bench.done(second);
    await bench.done(await bench.start());
  });

  promise("a child's deadline rests while its turn is parked, also over a restart", async (bench) => {
    const parent = await bench.begin(ANN, "parent");
    const task = await bench.spawn(parent, "child", { deadlineSeconds: 10 });
    const child = (await bench.started()).find((turn) => turn.session === task.session)!;
    bench.clock.advance(4_000);
    await bench.store.parkTurn({ turn: refOf(child), parking: PARKING });
    bench.clock.advance(60_000);
    await bench.claim();
    assert.equal((await bench.store.task(task.taskId))!.state, "running");
    const { turns } = await bench.crash();
    assert.equal((await bench.store.task(task.taskId))!.deadlineAt, bench.clock.now() + 6_000);
    bench.clock.advance(6_001);
    await bench.claim();
    assert.equal((await bench.store.task(task.taskId))!.state, "timed_out");
    await bench.done(turns.find((turn) => turn.session === ANN)!);
    await bench.drain();
  });

  promise("a child's deadline rests until the last of its turns is let through to its provider", async (bench) => {
    const parent = await bench.begin(ANN, "parent");
    const task = await bench.spawn(parent, "child", { deadlineSeconds: 10 });
    const first = (await bench.started()).find((turn) => turn.session === task.session)!;
    await bench.accept(task.session as typeof ANN, "beside it", { mode: "background" });
    const second = await bench.start();
    bench.clock.advance(4_000);
    await bench.store.parkTurn({ turn: refOf(first), parking: PARKING });
    await bench.store.parkTurn({ turn: refOf(second), parking: PARKING });
    bench.clock.advance(60_000);
    await bench.store.unparkTurn(refOf(first));
    bench.clock.advance(60_000);
    await bench.claim();
    assert.equal((await bench.store.task(task.taskId))!.state, "running");
    await bench.store.unparkTurn(refOf(second));
    assert.equal((await bench.store.task(task.taskId))!.deadlineAt, bench.clock.now() + 6_000);
    await bench.done(second);
    await bench.done(first);
    await bench.done(parent);
    await bench.drain();
  });

  promise("a command's answer is a reply in the log, makes the session, and puts nothing in line", async (bench) => {
    const messageId = await bench.store.answerCommand({ session: ANN, text: "the help" });
    assert.deepEqual(bench.eventsOf(ANN, "reply").map((event) => event.data), [{ text: "the help", replyTo: [messageId], code: "COMMAND" }]);
    assert.deepEqual([(await bench.store.session(ANN))!.state, (await bench.store.history({ key: ANN, after: 0, limit: 10 }))!.entries], ["idle", []]);
    assert.deepEqual(await bench.started(), []);
    await assert.rejects(bench.store.answerCommand({ session: "agent:main:subagent:none" as SessionKey, text: "x" }), { code: "SESSION_NOT_FOUND" });
  });

  promise("an allowance outlives the process: what was taken, the wall and what was learned", async (bench) => {
    const ask = { key: "p/1/m", limits: { requestsPerMinute: 2, tokensPerMinute: null }, tokens: 0, person: true };
    assert.equal((await bench.store.takeAllowance(ask)).waitMs, 0);
    assert.equal((await bench.store.takeAllowance(ask)).waitMs, 0);
    await bench.crash();
    const { waitMs } = await bench.store.takeAllowance(ask);
    assert.ok(waitMs > 60_000 && waitMs <= 62_000, `${waitMs}`);
    bench.clock.advance(waitMs);
    assert.equal((await bench.store.takeAllowance(ask)).waitMs, 0);
    const wallUntil = bench.clock.now() + 180_000;
    await bench.store.adjustAllowance({ key: "p/1/m", wallUntil, learned: { requestsPerMinute: 15, tokensPerMinute: null } });
    await bench.crash();
    const [allowance] = await bench.store.allowances();
    assert.deepEqual([allowance!.wallUntil, allowance!.learned.requestsPerMinute], [wallUntil, 15]);
    assert.equal((await bench.store.takeAllowance(ask)).waitMs, 180_000);
  });

  // ── the inbox ─────────────────────────────────────────────────────────────────────────────

  promise("a message is stored once per source id, so a client may send again after a lost connection", async (bench) => {
    const first = await bench.accept(ANN, "hi", { sourceId: "1" });
    const again = await bench.accept(ANN, "hi", { sourceId: "1" });
    assert.deepEqual([first.duplicate, again.duplicate], [false, true]);
    assert.equal(again.messageId, first.messageId);
    assert.equal((await bench.accept(ANN, "hi", { sourceId: "1", channel: "web" })).duplicate, false, "another channel counts for itself");
    assert.equal((await bench.accept(BOB, "hi", { sourceId: "1" })).duplicate, false, "another session counts for itself");
    await bench.drain();
    assert.equal((await bench.accept(ANN, "hi", { sourceId: "1" })).messageId, first.messageId, "also after it was answered");
  });

  promise("messages of one session are answered in the order of their acceptance, one turn each", async (bench) => {
    for (const text of ["one", "two", "three"]) await bench.accept(ANN, text, { mode: "followup" });
    const ran = await bench.drain();
    assert.deepEqual(ran.map((turn) => turn.messages.map((message) => message.text)), [["one"], ["two"], ["three"]]);
    assert.deepEqual(await bench.transcript(ANN), ["user: one", "assistant: answer to one", "user: two", "assistant: answer to two", "user: three", "assistant: answer to three"]);
  });

  promise("messages that come within messageWaitMs of each other are one batch, so a correction is read with what it corrects", async (bench) => {
    const first = await bench.accept(ANN, "Book 2pm", { waitMs: 2000 });
    assert.deepEqual(await bench.started(), []);
    bench.clock.advance(300);
    const second = await bench.accept(ANN, "Wait, make that 3pm", { waitMs: 2000 });
    bench.clock.advance(1999);
    assert.deepEqual(await bench.started(), [], "the second opened the wait anew");
    bench.clock.advance(1);
    const turn = await bench.start();
    assert.deepEqual(turn.messages.map((message) => message.text), ["Book 2pm", "Wait, make that 3pm"]);
    await bench.done(turn);
    assert.deepEqual(bench.replies(ANN)[0]!.replyTo, [first.messageId, second.messageId]);
  });

  promise("a batch that keeps growing is closed after five waits, so a talkative person is answered too", async (bench) => {
    for (let sent = 0; sent < 12; sent++) {
      await bench.accept(ANN, `${sent}`, { waitMs: 1000 });
      bench.clock.advance(500);
    }
    const turn = await bench.start();
    assert.ok(turn.messages.length >= 10 && turn.messages.length < 12, `${turn.messages.length} in the first batch`);
  });

  promise("mode collect makes one turn of all that wait", async (bench) => {
    const running = await bench.begin(ANN, "work");
    for (const text of ["a", "b", "c"]) await bench.accept(ANN, text, { mode: "collect" });
    await bench.done(running);
    assert.deepEqual((await bench.start()).messages.map((message) => message.text), ["a", "b", "c"]);
  });

  promise("the claim says when to ask again, and never a moment that is past", async (bench) => {
    await bench.rules({ pools: { main: 1 } });
    await bench.begin(BOB, "holds the only slot");
    await bench.accept(ANN, "late", { waitMs: 60_000 });
    await bench.accept(ANN, "early", { mode: "steer", waitMs: 0, provenance: "operator" });
    for (let step = 0; step < 200; step++) {
      const { nextAt } = await bench.claim();
      assert.ok(nextAt === null || nextAt > bench.clock.now(), `asked to come back ${bench.clock.now() - nextAt!} ms ago`);
      if (nextAt === null) break;
      bench.clock.advance(nextAt - bench.clock.now());
    }
  });

  promise("a full inbox refuses with a reason and drops nothing", async (bench) => {
    await bench.rules({ queueCap: 2 });
    await bench.begin(ANN, "work");
    await bench.accept(ANN, "1", { mode: "followup" });
    await bench.accept(ANN, "2", { mode: "followup" });
    await assert.rejects(bench.accept(ANN, "3", { mode: "followup" }), fault("LANE_FULL"));
    assert.equal((await bench.store.session(ANN))!.waitingMessages, 2);
    assert.equal((await bench.accept(BOB, "3")).queuedAhead, 0, "others are not concerned");
  });

  // ── usage and budgets ─────────────────────────────────────────────────────────────────────

  promise("usage is kept by day, session, model, person and tree, once per result, and outlives its session", async (bench) => {
    const turn = await bench.begin(ANN, "work", { author: "ann" });
    const child = await bench.spawn(turn, "part");
    const childTurn = await bench.start();
    await bench.store.journal({ turn: refOf(childTurn), writes: [answered(1, [{ type: "text", text: "a" }])], events: [] });
    await bench.store.journal({ turn: refOf(childTurn), writes: [answered(1, [{ type: "text", text: "a" }])], events: [] });
    await bench.done(childTurn);
    await bench.done(turn);
    const by = async (group: "person" | "tree" | "model" | "session"): Promise<unknown> => (await bench.store.usage({ by: group, limit: 10 })).rows.map(({ name, usage }) => [name, usage.input, usage.output, usage.calls]);
    assert.deepEqual(await by("person"), [["ann", 20, 4, 2]], "a child works for whom its parent works for");
    assert.deepEqual(await by("tree"), [[child.flowId, 10, 2, 1]]);
    await bench.store.deleteSession({ key: child.session, by: "test" });
    assert.deepEqual(await by("model"), [["test/m", 20, 4, 2]]);
    assert.equal((await bench.store.usage({ by: "day", since: "2999-01-01", limit: 10 })).total.calls, 0);
  });

  promise("a call is reserved before it is made and corrected afterwards; what does not fit is refused and reserves nothing", async (bench) => {
    const root = await bench.spawn(null, "root", { budget: { tokens: 1000, calls: 3 } });
    const turn = await bench.start();
    assert.equal(turn.budgeted, true);
    const ask = (inputTokensMax: number, isLast = false) => bench.store.reserveCall({ turn: refOf(turn), asked: { inputTokensMax, outputTokensMax: 300, outputTokensMin: 10, price: null, isLast }, scopes: NO_SCOPES });
    const first = await ask(500);
    assert.deepEqual(first.outcome === "granted" && first.outputTokensMax, 300);
    assert.deepEqual(await ask(95), { outcome: "exhausted", by: { scope: "task", name: root.taskId, unit: "tokens", limit: 1000, used: 0 }, tokensLeft: 200 }, "a tenth is kept back");
    const last = await ask(95, true);
    assert.deepEqual(last.outcome === "granted" && last.outputTokensMax, 105, "for the last call");
    for (const grant of [first, last]) await bench.store.settleCall({ hold: grant.outcome === "granted" ? grant.hold : "", spent: { ...NO_USAGE, input: 40, output: 10, calls: 1 } });
    await bench.store.settleCall({ hold: first.outcome === "granted" ? first.hold : "", spent: "unknown" });
    assert.deepEqual((await bench.store.task(root.taskId))!.budget, { limit: { tokens: 1000, calls: 3 }, reserved: { tokens: 0, calls: 0 }, used: { tokens: 100, calls: 2 }, left: { tokens: 900, calls: 1 } });
    assert.equal((await ask(10)).outcome, "exhausted", "one call is kept back");
    await bench.done(turn);
    assert.equal((await ask(10)).outcome, "superseded");
  });

  promise("a child's budget is set aside above it and its rest comes back, whatever ends it; a call still on its way is spent until it is known", async (bench) => {
    const root = await bench.spawn(null, "root", { budget: { tokens: 10_000, children: 2 } });
    const rootTurn = await bench.start();
    const child = await bench.spawn(rootTurn, "child", { budget: { tokens: 4_000 } });
    const childTurn = await bench.start();
    const figures = async (): Promise<unknown> => {
      const { reserved, used } = (await bench.store.task(root.taskId))!.budget!;
      return [reserved.tokens, used.tokens];
    };
    assert.deepEqual(await figures(), [4_000, 0]);
    await assert.rejects(bench.spawn(rootTurn, "greedy", { budget: { tokens: 6_001 } }), fault("BUDGET_TOO_LARGE"));
    const call = await bench.store.reserveCall({ turn: refOf(childTurn), asked: { inputTokensMax: 1_000, outputTokensMax: 500, outputTokensMin: 1, price: null, isLast: false }, scopes: NO_SCOPES });
    await bench.store.cancelTask({ task: child.taskId, by: "test" });
    assert.deepEqual(await figures(), [0, 1_500]);
    await bench.store.settleCall({ hold: call.outcome === "granted" ? call.hold : "", spent: { ...NO_USAGE, input: 700, output: 7, calls: 1 } });
    assert.deepEqual(await figures(), [0, 707]);
    await bench.spawn(rootTurn, "second");
    await assert.rejects(bench.spawn(rootTurn, "third"), fault("BUDGET_EXHAUSTED"));
  });

  promise("a child that is started again counts against the limit of children of its tree, whoever asks", async (bench) => {
    const first = await bench.spawn(null, "first", { tree: { children: 2 } });
    await bench.failed(await bench.start());
    await bench.store.retryTask({ task: first.taskId, by: "you" });
    await bench.failed(await bench.start());
    await assert.rejects(bench.store.retryTask({ task: first.taskId, by: "you" }), fault("BUDGET_EXHAUSTED"));
  });

  promise("a watchdog that may not start its target again leaves nothing of the try behind", async (bench) => {
    const root = await bench.spawn(null, "root", { budget: { tokens: 10_000, calls: 5 } });
    const rootTurn = await bench.start();
    const child = await bench.spawn(rootTurn, "child", { budget: { tokens: 2_000, calls: 3 } });
    const { id } = await addJob(bench);
    const at = bench.clock.now();
    const plan = { kind: "watchdog", target: { task: child.taskId }, action: "retry", text: null } as const;
    const run = await bench.store.fireJob({ jobId: id, expected: at, passed: [], run: { scheduledFor: at, source: null, plan, queue: false }, next: { nextFor: at + 60_000, dueAt: at + 60_000 }, rules: RUN_RULES });
    assert.deepEqual([run?.state, run?.fault?.code], ["failed", "BUDGET_TOO_LARGE"]);
    assert.deepEqual((await bench.store.task(root.taskId))!.budget!.reserved, { tokens: 2_000, calls: 3 });
    assert.equal((await bench.store.tasks({ limit: 9 })).tasks.length, 2);
  });

  promise("after a crash the calls that were on their way are spent, because the provider may have counted them", async (bench) => {
    const root = await bench.spawn(null, "root", { budget: { tokens: 10_000 } });
    const turn = await bench.start();
    await bench.store.reserveCall({ turn: refOf(turn), asked: { inputTokensMax: 1_000, outputTokensMax: 500, outputTokensMin: 1, price: null, isLast: false }, scopes: NO_SCOPES });
    await bench.crash();
    const { used, reserved } = (await bench.store.task(root.taskId))!.budget!;
    assert.deepEqual([used.tokens, reserved.tokens], [1_500, 0]);
  });

  promise("a limit of a scope begins with what was used before it was set, and follows the setting", async (bench) => {
    await bench.accept(ANN, "before", { author: "ann" });
    await bench.drain();
    const turn = await bench.begin(ANN, "now", { author: "ann" });
    const ask = (tokens: number) => bench.store.reserveCall({ turn: refOf(turn), asked: { inputTokensMax: 10, outputTokensMax: 50, outputTokensMin: 1, price: null, isLast: true }, scopes: { ...NO_SCOPES, person: { tokens } } });
    const small = await ask(60);
    assert.equal(small.outcome === "granted" && small.outputTokensMax, 60 - 12 - 10);
    assert.equal((await ask(60)).outcome, "exhausted");
    assert.equal((await ask(500)).outcome, "granted");
  });

  promise("a result that must fit a schema is held against it in the transaction that ends the child, after one correction", async (bench) => {
    const outputSchema = { type: "object", required: ["n"] };
    const good = await bench.spawn(null, "good", { outputSchema });
    await bench.done(await bench.start(), '{"n": 1}');
    assert.deepEqual((await bench.store.task(good.taskId))!.output, { n: 1 });
    const bad = await bench.spawn(null, "bad", { outputSchema });
    await bench.done(await bench.start(), "words");
    assert.equal((await bench.store.task(bad.taskId))!.state, "running");
    const correction = await bench.start();
    assert.match(correction.messages[0]!.text, /it is no JSON value/);
    await bench.done(correction, "{}");
    const ended = (await bench.store.task(bad.taskId))!;
    assert.deepEqual([ended.state, ended.fault!.code, ended.output], ["failed", "RESULT_INVALID", null]);
  });

  // ── lanes and pools ───────────────────────────────────────────────────────────────────────

  promise("a session has one main turn at a time, however many slots are free", async (bench) => {
    const turn = await bench.begin(ANN, "one");
    await bench.accept(ANN, "two", { mode: "followup" });
    assert.deepEqual(await bench.started(), []);
    await bench.done(turn);
    assert.equal((await bench.start()).messages[0]!.text, "two");
  });

  promise("a pool's size is exact, and a change takes effect at the next claim without stopping what runs", async (bench) => {
    const session = (n: number) => `agent:main:api:direct:p${n}` as typeof ANN;
    for (let n = 0; n < 10; n++) await bench.accept(session(n), "hi");
    const running = [...(await bench.started())];
    assert.equal(running.length, 4);
    await bench.rules({ pools: { main: 7 } });
    running.push(...(await bench.started()));
    assert.equal(running.length, 7);
    await bench.rules({ pools: { main: 2 } });
    for (const turn of running.splice(0, 5)) await bench.done(turn);
    assert.deepEqual(await bench.started(), [], "two still run");
    await bench.done(running.pop()!);
    assert.equal((await bench.started()).length, 1);
  });

  promise("a claim starts at most as many as asked for and says that there is more", async (bench) => {
    for (const session of [ANN, BOB, MAIN]) await bench.accept(session, "hi");
    const first = await bench.claim(2);
    assert.deepEqual([first.started.length, first.more], [2, true]);
    assert.equal((await bench.claim(2)).started.length, 1);
  });

  promise("people go before background work that waits in the same pool's line no longer than its handicap", async (bench) => {
    await bench.rules({ pools: { main: 1 } });
    const holder = await bench.begin(BOB, "hold");
    await bench.accept(MAIN, "from a webhook", { provenance: "webhook" });
    bench.clock.advance(5_000);
    await bench.accept(ANN, "from a person");
    await bench.done(holder);
    const first = await bench.start();
    assert.equal(first.session, ANN);
    bench.clock.advance(60_000);
    await bench.accept(BOB, "much later");
    await bench.done(first);
    assert.equal((await bench.start()).session, MAIN, "it aged past a newer person's message");
  });

  promise("one owner's many sessions do not hold up another's first", async (bench) => {
    await bench.rules({ pools: { subagent: 1 } });
    const ann = await bench.begin(ANN, "spawn many");
    for (let n = 0; n < 4; n++) await bench.spawn(ann, `ann ${n}`);
    const bob = await bench.begin(BOB, "spawn one").catch(async () => (await bench.started()).find((turn) => turn.session === BOB)!);
    await bench.spawn(bob ?? BOB, "bob");
    const order: string[] = [];
    for (let n = 0; n < 5; n++) {
      const running = await bench.store.tasks({ states: ["running"], limit: 10 });
      const turns = await bench.started();
      for (const turn of turns) {
        order.push(turn.sessionInfo.label!);
        await bench.done(turn);
      }
      assert.ok(running.tasks.length <= 1);
    }
    assert.ok(order.indexOf("bob") <= 2, order.join(", "));
  });

  promise("a wait over two seconds is told once, with place and reason", async (bench) => {
    await bench.rules({ pools: { main: 1 } });
    await bench.begin(BOB, "hold");
    await bench.accept(ANN, "hi");
    await bench.claim();
    bench.clock.advance(2_000);
    await bench.claim();
    bench.clock.advance(60_000);
    await bench.claim();
    const told = bench.eventsOf(ANN, "lane.waiting");
    assert.equal(told.length, 1);
    assert.equal(told[0]!.data["why"], "slot");
    const { lanes, pools } = await bench.store.lanes({ meanTurnMs: MEAN });
    assert.deepEqual(lanes.find((lane) => lane.session === ANN)!.why, "slot");
    assert.deepEqual(pools.find((pool) => pool.name === "main"), { name: "main", size: 1, used: 1, waiting: 1 });
  });

  // ── fencing and the journal ───────────────────────────────────────────────────────────────

  promise("an old epoch writes nothing, so two processes can never both work on one turn", async (bench) => {
    const turn = await bench.begin(ANN, "hi");
    const { turns } = await bench.crash();
    const newer = turns[0]!;
    assert.ok(newer.epoch > turn.epoch);
    assert.equal(await bench.store.journal({ turn: refOf(turn), writes: [answered(1, [{ type: "text", text: "old" }])], events: [{ type: "notice", data: {} }] }), false);
    assert.deepEqual(await bench.store.takeSteering(refOf(turn)), []);
    assert.equal(await bench.done(turn, "old"), false);
    assert.equal(await bench.done(newer, "new"), true);
    assert.deepEqual(bench.replies(ANN).map((reply) => reply.text), ["new"]);
  });

  promise("after a crash a turn comes back with the steps that were committed", async (bench) => {
    const turn = await bench.begin(ANN, "list files");
    await bench.store.journal({ turn: refOf(turn), writes: [answered(1, [{ type: "tool-call", callId: "c1", tool: "list", input: {} }]), calling(1, "c1", "list")], events: [] });
    const { turns, generation } = await bench.crash();
    assert.equal(generation, 1);
    assert.deepEqual(turns[0]!.steps.map((step) => [step.key, step.state]), [["model:1", "done"], ["tool:1:c1", "intent"]]);
    assert.deepEqual(turns[0]!.messages.map((message) => message.text), ["list files"]);
    assert.equal(turns[0]!.attempt, 2);
    await bench.store.endTurn({ turn: refOf(turns[0]!), end: { outcome: "done", text: "two files", usage: turn as never }, writes: [resulted(1, "c1", "list", "a b"), { intent: { key: "model:2", kind: "model", name: "m", effect: "pure", input: null } }, answered(2, [{ type: "text", text: "two files" }])] });
    assert.deepEqual(await bench.transcript(ANN), ["user: list files", "assistant: (list)", "tool: a b", "assistant: two files"]);
  });

  promise("recovering twice changes nothing but the epochs", async (bench) => {
    await bench.begin(ANN, "hi");
    const once = await bench.crash();
    const twice = await bench.crash();
    assert.deepEqual(twice.turns.map((turn) => turn.turnId), once.turns.map((turn) => turn.turnId));
    await bench.done(twice.turns[0]!);
    assert.equal((await bench.crash()).turns.length, 0);
  });

  promise("what was open when nobody was there for too long is ended, not gone on with, and its conversation is told", async (bench) => {
    const running = await bench.begin(ANN, "work");
    const { taskId } = await bench.spawn(running, "child");
    const { messageId } = await bench.accept(ANN, "and that", { mode: "followup" });
    await bench.crash();
    bench.clock.advance(HOUR_MS - 1);
    assert.equal((await bench.store.recover({ staleMs: HOUR_MS })).turns.length, 1);
    bench.clock.advance(HOUR_MS);
    const { turns, retired } = await bench.store.recover({ staleMs: HOUR_MS });
    assert.deepEqual([turns.length, retired?.tasks, retired?.sessions], [0, [taskId], 1]);
    assert.deepEqual((await bench.store.task(taskId))?.state, "lost");
    assert.equal((await bench.store.task(taskId))?.fault?.code, "WORK_STALE");
    assert.deepEqual(bench.eventsOf(ANN, "message.cancelled").map((event) => event.data["messageIds"]), [[messageId]]);
    assert.equal(bench.eventsOf(ANN, "notice").at(-1)?.data["code"], "WORK_STALE");
    assert.equal(await bench.done(running, "late"), false);
    assert.deepEqual(await bench.started(), []);
    assert.deepEqual((await bench.store.recover({ staleMs: HOUR_MS })).retired, null);
  });

  promise("deaths without anything done are counted in a row; a step that ends, or a stop that was asked for, ends the row", async (bench) => {
    const die = async (): Promise<number> => {
      await bench.crash();
      return (await bench.store.noteStart()).deaths;
    };
    assert.equal((await bench.store.noteStart()).deaths, 0);
    await bench.accept(ANN, "hi");
    assert.deepEqual([await die(), await die(), await die()], [1, 2, 3]);
    await bench.done(await bench.start());
    assert.deepEqual([await die(), await die()], [1, 2]);
    await bench.store.noteStop();
    assert.deepEqual([await die(), await die()], [0, 1]);
  });

  promise("a turn that the process dies on again and again is set aside, and the lane goes on", async (bench) => {
    const { messageId } = await bench.accept(ANN, "poison");
    await bench.accept(ANN, "next", { mode: "followup" });
    await bench.started();
    for (let crash = 0; crash < ATTEMPTS_WITHOUT_PROGRESS_MAX; crash++) assert.equal((await bench.crash()).poisoned.length, 0);
    const { turns, poisoned } = await bench.crash();
    assert.deepEqual([turns.length, poisoned.length], [0, 1]);
    const notice = bench.eventsOf(ANN, "notice").at(-1)!;
    assert.deepEqual([notice.data["code"], notice.data["replyTo"]], ["TURN_POISONED", [messageId]]);
    assert.equal((await bench.start()).messages[0]!.text, "next");
  });

  promise("a turn that gets further between crashes is not poison", async (bench) => {
    await bench.begin(ANN, "long");
    let { turns } = await bench.crash();
    for (let round = 1; round <= ATTEMPTS_WITHOUT_PROGRESS_MAX * 2; round++) {
      const turn = turns[0]!;
      const intent = round === 1 ? [] : [{ intent: { key: `model:${round}`, kind: "model" as const, name: "m", effect: "pure" as const, input: null } }];
      await bench.store.journal({ turn: refOf(turn), writes: [...intent, answered(round, [{ type: "text", text: "…" }])], events: [] });
      ({ turns } = await bench.crash());
      assert.equal(turns.length, 1);
    }
  });

  promise("a turn that fails says so to the person, and its message is not lost in silence", async (bench) => {
    const { messageId } = await bench.accept(ANN, "hi");
    await bench.failed(await bench.start(), new Fault("PROVIDER_AUTH", { provider: "p", status: 401 }).toRecord());
    const [ended] = bench.eventsOf(ANN, "turn.ended");
    assert.deepEqual([ended!.data["outcome"], (ended!.data["fault"] as { code: string }).code, ended!.data["messageIds"]], ["failed", "PROVIDER_AUTH", [messageId]]);
    assert.match((await bench.transcript(ANN)).at(-1)!, /^notice: This could not be answered: p refused the credential/);
  });

  // ── queue modes ───────────────────────────────────────────────────────────────────────────

  promise("mode reject refuses while a turn runs and says when to try again", async (bench) => {
    const turn = await bench.begin(ANN, "work");
    await assert.rejects(bench.accept(ANN, "now", { mode: "reject" }), (thrown) => thrown instanceof Fault && thrown.code === "QUEUE_REJECTED" && thrown.retryAfterMs === 1000);
    await bench.done(turn);
    assert.equal((await bench.accept(ANN, "now", { mode: "reject" })).duplicate, false);
  });

  promise("mode interrupt cancels the running turn, and what waits behind it stays in line", async (bench) => {
    const turn = await bench.begin(ANN, "long work");
    await bench.accept(ANN, "waits", { mode: "followup" });
    await bench.accept(ANN, "stop that", { mode: "interrupt" });
    assert.deepEqual(bench.stopped, [turn.turnId]);
    assert.equal(await bench.done(turn), false);
    assert.deepEqual((await bench.drain()).map((each) => each.messages[0]!.text), ["waits", "stop that"]);
    assert.ok((await bench.transcript(ANN)).includes("notice: cancelled by a newer message"));
  });

  promise("mode rollback takes the cancelled turn out of the context altogether", async (bench) => {
    const turn = await bench.begin(ANN, "a mistake");
    await bench.accept(ANN, "what I meant", { mode: "rollback" });
    assert.deepEqual(bench.stopped, [turn.turnId]);
    await bench.drain();
    assert.deepEqual(await bench.transcript(ANN), ["user: what I meant", "assistant: answer to what I meant"]);
  });

  promise("mode steer reaches the running turn, and its message is answered by it", async (bench) => {
    const turn = await bench.begin(ANN, "research");
    const { messageId } = await bench.accept(ANN, "also cost", { mode: "steer" });
    assert.deepEqual(await bench.started(), []);
    assert.deepEqual(await bench.store.takeSteering(refOf(turn)), [{ id: messageId, text: "also cost" }]);
    assert.deepEqual(await bench.store.takeSteering(refOf(turn)), [], "taken once");
    await bench.done(turn);
    assert.ok(bench.replies(ANN)[0]!.replyTo.includes(messageId));
    assert.ok((await bench.transcript(ANN)).includes("user: also cost"));
    const { turns } = await bench.crash();
    assert.equal(turns.length, 0);
  });

  promise("a steering message that came too late is answered by a turn of its own", async (bench) => {
    const turn = await bench.begin(ANN, "research");
    await bench.accept(ANN, "also cost", { mode: "steer" });
    await bench.done(turn);
    assert.equal((await bench.start()).messages[0]!.text, "also cost");
  });

  promise("steering that was taken before a crash is still part of the turn after it", async (bench) => {
    const turn = await bench.begin(ANN, "research");
    const { messageId } = await bench.accept(ANN, "also cost", { mode: "steer" });
    await bench.store.takeSteering(refOf(turn));
    const { turns } = await bench.crash();
    assert.equal(turns[0]!.steps.some((step) => step.result?.kind === "steer"), true);
    await bench.done(turns[0]!);
    assert.ok(bench.replies(ANN)[0]!.replyTo.includes(messageId));
  });

  promise("in mode auto a turn older than foregroundMs goes on beside its lane when a person waits, and says so once", async (bench) => {
    const turn = await bench.begin(ANN, "analyse");
    await bench.accept(ANN, "quick?");
    bench.clock.advance(9_999);
    assert.deepEqual(await bench.started(), []);
    bench.clock.advance(1);
    const { promoted, started } = await bench.claim();
    assert.deepEqual(promoted, [{ turnId: turn.turnId, session: ANN, handle: "T1" }]);
    assert.deepEqual(started.map((each) => each.messages[0]!.text), ["quick?"]);
    assert.deepEqual(started[0]!.besides.map((beside) => [beside.handle, beside.about]), [["T1", "analyse"]]);
    const notices = bench.eventsOf(ANN, "notice").filter((event) => event.data["code"] === "PROMOTED");
    assert.deepEqual(notices.map((event) => event.data["handle"]), ["T1"]);
    await bench.done(started[0]!, "quick answer");
    await bench.done(turn, "analysis");
    assert.deepEqual(bench.replies(ANN).map((reply) => reply.text), ["quick answer", "analysis"]);
    assert.match((await bench.transcript(ANN)).at(-2)!, /^notice: T1, about "analyse": started before #\d+, finished after #\d+/);
  });

  promise("a coding agent that a person started gives way like any conversation; one that works on a task does not", async (bench) => {
    const agent = await bench.store.openHarnessSession({ agent: "claude", parent: ANN, cwd: null, label: null });
    const turn = await bench.begin(agent, "analyse");
    await bench.accept(agent, "quick?");
    bench.clock.advance(10_000);
    const { promoted, started } = await bench.claim();
    assert.deepEqual(promoted.map(({ turnId }) => turnId), [turn.turnId]);
    assert.deepEqual(started[0]!.besides.map(({ handle, turnId }) => [handle, turnId]), [["T1", turn.turnId]]);

    const task = await bench.spawn(ANN, "child", { kind: "acp", agent: "claude" });
    const child = await bench.start();
    assert.equal(child.session, task.session);
    await bench.accept(task.session, "quick?");
    bench.clock.advance(10_000);
    assert.deepEqual((await bench.claim()).promoted, []);
  });

  promise("a turn that waits for its coding agent has no slot, is shown with the reason, and is not promoted for the next message until it works", async (bench) => {
    const agent = await bench.store.openHarnessSession({ agent: "claude", parent: ANN, cwd: null, label: null });
    await bench.begin(agent, "analyse");
    await bench.store.promoteTurn({ session: agent, turnId: null });
    const turn = await bench.begin(agent, "quick?");
    await bench.store.parkTurn({ turn: refOf(turn), parking: { reason: "harness", model: "claude", until: 1, ahead: 0 } });
    const shown = async (): Promise<unknown> => {
      const { lanes, pools } = await bench.store.lanes({ meanTurnMs: MEAN });
      return [lanes.find(({ session }) => session === agent)!.why, pools.find(({ name }) => name === "acp")!.used];
    };
    assert.deepEqual(await shown(), ["harness", 0]);
    await bench.accept(agent, "and this?");
    bench.clock.advance(60_000);
    assert.deepEqual((await bench.claim()).promoted, []);
    await bench.store.unparkTurn(refOf(turn));
    assert.deepEqual(await shown(), ["turn", 1]);
    bench.clock.advance(10_000);
    assert.deepEqual((await bench.claim()).promoted.map(({ turnId }) => turnId), [turn.turnId]);
  });

  promise("the deadline of a child goes on while a turn of it waits for its coding agent, which is at work on it", async (bench) => {
    const task = await bench.spawn(null, "child", { kind: "acp", agent: "claude", deadlineSeconds: 60 });
    await bench.start();
    await bench.store.promoteTurn({ session: task.session, turnId: null });
    const turn = await bench.begin(task.session, "and?");
    await bench.store.parkTurn({ turn: refOf(turn), parking: { reason: "harness", model: "claude", until: 1, ahead: 0 } });
    bench.clock.advance(60_000);
    await bench.claim();
    assert.equal((await bench.store.task(task.taskId))!.state, "timed_out");
  });

  promise("a turn of a coding agent is stopped by its handle from the conversation that is bound to it", async (bench) => {
    const agent = await bench.store.openHarnessSession({ agent: "claude", parent: ANN, cwd: null, label: null });
    await bench.store.bind({ conversation: ANN, target: agent });
    const turn = await bench.begin(ANN, "analyse");
    assert.equal(turn.session, agent);
    assert.deepEqual((await bench.store.cancelTurn({ session: ANN, handle: turn.handle, by: "you" }))!.turns, [turn.turnId]);
    assert.equal(await bench.store.cancelTurn({ session: ANN, handle: turn.handle, by: "you" }), null);
  });

  promise("nobody waits, so nothing is promoted, however long a turn takes", async (bench) => {
    await bench.begin(ANN, "analyse");
    bench.clock.advance(3_600_000);
    assert.deepEqual((await bench.claim()).promoted, []);
  });

  promise("a promotion never waits for a slot of the side pool", async (bench) => {
    await bench.rules({ pools: { side: 1, main: 8 }, foregroundMs: 0 });
    const slow = [];
    for (const session of [ANN, BOB, MAIN]) slow.push(await bench.begin(session, "slow"));
    for (const { session } of slow) assert.equal((await bench.store.promoteTurn({ session, turnId: null })).outcome, "promoted");
    const { pools } = await bench.store.lanes({ meanTurnMs: MEAN });
    assert.deepEqual(pools.filter((pool) => pool.name !== "acp" && pool.name !== "timer").map((pool) => [pool.name, pool.used]), [["main", 0], ["side", 3], ["subagent", 0]]);
    assert.equal((await bench.store.promoteTurn({ session: ANN, turnId: null })).outcome, "already-side");
    assert.equal((await bench.store.promoteTurn({ session: "agent:main:api:direct:nobody" as typeof ANN, turnId: null })).outcome, "nothing-runs");
  });

  promise("mode parallel starts independent messages beside the lane, at most sideTurnsMax of them; the next gets the lane, and one more waits", async (bench) => {
    await bench.rules({ sideTurnsMax: 2 });
    await bench.begin(ANN, "first");
    for (const text of ["second", "third", "fourth", "fifth"]) await bench.accept(ANN, text, { mode: "parallel", independence: "independent" });
    const started = [...(await bench.started()), ...(await bench.started())];
    assert.deepEqual(started.map((turn) => [turn.track, turn.messages[0]!.text]), [["side", "second"], ["side", "third"], ["main", "fourth"]]);
    assert.deepEqual(bench.eventsOf(ANN, "turn.promoted").map(({ data }) => data["about"]), ["first"]);
    assert.deepEqual(await bench.started(), [], "no more than that");
    await bench.done(started[2]!);
    assert.equal((await bench.start()).messages[0]!.text, "fifth");
  });

  promise("what leans on an earlier message is not let in beside it because there is no other place", async (bench) => {
    await bench.rules({ sideTurnsMax: 1 });
    const first = await bench.begin(ANN, "first");
    await bench.accept(ANN, "second", { mode: "parallel", independence: "independent" });
    const second = await bench.start();
    await bench.accept(ANN, "wait, make that third", { mode: "parallel" });
    await bench.accept(ANN, "fourth", { mode: "parallel", independence: "independent" });
    assert.deepEqual(await bench.started(), []);
    await bench.done(second);
    assert.equal((await bench.start()).messages[0]!.text, "fourth");
    await bench.done(first);
  });

  promise("mode background starts beside the lane also when the lane is free, and leaves it free", async (bench) => {
    await bench.accept(ANN, "in the back", { mode: "background" });
    await bench.accept(ANN, "in front", { mode: "followup" });
    const started = await bench.started();
    assert.deepEqual(started.map((turn) => turn.track).toSorted(), ["main", "side"]);
    for (const turn of started) await bench.done(turn);
    assert.equal(bench.replies(ANN).length, 2);
  });

  promise("a turn beside the lane is left out of the context of others until it is over", async (bench) => {
    await bench.begin(ANN, "main work");
    await bench.accept(ANN, "beside", { mode: "parallel", independence: "independent" });
    const side = await bench.start();
    assert.equal(side.omit.length, 1);
    assert.deepEqual(side.besides.map((beside) => beside.about), ["main work"]);
  });

  // ── children ──────────────────────────────────────────────────────────────────────────────

  promise("a child's end and the message to its parent are one step, and the parent is told once", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "solar");
    await bench.done(parent, "started");
    const child = await bench.start();
    assert.deepEqual([child.session, child.pool, child.sessionInfo.depth], [task.session, "subagent", 1]);
    await bench.done(child, "the sun is hot");
    assert.deepEqual([(await bench.store.task(task.taskId))!.state, (await bench.store.task(task.taskId))!.result], ["succeeded", "the sun is hot"]);
    const digest = await bench.start();
    assert.equal(digest.session, ANN);
    assert.match(digest.messages[0]!.text, /"solar" succeeded[\s\S]*> the sun is hot/);
    await bench.done(digest);
    assert.deepEqual(await bench.drain(), [], "never again");
    assert.equal(bench.eventsOf(ANN, "task.delivered").length, 1);
  });

  promise("a result with a callback is on its way out with the end of its child, under one id, and is told as delivered once", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "solar", { delivery: "webhook", callback: "https://example.org/hook" });
    await bench.done(parent);
    assert.deepEqual((await bench.store.claimDeliveries({ limit: 9 })).claimed, [], "not before its end");
    await bench.done(await bench.start(), "the sun is hot");
    assert.deepEqual(await bench.drain(), [], "the parent has no turn for it");
    const [first] = (await bench.store.claimDeliveries({ limit: 9 })).claimed;
    assert.deepEqual([first!.delivery.url, taskOf(first!).result, first!.delivery.attempts], ["https://example.org/hook", "the sun is hot", 1]);
    assert.deepEqual((await bench.store.claimDeliveries({ limit: 9 })).claimed, [], "it is on its way");
    const id = first!.delivery.deliveryId;
    assert.equal(await bench.store.settleDelivery({ id, attempt: 1, end: { outcome: "later", afterMs: 1000, httpStatus: 500, problem: "500", inDoubt: false } }), true);
    assert.deepEqual(await bench.store.claimDeliveries({ limit: 9 }), { claimed: [], nextAt: bench.clock.now() + 1000 });
    bench.clock.advance(1000);
    assert.equal((await bench.store.claimDeliveries({ limit: 9 })).claimed[0]!.delivery.deliveryId, id);
    await bench.crash();
    assert.equal(await bench.store.recoverDeliveries(), 1);
    const [third] = (await bench.store.claimDeliveries({ limit: 9 })).claimed;
    assert.equal(await bench.store.settleDelivery({ id, attempt: 2, end: { outcome: "delivered", httpStatus: 200 } }), false, "an attempt of before the crash says nothing any more");
    assert.deepEqual([third!.delivery.deliveryId, third!.delivery.attempts], [id, 3]);
    assert.equal(await bench.store.settleDelivery({ id, attempt: 3, end: { outcome: "delivered", httpStatus: 200 } }), true);
    assert.deepEqual(bench.eventsOf(ANN, "task.delivered").map(({ data }) => data), [{ by: "webhook", deliveryId: id, attempts: 3 }]);
    await assert.rejects(bench.store.retryDelivery(id), fault("DELIVERY_NOT_OVER"));
    assert.equal(await bench.store.recoverDeliveries(), 0);
    assert.notEqual((await bench.store.task(task.taskId))!.deliveredAt, null);
  });

  promise("a result is told in the same words at every attempt, also when its parent's session is deleted in between", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    await bench.spawn(parent, "solar", { delivery: "webhook", callback: "https://example.org/hook" });
    await bench.done(parent);
    await bench.done(await bench.start(), "the sun is hot");
    const first = (await bench.store.claimDeliveries({ limit: 1 })).claimed[0]!;
    await bench.store.deleteSession({ key: ANN, by: "you" });
    assert.equal(await bench.store.recoverDeliveries(), 1);
    const second = (await bench.store.claimDeliveries({ limit: 1 })).claimed[0]!;
    assert.equal(taskOf(first).parentSession, ANN);
    assert.deepEqual(taskOf(second), taskOf(first));
  });

  promise("a result that may have arrived before the gateway died is given up as unknown, never as rejected", async (bench) => {
    const spawned = { delivery: "webhook", callback: "https://example.org/hook" } as const;
    await bench.spawn(null, "sure", spawned);
    await bench.spawn(null, "unsure", spawned);
    await bench.drain();
    await bench.store.claimDeliveries({ limit: 1 });
    await bench.crash();
    assert.equal(await bench.store.recoverDeliveries(), 1);
    const { claimed } = await bench.store.claimDeliveries({ limit: 9 });
    for (const { delivery } of claimed) await bench.store.settleDelivery({ id: delivery.deliveryId, attempt: delivery.attempts, end: { outcome: "given up", httpStatus: 503, problem: "503", inDoubt: false } });
    const { deliveries } = await bench.store.deliveries({ limit: 9 });
    assert.deepEqual(deliveries.map(({ state }) => state).toSorted(), ["rejected", "unknown"]);
    const unknown = deliveries.find(({ state }) => state === "unknown")!;
    assert.deepEqual(await bench.store.retryDelivery(unknown.deliveryId), { ...unknown, state: "prepared", attempts: 0, nextAt: bench.clock.now(), endedAt: null });
  });

  promise("what a claim took that was told it had failed is due again, and what is really on its way is left alone", async (bench) => {
    for (const label of ["one", "two"]) await bench.spawn(null, label, { delivery: "webhook", callback: "https://example.org/hook" });
    await bench.drain();
    const { claimed } = await bench.store.claimDeliveries({ limit: 2 });
    assert.equal(await bench.store.returnDeliveries({ except: [claimed[0]!.delivery.deliveryId] }), 1);
    const again = (await bench.store.claimDeliveries({ limit: 2 })).claimed.map(({ delivery }) => [delivery.deliveryId, delivery.attempts]);
    assert.deepEqual(again, [[claimed[1]!.delivery.deliveryId, 1]]);
  });

  promise("a receiver that refuses what it may have taken before did not refuse it for sure, and that is what is said", async (bench) => {
    await bench.spawn(null, "child", { delivery: "webhook", callback: "https://example.org/hook" });
    await bench.drain();
    const attempt = async (end: AttemptEnd): Promise<void> => {
      const { delivery } = (await bench.store.claimDeliveries({ limit: 1 })).claimed[0]!;
      await bench.store.settleDelivery({ id: delivery.deliveryId, attempt: delivery.attempts, end });
    };
    await attempt({ outcome: "later", afterMs: 0, httpStatus: null, problem: "the connection was lost", inDoubt: true });
    await attempt({ outcome: "rejected", httpStatus: 410, problem: "the receiver answered 410" });
    assert.deepEqual((await bench.store.deliveries({ limit: 9 })).deliveries.map(({ state }) => state), ["unknown"]);
  });

  promise("a cancelled child's callback hears of it, also when its whole tree is stopped", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "solar", { delivery: "webhook", callback: "https://example.org/hook" });
    await bench.done(parent);
    await bench.start();
    await bench.store.cancelSession({ key: ANN, by: "a person", tree: true, queue: true });
    const { claimed } = await bench.store.claimDeliveries({ limit: 9 });
    assert.deepEqual(claimed.map((one) => [taskOf(one).taskId, taskOf(one).state]), [[task.taskId, "cancelled"]]);
  });

  promise("a parent that waits for a child gets its result whatever its delivery says, so a barrier cannot hang", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    for (const delivery of ["notify", "board"] as const) await bench.spawn(parent, delivery, { delivery });
    await bench.yielded(parent);
    for (const child of await bench.started()) await bench.done(child, `result of ${child.sessionInfo.label}`);
    const digest = await bench.start();
    assert.match(digest.messages[0]!.text, /> result of notify[\s\S]*> result of board/);
    await bench.done(digest);
  });

  promise("a batch is admitted whole or not at all, and is one flow", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const spawn = { task: "t", label: null, parent: ANN, turnId: null, agent: "main", kind: "subagent", model: null, context: "isolated", cwd: null, deadlineSeconds: null, delivery: "board", cleanup: "keep", claims: [], idempotencyKey: null } as const;
    const limits = { depthMax: 1, childrenMax: 5 };
    await assert.rejects(bench.store.admitSpawns({ spawns: [spawn, { ...spawn, parent: "agent:main:nobody" as typeof ANN }], limits }), fault("SESSION_NOT_FOUND"));
    assert.deepEqual((await bench.store.tasks({ limit: 9 })).tasks, []);
    const admitted = await bench.store.admitSpawns({ spawns: [spawn, spawn, spawn], limits });
    assert.equal(new Set(admitted.map(({ task }) => `${task.flowId} ${task.batch}`)).size, 1);
    const { tasks, groups } = await bench.store.tasks({ batch: admitted[0]!.task.batch!, group: "state", limit: 9 });
    assert.deepEqual([tasks.length, groups], [3, [{ value: "queued", count: 3 }]]);
    await bench.done(parent);
    await bench.drain();
  });

  promise("people's conversations that nobody uses are put away, an agent's main one never, and a message brings one back", async (bench) => {
    for (const session of [ANN, BOB, MAIN]) await bench.accept(session, "hi");
    await bench.drain();
    bench.clock.advance(10_000);
    await bench.accept(BOB, "again");
    await bench.drain();
    assert.equal(await bench.store.archiveIdle({ childrenEndedBefore: null, unusedSince: bench.clock.now() - 5_000, limit: 10 }), 1);
    assert.deepEqual((await bench.store.sessions({ archived: true, limit: 10 })).rows.map(({ key }) => key), [ANN]);
    await bench.accept(ANN, "back");
    assert.equal((await bench.store.session(ANN))!.state, "queued");
    await bench.drain();
  });

  promise("a result that is asked for is in the transcript and wakes nobody; one that is not comes as a digest", async (bench) => {
    await bench.rules({ gatherMs: 1000 });
    const parent = await bench.begin(ANN, "delegate");
    const asked = await bench.spawn(parent, "asked");
    const told = await bench.spawn(parent, "told");
    await bench.done(parent, "started");
    for (const child of await bench.started()) await bench.done(child, "hot");
    assert.deepEqual(await bench.store.takeResults({ session: ANN, tasks: [asked.taskId] }), [asked.taskId]);
    assert.deepEqual(await bench.store.takeResults({ session: ANN, tasks: [asked.taskId] }), [], "once");
    bench.clock.advance(1000);
    const digest = await bench.start();
    assert.match(digest.messages[0]!.text, /"told" succeeded/);
    assert.doesNotMatch(digest.messages[0]!.text, /"asked"/);
    assert.deepEqual(await bench.store.takeResults({ session: ANN, tasks: null }), [], "what a turn has is not taken from it");
    await bench.done(digest);
    assert.deepEqual(await bench.drain(), [], "never again");
    assert.deepEqual(bench.eventsOf(ANN, "task.delivered").map(({ taskId }) => taskId), [asked.taskId, told.taskId]);
    assert.deepEqual(await bench.store.checkIntegrity(), []);
  });

  promise("a spawn with the same key is the same child, so a repeated tool call makes no second one", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const first = await bench.spawn(parent, "solar", { idempotencyKey: "k" });
    const again = await bench.spawn(parent, "solar", { idempotencyKey: "k" });
    assert.equal(again.taskId, first.taskId);
    await bench.done(parent);
    await bench.drain();
  });

  promise("children over the cap wait in line and start as their siblings end, in the order of their spawns", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    for (let n = 0; n < 4; n++) await bench.spawn(parent, `c${n}`, { childrenMax: 2 });
    await bench.done(parent);
    const first = await bench.started();
    assert.deepEqual(first.map((turn) => turn.sessionInfo.label), ["c0", "c1"]);
    const { lanes } = await bench.store.lanes({ meanTurnMs: MEAN });
    assert.equal(lanes.filter((lane) => lane.why === "siblings").length, 2);
    await bench.done(first[1]!);
    assert.deepEqual((await bench.started()).map((turn) => turn.sessionInfo.label).filter((label) => label !== null), ["c2"]);
  });

  promise("children that finish within gatherMs come as one digest, not as one turn each", async (bench) => {
    await bench.rules({ gatherMs: 1000 });
    const parent = await bench.begin(ANN, "delegate");
    for (const label of ["a", "b", "c"]) await bench.spawn(parent, label);
    await bench.done(parent);
    const children = await bench.started();
    await bench.done(children[0]!);
    bench.clock.advance(400);
    await bench.done(children[1]!);
    bench.clock.advance(600);
    const digest = await bench.start();
    assert.match(digest.messages[0]!.text, /results of 2 background tasks[\s\S]*\[still running: "c"\]/);
    await bench.done(digest);
    await bench.done(children[2]!);
    bench.clock.advance(1000);
    assert.match((await bench.start()).messages[0]!.text, /result of a background task[\s\S]*"c" succeeded/);
  });

  promise("a turn that yields gives its slot back, so one slot carries a tree of any depth", async (bench) => {
    await bench.rules({ pools: { main: 1, subagent: 1 } });
    const { messageId } = await bench.accept(ANN, "deep");
    let turn = await bench.start();
    const waiting = [];
    for (let depth = 1; depth <= 4; depth++) {
      await bench.spawn(turn, `level ${depth}`);
      await bench.yielded(turn);
      waiting.push(turn);
      turn = await bench.start();
      assert.equal(turn.sessionInfo.depth, depth);
    }
    await bench.done(turn, "bottom");
    const ran = await bench.drain((each) => `up from ${each.sessionInfo.depth}`);
    assert.deepEqual(ran.map((each) => each.sessionInfo.depth), [3, 2, 1, 0]);
    assert.deepEqual(bench.replies(ANN).map((reply) => [reply.text, reply.replyTo.includes(messageId)]), [["up from 0", true]]);
  });

  for (const { waitFor, wakesAfter } of [{ waitFor: "all", wakesAfter: 3 }, { waitFor: "any", wakesAfter: 1 }, { waitFor: 2, wakesAfter: 2 }] as const) {
    promise(`yield until ${waitFor} wakes the parent after ${wakesAfter} of 3 children, and the answer goes to the person's own message`, async (bench) => {
      const { messageId } = await bench.accept(ANN, "delegate");
      const parent = await bench.start();
      for (const label of ["a", "b", "c"]) await bench.spawn(parent, label);
      await bench.yielded(parent, { waitFor });
      assert.equal(bench.replies(ANN).length, 0);
      const children = [...(await bench.started())];
      for (let ended = 1; ended <= wakesAfter; ended++) {
        assert.equal((await bench.store.session(ANN))!.waitingMessages, 0);
        await bench.done(children.shift()!);
      }
      const digest = await bench.start();
      assert.equal(digest.session, ANN);
      await bench.done(digest, "summary");
      assert.ok(bench.replies(ANN)[0]!.replyTo.includes(messageId));
      for (const child of children) await bench.done(child);
      await bench.drain();
    });
  }

  promise("results wait for the turn that asked for them while it works beside its conversation, so no other turn answers in its place", async (bench) => {
    const { messageId } = await bench.accept(ANN, "delegate");
    const asker = await bench.start();
    await bench.spawn(asker, "a");
    const child = await bench.start();
    await bench.store.promoteTurn({ session: ANN, turnId: asker.turnId });
    await bench.done(child);
    bench.clock.advance(5_000);
    assert.deepEqual(await bench.started(), []);
    await bench.accept(ANN, "quick question");
    await bench.done(await bench.start(), "quick answer");
    await bench.yielded(asker);
    const digest = await bench.start();
    assert.match(digest.messages[0]!.text, /"a" succeeded/);
    await bench.done(digest, "summary");
    assert.ok(bench.replies(ANN).at(-1)!.replyTo.includes(messageId));
  });

  promise("results that came while their asker worked beside the conversation wake a turn when it ends without them", async (bench) => {
    await bench.accept(ANN, "delegate");
    const asker = await bench.start();
    await bench.spawn(asker, "a");
    const child = await bench.start();
    await bench.store.promoteTurn({ session: ANN, turnId: asker.turnId });
    await bench.done(child);
    await bench.done(asker, "started");
    bench.clock.advance(5_000);
    assert.match((await bench.start()).messages[0]!.text, /"a" succeeded/);
  });

  promise("yield with nothing to wait for says so, so no session waits for nothing", async (bench) => {
    const turn = await bench.begin(ANN, "hi");
    assert.deepEqual(await bench.openBarrier(turn), { outcome: "nothing-to-wait-for" });
    await bench.done(turn);
  });

  promise("a yield whose time is over wakes the parent and names what still runs", async (bench) => {
    const { messageId } = await bench.accept(ANN, "delegate");
    const parent = await bench.start();
    await bench.spawn(parent, "slow");
    await bench.yielded(parent, { timeoutMs: 5_000 });
    const child = await bench.start();
    bench.clock.advance(5_000);
    const woken = await bench.start();
    assert.match(woken.messages[0]!.text, /the time to wait is over; still running: "slow"/);
    await bench.done(woken, "later");
    assert.ok(bench.replies(ANN)[0]!.replyTo.includes(messageId));
    await bench.done(child);
    assert.match((await bench.start()).messages[0]!.text, /"slow" succeeded/);
  });

  promise("two turns that wait for the same children are both woken, and each answers its own message", async (bench) => {
    const first = await bench.accept(ANN, "research solar");
    const one = await bench.start();
    await bench.spawn(one, "solar");
    await bench.yielded(one);
    const second = await bench.accept(ANN, "and wind");
    const started = await bench.started();
    const two = started.find((turn) => turn.session === ANN)!;
    await bench.spawn(two, "wind");
    await bench.yielded(two);
    await bench.done(await bench.start(), "wind first");
    await bench.done(started.find((turn) => turn.session !== ANN)!, "then sun");
    await bench.drain();
    const answeredBy = (id: string) => bench.replies(ANN).filter((reply) => reply.replyTo.includes(id)).length;
    assert.deepEqual([answeredBy(first.messageId), answeredBy(second.messageId)], [1, 1]);
  });

  promise("a result that was released for one turn is not taken back by a later yield", async (bench) => {
    const first = await bench.accept(ANN, "research solar");
    const one = await bench.start();
    await bench.spawn(one, "solar");
    const second = await bench.accept(ANN, "and wind", { mode: "followup" });
    await bench.yielded(one);
    const started = await bench.started();
    const two = started.find((turn) => turn.session === ANN)!;
    await bench.done(started.find((turn) => turn.session !== ANN)!);
    await bench.spawn(two, "wind");
    await bench.yielded(two);
    await bench.drain();
    const answeredBy = (id: string) => bench.replies(ANN).filter((reply) => reply.replyTo.includes(id)).length;
    assert.deepEqual([answeredBy(first.messageId), answeredBy(second.messageId)], [1, 1]);
  });

  promise("a side turn whose children ended before it could yield still answers its message", async (bench) => {
    const { messageId } = await bench.accept(ANN, "delegate");
    const turn = await bench.start();
    await bench.spawn(turn, "quick");
    await bench.store.promoteTurn({ session: ANN, turnId: turn.turnId });
    const opened = await bench.openBarrier(turn);
    assert.ok(opened.outcome === "open");
    await bench.done(await bench.start(), "child");
    assert.deepEqual(await bench.started(), []);
    await bench.endAt(turn, opened.barrierId);
    await bench.drain();
    assert.equal(bench.replies(ANN).filter((reply) => reply.replyTo.includes(messageId)).length, 1);
  });

  promise("a child that yields to its own children goes on when they are done, and is not over before", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "middle");
    await bench.done(parent);
    const middle = await bench.start();
    await bench.spawn(middle, "leaf");
    await bench.yielded(middle);
    assert.equal((await bench.store.task(task.taskId))!.state, "waiting");
    await bench.done(await bench.start(), "leaf result");
    assert.equal((await bench.store.task(task.taskId))!.state, "waiting");
    await bench.done(await bench.start(), "middle result");
    assert.equal((await bench.store.task(task.taskId))!.result, "middle result");
    await bench.drain();
  });

  promise("a child without any output has failed, whatever its turn says", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "mute");
    await bench.done(parent);
    await bench.done(await bench.start(), "  ");
    const ended = (await bench.store.task(task.taskId))!;
    assert.deepEqual([ended.state, ended.fault!.code], ["failed", "CHILD_EMPTY"]);
    assert.match((await bench.start()).messages[0]!.text, /"mute" failed/);
  });

  promise("a child over its deadline has timed out, its turn is stopped, and its parent hears of it", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "slow", { deadlineSeconds: 10 });
    await bench.done(parent);
    const child = await bench.start();
    bench.clock.advance(10_000);
    const digest = await bench.start();
    assert.match(digest.messages[0]!.text, /"slow" timed out/);
    assert.equal((await bench.store.task(task.taskId))!.state, "timed_out");
    assert.deepEqual(bench.stopped, [child.turnId]);
    assert.equal(await bench.done(child, "too late"), false);
    await bench.done(digest);
  });

  promise("delivery notify tells the person without a turn of the parent", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    await bench.spawn(parent, "quiet", { delivery: "notify" });
    await bench.done(parent);
    await bench.done(await bench.start(), "result");
    assert.deepEqual(await bench.started(), []);
    assert.equal(bench.eventsOf(ANN, "notice").at(-1)!.data["code"], "TASK_ENDED");
  });

  promise("depth is limited, and a parent that is gone has no new children", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    await assert.rejects(bench.spawn(parent, "deep", { depthMax: 0 }), fault("SPAWN_TOO_DEEP"));
    const task = await bench.spawn(parent, "child");
    await bench.store.cancelTask({ task: task.taskId, by: "test" });
    await assert.rejects(bench.spawn(task.session, "grandchild"), fault("SPAWN_PARENT_GONE"));
    await assert.rejects(bench.accept(task.session, "hello?"), fault("SPAWN_PARENT_GONE"));
    await bench.done(parent);
  });

  promise("a forked child begins with what its parent's conversation holds", async (bench) => {
    await bench.done(await bench.begin(ANN, "my name is Ann"), "hello Ann");
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "fork", { context: "fork" });
    await bench.done(parent);
    const child = await bench.start();
    const context = await bench.store.context({ key: task.session, after: 0, upTo: child.sessionInfo.lastEntry });
    assert.deepEqual(context!.entries.map(({ content }) => content.role), ["user", "assistant"]);
    await bench.done(child);
    await bench.drain();
  });

  // ── stopping ──────────────────────────────────────────────────────────────────────────────

  promise("a cancelled child stays cancelled: its late result changes nothing and wakes nobody", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "victim");
    await bench.done(parent);
    const child = await bench.start();
    const { tasks, turns } = (await bench.store.cancelTask({ task: task.taskId, by: "you" }))!;
    assert.deepEqual([tasks, turns], [[task.taskId], [child.turnId]]);
    assert.equal(await bench.done(child, "late"), false);
    assert.deepEqual(await bench.drain(), []);
    assert.equal((await bench.store.task(task.taskId))!.state, "cancelled");
    assert.deepEqual((await bench.store.cancelTask({ task: task.taskId, by: "you" }))!.tasks, [], "a second cancel stops nothing");
    assert.match((await bench.transcript(ANN)).at(-1)!, /notice: background task "victim" .* was stopped/);
  });

  promise("a cancel reaches every depth, and waits for nobody's consent", async (bench) => {
    const { tasks, turn } = await threeDeep(bench);
    const cancelled = (await bench.store.cancelTask({ task: tasks[0]!.taskId, by: "you" }))!;
    assert.deepEqual(new Set(cancelled.tasks), new Set(tasks.map((task) => task.taskId)));
    assert.equal(await bench.done(turn, "late"), false);
    assert.deepEqual((await bench.drain()).map((each) => each.session), [ANN], "only the root hears of it");
    for (const task of tasks) assert.equal((await bench.store.task(task.taskId))!.state, "cancelled");
  });

  promise("cancel of a flow stops the whole tree, and a parent that waited for it goes on", async (bench) => {
    const { messageId } = await bench.accept(ANN, "delegate");
    const parent = await bench.start();
    const task = await bench.spawn(parent, "a");
    await bench.spawn(parent, "b");
    await bench.yielded(parent);
    await bench.started();
    const { flow } = (await bench.store.flow(task.flowId))!;
    assert.deepEqual([flow.tasks, flow.active], [2, 2]);
    assert.equal((await bench.store.cancelFlow({ flow: task.flowId, by: "you" }))!.tasks.length, 2);
    const woken = await bench.start();
    assert.match(woken.messages[0]!.text, /"b" was cancelled[\s\S]*"a" was cancelled/);
    await bench.done(woken);
    assert.ok(bench.replies(ANN)[0]!.replyTo.includes(messageId));
    assert.equal((await bench.store.flow(task.flowId))!.flow.state, "cancelled");
  });

  promise("cancel of a session with its tree leaves nothing that runs, waits, or is owed", async (bench) => {
    const { tasks } = await threeDeep(bench);
    await bench.accept(ANN, "in line", { mode: "followup" });
    const cancelled = (await bench.store.cancelSession({ key: ANN, by: "you", tree: true, queue: true }))!;
    assert.equal(cancelled.messages, 1);
    for (const task of tasks) assert.equal((await bench.store.task(task.taskId))!.state, "cancelled");
    assert.deepEqual(await bench.drain(), []);
    assert.equal((await bench.store.session(ANN))!.state, "idle");
    assert.deepEqual(await unfinished(bench), []);
  });

  promise("who waits for an answer that a stopped wait owed is told that none comes", async (bench) => {
    const { messageId } = await bench.accept(ANN, "delegate");
    const parent = await bench.start();
    await bench.spawn(parent, "child");
    await bench.yielded(parent);
    await bench.store.cancelSession({ key: ANN, by: "you", tree: true, queue: false });
    assert.deepEqual(bench.eventsOf(ANN, "message.cancelled").map((event) => event.data["messageIds"]), [[messageId]]);
    assert.deepEqual(await unfinished(bench), []);
  });

  promise("cancel of a session keeps what waits in line unless it is asked to take that too", async (bench) => {
    const turn = await bench.begin(ANN, "work");
    await bench.accept(ANN, "next", { mode: "followup" });
    await bench.store.cancelSession({ key: ANN, by: "you", tree: true, queue: false });
    assert.equal(await bench.done(turn), false);
    assert.equal((await bench.start()).messages[0]!.text, "next");
  });

  promise("one turn can be stopped by its handle, and the others go on", async (bench) => {
    const slow = await bench.begin(ANN, "slow");
    await bench.store.promoteTurn({ session: ANN, turnId: null });
    const quick = await bench.begin(ANN, "quick");
    assert.deepEqual((await bench.store.cancelTurn({ session: ANN, handle: "t1", by: "you" }))!.turns, [slow.turnId]);
    assert.equal(await bench.store.cancelTurn({ session: ANN, handle: "T99", by: "you" }), null);
    assert.equal(await bench.done(slow), false);
    assert.equal(await bench.done(quick), true);
  });

  promise("a child that fails takes its own children with it, and nothing waits for them for ever", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "middle");
    await bench.done(parent);
    const middle = await bench.start();
    const leaf = await bench.spawn(middle, "leaf");
    await bench.openBarrier(middle);
    await bench.failed(middle);
    assert.deepEqual([(await bench.store.task(task.taskId))!.state, (await bench.store.task(leaf.taskId))!.state], ["failed", "cancelled"]);
    await bench.drain();
  });

  promise("an ended child can be tried again, as a new task in the same flow", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "flaky");
    await bench.done(parent);
    await assert.rejects(bench.store.retryTask({ task: task.taskId, by: "you" }), fault("TASK_NOT_FINISHED"));
    await bench.failed(await bench.start());
    const again = (await bench.store.retryTask({ task: task.taskId, by: "you" }))!;
    assert.deepEqual([again.attempt, again.flowId, again.label], [2, task.flowId, "flaky"]);
    assert.notEqual(again.taskId, task.taskId);
    await bench.drain();
    assert.equal((await bench.store.task(again.taskId))!.state, "succeeded");
    assert.equal(await bench.store.retryTask({ task: "task_none" as typeof task.taskId, by: "you" }), null);
  });

  // ── sessions and reading ──────────────────────────────────────────────────────────────────

  promise("a reset clears the context and keeps the session, its children and its line", async (bench) => {
    const turn = await bench.begin(ANN, "remember 42");
    const task = await bench.spawn(turn, "child");
    await bench.done(turn);
    await bench.accept(ANN, "next", { mode: "followup" });
    await bench.store.resetSession({ key: ANN, by: "you" });
    const next = (await bench.started()).find((each) => each.session === ANN)!;
    const context = await bench.store.context({ key: ANN, after: 0, upTo: next.sessionInfo.lastEntry });
    assert.deepEqual(context!.entries, []);
    assert.equal(hasEnded((await bench.store.task(task.taskId))!.state), false);
    await bench.done(next);
  });

  promise("a turn comes with the end of its conversation as the context would tell it, when that is short", async (bench) => {
    const first = await bench.begin(ANN, "one");
    assert.deepEqual(first.recent, { summaryUpTo: 0, hasSummary: false, entries: [] });
    await bench.done(first, "1");
    const second = await bench.begin(ANN, "two");
    assert.deepEqual(second.recent!.entries, (await bench.store.context({ key: ANN, after: 0, upTo: 2 }))!.entries);
    await bench.done(second, "x".repeat(100_000));
    const third = await bench.begin(ANN, "three");
    assert.equal(third.recent, null, "too long");
    await bench.done(third, "3");
    await bench.store.resetSession({ key: ANN, by: "you" });
    const fourth = await bench.begin(ANN, "four");
    assert.deepEqual(fourth.recent, { summaryUpTo: 7, hasSummary: false, entries: [] }, "cleared");
    await bench.done(fourth);
  });

  promise("a summary replaces older entries in the context, and the transcript keeps them", async (bench) => {
    await bench.done(await bench.begin(ANN, "one"), "1");
    const turn = await bench.begin(ANN, "two");
    await bench.store.journal({ turn: refOf(turn), writes: [{ intent: { key: "compaction:2", kind: "compaction", name: "m", effect: "pure", input: null } }, { result: { key: "compaction:2", value: { kind: "compaction", summary: "they counted", upTo: 2, usage: { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, reasoning: 0, calls: 1, costMicros: 0 } } } }], events: [] });
    const context = (await bench.store.context({ key: ANN, after: 0, upTo: 100 }))!;
    assert.deepEqual([context.summary, context.summaryUpTo, context.entries.map((entry) => entry.seq)], ["they counted", 2, [3]]);
    await bench.done(turn);
    assert.equal((await bench.transcript(ANN)).length, 4);
  });

  promise("a deleted session is gone with everything it said, and what it ran is stopped", async (bench) => {
    const { tasks } = await threeDeep(bench);
    await bench.store.deleteSession({ key: ANN, by: "you" });
    assert.equal(await bench.store.session(ANN), null);
    assert.equal(await bench.store.history({ key: ANN, limit: 10 }), null);
    for (const task of tasks) assert.equal((await bench.store.task(task.taskId))!.state, "cancelled");
    assert.deepEqual(await bench.drain(), []);
    await bench.done(await bench.begin(ANN, "anew"), "hello");
    assert.deepEqual((await bench.store.history({ key: ANN, after: 0, limit: 10 }))!.entries.map((entry) => entry.seq), [1, 2]);
    bench.events.length = 0;
  });

  promise("a child that is deleted while it runs is cancelled first", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "child");
    await bench.done(parent);
    const child = await bench.start();
    await bench.store.deleteSession({ key: task.session, by: "you" });
    assert.equal(await bench.done(child), false);
    assert.equal((await bench.store.task(task.taskId))!.state, "cancelled");
    await bench.drain();
  });

  promise("sessions of children that ended some time ago are put away and still readable", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const task = await bench.spawn(parent, "child");
    await bench.done(parent);
    await bench.drain();
    bench.clock.advance(60_000);
    assert.equal(await bench.store.archiveIdle({ childrenEndedBefore: bench.clock.now(), unusedSince: null, limit: 10 }), 1);
    assert.equal(await bench.store.archiveIdle({ childrenEndedBefore: bench.clock.now(), unusedSince: null, limit: 10 }), 0);
    assert.deepEqual((await bench.store.sessions({ archived: true, limit: 10 })).rows.map((row) => row.key), [task.session]);
    assert.equal((await bench.transcript(task.session)).length, 2);
  });

  promise("a child that was spawned to be deleted is gone once its result is delivered; the result stays", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const spent = await bench.spawn(parent, "child", { cleanup: "delete" });
    const kept = await bench.spawn(parent, "other");
    await bench.done(parent);
    assert.equal(await bench.store.removeSpent({ limit: 10 }), 0, "it has not ended");
    await bench.drain();
    assert.equal(await bench.store.removeSpent({ limit: 10 }), 1);
    assert.equal(await bench.store.session(spent.session), null);
    assert.notEqual(await bench.store.session(kept.session), null);
    assert.equal((await bench.store.task(spent.taskId))!.state, "succeeded");
  });

  promise("listings page through everything once", async (bench) => {
    for (let n = 0; n < 7; n++) {
      await bench.accept(`agent:main:api:direct:p${n}` as typeof ANN, "hi");
      bench.clock.advance(n % 2);
    }
    const keys: string[] = [];
    for (let after: string | undefined; ; ) {
      const page = await bench.store.sessions({ limit: 3, ...(after === undefined ? {} : { after }) });
      keys.push(...page.rows.map((row) => row.key));
      if (page.next === null) break;
      after = page.next;
    }
    assert.deepEqual([keys.length, new Set(keys).size], [7, 7]);
    const log = await bench.store.events({ session: null, after: 0, limit: 1000 });
    assert.deepEqual((await bench.store.events({ session: null, after: log[4]!.cursor, limit: 3 })).map((event) => event.cursor), log.slice(5, 8).map((event) => event.cursor));
    await bench.drain();
  });

  promise("what listeners were told and what the log holds are the same events in the same order", async (bench) => {
    const { tasks } = await threeDeep(bench);
    await bench.store.cancelTask({ task: tasks[0]!.taskId, by: "you" });
    await bench.drain();
    const log = await bench.store.events({ session: null, after: 0, limit: 10_000 });
    assert.deepEqual(bench.events.map((event) => ({ ...event, data: structuredClone(event.data) })), log);
    assert.equal(await bench.store.lastCursor(), log.at(-1)!.cursor);
  });

  promise("events that are older than they are kept go from the front, and the store says up to where", async (bench) => {
    await bench.accept(ANN, "old");
    await bench.drain();
    const { lastSeq } = (await bench.store.session(ANN))!;
    bench.clock.advance(1_000);
    await bench.accept(ANN, "young");
    const keep = { eventsAfter: bench.clock.now(), archivedAfter: 0, resultsAfter: 0, messagesAfter: 0 };
    for (let place: SweepPlace | null = null, isOver = false; !isOver; isOver = place === null) place = (await bench.store.sweep({ keep, place, rowsMax: 3 })).next;
    assert.equal(await bench.store.forgottenEvents(ANN), lastSeq);
    assert.equal((await bench.store.events({ session: ANN, after: 0, limit: 10 }))[0]!.seq, lastSeq + 1);
    assert.deepEqual(await bench.store.checkIntegrity(), []);
    await bench.drain();
  });

  promise("a token is found by its fingerprint, counts what is used with it, stays revoked over a crash, and goes with its session", async (bench) => {
    await bench.accept(ANN, "hi");
    const { store } = bench;
    const token = { id: "tok_1", hash: "h1", scope: "proxy", label: "l", session: ANN, expiresAt: null } as const;
    await store.addAccessToken(token);
    await assert.rejects(store.addAccessToken({ ...token, id: "tok_2", hash: "h2", session: BOB }), { code: "SESSION_NOT_FOUND" });
    const before = (await store.session(ANN))!.usage;
    await store.chargeAccessToken({ id: "tok_1", model: "p/m", usage: { ...NO_USAGE, input: 5, calls: 1 } });
    await store.chargeAccessToken({ id: "tok_none", model: "p/m", usage: { ...NO_USAGE, calls: 1 } });
    assert.deepEqual([(await store.accessToken("h1"))!.usage.input, (await store.session(ANN))!.usage.input - before.input], [5, 5]);
    const { revokedAt } = (await store.revokeAccessToken("tok_1"))!;
    bench.clock.advance(10);
    await bench.crash();
    assert.deepEqual([(await bench.store.revokeAccessToken("tok_1"))!.revokedAt, (await bench.store.accessTokens({ limit: 9 })).length], [revokedAt, 1]);
    await bench.store.deleteSession({ key: ANN, by: "you" });
    assert.equal(await bench.store.accessToken("h1"), null);
  });

  promise("a child's token ends with the child, and one for the session tools is always a session's", async (bench) => {
    const parent = await bench.begin(ANN, "delegate");
    const { session } = await bench.spawn(parent, "harness");
    await bench.store.addAccessToken({ id: "tok_1", hash: "h1", scope: "mcp", label: null, session, expiresAt: null });
    await assert.rejects(bench.store.addAccessToken({ id: "tok_2", hash: "h2", scope: "mcp", label: null, session: null, expiresAt: null }));
    assert.equal((await bench.store.accessToken("h1"))!.session, session);
    await bench.done(parent);
    await bench.done(await bench.start());
    assert.equal(await bench.store.accessToken("h1"), null);
    await bench.drain();
  });

  promise("a summary counts only for the context that it was made of, so none is written twice or over a cleared conversation", async (bench) => {
    await bench.accept(ANN, "one");
    await bench.drain();
    const { createdAt } = (await bench.store.session(ANN))!;
    const summary = { key: ANN, createdAt, from: 0, upTo: 2, summary: "they met", usage: NO_USAGE, model: "p/m" };
    assert.equal(await bench.store.summariseSession({ ...summary, createdAt: createdAt - 1 }), false, "a namesake that was deleted");
    assert.equal(await bench.store.summariseSession(summary), true);
    assert.equal(await bench.store.summariseSession(summary), false);
    assert.deepEqual(await bench.store.context({ key: ANN, after: 0, upTo: 9 }), { summary: "they met", summaryUpTo: 2, entries: [] });
    await bench.store.resetSession({ key: ANN, by: "you" });
    assert.equal(await bench.store.summariseSession({ ...summary, from: 2, upTo: 4 }), false);
    assert.equal(bench.events.filter(({ type }) => type === "session.compacted").length, 1);
  });
  approvalContract(promise);

  promise("a harness's session is remembered under ours, changed in place, and gone with it", async (bench) => {
    await bench.accept(ANN, "hi");
    await bench.drain();
    const record = { session: ANN, harness: "h", acpId: "s1", cwd: "/w", mode: null, resumable: "load" as const, createdAt: 1, lastAt: 2, known: { upTo: 7, turns: ["trn_1" as TurnId] } };
    await bench.store.saveHarnessSession(record);
    const later = { ...record, acpId: "s2", lastAt: 3, known: { upTo: null, turns: [] } };
    await bench.store.saveHarnessSession(later);
    assert.deepEqual(await bench.store.harnessSession(ANN), later);
    assert.deepEqual((await bench.store.harnessSessions({ limit: 10 })).map(({ acpId }) => acpId), ["s2"]);
    await bench.store.deleteSession({ key: ANN, by: "ann" });
    assert.equal(await bench.store.harnessSession(ANN), null);
    await bench.store.saveHarnessSession(record);
    assert.equal(await bench.store.harnessSession(ANN), null, "a late save does not bring it back");
  });

  promise("processes are remembered until they are forgotten, so the next start can end them", async (bench) => {
    const process = { pid: 7, startTicks: "99", bootId: "b", marker: "m" };
    await bench.store.recordProcess(process);
    await bench.crash();
    assert.deepEqual(await bench.store.ownedProcesses(), [process]);
    await bench.store.forgetProcess("m");
    assert.deepEqual(await bench.store.ownedProcesses(), []);
  });

  // ── jobs ──────────────────────────────────────────────────────────────────────────────────

  promise("a moment of a job is fired once however often it is decided about, and its row and message are one", async (bench) => {
    const job = await addJob(bench);
    const now = bench.clock.now();
    const both = await Promise.all([fire(bench, job, now), fire(bench, job, now)]);
    assert.deepEqual(both.map((run) => run?.state), ["running", undefined]);
    const { store } = await reopened(bench);
    assert.equal(await fire(bench, job, now), null, "also after a crash");
    assert.equal((await store.jobRuns({ id: job.id, limit: 10 })).runs.length, 1);
    const turn = await bench.start();
    assert.deepEqual([turn.pool, turn.messages[0]!.provenance, turn.messages[0]!.text], ["timer", "timer", "go"]);
    await bench.done(turn);
    assert.deepEqual(await store.settleRuns({ ids: [both[0]!.id], rules: RUN_RULES }), []);
    const [run] = (await store.jobRuns({ id: job.id, limit: 1 })).runs;
    assert.deepEqual([run!.state, run!.result, run!.completedAt === null], ["ran", "done", false]);
  });

  promise("moments that passed get their rows with the next one, or none of it is written", async (bench) => {
    const job = await addJob(bench);
    const now = bench.clock.now();
    const passed = [1, 2, 3].map((n) => ({ scheduledFor: now + n, until: now + n, state: "missed" as const, reason: "late" }));
    await bench.store.fireJob({ jobId: job.id, expected: now, passed, run: null, next: { nextFor: now + 60_000, dueAt: now + 60_000 }, rules: RUN_RULES });
    assert.deepEqual((await bench.store.jobRuns({ id: job.id, limit: 10 })).runs.map((run) => run.state), ["missed", "missed", "missed"]);
    assert.equal(await bench.store.fireJob({ jobId: job.id, expected: now, passed: [{ ...passed[0]!, scheduledFor: now + 9, until: now + 9 }], run: null, next: null, rules: RUN_RULES }), null);
    assert.equal((await bench.store.jobRuns({ id: job.id, limit: 10 })).runs.length, 3);
  });

  promise("a job that was set back to a moment that has its row does not run it again", async (bench) => {
    const job = await addJob(bench);
    const now = bench.clock.now();
    await fire(bench, job, now);
    await bench.done(await bench.start());
    await bench.store.patchJob({ id: job.id, spec: { ...job.spec, schedule: { kind: "every", everyMs: 60_000 } }, state: "active", why: null, next: { nextFor: now, dueAt: now }, fingerprint: null });
    assert.equal(await fire(bench, job, now), null);
    assert.equal((await bench.store.jobRuns({ id: job.id, limit: 10 })).runs.length, 1);
    assert.deepEqual(await bench.started(), []);
  });

  promise("with overlap queue the second run waits for the first; with cancel it takes its place", async (bench) => {
    const queued = await addJob(bench, { name: "queued", overlap: "queue" });
    const now = bench.clock.now();
    const first = await fire(bench, queued, now);
    const second = await fire(bench, queued, now + 60_000);
    assert.deepEqual([first!.state, second!.state], ["running", "waiting"]);
    await bench.done(await bench.start());
    await bench.store.settleRuns({ ids: [first!.id], rules: RUN_RULES });
    await bench.done(await bench.start());
    await bench.store.settleRuns({ ids: [second!.id], rules: RUN_RULES });
    const cancelling = await addJob(bench, { name: "cancelling", overlap: "cancel" });
    await fire(bench, cancelling, bench.clock.now());
    await bench.start();
    await fire(bench, cancelling, bench.clock.now() + 60_000);
    assert.deepEqual((await bench.store.jobRuns({ id: cancelling.id, limit: 10 })).runs.map((run) => run.state), ["running", "superseded"]);
    await bench.done(await bench.start());
  });

  promise("a run whose failure may pass waits for its next attempt; when the attempts are used up it has failed", async (bench) => {
    const job = await addJob(bench);
    const run = (await fire(bench, job, bench.clock.now()))!;
    const passing = new Fault("PROVIDER_UNREACHABLE", { provider: "p", problem: "gone" }).toRecord();
    for (let attempt = 1; attempt <= RUN_RULES.retriesMax + 1; attempt++) {
      await bench.failed(await bench.start(), passing);
      await bench.store.settleRuns({ ids: [run.id], rules: RUN_RULES });
      bench.clock.advance(RUN_RULES.backoffMs * 2 ** attempt);
      for (const id of (await bench.store.dueJobs({ limit: 10 })).retries) await bench.store.launchRun({ id, rules: RUN_RULES });
    }
    const [over] = (await bench.store.jobRuns({ id: job.id, limit: 1 })).runs;
    assert.deepEqual([over!.state, over!.attempt, over!.fault!.code], ["failed", RUN_RULES.retriesMax + 1, "PROVIDER_UNREACHABLE"]);
    assert.deepEqual(await bench.started(), []);
  });

  promise("a next attempt that comes after the grace of its job is not begun, so that old work does not start by surprise", async (bench) => {
    const passing = new Fault("PROVIDER_UNREACHABLE", { provider: "p", problem: "gone" }).toRecord();
    for (const [name, misfire, state] of [["strict", { policy: "latest", graceMs: 60_000 }, "failed"], ["patient", { policy: "all", max: 1 }, "running"]] as const) {
      const run = (await fire(bench, await addJob(bench, { name, misfire }), bench.clock.now()))!;
      await bench.failed(await bench.start(), passing);
      await bench.store.settleRuns({ ids: [run.id], rules: RUN_RULES });
      bench.clock.advance(86_400_000);
      await bench.store.launchRun({ id: run.id, rules: RUN_RULES });
      const [after] = (await bench.store.jobRuns({ id: run.jobId, limit: 1 })).runs;
      assert.deepEqual([after!.state, after!.fault!.code], [state, "PROVIDER_UNREACHABLE"], after!.reason ?? "");
    }
    await bench.done(await bench.start());
  });

  promise("failures in a row raise one alert, the next not before the cool-down is over, and an answer ends the row", async (bench) => {
    const rules = { ...RUN_RULES, retriesMax: 0, alertAfter: 2, disableAfter: 0 };
    const job = await addJob(bench);
    const alerts = (): number => bench.events.filter((event) => event.type === "job.alert").length;
    const once = async (isGood: boolean): Promise<number> => {
      bench.clock.advance(1_000);
      const run = (await fire(bench, job, bench.clock.now(), { source: "manual", expected: null }))!;
      const turn = await bench.start();
      if (isGood) await bench.done(turn);
      else await bench.failed(turn, new Fault("PROVIDER_UNREACHABLE", { provider: "p", problem: "gone" }).toRecord());
      await bench.store.settleRuns({ ids: [run.id], rules });
      return alerts();
    };
    assert.deepEqual([await once(false), await once(false), await once(false)], [0, 1, 1]);
    bench.clock.advance(rules.alertCooldownMs);
    assert.deepEqual([await once(false), await once(true), await once(false)], [2, 2, 2]);
    bench.clock.advance(rules.alertCooldownMs);
    assert.equal(await once(false), 3, "two in a row again");
    assert.equal((await bench.store.job(job.id))!.state, "active", "errors that may pass switch nothing off");
  });

  promise("after the clock was set back, jobs of equal steps go on one step from now, never on a moment that has its row, and the others stay", async (bench) => {
    const now = bench.clock.now();
    const step = 60_000;
    const add = (name: string, schedule: Schedule, at: number) => bench.store.putJob({ spec: { ...JOB, name, schedule }, origin: "made", state: "active", next: { nextFor: at, dueAt: at }, fingerprint: null, jobsMax: 100 });
    await add("far", { kind: "every", everyMs: step }, now + 2 * 86_400_000 + 7);
    await add("on an old step", { kind: "every", everyMs: step }, now + 10 * step);
    await add("in time", { kind: "every", everyMs: step }, now + step);
    await add("nightly", { kind: "cron", expr: "0 3 * * *", tz: "UTC" }, now + 2 * 86_400_000);
    assert.equal(await bench.store.unstallJobs(), 2);
    const next = Object.fromEntries((await bench.store.jobs({ limit: 10 })).jobs.map((job) => [job.spec.name, job.nextFor! - now]));
    assert.deepEqual(next, { far: step, "on an old step": step + 1, "in time": step, nightly: 2 * 86_400_000 });
    assert.equal(await bench.store.unstallJobs(), 0, "asked again it changes nothing");
  });

  promise("the end of a task sets off each job that waits for it once, and no job that began to wait after it", async (bench) => {
    const waitFor = (name: string, label: string | null, since: number) => bench.store.putJob({ spec: { ...JOB, name, schedule: { kind: "task", label } }, origin: "made", state: "active", next: null, fingerprint: String(since), jobsMax: 100 });
    const task = await bench.spawn(null, "build");
    const any = await waitFor("any", null, bench.clock.now());
    const build = await waitFor("build", "build", bench.clock.now());
    await waitFor("other", "deploy", bench.clock.now());
    const names = async (one: TaskId | null, since = 0): Promise<string[]> => (await bench.store.jobsOfTasks({ task: one, since, limit: 10 })).map(({ job }) => job.spec.name).sort();
    assert.deepEqual(await names(null), [], "it has not ended");
    bench.clock.advance(10);
    await bench.done(await bench.start());
    assert.deepEqual([await names(task.taskId), await names(null)], [["any", "build"], ["any", "build"]]);
    assert.deepEqual(await names(null, bench.clock.now() + 1), [], "too long ago");
    await fire(bench, any, bench.clock.now(), { source: `task:${task.taskId}`, expected: null });
    await fire(bench, any, bench.clock.now(), { source: `task:${task.taskId}`, expected: null });
    assert.deepEqual([await names(task.taskId), (await bench.store.jobRuns({ id: any.id, limit: 10 })).runs.length], [["build"], 1]);
    await bench.store.patchJob({ id: build.id, spec: build.spec, state: "active", why: null, next: null, fingerprint: String(bench.clock.now() + 1) });
    assert.deepEqual(await names(null), [], "it began to wait afterwards");
  });

  promise("what built-in jobs did is kept once, the newest first, a thousand of each, and forgotten with the history of jobs", async (bench) => {
    const run = (task: string, n: number): UpkeepRun => ({ id: `run_${task}_${n}` as RunId, task, source: null, startedAt: n, endedAt: n + 1, result: `did ${n}`, fault: null });
    await bench.store.noteUpkeep(run("yard:other", 7));
    for (let n = 1; n <= UPKEEP_RUNS_MAX + 5; n++) await bench.store.noteUpkeep(run("yard:sweep", n));
    await bench.store.noteUpkeep(run("yard:sweep", UPKEEP_RUNS_MAX + 5));
    const first = await bench.store.upkeepRuns({ task: "yard:sweep", limit: UPKEEP_RUNS_MAX - 1 });
    assert.deepEqual(first.runs[0], run("yard:sweep", UPKEEP_RUNS_MAX + 5));
    const second = await bench.store.upkeepRuns({ task: "yard:sweep", after: first.next!, limit: 10 });
    assert.deepEqual([second.runs.map(({ startedAt }) => startedAt), second.next], [[6], null]);
    await bench.store.forgetRuns({ completedBefore: 1_000_000, limit: 10_000 });
    for (const task of ["yard:sweep", "yard:other"]) assert.deepEqual((await bench.store.upkeepRuns({ task, limit: 10 })).runs, []);
  });

  promise("removing a job stops what it runs and takes its sessions along", async (bench) => {
    const job = await addJob(bench);
    const run = (await fire(bench, job, bench.clock.now()))!;
    const turn = await bench.start();
    assert.equal(await bench.store.removeJob(job.id), true);
    assert.equal(await bench.done(turn), false);
    assert.deepEqual([await bench.store.session(run.session!), await bench.store.job(job.id), await bench.store.removeJob(job.id)], [null, null, false]);
  });
}

const RUN_RULES: RunRules = { meanTurnMs: 1000, retriesMax: 2, backoffMs: 1000, alertAfter: 3, alertCooldownMs: 60_000, disableAfter: 5 };

const JOB: JobSpec = {
  name: "job", agent: "main", schedule: { kind: "cron", expr: "* * * * *", tz: "UTC" }, payload: { kind: "agentTurn", message: "go", model: null }, target: { kind: "isolated" },
  misfire: { policy: "skip" }, overlap: "skip", staggerMs: 0, activeHours: null, delivery: { mode: "none" },
};

/** A job that is due now and does `go` in a session of its own. */
function addJob(bench: StoreBench, change: Partial<JobSpec> = {}): Promise<Job> {
  const now = bench.clock.now();
  return bench.store.putJob({ spec: { ...JOB, ...change }, origin: "made", state: "active", next: { nextFor: now, dueAt: now }, fingerprint: null, jobsMax: 10 });
}

function fire(bench: StoreBench, { id }: Job, at: number, { source = null, expected = at }: { source?: string | null; expected?: number | null } = {}): Promise<Run | null> {
  return bench.store.fireJob({
    jobId: id, expected, passed: [], run: { scheduledFor: at, source, plan: { kind: "message", text: "go", model: null }, queue: false }, next: { nextFor: at + 60_000, dueAt: at + 60_000 }, rules: RUN_RULES,
  });
}

async function reopened(bench: StoreBench): Promise<StoreBench> {
  await bench.crash();
  return bench;
}

/** Ann's turn yields to a child, which yields to a child, which yields to a child that runs. */
async function threeDeep(bench: StoreBench): Promise<{ tasks: Awaited<ReturnType<StoreBench["spawn"]>>[]; turn: Awaited<ReturnType<StoreBench["start"]>> }> {
  let turn = await bench.begin(ANN, "delegate");
  const tasks = [];
  for (let depth = 1; depth <= 3; depth++) {
    tasks.push(await bench.spawn(turn, `level ${depth}`));
    await bench.yielded(turn);
    turn = await bench.start();
  }
  return { tasks, turn };
}

/** Totals of messages and tasks that are in no final state. */
async function unfinished(bench: StoreBench): Promise<string[]> {
  const totals = await bench.store.totals();
  const open: TaskState[] = ["queued", "running", "waiting"];
  return Object.keys(totals).filter((name) => ["messages_waiting", "messages_held", "messages_taken", "turns_running", ...open.map((state) => `tasks_${state}`)].includes(name));
}

function assertNoGaps(bench: StoreBench): void {
  for (const [session, events] of Map.groupBy(bench.events, (event) => event.session)) {
    assert.deepEqual(events.map((event) => event.seq), events.map((_event, index) => index + 1), `events of ${session}`);
  }
}
