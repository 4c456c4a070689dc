/**
 * A state directory, opened: its settings, its log, the lock that says whose it is, and its store.
 *
 * Always true: one program at a time has a state directory; nothing in it is touched before its
 * settings were found good. Little is loaded here: the store's thread starts while `main.ts` loads
 * the rest of the program.
 */
import { appendFileSync, existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { sleep, systemClock, type Clock } from "./base/clock.ts";
import { systemRandom } from "./base/ids.ts";
import { makeLog, type Log } from "./base/log.ts";
import { openConfig, type Config } from "./config/config.ts";
import { processEnvironment } from "./config/environment.ts";
import { readGatewayFile } from "./config/gateway-file.ts";
import { gatewayAllowNetwork, gatewayHost } from "./config/settings.ts";
import { Fault } from "./model/faults.ts";
import { openStore } from "./store/sqlite/open-store.ts";
import { holdStateLock } from "./store/sqlite/state-lock.ts";
import type { Backup, Checkup } from "./store/store-files.ts";
import type { Store } from "./store/store.ts";

/** How long a start waits for the holder of the state directory to go away, e.g. one that was just killed. */
const LOCK_WAIT_MS = 1_000;
const LOCK_LOOK_MS = 10;
/** The log file is put aside at a start when it is longer than this. */
const LOG_BYTES_MAX = 10_000_000;

export interface HomeOptions {
  readonly home: string;
  /** Where to listen, in place of the setting. */
  readonly host?: string;
  /** True: the log goes to standard error too. */
  readonly json: boolean;
}

export interface Home {
  readonly config: Config;
  /** The address to listen on, one that the settings allow. */
  readonly host: string;
  readonly log: Log;
  /** The database's path. */
  readonly file: string;
  /** Opens in its own thread. @throws {Fault} STORE_*, DISK_FULL; the lock is let go then. */
  readonly store: Promise<Store>;
  unlock(): void;
}

/** @throws {Fault} STATE_DIR_HELD, STATE_DIR_UNSAFE, CONFIG_SYNTAX, SETTING_*, BIND_REFUSED. */
export async function openHome(options: HomeOptions): Promise<Home> {
  const config = await openConfig({ home: options.home, environment: processEnvironment() });
  const host = options.host ?? config.get(gatewayHost);
  if (!config.get(gatewayAllowNetwork) && !isLoopback(host)) throw new Fault("BIND_REFUSED", { host });
  const log = openLog(config, systemClock, options.json);
  const unlock = await holdHome(config.home, systemClock);
  const file = databaseIn(config.home);
  const store = openStore(file).catch((cause: unknown) => {
    unlock();
    throw cause;
  });
  return { config, host, log, file, store, unlock };
}

export interface Examined {
  /** Null when there is no database yet. */
  readonly checkup: Checkup | null;
  /** The newest backup that is in order itself. */
  readonly backup: Backup | null;
  /** Backups that were looked at, up to that one. */
  readonly tried: number;
  readonly backupFolder: string;
}

/** Looks at the state of a gateway that does not run. Changes nothing. @throws {Fault} STATE_DIR_HELD, STORE_* */
export async function examineState(home: string): Promise<Examined> {
  const [{ checkUp }, { findGoodBackup }] = await Promise.all([import("./store/sqlite/checkup.ts"), import("./store/sqlite/restore.ts")]);
  const unlock = await holdHome(home, systemClock);
  try {
    const file = databaseIn(home);
    return { checkup: existsSync(file) ? checkUp(file, systemClock) : null, ...findGoodBackup(file, systemClock) };
  } finally {
    unlock();
  }
}

/** Puts a backup in the place of the database, and stops what was unfinished in it. @returns the folder that keeps what was there. @throws {Fault} STATE_DIR_HELD, STORE_*, DISK_FULL */
export async function restoreState(home: string, backup: Backup): Promise<string> {
  const { restoreBackup } = await import("./store/sqlite/restore.ts");
  const unlock = await holdHome(home, systemClock);
  try {
    return restoreBackup(databaseIn(home), backup, { clock: systemClock, random: systemRandom });
  } finally {
    unlock();
  }
}

function databaseIn(home: string): string {
  return join(home, "yard.sqlite");
}

async function holdHome(home: string, clock: Clock): Promise<() => void> {
  const file = join(home, "gateway.lock");
  for (let waitedMs = 0; ; waitedMs += LOCK_LOOK_MS) {
    const unlock = holdStateLock(file);
    if (unlock !== null) return unlock;
    const holder = await readGatewayFile(home);
    if (waitedMs >= LOCK_WAIT_MS) throw new Fault("STATE_DIR_HELD", { dir: home, pid: holder?.pid ?? 0, url: holder?.url ?? "" });
    await sleep(clock, LOCK_LOOK_MS);
  }
}

function openLog(config: Config, clock: Clock, toStandardError: boolean): Log {
  const folder = join(config.home, "logs");
  const file = join(folder, "gateway.log");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES_MAX) renameSync(file, `${file}.1`);
  return makeLog(clock, config.logLevel, (line) => {
    if (toStandardError) process.stderr.write(line);
    try {
      appendFileSync(file, line, { mode: 0o600 });
    } catch {
      // A full disk must not stop the gateway from saying so where it can.
    }
  });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
