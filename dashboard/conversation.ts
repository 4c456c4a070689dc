/**
 * One session's conversation, built from its stored history and its events.
 *
 * Two sources tell the same story: history holds turns that ended, events hold everything as it
 * happens. Both come down to items with one identity each (a message by its id, a reply by its
 * turn, a tool call by turn and call), so an item told twice is one item.
 *
 *     stale ──loading──▶ loading ──loaded──▶ ready ──a number is missing──▶ stale
 *                           └──failed──▶ failed ──loading──▶ …
 *
 * While it loads, numbered events are shown at once and also held, because what was loaded may be
 * older than they are. Always true: items are in order of time, and no two share an id.
 *
 * Not here: fetching. Unknown event types and fields are passed over.
 */
import type { ApiEvent, ApiFault, HistoryEntry, MessageAccepted } from "../src/api/wire.ts";

/** Events kept while history loads; with more, the load is done again. */
const HELD_EVENTS_MAX = 5000;
/** Items of one conversation in memory; older ones are loaded again when asked for. */
const ITEMS_MAX = 2000;
/** What is kept when there are more. */
const ITEMS_KEPT = 1000;
/** A notice told both as an event and in history has times this close. */
const SAME_NOTICE_MS = 10_000;

interface Placed {
  readonly id: string;
  readonly at: number;
  /** The number in its own source; orders items of the same moment. */
  readonly order: number;
}
export type MessageState = "sending" | "refused" | "waiting" | "taken" | "answered" | "failed" | "cancelled";
export interface MessageItem extends Placed {
  readonly kind: "message";
  /** Further messages of a batch that history tells as one text. */
  readonly also: readonly string[];
  readonly text: string;
  readonly provenance: string;
  readonly state: MessageState;
  readonly clientMessageId: string | null;
  /** When it should be taken, by the gateway's estimate. */
  readonly startsAt: number | null;
  /** Why it was refused. */
  readonly fault: ApiFault | null;
}
export interface ReplyItem extends Placed {
  readonly kind: "reply";
  readonly turnId: string | null;
  readonly text: string;
  readonly replyTo: readonly string[];
}
/** What the agent said on the way to its answer. */
export interface AsideItem extends Placed {
  readonly kind: "aside";
  readonly turnId: string;
  readonly text: string;
}
export interface ToolItem extends Placed {
  readonly kind: "tool";
  readonly turnId: string;
  readonly tool: string;
  readonly input: unknown;
  readonly outcome: { readonly ok: boolean; readonly text: string; readonly ms: number | null } | null;
}
export interface NoticeItem extends Placed {
  readonly kind: "notice";
  readonly text: string;
  readonly level: string;
  /** A question that still waits for the person's answer. */
  readonly approvalId?: string;
}
/** The answer to a slash command; it has no turn. */
export interface CommandItem extends Placed {
  readonly kind: "command";
  readonly text: string;
}
export interface FailureItem extends Placed {
  readonly kind: "failure";
  readonly turnId: string;
  readonly fault: ApiFault;
  readonly messageIds: readonly string[];
}
export type Item = MessageItem | ReplyItem | AsideItem | ToolItem | NoticeItem | CommandItem | FailureItem;

/** The provisional text of a running turn. */
export interface LiveText {
  readonly turnId: string;
  readonly attempt: number;
  readonly at: number;
  readonly text: string;
  /** True when the page came in the middle: the beginning was never seen. */
  readonly cut: boolean;
}

export interface Conversation {
  readonly phase: "stale" | "loading" | "ready" | "failed";
  /** Why it could not be loaded. */
  readonly problem: string | null;
  /** The last event's number that is in; 0 = none yet. */
  readonly seq: number;
  readonly items: readonly Item[];
  readonly live: ReadonlyMap<string, LiveText>;
  /** Turns whose beginning was seen here: their live text is whole. */
  readonly seen: ReadonlySet<string>;
  /** Turns that left the main track: their answers belong where they end. */
  readonly aside: ReadonlySet<string>;
  /** Where the page of history before the first item ends; null = the first item is the first of all. */
  readonly olderBefore: string | null;
  readonly held: readonly ApiEvent[];
  /** Place in the pool's line, from the last `lane.waiting`. */
  readonly position: number | null;
}

export const NO_CONVERSATION: Conversation = {
  phase: "stale",
  problem: null,
  seq: 0,
  items: [],
  live: new Map(),
  seen: new Set(),
  aside: new Set(),
  olderBefore: null,
  held: [],
  position: null,
};

type Draft = { -readonly [Key in keyof Conversation]: Conversation[Key] };

/** Follows new events. A number already seen is a duplicate; a missing one makes the conversation stale. */
export function follow(conversation: Conversation, events: readonly ApiEvent[]): Conversation {
  const draft: Draft = { ...conversation };
  for (const event of events) {
    if (event.seq !== undefined) {
      if (draft.seq > 0 && event.seq <= draft.seq) continue;
      if (draft.phase === "ready" && draft.seq > 0 && event.seq > draft.seq + 1) draft.phase = "stale";
      if (draft.phase === "loading") draft.held = [...draft.held, event].slice(-HELD_EVENTS_MAX);
      draft.seq = event.seq;
    }
    apply(draft, event);
  }
  trim(draft);
  return draft;
}

export interface Loaded {
  readonly entries: readonly HistoryEntry[];
  readonly olderBefore: string | null;
  /** The stored events up to `lastSeq`, oldest first: messages that wait and turns that run are only there. */
  readonly tail: readonly ApiEvent[];
  readonly lastSeq: number;
}

/** Starts afresh from what was loaded, and brings in what happened meanwhile. */
export function loaded(conversation: Conversation, page: Loaded): Conversation {
  const draft: Draft = { ...NO_CONVERSATION, phase: "ready", olderBefore: page.olderBefore, seq: page.lastSeq };
  for (const entry of page.entries) addEntry(draft, entry);
  for (const event of page.tail) apply(draft, event);
  for (const event of conversation.held) {
    if (event.seq === undefined || event.seq <= draft.seq) continue;
    if (event.seq > draft.seq + 1 && draft.seq > 0) draft.phase = "stale";
    draft.seq = event.seq;
    apply(draft, event);
  }
  for (const item of conversation.items) {
    if (isOnlyHere(conversation, item) && !draft.items.some((known) => known.id === item.id || sameSource(known, item))) put(draft, item);
  }
  draft.live = conversation.live;
  draft.seen = conversation.seen;
  draft.aside = draft.aside.union(conversation.aside);
  return draft;
}

/** A page of history before the first item. */
export function older(conversation: Conversation, entries: readonly HistoryEntry[], olderBefore: string | null): Conversation {
  const draft: Draft = { ...conversation, olderBefore };
  for (const entry of entries) addEntry(draft, entry);
  return draft;
}

/** A message on its way; it keeps its place at the end until the gateway says when it came. */
export function sending(conversation: Conversation, message: { clientMessageId: string; text: string; at: number }): Conversation {
  const draft: Draft = { ...conversation };
  const at = Math.max(message.at, draft.items.at(-1)?.at ?? 0);
  put(draft, {
    kind: "message",
    id: message.clientMessageId,
    at,
    order: Number.MAX_SAFE_INTEGER,
    also: [],
    text: message.text,
    provenance: "user",
    state: "sending",
    clientMessageId: message.clientMessageId,
    startsAt: null,
    fault: null,
  });
  return draft;
}

/** The gateway has it. The event may have come first, or comes later. */
export function sent(conversation: Conversation, clientMessageId: string, accepted: MessageAccepted, now: number): Conversation {
  const draft: Draft = { ...conversation };
  const mine = messageOf(draft, clientMessageId);
  const known = messageOf(draft, accepted.messageId);
  const startsAt = accepted.etaMs > 0 ? now + accepted.etaMs : null;
  if (accepted.commandReply !== undefined) {
    // What went in line as a message of its own may have been told of already.
    if (mine?.state === "sending") replace(draft, mine, { ...mine, id: accepted.messageId, state: "answered" });
    const text = accepted.commandReply;
    if (!draft.items.slice(-5).some((item) => "text" in item && item.kind !== "message" && item.text === text)) {
      put(draft, { kind: "command", id: `command:${clientMessageId}`, at: Math.max(now, draft.items.at(-1)?.at ?? 0), order: Number.MAX_SAFE_INTEGER, text });
    }
  } else if (known !== undefined) {
    if (mine !== undefined && mine !== known) remove(draft, mine);
    if (known.state === "waiting") replace(draft, known, { ...known, clientMessageId, startsAt: known.startsAt ?? startsAt });
  } else if (mine !== undefined) {
    replace(draft, mine, { ...mine, id: accepted.messageId, state: "waiting", startsAt });
  }
  return draft;
}

export function refused(conversation: Conversation, clientMessageId: string, fault: ApiFault): Conversation {
  const draft: Draft = { ...conversation };
  const mine = messageOf(draft, clientMessageId);
  if (mine !== undefined) replace(draft, mine, { ...mine, state: "refused", fault });
  return draft;
}

/** Takes a refused message out of sight. */
export function forgotten(conversation: Conversation, clientMessageId: string): Conversation {
  const draft: Draft = { ...conversation };
  const mine = messageOf(draft, clientMessageId);
  if (mine !== undefined) remove(draft, mine);
  return draft;
}

// ── events ──────────────────────────────────────────────────────────────────────────────────

function apply(draft: Draft, event: ApiEvent): void {
  const { data } = event;
  const turnId = event.turnId ?? "";
  const placed = { at: event.at, order: event.seq ?? 0 };
  switch (event.type) {
    case "message.accepted":
      return accept(draft, event);
    case "message.cancelled":
      return settle(draft, [...strings(data.messageIds), ...strings([data.messageId])], "cancelled");
    case "lane.waiting": {
      draft.position = number(data.position);
      const etaMs = number(data.etaMs);
      if (etaMs === null) return;
      for (const item of draft.items) {
        if (item.kind === "message" && item.state === "waiting") replace(draft, item, { ...item, startsAt: event.at + etaMs });
      }
      return;
    }
    case "turn.started":
      draft.position = null;
      draft.seen = new Set(draft.seen).add(turnId);
      if (data.track === "side") draft.aside = new Set(draft.aside).add(turnId);
      takeDigest(draft, event);
      return settle(draft, strings(data.messageIds), "taken");
    case "turn.promoted":
      draft.aside = new Set(draft.aside).add(turnId);
      return notice(draft, { id: `promoted:${turnId}`, ...placed, text: string(data.text) ?? `${string(data.handle) ?? "The turn"} goes on in the background`, level: "info" });
    case "text.delta":
      return addLive(draft, event);
    case "text.void":
      return dropLive(draft, turnId);
    case "reply": {
      if (data.code === "COMMAND") return commandAnswer(draft, { id: `event:${placed.order}`, ...placed, text: string(data.text) ?? "" });
      const live = draft.live.get(turnId);
      const stays = live !== undefined && !draft.aside.has(turnId);
      dropLive(draft, turnId);
      const replyTo = strings(data.replyTo);
      const id = turnId === "" ? `event:${event.seq ?? event.at}` : `reply:${turnId}`;
      put(draft, { kind: "reply", id, turnId: turnId || null, at: stays ? live.at : event.at, order: placed.order, text: string(data.text) ?? "", replyTo });
      return settle(draft, replyTo, "answered");
    }
    case "tool.started":
      keepLiveAsAside(draft, turnId);
      return put(draft, { kind: "tool", id: `${turnId}/${string(data.callId) ?? placed.order}`, turnId, ...placed, tool: string(data.tool) ?? "tool", input: data.input, outcome: null });
    case "tool.ended": {
      const id = `${turnId}/${string(data.callId) ?? placed.order}`;
      const known = draft.items.findLast((item): item is ToolItem => item.kind === "tool" && item.id === id);
      const outcome = { ok: data.ok !== false, text: string(data.text) ?? "", ms: number(data.ms) };
      if (known === undefined) return put(draft, { kind: "tool", id, turnId, ...placed, tool: string(data.tool) ?? "tool", input: null, outcome });
      return replace(draft, known, { ...known, outcome });
    }
    case "turn.yielded":
      keepLiveAsAside(draft, turnId);
      leave(draft, turnId);
      return endTools(draft, turnId, true);
    case "turn.ended":
      return endTurn(draft, event, turnId);
    case "session.reset":
      return notice(draft, { id: `event:${placed.order}`, ...placed, text: "The context was cleared. What is above stays readable here, but the agent no longer sees it.", level: "info" });
    case "session.compacted":
      return notice(draft, { id: `event:${placed.order}`, ...placed, text: "Older messages were summarised for the agent.", level: "info" });
    case "notice":
      return notice(draft, { id: `event:${placed.order}`, ...placed, text: string(data.text) ?? "", level: string(data.level) ?? "info", ...(data.code === "APPROVAL" ? { approvalId: string(data.approvalId) ?? "" } : {}) });
    case "approval.answered": {
      const asked = draft.items.findLast((item) => item.kind === "notice" && item.approvalId === data.approvalId);
      if (asked?.kind !== "notice") return;
      const { approvalId, ...answered } = asked;
      return replace(draft, asked, { ...answered, text: `${approvalId} is ${string(data.state) ?? "answered"}\n${asked.text}` });
    }
  }
}

function accept(draft: Draft, event: ApiEvent): void {
  const messageId = string(event.data.messageId);
  // A child's result is shown when a turn takes it, together with those of its siblings.
  if (messageId === null || event.data.provenance === "child") return;
  const clientMessageId = string(event.data.clientMessageId);
  const mine = clientMessageId === null ? undefined : messageOf(draft, clientMessageId);
  const known = messageOf(draft, messageId);
  if (known !== undefined) {
    if (mine !== undefined && mine !== known) remove(draft, mine);
    if (known.also.length === 0) replace(draft, known, { ...known, at: Math.min(event.at, known.state === "waiting" ? event.at : known.at), order: event.seq ?? known.order, clientMessageId: clientMessageId ?? known.clientMessageId });
    return;
  }
  const item: MessageItem = {
    kind: "message",
    id: messageId,
    at: event.at,
    order: event.seq ?? 0,
    also: [],
    text: string(event.data.text) ?? mine?.text ?? "",
    provenance: string(event.data.provenance) ?? "user",
    state: "waiting",
    clientMessageId,
    startsAt: null,
    fault: null,
  };
  if (mine === undefined) put(draft, item);
  else replace(draft, mine, item);
}

function takeDigest(draft: Draft, event: ApiEvent): void {
  const text = string(event.data.digest);
  const [id, ...also] = strings(event.data.messageIds);
  if (text === null || id === undefined || messageOf(draft, id) !== undefined) return;
  put(draft, { kind: "message", id, at: event.at, order: event.seq ?? 0, also, text, provenance: "child", state: "taken", clientMessageId: null, startsAt: null, fault: null });
}

function endTurn(draft: Draft, event: ApiEvent, turnId: string): void {
  const outcome = string(event.data.outcome);
  const messageIds = strings(event.data.messageIds);
  const placed = { at: event.at, order: event.seq ?? 0 };
  leave(draft, turnId);
  endTools(draft, turnId, outcome === "done" || outcome === "yielded");
  if (outcome === "done") return settle(draft, messageIds, "answered");
  keepLiveAsAside(draft, turnId);
  if (outcome === "cancelled") {
    settle(draft, messageIds, "cancelled");
    return notice(draft, { id: `cancelled:${turnId}`, ...placed, text: "Stopped.", level: "info" });
  }
  if (outcome !== "failed") return;
  settle(draft, messageIds, "failed");
  const fault = faultOf(event.data.fault);
  const toldInHistory = draft.items.findLast((item) => item.kind === "notice" && item.text.includes(fault.message));
  if (toldInHistory !== undefined) remove(draft, toldInHistory);
  put(draft, { kind: "failure", id: `failure:${turnId}`, turnId, ...placed, fault, messageIds });
}

/** The turn is over: nothing more will be said in it. */
function leave(draft: Draft, turnId: string): void {
  draft.seen = draft.seen.difference(new Set([turnId]));
  draft.aside = draft.aside.difference(new Set([turnId]));
}

/** Moves messages on; what ended stays ended, whatever an older event says. */
function settle(draft: Draft, messageIds: readonly string[], state: "taken" | "answered" | "failed" | "cancelled"): void {
  for (const messageId of messageIds) {
    const item = messageOf(draft, messageId);
    if (item === undefined || item.state === state) continue;
    const isOver = item.state === "answered" || item.state === "failed" || item.state === "cancelled";
    if (state === "taken" && isOver) continue;
    replace(draft, item, { ...item, state, startsAt: null });
  }
}

function endTools(draft: Draft, turnId: string, ok: boolean): void {
  for (const item of draft.items) {
    if (item.kind !== "tool" || item.turnId !== turnId || item.outcome !== null) continue;
    replace(draft, item, { ...item, outcome: { ok, text: ok ? "" : "not finished: the turn was ended before this had a result", ms: null } });
  }
}

function notice(draft: Draft, told: Omit<NoticeItem, "kind">): void {
  const isKnown = draft.items
    .slice(-30)
    .some((item) => (item.kind === "notice" || item.kind === "command") && item.id !== told.id && item.text === told.text && Math.abs(item.at - told.at) < SAME_NOTICE_MS);
  if (told.text !== "" && !isKnown) put(draft, { kind: "notice", ...told });
}

/** A command's answer is told to whoever sent it, and in the log; it is shown once. */
function commandAnswer(draft: Draft, told: Omit<CommandItem, "kind">): void {
  const isKnown = draft.items.slice(-30).some((item) => item.kind === "command" && item.text === told.text && Math.abs(item.at - told.at) < SAME_NOTICE_MS);
  if (!isKnown) put(draft, { kind: "command", ...told });
}

// ── provisional text ────────────────────────────────────────────────────────────────────────

function addLive(draft: Draft, event: ApiEvent): void {
  const turnId = event.turnId ?? "";
  const text = string(event.data.text) ?? "";
  const attempt = number(event.data.attempt) ?? 1;
  const before = draft.live.get(turnId);
  // A new attempt begins its text again.
  const goesOn = before !== undefined && before.attempt === attempt;
  const live = goesOn ? { ...before, text: before.text + text } : { turnId, attempt, at: event.at, text, cut: before === undefined && !draft.seen.has(turnId) };
  draft.live = new Map(draft.live).set(turnId, live);
}

function dropLive(draft: Draft, turnId: string): void {
  if (!draft.live.has(turnId)) return;
  const live = new Map(draft.live);
  live.delete(turnId);
  draft.live = live;
}

function keepLiveAsAside(draft: Draft, turnId: string): void {
  const live = draft.live.get(turnId);
  dropLive(draft, turnId);
  if (live === undefined || live.text.trim() === "") return;
  putAside(draft, turnId, { at: live.at, order: 0, text: live.text });
}

function putAside(draft: Draft, turnId: string, aside: { at: number; order: number; text: string }): void {
  const text = aside.text.trim();
  const ofTurn = draft.items.filter((item) => item.kind === "aside" && item.turnId === turnId) as AsideItem[];
  if (!ofTurn.some((item) => item.text === text)) put(draft, { kind: "aside", id: `aside:${turnId}:${ofTurn.length}`, turnId, at: aside.at, order: aside.order, text });
}

// ── history ─────────────────────────────────────────────────────────────────────────────────

function addEntry(draft: Draft, entry: HistoryEntry): void {
  const placed = { at: entry.at, order: entry.seq };
  const ownId = `entry:${entry.seq}`;
  const turnId = entry.turnId ?? ownId;
  if (entry.role === "user") {
    const ids = entry.messageId === undefined ? (entry.messageIds ?? []) : [entry.messageId, ...(entry.messageIds ?? []).filter((id) => id !== entry.messageId)];
    if (ids.some((id) => messageOf(draft, id) !== undefined)) return settle(draft, ids, "answered");
    const [id = ownId, ...also] = ids;
    return put(draft, { kind: "message", id, ...placed, also, text: entry.text, provenance: entry.provenance, state: "answered", clientMessageId: null, startsAt: null, fault: null });
  }
  if (entry.role === "assistant") {
    const calls = entry.toolCalls ?? [];
    if (calls.length === 0) {
      if (entry.text === "") return;
      const byTurn = `reply:${entry.turnId}`;
      const isTaken = draft.items.some((item) => item.id === byTurn && item.order !== entry.seq);
      return put(draft, { kind: "reply", id: entry.turnId === undefined || isTaken ? ownId : byTurn, turnId: entry.turnId ?? null, ...placed, text: entry.text, replyTo: entry.replyTo ?? [] });
    }
    if (entry.text !== "") putAside(draft, turnId, { ...placed, text: entry.text });
    for (const call of calls) put(draft, { kind: "tool", id: `${turnId}/${call.callId}`, turnId, ...placed, tool: call.tool, input: call.input, outcome: { ok: true, text: "", ms: null } });
    return;
  }
  if (entry.role === "tool") {
    for (const result of entry.toolResults ?? []) {
      const id = `${turnId}/${result.callId}`;
      const known = draft.items.findLast((item): item is ToolItem => item.kind === "tool" && item.id === id);
      const outcome = { ok: !result.isError, text: result.text, ms: known?.outcome?.ms ?? null };
      if (known === undefined) put(draft, { kind: "tool", id, turnId, ...placed, tool: result.tool, input: null, outcome });
      else replace(draft, known, { ...known, outcome });
    }
    return;
  }
  // What a bound coding agent answered is a reply in the events, and a quoted notice in history.
  const answered = entry.replyTo ?? [];
  if (answered.length > 0 && draft.items.some((item) => item.kind === "reply" && answered.every((id) => item.replyTo.includes(id)))) return;
  if (entry.text !== "") put(draft, { kind: "notice", id: ownId, ...placed, text: entry.text, level: "info" });
}

/** What no load brings back: messages that are not accepted yet, commands' answers, and words of turns that still run. */
function isOnlyHere(conversation: Conversation, item: Item): boolean {
  if (item.kind === "message") return item.state === "sending" || item.state === "refused" || conversation.items.some((other) => other.id === `command:${item.clientMessageId}`);
  if (item.kind === "aside") return !conversation.items.some((other) => other.id === `reply:${item.turnId}`);
  return item.kind === "command";
}

function sameSource(known: Item, item: Item): boolean {
  if (known.kind === "message" && item.kind === "message") return known.clientMessageId !== null && known.clientMessageId === item.clientMessageId;
  return known.kind === "aside" && item.kind === "aside" && known.turnId === item.turnId && known.text === item.text;
}

// ── items in order of time ──────────────────────────────────────────────────────────────────

const RANK: Readonly<Record<Item["kind"], number>> = { message: 0, aside: 1, tool: 1, notice: 1, command: 2, reply: 2, failure: 2 };

function isAfter(a: Item, b: Item): boolean {
  if (a.at !== b.at) return a.at > b.at;
  if (RANK[a.kind] !== RANK[b.kind]) return RANK[a.kind] > RANK[b.kind];
  return a.order > b.order;
}

/** Puts an item in its place; one with the same id is replaced and stays at the earlier time. */
function put(draft: Draft, item: Item): void {
  const known = draft.items.findLast((other) => other.id === item.id);
  if (known !== undefined) return replace(draft, known, { ...item, at: Math.min(item.at, known.at), ...keptOf(known, item) } as Item);
  let index = draft.items.length;
  while (index > 0 && isAfter(draft.items[index - 1]!, item)) index--;
  draft.items = draft.items.toSpliced(index, 0, item);
}

/** A call's result is not lost when its beginning is told again. */
function keptOf(known: Item, item: Item): Partial<ToolItem> {
  if (known.kind !== "tool" || item.kind !== "tool") return {};
  return { outcome: item.outcome ?? known.outcome, input: item.input ?? known.input };
}

function replace(draft: Draft, known: Item, item: Item): void {
  const index = draft.items.indexOf(known);
  if (known.at === item.at && known.order === item.order && known.kind === item.kind) {
    draft.items = draft.items.with(index, item);
    return;
  }
  draft.items = draft.items.toSpliced(index, 1);
  let place = draft.items.length;
  while (place > 0 && isAfter(draft.items[place - 1]!, item)) place--;
  draft.items = draft.items.toSpliced(place, 0, item);
}

function remove(draft: Draft, item: Item): void {
  draft.items = draft.items.filter((other) => other !== item);
}

/** A very long conversation gives back its older part; the next load makes it whole again. */
function trim(draft: Draft): void {
  if (draft.items.length <= ITEMS_MAX) return;
  draft.items = draft.items.slice(-ITEMS_KEPT);
  if (draft.phase === "ready") draft.phase = "stale";
}

function messageOf(draft: Pick<Conversation, "items">, id: string): MessageItem | undefined {
  return draft.items.findLast((item): item is MessageItem => item.kind === "message" && (item.id === id || item.clientMessageId === id || item.also.includes(id)));
}

// ── reading data whose shape is not promised ────────────────────────────────────────────────

export function string(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

export function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

export function faultOf(value: unknown): ApiFault {
  const fault = (typeof value === "object" && value !== null ? value : {}) as Partial<ApiFault>;
  return {
    code: string(fault.code) ?? "UNKNOWN",
    message: string(fault.message) ?? "the turn failed and the gateway did not say why; see its log",
    details: {},
    retryable: fault.retryable === true,
    ...(typeof fault.retryAfterMs === "number" ? { retryAfterMs: fault.retryAfterMs } : {}),
  };
}
