/**
 * Runs turns: prepares one, lets its agent work, and closes it in one transaction.
 *
 * Always true:
 *   - a turn that started ends: by its agent, by a deadline, by a stop, or (after a crash) by the
 *     next generation, which goes on from the journal
 *   - a turn that was stopped in the store writes nothing more
 *   - nothing here decides who runs; the end of each turn is reported so that the scheduler can ask
 */
import { isAbsolute, resolve } from "node:path";
import type { Clock } from "../base/clock.ts";
import { sleep } from "../base/clock.ts";
import type { BarrierId, SessionKey, TurnId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { Agent, AgentEnd } from "../agents/agent.ts";
import { StepJournal, TurnSuperseded, type JournalPort } from "../agents/journal.ts";
import type { CallTerms, ScopeBudgets } from "../model/budget.ts";
import { NO_USAGE, type ModelClient, type ModelFrame } from "../model/chat.ts";
import { Fault, asFault } from "../model/faults.ts";
import type { PoolName } from "../model/lane.ts";
import type { LiveFrame } from "../model/event.ts";
import { DEFAULT_AGENT } from "../model/session.ts";
import type { FileChange, QuietTurn } from "../model/supervision.ts";
import type { Parking } from "../model/parking.ts";
import type { Tool } from "../model/tool.ts";
import { modelStepKey, toChat } from "../model/transcript.ts";
import { isForPerson, type StartedTurn, type TurnEnd } from "../model/turn.ts";
import type { SessionContext, Store } from "../store/store.ts";
import { agentsList, findAgent, type AgentEntry, type ToolRules } from "./agents-list.ts";
import { scopeBudgets } from "./budget-settings.ts";
import { BudgetedCalls } from "./budgeted-calls.ts";
import { CompactionDesk } from "./compaction-desk.ts";
import { compactionCut, NEARLY_FULL, partOf } from "./compact.ts";
import { Contexts } from "./context.ts";
import { contextEntriesMax, contextTokensMax, defaultModel, defaultWorkspace, progressTimeoutSeconds, stepsMax, toolOutputMax, toolsShownMax, turnTimeoutSeconds } from "./settings.ts";
import { runningNow, systemPrompt } from "./system-prompt.ts";
import { toolboxFor } from "./toolbox.ts";
import { TurnParking } from "./turn-parking.ts";
import { TurnWatch } from "./turn-watch.ts";
import { WorkspaceFiles } from "./workspace-files.ts";

/** First pause before a store write is tried again, e.g. while the disk is full; doubles up to the next. */
const STORE_RETRY_MS = 100;
const STORE_RETRY_MAX_MS = 5_000;
/** Who was told of which fallback; with more, the oldest may be told again. */
const TOLD_FALLBACKS_MAX = 10_000;
/** The context may fill this part of a model's window. */
const WINDOW_PART = 0.75;
const NO_SCOPES: ScopeBudgets = { session: {}, tree: {}, person: {}, day: {} };

export interface TurnRunnerDeps {
  readonly store: Store;
  readonly agents: { readonly native: Agent; readonly acp: Agent | null };
  readonly models: ModelClient & { defaultModel(): string; terms(model: string): CallTerms };
  /** A promise only while tool servers that were just set up are waited for. */
  readonly tools: () => readonly Tool[] | Promise<readonly Tool[]>;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Log;
  /** The folder that `agents.defaults.workspace` names when it is empty. */
  readonly workspace: string;
  /** The most that children may nest, their model, and the rules for their tools, as the trees set them. */
  readonly tree: () => { readonly depthMax: number; readonly childModel: string; readonly toolRules: (depth: number) => readonly ToolRules[] };
  /** Whether turns that began beside their conversation may change nothing themselves. */
  readonly readOnlyBeside: () => boolean;
  /** The newest change of a file in a folder; null = none that counts. Never rejects, and takes seconds at most. */
  readonly newestChange: (folder: string) => Promise<FileChange | null>;
  readonly onFrame: (frame: LiveFrame) => void;
  readonly onEnded: (turn: StartedTurn, pool: PoolName, ms: number) => void;
  /** Asks the scheduler to claim; called right after the end was handed to the store, so both share a commit. */
  readonly kick: () => void;
}

interface Running {
  readonly started: StartedTurn;
  readonly controller: AbortController;
  readonly done: Promise<void>;
  steering: boolean;
  /** The folder that it works in, as soon as it is known. */
  workspace: string | null;
  /** Its model calls, and those of its harness, that wait for their provider. */
  parking: TurnParking | null;
  parkedOutside: number;
  /** What to make shorter once the turn is over; null = nothing. */
  compactLater: (() => void) | null;
}

/** The reason of a turn's signal when the store took its right to write. */
class TurnStopped extends Error {
  override readonly name = "TurnStopped";
}

export class TurnRunner {
  readonly #deps: TurnRunnerDeps;
  readonly #running = new Map<TurnId, Running>();
  readonly #files = new WorkspaceFiles();
  readonly #contexts: Contexts;
  readonly #desk: CompactionDesk;
  readonly #closing = new AbortController();
  readonly #toldFallbacks = new Set<string>();

  constructor(deps: TurnRunnerDeps) {
    this.#deps = deps;
    this.#contexts = new Contexts(deps.store);
    this.#desk = new CompactionDesk({ ...deps, signal: this.#closing.signal });
  }

  get count(): number {
    return this.#running.size;
  }

  start(started: StartedTurn): void {
    const controller = new AbortController();
    const running: Running = { started, controller, done: Promise.resolve(), steering: started.steps.length > 0, workspace: null, parking: null, parkedOutside: 0, compactLater: null };
    this.#running.set(started.turnId, running);
    Object.assign(running, { done: this.#run(running) });
  }

  /** The store ended these turns: their work stops, and they write nothing more. */
  stop(turns: readonly TurnId[]): void {
    for (const id of turns) this.#running.get(id)?.controller.abort(new TurnStopped());
  }

  /** Whether a turn whose steps stand still has changed a file since its last progress; the store is told. */
  async look(quiet: QuietTurn): Promise<void> {
    const { store, log, newestChange, kick } = this.#deps;
    const { turnId, session, epoch, since } = quiet;
    try {
      const workspace = this.#running.get(turnId)?.workspace ?? null;
      const newest = workspace === null ? null : await newestChange(workspace);
      await store.judgeQuiet({ turn: { turnId, session, epoch }, change: newest !== null && newest.at > since ? newest : null });
      kick();
    } catch (cause) {
      log.warn("progress.not-judged", { turnId, cause }); // asked again in a while
    }
  }

  /** A message for the running turn of this session is on disk. */
  steeringCame(session: SessionKey): void {
    for (const running of this.#running.values()) if (running.started.session === session) running.steering = true;
  }

  /** Whether a person waits for what runs in a session. */
  runsForPerson(session: SessionKey): boolean {
    return [...this.#running.values()].some(({ started }) => started.session === session && isForPerson(started));
  }

  /**
   * A model call that a harness made for a session waits for its provider: the session's turns are parked as for a call of their own.
   * Which of them it works for is not known when one works beside another, so the deadlines of all rest.
   * @returns to be called once, when the call goes on.
   */
  parkedOutside(session: SessionKey, parking: Parking): () => void {
    const all = [...this.#running.values()].filter(({ started }) => started.session === session && started.sessionInfo.kind === "acp");
    for (const running of all) if (++running.parkedOutside === 1) running.parking?.parked(parking);
    return () => {
      for (const running of all) if (--running.parkedOutside === 0) running.parking?.resumed();
    };
  }

  /** Resolves when no turn runs any more, or when the signal aborts. */
  async idle(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolveAborted) => signal.addEventListener("abort", () => resolveAborted(), { once: true }));
    while (this.#running.size > 0 && !signal.aborted) await Promise.race([aborted, ...[...this.#running.values()].map((running) => running.done)]);
  }

  /** Lets go of all turns without ending them; the next start goes on with them. */
  async letGo(): Promise<void> {
    this.#closing.abort(new TurnStopped());
    const all = [...this.#running.values()];
    for (const { controller } of all) controller.abort(new TurnStopped());
    await Promise.all([...all.map((running) => running.done), this.#desk.idle()]);
  }

  /**
   * Compacts a conversation now, beside it, as far as it goes.
   * @returns how many entries become a summary; 0 = there is nothing to make shorter.
   * @throws {Fault} SESSION_NOT_FOUND
   */
  async compact(key: SessionKey): Promise<number> {
    const row = await this.#deps.store.session(key);
    if (row === null) throw new Fault("SESSION_NOT_FOUND", { session: key });
    const entry = findAgent(this.#deps.settings.get(agentsList), row.agent) ?? { id: row.agent };
    const context = await this.#deps.store.context({ key, after: 0, upTo: row.lastEntry });
    return this.#desk.compactAll({ key, createdAt: row.createdAt, model: this.modelFor(row.model, row.depth, entry), context: context! });
  }

  async #run(running: Running): Promise<void> {
    const { started, controller } = running;
    const { clock, settings, log } = this.#deps;
    const startedMs = clock.monotonic();
    const journal = new StepJournal(this.#journalPort(running), started.steps, modelStepKey(1));
    const watch = new TurnWatch(clock, { progressSeconds: settings.get(progressTimeoutSeconds), totalSeconds: settings.get(turnTimeoutSeconds) }, controller);
    const parking = new TurnParking({ clock, log, watch, park: (at) => this.#deps.store.parkTurn({ turn: refOf(started), parking: at }), unpark: () => this.#write(() => this.#deps.store.unparkTurn(refOf(started))), kick: this.#deps.kick });
    running.parking = parking;
    try {
      let end: TurnEnd;
      try {
        end = turnEndOf(await this.#work(running, journal, watch, parking), started);
      } catch (cause) {
        if (wasStopped(cause, controller.signal)) return;
        const fault = asFault(controller.signal.aborted ? controller.signal.reason : cause);
        if (fault.code === "INTERNAL") log.error("turn.defect", { turnId: started.turnId, cause });
        end = { outcome: "failed", fault: fault.toRecord(), usage: NO_USAGE };
      }
      await this.#close(started, journal, end);
      running.compactLater?.();
    } catch (cause) {
      if (!wasStopped(cause, controller.signal)) log.error("turn.not-closed", { turnId: started.turnId, cause });
    } finally {
      running.parking = null;
      parking.stop();
      watch.stop();
      this.#running.delete(started.turnId);
      this.#deps.onEnded(started, started.pool, clock.monotonic() - startedMs);
    }
  }

  async #work(running: Running, journal: StepJournal, watch: TurnWatch, parking: TurnParking): Promise<AgentEnd> {
    const { started, controller } = running;
    const { settings, agents, clock } = this.#deps;
    const info = started.sessionInfo;
    const agent = info.kind === "acp" ? agents.acp : agents.native;
    if (agent === null) throw new Fault("ACP_DISABLED", {});
    // The agent of a harness session is the harness, which nobody has to list.
    const entry = findAgent(settings.get(agentsList), info.agent) ?? (agent.kind === "acp" ? { id: info.agent } : null);
    if (entry === null) throw new Fault("AGENT_NOT_FOUND", { agent: info.agent, known: [DEFAULT_AGENT, ...settings.get(agentsList).map((one) => one.id)].join(", ") });
    const model = this.modelFor(info.model, info.depth, entry);
    const workspace = this.workspaceFor(info.cwd, entry);
    running.workspace = workspace;
    const { depthMax, toolRules } = this.#deps.tree();
    const above = info.lineage.map((id) => findAgent(settings.get(agentsList), id)?.tools);
    const rules = [entry.tools, ...above, ...toolRules(info.depth)].filter((one) => one !== undefined);
    const readOnly = started.origin === "parallel" && this.#deps.readOnlyBeside();
    const tools = toolboxFor(await this.#deps.tools(), { depth: info.depth, depthMax, rules, readOnly, shownMax: settings.get(toolsShownMax) });
    const budgeted = this.#budgetOf(started);
    const onFrame = (frame: ModelFrame): void => this.#frame(started, frame, parking);
    const context = await this.#context(running, journal, model, budgeted, onFrame);
    const system = systemPrompt({
      started,
      agentPrompt: entry.prompt ?? "",
      files: this.#files.section(workspace, info.depth > 0),
      canSpawn: tools.has("sessions_spawn"),
      summary: context.summary,
    });
    return agent.work({
      started,
      model,
      system,
      now: runningNow(started.besides, clock.now()),
      history: toChat(context.entries),
      entries: context.entries,
      clearedUpTo: context.summary === null ? context.summaryUpTo : 0,
      messages: started.messages.map((message) => ({ role: "user", text: message.text })),
      tools,
      readOnly,
      workspace,
      stepsMax: settings.get(stepsMax),
      toolOutputMaxBytes: settings.get(toolOutputMax),
      journal,
      signal: controller.signal,
      budgeted: budgeted === null ? null : (request, onCallFrame) => budgeted.call(request, onCallFrame),
      onFrame,
      onDenial: (denial) => {
        this.#deps.log.warn("model.denied-tool", denial);
        this.#deps.store.countDenial(denial).catch((cause: unknown) => this.#deps.log.warn("denial.not-counted", { cause }));
      },
      progress: () => watch.progress(),
    });
  }

  /** Null for a turn that nothing limits: its calls cost no question to the store. */
  #budgetOf(started: StartedTurn): BudgetedCalls | null {
    const { store, models, settings, log } = this.#deps;
    const scopes = scopeBudgets(settings);
    if (scopes === null && !started.budgeted) return null;
    const patient = {
      reserveCall: (input: Parameters<Store["reserveCall"]>[0]) => this.#write(() => store.reserveCall(input)),
      settleCall: (input: Parameters<Store["settleCall"]>[0]) => this.#write(() => store.settleCall(input)),
      notice: (input: Parameters<Store["notice"]>[0]) => store.notice(input),
    };
    return new BudgetedCalls({ store: patient, models, settings, log, turn: refOf(started), scopes: scopes ?? NO_SCOPES });
  }

  /** The model of a turn: the session's, the child setting, the agent's, the default, or what was found. */
  modelFor(sessionModel: string | null, depth: number, entry: AgentEntry): string {
    const childModel = depth > 0 ? (entry.subagents?.model ?? this.#deps.tree().childModel) : "";
    return sessionModel || childModel || entry.model || this.#deps.settings.get(defaultModel) || this.#deps.models.defaultModel();
  }

  workspaceFor(cwd: string | null, entry: AgentEntry): string {
    const base = entry.workspace || this.#deps.settings.get(defaultWorkspace) || this.#deps.workspace;
    if (cwd === null) return base;
    return isAbsolute(cwd) ? cwd : resolve(base, cwd);
  }

  /** The text of an agent's AGENTS.md and the workspace that it lies in. */
  instructionsOf(agent: string): { text: string; workspace: string } {
    const workspace = this.workspaceFor(null, findAgent(this.#deps.settings.get(agentsList), agent) ?? { id: agent });
    return { text: this.#files.text(workspace, "AGENTS.md"), workspace };
  }

  /** The conversation before this turn; made shorter first when it is full, and after the turn when it nearly is. */
  async #context(running: Running, journal: StepJournal, model: string, budgeted: BudgetedCalls | null, onFrame: (frame: ModelFrame) => void): Promise<SessionContext> {
    const { started, controller } = running;
    const limits = {
      tokensMax: Math.min(this.#deps.settings.get(contextTokensMax), this.#deps.models.contextWindow(model) * WINDOW_PART),
      entriesMax: this.#deps.settings.get(contextEntriesMax),
    };
    let context = await this.#contexts.of(started);
    // A harness keeps its own context; it is given ours, cut to length, only when it lost that.
    const later = started.track === "side" || started.sessionInfo.kind === "acp" ? null : compactionCut(context.entries, partOf(limits, NEARLY_FULL));
    if (later === null) return context;
    if (compactionCut(context.entries, limits) !== null && (await this.#desk.settled(started.session, controller.signal))) context = await this.#contexts.again(started);
    const upTo = compactionCut(context.entries, limits);
    if (upTo === null) {
      const { key, createdAt } = started.sessionInfo;
      const conversation = { key, createdAt, model, context };
      // What an unfinished turn beside this one said may still be taken back, so its summary would be too early;
      // and a budget is only reserved for calls of a turn.
      if (budgeted === null && started.omit.length === 0 && later > context.summaryUpTo) running.compactLater = () => this.#desk.begin(conversation, later);
      return context;
    }
    const stepKey = `compaction:${upTo}`;
    journal.intent({ key: stepKey, kind: "compaction", name: model, effect: "pure", input: null });
    await journal.flush();
    const made = await this.#desk.summarise(model, context, upTo, { key: started.session, turn: started.turnId, person: isForPerson(started), signal: controller.signal, budgeted, onFrame });
    if (made === null) return context;
    journal.result(stepKey, { kind: "compaction", upTo, ...made });
    await journal.flush();
    return this.#contexts.again(started);
  }

  #frame(started: StartedTurn, frame: ModelFrame, parking: TurnParking): void {
    if (frame.type === "parked") return parking.parked(frame.parking);
    if (frame.type === "resumed") return parking.resumed();
    if (frame.type === "fallback") {
      // The wait for the other model was given up.
      parking.resumed();
      return this.#tellFallback(started, frame.from, frame.to, frame.reason);
    }
    const at = this.#deps.clock.now();
    const common = { session: started.session, at, turnId: started.turnId };
    if (frame.type === "text") this.#deps.onFrame({ ...common, type: "text.delta", data: { text: frame.text, attempt: started.attempt } });
    else if (frame.type === "restart") this.#deps.onFrame({ ...common, type: "text.void", data: { attempt: frame.attempt, reason: frame.reason } });
  }

  /** A weaker model answers: the person is told once, until the gateway starts again. */
  #tellFallback(started: StartedTurn, from: string, to: string, reason: string): void {
    const told = `${started.session}\0${from}\0${to}`;
    if (this.#toldFallbacks.has(told)) return;
    this.#toldFallbacks.add(told);
    if (this.#toldFallbacks.size > TOLD_FALLBACKS_MAX) this.#toldFallbacks.delete(this.#toldFallbacks.values().next().value!);
    const text = `${to} answers instead of ${from}: ${reason}`;
    this.#deps.store.notice({ session: started.session, text, level: "warn", code: "FALLBACK_MODEL", entry: false, data: { from, to } }).catch((cause: unknown) => this.#deps.log.error("fallback.not-told", { cause }));
  }

  async #close(started: StartedTurn, journal: StepJournal, end: TurnEnd): Promise<void> {
    const { writes, events } = journal.takeUnwritten();
    // A result and the event that tells of it are one write: a crash in between would run the tool again.
    if (events.length > 0) await this.#write(() => this.#deps.store.journal({ turn: refOf(started), writes, events }));
    await this.#write(() => {
      const ended = this.#deps.store.endTurn({ turn: refOf(started), end, writes: events.length > 0 ? [] : writes });
      this.#deps.kick();
      return ended;
    });
  }

  #journalPort(running: Running): JournalPort {
    const { started } = running;
    const { store } = this.#deps;
    return {
      write: (writes, events) => this.#write(() => store.journal({ turn: refOf(started), writes, events })),
      takeSteering: () => {
        running.steering = false;
        return store.takeSteering(refOf(started));
      },
      mayHaveSteering: () => running.steering,
    };
  }

  /** Store writes of a turn are tried until they are on disk: a full disk delays a turn, it does not lose it. */
  async #write<T>(write: () => Promise<T>): Promise<T> {
    for (let pauseMs = STORE_RETRY_MS; ; pauseMs = Math.min(pauseMs * 2, STORE_RETRY_MAX_MS)) {
      try {
        return await write();
      } catch (cause) {
        if (!(cause instanceof Fault) || !cause.retryable) throw cause;
        this.#deps.log.warn("turn.store-retry", { code: cause.code, pauseMs });
        await sleep(this.#deps.clock, pauseMs, this.#closing.signal);
      }
    }
  }
}

function refOf({ turnId, session, epoch }: StartedTurn): { turnId: TurnId; session: SessionKey; epoch: number } {
  return { turnId, session, epoch };
}

function wasStopped(cause: unknown, signal: AbortSignal): boolean {
  return cause instanceof TurnSuperseded || cause instanceof TurnStopped || signal.reason instanceof TurnStopped;
}

/** An answer without any text is a failure: to a person it would look like silence. A child's is judged where children end. */
function turnEndOf(end: AgentEnd, started: StartedTurn): TurnEnd {
  if (end.outcome === "yielded") return { ...end, barrierId: end.barrierId as BarrierId };
  if (end.text.trim() === "" && started.sessionInfo.depth === 0) {
    throw new Fault("PROVIDER_BROKEN_STREAM", { provider: "the model", problem: "an answer without any text" });
  }
  return end;
}
