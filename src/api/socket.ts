/**
 * /api/socket: JSON-RPC 2.0 over a WebSocket.
 *
 *     connected ──bearer or cookie──────────────▶ open
 *        └──first call `auth {token}` in 5 s────▶ open      anything else, or silence: closed
 *
 * Every route is a method and runs the very handler that HTTP runs; `events.subscribe` and
 * `events.unsubscribe` come on top. A frame that is no JSON gets an error and the connection stays.
 * All that one connection can hold is bounded: frame, batch, calls at once, subscriptions, unsent bytes.
 */
import type { WebSocket } from "ws";
import type { Clock } from "../base/clock.ts";
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import type { Log } from "../base/log.ts";
import { asFault, Fault } from "../model/faults.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Store } from "../store/store.ts";
import type { Pass } from "./credentials.ts";
import { feed, feedStart, UNSENT_BYTES_MAX, type FeedStart, type JsonOf, type Outlet } from "./event-feed.ts";
import { logDefect, shownFault } from "./fault-answer.ts";
import { BEAT_MS, type OpenConnections } from "./open-connections.ts";
import { may, must, readFields, readJson, sessionKey, text, word, type Reader } from "./read-body.ts";
import { BODY_BYTES_MAX, readParams, type Call, type Route } from "./route.ts";

export const FRAME_BYTES_MAX = 1_048_576;
const BATCH_MAX = 100;
const CALLS_MAX = 200;
const SUBSCRIPTIONS_MAX = 1_000;
const AUTH_WITHIN_MS = 5_000;
const PING_EVERY_BEATS = 30_000 / BEAT_MS;
/** A reader that lets this much lie is let go at once, whatever it asked for. */
const BACKLOG_BYTES_MAX = 8 * UNSENT_BYTES_MAX;
/** A reader that cannot take a full buffer in this time is let go; it comes back with its last numbers. */
const PAUSED_BEATS_MAX = 30_000 / BEAT_MS;
/** How long the other side has to say good-bye. */
const GOODBYE_MS = 1_000;
const TOKEN_LENGTH_MAX = 1_000;

/** Why a connection was closed, in the numbers of RFC 6455 (1000..) and our own (4000..). */
const CLOSE = { goingAway: 1001, notText: 1003, tooSlow: 1013, unauthorized: 4401 };

const RPC = { parse: -32700, invalid: -32600, noMethod: -32601, fault: -32000 };

export interface SocketDeps {
  readonly store: Store;
  readonly sessions: Pick<Sessions, "watch">;
  readonly clock: Clock;
  readonly log: Log;
  readonly connections: OpenConnections;
  readonly methods: ReadonlyMap<string, Route>;
  readonly jsonOf: JsonOf;
  /** @throws {Fault} UNAUTHORIZED, TOO_MANY_GUESSES */
  passOfToken(token: string): Pass;
  isGood(pass: Pass): boolean;
}

type Reply = JsonObject | null;

/** @param pass  what the connection was opened with; null = it must say the token first. */
export function serveSocket(deps: SocketDeps, socket: WebSocket, opened: Pass | null): void {
  let pass = opened;
  let calls = 0;
  let lastSubscription = 0;
  let answeredPing = true;
  let pausedBeats: number | null = null;
  const subscriptions = new Map<string, () => void>();
  const gone = new AbortController();
  const call: Call = { untilGone: () => gone.signal, idempotencyKey: null };

  const disarmAuth = opened === null ? deps.clock.after(AUTH_WITHIN_MS, () => leave(CLOSE.unauthorized, "no token in time")) : () => {};
  const forget = deps.connections.add({ isStranger: () => pass === null, onBeat, close: () => leave(CLOSE.goingAway, "the gateway stops") });
  socket.on("message", (data: Buffer, isBinary: boolean) => {
    if (isBinary) leave(CLOSE.notText, "send text frames");
    else take(data).catch(fail);
  });
  socket.on("pong", () => (answeredPing = true));
  socket.on("close", () => {
    disarmAuth();
    forget();
    for (const stop of subscriptions.values()) stop();
    subscriptions.clear();
    gone.abort(new Fault("WRONG_USE", { problem: "the caller closed its connection" }));
  });

  // ── frames in ───────────────────────────────────────────────────────────────────────────

  async function take(data: Buffer): Promise<void> {
    // The other side may go on for a while after it was told to leave.
    if (socket.readyState !== socket.OPEN) return;
    if (pass === null && data.length > BODY_BYTES_MAX) return leave(CLOSE.unauthorized, "say the token first");
    let frame: Json;
    try {
      frame = readJson(data, "frame") ?? null;
    } catch (thrown) {
      return say(errorReply(null, RPC.parse, thrown));
    }
    /** Begins subscriptions only when the caller has been told their names. */
    const afterwards: (() => void)[] = [];
    if (!Array.isArray(frame)) {
      say(await answerTo(frame, afterwards));
    } else if (frame.length === 0 || frame.length > BATCH_MAX) {
      say(invalid(null, `a batch holds 1 to ${BATCH_MAX} calls`));
    } else {
      const replies = await Promise.all(frame.map((one: Json) => answerTo(one, afterwards)));
      const said = replies.filter((reply) => reply !== null);
      if (said.length > 0) say(said);
    }
    for (const begin of afterwards) begin();
  }

  async function answerTo(request: Json, afterwards: (() => void)[]): Promise<Reply> {
    if (!isJsonObject(request) || request["jsonrpc"] !== "2.0" || typeof request["method"] !== "string" || !isId(request["id"])) {
      return invalid(isJsonObject(request) && isId(request["id"]) ? request["id"] ?? null : null, 'a call is {"jsonrpc": "2.0", "id", "method", "params"}');
    }
    const { id, method, params } = request as { id?: string | number | null; method: string; params?: Json };
    let reply: JsonObject;
    try {
      const result = await run(method, params, afterwards);
      reply = { jsonrpc: "2.0", id: id ?? null, result: result as Json };
    } catch (thrown) {
      const fault = asFault(thrown);
      logDefect(deps.log, fault, method);
      reply = errorReply(id ?? null, fault.code === "ROUTE_NOT_FOUND" ? RPC.noMethod : RPC.fault, fault);
    }
    return id === undefined ? null : reply;
  }

  async function run(method: string, params: Json | undefined, afterwards: (() => void)[]): Promise<object> {
    if (method === "auth") return auth(params);
    if (pass === null) {
      afterSaying(() => leave(CLOSE.unauthorized, "say the token first"));
      throw new Fault("UNAUTHORIZED", { reason: 'the first call must be auth {"token"}' });
    }
    if (method === "events.subscribe") return subscribe(params, afterwards);
    if (method === "events.unsubscribe") return unsubscribe(params);
    const route = deps.methods.get(method);
    if (route === undefined) throw new Fault("ROUTE_NOT_FOUND", { route: method.slice(0, 100) });
    if (calls >= CALLS_MAX) throw new Fault("TOO_MANY_AT_ONCE", { what: "unanswered calls on this connection", max: CALLS_MAX });
    calls++;
    try {
      return (await route.run(readParams(route, params), call)).body;
    } finally {
      calls--;
    }
  }

  function auth(params: Json | undefined): object {
    const { token } = readFields(AUTH_FIELDS, params, "params");
    try {
      pass = deps.passOfToken(token);
    } catch (thrown) {
      if (pass === null) afterSaying(() => leave(CLOSE.unauthorized, "wrong token"));
      throw thrown;
    }
    disarmAuth();
    return { authorized: true };
  }

  // ── subscriptions ───────────────────────────────────────────────────────────────────────

  async function subscribe(params: Json | undefined, afterwards: (() => void)[]): Promise<object> {
    const { session, after } = readFields(SUBSCRIBE_FIELDS, params, "params");
    if (subscriptions.size >= SUBSCRIPTIONS_MAX) throw new Fault("TOO_MANY_AT_ONCE", { what: "subscriptions on this connection", max: SUBSCRIPTIONS_MAX });
    const subscription = `s${++lastSubscription}`;
    let stop = (): void => {};
    let over = false;
    subscriptions.set(subscription, () => {
      over = true;
      stop();
    });
    let from: FeedStart;
    try {
      from = await feedStart(deps, session, after, "params.after");
    } catch (thrown) {
      subscriptions.delete(subscription);
      throw thrown;
    }
    afterwards.push(() => {
      if (!over) stop = feed(deps.sessions, from, outletOf(subscription), deps.jsonOf);
    });
    return { subscription };
  }

  function unsubscribe(params: Json | undefined): object {
    const { subscription } = readFields(UNSUBSCRIBE_FIELDS, params, "params");
    const stop = subscriptions.get(subscription);
    stop?.();
    subscriptions.delete(subscription);
    return { ended: stop !== undefined };
  }

  function outletOf(subscription: string): Outlet {
    const head = `{"jsonrpc":"2.0","method":"event","params":{"subscription":"${subscription}","event":`;
    return {
      send: (json) => write(`${head}${json}}}`),
      isFull: () => socket.bufferedAmount > UNSENT_BYTES_MAX,
      whenEmpty(then) {
        pausedBeats ??= 0;
        // A ping's callback comes when everything written before it is out.
        socket.ping("", false, (error) => {
          if (error) return;
          pausedBeats = null;
          then();
        });
      },
      fail(cause) {
        subscriptions.delete(subscription);
        say({ jsonrpc: "2.0", method: "events.failed", params: { subscription, fault: shownFault(cause) as unknown as JsonObject } });
      },
    };
  }

  // ── frames out ──────────────────────────────────────────────────────────────────────────

  function say(reply: JsonObject | readonly JsonObject[] | null): void {
    if (reply !== null) write(JSON.stringify(reply));
  }

  function write(frame: string): void {
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > BACKLOG_BYTES_MAX) return socket.terminate();
    socket.send(frame);
  }

  /** The reply to the call that is being answered goes out first. */
  function afterSaying(action: () => void): void {
    setImmediate(action);
  }

  function onBeat(beat: number): void {
    if (pass !== null && !deps.isGood(pass)) return leave(CLOSE.unauthorized, "the token was changed");
    if (pausedBeats !== null && ++pausedBeats > PAUSED_BEATS_MAX) return socket.terminate();
    if (beat % PING_EVERY_BEATS !== 0 || pausedBeats !== null) return;
    if (!answeredPing) return socket.terminate();
    answeredPing = false;
    socket.ping();
  }

  /** Something here is broken: what the caller has been told can no longer be trusted. */
  function fail(cause: unknown): void {
    logDefect(deps.log, asFault(cause), "socket");
    socket.terminate();
  }

  function leave(code: number, reason: string): void {
    socket.close(code, reason);
    const disarm = deps.clock.after(GOODBYE_MS, () => socket.terminate());
    socket.once("close", disarm);
  }
}

/** A number or `now`, as text or as a number. */
const position: Reader<string> = {
  schema: { type: ["string", "integer"] },
  read: (value, where) => text({ max: 20 }).read(typeof value === "number" ? String(value) : value, where),
};

const AUTH_FIELDS = { token: must(word({ max: TOKEN_LENGTH_MAX }), "The gateway's token.") };
const SUBSCRIBE_FIELDS = {
  session: may(sessionKey(), "Without it, the events of all sessions."),
  after: may(position, "The number after which to begin, or now."),
};
const UNSUBSCRIBE_FIELDS = { subscription: must(word({ max: 20 }), "What events.subscribe answered.") };

function isId(id: unknown): id is string | number | null | undefined {
  return id === undefined || id === null || typeof id === "number" || (typeof id === "string" && id.length <= 200);
}

function invalid(id: string | number | null, problem: string): JsonObject {
  return errorReply(id, RPC.invalid, new Fault("BAD_REQUEST", { where: "frame", problem }));
}

function errorReply(id: string | number | null, code: number, thrown: unknown): JsonObject {
  const data = shownFault(thrown);
  return { jsonrpc: "2.0", id, error: { code, message: data.message, data: data as unknown as JsonObject } };
}
