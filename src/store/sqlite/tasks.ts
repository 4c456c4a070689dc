/**
 * Children: admitted once, ended once, announced to their parent once, stopped with all below them.
 *
 * The end of a child and the message to its parent are one transaction, whatever ended it.
 */
import type { BarrierId, FlowId, SessionKey, TaskId, TurnId } from "../../base/ids.ts";
import type { Json } from "../../base/json.ts";
import { Fault, type FaultRecord } from "../../model/faults.ts";
import { fairShareMs } from "../../model/lane.ts";
import type { Fence } from "../../model/path-claims.ts";
import { readOutput } from "../../model/output-schema.ts";
import { childSession } from "../../model/session.ts";
import { LABEL_LENGTH_MAX, type NewSpawn, type SpawnLimits, type Task, type TaskState } from "../../model/task.ts";
import { UNSUPERVISED, type FileChange, type QuietTurn } from "../../model/supervision.ts";
import type { TurnEnd, TurnRef } from "../../model/turn.ts";
import type { Cancelled } from "../store.ts";
import { SCHEMA_REQUEST, beginNextAttempt, mayTryAgain, standingOf, stoodStill, taskText } from "./attempts.ts";
import { barriersFor, cancelBarriers, checkBarrier } from "./barriers.ts";
import { boundTo, tellBound } from "./bindings.ts";
import { budgetChild, budgetView, closeBudget, limitsOf, treeChildrenLimit } from "./budgets.ts";
import { enterCircuit, opensCircuit, passCircuit, tellCircuit } from "./circuits.ts";
import { markDelivered, prepareDelivery } from "./deliveries.ts";
import { deliverQuietly } from "./digests.ts";
import { appendEntry } from "./entries.ts";
import type { Kernel, Row } from "./kernel.ts";
import { insertMessage } from "./inbox.ts";
import { refreshLane } from "./lane-state.ts";
import { authorityOf, insertSession, type Authority } from "./open-session.ts";
import { releaseClaims, takeClaims } from "./path-claims.ts";
import { mustGoOn } from "./plan-goes-on.ts";
import { taskOf } from "./rows.ts";
import { rulesOf } from "./rules.ts";
import { isRunning, runningTurn, stopTurn } from "./turn-rows.ts";
import { OPERATOR } from "./usage.ts";

/** So far behind its own moment a new tree may be put for the sake of others that began just before it. */
const TREES_OF_ONE_MOMENT_MS = 1_000;
/** Entries of the parent's transcript that a forked child starts with. */
const FORK_ENTRIES_MAX = 200;

// ── admission ───────────────────────────────────────────────────────────────────────────────

export function admitSpawn(k: Kernel, { spawn, limits }: { spawn: NewSpawn; limits: SpawnLimits }): { task: Task; created: boolean } {
  if (spawn.idempotencyKey !== null) {
    const known = k.get("SELECT * FROM task WHERE spawn_key = ?", spawn.idempotencyKey);
    if (known !== undefined) return { task: taskOf(known, budgetView(k, "task", known["id"])), created: false };
  }
  if (spawn.plan !== undefined) mustGoOn(k, spawn.plan, "an agent");
  const parent = spawn.parent === null ? undefined : livingParent(k, spawn.parent);
  // A call that was on its way when its turn was stopped.
  if (spawn.turnId !== null && !isRunning(k, spawn.turnId)) throw new Fault("TURN_NOT_FOUND", { turn: spawn.turnId });
  const category = spawn.supervision?.category ?? null;
  if (category !== null) passCircuit(k, spawn.agent, category);
  const depth = (parent?.["depth"] ?? 0) + 1;
  if (depth > limits.depthMax) throw new Fault("SPAWN_TOO_DEEP", { depth, depthMax: limits.depthMax });
  const parentTask = parent?.["task_id"] ?? null;
  const flowId = flowFor(k, spawn, parentTask);
  const task = insertTask(k, { spawn, parent, limits, depth, parentTask, flowId, attempt: 1, person: personOf(k, spawn, parentTask) });
  return { task, created: true };
}

/** All of them or none: one that is refused takes the others with it. */
export function admitSpawns(k: Kernel, { spawns, limits }: { spawns: readonly NewSpawn[]; limits: SpawnLimits }): { task: Task; created: boolean }[] {
  const batch = `batch_${k.ids.bare()}`;
  return spawns.map((spawn) => admitSpawn(k, { spawn: { ...spawn, batch }, limits }));
}

function livingParent(k: Kernel, key: SessionKey): Row {
  const parent = k.get("SELECT * FROM session WHERE key = ?", key);
  if (parent === undefined) throw new Fault("SESSION_NOT_FOUND", { session: key });
  if (parent["closed"] === 1) throw new Fault("SPAWN_PARENT_GONE", { session: key });
  return parent;
}

/** Children of a child belong to its flow; children of one turn of a root session, or of one batch, are one flow. */
function flowFor(k: Kernel, spawn: NewSpawn, parentTask: string | null): FlowId {
  if (parentTask !== null) return k.get("SELECT flow_id FROM task WHERE id = ?", parentTask)!["flow_id"];
  const batch = spawn.batch ? k.get("SELECT flow_id FROM task WHERE batch = ? LIMIT 1", spawn.batch) : undefined;
  if (batch !== undefined) return batch["flow_id"];
  const turn = spawn.turnId === null ? undefined : k.get("SELECT flow_id FROM turn WHERE id = ?", spawn.turnId);
  if (turn?.["flow_id"]) {
    if (k.get("SELECT 1 FROM flow WHERE id = ? AND cancelled_at IS NOT NULL", turn["flow_id"]) !== undefined) throw new Fault("FLOW_CANCELLED", { flow: turn["flow_id"] });
    return turn["flow_id"];
  }
  const flowId = k.ids.flow();
  k.run("INSERT INTO flow (id, root, started_at, place) VALUES (?,?,?,?)", flowId, spawn.parent, k.now(), placeOfFlow(k, spawn.parent));
  if (turn !== undefined) k.run("UPDATE turn SET flow_id = ? WHERE id = ?", flowId, spawn.turnId);
  return flowId;
}

/** Trees get places that differ, so that those of one moment do not advance in step; further trees of one session stand a little back. */
function placeOfFlow(k: Kernel, root: SessionKey | null): number {
  const others = root === null ? 0 : k.count("SELECT count(DISTINCT flow_id) FROM task WHERE parent_session = ? AND ended_at IS NULL", root);
  const wanted = k.now() + fairShareMs(others);
  return k.count("SELECT coalesce(max(place) + 1, ?1) FROM flow WHERE place BETWEEN ?1 AND ?1 + ?2", wanted, TREES_OF_ONE_MOMENT_MS);
}

function personOf(k: Kernel, spawn: NewSpawn, parentTask: string | null): string {
  const row = spawn.turnId !== null ? k.get("SELECT person FROM turn WHERE id = ?", spawn.turnId) : parentTask !== null ? k.get("SELECT person FROM task WHERE id = ?", parentTask) : undefined;
  return row?.["person"] ?? OPERATOR;
}

interface TaskPlan {
  readonly spawn: NewSpawn;
  readonly parent: Row | undefined;
  readonly limits: SpawnLimits;
  readonly depth: number;
  readonly parentTask: string | null;
  readonly flowId: FlowId;
  readonly attempt: number;
  readonly person: string;
}

function insertTask(k: Kernel, { spawn, parent, limits, depth, parentTask, flowId, attempt, person }: TaskPlan): Task {
  const now = k.now();
  const watch = { ...UNSUPERVISED, ...spawn.supervision };
  const fence: Fence = { workspace: spawn.workspace ?? "", claims: spawn.claims };
  const taskId = k.ids.task();
  const session = childSession(spawn.agent, spawn.kind, k.ids.bare());
  const label = (spawn.label ?? spawn.task).trim().split("\n")[0]!.slice(0, LABEL_LENGTH_MAX);
  const siblings = spawn.parent === null ? 0 : k.count("SELECT count(*) FROM task WHERE parent_session = ? AND ended_at IS NULL AND admitted = 1", spawn.parent);
  const admitted = siblings < limits.childrenMax;
  const budgeted = budgetChild(k, { taskId, parentTask: parentTask as TaskId | null, flowId, budget: spawn.budget ?? {}, tree: limits.tree ?? {} });
  const schema = spawn.outputSchema === undefined ? null : JSON.stringify(spawn.outputSchema);
  const row = k.get(
    `INSERT INTO task (id, n, flow_id, label, task, kind, state, parent_session, parent_task, session, agent, model, depth, delivery, cleanup, claims, siblings_max, admitted, spawn_key, attempt, queued_at, deadline_at, person, budgeted, output_schema,
       callback, batch, on_end, forked, progress_ms, attempt_last, backoff_seconds, retry_model, category, circuit_failures, circuit_open_ms, spawn_turn)
     VALUES (?, (SELECT coalesce(max(n), 0) + 1 FROM task), ?,?,?,?,'queued',?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?,?,?,?,?) RETURNING *`,
    taskId, flowId, label, spawn.task, spawn.kind, spawn.parent, parentTask, session, spawn.agent, spawn.model, depth, spawn.delivery, spawn.cleanup, JSON.stringify(spawn.claims),
    limits.childrenMax, admitted ? 1 : 0, spawn.idempotencyKey, attempt, now, spawn.deadlineSeconds === null ? null : now + spawn.deadlineSeconds * 1000, person, budgeted, schema,
    spawn.callback ?? null, spawn.batch ?? spawn.turnId, watch.onEnd, spawn.context === "fork" ? 1 : 0, watch.progressSeconds === null ? null : watch.progressSeconds * 1000, attempt + watch.attempts - 1, watch.backoffSeconds, watch.retryModel,
    watch.category, watch.circuitFailures, watch.circuitOpenSeconds * 1000, spawn.turnId,
  )!;
  const blockers = spawn.claims.length === 0 ? [] : takeClaims(k, row, fence, watch.onConflict);
  if (watch.category !== null) enterCircuit(k, row);
  const cwd = spawn.cwd ?? parent?.["cwd"] ?? null;
  insertSession(k, { key: session, kind: spawn.kind, agent: spawn.agent, parent: spawn.parent, taskId, depth, label, model: spawn.model, cwd, authority: authorityBelow(parent, fence) });
  if (spawn.context === "fork" && spawn.parent !== null) forkContext(k, spawn.parent, session);
  insertMessage(k, session, { text: taskText(spawn.task, schema), provenance: spawn.parent === null ? "operator" : "agent", channel: "spawn", mode: "followup", readyAt: now });
  refreshLane(k, session);
  const log = spawn.parent ?? session;
  const data = { label, session, state: "queued", flowId, depth, agent: spawn.agent, model: spawn.model };
  const why = blockers.length > 0 ? "claims" : admitted ? "slot" : "siblings";
  const queued = { label, session, state: "queued", why, active: siblings, activeMax: limits.childrenMax, ...(blockers.length === 0 ? {} : { claims: [...spawn.claims], behind: blockers.map((one) => one["id"]) }) };
  k.emit(log, { type: "task.accepted", taskId, data }, { type: "task.queued", taskId, data: queued });
  return taskOf(row, budgeted === 2 ? budgetView(k, "task", taskId) : null);
}

function authorityBelow(parent: Row | undefined, fence: Fence): Authority | null {
  if (parent === undefined && fence.claims.length === 0) return null;
  const { lineage, fences } = parent === undefined ? { lineage: [], fences: [] } : authorityOf(parent);
  return { lineage: parent === undefined ? lineage : [...lineage, parent["agent"]], fences: fence.claims.length === 0 ? fences : [...fences, fence] };
}

function forkContext(k: Kernel, parent: SessionKey, child: SessionKey): void {
  const { summary, summary_upto: upTo } = k.get("SELECT summary, summary_upto FROM session WHERE key = ?", parent)!;
  k.run("UPDATE session SET summary = ? WHERE key = ?", summary, child);
  const entries = k.all("SELECT * FROM entry WHERE session = ? AND seq > ? AND (turn_id IS NULL OR turn_id NOT IN (SELECT id FROM turn WHERE session = ? AND state = 'running')) ORDER BY seq DESC LIMIT ?", parent, upTo, parent, FORK_ENTRIES_MAX);
  const block = entries.reverse();
  const start = block.findIndex((entry) => JSON.parse(entry["content"]).role === "user");
  for (const entry of start === -1 ? [] : block.slice(start)) {
    appendEntry(k, child, { turnId: null, content: JSON.parse(entry["content"]), messageIds: [], provenance: entry["provenance"] });
  }
}

export function retryTask(k: Kernel, { task: id, by, restart = false }: { task: TaskId; by: string; restart?: boolean }): Task | null {
  const old = k.get("SELECT * FROM task WHERE id = ?", id);
  if (old === undefined) return null;
  if (old["ended_at"] === null) {
    if (!restart) throw new Fault("TASK_NOT_FINISHED", { task: id, state: old["state"] });
    stopAttempt(k, old, by);
    beginAgain(k, old, { fault: new Fault("TURN_CANCELLED", { by }).toRecord(), by, delayMs: 0 });
    return taskOf(k.get("SELECT * FROM task WHERE id = ?", id)!, old["budgeted"] === 2 ? budgetView(k, "task", id) : null);
  }
  return startAgain(k, old, by);
}

/** The same work as a new task, in the same tree. */
export function startAgain(k: Kernel, old: Row, by: string): Task {
  const id = old["id"] as TaskId;
  const parent = old["parent_session"] === null ? undefined : livingParent(k, old["parent_session"]);
  const seconds = old["deadline_at"] === null ? null : Math.ceil((old["deadline_at"] - old["queued_at"]) / 1000);
  const first = old["attempt"] - k.count("SELECT count(*) FROM attempt WHERE task_id = ?", id);
  const session = k.get("SELECT cwd, authority FROM session WHERE key = ?", old["session"]);
  const spawn: NewSpawn = {
    task: old["task"], label: old["label"], parent: old["parent_session"], turnId: null, agent: old["agent"], kind: old["kind"], model: old["model"], context: "isolated",
    cwd: session?.["cwd"] ?? null, deadlineSeconds: seconds, delivery: old["delivery"], cleanup: old["cleanup"], claims: JSON.parse(old["claims"]), idempotencyKey: null,
    budget: limitsOf(k, id), ...(old["output_schema"] === null ? {} : { outputSchema: JSON.parse(old["output_schema"]) }), callback: old["callback"], batch: old["batch"],
    workspace: session === undefined ? "" : (authorityOf(session).fences.at(-1)?.workspace ?? ""),
    supervision: {
      progressSeconds: old["progress_ms"] === null ? null : old["progress_ms"] / 1000, attempts: old["attempt_last"] - first + 1, backoffSeconds: old["backoff_seconds"], retryModel: old["retry_model"],
      category: old["category"], circuitFailures: old["circuit_failures"], circuitOpenSeconds: old["circuit_open_ms"] / 1000, onEnd: old["on_end"],
    },
  };
  k.run("UPDATE flow SET cancelled_at = NULL WHERE id = ?", old["flow_id"]);
  const limits = { depthMax: old["depth"], childrenMax: old["siblings_max"], tree: treeChildrenLimit(k, old["flow_id"]) };
  const task = insertTask(k, { spawn, parent, limits, depth: old["depth"], parentTask: old["parent_task"], flowId: old["flow_id"], attempt: old["attempt"] + 1, person: old["person"] });
  k.emit(spawn.parent ?? task.session, { type: "task.attempt", taskId: task.taskId, data: { label: task.label, session: task.session, attempt: task.attempt, after: id, by } });
  return task;
}

// ── the end of a child ──────────────────────────────────────────────────────────────────────

/** After a turn of a child: it is done, or it still has messages, children or a barrier to wait for. */
export function settleChild(k: Kernel, session: SessionKey, end: TurnEnd): void {
  const task = k.get("SELECT * FROM task WHERE session = ? AND ended_at IS NULL", session);
  if (task === undefined) return;
  if (end.outcome === "failed") {
    cancelBarriers(k, session, { by: "the end of its turn", released: true });
    stopBelow(k, session, "the end of its parent");
    deliverQuietly(k, session, { waiting: true });
    refreshLane(k, session);
    return failAttempt(k, task, end.fault);
  }
  if (hasWork(k, session)) return;
  if (end.outcome === "done" && task["on_end"] === "handUp" && end.text.trim() !== "") handUp(k, task);
  if (waitsForOthers(k, session)) {
    k.run("UPDATE task SET state = 'waiting' WHERE id = ?", task["id"]);
    k.emit((task["parent_session"] ?? session) as SessionKey, { type: "task.progress", taskId: task["id"], data: { label: task["label"], session, state: "waiting" } });
    return;
  }
  if (end.text.trim() === "") return failAttempt(k, task, new Fault("CHILD_EMPTY", {}).toRecord());
  if (end.outcome === "done" && end.fault !== undefined) return finishTask(k, task, { state: "failed", result: end.text, fault: end.fault });
  if (task["output_schema"] === null) return finishTask(k, task, { state: "succeeded", result: end.text, fault: null });
  const read = readOutput(JSON.parse(task["output_schema"]), end.text);
  if ("output" in read) return finishTask(k, task, { state: "succeeded", result: end.text, output: read.output, fault: null });
  if (task["corrections"] > 0) return failAttempt(k, task, new Fault("RESULT_INVALID", { problems: read.problems.join("; ") }).toRecord(), end.text);
  askForCorrection(k, task, read.problems);
}

/** A result that does not fit gets one more turn, which is told what is wrong. */
function askForCorrection(k: Kernel, task: Row, problems: readonly string[]): void {
  const session = task["session"] as SessionKey;
  const text = `[result] Your result does not fit what was asked for:\n${problems.map((problem) => `- ${problem}`).join("\n")}\n${SCHEMA_REQUEST}\n${task["output_schema"]}`;
  k.run("UPDATE task SET corrections = corrections + 1 WHERE id = ?", task["id"]);
  const messageId = insertMessage(k, session, { text, provenance: "system", channel: "spawn", mode: "followup", readyAt: k.now() });
  k.emit(session, { type: "message.accepted", taskId: task["id"], data: { messageId, text, provenance: "system", channel: "spawn", clientMessageId: null, mode: "followup", queuedAhead: 0 } });
  refreshLane(k, session);
}

/** An attempt came to nothing: the child has failed, or the next one begins. */
function failAttempt(k: Kernel, task: Row, fault: FaultRecord, result: string | null = null): void {
  if (fault.code !== "BUDGET_EXHAUSTED" && mayTryAgain(k, task) && nextAttempt(k, task, fault)) return;
  finishTask(k, task, { state: "failed", result, fault });
}

/** @returns false, and nothing has begun, when this failure is the one that opens the circuit. */
function nextAttempt(k: Kernel, task: Row, fault: FaultRecord): boolean {
  if (opensCircuit(k, task)) return false;
  stopAttempt(k, task, "the end of its attempt");
  tellCircuit(k, task, "failed");
  beginAgain(k, task, { fault, by: "its policy" });
  return true;
}

function beginAgain(k: Kernel, task: Row, why: { fault: FaultRecord; by: string; delayMs?: number }): void {
  const parent = task["parent_session"] as SessionKey | null;
  beginNextAttempt(k, task, { ...why, fork: (session) => parent !== null && k.get("SELECT 1 FROM session WHERE key = ?", parent) !== undefined && forkContext(k, parent, session) });
}

/** Ends what an attempt runs, has below it and was still told; the child itself goes on. */
function stopAttempt(k: Kernel, task: Row, by: string): void {
  const session = task["session"] as SessionKey;
  cancelBarriers(k, session, { by, released: true });
  stopBelow(k, session, by);
  k.run(`UPDATE session SET closed = 1 WHERE key IN (${BELOW})`, session);
  deliverQuietly(k, session, { waiting: true });
  stopSession(k, session, by, true);
}

/** The children of a child that is done become those of its parent; without one, their results wait in their tasks. */
function handUp(k: Kernel, task: Row): void {
  const { session, parent_session: parent } = task;
  if (k.get("SELECT 1 FROM barrier WHERE session = ? AND state = 'open'", session) !== undefined) return;
  const children = k.all("SELECT * FROM task WHERE parent_session = ? AND ended_at IS NULL ORDER BY n", session);
  for (const child of children) {
    k.run("UPDATE task SET parent_session = ?, parent_task = ?, admitted = max(admitted, ?) WHERE id = ?", parent, task["parent_task"], parent === null ? 1 : 0, child["id"]);
    k.run("UPDATE session SET parent = ? WHERE key = ?", parent, child["session"]);
    refreshLane(k, child["session"]);
    const data = { label: child["label"], session: child["session"], state: child["state"], handedUpTo: parent };
    k.emit(session, { type: "task.progress", taskId: child["id"], data });
    if (parent !== null) k.emit(parent, { type: "task.progress", taskId: child["id"], data });
  }
}

/** A turn of the session runs, on any track, or a message will start one. */
function hasWork(k: Kernel, session: SessionKey): boolean {
  return k.get("SELECT 1 FROM lane WHERE session = ?1 AND state IN ('ready','leased') UNION SELECT 1 FROM turn WHERE session = ?1 AND state = 'running'", session) !== undefined;
}

/** Something else will wake the session: a barrier, or the result of a child. */
function waitsForOthers(k: Kernel, session: SessionKey): boolean {
  return k.get("SELECT 1 FROM barrier WHERE session = ?1 AND state = 'open' UNION SELECT 1 FROM task WHERE parent_session = ?1 AND ended_at IS NULL", session) !== undefined;
}

/** A child that has not ended and that nothing will wake any more. */
function isStranded(k: Kernel, session: SessionKey): boolean {
  return k.get("SELECT 1 FROM task WHERE session = ? AND ended_at IS NULL", session) !== undefined && !hasWork(k, session) && !waitsForOthers(k, session);
}

interface TaskEnd {
  readonly state: TaskState;
  readonly result: string | null;
  readonly output?: Json;
  readonly fault: FaultRecord | null;
  /** How the parent hears of it; `quiet` = by a line in its transcript, without a turn, unless it needs one to end itself. */
  readonly announce?: "message" | "quiet" | "none";
}

function finishTask(k: Kernel, task: Row, { state, result, output, fault, announce = "message" }: TaskEnd): void {
  const now = k.now();
  const taskId = task["id"] as TaskId;
  const parent = task["parent_session"] as SessionKey | null;
  const ended = k.get("UPDATE task SET state = ?, result = ?, output_json = ?, fault = ?, ended_at = ? WHERE id = ? RETURNING *", state, result, output === undefined ? null : JSON.stringify(output), fault === null ? null : JSON.stringify(fault), now, taskId)!;
  if (ended["budgeted"] === 2) closeBudget(k, taskId);
  const data = { label: task["label"], session: task["session"], state, ms: now - task["queued_at"], delivery: task["delivery"], result: result === null ? null : result.slice(0, 2000), fault: fault === null ? null : ({ ...fault } as never) };
  k.emit(parent ?? (task["session"] as SessionKey), { type: "task.ended", taskId, data });
  if (task["claims"] !== "[]") releaseClaims(k, taskId);
  if (task["category"] !== null) tellCircuit(k, task, state);
  if (task["delivery"] === "webhook") prepareDelivery(k, { task: taskId }, task["callback"]);
  if (announce !== "none") announceEnd(k, ended, announce);
  if (parent !== null) admitNextSibling(k, parent);
}

/** The result goes to a parent that waits for it, and else where the spawn said. */
function announceEnd(k: Kernel, task: Row, announce: "message" | "quiet"): void {
  const taskId = task["id"] as TaskId;
  const parent = task["parent_session"] === null ? null : nearestLiving(k, task["parent_session"]);
  const barriers = parent === null ? [] : barriersFor(k, parent, taskId);
  const isUsual = task["delivery"] === "digest" && announce === "message";
  // A parent that nothing else will wake needs it, whatever the spawn said.
  const isAwaited = barriers.length > 0 || (!isUsual && parent !== null && isStranded(k, parent));
  if (!isAwaited && task["delivery"] === "webhook") return; // its row was written with its end
  if (!isAwaited && task["delivery"] === "board") return markDelivered(k, task, { by: "board" });
  if (parent === null) return markDelivered(k, task, { by: "task" });
  if (!isAwaited && task["delivery"] === "notify") {
    k.emit(parent, { type: "notice", taskId, data: { text: `${task["label"]}: ${task["state"]}`, level: "info", code: "TASK_ENDED" } });
    return markDelivered(k, task, { by: "notify" });
  }
  if (!isAwaited && announce === "quiet") {
    appendEntry(k, parent, { turnId: null, content: { role: "notice", text: `background task ${JSON.stringify(task["label"])} (${taskId}) was stopped` }, messageIds: [], provenance: "system" });
    return markDelivered(k, task, { quiet: true });
  }
  tellParent(k, task, parent, barriers);
}

function tellParent(k: Kernel, task: Row, parent: SessionKey, barriers: readonly BarrierId[]): void {
  const taskId = task["id"] as TaskId;
  const barrier = barriers[0] ?? null;
  const gathering = k.get("SELECT ready_at FROM message WHERE session = ? AND state = 'waiting' AND child_task IS NOT NULL LIMIT 1", parent);
  const readyAt = gathering?.["ready_at"] ?? k.now() + rulesOf(k).gatherMs;
  // Whoever asked is still at work and may yet wait for it: another turn of the session would answer in its place.
  const asker = k.get("SELECT id FROM turn WHERE id = ? AND session = ? AND state = 'running'", task["spawn_turn"], parent)?.["id"] as TurnId | undefined;
  const messageId = insertMessage(k, parent, {
    text: "", provenance: "child", channel: "child", mode: "followup", readyAt, childTask: taskId, barrierId: barrier, held: barrier !== null, ...(asker === undefined ? {} : { forTurn: asker }),
  });
  k.emit(parent, { type: "message.accepted", taskId, data: { messageId, text: "", provenance: "child", channel: "child", clientMessageId: null, mode: "followup", label: task["label"] } });
  for (const waiting of barriers) checkBarrier(k, waiting);
  refreshLane(k, parent);
}

/** The parent, or the nearest session above it that still lives. */
function nearestLiving(k: Kernel, key: SessionKey): SessionKey | null {
  for (let session = k.get("SELECT key, parent, closed FROM session WHERE key = ?", key); session !== undefined; ) {
    if (session["closed"] === 0) return session["key"];
    if (session["parent"] === null) return null;
    session = k.get("SELECT key, parent, closed FROM session WHERE key = ?", session["parent"]);
  }
  return null;
}

function admitNextSibling(k: Kernel, parent: SessionKey): void {
  for (;;) {
    const next = k.get("SELECT * FROM task WHERE parent_session = ? AND admitted = 0 AND ended_at IS NULL ORDER BY n LIMIT 1", parent);
    if (next === undefined) return;
    const active = k.count("SELECT count(*) FROM task WHERE parent_session = ? AND admitted = 1 AND ended_at IS NULL", parent);
    if (active >= next["siblings_max"]) return;
    k.run("UPDATE task SET admitted = 1 WHERE id = ?", next["id"]);
    refreshLane(k, next["session"]);
  }
}

// ── stopping ────────────────────────────────────────────────────────────────────────────────

/** Ends those whose time is over: for all of it, or for something new. @returns those whose files may tell of something new. */
export function expireTasks(k: Kernel, now: number): QuietTurn[] {
  const quiet: QuietTurn[] = [];
  for (const { id } of k.all("SELECT id FROM task WHERE ended_at IS NULL AND deadline_at <= ?1 UNION ALL SELECT id FROM task WHERE ended_at IS NULL AND progress_due_at <= ?1", now)) {
    const task = k.get("SELECT * FROM task WHERE id = ? AND ended_at IS NULL", id);
    if (task === undefined) continue; // stopped with its parent, whose deadline was over too
    if (task["deadline_at"] !== null && task["deadline_at"] <= now) {
      const seconds = Math.round((task["deadline_at"] - task["queued_at"]) / 1000);
      stopTask(k, task, { state: "timed_out", fault: new Fault("CHILD_TIMED_OUT", { seconds }).toRecord(), by: "its deadline", announce: "message" });
      continue;
    }
    const standing = standingOf(k, task, now);
    if (standing === "stands still") endStalled(k, task);
    else if (standing !== "has time") quiet.push(standing);
  }
  return quiet;
}

export function judgeQuiet(k: Kernel, { turn, change }: { turn: TurnRef; change: FileChange | null }): void {
  const task = k.get("SELECT k.* FROM turn t JOIN task k ON k.id = t.task_id WHERE t.id = ? AND t.epoch = ? AND t.state = 'running' AND k.ended_at IS NULL", turn.turnId, turn.epoch);
  // Without a moment its watch rests: a call of it waits for its provider by now.
  if (task !== undefined && task["progress_due_at"] !== null && stoodStill(k, task, change)) endStalled(k, task);
}

function endStalled(k: Kernel, task: Row): void {
  const fault = new Fault("CHILD_STALLED", { seconds: task["progress_ms"] / 1000 }).toRecord();
  if (mayTryAgain(k, task) && nextAttempt(k, task, fault)) return;
  stopTask(k, task, { state: "timed_out", fault, by: "its watch over progress", announce: "message" });
}

/** Ends a child and everything below it, the youngest first. */
function stopTask(k: Kernel, task: Row, how: { state: TaskState; fault: FaultRecord; by: string; announce: "message" | "quiet" | "none" }): TaskId[] {
  const session = task["session"] as SessionKey;
  cancelBarriers(k, session, { by: how.by, released: true });
  const below = stopBelow(k, session, how.by);
  k.run(`UPDATE session SET closed = 1 WHERE key = ?1 OR key IN (${BELOW})`, session);
  stopSession(k, session, how.by, true);
  finishTask(k, task, { state: how.state, result: null, fault: how.fault, announce: how.announce });
  return [...below, task["id"]];
}

/** The sessions below the one that is bound as ?1, at any depth. */
const BELOW = "WITH RECURSIVE below(key) AS (SELECT key FROM session WHERE parent = ?1 UNION ALL SELECT s.key FROM session s JOIN below ON s.parent = below.key) SELECT key FROM below";

/** Stops everything below a session, the youngest first, also below children that have ended. A child is younger than its parent. */
function stopBelow(k: Kernel, session: SessionKey, by: string): TaskId[] {
  const fault = new Fault("TURN_CANCELLED", { by }).toRecord();
  const busy = k.all(
    `SELECT s.key FROM session s JOIN lane l ON l.session = s.key WHERE s.key IN (${BELOW})
       AND (l.state <> 'idle' OR EXISTS (SELECT 1 FROM turn u WHERE u.session = s.key AND u.state = 'running') OR EXISTS (SELECT 1 FROM task t WHERE t.session = s.key AND t.ended_at IS NULL))
     ORDER BY (SELECT max(t.n) FROM task t WHERE t.session = s.key) DESC, s.depth DESC`,
    session,
  );
  return busy.flatMap(({ key }) => {
    const task = k.get("SELECT * FROM task WHERE session = ? AND ended_at IS NULL", key);
    if (task !== undefined) return stopTask(k, task, { state: "cancelled", fault, by, announce: "none" });
    cancelBarriers(k, key, { by, released: true });
    stopSession(k, key, by, true);
    return [];
  });
}

/** Stops a session's turns, barriers and (with `queue`) waiting messages. @returns how many messages. */
function stopSession(k: Kernel, session: SessionKey, by: string, queue: boolean): number {
  for (const turn of k.all("SELECT * FROM turn WHERE session = ? AND state = 'running' ORDER BY handle DESC", session)) stopTurn(k, turn, { by });
  const which = queue ? "state IN ('waiting','held')" : "state = 'held'";
  const cancelled = k.all(`SELECT id FROM message WHERE session = ? AND ${which}`, session);
  k.run(`UPDATE message SET state = 'cancelled' WHERE session = ? AND ${which}`, session);
  if (queue && cancelled.length > 0) k.emit(session, { type: "message.cancelled", data: { messageIds: cancelled.map((row) => row["id"]), by } });
  if (queue) tellBound(k, session, cancelled.map((row) => row["id"]), null, { outcome: "cancelled", fault: new Fault("TURN_CANCELLED", { by }).toRecord() });
  refreshLane(k, session);
  return queue ? cancelled.length : 0;
}

export function cancelSession(k: Kernel, { key, by, tree, queue }: { key: SessionKey; by: string; tree: boolean; queue: boolean }): Cancelled | null {
  const row = k.get("SELECT * FROM session WHERE key = ?", key);
  if (row === undefined) return null;
  const task = row["task_id"] === null ? undefined : k.get("SELECT * FROM task WHERE id = ? AND ended_at IS NULL", row["task_id"]);
  if (task !== undefined) return cancelTask(k, { task: task["id"], by });
  // Turns of children are told as their tasks; a session below without a task is a harness that a person started.
  const running = k.all(`SELECT t.id FROM turn t JOIN session s ON s.key = t.session WHERE t.state = 'running' AND (t.session = ?1 OR (?2 AND s.task_id IS NULL AND t.session IN (${BELOW})))`, key, tree ? 1 : 0);
  cancelBarriers(k, key, { by, released: tree || queue });
  const tasks = tree ? stopBelow(k, key, by) : [];
  deliverQuietly(k, key, { waiting: tree || queue });
  const messages = stopSession(k, key, by, queue);
  return { turns: running.map((turn) => turn["id"]), tasks, messages };
}

export function cancelTurn(k: Kernel, { session, handle, by }: { session: SessionKey; handle: string; by: string }): Cancelled | null {
  const turn = runningTurn(k, session, handle);
  if (turn === undefined) {
    // What a person wrote in a bound conversation is worked on in the session that it is bound to.
    const target = boundTo(k, session);
    return target === null ? null : cancelTurn(k, { session: target, handle, by });
  }
  stopTurn(k, turn, { by });
  const task = k.get("SELECT id FROM task WHERE session = ? AND ended_at IS NULL", session);
  const isOver = task !== undefined && !hasWork(k, session) && !waitsForOthers(k, session);
  return { turns: [turn["id"]], tasks: isOver ? cancelTask(k, { task: task["id"], by })!.tasks : [], messages: 0 };
}

export function cancelTask(k: Kernel, { task: id, by }: { task: TaskId; by: string }): Cancelled | null {
  const task = k.get("SELECT * FROM task WHERE id = ?", id);
  if (task === undefined) return null;
  if (task["ended_at"] !== null) return { turns: [], tasks: [], messages: 0 };
  const turns = turnsBelow(k, task["session"]);
  const fault = new Fault("TURN_CANCELLED", { by }).toRecord();
  const tasks = stopTask(k, task, { state: "cancelled", fault, by, announce: "quiet" });
  return { turns, tasks, messages: 0 };
}

/** For what was left too long ago to go on. @returns false when it has ended meanwhile. */
export function loseTask(k: Kernel, id: TaskId, by: string): boolean {
  const task = k.get("SELECT * FROM task WHERE id = ? AND ended_at IS NULL", id);
  if (task === undefined) return false;
  const parentGoesToo = k.get("SELECT 1 FROM task WHERE session = ? AND ended_at IS NULL", task["parent_session"]) !== undefined;
  stopTask(k, task, { state: "lost", fault: new Fault("WORK_STALE", { by }).toRecord(), by, announce: parentGoesToo ? "none" : "quiet" });
  return true;
}

export function cancelFlow(k: Kernel, { flow, by }: { flow: FlowId; by: string }): Cancelled | null {
  if (k.run("UPDATE flow SET cancelled_at = ? WHERE id = ?", k.now(), flow) === 0) return null;
  const finished = k.all("SELECT id FROM task WHERE flow_id = ? AND state = 'succeeded' ORDER BY n", flow).map((task) => task["id"] as TaskId);
  const turns = k.all("SELECT t.id FROM turn t JOIN task c ON c.session = t.session WHERE c.flow_id = ? AND c.ended_at IS NULL AND t.state = 'running'", flow).map((turn) => turn["id"] as TurnId);
  const fault = new Fault("TURN_CANCELLED", { by }).toRecord();
  const tasks: TaskId[] = [];
  for (const { id } of k.all("SELECT id FROM task WHERE flow_id = ? AND ended_at IS NULL ORDER BY n DESC", flow)) {
    const task = k.get("SELECT * FROM task WHERE id = ? AND ended_at IS NULL", id);
    // Those below another one of the tree are told by its end; the tops tell whoever they belong to.
    const isBelow = task !== undefined && k.get("SELECT 1 FROM task WHERE id = ? AND ended_at IS NULL", task["parent_task"]) !== undefined;
    if (task !== undefined) tasks.push(...stopTask(k, task, { state: "cancelled", fault, by, announce: isBelow ? "none" : "quiet" }));
  }
  return { turns, tasks, messages: 0, finished };
}

function turnsBelow(k: Kernel, session: SessionKey): Cancelled["turns"] {
  return k
    .all(
      `WITH RECURSIVE tree(key) AS (SELECT ? UNION ALL SELECT s.key FROM session s JOIN tree ON s.parent = tree.key)
       SELECT t.id FROM turn t JOIN tree ON t.session = tree.key WHERE t.state = 'running'`,
      session,
    )
    .map((row) => row["id"]);
}
