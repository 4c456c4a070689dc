/**
 * The harnesses of this gateway: one process per session at most, started when it is needed.
 *
 *     closed ──use, ensure──▶ starting ──▶ ready ◀──▶ running
 *                                │            │          │
 *                                └──▶ lost ◀──┴──────────┘ its process died; the next use starts it again
 *
 * Always true:
 *   - whoever uses a session's harness has it alone; the next one waits until its last prompt is really over
 *   - a process that nobody uses ends after `acp.idleMinutes`, or sooner when another start needs its memory
 *   - a harness is started only in a folder that is trusted, or that has no files by which it would act on its own
 */
import { readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { abortable } from "../../base/abortable.ts";
import type { Clock } from "../../base/clock.ts";
import { IdMaker, type RandomBytes, type SessionKey } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { ProcessTree } from "../../base/process-tree.ts";
import type { Settings } from "../../base/setting.ts";
import { Fault } from "../../model/faults.ts";
import type { HarnessCatalogue, HarnessRecord, Harnesses, HarnessSessionView, HarnessSpec, HarnessWait, LentTools, PermissionMode } from "../../model/harness.ts";
import { Admission } from "./admission.ts";
import { childEnvironment, type ProxyAccess, type Surroundings } from "./child-environment.ts";
import type { HarnessFiles } from "./files.ts";
import { furnish } from "./own-folder.ts";
import { HarnessGone, HarnessProcess, type ProcessDeps } from "./harness-process.ts";
import type { Sandbox } from "./sandbox.ts";
import { acpEnabled, allowUnsandboxed, cancelGraceSeconds, idleMinutes, memoryReserveMb, memoryWaitSeconds, permissionMode, sandboxMode, sessionToolsLent, startTimeoutSeconds, trustedWorkspaces } from "./settings.ts";

/** Sessions that a listing shows. */
const LISTED_MAX = 200;
const MINUTE_MS = 60_000;
/** Folders above the one that it works in which are looked at: as many as a path can have. */
const FOLDERS_MAX = 2048;
/** What the sandbox keeps beside a session's folder. */
const SANDBOX_FILES = /\.sandbox\.(json|made)$/;

/** What is kept on disk. */
export interface HarnessMemory {
  harnessSession(key: SessionKey): Promise<HarnessRecord | null>;
  harnessSessions(query: { limit: number }): Promise<readonly HarnessRecord[]>;
  saveHarnessSession(record: HarnessRecord): Promise<void>;
  session(key: SessionKey): Promise<{ readonly kind: string; readonly agent: string; readonly cwd: string | null; readonly model: string | null } | null>;
}

export interface HostDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: RandomBytes;
  readonly settings: Settings;
  readonly processes: ProcessTree;
  readonly files: HarnessFiles;
  /** The folder that another stands for as long as these files in it are as they were there, e.g. the checkout that a worktree was made of; null = none. */
  readonly likeness: (cwd: string, files: readonly string[]) => Promise<string | null>;
  readonly catalogue: HarnessCatalogue;
  readonly memory: HarnessMemory;
  readonly surroundings: Surroundings;
  /** Makes a token for the model calls of a proxied harness; `revoke` takes it back. */
  readonly proxyAccess: (session: SessionKey) => Promise<ProxyAccess & { revoke(): Promise<void> }>;
  /** The first part of every mark. */
  readonly installation: string;
  /** Where each session gets a folder of its own. */
  readonly folder: string;
  /** Where a session without a folder works. */
  readonly workspace: () => string;
  readonly availableMb: () => number;
  /** Resolves when what a killed gateway left running is gone. */
  readonly swept: () => Promise<void>;
  /** Lends the session tools to a session's harness. */
  readonly lendTools: (session: SessionKey) => Promise<LentTools>;
  readonly sandbox: Sandbox;
}

/** Which harness a session wants. */
export interface Wanted {
  readonly key: SessionKey;
  readonly harness: string;
  readonly cwd: string | null;
  readonly model: string | null;
}

interface Room {
  readonly key: SessionKey;
  readonly spec: HarnessSpec;
  readonly cwd: string;
  process: HarnessProcess | null;
  starting: Promise<HarnessProcess> | null;
  /** Ends a start under way. */
  readonly closing: AbortController;
  /** Ends when the last of those who want to use it is done. */
  line: Promise<void>;
  users: number;
  problem: string | null;
  record: HarnessRecord | null;
  lastAt: number;
  disarmIdle: () => void;
}

export class HarnessHost implements Harnesses {
  readonly #deps: HostDeps;
  readonly #ids: IdMaker;
  readonly #rooms = new Map<SessionKey, Room>();
  readonly #admission: Admission;
  readonly #process: ProcessDeps;
  /** What must be over before everything is closed. */
  readonly #ends = new Set<Promise<unknown>>();

  constructor(deps: HostDeps) {
    const { settings } = deps;
    this.#deps = deps;
    this.#ids = new IdMaker(deps.random);
    this.#process = { ...deps, startTimeoutMs: () => settings.get(startTimeoutSeconds) * 1000, cancelGraceMs: () => settings.get(cancelGraceSeconds) * 1000 };
    this.#admission = new Admission({
      clock: deps.clock,
      availableMb: deps.availableMb,
      reserveMb: () => settings.get(memoryReserveMb),
      waitMs: () => settings.get(memoryWaitSeconds) * 1000,
      makeRoom: () => this.#endIdlest(),
    });
  }

  /** The ceiling that holds for a harness now: approve-all only in a sandbox, or where somebody said that none is needed. */
  ceilingOf({ isSandboxed }: Pick<HarnessProcess, "isSandboxed">): PermissionMode {
    const mode = this.#deps.settings.get(permissionMode);
    return mode === "approve-all" && !isSandboxed && !this.#deps.settings.get(allowUnsandboxed) ? "approve-reads" : mode;
  }

  /**
   * Lets `work` have a session's harness alone, started if need be.
   * @throws {Fault} ACP_*; the signal's reason when aborted.
   */
  async use<T>(wanted: Wanted, signal: AbortSignal, work: (harness: HarnessProcess) => Promise<T>): Promise<T> {
    const room = await this.#roomFor(wanted);
    const done = Promise.withResolvers<void>();
    const before = room.line;
    room.line = before.then(() => done.promise);
    room.users++;
    room.disarmIdle();
    try {
      await abortable(signal, before);
      let harness = await abortable(signal, this.#started(room, wanted.model));
      // The last prompt may have been cancelled and still be on its way out, or take its process with it.
      await abortable(signal, harness.idle);
      if (harness.isGone) harness = await abortable(signal, this.#started(room, wanted.model));
      return await work(harness);
    } catch (cause) {
      // Whoever closed it meant it: it is not started again for the turn that it worked on.
      if (cause instanceof HarnessGone) room.closing.signal.throwIfAborted();
      throw cause;
    } finally {
      done.resolve();
      room.users--;
      room.lastAt = this.#deps.clock.now();
      if (room.users === 0) this.#armIdle(room);
      this.#track(this.#remember(room));
    }
  }

  async list(): Promise<readonly HarnessSessionView[]> {
    const records = await this.#deps.memory.harnessSessions({ limit: LISTED_MAX });
    const open = [...this.#rooms.values()].map(viewOf);
    return [...open, ...records.filter(({ session }) => !this.#rooms.has(session)).map(closedView)].slice(0, LISTED_MAX);
  }

  async status(session: SessionKey): Promise<HarnessSessionView | null> {
    const room = this.#rooms.get(session);
    if (room !== undefined) return viewOf(room);
    const record = await this.#deps.memory.harnessSession(session);
    return record === null ? null : closedView(record);
  }

  async ensure(session: SessionKey, signal: AbortSignal = new AbortController().signal): Promise<HarnessSessionView> {
    const room = await this.#roomOf(session);
    const row = await this.#deps.memory.session(session);
    await abortable(signal, this.#started(room, row?.model ?? null));
    if (room.users === 0) this.#armIdle(room);
    return viewOf(room);
  }

  async close(session: SessionKey): Promise<boolean> {
    const room = this.#rooms.get(session);
    if (room === undefined) return false;
    this.#rooms.delete(session);
    const closed = this.#closeRoom(room);
    this.#track(closed);
    return closed;
  }

  async #closeRoom(room: Room): Promise<boolean> {
    room.disarmIdle();
    room.closing.abort(new Fault("ACP_TURN_FAILED", { agent: room.spec.id, problem: "was closed" }));
    const harness = await (room.starting ?? Promise.resolve(room.process)).catch(() => null);
    await harness?.close();
    await this.#remember(room);
    return harness !== null;
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#rooms.keys()].map((key) => this.close(key)));
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
    const { room, harness } = await this.#running(session);
    const { modes } = harness.traits;
    if (!modes.includes(mode)) throw new Fault("ACP_NO_SUCH_OPTION", { agent: room.spec.id, what: "mode", value: mode, known: modes.join(", ") });
    if (this.#isUnasked(harness, mode)) throw new Fault("ACP_MODE_REFUSED", { mode });
    await asked(room.spec, harness.setMode(mode));
    if (room.record !== null) room.record = { ...room.record, mode };
    await this.#remember(room);
    return viewOf(room);
  }

  async setModel(session: SessionKey, model: string): Promise<HarnessSessionView> {
    const { room, harness } = await this.#running(session);
    await asked(room.spec, useModel(harness, model));
    return viewOf(room);
  }

  async setOption(session: SessionKey, option: string, value: string | boolean): Promise<HarnessSessionView> {
    const { room, harness } = await this.#running(session);
    const known = harness.traits.options.find(({ id }) => id === option);
    if (known === undefined) throw new Fault("ACP_NO_SUCH_OPTION", { agent: room.spec.id, what: "option", value: option, known: harness.traits.options.map(({ id }) => id).join(", ") });
    if (known.category === "mode" && typeof value === "string" && this.#isUnasked(harness, value)) throw new Fault("ACP_MODE_REFUSED", { mode: value });
    if (this.#isUnaskedOption(harness, option, value)) throw new Fault("ACP_MODE_REFUSED", { mode: `${option}=${String(value)}` });
    await asked(room.spec, harness.setOption(option, value));
    return viewOf(room);
  }

  waiting(): readonly HarnessWait[] {
    return this.#admission.waiting();
  }

  /** Whether a harness in this mode would act without asking, although it has to ask. */
  mustLeaveMode(harness: HarnessProcess): boolean {
    return this.unaskedIn(harness) !== null;
  }

  /** The mode, or the option, in which it would; null when there is none. */
  unaskedIn(harness: HarnessProcess): string | null {
    const { mode, options } = harness.traits;
    if (mode !== null && this.#isUnasked(harness, mode)) return mode;
    const option = options.find(({ id, current }) => this.#isUnaskedOption(harness, id, current));
    return option === undefined ? null : `${option.id}=${String(option.current)}`;
  }

  #isUnaskedOption(harness: HarnessProcess, id: string, value: string | boolean | null): boolean {
    const { unaskedOptions } = harness.spec;
    return value !== null && Object.hasOwn(unaskedOptions, id) && unaskedOptions[id]!.includes(value) && this.ceilingOf(harness) !== "approve-all";
  }

  #isUnasked(harness: HarnessProcess, mode: string): boolean {
    return harness.spec.unaskedModes.includes(mode) && this.ceilingOf(harness) !== "approve-all";
  }

  async #running(session: SessionKey): Promise<{ room: Room; harness: HarnessProcess }> {
    const room = await this.#roomOf(session);
    return { room, harness: await this.#started(room, null) };
  }

  async #roomOf(session: SessionKey): Promise<Room> {
    const open = this.#rooms.get(session);
    if (open !== undefined) return open;
    const row = await this.#deps.memory.session(session);
    if (row === null || row.kind !== "acp") throw new Fault("SESSION_NOT_FOUND", { session });
    return this.#roomFor({ key: session, harness: row.agent, cwd: row.cwd, model: row.model });
  }

  async #roomFor({ key, harness, cwd }: Wanted): Promise<Room> {
    const { settings, catalogue, clock, memory, workspace } = this.#deps;
    if (!settings.get(acpEnabled)) throw new Fault("ACP_DISABLED", {});
    const known = this.#rooms.get(key);
    if (known !== undefined) return known;
    const spec = catalogue.find(harness);
    if (spec === null) throw new Fault("ACP_AGENT_UNKNOWN", { agent: harness, known: catalogue.list().map(({ id }) => id).join(", ") });
    const record = await memory.harnessSession(key);
    const meanwhile = this.#rooms.get(key);
    if (meanwhile !== undefined) return meanwhile;
    const room: Room = {
      key, spec, cwd: cwd ?? spec.cwd ?? workspace(), process: null, starting: null, closing: new AbortController(), line: Promise.resolve(), users: 0,
      problem: null, record: record?.harness === spec.id ? record : null, lastAt: clock.now(), disarmIdle() {},
    };
    this.#rooms.set(key, room);
    return room;
  }

  #started(room: Room, model: string | null): Promise<HarnessProcess> {
    if (room.process !== null && !room.process.isGone) return Promise.resolve(room.process);
    room.starting ??= this.#start(room, model)
      .catch((cause: unknown) => {
        room.problem = cause instanceof Error ? cause.message : String(cause);
        throw cause;
      })
      .finally(() => (room.starting = null));
    return room.starting;
  }

  async #start(room: Room, model: string | null): Promise<HarnessProcess> {
    const { spec, cwd, key } = room;
    const { surroundings, installation, swept, log } = this.#deps;
    const { signal } = room.closing;
    const folder = join(this.#deps.folder, encodeURIComponent(key));
    await this.#deps.sandbox.clean({ folder, cwd });
    const isTrusted = await this.#checkFolder(spec, cwd);
    await abortable(signal, swept());
    const settle = await this.#admission.enter({ key, harness: spec.id, needsMb: spec.memoryMb, signal });
    let tools: LentTools | null = null;
    let proxy: (ProxyAccess & { revoke(): Promise<void> }) | null = null;
    let isUp = false;
    try {
      if (spec.proxied) proxy = await abortable(signal, this.#deps.proxyAccess(key));
      if (this.#deps.settings.get(sessionToolsLent)) tools = await abortable(signal, this.#deps.lendTools(key));
      const env = childEnvironment(spec, folder, surroundings, proxy);
      await furnish(spec, { folder, cwd, isTrusted, env });
      const sandboxed = await abortable(signal, this.#sandboxed(spec, { cwd, env, folder, tools }));
      const { record } = room;
      const previous = record === null || record.cwd !== cwd ? null : { acpId: record.acpId, createdAt: record.createdAt };
      const begin = (from: typeof previous): Promise<HarnessProcess> =>
        HarnessProcess.start(this.#process, { session: key, spec, cwd, env, mark: `${installation}.harness.${this.#ids.bare()}`, previous: from, tools, sandboxed }, signal);
      const harness = await begin(previous).catch((cause: unknown) => {
        // What it remembers may be what breaks it; without that it begins anew, with a summary.
        if (previous === null || signal.aborted || !(cause instanceof Fault) || cause.code !== "ACP_SESSION_INIT_FAILED") throw cause;
        log.warn("harness.broke-over-its-memory", { session: key, harness: spec.id, problem: cause.message });
        return begin(null);
      });
      try {
        await this.#prepare(room, harness, model);
      } catch (cause) {
        await harness.close();
        throw cause instanceof Fault ? cause : new Fault("ACP_SESSION_INIT_FAILED", { agent: spec.id, problem: (cause as Error).message, hint: "" }, { cause });
      }
      room.process = harness;
      room.problem = null;
      log.info("harness.started", { session: key, harness: spec.id, pid: harness.pid, how: harness.beginning });
      isUp = true;
      this.#track(harness.gone.then((reason) => {
        this.#gone(room, harness, reason);
        return Promise.all([tools?.end(), proxy?.revoke(), sandboxed === null ? null : this.#deps.sandbox.clean({ folder, cwd })]);
      }));
      await this.#remember(room);
      return harness;
    } finally {
      settle();
      if (!isUp) this.#track(Promise.all([tools?.end(), proxy?.revoke()]));
    }
  }

  /** @throws {Fault} ACP_SANDBOX_MISSING */
  async #sandboxed(spec: HarnessSpec, { cwd, env, folder, tools }: { cwd: string; env: Readonly<Record<string, string>>; folder: string; tools: LentTools | null }): Promise<[string, ...string[]] | null> {
    const { sandbox, settings } = this.#deps;
    const mode = settings.get(sandboxMode);
    if (mode === "off") return null;
    if (spec.quirks.ownSandbox === true) {
      if (mode === "required") throw new Fault("ACP_SANDBOX_MISSING", { agent: spec.id, why: "it puts its commands into a sandbox of its own, which does not work inside of another" });
      return null;
    }
    const state = await sandbox.tried();
    if (state.at === "works") return sandbox.around([spec.command, ...spec.args], { spec, cwd, env, folder, ports: tools === null ? [] : [Number(new URL(tools.url).port)] });
    if (mode === "required") throw new Fault("ACP_SANDBOX_MISSING", { agent: spec.id, why: state.at === "broken" ? state.why : "it was not tried" });
    return null;
  }

  /** Mode and model as they should be, before anything is asked of it. */
  async #prepare(room: Room, harness: HarnessProcess, model: string | null): Promise<void> {
    const { spec, record } = room;
    const { traits } = harness;
    const wanted = [record?.mode, spec.mode].find((mode) => typeof mode === "string" && traits.modes.includes(mode) && !this.#isUnasked(harness, mode));
    const asking = this.mustLeaveMode(harness) ? (wanted ?? traits.modes.find((mode) => !this.#isUnasked(harness, mode))) : wanted;
    if (typeof asking === "string" && asking !== traits.mode) await harness.setMode(asking);
    const unasked = this.unaskedIn(harness);
    if (unasked !== null) throw new Fault("ACP_MODE_REFUSED", { mode: unasked });
    if (model !== null && model !== "") await useModel(harness, model);
  }

  /** @returns whether the folder is trusted. @throws {Fault} ACP_SESSION_INIT_FAILED, ACP_WORKSPACE_UNTRUSTED. */
  async #checkFolder(spec: HarnessSpec, cwd: string): Promise<boolean> {
    const { settings, files } = this.#deps;
    if (!(await files.isInside(cwd, cwd))) throw new Fault("ACP_SESSION_INIT_FAILED", { agent: spec.id, problem: `there is no folder ${cwd}`, hint: "make it, or name another with cwd" });
    const isTrusted = (place: string): boolean => settings.get(trustedWorkspaces).some((folder) => place === folder || place.startsWith(`${folder.replace(/\/+$/, "")}/`));
    if (isTrusted(cwd)) return true;
    const found: string[] = [];
    // Most look for their settings up to the folder that is the repository.
    for (const folder of await foldersOf(cwd, this.#deps.surroundings.inherited["HOME"])) {
      if (folder !== cwd && isTrusted(folder)) continue;
      for (const name of spec.projectFiles) {
        const path = join(folder, name);
        // An empty file says nothing; a sandbox leaves such while another harness works in the folder.
        if ((await files.isInside(folder, path)) && !(await isEmptyFile(path))) found.push(folder === cwd ? name : path);
      }
    }
    const like = found.length === 0 ? null : await this.#deps.likeness(cwd, found);
    if (like !== null && isTrusted(like)) return true;
    if (found.length > 0) throw new Fault("ACP_WORKSPACE_UNTRUSTED", { agent: spec.id, cwd, files: found.join(", ") });
    return false;
  }

  #gone(room: Room, harness: HarnessProcess, reason: string): void {
    this.#deps.log.info("harness.ended", { session: room.key, harness: room.spec.id, reason });
    if (room.process !== harness) return;
    room.process = null;
    if (this.#rooms.get(room.key) === room) room.problem = reason;
  }

  #track(work: Promise<unknown>): void {
    const over = work.catch(() => {}).finally(() => this.#ends.delete(over));
    this.#ends.add(over);
  }

  #armIdle(room: Room): void {
    room.disarmIdle();
    if (this.#rooms.get(room.key) !== room) return;
    room.disarmIdle = this.#deps.clock.after(this.#deps.settings.get(idleMinutes) * MINUTE_MS, () => {
      if (room.users === 0) void this.close(room.key);
    });
  }

  #endIdlest(): boolean {
    const idle = [...this.#rooms.values()].filter((room) => room.users === 0 && room.starting === null && room.process !== null);
    const first = idle.toSorted((a, b) => a.lastAt - b.lastAt)[0];
    if (first !== undefined) void this.close(first.key);
    return first !== undefined;
  }

  async #remember(room: Room): Promise<void> {
    const harness = room.process;
    if (harness !== null) {
      const resumable = harness.abilities.load ? "load" : harness.abilities.resume ? "resume" : "summary";
      room.record = { session: room.key, harness: room.spec.id, acpId: harness.acpId, cwd: room.cwd, mode: room.record?.mode ?? null, resumable, createdAt: harness.createdAt, lastAt: this.#deps.clock.now() };
    }
    if (room.record === null) return;
    await this.#deps.memory.saveHarnessSession(room.record).catch((cause: unknown) => this.#deps.log.error("harness.not-remembered", { session: room.key, cause }));
  }
}

/** The folder and those above it, up to the one that is the root of its repository; without a repository, up to the home folder, which is the person's own. */
async function foldersOf(cwd: string, home: string | undefined): Promise<readonly string[]> {
  const folders: string[] = [];
  for (let at = cwd; folders.length < FOLDERS_MAX; at = dirname(at)) {
    folders.push(at);
    if ((await stat(join(at, ".git")).catch(() => null)) !== null) return folders;
    if (dirname(at) === at) break;
  }
  const above = home === undefined ? -1 : folders.indexOf(home);
  return above > 0 ? folders.slice(0, above) : above === 0 ? [cwd] : folders;
}

async function isEmptyFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found?.isFile() === true && found.size === 0;
}

async function useModel(harness: HarnessProcess, model: string): Promise<void> {
  const { traits, spec } = harness;
  const option = traits.modelOptionId;
  if (traits.model === model) return;
  if (option === null || !traits.models.includes(model)) throw new Fault("ACP_NO_SUCH_OPTION", { agent: spec.id, what: "model", value: model, known: traits.models.join(", ") });
  await harness.setOption(option, model);
}

/** A refusal of the harness, in words of ours. */
async function asked(spec: HarnessSpec, work: Promise<void>): Promise<void> {
  await work.catch((cause: unknown) => {
    throw cause instanceof Fault ? cause : new Fault("ACP_TURN_FAILED", { agent: spec.id, problem: `refused: ${(cause as Error).message}` }, { cause });
  });
}

function viewOf(room: Room): HarnessSessionView {
  const { key, spec, cwd, process: harness, record, lastAt, problem } = room;
  const traits = harness?.traits;
  return {
    key,
    harness: spec.id,
    state: room.starting !== null ? "starting" : harness !== null ? (harness.isRunning ? "running" : "ready") : problem !== null ? "lost" : "closed",
    pid: harness?.pid ?? null,
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
  return { key: session, harness, state: "closed", pid: null, cwd, mode, modes: [], model: null, models: [], options: [], commands: [], usage: { used: null, size: null, costMicros: 0 }, lastAt, resumable, problem: null };
}
