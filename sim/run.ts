/**
 * One run: the gateway's own front door, scheduler and store, in memory and under a clock that jumps
 * from one moment at which something happens to the next.
 *
 * Always true: the order of work, slots, batches, side tracks and caps come from the code that the
 * gateway runs; only what a turn does in its time is made up.
 */
import { assert } from "../src/base/assert.ts";
import { ManualClock } from "../src/base/clock.ts";
import { seededRandom } from "../src/base/ids.ts";
import { silentLog } from "../src/base/log.ts";
import type { Setting, Settings } from "../src/base/setting.ts";
import { Scheduler, poolSizes } from "../src/lanes/scheduler.ts";
import { mainSlots, sideSlots, subagentSlots } from "../src/lanes/settings.ts";
import { Fault } from "../src/model/faults.ts";
import { DEFAULT_AGENT, directSession } from "../src/model/session.ts";
import { FrontDoor } from "../src/sessions/front-door.ts";
import { foregroundMs, messageWaitMs, parallelJudge, queueCap, queueMode, sideTurnsMax } from "../src/sessions/settings.ts";
import { EventHub } from "../src/sessions/watch.ts";
import { openStoreInProcess } from "../src/store/sqlite/open-in-process.ts";
import type { Store } from "../src/store/store.ts";
import { gatherMs } from "../src/trees/settings.ts";
import { arrivalTimes } from "./arrivals.ts";
import { REQUESTS_MAX, type Plan } from "./options.ts";
import { Recorder } from "./recorder.ts";
import { SimulatedTurns } from "./turns.ts";

/** What became of one message. Moments are milliseconds from the start; null = it never came to that. */
export interface MessageFate {
  readonly customer: number;
  readonly message: number;
  readonly sentMs: number;
  readonly startedMs: number | null;
  readonly answeredMs: number | null;
  /** When the last of its children's results was read. */
  readonly resultsMs: number | null;
  readonly refused: boolean;
}

export interface Run {
  readonly fates: readonly MessageFate[];
  readonly recorder: Recorder;
  readonly requests: number;
  readonly providerWaitMs: number;
}

const CHANNEL = "simulation";
/** Far more moments than the largest plan has; beyond it something feeds itself. */
const MOMENTS_MAX = 20 * REQUESTS_MAX;

interface Sending {
  readonly atMs: number;
  readonly customer: number;
  readonly message: number;
}

export async function run(plan: Plan, seed: number): Promise<Run> {
  const clock = new ManualClock();
  const startAt = clock.now();
  const { store } = openStoreInProcess({ clock, random: seededRandom(seed + 1) });
  const recorder = new Recorder(startAt);
  const settings = settingsOf(plan);
  let failure: { cause: unknown } | null = null;
  const fail = (cause: unknown): void => void (failure ??= { cause });
  const kick = (): void => scheduler.kick();
  const turns = new SimulatedTurns({ plan, seed, store, clock, recorder, kick, fail, onEnded: (pool, ms) => scheduler.turnEnded(pool, ms) });
  const log = { ...silentLog, error: (event: string, fields: object = {}) => fail(new Error(`${event} in the simulation`, { cause: fields })) };
  const scheduler: Scheduler = new Scheduler({ claimTurns: (rules) => store.claimTurns(rules), clock, log, start: (turn) => turns.start(turn), look: () => {} });
  const frontDoor = new FrontDoor({
    store,
    hub: new EventHub(store, clock),
    settings,
    clock,
    commands: () => [],
    compact: async () => 0,
    meanTurnMs: () => scheduler.meanTurnMs,
    taskHandling: () => ({ section: null, workspace: "" }),
    judge: async () => "independent",
    endProcesses: async () => {},
    kick,
    steeringCame: () => {},
  });
  store.onStopped((stopped) => turns.stop(stopped));
  store.onEvents((events) => events.forEach((event) => recorder.on(event)));
  try {
    await prepare(store, settings);
    scheduler.start();
    const fates = sendAll();
    await untilQuiet(clock, () => {
      if (failure !== null) throw failure.cause;
    });
    return { fates: fates.map((fate) => fate()), recorder, requests: turns.requests, providerWaitMs: turns.providerWaitMs };
  } finally {
    scheduler.drain();
    await store.close();
  }

  /** Puts every message in at its moment. @returns asks what became of each, in order of customers. */
  function sendAll(): readonly (() => MessageFate)[] {
    const sendings = sendingsOf(plan, seed);
    const fates = new Map<Sending, MessageFate | (() => MessageFate)>();
    for (let customer = 1; customer <= plan.customers; customer++) recorder.customer(sessionOf(plan, customer), `customer ${customer}`);
    sendFrom(0);
    return sendings.toSorted((a, b) => a.customer - b.customer || a.message - b.message).map((sending) => () => {
      const fate = fates.get(sending)!;
      return typeof fate === "function" ? fate() : fate;
    });

    /** One timer at a time, so that ten thousand arrivals do not slow the clock. */
    function sendFrom(index: number): void {
      let next = index;
      for (; next < sendings.length && sendings[next]!.atMs <= clock.now() - startAt; next++) void send(sendings[next]!).catch(fail);
      if (next < sendings.length) clock.after(sendings[next]!.atMs - (clock.now() - startAt), () => sendFrom(next));
    }

    async function send(sending: Sending): Promise<void> {
      const { customer, message, atMs } = sending;
      const fate = { customer, message, sentMs: atMs, startedMs: null, answeredMs: null, resultsMs: null };
      try {
        const { messageId } = await frontDoor.accept({
          session: sessionOf(plan, customer),
          text: `${customer}.${message}`,
          provenance: "user",
          channel: CHANNEL,
          author: String(customer),
          mayCommand: false,
        });
        fates.set(sending, () => ({ ...fate, ...recorder.fateOf(messageId), refused: false }));
      } catch (thrown) {
        if (!(thrown instanceof Fault) || (thrown.code !== "QUEUE_REJECTED" && thrown.code !== "LANE_FULL")) throw thrown;
        fates.set(sending, { ...fate, refused: true });
      }
    }
  }
}

/** The rules that the gateway gives its store, from the same settings. */
function prepare(store: Store, settings: Settings): Promise<void> {
  return store.setRules({
    pools: poolSizes(settings),
    foregroundMs: settings.get(foregroundMs),
    gatherMs: settings.get(gatherMs),
    sideTurnsMax: settings.get(sideTurnsMax),
    queueCap: settings.get(queueCap),
  });
}

/** The gateway's settings as the plan has them; the rest at their fallbacks. */
function settingsOf(plan: Plan): Settings {
  const set = new Map<string, unknown>([
    [mainSlots.key, plan.maxConcurrent],
    [sideSlots.key, plan.sideMax],
    [subagentSlots.key, plan.subagentsMax],
    [queueMode.key, plan.queueMode],
    [foregroundMs.key, plan.foreground],
    [sideTurnsMax.key, plan.sideTurnsMax],
    [messageWaitMs.key, plan.messageWait],
    [gatherMs.key, plan.gather],
    // The messages of a simulation say nothing that could lean on each other.
    [parallelJudge.key, "always"],
  ]);
  return {
    get: <T>(setting: Setting<T>) => (set.has(setting.key) ? (set.get(setting.key) as T) : setting.fallback),
    isSet: (setting) => set.has(setting.key),
    onChange: () => () => {},
  };
}

/** Numbers of one width, so that who writes at the same moment goes in order of number. */
function sessionOf({ customers }: Plan, customer: number): ReturnType<typeof directSession> {
  return directSession(DEFAULT_AGENT, CHANNEL, String(customer).padStart(String(customers).length, "0"));
}

function sendingsOf(plan: Plan, seed: number): readonly Sending[] {
  return arrivalTimes(plan.arrivals, plan.customers, seed)
    .flatMap((firstMs, index) => Array.from({ length: plan.messages }, (_, n): Sending => ({ atMs: firstMs + n * plan.gap, customer: index + 1, message: n + 1 })))
    .sort((a, b) => a.atMs - b.atMs || a.customer - b.customer || a.message - b.message);
}

/** Moves the clock on, one moment at a time, until nothing more is going to happen. */
async function untilQuiet(clock: ManualClock, check: () => void): Promise<void> {
  for (let moments = 0; ; moments++) {
    assert(moments < MOMENTS_MAX, "a simulation comes to its end");
    // Everything that this moment set off is promises of this thread; after a round of the loop they have all run.
    await new Promise((resolve) => setImmediate(resolve));
    check();
    const next = clock.nextAt();
    if (next === undefined) return;
    clock.advance(next - clock.now());
  }
}
