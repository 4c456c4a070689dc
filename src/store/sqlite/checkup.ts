/** Looks through a whole database file without writing to it: structure, references, invariants. */
import { statSync } from "node:fs";
import type { Clock } from "../../base/clock.ts";
import { Fault } from "../../model/faults.ts";
import type { Checkup } from "../store-files.ts";
import { openToLook } from "./database.ts";
import { storeFault } from "./storage-fault.ts";
import { checkIntegrity } from "./integrity.ts";
import { Kernel } from "./kernel.ts";
import { MIGRATIONS } from "./schema.ts";

/** A damaged file is a finding too. @throws {Fault} STORE_NEWER_SCHEMA, STORE_LIBRARY_UNSAFE, STORE_IO, STORE_FAILED */
export function checkUp(file: string, clock: Pick<Clock, "now" | "monotonic">): Checkup {
  const startedAt = clock.monotonic();
  const problems = problemsOf(file, clock);
  const bytesOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return { file, problems, fileBytes: bytesOf(file), logBytes: bytesOf(`${file}-wal`), tookMs: Math.round(clock.monotonic() - startedAt) };
}

function problemsOf(file: string, clock: Pick<Clock, "now" | "monotonic">): string[] {
  try {
    const db = openToLook(file);
    try {
      const kernel = new Kernel(db, clock, () => new Uint8Array());
      // An older file is brought to today's shape by the next start; the invariants speak of that shape.
      if (kernel.count("PRAGMA user_version") < MIGRATIONS.length) return kernel.all("PRAGMA integrity_check(5)").flatMap((row) => (row["integrity_check"] === "ok" ? [] : [`file: ${row["integrity_check"]}`]));
      db.exec("BEGIN"); // one moment for all of it
      return checkIntegrity(kernel);
    } finally {
      db.close();
    }
  } catch (cause) {
    const fault = storeFault(cause, file);
    if (fault instanceof Fault && fault.code === "STORE_CORRUPT") return [`file: ${String((fault.details as { problem: string }).problem)}`];
    throw fault;
  }
}
