/**
 * Stands in for the turn runner: a turn here does nothing but take its time. It makes its model
 * requests, spawns its children, waits for them when it is to, and ends, all through the store's own
 * verbs; who runs when is not decided here.
 */
import { sleep, type Clock } from "../src/base/clock.ts";
import type { SessionKey, TaskId, TurnId } from "../src/base/ids.ts";
import { NO_USAGE } from "../src/model/chat.ts";
import type { PoolName } from "../src/model/lane.ts";
import { DEFAULT_AGENT } from "../src/model/session.ts";
import type { StartedTurn, TurnEnd, TurnRef } from "../src/model/turn.ts";
import type { Store } from "../src/store/store.ts";
import { chanceFor, drawMs } from "./length.ts";
import type { Plan } from "./options.ts";
import type { Recorder } from "./recorder.ts";
import { RequestBucket } from "./request-bucket.ts";

export interface SimulatedTurnsDeps {
  readonly plan: Plan;
  readonly seed: number;
  readonly store: Store;
  readonly clock: Clock;
  readonly recorder: Recorder;
  readonly onEnded: (pool: PoolName, ms: number) => void;
  readonly kick: () => void;
  /** Something broke; the simulation is void. */
  readonly fail: (cause: unknown) => void;
}

class Stopped extends Error {
  override readonly name = "Stopped";
}

export class SimulatedTurns {
  readonly #deps: SimulatedTurnsDeps;
  readonly #bucket: RequestBucket;
  readonly #running = new Map<TurnId, AbortController>();
  /** Turns that each session had, so that each draws a length of its own. */
  readonly #turnsOf = new Map<SessionKey, number>();
  readonly #startAt: number;
  requests = 0;
  /** Waited for the provider's limit, over all requests. */
  providerWaitMs = 0;

  constructor(deps: SimulatedTurnsDeps) {
    this.#deps = deps;
    this.#bucket = new RequestBucket(deps.clock, deps.plan.rpm);
    this.#startAt = deps.clock.now();
  }

  start(turn: StartedTurn): void {
    const controller = new AbortController();
    this.#running.set(turn.turnId, controller);
    const startedMs = this.#deps.clock.monotonic();
    this.#run(turn, controller.signal)
      .catch((cause: unknown) => {
        if (!(cause instanceof Stopped)) this.#deps.fail(cause);
      })
      .finally(() => {
        this.#running.delete(turn.turnId);
        this.#deps.onEnded(turn.pool, this.#deps.clock.monotonic() - startedMs);
      });
  }

  /** The store ended these turns. */
  stop(turns: readonly TurnId[]): void {
    for (const id of turns) this.#running.get(id)?.abort(new Stopped());
  }

  async #run(turn: StartedTurn, signal: AbortSignal): Promise<void> {
    const { plan, store, clock, kick } = this.#deps;
    const ref: TurnRef = { turnId: turn.turnId, session: turn.session, epoch: turn.epoch };
    // What the gateway itself puts in line (results, the end of a wait) is read and answered, and spawns nothing.
    const { provenance } = turn.messages[0]!;
    const readsResults = provenance === "child" || provenance === "system";
    const lengthMs = this.#lengthOf(turn, readsResults);
    let children: readonly TaskId[] = [];
    for (let call = 0; call < plan.calls; call++) {
      if (call > 0) await this.#takeSteering(ref);
      await this.#request(turn.session, signal);
      await sleep(clock, Math.floor((lengthMs * (call + 1)) / plan.calls) - Math.floor((lengthMs * call) / plan.calls), signal);
      if (call === 0 && !readsResults && turn.sessionInfo.depth < plan.depth) children = await this.#spawn(turn);
    }
    const ended = store.endTurn({ turn: ref, end: await this.#end(ref, plan.yield ? children : []), writes: [] });
    kick();
    await ended;
  }

  #lengthOf({ session, sessionInfo, messages }: StartedTurn, readsResults: boolean): number {
    const { plan, seed } = this.#deps;
    const nth = (this.#turnsOf.get(session) ?? 0) + 1;
    this.#turnsOf.set(session, nth);
    // Ids differ from run to run; these words are the same under every setting.
    const who = sessionInfo.depth === 0 ? messages[0]!.text : sessionInfo.label;
    const what = readsResults ? `results/${sessionInfo.depth === 0 ? session : who}/${nth}` : `turn/${who}`;
    return drawMs(sessionInfo.depth === 0 || readsResults ? plan.turn : plan.childTurn, chanceFor(seed, what));
  }

  async #request(session: SessionKey, signal: AbortSignal): Promise<void> {
    const { clock, recorder } = this.#deps;
    this.requests++;
    const from = clock.now();
    await this.#bucket.take(signal);
    const waitedMs = clock.now() - from;
    if (waitedMs === 0) return;
    this.providerWaitMs += waitedMs;
    recorder.heldUp(session, from - this.#startAt, clock.now() - this.#startAt);
  }

  async #takeSteering(ref: TurnRef): Promise<void> {
    const { plan, store, clock, recorder } = this.#deps;
    if (plan.queueMode !== "steer") return;
    const taken = await store.takeSteering(ref);
    recorder.steered(taken.map(({ id }) => id), clock.now() - this.#startAt);
  }

  async #spawn(turn: StartedTurn): Promise<readonly TaskId[]> {
    const { plan, store, recorder, kick } = this.#deps;
    const { depth, label } = turn.sessionInfo;
    const parentName = depth === 0 ? turn.messages[0]!.text : label;
    const admitting = Array.from({ length: plan.spawn }, (_, n) =>
      store.admitSpawn({
        spawn: {
          task: "work", label: `${parentName}.${n + 1}`, parent: turn.session, turnId: turn.turnId, agent: DEFAULT_AGENT, kind: "subagent", model: null, context: "isolated",
          cwd: null, deadlineSeconds: null, delivery: "digest", cleanup: "keep", claims: [], idempotencyKey: null,
        },
        limits: { depthMax: plan.depth, childrenMax: plan.maxChildren },
      }),
    );
    kick();
    const messageIds = turn.messages.map(({ id }) => id);
    const children = (await Promise.all(admitting)).map(({ task }) => task.taskId);
    if (depth === 0) for (const child of children) recorder.spawned(child, messageIds);
    return children;
  }

  /** @param waitFor  children whose results the answer needs. */
  async #end(ref: TurnRef, waitFor: readonly TaskId[]): Promise<TurnEnd> {
    if (waitFor.length > 0) {
      const barrier = await this.#deps.store.openBarrier({ turn: ref, stepKey: `${ref.turnId}:yield`, waitFor: "all", tasks: waitFor, timeoutMs: null });
      if (barrier.outcome !== "nothing-to-wait-for") return { outcome: "yielded", text: "", barrierId: barrier.barrierId, usage: NO_USAGE };
    }
    return { outcome: "done", text: "done", usage: NO_USAGE };
  }
}
