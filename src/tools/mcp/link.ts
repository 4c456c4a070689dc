/**
 * One connection to a server, from its greeting to its end.
 *
 * Always true: `broken` resolves once, with why, when nothing can be asked any more; everything that
 * was under way has failed by then. The library and its transports are loaded here, when the first
 * server is connected, and nowhere else.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import type { Clock } from "../../base/clock.ts";
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { ProcessTree } from "../../base/process-tree.ts";
import { boundedFetch } from "./bounded-fetch.ts";
import { TOOLS_MAX } from "./listing.ts";
import { OwnedStdio } from "./owned-stdio.ts";
import type { ServerSetup } from "./settings.ts";

/** How long a server may take to start, greet and list its tools. */
const GREETING_MAX_MS = 30_000;
/** How long one page of its list may take later. */
const LIST_MAX_MS = 10_000;
const PAGES_MAX = 20;
/** A server that does not even say that it is there within this long hangs. */
const PING_MAX_MS = 3_000;
/** How long it may take to say good-bye over HTTP. */
const FAREWELL_MAX_MS = 1_000;

export interface LinkDeps {
  readonly clock: Clock;
  readonly processes: ProcessTree;
  /** What a server's process inherits besides its own `env`. */
  readonly environment: Readonly<Record<string, string>>;
  readonly version: string;
}

/** How a command is started; null for an address. */
export interface Start {
  readonly mark: string;
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
}

export type CallEnd =
  | { readonly outcome: "answered"; readonly result: JsonObject }
  /** The server refused it, in its own words. */
  | { readonly outcome: "refused"; readonly problem: string }
  | { readonly outcome: "timed-out" }
  /** The connection broke under it. `wasSent` false = it certainly never reached the server. */
  | { readonly outcome: "broken"; readonly wasSent: boolean };

export interface Link {
  readonly server: { readonly name: string; readonly version: string };
  readonly pid: number | null;
  /** The list as it came, when it was greeted. */
  readonly tools: readonly unknown[];
  readonly broken: Promise<string>;
  listTools(): Promise<readonly unknown[]>;
  /** @throws the signal's reason when aborted. */
  call(tool: string, input: JsonObject, options: { timeoutMs: number; signal: AbortSignal; onProgress: () => void }): Promise<CallEnd>;
  /** Breaks the connection if the server does not answer any more. */
  checkAlive(): Promise<void>;
  /** What a process said on standard error since the last look. */
  takeStderr(): string;
  close(): Promise<void>;
}

/**
 * @param onListChanged  called when the server says that its tools changed.
 * @throws {Error} why it cannot be reached or understood, with the end of its standard error; nothing of it is left then.
 */
export async function openLink(setup: ServerSetup, start: Start | null, deps: LinkDeps, onListChanged: () => void, signal: AbortSignal): Promise<Link> {
  const [{ Client: ClientClass }, types] = await Promise.all([import("@modelcontextprotocol/sdk/client/index.js"), import("@modelcontextprotocol/sdk/types.js")]);
  const broken = Promise.withResolvers<string>();
  let flood: string | null = null;
  const client: Client = new ClientClass({ name: "yardmaster", version: deps.version }, { capabilities: {} });
  const stdio = setup.reach.via === "stdio" ? await openStdio(setup.reach, start!, deps) : null;
  const transport: Transport = stdio ?? (await openHttp(setup, deps.clock, (problem) => {
    flood ??= problem;
    void client.close();
  }));
  let isClosed = false;
  client.onclose = () => {
    isClosed = true;
    broken.resolve(flood ?? stdio?.problem ?? "the connection was closed");
  };
  client.setNotificationHandler(types.ToolListChangedNotificationSchema, () => onListChanged());

  const ask = (method: "tools/list" | "tools/call", params: Record<string, unknown>, options: object): Promise<JsonObject> =>
    client.request({ method, params } as never, types.ResultSchema, options) as Promise<unknown> as Promise<JsonObject>;

  async function listTools(timeoutMs = LIST_MAX_MS): Promise<readonly unknown[]> {
    if (client.getServerCapabilities()?.tools === undefined) return [];
    const tools: unknown[] = [];
    let cursor: Json | undefined;
    for (let page = 0; page < PAGES_MAX && tools.length <= TOOLS_MAX * 2; page++) {
      const answer = await ask("tools/list", cursor === undefined ? {} : { cursor }, { timeout: timeoutMs, signal });
      if (!Array.isArray(answer["tools"])) throw new Error("its list of tools is no list");
      tools.push(...(answer["tools"] as unknown[]));
      cursor = answer["nextCursor"];
      if (typeof cursor !== "string" || cursor === "") break;
    }
    return tools;
  }

  async function close(): Promise<void> {
    if (stdio === null) await farewell(transport, deps.clock);
    await client.close();
    await stdio?.close();
  }

  let tools: readonly unknown[];
  try {
    await client.connect(transport, { timeout: GREETING_MAX_MS, signal });
    tools = await listTools(GREETING_MAX_MS);
  } catch (cause) {
    const why = flood ?? stdio?.problem ?? (isTimeout(cause) ? `it did not greet within ${GREETING_MAX_MS / 1000} s` : messageOf(cause));
    await close();
    const said = stdio?.takeStderr().trim() ?? "";
    throw new Error(said === "" ? why : `${why}; it said: ${said}`, { cause });
  }
  const { name = "", version = "" } = client.getServerVersion() ?? {};
  return {
    server: { name, version },
    pid: stdio?.pid ?? null,
    tools,
    broken: broken.promise,
    listTools,
    async call(tool, input, { timeoutMs, signal: stop, onProgress }) {
      if (isClosed) return { outcome: "broken", wasSent: false };
      try {
        const result = await ask("tools/call", { name: tool, arguments: input }, { timeout: timeoutMs, maxTotalTimeout: timeoutMs, signal: stop, onprogress: onProgress });
        return { outcome: "answered", result: isJsonObject(result) ? result : {} };
      } catch (cause) {
        stop.throwIfAborted();
        if (isTimeout(cause)) return { outcome: "timed-out" };
        if (codeOf(cause) === types.ErrorCode.ConnectionClosed) return { outcome: "broken", wasSent: true };
        if (cause instanceof types.McpError) return { outcome: "refused", problem: cause.message };
        // The transport failed: over HTTP that is when the next message finds nobody, or nobody who knows us.
        flood ??= messageOf(cause);
        await client.close();
        return { outcome: "broken", wasSent: !neverArrived(cause) };
      }
    },
    async checkAlive() {
      try {
        await client.ping({ timeout: PING_MAX_MS });
      } catch (cause) {
        if (!isTimeout(cause)) return; // it answered, or is closed already
        flood ??= `it does not answer (nothing within ${PING_MAX_MS / 1000} s)`;
        await client.close();
      }
    },
    takeStderr: () => stdio?.takeStderr().trim() ?? "",
    close,
  };
}

async function openStdio(reach: Extract<ServerSetup["reach"], { via: "stdio" }>, start: Start, { processes, clock, environment }: LinkDeps): Promise<OwnedStdio> {
  const tree = await processes.start({ ...start, env: { ...environment, ...reach.env }, stdin: "pipe" });
  return new OwnedStdio(tree, processes, clock);
}

async function openHttp({ reach }: ServerSetup, clock: Clock, onFlood: (problem: string) => void): Promise<Transport> {
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { url, headers } = reach as Extract<ServerSetup["reach"], { via: "http" }>;
  return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { ...headers } }, fetch: boundedFetch(clock, onFlood) }) as Transport;
}

/** Tells an HTTP server that its session is over; it may be gone already. */
async function farewell(transport: Transport, clock: Clock): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const disarm = clock.after(FAREWELL_MAX_MS, resolve);
  await Promise.race([(transport as unknown as { terminateSession(): Promise<void> }).terminateSession().catch(() => {}), late]);
  disarm();
}

/** Of an answer that is no MCP. */
const SAID_MAX_CHARS = 200;
/** -32001: the library's own code for a request whose time is over. */
const REQUEST_TIMED_OUT = -32_001;
const HTTP_NOT_FOUND = 404;

function isTimeout(cause: unknown): boolean {
  return codeOf(cause) === REQUEST_TIMED_OUT;
}

/** Nobody listened, or the server had forgotten the session, as after a restart. */
function neverArrived(cause: unknown): boolean {
  return codeOf(cause) === HTTP_NOT_FOUND || codeOf((cause as Error).cause) === "ECONNREFUSED";
}

function codeOf(cause: unknown): unknown {
  return (cause as { code?: unknown } | null | undefined)?.code;
}

/** What went wrong, and over HTTP what to do about it: the library says only what stood in the answer. */
function messageOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const code = codeOf(cause);
  if (cause.constructor.name === "StreamableHTTPError") {
    const said = cause.message.replace(/^Streamable HTTP error: (Error POSTing to endpoint: )?/, "").slice(0, SAID_MAX_CHARS);
    if (code === 401 || code === 403) return `it answered ${code} (${said}); give it the credential that it wants in "headers"`;
    if (typeof code === "number" && code >= 500) return `it answered ${code} (${said})`;
    return `${typeof code === "number" && code >= 300 ? `it answered ${code} (${said})` : said}; is "url" the address at which it serves MCP?`;
  }
  if (codeOf(cause.cause) === "ECONNREFUSED") return `nobody listens at that address (${(cause.cause as Error).message}); is the server running?`;
  const inner = cause.cause instanceof Error ? `: ${cause.cause.message}` : "";
  return `${cause.message}${inner}`;
}
