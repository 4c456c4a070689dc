/**
 * Random sequences of verbs, from one seed: whatever order things happen in, the store finds nothing
 * wrong with itself after any step, and when everything is let come to its end, everything has ended.
 *
 * `YARD_RANDOM_RUNS` sets how many sequences (300), `YARD_RANDOM_SEED` which.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { BarrierId, MessageId, SessionKey, TaskId, TurnId } from "../../base/ids.ts";
import type { YardEvent } from "../../model/event.ts";
import { Fault } from "../../model/faults.ts";
import type { MessageMode } from "../../model/lane.ts";
import { directSession } from "../../model/session.ts";
import type { StartedTurn } from "../../model/turn.ts";
import { answered, refOf, StoreBench } from "../store-bench.test-support.ts";
import { openInMemory } from "./bench.test-support.ts";

const RUNS = Number(process.env["YARD_RANDOM_RUNS"] ?? 300);
const SEED = Number(process.env["YARD_RANDOM_SEED"] ?? 20_261_121);
const STEPS_MAX = 60;
const REST_ROUNDS_MAX = 500;
const CLAIMS_AT_ONCE_MAX = 10;

const SESSIONS = ["ann", "bob", "cid"].map((peer) => directSession("main", "api", peer));
const MODES: readonly (MessageMode | null)[] = [null, "auto", "followup", "collect", "steer", "interrupt", "rollback", "reject", "parallel", "background"];

type Step =
  | { readonly do: "accept"; readonly who: number; readonly mode: MessageMode | null; readonly waitMs: number; readonly again: boolean }
  | { readonly do: "claim"; readonly most: number }
  | { readonly do: "advance"; readonly ms: number }
  | { readonly do: "journal" | "done" | "mute" | "fail" | "endYield" | "takeSteering" | "cancelTurn"; readonly turn: number }
  | { readonly do: "spawn"; readonly turn: number; readonly childrenMax: number; readonly deadlineSeconds: number | null; readonly delivery: "digest" | "notify"; readonly context: "isolated" | "fork" }
  | { readonly do: "delegate"; readonly turn: number; readonly children: number; readonly waitFor: "all" | "any" }
  | { readonly do: "openBarrier"; readonly turn: number; readonly waitFor: "all" | "any" | number; readonly timeoutMs: number | null }
  | { readonly do: "spawnFor" | "promote" | "steer" | "reset" | "delete"; readonly who: number }
  | { readonly do: "cancelSession"; readonly who: number; readonly tree: boolean; readonly queue: boolean }
  | { readonly do: "cancelTask" | "retry" | "steerChild" | "cancelFlow" | "promoteChild"; readonly task: number }
  | { readonly do: "recover" }
  | { readonly do: "resize"; readonly main: number; readonly side: number; readonly subagent: number };

const index = fc.nat({ max: 50 });
const who = fc.nat({ max: SESSIONS.length - 1 });
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant("accept" as const), who, mode: fc.constantFrom(...MODES), waitMs: fc.constantFrom(0, 0, 500, 5000), again: fc.boolean() }) },
  { weight: 14, arbitrary: fc.record({ do: fc.constant("claim" as const), most: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.constantFrom(1, 100, 1000, 2500, 11_000) }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constantFrom("done" as const, "done" as const, "done" as const, "mute" as const, "fail" as const, "journal" as const, "endYield" as const, "endYield" as const, "takeSteering" as const, "cancelTurn" as const), turn: index }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("spawn" as const), turn: index, childrenMax: fc.integer({ min: 1, max: 3 }), deadlineSeconds: fc.constantFrom(null, null, 1, 10), delivery: fc.constantFrom("digest" as const, "digest" as const, "notify" as const), context: fc.constantFrom("isolated" as const, "fork" as const) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("delegate" as const), turn: index, children: fc.integer({ min: 1, max: 3 }), waitFor: fc.constantFrom("all" as const, "any" as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("openBarrier" as const), turn: index, waitFor: fc.constantFrom("all" as const, "any" as const, 1, 2), timeoutMs: fc.constantFrom(null, null, 1000) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("spawnFor" as const, "promote" as const, "promote" as const, "steer" as const, "reset" as const, "delete" as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cancelSession" as const), who, tree: fc.boolean(), queue: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("cancelTask" as const, "retry" as const, "steerChild" as const, "cancelFlow" as const, "promoteChild" as const), task: index }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("recover" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("resize" as const), main: fc.integer({ min: 1, max: 4 }), side: fc.integer({ min: 1, max: 3 }), subagent: fc.integer({ min: 1, max: 3 }) }) },
);

class Walk {
  readonly bench: StoreBench;
  readonly #running = new Map<TurnId, StartedTurn>();
  readonly #barriers = new Map<TurnId, BarrierId>();
  readonly #tasks: TaskId[] = [];
  readonly accepted = new Set<MessageId>();
  #sources = 0;
  #keys = 0;

  constructor() {
    this.bench = new StoreBench(openInMemory());
    this.bench.store.onStopped((turns) => {
      for (const turn of turns) this.#running.delete(turn);
    });
  }

  async take(step: Step): Promise<void> {
    try {
      await this.#do(step);
    } catch (thrown) {
      // A refusal is an answer like any other; what must not be is a defect.
      if (!(thrown instanceof Fault)) throw thrown;
    }
    assert.deepEqual(await this.bench.store.checkIntegrity(), [], `after ${JSON.stringify(step)}`);
  }

  async #do(step: Step): Promise<void> {
    const { bench } = this;
    const { store } = bench;
    switch (step.do) {
      case "accept": {
        const sourceId = step.again ? `${this.#sources}` : `${++this.#sources}`;
        const { messageId } = await bench.accept(SESSIONS[step.who]!, "hello", { ...(step.mode === null ? {} : { mode: step.mode }), waitMs: step.waitMs, sourceId, independence: "independent" });
        this.accepted.add(messageId);
        return;
      }
      case "claim": {
        let claim = await bench.claim(step.most);
        for (let more = 0; more < CLAIMS_AT_ONCE_MAX; more++) {
          for (const turn of claim.started) this.#running.set(turn.turnId, turn);
          if (claim.more || claim.nextAt === null || claim.nextAt > bench.clock.now()) return;
          claim = await bench.claim();
        }
        return assert.fail("the claim asks to come back at once, again and again");
      }
      case "advance":
        bench.clock.advance(step.ms);
        return;
      case "spawnFor":
        this.#tasks.push((await bench.spawn(SESSIONS[step.who]!, "for")).taskId);
        return;
      case "promote":
        await store.promoteTurn({ session: SESSIONS[step.who]!, turnId: null });
        return;
      case "steer":
        this.accepted.add((await store.steerSession({ session: SESSIONS[step.who]!, text: "and this", provenance: "operator", channel: "steer" })).messageId);
        return;
      case "reset":
        await store.resetSession({ key: SESSIONS[step.who]!, by: "test" });
        return;
      case "delete":
        await store.deleteSession({ key: SESSIONS[step.who]!, by: "test" });
        return;
      case "cancelSession":
        await store.cancelSession({ key: SESSIONS[step.who]!, by: "test", tree: step.tree, queue: step.queue });
        return;
      case "recover": {
        const { turns } = await bench.crash();
        this.#running.clear();
        for (const turn of turns) this.#running.set(turn.turnId, turn);
        return;
      }
      case "resize":
        await bench.rules({ pools: { main: step.main, side: step.side, subagent: step.subagent } });
        return;
      case "cancelTask":
      case "retry":
      case "steerChild":
      case "promoteChild":
      case "cancelFlow":
        return this.#withTask(step.do, step.task);
      default: {
        const turns = [...this.#running.values()];
        const turn = turns[step.turn % Math.max(1, turns.length)];
        if (turn !== undefined) await this.#withTurn(step, turn);
      }
    }
  }

  async #withTask(what: "cancelTask" | "retry" | "steerChild" | "cancelFlow" | "promoteChild", number: number): Promise<void> {
    const { store } = this.bench;
    const id = this.#tasks[number % Math.max(1, this.#tasks.length)];
    const task = id === undefined ? null : await store.task(id);
    if (task === null) return;
    if (what === "cancelTask") await store.cancelTask({ task: task.taskId, by: "test" });
    else if (what === "cancelFlow") await store.cancelFlow({ flow: task.flowId, by: "test" });
    else if (what === "promoteChild") await store.promoteTurn({ session: task.session, turnId: null });
    else if (what === "retry") this.#tasks.push((await store.retryTask({ task: task.taskId, by: "test" }))!.taskId);
    else this.accepted.add((await store.steerSession({ session: task.session, text: "and this", provenance: "agent", channel: "steer" })).messageId);
  }

  async #withTurn(step: Extract<Step, { turn: number }>, turn: StartedTurn): Promise<void> {
    const { bench } = this;
    const waitsAt = this.#barriers.get(turn.turnId);
    switch (step.do) {
      case "journal":
        await bench.store.journal({ turn: refOf(turn), writes: [answered(1, [{ type: "text", text: "so far" }])], events: [] });
        return;
      case "takeSteering":
        await bench.store.takeSteering(refOf(turn));
        return;
      case "cancelTurn":
        await bench.store.cancelTurn({ session: turn.session, handle: turn.handle, by: "test" });
        return;
      case "spawn": {
        const { childrenMax, deadlineSeconds, delivery, context } = step;
        if (waitsAt === undefined) this.#tasks.push((await bench.spawn(turn, "child", { childrenMax, deadlineSeconds, delivery, context, depthMax: 3 })).taskId);
        return;
      }
      case "delegate": {
        if (waitsAt !== undefined) return;
        for (let child = 0; child < step.children; child++) this.#tasks.push((await bench.spawn(turn, `child ${child}`, { depthMax: 3 })).taskId);
        this.#barriers.set(turn.turnId, await bench.yielded(turn, { waitFor: step.waitFor, stepKey: `${turn.turnId}/${this.#keys++}` }));
        this.#running.delete(turn.turnId);
        return;
      }
      case "openBarrier": {
        if (waitsAt !== undefined) return;
        const opened = await bench.openBarrier(turn, { waitFor: step.waitFor, timeoutMs: step.timeoutMs, stepKey: `${turn.turnId}/${this.#keys++}` });
        if (opened.outcome !== "nothing-to-wait-for") this.#barriers.set(turn.turnId, opened.barrierId);
        return;
      }
      case "fail":
        await bench.failed(turn);
        this.#running.delete(turn.turnId);
        return;
      case "endYield":
        if (waitsAt !== undefined) await this.#end(turn);
        return;
      default:
        if (waitsAt === undefined) await this.#end(turn, step.do === "mute" ? "" : "done");
    }
  }

  /** A turn that opened a barrier ends at it, as every agent does. */
  async #end(turn: StartedTurn, text = "done"): Promise<void> {
    const barrier = this.#barriers.get(turn.turnId);
    await (barrier === undefined ? this.bench.done(turn, text) : this.bench.endAt(turn, barrier));
    this.#running.delete(turn.turnId);
  }

  /** Ends what runs and starts what waits, until nothing is left. */
  async rest(): Promise<void> {
    await this.bench.rules();
    for (let round = 0; round < REST_ROUNDS_MAX; round++) {
      for (const turn of this.#running.values()) await this.#end(turn);
      const { started, nextAt } = await this.bench.claim();
      for (const turn of started) this.#running.set(turn.turnId, turn);
      if (started.length > 0) continue;
      if (nextAt === null) return;
      this.bench.clock.advance(Math.max(1, nextAt - this.bench.clock.now()));
    }
    assert.fail("it never comes to rest");
  }

  async look(): Promise<void> {
    const { store, events } = this.bench;
    assert.deepEqual(await store.checkIntegrity(), []);
    const totals = await store.totals();
    const open = Object.entries(totals).filter(([name]) => /^(?:messages_(?:waiting|held|taken)|turns_running|tasks_(?:queued|running|waiting))$/.test(name));
    assert.deepEqual(open, [], "something never ended");
    const replies = new Map<string, number>();
    for (const event of events) if (event.type === "reply") for (const id of event.data["replyTo"] as string[]) replies.set(id, (replies.get(id) ?? 0) + 1);
    for (const [id, count] of replies) assert.equal(count, 1, `${id} has ${count} replies`);
    const isEnd = ({ type, data }: YardEvent): boolean => type === "message.cancelled" || (type === "turn.ended" && data["yielded"] !== true);
    const ends = new Set(events.flatMap((event) => (isEnd(event) ? (event.data["messageIds"] as string[]) : [])));
    for (const id of this.accepted) assert.ok(ends.has(id), `nobody was told what became of ${id}`);
  }
}

test(`${RUNS} random sequences of verbs leave nothing wrong after any step, and everything ended at their end`, { timeout: 600_000 }, async () => {
  const property = fc.asyncProperty(fc.array(stepArbitrary, { minLength: 5, maxLength: STEPS_MAX, size: "max" }), async (steps: readonly Step[]) => {
    const walk = new Walk();
    await walk.bench.rules({ gatherMs: 200, pools: { main: 2, side: 2, subagent: 2 } });
    for (const step of steps) await walk.take(step);
    await walk.rest();
    await walk.look();
    assert.deepEqual(gaps(walk.bench), []);
    await walk.bench.store.close();
  });
  await fc.assert(property, { numRuns: RUNS, seed: SEED });
});

/** Sessions whose event numbers have gaps; a session that was deleted and made anew counts from 1 again. */
function gaps(bench: StoreBench): SessionKey[] {
  const last = new Map<SessionKey, number>();
  return bench.events.flatMap(({ session, seq, type }) => {
    const fits = seq === (last.get(session) ?? 0) + 1 || (seq === 1 && type === "session.created");
    last.set(session, seq);
    return fits ? [] : [session];
  });
}
