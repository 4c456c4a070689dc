/**
 * Many agents and some people on one account of a provider, through the governor alone, under a hand-driven clock:
 * the provider allows one rate, then another, then refuses everything for a while without a word of its end.
 * An hour of it takes about a second. What is judged is what the provider saw.
 */
import { ManualClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import type { CallAsk, CallEnd } from "../../src/providers/admission.ts";
import { Governor } from "../../src/providers/governor.ts";
import { NOTHING_LIMITED } from "../../src/providers/settings.ts";
import { allowanceBook } from "./allowance-book.ts";

const MINUTE_MS = 60_000;

export interface Phase {
  readonly name: string;
  readonly ms: number;
  /** null = everything is refused with 529, without a word of the end. */
  readonly perMinute: number | null;
}

export interface StoryOptions {
  readonly seed?: number;
  /**
   * How the provider counts: a bucket that refills evenly, any span of a minute, or minutes of its own clock. The
   * latter two count refused requests too when `countsRefused`.
   */
  readonly counts: "bucket" | "any minute" | "own minutes";
  readonly countsRefused?: boolean;
  /** What it says: the limit with each answer, only how long to wait, or nothing. */
  readonly tells: "limit" | "wait" | "nothing";
  /** The settings name the limit. */
  readonly isKnown?: boolean;
  readonly phases: readonly Phase[];
  readonly agents?: number;
  /** How long an agent works between calls, at most. */
  readonly idleMsMax?: number;
  readonly answerMs?: number;
  readonly refusalMs?: number;
  readonly firstByteMs?: number;
  readonly questionEveryMs?: number;
}

export interface SeenCall {
  readonly at: number;
  readonly who: string;
  readonly status: 200 | 429 | 529;
}

export interface Question {
  readonly name: string;
  readonly askedAt: number;
  /** Before this the provider would have refused it, whoever had asked in its place. */
  readonly possibleAt: number;
  /** The limit that the gateway knew of then. */
  readonly knownPerMinute: number | null;
  /** When the provider took it. */
  takenAt: number | null;
}

/** How long a person waited longer than they had to, in places of `placeMs`; those of people before them, and of the one in seven that the background gets then, are not counted. */
export function placesWaited({ questions, phases }: Story, question: Question, placeMs: number): number {
  const wall = phases.find(({ perMinute, from }) => perMinute === null && from >= question.askedAt && from < question.takenAt!);
  const from = wall?.to ?? Math.max(question.askedAt, question.possibleAt);
  const ahead = questions.filter(({ name, askedAt, takenAt }) => name !== question.name && askedAt <= question.askedAt && takenAt! > from).length;
  return (question.takenAt! - from) / placeMs - ahead - Math.floor((ahead + 1) / 6);
}

export interface Story {
  readonly log: readonly SeenCall[];
  readonly questions: readonly Question[];
  /** Start of each phase, milliseconds since the story began; and its end. */
  readonly phases: readonly (Phase & { readonly from: number; readonly to: number })[];
}

export async function tellStory(options: StoryOptions): Promise<Story> {
  const { agents = 50, answerMs = 1_000, refusalMs = 100, firstByteMs = 300, questionEveryMs = 15_000, idleMsMax = 0 } = options;
  const clock = new ManualClock();
  const began = clock.now();
  const now = (): number => clock.now() - began;
  let state = (options.seed ?? 1) * 7_919;
  const chance = (): number => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));

  let from = 0;
  const phases = options.phases.map((phase) => ({ ...phase, from, to: (from += phase.ms) }));
  const phaseAt = (at: number): Phase => phases.find(({ to }) => at < to) ?? phases.at(-1)!;
  let isOver = false;

  const log: SeenCall[] = [];
  const provider = new CountingProvider(options);
  const governor = new Governor({
    clock,
    log: silentLog,
    book: allowanceBook(clock),
    chance,
    accountsOf: () => [{ name: "1", key: "k" }],
    limitsOf: () => ({ ...NOTHING_LIMITED, requestsPerMinute: options.isKnown ? (phaseAt(now()).perMinute ?? phases.findLast(({ from: start, perMinute }) => start <= now() && perMinute !== null)!.perMinute) : null }),
    onRefused: () => {},
  });

  async function call(who: string, person: boolean): Promise<void> {
    for (let order: number | undefined; ; ) {
      const ask: CallAsk = { provider: "p", model: "m", person, tokens: () => 0, signal: new AbortController().signal, patienceMs: 60 * MINUTE_MS, ...(order === undefined ? {} : { order }) };
      const admission = await governor.admit(ask);
      order = admission.order;
      const at = now();
      const { perMinute } = phaseAt(at);
      const { status, headers, waitMs } = perMinute === null ? { status: 529 as const, headers: {}, waitMs: null } : provider.take(at, perMinute);
      log.push({ at, who, status });
      const question = status === 200 ? questions.find(({ name }) => name === who) : undefined;
      if (question !== undefined) question.takenAt = at;
      if (status === 200) {
        await sleep(firstByteMs * (0.5 + chance()));
        admission.taken();
        await sleep(answerMs * (0.5 + chance()));
        admission.end({ is: "ok", headers, tokens: null });
        return;
      }
      await sleep(refusalMs * (0.5 + chance()));
      const end: CallEnd = { is: status === 529 ? "overloaded" : "limited", headers, waitMs };
      admission.end(end);
    }
  }

  for (const { from: start } of phases) clock.after(start, () => governor.reconsider());
  const questions: Question[] = [];
  const all: Promise<unknown>[] = Array.from({ length: agents }, async (_, n) => {
    for (let i = 0; !isOver; i++) {
      await sleep(10 * n * chance() + (i === 0 ? 0 : idleMsMax * chance()));
      await call(`agent ${n}/${i}`, false);
    }
  });
  all.push(
    (async () => {
      for (let n = 0; !isOver; n++) {
        await sleep(questionEveryMs * (0.5 + chance()));
        const at = now();
        const { perMinute, to } = phaseAt(at) as Phase & { to: number };
        const question: Question = { name: `question ${n}`, askedAt: at, possibleAt: perMinute === null ? to : at + provider.waitMs(at, perMinute), knownPerMinute: governor.lanes().accounts[0]?.requestsPerMinute ?? null, takenAt: null };
        questions.push(question);
        all.push(call(question.name, true));
      }
    })(),
  );
  const end = phases.at(-1)!.to;
  for (;;) {
    await settle();
    const next = clock.nextAt();
    if (next === undefined || next - began > end + 20 * MINUTE_MS) break;
    clock.advance(next - clock.now());
    if (now() >= end) isOver = true;
  }
  await Promise.all(all);
  return { log, questions, phases };
}

/** Lets everything that is ready run, without time passing. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Answer {
  readonly status: 200 | 429;
  readonly headers: Readonly<Record<string, string>>;
  readonly waitMs: number | null;
}

class CountingProvider {
  readonly #options: StoryOptions;
  #level: number | null = null;
  #at = 0;
  #taken: number[] = [];

  constructor(options: StoryOptions) {
    this.#options = options;
  }

  take(at: number, perMinute: number): Answer {
    const { counts, tells, countsRefused } = this.#options;
    const waitMs = this.waitMs(at, perMinute);
    if (waitMs === 0 || countsRefused === true) {
      if (counts === "bucket") this.#level = Math.max(0, this.#level! - 1);
      else this.#taken.push(at);
    }
    return {
      status: waitMs === 0 ? 200 : 429,
      headers: tells === "limit" ? { "x-ratelimit-limit-requests": String(perMinute), "x-ratelimit-remaining-requests": String(this.#left(at, perMinute)) } : {},
      waitMs: waitMs === 0 || tells === "nothing" ? null : waitMs,
    };
  }

  /** How long one that comes now would have to wait. */
  waitMs(at: number, perMinute: number): number {
    return this.#options.counts === "bucket" ? this.#bucketWait(at, perMinute) : this.#windowWait(at, perMinute);
  }

  #bucketWait(at: number, perMinute: number): number {
    this.#level = Math.min(perMinute, (this.#level ?? perMinute) + ((at - this.#at) * perMinute) / MINUTE_MS);
    this.#at = at;
    return this.#level >= 1 ? 0 : Math.ceil(((1 - this.#level) * MINUTE_MS) / perMinute);
  }

  #windowWait(at: number, perMinute: number): number {
    const start = this.#options.counts === "own minutes" ? Math.floor((at + 17_000) / MINUTE_MS) * MINUTE_MS - 17_000 : at - MINUTE_MS;
    this.#taken = this.#taken.filter((taken) => taken > start);
    if (this.#taken.length < perMinute) return 0;
    return this.#options.counts === "own minutes" ? start + MINUTE_MS - at : this.#taken.at(-perMinute)! + MINUTE_MS - at;
  }

  #left(at: number, perMinute: number): number {
    return Math.max(0, this.#options.counts === "bucket" ? Math.floor(this.#level!) : perMinute - this.#taken.filter((taken) => taken > at - MINUTE_MS).length);
  }
}
