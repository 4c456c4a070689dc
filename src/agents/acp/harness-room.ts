/**
 * One session of a harness, with the process that holds it, for one session of ours.
 *
 *     closed ──ready──▶ starting ──▶ ready ◀──▶ running
 *                           │          │          │
 *                           └──▶ lost ◀┴──────────┘ its process died; the next use starts it again
 *
 * A session of ours has one at home, and spares while a turn works beside another ({@link Suite}).
 *
 * Always true:
 *   - one turn at a time has it, and asks it something only when its last prompt is really over
 *   - a harness is started only in a folder that may be trusted, and when the machine has memory for it
 *   - once it is closed on purpose it is not started again
 */
import { join } from "node:path";
import { abortable } from "../../base/abortable.ts";
import type { Clock } from "../../base/clock.ts";
import type { IdMaker, SessionKey, TurnId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Settings } from "../../base/setting.ts";
import { Fault } from "../../model/faults.ts";
import type { HarnessKnowledge, HarnessRecord, HarnessSpec, LentTools } from "../../model/harness.ts";
import type { Admission } from "./admission.ts";
import type { Ceiling } from "./ceiling.ts";
import { childEnvironment, type ProxyAccess, type Surroundings } from "./child-environment.ts";
import { HarnessProcess, type ProcessDeps } from "./harness-process.ts";
import { furnish } from "./own-folder.ts";
import type { Sandbox } from "./sandbox.ts";
import { sandboxMode, sessionToolsLent, trustedWorkspaces } from "./settings.ts";
import { checkFolder, type FolderRules } from "./trusted-folder.ts";

/** Turns of its own that a harness is known to remember, besides those before them. */
const OWN_TURNS_MAX = 20;
const KNOWS_NOTHING: HarnessKnowledge = { upTo: 0, turns: [] };

export interface RoomDeps extends Pick<FolderRules, "files" | "likeness"> {
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: Settings;
  readonly ids: IdMaker;
  readonly process: ProcessDeps;
  readonly admission: Admission;
  readonly ceiling: Ceiling;
  readonly sandbox: Sandbox;
  readonly surroundings: Surroundings;
  /** The first part of every mark. */
  readonly installation: string;
  /** Where each session of ours gets a folder of its own. */
  readonly folder: string;
  /** Resolves when what a killed gateway left running is gone. */
  readonly swept: () => Promise<void>;
  /** Makes a token for the model calls of a proxied harness; `revoke` takes it back. */
  readonly proxyAccess: (session: SessionKey) => Promise<ProxyAccess & { revoke(): Promise<void> }>;
  readonly lendTools: (session: SessionKey) => Promise<LentTools>;
  readonly save: (record: HarnessRecord) => Promise<void>;
  /** What must be over before everything is closed. */
  readonly track: (work: Promise<unknown>) => void;
}

/** A harness as the turn that has it sees it. */
export interface Seat {
  /** It is a second session beside the one at home, which was at work when this one began. */
  readonly isSpare: boolean;
  /** How much of the conversation it knows. Look when it is ready: one that had to begin anew knows nothing. */
  readonly known: HarnessKnowledge;
  /** Its process, started if need be, with nothing to do. @throws {Fault} ACP_*; the signal's reason when aborted. */
  ready(signal: AbortSignal): Promise<HarnessProcess>;
  /** With the prompt of this turn it is told of all that is news to it up to this entry. */
  told(turn: TurnId, upTo: number): void;
}

export interface RoomPlan {
  readonly key: SessionKey;
  readonly spec: HarnessSpec;
  readonly cwd: string;
  readonly record: HarnessRecord | null;
  /** 0 = at home; else which spare it is, and home. */
  readonly number: number;
  readonly home: HarnessRoom | null;
}

export class HarnessRoom implements Seat {
  readonly key: SessionKey;
  readonly spec: HarnessSpec;
  readonly cwd: string;
  process: HarnessProcess | null = null;
  record: HarnessRecord | null;
  /** Why it is lost. */
  problem: string | null = null;
  /** A turn has it. */
  isTaken = false;
  /** A turn had it since this gateway started. */
  wasTaken = false;
  lastAt: number;
  readonly number: number;
  /** What the session asks for; held to when its process starts. Null: nothing. */
  model: string | null = null;
  /** Entries of the conversation up to this one are not to be known any more; 0 = none. */
  clearedUpTo = 0;
  #known: HarnessKnowledge;
  #starting: Promise<HarnessProcess> | null = null;
  readonly #home: HarnessRoom | null;
  readonly #deps: RoomDeps;
  readonly #closing = new AbortController();
  #disarmIdle: () => void = () => {};

  constructor(deps: RoomDeps, { key, spec, cwd, record, number, home }: RoomPlan) {
    this.#deps = deps;
    this.key = key;
    this.spec = spec;
    this.cwd = cwd;
    this.record = record;
    this.number = number;
    this.#home = home;
    this.#known = record?.known ?? KNOWS_NOTHING;
    this.lastAt = deps.clock.now();
  }

  get isSpare(): boolean {
    return this.#home !== null;
  }

  get known(): HarnessKnowledge {
    return this.#known;
  }

  get isStarting(): boolean {
    return this.#starting !== null;
  }

  get isOpen(): boolean {
    return !this.#closing.signal.aborted;
  }

  async ready(signal: AbortSignal): Promise<HarnessProcess> {
    const harness = await abortable(signal, this.#knowing());
    // The last prompt may have been cancelled and still be on its way out, or take its process with it.
    await abortable(signal, harness.idle);
    return harness.isGone ? abortable(signal, this.started()) : harness;
  }

  /** Its process; one that knows what was taken out of the conversation is ended, and another one begins. */
  async #knowing(): Promise<HarnessProcess> {
    const harness = await this.started();
    if (!this.#isCleared(this.#known)) return harness;
    if (this.process === harness) this.process = null;
    await harness.close();
    return this.started();
  }

  #isCleared({ upTo, turns }: HarnessKnowledge): boolean {
    const knowsNothing = upTo === 0 && turns.length === 0;
    return !knowsNothing && (upTo ?? 0) < this.clearedUpTo;
  }

  told(turn: TurnId, upTo: number): void {
    this.#known = { upTo, turns: [...this.#known.turns.filter((one) => one !== turn), turn].slice(-OWN_TURNS_MAX) };
    this.#deps.track(this.remember());
  }

  /** The process, started if it is not there. @throws {Fault} ACP_* */
  started(): Promise<HarnessProcess> {
    this.#closing.signal.throwIfAborted();
    if (this.process !== null && !this.process.isGone) return Promise.resolve(this.process);
    this.#starting ??= this.#start()
      .catch((cause: unknown) => {
        this.problem = cause instanceof Error ? cause.message : String(cause);
        throw cause;
      })
      .finally(() => (this.#starting = null));
    return this.#starting;
  }

  /** The turn that had it is over. */
  left(): void {
    this.isTaken = false;
    this.lastAt = this.#deps.clock.now();
    this.#deps.track(this.remember());
  }

  /** Calls `then` when nobody took it for so long. */
  armIdle(ms: number, then: () => void): void {
    this.#disarmIdle();
    this.#disarmIdle = this.#deps.clock.after(ms, then);
  }

  disarmIdle(): void {
    this.#disarmIdle();
  }

  /** Ends its process with everything that it started. False: nothing ran. */
  async close(): Promise<boolean> {
    this.#disarmIdle();
    this.#closing.abort(new Fault("ACP_TURN_FAILED", { agent: this.spec.id, problem: "was closed" }));
    const harness = await (this.#starting ?? Promise.resolve(this.process)).catch(() => null);
    await harness?.close();
    await this.remember();
    return harness !== null;
  }

  /** Puts what is known of it on disk; spares end with what they were for. Never rejects. */
  async remember(): Promise<void> {
    const { clock, log, save } = this.#deps;
    const harness = this.process;
    if (harness !== null) {
      const resumable = harness.abilities.load ? "load" : harness.abilities.resume ? "resume" : "summary";
      this.record = { session: this.key, harness: this.spec.id, acpId: harness.acpId, cwd: this.cwd, mode: this.record?.mode ?? null, resumable, createdAt: harness.createdAt, lastAt: clock.now(), known: this.#known };
    }
    if (this.record === null || this.isSpare) return;
    await save(this.record).catch((cause: unknown) => log.error("harness.not-remembered", { session: this.key, cause }));
  }

  async #start(): Promise<HarnessProcess> {
    const { spec, cwd, key, record } = this;
    const { settings, sandbox, files, likeness, surroundings, installation, swept, log, admission, track, ids } = this.#deps;
    const { signal } = this.#closing;
    const folder = join(this.#deps.folder, encodeURIComponent(key));
    const place = { folder, cwd, name: this.number === 0 ? folder : `${folder}.${this.number}` };
    await sandbox.clean(place);
    const isTrusted = await checkFolder({ files, likeness, trusted: settings.get(trustedWorkspaces), home: surroundings.inherited["HOME"] }, spec, cwd);
    await abortable(signal, swept());
    const settle = await admission.enter({ key, harness: spec.id, needsMb: spec.memoryMb, signal });
    let tools: LentTools | null = null;
    let proxy: (ProxyAccess & { revoke(): Promise<void> }) | null = null;
    let isUp = false;
    try {
      if (spec.proxied) proxy = await abortable(signal, this.#deps.proxyAccess(key));
      if (settings.get(sessionToolsLent)) tools = await abortable(signal, this.#deps.lendTools(key));
      const env = childEnvironment(spec, folder, surroundings, proxy);
      await furnish(spec, { folder, cwd, isTrusted, env });
      const sandboxed = await abortable(signal, this.#sandboxed({ ...place, env, tools }));
      const previous = record === null || record.cwd !== cwd || this.#isCleared(this.#known) ? null : { acpId: record.acpId, createdAt: record.createdAt };
      const begin = (from: typeof previous, forkOf: string | null): Promise<HarnessProcess> =>
        HarnessProcess.start(this.#deps.process, { session: key, spec, cwd, env, mark: `${installation}.harness.${ids.bare()}`, previous: from, forkOf, tools, sandboxed }, signal);
      const home = this.#home === null || this.#isCleared(this.#home.known) ? null : this.#home;
      const forkOf = previous === null ? (home?.process?.acpId ?? null) : null;
      const harness = await begin(previous, forkOf).catch((cause: unknown) => {
        // What it remembers may be what breaks it; without that it begins anew, with a summary.
        if ((previous === null && forkOf === null) || signal.aborted || !(cause instanceof Fault) || cause.code !== "ACP_SESSION_INIT_FAILED") throw cause;
        log.warn("harness.broke-over-its-memory", { session: key, harness: spec.id, problem: cause.message });
        return begin(null, null);
      });
      try {
        await this.#prepare(harness);
      } catch (cause) {
        await harness.close();
        throw cause instanceof Fault ? cause : new Fault("ACP_SESSION_INIT_FAILED", { agent: spec.id, problem: (cause as Error).message, hint: "" }, { cause });
      }
      if (harness.beginning === "fork") this.#known = withoutLast(this.#home!.known);
      else if (harness.beginning === "new") this.#known = KNOWS_NOTHING;
      this.process = harness;
      this.problem = null;
      log.info("harness.started", { session: key, harness: spec.id, pid: harness.pid, how: harness.beginning, spare: this.number });
      isUp = true;
      track(harness.gone.then((reason) => {
        this.#gone(harness, reason);
        return Promise.all([tools?.end(), proxy?.revoke(), sandboxed === null ? null : sandbox.clean(place)]);
      }));
      await this.remember();
      return harness;
    } finally {
      settle();
      if (!isUp) track(Promise.all([tools?.end(), proxy?.revoke()]));
    }
  }

  /** @throws {Fault} ACP_SANDBOX_MISSING */
  async #sandboxed({ cwd, env, folder, name, tools }: { cwd: string; env: Readonly<Record<string, string>>; folder: string; name: string; tools: LentTools | null }): Promise<[string, ...string[]] | null> {
    const { spec } = this;
    const { sandbox, settings } = this.#deps;
    const mode = settings.get(sandboxMode);
    if (mode === "off") return null;
    if (spec.quirks.ownSandbox === true) {
      if (mode === "required") throw new Fault("ACP_SANDBOX_MISSING", { agent: spec.id, why: "it puts its commands into a sandbox of its own, which does not work inside of another" });
      return null;
    }
    const state = await sandbox.tried();
    if (state.at === "works") return sandbox.around([spec.command, ...spec.args], { spec, cwd, env, folder, name, ports: tools === null ? [] : [Number(new URL(tools.url).port)] });
    if (mode === "required") throw new Fault("ACP_SANDBOX_MISSING", { agent: spec.id, why: state.at === "broken" ? state.why : "it was not tried" });
    return null;
  }

  /** Mode and model as they should be, before anything is asked of it. */
  async #prepare(harness: HarnessProcess): Promise<void> {
    const { spec } = this;
    const { ceiling } = this.#deps;
    const { traits } = harness;
    const set = this.record?.mode ?? this.#home?.record?.mode;
    const wanted = [set, spec.mode].find((mode) => typeof mode === "string" && traits.modes.includes(mode) && !ceiling.isUnasked(harness, mode));
    const asking = ceiling.unaskedIn(harness) !== null ? (wanted ?? traits.modes.find((mode) => !ceiling.isUnasked(harness, mode))) : wanted;
    if (typeof asking === "string" && asking !== traits.mode) await harness.setMode(asking);
    const unasked = ceiling.unaskedIn(harness);
    if (unasked !== null) throw new Fault("ACP_MODE_REFUSED", { mode: unasked });
    const model = this.#home?.process?.traits.model ?? this.model;
    if (model !== null && model !== "") await useModel(harness, model);
  }

  #gone(harness: HarnessProcess, reason: string): void {
    this.#deps.log.info("harness.ended", { session: this.key, harness: this.spec.id, reason });
    if (this.process !== harness) return;
    this.process = null;
    if (this.isOpen) this.problem = reason;
  }
}

/** What a copy of its session knows: the turn that is at work in it is told to the copy like any other. */
function withoutLast({ upTo, turns }: HarnessKnowledge): HarnessKnowledge {
  return { upTo, turns: turns.slice(0, -1) };
}

/** @throws {Fault} ACP_NO_SUCH_OPTION */
export async function useModel(harness: HarnessProcess, model: string): Promise<void> {
  const { traits, spec } = harness;
  const option = traits.modelOptionId;
  if (traits.model === model) return;
  if (option === null || !traits.models.includes(model)) throw new Fault("ACP_NO_SUCH_OPTION", { agent: spec.id, what: "model", value: model, known: traits.models.join(", ") });
  await harness.setOption(option, model);
}
