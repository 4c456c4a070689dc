/**
 * The model stand-in: a server that speaks like four model APIs and does what its script says.
 *
 * Always true: an answer depends on the request's history alone (only `times N`, limits and the
 * cache keep state), and every request leaves exactly one log record, also when its client goes.
 * Made for a thousand streams at once on little CPU: frames are made before the first write, and
 * an answer without latency is one write.
 */
import { randomBytes } from "node:crypto";
import { appendFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Bucket, leftHeaders, PromptCache, tokensOf } from "./accounting.ts";
import { configFrom, DEFAULTS, faultStep, type StandinConfig } from "./config.ts";
import { object, type Api } from "./conversation.ts";
import type { LogRecord, Stats } from "./log-record.ts";
import { Answer, type Host } from "./respond.ts";

export type { StandinConfig, SetFault } from "./config.ts";
export type { LogRecord, Stats } from "./log-record.ts";

export interface StandinOptions extends Partial<StandinConfig> {
  readonly port?: number;
  readonly host?: string;
  /** A file that every log record is appended to, one JSON line each. */
  readonly logFile?: string;
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

const LOG_RECORDS_MAX = 50_000;
const BODY_BYTES_MAX = 64 * 1024 * 1024;
const IDLE_CONNECTION_MS = 30_000;

export async function startStandin(options: StandinOptions = {}): Promise<Standin> {
  const { port = 0, host = "127.0.0.1", logFile, ...config } = options;
  const server = new StandinServer({ ...DEFAULTS, ...config }, logFile);
  await server.listen(port, host);
  return server;
}

class StandinServer implements Standin, Host {
  #config: StandinConfig;
  readonly #logFile: string | undefined;
  readonly #http: Server;
  readonly #sockets = new Set<Socket>();
  #records: LogRecord[] = [];
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
    if (path.endsWith(":countTokens")) return sendJson(response, 200, { totalTokens: tokensOf(bytes) });
    if (request.method === "GET" && path.endsWith("/models")) return sendJson(response, 200, { object: "list", data: ["standin", ...Object.keys(this.#config.models)].map((id) => ({ id, object: "model" })) });
    if (path === "/api/tags") return sendJson(response, 200, { models: [{ name: "standin" }] });
    const api = apiOf(path);
    if (api === null || request.method !== "POST") return sendJson(response, 404, { error: { message: `no route ${path}` } });
    const body = object(JSON.parse(text));
    if (path.endsWith("/count_tokens")) return sendJson(response, 200, { input_tokens: tokensOf(bytes) });
    new Answer(this, request, response, api, path, body, bytes).run();
  }

  // What an answer needs of its host:

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

  useUp(key: string, times: number): boolean {
    if (times === Infinity) return true;
    const used = this.#used.get(key) ?? 0;
    if (used >= times) return false;
    this.#used.set(key, used + 1);
    return true;
  }

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

  leftHeaders(api: Api): Readonly<Record<string, string>> {
    const { requestsPerMinute, tokensPerMinute } = this.#config;
    return { ...leftHeaders(api, "requests", requestsPerMinute, this.#requestBucket.left), ...leftHeaders(api, "tokens", tokensPerMinute, this.#tokenBucket.left) };
  }
}

function apiOf(path: string): Api | null {
  if (path.endsWith("/chat/completions")) return "chat";
  if (path.endsWith("/responses")) return "responses";
  if (/\/messages(\/count_tokens)?$/.test(path)) return "anthropic";
  if (/\/models\/.+:(stream)?[gG]enerateContent$/.test(path)) return "google";
  return null;
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}
