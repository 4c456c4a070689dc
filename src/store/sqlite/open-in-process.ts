/** The store in this thread, under any clock: for tests and the simulator. It runs the same batches over the same verbs as the thread. */
import type { Clock } from "../../base/clock.ts";
import type { RandomBytes } from "../../base/ids.ts";
import type { Store } from "../store.ts";
import { runBatch } from "./batch.ts";
import { openDatabase } from "./database.ts";
import { Kernel } from "./kernel.ts";
import { StoreClient } from "./store-client.ts";
import { VERB_NAMES } from "./verbs.ts";

/** @param options.file  the database's path; without it, it is in memory. @throws {Fault} what `openDatabase` throws. */
export function openStoreInProcess(options: { file?: string; clock: Clock; random: RandomBytes }): { store: Store; kernel: Kernel } {
  const file = options.file ?? ":memory:";
  const kernel = new Kernel(openDatabase(file), options.clock, options.random);
  const client: StoreClient = new StoreClient((calls) => client.answer(runBatch(kernel, calls, file)), queueMicrotask);
  return {
    kernel,
    store: client.asStore(VERB_NAMES, async () => {
      kernel.db.close();
    }),
  };
}
