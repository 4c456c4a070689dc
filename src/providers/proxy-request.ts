/**
 * A proxied request before it is sent: which API it speaks, what it asks for, which provider may answer,
 * and which headers pass. Pure; the list of what passes is here and nowhere else.
 */
import type { IncomingMessage } from "node:http";
import type { SessionKey } from "../base/ids.ts";
import { isJsonObject, type JsonObject } from "../base/json.ts";
import { Fault } from "../model/faults.ts";
import type { CatalogueEntry } from "./catalogue.ts";
import type { Api, ProviderSetup } from "./settings.ts";

export const PROXY_FAMILIES = ["anthropic", "openai", "google"] as const;
export type ProxyFamily = (typeof PROXY_FAMILIES)[number];

export interface Family {
  /** APIs of providers that can answer; the first is preferred for models that nobody lists. */
  readonly apis: readonly Api[];
  /** Paths below the version segment; `POST` unless it says otherwise. Nothing else is passed on. */
  readonly paths: readonly RegExp[];
  readonly credential: (key: string) => Readonly<Record<string, string>>;
  /** Fields of the body that bound the answer, each from the outside in; the first is set when none is there. */
  readonly outputLimits: (path: string) => readonly (readonly string[])[];
}

export const FAMILIES: Readonly<Record<ProxyFamily, Family>> = {
  anthropic: {
    apis: ["anthropic-messages"],
    paths: [/^POST \/messages$/, /^POST \/messages\/count_tokens$/, /^GET \/models(\/[\w.:-]+)?$/],
    credential: (key) => ({ "x-api-key": key }),
    outputLimits: () => [["max_tokens"]],
  },
  openai: {
    apis: ["openai-responses", "openai-completions"],
    paths: [/^POST \/(chat\/completions|responses|embeddings)$/, /^GET \/models(\/[\w.:/-]+)?$/],
    credential: (key) => ({ authorization: `Bearer ${key}` }),
    outputLimits: (path) => (path === "/responses" ? [["max_output_tokens"]] : [["max_completion_tokens"], ["max_tokens"]]),
  },
  google: {
    apis: ["google-generative-ai"],
    paths: [/^POST \/models\/[\w.%/-]+:(generateContent|streamGenerateContent|countTokens|embedContent)$/, /^GET \/models(\/[\w.-]+)?$/],
    credential: (key) => ({ "x-goog-api-key": key }),
    outputLimits: () => [["generationConfig", "maxOutputTokens"]],
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
  /** The work that it is for has a budget of its own. */
  readonly budgeted: boolean;
}

// ── what is asked for ───────────────────────────────────────────────────────────────────────

export interface Asked {
  /** Below the version segment. */
  readonly path: string;
  /** With its question mark, without credentials. */
  readonly query: string;
  /** As the caller named it; empty when the request names none. */
  readonly model: string;
  /** False for what costs nothing, e.g. a list of models. */
  readonly isCounted: boolean;
  /** The longest answer that the caller wants, tokens; null = it does not say. */
  readonly outputTokensMax: number | null;
  /** The path and body with the provider's own name of the model in place of the caller's, and a shorter answer where that was set. */
  pathFor(model: string): string;
  bodyFor(model: string, outputTokensMax: number | null): Buffer;
}

export function readAsked({ family, path: full, method, body }: ProxyRequest): Asked {
  const [whole = "/", queryText = ""] = splitOnce(full, "?");
  const path = whole.replace(VERSION, "");
  const query = new URLSearchParams(queryText);
  for (const name of SECRET_QUERY) query.delete(name);
  const sent = method === "POST" ? jsonIn(body) : null;
  const [, name, verb] = family === "google" ? (GOOGLE_MODEL.exec(path) ?? []) : [];
  const named = sent !== null && typeof sent["model"] === "string" ? sent["model"] : "";
  const model = family === "google" ? (name === undefined ? "" : decoded(name)) : named;
  const limits = FAMILIES[family].outputLimits(path);
  const limit = limits.find((at) => numberAt(sent, at) !== null);
  return {
    path,
    query: query.size === 0 ? "" : `?${query}`,
    model,
    isCounted: method === "POST" && !/count_?tokens$/i.test(path),
    outputTokensMax: limit === undefined ? null : numberAt(sent, limit),
    pathFor: (own) => (verb === undefined ? path : `/models/${own}:${verb}`),
    bodyFor(own, outputTokensMax) {
      const isRenamed = family !== "google" && own !== model;
      if (sent === null || (!isRenamed && outputTokensMax === null)) return body;
      const renamed = isRenamed ? { ...sent, model: own } : sent;
      return Buffer.from(JSON.stringify(outputTokensMax === null ? renamed : withNumber(renamed, limit ?? limits[0]!, outputTokensMax)));
    },
  };
}

function numberAt(value: unknown, [field, ...rest]: readonly string[]): number | null {
  const inner = isJsonObject(value) ? value[field!] : undefined;
  if (rest.length > 0) return numberAt(inner, rest);
  return typeof inner === "number" && inner > 0 ? inner : null;
}

function withNumber(value: JsonObject, [field, ...rest]: readonly string[], number: number): JsonObject {
  const inner = value[field!];
  return { ...value, [field!]: rest.length === 0 ? number : withNumber(isJsonObject(inner) ? inner : {}, rest, number) };
}

/** Parts that an address would be bent by: `..` steps out of its folder, `?` and `#` end its path. */
export function leadsElsewhere(path: string): boolean {
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

export interface Target {
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

export function headersOf(given: ProxyRequest["headers"]): Record<string, string> {
  const passing: Record<string, string> = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || !(REQUEST_HEADERS.has(name) || name.startsWith("x-stainless-"))) continue;
    passing[name] = typeof value === "string" ? value : value.join(", ");
  }
  return passing;
}

export function passingHeaders(answer: IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(textHeaders(answer)).filter(([name]) => RESPONSE_HEADERS.has(name) || RESPONSE_PREFIXES.some((prefix) => name.startsWith(prefix))));
}

/** Those that came once. */
export function textHeaders({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (typeof value === "string" ? [[name, value] as const] : [])));
}
