/**
 * The occurrences of jobs: from the moment that is due to the end of all that it set going.
 *
 * The row of an occurrence and the message that it becomes are one transaction, so nothing fires
 * twice and nothing fires without a row, whatever crashes in between. What became of a run is read
 * from its message, turn and tasks (`settleRuns`), never told by anyone: asked twice, it changes nothing.
 */
import type { FlowId, JobId, MessageId, RunId, SessionKey } from "../../base/ids.ts";
import { asFault, Fault, type FaultRecord } from "../../model/faults.ts";
import { graceOf, RUN_RESULT_LENGTH_MAX, WAITING_RUNS_MAX, type Firing, type JobSpec, type Run, type RunPlan, type RunRules } from "../../model/job.ts";
import { jobSession, mainSession } from "../../model/session.ts";
import { textOf } from "../../model/chat.ts";
import type { EntryContent } from "../../model/turn.ts";
import type { OpenRun } from "../store.ts";
import { prepareDelivery } from "./deliveries.ts";
import { appendEntry } from "./entries.ts";
import { isIsolated, isOwnSession, ownSession, tellOwner, tellRun, warnOwner } from "./job-log.ts";
import type { Kernel, Row } from "./kernel.ts";
import { refreshLane } from "./lane-state.ts";
import { acceptMessage } from "./messages.ts";
import { openSession } from "./open-session.ts";
import { handleText } from "./rows.ts";
import { runOf, runRow } from "./run-row.ts";
import { deleteSession } from "./sessions.ts";
import { cancelSession, cancelTurn } from "./tasks.ts";
import { runWatchdog } from "./watchdogs.ts";

/** The channel of messages that jobs become. */
export const JOB_CHANNEL = "job";

// ── firing ──────────────────────────────────────────────────────────────────────────────────

/** @returns the run that was written, or null: none was asked for, or the moment has its row already. */
export function fireJob(k: Kernel, firing: Firing): Run | null {
  const row = k.get("SELECT * FROM job WHERE id = ?", firing.jobId);
  if (row === undefined || (firing.expected !== null && row["next_for"] !== firing.expected)) return null;
  if (firing.expected === null && firing.run !== null && firing.run.source !== "manual" && row["state"] !== "active") return null;
  const spec = JSON.parse(row["spec"]) as JobSpec;
  for (const { scheduledFor, until, state, reason } of firing.passed) {
    k.run(
      "INSERT INTO occurrence (id, job_id, scheduled_for, until, state, reason, fired_at, ended_at, completed_at) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
      k.ids.run(), firing.jobId, scheduledFor, until, state, reason, k.now(), k.now(), k.now(),
    );
  }
  if (firing.passed.length > 0) {
    const last = firing.passed.at(-1)!;
    tellRun(k, firing.jobId, spec, { type: "job.missed", data: { jobId: firing.jobId, name: spec.name, moments: firing.passed.length, from: firing.passed[0]!.scheduledFor, to: last.until, reason: last.reason } });
  }
  if (firing.expected !== null) {
    const lastFor = firing.run?.scheduledFor ?? firing.passed.at(-1)?.until ?? firing.expected;
    k.run("UPDATE job SET next_for = ?, due_at = ?, last_for = ? WHERE id = ?", firing.next?.nextFor ?? null, firing.next?.dueAt ?? null, lastFor, firing.jobId);
  }
  if (firing.fingerprint !== undefined) setFingerprint(k, { id: firing.jobId, fingerprint: firing.fingerprint });
  const run = firing.run === null ? null : writeRun(k, firing, spec);
  if (firing.done !== undefined) endJob(k, firing.jobId, spec, firing.done);
  return run;
}

export function setFingerprint(k: Kernel, { id, fingerprint }: { id: JobId; fingerprint: string | null }): void {
  k.run("UPDATE job SET fingerprint = ? WHERE id = ?", fingerprint, id);
}

function writeRun(k: Kernel, { jobId, run, rules, expected }: Firing, spec: JobSpec): Run | null {
  const { source, plan, queue } = run!;
  if (source !== null && source !== "manual" && k.get("SELECT 1 FROM occurrence WHERE job_id = ? AND source = ?", jobId, source) !== undefined) return null;
  let { scheduledFor } = run!;
  const taken = (): boolean => k.get("SELECT 1 FROM occurrence WHERE job_id = ? AND scheduled_for = ?", jobId, scheduledFor) !== undefined;
  // A moment of the clock is one occurrence for ever; what people and happenings set off only needs a place of its own.
  if (expected !== null && taken()) return null;
  while (taken()) scheduledFor++;
  const id = k.ids.run();
  const insert = (state: "waiting" | "skipped", reason: string | null): void => {
    const over = state === "skipped" ? k.now() : null;
    const stored = source === "manual" ? `manual:${id}` : source;
    k.run(
      "INSERT INTO occurrence (id, job_id, scheduled_for, until, source, state, reason, plan, fired_at, ended_at, completed_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
      id, jobId, scheduledFor, scheduledFor, stored, state, reason, over === null ? JSON.stringify(plan) : null, k.now(), over, over,
    );
    if (state === "skipped") tellRun(k, jobId, spec, { type: "job.skipped", data: { jobId, runId: id, name: spec.name, scheduledFor, reason } });
  };
  const refusal = plan.kind === "skip" ? plan.reason : (busyReason(k, spec) ?? itemReason(k, plan));
  if (refusal !== null) {
    insert("skipped", refusal);
    return runRow(k, id);
  }
  const open = plan.kind === "watchdog" ? [] : openRunsOf(k, jobId);
  if (open.length > 0 && spec.overlap === "skip" && !queue) {
    insert("skipped", "the run before it is not complete");
    return runRow(k, id);
  }
  if (open.length >= WAITING_RUNS_MAX && spec.overlap !== "cancel") {
    insert("skipped", `${WAITING_RUNS_MAX} runs wait already`);
    return runRow(k, id);
  }
  if (spec.overlap === "cancel" && !queue) for (const earlier of open) supersede(k, earlier, spec, "a newer run of the job");
  insert("waiting", null);
  if (open.length === 0 || (spec.overlap === "cancel" && !queue)) launch(k, id, spec, rules);
  return runRow(k, id);
}

/** A heartbeat keeps away from a conversation that is busy: the person's, and the one that it works in. */
function busyReason(k: Kernel, spec: JobSpec): string | null {
  if (spec.payload.kind !== "heartbeat") return null;
  const { target } = spec;
  const own = target.kind === "session" ? target.session : target.kind === "label" ? sessionLabelled(k, target.label) : null;
  return isBusy(k, mainSession(spec.agent)) || (own !== null && isBusy(k, own)) ? "the session is busy" : null;
}

/** Something runs or waits in it. */
function isBusy(k: Kernel, session: SessionKey): boolean {
  return k.get("SELECT 1 FROM lane l WHERE session = ?1 AND (state <> 'idle' OR EXISTS (SELECT 1 FROM turn t WHERE t.session = ?1 AND t.state = 'running'))", session) !== undefined;
}

function sessionLabelled(k: Kernel, label: string): SessionKey | null {
  return k.get("SELECT key FROM session WHERE label = ? AND closed = 0 ORDER BY last_at DESC, key LIMIT 1", label)?.["key"] ?? null;
}

function itemReason(k: Kernel, plan: RunPlan): string | null {
  if (plan.kind !== "item") return null;
  return freeItem(k, plan) === undefined ? "every open item is being worked on" : null;
}

function freeItem(k: Kernel, plan: RunPlan & { kind: "item" }): (RunPlan & { kind: "item" })["items"][number] | undefined {
  return plan.items.find(({ item }) => k.get("SELECT 1 FROM plan_claim WHERE folder = ? AND item = ?", plan.folder, item) === undefined);
}

/** Turns a waiting run into its message. */
function launch(k: Kernel, id: RunId, spec: JobSpec, rules: RunRules): void {
  const row = k.get("SELECT * FROM occurrence WHERE id = ?", id)!;
  const jobId = row["job_id"] as JobId;
  const plan = JSON.parse(row["plan"]) as RunPlan;
  if (plan.kind === "watchdog") return launchWatchdog(k, row, spec, plan, rules);
  const item = plan.kind === "item" ? freeItem(k, plan) : undefined;
  if (plan.kind === "item" && item === undefined) return finishRun(k, row, spec, { state: "skipped", reason: "every open item is being worked on" }, rules);
  const text = plan.kind === "item" ? item!.text : plan.kind === "message" ? plan.text : "";
  try {
    const session = (row["session"] as SessionKey | null) ?? targetOf(k, jobId, spec, plan);
    const accepted = say(k, session, { text, sourceId: `${id}.${row["attempt"]}`, jobId, rules });
    k.run("UPDATE occurrence SET state = 'running', session = ?, message_id = ?, retry_at = NULL WHERE id = ?", session, accepted, id);
    if (plan.kind === "item") k.run("INSERT INTO plan_claim (folder, item, occurrence_id) VALUES (?,?,?) ON CONFLICT DO NOTHING", plan.folder, item!.item, id);
    tellRun(k, jobId, spec, { type: "job.fired", data: { jobId, runId: id, name: spec.name, scheduledFor: row["scheduled_for"], attempt: row["attempt"], session, messageId: accepted } });
  } catch (thrown) {
    const fault = asFault(thrown);
    if (fault.code === "INTERNAL") throw thrown;
    failRun(k, row, spec, fault.toRecord(), rules);
  }
}

function launchWatchdog(k: Kernel, row: Row, spec: JobSpec, plan: RunPlan & { kind: "watchdog" }, rules: RunRules): void {
  const jobId = row["job_id"] as JobId;
  try {
    const { reason, text } = k.wholly(() => runWatchdog(k, plan, `watchdog ${spec.name}`));
    if (text === null) return finishRun(k, row, spec, { state: "ran", reason }, rules);
    const session = targetOf(k, jobId, spec, plan);
    const messageId = say(k, session, { text, sourceId: `${row["id"]}.${row["attempt"]}`, jobId, rules });
    k.run("UPDATE occurrence SET state = 'running', session = ?, message_id = ?, reason = ?, retry_at = NULL WHERE id = ?", session, messageId, reason, row["id"]);
    tellRun(k, jobId, spec, { type: "job.fired", data: { jobId, runId: row["id"], name: spec.name, scheduledFor: row["scheduled_for"], attempt: row["attempt"], session, messageId, reason } });
  } catch (thrown) {
    const fault = asFault(thrown);
    if (fault.code === "INTERNAL") throw thrown;
    failRun(k, row, spec, fault.toRecord(), rules);
  }
}

function say(k: Kernel, session: SessionKey, { text, sourceId, jobId, rules }: { text: string; sourceId: string; jobId: JobId; rules: RunRules }): MessageId {
  const { messageId } = acceptMessage(k, {
    message: { session, text, provenance: "timer", channel: JOB_CHANNEL, sourceId, author: jobId, queueMode: "followup", replyTo: null },
    rules: { waitMs: 0, defaultMode: "followup", meanTurnMs: rules.meanTurnMs, independence: "dependent" },
  });
  return messageId;
}

function targetOf(k: Kernel, jobId: JobId, spec: JobSpec, plan: RunPlan): SessionKey {
  const model = plan.kind === "message" || plan.kind === "item" ? plan.model : null;
  switch (spec.target.kind) {
    case "main":
      return mainSession(spec.agent);
    case "session":
      return spec.target.session;
    case "label": {
      const found = sessionLabelled(k, spec.target.label);
      if (found === null) throw new Fault("JOB_TARGET_GONE", { target: `labelled ${spec.target.label}` });
      return found;
    }
    case "job":
      return ownSession(k, jobSession(jobId), spec, model);
    case "isolated":
      return ownSession(k, jobSession(`${jobId}.${k.ids.bare()}`), spec, model);
  }
}

export function openRunsOf(k: Kernel, jobId: JobId): Row[] {
  return k.all("SELECT * FROM occurrence WHERE job_id = ? AND completed_at IS NULL ORDER BY scheduled_for", jobId);
}

/** Ends a run that something newer takes the place of. */
export function supersede(k: Kernel, row: Row, spec: JobSpec, by: string): void {
  const session = row["session"] as SessionKey | null;
  if (session !== null && isOwnSession(row["job_id"], session)) cancelSession(k, { key: session, by, tree: true, queue: true });
  else if (row["message_id"] !== null) {
    const message = k.get("SELECT state, turn_id FROM message WHERE id = ?", row["message_id"]);
    if (message?.["state"] === "waiting") {
      k.run("UPDATE message SET state = 'cancelled' WHERE id = ?", row["message_id"]);
      k.emit(session!, { type: "message.cancelled", data: { messageIds: [row["message_id"]], by } });
      refreshLane(k, session!);
    } else if (message?.["state"] === "taken") {
      const turn = k.get("SELECT handle FROM turn WHERE id = ? AND state = 'running'", message["turn_id"]);
      if (turn !== undefined) cancelTurn(k, { session: session!, handle: handleText(turn["handle"]), by });
    }
  }
  close(k, row, spec, { state: "superseded", reason: by });
}

export function launchRun(k: Kernel, { id, rules }: { id: RunId; rules: RunRules }): void {
  const row = k.get("SELECT o.*, j.spec FROM occurrence o JOIN job j ON j.id = o.job_id WHERE o.id = ? AND o.state = 'waiting' AND o.retry_at <= ?", id, k.now());
  if (row === undefined) return;
  const spec = JSON.parse(row["spec"]) as JobSpec;
  const lateMs = k.now() - row["retry_at"];
  // A gateway that was down for long does not begin old work by surprise.
  if (lateMs > graceOf(spec.misfire)) return finishRun(k, row, spec, { state: "failed", reason: `its next attempt came ${Math.round(lateMs / 1000)} s late, over the grace`, fault: JSON.parse(row["fault"]) }, rules);
  launch(k, id, spec, rules);
}

// ── what became of it ───────────────────────────────────────────────────────────────────────

/** Brings open runs in line with their messages, turns and tasks. @returns those that are still open. */
export function settleRuns(k: Kernel, { ids, rules }: { ids: readonly RunId[]; rules: RunRules }): OpenRun[] {
  const open: OpenRun[] = [];
  for (const id of ids) {
    const found = k.get("SELECT o.*, j.spec FROM occurrence o JOIN job j ON j.id = o.job_id WHERE o.id = ? AND o.completed_at IS NULL", id);
    if (found === undefined) continue;
    const spec = JSON.parse(found["spec"]) as JobSpec;
    if (found["message_id"] !== null && found["ended_at"] === null) settleTurn(k, found, spec, rules);
    const row = k.get("SELECT * FROM occurrence WHERE id = ?", id)!;
    if (row["state"] === "ran" && row["completed_at"] === null) settleCompletion(k, row, spec, rules);
    const left = k.get("SELECT id, session, ended_at FROM occurrence WHERE id = ? AND completed_at IS NULL", id);
    if (left !== undefined) open.push(openRunOf(left));
  }
  return open;
}

export function openRuns(k: Kernel): OpenRun[] {
  return k.all("SELECT id, session, ended_at FROM occurrence WHERE completed_at IS NULL ORDER BY job_id, scheduled_for").map(openRunOf);
}

function openRunOf(row: Row): OpenRun {
  return { id: row["id"], session: row["session"], isEnded: row["ended_at"] !== null };
}

function settleTurn(k: Kernel, row: Row, spec: JobSpec, rules: RunRules): void {
  const message = k.get("SELECT state, turn_id FROM message WHERE id = ?", row["message_id"]);
  const jobId = row["job_id"] as JobId;
  if (message === undefined || message["state"] === "cancelled") return finishRun(k, row, spec, { state: "cancelled", reason: "it was stopped" }, rules);
  if (row["started_at"] === null && message["turn_id"] !== null) {
    const turn = k.get("SELECT started_at FROM turn WHERE id = ?", message["turn_id"]);
    k.run("UPDATE occurrence SET started_at = ? WHERE id = ?", turn?.["started_at"] ?? k.now(), row["id"]);
    tellRun(k, jobId, spec, { type: "job.started", data: { jobId, runId: row["id"], name: spec.name, session: row["session"] } });
  }
  if (message["state"] === "answered") {
    const result = lastReply(k, row["session"], row["message_id"]);
    k.run("UPDATE occurrence SET state = 'ran', ended_at = ?, result = ? WHERE id = ?", k.now(), result?.slice(0, RUN_RESULT_LENGTH_MAX) ?? null, row["id"]);
    k.run("UPDATE job SET failures = 0, permanent = 0 WHERE id = ? AND (failures > 0 OR permanent > 0)", jobId);
    tellRun(k, jobId, spec, { type: "job.ended", data: { jobId, runId: row["id"], name: spec.name, state: "ran", ms: k.now() - row["fired_at"] } });
  } else if (message["state"] === "failed") {
    const turn = k.get("SELECT fault FROM turn WHERE session = ? AND state = 'failed' ORDER BY handle DESC LIMIT 1", row["session"]);
    failRun(k, row, spec, turn === undefined ? new Fault("INTERNAL", { problem: "the turn failed without a fault" }).toRecord() : (JSON.parse(turn["fault"]) as FaultRecord), rules);
  }
}

/** What the session answered to a message, or null. */
function lastReply(k: Kernel, session: SessionKey, messageId: MessageId): string | null {
  const entry = k.get("SELECT content FROM entry WHERE session = ? AND instr(reply_to, ?) > 0 ORDER BY seq DESC LIMIT 1", session, messageId);
  return entry === undefined ? null : spokenText(JSON.parse(entry["content"]));
}

function spokenText(content: EntryContent): string | null {
  if (content.role === "assistant") return textOf(content.parts);
  return content.role === "notice" ? content.text : null;
}

/** A run is complete when every task that it set going has ended and, in a session of its own, nothing is left to do. */
function settleCompletion(k: Kernel, row: Row, spec: JobSpec, rules: RunRules): void {
  const { spawned, shipped, active } = childrenOf(k, row);
  if (row["session"] !== null && isIsolated(row["job_id"], row["session"])) {
    if (isBusy(k, row["session"])) return;
    const last = k.get("SELECT content FROM entry WHERE session = ? AND reply_to <> '[]' ORDER BY seq DESC LIMIT 1", row["session"]);
    const text = last === undefined ? null : spokenText(JSON.parse(last["content"]));
    if (text !== null) k.run("UPDATE occurrence SET result = ? WHERE id = ?", text.slice(0, RUN_RESULT_LENGTH_MAX), row["id"]);
  }
  if (active > 0) return;
  k.run("UPDATE occurrence SET spawned = ?, shipped = ? WHERE id = ?", spawned, shipped, row["id"]);
  complete(k, k.get("SELECT * FROM occurrence WHERE id = ?", row["id"])!, spec, rules);
}

/** The trees that a run set going. */
export function flowsOfRun(k: Kernel, row: Row): FlowId[] {
  if (row["session"] === null) return [];
  const flows = isIsolated(row["job_id"], row["session"])
    ? k.all("SELECT DISTINCT flow_id FROM task WHERE parent_session = ?", row["session"])
    : k.all("SELECT t.flow_id FROM message m JOIN turn t ON t.id = m.turn_id WHERE m.id = ? AND t.flow_id IS NOT NULL", row["message_id"]);
  return flows.map((flow) => flow["flow_id"] as FlowId);
}

function childrenOf(k: Kernel, row: Row): { spawned: number; shipped: number; active: number } {
  const sum = { spawned: 0, shipped: 0, active: 0 };
  for (const flow of flowsOfRun(k, row)) {
    const counts = k.get("SELECT count(*) AS spawned, coalesce(sum(state = 'succeeded'), 0) AS shipped, coalesce(sum(ended_at IS NULL), 0) AS active FROM task WHERE flow_id = ?", flow)!;
    sum.spawned += counts["spawned"];
    sum.shipped += counts["shipped"];
    sum.active += counts["active"];
  }
  return sum;
}

function complete(k: Kernel, row: Row, spec: JobSpec, rules: RunRules): void {
  const jobId = row["job_id"] as JobId;
  k.run("UPDATE occurrence SET completed_at = ?, plan = NULL WHERE id = ?", k.now(), row["id"]);
  k.run("DELETE FROM plan_claim WHERE occurrence_id = ?", row["id"]);
  tellRun(k, jobId, spec, { type: "job.completed", data: { jobId, runId: row["id"], name: spec.name, spawned: row["spawned"], shipped: row["shipped"], ms: k.now() - row["fired_at"], ...posted(spec) } });
  if (row["session"] !== null && isIsolated(jobId, row["session"])) k.run("UPDATE session SET archived_at = ? WHERE key = ?", k.now(), row["session"]);
  report(k, row, spec);
  stopWhenStuck(k, row, spec);
  launchNext(k, jobId, spec, rules);
}

/** Wakes whoever posts results. */
function posted({ delivery }: JobSpec): { delivery?: "webhook" } {
  return delivery.mode === "webhook" ? { delivery: "webhook" } : {};
}

function launchNext(k: Kernel, jobId: JobId, spec: JobSpec, rules: RunRules): void {
  const [first] = openRunsOf(k, jobId);
  if (first !== undefined && first["state"] === "waiting" && first["retry_at"] === null) launch(k, first["id"], spec, rules);
}

/** Says the result where the job is told to, unless it is a heartbeat with nothing to say. */
function report(k: Kernel, row: Row, spec: JobSpec): void {
  const { delivery, payload } = spec;
  if (payload.kind === "heartbeat" && isOnly(payload.quietToken, String(row["result"]))) return;
  if (delivery.mode === "webhook") return prepareDelivery(k, { run: row["id"] }, delivery.url);
  if (delivery.mode !== "notice" || row["result"] === null || row["result"].trim() === "") return;
  openSession(k, delivery.session);
  const children = row["spawned"] > 0 ? ` (${row["shipped"]} of ${row["spawned"]} children succeeded)` : "";
  // What a run said is marked line by line, so that it cannot pass for words of the gateway.
  const text = `${spec.name}${children}: ${String(row["result"]).replaceAll("\n", "\n> ")}`;
  appendEntry(k, delivery.session, { turnId: null, content: { role: "notice", text }, messageIds: [], provenance: "timer" });
  k.emit(delivery.session, { type: "notice", data: { text, level: "info", code: "JOB_RESULT", jobId: row["job_id"], runId: row["id"] } });
}

/** Nothing besides the token was said: who says more than that has something to tell. */
function isOnly(token: string, said: string): boolean {
  return said.includes(token) && said.replaceAll(token, "").replaceAll(/[\s\p{P}\p{S}]/gu, "") === "";
}

/** A run over a plan that says it is stuck pauses its job until a person has looked. */
function stopWhenStuck(k: Kernel, row: Row, spec: JobSpec): void {
  const said = spec.payload.kind === "iterate" ? /^\W*STUCK\b.*$/m.exec(row["result"] ?? "")?.[0] : undefined;
  if (said === undefined) return;
  const why = said.trim().slice(0, 300);
  k.run("UPDATE job SET state = 'paused', why = ?, next_for = NULL, due_at = NULL WHERE id = ?", why, row["job_id"]);
  tellOwner(k, spec, { type: "job.changed", data: { jobId: row["job_id"], name: spec.name, state: "paused", why } });
  warnOwner(k, spec, row["job_id"], `Job ${spec.name} is paused: ${why}. Resume it with "yard jobs resume ${spec.name}" when that is mended.`, "JOB_STUCK");
}

/** A run that did not come to an answer: tried again when that may help, else over. */
function failRun(k: Kernel, row: Row, spec: JobSpec, fault: FaultRecord, rules: RunRules): void {
  if (fault.retryable && row["attempt"] <= rules.retriesMax) {
    const retryAt = k.now() + rules.backoffMs * 2 ** (row["attempt"] - 1);
    k.run("UPDATE occurrence SET state = 'waiting', message_id = NULL, started_at = NULL, attempt = attempt + 1, retry_at = ?, fault = ? WHERE id = ?", retryAt, JSON.stringify(fault), row["id"]);
    k.run("DELETE FROM plan_claim WHERE occurrence_id = ?", row["id"]);
    tellRun(k, row["job_id"], spec, { type: "job.retry", data: { jobId: row["job_id"], runId: row["id"], name: spec.name, attempt: row["attempt"] + 1, retryAt, problem: fault.message } });
    return;
  }
  finishRun(k, row, spec, { state: "failed", reason: fault.message, fault }, rules);
}

interface RunEnd {
  readonly state: "ran" | "failed" | "cancelled" | "skipped" | "superseded";
  readonly reason: string | null;
  readonly fault?: FaultRecord;
}

function finishRun(k: Kernel, row: Row, spec: JobSpec, end: RunEnd, rules: RunRules): void {
  close(k, row, spec, end);
  if (end.state === "failed") countFailure(k, row["job_id"], spec, end.fault!, rules);
  launchNext(k, row["job_id"], spec, rules);
}

function close(k: Kernel, row: Row, spec: JobSpec, { state, reason, fault }: RunEnd): void {
  const now = k.now();
  k.run(
    "UPDATE occurrence SET state = ?, reason = ?, fault = ?, plan = NULL, retry_at = NULL, ended_at = coalesce(ended_at, ?), completed_at = ? WHERE id = ?",
    state, reason, fault === undefined ? null : JSON.stringify(fault), now, now, row["id"],
  );
  k.run("DELETE FROM plan_claim WHERE occurrence_id = ?", row["id"]);
  // Who is posted the results hears of a failure too: nothing else would tell it.
  if (state === "failed" && spec.delivery.mode === "webhook") prepareDelivery(k, { run: row["id"] }, spec.delivery.url);
  tellRun(k, row["job_id"], spec, { type: "job.ended", data: { jobId: row["job_id"], runId: row["id"], name: spec.name, state, reason, ms: now - row["fired_at"], ...posted(spec) } });
}

function countFailure(k: Kernel, jobId: JobId, spec: JobSpec, fault: FaultRecord, rules: RunRules): void {
  const now = k.now();
  const row = k.get("SELECT * FROM job WHERE id = ?", jobId)!;
  const failures = row["failures"] + 1;
  const permanent = fault.retryable ? 0 : row["permanent"] + 1;
  k.run("UPDATE job SET failures = ?, permanent = ? WHERE id = ?", failures, permanent, jobId);
  if (rules.disableAfter > 0 && permanent >= rules.disableAfter && row["state"] === "active") {
    const why = `${permanent} errors in a row that will not pass by themselves; the last: ${fault.message}`;
    k.run("UPDATE job SET state = 'disabled', why = ?, next_for = NULL, due_at = NULL WHERE id = ?", why, jobId);
    tellOwner(k, spec, { type: "job.disabled", data: { jobId, name: spec.name, why } });
    warnOwner(k, spec, jobId, `Job ${spec.name} was switched off after ${why}`, "JOB_DISABLED");
    return;
  }
  const cooled = row["alerted_at"] === null || now - row["alerted_at"] >= rules.alertCooldownMs;
  if (rules.alertAfter > 0 && failures >= rules.alertAfter && cooled) {
    k.run("UPDATE job SET alerted_at = ? WHERE id = ?", now, jobId);
    tellOwner(k, spec, { type: "job.alert", data: { jobId, name: spec.name, failures, problem: fault.message } });
    warnOwner(k, spec, jobId, `Job ${spec.name} failed ${failures} times in a row; the last time: ${fault.message}`, "JOB_FAILING");
  }
}

function endJob(k: Kernel, jobId: JobId, spec: JobSpec, why: string): void {
  k.run("UPDATE job SET state = 'done', why = ?, next_for = NULL, due_at = NULL WHERE id = ?", why, jobId);
  tellOwner(k, spec, { type: "job.done", data: { jobId, name: spec.name, why } });
}

// ── looking ─────────────────────────────────────────────────────────────────────────────────

/** The newest first. */
export function jobRuns(k: Kernel, { id, after, limit }: { id: JobId; after?: number; limit: number }): { runs: Run[]; next: number | null } {
  const rows = k.all("SELECT * FROM occurrence WHERE job_id = ? AND scheduled_for < ? ORDER BY scheduled_for DESC LIMIT ?", id, after ?? Number.MAX_SAFE_INTEGER, limit + 1);
  const page = rows.slice(0, limit);
  return { runs: page.map(runOf), next: rows.length > limit ? page.at(-1)!["scheduled_for"] : null };
}

/** Removes rows of occurrences that were complete before a moment, with the sessions made for them. @returns how many. */
export function forgetRuns(k: Kernel, { completedBefore, limit }: { completedBefore: number; limit: number }): number {
  const rows = k.all("SELECT id, job_id, session FROM occurrence WHERE completed_at < ? ORDER BY completed_at LIMIT ?", completedBefore, limit);
  for (const { id, job_id: jobId, session } of rows) {
    if (session !== null && isIsolated(jobId, session)) deleteSession(k, { key: session, by: "its age" });
    k.run("DELETE FROM occurrence WHERE id = ?", id);
  }
  k.run("DELETE FROM upkeep_run WHERE id IN (SELECT id FROM upkeep_run WHERE ended_at < ? LIMIT ?)", completedBefore, limit);
  return rows.length;
}
