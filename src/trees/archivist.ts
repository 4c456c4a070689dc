/**
 * Sweeps the sessions, again and again: those of children are put away some time after they ended, and
 * people's that nobody uses; those that were spawned to be deleted are removed. Listings stay readable.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { Store } from "../store/store.ts";
import { archiveAfterMinutes, archiveUnusedDays, sweepMinutes } from "./settings.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Sessions of one transaction, so that a great sweep holds nobody up. */
const AT_ONCE_MAX = 200;

export interface ArchivistDeps {
  readonly store: Pick<Store, "archiveIdle" | "removeSpent">;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Log;
}

export class Archivist {
  readonly #deps: ArchivistDeps;
  #disarm: () => void = () => {};
  #stopped = true;

  constructor(deps: ArchivistDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#stopped = false;
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#disarm();
  }

  #arm(): void {
    const { clock, settings } = this.#deps;
    if (!this.#stopped) this.#disarm = clock.after(settings.get(sweepMinutes) * MINUTE_MS, () => void this.#sweep());
  }

  async #sweep(): Promise<void> {
    const { store, settings, clock, log } = this.#deps;
    const since = (setting: number, unitMs: number): number | null => (setting === 0 ? null : clock.now() - setting * unitMs);
    try {
      const removed = await this.#all(() => store.removeSpent({ limit: AT_ONCE_MAX }));
      const idle = { childrenEndedBefore: since(settings.get(archiveAfterMinutes), MINUTE_MS), unusedSince: since(settings.get(archiveUnusedDays), DAY_MS), limit: AT_ONCE_MAX };
      const archived = await this.#all(() => store.archiveIdle(idle));
      if (removed + archived > 0) log.info("sessions.swept", { removed, archived });
    } catch (cause) {
      log.warn("archive.failed", { cause });
    }
    this.#arm();
  }

  /** Until there is nothing more, one transaction at a time. */
  async #all(some: () => Promise<number>): Promise<number> {
    for (let total = 0; ; ) {
      const done = await some();
      total += done;
      if (done < AT_ONCE_MAX || this.#stopped) return total;
    }
  }
}
