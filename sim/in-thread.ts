/**
 * Simulations for the gateway: in a thread of their own, so that its loop never waits for one; one at
 * a time, and each for a bounded time.
 */
import { Worker } from "node:worker_threads";
import type { Clock } from "../src/base/clock.ts";
import { Fault, type FaultRecord } from "../src/model/faults.ts";
import type { Report } from "./report.ts";

const SECONDS_MAX = 10;
const HEAP_MB_MAX = 512;

export interface ReportWithPicture extends Report {
  /** The first run of each column, as an SVG document; only when it was asked for. */
  readonly svg?: string;
}

/** What the thread answers. */
export type ThreadAnswer = { readonly report: ReportWithPicture } | { readonly fault: FaultRecord };

/**
 * @returns runs one simulation. `given` is as for `simulate`, and `svg: true` asks for the picture.
 *          It throws Fault BAD_REQUEST, SIMULATION_BUSY, SIMULATION_TOO_LONG, or the
 *          signal's reason.
 */
export function makeSimulator({ clock, secondsMax = SECONDS_MAX }: { clock: Clock; secondsMax?: number }): (given: Readonly<Record<string, unknown>>, signal?: AbortSignal) => Promise<ReportWithPicture> {
  let busy = false;

  return async (given, signal) => {
    signal?.throwIfAborted();
    if (busy) throw new Fault("SIMULATION_BUSY", { seconds: secondsMax });
    busy = true;
    try {
      return await inThread(given, signal);
    } finally {
      busy = false;
    }
  };

  async function inThread(given: Readonly<Record<string, unknown>>, signal: AbortSignal | undefined): Promise<ReportWithPicture> {
    const file = import.meta.url.endsWith(".ts") ? "./thread.ts" : "./thread.js";
    const worker = new Worker(new URL(file, import.meta.url), { workerData: given, name: "simulation", resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX } });
    const { promise, resolve, reject } = Promise.withResolvers<ThreadAnswer>();
    worker.once("message", resolve);
    worker.once("error", (cause: NodeJS.ErrnoException) => reject(cause.code === "ERR_WORKER_OUT_OF_MEMORY" ? tooLong() : cause));
    worker.once("exit", () => reject(new Error("the simulation's thread ended without an answer")));
    const disarm = clock.after(secondsMax * 1000, () => reject(tooLong()));
    const onAbort = (): void => reject(signal!.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const answer = await promise;
      if ("fault" in answer) throw Fault.fromRecord(answer.fault);
      return answer.report;
    } finally {
      disarm();
      signal?.removeEventListener("abort", onAbort);
      await worker.terminate();
    }
  }

  function tooLong(): Fault {
    return new Fault("SIMULATION_TOO_LONG", { seconds: secondsMax });
  }
}
