/**
 * `grep`: the lines of the workspace that match.
 *
 * A pattern without special characters is searched for right here. Everything else is a regular
 * expression that somebody else wrote, which may take for ever: it runs in a worker that is ended
 * when its time is over. At most a few workers run at once; further searches wait in line.
 */
import { Worker } from "node:worker_threads";
import type { Clock } from "../base/clock.ts";
import type { RandomBytes } from "../base/ids.ts";
import { Fault, type FaultRecord } from "../model/faults.ts";
import type { Tool, ToolOutcome } from "../model/tool.ts";
import { Workspace } from "./confine.ts";
import { makeGlob } from "./glob-match.ts";
import { inputShape, optional, text, yesNo } from "./input.ts";
import { search } from "./search.ts";

/** The longest a search may take, waiting in line included, milliseconds. */
export const GREP_MAX_MS = 15_000;
/** How many regular expressions may run at once. */
const WORKERS_MAX = 2;
/** Memory of one worker, megabytes. */
const WORKER_MEMORY_MAX_MB = 128;
const PATTERN_MAX_CHARS = 1000;

const INPUT = inputShape({
  pattern: text({ min: 1, max: PATTERN_MAX_CHARS }),
  path: optional(text({ max: 4096 })),
  glob: optional(text({ min: 1, max: 500 })),
  ignoreCase: optional(yesNo()),
});

export interface WorkerTask {
  readonly root: string;
  readonly path: string;
  readonly glob: string | null;
  readonly pattern: string;
  readonly ignoreCase: boolean;
}

export type WorkerAnswer = { readonly outcome: "found"; readonly text: string } | { readonly outcome: "refused"; readonly fault: FaultRecord };

/** The same file as source and as published JavaScript. */
const WORKER_FILE = new URL(import.meta.url.endsWith(".ts") ? "./grep-worker.ts" : "./grep-worker.js", import.meta.url);

export function makeGrepTool({ clock, random }: { clock: Clock; random: RandomBytes }): Tool {
  const places = makeLine(WORKERS_MAX);
  return {
    name: "grep",
    description: "Finds lines by JavaScript regular expression in text files below path; glob picks files.",
    inputSchema: INPUT.schema,
    effect: "pure",
    parallel: true,
    async run(input, context): Promise<ToolOutcome> {
      const { pattern, path = ".", glob, ignoreCase = false } = INPUT.parse("grep", input);
      const wants = glob === undefined ? () => true : makeGlob("grep", glob);
      checkExpression(pattern);
      const workspace = await Workspace.open(context.workspace, random);
      const tooLong = new AbortController();
      const disarm = clock.after(GREP_MAX_MS, () => tooLong.abort());
      const signal = AbortSignal.any([context.signal, tooLong.signal]);
      try {
        if (!ignoreCase && isLiteral(pattern)) {
          const needle = Buffer.from(pattern);
          const mayMatch = (bytes: Buffer): boolean => bytes.includes(needle);
          return { text: await search(workspace, { path, wants, mayMatch, matches: (line) => line.includes(pattern), signal }) };
        }
        const leave = await places.enter(signal);
        try {
          return { text: await searchInWorker({ root: workspace.root, path, glob: glob ?? null, pattern, ignoreCase }, signal) };
        } finally {
          leave();
        }
      } catch (error) {
        if (context.signal.aborted || !tooLong.signal.aborted) throw error;
        return { text: `the search took longer than ${GREP_MAX_MS / 1000} s and was ended; use a simpler pattern, or narrow the path or the glob`, isError: true };
      } finally {
        disarm();
      }
    },
  };
}

function isLiteral(pattern: string): boolean {
  return !/[\\^$.*+?()[\]{}|]/.test(pattern);
}

/** Only compiles it; compiling takes time linear in the pattern. @throws {Fault} TOOL_INPUT */
function checkExpression(pattern: string): void {
  try {
    new RegExp(pattern);
  } catch (error) {
    throw new Fault("TOOL_INPUT", { tool: "grep", problem: `${(error as Error).message}; put \\ before special characters that are meant as they are` });
  }
}

/** @throws {Fault} what the worker refused; the signal's reason when aborted. */
async function searchInWorker(task: WorkerTask, signal: AbortSignal): Promise<string> {
  const worker = new Worker(WORKER_FILE, { workerData: task, env: {}, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: WORKER_MEMORY_MAX_MB } });
  let onAbort: (() => void) | undefined;
  try {
    const answer = await new Promise<WorkerAnswer>((resolve, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener("abort", onAbort);
      if (signal.aborted) onAbort();
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", () => reject(new Error("the search ended without an answer")));
    });
    if (answer.outcome === "refused") throw Fault.fromRecord(answer.fault);
    return answer.text;
  } finally {
    if (onAbort !== undefined) signal.removeEventListener("abort", onAbort);
    await worker.terminate();
  }
}

/** A line in front of a few places; first come, first served. */
function makeLine(places: number): { enter(signal: AbortSignal): Promise<() => void> } {
  const waiting = new Set<() => void>();
  let free = places;
  const leave = (): void => {
    const next = waiting.values().next().value;
    if (next === undefined) free++;
    else {
      waiting.delete(next);
      next();
    }
  };
  return {
    enter: (signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        if (free > 0) {
          free--;
          return resolve(leave);
        }
        const onAbort = (): void => {
          waiting.delete(admit);
          reject(signal.reason);
        };
        const admit = (): void => {
          signal.removeEventListener("abort", onAbort);
          resolve(leave);
        };
        waiting.add(admit);
        signal.addEventListener("abort", onAbort, { once: true });
      }),
  };
}
