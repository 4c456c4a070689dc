/** The file as a whole, worked on in a thread per job. */
import { getCompileCacheDir } from "node:module";
import { dirname } from "node:path";
import { Worker } from "node:worker_threads";
import { Fault, type FaultRecord } from "../../model/faults.ts";
import type { Backup, Checkup, StoreFiles } from "../store-files.ts";
import { backupFolderOf, listBackups } from "./backup-folder.ts";

export type AsideJob = { readonly kind: "check"; readonly file: string } | { readonly kind: "backup"; readonly file: string; readonly keep: number };

export function openStoreFiles(file: string): StoreFiles {
  const workers = new Set<Worker>();
  /** What several ask for at once is done once. */
  const under = new Map<AsideJob["kind"], Promise<unknown>>();

  function once<T>(job: AsideJob): Promise<T> {
    const begun = under.get(job.kind);
    if (begun !== undefined) return begun as Promise<T>;
    const done = run<T>(job).finally(() => under.delete(job.kind));
    under.set(job.kind, done);
    return done;
  }

  function run<T>(job: AsideJob): Promise<T> {
    const cacheDir = getCompileCacheDir();
    const script = import.meta.url.endsWith(".ts") ? "aside.ts" : "aside.js";
    const worker = new Worker(new URL("./worker-start.mjs", import.meta.url), { workerData: { job, script, compileCache: cacheDir === undefined ? null : dirname(cacheDir) }, name: job.kind });
    workers.add(worker);
    return new Promise<T>((resolve, reject) => {
      worker.once("message", (answer: { value: T } | { fault: FaultRecord }) => ("value" in answer ? resolve(answer.value) : reject(Fault.fromRecord(answer.fault))));
      worker.once("error", reject);
      worker.once("exit", () => reject(new Fault("STORE_FAILED", { problem: `the ${job.kind} was broken off` })));
    }).finally(() => workers.delete(worker));
  }

  return {
    check: () => once<Checkup>({ kind: "check", file }),
    backup: ({ keep }) => once<Backup>({ kind: "backup", file, keep }),
    backups: async () => listBackups(backupFolderOf(file)),
    async stop() {
      await Promise.all([...workers].map((worker) => worker.terminate()));
    },
  };
}
