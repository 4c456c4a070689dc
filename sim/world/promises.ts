/**
 * The promises by number, and what shows that breaking each would be noticed: a sabotage of simulated
 * worlds, or a test where worlds cannot go. What has neither is named with the area that will bring it.
 */
import { SABOTAGES } from "./sabotages.ts";

export interface ProvenPromise {
  readonly promise: string;
  /** A test file, or `pending: <area>`; only for what no sabotage of a world breaks. */
  readonly elsewhere?: string;
}

const pending = (area: string): string => `pending: ${area}`;

/** In order: the first is INV-1. */
export const PROMISES: readonly ProvenPromise[] = [
  { promise: "no loss after accept" },
  { promise: "no double processing" },
  { promise: "no acknowledgement before the row is saved" },
  { promise: "no silent drop" },
  { promise: "order within a session" },
  { promise: "poison is set aside" },
  { promise: "one writer per session" },
  { promise: "caps of pools" },
  { promise: "no deadlock, with any cap" },
  { promise: "progress once faults stop" },
  { promise: "every turn ends" },
  { promise: "a stop keeps the queue" },
  { promise: "a committed answer is not asked for again" },
  { promise: "intent before effect" },
  { promise: "recovery by effect class" },
  { promise: "one logical delivery", elsewhere: pending("channels") },
  { promise: "the crash window of a delivery is told", elsewhere: pending("channels") },
  { promise: "the right address", elsewhere: pending("channels") },
  { promise: "nothing delivered is delivered again", elsewhere: pending("channels") },
  { promise: "permanent errors of a platform are final", elsewhere: pending("channels") },
  { promise: "every child ends once" },
  { promise: "end and announcement are one" },
  { promise: "exactly one announcement" },
  { promise: "a result waits as long as its parent lives" },
  { promise: "delivered means taken in, not answered" },
  { promise: "one path for all kinds of children" },
  { promise: "recovery keeps identity" },
  { promise: "a status comes from the runtime" },
  { promise: "a cancel sticks" },
  { promise: "a cancel reaches everything below" },
  { promise: "no process is left", elsewhere: "test/scenarios/cancel-tree.test.ts" },
  { promise: "what is said of a cancel is true" },
  { promise: "nothing waits for nothing" },
  { promise: "late results are inert" },
  { promise: "an occurrence is a row" },
  { promise: "catch-up is exact" },
  { promise: "zones and clock changes" },
  { promise: "durations are monotonic" },
  { promise: "watchdogs tell the truth" },
  { promise: "readable after anything" },
  { promise: "a full disk is a state" },
  { promise: "recovery is total" },
  { promise: "what kills the gateway is not resumed for ever" },
  { promise: "old work is not resumed by surprise" },
  { promise: "one gateway per home", elsewhere: "test/torture/signals.test.ts" },
  { promise: "migrations survive a kill at any statement", elsewhere: "test/torture/signals.test.ts" },
  { promise: "a permission mode is a ceiling" },
  { promise: "every permission request is answered" },
  { promise: "every prompt gets one stop reason", elsewhere: "test/scenarios/harness.test.ts" },
  { promise: "work in a worktree is never destroyed", elsewhere: "src/workspaces/worktrees.test.ts" },
  { promise: "worktree operations take turns", elsewhere: "src/workspaces/worktrees.test.ts" },
  { promise: "a merge is whole or nothing", elsewhere: "src/merges/queue.test.ts" },
  { promise: "one child per worktree", elsewhere: "src/workspaces/worktrees.test.ts" },
  { promise: "the stream of events can be resumed" },
  { promise: "a message that is sent again is accepted once" },
  { promise: "memory, disk and children are bounded", elsewhere: "test/torture/soak.test.ts" },
  { promise: "calls share one budget per provider", elsewhere: "src/providers/governor.test.ts" },
];

/** The sabotages that break a promise, by its number from 1. */
export function sabotagesOf(number: number): readonly string[] {
  return SABOTAGES.filter(({ invariants }) => invariants.includes(number)).map(({ name }) => name);
}

/** As Markdown. */
export function promisesTable(): string {
  const rows = PROMISES.map(({ promise, elsewhere }, index) => {
    const names = sabotagesOf(index + 1);
    return `| INV-${index + 1} | ${promise} | ${names.length > 0 ? names.join("; ") : (elsewhere ?? "")} |`;
  });
  return ["| | promise | broken by, or shown by |", "|---|---|---|", ...rows, ""].join("\n");
}
