/** For tests of the API: a yard that keeps everything in a few maps, and a client that speaks to it. */
import { ManualClock } from "../base/clock.ts";
import { seededRandom, type FlowId, type MessageId, type SessionKey, type TaskId, type TurnId } from "../base/ids.ts";
import { silentLog, type Log } from "../base/log.ts";
import type { Setting, Settings } from "../base/setting.ts";
import type { AccessToken, NewAccessToken } from "../model/access-token.ts";
import type { Approval } from "../model/approval.ts";
import { NO_USAGE, type ModelClient } from "../model/chat.ts";
import type { LiveFrame, YardEvent } from "../model/event.ts";
import { Fault } from "../model/faults.ts";
import { parseSessionKey } from "../model/session.ts";
import type { NewSpawn, Task } from "../model/task.ts";
import type { Entry } from "../model/turn.ts";
import { makeTokenMint } from "../sessions/scoped-tokens.ts";
import type { Incoming, Sessions, Watcher } from "../sessions/sessions.ts";
import type { Cancelled, Health, SessionRow, Store } from "../store/store.ts";
import type { Trees } from "../trees/trees.ts";
import { makeApi, type ApiDeps, type ApiServer } from "./server.ts";

export const TOKEN = "t".repeat(43);
export const MAIN = "agent:main:main" as SessionKey;
export const TASK = "task_1" as TaskId;
export const FLOW = "flow_1" as FlowId;

const NOTHING: Cancelled = { turns: [], tasks: [], messages: 0 };
const NO_SPREAD = { count: 0, p50: 0, p90: 0, p99: 0, max: 0 };
const NO_HEALTH: Health = { announceMs: NO_SPREAD, spawnWaitMs: NO_SPREAD, undelivered: 0, oldestUndeliveredMs: 0, deliveries: {}, deliveryRetries: 0, taskRetries: 0, denials: [] };
const NO_REPORT = { value: "all", startedAt: null, total: 0, active: 0, succeeded: 0, failed: 0, cancelled: 0, completion: null, failedTasks: [] };
const POOL_ROW = { name: "main", size: 4, used: 1, waiting: 0 } as const;

interface Follower {
  readonly session: SessionKey | null;
  readonly watcher: Watcher;
}

export class FakeYard {
  readonly clock = new ManualClock();
  readonly rows = new Map<SessionKey, SessionRow>();
  readonly events: YardEvent[] = [];
  readonly entries: Entry[] = [];
  readonly received: Incoming[] = [];
  readonly spawned: NewSpawn[] = [];
  readonly changed: unknown[] = [];
  readonly asked: { verb: string; input: unknown }[] = [];
  readonly logged: { event: string; fields: unknown }[] = [];
  readonly settingsSet = new Map<string, unknown>();
  readonly followers = new Set<Follower>();
  token = TOKEN;
  draining = false;
  pageDir: string | null = null;
  /** What `waitFor` answers with; set by a test that waits. */
  waiting: (signal: AbortSignal | undefined) => Promise<Task> = async () => this.task;
  /** Thrown by `accept` when set. */
  refusal: Error | null = null;

  constructor() {
    this.open(MAIN);
  }

  get task(): Task {
    return {
      taskId: TASK, flowId: FLOW, label: "one", task: "do it", kind: "subagent", state: "succeeded", parentSession: MAIN, parentTask: null,
      session: "agent:main:subagent:abc" as SessionKey, agent: "main", model: null, depth: 1, delivery: "digest", queuedAt: 1, startedAt: 2, endedAt: 3,
      deadlineAt: null, result: "done", fault: null, usage: NO_USAGE, claims: [], budget: null, output: null, attempt: 1, attemptLast: 1, onEnd: "wait", category: null, batch: null, aliveAt: null, deliveredAt: 4,
    };
  }

  readonly token1: AccessToken = { id: "tok_1", scope: "proxy", label: null, session: null, createdAt: 1, expiresAt: null, revokedAt: null, budgeted: false, usage: NO_USAGE };

  get approval(): Approval {
    return {
      id: "A1", askKey: "k", session: "agent:claude:acp:x" as SessionKey, place: MAIN, turnId: null, holder: "claude", tool: "Bash", what: "npm test", path: null, input: { command: "npm test" }, hash: "h", cwd: "/work",
      state: "pending", askedAt: 1, expiresAt: 9, endedAt: null, by: null, standing: false,
    };
  }

  open(key: SessionKey): SessionRow {
    const { kind, agent } = parseSessionKey(key).parts;
    const row: SessionRow = {
      key, kind, agent, label: null, parent: null, taskId: null, model: null, queueMode: null, cwd: null, depth: 0, lineage: [], state: "idle",
      createdAt: this.clock.now(), lastAt: this.clock.now(), lastSeq: 0, lastEntry: 0, waitingMessages: 0, usage: NO_USAGE,
    };
    this.rows.set(key, row);
    return row;
  }

  /** Writes an event and tells those who follow. */
  happen(session: SessionKey, data: YardEvent["data"] = {}): YardEvent {
    const row = this.rows.get(session)!;
    const event: YardEvent = { seq: row.lastSeq + 1, session, at: this.clock.now(), type: "notice", data, cursor: this.events.length + 1 };
    this.rows.set(session, { ...row, lastSeq: event.seq });
    this.events.push(event);
    for (const { session: followed, watcher } of [...this.followers]) if (followed === null || followed === session) watcher.onEvent(event);
    return event;
  }

  show(session: SessionKey, text: string): void {
    const frame: LiveFrame = { session, at: this.clock.now(), type: "text.delta", turnId: "turn_1" as TurnId, data: { text } };
    for (const { session: followed, watcher } of this.followers) if (followed === null || followed === session) watcher.onFrame?.(frame);
  }

  /** Those who follow a session are told that events up to a number are gone. */
  forget(session: SessionKey, upTo: number): void {
    for (const { session: followed, watcher } of this.followers) if (followed === session) watcher.onResync?.({ session, at: this.clock.now(), type: "resync", data: { after: 0, upTo } });
  }

  readonly sessions: Sessions = bindDraining(this, {
    accept: async (incoming: Incoming) => {
      if (this.refusal !== null) throw this.refusal;
      this.received.push(incoming);
      if (!this.rows.has(incoming.session)) this.open(incoming.session);
      return { messageId: `msg_${this.received.length}` as MessageId, session: incoming.session, queuedAhead: 0, etaMs: 0, duplicate: false, commandReply: incoming.text === "/help" ? "help" : null };
    },
    watch: ({ session, after }: { session: SessionKey | null; after: number }, watcher: Watcher) => {
      const follower = { session, watcher };
      this.followers.add(follower);
      for (const event of this.events) {
        if (!this.followers.has(follower)) break;
        if (session === null ? event.cursor > after : event.session === session && event.seq > after) watcher.onEvent(event);
      }
      return () => this.followers.delete(follower);
    },
    cancel: async (key: SessionKey, options: unknown) => this.#did("cancel", { ...this.#row(key), options }),
    cancelTurn: async (key: SessionKey, handle: string) => this.#did("cancelTurn", { ...this.#row(key), handle }),
    promote: async (key: SessionKey) => {
      this.#row(key);
      return { outcome: "promoted", turn: { turnId: "turn_1" as TurnId, session: key, handle: "T7" } } as const;
    },
    compact: async (key: SessionKey) => {
      this.#row(key);
      return 3;
    },
    reset: async (key: SessionKey) => void this.#row(key),
    remove: async (key: SessionKey) => this.#did("remove", this.#row(key)),
    drain: () => void (this.draining = true),
  });

  readonly store = {
    session: async (key: SessionKey) => this.rows.get(key) ?? null,
    openSession: async (key: SessionKey) => this.rows.get(key) ?? this.open(key),
    sessions: async (query: unknown) => {
      this.asked.push({ verb: "sessions", input: query });
      return { rows: [...this.rows.values()], next: null };
    },
    patchSession: async ({ key, patch }: { key: SessionKey; patch: object }) => {
      const row = this.rows.get(key);
      if (row === undefined) return null;
      this.rows.set(key, { ...row, ...patch });
      return this.rows.get(key)!;
    },
    history: async (input: { key: SessionKey; limit: number }) => {
      this.asked.push({ verb: "history", input });
      return this.rows.has(input.key) ? { entries: this.entries.slice(-input.limit), next: null } : null;
    },
    lastCursor: async () => this.events.length,
    tasks: async (query: unknown) => {
      this.asked.push({ verb: "tasks", input: query });
      return { tasks: [this.task], next: "more" };
    },
    attempts: async () => [],
    task: async (id: TaskId) => (id === TASK ? this.task : null),
    flow: async (id: FlowId) => (id === FLOW ? { flow: this.#flow(), tasks: [{ ...this.task, waitsFor: null }] } : null),
    flows: async () => ({ flows: [this.#flow()], next: null }),
    approvals: async () => ({ approvals: [this.approval], next: null }),
    approval: async (id: string) => (id === this.approval.id ? this.approval : null),
    answerApproval: async (input: unknown) => {
      this.asked.push({ verb: "answerApproval", input });
      return { ...this.approval, state: "approved", by: "operator", endedAt: 2 };
    },
    addAccessToken: async ({ hash: _hash, ...token }: NewAccessToken) => ({ ...token, ...this.token1 }),
    accessTokens: async () => [this.token1],
    revokeAccessToken: async (id: string) => (id === this.token1.id ? { ...this.token1, revokedAt: 2 } : null),
    totals: async () => ({ sessions: this.rows.size }),
    health: async () => NO_HEALTH,
    missed: async (session: SessionKey) => (this.rows.has(session) ? { seenSeq: 0, seenAt: null, events: [] } : null),
    markSeen: async ({ session }: { session: SessionKey }) => this.rows.has(session),
    board: async () => [{ name: "done", total: 1, isMore: false, tasks: [this.task] }],
    plans: async () => ({ plans: [], next: null }),
    report: async ({ since }: { since: number }) => ({ since, total: NO_REPORT, batches: [], flows: [], jobs: [], days: [], health: NO_HEALTH }),
    deliveries: async () => ({ deliveries: [], next: null }),
    usage: async () => ({ rows: [{ name: "test/m", usage: { ...NO_USAGE, input: 10, output: 2, calls: 1, unpriced: 1 } }], total: { ...NO_USAGE, input: 10, output: 2, calls: 1, unpriced: 1 }, more: false }),
  } as unknown as Store;

  readonly trees: Trees = {
    spawn: async (spawn) => {
      this.spawned.push(spawn);
      return { task: this.task, created: true };
    },
    spawnAll: async (spawns) => {
      this.spawned.push(...spawns);
      return spawns.map(() => ({ task: { ...this.task, batch: "batch_1" }, created: true }));
    },
    waitFor: async (_task, { signal }) => this.waiting(signal),
    cancelTask: async (task) => this.#did("cancelTask", task),
    cancelFlow: async (flow) => this.#did("cancelFlow", flow),
    steer: async () => ({ messageId: "msg_9" as MessageId, session: this.task.session, queuedAhead: 0, etaMs: 0, duplicate: false }),
    named: async () => this.task,
    retry: async () => ({ ...this.task, attempt: 2 }),
  };

  /** A started API on a free port; close it with the returned client. */
  async start(more: Partial<ApiDeps> = {}): Promise<Client> {
    const { sessions, store, trees, clock } = this;
    const log: Log = { ...silentLog, error: (event, fields) => void this.logged.push({ event, fields }) };
    const settings: Settings = {
      get: <T>(setting: Setting<T>) => (this.settingsSet.get(setting.key) as T | undefined) ?? setting.fallback,
      isSet: (setting) => this.settingsSet.has(setting.key),
      onChange: () => () => {},
    };
    const api = makeApi({
      sessions, store, trees, clock, log, settings,
      models: { knownModels: () => ["rehearsal/default"] } as unknown as ModelClient,
      hooks: { call: async () => ({ messageId: "msg_1" as MessageId, session: MAIN, queuedAhead: 0, etaMs: 0, duplicate: false, commandReply: null }) },
      config: {
        all: () => ({ settings: { "gateway.allowedHosts": [] }, set: [] }),
        infos: () => [],
        set: async (changes) => {
          this.changed.push(changes);
          return { changed: [] };
        },
      },
      courier: { resend: async (id) => ({ deliveryId: id, taskId: TASK, runId: null, url: "https://example.org/", state: "prepared", attempts: 0, nextAt: 0, httpStatus: null, problem: null, createdAt: 0, endedAt: null }) },
      rateModel: async (model) => ({ model, rating: "good", probes: [] }),
      nowMs: () => clock.now(),
      random: seededRandom(7),
      commands: () => [],
      toolServers: () => [],
      outsideTools: { of: async () => new Map(), call: async () => ({ text: "" }) },
      tokens: makeTokenMint({ store, clock, random: seededRandom(9) }),
      proxy: { forward: async () => { throw new Fault("PROXY_NO_PROVIDER", { family: "openai", model: "", known: "" }); } },
      pageDir: this.pageDir,
      harnessWaits: () => [],
      lanes: async () => ({ generation: 3, pools: [POOL_ROW], lanes: [] }),
      providerLanes: () => ({ accounts: [], parked: [] }),
      status: () => ({ version: "0.0.0", pid: 1, generation: 3, startedAt: 5_000, draining: this.draining, model: null, models: [], agents: ["main", "reviewer"], disk: "good" }),
      token: () => this.token,
      ...more,
    });
    const { url, port } = await api.listen({ host: "127.0.0.1", port: 0 });
    return new Client(api, url, port);
  }

  #row(key: SessionKey): SessionRow {
    const row = this.rows.get(key);
    if (row === undefined) throw new Fault("SESSION_NOT_FOUND", { session: key });
    return row;
  }

  #did(verb: string, input: unknown): Cancelled {
    this.asked.push({ verb, input });
    return { ...NOTHING, messages: 1 };
  }

  #flow() {
    return { flowId: FLOW, root: MAIN, state: "ended", startedAt: 1, endedAt: 3, tasks: 1, active: 0, succeeded: 1, failed: 0, usage: NO_USAGE, budget: null } as const;
  }
}

function bindDraining(yard: FakeYard, verbs: Omit<Sessions, "draining" | "refusal">): Sessions {
  return Object.defineProperties({ ...verbs }, { draining: { get: () => yard.draining }, refusal: { get: () => (yard.draining ? new Fault("DRAINING", {}) : null) } }) as Sessions;
}

/** An answer as a test looks into it. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Loose = any;

export class Client {
  readonly #api: ApiServer;
  readonly url: string;
  readonly port: number;

  constructor(api: ApiServer, url: string, port: number) {
    this.#api = api;
    this.url = url;
    this.port = port;
  }

  /** One request with the token; headers can be overridden, and taken away with undefined. */
  async ask(method: string, path: string, body?: unknown, headers: Record<string, string | undefined> = {}): Promise<{ status: number; body: Loose; headers: Headers; text: string }> {
    const sent = { authorization: `Bearer ${TOKEN}`, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers };
    const given = Object.entries(sent).filter((pair): pair is [string, string] => pair[1] !== undefined);
    const raw = body === undefined || typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
    const response = await fetch(this.url + path, { method, headers: given, ...(raw === undefined ? {} : { body: raw as string }) });
    const text = await response.text();
    return { status: response.status, body: parsed(text), headers: response.headers, text };
  }

  close(): Promise<void> {
    return this.#api.close();
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
