/**
 * The shapes that cross the wire: HTTP, server-sent events and the socket.
 *
 * The only file that clients (the page, the commands) share with the gateway. It imports nothing,
 * so that a browser can load it; a test holds it against the types inside.
 */

export type ApiQueueMode = "auto" | "followup" | "collect" | "steer" | "interrupt" | "rollback" | "reject" | "parallel";

export interface ApiFault {
  code: string;
  message: string;
  details: Record<string, unknown>;
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
  /** Set when the text was a command (`/help`): it was answered at once, without a turn. */
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
}
export interface SessionList {
  sessions: ApiSession[];
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

/** POST /api/spawns */
export interface SpawnRequest {
  task: string;
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
  delivery?: "digest" | "notify";
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
  /** With `wait`: the task as it ended. */
  task?: ApiTask;
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
  attempt: number;
  /** The last attempt that its policy allows. */
  attemptLast: number;
  onEnd: "wait" | "handUp";
  category: string | null;
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
  next?: string;
}
export interface SteerRequest {
  text: string;
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
  payload: { kind: "systemEvent" | "agentTurn" | "watchdog" | "heartbeat" | "iterate"; [field: string]: unknown };
  target: string | { session: string } | { label: string };
  misfire: { policy: "skip" | "latest" | "all"; graceMs?: number; max?: number };
  overlap: "skip" | "queue" | "cancel";
  staggerMs: number;
  activeHours: { from: string; to: string; tz: string } | null;
  delivery: { mode: "none" | "notice"; session?: string };
  /** Written in jobs.list, or made by a command, a program or an agent. */
  origin: "made" | "config";
  state: "active" | "paused" | "disabled" | "done";
  enabled: boolean;
  why: string | null;
  nextAt: number | null;
  /** When the next run begins: `nextAt` and its stagger. */
  dueAt: number | null;
  lastAt: number | null;
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
  why: "slot" | "turn" | "children" | "batch" | "siblings" | "claims" | null;
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
  scope: "proxy";
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
