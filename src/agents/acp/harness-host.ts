/**
 * The harnesses of this gateway: for each session of ours the rooms in which they work, see {@link Suite}.
 *
 * Always true:
 *   - a turn that uses a session's harness has it alone
 *   - a process that nobody uses ends after `acp.idleMinutes`, or sooner when another start needs its memory
 *   - a harness is started only in a folder that is trusted, or that has no files by which it would act on its own
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { abortable } from "../../base/abortable.ts";
import { IdMaker, type RandomBytes, type SessionKey } from "../../base/ids.ts";
import type { ProcessTree } from "../../base/process-tree.ts";
import { Fault } from "../../model/faults.ts";
import type { HarnessCatalogue, HarnessRecord, Harnesses, HarnessSessionView, HarnessSpec, HarnessWait, PermissionMode } from "../../model/harness.ts";
import { Admission } from "./admission.ts";
import { Ceiling } from "./ceiling.ts";
import { HarnessRoom, useModel, type RoomDeps, type Seat } from "./harness-room.ts";
import type { HarnessProcess } from "./harness-process.ts";
import { Suite, type Guest, type SuiteDeps } from "./harness-suite.ts";
import { acpEnabled, cancelGraceSeconds, idleMinutes, memoryReserveMb, memoryWaitSeconds, startTimeoutSeconds } from "./settings.ts";

/** Sessions that a listing shows. */
const LISTED_MAX = 200;
const MINUTE_MS = 60_000;
/** What the sandbox keeps beside a session's folder. */
const SANDBOX_FILES = /(\.\d+)?\.sandbox\.(json|made)$/;

/** What is kept on disk. */
export interface HarnessMemory {
  harnessSession(key: SessionKey): Promise<HarnessRecord | null>;
  harnessSessions(query: { limit: number }): Promise<readonly HarnessRecord[]>;
  saveHarnessSession(record: HarnessRecord): Promise<void>;
  session(key: SessionKey): Promise<{ readonly kind: string; readonly agent: string; readonly cwd: string | null; readonly model: string | null } | null>;
}

export interface HostDeps extends Omit<RoomDeps, "ids" | "process" | "admission" | "ceiling" | "save" | "track"> {
  readonly random: RandomBytes;
  readonly processes: ProcessTree;
  readonly catalogue: HarnessCatalogue;
  readonly memory: HarnessMemory;
  /** Where a session without a folder works. */
  readonly workspace: () => string;
  readonly availableMb: () => number;
  /** How many turns of one session may have a harness beside the one at home. */
  readonly sparesMax: () => number;
}

/** Which harness a turn wants. */
export interface Wanted extends Guest {
  readonly key: SessionKey;
  readonly harness: string;
  readonly cwd: string | null;
}

export class HarnessHost implements Harnesses {
  readonly #deps: HostDeps;
  readonly #suites = new Map<SessionKey, Suite<HarnessRoom>>();
  readonly #admission: Admission;
  readonly #ceiling: Ceiling;
  readonly #room: RoomDeps;
  readonly #suite: SuiteDeps<HarnessRoom>;
  /** What must be over before everything is closed. */
  readonly #ends = new Set<Promise<unknown>>();

  constructor(deps: HostDeps) {
    const { settings, memory, log } = deps;
    this.#deps = deps;
    this.#ceiling = new Ceiling(settings);
    this.#admission = new Admission({
      clock: deps.clock,
      availableMb: deps.availableMb,
      reserveMb: () => settings.get(memoryReserveMb),
      waitMs: () => settings.get(memoryWaitSeconds) * 1000,
      makeRoom: () => this.#endIdlest(),
    });
    const track = (work: Promise<unknown>): void => this.#track(work);
    this.#room = {
      ...deps,
      ids: new IdMaker(deps.random),
      process: { ...deps, startTimeoutMs: () => settings.get(startTimeoutSeconds) * 1000, cancelGraceMs: () => settings.get(cancelGraceSeconds) * 1000 },
      admission: this.#admission,
      ceiling: this.#ceiling,
      save: (record) => memory.saveHarnessSession(record),
      track,
    };
    this.#suite = {
      log,
      sparesMax: deps.sparesMax,
      idleMs: () => settings.get(idleMinutes) * MINUTE_MS,
      makeSpare: (home, number) => new HarnessRoom(this.#room, { key: home.key, spec: home.spec, cwd: home.cwd, record: null, number, home }),
      onIdle: (suite) => void (this.#suites.get(suite.key) === suite && this.close(suite.key)),
      track,
    };
  }

  ceilingOf(harness: Pick<HarnessProcess, "isSandboxed">): PermissionMode {
    return this.#ceiling.of(harness);
  }

  unaskedIn(harness: HarnessProcess): string | null {
    return this.#ceiling.unaskedIn(harness);
  }

  /**
   * Lets `work` have a session's harness alone.
   * @throws {Fault} ACP_*; the signal's reason when aborted.
   */
  async use<T>(wanted: Wanted, signal: AbortSignal, work: (seat: Seat) => Promise<T>): Promise<T> {
    return (await this.#suiteFor(wanted)).use(wanted, signal, work);
  }

  async list(): Promise<readonly HarnessSessionView[]> {
    const records = await this.#deps.memory.harnessSessions({ limit: LISTED_MAX });
    const open = [...this.#suites.values()].map(viewOf);
    return [...open, ...records.filter(({ session }) => !this.#suites.has(session)).map(closedView)].slice(0, LISTED_MAX);
  }

  async status(session: SessionKey): Promise<HarnessSessionView | null> {
    const suite = this.#suites.get(session);
    if (suite !== undefined) return viewOf(suite);
    const record = await this.#deps.memory.harnessSession(session);
    return record === null ? null : closedView(record);
  }

  async ensure(session: SessionKey, signal: AbortSignal = new AbortController().signal): Promise<HarnessSessionView> {
    const suite = await this.#suiteOf(session);
    const row = await this.#deps.memory.session(session);
    suite.home.model = row?.model ?? null;
    await abortable(signal, suite.home.started());
    suite.rest();
    return viewOf(suite);
  }

  async close(session: SessionKey): Promise<boolean> {
    const suite = this.#suites.get(session);
    if (suite === undefined) return false;
    this.#suites.delete(session);
    const closed = suite.close();
    this.#track(closed);
    return closed;
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#suites.keys()].map((key) => this.close(key)));
    await Promise.all(this.#ends);
  }

  /** Removes the folders of sessions that were deleted. */
  async tidy(): Promise<void> {
    const { folder, memory } = this.#deps;
    for (const name of await readdir(folder).catch(() => [])) {
      if ((await memory.session(decodeURIComponent(name.replace(SANDBOX_FILES, "")) as SessionKey)) === null) await rm(join(folder, name), { recursive: true, force: true });
    }
  }

  async setMode(session: SessionKey, mode: string): Promise<HarnessSessionView> {
    return this.#change(session, async (harness, room) => {
      const { modes } = harness.traits;
      if (!modes.includes(mode)) throw new Fault("ACP_NO_SUCH_OPTION", { agent: room.spec.id, what: "mode", value: mode, known: modes.join(", ") });
      if (this.#ceiling.isUnasked(harness, mode)) throw new Fault("ACP_MODE_REFUSED", { mode });
      await harness.setMode(mode);
      if (room.record !== null) room.record = { ...room.record, mode };
      await room.remember();
    });
  }

  async setModel(session: SessionKey, model: string): Promise<HarnessSessionView> {
    return this.#change(session, (harness) => useModel(harness, model));
  }

  async setOption(session: SessionKey, option: string, value: string | boolean): Promise<HarnessSessionView> {
    return this.#change(session, async (harness, room) => {
      const known = harness.traits.options.find(({ id }) => id === option);
      if (known === undefined) throw new Fault("ACP_NO_SUCH_OPTION", { agent: room.spec.id, what: "option", value: option, known: harness.traits.options.map(({ id }) => id).join(", ") });
      if (known.category === "mode" && typeof value === "string" && this.#ceiling.isUnasked(harness, value)) throw new Fault("ACP_MODE_REFUSED", { mode: value });
      if (this.#ceiling.isUnaskedOption(harness, option, value)) throw new Fault("ACP_MODE_REFUSED", { mode: `${option}=${String(value)}` });
      await harness.setOption(option, value);
    });
  }

  waiting(): readonly HarnessWait[] {
    return this.#admission.waiting();
  }

  /** Changes something of the harness at home, started if need be, and of the spares that run. */
  async #change(session: SessionKey, change: (harness: HarnessProcess, room: HarnessRoom) => Promise<void>): Promise<HarnessSessionView> {
    const suite = await this.#suiteOf(session);
    const { home, spares } = suite;
    await asked(home.spec, change(await home.started(), home));
    for (const room of spares) if (room.process !== null) await asked(room.spec, change(room.process, room));
    return viewOf(suite);
  }

  async #suiteOf(session: SessionKey): Promise<Suite<HarnessRoom>> {
    const open = this.#suites.get(session);
    if (open !== undefined) return open;
    const row = await this.#deps.memory.session(session);
    if (row === null || row.kind !== "acp") throw new Fault("SESSION_NOT_FOUND", { session });
    return this.#suiteFor({ key: session, harness: row.agent, cwd: row.cwd });
  }

  async #suiteFor({ key, harness, cwd }: Pick<Wanted, "key" | "harness" | "cwd">): Promise<Suite<HarnessRoom>> {
    const { settings, catalogue, memory, workspace } = this.#deps;
    if (!settings.get(acpEnabled)) throw new Fault("ACP_DISABLED", {});
    const open = this.#suites.get(key);
    if (open !== undefined) return open;
    const spec = catalogue.find(harness);
    if (spec === null) throw new Fault("ACP_AGENT_UNKNOWN", { agent: harness, known: catalogue.list().map(({ id }) => id).join(", ") });
    const record = await memory.harnessSession(key);
    const meanwhile = this.#suites.get(key);
    if (meanwhile !== undefined) return meanwhile;
    const home = new HarnessRoom(this.#room, { key, spec, cwd: cwd ?? spec.cwd ?? workspace(), record: record?.harness === spec.id ? record : null, number: 0, home: null });
    const suite = new Suite(this.#suite, home);
    this.#suites.set(key, suite);
    return suite;
  }

  #track(work: Promise<unknown>): void {
    const over = work.catch(() => {}).finally(() => this.#ends.delete(over));
    this.#ends.add(over);
  }

  #endIdlest(): boolean {
    const idle = [...this.#suites.values()].flatMap((suite) => (suite.isAtWork ? suite.spares : [suite.home, ...suite.spares]).map((room) => ({ suite, room }))).filter(({ room }) => !room.isTaken && !room.isStarting && room.process !== null);
    const first = idle.toSorted((a, b) => a.room.lastAt - b.room.lastAt)[0];
    if (first === undefined) return false;
    if (first.room.isSpare) first.suite.endSpare(first.room);
    else void this.close(first.suite.key);
    return true;
  }
}

/** A refusal of the harness, in words of ours. */
async function asked(spec: HarnessSpec, work: Promise<void>): Promise<void> {
  await work.catch((cause: unknown) => {
    throw cause instanceof Fault ? cause : new Fault("ACP_TURN_FAILED", { agent: spec.id, problem: `refused: ${(cause as Error).message}` }, { cause });
  });
}

function viewOf({ home: room, spares }: Suite<HarnessRoom>): HarnessSessionView {
  const { key, spec, cwd, process: harness, record, lastAt, problem } = room;
  const traits = harness?.traits;
  const isRunning = [room, ...spares].some((one) => one.process?.isRunning === true);
  return {
    key,
    harness: spec.id,
    state: room.isStarting ? "starting" : isRunning ? "running" : harness !== null ? "ready" : problem !== null ? "lost" : "closed",
    pid: harness?.pid ?? null,
    pidsBeside: spares.flatMap(({ process }) => process?.pid ?? []),
    cwd,
    mode: traits?.mode ?? record?.mode ?? null,
    modes: traits?.modes ?? spec.modes,
    model: traits?.model ?? null,
    models: traits?.models ?? [],
    options: traits?.options ?? [],
    commands: traits?.commands ?? [],
    usage: { used: traits?.used ?? null, size: traits?.size ?? null, costMicros: traits?.costMicros ?? 0 },
    lastAt,
    resumable: record?.resumable ?? "summary",
    problem,
  };
}

function closedView({ session, harness, cwd, mode, resumable, lastAt }: HarnessRecord): HarnessSessionView {
  return { key: session, harness, state: "closed", pid: null, pidsBeside: [], cwd, mode, modes: [], model: null, models: [], options: [], commands: [], usage: { used: null, size: null, costMicros: 0 }, lastAt, resumable, problem: null };
}
