/** Settings of lanes: how many turns run at once. */
import { wholeNumber, type Setting } from "../base/setting.ts";
import type { PoolName } from "../model/lane.ts";

const SLOTS = wholeNumber({ min: 1, max: 4096 });

export const mainSlots: Setting<number> = {
  key: "agents.defaults.maxConcurrent",
  unit: "count",
  fallback: 4,
  ...SLOTS,
  takesEffect: "at once",
  doc: "How many turns with people may run at the same moment, over all sessions. Lowering it never stops a running turn; it only delays the next one.",
};

export const sideSlots: Setting<number> = {
  key: "agents.defaults.sideConcurrent",
  unit: "count",
  fallback: 8,
  ...SLOTS,
  takesEffect: "at once",
  doc: "How many side turns may be started at the same moment. A promotion never waits for this: a promoted turn takes a place over the size if need be.",
};

export const subagentSlots: Setting<number> = {
  key: "agents.defaults.subagents.maxConcurrent",
  unit: "count",
  fallback: 8,
  ...SLOTS,
  takesEffect: "at once",
  doc: "How many children may run a turn at the same moment, over all sessions. Further ones wait in line.",
};

export const acpSlots: Setting<number> = {
  key: "acp.maxConcurrentSessions",
  unit: "count",
  fallback: 4,
  ...SLOTS,
  takesEffect: "at once",
  doc: "How many external coding agents may run a turn at the same moment.",
};

export const timerSlots: Setting<number> = {
  key: "jobs.maxConcurrent",
  unit: "count",
  fallback: 4,
  ...SLOTS,
  takesEffect: "at once",
  doc: "How many turns of jobs may run at the same moment. They have a pool of their own, so a job never delays a person.",
};

/** Which setting sizes which pool. */
export const POOL_SETTINGS: Readonly<Record<PoolName, Setting<number>>> = {
  main: mainSlots,
  side: sideSlots,
  subagent: subagentSlots,
  acp: acpSlots,
  timer: timerSlots,
};

export const SETTINGS: readonly Setting<unknown>[] = Object.values(POOL_SETTINGS);
