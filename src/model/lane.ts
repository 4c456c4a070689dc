/**
 * Lanes and pools as data, and the order in which ready lanes get their turn.
 */
import type { Provenance } from "./provenance.ts";

export const POOLS = ["main", "side", "subagent", "acp", "timer"] as const;
export type PoolName = (typeof POOLS)[number];

/**
 * Where a session's lane stands.
 *
 *     idle ──message──▶ ready ──claim──▶ leased ──settle──▶ idle | ready | waiting
 *                         ▲                 │
 *                         └────promote──────┘     the turn goes on beside the lane
 *
 * `waiting`: every message in it is held for a barrier, or the child is held back by a cap.
 */
export type LaneState = "idle" | "ready" | "leased" | "waiting";

/** What kind of work is in line; lower classes go first. */
export type WorkClass = "person" | "timer" | "background";

export function workClassOf(provenance: Provenance, isChildSession: boolean): WorkClass {
  if (isChildSession) return "background";
  if (provenance === "timer" || provenance === "webhook" || provenance === "system") return "timer";
  return "person";
}

/**
 * How much later than its ready time work of a class is put in line. This is the ageing too:
 * a background item that has waited this much longer than a person's message goes before it.
 */
export const CLASS_HANDICAP_MS: Readonly<Record<WorkClass, number>> = { person: 0, timer: 30_000, background: 60_000 };

/** How much later each further piece of work of one owner is put in line than that owner's first. */
export const FAIR_SHARE_STEP_MS = 1_000;

/** No owner is set back by more than this, so that ageing always wins in the end. */
export const FAIR_SHARE_MAX_MS = 30_000;

/** How far back an owner's next piece of work is put who has so many already, milliseconds. */
export function fairShareMs(inFlight: number): number {
  return Math.min(inFlight * FAIR_SHARE_STEP_MS, FAIR_SHARE_MAX_MS);
}

/**
 * The place of a ready lane in its pool's line: lower goes first, ties go by ready time and key.
 *
 * @param inFlight  what the same owner has running or in line before this, 0 for none.
 * @returns a moment on the wall clock's scale, milliseconds.
 */
export function sortKey(work: { class: WorkClass; readyAt: number; inFlight: number }): number {
  return work.readyAt + CLASS_HANDICAP_MS[work.class] + fairShareMs(work.inFlight);
}

/**
 * How long work of a tree may go before work of younger trees that was ready earlier. Within it the
 * oldest tree is finished first, instead of all advancing in step; beyond it whoever waits longer goes.
 */
export const TREE_HEAD_START_MAX_MS = 600_000;

/** Children of one tree that keep the order of their spawns; those beyond go by key. */
const PLACES_IN_TREE = 1_000;

/**
 * The place of a child in its pool's line: that of its tree, so that all of an older tree goes before
 * any of a younger one, and in it the order of spawns. Children have pools of their own, so this is on
 * a scale of its own.
 */
export function childSortKey({ treePlace, readyAt, nth }: { treePlace: number; readyAt: number; nth: number }): number {
  return Math.max(treePlace, readyAt - TREE_HEAD_START_MAX_MS) * PLACES_IN_TREE + Math.min(nth, PLACES_IN_TREE - 1);
}

/**
 * When the piece of work at `position` (0 = next) in a pool's line will start, from the mean
 * length of a turn: the line clears in waves of `size`.
 */
export function estimateWaitMs(line: { position: number; size: number; free: number; meanTurnMs: number }): number {
  if (line.position < line.free) return 0;
  const size = Math.max(1, line.size);
  const waves = Math.floor((line.position - line.free) / size) + 1;
  return Math.round(waves * line.meanTurnMs);
}

export const QUEUE_MODES = ["auto", "followup", "collect", "steer", "interrupt", "rollback", "reject", "parallel"] as const;
export type QueueMode = (typeof QUEUE_MODES)[number];

/** A message's own mode: a queue mode, or `background` for one that starts beside its lane, busy or not. */
export type MessageMode = QueueMode | "background";

/** A wait longer than this raises one `lane.waiting` event. */
export const WAIT_NOTICE_MS = 2_000;

/** A batch that keeps growing is closed after this many of its waits. */
export const BATCH_WAITS_MAX = 5;
