/** Counts that others report, such as tokens and costs: taken so that they can be kept and added up, whatever was said. */

/** More than one call can use of anything; what is said to be more counts as that, so that a limit on it still holds. */
export const COUNT_MAX = 1_000_000_000;

/** @returns whole and from 0 to `max`; null when it is no number, or less than 0. */
export function countFrom(value: unknown, max = COUNT_MAX): number | null {
  return typeof value === "number" && value >= 0 ? Math.round(Math.min(value, max)) : null;
}
