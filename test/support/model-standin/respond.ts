/** One request, from its arrival to its log record. */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { limitHeaders, tokensOf, type PromptCache } from "./accounting.ts";
import { faultStep, type Latency, type StandinConfig } from "./config.ts";
import { object, readAsk, type Api, type Ask, type Loose } from "./conversation.ts";
import type { LogRecord } from "./log-record.ts";
import { planFor, type FaultStep, type Plan } from "./plan.ts";
import { BROKEN_MARK, timelineFor } from "./timeline.ts";
import { errorBody, framesFor, jsonFor, type Meta, type TokenCount } from "./wire.ts";

/** What an answer needs of the server. */
export interface Host {
  readonly config: StandinConfig;
  readonly cache: PromptCache;
  /** Part of every id, so that two stand-ins (or one started anew) never give the same id twice. */
  readonly run: string;
  /** Counts a request in; `inFlight` includes it. */
  open(): { id: number; inFlight: number };
  add(record: LogRecord): void;
  closed(record: LogRecord): void;
  /** Counts one use of a fault; false when its `times` are used up. */
  useUp(key: string, times: number): boolean;
  /** Why a request must wait, or null when it may go on. */
  overLimit(tokens: number, inFlight: number, nowMs: number): { what: "requests" | "tokens"; limit: number; waitMs: number } | null;
  /** What answers tell of limits, as each API spells it; empty when nothing is limited. */
  leftHeaders(api: Api): Readonly<Record<string, string>>;
}

const LOG_TEXT_CHARACTERS_MAX = 4000;
const KEEPALIVE_PAUSE_MS = 100;
/** Lets what was written leave before a connection is cut, so that the client sees a cut answer. */
const BEFORE_CUT_MS = 5;

export class Answer {
  readonly #server: Host;
  readonly #response: ServerResponse;
  readonly #request: IncomingMessage;
  readonly #body: Loose;
  readonly #ask: Ask;
  readonly #plan: Plan;
  readonly #record: LogRecord;
  readonly #usage: TokenCount;
  readonly #cacheProblem: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #headers: Readonly<Record<string, string>> = {};

  constructor(server: Host, request: IncomingMessage, response: ServerResponse, api: Api, path: string, body: Loose, bytes: number) {
    this.#server = server;
    this.#request = request;
    this.#response = response;
    this.#body = body;
    const arrivedAt = now();
    this.#ask = readAsk(api, body, path);
    this.#plan = planFor(this.#ask, server.config.reply ?? undefined);
    const { usage, problem } = this.#count(bytes, arrivedAt);
    this.#usage = usage;
    this.#cacheProblem = problem;
    const said = this.#plan.pieces.filter((piece) => piece.kind === "text").map((piece) => piece.text).join("");
    const fresh = this.#ask.turns.slice(this.#ask.turns.findLastIndex((turn) => turn.role === "assistant") + 1);
    this.#record = {
      ...server.open(),
      api,
      path,
      model: this.#ask.model,
      stream: this.#ask.stream,
      arrivedAt,
      firstByteAt: null,
      endedAt: null,
      outcome: null,
      status: 200,
      bytes,
      systemBytes: Buffer.byteLength(this.#ask.system),
      tools: this.#ask.tools,
      forced: this.#ask.forced,
      toolsBytes: this.#ask.toolsBytes,
      userTexts: fresh.flatMap((turn) => (turn.role === "user" ? [cut(turn.text)] : [])),
      toolResults: fresh.flatMap((turn) => (turn.role === "results" ? turn.results.map((result) => cut(result.text)) : [])),
      turns: this.#ask.turns.length,
      reasoning: this.#ask.reasoning,
      script: this.#plan.script,
      round: this.#plan.round,
      reply: cut(said),
      calls: this.#plan.pieces.flatMap((piece) => (piece.kind === "call" ? [piece.name] : [])),
      usage,
      problems: this.#ask.problems,
    };
    server.add(this.#record);
  }

  run(): void {
    this.#response.on("close", () => this.#over());
    const { config } = this.#server;
    if (config.keys.length > 0 && !config.keys.includes(credentialOf(this.#request))) return this.#refuse(401, "invalid api key");
    const limit = this.#server.overLimit(this.#usage.input, this.#record.inFlight, this.#record.arrivedAt);
    if (limit !== null) {
      const headers = limitHeaders(this.#ask.api, limit.what, limit.limit, limit.waitMs, this.#record.arrivedAt);
      return this.#refuse(429, `limit of ${limit.limit} ${limit.what} reached, try again in ${(limit.waitMs / 1000).toFixed(3)}s`, headers, limit.waitMs);
    }
    this.#headers = this.#server.leftHeaders(this.#ask.api);
    if (this.#cacheProblem !== undefined) return this.#refuse(400, this.#cacheProblem);
    if (config.strict && this.#ask.problems.length > 0) return this.#refuse(400, this.#ask.problems.join("; "));
    const fault = this.#fault();
    if (fault !== undefined) this.#record.outcome = `fault ${fault.do}`;
    switch (fault?.do) {
      case "reset":
        this.#request.socket.destroy();
        return;
      case "fail":
        this.#refuse(fault.status, `the script says ${fault.status}`, fault.afterMs === null ? {} : { "retry-after": String(Math.ceil(fault.afterMs / 1000)), "retry-after-ms": String(fault.afterMs) });
        return;
      case "html":
        this.#send(200, "text/html; charset=utf-8", "<!doctype html><title>Welcome</title><p>Please sign in to the network.");
        return;
      case "jsonerror":
        this.#send(200, "application/json", JSON.stringify(errorBody(this.#ask.api, 500, "the script says error")));
        return;
      default:
        if (this.#ask.stream) this.#stream(fault);
        else this.#whole(fault);
    }
  }

  /** An answer that was not asked for as a stream; faults of streams do not touch it. */
  #whole(fault: FaultStep | undefined): void {
    const { pieces, endPauseMs } = this.#plan;
    const pauseMs = pieces.reduce((sum, piece) => sum + piece.pauseMs, endPauseMs);
    this.#later(Math.max(pauseMs, this.#latency().totalMs), () => this.#send(200, "application/json", JSON.stringify(jsonFor(this.#meta(fault), pieces)), this.#headers));
  }

  #count(bytes: number, nowMs: number): { usage: TokenCount; problem: string | undefined } {
    const cached: ReturnType<PromptCache["count"]> = this.#ask.api === "anthropic" ? this.#server.cache.count(this.#body, nowMs) : { read: 0, written: 0 };
    let spoken = 0;
    let thought = 0;
    for (const piece of this.#plan.pieces) {
      if (piece.kind === "reasoning") thought += piece.text.length;
      else spoken += piece.kind === "call" ? piece.input.length : piece.text.length;
    }
    const reasoning = tokensOf(thought);
    const input = Math.max(tokensOf(bytes), cached.read + cached.written);
    return { usage: { input, cacheRead: cached.read, cacheWrite: cached.written, output: tokensOf(spoken) + reasoning, reasoning }, problem: cached.problem };
  }

  /** The first fault that still has uses left: those of the script, then those set over HTTP. */
  #fault(): FaultStep | undefined {
    const { script, round, faults } = this.#plan;
    if (faults.length > 0) {
      const identity = createHash("sha1").update(JSON.stringify([script, round, this.#ask.turns])).digest("base64");
      for (const [index, fault] of faults.entries()) if (this.#server.useUp(`${identity}:${index}`, fault.times)) return fault;
    }
    const user = this.#ask.turns.findLast((turn) => turn.role === "user")?.text ?? "";
    for (const set of this.#server.config.faults) {
      if (set.match !== undefined && !user.includes(set.match)) continue;
      if (set.model !== undefined && set.model !== this.#ask.model) continue;
      if (set.probability !== undefined && Math.random() >= set.probability) continue;
      const fault = faultStep(set);
      if (this.#server.useUp(`set:${JSON.stringify(set)}`, fault.times)) return fault;
    }
    return undefined;
  }

  #latency(): Latency {
    const { config } = this.#server;
    const own = { ...config, ...config.models[this.#ask.model] };
    const firstByteMs = /-first(\d+)/.exec(this.#ask.model)?.[1] ?? own.firstByteMs;
    const totalMs = /-total(\d+)/.exec(this.#ask.model)?.[1] ?? own.totalMs;
    return { firstByteMs: Number(firstByteMs), totalMs: Number(totalMs) };
  }

  #meta(fault: FaultStep | undefined): Meta {
    const serial = `${this.#server.run}${this.#record.id.toString(36)}`;
    const createdAt = Math.floor(this.#record.arrivedAt / 1000);
    return { id: `standin_${serial}`, ask: this.#ask, usage: this.#usage, wasCut: this.#plan.wasCut === true, createdAt, callId: (index) => `call_${serial}_${fault?.do === "sameids" ? 0 : index}` };
  }

  #stream(fault: FaultStep | undefined): void {
    const meta = this.#meta(fault);
    let { pieces } = this.#plan;
    if (fault?.do === "badutf8") pieces = pieces.map((piece) => (piece.kind === "text" ? { ...piece, text: piece.text + BROKEN_MARK } : piece));
    if (fault?.do === "giant") pieces = [...pieces, { kind: "text", text: "x".repeat(fault.count), pauseMs: 0, uncut: true }];
    const frames = framesFor(meta, pieces);
    const plan: Plan = { ...this.#plan, pieces };
    const { writes, end } = timelineFor(plan, frames, this.#latency(), fault);
    let next = 0;
    const step = (): void => {
      const write = writes[next++];
      if (write === undefined) return this.#end(end);
      this.#later(write.pauseMs, () => {
        this.#open();
        if (next === writes.length && end === "finish") {
          this.#response.end(write.bytes);
          return;
        }
        this.#response.write(write.bytes);
        step();
      });
    };
    step();
  }

  #open(): void {
    if (this.#response.headersSent) return;
    this.#record.firstByteAt = now();
    this.#response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", ...this.#headers });
  }

  #end(end: "finish" | "cut" | "silence" | "keepalive"): void {
    this.#open();
    if (end === "cut") {
      this.#response.flushHeaders();
      this.#later(BEFORE_CUT_MS, () => this.#request.socket.destroy());
    } else if (end === "silence") this.#response.flushHeaders();
    else if (end === "keepalive") {
      this.#response.write(": keep-alive\n\n");
      this.#later(KEEPALIVE_PAUSE_MS, () => this.#end("keepalive"));
    } else this.#response.end();
  }

  /** Pauses of nothing run at once: an answer without latency costs no timer. */
  #later(ms: number, action: () => void): void {
    if (ms <= 0) return action();
    this.#timer = setTimeout(action, ms);
  }

  #refuse(status: number, message: string, headers: Readonly<Record<string, string>> = {}, waitMs?: number): void {
    this.#record.outcome ??= `refused ${status}`;
    const body = errorBody(this.#ask.api, status, message);
    if (this.#ask.api === "google" && waitMs !== undefined) {
      Object.assign(object(object(body).error), { details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${waitMs / 1000}s` }] });
    }
    this.#send(status, "application/json", JSON.stringify(body), headers);
  }

  #send(status: number, type: string, text: string, headers: Readonly<Record<string, string>> = {}): void {
    this.#record.status = status;
    this.#record.firstByteAt = now();
    this.#response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text), ...headers }).end(text);
  }

  #over(): void {
    clearTimeout(this.#timer);
    if (this.#record.endedAt !== null) return;
    this.#record.endedAt = now();
    const finished = this.#response.writableFinished;
    if (!finished && this.#record.outcome === null) this.#record.outcome = "client gone";
    this.#record.outcome ??= "ok";
    this.#server.closed(this.#record);
  }
}

function credentialOf(request: IncomingMessage): string {
  const { authorization, "x-api-key": anthropic, "x-goog-api-key": google } = request.headers;
  return String(anthropic ?? google ?? authorization?.replace(/^Bearer /, "") ?? "");
}

const cut = (text: string): string => (text.length > LOG_TEXT_CHARACTERS_MAX ? text.slice(0, LOG_TEXT_CHARACTERS_MAX) : text);
const now = makeWallClock();

/**
 * Wall time with fractions of a millisecond, never apart from what other processes read: the system's clock is
 * corrected while a process lives, and what it took for the origin of its fine clock is not.
 */
export function makeWallClock(wallMs: () => number = Date.now, fineMs: () => number = () => performance.now()): () => number {
  let origin = wallMs() - fineMs();
  return () => {
    const [wall, fine] = [wallMs(), fineMs()];
    // The wall clock shows whole milliseconds, cut off.
    origin = Math.min(Math.max(origin, wall - fine), wall + 0.999 - fine);
    return origin + fine;
  };
}
