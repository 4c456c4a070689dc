/**
 * One running harness: a process of its own with one session of the protocol.
 *
 *     start ──▶ ready ◀──▶ running (one prompt) ──▶ gone
 *
 * Always true:
 *   - one prompt at a time; each has one outcome: its stop reason, or that the harness is gone
 *   - each request of the harness is answered once; those of a prompt that is over, or cancelled, with `cancelled`
 *   - when the conversation breaks, its end of it closes or its process exits, the whole process tree is ended
 *   - a cancelled prompt that does not stop in time costs the process its life
 *
 * Not here: who may prompt, starting anew, what becomes of the updates.
 */
import type { Readable, Writable } from "node:stream";
import type * as Acp from "@agentclientprotocol/sdk";
import type { ClientConnection, RequestPermissionRequest, RequestPermissionResponse } from "@agentclientprotocol/sdk";
import { abortable } from "../../base/abortable.ts";
import type { Clock } from "../../base/clock.ts";
import type { SessionKey } from "../../base/ids.ts";
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { Log } from "../../base/log.ts";
import type { OwnedTree, ProcessTree } from "../../base/process-tree.ts";
import { redact } from "../../base/redact.ts";
import { Fault } from "../../model/faults.ts";
import { LENT_TOOLS_NAME, type HarnessSpec, type LentTools, type PermissionKind } from "../../model/harness.ts";
import type { HarnessFiles } from "./files.ts";
import { openLines } from "./ndjson.ts";
import { Terminals } from "./terminals.ts";
import { abilitiesOf, SessionTraits, textIn, type HarnessAbilities } from "./traits.ts";

/** Time from SIGTERM to SIGKILL, milliseconds. */
const GRACE_MS = 2000;
/** How long `session/close` and the end of its input may take to end it, milliseconds. */
const CLOSE_MS = 2000;
/** How long small requests (mode, option, steering) may take, milliseconds. */
const REQUEST_MS = 30_000;
/** How much of its standard error is kept for explaining why it could not start, characters. */
const STDERR_MAX_CHARS = 4_000;
const SHOWN_STDERR_CHARS = 300;
/** Updates between two prompts that are kept for the next one's record. */
const BETWEEN_MAX = 50;
/** Permission requests of one prompt that may wait for somebody at once; further ones are denied. */
const ASKS_MAX = 64;
/** "You have to log in first", of the protocol. */
const AUTH_REQUIRED = -32_000;
const NOT_FOUND = -32_002;
const MINUTE_MS = 60_000;
const CLOSED_OUTPUT = "it closed its output";
/** How much later than its output a process may end, milliseconds, for its exit to be the reason. */
const EXIT_AFTER_CLOSE_MS = 250;

export interface ProcessDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly processes: ProcessTree;
  readonly files: HarnessFiles;
  readonly startTimeoutMs: () => number;
  readonly cancelGraceMs: () => number;
}

export interface StartPlan {
  readonly session: SessionKey;
  readonly spec: HarnessSpec;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly mark: string;
  /** The harness's own id of the session that goes on, and when it was made; null for a new one. */
  readonly previous: { readonly acpId: string; readonly createdAt: number } | null;
  /** The harness's own id of a session that a new one begins as a copy of, where it can; null for none. */
  readonly forkOf: string | null;
  /** The session tools; null = it gets none. */
  readonly tools: LentTools | null;
  /** The command line with the sandbox around it; null = it runs as it is. */
  readonly sandboxed: readonly [string, ...string[]] | null;
}

type Protocol = typeof Acp;

/** How a harness came to know what was said before. */
export type Beginning = "new" | "load" | "resume" | "fork";

export type PermissionChoice = "allow" | "deny" | "cancelled";

/** Who works with a prompt's output and decides what is asked. */
export interface PromptSink {
  /** An update of this session, as it came. */
  update(update: JsonObject): void;
  /** Something that is no update of this session or came too late; kept, never acted on. */
  stray(params: JsonObject): void;
  permission(call: JsonObject, options: readonly PermissionKind[], signal: AbortSignal): Promise<PermissionChoice>;
  /** Whether the harness may write this file, or run this command, through the gateway. */
  allows(call: { readonly tool: "fs/read_text_file" | "fs/write_text_file" | "terminal/create"; readonly input: JsonObject; readonly path: string | null }, signal: AbortSignal): Promise<boolean>;
}

interface Prompt {
  readonly sink: PromptSink;
  /** Aborts when the prompt is over or cancelled: nobody may wait for an answer in its name any more. */
  readonly over: AbortController;
  asks: number;
  /** True from the line with the stop reason on: what comes after it is late. */
  isAnswered: boolean;
}

export interface PromptEnd {
  readonly stopReason: string;
  readonly usage: JsonObject;
}

/** The harness broke off; `message` says how. */
export class HarnessGone extends Error {
  override readonly name = "HarnessGone";
}

export class HarnessProcess {
  readonly traits = new SessionTraits();
  readonly spec: HarnessSpec;
  readonly cwd: string;
  readonly pid: number;
  readonly isSandboxed: boolean;
  /** Resolves with the reason when nothing of it is left to talk to. Never rejects. */
  readonly gone: Promise<string>;
  acpId = "";
  createdAt = 0;
  beginning: Beginning = "new";
  /** True once this process was asked something. */
  wasPrompted = false;
  abilities: HarnessAbilities = { load: false, resume: false, fork: false, close: false, steer: false, httpTools: false };

  readonly #deps: ProcessDeps;
  readonly #plan: StartPlan;
  readonly #tree: OwnedTree;
  readonly #terminals: Terminals;
  readonly #goneWith = Promise.withResolvers<string>();
  #connection!: ClientConnection;
  #protocol!: Protocol;
  #stderr = "";
  /** Updates that came before the session had a name. */
  readonly #early: JsonObject[] = [];
  /** Updates that came while nothing was asked. */
  readonly #between: JsonObject[] = [];
  #prompt: Prompt | null = null;
  #paidMicros = 0;
  #idle: Promise<void> = Promise.resolve();
  #isGone = false;
  /** Why it is being ended: what comes of that is no reason of its own. */
  #reason: string | null = null;
  /** Before it is, it repeats what was said long ago. */
  #isOpen = false;

  private constructor(deps: ProcessDeps, plan: StartPlan, tree: OwnedTree) {
    this.#deps = deps;
    this.#plan = plan;
    this.#tree = tree;
    this.spec = plan.spec;
    this.cwd = plan.cwd;
    this.pid = tree.child.pid!;
    this.isSandboxed = plan.sandboxed !== null;
    this.gone = this.#goneWith.promise;
    this.#terminals = new Terminals(deps.processes, (id) => `${plan.mark}-${id}`);
  }

  /**
   * Starts the process and opens its session: the previous one when the harness still knows it.
   * @throws {Fault} ACP_BACKEND_MISSING, ACP_SESSION_INIT_FAILED; the signal's reason when aborted. Nothing is left then.
   */
  static async start(deps: ProcessDeps, plan: StartPlan, signal: AbortSignal): Promise<HarnessProcess> {
    const { spec, cwd, env, mark } = plan;
    const tree = await deps.processes.start({ mark, argv: [...(plan.sandboxed ?? ([spec.command, ...spec.args] as const))], cwd, env, stdin: "pipe" }).catch((cause: unknown) => {
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code === "ENOENT") throw new Fault("ACP_BACKEND_MISSING", { agent: spec.id, command: spec.command, install: spec.install.join("; ") });
      throw new Fault("ACP_SESSION_INIT_FAILED", { agent: spec.id, problem: code ?? message, hint: "" }, { cause });
    });
    const harness = new HarnessProcess(deps, plan, tree);
    try {
      await abortable(signal, harness.#open());
      return harness;
    } catch (cause) {
      await harness.#end("it could not start");
      signal.throwIfAborted();
      if (cause instanceof Fault) throw cause;
      const { code, message } = cause as { code?: unknown; message: string };
      const said = redact(harness.#stderr.trim()).slice(-SHOWN_STDERR_CHARS);
      const problem = said === "" ? message : `${message} (it said: ${said})`;
      throw new Fault("ACP_SESSION_INIT_FAILED", { agent: spec.id, problem, hint: code === AUTH_REQUIRED ? spec.loginHint : "" }, { cause });
    }
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  get isRunning(): boolean {
    return this.#prompt !== null;
  }

  /** Resolves when no prompt runs. Never rejects. */
  get idle(): Promise<void> {
    return this.#idle;
  }

  /**
   * One prompt to its end. Call it only when {@link idle}.
   * @throws {HarnessGone} it broke off before it said why it stopped.
   * @throws {Error} with a `code` when the harness answered with an error.
   * @throws the signal's reason as soon as it aborts; the harness then has a while to stop, see {@link idle}.
   */
  prompt(text: string, sink: PromptSink, signal: AbortSignal): Promise<PromptEnd> {
    const prompt: Prompt = { sink, over: new AbortController(), asks: 0, isAnswered: false };
    this.#prompt = prompt;
    this.wasPrompted = true;
    for (const params of this.#between.splice(0)) sink.stray(params);
    const asked = this.#connection.agent.request<unknown, unknown>("session/prompt", { sessionId: this.acpId, prompt: [{ type: "text", text }] });
    let disarm = (): void => {};
    const onAbort = (): void => {
      prompt.over.abort();
      this.#connection.agent.notify("session/cancel", { sessionId: this.acpId }).catch(() => {});
      disarm = this.#deps.clock.after(this.#deps.cancelGraceMs(), () => void this.#end("it did not stop when it was cancelled"));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    const ended = asked.then(endOf, async (cause: unknown) => {
      if (!isAnswer(cause)) throw new HarnessGone(await this.gone);
      throw cause;
    });
    const over = (): void => {
      disarm();
      signal.removeEventListener("abort", onAbort);
      prompt.over.abort();
      this.#prompt = null;
    };
    this.#idle = ended.then(over, over);
    return abortable(signal, this.#idle.then(() => ended));
  }

  /** Gives text to the prompt that runs, by the harness's own method. False: it has none, or did not take it. */
  async steer(text: string): Promise<boolean> {
    if (!this.abilities.steer || this.#prompt === null) return false;
    const answer = await this.#request("_session/steering", { sessionId: this.acpId, prompt: [{ type: "text", text }] }).catch(() => null);
    return isJsonObject(answer) && answer["outcome"] === "injected";
  }

  /** Ends it because of something that it did. */
  fail(reason: string): void {
    void this.#end(reason);
  }

  /** What it says to have cost since the last call, millionths of a dollar. */
  takeCostMicros(): number {
    const since = this.traits.costMicros - this.#paidMicros;
    this.#paidMicros = this.traits.costMicros;
    return since;
  }

  async setMode(modeId: string): Promise<void> {
    await this.#request("session/set_mode", { sessionId: this.acpId, modeId });
    this.traits.mode = modeId;
  }

  async setOption(configId: string, value: string | boolean): Promise<void> {
    this.traits.hear(await this.#request("session/set_config_option", { sessionId: this.acpId, configId, value, ...(typeof value === "boolean" ? { type: "boolean" } : {}) }));
  }

  /** Ends it: politely at first, then with everything it started. Resolves when nothing of it is left. */
  async close(): Promise<void> {
    if (!this.#isGone && this.abilities.close && this.#prompt === null) {
      await this.#within(CLOSE_MS, this.#connection.agent.request("session/close", { sessionId: this.acpId })).catch(() => {});
    }
    this.#tree.child.stdin?.end();
    await this.#within(CLOSE_MS, this.#tree.ended).catch(() => {});
    await this.#end("it was closed");
  }

  async #open(): Promise<void> {
    // Loaded with the first harness only: it takes a sixth of a second.
    const acp = (this.#protocol = await import("@agentclientprotocol/sdk"));
    const { child } = this.#tree;
    const lines = openLines({ output: child.stdout, input: child.stdin!, onUpdate: (params) => this.#onUpdate(params), onResult: (result) => this.#onResult(result), onNoise: (text) => this.#heard(text) });
    watchErrors(child.stdin!, child.stdout, child.stderr);
    child.stderr.setEncoding("utf8").on("data", (text: string) => this.#heard(text));
    this.#connection = this.#handlers(acp.client({ name: "yardmaster" })).connect(lines.stream);
    void this.#connection.closed.then(() => this.#onClosed());
    void this.#tree.ended.then(() => this.#end(exitReason(child) ?? "it exited"));

    const { quirks } = this.spec;
    const fs = { readTextFile: quirks.advertiseFsRead ?? true, writeTextFile: quirks.advertiseFsWrite ?? true };
    const initialized = await this.#start("initialize", { protocolVersion: acp.PROTOCOL_VERSION, clientInfo: { name: "yardmaster", title: "Yardmaster", version: "1" }, clientCapabilities: { fs, terminal: true } });
    if (!isJsonObject(initialized)) throw new Error("its answer to initialize is no object");
    const version = initialized["protocolVersion"];
    if (version !== acp.PROTOCOL_VERSION) throw new Error(`it speaks version ${String(version)} of the protocol; ${acp.PROTOCOL_VERSION} is needed`);
    this.abilities = abilitiesOf(initialized);
    await this.#openSession();
    this.#isOpen = true;
  }

  async #openSession(): Promise<void> {
    const { previous } = this.#plan;
    const where = { cwd: this.cwd, mcpServers: toolServersOf(this.#plan.tools, this.abilities) };
    const way = previous === null ? null : this.abilities.load ? "load" : this.abilities.resume ? "resume" : null;
    if (previous !== null && way !== null) {
      if (way === "load") await this.#untilLoadable(previous.createdAt);
      this.acpId = previous.acpId;
      try {
        this.traits.hear(await this.#start(`session/${way}`, { ...where, sessionId: previous.acpId }));
        this.createdAt = previous.createdAt;
        this.beginning = way;
        return;
      } catch (cause) {
        if (!isAnswer(cause)) throw cause;
        this.#deps.log.info("harness.not-resumed", { session: this.#plan.session, harness: this.spec.id, way, problem: (cause as Error).message });
      }
    }
    const copy = await this.#forked(where);
    const answer = copy ?? (await this.#start("session/new", where));
    const acpId = isJsonObject(answer) ? answer["sessionId"] : null;
    if (typeof acpId !== "string" || acpId === "") throw new Error("its answer to session/new names no session");
    this.acpId = acpId;
    this.createdAt = this.#deps.clock.now();
    this.beginning = copy === null ? "new" : "fork";
    this.traits.hear(answer);
    for (const params of this.#early.splice(0)) this.#onUpdate(params);
  }

  /** A copy of another session, one that may be at work; null: it makes none. */
  async #forked(where: JsonObject): Promise<Json> {
    const { forkOf, session } = this.#plan;
    if (forkOf === null || !this.abilities.fork) return null;
    try {
      return await this.#start("session/fork", { ...where, sessionId: forkOf });
    } catch (cause) {
      if (!isAnswer(cause)) throw cause;
      this.#deps.log.info("harness.not-forked", { session, harness: this.spec.id, problem: (cause as Error).message });
      return null;
    }
  }

  async #untilLoadable(createdAt: number): Promise<void> {
    const { clock } = this.#deps;
    if (this.spec.quirks.loadOnlyAfterMinute !== true || Math.floor(createdAt / MINUTE_MS) !== Math.floor(clock.now() / MINUTE_MS)) return;
    const wait = Promise.withResolvers<void>();
    clock.after(MINUTE_MS - (clock.now() % MINUTE_MS), wait.resolve);
    await Promise.race([wait.promise, this.gone]);
  }

  #handlers(client: ReturnType<Protocol["client"]>) {
    const { files } = this.#deps;
    return client
      .onRequest("session/request_permission", ({ params }) => this.#onPermission(params))
      .onRequest("fs/read_text_file", async ({ params: { path, line, limit, sessionId } }) => {
        await this.#mustAllow(sessionId, "fs/read_text_file", { path }, path);
        const text = await this.#file(() => files.readText(this.cwd, path));
        if (text === null) throw this.#refusal(NOT_FOUND, `${path}: no such file`);
        const start = Math.max(0, (line ?? 1) - 1);
        return { content: line == null && limit == null ? text : text.split("\n").slice(start, limit == null ? undefined : start + limit).join("\n") };
      })
      .onRequest("fs/write_text_file", async ({ params: { path, content, sessionId } }) => {
        await this.#mustAllow(sessionId, "fs/write_text_file", { path, content }, path);
        await this.#file(() => files.writeText(this.cwd, path, content));
        return {};
      })
      .onRequest("terminal/create", async ({ params: { command, args = [], env = [], cwd, outputByteLimit, sessionId } }) => {
        const folder = cwd ?? this.cwd;
        await this.#mustAllow(sessionId, "terminal/create", { command, args, cwd: folder, env: Object.fromEntries(env.map(({ name, value }) => [name, value])) }, folder);
        if (!(await files.isInside(this.cwd, folder))) throw this.#refusal(NOT_FOUND, `${folder} is not in the workspace`);
        const own = Object.fromEntries(env.map(({ name, value }) => [name, value]));
        return { terminalId: await this.#file(() => this.#terminals.create({ command, args, cwd: folder, env: { ...own, ...this.#plan.env }, outputMaxBytes: outputByteLimit ?? null })) };
      })
      .onRequest("terminal/output", ({ params }) => this.#file(() => this.#terminals.output(params.terminalId)))
      .onRequest("terminal/wait_for_exit", ({ params }) => this.#file(() => this.#terminals.waitForExit(params.terminalId)))
      .onRequest("terminal/kill", async ({ params }) => (await this.#file(() => this.#terminals.kill(params.terminalId)), {}))
      .onRequest("terminal/release", async ({ params }) => (await this.#file(() => this.#terminals.release(params.terminalId)), {}))
      // Nobody sits at a form: what the harness wants to know it has to ask in words.
      .onRequest("elicitation/create", () => ({ action: "decline" as const }))
      .onNotification("*", ({ method, params }) => this.#prompt?.sink.stray({ method, params: (params ?? null) as Json }));
  }

  async #onPermission({ sessionId, toolCall, options }: RequestPermissionRequest): Promise<RequestPermissionResponse> {
    const prompt = this.#promptOf(sessionId);
    const choice = prompt === null ? "cancelled" : await this.#decide(prompt, (signal) => prompt.sink.permission(toolCall as unknown as JsonObject, options.map(({ kind }) => kind), signal));
    const wanted: readonly PermissionKind[] = choice === "allow" ? ["allow_once"] : choice === "deny" ? ["reject_once", "reject_always"] : [];
    const option = wanted.map((kind) => options.find((one) => one.kind === kind)).find((one) => one !== undefined);
    return { outcome: option === undefined ? { outcome: "cancelled" } : { outcome: "selected", optionId: option.optionId } };
  }

  /** Asks once; whatever happens meanwhile, there is an answer. */
  async #decide(prompt: Prompt, ask: (signal: AbortSignal) => Promise<PermissionChoice>): Promise<PermissionChoice> {
    if (prompt.over.signal.aborted) return "cancelled";
    if (prompt.asks >= ASKS_MAX) return "deny";
    prompt.asks++;
    try {
      return await abortable(prompt.over.signal, ask(prompt.over.signal));
    } catch (cause) {
      if (prompt.over.signal.aborted) return "cancelled";
      this.#deps.log.error("harness.permission-not-decided", { session: this.#plan.session, cause });
      return "deny";
    } finally {
      prompt.asks--;
    }
  }

  async #mustAllow(sessionId: string, tool: "fs/read_text_file" | "fs/write_text_file" | "terminal/create", input: JsonObject, path: string): Promise<void> {
    const prompt = this.#promptOf(sessionId);
    const choice = prompt === null ? "cancelled" : await this.#decide(prompt, async (signal) => ((await prompt.sink.allows({ tool, input, path }, signal)) ? "allow" : "deny"));
    if (choice !== "allow") throw this.#refusal(NOT_FOUND, `${tool} ${path}: not permitted`);
  }

  #promptOf(sessionId: string): Prompt | null {
    return sessionId === this.acpId && this.#prompt?.isAnswered === false ? this.#prompt : null;
  }

  /** Errors of files and terminals, as the protocol has them. */
  async #file<T>(work: () => T): Promise<Awaited<T>> {
    try {
      return await work();
    } catch (cause) {
      throw this.#refusal(NOT_FOUND, cause instanceof Error ? cause.message : String(cause));
    }
  }

  #refusal(code: number, message: string): Error {
    return new this.#protocol.RequestError(code, message);
  }

  #onUpdate(params: JsonObject): void {
    // Some speak of a session before they have told its name.
    if (this.acpId === "") return void (this.#early.length < BETWEEN_MAX && this.#early.push(params));
    const update = params["update"];
    const isOurs = params["sessionId"] === this.acpId && isJsonObject(update);
    if (isOurs) this.traits.update(update);
    const prompt = this.#prompt;
    if (prompt === null) return void (this.#isOpen && this.#between.length < BETWEEN_MAX && this.#between.push(params));
    if (isOurs && !prompt.isAnswered && !prompt.over.signal.aborted && textIn(update, "sessionUpdate") !== null) prompt.sink.update(update);
    else prompt.sink.stray(params);
  }

  /** A process that exits closes its output a moment before; its exit says more. */
  async #onClosed(): Promise<void> {
    const { child } = this.#tree;
    const reason = closeReason(this.#connection.signal.reason);
    if (reason === CLOSED_OUTPUT && exitReason(child) === null) {
      const exited = Promise.withResolvers<void>();
      const disarm = this.#deps.clock.after(EXIT_AFTER_CLOSE_MS, exited.resolve);
      child.once("exit", () => exited.resolve());
      await exited.promise;
      disarm();
    }
    await this.#end(reason === CLOSED_OUTPUT ? (exitReason(child) ?? reason) : reason);
  }

  #onResult(result: Json): void {
    if (this.#prompt !== null && isJsonObject(result) && typeof result["stopReason"] === "string") this.#prompt.isAnswered = true;
  }

  #heard(text: string): void {
    this.#stderr = (this.#stderr + text).slice(-STDERR_MAX_CHARS);
  }

  #start(method: string, params: JsonObject): Promise<Json> {
    return this.#within(this.#deps.startTimeoutMs(), this.#connection.agent.request<Json, JsonObject>(method, params), `it did not answer ${method} in time`);
  }

  #request(method: string, params: JsonObject): Promise<Json> {
    return this.#within(REQUEST_MS, this.#connection.agent.request<Json, JsonObject>(method, params), `it did not answer ${method} in time`);
  }

  async #within<T>(ms: number, work: Promise<T>, late = "it took too long"): Promise<T> {
    const bound = Promise.withResolvers<never>();
    const disarm = this.#deps.clock.after(ms, () => bound.reject(new Error(late)));
    const gone = this.gone.then((reason) => Promise.reject(new Error(reason)));
    try {
      return await Promise.race([work, bound.promise, gone]);
    } finally {
      disarm();
      gone.catch(() => {});
    }
  }

  /** The first reason stands. */
  async #end(reason: string): Promise<void> {
    const first = !this.#isGone;
    this.#isGone = true;
    this.#reason ??= reason;
    if (first) {
      this.#connection?.close();
      this.#prompt?.over.abort();
    }
    const survivors = await this.#deps.processes.endMarked(this.#tree.mark, { graceMs: GRACE_MS });
    await this.#terminals.releaseAll();
    const { stdin, stdout, stderr } = this.#tree.child;
    for (const stream of [stdin, stdout, stderr]) stream?.destroy();
    if (survivors.length > 0) this.#deps.log.error("harness.survivors", { session: this.#plan.session, survivors });
    this.#goneWith.resolve(this.#reason);
  }
}

/** True for an error that the harness answered with; false when the conversation broke. */
function isAnswer(cause: unknown): boolean {
  return cause instanceof Error && typeof (cause as { code?: unknown }).code === "number";
}

/** The session tools in the protocol's form. */
function toolServersOf(tools: LentTools | null, { httpTools }: HarnessAbilities): JsonObject[] {
  if (tools === null) return [];
  const pairs = (object: Readonly<Record<string, string>>): JsonObject[] => Object.entries(object).map(([name, value]) => ({ name, value }));
  const { url, token, program } = tools;
  if (httpTools) return [{ type: "http", name: LENT_TOOLS_NAME, url, headers: pairs({ Authorization: `Bearer ${token}` }) }];
  return [{ name: LENT_TOOLS_NAME, command: program.command, args: [...program.args], env: pairs(program.env) }];
}

function endOf(answer: unknown): PromptEnd {
  if (!isJsonObject(answer) || typeof answer["stopReason"] !== "string") throw Object.assign(new Error("its answer to the prompt has no stop reason"), { code: 0 });
  return { stopReason: answer["stopReason"], usage: isJsonObject(answer["usage"]) ? answer["usage"] : {} };
}

function closeReason(reason: unknown): string {
  const message = reason instanceof Error ? reason.message : "";
  return message === "" || message === "ACP connection closed" ? CLOSED_OUTPUT : message;
}

/** Null while it runs. */
function exitReason({ exitCode, signalCode }: OwnedTree["child"]): string | null {
  if (signalCode !== null) return `it was ended by ${signalCode}`;
  return exitCode === null ? null : `it exited with ${exitCode}`;
}

/** A pipe that breaks shows as the end of the conversation; it must not end the gateway. */
function watchErrors(...streams: readonly (Readable | Writable)[]): void {
  for (const stream of streams) stream.on("error", () => {});
}
