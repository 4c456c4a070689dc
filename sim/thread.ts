/** The thread of one simulation: see in-thread.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { asFault } from "../src/model/faults.ts";
import type { ThreadAnswer } from "./in-thread.ts";
import { simulate, timelineSvg } from "./simulate.ts";

const { svg = false, ...given } = workerData as Readonly<Record<string, unknown>>;
parentPort!.postMessage(await answer());

async function answer(): Promise<ThreadAnswer> {
  try {
    const report = await simulate(given);
    return { report: svg === true ? { ...report, svg: timelineSvg(report) } : report };
  } catch (thrown) {
    return { fault: asFault(thrown).toRecord() };
  }
}
