/** Settings of model providers: who is asked, how long it may take, what it costs. */
import { isJsonObject } from "../base/json.ts";
import { BadValue, listOf, text, wholeNumber, type Setting } from "../base/setting.ts";
import type { RateLimits } from "../model/allowance.ts";
import type { Price } from "./prices.ts";

export const APIS = ["anthropic-messages", "openai-completions", "openai-responses", "google-generative-ai"] as const;
export type Api = (typeof APIS)[number];

export interface ModelSetup {
  readonly id: string;
  /** Tokens; null = take it from the built-in table. */
  readonly contextWindow: number | null;
  readonly maxOutputTokens: number | null;
}

/** One credential of a provider, ready to be used. */
export interface Account {
  /** As it is shown: a name from the settings, or its number. */
  readonly name: string;
  /** null = the provider needs none. */
  readonly key: string | null;
}

export interface AccountSetup {
  readonly name: string;
  readonly apiKey: string | null;
  /** Name of the environment variable that holds the key; read for every call. */
  readonly apiKeyEnv: string | null;
}

/** What one account may take of one model; null = learned from the provider. */
export interface AccountLimits extends RateLimits {
  readonly inFlight: number | null;
}

export const NOTHING_LIMITED: AccountLimits = { requestsPerMinute: null, tokensPerMinute: null, inFlight: null };

export interface ProviderSetup {
  readonly api: Api;
  /** With its version segment and without a slash at the end. */
  readonly baseUrl: string;
  /** Credentials, used in turn; without any the provider needs none. */
  readonly accounts: readonly AccountSetup[];
  readonly limits: AccountLimits;
  readonly models: readonly ModelSetup[];
  readonly headers: Readonly<Record<string, string>>;
}

/** Where each API lives when no address is given, and the version segment that its paths begin with. */
export const ENDPOINTS: Readonly<Record<Api, { readonly baseUrl: string; readonly version: string }>> = {
  "anthropic-messages": { baseUrl: "https://api.anthropic.com/v1", version: "/v1" },
  "openai-completions": { baseUrl: "https://api.openai.com/v1", version: "/v1" },
  "openai-responses": { baseUrl: "https://api.openai.com/v1", version: "/v1" },
  "google-generative-ai": { baseUrl: "https://generativelanguage.googleapis.com/v1beta", version: "/v1beta" },
};

/** The provider that is built in and cannot be set up. */
export const REHEARSAL = "rehearsal";

const PROVIDERS_MAX = 100;
const MODELS_MAX = 500;
const HEADERS_MAX = 50;
const ACCOUNTS_MAX = 50;
const LIMIT_MAX = 1_000_000_000;
const TEXT_CHARACTERS_MAX = 4096;
const CONTEXT_TOKENS_MAX = 100_000_000;
const PROVIDER_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/;
const FIELDS = ["api", "baseUrl", "apiKey", "apiKeyEnv", "apiKeys", "accounts", "limits", "models", "headers"] as const;
const ACCOUNT_FIELDS = ["name", "apiKey", "apiKeyEnv"] as const;
const LIMIT_FIELDS = ["requestsPerMinute", "tokensPerMinute", "inFlight"] as const;
const PRICE_FIELDS: readonly (keyof Price)[] = ["input", "output", "cacheRead", "cacheWrite", "call"];
const MODEL_FIELDS = ["id", "contextWindow", "maxOutputTokens"] as const;

export const providers: Setting<Readonly<Record<string, ProviderSetup>>> = {
  key: "models.providers",
  unit: "map",
  fallback: {},
  bounds: `at most ${PROVIDERS_MAX} providers: {api, baseUrl, apiKey | apiKeyEnv | apiKeys | accounts, limits, models, headers}`,
  parse: parseProviders,
  takesEffect: "at once",
  secret: true,
  doc: `Model providers by name. \`api\` is ${APIS.join(", ")}; \`baseUrl\` may leave out the version segment; the key stands in \`apiKey\`, or in the environment variable named by \`apiKeyEnv\`, which is read anew for every call. Several credentials stand in \`apiKeys\` (a list), or in \`accounts\` (a list of {name, apiKey | apiKeyEnv}); they are used in turn. \`limits\` {requestsPerMinute, tokensPerMinute, inFlight} are what one account may take of one model; what is left out is learned. \`models\` lists names, or {id, contextWindow, maxOutputTokens}; others can be named too. ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY and an Ollama on this machine are found without any entry here.`,
};

export const maxAttempts: Setting<number> = {
  key: "models.retry.maxAttempts",
  unit: "count",
  fallback: 8,
  ...wholeNumber({ min: 1, max: 100 }),
  takesEffect: "at once",
  doc: "How often one model call is tried when its provider fails. Rate limits do not count here: they are bounded by models.retry.maxWaitSeconds.",
};

export const maxWaitSeconds: Setting<number> = {
  key: "models.retry.maxWaitSeconds",
  unit: "s",
  fallback: 600,
  ...wholeNumber({ min: 0, max: 86_400 }),
  takesEffect: "at once",
  doc: "How long one model call may wait between its attempts, in all, and the longest wall of a provider that it waits out. Waiting in line for the limit of the minute does not count.",
};

export const fallbackModels: Setting<readonly string[]> = {
  key: "agents.defaults.fallbackModels",
  unit: "list",
  fallback: [],
  ...listOf(text({ max: 200, pattern: /^\S+$/, what: "a model's name of at most 200 characters" }), { max: 20 }),
  takesEffect: "at once",
  aliases: ["agents.defaults.model.fallbacks"],
  doc: "Models that answer, in this order, when the one that was asked cannot: it is overloaded, out of credit, unknown or not reachable. The person is told once. A refused credential or request is not a reason.",
};

export const fallbackAfterSeconds: Setting<number> = {
  key: "models.retry.fallbackAfterSeconds",
  unit: "s",
  fallback: 20,
  ...wholeNumber({ min: 0, max: 86_400 }),
  takesEffect: "at once",
  doc: "How long one model call waits for a model whose provider refuses for now, before a model of agents.defaults.fallbackModels is asked.",
};

const SILENCE = wholeNumber({ min: 1, max: 3_600 });

export const firstByteSeconds: Setting<number> = {
  key: "models.deadlines.firstByteSeconds",
  unit: "s",
  fallback: 120,
  ...SILENCE,
  takesEffect: "at once",
  doc: "The longest wait for the first piece of an answer. Keep-alive lines do not count as one.",
};

export const betweenChunksSeconds: Setting<number> = {
  key: "models.deadlines.betweenChunksSeconds",
  unit: "s",
  fallback: 90,
  ...SILENCE,
  takesEffect: "at once",
  doc: "The longest silence inside an answer. Keep-alive lines and pings do not break it.",
};

export const totalSeconds: Setting<number> = {
  key: "models.deadlines.totalSeconds",
  unit: "s",
  fallback: 1800,
  ...wholeNumber({ min: 1, max: 86_400 }),
  takesEffect: "at once",
  doc: "The longest that one attempt of a model call may take.",
};

export const maxOutputTokens: Setting<number> = {
  key: "models.maxOutputTokens",
  unit: "tokens",
  fallback: 8192,
  ...wholeNumber({ min: 16, max: 1_000_000 }),
  takesEffect: "at once",
  doc: "The longest answer that is asked for, unless the model's entry under models.providers says otherwise.",
};

export const prices: Setting<Readonly<Record<string, Price>>> = {
  key: "models.prices",
  unit: "map",
  fallback: {},
  bounds: "a map of models to {input, output, cacheRead, cacheWrite} in US dollars per million tokens",
  parse: parsePrices,
  takesEffect: "at once",
  doc: "Prices that go before the built-in table, by model name, with or without its provider. cacheRead and cacheWrite are the same as input when left out.",
};

export const SETTINGS: readonly Setting<unknown>[] = [
  providers,
  maxAttempts,
  maxWaitSeconds,
  fallbackModels,
  fallbackAfterSeconds,
  firstByteSeconds,
  betweenChunksSeconds,
  totalSeconds,
  maxOutputTokens,
  prices,
] as readonly Setting<unknown>[];

function parseProviders(value: unknown): Readonly<Record<string, ProviderSetup>> {
  if (!isJsonObject(value)) throw new BadValue("a map of provider names to {api, baseUrl, apiKey | apiKeyEnv}");
  const entries = Object.entries(value);
  if (entries.length > PROVIDERS_MAX) throw new BadValue(`a map of at most ${PROVIDERS_MAX} providers`);
  return Object.fromEntries(entries.map(([id, entry]) => [id, parseProvider(id, entry)]));
}

function parseProvider(id: string, value: unknown): ProviderSetup {
  if (!PROVIDER_ID.test(id)) throw new BadValue(`a map whose names are letters, digits, "_" and "-", which "${id}" is not`);
  if (id === REHEARSAL) throw new BadValue(`a map without "${REHEARSAL}", which is built in`);
  if (!isJsonObject(value)) throw bad(id, "", "{api, baseUrl, apiKey | apiKeyEnv}");
  for (const field of Object.keys(value)) {
    if (!FIELDS.includes(field as never)) throw new BadValue(`a map in which ${id} has no field "${field}" (known: ${FIELDS.join(", ")})`);
  }
  const api = value.api;
  if (!APIS.includes(api as Api)) throw bad(id, "api", `one of ${APIS.join(" | ")}`);
  return {
    api: api as Api,
    baseUrl: parseBaseUrl(id, api as Api, value.baseUrl),
    accounts: parseAccounts(id, value),
    limits: parseLimits(id, value.limits),
    models: parseModels(id, value.models),
    headers: parseHeaders(id, value.headers),
  };
}

/** `apiKey` or `apiKeyEnv` is the first account, then come `apiKeys` and `accounts`. Unnamed ones are called by their number. */
function parseAccounts(id: string, value: Readonly<Record<string, unknown>>): readonly AccountSetup[] {
  const listed = (field: "apiKeys" | "accounts", what: string): readonly unknown[] => {
    const given = value[field] ?? [];
    if (!Array.isArray(given) || given.length > ACCOUNTS_MAX) throw bad(id, field, `a list of at most ${ACCOUNTS_MAX} ${what}`);
    return given;
  };
  const accounts: AccountSetup[] = [];
  const add = (where: string, entry: Readonly<Record<string, unknown>>, name: unknown): void => {
    const account = parseAccount(id, where, entry, name ?? String(accounts.length + 1));
    if (account.apiKey !== null || account.apiKeyEnv !== null) accounts.push(account);
    else if (where !== "") throw bad(id, where, "{name, apiKey | apiKeyEnv}");
  };
  add("", value, null);
  for (const [index, apiKey] of listed("apiKeys", "keys").entries()) add(`apiKeys[${index}]`, { apiKey }, null);
  for (const [index, entry] of listed("accounts", "{name, apiKey | apiKeyEnv}").entries()) {
    const where = `accounts[${index}]`;
    if (!isJsonObject(entry)) throw bad(id, where, "{name, apiKey | apiKeyEnv}");
    for (const field of Object.keys(entry)) {
      if (!ACCOUNT_FIELDS.includes(field as never)) throw new BadValue(`a map in which ${id}.${where} has no field "${field}" (known: ${ACCOUNT_FIELDS.join(", ")})`);
    }
    add(where, entry, entry.name);
  }
  if (new Set(accounts.map(({ name }) => name)).size < accounts.length) throw bad(id, "accounts", "a list in which each name stands once");
  return accounts;
}

function parseAccount(id: string, where: string, value: Readonly<Record<string, unknown>>, name: unknown): AccountSetup {
  const at = (field: string): string => (where === "" || where.startsWith("apiKeys") ? where || field : `${where}.${field}`);
  const text = (field: "apiKey" | "apiKeyEnv", what: string): string | null => {
    const given = value[field];
    if (given === undefined || given === null) return null;
    if (typeof given !== "string" || given === "" || given.length > TEXT_CHARACTERS_MAX || /[\s\p{Cc}]/u.test(given)) throw bad(id, at(field), what);
    return given;
  };
  const apiKey = text("apiKey", "a text without spaces");
  const apiKeyEnv = text("apiKeyEnv", "the name of an environment variable");
  if (apiKey !== null && apiKeyEnv !== null) throw new BadValue(`a map in which ${where === "" ? id : `${id}.${where}`} has apiKey or apiKeyEnv, and not both`);
  if (typeof name !== "string" || !PROVIDER_ID.test(name)) throw bad(id, at("name"), 'a name of letters, digits, "_" and "-"');
  return { name, apiKey, apiKeyEnv };
}

function parseLimits(id: string, value: unknown): AccountLimits {
  if (value === undefined || value === null) return NOTHING_LIMITED;
  if (!isJsonObject(value)) throw bad(id, "limits", "{requestsPerMinute, tokensPerMinute, inFlight}");
  for (const field of Object.keys(value)) {
    if (!LIMIT_FIELDS.includes(field as never)) throw new BadValue(`a map in which ${id}.limits has no field "${field}" (known: ${LIMIT_FIELDS.join(", ")})`);
  }
  const limit = (field: (typeof LIMIT_FIELDS)[number]): number | null => {
    const given = value[field];
    if (given === undefined || given === null) return null;
    if (typeof given !== "number" || !Number.isInteger(given) || given < 1 || given > LIMIT_MAX) throw bad(id, `limits.${field}`, `a whole number in 1..${LIMIT_MAX}`);
    return given;
  };
  return { requestsPerMinute: limit("requestsPerMinute"), tokensPerMinute: limit("tokensPerMinute"), inFlight: limit("inFlight") };
}

function parseBaseUrl(id: string, api: Api, value: unknown): string {
  if (value === undefined || value === null) return ENDPOINTS[api].baseUrl;
  const url = typeof value === "string" ? URL.parse(value) : null;
  const usable = url !== null && (url.protocol === "http:" || url.protocol === "https:") && url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (!usable) throw bad(id, "baseUrl", "an address such as https://host/v1, without user, query or fragment");
  const path = url.pathname.replace(/\/+$/, "");
  return url.origin + (path === "" ? ENDPOINTS[api].version : path);
}

function parseModels(id: string, value: unknown): readonly ModelSetup[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > MODELS_MAX) throw bad(id, "models", `a list of at most ${MODELS_MAX} models`);
  return value.map((entry: unknown, index): ModelSetup => {
    const where = `models[${index}]`;
    const model = typeof entry === "string" ? { id: entry } : entry;
    if (!isJsonObject(model)) throw bad(id, where, "a name or {id, contextWindow, maxOutputTokens}");
    for (const field of Object.keys(model)) {
      if (!MODEL_FIELDS.includes(field as never)) throw new BadValue(`a map in which ${id}.${where} has no field "${field}" (known: ${MODEL_FIELDS.join(", ")})`);
    }
    if (typeof model.id !== "string" || !/^\S{1,200}$/.test(model.id)) throw bad(id, `${where}.id`, "a name of 1..200 characters without spaces");
    const tokens = (field: "contextWindow" | "maxOutputTokens"): number | null => {
      const given = model[field];
      if (given === undefined || given === null) return null;
      if (typeof given !== "number" || !Number.isInteger(given) || given < 1 || given > CONTEXT_TOKENS_MAX) throw bad(id, `${where}.${field}`, `a whole number of tokens in 1..${CONTEXT_TOKENS_MAX}`);
      return given;
    };
    return { id: model.id, contextWindow: tokens("contextWindow"), maxOutputTokens: tokens("maxOutputTokens") };
  });
}

function parseHeaders(id: string, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (!isJsonObject(value) || Object.keys(value).length > HEADERS_MAX) throw bad(id, "headers", `a map of at most ${HEADERS_MAX} header names to texts`);
  for (const [name, text] of Object.entries(value)) {
    if (!HEADER_NAME.test(name)) throw bad(id, "headers", `a map of header names, which "${name}" is not`);
    if (typeof text !== "string" || text.length > TEXT_CHARACTERS_MAX || /[^\t\u0020-\u007e\u0080-\u00ff]/.test(text)) throw bad(id, `headers.${name}`, "a text of one line");
  }
  return value as Readonly<Record<string, string>>;
}

function parsePrices(value: unknown): Readonly<Record<string, Price>> {
  if (!isJsonObject(value)) throw new BadValue("a map of models to {input, output, cacheRead, cacheWrite} in US dollars per million tokens");
  return Object.fromEntries(
    Object.entries(value).map(([model, entry]) => {
      if (!isJsonObject(entry)) throw new BadValue(`a map in which "${model}" is {input, output, cacheRead, cacheWrite}`);
      for (const field of Object.keys(entry)) if (!PRICE_FIELDS.includes(field as keyof Price)) throw new BadValue(`a map in which "${model}" has no field "${field}" (known: ${PRICE_FIELDS.join(", ")})`);
      const byRequest = entry["call"] !== undefined && entry["input"] === undefined;
      const dollars = (field: keyof Price, otherwise?: number): number => {
        const given = entry[field] ?? otherwise;
        if (typeof given !== "number" || !(given >= 0) || given > 1_000_000) throw new BadValue(`a map in which "${model}".${field} is US dollars per million tokens, 0 or more`);
        return given;
      };
      const input = dollars("input", byRequest ? 0 : undefined);
      return [model, { input, output: dollars("output", byRequest ? 0 : undefined), cacheRead: dollars("cacheRead", input), cacheWrite: dollars("cacheWrite", input), call: dollars("call", 0) }];
    }),
  );
}

/** Completes the sentence "models.providers must be …" and names the field that is wrong. */
function bad(id: string, field: string, expected: string): BadValue {
  return new BadValue(`a map in which ${field === "" ? id : `${id}.${field}`} is ${expected}`);
}
