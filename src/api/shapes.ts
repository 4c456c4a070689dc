/** From the rows inside to the shapes on the wire: the only place that knows both. */
import type { Approval } from "../model/approval.ts";
import type { Budget, BudgetView } from "../model/budget.ts";
import type { Usage } from "../model/chat.ts";
import { textOf, toolCallsOf } from "../model/chat.ts";
import type { LiveFrame, Resync, YardEvent } from "../model/event.ts";
import type { FaultRecord } from "../model/faults.ts";
import type { HarnessWait } from "../model/harness.ts";
import type { ProviderLanes } from "../model/parking.ts";
import type { HarnessFinding, HarnessReport } from "../model/harness-report.ts";
import type { Task } from "../model/task.ts";
import type { Entry } from "../model/turn.ts";
import type { Received } from "../sessions/sessions.ts";
import type { Delivery } from "../model/delivery.ts";
import type { BoardColumn, Cancelled, FlowRow, LaneRow, LanesView, Missed, Promotion, Report, ReportGroup, SessionRow, TurnRow } from "../store/store.ts";
import type {
  ApiAmounts,
  ApiApproval,
  ApiBoardColumn,
  ApiBudget,
  ApiDelivery,
  ApiEvent,
  ApiFault,
  ApiFlow,
  ApiHarness,
  ApiLane,
  ApiReportGroup,
  ApiSession,
  ApiTask,
  ApiTurn,
  ApiUsage,
  CancelResult,
  HarnessHealth,
  HistoryEntry,
  LanesAnswer,
  MessageAccepted,
  MissedAnswer,
  PromoteResult,
  ReportAnswer,
} from "./wire.ts";

const MICROS_PER_DOLLAR = 1_000_000;

export function toApiUsage({ costMicros, unpriced = 0, ...tokens }: Usage): ApiUsage {
  const isUnknown = unpriced > 0 && costMicros === 0;
  return { ...tokens, cost: isUnknown ? null : costMicros / MICROS_PER_DOLLAR, ...(unpriced > 0 ? { unpriced } : {}) };
}

export function toApiBudget(view: BudgetView | null): ApiBudget | null {
  if (view === null) return null;
  return { limit: toAmounts(view.limit), reserved: toAmounts(view.reserved), used: toAmounts(view.used), left: toAmounts(view.left) };
}

function toAmounts({ costMicros, ...rest }: Budget): ApiAmounts {
  return { ...rest, ...(costMicros === undefined ? {} : { cost: costMicros / MICROS_PER_DOLLAR }) };
}

export function toApiFault(fault: FaultRecord): ApiFault {
  return { ...fault, details: { ...fault.details } };
}

export function toMessageAccepted(received: Received): MessageAccepted {
  const { messageId, session, queuedAhead, etaMs, duplicate, commandReply } = received;
  return { messageId, session, queuedAhead, etaMs, duplicate, ...(commandReply === null ? {} : { commandReply }) };
}

/** An event has the same shape on both sides; this stops compiling when that is no longer so. */
export function toApiEvent(event: YardEvent | LiveFrame | Resync): ApiEvent {
  return event.session === null ? { ...event, session: "", data: { ...event.data } } : (event as YardEvent | LiveFrame);
}

export function toApiSession(row: SessionRow): ApiSession {
  return {
    key: row.key,
    label: row.label,
    kind: row.kind,
    agent: row.agent,
    parent: row.parent,
    taskId: row.taskId,
    model: row.model,
    queueMode: row.queueMode,
    cwd: row.cwd,
    state: row.state,
    createdAt: row.createdAt,
    lastAt: row.lastAt,
    lastSeq: row.lastSeq,
    waitingMessages: row.waitingMessages,
    usage: toApiUsage(row.usage),
  };
}

export function toHistoryEntry(entry: Entry): HistoryEntry {
  const [first] = entry.messageIds;
  return {
    seq: entry.seq,
    at: entry.at,
    ...saidIn(entry),
    ...(first === undefined ? {} : { messageId: first, messageIds: [...entry.messageIds] }),
    ...(entry.turnId === null ? {} : { turnId: entry.turnId }),
    ...(entry.replyTo.length === 0 ? {} : { replyTo: [...entry.replyTo] }),
    provenance: entry.provenance,
  };
}

function saidIn({ content }: Entry): Pick<HistoryEntry, "role" | "text" | "toolCalls" | "toolResults"> {
  switch (content.role) {
    case "user":
    case "notice":
      return { role: content.role, text: content.text };
    case "assistant": {
      const toolCalls = toolCallsOf(content.parts).map(({ callId, tool, input }) => ({ callId, tool, input }));
      return { role: "assistant", text: textOf(content.parts), ...(toolCalls.length === 0 ? {} : { toolCalls }) };
    }
    case "tool":
      return { role: "tool", text: content.results.map((result) => result.text).join("\n"), toolResults: content.results.map((result) => ({ ...result })) };
  }
}

export function toApiTask(task: Task): ApiTask {
  return {
    taskId: task.taskId,
    flowId: task.flowId,
    label: task.label,
    task: task.task,
    kind: task.kind,
    state: task.state,
    parentSession: task.parentSession,
    parentTask: task.parentTask,
    session: task.session,
    agent: task.agent,
    model: task.model,
    depth: task.depth,
    queuedAt: task.queuedAt,
    startedAt: task.startedAt,
    endedAt: task.endedAt,
    deadlineAt: task.deadlineAt,
    ...(task.result === null ? {} : { result: task.result }),
    ...(task.output === null ? {} : { output: task.output }),
    ...(task.fault === null ? {} : { fault: toApiFault(task.fault) }),
    usage: toApiUsage(task.usage),
    claims: [...task.claims],
    budget: toApiBudget(task.budget),
    aliveAt: task.aliveAt,
    attempt: task.attempt,
    attemptLast: task.attemptLast,
    onEnd: task.onEnd,
    category: task.category,
    delivery: task.delivery,
    batch: task.batch,
    deliveredAt: task.deliveredAt,
  };
}

export function toBoardColumn({ name, total, isMore, tasks }: BoardColumn): ApiBoardColumn {
  return { name, total, isMore, cards: tasks.map(toApiTask) };
}

/** Without what stands behind a `?`: it may be a secret. */
export function toApiDelivery({ url, ...delivery }: Delivery): ApiDelivery {
  return { ...delivery, url: url.replace(/[?#].*$/s, "") };
}

export function toApiReport({ since, total, batches, flows, jobs, days, health }: Report): ReportAnswer {
  return { since, total: toReportGroup(total), batches: batches.map(toReportGroup), flows: flows.map(toReportGroup), jobs: jobs.map(toReportGroup), days: days.map(toReportGroup), health: { ...health, denials: health.denials.map((one) => ({ ...one })) } };
}

function toReportGroup({ value, failedTasks, ...counts }: ReportGroup): ApiReportGroup {
  return { name: value, ...counts, failedTasks: failedTasks.map((one) => ({ ...one })) };
}

export function toMissedAnswer(session: string, { seenSeq, seenAt, events }: Missed): MissedAnswer {
  return { seenSeq, seenAt, events: events.map(({ taskId, ...event }) => ({ ...event, session, ...(taskId === null ? {} : { taskId }) })) };
}

export function toApiApproval({ id, askKey: _key, hash: _hash, ...approval }: Approval): ApiApproval {
  return { approvalId: id, ...approval, input: { ...approval.input } };
}

export function toApiHarness(finding: HarnessFinding): ApiHarness {
  return { ...finding, available: finding.program !== null, modes: [...finding.modes], install: [...finding.install] };
}

export function toHarnessHealth({ problems, agents, memory, ...report }: HarnessReport): HarnessHealth {
  return {
    ...report,
    sandbox: { ...report.sandbox },
    problems: problems.map(({ steps, ...problem }) => ({ ...problem, steps: [...steps] })),
    agents: agents.map(toApiHarness),
    memory: { ...memory, waiting: [...memory.waiting] },
  };
}

export function toApiFlow(flow: FlowRow): ApiFlow {
  return {
    flowId: flow.flowId,
    root: flow.root,
    state: flow.state,
    startedAt: flow.startedAt,
    endedAt: flow.endedAt,
    total: flow.tasks,
    active: flow.active,
    succeeded: flow.succeeded,
    failed: flow.failed,
    usage: toApiUsage(flow.usage),
  };
}

export function toCancelResult(cancelled: Cancelled): CancelResult {
  const { turns, tasks, messages, finished } = cancelled;
  return { cancelled: turns.length + tasks.length + messages > 0, turns: [...turns], tasks: [...tasks], messages, ...(finished === undefined ? {} : { finished: [...finished] }) };
}

export function toPromoteResult(promotion: Promotion): PromoteResult {
  switch (promotion.outcome) {
    case "promoted":
      return { promoted: true, handle: promotion.turn.handle };
    case "already-side":
      return { promoted: false, handle: promotion.handle };
    case "nothing-runs":
      return { promoted: false, handle: null };
  }
}

export function toLanesAnswer(view: LanesView, { accounts, parked }: ProviderLanes, draining: boolean, waits: readonly HarnessWait[]): LanesAnswer {
  return {
    generation: view.generation,
    draining,
    pools: view.pools.map((pool) => ({ ...pool })),
    lanes: view.lanes.map(toApiLane),
    accounts: accounts.map((account) => ({ ...account })),
    parked: parked.map((call) => ({ ...call })),
    memoryWaits: waits.map(({ key, ...wait }) => ({ session: key, ...wait })),
  };
}

function toApiLane(lane: LaneRow): ApiLane {
  return { ...lane, turns: lane.turns.map(toApiTurn) };
}

function toApiTurn(turn: TurnRow): ApiTurn {
  const { turnId, session, handle, track, attempt, startedAt, messageIds, taskId, about } = turn;
  return { turnId, session, handle, track, attempt, startedAt, messageIds: [...messageIds], taskId, about };
}
