/**
 * Allowances: how much one account of a provider lets a model take in a minute, as pure arithmetic.
 *
 * Always true, for whoever asks through `takeFrom`: no more than the limit is taken in any span of
 * 61 seconds, unless it says that it goes beyond. The second over the minute is room for the
 * network, which may bring two requests closer together than they were sent.
 *
 * Besides, background work is spaced evenly, and never takes the last place of a minute when the next is far:
 * so a person who asks finds a place soon. A person's call need not keep the pace, and the background then falls
 * back by as much.
 */

export interface RateLimits {
  /** null = no limit known. */
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
}

export const NO_LIMITS: RateLimits = { requestsPerMinute: null, tokensPerMinute: null };

/** What was taken of one thing. */
export interface Meter {
  /** When background work may take the next, wall time in milliseconds. */
  readonly paceAt: number;
  /** Amounts by slot of half a second, oldest first; only the last 61.5 seconds. */
  readonly recent: readonly (readonly [slot: number, amount: number])[];
}

export const EMPTY_METER: Meter = { paceAt: 0, recent: [] };

export interface Allowance {
  /** `provider/account/model`. */
  readonly key: string;
  readonly requests: Meter;
  readonly tokens: Meter;
  /** The provider refuses everything until then, wall time in milliseconds; 0 = it does not. */
  readonly wallUntil: number;
  /** Limits that were learned from the provider. */
  readonly learned: RateLimits;
}

export interface AllowanceAsk {
  readonly key: string;
  readonly limits: RateLimits;
  readonly tokens: number;
  /** A person waits for it. */
  readonly person: boolean;
  /** The limit of requests is a guess, and this one goes beyond it; it counts all the same. */
  readonly isBeyond?: boolean;
}

/** `waitMs` 0: it was taken. Else nothing was; `spreadMs` is by how much the next try may be late without loss. */
export interface AllowanceAnswer {
  readonly waitMs: number;
  readonly spreadMs: number;
}

export interface AllowanceChange {
  readonly key: string;
  /** Added to what was taken; negative gives back. */
  readonly requests?: number;
  readonly tokens?: number;
  readonly wallUntil?: number;
  readonly learned?: RateLimits;
  /** What was sent before anyone counted here. */
  readonly sent?: Meter;
}

/** Where allowances are kept: rows that several gateways can share. The store is one. */
export interface AllowanceBook {
  takeAllowance(ask: AllowanceAsk): Promise<AllowanceAnswer>;
  adjustAllowance(change: AllowanceChange): Promise<void>;
  allowances(): Promise<readonly Allowance[]>;
}

const SLOT_MS = 500;
const WINDOW_SLOTS = 123;
/** A minute's worth is spread over this long. */
const PACE_MS = 61_000;
/** A late background call gets back this much of the pace that it lost. */
const SLACK_MS = 1_000;
/** All the same it is spread by this part of a step, so that nothing comes like clockwork. */
const SPREAD_PART = 0.3;
/** The background takes the last place when the next is free within so many steps of its pace. */
const LAST_PLACE_STEPS = 1.5;

export function emptyAllowance(key: string): Allowance {
  return { key, requests: EMPTY_METER, tokens: EMPTY_METER, wallUntil: 0, learned: NO_LIMITS };
}

/** Takes one request and its tokens, all or nothing. */
export function takeFrom(allowance: Allowance, ask: AllowanceAsk, nowMs: number): { readonly allowance: Allowance; readonly answer: AllowanceAnswer } {
  const { requestsPerMinute, tokensPerMinute } = ask.limits;
  const requests = ask.isBeyond === true ? 0 : Math.max(waitFor(allowance.requests, 1, requestsPerMinute, ask.person, nowMs), ask.person ? 0 : waitForLastPlace(allowance.requests, requestsPerMinute, nowMs));
  const tokens = waitFor(allowance.tokens, ask.tokens, tokensPerMinute, ask.person, nowMs);
  const wallMs = Math.max(0, allowance.wallUntil - nowMs);
  const waitMs = Math.max(requests, tokens, wallMs);
  if (waitMs > 0) return { allowance, answer: { waitMs, spreadMs: ask.person || requestsPerMinute === null ? 0 : spreadOf(allowance.requests, PACE_MS / requestsPerMinute, waitMs, nowMs) } };
  return {
    allowance: { ...allowance, requests: record(allowance.requests, 1, requestsPerMinute, nowMs), tokens: record(allowance.tokens, ask.tokens, tokensPerMinute, nowMs) },
    answer: { waitMs: 0, spreadMs: 0 },
  };
}

export function changed(allowance: Allowance, change: AllowanceChange, nowMs: number): Allowance {
  const learned = change.learned ?? allowance.learned;
  // What went out while no limit was known is not in the book.
  const isMissing = change.sent !== undefined && takenIn(change.sent, nowMs) > takenIn(allowance.requests, nowMs);
  const requests = isMissing ? { recent: change.sent.recent, paceAt: Math.max(nowMs, allowance.requests.paceAt) } : allowance.requests;
  return {
    key: allowance.key,
    requests: correct(requests, change.requests ?? 0, nowMs),
    tokens: correct(allowance.tokens, change.tokens ?? 0, nowMs),
    wallUntil: change.wallUntil ?? allowance.wallUntil,
    learned,
  };
}

/** The same allowance on a clock that was set. */
export function moved(allowance: Allowance, byMs: number): Allowance {
  const bySlots = Math.round(byMs / SLOT_MS);
  const meter = ({ paceAt, recent }: Meter): Meter => ({ paceAt: paceAt === 0 ? 0 : paceAt + byMs, recent: recent.map(([slot, amount]) => [slot + bySlots, amount] as const) });
  return { ...allowance, requests: meter(allowance.requests), tokens: meter(allowance.tokens), wallUntil: allowance.wallUntil === 0 ? 0 : Math.max(0, allowance.wallUntil + byMs) };
}

/** How much was taken in the last minute. */
export function takenIn(meter: Meter, nowMs: number): number {
  const first = Math.floor(nowMs / SLOT_MS) - WINDOW_SLOTS;
  let sum = 0;
  for (const [slot, amount] of meter.recent) if (slot > first) sum += amount;
  return sum;
}

/** A meter that only counts: whoever is not limited yet keeps one, so that a limit learned later is known to be used up. */
export class SentMeter {
  #recent: [slot: number, amount: number][] = [];

  add(nowMs: number): void {
    const slot = Math.floor(nowMs / SLOT_MS);
    const last = this.#recent.at(-1);
    if (last !== undefined && last[0] === slot) last[1]++;
    else if (this.#recent.push([slot, 1]) > 2 * WINDOW_SLOTS) this.#recent = [...live(this.#recent, nowMs)] as [number, number][];
  }

  meter(nowMs: number): Meter {
    return { paceAt: nowMs, recent: live(this.#recent, nowMs) };
  }
}

function live(recent: Meter["recent"], nowMs: number): Meter["recent"] {
  const first = Math.floor(nowMs / SLOT_MS) - WINDOW_SLOTS;
  return recent.filter(([slot]) => slot > first);
}

/** A single call larger than the limit may go when nothing else did. */
function waitFor(meter: Meter, amount: number, limit: number | null, person: boolean, nowMs: number): number {
  if (limit === null) return 0;
  const recent = live(meter.recent, nowMs);
  const room = limit - Math.min(amount, limit);
  let taken = recent.reduce((sum, [, each]) => sum + each, 0);
  let waitMs = 0;
  for (const [slot, each] of recent) {
    if (taken <= room) break;
    taken -= each;
    waitMs = (slot + WINDOW_SLOTS) * SLOT_MS - nowMs;
  }
  return Math.max(waitMs, person ? 0 : Math.min(meter.paceAt - nowMs, PACE_MS));
}

/** Who waits for its pace may be late by a step, which the pace gives back; a place of the minute that is taken late is taken late for good. */
function spreadOf({ paceAt }: Meter, stepMs: number, waitMs: number, nowMs: number): number {
  return Math.max(stepMs * SPREAD_PART, paceAt + stepMs - nowMs - waitMs);
}

/** How long the background leaves the last place of a minute to people; 0 when it is not the last, or the next is near. */
function waitForLastPlace(meter: Meter, limit: number | null, nowMs: number): number {
  if (limit === null) return 0;
  const recent = live(meter.recent, nowMs);
  const [oldest] = recent[0] ?? [];
  if (oldest === undefined || recent.reduce((sum, [, each]) => sum + each, 0) !== limit - 1) return 0;
  return Math.max(0, (oldest + WINDOW_SLOTS) * SLOT_MS - nowMs - (LAST_PLACE_STEPS * PACE_MS) / limit);
}

function record(meter: Meter, amount: number, limit: number | null, nowMs: number): Meter {
  if (limit === null) return meter;
  const stepMs = (Math.min(amount, limit) * PACE_MS) / limit;
  const paceAt = Math.max(meter.paceAt, nowMs - Math.max(SLACK_MS, 2 * stepMs)) + stepMs;
  return correct({ paceAt, recent: meter.recent }, amount, nowMs);
}

function correct(meter: Meter, amount: number, nowMs: number): Meter {
  if (amount === 0) return meter;
  const slot = Math.floor(nowMs / SLOT_MS);
  const recent = [...live(meter.recent, nowMs)];
  const last = recent.at(-1);
  if (last !== undefined && (last[0] >= slot || amount < 0)) recent[recent.length - 1] = [last[0], Math.max(0, last[1] + amount)];
  else if (amount > 0) recent.push([slot, amount]);
  return { paceAt: meter.paceAt, recent };
}
