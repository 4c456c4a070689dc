/**
 * The HTTP server: puts the routes, the guard, the streams and the page on one port.
 *
 * A request passes, in this order: host and origin, credential, size as announced, body as bytes,
 * body as JSON, fields. Nothing of the body is read before the credential was good. Every refusal is
 * a fault of the one table, as JSON.
 */
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { AddressInfo, Socket } from "node:net";
import { BrokenInvariant } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { RandomBytes } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import { Fault } from "../model/faults.ts";
import type { Proxy } from "../providers/proxy.ts";
import type { OutsideTools } from "../trees/outside-tools.ts";
import { Credentials, PAGE_SECONDS_MAX, type Pass } from "./credentials.ts";
import { feedStart, makeEventWriter } from "./event-feed.ts";
import { serveEventStream } from "./event-stream.ts";
import { faultOf, logDefect, shownFault } from "./fault-answer.ts";
import { GuessLimit } from "./guess-limit.ts";
import { Guard, PAGE_COOKIE, pageIdIn, type Knock } from "./guard.ts";
import { serveHooks } from "./hook-route.ts";
import { LateRequests, type ArrivalLimits } from "./late-requests.ts";
import { makeMetrics, METRICS_TYPE } from "./metrics.ts";
import { OpenConnections } from "./open-connections.ts";
import { openApiDocument } from "./openapi.ts";
import { serveMcp } from "./mcp/door.ts";
import { serveOpenAi } from "./openai/doors.ts";
import { makePage } from "./page.ts";
import { errorBody, errorShapeOf } from "./provider-errors.ts";
import { serveProxy } from "./proxy-door.ts";
import { ownUrl, Places } from "./places.ts";
import { bad, readFields, readJson } from "./read-body.ts";
import { BODY_BYTES_MAX, readRequest, type Call, type Route, type RouteDeps } from "./route.ts";
import { EVENTS_QUERY, LOGIN_BODY, routeTable, SPECIAL_ROUTES, type SpecialRoute } from "./route-table.ts";
import { FRAME_BYTES_MAX, serveSocket } from "./socket.ts";
import { acceptUpgrades, type Upgrades } from "./upgrades.ts";
import type { LoginAnswer } from "./wire.ts";

export interface ApiDeps extends RouteDeps {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  /** Passes model calls of other programs on. */
  readonly proxy: Proxy;
  /** The session tools, for callers at `/mcp`. */
  readonly outsideTools: OutsideTools;
  /** The built dashboard; null = there is none. */
  readonly pageDir: string | null;
  /** How long requests may take to arrive; for tests, who cannot wait so long. */
  readonly arrival?: ArrivalLimits;
  /** The token as it is now; asked for at every use. */
  token(): string;
}

export interface ApiServer {
  /** @returns where programs on this machine reach it. @throws {Fault} PORT_TAKEN */
  listen(at: { host: string; port: number }): Promise<{ readonly url: string; readonly port: number }>;
  /** Ends streams and sockets, lets running requests end, and stops listening. Safe to call twice. */
  close(): Promise<void>;
}

const PATH_PARAM_LENGTH_MAX = 1_000;
const HEADER_BYTES_MAX = 16_384;
const ARRIVAL: ArrivalLimits = { headMs: 10_000, wholeMs: 60_000, checkMs: 5_000 };
/** A refused body that was announced longer than this is not read to its end. */
const DRAIN_BYTES_MAX = 67_108_864;
/** Connections of any kind. */
const SOCKETS_MAX = 10_000;
/** How long requests that run may go on after `close`, and how often connections that fell idle are closed. */
const CLOSE_WITHIN_MS = 3_000;
const SWEEP_EVERY_MS = 50;

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": "default-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

declare module "fastify" {
  interface FastifyContextConfig {
    /** True when the route answers without the token. Absent = it does not. */
    open?: boolean;
  }
  interface FastifyRequest {
    /** What it was let in with; null only on open routes. */
    pass: Pass | null;
  }
}

export function makeApi(deps: ApiDeps): ApiServer {
  const places = new Places(deps.settings);
  const credentials = new Credentials(deps.token, deps.clock, deps.random);
  const guard = new Guard(places, credentials, new GuessLimit(deps.clock));
  const connections = new OpenConnections(deps.clock);
  const metrics = makeMetrics({ ...deps, connections });
  const stopping = new AbortController();
  const routes = routeTable(deps);
  const app = makeServer(deps.log, deps.clock, deps.arrival ?? ARRIVAL);
  const sockets = socketsOf(app);
  let closed: Promise<void> | null = null;

  const upgrades = acceptUpgrades(app, { frameBytesMax: FRAME_BYTES_MAX, refuse: (socket) => answerBrokenRequest(null, socket as Socket) });
  letIn(app, { guard, stopping: stopping.signal });
  app.register(async (inside) => {
    for (const route of routes) serveRoute(inside, route, stopping.signal);
    serveProxy(inside, { ...deps, wrongGuess: (address) => guard.wrongGuess(address), untilGone: (reply) => callOf(reply, stopping.signal).untilGone(), headers: SECURITY_HEADERS });
    serveMcp(inside, { ...deps, checkToken: (secret, address) => void guard.passOfToken(secret, address), wrongGuess: (address) => guard.wrongGuess(address), untilGone: (reply) => callOf(reply, stopping.signal).untilGone() });
    serveOpenAi(inside, { ...deps, untilGone: (reply) => callOf(reply, stopping.signal).untilGone(), headers: SECURITY_HEADERS });
    if (deps.hooks !== undefined) serveHooks(inside, deps.hooks);
    serveSpecial(inside, { deps, routes, guard, credentials, connections, upgrades, readMetrics: () => metrics.read() });
  });

  return {
    async listen({ host, port }) {
      try {
        await app.listen({ host, port });
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === "EADDRINUSE") throw new Fault("PORT_TAKEN", { host, port }, { cause });
        throw cause;
      }
      const bound = (app.server.address() as AddressInfo).port;
      places.listensOn(host, bound);
      return { url: ownUrl(host, bound), port: bound };
    },
    close() {
      closed ??= close();
      return closed;
    },
  };

  async function close(): Promise<void> {
    stopping.abort(new Fault("DRAINING", {}));
    metrics.stop();
    connections.closeAll();
    const stopSweeping = sweepConnections(app, deps.clock, sockets);
    try {
      await app.close();
    } finally {
      stopSweeping();
    }
  }
}

// ── the server itself ───────────────────────────────────────────────────────────────────────

function makeServer(log: Log, clock: Clock, arrival: ArrivalLimits): FastifyInstance {
  const app: FastifyInstance = fastify({
    logger: false,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    forceCloseConnections: "idle",
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: arrival.wholeMs,
    routerOptions: { maxParamLength: PATH_PARAM_LENGTH_MAX },
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    http: { headersTimeout: arrival.headMs, connectionsCheckingInterval: arrival.checkMs, maxHeaderSize: HEADER_BYTES_MAX },
    frameworkErrors: (error, request, reply) => sendFault(log, error, request as FastifyRequest, reply as unknown as FastifyReply),
    clientErrorHandler(error, socket) {
      if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") late.judge(socket, () => answerBrokenRequest(error, socket));
      else answerBrokenRequest(error, socket);
    },
  });
  const late = new LateRequests(app.server, clock, arrival);
  app.server.maxConnections = SOCKETS_MAX;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, bytes, done) => {
    try {
      done(null, readJson(bytes as Buffer, "body"));
    } catch (thrown) {
      done(thrown as Error);
    }
  });
  // Anything else could come from a form of a foreign page; only nothing at all is taken.
  app.addContentTypeParser("*", { parseAs: "buffer" }, (request, bytes, done) => {
    if (bytes.length === 0) done(null, undefined);
    else done(bad("header content-type", `must be application/json, not ${(request.headers["content-type"] ?? "nothing").slice(0, 80)}`));
  });
  app.setErrorHandler((error, request, reply) => sendFault(log, error, request, reply));
  app.setNotFoundHandler((request) => {
    throw noRoute(request);
  });
  return app;
}

/** Fields are read by read-body.ts; the library's own compilers are not even loaded, which halves its start. */
function noSchemas(): never {
  throw new BrokenInvariant("a route has a schema, and nothing here compiles one");
}

/** All open sockets: for Node a connection that never asked anything is not idle, and browsers open such ones in advance. */
function socketsOf(app: FastifyInstance): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  app.server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return sockets;
}

/** Closes connections as they fall idle, and after a while all of them. @returns ends it. */
function sweepConnections(app: FastifyInstance, clock: Clock, sockets: ReadonlySet<Socket>): () => void {
  const until = clock.monotonic() + CLOSE_WITHIN_MS;
  let disarm = clock.after(SWEEP_EVERY_MS, sweep);
  return () => disarm();

  function sweep(): void {
    if (clock.monotonic() >= until) return app.server.closeAllConnections();
    app.server.closeIdleConnections();
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
    disarm = clock.after(SWEEP_EVERY_MS, sweep);
  }
}

/** Decides before anything of the body is read. */
function letIn(app: FastifyInstance, { guard, stopping }: { guard: Guard; stopping: AbortSignal }): void {
  app.decorateRequest("pass", null);
  app.addHook("onRequest", async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    const { open = false } = request.routeOptions.config;
    const knock = knockOf(request);
    guard.checkPlace(knock);
    if (knock.socket) request.pass = guard.passIfShown(knock);
    else if (!open) request.pass = guard.passOf(knock);
    checkSize(request);
    if (stopping.aborted) throw new Fault("DRAINING", {});
  });
}

function knockOf(request: FastifyRequest): Knock {
  return { method: request.method, headers: request.headers, address: request.ip, socket: request.routeOptions.url === SPECIAL_ROUTES.socket.path };
}

/** Refuses by the announced size. */
function checkSize(request: FastifyRequest): void {
  const bytes = announcedBytes(request);
  const bytesMax = request.routeOptions.bodyLimit ?? BODY_BYTES_MAX;
  if (bytes > bytesMax) throw new Fault("BODY_TOO_LARGE", { bytes, bytesMax });
}

function announcedBytes(request: FastifyRequest): number {
  return Number(request.headers["content-length"] ?? 0);
}

function noRoute(request: FastifyRequest): Fault {
  return new Fault("ROUTE_NOT_FOUND", { route: `${request.method} ${request.url.split("?", 1)[0]!.slice(0, 200)}` });
}

function sendFault(log: Log, thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const fault = faultOf(thrown, request.routeOptions.bodyLimit ?? BODY_BYTES_MAX);
  logDefect(log, fault, `${request.method} ${request.routeOptions.url ?? "?"}`);
  if (fault.retryAfterMs !== undefined) reply.header("retry-after", Math.ceil(fault.retryAfterMs / 1000));
  // What is left of a body is read and dropped, so that the caller gets to read this answer: a
  // connection closed over unread bytes is reset. Only what would take too long is cut off.
  // One that asked for a socket is closed by Node in any case.
  if (announcedBytes(request) > DRAIN_BYTES_MAX || request.headers.upgrade !== undefined) reply.header("connection", "close");
  else reply.removeHeader("connection");
  if (fault.code === "UNAUTHORIZED") reply.header("www-authenticate", "Bearer");
  const shape = errorShapeOf(request.url);
  reply.code(fault.httpStatus).send(shape === null ? shownFault(fault) : errorBody(shape, fault));
}

/** For what is no HTTP at all, or too slow or too long in the head: there is no request to answer yet. */
function answerBrokenRequest(error: NodeJS.ErrnoException | null, socket: Socket): void {
  if (error?.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const fault = error?.code === "ERR_HTTP_REQUEST_TIMEOUT" ? new Fault("REQUEST_LATE", {}) : bad("request", error?.code === "HPE_HEADER_OVERFLOW" ? `the head is over ${HEADER_BYTES_MAX} bytes` : "is not HTTP");
  const body = JSON.stringify(shownFault(fault));
  socket.end(`HTTP/1.1 ${fault.httpStatus} ${fault.httpStatus === 408 ? "Request Timeout" : "Bad Request"}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
}

// ── routes ──────────────────────────────────────────────────────────────────────────────────

function serveRoute(app: FastifyInstance, route: Route, stopping: AbortSignal): void {
  app.route({
    method: route.method,
    url: route.path,
    bodyLimit: route.bodyBytesMax,
    async handler(request, reply) {
      const input = readRequest(route, { path: request.params, query: request.query, body: request.body });
      const { status, body } = await route.run(input, callOf(reply, stopping));
      return reply.code(status).send(body);
    },
  });
}

function callOf(reply: FastifyReply, stopping: AbortSignal): Call {
  const key = reply.request.headers["idempotency-key"];
  return {
    idempotencyKey: typeof key === "string" && key !== "" ? key : null,
    untilGone() {
      const gone = new AbortController();
      reply.raw.once("close", () => gone.abort(new Fault("WRONG_USE", { problem: "the caller closed its connection" })));
      return AbortSignal.any([gone.signal, stopping]);
    },
  };
}

interface SpecialParts {
  readonly deps: ApiDeps;
  readonly routes: readonly Route[];
  readonly guard: Guard;
  readonly credentials: Credentials;
  readonly connections: OpenConnections;
  readonly upgrades: Upgrades;
  readMetrics(): Promise<string>;
}

function serveSpecial(app: FastifyInstance, { deps, routes, guard, credentials, connections, upgrades, readMetrics }: SpecialParts): void {
  const jsonOf = makeEventWriter();
  const methods = new Map(routes.map((route) => [route.rpc, route]));
  const page = makePage(deps.pageDir);
  const at = ({ method, path, open }: SpecialRoute) => ({ method, url: path, config: { open } });

  app.route({
    ...at(SPECIAL_ROUTES.events),
    async handler(request, reply) {
      const query = readFields(EVENTS_QUERY, request.query, "query");
      const lastEventId = request.headers["last-event-id"];
      const from = await feedStart(deps, query.session, typeof lastEventId === "string" ? lastEventId : query.after, typeof lastEventId === "string" ? "header last-event-id" : "query.after");
      connections.checkRoom(false);
      const pass = request.pass!;
      reply.hijack();
      serveEventStream({ clock: deps.clock, sessions: deps.sessions, connections, jsonOf }, from, reply.raw, SECURITY_HEADERS, () => guard.isGood(pass));
    },
  });

  app.route({
    ...at(SPECIAL_ROUTES.socket),
    async handler(request, reply) {
      if (!upgrades.wants(request)) throw bad("request", "this address speaks WebSocket only; ask with an upgrade");
      const upgrade = await upgrades.load();
      connections.checkRoom(request.pass === null);
      const { ip, pass } = request;
      const passOfToken = (token: string): Pass => guard.passOfToken(token, ip);
      reply.hijack();
      upgrade(request, (socket) => serveSocket({ ...deps, connections, methods, jsonOf, passOfToken, isGood: (one) => guard.isGood(one) }, socket, pass));
    },
  });

  app.route({
    ...at(SPECIAL_ROUTES.login),
    async handler(request, reply): Promise<LoginAnswer> {
      const { token } = readFields(LOGIN_BODY, request.body, "body");
      guard.passOfToken(token, request.ip);
      const pageId = credentials.openPage();
      reply.header("set-cookie", `${PAGE_COOKIE}=${pageId}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${PAGE_SECONDS_MAX}`);
      return { loggedIn: true };
    },
  });
  app.route({
    ...at(SPECIAL_ROUTES.logout),
    async handler(request, reply): Promise<LoginAnswer> {
      const pageId = pageIdIn(request.headers.cookie);
      if (pageId !== null) credentials.closePage(pageId);
      reply.header("set-cookie", `${PAGE_COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0`);
      return { loggedIn: false };
    },
  });

  app.route({
    ...at(SPECIAL_ROUTES.openapi),
    async handler() {
      const { WIRE_SCHEMAS } = await import("./wire-schemas.ts"); // large, and seldom asked for
      return openApiDocument(routes, Object.values(SPECIAL_ROUTES), WIRE_SCHEMAS, deps.status().version);
    },
  });
  app.route({
    ...at(SPECIAL_ROUTES.metrics),
    handler: async (_request, reply) => reply.type(METRICS_TYPE).send(await readMetrics()),
  });
  app.route({
    ...at(SPECIAL_ROUTES.alive),
    handler: async () => "ok",
  });
  app.route({
    ...at(SPECIAL_ROUTES.ready),
    async handler() {
      if (deps.sessions.refusal !== null) throw deps.sessions.refusal;
      return "ok";
    },
  });

  app.route({
    ...at(SPECIAL_ROUTES.page),
    async handler(request, reply) {
      const file = await page(request.url.split("?", 1)[0]!);
      if (file === null) throw noRoute(request);
      reply.headers({ etag: file.etag, "cache-control": file.cacheControl });
      if (request.headers["if-none-match"] === file.etag) return reply.code(304).send();
      return reply.type(file.type).send(file.bytes);
    },
  });
}
