/**
 * Every route, in one place.
 *
 * `routeTable` holds those that take fields and give one answer; each is a method on the socket too.
 * `SPECIAL_ROUTES` are the few that do not fit that mould: streams, the page, what machines probe.
 */
import { may, must, sessionKey, text, word, type Fields } from "./read-body.ts";
import type { Method, Route, RouteDeps } from "./route.ts";
import { approvalRoutes } from "./routes/approvals.ts";
import { gatewayRoutes } from "./routes/gateway.ts";
import { healthRoutes } from "./routes/health.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { mcpRoutes } from "./routes/mcp.ts";
import { harnessRoutes } from "./routes/harnesses.ts";
import { messageRoutes } from "./routes/messages.ts";
import { planRoutes } from "./routes/plans.ts";
import { sessionRoutes } from "./routes/sessions.ts";
import { simulateRoutes } from "./routes/simulate.ts";
import { spawnRoutes } from "./routes/spawns.ts";
import { stateRoutes } from "./routes/state.ts";
import { taskRoutes } from "./routes/tasks.ts";
import { tokenRoutes } from "./routes/tokens.ts";
import { usageRoutes } from "./routes/usage.ts";
import { workspaceRoutes } from "./routes/workspaces.ts";

export function routeTable(deps: RouteDeps): readonly Route[] {
  return [
    ...messageRoutes(deps),
    ...sessionRoutes(deps),
    ...spawnRoutes(deps),
    ...taskRoutes(deps),
    ...jobRoutes(deps),
    ...healthRoutes(deps),
    ...approvalRoutes(deps),
    ...harnessRoutes(deps),
    ...gatewayRoutes(deps),
    ...usageRoutes(deps),
    ...stateRoutes(deps),
    ...simulateRoutes(deps),
    ...tokenRoutes(deps),
    ...workspaceRoutes(deps),
    ...mcpRoutes(deps),
    ...planRoutes(deps),
  ];
}

export interface SpecialRoute {
  readonly method: Method;
  readonly path: string;
  /** True when it answers without the token. */
  readonly open: boolean;
  readonly doc: string;
  readonly query?: Fields;
  readonly body?: Fields;
  /** What a good answer is; `shape` is a name in wire.ts, for a stream that of each event. Absent = another program's shape, or none. */
  readonly answer?: { readonly type: string; readonly shape?: string };
}

const JSON_TYPE = "application/json";
const TOKEN_LENGTH_MAX = 1_000;

export const EVENTS_QUERY = {
  session: may(sessionKey(), "Only events of this session."),
  after: may(text({ max: 20 }), "The number after which to begin, or now."),
};
export const LOGIN_BODY = { token: must(word({ max: TOKEN_LENGTH_MAX }), "The gateway's token.") };

export const SPECIAL_ROUTES = {
  events: { method: "GET", path: "/api/events", open: false, doc: "Server-sent events of one session or of all: ?session=K&after=SEQ (0 = from the start, now = only new ones), resumable by Last-Event-ID.", query: EVENTS_QUERY, answer: { type: "text/event-stream", shape: "ApiEvent" } },
  socket: { method: "GET", path: "/api/socket", open: true, doc: "WebSocket, JSON-RPC 2.0: every route as a method, and event subscriptions. Asks for the token itself: bearer header, the page's cookie, or a first call auth {token}." },
  hook: { method: "POST", path: "/api/hooks/:name", open: true, doc: "A webhook in, as hooks.list sets it up: signed with its own secret, any body; it becomes a message." },
  login: { method: "POST", path: "/api/login", open: true, doc: "{token}: sets the page's cookie.", body: LOGIN_BODY, answer: { type: JSON_TYPE, shape: "LoginAnswer" } },
  logout: { method: "DELETE", path: "/api/login", open: false, doc: "Ends the page's login.", answer: { type: JSON_TYPE, shape: "LoginAnswer" } },
  openapi: { method: "GET", path: "/api/openapi.json", open: false, doc: "This document." },
  metrics: { method: "GET", path: "/metrics", open: false, doc: "Figures in Prometheus' text format.", answer: { type: "text/plain" } },
  alive: { method: "GET", path: "/healthz", open: true, doc: "ok while the process serves.", answer: { type: "text/plain" } },
  ready: { method: "GET", path: "/readyz", open: true, doc: "ok while new work is taken; 503 while the gateway shuts down.", answer: { type: "text/plain" } },
  chat: { method: "POST", path: "/v1/chat/completions", open: false, doc: "OpenAI's Chat Completions: `model` names an agent, or `agent/model`. See docs/guides/openai-api.md." },
  responses: { method: "POST", path: "/v1/responses", open: false, doc: "OpenAI's Responses, likewise." },
  proxyAnthropic: { method: "POST", path: "/proxy/anthropic/*", open: false, doc: "Anthropic's API by way of the gateway: asks for a proxy token in x-api-key or as a bearer, and puts the provider's own key in its place." },
  proxyOpenai: { method: "POST", path: "/proxy/openai/*", open: false, doc: "OpenAI's API likewise: the proxy token as a bearer." },
  proxyGoogle: { method: "POST", path: "/proxy/google/*", open: false, doc: "Google's API likewise: the proxy token in x-goog-api-key." },
  mcp: { method: "POST", path: "/mcp", open: false, doc: "The session tools as a Model Context Protocol server (streamable HTTP, JSON answers): the gateway's token, or one of scope mcp, which acts as its session. See docs/guides/mcp.md." },
  page: { method: "GET", path: "/*", open: true, doc: "The dashboard's files." },
} as const satisfies Record<string, SpecialRoute>;
