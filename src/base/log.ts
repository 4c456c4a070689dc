/**
 * The program's own log: one JSON line per entry on standard error.
 *
 * It never sees message texts, prompts or secrets; those who log pass ids, counts and codes.
 * A line that still holds something shaped like a credential is masked before it is written.
 */
import type { Clock } from "./clock.ts";
import { redact } from "./redact.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

export function makeLog(clock: Clock, level: LogLevel, write: (line: string) => void): Log {
  const threshold = LOG_LEVELS.indexOf(level);
  const at = (entryLevel: LogLevel) => {
    const enabled = LOG_LEVELS.indexOf(entryLevel) >= threshold;
    return (event: string, fields: LogFields = {}): void => {
      if (!enabled) return;
      write(redact(JSON.stringify({ at: new Date(clock.now()).toISOString(), level: entryLevel, event, ...fields }, showErrors)) + "\n");
    };
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

function showErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { name: value.name, message: value.message, stack: value.stack, cause: value.cause };
}
