/**
 * What must be true of a history: of the events that readers were given, the messages that senders
 * were told are accepted, and the transcripts. Each checker returns a line per violation.
 *
 * They know nothing of tables or processes, so the same functions judge a simulated world and a
 * real gateway whose events were read over HTTP. What must be true of the tables is a list of its
 * own (`yard doctor` runs it).
 */
import { toolCallsOf, type ChatMessage } from "../../src/model/chat.ts";
import type { PoolName } from "../../src/model/lane.ts";
import { claimsOverlap } from "../../src/model/path-claims.ts";
import { POOL_OF_KIND, parseSessionKey } from "../../src/model/session.ts";
import type { JsonObject } from "../../src/base/json.ts";

/** An event as every reader gets it; in order of commit. */
export interface SeenEvent {
  readonly seq: number;
  /** Wall time, milliseconds. */
  readonly at?: number;
  readonly session: string;
  readonly type: string;
  readonly turnId?: string;
  readonly taskId?: string;
  readonly data: JsonObject;
}

export interface AcceptedMessage {
  readonly messageId: string;
  readonly session: string;
  readonly channel: string;
  /** The sender's own id for it; the same one is never two messages. */
  readonly sourceId: string | null;
  readonly text: string;
}

export interface SeenEntry {
  readonly seq: number;
  readonly turnId: string | null;
  readonly provenance: string;
  readonly content: { readonly role: string; readonly text?: string; readonly parts?: readonly { readonly type: string; readonly callId?: string }[]; readonly results?: readonly { readonly callId: string }[] };
}

export interface SeenTask {
  readonly taskId: string;
  readonly state: string;
  readonly session: string;
  readonly parentSession: string | null;
  readonly delivery: string;
  readonly claims: readonly string[];
  readonly attempt: number;
  readonly attemptLast: number;
  readonly agent: string;
  readonly category: string | null;
  readonly endedAt: number | null;
}

export interface History {
  /** The whole log of all sessions, in order of commit. */
  readonly events: readonly SeenEvent[];
  /** What readers were given of a session while it happened, in that order: the event's number and {@link eventText}. */
  readonly given: readonly { readonly session: string; readonly numbers: ReadonlyMap<number, string> }[];
  readonly accepted: readonly AcceptedMessage[];
  readonly transcripts: ReadonlyMap<string, readonly SeenEntry[]>;
  readonly tasks: readonly SeenTask[];
  /** Sessions that were removed: nothing of them is left to look at. */
  readonly removed: ReadonlySet<string>;
  /** The turn that asked for a child, where it is known. */
  readonly spawnedBy: ReadonlyMap<string, string>;
  /** The size of each pool from an event on (an index of `events`); null = pools are not looked at. */
  readonly pools: readonly { readonly from: number; readonly sizes: Readonly<Record<PoolName, number>> }[] | null;
  /** Somebody set the clock, so moments of events say nothing about how long something took. */
  readonly clockWasSet: boolean;
  /** Failures in a row that open a circuit, and how long it is open, milliseconds. */
  readonly circuit: { readonly failures: number; readonly openMs: number };
  /** True once everything had time to end. */
  readonly isOver: boolean;
}

export type Checker = (history: History) => string[];

/** Everything that is checked of a history. */
export const CHECKERS: Readonly<Record<string, Checker>> = {
  numbersHaveNoGaps,
  whatWasGivenStays,
  acceptedIsStored,
  oneEndEach,
  mainTrackKeepsOrder,
  oneMainTurn,
  endedTurnsAreSilent,
  toolCallsEndOnce,
  endedTasksAreFinal,
  successesSaidSomething,
  resultsArriveOnce,
  stoppedStartNothing,
  parentsEndLast,
  attemptsAreCounted,
  oneAttemptAtATime,
  circuitsAreKept,
  waitsAreKept,
  claimsAreExclusive,
  poolsAreKept,
  waitsForProvidersRest,
  callsAreAnswered,
  sideTurnsSayWhereTheyBelong,
};

export function checkHistory(history: History): string[] {
  return Object.entries(CHECKERS).flatMap(([name, check]) => check(history).map((violation) => `${name}: ${violation}`));
}

// ── the log ─────────────────────────────────────────────────────────────────────────────────

export function numbersHaveNoGaps({ events }: Pick<History, "events">): string[] {
  const last = new Map<string, number>();
  const violations: string[] = [];
  for (const { session, seq } of events) {
    const expected = (last.get(session) ?? 0) + 1;
    if (seq !== expected) violations.push(`${session} has ${seq} where ${expected} should be`);
    last.set(session, seq);
  }
  return violations;
}

/** An event as text, to compare what was given with what is stored. */
export function eventText({ type, turnId, taskId, data }: SeenEvent): string {
  return JSON.stringify([type, turnId ?? null, taskId ?? null, data]);
}

export function whatWasGivenStays({ events, given, removed }: Pick<History, "events" | "given" | "removed">): string[] {
  const violations: string[] = [];
  const stored = new Map(events.map((event) => [`${event.session} ${event.seq}`, event]));
  for (const { session, numbers } of given) {
    if (removed.has(session) || numbers.size === 0) continue;
    let expected = Math.min(...numbers.keys());
    for (const [seq, text] of numbers) {
      if (seq !== expected) violations.push(`a reader of ${session} got ${seq} after ${expected - 1}`);
      expected = seq + 1;
      const event = stored.get(`${session} ${seq}`);
      if (event === undefined) violations.push(`${session} ${seq} was given and is not stored: ${text}`);
      else if (eventText(event) !== text) violations.push(`${session} ${seq} was given as ${text} and is stored as ${eventText(event)}`);
    }
  }
  return violations;
}

// ── messages ────────────────────────────────────────────────────────────────────────────────

export function acceptedIsStored({ events, accepted, removed }: Pick<History, "events" | "accepted" | "removed">): string[] {
  const violations: string[] = [];
  const stored = new Map<string, SeenEvent[]>();
  const bySource = new Map<string, string>();
  for (const event of events) {
    if (event.type !== "message.accepted") continue;
    const id = String(event.data["messageId"]);
    stored.set(id, [...(stored.get(id) ?? []), event]);
    const sourceId = event.data["clientMessageId"];
    if (typeof sourceId !== "string") continue;
    const key = `${event.session} ${String(event.data["channel"])} ${sourceId}`;
    if (bySource.has(key)) violations.push(`${key} was taken in twice, as ${bySource.get(key)} and ${id}`);
    bySource.set(key, id);
  }
  for (const { messageId, session, channel, sourceId, text } of accepted) {
    if (removed.has(session)) continue;
    const found = stored.get(messageId) ?? [];
    if (found.length !== 1) violations.push(`${messageId} (${text}) was accepted and is in the log ${found.length} times`);
    else if (found[0]!.data["text"] !== text || found[0]!.session !== session) violations.push(`${messageId} (${text}) is stored as something else`);
    if (sourceId !== null && bySource.get(`${session} ${channel} ${sourceId}`) !== messageId) violations.push(`${sourceId} was acknowledged as ${messageId}, which is not what is stored`);
  }
  return violations;
}

/** Messages of people and programs; results of children have rules of their own. */
function saidMessages(events: readonly SeenEvent[]): SeenEvent[] {
  return events.filter(({ type, data }) => type === "message.accepted" && data["provenance"] !== "child");
}

function idsIn(data: JsonObject, name: string): readonly string[] {
  return (data[name] ?? []) as readonly string[];
}

/** Every message gets one reply or one visible end, and never two. */
export function oneEndEach({ events, removed, isOver }: Pick<History, "events" | "removed" | "isOver">): string[] {
  const ends = new Map<string, string[]>();
  const add = (id: string, how: string): void => void ends.set(id, [...(ends.get(id) ?? []), how]);
  for (const { type, data } of events) {
    if (type === "reply") for (const id of idsIn(data, "replyTo")) add(id, "reply");
    else if (type === "message.cancelled") for (const id of idsIn(data, "messageIds")) add(id, "cancelled");
    else if (type === "turn.ended" && (data["outcome"] === "failed" || data["outcome"] === "cancelled")) for (const id of idsIn(data, "messageIds")) add(id, `turn ${data["outcome"]}`);
  }
  return saidMessages(events).flatMap(({ session, data }) => {
    const id = String(data["messageId"]);
    const found = ends.get(id) ?? [];
    if (found.length > 1) return [`${id} (${String(data["text"])}) ended ${found.length} times: ${found.join(", ")}`];
    if (found.length === 0 && isOver && !removed.has(session)) return [`${id} (${String(data["text"])}, ${String(data["provenance"])}, ${String(data["mode"])}) never came to an end`];
    return [];
  });
}

/** Turns in the lane take messages in the order in which they were accepted. */
export function mainTrackKeepsOrder({ events }: Pick<History, "events">): string[] {
  const violations: string[] = [];
  const numbers = new Map<string, number>();
  const last = new Map<string, number>();
  for (const event of saidMessages(events)) {
    const mode = event.data["mode"];
    if (mode !== "steer" && mode !== "background" && mode !== "parallel" && event.data["channel"] !== "barrier") numbers.set(String(event.data["messageId"]), numbers.size);
  }
  for (const { type, session, data } of events) {
    if (type !== "turn.started" || data["track"] !== "main" || data["attempt"] !== 1) continue;
    for (const id of idsIn(data, "messageIds")) {
      const number = numbers.get(id);
      if (number === undefined) continue;
      if (number < (last.get(session) ?? -1)) violations.push(`${session} took ${id} after a newer one`);
      last.set(session, number);
    }
  }
  return violations;
}

// ── turns ───────────────────────────────────────────────────────────────────────────────────

export function oneMainTurn({ events }: Pick<History, "events">): string[] {
  const violations: string[] = [];
  const running = new Map<string, string>();
  for (const { type, session, turnId, data } of events) {
    if (turnId === undefined) continue;
    if (type === "turn.started" && data["track"] === "main") {
      const before = running.get(session);
      if (before !== undefined && before !== turnId) violations.push(`${session} runs ${turnId} and ${before} at once`);
      running.set(session, turnId);
    } else if ((type === "turn.promoted" || type === "turn.ended") && running.get(session) === turnId) running.delete(session);
  }
  return violations;
}

const OF_A_RUNNING_TURN: ReadonlySet<string> = new Set(["turn.started", "turn.promoted", "turn.yielded", "tool.started", "tool.ended", "reply"]);

/** A turn that has ended says and starts nothing more, and ends once. */
export function endedTurnsAreSilent({ events }: Pick<History, "events">): string[] {
  const violations: string[] = [];
  const ended = new Set<string>();
  for (const { type, turnId } of events) {
    if (turnId === undefined) continue;
    if (ended.has(turnId) && OF_A_RUNNING_TURN.has(type)) violations.push(`${turnId} has ended, then ${type}`);
    if (type !== "turn.ended") continue;
    if (ended.has(turnId)) violations.push(`${turnId} ended twice`);
    ended.add(turnId);
  }
  return violations;
}

/** A tool call that was told to begin is told to end once; only a turn that was stopped or failed may leave it open. */
export function toolCallsEndOnce({ events }: Pick<History, "events">): string[] {
  const started = new Map<string, Set<string>>();
  const ended = new Set<string>();
  const violations: string[] = [];
  for (const { type, turnId = "", data } of events) {
    const call = `${turnId} ${String(data["callId"])}`;
    if (type === "tool.started") started.set(turnId, (started.get(turnId) ?? new Set()).add(call));
    else if (type === "tool.ended") {
      if (ended.has(call)) violations.push(`${call} ended twice`);
      ended.add(call);
    } else if (type === "turn.ended" && data["outcome"] === "done") {
      for (const open of started.get(turnId) ?? []) if (!ended.has(open)) violations.push(`${open} was never told to end`);
    }
  }
  return violations;
}

/** Side turns are told of in the transcript before what they said. */
export function sideTurnsSayWhereTheyBelong({ events, transcripts }: Pick<History, "events" | "transcripts">): string[] {
  return events.flatMap(({ type, session, turnId, data }) => {
    if (type !== "turn.ended" || data["track"] !== "side" || turnId === undefined) return [];
    const block = transcripts.get(session)?.filter((entry) => entry.turnId === turnId) ?? [];
    const first = block.findIndex(({ content }) => content.role === "assistant");
    if (first === -1 || block.slice(0, first).some(({ content }) => content.role === "notice" && content.text?.includes("started before #") === true)) return [];
    return [`the block of ${turnId} in ${session} does not say where it belongs`];
  });
}

/** No turn starts in a pool that is full; one that is promoted, or takes back the slot that it lent while it was parked, may go over its size. */
export function poolsAreKept({ events, pools }: Pick<History, "events" | "pools">): string[] {
  if (pools === null) return [];
  const violations: string[] = [];
  const poolOf = new Map<string, PoolName>();
  const lent = new Set<string>();
  const used = (pool: PoolName): number => [...poolOf].filter(([turn, one]) => one === pool && !lent.has(turn)).length;
  events.forEach(({ type, session, turnId, data }, index) => {
    if (turnId === undefined) return;
    // After a restart nothing is parked any more.
    if (type === "turn.parked") lent.add(turnId);
    else if (type === "turn.resumed" || type === "turn.started" || type === "turn.ended") lent.delete(turnId);
    if (type === "turn.started" && !poolOf.has(turnId)) {
      const pool = data["track"] === "side" ? "side" : POOL_OF_KIND[parseSessionKey(session).parts.kind];
      poolOf.set(turnId, pool);
      const size = pools.findLast(({ from }) => from <= index)!.sizes[pool];
      if (used(pool) > size) violations.push(`${turnId} is number ${used(pool)} in pool ${pool} of ${size}`);
    } else if (type === "turn.promoted") poolOf.set(turnId, "side");
    else if (type === "turn.ended") poolOf.delete(turnId);
  });
  return violations;
}

/** While all turns of a child wait for their provider, neither its deadline nor its watch over progress ends it. */
export function waitsForProvidersRest({ events }: Pick<History, "events">): string[] {
  const violations: string[] = [];
  const running = new Map<string, Map<string, "works" | "waits">>();
  /** By session: whether all that ran there waited when it was stopped. */
  const stopped = new Map<string, boolean>();
  for (const { type, session, turnId, taskId, data } of events) {
    let turns = running.get(session);
    if (turns === undefined) running.set(session, (turns = new Map()));
    if (turnId !== undefined && type === "turn.ended") {
      if (data["outcome"] === "cancelled" && !stopped.has(session)) stopped.set(session, [...turns.values()].every((state) => state === "waits"));
      turns.delete(turnId);
    } else if (turnId !== undefined && type === "turn.parked") turns.set(turnId, "waits");
    else if (turnId !== undefined && (type === "turn.started" || type === "turn.resumed")) turns.set(turnId, "works");
    if (type === "turn.started") stopped.delete(session);
    const code = type === "task.ended" || type === "task.attempt" ? (data["fault"] as JsonObject | null)?.["code"] : undefined;
    if ((code === "CHILD_STALLED" || code === "CHILD_TIMED_OUT") && stopped.get(String(data["session"])) === true) violations.push(`${taskId} was ended by ${String(code)} while it waited for its provider`);
  }
  return violations;
}

// ── children ────────────────────────────────────────────────────────────────────────────────

/** A task ends once, as what its record says, and nothing moves it afterwards. */
export function endedTasksAreFinal({ events, tasks, isOver }: Pick<History, "events" | "tasks" | "isOver">): string[] {
  const violations: string[] = [];
  const ended = new Map<string, string>();
  const accepted = new Set<string | undefined>(events.filter(({ type }) => type === "task.accepted").map(({ taskId }) => taskId));
  const handedUp = new Set<string | undefined>(events.filter(({ data }) => data["handedUpTo"] !== undefined).map(({ taskId }) => taskId));
  for (const { type, taskId, data } of events) {
    if (taskId === undefined || (type !== "task.started" && type !== "task.progress" && type !== "task.attempt" && type !== "task.ended")) continue;
    if (ended.has(taskId)) violations.push(`${taskId} ended as ${ended.get(taskId)}, then ${type} ${String(data["state"])}`);
    if (type === "task.ended") ended.set(taskId, String(data["state"]));
  }
  for (const { taskId, state, endedAt, parentSession } of tasks) {
    const seen = ended.get(taskId);
    if (seen !== undefined && seen !== state) violations.push(`${taskId} ended as ${seen} and is ${state}`);
    if (isOver && endedAt === null) violations.push(`${taskId} is still ${state}`);
    // The log of the session that it was handed up to may be removed, and the one where it began stays.
    const isLogGone = parentSession === null && handedUp.has(taskId);
    if (seen === undefined && endedAt !== null && accepted.has(taskId) && !isLogGone) violations.push(`${taskId} is ${state} and nobody was told (child of ${parentSession})`);
  }
  return violations;
}

/** What a child is said to be comes from what it did: without a word it has not succeeded. */
export function successesSaidSomething({ events }: Pick<History, "events">): string[] {
  return events.flatMap(({ type, taskId, data }) => (type === "task.ended" && data["state"] === "succeeded" && String(data["result"] ?? "").trim() === "" ? [`${taskId} succeeded without a word`] : []));
}

/** The result of a child stands in its parent's transcript once. */
export function resultsArriveOnce({ tasks, transcripts, removed, isOver }: Pick<History, "tasks" | "transcripts" | "removed" | "isOver">): string[] {
  return tasks.flatMap(({ taskId, state, parentSession, delivery }) => {
    if (parentSession === null || removed.has(parentSession)) return [];
    const entries = transcripts.get(parentSession) ?? [];
    const times = entries.reduce((sum, { provenance, content }) => sum + (provenance === "child" ? announcementsIn(content.text ?? "", taskId) : 0), 0);
    if (times > 1) return [`the result of ${taskId} is in ${parentSession} ${times} times`];
    const mustArrive = isOver && delivery === "digest" && (state === "succeeded" || state === "failed" || state === "timed_out") && !isChild(parentSession);
    return mustArrive && times === 0 ? [`the result of ${taskId} (${state}) never came to ${parentSession}`] : [];
  });
}

/** How often a digest announces a task; what a child itself said is quoted and does not count. */
function announcementsIn(digest: string, taskId: string): number {
  return digest.split("\n").filter((line) => /^\d+\. /.test(line) && line.includes(`(${taskId})`)).length;
}

function isChild(session: string): boolean {
  const { kind } = parseSessionKey(session).parts;
  return kind === "subagent" || kind === "acp";
}

/** After a child was stopped, nothing starts in it or below it; a turn that has ended spawns nothing. */
export function stoppedStartNothing({ events, tasks, spawnedBy, isOver }: Pick<History, "events" | "tasks" | "spawnedBy" | "isOver">): string[] {
  const violations: string[] = [];
  const parents = new Map(tasks.map((task) => [task.session, task.parentSession]));
  const stopped = new Set<string>();
  const endedTurns = new Set<string>();
  const isStopped = (session: string): boolean => {
    for (let one: string | null | undefined = session; one !== null && one !== undefined; one = parents.get(one)) if (stopped.has(one)) return true;
    return false;
  };
  for (const { type, session, turnId, taskId, data } of events) {
    if (type === "turn.started" && isStopped(session)) violations.push(`${turnId} started in ${session}, which is stopped`);
    if (type === "task.accepted") {
      if (isStopped(session)) violations.push(`${taskId} was spawned by ${session}, which is stopped`);
      const turn = taskId === undefined ? undefined : spawnedBy.get(taskId);
      if (turn !== undefined && endedTurns.has(turn)) violations.push(`${taskId} was spawned by ${turn}, which had ended`);
    }
    if (type === "turn.ended" && turnId !== undefined) endedTurns.add(turnId);
    if (type === "task.ended" && (data["state"] === "cancelled" || data["state"] === "timed_out" || data["state"] === "lost")) stopped.add(String(data["session"]));
  }
  if (isOver) for (const task of tasks) if (task.endedAt === null && isStopped(task.session)) violations.push(`${task.taskId} goes on below something that was stopped`);
  return violations;
}

/** A child that succeeds has no children that still run: it waited for them, or handed them up. */
export function parentsEndLast({ events }: Pick<History, "events">): string[] {
  const violations: string[] = [];
  const active = new Map<string, unknown>();
  for (const { type, session, taskId, data } of events) {
    if (taskId === undefined) continue;
    if (type === "task.accepted") active.set(taskId, session);
    else if (type === "task.progress" && data["handedUpTo"] !== undefined) active.set(taskId, data["handedUpTo"]);
    else if (type === "task.ended") {
      active.delete(taskId);
      if (data["state"] === "succeeded") for (const [child, parent] of active) if (parent === data["session"] && parent !== session) violations.push(`${taskId} succeeded while its child ${child} ran`);
    }
  }
  return violations;
}

/** Attempts of a child are numbered without gaps and not more than its policy allows; only people may ask for more. */
export function attemptsAreCounted({ events, tasks }: Pick<History, "events" | "tasks">): string[] {
  const violations: string[] = [];
  const last = new Map<string, number>();
  for (const { type, taskId, data } of events) {
    if (type !== "task.attempt" || taskId === undefined || data["after"] !== taskId) continue;
    const attempt = Number(data["attempt"]);
    const before = last.get(taskId);
    if (before !== undefined && attempt !== before + 1) violations.push(`${taskId} began attempt ${attempt} after ${before}`);
    if (attempt > Number(data["attempts"])) violations.push(`${taskId} began attempt ${attempt} of ${String(data["attempts"])}`);
    last.set(taskId, attempt);
  }
  for (const { taskId, attempt } of tasks) if (last.has(taskId) && last.get(taskId) !== attempt) violations.push(`${taskId} is at attempt ${attempt}, and was told to be at ${last.get(taskId)}`);
  return violations;
}

/** The next attempt of a child begins when nothing of the one before runs any more. */
export function oneAttemptAtATime({ events }: Pick<History, "events">): string[] {
  const violations: string[] = [];
  const running = new Map<string, Set<string>>();
  for (const { type, session, turnId, taskId, data } of events) {
    if (type === "turn.started") running.set(session, (running.get(session) ?? new Set()).add(turnId!));
    else if (type === "turn.ended") running.get(session)?.delete(turnId!);
    else if (type === "task.attempt" && data["after"] === taskId) {
      for (const turn of running.get(String(data["session"])) ?? []) violations.push(`${taskId} began attempt ${String(data["attempt"])} while ${turn} ran`);
    }
  }
  return violations;
}

/** What a circuit was told since its last success. */
interface CircuitSeen {
  failures: number;
  /** Wall time; null = closed. */
  openedAt: number | null;
  /** The one child that tries while it is open. */
  trial: string | null;
  /** The child whose failure must be followed by the notice that it opened. */
  opener: string | null;
}

const CIRCUIT_EVENTS = ["task.accepted", "task.attempt", "task.ended"];

/**
 * A circuit opens with the last of so many failures in a row and not before; while it is open no child
 * of its kind is accepted, then one at a time until one succeeds. What people start again passes.
 */
export function circuitsAreKept({ events, tasks, removed, clockWasSet, circuit }: Pick<History, "events" | "tasks" | "removed" | "clockWasSet" | "circuit">): string[] {
  if (removed.size > 0) return []; // logs that were removed tell too little
  const violations: string[] = [];
  const kindOf = new Map(tasks.filter(({ category }) => category !== null).map(({ taskId, agent, category }) => [taskId, `${agent} ${category}`]));
  const byHand = new Set(events.filter(({ type, taskId, data }) => type === "task.attempt" && data["after"] !== taskId).map(({ taskId }) => taskId));
  const circuits = new Map<string, CircuitSeen>();
  for (const { type, taskId, at = 0, data } of events) {
    const kind = taskId === undefined ? undefined : kindOf.get(taskId);
    if (taskId === undefined || kind === undefined) continue;
    let seen = circuits.get(kind);
    if (seen === undefined) circuits.set(kind, (seen = { failures: 0, openedAt: null, trial: null, opener: null }));
    const isNotice = type === "notice" && data["code"] === "CIRCUIT_OPEN";
    // An end also lets others go on, and that may be told before the circuit's notice.
    if (!isNotice && !CIRCUIT_EVENTS.includes(type)) continue;
    const isEnd = type === "task.ended" && data["state"] !== "cancelled";
    if (isNotice) {
      if (seen.opener !== taskId) violations.push(`the circuit of ${kind} opened after ${seen.failures} failures in a row`);
      Object.assign(seen, { openedAt: at, trial: null, opener: null });
      continue;
    }
    if (seen.opener !== null) {
      violations.push(`${seen.failures} children of ${kind} failed in a row, and its circuit did not open`);
      seen.opener = null;
    }
    if (type === "task.accepted" && seen.openedAt !== null) {
      const openMs = at - seen.openedAt;
      if (!byHand.has(taskId) && !clockWasSet && openMs < circuit.openMs) violations.push(`${taskId} was accepted ${openMs} ms after the circuit of ${kind} had opened`);
      if (!byHand.has(taskId) && seen.trial !== null) violations.push(`${taskId} was accepted beside ${seen.trial}, which tries for ${kind}`);
      seen.trial = taskId;
    }
    if (type === "task.ended" && seen.trial === taskId) seen.trial = null;
    if (isEnd && data["state"] === "succeeded") circuits.delete(kind);
    else if (isEnd || (type === "task.attempt" && data["after"] === taskId && data["by"] === "its policy")) {
      if (++seen.failures >= circuit.failures) seen.opener = taskId;
    }
  }
  return violations;
}

/** Who waits for all of its children is not woken while one of them runs; what else may end the wait is left out. */
export function waitsAreKept({ events }: Pick<History, "events">): string[] {
  const violations: string[] = [];
  const active = new Map<string, Set<string>>();
  /** By turn: the children that were there for sure when the wait was asked for; null = it is no plain wait. */
  const asked = new Map<string, ReadonlySet<string> | null>();
  const waits = new Map<string, ReadonlySet<string> | null>();
  /** By session: turns that have asked for a wait and go on with other calls of that answer. What meets their wait may come before they end at it. */
  const asking = new Map<string, Set<string>>();
  for (const { type, session, turnId, taskId, data } of events) {
    if (type === "tool.started" && data["tool"] === "sessions_yield") asking.set(session, (asking.get(session) ?? new Set()).add(turnId!));
    else if (type === "turn.yielded" || type === "turn.ended") asking.get(session)?.delete(turnId!);
    // One without a parent is told of in its own log.
    if (data["session"] === session && type.startsWith("task.")) continue;
    if (type === "task.accepted" || data["handedUpTo"] === session) active.set(session, (active.get(session) ?? new Set()).add(taskId!));
    else if (type === "task.ended" || data["handedUpTo"] !== undefined) active.get(session)?.delete(taskId!);
    else if (type === "tool.started" && data["tool"] === "sessions_yield") asked.set(turnId!, isPlainWait(String(data["input"])) && !asked.has(turnId!) ? new Set(active.get(session)) : null);
    else if (type === "turn.yielded") {
      waits.set(session, waits.has(session) ? null : (asked.get(turnId!) ?? null));
    } else if (type === "message.cancelled" || type === "session.reset" || type === "task.attempt" || (type === "turn.ended" && (data["outcome"] === "failed" || data["outcome"] === "cancelled"))) waits.set(session, null);
    else if (type === "turn.started" && typeof data["digest"] === "string") {
      const awaited = waits.get(session) ?? new Set();
      const told = [...awaited].filter((id) => (data["digest"] as string).includes(`(${id})`));
      const open = [...awaited].filter((id) => active.get(session)?.has(id));
      if (told.length > 0 && open.length > 0 && !asking.get(session)?.size) violations.push(`${session} was woken with ${told.join()} while it waited for ${open.join()} too`);
      if (told.length > 0) waits.delete(session);
    }
  }
  return violations;
}

function isPlainWait(input: string): boolean {
  const { waitFor, timeoutSeconds, tasks } = JSON.parse(input) as JsonObject;
  return waitFor === "all" && timeoutSeconds === undefined && tasks === undefined;
}

/** Two children at work never hold claims that overlap, unless one was spawned below the other. */
export function claimsAreExclusive({ events, tasks }: Pick<History, "events" | "tasks">): string[] {
  const violations: string[] = [];
  const claimsOf = new Map(tasks.map(({ session, claims }) => [session, claims]));
  const spawnedBy = new Map<string, string>();
  // The log that told of an end may be removed.
  const told = new Set(events.filter(({ type }) => type === "task.ended").map(({ data }) => String(data["session"])));
  const holdsNothing = new Set(tasks.filter(({ session, endedAt }) => endedAt !== null && !told.has(session)).map(({ session }) => session));
  const working = new Set<string>();
  const isBelow = (session: string, above: string): boolean => {
    for (let one = spawnedBy.get(session); one !== undefined; one = spawnedBy.get(one)) if (one === above) return true;
    return false;
  };
  for (const { type, session, data } of events) {
    if (type === "task.accepted") spawnedBy.set(String(data["session"]), session === data["session"] ? "" : session);
    else if (type === "task.ended") {
      working.delete(String(data["session"]));
      // Who is spoken to after its end holds nothing any more.
      holdsNothing.add(String(data["session"]));
    }
    else if (type === "turn.started" && (claimsOf.get(session) ?? []).length > 0 && !working.has(session) && !holdsNothing.has(session)) {
      for (const other of working) {
        const clash = claimsOf.get(session)!.some((one) => claimsOf.get(other)!.some((another) => claimsOverlap(one, another)));
        if (clash && !isBelow(session, other) && !isBelow(other, session)) violations.push(`${session} works on what ${other} claims`);
      }
      working.add(session);
    }
  }
  return violations;
}

// ── transcripts ─────────────────────────────────────────────────────────────────────────────

/** Every tool call of a transcript is answered right after it. */
export function callsAreAnswered({ transcripts }: Pick<History, "transcripts">): string[] {
  return [...transcripts].flatMap(([session, entries]) => {
    const problem = conversationProblem(entries.map(({ content }) => content as ChatMessage).filter(({ role }) => role === "user" || role === "assistant" || role === "tool"));
    return problem === null ? [] : [`${session}: ${problem}`];
  });
}

/** Why a provider would refuse this conversation; null = it would not. */
export function conversationProblem(messages: readonly ChatMessage[]): string | null {
  let open: readonly string[] = [];
  for (const [index, message] of messages.entries()) {
    if (message.role === "tool") {
      const answered = message.results.map(({ callId }) => callId);
      const missing = open.filter((callId) => !answered.includes(callId));
      const strange = answered.filter((callId) => !open.includes(callId));
      if (missing.length > 0) return `message ${index} leaves ${missing.join()} without a result`;
      if (strange.length > 0) return `message ${index} has results without a call: ${strange.join()}`;
      open = [];
      continue;
    }
    if (open.length > 0) return `message ${index} (${message.role}) stands where the results of ${open.join()} should be`;
    if (message.role === "assistant") open = toolCallsOf(message.parts).map(({ callId }) => callId);
  }
  return open.length > 0 ? `the results of ${open.join()} are missing at the end` : null;
}
