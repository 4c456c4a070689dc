/** A thread for one job over the whole file, beside the store's own: it reads, so nobody waits for it. */
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../../base/clock.ts";
import { asFault } from "../../model/faults.ts";
import { makeBackup } from "./backups.ts";
import { checkUp } from "./checkup.ts";
import type { AsideJob } from "./open-files.ts";

const { job } = workerData as { job: AsideJob };
const port = parentPort!;

try {
  port.postMessage({ value: job.kind === "check" ? checkUp(job.file, systemClock) : makeBackup(job.file, systemClock.now(), job.keep) });
} catch (cause) {
  port.postMessage({ fault: asFault(cause).toRecord() });
}
