/** From rows to the store's types, in one place. */
import type { FlowId, MessageId, SessionKey, TaskId, TurnId } from "../../base/ids.ts";
import type { BudgetView } from "../../model/budget.ts";
import type { Usage } from "../../model/chat.ts";
import type { Entry, EntryContent, StepRecord } from "../../model/turn.ts";
import type { Task } from "../../model/task.ts";
import type { FlowRow, SessionRow, TurnRow } from "../store.ts";
import type { Row } from "./kernel.ts";
import { authorityOf } from "./open-session.ts";

export const USAGE_COLUMNS = "input, output, cache_read, cache_write, reasoning, calls, cost_micros, unpriced";
/** `SET` list that adds one usage to a row; bind {@link usageValues}. */
export const ADD_USAGE =
  "input = input + ?, output = output + ?, cache_read = cache_read + ?, cache_write = cache_write + ?, reasoning = reasoning + ?, calls = calls + ?, cost_micros = cost_micros + ?, unpriced = unpriced + ?";

export function usageValues(usage: Usage): number[] {
  return [usage.input, usage.output, usage.cacheRead, usage.cacheWrite, usage.reasoning, usage.calls, usage.costMicros, usage.unpriced ?? 0].map(Math.round);
}

export function usageOf(row: Row): Usage {
  return {
    input: row["input"],
    output: row["output"],
    cacheRead: row["cache_read"],
    cacheWrite: row["cache_write"],
    reasoning: row["reasoning"],
    calls: row["calls"],
    costMicros: row["cost_micros"],
    ...(row["unpriced"] > 0 ? { unpriced: row["unpriced"] as number } : {}),
  };
}

/** A row of `session JOIN lane`, with `active` = has open tasks or barriers to wait for. */
export function sessionOf(row: Row): SessionRow {
  return {
    key: row["key"] as SessionKey,
    label: row["label"],
    kind: row["kind"],
    agent: row["agent"],
    parent: row["parent"],
    taskId: row["task_id"],
    model: row["model"],
    queueMode: row["queue_mode"],
    cwd: row["cwd"],
    depth: row["depth"],
    lineage: authorityOf(row).lineage,
    state: row["archived_at"] !== null ? "archived" : row["running"] > 0 ? "running" : row["state"] === "ready" ? "queued" : row["state"] === "waiting" ? "waiting" : "idle",
    createdAt: row["created_at"],
    lastAt: row["last_at"],
    lastSeq: row["last_seq"],
    lastEntry: row["last_entry"],
    waitingMessages: row["waiting"],
    usage: usageOf(row),
  };
}

/** @param budget  what its own budget has left, for a task that has one. */
export function taskOf(row: Row, budget: BudgetView | null): Task {
  return {
    taskId: row["id"] as TaskId,
    flowId: row["flow_id"] as FlowId,
    label: row["label"],
    task: row["task"],
    kind: row["kind"],
    state: row["state"],
    parentSession: row["parent_session"],
    parentTask: row["parent_task"],
    session: row["session"] as SessionKey,
    agent: row["agent"],
    model: row["model"],
    depth: row["depth"],
    delivery: row["delivery"],
    queuedAt: row["queued_at"],
    startedAt: row["started_at"],
    endedAt: row["ended_at"],
    deadlineAt: row["deadline_at"],
    result: row["result"],
    fault: row["fault"] === null ? null : JSON.parse(row["fault"]),
    usage: usageOf(row),
    claims: JSON.parse(row["claims"]),
    budget,
    aliveAt: row["ended_at"] === null ? row["alive_at"] : null,
    output: row["output_json"] === null ? null : JSON.parse(row["output_json"]),
    attempt: row["attempt"],
    attemptLast: row["attempt_last"],
    onEnd: row["on_end"],
    category: row["category"],
    batch: row["batch"],
    deliveredAt: row["delivered_at"],
  };
}

export function flowOf(row: Row): FlowRow {
  return {
    flowId: row["id"],
    root: row["root"],
    state: row["active"] > 0 ? "running" : row["cancelled_at"] !== null ? "cancelled" : "ended",
    startedAt: row["started_at"],
    endedAt: row["active"] > 0 ? null : row["ended_at"],
    tasks: row["tasks"],
    active: row["active"],
    succeeded: row["succeeded"],
    failed: row["failed"],
    usage: usageOf(row),
    budget: null,
  };
}

export function entryOf(row: Row): Entry {
  return {
    seq: row["seq"],
    turnId: row["turn_id"] as TurnId | null,
    at: row["at"],
    content: JSON.parse(row["content"]) as EntryContent,
    messageIds: JSON.parse(row["message_ids"]) as MessageId[],
    provenance: row["provenance"],
    replyTo: JSON.parse(row["reply_to"]) as MessageId[],
  };
}

export function stepOf(row: Row): StepRecord {
  return {
    key: row["key"],
    kind: row["kind"],
    name: row["name"],
    effect: row["effect"],
    input: row["input"] === null ? null : JSON.parse(row["input"]),
    state: row["state"],
    result: row["result"] === null ? null : JSON.parse(row["result"]),
  };
}

export function turnOf(row: Row, messageIds: readonly MessageId[]): TurnRow {
  return {
    turnId: row["id"] as TurnId,
    session: row["session"] as SessionKey,
    handle: handleText(row["handle"]),
    track: row["track"],
    state: row["state"],
    attempt: row["attempt"],
    startedAt: row["started_at"],
    endedAt: row["ended_at"],
    messageIds,
    taskId: row["task_id"],
    about: row["about"],
  };
}

export function handleText(handle: number): string {
  return `T${handle}`;
}
