/**
 * What must be true after an ordeal, judged from outside: events, histories, tasks, the model's own log
 * and the lines that commands wrote. Each function returns a line per broken promise.
 */
import type { ApiEvent, ApiTask, HistoryEntry } from "../../src/api/wire.ts";
import { checkHistory, type History, type SeenEntry, type SeenEvent } from "../../sim/world/checkers.ts";
import type { LogRecord } from "../support/model-standin/standin.ts";

/** Where messages over HTTP come from. */
const CHANNEL = "api";

export type Kind = "plain" | "tool" | "spawn" | "exec" | "stopped";

/** One message of one person, known by `id` from the first try to its end. */
export interface Said {
  readonly id: string;
  readonly kind: Kind;
  readonly session: string;
  readonly text: string;
  messageId: string | null;
  ended: boolean;
}

export interface Seen {
  readonly said: readonly Said[];
  readonly childrenEach: number;
  readonly events: readonly ApiEvent[];
  /** By session: what a reader got while it happened, over all lives, as {@link History.given} wants it. */
  readonly given: ReadonlyMap<string, ReadonlyMap<number, string>>;
  readonly tasks: readonly ApiTask[];
  readonly histories: ReadonlyMap<string, readonly HistoryEntry[]>;
  readonly calls: readonly LogRecord[];
  /** When the gateway was started, wall time in milliseconds. */
  readonly startsAt: readonly number[];
  /** What commands wrote, a line each: the id of their message. */
  readonly written: readonly string[];
}

export function verdict(seen: Seen): string[] {
  return [
    ...checkHistory(historyOf(seen)),
    ...answers(seen),
    ...children(seen),
    ...commands(seen),
    ...reasked(seen.calls, proofs(seen)),
  ];
}

/** So that what simulated worlds are judged by judges the real program too. */
function historyOf({ said, events, given, tasks, histories }: Seen): History {
  return {
    events: events as readonly SeenEvent[],
    given: [...given].map(([session, numbers]) => ({ session, numbers })),
    accepted: said.map(({ id, session, text, messageId }) => ({ messageId: messageId!, session, channel: CHANNEL, sourceId: id, text })),
    transcripts: new Map([...histories].map(([session, entries]) => [session, entries.map(entryOf)])),
    tasks,
    removed: new Set(),
    spawnedBy: new Map(),
    pools: null,
    clockWasSet: false,
    circuit: { failures: Infinity, openMs: 0 },
    isOver: true,
  };
}

function entryOf({ seq, turnId, provenance, role, text, toolCalls = [], toolResults = [] }: HistoryEntry): SeenEntry {
  const content = role === "assistant" ? { role, parts: toolCalls.map(({ callId }) => ({ type: "tool-call", callId })) } : role === "tool" ? { role, results: toolResults } : { role, text };
  return { seq, turnId: turnId ?? null, provenance, content };
}

function answers({ said, events }: Seen): string[] {
  const replies = new Map<string, number>();
  const stopped = new Map<string, number>();
  const accepted = new Map<string, number>();
  const add = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);
  for (const event of events) {
    if (event.type === "reply") for (const id of event.data["replyTo"] as string[]) add(replies, id);
    if (event.type === "message.accepted") add(accepted, String(event.data["clientMessageId"]));
    for (const id of stoppedBy(event)) add(stopped, id);
  }
  return said.flatMap(({ id, kind, messageId }) => {
    const count = (replies.get(messageId!) ?? 0) + (kind === "stopped" ? (stopped.get(messageId!) ?? 0) : 0);
    return [
      ...(accepted.get(id) === 1 ? [] : [`${id} was accepted ${accepted.get(id) ?? 0} times`]),
      ...(count === 1 ? [] : [`${id} (${kind}, ${messageId}) has ${count} ends`]),
    ];
  });
}

/** The messages that this event says were stopped. */
export function stoppedBy({ type, data }: ApiEvent): readonly string[] {
  return type === "message.cancelled" || (type === "turn.ended" && data["outcome"] === "cancelled") ? (data["messageIds"] as string[]) : [];
}

function children({ said, childrenEach, tasks, histories }: Seen): string[] {
  const byLabel = Map.groupBy(tasks, (task) => task.label);
  return said
    .filter((each) => each.kind === "spawn")
    .flatMap((each) => Array.from({ length: childrenEach }, (_none, index) => ({ session: each.session, label: `${each.id}-${index}` })))
    .flatMap(({ session, label }) => {
      const made = byLabel.get(label) ?? [];
      const results = histories.get(session)!.filter((entry) => entry.provenance === "child" && entry.text.includes(`${JSON.stringify(label)} succeeded`));
      return [
        ...(made.length === 1 && made[0]!.state === "succeeded" ? [] : [`child ${label} was made ${made.length} times: ${made.map((task) => `${task.state} ${task.fault?.message ?? ""}`).join(", ")}`]),
        ...(results.length === 1 ? [] : [`the result of ${label} stands ${results.length} times in ${session}`]),
      ];
    });
}

/** A command takes effect once at most; when its result says that it ran, it did. */
function commands({ said, events, written }: Seen): string[] {
  const byTurn = new Map(events.filter(({ type }) => type === "turn.started").map((event) => [event.turnId, event.data["messageIds"] as string[]]));
  const ran = new Set(events.filter(({ type, data }) => type === "tool.ended" && data["tool"] === "exec" && data["ok"] === true).flatMap(({ turnId }) => byTurn.get(turnId) ?? []));
  return said
    .filter((each) => each.kind === "exec")
    .flatMap(({ id, messageId }) => {
      const lines = written.filter((line) => line === id).length;
      if (lines > 1) return [`the command of ${id} took effect ${lines} times`];
      return lines === 0 && ran.has(messageId!) ? [`the command of ${id} is told to have run, and nothing was written`] : [];
    });
}

/** Names a model call by what was new in it: the same call made again has the same name. */
export function identityOf(call: LogRecord): string {
  return JSON.stringify([call.script, call.round, call.userTexts]);
}

/** For each message (by id) and round, and for each digest (by its text): since when its answer was committed. */
function proofs({ said, events, histories, startsAt }: Seen): Map<string, number> {
  const since = new Map<string, number>();
  const note = (key: string, at: number): void => void since.set(key, Math.min(since.get(key) ?? Infinity, at));
  const byMessage = new Map(said.map((each) => [each.messageId, each]));
  const idOfTurn = new Map<string, string>();
  const digestOfTurn = new Map<string, string>();
  for (const entries of histories.values()) for (const entry of entries) if (entry.provenance === "child" && entry.turnId !== undefined) digestOfTurn.set(entry.turnId, entry.text);
  for (const event of events) {
    if (event.type === "turn.started") {
      for (const id of event.data["messageIds"] as string[]) {
        const each = byMessage.get(id);
        if (each !== undefined) idOfTurn.set(event.turnId!, each.id);
      }
    }
    const id = event.turnId === undefined ? undefined : idOfTurn.get(event.turnId);
    const digest = event.turnId === undefined ? undefined : digestOfTurn.get(event.turnId);
    if (event.type === "tool.started" && id !== undefined) note(`${id} ${event.data["tool"] === "sessions_yield" ? 1 : 0}`, event.at);
    if (event.type === "reply" && digest !== undefined) note(digest, event.at);
    else if (event.type === "reply" && id !== undefined) note(`${id} last`, event.at);
    // A request that was on its way when its turn was stopped may still arrive; one of a later life may not.
    if (stoppedBy(event).length > 0 && id !== undefined) note(`${id} last`, startsAt.find((startedAt) => startedAt > event.at) ?? Infinity);
    if (event.type === "task.ended") note(`child ${String(event.data["label"])}`, event.at);
  }
  return since;
}

/** Times of events are whole milliseconds, cut off: what committed at 5.9 says 5, and a call of 5.3 came before it. */
const EVENT_TIME_STEP_MS = 1;

function reasked(calls: readonly LogRecord[], since: ReadonlyMap<string, number>): string[] {
  return calls.flatMap((call) => {
    const keys = keysOf(call);
    const committedAt = Math.min(...keys.map((key) => since.get(key) ?? Infinity));
    return call.arrivedAt >= committedAt + EVENT_TIME_STEP_MS ? [`a committed answer was asked for again: ${keys[0]}, ${Math.round(call.arrivedAt - committedAt)} ms later`] : [];
  });
}

/** The proofs that speak about a model call. */
function keysOf(call: LogRecord): string[] {
  const newest = call.userTexts.at(-1) ?? "";
  if (newest.startsWith("[result")) return [newest];
  const child = /say result of (s\d+n\d+-\d+)/.exec(call.script ?? "")?.[1];
  if (child !== undefined) return [`child ${child}`];
  const id = /say answer (s\d+n\d+)/.exec(call.script ?? "")?.[1];
  return id === undefined ? [] : [`${id} ${call.round}`, `${id} last`];
}
