/** What whoever runs the gateway must hear of: a disk that fills or fails, safe mode, trouble with a provider. */
import { sleep, type Clock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import { Fault } from "./model/faults.ts";
import { DEFAULT_AGENT, mainSession } from "./model/session.ts";
import type { DiskState, Store } from "./store/store.ts";

/** How long ending processes may hold up the end of a gateway whose store failed. */
const BROKEN_STOP_MS = 3_000;

/** Tells of a disk that fills or fails: in the log, to the owner's own session, and to whoever runs the gateway. */
export function watchDisk(store: Store, clock: Clock, log: Log, endProcesses: () => Promise<void>) {
  let state: DiskState = { at: "good" };
  const { promise: broken, resolve: breaks } = Promise.withResolvers<Fault>();
  const tell = (text: string, level: "info" | "error"): void => {
    store.notice({ session: mainSession(DEFAULT_AGENT), text, level, code: "DISK_FULL", entry: false }).catch((cause: unknown) => log.warn("disk.notice-not-written", { cause }));
  };
  store.onDisk((now) => {
    state = now;
    if (now.at === "full") {
      log.error("disk.full", { problem: now.problem });
      tell(`The disk is full (${now.problem}). Nothing new is taken in until there is room; what runs goes on as far as it can.`, "error");
    } else if (now.at === "good") {
      log.info("disk.good-again");
      tell("There is room on the disk again, and new messages are taken in.", "info");
    } else {
      log.error("disk.failed", { ...now.fault });
      const bound = new AbortController();
      void Promise.race([endProcesses(), sleep(clock, BROKEN_STOP_MS, bound.signal)])
        .catch((cause: unknown) => log.error("processes.not-ended", { cause }))
        .finally(() => {
          bound.abort();
          breaks(Fault.fromRecord(now.fault));
        });
    }
  });
  return { state: () => state.at, broken };
}

/** The operator reads the main conversation. */
export async function tellOperator(store: Store, log: Log, code: string, text: string): Promise<void> {
  const session = mainSession(DEFAULT_AGENT);
  try {
    await store.openSession(session);
    await store.notice({ session, text, level: "warn", code, entry: false });
  } catch (cause) {
    log.error("operator.not-told", { code, cause });
  }
}
