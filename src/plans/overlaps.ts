/**
 * Which paths two tasks of a plan both own.
 *
 * Every pair of a plan's claims is asked for, and nearly all differ in their first letters; only those
 * that do not are compared as patterns.
 */
import { expandBraces } from "../base/braces.ts";
import { claimsOverlap } from "../model/path-claims.ts";
import type { PlanTask } from "../model/plan.ts";

/** The claims of one that share a path with some claim of the other. */
export function sharedClaims(a: PlanTask, b: PlanTask): readonly string[] {
  return a.owns.filter((claim) => b.owns.some((other) => mayMeet(claim, other) && claimsOverlap(claim, other)));
}

const ALTERNATIVES_MAX = 64;

/** How many patterns a claim stands for; comparing two claims costs as many steps as their product. */
export function patternCount(claim: string): number {
  return expandBraces(claim, ALTERNATIVES_MAX)?.length ?? ALTERNATIVES_MAX;
}

const FIRST_PATTERN = /[*?[\]{}]|^\.?\/|\/\.?\//;

/** False when the two differ before either says anything but plain letters. */
function mayMeet(a: string, b: string): boolean {
  const [one, other] = [plainPart(a), plainPart(b)];
  const length = Math.min(one.length, other.length);
  return one.slice(0, length) === other.slice(0, length);
}

function plainPart(claim: string): string {
  const end = claim.search(FIRST_PATTERN);
  return end < 0 ? claim.replace(/\/+$/, "") : claim.slice(0, end);
}
