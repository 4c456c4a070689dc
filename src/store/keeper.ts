/**
 * Keeps the store's file in order: backups when they are due, and passes that remove what is old.
 *
 * Always true: a pass is many small steps with a pause after each, so that what people wait for comes
 * first. When they run, and what becomes of failures, is decided where all upkeep is (`timers/upkeep.ts`).
 */
import { sleep, type Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { UpkeepTask } from "../model/upkeep.ts";
import { backupEveryHours, backupKeep, eventsDays, fileMegabytes, messageIdsDays, resultsDays, transcriptsDays } from "./settings.ts";
import type { StoreFiles } from "./store-files.ts";
import type { Keep, Store, SweepPlace, Swept } from "./store.ts";

const FIRST_LOOK_MS = 60_000;
/** Between two passes. */
const PASS_EVERY_MS = 600_000;
/** Rows that a step looks at: under 5 ms of the store's thread. */
export const STEP_ROWS_MAX = 100;
/** Between two steps: the store's thread is free for most of the time. */
const STEP_PAUSE_MS = 25;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MEGABYTE = 1024 * 1024;
/** How often the days can be halved for size. */
const PRESSURE_MAX = 16;
/** The size is good again, and the days grow back, below this part of the bound. */
const RELAXED_BELOW = 0.8;

export interface KeeperDeps {
  readonly store: Pick<Store, "sweep">;
  readonly files: Pick<StoreFiles, "backup" | "backups">;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Log;
}

export class Keeper {
  readonly #deps: KeeperDeps;
  #pressure = 0;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
  }

  tasks(): readonly UpkeepTask[] {
    const { settings } = this.#deps;
    return [
      {
        name: "yard:backup",
        about: "makes a backup of the database when the newest one is older than that",
        setting: backupEveryHours.key,
        inSafeMode: true,
        firstMs: FIRST_LOOK_MS,
        everyMs: () => settings.get(backupEveryHours) * HOUR_MS,
        dueAt: () => this.#backupDueAt(),
        run: () => this.#backUp(),
      },
      {
        name: "yard:retention",
        about: "removes what is older than the days of store.retention.*, and more while the file is too large",
        setting: null,
        inSafeMode: true,
        firstMs: FIRST_LOOK_MS,
        everyMs: () => PASS_EVERY_MS,
        run: (signal) => this.retain(signal),
      },
    ];
  }

  async #backupDueAt(): Promise<number> {
    const { files, settings, clock } = this.#deps;
    const [newest] = await files.backups();
    // One from the future was made before the clock was set back; it counts as old.
    return newest === undefined || newest.at > clock.now() ? clock.now() : newest.at + settings.get(backupEveryHours) * HOUR_MS;
  }

  async #backUp(): Promise<string> {
    const { files, settings, log } = this.#deps;
    const { name, bytes } = await files.backup({ keep: settings.get(backupKeep) });
    log.info("backup.made", { name, bytes });
    return `${name}, ${bytes} bytes`;
  }

  /** Passes over the tables until the size is good, or nothing more may go. @returns what was removed, or null. */
  async retain(signal: AbortSignal): Promise<string | null> {
    const { settings, log } = this.#deps;
    let total = 0;
    const done = (): string | null => (total === 0 ? null : `${total} rows removed`);
    for (;;) {
      const { removed, usedBytes } = await this.#pass(signal);
      total += removed;
      const bytesMax = settings.get(fileMegabytes) * MEGABYTE;
      if (removed > 0) log.info("retention.removed", { rows: removed, usedBytes, bytesMax, pressure: this.#pressure });
      if (usedBytes <= bytesMax) {
        if (usedBytes < bytesMax * RELAXED_BELOW && this.#pressure > 0) this.#pressure--;
        return done();
      }
      if (this.#pressure === PRESSURE_MAX) {
        log.warn("retention.over-size", { usedBytes, bytesMax });
        return done();
      }
      this.#pressure++;
    }
  }

  async #pass(signal: AbortSignal): Promise<{ removed: number; usedBytes: number }> {
    const { store, clock } = this.#deps;
    const keep = this.#keep();
    let removed = 0;
    let place: SweepPlace | null = null;
    for (;;) {
      const swept: Swept = await store.sweep({ keep, place, rowsMax: STEP_ROWS_MAX });
      removed += swept.removed;
      place = swept.next;
      if (place === null) return { removed, usedBytes: swept.usedBytes };
      await sleep(clock, STEP_PAUSE_MS, signal);
    }
  }

  /** The days that things are kept, halved once for each degree of pressure, but for an hour at least. */
  #keep(): Keep {
    const { settings, clock } = this.#deps;
    const now = clock.now();
    const after = (days: number): number => now - Math.max(HOUR_MS, (days * DAY_MS) / 2 ** this.#pressure);
    return {
      eventsAfter: after(settings.get(eventsDays)),
      archivedAfter: after(settings.get(transcriptsDays)),
      resultsAfter: after(settings.get(resultsDays)),
      messagesAfter: now - settings.get(messageIdsDays) * DAY_MS,
    };
  }
}
