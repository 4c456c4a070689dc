/**
 * The shapes that cross the wire: HTTP, server-sent events and the socket.
 *
 * The only file that clients (the page, the commands) share with the gateway. It imports nothing,
 * so that a browser can load it; a test holds it against the types inside.
 */

export type ApiQueueMode = "auto" | "followup" | "collect" | "steer" | "interrupt" | "rollback" | "reject" | "parallel";

/** Every refusal and failure. Programs decide by `code` and `retryable`; `message` is for people. */
export interface ApiFault {
  /** From the table in docs/reference/faults.md. */
  code: string;
  /** What is wrong, where, and what to do. */
  message: string;
  details: Record<string, unknown>;
  /** The same request may succeed later. */
  retryable: boolean;
  retryAfterMs?: number;
}

/** POST /api/messages */
export interface SendMessage {
  text: string;
  /** A session key; without it, `channel` and `peer` name one; without those, the main session. */
  session?: string;
  channel?: string;
  peer?: string;
  agent?: string;
  /** Sent again after a lost connection, it is accepted once. */
  clientMessageId?: string;
  queueMode?: ApiQueueMode;
  /** The message that this one answers. */
  replyTo?: string;
}
/** 202 */
export interface MessageAccepted {
  messageId: string;
  session: string;
  queuedAhead: number;
  etaMs: number;
  duplicate: boolean;
  /**
   * Set when the text was a command (`/help`): it was carried out at once, without a turn. The same text is in
   * the events as the reply to `messageId`; with `/bg TEXT` the reply to it is the answer to TEXT.
   */
  commandReply?: string;
}

/**
 * One line of GET /api/events. Without `seq` it is provisional (`text.delta`) and never repeated, or it
 * is `resync`: events after `data.after` and up to `data.upTo` are no longer kept, so look at sessions
 * and transcripts afresh; `session` is empty when all are followed, and both are then cursors.
 */
export interface ApiEvent {
  seq?: number;
  session: string;
  /** Milliseconds since 1970. */
  at: number;
  type: string;
  turnId?: string;
  taskId?: string;
  data: Record<string, unknown>;
  /** Order over all sessions. */
  cursor?: number;
}

export interface ApiUsage {
  input: number;
  output: number;
  cacheRead: number;
  cacheWrite: number;
  reasoning: number;
  calls: number;
  /** US dollars by the dated price table and models.prices, of those calls whose model has a price; null when none has. */
  cost: number | null;
  /** Calls that `cost` leaves out because nobody knows what their model costs; absent = none. */
  unpriced?: number;
}

/** Amounts by unit; `cost` in US dollars. A unit that is absent is not limited. */
export interface ApiAmounts {
  tokens?: number;
  cost?: number;
  calls?: number;
  children?: number;
}
/** left = limit - used - reserved, never below 0. */
export interface ApiBudget {
  limit: ApiAmounts;
  /** For model calls that run, and for the budgets of children. */
  reserved: ApiAmounts;
  used: ApiAmounts;
  left: ApiAmounts;
}

/** GET /api/usage */
export interface UsageAnswer {
  by: "model" | "session" | "flow" | "person" | "day";
  /** The first day that counts (UTC); absent = all days. */
  since?: string;
  /** The largest first; days: the newest first. */
  rows: { name: string; usage: ApiUsage }[];
  total: ApiUsage;
  /** True when there are more groups than `limit`. */
  more: boolean;
  /** When the built-in prices were last held against the providers' pages. */
  pricesDate: string;
}

export interface ApiSession {
  key: string;
  label: string | null;
  kind: string;
  agent: string;
  parent: string | null;
  taskId: string | null;
  model: string | null;
  queueMode: ApiQueueMode | null;
  /** The folder that its turns work in; null = its agent's workspace. */
  cwd: string | null;
  state: "idle" | "queued" | "running" | "waiting" | "archived";
  createdAt: number;
  lastAt: number;
  lastSeq: number;
  waitingMessages: number;
  usage: ApiUsage;
}
/** PATCH /api/sessions/K */
export interface PatchSession {
  label?: string | null;
  model?: string | null;
  queueMode?: ApiQueueMode | null;
  cwd?: string | null;
}
/** POST /api/sessions */
export interface CreateSession {
  session: string;
  label?: string;
  cwd?: string;
}
/** GET /api/commands: what a person may type in a conversation, each after a slash. */
export interface CommandList {
  commands: { name: string; usage: string; doc: string }[];
}
export interface ApiGroup {
  readonly value: string | null;
  readonly count: number;
}
export interface SessionList {
  sessions: ApiSession[];
  /** With `?group`: how many share each value, the largest first. */
  groups?: readonly ApiGroup[];
  next?: string;
}

export interface HistoryEntry {
  seq: number;
  at: number;
  role: "user" | "assistant" | "tool" | "notice";
  text: string;
  messageId?: string;
  messageIds?: string[];
  turnId?: string;
  replyTo?: string[];
  provenance: string;
  /** For `assistant`: the calls it made; for `tool`: which call it answers. */
  toolCalls?: { callId: string; tool: string; input: unknown }[];
  toolResults?: { callId: string; tool: string; text: string; isError: boolean }[];
}
export interface History {
  entries: HistoryEntry[];
  next?: string;
}

/** GET /api/sessions/K/missed: what happened since the person last looked. */
export interface MissedAnswer {
  seenSeq: number;
  /** Milliseconds since 1970; null = nobody ever looked. */
  seenAt: number | null;
  events: ApiEvent[];
}
/** POST /api/sessions/K/seen */
export interface SeenAnswer {
  session: string;
  seq: number;
}

/** POST /api/spawns: `task`, or `spawns` for many at once with what they share beside it. */
export interface SpawnRequest {
  task?: string;
  spawns?: Omit<SpawnRequest, "spawns" | "idempotencyKey" | "wait" | "waitSeconds">[];
  label?: string;
  /** A session key: its agent gets the result. Without it the result waits in the task. */
  parent?: string;
  agent?: string;
  runtime?: "subagent" | "acp";
  model?: string;
  context?: "isolated" | "fork";
  cwd?: string;
  /** Paths and patterns from the top of the workspace, or `name:WORD`. */
  claims?: string[];
  /** When a claim overlaps with another child's; `wait` when absent. */
  onConflict?: "wait" | "refuse";
  deadlineSeconds?: number;
  /** An attempt that brings no new result of a tool for so long is over. */
  progressSeconds?: number;
  /** How often it is tried in all. */
  attempts?: number;
  /** Before the second attempt; doubles. */
  backoffSeconds?: number;
  /** The model of further attempts. */
  retryModel?: string;
  /** The kind of task, for the circuit breaker. */
  category?: string;
  /** When it is done before its own children: `wait` for them (when absent), or `handUp` to its parent. */
  onEnd?: "wait" | "handUp";
  delivery?: "digest" | "notify" | "board" | "webhook";
  /** The result is posted to this address, signed; the delivery is then webhook. */
  callback?: string;
  cleanup?: "keep" | "delete";
  /** What it may spend, with everything below it. `seconds` becomes the deadline. */
  budget?: ApiAmounts & { seconds?: number };
  /** Its result must be JSON that fits this JSON Schema. */
  outputSchema?: Record<string, unknown>;
  idempotencyKey?: string;
  /** Answer only when the child has ended. */
  wait?: boolean;
  /** With `wait`: give up waiting (not the child) after this long; 0 or absent = 10 minutes. */
  waitSeconds?: number;
}
/** 202, or 200 with `wait`. */
export interface SpawnAccepted {
  status: "accepted";
  taskId: string;
  flowId: string;
  childSessionKey: string;
  /** True when the idempotency key was known: nothing was spawned then. */
  duplicate: boolean;
  /** With `wait`: the task as it ended. */
  task?: ApiTask;
}

/** The same for `spawns`: all were accepted, and form one tree. */
export interface SpawnsAccepted {
  status: "accepted";
  flowId: string;
  batch: string;
  spawns: SpawnAccepted[];
}

export type ApiTaskState = "queued" | "running" | "waiting" | "succeeded" | "failed" | "timed_out" | "cancelled" | "lost";
export interface ApiTask {
  taskId: string;
  flowId: string;
  label: string;
  task: string;
  kind: string;
  state: ApiTaskState;
  parentSession: string | null;
  parentTask: string | null;
  session: string;
  agent: string;
  model: string | null;
  depth: number;
  queuedAt: number;
  startedAt: number | null;
  endedAt: number | null;
  deadlineAt: number | null;
  result?: string;
  fault?: ApiFault;
  usage: ApiUsage;
  claims: string[];
  /** What is left of its own budget; null when it has none. */
  budget: ApiBudget | null;
  /** Its result as JSON, for a child that had to fit a schema. */
  output?: unknown;
  /** When a step of it last ended, while it works: an answer of the model or a result of a tool. */
  aliveAt: number | null;
  attempt: number;
  /** The last attempt that its policy allows. */
  attemptLast: number;
  onEnd: "wait" | "handUp";
  category: string | null;
  delivery: "digest" | "notify" | "board" | "webhook";
  /** Names the children that were asked for together. */
  batch: string | null;
  /** When its result first reached somebody. */
  deliveredAt: number | null;
}
/** GET /api/tasks/ID */
export interface TaskDetail extends ApiTask {
  /** Attempts that are over while the task went on. */
  tried: { attempt: number; model: string | null; startedAt: number | null; endedAt: number; code: string; message: string }[];
}
/** POST /api/tasks/ID/retry */
export interface RetryRequest {
  /** One that has not ended is stopped and begins its next attempt, under the same id. */
  restart?: boolean;
}
export interface TaskList {
  tasks: ApiTask[];
  groups?: readonly ApiGroup[];
  next?: string;
}

/** GET /api/board */
export interface Board {
  at: number;
  columns: ApiBoardColumn[];
}
export interface ApiBoardColumn {
  name: "queued" | "running" | "waiting" | "done" | "failed" | "cancelled";
  total: number;
  /** True when there are more than `total`. */
  isMore: boolean;
  /** The newest. */
  cards: BoardCard[];
}
export interface BoardCard extends ApiTask {
  /** It worked on a task of a plan that waits for a person's help, and why. */
  stuck?: { planId: string; task: string; reason: string };
}

/** A result that is posted to a callback. */
export interface ApiDelivery {
  /** The receiver's idempotency key: the same at every attempt. */
  deliveryId: string;
  /** Whose result it is: a task's, or a run's of a job. */
  taskId: string | null;
  runId: string | null;
  url: string;
  state: "prepared" | "dispatching" | "delivered" | "rejected" | "unknown";
  attempts: number;
  nextAt: number | null;
  httpStatus: number | null;
  problem: string | null;
  createdAt: number;
  endedAt: number | null;
}
export interface DeliveryList {
  deliveries: ApiDelivery[];
  next?: string;
}

/** GET /api/report */
export interface ReportAnswer {
  since: number;
  total: ApiReportGroup;
  batches: ApiReportGroup[];
  flows: ApiReportGroup[];
  /** The children of each job's runs, by its name. */
  jobs: ApiReportGroup[];
  /** By the day of the spawn, UTC. */
  days: ApiReportGroup[];
  health: ApiHealth;
}
export interface ApiReportGroup {
  name: string;
  startedAt: number | null;
  total: number;
  active: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  /** Succeeded of those that succeeded or failed, 0 to 1; null while none has. */
  completion: number | null;
  failedTasks: { taskId: string; label: string; state: string; code: string | null }[];
}
export interface ApiHealth {
  announceMs: ApiSpread;
  spawnWaitMs: ApiSpread;
  undelivered: number;
  oldestUndeliveredMs: number;
  deliveries: Readonly<Record<string, number>>;
  deliveryRetries: number;
  taskRetries: number;
  denials: { model: string; tool: string; denied: number; mended: number; lastAt: number }[];
}
/** Milliseconds, of the newest thousand children that ended. */
export interface ApiSpread {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** POST /api/models/rate */
export interface ModelRatingAnswer {
  readonly model: string;
  readonly rating: "good" | "usable" | "poor";
  readonly probes: readonly {
    readonly name: string;
    readonly passed: boolean;
    readonly children: number;
    readonly childrenMin: number;
    readonly denied: boolean;
    readonly mended: boolean;
    readonly ms: number;
    readonly text: string;
  }[];
}

export interface SteerRequest {
  text: string;
}

export type ApiApprovalState = "pending" | "approved" | "denied" | "expired" | "cancelled";
/** One exact thing that somebody asked to be allowed. */
export interface ApiApproval {
  /** Short, e.g. `A12`. */
  approvalId: string;
  /** The session whose work waits for the answer. */
  session: string;
  /** The conversation in which it is shown. */
  place: string;
  turnId: string | null;
  /** Who asks, e.g. a harness. */
  holder: string;
  tool: string;
  /** One line of the asker; not to be trusted. */
  what: string;
  path: string | null;
  /** The arguments; long texts are cut. */
  input: Record<string, unknown>;
  cwd: string;
  state: ApiApprovalState;
  askedAt: number;
  expiresAt: number;
  endedAt: number | null;
  by: string | null;
  /** It was approved for good, now or by an earlier answer. */
  standing: boolean;
}
export interface ApprovalList {
  approvals: ApiApproval[];
  next?: string;
}
/** POST /api/approvals/ID */
export interface AnswerApproval {
  answer: "once" | "always" | "deny";
}

/** A coding agent that can be named in `sessions_spawn {runtime: "acp", agent}` and `/acp spawn`. */
export interface ApiHarness {
  agent: string;
  title: string;
  /** Its whole command line. */
  command: string;
  /** Its program is on this machine. */
  available: boolean;
  program: string | null;
  version: string | null;
  login: "found" | "missing" | "unknown";
  /** Which variable or file was found, or what to do. */
  loginText: string;
  memoryMb: number;
  modes: string[];
  install: string[];
  /** It stands in `acp.agents`. */
  isCustom: boolean;
}
export interface HarnessList {
  agents: ApiHarness[];
}
/** GET /api/acp/doctor */
export interface HarnessHealth {
  healthy: boolean;
  problems: { code: string; text: string; steps: string[] }[];
  agents: ApiHarness[];
  permissionMode: "approve-reads" | "approve-all" | "deny-all";
  sandbox: { available: boolean; text: string };
  memory: { availableMb: number; reserveMb: number; waiting: { key: string; harness: string; needsMb: number; availableMb: number; waitedMs: number }[] };
}

export interface ApiFlow {
  flowId: string;
  root: string | null;
  state: "running" | "ended" | "cancelled";
  startedAt: number;
  endedAt: number | null;
  total: number;
  active: number;
  succeeded: number;
  failed: number;
  usage: ApiUsage;
}
export interface FlowList {
  flows: ApiFlow[];
  groups?: readonly ApiGroup[];
  next?: string;
}
export interface FlowTask extends ApiTask {
  /** What it waits for now; null when it runs or has ended. */
  waitsFor: { why: "slot" | "siblings" | "claims" | "children" | "backoff"; tasks: string[]; until: number | null } | null;
}
export interface FlowDetail extends ApiFlow {
  /** What is left of the budget that settings give a tree; null when they give none. */
  budget: ApiBudget | null;
  tasks: FlowTask[];
}

/** A job. `schedule`, `payload` and the rest are as they may be written in POST /api/jobs. */
export interface ApiJob {
  jobId: string;
  name: string;
  agent: string;
  schedule: { kind: "at" | "every" | "cron" | "task" | "file"; at?: number; everyMs?: number; expr?: string; tz?: string; label?: string; path?: string; ref?: string };
  payload: { kind: "systemEvent" | "agentTurn" | "watchdog" | "heartbeat" | "iterate" | "upkeep"; [field: string]: unknown };
  target: string | { session: string } | { label: string };
  misfire: { policy: "skip" | "latest" | "all"; graceMs?: number; max?: number };
  overlap: "skip" | "queue" | "cancel";
  staggerMs: number;
  activeHours: { from: string; to: string; tz: string } | null;
  delivery: { mode: "none" | "notice" | "webhook"; session?: string; url?: string };
  /** Written in jobs.list; made by a command, a program or an agent; or the gateway's own, which can be run and nothing else. */
  origin: "made" | "config" | "builtin";
  state: "active" | "paused" | "disabled" | "done";
  enabled: boolean;
  why: string | null;
  nextAt: number | null;
  /** When the next run begins: `nextAt` and its stagger. */
  dueAt: number | null;
  lastAt: number | null;
  /** What a built-in job did last; null for others. */
  lastResult: string | null;
  failures: number;
  createdAt: number;
}
export interface JobList {
  jobs: ApiJob[];
  next?: string;
}
/** One moment of a job, and what became of it. */
export interface ApiJobRun {
  runId: string;
  jobId: string;
  scheduledFor: number;
  source: string | null;
  /** For a long stretch of missed moments: where it ends. */
  until: number;
  state: "waiting" | "running" | "ran" | "failed" | "cancelled" | "skipped" | "missed" | "superseded";
  reason: string | null;
  attempt: number;
  retryAt: number | null;
  session: string | null;
  messageId: string | null;
  firedAt: number;
  startedAt: number | null;
  /** The turn is over. */
  endedAt: number | null;
  /** So is everything that it set going. */
  completedAt: number | null;
  durationMs: number | null;
  /** Children that it started, and how many of them succeeded. */
  spawned: number;
  shipped: number;
  result: string | null;
  fault: ApiFault | null;
}
export interface JobRunList {
  runs: ApiJobRun[];
  next?: string;
}
export interface JobCalendar {
  upcoming: { jobId: string; name: string; at: number }[];
}

/** Answer of every cancel route. */
export interface CancelResult {
  /** True when something that ran or waited was stopped. */
  cancelled: boolean;
  turns: string[];
  tasks: string[];
  messages: number;
  /** Of a flow: the tasks that had succeeded before, and stay so. */
  finished?: string[];
}

/** POST /api/sessions/K/promote */
export interface PromoteResult {
  /** True when a turn went on beside the conversation just now; false when it was there already. */
  promoted: boolean;
  /** The turn's short name, e.g. `T7`. */
  handle: string | null;
}

export interface ApiTurn {
  turnId: string;
  session: string;
  /** Short name for people, e.g. `T7`. */
  handle: string;
  track: "main" | "side";
  attempt: number;
  startedAt: number;
  messageIds: string[];
  taskId: string | null;
  about: string;
}
export interface ApiLane {
  session: string;
  state: "idle" | "ready" | "leased" | "waiting";
  pool: string;
  waitingMessages: number;
  position: number | null;
  waitedMs: number;
  etaMs: number;
  why: "slot" | "turn" | "children" | "batch" | "siblings" | "claims" | "harness" | null;
  turns: ApiTurn[];
}
export interface ApiPool {
  name: string;
  size: number;
  used: number;
  waiting: number;
}
/** How one account of a provider stands with one model. */
export interface ApiProviderAccount {
  provider: string;
  model: string;
  account: string;
  /** `probing`: after a wall one call goes first, then more and more. `closed`: its credential was refused. */
  state: "open" | "walled" | "probing" | "closed";
  /** The end of the wall or the refusal, milliseconds since 1970. */
  until: number | null;
  inFlight: number;
  requestsPerMinute: number | null;
  tokensPerMinute: number | null;
}
/** A model call that waits to be let through; it has not failed. */
export interface ApiParkedCall {
  session: string | null;
  model: string;
  /** The provider refuses for now, the limit of the minute is reached, or enough calls are under way. */
  reason: "wall" | "rate" | "busy";
  since: number;
  /** An estimate, milliseconds since 1970. */
  until: number;
  /** Calls that go before it. */
  ahead: number;
  person: boolean;
}
export interface LanesAnswer {
  generation: number;
  draining: boolean;
  pools: ApiPool[];
  lanes: ApiLane[];
  /** Accounts that were used since the start. */
  accounts: ApiProviderAccount[];
  parked: ApiParkedCall[];
  /** Coding agents whose start waits for memory. */
  memoryWaits: { session: string; harness: string; needsMb: number; availableMb: number; waitedMs: number }[];
}

/** GET /api/config: every setting by flat key. Secrets show as "[secret]". */
export interface ConfigAnswer {
  settings: Record<string, unknown>;
  /** Keys that the person wrote. */
  set: string[];
}
/** PATCH /api/config answers with what changed and when it takes effect. */
export interface ConfigChanged {
  changed: { key: string; value: unknown; takesEffect: "at once" | "next turn" | "restart" }[];
}
export interface SettingInfo {
  key: string;
  unit: string;
  fallback: unknown;
  bounds: string;
  takesEffect: "at once" | "next turn" | "restart";
  doc: string;
  secret: boolean;
}

/** GET /api/config/schema */
export interface ConfigSchema {
  settings: SettingInfo[];
}

/** GET /v1/models, as OpenAI's clients expect it: agents and models that can be named. */
export interface ModelList {
  object: "list";
  data: { id: string; object: "model"; created: number; owned_by: string }[];
}

/** POST /api/sessions/K/compact: how many entries the summary stands for; 0 = there is nothing to make shorter. */
export interface CompactBegun {
  session: string;
  entries: number;
}

/** A token that opens one part of the gateway; the secret is only in the answer that made it. */
export interface ApiAccessToken {
  id: string;
  scope: "proxy" | "mcp";
  label: string | null;
  session: string | null;
  createdAt: number;
  expiresAt: number | null;
  revokedAt: number | null;
  usage: ApiUsage;
}
/** POST /api/tokens */
export interface TokenMade extends ApiAccessToken {
  secret: string;
}
/** GET /api/tokens */
export interface TokenList {
  tokens: ApiAccessToken[];
}

/** A tool server of `mcp.servers`. Times are milliseconds since 1970. */
export interface ApiToolServer {
  readonly id: string;
  /** Exactly what is run or asked, secrets masked. */
  readonly reach: { readonly via: "stdio"; readonly command: readonly string[] } | { readonly via: "http"; readonly url: string };
  readonly state: "connecting" | "ready" | "broken" | "ended";
  readonly since: number;
  /** Why it is broken, and when it is tried again. */
  readonly problem: string | null;
  readonly retryAt: number | null;
  /** What it calls itself. */
  readonly server: { readonly name: string; readonly version: string } | null;
  readonly pid: number | null;
  /** How often it was started or connected to. */
  readonly starts: number;
  readonly timeoutSeconds: number;
  readonly resultBytesMax: number;
  /** `name` as agents call it, `own` as the server does. */
  readonly tools: readonly { readonly name: string; readonly own: string; readonly effect: "pure" | "idempotent" | "keyed" | "once" }[];
  /** Tools that are not offered, and why. */
  readonly leftOut: readonly { readonly tool: string; readonly why: string }[];
}
/** GET /api/mcp/servers */
export interface ToolServerList {
  servers: ApiToolServer[];
}

/** POST and DELETE /api/login: the page's way in and out; the answer to POST sets a cookie. */
export interface LoginAnswer {
  loggedIn: boolean;
}

/**
 * POST /api/simulate: a column as asked, and one for each text in `compare`. The body has the options
 * of `yard simulate` in camel case, `compare: string[]` and `svg: true` for a picture.
 */
export interface SimulationReport {
  columns: readonly SimulationColumn[];
  /** A document of its own: the first run of each column, lane by lane. */
  svg?: string;
}
/** Times are milliseconds of simulated time, means over the runs; null = it did not come to that. */
export interface SimulationColumn {
  name: string;
  /** What was asked for; the rest are fallbacks. */
  asked: Readonly<Record<string, string>>;
  messages: readonly {
    readonly customer: number;
    readonly message: number;
    readonly sentMs: number;
    /** From sending to the start of its turn. */
    readonly waitMs: number | null;
    readonly runMs: number | null;
    /** From sending to its answer. */
    readonly totalMs: number | null;
    /** From sending until the last result of its children was read. */
    readonly resultsMs: number | null;
    readonly outcome: "answered" | "cancelled" | "refused";
  }[];
  summary: {
    readonly messages: number;
    readonly answered: number;
    readonly cancelled: number;
    readonly refused: number;
    readonly waitMs: SimulationSpread;
    readonly totalMs: SimulationSpread;
    readonly resultsMs: SimulationSpread | null;
    readonly makespanMs: number;
    readonly pools: readonly { readonly pool: string; readonly size: number; readonly peak: number; readonly mean: number }[];
    readonly children: number;
    readonly promotions: number;
    readonly requests: number;
    readonly providerWaitMs: number;
  };
  /** One sentence for people. */
  answer: string;
  /** The first run; children follow their parent. */
  lanes: readonly {
    readonly label: string;
    readonly depth: number;
    readonly spans: readonly { readonly kind: "waiting" | "running" | "side" | "provider"; readonly fromMs: number; readonly toMs: number }[];
  }[];
}
export interface SimulationSpread {
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

/** POST /api/backups */
export interface ApiBackup {
  /** File name in `backups/` of the state directory. */
  name: string;
  /** The moment that it holds, milliseconds since 1970. */
  at: number;
  bytes: number;
}
export interface BackupList {
  backups: ApiBackup[];
}

/** GET /api/integrity */
export interface ApiCheckup {
  file: string;
  /** Empty = all is in order. */
  problems: readonly string[];
  fileBytes: number;
  logBytes: number;
  tookMs: number;
}

export interface StatusAnswer {
  version: string;
  pid: number;
  generation: number;
  startedAt: number;
  draining: boolean;
  model: string | null;
  models: string[];
  agents: string[];
  /** good; full = nothing new is taken in until there is room on the disk. */
  disk: "good" | "full" | "failed";
}

// ── workspaces and merges ───────────────────────────────────────────────────────────────────

export interface ApiWorkspace {
  workspaceId: string;
  state: "making" | "ready" | "removing" | "removed" | "failed";
  label: string;
  repository: string;
  /** The worktree. */
  dir: string;
  branch: string;
  /** The commit that the work began on. */
  base: string;
  claims: string[];
  epoch: number;
  portFirst: number;
  portCount: number;
  session: string | null;
  /** Keeps the work of one that was removed. */
  backupRef: string | null;
  problem: string | null;
  createdAt: number;
  endedAt: number | null;
}
export interface WorkspaceList {
  workspaces: ApiWorkspace[];
}
export interface WorkspaceDetail extends ApiWorkspace {
  /** While it is ready. */
  status?: {
    head: string;
    /** Newest first. */
    commits: { id: string; parents: string[]; at: number; author: string; subject: string; body: string }[];
    changed: string[];
    uncommitted: string[];
    outside: string[];
  };
}

export interface ApiMerge {
  mergeId: string;
  state: "queued" | "running" | "resolving" | "advancing" | "landed" | "undoing" | "conflict" | "failed" | "refused" | "undone" | "cancelled";
  workspaceId: string;
  epoch: number;
  onto: string;
  /** The commit that was offered. */
  commit: string;
  style: "squash" | "rebase" | "merge";
  strategies: string[];
  message: string;
  tests: { command: string; timeoutMs: number }[];
  attempts: number;
  /** Where the branch was before and after. */
  from: string | null;
  to: string | null;
  /** Tests that the gateway ran, and on which tree. */
  evidence: { command: string; exitCode: number | null; timedOut: boolean; ms: number; tree: string; output: string; at: number }[];
  conflict: { onto: string; commit: string; base: string; files: { path: string; kind: string; ours: string | null; theirs: string | null; merged: string | null }[] } | null;
  mendedBy: string | null;
  problem: { code: string; text: string } | null;
  createdAt: number;
  endedAt: number | null;
}
export interface MergeList {
  merges: ApiMerge[];
}

// ── plans ───────────────────────────────────────────────────────────────────────────────────

/** POST /api/plans, /api/plans/check */
export interface PlanRequest {
  /** The plan's file as text. */
  text: string;
  /** Its name; .yaml, .yml and .json are read as plan.yaml, the rest as PLAN.md. */
  file?: string;
  /** A folder in the repository, absolute. */
  repository: string;
  session?: string;
  mode?: "sequential" | "parallel";
  watched?: boolean;
  idempotencyKey?: string;
}
export type ApiPlanMode = "sequential" | "parallel";
export interface ApiPlanCost {
  minutes: number;
  requests: number;
  tokens: number;
}
/** What the check found: sequential or parallel, and why. */
export interface ApiVerdict {
  mode: ApiPlanMode;
  phases: readonly {
    readonly name: string;
    readonly mode: ApiPlanMode;
    readonly tasks: readonly string[];
    readonly decisions: readonly { readonly question: string; readonly answer: "yes" | "no" | "not asked"; readonly because: string }[];
    readonly reasons: readonly { readonly code: string; readonly weight: "against" | "warning" | "for"; readonly text: string; readonly tasks: readonly string[]; readonly paths: readonly string[] }[];
    readonly conflictsExpected: number;
    readonly minutes: Readonly<Record<ApiPlanMode, number>>;
  }[];
  agents: number;
  sequential: ApiPlanCost;
  parallel: ApiPlanCost;
  speedUp: number;
  conflictsExpected: number;
  /** What it was reckoned from, besides the plan. */
  basis?: { readonly files: number; readonly commits: number; readonly startMinutes: number; readonly mergeMinutes: number; readonly conflictMinutes: number; readonly watched: boolean | null };
}
export interface PlanChecked {
  title: string;
  verdict: ApiVerdict;
  /** The answer for people, with the decision tree. */
  text: string;
  /** The graph, a document of its own. */
  svg: string;
}
export type ApiPlanState = "running" | "waiting" | "stuck" | "done" | "cancelled";
export type ApiPlanTaskState = "waiting" | "preparing" | "working" | "checking" | "merging" | "done" | "stuck" | "cancelled";
export interface ApiPlan {
  planId: string;
  title: string;
  state: ApiPlanState;
  repository: string;
  onto: string;
  session: string;
  mode: ApiPlanMode;
  phase: string;
  waitsFor: string | null;
  problem: string | null;
  tasks: number;
  done: number;
  stuck: number;
  startedAt: number;
  endedAt: number | null;
}
export interface PlanList {
  plans: ApiPlan[];
  next?: string;
}
export interface ApiPlanTask {
  id: string;
  title: string;
  phase: string;
  state: ApiPlanTaskState;
  attempt: number;
  after: readonly string[];
  claim: readonly string[];
  taskId: string | null;
  session: string | null;
  workspace: string | null;
  branch: string | null;
  merge: string | null;
  /** Subjects, oldest first: what it accomplished. */
  commits: readonly string[];
  lastCommit: string | null;
  changed: readonly string[];
  outside: readonly string[];
  tests: { command: string; exitCode: number | null; tree: string; ms: number } | null;
  steps: readonly { readonly text: string; readonly ticked: boolean }[];
  /** What keeps it from being done. */
  missing: readonly string[];
  signal: { kind: "done" | "stuck"; reason: string | null; by: string; at: number } | null;
  problem: string | null;
  /** Of its last agent. */
  usage: ApiUsage | null;
  startedAt: number | null;
  endedAt: number | null;
}
/** GET /api/plans/ID */
export interface PlanDetail extends ApiPlan {
  verdict: ApiVerdict;
  rows: ApiPlanTask[];
  gates: readonly { readonly phase: string; readonly testsExitCode: number | null; readonly approvedBy: string | null; readonly at: number }[];
  estimate: ApiPlanCost;
  actual: ApiPlanCost;
}
/** GET /api/plans/ID/picture */
export interface PlanPictures {
  /** Tasks and what they wait for. */
  graph: string;
  /** Commits of the integration branch and of every task's branch. */
  history: string;
}
