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
 *   - no redirects; a refusal that another account or waiting can cure is cured here, before the caller
 *     hears anything; all other errors are the caller's, who sees them in the provider's own words
 *   - what is limited by a budget is reserved before it is sent, and lowered to what fits
 *
 * Not here: who may call (the API checks the token), who waits (the governor), budgets (the store).
 */
import type { IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Clock } from "../base/clock.ts";
import type { SessionKey } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import { http } from "../base/node-http.ts";
import type { Settings } from "../base/setting.ts";
import { NO_USAGE, type Usage } from "../model/chat.ts";
import type { CallAsked } from "../model/budget.ts";
import { Fault } from "../model/faults.ts";
import type { Parking } from "../model/parking.ts";
import { callEndOf } from "./call-end.ts";
import type { Catalogue } from "./catalogue.ts";
import { ErrorInStream, readFailure } from "./failure.ts";
import type { Admission } from "./admission.ts";
import type { Governor } from "./governor.ts";
import { limitConnect } from "./http-send.ts";
import { costMicros, priceBound, priceOf } from "./prices.ts";
import { PassingUsage } from "./proxy-usage.ts";
import { FAMILIES, headersOf, leadsElsewhere, passingHeaders, providerFor, readAsked, textHeaders, type Asked, type ProxyCaller, type ProxyRequest, type Target } from "./proxy-request.ts";
import { maxOutputTokens, maxWaitSeconds, prices, totalSeconds } from "./settings.ts";
import { kindOf, MAY_BE_PAID, POLICIES } from "./verdict.ts";

/** The largest request, bytes: what the providers themselves take. */
export const PROXY_BODY_BYTES_MAX = 32 * 1024 * 1024;
const IDLE_SOCKETS_MAX = 256;
const IDLE_MS_MAX = 30_000;
/** For an estimate of a call's tokens before the provider has counted them. */
const BYTES_PER_TOKEN = 4;
const ANSWER_TOKENS_GUESS = 1_000;
/** A refusal is read before it is passed on or cured; one that is longer is cut. */
const REFUSAL_BYTES_MAX = 65_536;
/** Of a refusal, as much is looked at as tells what kind it is. */
const REFUSAL_CHARS_MAX = 4_096;
/** The least answer for which a call within a budget makes sense, tokens. */
const ANSWER_TOKENS_MIN = 256;
/** What APIs wrap around a request, tokens at most, over its bytes. */
const WRAP_TOKENS = 2_000;

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
  /** Waits until the call may go, and gives the account to use. */
  readonly governor: Pick<Governor, "admit" | "hasOtherAccount">;
  /** Told once of every call that reached a provider and was answered: the one place where proxied usage is recorded. */
  readonly onCall: (call: ProxiedCall, usage: Usage) => void;
  /** Told once of every call, however it ended. */
  readonly onOver: (call: ProxiedCall, end: ProxiedEnd) => void;
  /** What is known of the work that a session does at the moment. */
  readonly work: ProxiedWork;
  /** Null when nothing limits the caller. @throws {Fault} BUDGET_EXHAUSTED, BUDGET_PRICE_UNKNOWN */
  readonly reserve: (call: ProxiedCall, asked: CallAsked) => Promise<BudgetHold | null>;
}

export interface ProxiedWork {
  /** Whether a person waits for what the session is doing. */
  isForPerson(session: SessionKey): boolean;
  /** A call of the session's running turn waits for its provider. @returns to be called when it goes on. */
  parked(session: SessionKey, parking: Parking): () => void;
}

export interface BudgetHold {
  readonly outputTokensMax: number;
  settle(spent: Usage | "unknown" | "nothing"): void;
}

/** How one proxied call went. Wall times in milliseconds. */
export interface ProxiedEnd {
  readonly path: string;
  readonly startedAt: number;
  /** How long it waited to be let through. */
  readonly waitedMs: number;
  readonly firstByteAt: number | null;
  readonly endedAt: number;
  /** What the caller was told; 0 = nothing. */
  readonly status: number;
  readonly usage: Usage | null;
}

export interface Proxy {
  /** @throws {Fault} PROXY_NO_PROVIDER, ROUTE_NOT_FOUND, PROVIDER_NO_KEY, PROVIDER_AUTH, PROVIDER_RATE_LIMITED, PROVIDER_UNREACHABLE, PROVIDER_TIMED_OUT, BUDGET_*; the signal's reason. */
  forward(request: ProxyRequest): Promise<ProxyAnswer>;
}

export function makeProxy(deps: ProxyDeps): Proxy {
  const options = { keepAlive: true, maxFreeSockets: IDLE_SOCKETS_MAX, timeout: IDLE_MS_MAX, noDelay: true };
  const plain = new http.Agent(options);
  const secure = new HttpsAgent(options);

  async function forward(request: ProxyRequest): Promise<ProxyAnswer> {
    request.signal.throwIfAborted();
    const asked = readAsked(request);
    const isKnown = FAMILIES[request.family].paths.some((path) => path.test(`${request.method} ${asked.path}`)) && !leadsElsewhere(asked.path) && !(request.family === "google" && leadsElsewhere(asked.model));
    if (!isKnown) throw new Fault("ROUTE_NOT_FOUND", { route: `${request.method} /proxy/${request.family}${asked.path.slice(0, 200)}` });
    const target = providerFor(deps.catalogue.entries(), request.family, asked);
    const call: ProxiedCall = { provider: target.provider, model: target.model, caller: request.caller };
    const hold = asked.isCounted ? await deps.reserve(call, callAsked(request, asked, target)) : null;
    const course: Course = { request, asked, target, call, hold, startedAt: deps.clock.now(), waitedMs: 0, resume: null, mayBePaid: false };
    try {
      return await answerTo(course);
    } catch (cause) {
      over(course, { status: request.signal.aborted ? 0 : cause instanceof Fault ? cause.httpStatus : 500, firstByteAt: null, usage: null });
      throw cause;
    }
  }

  /** Asks until there is an answer that is the caller's: what another account or waiting can cure is not. */
  async function answerTo(course: Course): Promise<ProxyAnswer> {
    const { request, target } = course;
    const { accounts } = target.setup;
    const patienceMs = deps.settings.get(maxWaitSeconds) * 1000;
    let order: number | undefined;
    let rotations = 0;
    let wallsMs = 0;
    for (;;) {
      const admission = await admitted(course, order, patienceMs - wallsMs);
      order = admission.order;
      let answer: IncomingMessage;
      try {
        answer = await send(course, admission.account.key);
      } catch (cause) {
        admission.end({ is: "gone" });
        course.mayBePaid ||= !(cause instanceof Fault && cause.code === "PROVIDER_UNREACHABLE");
        throw cause;
      }
      const status = answer.statusCode ?? 502;
      if (status < 400) {
        admission.taken();
        resume(course);
        return { status, headers: passingHeaders(answer), pipeTo: (sink) => passOn(answer, sink, course, admission) };
      }
      const body = await refusalOf(answer).catch(() => Buffer.alloc(0));
      const failure = { status, headers: textHeaders(answer), body: body.toString("utf8").slice(0, REFUSAL_CHARS_MAX) };
      const kind = kindOf({ ...failure, began: false, problem: "" });
      const end = callEndOf(failure, accounts.length, deps.clock.now());
      const wallMs = admission.end(end);
      request.signal.throwIfAborted();
      const isForNow = POLICIES[kind].waits === "everybody";
      const another = POLICIES[kind].rotates && (!isForNow || rotations < accounts.length) && deps.governor.hasOtherAccount(target.provider, target.model, admission.account, isForNow ? "open only" : "walled");
      const waits = isForNow && wallsMs + wallMs <= patienceMs;
      if (another || waits) {
        if (another && isForNow) rotations++;
        if (!another) wallsMs += wallMs;
        // From the refusal on it waits, also while it is tried again.
        if (isForNow) parked(course, { reason: "wall", model: `${target.provider}/${target.model}`, until: Math.round(deps.clock.now() + wallMs), ahead: 0 });
        continue;
      }
      deps.log.info("proxy.refused", { provider: target.provider, model: target.model, status });
      course.mayBePaid ||= MAY_BE_PAID.has(kind);
      over(course, { status, firstByteAt: deps.clock.now(), usage: null });
      return { status, headers: { ...passingHeaders(answer), "content-length": String(body.length) }, pipeTo: (sink) => ended(sink, body) };
    }
  }

  async function admitted(course: Course, order: number | undefined, patienceMs: number): Promise<Admission> {
    const { request, target } = course;
    const { session } = request.caller;
    const since = deps.clock.monotonic();
    try {
      const admission = await deps.governor.admit({
        provider: target.provider,
        model: target.model,
        person: session !== null && deps.work.isForPerson(session),
        tokens: () => Math.ceil(request.body.length / BYTES_PER_TOKEN) + ANSWER_TOKENS_GUESS,
        signal: request.signal,
        patienceMs,
        ...(order === undefined ? {} : { order }),
        ...(session === null ? {} : { session, onParked: (parking) => parked(course, parking) }),
      });
      // Until the provider takes a call that tries a wall, nothing changed for whoever waits for it.
      if (!admission.isProbe) resume(course);
      return admission;
    } finally {
      course.waitedMs += deps.clock.monotonic() - since;
    }
  }

  function callAsked(request: ProxyRequest, asked: Asked, { provider, setup, model }: Target): CallAsked {
    const price = priceOf(provider, model, deps.settings.get(prices));
    const longest = setup.models.find(({ id }) => id === model)?.maxOutputTokens ?? deps.settings.get(maxOutputTokens);
    const outputTokensMax = asked.path === "/embeddings" || asked.path.endsWith("embedContent") ? 0 : (asked.outputTokensMax ?? longest);
    // A token stands for one byte of the request at least.
    return { inputTokensMax: request.body.length + WRAP_TOKENS, outputTokensMax, outputTokensMin: Math.min(ANSWER_TOKENS_MIN, outputTokensMax), price: price === null ? null : priceBound(price), isLast: false };
  }

  function send(course: Course, key: string | null, isSecondTry = false): Promise<IncomingMessage> {
    const { request, asked, target, hold } = course;
    const { setup, provider } = target;
    const url = new URL(setup.baseUrl + asked.pathFor(target.model) + asked.query);
    const body = asked.bodyFor(target.model, hold === null ? null : hold.outputTokensMax);
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
        if (outgoing.reusedSocket && error.code === "ECONNRESET" && !isSecondTry && !request.signal.aborted) send(course, key, true).then(resolve, reject);
        else reject(error instanceof Fault || request.signal.aborted ? error : new Fault("PROVIDER_UNREACHABLE", { provider, problem: error.message }, { cause: error }));
      });
      outgoing.on("close", () => {
        disarm();
        request.signal.removeEventListener("abort", onAbort);
      });
      outgoing.end(body);
    });
  }

  async function passOn(answer: IncomingMessage, sink: Writable, course: Course, admission: Admission): Promise<void> {
    const { call } = course;
    const meter = new PassingUsage(/event-stream/.test(answer.headers["content-type"] ?? ""));
    // A side that breaks off ends the other; there is nobody left to tell.
    const passed = pipeline(answer, sink).then(
      () => true,
      () => false,
    );
    let firstByteAt: number | null = null;
    // Comes after the pipeline's own reader, so that each piece is on its way before it is looked at.
    answer.on("data", (chunk: Buffer) => {
      firstByteAt ??= deps.clock.now();
      meter.take(chunk);
    });
    const isWhole = await passed;
    const counts = meter.end();
    if (meter.error === null) admission.end({ is: "ok", headers: textHeaders(answer), tokens: counts === null ? null : counts.input + counts.output });
    else admission.end(callEndOf(readFailure(new ErrorInStream("in the stream", { cause: meter.error })), course.target.setup.accounts.length, deps.clock.now()));
    const cost = counts === null ? null : costMicros(call.provider, call.model, counts, deps.settings.get(prices));
    const usage: Usage = counts === null ? { ...NO_USAGE, calls: 1 } : { ...counts, calls: 1, costMicros: cost ?? 0, ...(cost === null ? { unpriced: 1 } : {}) };
    // What a broken stream told of its tokens is not all of them.
    course.mayBePaid = !isWhole || counts === null;
    if (course.asked.isCounted) deps.onCall(call, usage);
    over(course, { status: isWhole ? (answer.statusCode ?? 200) : 0, firstByteAt, usage });
  }

  function parked(course: Course, parking: Parking): void {
    const { session } = course.request.caller;
    if (session !== null) course.resume ??= deps.work.parked(session, parking);
  }

  function resume(course: Course): void {
    course.resume?.();
    course.resume = null;
  }

  /** Told once, whatever became of it. */
  function over(course: Course, { status, firstByteAt, usage }: Pick<ProxiedEnd, "status" | "firstByteAt" | "usage">): void {
    const { asked, call, hold, startedAt, waitedMs, mayBePaid } = course;
    resume(course);
    hold?.settle(mayBePaid ? "unknown" : (usage ?? "nothing"));
    deps.onOver(call, { path: asked.path, startedAt, waitedMs: Math.round(waitedMs), firstByteAt, endedAt: deps.clock.now(), status, usage });
  }

  return { forward };
}

/** One request on its way. */
interface Course {
  readonly request: ProxyRequest;
  readonly asked: Asked;
  readonly target: Target;
  readonly call: ProxiedCall;
  readonly hold: BudgetHold | null;
  readonly startedAt: number;
  /** In line and at walls, milliseconds. */
  waitedMs: number;
  /** Tells the turn that it works for of the end of its wait; null = it does not wait. */
  resume: (() => void) | null;
  /** The provider may have counted tokens that nobody told us of. */
  mayBePaid: boolean;
}

/** All of a refusal, or its beginning when it is longer than any that says something. */
async function refusalOf(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    if ((bytes += chunk.length) > REFUSAL_BYTES_MAX) break;
  }
  return Buffer.concat(chunks).subarray(0, REFUSAL_BYTES_MAX);
}

function ended(sink: Writable, body: Buffer): Promise<void> {
  return new Promise((resolve) => {
    sink.once("close", resolve).once("error", () => resolve());
    sink.end(body, () => resolve());
  });
}
