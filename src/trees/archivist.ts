/**
 * Sweeps the sessions: those of children are put away some time after they ended, and people's that
 * nobody uses; those that were spawned to be deleted are removed. Listings stay readable.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { UpkeepTask } from "../model/upkeep.ts";
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

export function archiveTask({ store, settings, clock, log }: ArchivistDeps): UpkeepTask {
  return {
    name: "yard:archive",
    about: "puts away the sessions of children that have ended and those that nobody uses, and removes those that were spawned to be deleted",
    setting: sweepMinutes.key,
    inSafeMode: false,
    everyMs: () => settings.get(sweepMinutes) * MINUTE_MS,
    async run(signal) {
      const since = (setting: number, unitMs: number): number | null => (setting === 0 ? null : clock.now() - setting * unitMs);
      const removed = await untilFew(() => store.removeSpent({ limit: AT_ONCE_MAX }), signal);
      const idle = { childrenEndedBefore: since(settings.get(archiveAfterMinutes), MINUTE_MS), unusedSince: since(settings.get(archiveUnusedDays), DAY_MS), limit: AT_ONCE_MAX };
      const archived = await untilFew(() => store.archiveIdle(idle), signal);
      if (removed + archived === 0) return null;
      log.info("sessions.swept", { removed, archived });
      return `${archived} sessions archived, ${removed} removed`;
    },
  };
}

/** Until there is nothing more, one transaction at a time. */
async function untilFew(some: () => Promise<number>, signal: AbortSignal): Promise<number> {
  for (let total = 0; ; ) {
    const done = await some();
    total += done;
    if (done < AT_ONCE_MAX || signal.aborted) return total;
  }
}
