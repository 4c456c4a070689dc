/**
 * One command: a process tree, its output and its end.
 *
 *     running ──exits by itself──▶ exited
 *        │
 *        └──stop("time is up" | "stopped"): the whole tree gets SIGTERM, later SIGKILL──▶ ended
 *
 * Always true: `ended` resolves, at the latest some 12 s after its time is up, also when a process
 * cannot be ended; the survivors are then named.
 */
import type { Clock } from "../base/clock.ts";
import type { OwnedTree, ProcessTree, StartRequest } from "../base/process-tree.ts";
import { BoundedOutput } from "./bounded-output.ts";

/** Time from SIGTERM to SIGKILL, milliseconds. */
const GRACE_MS = 2000;
/** How long to wait for the rest of the output when everything has exited, milliseconds. */
const DRAIN_MAX_MS = 1000;
/** How much input may wait in the pipe of a command that does not read it, bytes. */
const INPUT_WAITING_MAX_BYTES = 1024 * 1024;

export interface CommandEnd {
  readonly why: "exited" | "time is up" | "stopped";
  /** Null when a signal ended it, or nothing could. */
  readonly code: number | null;
  readonly signal: string | null;
  readonly ms: number;
  /** Processes that it left running; they were ended. */
  readonly leftBehind: number;
  readonly survivors: readonly number[];
}

export interface CommandOptions {
  readonly id: string;
  /** What was started, for listings. */
  readonly shown: string;
  readonly timeoutMs: number;
  readonly outputMaxBytes: number;
  /** Given to its standard input, which is then closed. */
  readonly input?: string | undefined;
}

/** @throws {Error} with `code` when it cannot start. */
export async function startCommand(deps: { clock: Clock; processes: ProcessTree }, start: StartRequest, options: CommandOptions): Promise<Command> {
  return new Command(deps.clock, deps.processes, await deps.processes.start(start), options);
}

export class Command {
  readonly id: string;
  readonly shown: string;
  readonly timeoutMs: number;
  /** Never rejects. */
  readonly ended: Promise<CommandEnd>;
  readonly #clock: Clock;
  readonly #processes: ProcessTree;
  readonly #tree: OwnedTree;
  readonly #startedAt: number;
  readonly #output: BoundedOutput;
  readonly #listeners = new Set<() => void>();
  readonly #gaveUp = Promise.withResolvers<readonly number[]>();
  #stopped: "time is up" | "stopped" | null = null;
  #end: CommandEnd | null = null;

  constructor(clock: Clock, processes: ProcessTree, tree: OwnedTree, options: CommandOptions) {
    this.id = options.id;
    this.shown = options.shown;
    this.timeoutMs = options.timeoutMs;
    this.#clock = clock;
    this.#processes = processes;
    this.#tree = tree;
    this.#startedAt = clock.monotonic();
    this.#output = new BoundedOutput(options.outputMaxBytes);
    for (const stream of [tree.child.stdout, tree.child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        this.#output.add(chunk);
        this.#changed();
      });
      stream.on("error", () => {});
    }
    // A command may exit without reading its input.
    tree.child.stdin?.on("error", () => {});
    if (options.input !== undefined) tree.child.stdin?.end(options.input);
    this.ended = this.#watch();
  }

  /** Null while it runs. */
  get end(): CommandEnd | null {
    return this.#end;
  }

  get ranMs(): number {
    return this.#end?.ms ?? this.#clock.monotonic() - this.#startedAt;
  }

  get hasOutput(): boolean {
    return !this.#output.isEmpty;
  }

  /** Output since the last call, both streams in the order in which they came. */
  takeOutput(): string {
    return this.#end === null ? this.#output.take() : this.#output.takeRest();
  }

  /** Ends it and everything it started; resolves when nothing of it is left, or some of it was given up. */
  stop(why: "time is up" | "stopped"): Promise<CommandEnd> {
    if (this.#end === null && this.#stopped === null) {
      this.#stopped = why;
      void this.#processes.endMarked(this.#tree.mark, { graceMs: GRACE_MS }).then((survivors) => {
        if (survivors.length > 0) this.#gaveUp.resolve(survivors);
      });
    }
    return this.ended;
  }

  /** Gives text to its standard input; without text, closes it. @returns null when taken, else why not. */
  write(text: string | undefined): string | null {
    const { stdin } = this.#tree.child;
    if (this.#end !== null || stdin === null || !stdin.writable) return "its input is closed";
    if (text === undefined) stdin.end();
    else if (stdin.writableLength + text.length > INPUT_WAITING_MAX_BYTES) return `it has not read what it was given before (${stdin.writableLength} bytes wait); try again later`;
    else stdin.write(text);
    return null;
  }

  /** Resolves at the next output or at the end, or after `waitMs`. @throws the signal's reason when aborted. */
  nextChange(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const done = (settle: () => void): void => {
        disarm();
        this.#listeners.delete(onChange);
        signal.removeEventListener("abort", onAbort);
        settle();
      };
      const onChange = (): void => done(resolve);
      const onAbort = (): void => done(() => reject(signal.reason));
      const disarm = this.#clock.after(waitMs, onChange);
      this.#listeners.add(onChange);
      signal.addEventListener("abort", onAbort);
    });
  }

  async #watch(): Promise<CommandEnd> {
    const disarm = this.#clock.after(this.timeoutMs, () => void this.stop("time is up"));
    const { child } = this.#tree;
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    const givenUp = this.#gaveUp.promise.then((survivors) => ({ code: null, signal: null, leftBehind: 0, survivors }));
    const tree = await Promise.race([this.#tree.ended, givenUp]);
    disarm();
    await this.#drain(closed);
    this.#end = { why: this.#stopped ?? "exited", ...tree, ms: this.#clock.monotonic() - this.#startedAt };
    this.#changed();
    return this.#end;
  }

  /** What escaped every ending may hold the pipes open for ever. */
  async #drain(closed: Promise<void>): Promise<void> {
    const late = Promise.withResolvers<void>();
    const disarm = this.#clock.after(DRAIN_MAX_MS, late.resolve);
    await Promise.race([closed, late.promise]);
    disarm();
    const { stdin, stdout, stderr } = this.#tree.child;
    for (const stream of [stdin, stdout, stderr]) stream?.destroy();
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
