/** Opens SQLite stores for tests: in this thread, under a hand-driven clock, with repeatable ids. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { ManualClock } from "../../base/clock.ts";
import { seededRandom, type RandomBytes } from "../../base/ids.ts";
import type { OpenedStore } from "../store-bench.test-support.ts";
import type { Kernel } from "./kernel.ts";
import { openStoreInProcess } from "./open-in-process.ts";

export interface OpenedSqlite extends OpenedStore {
  readonly kernel: Kernel;
  reopen(): Promise<OpenedSqlite>;
}

/** In memory: a crash loses what is in the process and keeps the rows. */
export function openInMemory(seed = 1): OpenedSqlite {
  const clock = new ManualClock();
  const random = seededRandom(seed);
  const { store, kernel } = openStoreInProcess({ clock, random });
  const opened: OpenedSqlite = { store, kernel, clock, reopen: async () => opened };
  return opened;
}

/** On disk, in a folder that is removed when the test is over. */
export function openOnDisk(t: TestContext, seed = 1): OpenedSqlite & { readonly file: string } {
  const folder = mkdtempSync(join(tmpdir(), "yard-store-"));
  const file = join(folder, "yard.sqlite");
  const clock = new ManualClock();
  let close = async (): Promise<void> => {};
  t.after(async () => {
    await close();
    rmSync(folder, { recursive: true });
  });
  return { ...open(file, clock, seededRandom(seed)), file };

  function open(path: string, at: ManualClock, random: RandomBytes): OpenedSqlite {
    const { store, kernel } = openStoreInProcess({ file: path, clock: at, random });
    close = async () => {
      if (kernel.db.isOpen) await store.close();
    };
    return {
      store,
      kernel,
      clock: at,
      async reopen() {
        await close();
        return open(path, at, random);
      },
    };
  }
}
