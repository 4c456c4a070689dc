/**
 * The model providers: every model call of the gateway goes through `makeProviders().call`.
 *
 *     route ─▶ key ─▶ attempt ──ok──▶ answer
 *               ▲        │ failed
 *               └─ wait ◀┴─▶ give up with a Fault
 *
 * Always true: one HTTP request per attempt; all waits are bounded and end at once when the
 * caller aborts; nothing that a provider says reaches a Fault or the log unmasked or uncut.
 *
 * Not here: tool loops, history, fallback to other models, journals. Those belong to turns.
 */
import { sleep, type Clock } from "../base/clock.ts";
import { IdMaker, type RandomBytes } from "../base/ids.ts";
import { isJsonObject } from "../base/json.ts";
import type { Log } from "../base/log.ts";
import { makeRedactor } from "../base/redact.ts";
import type { Settings } from "../base/setting.ts";
import type { CallTerms } from "../model/budget.ts";
import type { ModelAnswer, ModelClient, ModelFrame, ModelRequest } from "../model/chat.ts";
import { Fault } from "../model/faults.ts";
import { AnswerBuilder, type Assembled } from "./answer.ts";
import { attempt } from "./attempt.ts";
import { Catalogue, OLLAMA_URL, type ProviderSource, type Route } from "./catalogue.ts";
import { readFailure } from "./failure.ts";
import { makeHttpFetch } from "./http-fetch.ts";
import { guardedFetch } from "./http.ts";
import type { LocalModel } from "./local-model.ts";
import { isOpenAi, Models } from "./models.ts";
import { costMicros, priceBound, priceOf } from "./prices.ts";
import { callOptions } from "./prompt.ts";
import * as setting from "./settings.ts";
import type { Api, ProviderSetup } from "./settings.ts";
import { kindOf, MAY_BE_PAID, verdictOn, type FailureKind } from "./verdict.ts";

/** How long a refused key is not tried again. */
export const REFUSED_KEY_MS = 60_000;
const REFUSED_KEYS_MAX = 1000;
const DISCOVERY_MS_MAX = 300;
const DISCOVERED_MODELS_MAX = 100;
const FREE = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, call: 0 };

export interface ProvidersDeps {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  environment(name: string): string | undefined;
  /** Answers to the models of the provider `rehearsal`. */
  readonly rehearsal: LocalModel;
  readonly fetch?: typeof fetch;
}

/** A provider as it is shown to people; holds no secret. */
export interface ProviderView {
  readonly id: string;
  readonly source: ProviderSource;
  readonly api: Api | null;
  readonly baseUrl: string | null;
  readonly models: readonly string[];
  /** `none` when the provider is set up without one. */
  readonly key: "set" | "missing" | "refused" | "none";
}

export interface Providers extends ModelClient {
  /** `<provider>/<model>` for agents that name none; `rehearsal/rehearsal` when nothing else is there. */
  defaultModel(): string;
  /** What a call of a model is held to. @throws {Fault} MODEL_UNKNOWN */
  terms(model: string): CallTerms;
  /** Looks for an Ollama on this machine, for at most 300 ms. Never throws. */
  discover(signal?: AbortSignal): Promise<void>;
  listProviders(): readonly ProviderView[];
  /** Lets go of the settings; calls that run are ended by their own signals. */
  stop(): void;
}

export function makeProviders(deps: ProvidersDeps): Providers {
  const { settings, clock, log } = deps;
  const ids = new IdMaker(deps.random);
  const fetchIt = deps.fetch ?? fetch;
  const catalogue = new Catalogue(settings, deps.environment);
  const models = new Models(deps.fetch === undefined ? makeHttpFetch(deps.clock) : guardedFetch(deps.fetch), () => ids.bare());
  const refused = new RefusedKeys(clock);
  const stop = settings.onChange(() => {
    models.clear();
    refused.clear();
  });

  async function call(request: ModelRequest, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer> {
    request.signal.throwIfAborted();
    const route = catalogue.route(request.model);
    const { setup } = route;
    if (setup === null) return deps.rehearsal.call(request, onFrame);
    return callRemote(request, { ...route, setup }, onFrame);
  }

  async function callRemote(request: ModelRequest, route: RemoteRoute, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer> {
    const { provider } = route;
    const failures: Partial<Record<FailureKind, number>> = {};
    let waitedMs = 0;
    let maxOutputTokens = request.maxOutputTokens;
    for (let attempts = 1; ; attempts++) {
      const key = keyOf(provider, route.setup);
      refused.check(provider, key);
      const builder = new AnswerBuilder(request, onFrame, () => ids.bare());
      try {
        await runAttempt(maxOutputTokens === undefined ? request : { ...request, maxOutputTokens }, route, key, builder);
        return priced(builder.result(), route);
      } catch (thrown) {
        if (request.signal.aborted) throw request.signal.reason;
        const failure = readFailure(thrown, makeRedactor([key ?? "", ...Object.values(route.setup.headers)]));
        const kind = kindOf(failure);
        failures[kind] = (failures[kind] ?? 0) + 1;
        if (failure.status === 401) refused.add(provider, key, failure.status);
        const limits = { attemptsMax: settings.get(setting.maxAttempts), waitMsMax: settings.get(setting.maxWaitSeconds) * 1000 };
        const verdict = verdictOn(failure, kind, provider, { failures, waitedMs }, limits, chance(), clock.now());
        if (verdict.do === "give up") {
          log.warn("model call given up", { model: request.model, attempts, kind, code: verdict.fault.code, problem: failure.problem });
          throw verdict.fault;
        }
        log.info("model call tried again", { model: request.model, attempts, kind, status: failure.status, afterMs: verdict.afterMs });
        if (builder.sentFrames) onFrame({ type: "restart", attempt: attempts + 1, reason: failure.problem });
        await sleep(clock, verdict.afterMs, request.signal);
        waitedMs += verdict.afterMs;
        if ((failure.began || MAY_BE_PAID.has(kind)) && request.again !== undefined) maxOutputTokens = (await request.again()).maxOutputTokens;
      }
    }
  }

  async function runAttempt(request: ModelRequest, route: RemoteRoute, key: string | null, builder: AnswerBuilder): Promise<void> {
    const model = await models.get(route.provider, route.setup, route.model, key);
    const style = { api: route.setup.api, takesCacheKey: route.setup.api === "openai-responses" || isOpenAi(route.setup) };
    const maxOutputTokens = request.maxOutputTokens ?? outputTokensMax(route);
    const deadlines = {
      firstByteMs: settings.get(setting.firstByteSeconds) * 1000,
      betweenChunksMs: settings.get(setting.betweenChunksSeconds) * 1000,
      totalMs: settings.get(setting.totalSeconds) * 1000,
    };
    await attempt(model, (signal) => callOptions(request, style, maxOutputTokens, signal), builder, deadlines, clock, request.signal);
  }

  function outputTokensMax(route: Route): number {
    return route.listed?.maxOutputTokens ?? settings.get(setting.maxOutputTokens);
  }

  function terms(name: string): CallTerms {
    const route = catalogue.route(name);
    const price = route.setup === null ? FREE : priceOf(route.provider, route.model, settings.get(setting.prices));
    return { outputTokensMax: outputTokensMax(route), price: price === null ? null : priceBound(price) };
  }

  /** Read anew for every attempt, so that a rotated key counts at once. */
  function keyOf(provider: string, setup: ProviderSetup): string | null {
    if (setup.apiKeyEnv === null) return setup.apiKey;
    const key = deps.environment(setup.apiKeyEnv);
    if (key === undefined || key === "") throw new Fault("PROVIDER_NO_KEY", { provider, variable: setup.apiKeyEnv });
    return key;
  }

  function priced({ tokens, parts, stop: reason, model }: Assembled, route: RemoteRoute): ModelAnswer {
    const cost = costMicros(route.provider, route.model, tokens, settings.get(setting.prices));
    return { parts, stop: reason, usage: { ...tokens, calls: 1, costMicros: cost ?? 0, ...(cost === null ? { unpriced: 1 } : {}) }, model: `${route.provider}/${model ?? route.model}` };
  }

  function chance(): number {
    const [a = 0, b = 0] = deps.random(2);
    return (a * 256 + b) / 65_536;
  }

  async function discover(signal?: AbortSignal): Promise<void> {
    const search = new AbortController();
    const disarm = clock.after(DISCOVERY_MS_MAX, () => search.abort());
    const onAbort = (): void => search.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      signal?.throwIfAborted();
      const response = await fetchIt(`${OLLAMA_URL}/api/tags`, { signal: search.signal, redirect: "error" });
      const found = modelNames(response.ok ? await response.json() : null);
      catalogue.setOllama(found);
      if (found.length > 0) log.info("ollama found", { models: found.length });
    } catch {
      catalogue.setOllama([]);
    } finally {
      disarm();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  function keyState(provider: string, setup: ProviderSetup | null): ProviderView["key"] {
    if (setup === null || (setup.apiKey === null && setup.apiKeyEnv === null)) return "none";
    const key = setup.apiKey ?? deps.environment(setup.apiKeyEnv!);
    if (!key) return "missing";
    return refused.has(provider, key) ? "refused" : "set";
  }

  return {
    call,
    terms,
    contextWindow: (model) => catalogue.contextWindow(model),
    knownModels: () => catalogue.knownModels(),
    defaultModel: () => catalogue.defaultModel(),
    discover,
    listProviders: () =>
      catalogue.entries().map(({ id, source, setup }) => ({
        id,
        source,
        api: setup?.api ?? null,
        baseUrl: setup?.baseUrl ?? null,
        models: setup === null ? [setting.REHEARSAL] : setup.models.map((model) => model.id),
        key: keyState(id, setup),
      })),
    stop,
  };
}

type RemoteRoute = Route & { readonly setup: ProviderSetup };

function modelNames(answer: unknown): string[] {
  const list = isJsonObject(answer) && Array.isArray(answer.models) ? (answer.models as readonly unknown[]) : [];
  return list.flatMap((entry) => (isJsonObject(entry) && typeof entry.name === "string" && entry.name !== "" ? [entry.name] : [])).slice(0, DISCOVERED_MODELS_MAX);
}

/** Keys that a provider refused; closed for a minute, so that a wrong key costs one request and not hundreds. */
class RefusedKeys {
  readonly #clock: Clock;
  readonly #until = new Map<string, { readonly atMs: number; readonly status: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(provider: string, key: string | null, status: number): void {
    this.#until.set(`${provider}\0${key ?? ""}`, { atMs: this.#clock.monotonic() + REFUSED_KEY_MS, status });
    if (this.#until.size > REFUSED_KEYS_MAX) this.#until.delete(this.#until.keys().next().value!);
  }

  has(provider: string, key: string | null): boolean {
    return this.#find(provider, key) !== undefined;
  }

  /** @throws {Fault} PROVIDER_AUTH the provider refused this key less than a minute ago. */
  check(provider: string, key: string | null): void {
    const found = this.#find(provider, key);
    if (found !== undefined) throw new Fault("PROVIDER_AUTH", { provider, status: found.status });
  }

  clear(): void {
    this.#until.clear();
  }

  #find(provider: string, key: string | null): { readonly status: number } | undefined {
    const found = this.#until.get(`${provider}\0${key ?? ""}`);
    return found !== undefined && this.#clock.monotonic() < found.atMs ? found : undefined;
  }
}
