/** The answer of a simulation: what each message met, what it comes to, and one sentence for people. */
import type { PoolName } from "../src/model/lane.ts";
import type { Variant } from "./options.ts";
import type { LaneTrace } from "./recorder.ts";
import type { MessageFate, Run } from "./run.ts";

/** One message, averaged over the runs. Times in milliseconds; null = it did not come to that in any run. */
export interface MessageReport {
  readonly customer: number;
  readonly message: number;
  readonly sentMs: number;
  /** From sending to the start of its turn. */
  readonly waitMs: number | null;
  /** From there to its answer. */
  readonly runMs: number | null;
  /** From sending to its answer. */
  readonly totalMs: number | null;
  /** From sending until the last result of its children was read; null = it has none. */
  readonly resultsMs: number | null;
  /** What became of it, in the first run: `cancelled` = a newer message took its place. */
  readonly outcome: Outcome;
}

export type Outcome = "answered" | "cancelled" | "refused";

/** Of one kind of time over all messages of all runs, milliseconds. */
export interface Spread {
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

export interface PoolReport {
  readonly pool: PoolName;
  readonly size: number;
  /** The most slots used at once. */
  readonly peak: number;
  /** Slots used on average, from the start to the end of the last turn. */
  readonly mean: number;
}

export interface Summary {
  /** Messages of all runs. */
  readonly messages: number;
  readonly answered: number;
  readonly cancelled: number;
  readonly refused: number;
  readonly waitMs: Spread;
  readonly totalMs: Spread;
  /** Null without children. */
  readonly resultsMs: Spread | null;
  /** From the start to the end of the last turn, mean over the runs. */
  readonly makespanMs: number;
  readonly pools: readonly PoolReport[];
  /** Per run. */
  readonly children: number;
  readonly promotions: number;
  readonly requests: number;
  /** Waited for the provider's limit, mean over all model requests. */
  readonly providerWaitMs: number;
}

export interface Column {
  /** The settings that make it differ, as they were asked. */
  readonly name: string;
  readonly asked: Readonly<Record<string, string>>;
  readonly messages: readonly MessageReport[];
  readonly summary: Summary;
  /** One sentence that answers how long people wait. */
  readonly answer: string;
  /** The first run, lane by lane. */
  readonly lanes: readonly LaneTrace[];
}

export interface Report {
  readonly columns: readonly Column[];
}

export function columnOf({ name, asked, plan }: Variant, runs: readonly Run[]): Column {
  const messages = runs[0]!.fates.map((_, index) => messageReport(runs.map(({ fates }) => fates[index]!)));
  const fates = runs.flatMap((one) => one.fates);
  const mean = (of: (one: Run) => number): number => meanOf(runs.map(of));
  const requests = mean((one) => one.requests);
  const sizes: readonly (readonly [PoolName, number])[] = [["main", plan.maxConcurrent], ["side", plan.sideMax], ["subagent", plan.subagentsMax]];
  const results = present(fates.map(resultsOf));
  const summary: Summary = {
    messages: fates.length,
    answered: fates.filter((fate) => outcomeOf(fate) === "answered").length,
    cancelled: fates.filter((fate) => outcomeOf(fate) === "cancelled").length,
    refused: fates.filter((fate) => outcomeOf(fate) === "refused").length,
    waitMs: spreadOf(present(fates.map(waitOf))),
    totalMs: spreadOf(present(fates.map(totalOf))),
    resultsMs: results.length === 0 ? null : spreadOf(results),
    makespanMs: mean(({ recorder }) => recorder.lastMs),
    pools: sizes
      .map(([pool, size]): PoolReport => ({
        pool,
        size,
        peak: Math.max(...runs.map(({ recorder }) => recorder.useOf(pool).peak)),
        mean: mean(({ recorder }) => recorder.useOf(pool).busyMs / Math.max(1, recorder.lastMs)),
      }))
      .filter(({ peak }) => peak > 0),
    children: mean(({ recorder }) => recorder.children),
    promotions: mean(({ recorder }) => recorder.promotions),
    requests,
    providerWaitMs: requests === 0 ? 0 : mean((one) => one.providerWaitMs) / requests,
  };
  return { name, asked, messages, summary, answer: answerOf(messages, summary, runs.length), lanes: runs[0]!.recorder.lanes() };
}

// ── one message ─────────────────────────────────────────────────────────────────────────────

function waitOf({ sentMs, startedMs }: MessageFate): number | null {
  return startedMs === null ? null : startedMs - sentMs;
}

function totalOf({ sentMs, answeredMs }: MessageFate): number | null {
  return answeredMs === null ? null : answeredMs - sentMs;
}

function runOf({ startedMs, answeredMs }: MessageFate): number | null {
  return startedMs === null || answeredMs === null ? null : answeredMs - startedMs;
}

function resultsOf({ sentMs, resultsMs }: MessageFate): number | null {
  return resultsMs === null ? null : resultsMs - sentMs;
}

function outcomeOf({ refused, answeredMs }: MessageFate): Outcome {
  if (refused) return "refused";
  return answeredMs === null ? "cancelled" : "answered";
}

function messageReport(fates: readonly MessageFate[]): MessageReport {
  const { customer, message } = fates[0]!;
  const mean = (of: (fate: MessageFate) => number | null): number | null => {
    const values = present(fates.map(of));
    return values.length === 0 ? null : meanOf(values);
  };
  return { customer, message, sentMs: mean(({ sentMs }) => sentMs)!, waitMs: mean(waitOf), runMs: mean(runOf), totalMs: mean(totalOf), resultsMs: mean(resultsOf), outcome: outcomeOf(fates[0]!) };
}

// ── numbers ─────────────────────────────────────────────────────────────────────────────────

function present(values: readonly (number | null)[]): readonly number[] {
  return values.filter((value) => value !== null);
}

function meanOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Percentiles by nearest rank; zeros when there is nothing. */
function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (part: number): number => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
  return { mean: meanOf(sorted), p50: rank(0.5), p95: rank(0.95), max: sorted.at(-1) ?? 0 };
}

// ── words ───────────────────────────────────────────────────────────────────────────────────

/** Seconds with at most two decimals: `5`, `0.25`. */
export function seconds(ms: number): string {
  return String(Math.round(ms / 10) / 100);
}

function answerOf(messages: readonly MessageReport[], { waitMs, makespanMs, resultsMs, cancelled, refused }: Summary, runs: number): string {
  const waited = messages.filter((one) => one.waitMs !== null);
  if (waited.length === 0) return "No message came to its turn.";
  const longest = waited.reduce((worst, one) => (one.waitMs! >= worst.waitMs! ? one : worst));
  const many = messages.some(({ message }) => message > 1);
  const who = `customer ${longest.customer}${many ? `'s message ${longest.message}` : ""}`;
  const atOnce = waited.filter((one) => one.waitMs! < 1).length;
  const average = runs === 1 ? "" : ` on average over ${runs} runs`;
  const first =
    atOnce === waited.length
      ? `Nobody waits: every message gets its turn at once${average}`
      : `${capital(who)} waits ${seconds(longest.waitMs!)} s${average}, the longest; ${atOnce} of ${waited.length} do not wait, and the mean is ${seconds(waitMs.mean)} s`;
  const answer = longest.totalMs === null || atOnce === waited.length ? "" : `; ${who} has the answer ${seconds(longest.totalMs)} s after writing`;
  const results = resultsMs === null ? "" : `; results of children are read ${seconds(resultsMs.mean)} s after writing, ${seconds(resultsMs.max)} s at the latest`;
  const lost = cancelled + refused === 0 ? "" : `; ${[cancelled > 0 ? `${cancelled} cancelled` : "", refused > 0 ? `${refused} refused` : ""].filter(Boolean).join(" and ")}`;
  return `${first}${answer}${results}${lost}. Everything is done after ${seconds(makespanMs)} s.`;
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}
