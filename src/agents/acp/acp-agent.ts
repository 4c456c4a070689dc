/**
 * The agent of sessions of kind `acp`: a harness works on the turn, and what it does becomes the
 * turn's steps and events.
 *
 * Always true:
 *   - a prompt has one outcome: the harness's stop reason, or a fault that says what happened
 *   - a harness that is lost in the middle is started again a bounded number of times, and the person is told how it goes on
 *   - what it may do is decided by {@link judge}; what that leaves open is asked once, and answered once
 *   - a change of a file outside of what the session claimed is denied, whatever the mode
 *
 * Refuses: to repeat a request silently. A harness that goes on is told what was cut off.
 */
import { createHash } from "node:crypto";
import { isAbsolute, join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { IdMaker, type RandomBytes, type SessionKey } from "../../base/ids.ts";
import type { JsonObject } from "../../base/json.ts";
import type { Mask } from "../../base/redact.ts";
import type { Settings } from "../../base/setting.ts";
import { addUsage, NO_USAGE, textOf, type ChatMessage, type Usage } from "../../model/chat.ts";
import { Fault } from "../../model/faults.ts";
import type { ApprovalPort, HarnessKnowledge, PermissionKind, PermissionMode } from "../../model/harness.ts";
import { fenceAround, type Fence } from "../../model/path-claims.ts";
import { toChat } from "../../model/transcript.ts";
import type { Entry } from "../../model/turn.ts";
import type { Agent, AgentEnd, AgentTurn } from "../agent.ts";
import { shortenMiddle } from "../shorten.ts";
import type { HarnessFiles } from "./files.ts";
import type { HarnessHost } from "./harness-host.ts";
import type { Seat } from "./harness-room.ts";
import { HarnessGone, type HarnessProcess, type PermissionChoice, type PromptEnd, type PromptSink } from "./harness-process.ts";
import { judge, pathsChangedBy, pathsReadBy, textAt } from "./permissions.ts";
import { approvalSeconds, sessionToolsLent } from "./settings.ts";
import { TurnRecord, usageOf } from "./turn-record.ts";
import { textIn } from "./traits.ts";

/** How often one turn starts its harness again after losing it. */
const RESTARTS_MAX = 2;
/** How often a running prompt looks for words that came for it, milliseconds. */
const STEERING_LOOK_MS = 200;
/** How often a wait for somebody counts as progress: it has a limit of its own, and the turn's watch must not be shorter. */
const BEAT_MS = 20_000;
/** When a harness that is at work on something else may be free, milliseconds: nobody knows. */
const WAIT_GUESS_MS = 60_000;
/** How much of an earlier conversation a harness is told that does not know it, bytes. */
const SUMMARY_MAX_BYTES = 24_000;
/** How much later than its time a request is denied here, when whoever was asked did not say so. */
const EXPIRY_SLACK_MS = 1_000;
const WHAT_MAX_CHARS = 500;

export interface AcpAgentDeps {
  readonly host: Pick<HarnessHost, "use" | "unaskedIn" | "ceilingOf">;
  readonly approvals: ApprovalPort;
  readonly files: HarnessFiles;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** Tells the person of a session something. */
  readonly tell: (session: SessionKey, text: string, code: string) => Promise<void>;
  readonly place: WorkPlace;
  /** Takes known secrets out of what a harness says. */
  readonly mask: Mask;
}

/** The folder that a harness works in, as others know it. */
export interface WorkPlace {
  /** What the session may change, as it is now: claims may be widened while it works. */
  fences(cwd: string, atBirth: readonly Fence[]): Promise<readonly Fence[]>;
  /** Remembers that a file was read. */
  read(cwd: string, path: string): void;
  /** What happened elsewhere and matters there; given out once. */
  takeNews(cwd: string): readonly string[];
}

export function makeAcpAgent(deps: AcpAgentDeps): Agent {
  const ids = new IdMaker(deps.random);
  return { kind: "acp", work: (turn) => new HarnessTurn(deps, turn, ids).work() };
}

class HarnessTurn {
  readonly #deps: AcpAgentDeps;
  readonly #turn: AgentTurn;
  readonly #ids: IdMaker;
  #record!: TurnRecord;
  #usage: Usage = NO_USAGE;
  /** What is waited for besides the harness itself. */
  #waits = 0;
  /** It said that it failed, and will end all the same as if it were done. */
  #hasFailed = false;
  /** Why the harness had to be started again in this turn. */
  #lost: string | null = null;
  /** Files that the harness was allowed to change in this turn, as it named them. */
  readonly #allowed = new Set<string>();

  constructor(deps: AcpAgentDeps, turn: AgentTurn, ids: IdMaker) {
    this.#deps = deps;
    this.#turn = turn;
    this.#ids = ids;
  }

  async work(): Promise<AgentEnd> {
    const { started, signal, workspace } = this.#turn;
    const info = started.sessionInfo;
    const beside = started.besides.flatMap(({ turnId }) => turnId ?? []);
    const wanted = { key: started.session, harness: info.agent, cwd: info.cwd ?? workspace, model: info.model, clearedUpTo: this.#turn.clearedUpTo, turn: started.turnId, beside, onWait: (waits: boolean) => this.#wait(waits) };
    this.#waits = 1;
    return this.#beating(() => this.#deps.host.use(wanted, signal, (seat) => this.#workIn(seat)));
  }

  async #workIn(seat: Seat): Promise<AgentEnd> {
    const { started, signal, messages } = this.#turn;
    const request = messages.map(wordsOf).join("\n\n");
    for (let restarts = 0; ; restarts++) {
      this.#waits = 1;
      const harness = await seat.ready(signal);
      this.#waits = 0;
      try {
        return await this.#converse(seat, harness, request);
      } catch (cause) {
        if (!(cause instanceof HarnessGone)) throw cause;
        signal.throwIfAborted();
        this.#lost = cause.message;
        this.#record.breakOff();
        if (restarts >= RESTARTS_MAX) throw new Fault("ACP_TURN_FAILED", { agent: started.sessionInfo.agent, problem: `was lost ${restarts + 1} times while it worked (${cause.message})` }, { cause });
        this.#turn.onFrame({ type: "restart", attempt: restarts + 2, reason: cause.message });
      }
    }
  }

  /** Its harness is at work on something else: the turn's slot is lent to others, and its deadlines rest. */
  #wait(waits: boolean): void {
    const { onFrame, started } = this.#turn;
    if (waits) onFrame({ type: "parked", parking: { reason: "harness", model: started.sessionInfo.agent, until: this.#deps.clock.now() + WAIT_GUESS_MS, ahead: 0 } });
    else onFrame({ type: "resumed" });
  }

  async #converse(seat: Seat, harness: HarnessProcess, request: string): Promise<AgentEnd> {
    const { journal, started } = this.#turn;
    this.#record ??= new TurnRecord(this.#turn, harness.spec, { nowMs: () => this.#deps.clock.now(), mask: this.#deps.mask });
    const isFresh = !harness.wasPrompted;
    if (isFresh) journal.event({ type: "harness.state", turnId: started.turnId, data: { harness: harness.spec.id, state: "started", pid: harness.pid, how: this.#howItGoesOn(harness), ...(seat.isSpare ? { beside: true } : {}) } });
    const unasked = this.#deps.host.unaskedIn(harness);
    if (unasked !== null) throw new Fault("ACP_MODE_REFUSED", { mode: unasked });
    if (isFresh) await this.#tellOfLoss(seat, harness);
    if (isFresh && !harness.isSandboxed && this.#deps.host.ceilingOf(harness) === "approve-all") {
      await this.#deps.tell(started.session, `${harness.spec.id} may do everything without being asked about, with all rights of the user that runs the gateway (acp.permissionMode is approve-all).`, "HARNESS_UNSANDBOXED");
    }
    await this.#record.flush();
    let prompt = this.#promptFor(seat, harness, request);
    seat.told(started.turnId, started.sessionInfo.lastEntry);
    for (;;) {
      const { end, untaken } = await this.#prompt(harness, prompt);
      const text = await this.#finish(harness, end);
      // What it read and another changed since may concern what it just called done.
      const more = [...untaken, ...this.#news(harness)];
      if (more.length === 0) return { outcome: "done", text, usage: this.#usage };
      prompt = more.join("\n\n");
    }
  }

  #howItGoesOn(harness: HarnessProcess): "new" | "load" | "resume" | "fork" | "summary" {
    return harness.beginning !== "new" ? harness.beginning : this.#lost !== null || this.#turn.entries.some(({ content }) => content.role !== "notice") ? "summary" : "new";
  }

  async #tellOfLoss(seat: Seat, harness: HarnessProcess): Promise<void> {
    const how = this.#howItGoesOn(harness);
    const { id } = harness.spec;
    const why = this.#lost ?? (this.#turn.started.attempt > 1 ? "the gateway was restarted" : null);
    if (how === "new" || (why === null && (how !== "summary" || seat.isSpare))) return;
    const words = how === "summary" ? "begins anew with a summary of this conversation" : `goes on from its own memory (${how})`;
    await this.#deps.tell(this.#turn.started.session, `${seat.isSpare ? "The second session of " : ""}${id} was started again${why === null ? "" : ` (${why})`} and ${words}.`, "HARNESS_RESTARTED");
  }

  #promptFor(seat: Seat, harness: HarnessProcess, request: string): string {
    const { now, readOnly, started } = this.#turn;
    const parts: string[] = [];
    if (seat.isSpare && !harness.wasPrompted) {
      const handOn = this.#deps.settings.get(sessionToolsLent) ? ` What is meant for that work you can pass on: the tool subagents with {"action": "steer", "target": its handle, "text": …}.` : "";
      parts.push(`[You are a second session of one conversation: the first is at work on something else. Leave that to it, and answer what comes to you.${handOn}]`);
    }
    const said = this.#newsOf(seat.known);
    if (said !== "") {
      const isAnew = !harness.wasPrompted && this.#howItGoesOn(harness) === "summary";
      const why = isAnew ? (seat.isSpare ? "This is what was said in it, from the log:" : "Your earlier session is gone. This is what was said in it, from the log:") : "Meanwhile this was said in this conversation beside you, from the log:";
      parts.push(`[${why}]\n${shortenMiddle(said, SUMMARY_MAX_BYTES)}\n[End of the log.]`);
    }
    if (now !== "") parts.push(now);
    if (readOnly) parts.push("[You answer this beside the conversation: look and answer. What would change a file or run a command is denied.]");
    if (this.#lost !== null || started.attempt > 1) parts.push("[You were interrupted while you worked on the following. Check what is already done before you go on.]");
    return [...parts, request].join("\n\n");
  }

  /** What was said before this turn and the harness does not know; with it, what the gateway said of the turns that it did itself. */
  #newsOf({ upTo, turns }: HarnessKnowledge): string {
    const own = new Set<string>(turns);
    const knowsNothing = upTo === 0 && own.size === 0;
    const later = knowsNothing ? this.#turn.entries : this.#turn.entries.filter(({ seq, turnId }) => upTo !== null && seq > upTo && turnId !== null);
    const isOwn = ({ turnId }: Entry): boolean => turnId !== null && own.has(turnId);
    if (later.every(isOwn)) return "";
    return toChat(later.filter((entry) => !isOwn(entry) || entry.content.role === "notice")).map(lineOf).filter((line) => line !== "").join("\n");
  }

  /** One prompt to its end, with what comes meanwhile given to it as far as the harness can take it. */
  async #prompt(harness: HarnessProcess, text: string): Promise<{ end: PromptEnd; untaken: readonly string[] }> {
    const { journal, signal } = this.#turn;
    const untaken: string[] = [];
    let looking = Promise.resolve();
    let disarm = (): void => {};
    const look = async (): Promise<void> => {
      for (const said of [...(await journal.steering()), ...this.#news(harness)]) if (!(await harness.steer(said))) untaken.push(said);
    };
    const arm = (): void => {
      disarm = this.#deps.clock.after(STEERING_LOOK_MS, () => {
        // A lost right to write shows at the end of the turn.
        looking = look().catch(() => {}).then(() => (harness.isRunning ? arm() : undefined));
      });
    };
    const running = harness.prompt(text, this.#sink(harness), signal);
    if (harness.abilities.steer) arm();
    try {
      return { end: await running, untaken };
    } catch (cause) {
      if (cause instanceof HarnessGone || signal.aborted) throw cause;
      throw new Fault("ACP_TURN_FAILED", { agent: harness.spec.id, problem: `refused the request: ${(cause as Error).message}` }, { cause });
    } finally {
      disarm();
      await looking;
      disarm();
    }
  }

  #news(harness: HarnessProcess): readonly string[] {
    return this.#deps.place.takeNews(harness.cwd).map((notice) => `[From the gateway: ${notice}]`);
  }

  async #finish(harness: HarnessProcess, { stopReason, usage }: PromptEnd): Promise<string> {
    const told = usageOf(usage, harness.takeCostMicros());
    // What went through the proxy was counted there, call by call.
    const used = harness.spec.proxied ? NO_USAGE : told;
    const text = this.#record.finish(used);
    this.#usage = addUsage(this.#usage, used);
    await this.#record.flush();
    const failed = (problem: string): Fault => new Fault("ACP_TURN_FAILED", { agent: harness.spec.id, problem });
    if (this.#hasFailed) throw failed(`could not go on${text.trim() === "" ? "" : `: ${text.trim().slice(0, WHAT_MAX_CHARS)}`}`);
    if (stopReason === "refusal") throw failed(`refused to go on${text === "" ? "" : `: ${text.slice(0, WHAT_MAX_CHARS)}`}`);
    if (stopReason === "cancelled" && text === "") throw failed("stopped because something that it asked for was denied");
    if (text.trim() === "") throw failed(`ended (${stopReason}) without a word`);
    return stopReason === "end_turn" ? text : `${text}\n\n[ended early: ${ENDS[stopReason] ?? stopReason}]`;
  }

  #sink(harness: HarnessProcess): PromptSink {
    const record = this.#record;
    return {
      update: (update) => {
        record.update(update);
        for (const path of pathsReadBy(update)) this.#deps.place.read(harness.cwd, path);
        // It gave itself leave to act without asking.
        const unasked = this.#deps.host.unaskedIn(harness);
        if (unasked !== null) harness.fail(`it went into the mode ${unasked}, in which it asks nobody`);
        const { failureAt } = harness.spec.quirks;
        const said = failureAt === undefined ? null : textAt(update, failureAt.path);
        if (said !== null) this.#hasFailed = said === failureAt!.value;
      },
      stray: (params) => record.keep({ sessionUpdate: "stray", params }),
      permission: (call, options, signal) => this.#decide(harness, call, options, signal),
      allows: (call, signal) => this.#allows(harness, call, signal),
    };
  }

  async #decide(harness: HarnessProcess, asked: JsonObject, options: readonly PermissionKind[], signal: AbortSignal): Promise<PermissionChoice> {
    const call = this.#record.asked(asked);
    const { verdict, tool, path, isRead } = await judge(call, { spec: harness.spec, mode: this.#ceilingOf(harness), cwd: harness.cwd, files: this.#deps.files });
    const what = textIn(call, "title") ?? tool ?? "something";
    // Ours is the word on what only reads; everything else that names a file may change it.
    const outside = verdict === "deny" || isRead ? null : await this.#outside(harness, pathsChangedBy(call));
    if (outside !== null) {
      this.#record.keep({ sessionUpdate: "permission", tool: tool ?? what, path: outside, verdict: "outside", choice: "deny" });
      return "deny";
    }
    const choice = verdict === "ask" ? (this.#turn.readOnly ? "deny" : await this.#ask(harness, { tool: tool ?? what, what, path, input: inputOf(call), options }, signal)) : verdict;
    if (choice === "allow" && path !== null) this.#allowed.add(absolute(path, harness.cwd));
    this.#record.keep({ sessionUpdate: "permission", tool: tool ?? what, path, verdict, choice });
    return choice;
  }

  #ceilingOf(harness: HarnessProcess): PermissionMode {
    const mode = this.#deps.host.ceilingOf(harness);
    return mode === "approve-all" && this.#turn.readOnly ? "approve-reads" : mode;
  }

  async #allows(harness: HarnessProcess, { tool, input, path }: { tool: string; input: JsonObject; path: string | null }, signal: AbortSignal): Promise<boolean> {
    const mode = this.#ceilingOf(harness);
    if (tool === "fs/read_text_file" && path !== null) this.#deps.place.read(harness.cwd, path);
    if (tool === "fs/write_text_file" && path !== null && (await this.#outside(harness, [path])) !== null) {
      this.#record.keep({ sessionUpdate: "permission", tool, path, verdict: "outside", choice: "deny" });
      return false;
    }
    if (mode !== "approve-reads") return mode === "approve-all";
    if (tool === "fs/read_text_file") return true;
    if (tool === "fs/write_text_file" && path !== null && this.#allowed.has(absolute(path, harness.cwd))) return true;
    if (this.#turn.readOnly) {
      this.#record.keep({ sessionUpdate: "permission", tool, path, verdict: "read-only", choice: "deny" });
      return false;
    }
    const words = tool === "terminal/create" ? `run ${String(input["command"])}` : `write ${path}`;
    const choice = await this.#ask(harness, { tool, what: words, path, input, options: ["allow_once", "reject_once"] }, signal);
    this.#record.keep({ sessionUpdate: "permission", tool, path, verdict: "ask", choice });
    return choice === "allow";
  }

  /** The first of these paths that the session has not claimed; null = none. The person is told. */
  async #outside(harness: HarnessProcess, paths: readonly string[]): Promise<string | null> {
    const { started } = this.#turn;
    if (paths.length === 0) return null;
    const fences = await this.#deps.place.fences(harness.cwd, started.sessionInfo.fences);
    const outside = paths.find((path) => fenceAround(fences, absolute(path, harness.cwd)) !== null);
    if (outside === undefined) return null;
    const claims = fenceAround(fences, absolute(outside, harness.cwd))!.claims.join(", ");
    await this.#deps.tell(started.session, `${harness.spec.id} wanted to change ${outside}, which is outside of its claim (${claims}); that was denied.`, "CLAIM_OUTSIDE");
    return outside;
  }

  async #ask(harness: HarnessProcess, { path, what, ...about }: { tool: string; what: string; path: string | null; input: JsonObject; options: readonly PermissionKind[] }, signal: AbortSignal): Promise<PermissionChoice> {
    const { approvals, clock, settings } = this.#deps;
    const { started } = this.#turn;
    const expiresAt = clock.now() + settings.get(approvalSeconds) * 1000;
    const ask = { ...about, id: `ask_${this.#ids.bare()}`, session: started.session, turnId: started.turnId, harness: harness.spec.id, what: what.slice(0, WHAT_MAX_CHARS), ...(path === null ? {} : { path }), cwd: harness.cwd, expiresAt };
    const given = new AbortController();
    const late = Promise.withResolvers<PermissionChoice>();
    const disarm = clock.after(expiresAt - clock.now() + EXPIRY_SLACK_MS, () => late.resolve("deny"));
    this.#waits++;
    try {
      return await Promise.race([late.promise, approvals.ask(ask, AbortSignal.any([signal, given.signal])).then(({ answer }) => answer)]);
    } finally {
      this.#waits--;
      disarm();
      given.abort();
    }
  }

  /** The turn waits for a start, a place in line, or a person: each has a limit of its own. */
  async #beating<T>(work: () => Promise<T>): Promise<T> {
    const beat = (): void => {
      if (this.#waits > 0) this.#turn.progress();
      disarm = this.#deps.clock.after(BEAT_MS, beat);
    };
    let disarm = this.#deps.clock.after(BEAT_MS, beat);
    try {
      return await work();
    } finally {
      disarm();
    }
  }
}

const ENDS: Readonly<Record<string, string>> = {
  max_tokens: "its answer reached the length limit",
  max_turn_requests: "it reached its limit of steps",
  cancelled: "something that it asked for was denied",
};

function wordsOf(message: ChatMessage): string {
  return message.role === "user" ? message.text : "";
}

function lineOf(message: ChatMessage): string {
  if (message.role === "user") return `> ${message.text}`;
  return message.role === "assistant" ? textOf(message.parts) : "";
}

function inputOf(call: JsonObject): JsonObject {
  const input = call["rawInput"];
  if (typeof input === "object" && input !== null && !Array.isArray(input)) return input as JsonObject;
  // Nothing else says what exactly is asked for.
  return { call: createHash("sha256").update(JSON.stringify(call)).digest("hex") };
}

function absolute(path: string, cwd: string): string {
  return isAbsolute(path) ? join(path) : join(cwd, path);
}
