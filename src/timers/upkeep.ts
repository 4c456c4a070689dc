/**
 * Upkeep: runs the gateway's own tasks at their intervals, or when somebody asks, and keeps what came of them.
 *
 * Always true:
 *   - a task never runs twice at once; who asks while it runs gets that run
 *   - a failure is kept and logged, and the task comes again
 *   - a run that found nothing to do is remembered until the next start, and written nowhere: an idle
 *     gateway writes nothing
 */
import type { Clock } from "../base/clock.ts";
import type { IdMaker } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import { asFault } from "../model/faults.ts";
import type { UpkeepRun, UpkeepTask } from "../model/upkeep.ts";
import type { Store } from "../store/store.ts";

/** The longest sleep before what is due is computed anew, and the pause before a task that is still due comes again. */
const LOOK_EVERY_MS = 600_000;
/** How long somebody who runs a task by hand is kept waiting for its end. */
const HAND_WAIT_MS = 5_000;

export interface UpkeepDeps {
  readonly tasks: readonly UpkeepTask[];
  readonly store: Pick<Store, "noteUpkeep" | "upkeepRuns">;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly ids: Pick<IdMaker, "run">;
  readonly log: Log;
}

/** A built-in job as others see it. */
export interface UpkeepView {
  readonly task: UpkeepTask;
  readonly state: "active" | "paused" | "disabled";
  readonly why: string | null;
  readonly nextAt: number | null;
  /** The last run, also one that found nothing to do. */
  readonly last: UpkeepRun | null;
  readonly failures: number;
  readonly since: number;
}

interface Kept {
  readonly task: UpkeepTask;
  isOn: boolean;
  everyMs: number;
  /** By the monotonic clock. */
  dueMs: number | null;
  endedMs: number | null;
  last: UpkeepRun | null;
  failures: number;
  running: { readonly run: UpkeepRun; readonly ended: Promise<UpkeepRun> } | null;
  disarm: () => void;
}

export class Upkeep {
  readonly #deps: UpkeepDeps;
  readonly #tasks: ReadonlyMap<string, Kept>;
  readonly #over = new AbortController();
  readonly #since: number;
  #startedMs = 0;
  #unlisten: () => void = () => {};

  constructor(deps: UpkeepDeps) {
    this.#deps = deps;
    this.#since = deps.clock.now();
    this.#tasks = new Map(deps.tasks.map((task) => [task.name, { task, isOn: false, everyMs: 0, dueMs: null, endedMs: null, last: null, failures: 0, running: null, disarm: () => {} }]));
  }

  /** From now on tasks run by themselves; in safe mode only those that may. */
  start({ inSafeMode = false }: { readonly inSafeMode?: boolean } = {}): void {
    this.#startedMs = this.#deps.clock.monotonic();
    this.#unlisten = this.#deps.settings.onChange(() => {
      for (const kept of this.#tasks.values()) if (kept.task.everyMs() !== kept.everyMs) void this.#plan(kept);
    });
    for (const kept of this.#tasks.values()) {
      kept.isOn = !inSafeMode || kept.task.inSafeMode;
      void this.#plan(kept);
    }
  }

  stop(): void {
    this.#over.abort();
    this.#unlisten();
    for (const kept of this.#tasks.values()) kept.disarm();
  }

  has(name: string): boolean {
    return this.#tasks.has(name);
  }

  /** All of them, by name. */
  async list(): Promise<readonly UpkeepView[]> {
    return Promise.all([...this.#tasks.keys()].toSorted().map((name) => this.view(name)));
  }

  async view(name: string): Promise<UpkeepView> {
    const kept = this.#kept(name);
    const { clock, store } = this.#deps;
    const { task, isOn, dueMs, failures, running } = kept;
    const last = running?.run ?? kept.last ?? (await store.upkeepRuns({ task: name, limit: 1 })).runs[0] ?? null;
    const isOff = task.everyMs() === 0;
    const why = isOff ? `${task.setting} is 0` : isOn ? null : "the gateway is in safe mode";
    const nextAt = why !== null || dueMs === null ? null : Math.round(clock.now() + Math.max(0, dueMs - clock.monotonic()));
    return { task, state: isOff ? "disabled" : isOn ? "active" : "paused", why, nextAt, last, failures, since: this.#since };
  }

  /** Runs a task now. @returns the run when it has ended, or after some seconds as it is then. */
  async run(name: string): Promise<UpkeepRun> {
    const kept = this.#kept(name);
    const { run, ended } = kept.running ?? this.#begin(kept, "manual");
    let disarm = (): void => {};
    const late = new Promise<UpkeepRun>((resolve) => (disarm = this.#deps.clock.after(HAND_WAIT_MS, () => resolve(run))));
    return Promise.race([ended, late]).finally(disarm);
  }

  runs(name: string, query: { after?: number; limit: number }): Promise<{ readonly runs: readonly UpkeepRun[]; readonly next: number | null }> {
    return this.#deps.store.upkeepRuns({ task: this.#kept(name).task.name, ...query });
  }

  #kept(name: string): Kept {
    const kept = this.#tasks.get(name);
    if (kept === undefined) throw new TypeError(`there is no upkeep ${name}`);
    return kept;
  }

  /** Computes when a task is due, and runs it then. */
  async #plan(kept: Kept): Promise<void> {
    const { clock, log } = this.#deps;
    const { task } = kept;
    kept.disarm();
    kept.everyMs = task.everyMs();
    kept.dueMs = null;
    if (!kept.isOn || kept.everyMs === 0 || kept.running !== null || this.#over.signal.aborted) return;
    kept.dueMs = kept.endedMs === null ? this.#startedMs + (task.firstMs ?? kept.everyMs) : kept.endedMs + (task.dueAt === undefined ? kept.everyMs : Math.min(kept.everyMs, LOOK_EVERY_MS));
    if (task.dueAt !== undefined) {
      try {
        const inMs = (await task.dueAt()) - clock.now();
        kept.dueMs = Math.max(kept.dueMs, clock.monotonic() + inMs);
      } catch (cause) {
        log.warn("upkeep.not-planned", { task: task.name, cause });
      }
      if (this.#over.signal.aborted || kept.running !== null) return;
      kept.disarm();
    }
    const leftMs = kept.dueMs - clock.monotonic();
    if (leftMs > 0) kept.disarm = clock.after(Math.min(leftMs, LOOK_EVERY_MS), () => void this.#plan(kept));
    else this.#begin(kept, null);
  }

  #begin(kept: Kept, source: "manual" | null): NonNullable<Kept["running"]> {
    kept.disarm();
    kept.dueMs = null;
    const run: UpkeepRun = { id: this.#deps.ids.run(), task: kept.task.name, source, startedAt: this.#deps.clock.now(), endedAt: null, result: null, fault: null };
    kept.running = { run, ended: this.#work(kept, run) };
    return kept.running;
  }

  async #work(kept: Kept, begun: UpkeepRun): Promise<UpkeepRun> {
    const { clock, log, store } = this.#deps;
    const { task } = kept;
    let run: UpkeepRun;
    try {
      const result = await task.run(this.#over.signal);
      run = { ...begun, endedAt: clock.now(), result };
      kept.failures = 0;
    } catch (cause) {
      run = { ...begun, endedAt: clock.now(), fault: asFault(cause).toRecord() };
      kept.failures++;
      if (!this.#over.signal.aborted) log.error("upkeep.failed", { task: task.name, cause });
    }
    kept.last = run;
    kept.endedMs = clock.monotonic();
    const isWorthKeeping = run.result !== null || run.fault !== null || run.source !== null;
    if (isWorthKeeping && !this.#over.signal.aborted) await store.noteUpkeep(run).catch((cause: unknown) => log.warn("upkeep.not-kept", { task: task.name, cause }));
    kept.running = null;
    void this.#plan(kept);
    return run;
  }
}
