/**
 * "A tree with a budget never spends more than it, by the provider's own count": random trees over the
 * real store and a provider that counts for itself.
 *
 * The provider is honest about its limits and about nothing else: a prompt counts anything up to the
 * bound, an answer anything up to what it was allowed. Calls run side by side; some fail, some are
 * lost in a crash after the provider had counted them; children spawn children with and without
 * budgets of their own, end early, are cancelled.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock.ts";
import { seededRandom, type FlowId, type TaskId } from "../../base/ids.ts";
import { NO_USAGE, type Usage } from "../../model/chat.ts";
import { Fault, type FaultCode } from "../../model/faults.ts";
import type { ScopeBudgets } from "../../model/budget.ts";
import type { StartedTurn } from "../../model/turn.ts";
import type { CallSpent, Store } from "../store.ts";
import { refOf, StoreBench } from "../store-bench.test-support.ts";
import { openStoreInProcess } from "./open-in-process.ts";

/** A few seconds' worth; `YARD_BUDGET_TREES=1000` is the long run. */
const TREES = Number(process.env["YARD_BUDGET_TREES"] ?? 200);
const STEPS = 40;
const LIMIT = 100_000;
const CALLS_AT_ONCE_MAX = 12;
const NO_SCOPES: ScopeBudgets = { session: {}, tree: {}, person: {}, day: {} };
/** Spawns that are refused as they should be: too large, too deep, from a turn or session that was stopped. */
const REFUSALS: readonly FaultCode[] = ["BUDGET_TOO_LARGE", "SPAWN_TOO_DEEP", "SPAWN_PARENT_GONE", "TURN_NOT_FOUND"];
const PRICE = { input: 3, output: 15, call: 0 };

interface OnItsWay {
  readonly hold: string;
  readonly inputMax: number;
  readonly outputMax: number;
}

/** What a caller is told when it asks for room; the sabotage grants everything. */
type Reserve = (store: Store, input: Parameters<Store["reserveCall"]>[0]) => ReturnType<Store["reserveCall"]>;
const honest: Reserve = (store, input) => store.reserveCall(input);

class Dice {
  readonly #random: (count: number) => Uint8Array;
  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }
  /** 0..below-1 */
  roll(below: number): number {
    const [a = 0, b = 0, c = 0] = this.#random(3);
    return (a * 65_536 + b * 256 + c) % below;
  }
  chance(part: number): boolean {
    return this.roll(1_000) < part * 1_000;
  }
}

/** Lets one tree live. @returns what the provider counted, in tokens and in millionths of a dollar. */
async function grow(bench: StoreBench, seed: number, reserve: Reserve): Promise<{ tokens: number; micros: number; root: TaskId }> {
  const dice = new Dice(seed);
  const counted = { tokens: 0, micros: 0 };
  const { store } = bench;
  const root = await bench.spawn(null, "root", { budget: { tokens: LIMIT, costMicros: 5 * LIMIT }, childrenMax: 100 });
  let turns: StartedTurn[] = [...(await bench.started())];
  let calls: OnItsWay[] = [];

  const answer = async (call: OnItsWay): Promise<Usage> => {
    const usage: Usage = { ...NO_USAGE, input: dice.roll(call.inputMax + 1), output: dice.roll(call.outputMax + 1), calls: 1 };
    counted.tokens += usage.input + usage.output;
    counted.micros += usage.input * PRICE.input + usage.output * PRICE.output;
    return { ...usage, costMicros: usage.input * PRICE.input + usage.output * PRICE.output };
  };
  const land = async (): Promise<void> => {
    const [call] = calls.splice(dice.roll(calls.length), 1);
    const usage = await answer(call!);
    // A connection that broke after the provider had counted: nobody here knows what it counted.
    const spent: CallSpent = dice.chance(0.2) ? "unknown" : usage;
    await store.settleCall({ hold: call!.hold, spent });
  };

  for (let step = 0; step < STEPS; step++) {
    const turn = turns[dice.roll(Math.max(1, turns.length))];
    const act = dice.roll(100);
    if (turn !== undefined && act < 45 && calls.length < CALLS_AT_ONCE_MAX) {
      const asked = { inputTokensMax: 1 + dice.roll(dice.chance(0.2) ? 60_000 : 6_000), outputTokensMax: 1 + dice.roll(16_000), outputTokensMin: 1, price: PRICE, isLast: dice.chance(0.2) };
      const grant = await reserve(store, { turn: refOf(turn), asked, scopes: NO_SCOPES });
      if (grant.outcome === "granted") calls.push({ hold: grant.hold, inputMax: asked.inputTokensMax, outputMax: grant.outputTokensMax });
    } else if (act < 65 && calls.length > 0) await land();
    else if (turn !== undefined && act < 85) {
      const own = dice.chance(0.5) ? { budget: { tokens: 1 + dice.roll(LIMIT / 2), ...(dice.chance(0.5) ? { costMicros: 1 + dice.roll(LIMIT) } : {}) } } : {};
      await bench.spawn(turn, "child", { childrenMax: 100, delivery: dice.chance(0.3) ? "notify" : "digest", ...own }).catch((cause: unknown) => assert.ok(cause instanceof Fault && REFUSALS.includes(cause.code), String(cause)));
      turns.push(...(await bench.started()));
    } else if (turn !== undefined && act < 92) {
      // Calls of a turn that ends are still on their way.
      await bench.done(turn, "done");
      turns = turns.filter((one) => one !== turn);
      turns.push(...(await bench.started()));
    } else if (turn?.sessionInfo.taskId && act < 95) {
      if (turn.sessionInfo.taskId !== root.taskId) await store.cancelTask({ task: turn.sessionInfo.taskId, by: "test" });
      turns.push(...(await bench.started()));
    } else if (act < 98) {
      // The process dies: the provider goes on to count what is on its way.
      for (const call of calls) await answer(call);
      calls = [];
      turns = [...(await store.recover()).turns];
    }
  }
  while (calls.length > 0) await land();
  await store.cancelFlow({ flow: root.flowId as FlowId, by: "test" });
  return { ...counted, root: root.taskId };
}

function opened(seed: number): StoreBench {
  const { store } = openStoreInProcess({ clock: new ManualClock(), random: seededRandom(seed) });
  return new StoreBench({ store, clock: new ManualClock(), reopen: () => assert.fail("not used") });
}

async function overspent(reserve: Reserve, trees: number): Promise<string[]> {
  const found: string[] = [];
  let bench = opened(1);
  for (let seed = 1; seed <= trees; seed++) {
    if (seed % 25 === 1) {
      assert.deepEqual(await bench.store.checkIntegrity(), []);
      await bench.store.close();
      bench = opened(seed);
      await bench.rules({ pools: { main: 500, subagent: 500 } });
    }
    const { tokens, micros, root } = await grow(bench, seed, reserve);
    if (tokens > LIMIT || micros > 5 * LIMIT) found.push(`tree ${seed}: ${tokens} tokens, ${micros} micros`);
    const budget = (await bench.store.task(root))!.budget!;
    if (reserve === honest && budget.used.tokens! + budget.reserved.tokens! < tokens) found.push(`tree ${seed}: the account says less than the provider`);
  }
  assert.deepEqual(await bench.store.checkIntegrity(), []);
  await bench.store.close();
  return found;
}

test(`a tree with a budget of ${LIMIT} tokens never spends more by the provider's own count, over ${TREES} random trees with parallel calls and crashes`, async () => {
  assert.deepEqual(await overspent(honest, TREES), []);
});

test("without the reservation the same trees do overspend, so the test above can see it", async () => {
  const unreserved: Reserve = async (_store, { asked }) => ({ outcome: "granted", hold: "none", outputTokensMax: asked.outputTokensMax });
  assert.ok((await overspent(unreserved, 50)).length > 10);
});

test("a check before the call that reserves nothing is not enough: calls side by side spend the same remainder", async () => {
  const lookedOnly: Reserve = async (store, input) => {
    const grant = await store.reserveCall(input);
    if (grant.outcome === "granted") await store.settleCall({ hold: grant.hold, spent: "nothing" });
    return grant;
  };
  assert.ok((await overspent(lookedOnly, 50)).length > 5);
});
