/**
 * The model stand-in: a server that speaks like four model APIs and does what its script says.
 *
 * Always true: an answer depends on the request's history alone (only `times N`, limits and the
 * cache keep state), and every request leaves exactly one log record, also when its client goes.
 * Made for a thousand streams at once on little CPU: frames are made before the first write, and
 * an answer without latency is one write.
 */
import { createHash, randomBytes } from "node:crypto";
import { appendFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Bucket, limitHeaders, limitsFrom, PromptCache, tokensOf, type Limits } from "./accounting.ts";
import { object, readAsk, type Api, type Ask, type Loose } from "./conversation.ts";
import { planFor, type FaultStep, type Plan } from "./plan.ts";
import { parseStep } from "./script.ts";
import { BROKEN_MARK, timelineFor } from "./timeline.ts";
import { errorBody, framesFor, jsonFor, type Frames, type Meta, type TokenCount } from "./wire.ts";

export interface Latency {
  readonly firstByteMs: number;
  readonly totalMs: number;
}

/** A fault set over HTTP: a step, and which requests it meets. */
export interface SetFault {
  /** A fault step, e.g. `fail 503 after 1s times 2`. */
  readonly step: string;
  /** Only requests whose newest user message holds this text. */
  readonly match?: string;
  readonly model?: string;
  /** 0..1; without it every request that fits. */
  readonly probability?: number;
}

export interface StandinConfig extends Latency, Limits {
  /** Latency per model name, over the general one. */
  readonly models: Readonly<Record<string, Partial<Latency>>>;
  /** Answer a history that real APIs refuse with 400; it is counted in any case. */
  readonly strict: boolean;
  /** When not empty, other credentials get 401. */
  readonly keys: readonly string[];
  /** Drop every connection that asks for more than a control route, as if nobody listened. */
  readonly refuse: boolean;
  /** The answer when there is no script; null = "You said: ...". */
  readonly reply: string | null;
  readonly faults: readonly SetFault[];
}

export interface StandinOptions extends Partial<StandinConfig> {
  readonly port?: number;
  readonly host?: string;
  /** A file that every log record is appended to, one JSON line each. */
  readonly logFile?: string;
}

export interface LogRecord {
  readonly id: number;
  readonly api: Api | "other";
  readonly path: string;
  readonly model: string;
  readonly stream: boolean;
  /** Wall time in milliseconds, with fractions; null when it never came to that. */
  readonly arrivedAt: number;
  firstByteAt: number | null;
  endedAt: number | null;
  /** `ok`, `client gone`, `refused <status>`, or `fault <step>`. */
  outcome: string | null;
  status: number;
  /** Requests in flight when this one arrived, itself included. */
  readonly inFlight: number;
  readonly bytes: number;
  readonly systemBytes: number;
  readonly tools: readonly string[];
  readonly toolsBytes: number;
  /** User messages since the last answer, oldest first; the same for tool results. */
  readonly userTexts: readonly string[];
  readonly toolResults: readonly string[];
  readonly turns: number;
  /** Pieces of reasoning in the history. */
  readonly reasoning: number;
  readonly script: string | null;
  readonly round: number;
  readonly reply: string;
  readonly calls: readonly string[];
  readonly usage: TokenCount | null;
  readonly problems: readonly string[];
}

export interface Stats {
  readonly requests: number;
  readonly inFlight: number;
  readonly inFlightMax: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly problems: number;
}

export interface Standin {
  readonly url: string;
  readonly port: number;
  log(after?: number): readonly LogRecord[];
  stats(): Stats;
  configure(change: Partial<StandinConfig>): void;
  /** Forgets log, counts, cache and limits; the configuration stays. */
  reset(): void;
  close(): Promise<void>;
}

const DEFAULTS: StandinConfig = {
  firstByteMs: 0,
  totalMs: 0,
  requestsPerMinute: 0,
  tokensPerMinute: 0,
  inFlightMax: 0,
  models: {},
  strict: false,
  keys: [],
  refuse: false,
  reply: null,
  faults: [],
};

const LOG_RECORDS_MAX = 50_000;
const LOG_TEXT_CHARACTERS_MAX = 4000;
const BODY_BYTES_MAX = 64 * 1024 * 1024;
const KEEPALIVE_PAUSE_MS = 100;
const IDLE_CONNECTION_MS = 30_000;

export async function startStandin(options: StandinOptions = {}): Promise<Standin> {
  const { port = 0, host = "127.0.0.1", logFile, ...config } = options;
  const server = new StandinServer({ ...DEFAULTS, ...config }, logFile);
  await server.listen(port, host);
  return server;
}

class StandinServer implements Standin {
  #config: StandinConfig;
  readonly #logFile: string | undefined;
  readonly #http: Server;
  readonly #sockets = new Set<Socket>();
  #records: LogRecord[] = [];
  /** Part of every id, so that two stand-ins (or one started anew) never give the same id twice. */
  readonly run = randomBytes(3).toString("hex");
  #nextId = 1;
  #requests = 0;
  #inFlight = 0;
  #inFlightMax = 0;
  #outcomes: Record<string, number> = {};
  #problems = 0;
  #used = new Map<string, number>();
  #cache = new PromptCache();
  readonly #requestBucket = new Bucket();
  readonly #tokenBucket = new Bucket();
  #unwritten = "";
  #writing: Promise<void> = Promise.resolve();

  constructor(config: StandinConfig, logFile: string | undefined) {
    this.#config = config;
    this.#logFile = logFile;
    this.#http = createServer({ keepAliveTimeout: IDLE_CONNECTION_MS }, (request, response) => this.#receive(request, response));
    this.#http.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  listen(port: number, host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#http.once("error", reject);
      this.#http.listen(port, host, 4096, resolve);
    });
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  log(after = 0): readonly LogRecord[] {
    return this.#records.filter((record) => record.id > after);
  }

  stats(): Stats {
    return { requests: this.#requests, inFlight: this.#inFlight, inFlightMax: this.#inFlightMax, outcomes: this.#outcomes, problems: this.#problems };
  }

  configure(change: Partial<StandinConfig>): void {
    for (const fault of change.faults ?? []) faultStep(fault);
    this.#config = { ...this.#config, ...change };
  }

  reset(): void {
    this.#records = [];
    this.#requests = 0;
    this.#inFlightMax = this.#inFlight;
    this.#outcomes = {};
    this.#problems = 0;
    this.#used = new Map();
    this.#cache = new PromptCache();
    this.#requestBucket.reset();
    this.#tokenBucket.reset();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#http.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    await this.#writing;
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    if (this.#config.refuse && !request.url?.startsWith("/_")) {
      request.socket.destroy();
      return;
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) request.destroy();
      else chunks.push(chunk);
    });
    request.on("end", () => {
      const text = chunks.length === 1 ? chunks[0]!.toString() : Buffer.concat(chunks).toString();
      try {
        this.#route(request, response, text, bytes);
      } catch (error) {
        sendJson(response, 400, { error: { message: error instanceof Error ? error.message : String(error) } });
      }
    });
  }

  #route(request: IncomingMessage, response: ServerResponse, text: string, bytes: number): void {
    const path = (request.url ?? "/").split("?")[0]!;
    if (path === "/_log") return sendJson(response, 200, this.log(Number(new URL(request.url!, "http://x").searchParams.get("after") ?? 0)));
    if (path === "/_stats") return sendJson(response, 200, this.stats());
    if (path === "/_config") {
      if (request.method === "POST") this.configure(configFrom(JSON.parse(text)));
      return sendJson(response, 200, this.#config);
    }
    if (path === "/_reset") {
      this.reset();
      return sendJson(response, 200, {});
    }
    if (request.method === "GET" && path.endsWith("/models")) return sendJson(response, 200, { object: "list", data: ["standin", ...Object.keys(this.#config.models)].map((id) => ({ id, object: "model" })) });
    if (path === "/api/tags") return sendJson(response, 200, { models: [{ name: "standin" }] });
    const api = apiOf(path);
    if (api === null || request.method !== "POST") return sendJson(response, 404, { error: { message: `no route ${path}` } });
    const body = object(JSON.parse(text));
    if (path.endsWith("/count_tokens")) return sendJson(response, 200, { input_tokens: tokensOf(bytes) });
    new Answer(this, request, response, api, path, body, bytes).run();
  }

  // What an Answer needs of the server:

  get config(): StandinConfig {
    return this.#config;
  }
  get cache(): PromptCache {
    return this.#cache;
  }

  open(): { id: number; inFlight: number } {
    this.#requests++;
    this.#inFlight++;
    this.#inFlightMax = Math.max(this.#inFlightMax, this.#inFlight);
    return { id: this.#nextId++, inFlight: this.#inFlight };
  }

  add(record: LogRecord): void {
    this.#problems += record.problems.length;
    this.#records.push(record);
    if (this.#records.length > LOG_RECORDS_MAX) this.#records.splice(0, LOG_RECORDS_MAX / 10);
  }

  closed(record: LogRecord): void {
    this.#inFlight--;
    this.#outcomes[record.outcome!] = (this.#outcomes[record.outcome!] ?? 0) + 1;
    if (this.#logFile === undefined) return;
    const idle = this.#unwritten === "";
    this.#unwritten += `${JSON.stringify(record)}\n`;
    if (!idle) return;
    this.#writing = this.#writing.then(async () => {
      const lines = this.#unwritten;
      this.#unwritten = "";
      await appendFile(this.#logFile!, lines);
    });
  }

  /** Counts one use of a fault; false when its `times` are used up. */
  useUp(key: string, times: number): boolean {
    if (times === Infinity) return true;
    const used = this.#used.get(key) ?? 0;
    if (used >= times) return false;
    this.#used.set(key, used + 1);
    return true;
  }

  /** Why a request must wait, or null when it may go on. */
  overLimit(tokens: number, inFlight: number, nowMs: number): { what: "requests" | "tokens"; limit: number; waitMs: number } | null {
    const { requestsPerMinute, tokensPerMinute, inFlightMax } = this.#config;
    if (inFlightMax > 0 && inFlight > inFlightMax) return { what: "requests", limit: inFlightMax, waitMs: 1000 };
    if (requestsPerMinute > 0) {
      const waitMs = this.#requestBucket.take(1, requestsPerMinute, nowMs);
      if (waitMs > 0) return { what: "requests", limit: requestsPerMinute, waitMs };
    }
    if (tokensPerMinute > 0) {
      const waitMs = this.#tokenBucket.take(tokens, tokensPerMinute, nowMs);
      if (waitMs > 0) return { what: "tokens", limit: tokensPerMinute, waitMs };
    }
    return null;
  }
}

/** One request from its arrival to its log record. */
class Answer {
  readonly #server: StandinServer;
  readonly #response: ServerResponse;
  readonly #request: IncomingMessage;
  readonly #body: Loose;
  readonly #ask: Ask;
  readonly #plan: Plan;
  readonly #record: LogRecord;
  readonly #usage: TokenCount;
  readonly #cacheProblem: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(server: StandinServer, request: IncomingMessage, response: ServerResponse, api: Api, path: string, body: Loose, bytes: number) {
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
        else this.#later(this.#latency().totalMs + this.#plan.pieces.reduce((sum, piece) => sum + piece.pauseMs, this.#plan.endPauseMs), () => this.#send(200, "application/json", JSON.stringify(jsonFor(this.#meta(fault), this.#plan.pieces))));
    }
  }

  #count(bytes: number, nowMs: number): { usage: TokenCount; problem: string | undefined } {
    const cached = this.#ask.api === "anthropic" ? this.#server.cache.count(this.#body, nowMs) : { read: 0, written: 0 };
    const tokens = (kind: string): number => tokensOf(this.#plan.pieces.reduce((sum, piece) => sum + (piece.kind === "call" ? (kind === "text" ? piece.input.length : 0) : (piece.kind === "reasoning") === (kind === "reasoning") ? piece.text.length : 0), 0));
    const reasoning = tokens("reasoning");
    const usage = { input: Math.max(tokensOf(bytes), cached.read + cached.written), cacheRead: cached.read, cacheWrite: cached.written, output: tokens("text") + reasoning, reasoning };
    return { usage, problem: "problem" in cached ? cached.problem : undefined };
  }

  /** The first fault that still has uses left: those of the script, then those set over HTTP. */
  #fault(): FaultStep | undefined {
    const identity = createHash("sha1").update(JSON.stringify([this.#plan.script, this.#plan.round, this.#ask.turns])).digest("base64");
    for (const [index, fault] of this.#plan.faults.entries()) if (this.#server.useUp(`${identity}:${index}`, fault.times)) return fault;
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
    const named = { firstByteMs: /-first(\d+)/.exec(this.#ask.model)?.[1], totalMs: /-total(\d+)/.exec(this.#ask.model)?.[1] };
    const own = config.models[this.#ask.model];
    return {
      firstByteMs: named.firstByteMs === undefined ? (own?.firstByteMs ?? config.firstByteMs) : Number(named.firstByteMs),
      totalMs: named.totalMs === undefined ? (own?.totalMs ?? config.totalMs) : Number(named.totalMs),
    };
  }

  #meta(fault: FaultStep | undefined): Meta {
    const serial = `${this.#server.run}${this.#record.id.toString(36)}`;
    return { id: `standin_${serial}`, ask: this.#ask, usage: this.#usage, createdAt: Math.floor(this.#record.arrivedAt / 1000), callId: (index) => `call_${serial}_${fault?.do === "sameids" ? 0 : index}` };
  }

  #stream(fault: FaultStep | undefined): void {
    let plan = this.#plan;
    if (fault?.do === "badutf8") plan = { ...plan, pieces: plan.pieces.map((piece) => (piece.kind === "text" ? { ...piece, text: piece.text + BROKEN_MARK } : piece)) };
    if (fault?.do === "giant") plan = { ...plan, pieces: [...plan.pieces, { kind: "text", text: "x".repeat(fault.count), pauseMs: 0 }] };
    let frames: Frames = framesFor(this.#meta(fault), plan.pieces);
    if (fault?.do === "giant") frames = { ...frames, pieces: [...frames.pieces.slice(0, -1), [giantFrame(this.#meta(fault), fault.count)]] };
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
    this.#response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  }

  #end(end: "finish" | "cut" | "silence" | "keepalive"): void {
    this.#open();
    if (end === "cut") {
      // Let what was written leave first, so that the client sees a cut answer and not a reset.
      this.#response.flushHeaders();
      this.#later(5, () => this.#request.socket.destroy());
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
    if (this.#ask.api === "google" && waitMs !== undefined) Object.assign(object(object(body).error), { details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${waitMs / 1000}s` }] });
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

function apiOf(path: string): Api | null {
  if (path.endsWith("/chat/completions")) return "chat";
  if (path.endsWith("/responses")) return "responses";
  if (/\/messages(\/count_tokens)?$/.test(path)) return "anthropic";
  if (/\/models\/.+:(stream)?[gG]enerateContent$/.test(path)) return "google";
  return null;
}

function credentialOf(request: IncomingMessage): string {
  const { authorization, "x-api-key": anthropic, "x-goog-api-key": google } = request.headers;
  return String(anthropic ?? google ?? authorization?.replace(/^Bearer /, "") ?? "");
}

function giantFrame(meta: Meta, characters: number): string {
  const [opening, ...rest] = framesFor(meta, [{ kind: "text", text: "@", pauseMs: 0 }]).pieces[0]!;
  return [opening, ...rest].join("").replaceAll("@", "x".repeat(characters));
}

function faultStep(set: SetFault): FaultStep {
  const step = parseStep(set.step);
  if (!("times" in step)) throw new Error(`"${set.step}" is not a fault`);
  return step;
}

function configFrom(value: unknown): Partial<StandinConfig> {
  const source = object(value);
  for (const key of Object.keys(source)) if (!(key in DEFAULTS)) throw new Error(`no setting ${key}; known: ${Object.keys(DEFAULTS).join(", ")}`);
  return { ...(source as Partial<StandinConfig>), ...limitsFrom(source) };
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

const cut = (text: string): string => (text.length > LOG_TEXT_CHARACTERS_MAX ? text.slice(0, LOG_TEXT_CHARACTERS_MAX) : text);
const now = (): number => performance.timeOrigin + performance.now();
