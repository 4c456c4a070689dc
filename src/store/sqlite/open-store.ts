/**
 * Opens the store over SQLite in a thread of its own. (In this thread, for tests: open-in-process.ts.)
 *
 * Nothing that runs SQL is loaded here: the thread loads it, and says which verbs it has.
 */
import { getCompileCacheDir } from "node:module";
import { dirname } from "node:path";
import { Worker } from "node:worker_threads";
import { Fault, type FaultRecord } from "../../model/faults.ts";
import type { DiskState, Store } from "../store.ts";
import type { BatchAnswer, VerbCall } from "./batch.ts";
import { StoreClient } from "./store-client.ts";

/** Young heap of the store's thread: its garbage is short-lived rows, and a small space keeps idle memory small. */
const YOUNG_HEAP_MB = 8;

/** First word of the thread: the database is open and it has these verbs, or why it is not. */
export type Hello = { readonly verbs: readonly VerbCall["verb"][] } | { readonly fault: FaultRecord };

/**
 * @param file  the database's path; it is made when it is not there.
 * @throws {Fault} what `openDatabase` throws.
 */
export async function openStore(file: string): Promise<Store> {
  const cacheDir = getCompileCacheDir();
  const script = import.meta.url.endsWith(".ts") ? "worker.ts" : "worker.js";
  const worker = new Worker(new URL("./worker-start.mjs", import.meta.url), {
    workerData: { file, script, compileCache: cacheDir === undefined ? null : dirname(cacheDir) },
    name: "store",
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_HEAP_MB },
  });
  const hello = await new Promise<Hello>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  if ("fault" in hello) {
    await worker.terminate();
    throw Fault.fromRecord(hello.fault);
  }
  const closed = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  // One message to the thread for all that a round of the event loop asks: a message each costs as much as a small verb.
  const client = new StoreClient((calls) => worker.postMessage(calls), setImmediate);
  worker.on("message", (answer: BatchAnswer | { readonly disk: DiskState } | "closed") => {
    if (answer === "closed") return;
    if ("disk" in answer) client.diskIs(answer.disk);
    else client.answer(answer);
  });
  worker.on("error", (cause) => client.fail(cause));
  worker.on("exit", () => client.fail(new Fault("STORE_FAILED", { problem: "the store was closed" })));
  return client.asStore(hello.verbs, async () => {
    setImmediate(() => worker.postMessage("close")); // after the calls that were made before it
    await closed;
  });
}
