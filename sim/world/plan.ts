/**
 * What a seed holds: the settings of a world, its moods, and a list of things that people, clocks,
 * disks and bad luck do to it, each at its moment.
 *
 * An action names what it aims at by a number; the world takes it modulo what is there at that
 * moment. So any action can be left out, and the others still make sense.
 */
import { QUEUE_MODES, type MessageMode, type QueueMode } from "../../src/model/lane.ts";
import { Dice } from "./dice.ts";
import type { DiskError, DiskFault } from "./faulty-disk.ts";
import { jobsOfWorld, type WorldJobs } from "./jobs.ts";
import { POISON, type Moods } from "./model.ts";
import { asksOfPlans, depthMinOf, type PlanAsk } from "./plans.ts";

/** Actions of one seed at most. */
const ACTIONS_MAX = 40;

/** How far the machine's clock is set, either way. */
const JUMP_MS_MAX = 172_800_000;

/** The most that a person says to a coding agent, and in what time, milliseconds. */
const TALK_MAX = 12;
const TALK_MS = 30_000;
/** The most of such actions in a world, and of children that are asked for at once. */
const LATER_MAX = 8;
const AT_ONCE_MAX = 6;
/** How often people spawn where there are coding agents, beside {@link weightsOf}. */
const HARNESS_SPAWN_WEIGHT = 12;
/** How long nobody is there after some crashes. */
const AWAY_MS_MIN = 3_600_000;
const AWAY_MS_MAX = 259_200_000;

export type Action =
  | { readonly kind: "send"; readonly session: number; readonly text: string; readonly sourceId: string; readonly mode: MessageMode | null }
  | { readonly kind: "resend"; readonly which: number }
  /** A channel that heard nothing hands in its newest messages again, all at once. */
  | { readonly kind: "redeliver"; readonly count: number }
  | { readonly kind: "command"; readonly session: number; readonly text: string }
  | { readonly kind: "cancel"; readonly session: number; readonly tree: boolean; readonly queue: boolean }
  | { readonly kind: "cancel-task"; readonly which: number }
  | { readonly kind: "cancel-flow"; readonly which: number }
  | { readonly kind: "promote"; readonly session: number }
  /** To a coding agent that a person started; null = what it works on goes beside its conversation. */
  | { readonly kind: "talk"; readonly say: { readonly text: string; readonly sourceId: string; readonly mode: MessageMode | null } | null }
  | { readonly kind: "reset"; readonly session: number }
  | { readonly kind: "remove"; readonly session: number }
  | { readonly kind: "queue-mode"; readonly session: number; readonly mode: QueueMode | null }
  | { readonly kind: "spawn"; readonly parent: number | null; readonly text: string; readonly label?: string; readonly deadlineSeconds: number | null; readonly isPosted?: boolean; readonly harness?: boolean }
  /** Several children at once, asked for until there is an answer: all of them or none. */
  | { readonly kind: "spawn-all"; readonly parent: number | null; readonly texts: readonly string[]; readonly isPosted: boolean }
  /** A result that was given up is to be posted once more. */
  | { readonly kind: "post-again"; readonly which: number }
  /** A limit of this world is so many times what it was at first. */
  | { readonly kind: "budget"; readonly which: number; readonly times: number }
  | { readonly kind: "steer-task"; readonly which: number; readonly text: string }
  | { readonly kind: "retry-task"; readonly which: number }
  | { readonly kind: "send-to-child"; readonly which: number; readonly text: string; readonly sourceId: string }
  | { readonly kind: "slots"; readonly pool: "main" | "side" | "subagent"; readonly size: number }
  | { readonly kind: "wall-jump"; readonly byMs: number }
  | { readonly kind: "disk"; readonly faults: readonly DiskFault[] }
  | { readonly kind: "disk-full"; readonly forMs: number }
  | { readonly kind: "slow-disk"; readonly forMs: number; readonly workMs: number }
  /** `again`: how often the next starts are cut off too, each after so many batches. `awayMs`: how far the calendar goes on before the next start. */
  | { readonly kind: "crash"; readonly afterBatches: number | null; readonly downMs: number; readonly again: number; readonly awayMs: number }
  /** For a while every model call is refused. */
  | { readonly kind: "wall"; readonly forMs: number; readonly status: 429 | 529 }
  | { readonly kind: "pause"; readonly forMs: number }
  | { readonly kind: "restart" }
  | { readonly kind: "plan"; readonly ask: PlanAsk }
  | { readonly kind: "reader-away"; readonly session: number; readonly forMs: number };

export type ActionKind = Action["kind"];
/** Kinds that each action of a plan may be of; the others come besides. */
type DrawnKind = Exclude<ActionKind, "talk" | "plan" | LaterKind>;
/** Kinds that some worlds have in addition, drawn apart so that all other worlds stay what they were. */
type LaterKind = "spawn-all" | "post-again" | "budget";
export type PlannedAction = Action & { readonly atMs: number };

export interface WorldPlan {
  readonly seed: number;
  readonly sessions: number;
  /** When the faults are healed, milliseconds from the start. */
  readonly healAtMs: number;
  readonly slots: Readonly<Record<"main" | "side" | "subagent" | "acp", number>>;
  /** Whether some children are coding agents. */
  readonly hasHarnesses: boolean;
  /** How long a coding agent waits for leave. */
  readonly approvalSeconds: number;
  readonly queueMode: QueueMode;
  readonly messageWaitMs: number;
  readonly foregroundMs: number;
  readonly gatherMs: number;
  readonly depthMax: number;
  readonly childrenMax: number;
  readonly sideTurnsMax: number;
  readonly queueCap: number;
  readonly progressSeconds: number;
  readonly turnSeconds: number;
  readonly contextEntries: number;
  readonly judge: "rules" | "model" | "always";
  readonly sideTools: "read-only" | "all";
  /** Work that was left for so long is ended by the next start; 0 = never. */
  readonly staleHours: number;
  readonly moods: Moods;
  readonly spawning: number;
  /** Milliseconds that a batch takes, and that its answer is on its way, at most. */
  readonly storeMsMax: number;
  readonly jobs: WorldJobs;
  readonly actions: readonly PlannedAction[];
}

/** @param keep  the numbers of the actions that happen; null = all. */
export function planOf(seed: number, keep: ReadonlySet<number> | null = null): WorldPlan {
  const dice = new Dice(seed, "plan");
  const harness = new Dice(seed, "harnesses");
  const hasHarnesses = harness.chance(0.5);
  const sessions = dice.whole(1, 4);
  const healAtMs = dice.chance(0.8) ? dice.spread(20_000, 1_200_000) : dice.spread(1_200_000, 43_200_000);
  const calm = dice.chance(0.15);
  const weights = { ...weightsOf(dice, calm), ...(hasHarnesses ? { spawn: HARNESS_SPAWN_WEIGHT } : {}) };
  const actions: PlannedAction[] = Array.from({ length: dice.whole(3, ACTIONS_MAX) }, (_, n) => {
    const own = new Dice(seed, "action", n);
    return { ...actionOf(own, n, own.weighted<DrawnKind>(weights), sessions), atMs: Math.floor(healAtMs * own.next()) };
  });
  if (hasHarnesses) actions.push(...talkOf(seed, actions.length, healAtMs));
  actions.push(...laterOf(seed, actions.length, { sessions, healAtMs }), ...asksOfPlans(seed, healAtMs));
  return {
    seed,
    sessions,
    healAtMs,
    slots: { main: dice.whole(1, 4), side: dice.whole(1, 4), subagent: dice.whole(1, 4), acp: harness.whole(1, 3) },
    hasHarnesses,
    approvalSeconds: harness.pick([20, 120, 600]),
    queueMode: dice.pick(["auto", "auto", ...QUEUE_MODES]),
    messageWaitMs: dice.pick([0, 0, 500, 2_000]),
    foregroundMs: dice.pick([0, 2_000, 10_000, 86_400_000]),
    gatherMs: dice.pick([0, 1_000, 5_000]),
    depthMax: Math.max(dice.pick([0, 1, 1, 2, 3]), depthMinOf(seed)),
    childrenMax: dice.whole(1, 4),
    sideTurnsMax: dice.whole(0, 3),
    queueCap: dice.chance(0.2) ? dice.whole(1, 5) : 1_000,
    progressSeconds: dice.pick([10, 60, 120]),
    turnSeconds: dice.pick([60, 300]),
    contextEntries: dice.pick([20, 400]),
    judge: dice.pick(["rules", "always", "model"]),
    sideTools: dice.pick(["read-only", "all"]),
    staleHours: new Dice(seed, "stale").pick([0, 0, 2, 24]),
    moods: {
      text: 10,
      tools: dice.pick([0, 5, 15, 30]),
      slow: dice.pick([0, 1, 5]),
      refuse: calm ? 0 : dice.pick([0, 1, 3]),
      garbage: calm ? 0 : dice.pick([0, 1, 2]),
      hang: calm ? 0 : dice.pick([0, 0, 1]),
    },
    spawning: dice.pick([0, 0.5, 1]),
    storeMsMax: dice.pick([0, 2, 20, 300]),
    jobs: jobsOfWorld(seed, healAtMs),
    actions: actions.map((action, n) => ({ action, n })).filter(({ n }) => keep === null || keep.has(n)).map(({ action }) => action),
  };
}

/** In some worlds a person talks to a coding agent, mostly before it has answered. */
function talkOf(seed: number, first: number, healAtMs: number): readonly PlannedAction[] {
  const dice = new Dice(seed, "talk");
  if (dice.chance(0.5)) return [];
  const startMs = Math.floor(healAtMs * dice.next());
  return Array.from({ length: dice.whole(2, TALK_MAX) }, (_, index) => {
    const n = first + index;
    const say = dice.chance(0.2) ? null : { text: `m${n}${dice.chance(0.3) ? "?" : ""}`, sourceId: `s${n}`, mode: dice.chance(0.6) ? null : dice.pick(QUEUE_MODES) };
    return { kind: "talk", say, atMs: startMs + dice.whole(0, TALK_MS) };
  });
}

/** In some worlds people spawn many at once, have results posted again, and change limits. */
function laterOf(seed: number, first: number, { sessions, healAtMs }: { readonly sessions: number; readonly healAtMs: number }): readonly PlannedAction[] {
  const dice = new Dice(seed, "later");
  if (dice.chance(0.6)) return [];
  return Array.from({ length: dice.whole(1, LATER_MAX) }, (_, index) => ({ ...laterAction(dice, first + index, sessions), atMs: Math.floor(healAtMs * dice.next()) }));
}

function laterAction(dice: Dice, n: number, sessions: number): Action {
  const kind = dice.weighted<LaterKind>({ "spawn-all": 3, "post-again": 2, budget: 2 });
  switch (kind) {
    case "spawn-all":
      return { kind, parent: dice.chance(0.3) ? null : dice.whole(0, sessions - 1), texts: Array.from({ length: dice.whole(2, AT_ONCE_MAX) }, (_, index) => `all ${n}.${index}`), isPosted: dice.chance(0.4) };
    case "post-again":
      return { kind, which: dice.whole(0, 1_000) };
    case "budget":
      return { kind, which: dice.whole(0, 1_000), times: dice.pick([0.1, 0.5, 1, 2]) };
  }
}

/** How many actions a seed has before any is left out. */
export function actionCount(seed: number): number {
  return planOf(seed).actions.length;
}

const FAULTY: readonly ActionKind[] = ["disk", "disk-full", "slow-disk", "crash", "pause", "restart", "wall-jump", "wall"];

/** Every world has messages; of the rest it draws some, so that each fault is also met without the others. */
function weightsOf(dice: Dice, calm: boolean): Partial<Record<DrawnKind, number>> {
  const all: Record<DrawnKind, number> = {
    send: 20, resend: 3, command: 4, cancel: 2, "cancel-task": 3, "cancel-flow": 1, promote: 2, reset: 1, remove: 0.5, "queue-mode": 1, spawn: 3, "steer-task": 2, "retry-task": 1,
    "send-to-child": 1.5, slots: 1, "wall-jump": 1, disk: 5, "disk-full": 1, "slow-disk": 1, crash: 5, pause: 1, restart: 1, "reader-away": 1, wall: 1, redeliver: 1,
  };
  const drawn: Partial<Record<DrawnKind, number>> = { send: all.send };
  for (const [kind, weight] of Object.entries(all) as [DrawnKind, number][]) {
    if (kind !== "send" && dice.chance(0.6) && !(calm && FAULTY.includes(kind))) drawn[kind] = weight;
  }
  return drawn;
}

const ERRORS: readonly DiskError[] = ["full", "io", "busy"];
const COMMANDS = ["/stop", "/stop all", "/stop T1", "/stop T2", "/bg", "/bg look into it", "/reset", "/status", "/queue collect", "/queue default", "/subagents list", "/subagents kill 1", "/subagents steer 1 go on", "/subagents spawn do it", "/tasks", "/lanes"];

function actionOf(dice: Dice, n: number, kind: DrawnKind, sessions: number): Action {
  const session = dice.whole(0, sessions - 1);
  const which = dice.whole(0, 1_000);
  const text = `m${n}${dice.chance(0.02) ? ` ${POISON}` : ""}${dice.chance(0.2) ? "?" : ""}${dice.chance(0.1) ? " and also that" : ""}${dice.chance(0.05) ? " in the background" : ""}`;
  switch (kind) {
    case "send":
      return { kind, session, text, sourceId: `s${n}`, mode: dice.chance(0.6) ? null : dice.pick([...QUEUE_MODES, "background"] as const) };
    case "resend":
    case "cancel-task":
    case "cancel-flow":
    case "retry-task":
      return { kind, which };
    case "command":
      return { kind, session, text: dice.pick(COMMANDS) };
    case "cancel":
      return { kind, session, tree: dice.chance(0.6), queue: dice.chance(0.5) };
    case "promote":
    case "reset":
    case "remove":
      return { kind, session };
    case "queue-mode":
      return { kind, session, mode: dice.chance(0.2) ? null : dice.pick(QUEUE_MODES) };
    case "spawn":
      return { kind, parent: dice.chance(0.5) ? null : session, text: `spawned ${n}`, deadlineSeconds: dice.chance(0.4) ? dice.whole(1, 120) : null, isPosted: dice.chance(0.4), harness: dice.chance(0.5) };
    case "steer-task":
      return { kind, which, text: `steered ${n}` };
    case "send-to-child":
      return { kind, which, text, sourceId: `s${n}` };
    case "slots":
      return { kind, pool: dice.pick(["main", "side", "subagent"]), size: dice.whole(1, 5) };
    case "wall-jump":
      return { kind, byMs: dice.spread(10, JUMP_MS_MAX) * (dice.chance(0.5) ? 1 : -1) };
    case "disk":
      return { kind, faults: Array.from({ length: dice.whole(1, 4) }, () => diskFault(dice)) };
    case "disk-full":
      return { kind, forMs: dice.spread(100, 120_000) };
    case "slow-disk":
      return { kind, forMs: dice.spread(100, 60_000), workMs: dice.spread(100, 5_000) };
    case "crash":
      return { kind, afterBatches: dice.chance(0.6) ? dice.whole(1, 6) : null, downMs: dice.chance(0.5) ? 0 : dice.spread(10, 60_000), again: dice.chance(0.2) ? dice.whole(1, 5) : 0, awayMs: dice.chance(0.15) ? dice.spread(AWAY_MS_MIN, AWAY_MS_MAX) : 0 };
    case "wall":
      return { kind, forMs: dice.spread(1_000, 600_000), status: dice.pick([429, 529]) };
    case "redeliver":
      return { kind, count: dice.whole(2, 10) };
    case "pause":
      return { kind, forMs: dice.spread(100, 60_000) };
    case "restart":
      return { kind };
    case "reader-away":
      return { kind, session, forMs: dice.spread(10, 60_000) };
  }
}

function diskFault(dice: Dice): DiskFault {
  const error = dice.pick(ERRORS);
  const at = dice.pick(["statement", "commit", "after-commit"] as const);
  return at === "statement" ? { at, n: dice.spread(1, 60), error } : { at, error };
}
