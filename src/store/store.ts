/**
 * The store: the truth, the order, the locks and the slots, as verbs of the domain.
 *
 * Each verb is one transaction: it happened whole and is durable when its promise resolves, or it
 * did not happen and the promise rejects with a Fault. Events that a verb writes reach
 * `onEvents` listeners after the commit, in commit order.
 *
 * Always true, whatever crashes (carried by unique indexes and CHECKs):
 *   - a message is stored once per (session, channel, sourceId)
 *   - a session has at most one running turn on its main track
 *   - writes for a turn carry its epoch; an old epoch writes nothing
 *   - a child announces itself to its parent at most once
 *   - event numbers of a session have no gaps
 *
 * The store decides who runs: `claimTurns` hands out a turn only when its lane is ready and every
 * pool it needs has a free slot. Whatever the gateway keeps in memory is a cache of these rows.
 *
 * Not here: what the work is. Clock and ids come in when the store is opened.
 */
import type { BarrierId, FlowId, JobId, MergeId, MessageId, PlanId, RunId, SessionKey, TaskId, TurnId, WorkspaceId } from "../base/ids.ts";
import type { JsonObject } from "../base/json.ts";
import type { AccessToken, NewAccessToken } from "../model/access-token.ts";
import type { BudgetView, CallAsked, CallGrant, ScopeBudgets } from "../model/budget.ts";
import type { Allowance, AllowanceAnswer, AllowanceAsk, AllowanceChange } from "../model/allowance.ts";
import type { Approval, ApprovalAnswer, ApprovalState, NewApproval, StandingApproval } from "../model/approval.ts";
import type { Usage } from "../model/chat.ts";
import type { FaultRecord } from "../model/faults.ts";
import type { Claim, ClaimRules, PromotedTurn, Rules } from "../model/claim.ts";
import type { AttemptEnd, Delivery, DeliveryState } from "../model/delivery.ts";
import type { EventType, NewEvent, YardEvent } from "../model/event.ts";
import type { HarnessRecord } from "../model/harness.ts";
import type { Firing, Job, JobSpec, JobState, Run, RunRules, Schedule } from "../model/job.ts";
import type { LaneState, PoolName, QueueMode } from "../model/lane.ts";
import type { Merge, MergeState } from "../model/merge.ts";
import type { Accepted, NewMessage } from "../model/message.ts";
import type { Parking } from "../model/parking.ts";
import type { PlanChange, PlanRun, PlanState, PlanTaskChange, PlanTaskRun, PlanTaskState } from "../model/plan-run.ts";
import type { SessionKind } from "../model/session.ts";
import type { Attempt, FileChange } from "../model/supervision.ts";
import type { UpkeepRun } from "../model/upkeep.ts";
import type { NewSpawn, SpawnLimits, Task, TaskKind, TaskState } from "../model/task.ts";
import type { Entry, StartedTurn, StepWrite, Track, TurnAt, TurnEnd, TurnRef } from "../model/turn.ts";
import type { TracedTask, TracedTurn } from "../model/trace.ts";
import type { Workspace, WorkspaceState } from "../model/workspace.ts";

// ── what goes in ────────────────────────────────────────────────────────────────────────────

export interface AcceptRules {
  /** How long the batch stays open after this message, milliseconds; 0 = it is closed now. */
  readonly waitMs: number;
  /** The queue mode when neither the message nor the session names one. */
  readonly defaultMode: QueueMode;
  /** For estimates, milliseconds. */
  readonly meanTurnMs: number;
  /** For mode `parallel`: whether the message leans on an earlier one, or `rules` to decide here by its words. */
  readonly independence: "rules" | "independent" | "dependent";
}

export type Promotion = { readonly outcome: "promoted"; readonly turn: PromotedTurn } | { readonly outcome: "nothing-runs" } | { readonly outcome: "already-side"; readonly handle: string };

/** What a cancel stopped; whoever runs the turns hears of it through `onStopped`. */
export interface Cancelled {
  readonly turns: readonly TurnId[];
  readonly tasks: readonly TaskId[];
  /** Waiting messages that were taken out of line. */
  readonly messages: number;
  /** Of a flow: what had succeeded before, and stays as it is. */
  readonly finished?: readonly TaskId[];
}

export interface BarrierRequest {
  readonly turn: TurnRef;
  /** Same for every run of the same call. */
  readonly stepKey: string;
  readonly waitFor: "all" | "any" | number;
  /** Children to wait for; null = all that are active or not yet delivered. */
  readonly tasks: readonly TaskId[] | null;
  readonly timeoutMs: number | null;
}

export interface RecoveryRules {
  /** What was open is ended when nobody was there for this long, milliseconds; 0 = never. */
  readonly staleMs: number;
}

export interface Recovered {
  readonly generation: number;
  readonly turns: readonly StartedTurn[];
  readonly poisoned: readonly TurnId[];
  /** What was too old to go on; null = nothing. */
  readonly retired: Retired | null;
}

export interface Retired {
  readonly awayMs: number;
  /** Conversations that were told of it. */
  readonly sessions: number;
  readonly tasks: readonly TaskId[];
}

export type BarrierOpened = { readonly outcome: "open" | "met"; readonly barrierId: BarrierId; readonly tasks: readonly TaskId[] } | { readonly outcome: "nothing-to-wait-for" };

// ── what comes out ──────────────────────────────────────────────────────────────────────────

export interface SessionRow {
  readonly key: SessionKey;
  readonly label: string | null;
  readonly kind: SessionKind;
  readonly agent: string;
  readonly parent: SessionKey | null;
  readonly taskId: TaskId | null;
  readonly model: string | null;
  readonly queueMode: QueueMode | null;
  readonly cwd: string | null;
  readonly depth: number;
  /** The agents above it, the first one first; what they may not, it may not. */
  readonly lineage: readonly string[];
  readonly state: "idle" | "queued" | "running" | "waiting" | "archived";
  readonly createdAt: number;
  readonly lastAt: number;
  readonly lastSeq: number;
  readonly lastEntry: number;
  readonly waitingMessages: number;
  readonly usage: Usage;
}

export interface SessionPatch {
  readonly label?: string | null;
  readonly model?: string | null;
  readonly queueMode?: QueueMode | null;
  /** The folder that its turns work in, absolute; null = its agent's workspace. */
  readonly cwd?: string | null;
}

/** What a model is told of a session: a summary of what was compacted, and everything after it. */
export interface SessionContext {
  readonly summary: string | null;
  /** The last entry that the summary stands for; 0 = none. */
  readonly summaryUpTo: number;
  readonly entries: readonly Entry[];
}

export interface TurnRow {
  readonly turnId: TurnId;
  readonly session: SessionKey;
  readonly handle: string;
  readonly track: Track;
  readonly state: TurnAt;
  readonly attempt: number;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly messageIds: readonly MessageId[];
  readonly taskId: TaskId | null;
  /** First line of what it works on, for listings. */
  readonly about: string;
}

export interface LaneRow {
  readonly session: SessionKey;
  readonly state: LaneState;
  readonly pool: PoolName;
  readonly waitingMessages: number;
  /** Place in the pool's line, 0 = next; null when not in line. */
  readonly position: number | null;
  readonly waitedMs: number;
  readonly etaMs: number;
  /** Why it does not run: `slot`, `turn`, `children`, `batch`, `siblings`, `claims`, `harness` (its turn has no slot until its coding agent is free), or null when it runs. */
  readonly why: "slot" | "turn" | "children" | "batch" | "siblings" | "claims" | "harness" | null;
  readonly turns: readonly TurnRow[];
}

export interface PoolRow {
  readonly name: PoolName;
  readonly size: number;
  readonly used: number;
  readonly waiting: number;
}

export interface LanesView {
  readonly generation: number;
  readonly pools: readonly PoolRow[];
  readonly lanes: readonly LaneRow[];
}

export interface FlowRow {
  readonly flowId: FlowId;
  readonly root: SessionKey | null;
  readonly state: "running" | "ended" | "cancelled";
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly tasks: number;
  readonly active: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly usage: Usage;
  /** What is left of the tree's budget; null in listings, and when none is set. */
  readonly budget: BudgetView | null;
}

/** What an active child waits for. */
export interface TaskWait {
  readonly why: "slot" | "siblings" | "claims" | "children" | "backoff";
  /** Those that must end first. */
  readonly tasks: readonly TaskId[];
  /** Wall time when the wait is over by itself, milliseconds. */
  readonly until: number | null;
}

export const USAGE_GROUPS = ["model", "session", "tree", "person", "day"] as const;

export interface UsageQuery {
  readonly by: (typeof USAGE_GROUPS)[number];
  /** The first day that counts, as in `2026-11-30` (UTC). */
  readonly since?: string;
  readonly limit: number;
}

export interface UsageReport {
  readonly rows: readonly { readonly name: string; readonly usage: Usage }[];
  readonly total: Usage;
  /** True when there are more groups than asked for. */
  readonly more: boolean;
}

/** The provider's count of a call; `nothing` = it never reached the model; `unknown` = it may have. */
export type CallSpent = Usage | "nothing" | "unknown";

export interface TaskQuery {
  readonly parent?: SessionKey;
  readonly flow?: FlowId;
  readonly states?: readonly TaskState[];
  readonly label?: string;
  readonly kind?: TaskKind;
  readonly batch?: string;
  /** Only those whose label, id or session holds this. */
  readonly search?: string;
  /** Counts what the filters leave by this, too. */
  readonly group?: "kind" | "state" | "agent" | "parent" | "label" | "flow" | "batch" | "day";
  /** Only tasks below this session, at any depth. */
  readonly below?: SessionKey;
  readonly after?: string;
  readonly limit: number;
}

export interface SessionQuery {
  readonly kind?: SessionKind;
  readonly parent?: SessionKey;
  readonly label?: string;
  readonly state?: "idle" | "queued" | "running" | "waiting";
  /** Only those whose key or label holds this. */
  readonly search?: string;
  readonly group?: "kind" | "state" | "agent" | "parent" | "label" | "day";
  readonly archived?: boolean;
  readonly after?: string;
  readonly limit: number;
}

export interface FlowQuery {
  readonly root?: SessionKey;
  readonly state?: FlowRow["state"];
  /** Only trees with a task of this label. */
  readonly label?: string;
  /** Only trees whose id, or the label of one of whose tasks, holds this. */
  readonly search?: string;
  readonly group?: "state" | "root" | "day";
  readonly after?: string;
  readonly limit: number;
}

/** How many rows of a listing share a value; null = those without one. Days are in UTC. */
export interface Group {
  readonly value: string | null;
  readonly count: number;
}

/** With whose result it is. */
export type ClaimedDelivery = { readonly delivery: Delivery; readonly task: Task } | { readonly delivery: Delivery; readonly run: Run; readonly jobName: string };

export interface DeliveryQuery {
  readonly state?: DeliveryState;
  readonly task?: TaskId;
  readonly after?: string;
  readonly limit: number;
}

export type BoardQuery = Pick<TaskQuery, "parent" | "flow" | "batch" | "kind" | "label" | "search"> & {
  /** The most cards of one column. */
  readonly limit: number;
};

export interface BoardColumn {
  readonly name: "queued" | "running" | "waiting" | "done" | "failed" | "cancelled";
  readonly total: number;
  /** True when there are more than `total`, which is not counted further. */
  readonly isMore: boolean;
  /** The newest cards. */
  readonly tasks: readonly Task[];
}

export interface FailedTask {
  readonly taskId: TaskId;
  readonly label: string;
  readonly state: TaskState;
  readonly code: string | null;
}

export interface ReportGroup {
  readonly value: string;
  readonly startedAt: number | null;
  readonly total: number;
  readonly active: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Succeeded of those that succeeded or failed, 0 to 1; null while none has. */
  readonly completion: number | null;
  readonly failedTasks: readonly FailedTask[];
}

export interface Report {
  readonly since: number;
  readonly total: ReportGroup;
  readonly batches: readonly ReportGroup[];
  readonly flows: readonly ReportGroup[];
  /** The children of each job's runs, by its name. */
  readonly jobs: readonly ReportGroup[];
  readonly days: readonly ReportGroup[];
  readonly health: Health;
}

/** Of the newest thousand, milliseconds. */
export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export interface Health {
  /** From a child's end to when somebody first had its result. */
  readonly announceMs: Spread;
  /** From a spawn to the child's first turn. */
  readonly spawnWaitMs: Spread;
  /** Results that nobody has yet. */
  readonly undelivered: number;
  readonly oldestUndeliveredMs: number;
  readonly deliveries: Readonly<Record<string, number>>;
  readonly deliveryRetries: number;
  readonly taskRetries: number;
  readonly denials: readonly ToolDenial[];
}

/** Replies of a model that denied a tool which it had; `mended` = it called the tool when it was made to. */
export interface ToolDenial {
  readonly model: string;
  readonly tool: string;
  readonly denied: number;
  readonly mended: number;
  readonly lastAt: number;
}

export interface Missed {
  readonly seenSeq: number;
  /** When the person last looked; null = never, and then nothing counts as missed. */
  readonly seenAt: number | null;
  readonly events: readonly { readonly seq: number; readonly at: number; readonly type: EventType; readonly taskId: TaskId | null; readonly data: JsonObject }[];
}

/** A moment of a job that comes next. */
export interface NextMoment {
  readonly nextFor: number;
  /** When it is run. */
  readonly dueAt: number;
}

export interface NewJob {
  readonly spec: JobSpec;
  readonly origin: Job["origin"];
  readonly state: "active" | "paused";
  readonly next: NextMoment | null;
  readonly fingerprint: string | null;
  readonly jobsMax: number;
}

/** A job as it is to be from now on. */
export interface JobPatch {
  readonly id: JobId;
  readonly spec: JobSpec;
  readonly state: JobState;
  readonly why: string | null;
  readonly next: NextMoment | null;
  readonly fingerprint: string | null;
}

export interface JobQuery {
  readonly states?: readonly JobState[];
  readonly after?: string;
  readonly limit: number;
}

export interface Binding {
  readonly conversation: SessionKey;
  readonly target: SessionKey;
}

export interface ApprovalQuery {
  readonly state?: ApprovalState;
  /** Only those that are shown in this conversation. */
  readonly place?: SessionKey;
  /** Only those that this session's work waits for. */
  readonly session?: SessionKey;
  readonly after?: string;
  readonly limit: number;
}

/** An operating system process that must not outlive its turn; identity is (boot, pid, start time). */
export interface OwnedProcess {
  readonly pid: number;
  readonly startTicks: string;
  readonly bootId: string;
  readonly marker: string;
}

/** What is older than these wall times goes. What is unfinished, undelivered or owed never goes. */
export interface Keep {
  /** Events, and the journals of ended turns. */
  readonly eventsAfter: number;
  /** Sessions that were put away before this, with all that was said in them. */
  readonly archivedAfter: number;
  /** Ended tasks with their results, once their session is gone. */
  readonly resultsAfter: number;
  /** Answered messages; until then a second copy of one is known by its id. */
  readonly messagesAfter: number;
}

/** Where a pass over the tables stands: a part of it, and the last key that was looked at there. */
export interface SweepPlace {
  readonly part: "events" | "transcripts" | "results" | "messages" | "journals";
  readonly after: string;
}

export interface SweepStep {
  readonly keep: Keep;
  /** Null = a new pass begins. */
  readonly place: SweepPlace | null;
  /** The most rows to look at, which bounds the time that it takes. */
  readonly rowsMax: number;
}

export interface Swept {
  readonly removed: number;
  /** Null = the pass is over. */
  readonly next: SweepPlace | null;
  /** Of the database file, bytes: how much is in use, and how much there is. */
  readonly usedBytes: number;
  readonly fileBytes: number;
}

/** How the disk under the store is. */
export type DiskState =
  | { readonly at: "good" }
  /** Nothing new is taken in until there is room; what runs and what stops things goes on. */
  | { readonly at: "full"; readonly problem: string }
  /** A write or a sync failed, or the file is damaged: nothing is written any more, until a new start. */
  | { readonly at: "failed"; readonly fault: FaultRecord };

/** A run that is not complete. */
export interface OpenRun {
  readonly id: RunId;
  readonly session: SessionKey | null;
  /** Its turn is over; it waits for what it set going. */
  readonly isEnded: boolean;
}

export interface WorkspaceQuery {
  readonly commonDir?: string;
  readonly session?: SessionKey;
  readonly states?: readonly WorkspaceState[];
  readonly limit: number;
}

export interface MergeMove {
  readonly id: MergeId;
  readonly from: readonly MergeState[];
  readonly patch: Partial<Merge>;
  /** It is moved for this plan, which must not be over. */
  readonly plan?: PlanId;
}

export interface MergeQuery {
  readonly commonDir?: string;
  readonly onto?: string;
  readonly states?: readonly MergeState[];
  readonly workspace?: WorkspaceId;
  readonly oldestFirst?: boolean;
  readonly limit: number;
}


/** A plan that is about to run. */
export interface NewPlanRun extends Pick<PlanRun, "plan" | "file" | "verdict" | "repository" | "base" | "onto" | "session" | "mode"> {
  readonly id: PlanId;
  /** The same key never begins twice: the first run is returned. */
  readonly startKey: string | null;
}

// ── the verbs ───────────────────────────────────────────────────────────────────────────────

export interface StoreVerbs {
  /**
   * Puts a message in its session's inbox, making the session when it is new.
   * @throws {Fault} LANE_FULL, QUEUE_REJECTED, SPAWN_PARENT_GONE (a child that has ended).
   */
  acceptMessage(input: { message: NewMessage; rules: AcceptRules }): Accepted;

  /** Starts what may start, promotes what is due, ends what is overdue, and says when to ask again. */
  claimTurns(rules: ClaimRules): Claim;

  /**
   * Says whether a turn that a claim called quiet has changed a file since. Without one the child has
   * stood still: its attempt is over, unless a step has ended meanwhile.
   */
  judgeQuiet(input: { turn: TurnRef; change: FileChange | null }): void;

  /** Writes steps and events of a running turn. False: the epoch is old and nothing was written. */
  journal(input: { turn: TurnRef; writes: readonly StepWrite[]; events: readonly NewEvent[] }): boolean;

  /**
   * Ends a turn: last steps, transcript entries, reply event, the lane's next state and, for a child
   * that is done, the end of its task and the message to its parent.
   * @returns false when the epoch is old: nothing was written.
   */
  endTurn(input: { turn: TurnRef; end: TurnEnd; writes: readonly StepWrite[] }): boolean;

  /**
   * Reserves the most that one model call can cost in every budget that it counts against, and says how
   * long its answer may be. Nothing is reserved when it does not fit.
   */
  reserveCall(input: { turn: TurnRef; asked: CallAsked; scopes: ScopeBudgets }): CallGrant;
  /** The same for a call that no turn makes, for a session's work or for nobody's; never `superseded`. */
  reserveCallBeside(input: { session: SessionKey | null; asked: CallAsked; scopes: ScopeBudgets }): CallGrant;
  /** Puts what the provider counted in the place of what was reserved; a second time it does nothing. */
  settleCall(input: { hold: string; spent: CallSpent }): void;

  /** Messages in mode `steer` that came for this running turn; they become part of it. */
  takeSteering(turn: TurnRef): readonly { readonly id: MessageId; readonly text: string }[];

  /**
   * Puts text before a running turn's next model call, or in line when none runs. With `handle`
   * (`T7`) it is meant for that turn, on whatever track.
   * @throws {Fault} SESSION_NOT_FOUND, SPAWN_PARENT_GONE, TURN_NOT_FOUND.
   */
  steerSession(input: { session: SessionKey; handle?: string; text: string; provenance: "user" | "operator" | "agent"; channel: string }): Accepted;

  /** Lets a running main turn go on beside its lane. `turnId` null = the one that runs. */
  promoteTurn(input: { session: SessionKey; turnId: TurnId | null }): Promotion;

  /** A gateway begins to live on this state. @returns how often in a row one died before it got anything done; 0 after a stop that was asked for. */
  noteStart(): { readonly deaths: number; readonly generation: number };
  /** It ends because it was asked to. */
  noteStop(): void;

  /** After a start: a new generation; every unfinished turn comes back to be run on from its last step, unless it was left too long ago. */
  recover(rules?: RecoveryRules): Recovered;

  /**
   * A turn's model call waits for its provider: the turn lends its slot, and its task's deadline rests.
   * @returns false when the epoch is old: nothing was written.
   */
  parkTurn(input: { turn: TurnRef; parking: Parking }): boolean;
  /** The call goes on: slot and deadline are taken up again. False: it was not parked, or the epoch is old. */
  unparkTurn(turn: TurnRef): boolean;

  /** Takes one model call and its tokens from a provider's allowance, or says how long to wait. */
  takeAllowance(ask: AllowanceAsk): AllowanceAnswer;
  /** Corrects what was taken, or notes what a provider said: a wall, a limit. */
  adjustAllowance(change: AllowanceChange): void;
  allowances(): readonly Allowance[];

  /** What runs in a session now, on any track. */
  runningTurns(session: SessionKey): readonly TurnRow[];
  /** Texts of a session that run or wait without an answer, oldest first. */
  unansweredTexts(session: SessionKey): readonly string[];
  /** Where an unanswered message stands; null once it is over. */
  messagePlace(input: { id: MessageId; meanTurnMs: number }): { readonly ahead: number; readonly etaMs: number } | null;

  setRules(rules: Rules): void;
  lanes(input: { meanTurnMs: Readonly<Record<PoolName, number>> }): LanesView;

  session(key: SessionKey): SessionRow | null;
  sessions(query: SessionQuery): { readonly rows: readonly SessionRow[]; readonly next: string | null; readonly groups: readonly Group[] };
  /** Makes the session when it is not there yet. */
  openSession(key: SessionKey): SessionRow;
  patchSession(input: { key: SessionKey; patch: SessionPatch }): SessionRow | null;
  /** Clears the context; refuses nothing: waiting messages stay in line, the running turn goes on. */
  resetSession(input: { key: SessionKey; by: string }): SessionRow | null;
  /** Cancels what runs, then removes the session and everything it said. */
  deleteSession(input: { key: SessionKey; by: string }): Cancelled | null;
  /** Removes the sessions of ended children that were spawned to be deleted; their tasks and results stay. */
  removeSpent(input: { limit: number }): number;
  archiveIdle(input: { childrenEndedBefore: number | null; unusedSince: number | null; limit: number }): number;
  /**
   * Replaces the entries after `from` up to `upTo` by a summary, in what the model is told.
   * False: the session was reset, compacted or made anew since the summary was begun; nothing was written.
   */
  summariseSession(input: { key: SessionKey; createdAt: number; from: number; upTo: number; summary: string; usage: Usage; model: string }): boolean;

  /** Entries after `after` up to `upTo`, but nothing that the summary replaces. */
  context(input: { key: SessionKey; after: number; upTo: number }): SessionContext | null;
  /** Transcript entries in order; `before` pages backwards from the newest. */
  history(input: { key: SessionKey; after?: number; before?: number; limit: number }): { readonly entries: readonly Entry[]; readonly next: number | null } | null;
  /** Events of one session after `seq`, or of all after a cursor. */
  events(input: { session: SessionKey | null; after: number; limit: number }): readonly YardEvent[];
  /** Up to which `seq` of a session, or cursor over all, events were removed for their age; 0 = none were. */
  forgottenEvents(session: SessionKey | null): number;
  /** The newest cursor, where a reader that wants only news begins. */
  lastCursor(): number;

  /**
   * Admits a child: task, flow, session and its first message.
   * @throws {Fault} SPAWN_TOO_DEEP, SPAWN_PARENT_GONE, FLOW_CANCELLED, CIRCUIT_OPEN, CLAIM_TAKEN, CLAIM_DEADLOCK, TURN_NOT_FOUND (the turn that asked has ended), BUDGET_EXHAUSTED (no more children), BUDGET_TOO_LARGE.
   */
  admitSpawn(input: { spawn: NewSpawn; limits: SpawnLimits }): { readonly task: Task; readonly created: boolean };
  /** All of them or none. @throws {Fault} as {@link admitSpawn} */
  admitSpawns(input: { spawns: readonly NewSpawn[]; limits: SpawnLimits }): readonly { readonly task: Task; readonly created: boolean }[];
  /**
   * Takes results that wait for a session, of these children or of all: they are in its transcript from
   * now on, and wake it no more. @returns whose results they were.
   */
  takeResults(input: { session: SessionKey; tasks: readonly TaskId[] | null }): readonly TaskId[];
  openBarrier(request: BarrierRequest): BarrierOpened;
  task(id: TaskId): Task | null;
  taskOfSession(key: SessionKey): Task | null;
  tasks(query: TaskQuery): { readonly tasks: readonly Task[]; readonly next: string | null; readonly groups: readonly Group[] };
  flow(id: FlowId): { readonly flow: FlowRow; readonly tasks: readonly (Task & { readonly waitsFor: TaskWait | null })[] } | null;
  flows(query: FlowQuery): { readonly flows: readonly FlowRow[]; readonly next: string | null; readonly groups: readonly Group[] };
  /**
   * Starts an ended child again, as a task of its own with the next number of attempt. With `restart`
   * one that has not ended is stopped and begins its next attempt at once, under the same id.
   * @throws {Fault} TASK_NOT_FINISHED, SPAWN_PARENT_GONE, CLAIM_DEADLOCK.
   */
  retryTask(input: { task: TaskId; by: string; restart?: boolean }): Task | null;
  /** The attempts of a child that are over, the first one first. */
  attempts(task: TaskId): readonly Attempt[];

  /** Stops a session's running turns and, with `tree`, everything below it; the queue stays unless `queue`. */
  cancelSession(input: { key: SessionKey; by: string; tree: boolean; queue: boolean }): Cancelled | null;
  cancelTurn(input: { session: SessionKey; handle: string; by: string }): Cancelled | null;
  /** Stops one child and everything below it. Null: no such task. */
  cancelTask(input: { task: TaskId; by: string }): Cancelled | null;
  cancelFlow(input: { flow: FlowId; by: string }): Cancelled | null;

  /** Takes results that are due to be sent, and says when the next one is. */
  claimDeliveries(input: { limit: number }): { readonly claimed: readonly ClaimedDelivery[]; readonly nextAt: number | null };
  /** Writes down what an attempt came to. False: it is not that attempt that is on its way. */
  settleDelivery(input: { id: string; attempt: number; end: AttemptEnd }): boolean;
  /** After a start: what was on its way is due again. @returns how many. */
  recoverDeliveries(): number;
  /** After a claim that was told it had failed: what it took all the same, and is not on its way, is due again. @returns how many. */
  returnDeliveries(input: { except: readonly string[] }): number;
  /** Sends one that was given up again, under its old id. @throws {Fault} DELIVERY_NOT_OVER */
  retryDelivery(id: string): Delivery | null;
  deliveries(query: DeliveryQuery): { readonly deliveries: readonly Delivery[]; readonly next: string | null };

  board(query: BoardQuery): readonly BoardColumn[];
  report(input: { since: number }): Report;
  health(): Health;
  /** Counts a reply that denied a tool which the model had. */
  countDenial(input: { model: string; tool: string; mended: boolean }): void;
  /** A person has read the events up to a number. False: no such session. */
  markSeen(input: { session: SessionKey; seq: number }): boolean;
  missed(session: SessionKey): Missed | null;

  /**
   * Asks a person, once per key: the same key gives back the same approval, however it stands. It is
   * approved at once when the conversation has a standing approval for exactly this, and cancelled
   * when its turn is over already.
   * @throws {Fault} SESSION_NOT_FOUND.
   */
  askApproval(ask: NewApproval): Approval;
  /**
   * The one answer. `from` is the conversation that it was given in; null = somebody with the token.
   * @throws {Fault} APPROVAL_NOT_FOUND (also when it is not for that conversation), APPROVAL_ENDED.
   */
  answerApproval(input: { id: string; answer: ApprovalAnswer; by: string; from: SessionKey | null }): Approval;
  /** Ends a pending one without an answer; one that has ended stays as it is. Null: it was never asked. */
  endApproval(input: { askKey: string; state: "expired" | "cancelled"; by: string }): Approval | null;
  approval(id: string): Approval | null;
  approvals(query: ApprovalQuery): { readonly approvals: readonly Approval[]; readonly next: string | null };
  /** What needs no further question in a conversation. */
  standingApprovals(place: SessionKey): readonly StandingApproval[];
  /** @returns how many were forgotten. */
  forgetStanding(place: SessionKey): number;

  /** Makes a session for a harness that a person starts; no task stands behind it. */
  openHarnessSession(input: { agent: string; parent: SessionKey; cwd: string | null; label: string | null }): SessionKey;
  /**
   * From now on plain messages of a conversation go to a harness session, which answers in it.
   * @throws {Fault} SESSION_NOT_FOUND, BAD_REQUEST.
   */
  bind(binding: Binding): void;
  /** @returns what it was bound to; null = nothing. A reset does the same. */
  unbind(conversation: SessionKey): SessionKey | null;
  /** @returns the conversations that were bound to it. */
  unbindTarget(target: SessionKey): readonly SessionKey[];
  boundTo(conversation: SessionKey): SessionKey | null;

  /**
   * Puts the answer to a slash command in a session's log, as a reply to a message of its own that nobody
   * has to take. The session is made when it is not there.
   * @returns the id of that message. @throws {Fault} SESSION_NOT_FOUND  a child that is not there.
   */
  answerCommand(input: { session: SessionKey; text: string }): MessageId;
  /** Posts something that the person should know, as an event and (with `entry`) in the transcript. */
  notice(input: { session: SessionKey; text: string; level: "info" | "warn" | "error"; code: string | null; entry: boolean; data?: JsonObject }): void;

  /** @throws {Fault} SESSION_NOT_FOUND */
  addAccessToken(token: NewAccessToken): AccessToken;
  /** By its fingerprint, also one that is revoked or over; not one whose session has ended. */
  accessToken(hash: string): AccessToken | null;
  accessTokens(input: { limit: number }): readonly AccessToken[];
  /** Null: no such token. One that was revoked before keeps its time. */
  revokeAccessToken(id: string): AccessToken | null;
  /** Adds what a call cost to its token and, where it has one, to its session and the task that runs there. */
  chargeAccessToken(input: { id: string; model: string; usage: Usage }): void;

  /** @throws {Fault} JOB_NAME_TAKEN, JOBS_FULL. */
  putJob(job: NewJob): Job;
  /** Null: no such job. @throws {Fault} JOB_NAME_TAKEN. */
  patchJob(patch: JobPatch): Job | null;
  /** Stops what the job runs, and removes it with its history. */
  removeJob(id: JobId): boolean;
  job(idOrName: string): Job | null;
  jobs(query: JobQuery): { readonly jobs: readonly Job[]; readonly next: string | null };
  /** Active jobs of one kind of schedule, by id. */
  jobsOfKind(query: { kind: Schedule["kind"]; after?: JobId; limit: number }): readonly Job[];
  /**
   * Active jobs that the end of a task sets off, and that have no row for it yet. `task` null: of all tasks that
   * ended since a moment, and since the job began to wait.
   */
  jobsOfTasks(query: { task: TaskId | null; since: number; limit: number }): readonly { readonly job: Job; readonly task: TaskId }[];
  /** Jobs that the configuration made. */
  configJobs(): readonly Job[];
  /** Jobs whose time has come, runs whose next attempt has, and when to ask again. */
  dueJobs(input: { limit: number }): { readonly jobs: readonly Job[]; readonly retries: readonly RunId[]; readonly nextAt: number | null };
  /** Jobs of equal steps that a clock which was set back would leave silent go on one step from now. @returns how many. @cost a look at each such job. */
  unstallJobs(): number;
  setFingerprint(input: { id: JobId; fingerprint: string | null }): void;
  /**
   * Writes the moments of a job that have passed, turns the one that is run into its message, and
   * says what comes next. Once per (job, moment), whoever asks how often.
   */
  fireJob(firing: Firing): Run | null;
  /** The next attempt of a run that failed. */
  launchRun(input: { id: RunId; rules: RunRules }): void;
  /** Brings runs in line with what became of their messages, turns and children. @returns those still open. */
  settleRuns(input: { ids: readonly RunId[]; rules: RunRules }): readonly OpenRun[];
  openRuns(): readonly OpenRun[];
  jobRuns(query: { id: JobId; after?: number; limit: number }): { readonly runs: readonly Run[]; readonly next: number | null };
  /** Forgets runs of jobs, and of built-in ones, that are older. @returns how many of the former. */
  forgetRuns(input: { completedBefore: number; limit: number }): number;
  /** Keeps what a built-in job did; the same run again changes nothing. */
  noteUpkeep(run: UpkeepRun): void;
  /** The newest first. */
  upkeepRuns(query: { task: string; after?: number; limit: number }): { readonly runs: readonly UpkeepRun[]; readonly next: number | null };
  /** Gives it the lowest free ports. @throws {Fault} WORKSPACE_LIMIT. */
  addWorkspace(input: { workspace: Omit<Workspace, "portFirst">; liveMax: number; portBase: number }): Workspace;
  /** Null: it is in none of the states `from`; nothing changed. One that comes back gets ports anew, and needs the limits. */
  moveWorkspace(input: { id: WorkspaceId; from: readonly WorkspaceState[]; patch: Partial<Workspace>; liveMax?: number; portBase?: number }): Workspace | null;
  workspace(id: WorkspaceId): Workspace | null;
  /** Newest first. */
  workspaces(query: WorkspaceQuery): readonly Workspace[];
  /** @throws {Fault} MERGE_IN_LINE: the workspace has one that is not at rest. */
  addMerge(merge: Omit<Merge, "n">): Merge;
  /** All or none. Null: one is in no state of its `from`; or it was to advance and its epoch is old. @throws {Fault} PLAN_NOT_WAITING. */
  moveMerges(moves: readonly MergeMove[]): readonly Merge[] | null;
  merge(id: MergeId): Merge | null;
  merges(query: MergeQuery): readonly Merge[];


  /** Begins a plan: its row, a row for each task, the first event. */
  beginPlan(plan: NewPlanRun): { readonly run: PlanRun; readonly created: boolean };
  planRun(id: PlanId): PlanRun | null;
  /** Newest first. */
  plans(query: { active?: boolean; session?: SessionKey; after?: PlanId; limit: number }): { readonly plans: readonly PlanRun[]; readonly next: PlanId | null };
  /** The task of a plan that a child's session works on. */
  planTaskOfSession(session: SessionKey): { readonly plan: PlanRun; readonly task: PlanTaskRun } | null;
  /** What the children whose idempotency key begins with a plan's id have used, with everything below them, by the part of the key that follows. */
  planUsage(id: PlanId): readonly { readonly task: string; readonly usage: Usage }[];
  /** Moves a plan, when it is where the caller thinks it is. False: it is not, and nothing was written. */
  movePlan(input: { plan: PlanId; from: PlanState; to: PlanState; change?: PlanChange; event?: { type: "plan.phase" | "plan.waiting" | "plan.ended"; data: JsonObject } }): boolean;
  /** As {@link movePlan}, for one of its tasks; `from` = `to` changes its fields alone. */
  movePlanTask(input: { plan: PlanId; task: string; from: PlanTaskState; to: PlanTaskState; change?: PlanTaskChange; data?: JsonObject }): boolean;

  recordProcess(process: OwnedProcess): void;
  forgetProcess(marker: string): void;
  ownedProcesses(): readonly OwnedProcess[];

  /** Removes some of what is older than it is to be kept, as one small step of a pass over the tables. */
  sweep(step: SweepStep): Swept;

  /** What a session's harness was last known by; null when none ever worked for it. */
  harnessSession(key: SessionKey): HarnessRecord | null;
  /** The latest first. */
  harnessSessions(query: { limit: number }): readonly HarnessRecord[];
  saveHarnessSession(record: HarnessRecord): void;

  /** Totals for metrics and doctor. */
  totals(): Readonly<Record<string, number>>;
  /** What was used, the largest groups first (days: the newest). It stays when sessions are deleted. */
  usage(query: UsageQuery): UsageReport;
  /** Writes down a model call that belongs to no turn, e.g. a question about a message. */
  recordCall(call: { session: SessionKey | null; model: string; usage: Usage }): void;
  /** Where a turn or a child belongs, for traces; null when it is gone. */
  tracedTurn(query: { turn: TurnId }): TracedTurn | null;
  tracedTask(query: { task: TaskId }): TracedTask | null;
  checkIntegrity(): readonly string[];
}

/** The verbs as their callers see them: each resolves after the commit. */
export type Store = {
  readonly [Verb in keyof StoreVerbs]: (...args: Parameters<StoreVerbs[Verb]>) => Promise<ReturnType<StoreVerbs[Verb]>>;
} & {
  /** Calls `listener` with the events of each commit, in order. */
  onEvents(listener: (events: readonly YardEvent[]) => void): () => void;
  /** Calls `listener` with the turns that a commit took the right to write from: their work must end. */
  onStopped(listener: (turns: readonly TurnId[]) => void): () => void;
  /** Calls `listener` when the state of the disk changes; it is good until then. */
  onDisk(listener: (state: DiskState) => void): () => void;
  close(): Promise<void>;
};

