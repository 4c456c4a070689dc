/**
 * The commands that agents run, by whom they belong to.
 *
 * Always true:
 *   - a command belongs to a session; one in the foreground also to a turn, and ends with it
 *   - a session has at most {@link BACKGROUND_MAX} commands running in the background; its end ends them all
 *   - every command has a time limit, bounded output and a mark by which a later gateway finds it
 *
 * Not here: confinement. A command runs as the gateway's user and reaches what that user reaches.
 */
import type { Clock } from "../base/clock.ts";
import { IdMaker, type RandomBytes, type SessionKey, type TurnId } from "../base/ids.ts";
import type { ProcessTree } from "../base/process-tree.ts";
import { Fault } from "../model/faults.ts";
import { startCommand, type Command } from "./command.ts";

/** Commands that one session may have running in the background. */
export const BACKGROUND_MAX = 16;
/** How many ended ones a session's list still shows; the oldest goes first. */
const ENDED_SHOWN_MAX = 16;

export interface CommandRequest {
  readonly session: SessionKey;
  readonly turnId: TurnId;
  readonly background: boolean;
  /** A line for `/bin/sh -c`, or a program with its arguments, which no shell sees. */
  readonly command: string | readonly [string, ...string[]];
  /** Absolute. */
  readonly cwd: string;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly outputMaxBytes: number;
  readonly input?: string | undefined;
}

interface Deps {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly processes: ProcessTree;
  /** The first part of every mark: the same over restarts, other than that of any other gateway. */
  readonly installation: string;
}

/** What one session runs. */
interface Owned {
  readonly background: Set<Command>;
  readonly foreground: Map<Command, TurnId>;
  /** Starts under way, so that the bound holds for those too. */
  starting: number;
}

export class Commands {
  readonly #deps: Deps;
  readonly #ids: IdMaker;
  readonly #sessions = new Map<SessionKey, Owned>();

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#ids = new IdMaker(deps.random);
  }

  /**
   * @throws {Fault} TOOL_INPUT when the session has too many in the background.
   * @throws {Error} with `code` when it cannot start.
   */
  async start(request: CommandRequest): Promise<Command> {
    const { session, turnId, background, command, cwd, env, input } = request;
    const owned = this.#ownedBy(session);
    if (background && owned.starting + runningIn(owned.background) >= BACKGROUND_MAX) {
      throw new Fault("TOOL_INPUT", { tool: "exec", problem: `${BACKGROUND_MAX} commands already run in the background; end one with the tool process first` });
    }
    const random = this.#ids.bare();
    const mark = `${this.#deps.installation}.${turnId}.${random}`;
    const argv = typeof command === "string" ? (["/bin/sh", "-c", command] as const) : command;
    const shown = typeof command === "string" ? command : command.join(" ");
    const stdin = background || input !== undefined ? "pipe" : "ignore";
    owned.starting++;
    try {
      const started = await startCommand(this.#deps, { mark, argv: [...argv] as [string, ...string[]], cwd, env, stdin }, { id: `exec_${random}`, shown, ...request });
      if (background) owned.background.add(started);
      else owned.foreground.set(started, turnId);
      void started.ended.then(() => {
        owned.foreground.delete(started);
        this.#forgetOld(session, owned);
      });
      return started;
    } finally {
      owned.starting--;
      this.#forgetOld(session, owned);
    }
  }

  /** A session's commands in the background, oldest first, with the latest that have ended. */
  inBackground(session: SessionKey): readonly Command[] {
    return [...(this.#sessions.get(session)?.background ?? [])];
  }

  /** Ends what a turn runs in the foreground; resolves when none of it is left. */
  async endTurn(turnId: TurnId): Promise<void> {
    const all = [...this.#sessions.values()].flatMap(({ foreground }) => [...foreground]);
    await Promise.all(all.filter(([, turn]) => turn === turnId).map(([command]) => command.stop("stopped")));
  }

  /** Ends everything that a session runs, and forgets it. */
  async endSession(session: SessionKey): Promise<void> {
    const owned = this.#sessions.get(session);
    if (owned === undefined) return;
    this.#sessions.delete(session);
    await Promise.all([...owned.background, ...owned.foreground.keys()].map((command) => command.stop("stopped")));
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#sessions.keys()].map((session) => this.endSession(session)));
  }

  #ownedBy(session: SessionKey): Owned {
    let owned = this.#sessions.get(session);
    if (owned === undefined) this.#sessions.set(session, (owned = { background: new Set(), foreground: new Map(), starting: 0 }));
    return owned;
  }

  #forgetOld(session: SessionKey, owned: Owned): void {
    const ended = [...owned.background].filter(({ end }) => end !== null);
    for (const command of ended.slice(0, Math.max(0, ended.length - ENDED_SHOWN_MAX))) owned.background.delete(command);
    const isIdle = owned.background.size === 0 && owned.foreground.size === 0 && owned.starting === 0;
    if (isIdle && this.#sessions.get(session) === owned) this.#sessions.delete(session);
  }
}

function runningIn(commands: ReadonlySet<Command>): number {
  let running = 0;
  for (const { end } of commands) if (end === null) running++;
  return running;
}
