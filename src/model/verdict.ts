/** What the check of a plan finds: sequential or parallel, why, and what either would cost. */

export type Mode = "sequential" | "parallel";

export const REASON_CODES = [
  "one-task", "dependencies", "overlap", "unowned", "shared-file", "changes-together", "too-small", "size-unknown", "no-tests", "unwatched", "outside", "independent",
] as const;
export type ReasonCode = (typeof REASON_CODES)[number];

export interface Reason {
  readonly code: ReasonCode;
  /** `against` speaks for sequential work and decides; `warning` does not decide; `for` speaks for parallel work. */
  readonly weight: "against" | "warning" | "for";
  readonly text: string;
  readonly tasks: readonly string[];
  readonly paths: readonly string[];
}

/** One question of the decision tree; questions after the first "no" are not asked. */
export interface Decision {
  readonly question: string;
  readonly answer: "yes" | "no" | "not asked";
  readonly because: string;
}

export interface PhaseVerdict {
  readonly name: string;
  readonly mode: Mode;
  readonly tasks: readonly string[];
  readonly decisions: readonly Decision[];
  readonly reasons: readonly Reason[];
  /** Expected number of merges that do not go through by themselves, when it runs in parallel. */
  readonly conflictsExpected: number;
  readonly minutes: Readonly<Record<Mode, number>>;
}

export interface Cost {
  readonly minutes: number;
  /** Model calls. */
  readonly requests: number;
  readonly tokens: number;
}

export interface Verdict {
  readonly mode: Mode;
  readonly phases: readonly PhaseVerdict[];
  /** Agents at once that it reckons with. */
  readonly agents: number;
  readonly sequential: Cost;
  /** As the phases' verdicts say; when all are sequential, what it would come to all the same. */
  readonly parallel: Cost;
  /** Time of sequential work over time of parallel work. */
  readonly speedUp: number;
  readonly conflictsExpected: number;
  /** What it was reckoned from, besides the plan. */
  readonly basis?: Basis;
}

export interface Basis {
  /** Files of the repository, and commits of its log, that were looked at. */
  readonly files: number;
  readonly commits: number;
  /** What each agent costs besides its work, and what a conflict costs, minutes. */
  readonly startMinutes: number;
  readonly mergeMinutes: number;
  readonly conflictMinutes: number;
  /** Whether somebody has time to look; null = nobody said. */
  readonly watched: boolean | null;
}
