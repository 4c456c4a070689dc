/** Lengths of time as people write them, fixed or drawn by chance: `5s`, `3s..8s`, `exp:5s`, `lognormal:5s,0.5`. */
import { createHash } from "node:crypto";
import { BadValue } from "../src/base/setting.ts";

/** A number in [0, 1) for each call. */
export type Chance = () => number;

export type Length =
  | { readonly kind: "fixed"; readonly ms: number }
  | { readonly kind: "uniform"; readonly fromMs: number; readonly toMs: number }
  | { readonly kind: "exp"; readonly meanMs: number }
  | { readonly kind: "lognormal"; readonly medianMs: number; readonly sigma: number };

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const DURATION_MAX_MS = 7 * 24 * 3_600_000;
/** Beyond this a lognormal is all tail, and its numbers say nothing. */
const SIGMA_MAX = 3;

export const DURATION_FORM = "a time such as 500ms, 5s or 2m, at most 7 days";
export const LENGTH_FORM = "a time (5s), a range (3s..8s), exp:MEAN (exp:5s) or lognormal:MEDIAN,SIGMA (lognormal:5s,0.5; sigma up to 3), at most 7 days";

/** @returns whole milliseconds. @throws {BadValue} */
export function readDuration(text: string): number {
  if (text === "0") return 0;
  const [, number, unit] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Math.round(Number(number) * UNIT_MS[unit ?? ""]!);
  if (!(ms <= DURATION_MAX_MS)) throw new BadValue(DURATION_FORM);
  return ms;
}

/** @throws {BadValue} */
export function readLength(text: string): Length {
  try {
    return lengthIn(text);
  } catch {
    throw new BadValue(LENGTH_FORM);
  }
}

function lengthIn(text: string): Length {
  const [, from, to] = /^([^.]+(?:\.\d+\w+)?)\.\.(.+)$/.exec(text) ?? [];
  if (from !== undefined && to !== undefined) {
    const range = { kind: "uniform", fromMs: readDuration(from), toMs: readDuration(to) } as const;
    if (range.fromMs > range.toMs) throw new BadValue(LENGTH_FORM);
    return range;
  }
  const [, name, rest] = /^(exp|lognormal):(.+)$/.exec(text) ?? [];
  if (name === "exp") return { kind: "exp", meanMs: readDuration(rest!) };
  if (name === undefined) return { kind: "fixed", ms: readDuration(text) };
  const [, median, sigma] = /^([^,]+),(\d(?:\.\d{1,3})?)$/.exec(rest!) ?? [];
  if (median === undefined || Number(sigma) > SIGMA_MAX) throw new BadValue(LENGTH_FORM);
  return { kind: "lognormal", medianMs: readDuration(median), sigma: Number(sigma) };
}

/** One length, in whole milliseconds, at most 7 days. */
export function drawMs(length: Length, chance: Chance): number {
  return Math.min(DURATION_MAX_MS, Math.round(drawn(length, chance)));
}

function drawn(length: Length, chance: Chance): number {
  switch (length.kind) {
    case "fixed":
      return length.ms;
    case "uniform":
      return length.fromMs + chance() * (length.toMs - length.fromMs);
    case "exp":
      return exponential(length.meanMs, chance);
    case "lognormal":
      return length.medianMs * Math.exp(length.sigma * normal(chance));
  }
}

export function exponential(mean: number, chance: Chance): number {
  return -mean * Math.log(1 - chance());
}

/** Box and Muller's. */
function normal(chance: Chance): number {
  return Math.sqrt(-2 * Math.log(1 - chance())) * Math.cos(2 * Math.PI * chance());
}

/**
 * Chance that depends on nothing but the seed and what it is for. So the third message of customer 7
 * takes as long under every setting that is compared, and a difference comes from the setting.
 */
export function chanceFor(seed: number, what: string): Chance {
  let n = 0;
  return () => createHash("sha256").update(`${seed}/${what}/${n++}`).digest().readUIntBE(0, 6) / 2 ** 48;
}
