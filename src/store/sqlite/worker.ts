/** The thread that owns the database connection. What has piled up while it worked is its next batch. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { systemClock } from "../../base/clock.ts";
import { systemRandom } from "../../base/ids.ts";
import { giveBackMemory, SETTLE_AFTER_MS } from "../../base/memory.ts";
import { asFault } from "../../model/faults.ts";
import type { VerbCall } from "./batch.ts";
import { openDatabase } from "./database.ts";
import { DiskGuard } from "./disk-guard.ts";
import { Kernel } from "./kernel.ts";
import type { Hello } from "./open-store.ts";
import { VERB_NAMES } from "./verbs.ts";

/** Verbs in one transaction at most, so that the first does not wait long for the last. */
const BATCH_VERBS_MAX = 256;

const port = parentPort!;
const { file } = workerData as { file: string };

try {
  const kernel = new Kernel(openDatabase(file), systemClock, systemRandom);
  const guard = new DiskGuard({ kernel, file, monotonic: () => systemClock.monotonic(), onState: (disk) => port.postMessage({ disk }) });
  port.postMessage({ verbs: VERB_NAMES } satisfies Hello);
  setImmediate(() => guard.prepare());
  const disarmSettling = systemClock.after(SETTLE_AFTER_MS, giveBackMemory);
  port.on("message", (first: VerbCall[] | "close") => {
    let message: VerbCall[] | "close" | undefined = first;
    while (message !== undefined) {
      if (message === "close") {
        disarmSettling();
        kernel.db.close();
        port.postMessage("closed");
        port.close();
        return;
      }
      const calls: VerbCall[] = [...message];
      message = undefined;
      while (calls.length < BATCH_VERBS_MAX) {
        const next = receiveMessageOnPort(port)?.message as VerbCall[] | "close" | undefined;
        if (next === undefined) break;
        if (next === "close") {
          message = next;
          break;
        }
        calls.push(...next);
      }
      port.postMessage(guard.run(calls));
    }
  });
} catch (cause) {
  port.postMessage({ fault: asFault(cause).toRecord() } satisfies Hello);
  port.close();
}
