/**
 * The proxy: model calls of other programs, passed on to a configured provider with its real key.
 *
 *     caller ──scoped token──▶ gateway ──real key──▶ provider
 *            ◀──── the provider's answer, byte for byte, as it comes ────
 *
 * Always true:
 *   - a request goes only to the address of a configured provider, and only to a path of the table
 *   - the caller's credential never leaves the gateway, and the provider's never reaches the caller
 *   - the answer passes unread but for its usage; an abort on one side ends the other
 *   - no redirects, no second try: retries are the caller's, who sees the provider's own errors
 *
 * Not here: who may call (the API checks the token), who waits (the governor).
 */
import type { IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Clock } from "../base/clock.ts";
import type { SessionKey } from "../base/ids.ts";
import { isJsonObject, type JsonObject } from "../base/json.ts";
import type { Log } from "../base/log.ts";
import { http } from "../base/node-http.ts";
import type { Settings } from "../base/setting.ts";
import { NO_USAGE, type Usage } from "../model/chat.ts";
import { Fault } from "../model/faults.ts";
import { callEndOf } from "./call-end.ts";
import type { Catalogue, CatalogueEntry } from "./catalogue.ts";
import type { Admission, Governor } from "./governor.ts";
import { limitConnect } from "./http-fetch.ts";
import { costMicros } from "./prices.ts";
import { PassingUsage } from "./proxy-usage.ts";
import { maxWaitSeconds, prices, totalSeconds, type Api, type ProviderSetup } from "./settings.ts";

export const PROXY_FAMILIES = ["anthropic", "openai", "google"] as const;
export type ProxyFamily = (typeof PROXY_FAMILIES)[number];

/** The largest request, bytes: what the providers themselves take. */
export const PROXY_BODY_BYTES_MAX = 32 * 1024 * 1024;
const IDLE_SOCKETS_MAX = 256;
const IDLE_MS_MAX = 30_000;
/** For an estimate of a call's tokens before the provider has counted them. */
const BYTES_PER_TOKEN = 4;
const ANSWER_TOKENS_GUESS = 1_000;
/** Of a refusal, as much is read as tells what kind it is. */
const REFUSAL_CHARS_MAX = 4_096;

interface Family {
  /** APIs of providers that can answer; the first is preferred for models that nobody lists. */
  readonly apis: readonly Api[];
  /** Paths below the version segment; `POST` unless it says otherwise. Nothing else is passed on. */
  readonly paths: readonly RegExp[];
  readonly credential: (key: string) => Readonly<Record<string, string>>;
}

const FAMILIES: Readonly<Record<ProxyFamily, Family>> = {
  anthropic: {
    apis: ["anthropic-messages"],
    paths: [/^POST \/messages$/, /^POST \/messages\/count_tokens$/, /^GET \/models(\/[\w.:-]+)?$/],
    credential: (key) => ({ "x-api-key": key }),
  },
  openai: {
    apis: ["openai-responses", "openai-completions"],
    paths: [/^POST \/(chat\/completions|responses|embeddings)$/, /^GET \/models(\/[\w.:/-]+)?$/],
    credential: (key) => ({ authorization: `Bearer ${key}` }),
  },
  google: {
    apis: ["google-generative-ai"],
    paths: [/^POST \/models\/[\w.%/-]+:(generateContent|streamGenerateContent|countTokens|embedContent)$/, /^GET \/models(\/[\w.-]+)?$/],
    credential: (key) => ({ "x-goog-api-key": key }),
  },
};

const VERSION = /^\/v1(beta|alpha)?(?=\/|$)/;
const GOOGLE_MODEL = /^\/models\/(.+):(\w+)$/;

/** Headers that pass, besides those of `x-stainless-`; credentials, cookies and addresses never do. */
const REQUEST_HEADERS: ReadonlySet<string> = new Set(["accept", "content-type", "user-agent", "anthropic-version", "anthropic-beta", "openai-beta", "x-goog-api-client", "idempotency-key", "x-app", "originator"]);
const RESPONSE_HEADERS: ReadonlySet<string> = new Set(["content-type", "content-length", "content-encoding", "request-id", "x-request-id", "retry-after", "retry-after-ms", "x-should-retry", "openai-processing-ms", "openai-version", "openai-model"]);
const RESPONSE_PREFIXES = ["anthropic-ratelimit-", "x-ratelimit-"];
/** Query fields that carry a credential. */
const SECRET_QUERY: ReadonlySet<string> = new Set(["key", "api_key", "access_token"]);

export interface ProxyRequest {
  readonly family: ProxyFamily;
  readonly method: string;
  /** Below `/proxy/<family>`, with its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
  readonly caller: ProxyCaller;
  /** The caller has gone, or the gateway stops. */
  readonly signal: AbortSignal;
}

export interface ProxyCaller {
  readonly tokenId: string;
  readonly session: SessionKey | null;
}

export interface ProxyAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Passes the body on as it comes; resolves when it is over on either side. To be called once. */
  pipeTo(target: Writable): Promise<void>;
}

/** One call that was let through. */
export interface ProxiedCall {
  readonly provider: string;
  readonly model: string;
  readonly caller: ProxyCaller;
}

export interface ProxyDeps {
  readonly catalogue: Catalogue;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Log;
  /** The governor's: waits until the call may go, and gives the account to use. */
  readonly admit: Governor["admit"];
  /** Told once of every call that reached a provider: the one place where proxied usage is recorded. */
  readonly onCall: (call: ProxiedCall, usage: Usage) => void;
}

export interface Proxy {
  /** @throws {Fault} PROXY_NO_PROVIDER, ROUTE_NOT_FOUND, PROVIDER_NO_KEY, PROVIDER_UNREACHABLE, PROVIDER_TIMED_OUT; the signal's reason. */
  forward(request: ProxyRequest): Promise<ProxyAnswer>;
}

export function makeProxy(deps: ProxyDeps): Proxy {
  const options = { keepAlive: true, maxFreeSockets: IDLE_SOCKETS_MAX, timeout: IDLE_MS_MAX, noDelay: true };
  const plain = new http.Agent(options);
  const secure = new HttpsAgent(options);

  async function forward(request: ProxyRequest): Promise<ProxyAnswer> {
    request.signal.throwIfAborted();
    const family = FAMILIES[request.family];
    const asked = readAsked(request);
    const isKnown = family.paths.some((path) => path.test(`${request.method} ${asked.path}`)) && !leadsElsewhere(asked.path) && !(request.family === "google" && leadsElsewhere(asked.model));
    if (!isKnown) throw new Fault("ROUTE_NOT_FOUND", { route: `${request.method} /proxy/${request.family}${asked.path.slice(0, 200)}` });
    const target = providerFor(deps.catalogue.entries(), request.family, asked);
    const { provider, model } = target;
    const { caller, signal } = request;
    const admission = await deps.admit({
      provider,
      model,
      person: false,
      tokens: () => Math.ceil(request.body.length / BYTES_PER_TOKEN) + ANSWER_TOKENS_GUESS,
      signal,
      patienceMs: deps.settings.get(maxWaitSeconds) * 1000,
      ...(caller.session === null ? {} : { session: caller.session }),
    });
    let answer: IncomingMessage;
    try {
      answer = await send(request, asked, target, admission.account.key);
    } catch (cause) {
      admission.end({ is: "gone" });
      throw cause;
    }
    return { status: answer.statusCode ?? 502, headers: passingHeaders(answer), pipeTo: (sink) => passOn(answer, sink, { provider, model, caller }, target.setup.accounts.length, admission) };
  }

  function send(request: ProxyRequest, asked: Asked, target: Target, key: string | null, isSecondTry = false): Promise<IncomingMessage> {
    const { setup, provider } = target;
    const url = new URL(setup.baseUrl + asked.pathFor(target.model) + asked.query);
    const body = asked.bodyFor(target.model);
    const isSecure = url.protocol === "https:";
    const headers: Record<string, string> = { "user-agent": "yardmaster", ...headersOf(request.headers), "accept-encoding": "identity", ...setup.headers, ...(key === null ? {} : FAMILIES[request.family].credential(key)) };
    if (body.length > 0) headers["content-length"] = String(body.length);
    return new Promise((resolve, reject) => {
      const outgoing = (isSecure ? httpsRequest : http.request)(url, { method: request.method, headers, agent: isSecure ? secure : plain });
      const seconds = deps.settings.get(totalSeconds);
      const disarm = deps.clock.after(seconds * 1000, () => outgoing.destroy(new Fault("PROVIDER_TIMED_OUT", { provider, deadline: "total", ms: seconds * 1000 })));
      const onAbort = (): void => void outgoing.destroy(request.signal.reason as Error);
      request.signal.addEventListener("abort", onAbort, { once: true });
      limitConnect(outgoing, isSecure);
      outgoing.on("response", resolve);
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        // An idle connection that the provider had closed just then: nothing was asked yet.
        if (outgoing.reusedSocket && error.code === "ECONNRESET" && !isSecondTry && !request.signal.aborted) send(request, asked, target, key, true).then(resolve, reject);
        else reject(error instanceof Fault || request.signal.aborted ? error : new Fault("PROVIDER_UNREACHABLE", { provider, problem: error.message }, { cause: error }));
      });
      outgoing.on("close", () => {
        disarm();
        request.signal.removeEventListener("abort", onAbort);
      });
      outgoing.end(body);
    });
  }

  async function passOn(answer: IncomingMessage, sink: Writable, call: ProxiedCall, accounts: number, admission: Admission): Promise<void> {
    const status = answer.statusCode ?? 0;
    const meter = new PassingUsage(/event-stream/.test(answer.headers["content-type"] ?? ""));
    let refusal = "";
    // A side that breaks off ends the other; there is nobody left to tell.
    const over = pipeline(answer, sink).catch(() => {});
    // Comes after the pipeline's own reader, so that each piece is on its way before it is looked at.
    answer.on("data", (chunk: Buffer) => {
      meter.take(chunk);
      if (status >= 400 && refusal.length < REFUSAL_CHARS_MAX) refusal += chunk.toString("utf8");
    });
    await over;
    const headers = textHeaders(answer);
    if (status >= 400) {
      admission.end(callEndOf({ status, headers, body: refusal.slice(0, REFUSAL_CHARS_MAX) }, accounts, deps.clock.now()));
      deps.log.info("proxy.refused", { provider: call.provider, model: call.model, status });
      return;
    }
    const counts = meter.end();
    admission.end({ is: "ok", headers, tokens: counts === null ? null : counts.input + counts.output });
    const cost = counts === null ? null : costMicros(call.provider, call.model, counts, deps.settings.get(prices));
    deps.onCall(call, counts === null ? { ...NO_USAGE, calls: 1 } : { ...counts, calls: 1, costMicros: cost ?? 0, ...(cost === null ? { unpriced: 1 } : {}) });
  }

  return { forward };
}

// ── what is asked for ───────────────────────────────────────────────────────────────────────

interface Asked {
  /** Below the version segment. */
  readonly path: string;
  /** With its question mark, without credentials. */
  readonly query: string;
  /** As the caller named it; empty when the request names none. */
  readonly model: string;
  /** The path and body with the provider's own name of the model in place of the caller's. */
  pathFor(model: string): string;
  bodyFor(model: string): Buffer;
}

function readAsked({ family, path: full, method, body }: ProxyRequest): Asked {
  const [whole = "/", queryText = ""] = splitOnce(full, "?");
  const path = whole.replace(VERSION, "");
  const query = new URLSearchParams(queryText);
  for (const name of SECRET_QUERY) query.delete(name);
  const common = { path, query: query.size === 0 ? "" : `?${query}` };
  if (family === "google") {
    const [, name, verb] = GOOGLE_MODEL.exec(path) ?? [];
    const model = name === undefined ? "" : decoded(name);
    return { ...common, model, pathFor: (own) => (verb === undefined ? path : `/models/${own}:${verb}`), bodyFor: () => body };
  }
  const sent = method === "POST" ? jsonIn(body) : null;
  const model = sent !== null && typeof sent["model"] === "string" ? sent["model"] : "";
  return { ...common, model, pathFor: () => path, bodyFor: (own) => (sent === null || own === model ? body : Buffer.from(JSON.stringify({ ...sent, model: own }))) };
}

/** Parts that an address would be bent by: `..` steps out of its folder, `?` and `#` end its path. */
function leadsElsewhere(path: string): boolean {
  return /[?#\\\s]/.test(path) || path.split("/").some((part) => part === "." || part === "..");
}

/** Not even JSON: the provider says so in its own words. */
function jsonIn(body: Buffer): JsonObject | null {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

// ── who answers ─────────────────────────────────────────────────────────────────────────────

interface Target {
  readonly provider: string;
  readonly setup: ProviderSetup;
  /** The provider's own name of it; empty when the request names none. */
  readonly model: string;
}

/**
 * `<provider>/<model>` names the provider; else the one that lists the model; else the first that
 * speaks the API, which is told the name as it came: harnesses ask for models that nobody listed.
 * @throws {Fault} PROXY_NO_PROVIDER
 */
export function providerFor(entries: readonly CatalogueEntry[], family: ProxyFamily, { model, path }: { model: string; path: string }): Target {
  const { apis } = FAMILIES[family];
  const able = entries.flatMap(({ id, setup }) => (setup !== null && apis.includes(setup.api) ? [{ provider: id, setup }] : []));
  const slash = model.indexOf("/");
  const named = slash <= 0 ? undefined : able.find(({ provider }) => provider === model.slice(0, slash));
  if (named !== undefined) return { ...named, model: model.slice(slash + 1) };
  const fitting = path.startsWith("/chat/") ? "openai-completions" : apis[0];
  const listing = able.filter(({ setup }) => setup.models.some(({ id }) => id === model));
  const found = [...listing, ...able.filter(({ setup }) => setup.api === fitting), ...able][0];
  if (found === undefined) throw new Fault("PROXY_NO_PROVIDER", { family, model: model.slice(0, 200), known: able.map(({ provider }) => provider).join(", ") });
  return { ...found, model };
}

// ── headers ─────────────────────────────────────────────────────────────────────────────────

function headersOf(given: ProxyRequest["headers"]): Record<string, string> {
  const passing: Record<string, string> = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || !(REQUEST_HEADERS.has(name) || name.startsWith("x-stainless-"))) continue;
    passing[name] = typeof value === "string" ? value : value.join(", ");
  }
  return passing;
}

function passingHeaders(answer: IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(textHeaders(answer)).filter(([name]) => RESPONSE_HEADERS.has(name) || RESPONSE_PREFIXES.some((prefix) => name.startsWith(prefix))));
}

/** Those that came once. */
function textHeaders({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (typeof value === "string" ? [[name, value] as const] : [])));
}
