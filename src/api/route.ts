/**
 * A route as data: HTTP, the socket, the OpenAPI document and the tests all read the same entry, so
 * there is no second way to do a thing.
 */
import type { JsonObject } from "../base/json.ts";
import type { ModelClient } from "../model/chat.ts";
import type { HarnessWait } from "../model/harness.ts";
import type { ServerView } from "../model/tool-server.ts";
import type { TokenMint } from "../sessions/scoped-tokens.ts";
import type { ProviderLanes } from "../model/parking.ts";
import type { HarnessReport } from "../model/harness-report.ts";
import type { Plans } from "../plans/plans.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Backup, StoreFiles } from "../store/store-files.ts";
import type { LanesView, Store } from "../store/store.ts";
import type { Hooks } from "../timers/hooks.ts";
import type { Jobs } from "../timers/jobs.ts";
import type { Upkeep } from "../timers/upkeep.ts";
import type { Courier } from "../trees/courier.ts";
import type { ModelRating } from "../trees/delegation-probes.ts";
import type { Merges } from "../merges/merges.ts";
import type { Trees } from "../trees/trees.ts";
import type { Workspaces } from "../workspaces/workspaces.ts";
import type { ConfigAccess } from "./config-access.ts";
import { asObject, readFields, type Fields, type Values } from "./read-body.ts";
import type { SimulationReport, StatusAnswer } from "./wire.ts";

/** Body of an ordinary request, and of any that is not yet authorised, in bytes. */
export const BODY_BYTES_MAX = 65_536;

/** Body of a request that carries a long text: the largest message, with every second character escaped, and some room. */
export const TEXT_BODY_BYTES_MAX = 2_200_000;

/** What routes work with. */
export interface RouteDeps {
  readonly store: Store;
  readonly sessions: Sessions;
  readonly trees: Trees;
  /** Worktrees and the line in which they land; absent = there are no such routes. */
  readonly workspaces?: Workspaces;
  readonly merges?: Merges;
  /** Absent = there are no such routes. */
  readonly jobs?: Jobs;
  readonly upkeep?: Upkeep;
  readonly hooks?: Pick<Hooks, "call">;
  readonly models: ModelClient;
  readonly courier: Pick<Courier, "resend">;
  /** Measures how well a model delegates. @throws {Fault} MODEL_UNKNOWN, PROVIDER_*; the signal's reason. */
  readonly rateModel: (model: string, signal: AbortSignal) => Promise<ModelRating>;
  readonly nowMs: () => number;
  readonly tokens: TokenMint;
  readonly config: ConfigAccess;
  /** Absent = there are no such routes. */
  readonly plans?: Plans;
  /** Lanes and pools with estimates. */
  lanes(): Promise<LanesView>;
  /** What waits for providers, and how each of their accounts stands. */
  providerLanes(): ProviderLanes;
  /** Starts of coding agents that wait for memory. */
  harnessWaits(): readonly HarnessWait[];
  status(): StatusAnswer;
  /** What a person may type after a slash. */
  commands(): readonly { readonly name: string; readonly usage: string; readonly doc: string }[];
  /** The tool servers that are set up, by name. */
  toolServers(): readonly ServerView[];
  /** The database as a whole; absent = there are no such routes. */
  readonly files?: Pick<StoreFiles, "check" | "backups"> & { backup(): Promise<Backup> };
  /** What is known of coding agents on this machine; absent = there are no such routes. */
  readonly harnessReport?: () => HarnessReport;
  /** The same, after trying what can be tried. */
  readonly harnessDoctor?: () => Promise<HarnessReport>;
  /**
   * Answers how long people would wait, off this thread; absent = there is no such route.
   * @throws {Fault} BAD_REQUEST, SIMULATION_BUSY, SIMULATION_TOO_LONG; the signal's reason.
   */
  readonly simulate?: (options: JsonObject, signal: AbortSignal) => Promise<SimulationReport>;
}

/** The channel of messages that name none. */
export const API_CHANNEL = "api";

/** Who is recorded as having asked: whoever holds the token. */
export const CALLER = "operator";

/** The request that is being answered, whatever way it came. */
export interface Call {
  /** Aborts when the caller has gone or the gateway stops; made when first asked for. */
  untilGone(): AbortSignal;
  /** What the header `Idempotency-Key` says; null without one, and on the socket. */
  readonly idempotencyKey: string | null;
}

export interface Answer {
  readonly status: 200 | 202;
  readonly body: object;
}

export function ok<Body extends object>(body: Body): Answer {
  return { status: 200, body };
}

/** The work was taken on and goes on after the answer. */
export function accepted<Body extends object>(body: Body): Answer {
  return { status: 202, body };
}

export type Method = "GET" | "POST" | "PATCH" | "DELETE";

export interface Route {
  readonly method: Method;
  /** Names after a colon are the fields of `path`. */
  readonly path: string;
  /** The method's name on the socket. */
  readonly rpc: string;
  readonly doc: string;
  /** Name of the answer's shape in wire.ts. */
  readonly answer: string;
  readonly fields: { readonly path: Fields; readonly query: Fields; readonly body: Fields };
  /** The whole body, an object with any keys, is this one field; `fields.body` is empty then. */
  readonly wholeBody: string | null;
  readonly bodyBytesMax: number;
  run(input: Readonly<Record<string, unknown>>, call: Call): Promise<Answer>;
}

interface RouteEntry<P extends Fields, Q extends Fields, B extends Fields> {
  readonly method: Method;
  readonly path: string;
  readonly rpc: string;
  readonly doc: string;
  readonly answer: string;
  readonly inPath?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly bodyBytesMax?: number;
  run(input: Values<P> & Values<Q> & Values<B>, call: Call): Promise<Answer>;
}

/** Makes a route; the fields give `run` the type of its input. */
export function route<P extends Fields = {}, Q extends Fields = {}, B extends Fields = {}>(entry: RouteEntry<P, Q, B>): Route {
  return {
    method: entry.method,
    path: entry.path,
    rpc: entry.rpc,
    doc: entry.doc,
    answer: entry.answer,
    fields: { path: entry.inPath ?? {}, query: entry.query ?? {}, body: entry.body ?? {} },
    wholeBody: null,
    bodyBytesMax: entry.bodyBytesMax ?? BODY_BYTES_MAX,
    run: (input, call) => entry.run(input as Values<P> & Values<Q> & Values<B>, call),
  };
}

/** Reads the parts of an HTTP request. @throws {Fault} BAD_REQUEST, INVALID_UTF8 */
export function readRequest(target: Route, request: { path: unknown; query: unknown; body: unknown }): Readonly<Record<string, unknown>> {
  return {
    ...readFields(target.fields.path, request.path, "path"),
    ...readFields(target.fields.query, request.query, "query"),
    ...readBody(target, request.body, "body"),
  };
}

/** Reads the parameters of a call on the socket: path, query and body in one object. @throws {Fault} as {@link readRequest} */
export function readParams(target: Route, params: unknown): Readonly<Record<string, unknown>> {
  if (target.wholeBody !== null) return readBody(target, params, "params");
  return readFields({ ...target.fields.path, ...target.fields.query, ...target.fields.body }, params, "params");
}

function readBody(target: Route, body: unknown, where: string): Readonly<Record<string, unknown>> {
  if (target.wholeBody === null) return readFields(target.fields.body, body, where);
  return { [target.wholeBody]: asObject(body, where) };
}
