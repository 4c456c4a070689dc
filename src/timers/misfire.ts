/**
 * What becomes of the moments of a job that have passed.
 *
 * A moment that is at most {@link ON_TIME_MS} old is on time, whatever the policy. Later ones are
 * missed, superseded by a newer one, or run, as the job's policy says. A pure function of what is
 * due and what time it is; long lists are cut, and the job is simply due again for the rest.
 */
import { graceOf, ON_TIME_MS, type Misfire, type PassedMoment } from "../model/job.ts";

/** Moments that one transaction writes; the rest follow in the next. */
export const PASSED_AT_ONCE_MAX = 500;
/** Moments older than this get one row for all of them instead of one each. */
export const EACH_ROW_WITHIN_MS = 8 * 86_400_000;

export interface DueMoments {
  readonly passed: readonly PassedMoment[];
  /** The moment to run now; null = none of these. */
  readonly run: number | null;
  /** True when it is run for catching up and must stand in line behind the one before. */
  readonly queue: boolean;
  /** The first moment that is not dealt with; null = there is none. */
  readonly next: number | null;
}

/**
 * @param first  the oldest moment without a row; it is not after `now`.
 * @param next   the moment of the schedule after another, or null.
 * @param staggerMs  how long after its moment each run is due.
 */
export function dealWithDue({ first, now, policy, next, staggerMs }: { first: number; now: number; policy: Misfire; next: (after: number) => number | null; staggerMs: number }): DueMoments {
  const passed: PassedMoment[] = [];
  let at: number | null = first;
  const longAgo = now - EACH_ROW_WITHIN_MS;
  if (at < longAgo) {
    const after = next(longAgo);
    if (after !== null && after <= now) {
      passed.push({ scheduledFor: at, until: longAgo, state: "missed", reason: "the gateway did not run for a long time" });
      at = after;
    }
  }
  // The moments that follow, looked up no further than the policy must know.
  const ahead: (number | null)[] = [];
  const lookAhead = policy.policy === "all" ? policy.max : 1;
  while (at !== null && at <= now && passed.length < PASSED_AT_ONCE_MAX) {
    while (ahead.length < lookAhead) {
      const last: number | null = ahead.length === 0 ? at : ahead.at(-1)!;
      ahead.push(last === null ? null : next(last));
    }
    const following = ahead[0]!;
    const isDue = (moment: number | null): boolean => moment !== null && moment <= now;
    const late = now - at - staggerMs;
    if (policy.policy === "all") {
      if (!isDue(ahead[policy.max - 1]!)) return { passed, run: at, queue: isDue(following) || late > ON_TIME_MS, next: following };
      passed.push(past(at, "missed", `only the newest ${policy.max} are caught up`));
    } else if (!isDue(following)) {
      const graceMs = graceOf(policy);
      if (late <= graceMs) return { passed, run: at, queue: false, next: following };
      passed.push(past(at, "missed", policy.policy === "latest" ? `${Math.round(late / 1000)} s late, over the grace of ${Math.round(graceMs / 1000)} s` : `${Math.round(late / 1000)} s late`));
    } else passed.push(policy.policy === "latest" ? past(at, "superseded", "a newer moment came before it could run") : past(at, "missed", `${Math.round(late / 1000)} s late`));
    ahead.shift();
    at = following;
  }
  return { passed, run: null, queue: false, next: at };
}

function past(at: number, state: PassedMoment["state"], reason: string): PassedMoment {
  return { scheduledFor: at, until: at, state, reason };
}
