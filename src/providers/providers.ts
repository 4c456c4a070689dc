/**
 * The model providers: every model call of the gateway goes through `makeProviders().call`.
 *
 *     route ─▶ governor ─▶ attempt ──ok──▶ answer
 *       ▲          ▲          │ failed
 *       │          └─ wait ◀──┤
 *       └─ next model ◀───────┴─▶ give up with a Fault
 *
 * Always true: one HTTP request per attempt; all waits are bounded and end at once when the
 * caller aborts; nothing that a provider says reaches a Fault or the log unmasked or uncut.
 *
 * Not here: tool loops, history, journals. Those belong to turns. Who may call when is the governor's.
 */
import { sleep, type Clock } from "../base/clock.ts";
import { IdMaker, type RandomBytes } from "../base/ids.ts";
import { isJsonObject } from "../base/json.ts";
import type { Log } from "../base/log.ts";
import { makeRedactor } from "../base/redact.ts";
import type { Settings } from "../base/setting.ts";
import type { AllowanceBook } from "../model/allowance.ts";
import type { CallTerms } from "../model/budget.ts";
import type { ModelAnswer, ModelClient, ModelFrame, ModelRequest } from "../model/chat.ts";
import { Fault } from "../model/faults.ts";
import type { Parking, ProviderLanes } from "../model/parking.ts";
import { AnswerBuilder, type Assembled } from "./answer.ts";
import { accountsOf } from "./accounts.ts";
import { orderOfResumed, type Admission } from "./admission.ts";
import { attempt } from "./attempt.ts";
import { callEndOf } from "./call-end.ts";
import { Catalogue, OLLAMA_URL, type ProviderSource, type Route } from "./catalogue.ts";
import { readFailure } from "./failure.ts";
import { Governor } from "./governor.ts";
import { isGood, makeSend, type HttpAnswer, type Send } from "./http-send.ts";
import type { LocalModel } from "./local-model.ts";
import { isOpenAi, Models } from "./models.ts";
import { costMicros, priceBound, priceOf } from "./prices.ts";
import { callOptions } from "./prompt.ts";
import { makeProxy, type Proxy, type ProxyDeps } from "./proxy.ts";
import * as setting from "./settings.ts";
import type { Account, Api, ProviderSetup } from "./settings.ts";
import { CURED_BY_ANOTHER_MODEL, kindOf, MAY_BE_PAID, POLICIES, verdictOn, type FailureKind } from "./verdict.ts";

/** Of a call's answer, as much is counted against the limit of tokens before it is known. */
const ANSWER_TOKENS_GUESS = 1_000;
const CHARACTERS_PER_TOKEN = 4;
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
  readonly send?: Send;
  /** Where the limits of providers are kept. */
  readonly book: AllowanceBook;
  /** Something about an account that the operator should mend; told once. */
  readonly onTrouble?: (code: "PROVIDER_AUTH" | "PROVIDER_QUOTA", text: string) => void;
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
  /** Passes model calls of other programs on; `more` as {@link ProxyDeps} has it. */
  proxy(more: Pick<ProxyDeps, "onCall" | "onOver" | "work" | "reserve">): Proxy;
  /** Takes up walls and limits that were known before a restart; before the first call. */
  start(): Promise<void>;
  /** What waits for providers, and how each account stands. */
  lanes(): ProviderLanes;
  /** Lets go of the settings; calls that run are ended by their own signals. */
  stop(): void;
}

export function makeProviders(deps: ProvidersDeps): Providers {
  const { settings, clock, log } = deps;
  const ids = new IdMaker(deps.random);
  const send = deps.send ?? makeSend();
  const catalogue = new Catalogue(settings, deps.environment);
  const models = new Models(() => ids.bare());
  const setupOf = (provider: string): ProviderSetup | null => settings.get(setting.providers)[provider] ?? catalogue.entries().find(({ id }) => id === provider)?.setup ?? null;
  const accounts = (provider: string): readonly Account[] => {
    const setup = setupOf(provider);
    return setup === null ? [] : accountsOf(provider, setup, deps.environment);
  };
  const governor = new Governor({
    clock,
    log,
    book: deps.book,
    chance,
    accountsOf: accounts,
    limitsOf: (provider) => setupOf(provider)?.limits ?? setting.NOTHING_LIMITED,
    onRefused(provider, account, status) {
      log.warn("credential refused", { provider, account: account.name, status });
      deps.onTrouble?.(status === 402 ? "PROVIDER_QUOTA" : "PROVIDER_AUTH", refusedText(provider, account.name, status, governor.hasOtherAccount(provider, "", account, "walled")));
    },
  });
  const stop = settings.onChange(() => {
    models.clear();
    governor.reconsider();
  });

  async function call(request: ModelRequest, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer> {
    request.signal.throwIfAborted();
    const chain = [request.model, ...settings.get(setting.fallbackModels).filter((model) => model !== request.model)];
    const patienceMs = settings.get(setting.maxWaitSeconds) * 1000;
    if (chain.length === 1) return callOne(request, patienceMs, onFrame);
    let first: Fault | undefined;
    for (const [index, model] of chain.entries()) {
      try {
        const answer = await callOne({ ...request, model }, Math.min(patienceMs, settings.get(setting.fallbackAfterSeconds) * 1000), onFrame);
        if (first !== undefined) onFrame({ type: "fallback", from: request.model, to: model, reason: first.message });
        return answer;
      } catch (thrown) {
        if (!(thrown instanceof Fault) || (index === 0 && !CURED_BY_ANOTHER_MODEL.has(thrown.code))) throw thrown;
        first ??= thrown;
        const to = chain[index + 1];
        if (to === undefined) break;
        log.warn("another model is asked", { from: model, to, code: thrown.code });
        onFrame({ type: "restart", attempt: 1, reason: thrown.message });
      }
    }
    // Nobody can answer soon: the model that was asked for is waited for, as long as it may be.
    if (first!.retryAfterMs === undefined || first!.retryAfterMs > patienceMs) throw first!;
    return callOne(request, patienceMs, onFrame);
  }

  function callOne(request: ModelRequest, patienceMs: number, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer> {
    const route = catalogue.route(request.model);
    const { setup } = route;
    return setup === null ? deps.rehearsal.call(request, onFrame) : callRemote(request, { ...route, setup }, patienceMs, onFrame);
  }

  async function callRemote(request: ModelRequest, route: RemoteRoute, patienceMs: number, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer> {
    const waits = new Waits(onFrame);
    try {
      return await callUntilTaken(request, route, patienceMs, onFrame, waits);
    } finally {
      if (!request.signal.aborted) waits.over();
    }
  }

  async function callUntilTaken(request: ModelRequest, route: RemoteRoute, patienceMs: number, onFrame: (frame: ModelFrame) => void, waits: Waits): Promise<ModelAnswer> {
    const { provider } = route;
    const failures: Partial<Record<FailureKind, number>> = {};
    let waitedMs = 0;
    let maxOutputTokens = request.maxOutputTokens;
    let order = request.began === undefined ? undefined : orderOfResumed(request.began);
    let rotations = 0;
    for (let attempts = 1; ; attempts++) {
      const admission = await admit(request, route, order, patienceMs - waitedMs, waits);
      // Until the provider takes a call that tries a wall, nothing changed for whoever waits for it.
      if (!admission.isProbe) waits.over();
      const { key } = admission.account;
      const startedAt = clock.monotonic();
      order = admission.order;
      const builder = new AnswerBuilder(request, onFrame, () => ids.bare());
      try {
        const headers = await runAttempt(maxOutputTokens === undefined ? request : { ...request, maxOutputTokens }, route, key, builder, () => {
          admission.taken();
          waits.over();
        });
        const answer = priced(builder.result(), route);
        admission.end({ is: "ok", headers, tokens: answer.usage.input + answer.usage.output });
        return answer;
      } catch (thrown) {
        if (request.signal.aborted) {
          admission.end({ is: "gone" });
          throw request.signal.reason;
        }
        const failure = readFailure(thrown, makeRedactor([key ?? "", ...Object.values(route.setup.headers)]));
        const kind = kindOf(failure);
        // A try at a wall is part of the wait for it, however long the provider takes to refuse.
        if (admission.isProbe && POLICIES[kind].waits === "everybody") waitedMs += clock.monotonic() - startedAt;
        failures[kind] = (failures[kind] ?? 0) + 1;
        const limits = { attemptsMax: settings.get(setting.maxAttempts), waitMsMax: patienceMs };
        const verdict = verdictOn(failure, kind, provider, { failures, waitedMs }, limits, chance(), clock.now());
        const wallMs = admission.end(callEndOf(failure, route.setup.accounts.length, clock.now()));
        const isForNow = POLICIES[kind].waits === "everybody";
        // Accounts that all refuse, each for a moment, are not tried round and round without a count. A refused one rests by itself.
        const another = POLICIES[kind].rotates && (!isForNow || rotations < route.setup.accounts.length) && governor.hasOtherAccount(provider, route.model, admission.account, isForNow ? "open only" : "walled");
        if (verdict.do === "give up" && !another) {
          log.warn("model call given up", { model: request.model, attempts, kind, code: verdict.fault.code, problem: failure.problem });
          throw verdict.fault;
        }
        if (another && isForNow) rotations++;
        // From the refusal on it waits, also while it is tried again: the time that passes is the provider's.
        if (isForNow) waits.began({ reason: "wall", model: `${provider}/${route.model}`, until: Math.round(clock.now() + wallMs), ahead: 0 });
        else waits.over();
        const afterMs = another ? 0 : verdict.do === "retry" ? verdict.afterMs : wallMs;
        log.info("model call tried again", { model: request.model, attempts, kind, status: failure.status, afterMs });
        if (builder.sentFrames) onFrame({ type: "restart", attempt: attempts + 1, reason: failure.problem });
        if (verdict.do === "retry") await sleep(clock, verdict.afterMs, request.signal);
        waitedMs += afterMs;
        if ((failure.began || MAY_BE_PAID.has(kind)) && request.again !== undefined) maxOutputTokens = (await request.again()).maxOutputTokens;
      }
    }
  }

  function admit(request: ModelRequest, route: RemoteRoute, order: number | undefined, patienceMs: number, waits: Waits): Admission | Promise<Admission> {
    return governor.admit({
      provider: route.provider,
      model: route.model,
      person: request.person ?? false,
      tokens: () => Math.ceil(sizeOf(request) / CHARACTERS_PER_TOKEN) + Math.min(ANSWER_TOKENS_GUESS, request.maxOutputTokens ?? ANSWER_TOKENS_GUESS),
      signal: request.signal,
      patienceMs,
      ...(order === undefined ? {} : { order }),
      ...(request.cacheKey === undefined ? {} : { session: request.cacheKey }),
      onParked: (parking) => waits.began(parking),
    });
  }

  async function runAttempt(request: ModelRequest, route: RemoteRoute, key: string | null, builder: AnswerBuilder, onTaken: () => void): Promise<Readonly<Record<string, string>>> {
    const model = await models.get(route.provider, route.setup, route.model, key);
    const style = { api: route.setup.api, takesCacheKey: route.setup.api === "openai-responses" || isOpenAi(route.setup) };
    const maxOutputTokens = request.maxOutputTokens ?? outputTokensMax(route);
    const deadlines = {
      firstByteMs: settings.get(setting.firstByteSeconds) * 1000,
      betweenChunksMs: settings.get(setting.betweenChunksSeconds) * 1000,
      totalMs: settings.get(setting.totalSeconds) * 1000,
    };
    return attempt(send, model, (signal) => callOptions(request, style, maxOutputTokens, signal), builder, deadlines, clock, request.signal, onTaken);
  }

  function outputTokensMax(route: Route): number {
    return route.listed?.maxOutputTokens ?? settings.get(setting.maxOutputTokens);
  }

  function terms(name: string): CallTerms {
    const route = catalogue.route(name);
    const price = route.setup === null ? FREE : priceOf(route.provider, route.model, settings.get(setting.prices));
    return { outputTokensMax: outputTokensMax(route), price: price === null ? null : priceBound(price) };
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
      const answer = await send({ method: "GET", url: `${OLLAMA_URL}/api/tags`, headers: {}, signal: search.signal });
      const found = modelNames(isGood(answer.status) ? await jsonOf(answer) : null);
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
    if (setup === null || setup.accounts.length === 0) return "none";
    const present = setup.accounts.flatMap(({ name, apiKey, apiKeyEnv }) => {
      const key = apiKey ?? deps.environment(apiKeyEnv!);
      return key ? [{ name, key }] : [];
    });
    if (present.length === 0) return "missing";
    return present.every((account) => governor.isClosed(provider, account)) ? "refused" : "set";
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
    proxy: (more) => makeProxy({ catalogue, settings, clock, log, governor, ...more }),
    start: () => governor.start(),
    lanes: () => governor.lanes(),
    stop,
  };
}

/** What the caller of a model hears of its waits: that one began, and that it is over. A wall that is tried in vain is one wait. */
class Waits {
  readonly #onFrame: (frame: ModelFrame) => void;
  #waits = false;

  constructor(onFrame: (frame: ModelFrame) => void) {
    this.#onFrame = onFrame;
  }

  began(parking: Parking): void {
    if (this.#waits) return;
    this.#waits = true;
    this.#onFrame({ type: "parked", parking });
  }

  over(): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.#onFrame({ type: "resumed" });
  }
}

type RemoteRoute = Route & { readonly setup: ProviderSetup };

async function jsonOf(answer: HttpAnswer): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  await answer.read((bytes) => void chunks.push(bytes));
  return JSON.parse(Buffer.concat(chunks).toString());
}

function modelNames(answer: unknown): string[] {
  const list = isJsonObject(answer) && Array.isArray(answer.models) ? (answer.models as readonly unknown[]) : [];
  return list.flatMap((entry) => (isJsonObject(entry) && typeof entry.name === "string" && entry.name !== "" ? [entry.name] : [])).slice(0, DISCOVERED_MODELS_MAX);
}

function refusedText(provider: string, account: string, status: number, others: boolean): string {
  const what = status === 402 ? "says that it has no credit left" : `refused its credential (${status})`;
  const rest = others ? "the other accounts go on" : "no other account is left";
  return `${provider}: account ${account} ${what}; ${rest}. Mend it under models.providers.${provider}.`;
}

/** Characters that the provider will count, roughly. */
function sizeOf({ system, messages, tools }: ModelRequest): number {
  return system.length + JSON.stringify(messages).length + JSON.stringify(tools).length;
}
