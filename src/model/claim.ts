/** Claims: what the scheduler asks of the store, and what it gets. */
import type { SessionKey, TurnId } from "../base/ids.ts";
import type { PoolName } from "./lane.ts";
import type { QuietTurn } from "./supervision.ts";
import type { StartedTurn } from "./turn.ts";

/** Settings that the store's own decisions need; kept by the store until they are set anew. */
export interface Rules {
  readonly pools: Readonly<Record<PoolName, number>>;
  /** A main turn older than this goes on beside its lane when a person's message waits in mode `auto`. */
  readonly foregroundMs: number;
  /** How long finished children are gathered into one digest. */
  readonly gatherMs: number;
  /** Side turns of one session that may be started at once in mode `parallel`. */
  readonly sideTurnsMax: number;
  /** Waiting messages that one session may hold. */
  readonly queueCap: number;
}

export interface ClaimRules {
  /** The most turns to start in one go. */
  readonly turnsMax: number;
  /** For estimates, milliseconds. */
  readonly meanTurnMs: Readonly<Record<PoolName, number>>;
}

export interface Claim {
  readonly started: readonly StartedTurn[];
  readonly promoted: readonly PromotedTurn[];
  /** To be looked at, and then judged by `judgeQuiet`; else they are named again some seconds later. */
  readonly quiet: readonly QuietTurn[];
  /** Wall time when something comes due that no other verb will announce; null = nothing waits. */
  readonly nextAt: number | null;
  /** True when more could start right now (the claim was cut at `turnsMax`). */
  readonly more: boolean;
}

export interface PromotedTurn {
  readonly turnId: TurnId;
  readonly session: SessionKey;
  readonly handle: string;
}
