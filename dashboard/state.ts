/**
 * Everything the page shows, and the one reducer that changes it.
 *
 * Actions are what the gateway told (events, lists) and what the person did. The reducer is pure:
 * it neither fetches nor reads the clock. When it sees that something must be fetched again it
 * raises a number in `wants`, or marks a conversation stale; `gateway.ts` looks at those.
 *
 * Lists and events race: a list may be older than events that are already in. Sessions carry
 * `lastSeq`, so older news are told apart; of turns, what changed while the list was on its way counts.
 */
import type { ApiEvent, ApiFault, ApiPool, ApiSession, ApiTask, ApiTaskState, HistoryEntry, LanesAnswer, MessageAccepted, StatusAnswer } from "../src/api/wire.ts";
import * as conversations from "./conversation.ts";
import { NO_CONVERSATION, faultOf, number, string, strings, type Conversation, type Loaded } from "./conversation.ts";
import { inputSummary, tokensOf } from "./format.ts";

/** Conversations kept in memory; the one not looked at for longest goes first. */
const CONVERSATIONS_MAX = 8;

export interface SessionRow extends ApiSession {
  readonly unread: boolean;
}

/** A turn that runs now. */
export interface RunningTurn {
  readonly turnId: string;
  readonly session: string;
  readonly handle: string;
  readonly track: "main" | "side";
  readonly attempt: number;
  readonly startedAt: number;
  readonly messageIds: readonly string[];
  readonly about: string;
}

export interface TaskRow {
  readonly taskId: string;
  /** Null until the list tells: events do not name it. */
  readonly flowId: string | null;
  readonly label: string;
  readonly state: ApiTaskState;
  readonly parent: string;
  readonly session: string | null;
  readonly model: string | null;
  readonly queuedAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly result: string | null;
  readonly fault: ApiFault | null;
  readonly tokens: number;
  /** What it did last, in a few words. */
  readonly activity: string | null;
}

export interface State {
  readonly access: "unknown" | "login" | "open";
  readonly connection: "connecting" | "open" | "lost";
  readonly status: StatusAnswer | null;
  readonly pools: readonly ApiPool[];
  readonly sessions: ReadonlyMap<string, SessionRow>;
  /** Where the next page of sessions begins; null = all are here. */
  readonly sessionsNext: string | null;
  /** True once the sessions were listed. */
  readonly isListed: boolean;
  readonly turns: ReadonlyMap<string, RunningTurn>;
  readonly tasks: ReadonlyMap<string, TaskRow>;
  /** In the order of last use, the latest last. */
  readonly conversations: ReadonlyMap<string, Conversation>;
  /** The session on show; empty = none yet. */
  readonly open: string;
  /** Raised whenever the list has to be fetched again. */
  readonly wants: { readonly sessions: number; readonly lanes: number; readonly tasks: number };
}

export const INITIAL: State = {
  access: "unknown",
  connection: "connecting",
  status: null,
  pools: [],
  sessions: new Map(),
  sessionsNext: null,
  isListed: false,
  turns: new Map(),
  tasks: new Map(),
  conversations: new Map(),
  open: "",
  wants: { sessions: 0, lanes: 0, tasks: 0 },
};

export type Action =
  | { readonly type: "access"; readonly access: State["access"] }
  | { readonly type: "connection"; readonly connection: State["connection"] }
  /** The stream is open. `resumed`: from where it broke off, so nothing was missed. */
  | { readonly type: "connected"; readonly resumed: boolean }
  | { readonly type: "status"; readonly status: StatusAnswer }
  | { readonly type: "sessions"; readonly sessions: readonly ApiSession[]; readonly next: string | null; readonly more: boolean }
  /** `known`: the turns that were known when the question was sent. */
  | { readonly type: "lanes"; readonly lanes: LanesAnswer; readonly known: State["turns"] }
  | { readonly type: "tasks"; readonly parent: string; readonly tasks: readonly ApiTask[] }
  | { readonly type: "events"; readonly events: readonly ApiEvent[] }
  | { readonly type: "open"; readonly session: string }
  | { readonly type: "loading"; readonly session: string }
  | { readonly type: "loaded"; readonly session: string; readonly page: Loaded }
  | { readonly type: "not-loaded"; readonly session: string; readonly problem: string }
  | { readonly type: "older"; readonly session: string; readonly entries: readonly HistoryEntry[]; readonly olderBefore: string | null }
  | { readonly type: "sending"; readonly session: string; readonly clientMessageId: string; readonly text: string; readonly at: number }
  | { readonly type: "sent"; readonly session: string; readonly clientMessageId: string; readonly accepted: MessageAccepted; readonly now: number }
  | { readonly type: "refused"; readonly session: string; readonly clientMessageId: string; readonly fault: ApiFault }
  | { readonly type: "forget"; readonly session: string; readonly clientMessageId: string };

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case "access":
      return { ...state, access: action.access };
    case "connection":
      return { ...state, connection: action.connection };
    case "connected":
      return connected(state, action.resumed);
    case "status":
      return { ...state, status: action.status, access: "open" };
    case "sessions":
      return withSessions(state, action);
    case "lanes":
      return { ...state, pools: action.lanes.pools, turns: turnsNow(state.turns, action) };
    case "tasks":
      return withTasks(state, action);
    case "events":
      return withEvents(state, action.events);
    case "open":
      return opened(state, action.session);
    case "loading":
      return change(state, action.session, (conversation) => ({ ...conversation, phase: "loading", problem: null, held: [] }));
    case "loaded":
      return change(state, action.session, (conversation) => conversations.loaded(conversation, action.page));
    case "not-loaded":
      return change(state, action.session, (conversation) => ({ ...conversation, phase: "failed", problem: action.problem, held: [] }));
    case "older":
      return change(state, action.session, (conversation) => conversations.older(conversation, action.entries, action.olderBefore));
    case "sending":
      return change(state, action.session, (conversation) => conversations.sending(conversation, action));
    case "sent":
      return change(state, action.session, (conversation) => conversations.sent(conversation, action.clientMessageId, action.accepted, action.now));
    case "refused":
      return change(state, action.session, (conversation) => conversations.refused(conversation, action.clientMessageId, action.fault));
    case "forget":
      return change(state, action.session, (conversation) => conversations.forgotten(conversation, action.clientMessageId));
  }
}

/** The running turns of a session: the main one first, then side tracks in order of their start. */
export function turnsOf(state: Pick<State, "turns">, session: string): RunningTurn[] {
  return [...state.turns.values()]
    .filter((turn) => turn.session === session)
    .sort((a, b) => Number(a.track === "side") - Number(b.track === "side") || a.startedAt - b.startedAt);
}

/** The children of a session, oldest first. */
export function tasksOf(state: Pick<State, "tasks">, session: string): TaskRow[] {
  return [...state.tasks.values()].filter((task) => task.parent === session).sort((a, b) => a.queuedAt - b.queuedAt);
}

export function hasEnded(task: Pick<TaskRow, "state">): boolean {
  return task.state !== "queued" && task.state !== "running" && task.state !== "waiting";
}

// ── the person ──────────────────────────────────────────────────────────────────────────────

function opened(state: State, session: string): State {
  const kept = new Map(state.conversations);
  const conversation = kept.get(session) ?? NO_CONVERSATION;
  kept.delete(session);
  kept.set(session, conversation);
  for (const [key, other] of kept) {
    if (kept.size <= CONVERSATIONS_MAX) break;
    // A message that is still on its way has no other home.
    if (key !== session && !other.items.some((item) => item.kind === "message" && item.state === "sending")) kept.delete(key);
  }
  const sessions = new Map(state.sessions);
  const row = sessions.get(session);
  if (row?.unread) sessions.set(session, { ...row, unread: false });
  return { ...state, open: session, sessions, conversations: kept, wants: { ...state.wants, tasks: state.wants.tasks + 1 } };
}

function change(state: State, session: string, by: (conversation: Conversation) => Conversation): State {
  const conversation = state.conversations.get(session);
  if (conversation === undefined) return state;
  return { ...state, conversations: new Map(state.conversations).set(session, by(conversation)) };
}

// ── what the gateway listed ─────────────────────────────────────────────────────────────────

function connected(state: State, resumed: boolean): State {
  const wants = { sessions: state.wants.sessions + 1, lanes: state.wants.lanes + 1, tasks: state.wants.tasks + 1 };
  const kept = new Map(state.conversations);
  for (const [key, conversation] of kept) {
    if (!resumed || conversation.phase === "failed") kept.set(key, { ...conversation, phase: "stale" });
  }
  return { ...state, connection: "open", wants, conversations: kept };
}

function withSessions(state: State, list: { sessions: readonly ApiSession[]; next: string | null; more: boolean }): State {
  const sessions = new Map(list.more ? state.sessions : []);
  for (const row of list.sessions) {
    const known = state.sessions.get(row.key);
    const isOlder = known !== undefined && known.lastSeq > row.lastSeq;
    sessions.set(row.key, isOlder ? known : { ...row, unread: known?.unread ?? false });
  }
  // What the person scrolled down to stays, when only the first page was fetched again.
  if (!list.more && list.next !== null) for (const [key, row] of state.sessions) if (!sessions.has(key)) sessions.set(key, row);
  return { ...state, sessions, sessionsNext: list.next, isListed: true };
}

/** The turns that were listed, without those that ended while the answer was on its way, and with those that started. */
function turnsNow(turns: State["turns"], { lanes, known }: { lanes: LanesAnswer; known: State["turns"] }): State["turns"] {
  const now = new Map<string, RunningTurn>(lanes.lanes.flatMap((lane) => lane.turns).map((turn) => [turn.turnId, turn]));
  for (const turnId of known.keys()) if (!turns.has(turnId)) now.delete(turnId);
  for (const [turnId, turn] of turns) if (!known.has(turnId) && !now.has(turnId)) now.set(turnId, turn);
  return now;
}

function withTasks(state: State, list: { parent: string; tasks: readonly ApiTask[] }): State {
  const tasks = new Map([...state.tasks].filter(([, task]) => task.parent !== list.parent));
  for (const task of list.tasks) {
    const known = state.tasks.get(task.taskId);
    const isOlder = known !== undefined && hasEnded(known) && !hasEnded(task);
    tasks.set(task.taskId, {
      taskId: task.taskId,
      flowId: task.flowId,
      label: task.label,
      state: isOlder ? known.state : task.state,
      parent: list.parent,
      session: task.session,
      model: task.model ?? known?.model ?? null,
      queuedAt: task.queuedAt,
      startedAt: task.startedAt,
      endedAt: isOlder ? known.endedAt : task.endedAt,
      result: task.result ?? known?.result ?? null,
      fault: task.fault ?? known?.fault ?? null,
      tokens: Math.max(tokensOf(task.usage), known?.tokens ?? 0),
      activity: known?.activity ?? null,
    });
  }
  return { ...state, tasks };
}

// ── what happened ───────────────────────────────────────────────────────────────────────────

interface Draft {
  sessions: Map<string, SessionRow>;
  turns: Map<string, RunningTurn>;
  tasks: Map<string, TaskRow>;
  wants: { sessions: number; lanes: number; tasks: number };
  readonly open: string;
  /** Which task a session works on. */
  readonly taskOf: ReadonlyMap<string, string>;
}

function withEvents(state: State, events: readonly ApiEvent[]): State {
  const draft: Draft = {
    sessions: new Map(state.sessions),
    turns: new Map(state.turns),
    tasks: new Map(state.tasks),
    wants: { ...state.wants },
    open: state.open,
    taskOf: new Map([...state.tasks.values()].flatMap((task) => (task.session === null ? [] : [[task.session, task.taskId]]))),
  };
  const bySession = new Map<string, ApiEvent[]>();
  for (const event of events) {
    if (state.conversations.has(event.session)) {
      const list = bySession.get(event.session);
      if (list === undefined) bySession.set(event.session, [event]);
      else list.push(event);
    }
    takeEvent(draft, event);
  }
  const kept = new Map(state.conversations);
  for (const [session, list] of bySession) kept.set(session, conversations.follow(kept.get(session)!, list));
  return { ...state, sessions: draft.sessions, turns: draft.turns, tasks: draft.tasks, wants: draft.wants, conversations: kept };
}

function takeEvent(draft: Draft, event: ApiEvent): void {
  const row = draft.sessions.get(event.session);
  if (event.seq !== undefined) {
    if (row === undefined) draft.wants.sessions++;
    else if (event.seq <= row.lastSeq) return;
  }
  if (event.type.startsWith("turn.") || event.type === "lane.waiting" || event.type === "task.queued") draft.wants.lanes++;
  takeTurn(draft, event);
  if (event.type.startsWith("task.")) takeTask(draft, event);
  takeActivity(draft, event);
  if (row !== undefined && event.seq !== undefined) draft.sessions.set(event.session, rowAfter(draft, row, event));
}

function takeTurn(draft: Draft, event: ApiEvent): void {
  const turnId = event.turnId;
  if (turnId === undefined) return;
  const known = draft.turns.get(turnId);
  if (event.type === "turn.started") {
    draft.turns.set(turnId, {
      turnId,
      session: event.session,
      handle: string(event.data.handle) ?? known?.handle ?? "",
      track: event.data.track === "side" ? "side" : "main",
      attempt: number(event.data.attempt) ?? 1,
      startedAt: known?.startedAt ?? event.at,
      messageIds: strings(event.data.messageIds),
      about: string(event.data.about) ?? known?.about ?? "",
    });
  } else if (event.type === "turn.promoted" && known !== undefined) {
    draft.turns.set(turnId, { ...known, track: "side", handle: string(event.data.handle) ?? known.handle });
  } else if (event.type === "turn.ended" || event.type === "turn.yielded") {
    draft.turns.delete(turnId);
  }
}

function takeTask(draft: Draft, event: ApiEvent): void {
  const { taskId, data } = event;
  if (taskId === undefined) return;
  const known = draft.tasks.get(taskId);
  // Only the children on show are kept; the list brings the others when they are looked at.
  if (known === undefined && event.session !== draft.open) return;
  if (known?.flowId == null || event.type === "task.ended" || event.type === "task.attempt") draft.wants.tasks++;
  const state = (string(data.state) as ApiTaskState | null) ?? known?.state ?? "queued";
  const ended = hasEnded({ state });
  draft.tasks.set(taskId, {
    taskId,
    flowId: known?.flowId ?? null,
    label: string(data.label) ?? known?.label ?? taskId,
    state,
    parent: known?.parent ?? event.session,
    session: string(data.session) ?? known?.session ?? null,
    model: known?.model ?? null,
    queuedAt: known?.queuedAt ?? event.at,
    startedAt: event.type === "task.started" ? (known?.startedAt ?? event.at) : (known?.startedAt ?? null),
    endedAt: ended ? (known?.endedAt ?? event.at) : null,
    result: string(data.result) ?? known?.result ?? null,
    fault: data.fault == null ? (known?.fault ?? null) : faultOf(data.fault),
    tokens: known?.tokens ?? 0,
    activity: known?.activity ?? null,
  });
}

/** What a child does, from the events of its own session. */
function takeActivity(draft: Draft, event: ApiEvent): void {
  const task = draft.tasks.get(draft.taskOf.get(event.session) ?? "");
  if (task === undefined) return;
  if (event.type === "turn.started") draft.tasks.set(task.taskId, { ...task, model: string(event.data.model) ?? task.model, activity: "thinking" });
  else if (event.type === "text.delta" && task.activity !== "writing") draft.tasks.set(task.taskId, { ...task, activity: "writing" });
  else if (event.type === "tool.started") draft.tasks.set(task.taskId, { ...task, activity: `${string(event.data.tool) ?? "tool"} ${inputSummary(event.data.input, 60)}`.trim() });
  else if (event.type === "turn.yielded") draft.tasks.set(task.taskId, { ...task, activity: "waits for its own children" });
  else if (event.type === "turn.ended") draft.tasks.set(task.taskId, { ...task, tokens: task.tokens + tokensOf((event.data.usage ?? undefined) as never) });
}

function rowAfter(draft: Draft, row: SessionRow, event: ApiEvent): SessionRow {
  let { waitingMessages, label, model, unread } = row;
  let isWaiting = row.state === "waiting";
  if (event.type === "message.accepted") waitingMessages++;
  else if (event.type === "message.cancelled") waitingMessages = Math.max(0, waitingMessages - Math.max(1, strings(event.data.messageIds).length));
  else if (event.type === "turn.started") {
    waitingMessages = Math.max(0, waitingMessages - strings(event.data.messageIds).length);
    isWaiting = false;
  } else if (event.type === "turn.yielded") isWaiting = true;
  else if (event.type === "session.changed" || event.type === "session.created") {
    label = "label" in event.data ? string(event.data.label) : label;
    model = "model" in event.data ? string(event.data.model) : model;
  }
  if ((event.type === "reply" || (event.type === "turn.ended" && event.data.outcome === "failed")) && event.session !== draft.open) unread = true;
  const isRunning = [...draft.turns.values()].some((turn) => turn.session === row.key);
  const state = event.type === "session.archived" ? "archived" : isRunning ? "running" : isWaiting ? "waiting" : waitingMessages > 0 ? "queued" : "idle";
  return { ...row, label, model, unread, waitingMessages, state, lastAt: Math.max(row.lastAt, event.at), lastSeq: event.seq ?? row.lastSeq };
}
