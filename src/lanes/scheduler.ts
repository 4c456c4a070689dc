/**
 * The scheduler: asks the store who may run now, and starts it.
 *
 * The store decides (one transaction: a ready lane and a free slot). This loop only knows when to
 * ask: after anything that could make a lane ready or a slot free (`kick`), and when the store
 * said that something comes due. It keeps no truth; what it remembers are running means for
 * estimates.
 *
 * Always true:
 *   - at most one claim is under way; kicks meanwhile lead to exactly one more
 *   - after `drain`, nothing new is started
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { Claim, ClaimRules } from "../model/claim.ts";
import type { PoolName } from "../model/lane.ts";
import type { QuietTurn } from "../model/supervision.ts";
import type { StartedTurn } from "../model/turn.ts";
import { POOL_SETTINGS } from "./settings.ts";

/** Turns started by one claim; more follow in the next. */
const CLAIM_TURNS_MAX = 64;
/** Pause before the next try when the store cannot answer, e.g. for a full disk. */
const CLAIM_RETRY_MS = 1_000;
/** What a turn is taken to last before any was measured. */
const FIRST_MEAN_TURN_MS = 5_000;
/** Weight of the newest turn in the running mean. */
const MEAN_WEIGHT = 0.2;

export interface SchedulerDeps {
  readonly claimTurns: (rules: ClaimRules) => Promise<Claim>;
  readonly clock: Clock;
  readonly log: Log;
  /** Runs a turn; must not throw. */
  readonly start: (turn: StartedTurn) => void;
  /** Looks whether a turn that seems to stand still does; must not throw. */
  readonly look: (turn: QuietTurn) => void;
}

export class Scheduler {
  readonly #deps: SchedulerDeps;
  readonly #meanTurnMs: Record<PoolName, number> = { main: FIRST_MEAN_TURN_MS, side: FIRST_MEAN_TURN_MS, subagent: FIRST_MEAN_TURN_MS, acp: FIRST_MEAN_TURN_MS, timer: FIRST_MEAN_TURN_MS };
  readonly #measured = new Set<PoolName>();
  #claiming = false;
  #again = false;
  #draining = true;
  #disarm: (() => void) | undefined;

  constructor(deps: SchedulerDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#draining = false;
    this.kick();
  }

  /** From now on nothing new is started. */
  drain(): void {
    this.#draining = true;
    this.#disarm?.();
  }

  /** Something may have become ready, or a slot free. Cheap; call it once too often rather than once too little. */
  kick(): void {
    if (this.#draining) return;
    if (this.#claiming) {
      this.#again = true;
      return;
    }
    this.#claiming = true;
    void this.#claim();
  }

  /** The mean length of a turn in each pool, milliseconds. */
  get meanTurnMs(): Readonly<Record<PoolName, number>> {
    return this.#meanTurnMs;
  }

  turnEnded(pool: PoolName, ms: number): void {
    const before = this.#measured.has(pool) ? this.#meanTurnMs[pool] : ms;
    this.#measured.add(pool);
    this.#meanTurnMs[pool] = before + (ms - before) * MEAN_WEIGHT;
  }

  async #claim(): Promise<void> {
    this.#disarm?.();
    this.#disarm = undefined;
    let claim: Claim;
    try {
      claim = await this.#deps.claimTurns({ turnsMax: CLAIM_TURNS_MAX, meanTurnMs: this.#meanTurnMs });
    } catch (cause) {
      this.#deps.log.error("claim.failed", { cause });
      this.#claiming = false;
      if (!this.#draining) this.#arm(CLAIM_RETRY_MS);
      return;
    }
    for (const turn of claim.started) this.#deps.start(turn);
    for (const turn of claim.quiet) this.#deps.look(turn);
    this.#claiming = false;
    if (this.#again || claim.more) {
      this.#again = false;
      this.kick();
    } else if (claim.nextAt !== null && !this.#draining) {
      this.#arm(Math.max(1, claim.nextAt - this.#deps.clock.now()));
    }
  }

  #arm(delayMs: number): void {
    this.#disarm = this.#deps.clock.after(delayMs, () => this.kick());
  }
}

/** Pool sizes as the settings have them now. */
export function poolSizes(settings: Settings): Record<PoolName, number> {
  return Object.fromEntries(Object.entries(POOL_SETTINGS).map(([pool, setting]) => [pool, settings.get(setting)])) as Record<PoolName, number>;
}
