/** The worker of `grep`: runs a regular expression that a model wrote, where it can be stopped at any moment. */
import { parentPort, workerData } from "node:worker_threads";
import { systemRandom } from "../base/ids.ts";
import { asFault } from "../model/faults.ts";
import { Workspace } from "./confine.ts";
import { makeGlob } from "./glob-match.ts";
import type { WorkerAnswer, WorkerTask } from "./grep.ts";
import { search } from "./search.ts";

const { root, path, glob, pattern, ignoreCase } = workerData as WorkerTask;

async function answer(): Promise<WorkerAnswer> {
  try {
    const expression = new RegExp(pattern, ignoreCase ? "i" : "");
    const workspace = await Workspace.open(root, systemRandom);
    const text = await search(workspace, {
      path,
      wants: glob === null ? () => true : makeGlob("grep", glob),
      mayMatch: () => true,
      matches: (line) => expression.test(line),
      // The worker is ended as a whole.
      signal: new AbortController().signal,
    });
    return { outcome: "found", text };
  } catch (error) {
    return { outcome: "refused", fault: asFault(error).toRecord() };
  }
}

parentPort!.postMessage(await answer());
