/** What must be true of a world of walls: of its end, and of what the provider saw. Each check gives a line per violation. */
import type { Seen, Wall } from "./provider.ts";

/** How long a request that was on its way already may arrive after everybody was told of a wall. */
const ON_ITS_WAY_MS = 5_000;
const MINUTE_MS = 60_000;
/** The room that the gateway leaves to the network: a minute's worth is spread over 61 seconds. */
const PLACE_PART = 61 / 60;

export interface Course {
  readonly log: readonly Seen[];
  readonly walls: readonly Wall[];
  readonly perMinute: number | null;
  /** The gateway was told of the limit. */
  readonly isKnown: boolean;
  readonly accounts: number;
  /** When processes ended, milliseconds. */
  readonly crashes: readonly { readonly at: number; readonly backAt: number }[];
  readonly tasks: readonly { readonly name: string; readonly state: string; readonly fault: string | null; readonly cancelledAt: number | null }[];
  readonly questions: readonly Question[];
  readonly isOver: boolean;
}

export interface Question {
  readonly name: string;
  readonly at: number;
  /** To a model of another provider, which refuses nobody. */
  readonly isFree: boolean;
  readonly answeredAt: number | null;
}

export const CHECKS: Readonly<Record<string, (course: Course) => string[]>> = { nothingFails, limitsAreKept, wallsAreHeeded, oneGoesFirst, stoppedCallsDoNotCome, slotsAreLent, peopleGoFirst, peopleFindTheWayOut, peopleAreNotPassed };

export function check(course: Course): string[] {
  return Object.entries(CHECKS).flatMap(([name, look]) => look(course).map((violation) => `${name}: ${violation}`));
}

export function nothingFails({ tasks, questions, isOver }: Course): string[] {
  if (!isOver) return ["not everything ended"];
  return [
    ...tasks.filter(({ state, cancelledAt }) => state !== "succeeded" && !(state === "cancelled" && cancelledAt !== null)).map(({ name, state, fault }) => `${name} is ${state} (${fault})`),
    ...questions.filter(({ answeredAt }) => answeredAt === null).map(({ name }) => `${name} was not answered`),
  ];
}

/** Who knows the limit is never refused for it; who does not is refused by one burst, and has learned. */
export function limitsAreKept({ log, isKnown, crashes }: Course): string[] {
  const over = log.filter(({ because }) => because === "rate");
  if (isKnown) return over.slice(0, 1).map(({ at, who }) => `${who} came over a known limit at ${at}`);
  const first = new Map<string, number>();
  for (const { key, at } of over) if (!first.has(key)) first.set(key, at);
  // What was learned just before a kill may not have come to disk.
  const isNewBurst = (at: number, key: string): boolean => crashes.some((crash) => at >= crash.at && crash.at - first.get(key)! < ON_ITS_WAY_MS);
  return over.filter(({ key, at }) => at - first.get(key)! > ON_ITS_WAY_MS && !isNewBurst(at, key)).slice(0, 1).map(({ at, who, key }) => `${who} came over the limit at ${at}, learned at ${first.get(key)}`);
}

/** Nobody comes while a wall stands whose end was told. */
export function wallsAreHeeded({ log, walls, crashes }: Course): string[] {
  return walls.flatMap((wall) => {
    if (!wall.tells) return [];
    const told = new Map<string, number>();
    const violations: string[] = [];
    for (const { because, key, at, endedAt, who } of log) {
      if (because !== "wall" || at < wall.fromMs || at >= wall.untilMs) continue;
      const heard = told.get(key);
      // A refusal that was heard just before a kill may not have come to disk.
      const wasForgotten = crashes.some((crash) => heard !== undefined && crash.at >= heard && crash.at - heard < ON_ITS_WAY_MS);
      if (heard !== undefined && at > heard && !wasForgotten) violations.push(`${who} came at ${at} into a wall until ${wall.untilMs} that was told at ${heard}`);
      // Who died while the refusal was on its way never heard it.
      const wasLost = endedAt === null || crashes.some((crash) => crash.at >= at && crash.at <= endedAt);
      if (!wasLost && (heard === undefined || wasForgotten)) told.set(key, endedAt);
    }
    return violations.slice(0, 1);
  });
}

/** After a wall one goes first, and a person beside it; each that came back well lets at most one more in. */
export function oneGoesFirst({ log, walls, crashes }: Course): string[] {
  const violations: string[] = [];
  for (const wall of walls) {
    for (const key of new Set(log.map((seen) => seen.key))) {
      const mine = log.filter((seen) => seen.key === key);
      const met = mine.find(({ because, at, endedAt }) => because === "wall" && at >= wall.fromMs && at < wall.untilMs && endedAt !== null);
      const heardAt = met?.endedAt;
      if (met === undefined || heardAt === undefined || heardAt === null || heardAt >= wall.untilMs) continue;
      if (crashes.some(({ at }) => at >= met.at)) continue; // what was in flight then is not known to the next process
      const next = walls.find(({ fromMs }) => fromMs >= wall.untilMs)?.fromMs ?? Infinity;
      const after = mine.filter(({ at }) => at > heardAt && at < next);
      let good = 0;
      for (const seen of after.slice(0, 30)) {
        good = after.filter(({ because, endedAt }) => because === null && endedAt !== null && endedAt <= seen.at).length;
        if (seen.beside > good + (isQuestion(seen) ? 1 : 0)) violations.push(`${seen.who} came at ${seen.at} beside ${seen.beside} others, when ${good} had come back since the wall`);
      }
    }
  }
  return violations.slice(0, 1);
}

export function stoppedCallsDoNotCome({ log, tasks }: Course): string[] {
  return tasks.flatMap(({ name, cancelledAt }) => log.filter(({ who, at }) => cancelledAt !== null && who === name && at > cancelledAt + ON_ITS_WAY_MS).slice(0, 1).map(({ at }) => `${name} came at ${at}, and was stopped at ${cancelledAt}`));
}

/** Whoever asks a provider that refuses nobody is answered soon, whatever others wait for. */
export function slotsAreLent({ questions, crashes }: Course): string[] {
  return questions.flatMap(({ name, at, isFree, answeredAt }) => {
    if (!isFree || answeredAt === null) return [];
    const down = crashes.filter((crash) => crash.backAt >= at && crash.at <= answeredAt).reduce((sum, crash) => sum + crash.backAt - crash.at + 30_000, 0);
    return answeredAt - at > 30_000 + down ? [`${name} to a free provider took ${answeredAt - at} ms`] : [];
  });
}

/** Outside of walls a person's question goes within two places, and one more for each other person, whether the limit was set or learned. */
export function peopleGoFirst({ log, walls, crashes, questions, perMinute, accounts }: Course): string[] {
  if (perMinute === null || accounts > 1) return [];
  const placeMs = (MINUTE_MS / perMinute) * PLACE_PART;
  return questions.flatMap(({ name, at, isFree }) => {
    const came = log.find(({ who, because }) => who === name && because === null)?.at;
    if (isFree || came === undefined) return [];
    const isQuiet = !walls.some(({ fromMs, untilMs }) => fromMs < came && untilMs + 2 * MINUTE_MS > at) && !crashes.some((crash) => crash.at < came && crash.backAt + MINUTE_MS > at);
    const others = questions.filter((other) => other.name !== name && Math.abs(other.at - at) < MINUTE_MS + 2 * placeMs).length;
    return isQuiet && came - at > (2 + others) * placeMs + ON_ITS_WAY_MS ? [`${name} waited ${came - at} ms, where a place is ${Math.round(placeMs)} ms and ${others} others asked`] : [];
  });
}

/** The first person who waits at a wall that does not tell its end goes within two places of it. */
export function peopleFindTheWayOut({ log, walls, crashes, questions, perMinute, accounts }: Course): string[] {
  if (accounts > 1) return [];
  return walls.flatMap(({ fromMs, untilMs, tells }) => {
    const waiting = questions.filter(({ name, at, isFree }) => !isFree && at < untilMs - ON_ITS_WAY_MS && log.some(({ who, because, at: came }) => who === name && because === "wall" && came >= fromMs && came < untilMs));
    const came = Math.min(...waiting.map(({ name }) => log.find(({ who, because, at }) => who === name && because === null && at >= untilMs)?.at ?? Infinity));
    if (tells || waiting.length === 0 || crashes.some((crash) => crash.at < came && crash.backAt > fromMs)) return [];
    const placeMs = Math.max(2_000, (untilMs - fromMs) / 100, perMinute === null ? 0 : (MINUTE_MS / perMinute) * PLACE_PART);
    return came - untilMs > 2 * placeMs + ON_ITS_WAY_MS ? [`${waiting.length} people waited at the wall until ${untilMs}, and the first came at ${came}`] : [];
  });
}

/** A call of the background that comes later does not go before a person's: but for one that was on its way, and one that tries a wall beside it. */
export function peopleAreNotPassed({ log, walls, crashes, questions, accounts }: Course): string[] {
  if (accounts > 1) return [];
  return questions.flatMap(({ name, at, isFree }) => {
    const came = log.find(({ who, because }) => who === name && because === null)?.at;
    // With others who ask, it may wait for a slot, and the background gets its turn after six of them.
    const isAlone = !questions.some((other) => other.name !== name && !other.isFree && other.at < (came ?? 0) && (other.answeredAt ?? Infinity) > at);
    const metBadKey = log.some(({ who, because }) => who === name && because === "key");
    if (isFree || came === undefined || !isAlone || metBadKey || crashes.some((crash) => crash.at < came && crash.backAt + MINUTE_MS > at)) return [];
    const passed = log.filter((seen) => seen.because === null && !isQuestion(seen) && seen.at > at + 1_000 && seen.at < came);
    return passed.length > 2 ? [`${name}, asked at ${at}, came at ${came}, after ${passed.map(({ who, at: then }) => `${who} at ${then}`).slice(0, 3).join(", ")}${walls.some(({ fromMs }) => fromMs < came) ? ", behind a wall" : ""}`] : [];
  });
}

const isQuestion = ({ who }: Seen): boolean => who.startsWith("question ");
