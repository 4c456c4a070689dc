/**
 * Drives a target: seeded inputs in batches, each timed, and what fails shrunk to the smallest
 * input that still fails.
 *
 * Always true: the same target, seed and number of runs give the same inputs; a failure carries the
 * seed and path that make it again.
 */
import * as fc from "fast-check";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MS_PER_KB_MAX, type Opened, type Target } from "./target.ts";

const BATCH_RUNS = 1000;
/** A target is left when this many different things are wrong with it. */
const FAILURES_MAX = 5;
/** ... or when this many batches have failed, however. */
const FAILED_BATCHES_MAX = 20;
/** Problems that begin alike are one. */
const SAME_PROBLEM_CHARS = 50;
/** What may stay on the heap when a target is closed, bytes. */
const LEFT_BYTES_MAX = 48 * 1024 * 1024;
/** What the heap may grow by while a target runs, bytes: garbage included. */
const PEAK_BYTES_MAX = 700 * 1024 * 1024;
const COLLECTED_ABOVE_BYTES = 100 * 1024 * 1024;
/** An input that does not end within this time hangs. */
const HANG_MS = 20_000;
/** A slow input is run again this often; the best time counts, because the machine may have been busy. */
const SECOND_LOOKS = 3;
/** Small inputs may take this long. */
const FLOOR_MS = 50;

export interface Failure {
  /** `SEED:PATH` for `--replay`. */
  readonly replay: string;
  readonly input: string;
  readonly problem: string;
}

export interface Report {
  readonly target: string;
  readonly runs: number;
  readonly ms: number;
  readonly slowest: { readonly ms: number; readonly bytes: number };
  readonly peakBytes: number;
  readonly leftBytes: number;
  readonly failures: readonly Failure[];
}

export interface DriveOptions {
  readonly runs: number;
  readonly seed: number;
  /** Called before each batch and each run: a watchdog can tell a hang by the silence. */
  readonly onBatch?: (seed: number) => void;
  readonly onRun?: () => void;
}

export async function drive(target: Target, { runs, seed, onBatch, onRun }: DriveOptions): Promise<Report> {
  const collect = collector();
  collect();
  const heapBefore = process.memoryUsage().heapUsed;
  const opened = await target.open();
  const judge = new Judge(target, opened, onRun);
  const prototypes = prototypeNames();
  const failures: Failure[] = [];
  let done = 0;
  let failedBatches = 0;
  let peakBytes = 0;
  const startedAt = performance.now();
  try {
    for (let batch = 0; done < runs && failures.length < FAILURES_MAX && failedBatches < FAILED_BATCHES_MAX; batch++) {
      const batchSeed = seedOf(seed, target.name, batch);
      onBatch?.(batchSeed);
      const details = await fc.check(propertyOf(judge, opened), { seed: batchSeed, numRuns: Math.min(BATCH_RUNS, runs - done) });
      done += details.numRuns;
      const grownBytes = process.memoryUsage().heapUsed - heapBefore;
      peakBytes = Math.max(peakBytes, grownBytes);
      // Or it would be the garbage of many batches, which says more about the size of the machine.
      if (grownBytes > COLLECTED_ABOVE_BYTES) collect();
      if (details.failed) {
        failedBatches++;
        const failure = { replay: `${batchSeed}:${details.counterexamplePath}`, input: shown(details.counterexample?.[0]), problem: problemOf(details.errorInstance) };
        if (!failures.some(({ problem }) => problem.slice(0, SAME_PROBLEM_CHARS) === failure.problem.slice(0, SAME_PROBLEM_CHARS))) failures.push(failure);
      }
      if (prototypeNames() !== prototypes) throw new Error(`${target.name}: a shared prototype was changed in batch ${batchSeed}`);
    }
  } finally {
    await opened.close?.();
  }
  const ms = performance.now() - startedAt;
  collect();
  const leftBytes = process.memoryUsage().heapUsed - heapBefore;
  if (leftBytes > LEFT_BYTES_MAX) failures.push({ replay: "", input: "all of them", problem: `${leftBytes} bytes stay on the heap after ${done} inputs` });
  if (peakBytes > PEAK_BYTES_MAX) failures.push({ replay: "", input: "all of them", problem: `the heap grew by ${peakBytes} bytes` });
  return { target: target.name, runs: done, ms, slowest: judge.slowest, peakBytes, leftBytes, failures };
}

/** Runs one input again. @returns what is wrong with it, or null. */
export async function replay(target: Target, at: string): Promise<{ input: string; problem: string | null; stack: string }> {
  const [seed = "", ...path] = at.split(":");
  const opened = await target.open();
  try {
    const judge = new Judge(target, opened, undefined);
    const details = await fc.check(propertyOf(judge, opened), { seed: Number(seed), path: path.join(":"), numRuns: 1, endOnFailure: true });
    const error = details.errorInstance;
    return { input: shown(details.counterexample?.[0]), problem: details.failed ? problemOf(error) : null, stack: error instanceof Error ? `${error.stack}${error.cause === undefined ? "" : `\ncause: ${(error.cause as Error).stack ?? String(error.cause)}`}` : String(error) };
  } finally {
    await opened.close?.();
  }
}

function propertyOf(judge: Judge, opened: Opened<unknown>) {
  return fc.asyncProperty(opened.inputs, (input) => judge.check(input));
}

class Judge {
  slowest = { ms: 0, bytes: 0 };
  readonly #opened: Opened<unknown>;
  readonly #msPerKb: number;
  readonly #onRun: (() => void) | undefined;

  constructor(target: Target, opened: Opened<unknown>, onRun: (() => void) | undefined) {
    this.#opened = opened;
    this.#msPerKb = target.msPerKb ?? MS_PER_KB_MAX;
    this.#onRun = onRun;
  }

  async check(input: unknown): Promise<void> {
    this.#onRun?.();
    let ms = await this.#timed(input);
    for (const name in {}) throw new Error(`Object.prototype has got a ${name}`);
    if (ms <= this.slowest.ms) return;
    const bytes = this.#opened.bytesOf?.(input) ?? bytesOf(input);
    const limitMs = Math.max(FLOOR_MS, (bytes / 1024) * this.#msPerKb);
    for (let look = 0; look < SECOND_LOOKS && ms > limitMs; look++) ms = Math.min(ms, await this.#timed(input));
    if (ms > this.slowest.ms) this.slowest = { ms, bytes };
    if (ms > limitMs) throw new Error(`slower than ${this.#msPerKb} ms per KB`, { cause: new Error(`${Math.round(ms)} ms for ${bytes} bytes`) });
  }

  /** Time of this thread's processor: what waits for a disk or for other programs is not slow. */
  async #timed(input: unknown): Promise<number> {
    const before = process.threadCpuUsage();
    const checking = this.#opened.check(input);
    if (checking instanceof Promise) await within(checking);
    const { user, system } = process.threadCpuUsage(before);
    return (user + system) / 1000;
  }
}

async function within(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const hang = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`did not end within ${HANG_MS} ms`)), HANG_MS);
  });
  try {
    await Promise.race([work, hang]);
  } finally {
    clearTimeout(timer);
  }
}

/** Bytes of everything in a value, roughly. */
function bytesOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (value instanceof Uint8Array) return value.length;
  if (typeof value !== "object" || value === null) return 8;
  let sum = 0;
  for (const [key, item] of Object.entries(value)) sum += key.length + bytesOf(item);
  return sum;
}

/** A seed for each batch of each target, so that one can be run again without those before it. */
function seedOf(seed: number, name: string, batch: number): number {
  let hash = (seed ^ 0x811c9dc5) >>> 0;
  for (const character of `${name}:${batch}`) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193) >>> 0;
  return hash & 0x7fffffff;
}

function problemOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.split("\n", 3).join(" ").slice(0, 300);
}

const SHOWN_CHARS_MAX = 1500;

function shown(input: unknown): string {
  // What a terminal does not show is what is wrong with most of these inputs.
  const text = fc.stringify(input).replace(/[^\x20-\x7e]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
  return text.length <= SHOWN_CHARS_MAX ? text : `${text.slice(0, SHOWN_CHARS_MAX)}... (${text.length} characters)`;
}

function prototypeNames(): string {
  return [Object, Array, Function, String, Map, Promise].map(({ prototype }) => Reflect.ownKeys(prototype).map(String).sort().join()).join(";");
}

function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
