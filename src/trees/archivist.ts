/** Puts away the sessions of children some time after they ended, so that listings stay readable, and removes those that were spawned to be deleted. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { Store } from "../store/store.ts";
import { archiveAfterMinutes } from "./settings.ts";

const LOOK_EVERY_MS = 60_000;
const ARCHIVED_AT_ONCE_MAX = 200;

export interface ArchivistDeps {
  readonly store: Pick<Store, "archiveIdle" | "removeSpent">;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Log;
}

export class Archivist {
  readonly #deps: ArchivistDeps;
  #disarm: () => void = () => {};

  constructor(deps: ArchivistDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#disarm = this.#deps.clock.after(LOOK_EVERY_MS, () => void this.#look());
  }

  stop(): void {
    this.#disarm();
    this.#disarm = () => {};
  }

  async #look(): Promise<void> {
    const { store, settings, clock, log } = this.#deps;
    const minutes = settings.get(archiveAfterMinutes);
    try {
      await store.removeSpent({ limit: ARCHIVED_AT_ONCE_MAX });
      if (minutes > 0) await store.archiveIdle({ childrenEndedBefore: clock.now() - minutes * 60_000, limit: ARCHIVED_AT_ONCE_MAX });
    } catch (cause) {
      log.warn("archive.failed", { cause });
    }
    this.start();
  }
}
