/** When customers first write: all at once, spread over a time, or at random moments at some rate. */
import { BadValue } from "../src/base/setting.ts";
import { chanceFor, exponential, readDuration } from "./length.ts";

export type Arrivals = { readonly kind: "burst" } | { readonly kind: "uniform"; readonly overMs: number } | { readonly kind: "poisson"; readonly perMs: number };

export const ARRIVALS_FORM = "burst, uniform:TIME (uniform:60s) or poisson:N/s (also /m, /h)";

const RATE_UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

/** @throws {BadValue} */
export function readArrivals(text: string): Arrivals {
  if (text === "burst") return { kind: "burst" };
  const [, over] = /^uniform:(.+)$/.exec(text) ?? [];
  if (over !== undefined) return { kind: "uniform", overMs: readOver(over) };
  const [, rate, unit] = /^poisson:(\d{1,6}(?:\.\d{1,6})?)\/([smh])$/.exec(text) ?? [];
  if (unit === undefined || Number(rate) === 0) throw new BadValue(ARRIVALS_FORM);
  return { kind: "poisson", perMs: Number(rate) / RATE_UNIT_MS[unit]! };
}

function readOver(text: string): number {
  try {
    return readDuration(text);
  } catch {
    throw new BadValue(ARRIVALS_FORM);
  }
}

/** The moment of each customer's first message, whole milliseconds from the start, earliest first. */
export function arrivalTimes(arrivals: Arrivals, customers: number, seed: number): readonly number[] {
  const chance = chanceFor(seed, "arrivals");
  let at = 0;
  const times = Array.from({ length: customers }, () => {
    if (arrivals.kind === "uniform") return chance() * arrivals.overMs;
    if (arrivals.kind === "poisson") at += exponential(1 / arrivals.perMs, chance);
    return at;
  });
  return times.map(Math.round).sort((a, b) => a - b);
}
