/** What must be true of a world at its end: judged from the tables, and from what everybody outside of it saw. */
import type { YardEvent } from "../../src/model/event.ts";
import type { PoolName } from "../../src/model/lane.ts";
import { checkIntegrity } from "../../src/store/sqlite/integrity.ts";
import type { Kernel } from "../../src/store/sqlite/kernel.ts";
import { VERBS } from "../../src/store/sqlite/verbs.ts";
import { checkHistory, type History, type SeenEntry } from "./checkers.ts";
import { checkJobs } from "./jobs.ts";
import type { Senders, Reader } from "./people.ts";
import type { WorldPlan } from "./plan.ts";
import type { PlanWorld } from "./plans.ts";
import type { Receiver } from "./receiver.ts";
import type { Spending } from "./spending.ts";

/** Everything must have ended this long after the faults were healed, virtual milliseconds. */
export const LIVENESS_MS = 4 * 3_600_000;
const READ_MAX = 1_000_000;

export interface SeenWorld {
  readonly observer: Kernel;
  readonly plan: WorldPlan;
  readonly senders: Senders;
  readonly everyone: Reader;
  readonly readers: readonly Reader[];
  readonly spending: Spending;
  readonly receiver: Receiver;
  readonly plans: PlanWorld | null;
  readonly removed: ReadonlySet<string>;
  readonly spawnedBy: ReadonlyMap<string, string>;
  /** Sizes of pools from a cursor on. */
  readonly pools: readonly { readonly from: number; readonly sizes: Record<PoolName, number> }[];
  readonly jobsAskedAt: ReadonlyMap<string, number>;
  readonly circuit: History["circuit"];
  /** Whether all that was asked for came to its end. */
  readonly wasOver: boolean;
  /** Readers have heard of everything up to here. */
  readonly lastCursor: number;
}

export function judge(world: SeenWorld): string[] {
  const { observer, wasOver } = world;
  const history = historyOf(world);
  const { jobs } = VERBS.jobs(observer, { limit: READ_MAX });
  const runs = jobs.flatMap(({ id }) => VERBS.jobRuns(observer, { id, limit: READ_MAX }).runs);
  return [
    ...checkIntegrity(observer).map((problem) => `tables: ${problem}`),
    ...checkHistory(history),
    ...world.spending.violations(),
    ...world.receiver.violations(wasOver),
    ...halvesOfSpawns(world),
    ...checkJobs({ jobs, runs, events: history.events, askedAt: world.jobsAskedAt }).map((violation) => `jobs: ${violation}`),
    ...(world.plans?.violations() ?? []).map((violation) => `plans: ${violation}`),
    ...(wasOver ? neverGiven(world, history.events) : [leftOpen(world)]),
  ];
}

function leftOpen({ observer, senders }: SeenWorld): string {
  const { lanes } = VERBS.lanes(observer, { meanTurnMs: { main: 1, side: 1, subagent: 1, acp: 1, timer: 1 } });
  return `not everything ended within ${LIVENESS_MS / 3_600_000} h: ${JSON.stringify(VERBS.totals(observer))}, ${senders.waiting} senders wait, ${JSON.stringify(lanes)}`;
}

/** Children that were asked for at once are all there, or none; those of a session that was removed are gone with it. */
function halvesOfSpawns({ observer, plan }: SeenWorld): string[] {
  return plan.actions.flatMap((action) => {
    if (action.kind !== "spawn-all") return [];
    const found = action.texts.filter((key) => observer.get("SELECT 1 FROM task WHERE spawn_key = ?", key) !== undefined);
    return found.length === 0 || found.length === action.texts.length ? [] : [`of the children ${action.texts.join(", ")}, asked for at once, there are only ${found.join(", ")}`];
  });
}

function neverGiven({ lastCursor, removed, everyone }: SeenWorld, events: readonly YardEvent[]): string[] {
  const missed = events.find(({ session, seq, cursor }) => cursor <= lastCursor && !removed.has(session) && everyone.given.get(session)?.has(seq) !== true);
  return missed === undefined ? [] : [`a reader of everything was never given ${missed.session} ${missed.seq}`];
}

function historyOf({ observer, everyone, readers, senders, plans, plan, wasOver, ...world }: SeenWorld): History & { readonly events: readonly YardEvent[] } {
  const events = VERBS.events(observer, { session: null, after: 0, limit: READ_MAX });
  const { tasks } = VERBS.tasks(observer, { limit: READ_MAX });
  const transcripts = new Map<string, readonly SeenEntry[]>();
  for (const { session } of events) {
    if (!transcripts.has(session)) transcripts.set(session, VERBS.history(observer, { key: session, limit: READ_MAX })!.entries as readonly SeenEntry[]);
  }
  const pools = world.pools.map(({ from, sizes }) => {
    const index = events.findIndex(({ cursor }) => cursor >= from);
    return { from: index === -1 ? events.length : index, sizes };
  });
  return {
    events,
    given: [everyone, ...readers].flatMap(({ given }) => [...given].map(([session, numbers]) => ({ session, numbers }))),
    accepted: senders.accepted,
    transcripts,
    tasks: plans?.inPlaces(tasks) ?? tasks,
    removed: world.removed,
    spawnedBy: world.spawnedBy,
    pools,
    clockWasSet: plan.actions.some(({ kind }) => kind === "wall-jump"),
    circuit: world.circuit,
    isOver: wasOver,
  };
}
