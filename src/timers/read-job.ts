/**
 * Reads a job as people and programs write it: over HTTP, in the configuration, from an agent.
 *
 *     {name: "brief", schedule: {kind: "cron", expr: "0 7 * * 1-5", tz: "Europe/Vienna"},
 *      payload: {kind: "agentTurn", message: "..."}, target: "isolated"}
 *
 * Refuses what it does not know, with the place and the nearest name: a misspelled field of a job is
 * noticed at night, if ever.
 */
import { isAbsolute } from "node:path";
import type { TaskId } from "../base/ids.ts";
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import { nearest } from "../base/nearest.ts";
import { Fault } from "../model/faults.ts";
import { EVERY_MIN_MS, JOB_NAME_LENGTH_MAX, OVERLAPS, WATCHDOG_ACTIONS, type ActiveHours, type JobSpec, type Misfire, type Payload, type RunTarget, type Schedule, type WatchTarget } from "../model/job.ts";
import { MESSAGE_BYTES_MAX } from "../model/message.ts";
import { BUILT_IN_PREFIX } from "../model/upkeep.ts";
import { DEFAULT_AGENT, isName, mainSession, parseSessionKey } from "../model/session.ts";
import { checkedUrl } from "../tools/checked-address.ts";
import type { Calendar } from "./calendar.ts";

export const JOBS_IN_LIST_MAX = 1_000;
const TEXT_LENGTH_MAX = 4_096;
const EVERY_MAX_MS = 366 * 86_400_000;
const CATCH_UP_MAX = 100;
const STAGGER_MAX_MS = 1_800_000;
const GRACE_MAX_MS = 30 * 86_400_000;
/** What an agent says when there is nothing to tell. */
const QUIET_TOKEN = "HEARTBEAT_OK";
const PLAN_FILE = "IMPLEMENTATION_PLAN.md";

export interface ReadJobOptions {
  readonly calendar: Calendar;
  /** The zone of jobs that name none. */
  readonly timezone: string;
  readonly graceMs: number;
  readonly staggerMs: number;
  readonly now: number;
  /** The name of a job that has none. */
  readonly fallbackName: string;
  /** The agent of a job that names none. */
  readonly agent?: string;
  /** True for jobs that are read again and again, e.g. from the configuration: a time from now would move with each reading. */
  readonly isKept?: boolean;
}

const FIELDS = ["name", "agent", "schedule", "payload", "target", "misfire", "overlap", "staggerMs", "activeHours", "delivery", "enabled"] as const;

/** @throws {Fault} BAD_REQUEST naming the place, ADDRESS_REFUSED. */
export function readJob(value: unknown, options: ReadJobOptions): JobSpec {
  const job = fields(value, "job", FIELDS);
  const name = job["name"] === undefined ? options.fallbackName : textIn(job["name"], "name", JOB_NAME_LENGTH_MAX);
  if (name.startsWith(BUILT_IN_PREFIX)) throw bad("name", `may not begin with ${BUILT_IN_PREFIX}, which is for built-in jobs`);
  const agent = job["agent"] === undefined ? (options.agent ?? DEFAULT_AGENT) : textIn(job["agent"], "agent", 100);
  if (!isName(agent)) throw bad("agent", "may hold letters, digits and . _ @ + - only");
  const schedule = readSchedule(job["schedule"], options);
  const payload = readPayload(job["payload"]);
  const target = readTarget(job["target"], payload);
  if (payload.kind === "heartbeat" && schedule.kind === "at") throw bad("schedule", "a heartbeat needs one that repeats");
  if (payload.kind === "iterate" && target.kind !== "isolated" && target.kind !== "job") throw bad("target", "work on a plan runs in isolated sessions, or in that of the job");
  const zone = schedule.kind === "cron" ? schedule.tz : options.timezone;
  return {
    name,
    agent,
    schedule,
    payload,
    target,
    misfire: readMisfire(job["misfire"], options.graceMs),
    overlap: job["overlap"] === undefined ? "skip" : choiceIn(job["overlap"], "overlap", OVERLAPS),
    staggerMs: job["staggerMs"] === undefined ? options.staggerMs : countIn(job["staggerMs"], "staggerMs", 0, STAGGER_MAX_MS),
    activeHours: readActiveHours(job["activeHours"], zone, options.calendar),
    delivery: readDelivery(job["delivery"], agent, target),
  };
}

/** A length of time as people write it: `90s`, `15m`, `2h`, `1d`, or milliseconds. */
export function readDuration(value: unknown, where: string): number {
  const match = typeof value === "string" ? /^(\d{1,12})\s*(ms|s|m|h|d)?$/.exec(value.trim()) : null;
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? "ms"]!;
  const ms = match === null ? value : Number(match[1]) * unit;
  if (typeof ms !== "number" || !Number.isSafeInteger(ms)) throw bad(where, "must be milliseconds, or a time such as 90s, 15m, 2h, 1d");
  return ms;
}

/** A moment: milliseconds since 1970, an ISO date with a zone, or a length of time from now such as `+15m`. */
export function readMoment(value: unknown, where: string, now: number): number {
  if (typeof value === "string" && value.startsWith("+")) return now + readDuration(value.slice(1), where);
  const ms = typeof value === "number" ? value : typeof value === "string" && /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:?\d\d)$/.test(value) ? Date.parse(value) : NaN;
  if (!Number.isSafeInteger(ms) || ms < 0 || ms > 8.64e15) throw bad(where, "must be a date with its zone such as 2027-03-01T07:00:00Z, milliseconds since 1970, or a time from now such as +15m");
  return ms;
}

function readSchedule(value: unknown, { calendar, timezone, now, isKept = false }: ReadJobOptions): Schedule {
  const schedule = fields(value, "schedule", ["kind", "at", "everyMs", "every", "expr", "cron", "tz", "label", "path", "ref"]);
  const kind = choiceIn(schedule["kind"], "schedule.kind", ["at", "every", "cron", "task", "file"]);
  switch (kind) {
    case "at":
      if (isKept && String(schedule["at"]).startsWith("+")) throw bad("schedule.at", "must be a date with its zone here: a time from now would begin anew with each start");
      return { kind, at: readMoment(schedule["at"], "schedule.at", now) };
    case "every": {
      const everyMs = readDuration(schedule["everyMs"] ?? schedule["every"], "schedule.everyMs");
      if (everyMs < EVERY_MIN_MS || everyMs > EVERY_MAX_MS) throw bad("schedule.everyMs", `must be in ${EVERY_MIN_MS}..${EVERY_MAX_MS} ms`);
      return { kind, everyMs };
    }
    case "cron": {
      const expr = textIn(schedule["expr"] ?? schedule["cron"], "schedule.expr", 200).trim();
      const tz = schedule["tz"] === undefined ? timezone : textIn(schedule["tz"], "schedule.tz", 100);
      if (!calendar.civil.knows(tz)) throw bad("schedule.tz", `${JSON.stringify(tz)} is no time zone; use a name such as Europe/Vienna or UTC`);
      const read: Schedule = { kind, expr, tz };
      if (calendar.next(read, now, now) === null) throw bad("schedule.expr", `${JSON.stringify(expr)} never comes again`);
      return read;
    }
    case "task":
      return { kind, label: schedule["label"] === undefined ? null : textIn(schedule["label"], "schedule.label", 200) };
    case "file": {
      const path = textIn(schedule["path"], "schedule.path", TEXT_LENGTH_MAX);
      if (!isAbsolute(path)) throw bad("schedule.path", "must be an absolute path");
      return { kind, path, ref: schedule["ref"] === undefined ? null : readRef(schedule["ref"]) };
    }
  }
}

function readRef(value: unknown): string {
  const ref = textIn(value, "schedule.ref", 200);
  if (!/^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(ref) || ref.includes("..")) throw bad("schedule.ref", "must be the name of a branch or ref, e.g. main or refs/tags/v1");
  return ref;
}

function readPayload(value: unknown): Payload {
  const payload = fields(value, "payload", ["kind", "text", "message", "model", "target", "task", "label", "session", "action", "quietToken", "folder", "plan"]);
  const kind = choiceIn(payload["kind"], "payload.kind", ["systemEvent", "agentTurn", "watchdog", "heartbeat", "iterate"]);
  const model = payload["model"] === undefined || payload["model"] === null ? null : textIn(payload["model"], "payload.model", 200);
  const own = (name: string): string | null => (payload[name] === undefined ? null : proseIn(payload[name], `payload.${name}`));
  switch (kind) {
    case "systemEvent":
      return { kind, text: proseIn(payload["text"] ?? payload["message"], "payload.text") };
    case "agentTurn":
      return { kind, message: proseIn(payload["message"] ?? payload["text"], "payload.message"), model };
    case "watchdog":
      return { kind, target: readWatchTarget(payload["target"] ?? leaveOut(payload, ["task", "label", "session"])), action: payload["action"] === undefined ? "surface" : choiceIn(payload["action"], "payload.action", WATCHDOG_ACTIONS), text: own("text") };
    case "heartbeat":
      return { kind, quietToken: payload["quietToken"] === undefined ? QUIET_TOKEN : textIn(payload["quietToken"], "payload.quietToken", 100), model };
    case "iterate": {
      const folder = textIn(payload["folder"], "payload.folder", TEXT_LENGTH_MAX);
      const plan = payload["plan"] === undefined ? PLAN_FILE : textIn(payload["plan"], "payload.plan", 200);
      if (!isAbsolute(folder)) throw bad("payload.folder", "must be an absolute path");
      if (isAbsolute(plan) || plan.split("/").includes("..")) throw bad("payload.plan", "must be a file inside the folder");
      return { kind, folder, plan, message: own("message"), model };
    }
  }
}

function leaveOut(from: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));
}

function readWatchTarget(value: Json | undefined): WatchTarget {
  const target = fields(value, "payload.target", ["task", "label", "session"]);
  if (Object.keys(target).length !== 1) throw bad("payload.target", "must hold one of task, label, session");
  if (target["task"] !== undefined) return { task: textIn(target["task"], "payload.target.task", 100) as TaskId };
  if (target["label"] !== undefined) return { label: textIn(target["label"], "payload.target.label", 200) };
  return { session: parseSessionKey(textIn(target["session"], "payload.target.session", 200), "payload.target.session").key };
}

/** A job's own work happens apart; what is only to be noted goes to the person's session. */
function readTarget(value: Json | undefined, payload: Payload): RunTarget {
  if (value === undefined) return { kind: payload.kind === "systemEvent" || payload.kind === "watchdog" ? "main" : "isolated" };
  if (value === "main" || value === "isolated" || value === "job") return { kind: value };
  if (typeof value === "string") return { kind: "session", session: parseSessionKey(value, "target").key };
  const target = fields(value, "target", ["session", "label"]);
  if (Object.keys(target).length !== 1) throw bad("target", 'must be "main", "isolated", "job", {session} or {label}');
  if (target["label"] !== undefined) return { kind: "label", label: textIn(target["label"], "target.label", 200) };
  return { kind: "session", session: parseSessionKey(textIn(target["session"], "target.session", 200), "target.session").key };
}

function readMisfire(value: Json | undefined, graceMs: number): Misfire {
  if (value === undefined) return { policy: "latest", graceMs };
  const misfire = typeof value === "string" ? { policy: value } : fields(value, "misfire", ["policy", "graceMs", "max"]);
  const policy = choiceIn(misfire["policy"], "misfire.policy", ["skip", "latest", "all"]);
  if (policy === "skip") return { policy };
  if (policy === "all") return { policy, max: misfire["max"] === undefined ? 10 : countIn(misfire["max"], "misfire.max", 1, CATCH_UP_MAX) };
  return { policy, graceMs: misfire["graceMs"] === undefined ? graceMs : countIn(misfire["graceMs"], "misfire.graceMs", 0, GRACE_MAX_MS) };
}

function readActiveHours(value: Json | undefined, zone: string, calendar: Calendar): ActiveHours | null {
  if (value === undefined || value === null) return null;
  const hours = fields(value, "activeHours", ["from", "to", "tz"]);
  const tz = hours["tz"] === undefined ? zone : textIn(hours["tz"], "activeHours.tz", 100);
  if (!calendar.civil.knows(tz)) throw bad("activeHours.tz", `${JSON.stringify(tz)} is no time zone`);
  return { from: minuteIn(hours["from"], "activeHours.from"), to: minuteIn(hours["to"], "activeHours.to"), tz };
}

function minuteIn(value: Json | undefined, where: string): number {
  const match = typeof value === "string" ? /^(\d\d):(\d\d)$/.exec(value) : null;
  const minutes = match === null ? NaN : Number(match[1]) * 60 + Number(match[2]);
  if (!(minutes <= 1_440) || Number(match?.[2]) > 59) throw bad(where, "must be a time of day such as 08:00");
  return minutes;
}

/** Runs apart from a conversation report to the person; those inside one are seen there. */
function readDelivery(value: Json | undefined, agent: string, target: RunTarget): JobSpec["delivery"] {
  const apart = target.kind === "isolated" || target.kind === "job";
  if (value === undefined) return apart ? { mode: "notice", session: mainSession(agent) } : { mode: "none" };
  const delivery = typeof value === "string" ? { mode: value } : fields(value, "delivery", ["mode", "session", "url"]);
  const mode = choiceIn(delivery["mode"], "delivery.mode", ["none", "notice", "webhook"]);
  if (mode === "none") return { mode };
  if (mode === "webhook") return { mode, url: checkedUrl(textIn((delivery as JsonObject)["url"], "delivery.url", TEXT_LENGTH_MAX)).href };
  const session = (delivery as JsonObject)["session"];
  return { mode, session: session === undefined ? mainSession(agent) : parseSessionKey(textIn(session, "delivery.session", 200), "delivery.session").key };
}

// ── values ──────────────────────────────────────────────────────────────────────────────────

function bad(where: string, problem: string): Fault {
  return new Fault("BAD_REQUEST", { where, problem });
}

function fields(value: unknown, where: string, known: readonly string[]): JsonObject {
  if (!isJsonObject(value)) throw bad(where, value === undefined ? "is missing" : "must be an object");
  for (const name of Object.keys(value)) {
    if (known.includes(name)) continue;
    const meant = nearest(name, [...known]);
    throw bad(`${where}.${name.slice(0, 80)}`, `unknown field; ${meant === null ? `known: ${known.join(", ")}` : `did you mean ${meant}?`}`);
  }
  return value;
}

function textIn(value: unknown, where: string, lengthMax: number): string {
  if (typeof value !== "string" || value === "" || value.length > lengthMax || /[\0\n\r]/.test(value) || !value.isWellFormed()) throw bad(where, value === undefined ? "is missing" : `must be one line of 1 to ${lengthMax} characters`);
  return value;
}

function proseIn(value: unknown, where: string): string {
  if (typeof value !== "string" || value.trim() === "" || value.includes("\0") || !value.isWellFormed()) throw bad(where, value === undefined ? "is missing" : "must be text that says something");
  if (Buffer.byteLength(value) > MESSAGE_BYTES_MAX) throw bad(where, `is over ${MESSAGE_BYTES_MAX} bytes`);
  return value;
}

function countIn(value: unknown, where: string, min: number, max: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) throw bad(where, `must be a whole number in ${min}..${max}`);
  return value;
}

function choiceIn<const T extends string>(value: unknown, where: string, choices: readonly T[]): T {
  if (!choices.includes(value as T)) throw bad(where, `must be one of ${choices.join(" | ")}`);
  return value as T;
}
