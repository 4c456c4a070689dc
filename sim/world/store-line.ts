/**
 * The line between a gateway process and its store, as the real one is: calls pile up while the
 * store works, are run as one batch, and the answers come back in order, later.
 *
 * A process can die between any two of these moments: with calls that were never run, or with a
 * batch that is on disk and was never answered.
 */
import { runBatch, type BatchAnswer, type VerbCall } from "../../src/store/sqlite/batch.ts";
import { VERB_NAMES } from "../../src/store/sqlite/verbs.ts";
import { StoreClient } from "../../src/store/sqlite/store-client.ts";
import type { Store } from "../../src/store/store.ts";
import type { Kernel } from "../../src/store/sqlite/kernel.ts";
import type { ProcessClock } from "./timeline.ts";

export interface StoreLineDeps {
  readonly kernel: Kernel;
  readonly clock: ProcessClock;
  /** How long the store takes for its next batch, and how long the answer is on its way, milliseconds. */
  readonly delays: () => { readonly workMs: number; readonly answerMs: number };
  readonly beforeBatch: (calls: readonly VerbCall[]) => void;
  /** Sees each batch once it is over, before the process hears of it. */
  readonly afterBatch: (calls: readonly VerbCall[], answer: BatchAnswer) => void;
}

export interface StoreLine {
  readonly store: Store;
  /** From now on only the writes of running turns get through, as from a process that lost its place without knowing it. */
  supersede(): void;
}

const OF_RUNNING_TURNS: ReadonlySet<string> = new Set(["journal", "endTurn", "takeSteering"]);

/** The store of one process. */
export function storeOver(deps: StoreLineDeps): StoreLine {
  const { kernel, clock } = deps;
  const answers: BatchAnswer[] = [];
  let piled: VerbCall[] = [];
  let working = false;
  let superseded = false;
  const client = new StoreClient((calls) => {
    if (!clock.isRunning) return;
    piled.push(...(superseded ? calls.filter(({ verb }) => OF_RUNNING_TURNS.has(verb)) : calls));
    if (!working && piled.length > 0) work();
  }, queueMicrotask);
  return {
    store: client.asStore(VERB_NAMES, async () => {}),
    supersede() {
      superseded = true;
      piled = piled.filter(({ verb }) => OF_RUNNING_TURNS.has(verb));
    },
  };

  function work(): void {
    working = true;
    const { workMs, answerMs } = deps.delays();
    clock.after(workMs, () => {
      working = false;
      const calls = piled;
      piled = [];
      if (calls.length === 0) return;
      deps.beforeBatch(calls);
      const answer = runBatch(kernel, calls, "the simulated disk");
      answers.push(answer);
      deps.afterBatch(calls, answer);
      if (!clock.isRunning) return;
      clock.after(answerMs, () => client.answer(answers.shift()!));
    });
  }
}
