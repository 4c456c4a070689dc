/**
 * The real program as a child process, for tests that look at it from outside.
 *
 * Always true: it runs under this test's own Node with a home of its own and an environment that is
 * written out here, so that no key, home or setting of the machine reaches it; every wait is bounded;
 * after `close` the process and its home are gone.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { ApiEvent, ApiFault, MessageAccepted, SendMessage } from "../../src/api/wire.ts";
import { eventsIn } from "../../src/cli/sse.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Long, because they only end what hangs: on a machine with much else to do a start alone can take twenty seconds. */
const READY_MAX_MS = 60_000;
const REPLY_MAX_MS = 60_000;
const STOP_MAX_MS = 45_000;

/** The least that a program needs. What a test adds stands in its own `env`. */
const ENVIRONMENT = { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8" };

export interface GatewayOptions {
  /** `yardmaster.json5`: an object, or its text as it is. */
  readonly config?: Readonly<Record<string, unknown>> | string;
  readonly env?: Readonly<Record<string, string>>;
  /** An existing state directory; it is then not removed. */
  readonly home?: string;
  /** How long a start may take, milliseconds; for tests that are run on busy machines. */
  readonly readyMaxMs?: number;
  /** Command line arguments instead of `--port 0`. */
  readonly args?: readonly string[];
}

/** What `yard up --json` prints when it is ready. */
interface ReadyLine {
  readonly url: string;
  readonly tokenFile: string;
  readonly pid: number;
  readonly generation: number;
}

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

/** Waited for an answer, and the turn ended without one. */
export class NoReply extends Error {
  override readonly name = "NoReply";
  readonly event: ApiEvent;
  constructor(event: ApiEvent) {
    super(`no reply: ${JSON.stringify(event.data)}`);
    this.event = event;
  }
}

/** Starts a gateway that is ended and removed when the test is over, whatever its outcome. */
export async function startGateway(t: TestContext, options: GatewayOptions = {}): Promise<Gateway> {
  const gateway = new Gateway(options);
  t.after(() => gateway.close());
  await gateway.start();
  return gateway;
}

/** A gateway with one provider at `standinUrl`, spoken to as `standin/<model>`. */
export function standinConfig(standinUrl: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    "models.providers": { standin: { api: "openai-completions", baseUrl: `${standinUrl}/v1`, apiKey: "test-key", models: ["m"] } },
    "agents.defaults.model": "standin/m",
    "messages.messageWaitMs": 0,
    ...more,
  };
}

export class Gateway {
  readonly home: string;
  readonly #ownsHome: boolean;
  readonly #options: GatewayOptions;
  #child: ChildProcess | null = null;
  #exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }> = Promise.resolve({ code: null, signal: null });
  #ready: ReadyLine | null = null;
  #stderr = "";
  readonly #streams = new Set<AbortController>();
  /** From the call of `start` to the ready line, milliseconds. */
  startMs = 0;

  constructor(options: GatewayOptions = {}) {
    this.#options = options;
    this.#ownsHome = options.home === undefined;
    this.home = options.home ?? mkdtempSync(join(tmpdir(), "yard-home-"));
    chmodSync(this.home, 0o700);
    mkdirSync(this.home, { recursive: true, mode: 0o700 });
    if (options.config !== undefined) this.configure(options.config);
  }

  get url(): string {
    return this.#ready!.url;
  }
  get pid(): number {
    return this.#ready!.pid;
  }
  /** Where it says that its token can be read. */
  get tokenFile(): string {
    return this.#ready!.tokenFile;
  }
  get generation(): number {
    return this.#ready!.generation;
  }
  get token(): string {
    return readFileSync(join(this.home, "token"), "utf8").trim();
  }
  /** Everything that it wrote to standard error, over all starts. */
  log(): string {
    return this.#stderr;
  }

  /** Writes the configuration file; read at the next start. */
  configure(config: Readonly<Record<string, unknown>> | string): void {
    writeFileSync(join(this.home, "yardmaster.json5"), typeof config === "string" ? config : JSON.stringify(config), { mode: 0o600 });
  }

  /** @param env  for this start only. @throws {Error} with its standard error, when it ends instead of getting ready. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const startedAt = performance.now();
    const child = this.launch(env);
    const line = await bounded(this.#options.readyMaxMs ?? READY_MAX_MS, "the gateway was not ready in time", firstLine(child));
    if (line === null) {
      await this.#exited;
      throw new Error(`the gateway ended before it was ready: ${this.#stderr.slice(-2000)}`);
    }
    this.#ready = JSON.parse(line) as ReadyLine;
    this.startMs = performance.now() - startedAt;
  }

  /** Starts the process without waiting for it. */
  launch(more: Readonly<Record<string, string>> = {}): ChildProcess {
    const { args = ["--port", "0"], env = {} } = this.#options;
    const child = spawn(process.execPath, [join(ROOT, "bin", "yard.mjs"), "up", ...args, "--json"], {
      cwd: this.home,
      env: { ...ENVIRONMENT, HOME: this.home, YARD_HOME: this.home, ...env, ...more },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    child.stderr!.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    this.#exited = once(child, "close").then(([code, signal]) => ({ code, signal }));
    return child;
  }

  /** Resolves when the process is gone. */
  exited(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    return this.#exited;
  }

  /** SIGTERM. @returns the exit code. */
  async stop(): Promise<number | null> {
    this.#child?.kill("SIGTERM");
    const { code } = await bounded(STOP_MAX_MS, "the gateway did not stop", this.#exited);
    this.#child = null;
    return code;
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill9(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#exited;
    this.#child = null;
  }

  async restart(): Promise<void> {
    if (this.#child !== null) await this.stop();
    await this.start();
  }

  /** Ends everything and removes the home, unless it was given. */
  async close(): Promise<void> {
    for (const stream of this.#streams) stream.abort();
    if (this.#child !== null) {
      this.#child.kill("SIGTERM");
      await bounded(STOP_MAX_MS, "", this.#exited).catch(() => this.kill9());
      this.#child = null;
    }
    if (this.#ownsHome) rmSync(this.home, { recursive: true, force: true });
  }

  /** One call, whatever its status. */
  async call<T = ApiFault>(method: string, path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer<T>> {
    const response = await fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${this.token}`, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      body: body === undefined ? null : typeof body === "string" || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: (text === "" ? null : JSON.parse(text)) as T };
  }

  /** One call that must succeed. @throws {Error} with the fault that came instead. */
  async api<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.call<T>(method, path, body);
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  send(text: string, more: Partial<SendMessage> = {}): Promise<MessageAccepted> {
    return this.api("POST", "/api/messages", { text, ...more });
  }

  /** Follows the log, stored events first, until the caller stops reading or the gateway closes the stream. */
  async *events(session: string | null = null, after: number | "now" = 0, lastEventId?: number): AsyncGenerator<ApiEvent> {
    const stream = new AbortController();
    this.#streams.add(stream);
    try {
      const query = new URLSearchParams({ ...(session === null ? {} : { session }), after: String(after) });
      const response = await fetch(`${this.url}/api/events?${query}`, {
        headers: { authorization: `Bearer ${this.token}`, ...(lastEventId === undefined ? {} : { "last-event-id": String(lastEventId) }) },
        signal: stream.signal,
      });
      if (!response.ok) throw new Error(`GET /api/events: ${response.status} ${await response.text()}`);
      for await (const data of eventsIn(response.body!)) yield JSON.parse(data) as ApiEvent;
    } finally {
      this.#streams.delete(stream);
      stream.abort();
    }
  }

  /** The first event that fits, from the whole log on. @throws {Error} when none came in time. */
  async waitEvent(fits: (event: ApiEvent) => boolean, { session = null as string | null, after = 0, timeoutMs = REPLY_MAX_MS } = {}): Promise<ApiEvent> {
    const look = async (): Promise<ApiEvent> => {
      for await (const event of this.events(session, after)) if (fits(event)) return event;
      throw new Error("the stream of events ended");
    };
    return bounded(timeoutMs, `the event did not come within ${timeoutMs} ms`, look());
  }

  /** The text that answers a message. @throws {NoReply} when its turn failed or was cancelled. */
  async waitReply(messageId: string, timeoutMs = REPLY_MAX_MS): Promise<string> {
    const event = await this.waitEvent((each) => isReplyTo(each, messageId) || isEndWithoutReply(each, messageId), { timeoutMs });
    if (event.type !== "reply") throw new NoReply(event);
    return event.data["text"] as string;
  }

  /** Says something and waits for its answer. */
  async ask(text: string, more: Partial<SendMessage> = {}): Promise<string> {
    return this.waitReply((await this.send(text, more)).messageId);
  }
}

export function isReplyTo(event: ApiEvent, messageId: string): boolean {
  return event.type === "reply" && (event.data["replyTo"] as string[]).includes(messageId);
}

function isEndWithoutReply(event: ApiEvent, messageId: string): boolean {
  const { outcome, messageIds } = event.data as { outcome?: string; messageIds?: string[] };
  return event.type === "turn.ended" && outcome !== "done" && messageIds!.includes(messageId);
}

async function firstLine(child: ChildProcess): Promise<string | null> {
  let text = "";
  for await (const chunk of child.stdout!.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
    text += chunk as string;
    const end = text.indexOf("\n");
    if (end >= 0) {
      child.stdout!.resume();
      return text.slice(0, end);
    }
  }
  return null;
}

/** Rejects when the promise takes longer; what it stands for goes on. */
export async function bounded<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(what)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
