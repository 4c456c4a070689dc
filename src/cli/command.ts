/** What every command is made of: its place in the tree, and what it is given to work with. */
import { InvalidArgumentError, type Command } from "commander";
import type { Clock } from "../base/clock.ts";
import type { Environment } from "../config/environment.ts";
import { isName, mainSession } from "../model/session.ts";
import type { GatewayClient } from "./client.ts";
import type { Terminal } from "./terminal.ts";

export interface Cli {
  readonly terminal: Terminal;
  readonly environment: Environment;
  /** The state directory. */
  readonly home: string;
  readonly clock: Clock;
  /** How a person calls this program, for hints, e.g. `yard`. */
  readonly program: string;
  /** The gateway of this state directory. @throws {Fault} GATEWAY_NOT_THERE */
  connect(): Promise<GatewayClient>;
  /** Sets the exit code of a command that printed its own bad news. */
  fail(): void;
}

/** A file in `commands/`: adds its command to the tree. */
export interface CommandModule {
  readonly register: (parent: Command, cli: Cli) => void;
}

export function wholeNumberArgument(limits: { min: number; max: number }): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (!(value >= limits.min && value <= limits.max)) throw new InvalidArgumentError(`It must be a whole number in ${limits.min}..${limits.max}.`);
    return value;
  };
}

/** A session as people name it: its key, or the name of an agent for that agent's own session. */
export function sessionArgument(text: string): string {
  return isName(text) ? mainSession(text) : text;
}

export const LIST_LIMIT_MAX = 1000;

/** Adds the options that every listing takes. */
export function asListing(command: Command): Command {
  return command
    .option("--limit <n>", "the most rows to show", wholeNumberArgument({ min: 1, max: LIST_LIMIT_MAX }))
    .option("--after <place>", "go on where the last page ended")
    .option("--json", "print the gateway's answer");
}

/** Adds `--json` to a command that shows one thing. */
export function asJson(command: Command): Command {
  return command.option("--json", "print the gateway's answer");
}

export interface ListOptions {
  readonly limit?: number;
  readonly after?: string;
  readonly json?: boolean;
}

/** In a path of the API. */
export function inPath(text: string): string {
  return encodeURIComponent(text);
}
