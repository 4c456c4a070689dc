import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiEvent, ApiSession, ApiTask, HistoryEntry } from "../src/api/wire.ts";
import type { Item, MessageItem } from "./conversation.ts";
import { INITIAL, hasEnded, reduce, tasksOf, turnsOf, type Action, type State } from "./state.ts";
import { aheadOf, threadOf } from "./thread.ts";

const MAIN = "agent:main:main";
const OTHER = "agent:main:telegram:direct:7";
const NO_USAGE = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0, calls: 0, cost: 0 };
const T0 = 1_800_000_000_000;

function row(key: string, changes: Partial<ApiSession> = {}): ApiSession {
  return { key, label: null, kind: "main", agent: "main", parent: null, taskId: null, model: null, queueMode: null, cwd: null, state: "idle", createdAt: T0, lastAt: T0, lastSeq: 0, waitingMessages: 0, usage: NO_USAGE, ...changes };
}

/** A page with the main session open and loaded, and numbered events for it. */
function setup(page: { entries?: HistoryEntry[]; tail?: ApiEvent[]; lastSeq?: number } = {}) {
  let state = [
    { type: "connected", resumed: false },
    { type: "sessions", sessions: [row(MAIN, { lastSeq: page.lastSeq ?? 0 }), row(OTHER, { kind: "direct" })], next: null, more: false },
    { type: "open", session: MAIN },
    { type: "loading", session: MAIN },
    { type: "loaded", session: MAIN, page: { entries: page.entries ?? [], olderBefore: null, tail: page.tail ?? [], lastSeq: page.lastSeq ?? 0 } },
  ].reduce((before, action) => reduce(before, action as Action), INITIAL);
  let seq = page.lastSeq ?? 0;
  const event = (type: string, data: Record<string, unknown> = {}, more: Partial<ApiEvent> = {}): ApiEvent => ({ seq: ++seq, session: MAIN, at: T0 + seq, type, data, ...more });
  const frame = (type: string, turnId: string, data: Record<string, unknown> = {}): ApiEvent => ({ session: MAIN, at: T0 + seq + 0.5, type, turnId, data });
  return {
    event,
    frame,
    tell: (...events: ApiEvent[]): void => void (state = reduce(state, { type: "events", events })),
    act: (action: Action): void => void (state = reduce(state, action)),
    get state(): State {
      return state;
    },
    get conversation() {
      return state.conversations.get(MAIN)!;
    },
    skip: (): void => void seq++,
    /** The thread in short: kind and text (or state) of each item. */
    get told(): string[] {
      return state.conversations.get(MAIN)!.items.map(short);
    },
  };
}

function short(item: Item): string {
  if (item.kind === "message") return `${item.text} [${item.state}]`;
  if (item.kind === "tool") return `${item.tool} ${item.outcome === null ? "runs" : item.outcome.ok ? "ok" : "failed"}`;
  return item.kind === "failure" ? `failure ${item.fault.code}` : `${item.kind} ${item.text}`;
}

const accepted = (messageId: string, text: string, clientMessageId: string | null = null) => ({ messageId, text, provenance: "user", channel: "web", clientMessageId });

test("a reply replaces the words that streamed before it, so nothing is shown twice", () => {
  const page = setup();
  page.tell(page.event("message.accepted", accepted("m1", "six times seven?")), page.event("turn.started", { messageIds: ["m1"], track: "main", attempt: 1, handle: "T1" }, { turnId: "t1" }));
  page.tell(page.frame("text.delta", "t1", { text: "For", attempt: 1 }), page.frame("text.delta", "t1", { text: "ty", attempt: 1 }));
  assert.equal(page.conversation.live.get("t1")?.text, "Forty");

  page.tell(page.event("reply", { text: "Forty-two", replyTo: ["m1"] }, { turnId: "t1" }), page.event("turn.ended", { outcome: "done", messageIds: ["m1"] }, { turnId: "t1" }));
  assert.deepEqual(page.told, ["six times seven? [answered]", "reply Forty-two"]);
  assert.equal(page.conversation.live.size, 0);
  assert.deepEqual(turnsOf(page.state, MAIN), []);
});

test("provisional words are cleared when they are void, and begin again with a new attempt after a restart", () => {
  const page = setup();
  page.tell(page.frame("text.delta", "t1", { text: "wrong", attempt: 1 }), page.frame("text.void", "t1"));
  assert.equal(page.conversation.live.size, 0);
  page.tell(page.frame("text.delta", "t1", { text: "half of it", attempt: 1 }), page.frame("text.delta", "t1", { text: "whole", attempt: 2 }));
  assert.equal(page.conversation.live.get("t1")?.text, "whole");
});

test("an event told twice changes nothing, so a stream may repeat after it was resumed", () => {
  const page = setup();
  const events = [page.event("message.accepted", accepted("m1", "hello")), page.event("notice", { text: "note", level: "info" })];
  page.tell(...events);
  const before = page.state;
  page.tell(...events);
  assert.deepEqual(page.told, ["hello [waiting]", "notice note"]);
  assert.equal(page.state.sessions.get(MAIN)?.waitingMessages, before.sessions.get(MAIN)?.waitingMessages);
  page.tell(page.event("notice", { text: "next", level: "info" }));
  assert.equal(page.conversation.phase, "ready", "the count goes on where it was");
});

test("a missing number makes the conversation stale, so that it is loaded again", () => {
  const page = setup();
  page.tell(page.event("notice", { text: "one" }));
  assert.equal(page.conversation.phase, "ready");
  page.skip();
  page.tell(page.event("notice", { text: "three" }));
  assert.equal(page.conversation.phase, "stale");
  assert.deepEqual(page.told, ["notice one", "notice three"], "what did come is shown meanwhile");
});

test("events that come while history loads are in the thread once, whether history has them or not", () => {
  const page = setup();
  page.act({ type: "loading", session: MAIN });
  const asked = page.event("message.accepted", accepted("m1", "question"));
  const answer = page.event("reply", { text: "answer", replyTo: ["m1"] }, { turnId: "t1" });
  const later = page.event("message.accepted", accepted("m2", "and more"));
  page.tell(asked, answer, later);
  const entries: HistoryEntry[] = [
    { seq: 10, at: T0 + 2, role: "user", text: "question", messageId: "m1", turnId: "t1", provenance: "user" },
    { seq: 11, at: T0 + 2, role: "assistant", text: "answer", turnId: "t1", replyTo: ["m1"], provenance: "agent" },
  ];
  page.act({ type: "loaded", session: MAIN, page: { entries, olderBefore: null, tail: [asked], lastSeq: 1 } });
  assert.deepEqual(page.told, ["question [answered]", "reply answer", "and more [waiting]"]);
  assert.equal(page.conversation.seq, 3);
  assert.equal(page.conversation.phase, "ready");
});

test("a message that waits is shown after a reload, because the stored events tell it and history does not", () => {
  const tail: ApiEvent[] = [{ seq: 1, session: MAIN, at: T0, type: "message.accepted", data: accepted("m1", "still waiting") }];
  assert.deepEqual(setup({ tail, lastSeq: 1 }).told, ["still waiting [waiting]"]);
});

test("a message on its way is one bubble, whether the event or the answer comes first, and after a retry", () => {
  const answer = { messageId: "m1", session: MAIN, queuedAhead: 0, etaMs: 0, duplicate: false };
  for (const eventFirst of [true, false]) {
    const page = setup();
    page.act({ type: "sending", session: MAIN, clientMessageId: "c1", text: "hi", at: T0 });
    assert.deepEqual(page.told, ["hi [sending]"]);
    const event = page.event("message.accepted", accepted("m1", "hi", "c1"));
    const sent: Action = { type: "sent", session: MAIN, clientMessageId: "c1", accepted: { ...answer, duplicate: eventFirst }, now: T0 };
    if (eventFirst) page.tell(event);
    page.act(sent);
    if (!eventFirst) page.tell(event);
    assert.deepEqual(page.told, ["hi [waiting]"]);
    assert.equal((page.conversation.items[0] as MessageItem).clientMessageId, "c1", "the row keeps its key, so it is not drawn anew");
  }
});

test("a message on its way outlives a reload of the conversation, because only the page knows it", () => {
  const page = setup();
  page.act({ type: "sending", session: MAIN, clientMessageId: "c1", text: "hi", at: T0 });
  page.act({ type: "loading", session: MAIN });
  page.act({ type: "loaded", session: MAIN, page: { entries: [], olderBefore: null, tail: [], lastSeq: 0 } });
  assert.deepEqual(page.told, ["hi [sending]"]);
});

test("a refused message says why and can be removed", () => {
  const page = setup();
  const fault = { code: "LANE_FULL", message: "full; wait", details: {}, retryable: true };
  page.act({ type: "sending", session: MAIN, clientMessageId: "c1", text: "hi", at: T0 });
  page.act({ type: "refused", session: MAIN, clientMessageId: "c1", fault });
  assert.deepEqual((page.conversation.items[0] as MessageItem).fault, fault);
  page.act({ type: "forget", session: MAIN, clientMessageId: "c1" });
  assert.deepEqual(page.told, []);
});

test("the answer to a command is shown once, also when the gateway tells it as a notice too", () => {
  const page = setup();
  page.act({ type: "sending", session: MAIN, clientMessageId: "c1", text: "/help", at: T0 });
  page.act({ type: "sent", session: MAIN, clientMessageId: "c1", accepted: { messageId: "m1", session: MAIN, queuedAhead: 0, etaMs: 0, duplicate: false, commandReply: "commands" }, now: T0 });
  page.tell(page.event("reply", { text: "commands", replyTo: ["m1"], code: "COMMAND" }));
  assert.deepEqual(page.told, ["/help [answered]", "command commands"]);
  page.act({ type: "loading", session: MAIN });
  page.act({ type: "loaded", session: MAIN, page: { entries: [], olderBefore: null, tail: [], lastSeq: 1 } });
  assert.deepEqual(page.told, ["/help [answered]", "command commands"], "no load brings it back");
});

test("a failed turn shows its fault and marks its messages, and a late event does not bring them back", () => {
  const page = setup();
  page.tell(page.event("message.accepted", accepted("m1", "hi")), page.event("turn.started", { messageIds: ["m1"], track: "main" }, { turnId: "t1" }), page.event("tool.started", { callId: "c", tool: "exec", input: {} }, { turnId: "t1" }));
  page.tell(page.event("turn.ended", { outcome: "failed", messageIds: ["m1"], fault: { code: "PROVIDER_AUTH", message: "refused; check the key", details: {}, retryable: false } }, { turnId: "t1" }));
  assert.deepEqual(page.told, ["hi [failed]", "exec failed", "failure PROVIDER_AUTH"]);
  page.tell(page.event("turn.started", { messageIds: ["m1"], track: "main" }, { turnId: "t0" }));
  assert.equal(page.told[0], "hi [failed]");
});

test("a promoted turn becomes a side track, and its answer stands where it ends with a quote of its message", () => {
  const page = setup();
  page.tell(page.event("message.accepted", accepted("m1", "long work")), page.event("turn.started", { messageIds: ["m1"], track: "main", handle: "T7" }, { turnId: "t7" }));
  page.tell(page.frame("text.delta", "t7", { text: "so far", attempt: 1 }));
  page.tell(page.event("turn.promoted", { handle: "T7", text: "goes on as T7" }, { turnId: "t7" }), page.event("message.accepted", accepted("m2", "quick one")));
  assert.deepEqual(turnsOf(page.state, MAIN).map(({ track, handle }) => [track, handle]), [["side", "T7"]]);

  page.tell(page.event("reply", { text: "quick answer", replyTo: ["m2"] }, { turnId: "t8" }), page.event("reply", { text: "long answer", replyTo: ["m1"] }, { turnId: "t7" }));
  assert.deepEqual(page.told, ["long work [answered]", "notice goes on as T7", "quick one [answered]", "reply quick answer", "reply long answer"]);
  const replies = threadOf(page.conversation.items).filter((row) => row.kind === "reply");
  assert.deepEqual(replies.map((reply) => reply.answers?.text ?? null), [null, "long work"]);
});

test("what an agent says before a tool call stays as a remark, told once by stream and history", () => {
  const page = setup();
  page.tell(page.frame("text.delta", "t1", { text: "I look.", attempt: 1 }), page.event("tool.started", { callId: "c1", tool: "read", input: { path: "a" } }, { turnId: "t1" }), page.event("tool.ended", { callId: "c1", tool: "read", ok: true, text: "found", ms: 5 }, { turnId: "t1" }));
  assert.deepEqual(page.told, ["aside I look.", "read ok"]);
  page.act({ type: "loading", session: MAIN });
  const entries: HistoryEntry[] = [
    { seq: 1, at: T0 + 1, role: "assistant", text: "I look.", turnId: "t1", provenance: "agent", toolCalls: [{ callId: "c1", tool: "read", input: { path: "a" } }] },
    { seq: 2, at: T0 + 2, role: "tool", text: "", turnId: "t1", provenance: "agent", toolResults: [{ callId: "c1", tool: "read", text: "found", isError: false }] },
  ];
  page.act({ type: "loaded", session: MAIN, page: { entries, olderBefore: null, tail: [], lastSeq: 2 } });
  assert.deepEqual(page.told, ["aside I look.", "read ok"]);
});

test("waiting messages know how many are ahead, in the session and in the pool's line", () => {
  const page = setup();
  page.tell(page.event("message.accepted", accepted("m1", "a")), page.event("message.accepted", accepted("m2", "b")), page.event("lane.waiting", { position: 2, etaMs: 5000, waitedMs: 2000 }));
  assert.deepEqual([...aheadOf(page.conversation.items, page.conversation.position)], [["m1", 2], ["m2", 3]]);
  assert.equal((page.conversation.items[0] as MessageItem).startsAt, T0 + 3 + 5000);
});

test("unknown types and fields of the wrong kind are passed over, because newer gateways may send them", () => {
  const page = setup();
  page.tell(page.event("plan.phase", { x: [1] }), page.event("reply", { text: 7, replyTo: "m1" }, { turnId: "t1" }), page.event("tool.started"), page.event("turn.ended", { outcome: "failed", fault: "no object" }, { turnId: "t2" }), page.event("task.ended"), page.event("message.accepted"));
  assert.equal(page.conversation.phase, "ready");
  assert.ok(page.told.includes("failure UNKNOWN"));
});

test("a reply elsewhere marks its session as unread until it is opened", () => {
  const page = setup();
  page.tell({ seq: 1, session: OTHER, at: T0, type: "reply", turnId: "t", data: { text: "hi", replyTo: [] } });
  assert.equal(page.state.sessions.get(OTHER)?.unread, true);
  page.act({ type: "open", session: OTHER });
  assert.equal(page.state.sessions.get(OTHER)?.unread, false);
});

test("a session's state follows its turns, and an older list does not set it back", () => {
  const page = setup();
  page.tell(page.event("message.accepted", accepted("m1", "hi")));
  assert.equal(page.state.sessions.get(MAIN)?.state, "queued");
  page.tell(page.event("turn.started", { messageIds: ["m1"], track: "main" }, { turnId: "t1" }));
  assert.equal(page.state.sessions.get(MAIN)?.state, "running");
  page.act({ type: "sessions", sessions: [row(MAIN, { lastSeq: 1, state: "queued" })], next: null, more: false });
  assert.equal(page.state.sessions.get(MAIN)?.state, "running");
  page.tell(page.event("turn.yielded", { barrierId: "b", tasks: ["x"] }, { turnId: "t1" }));
  assert.equal(page.state.sessions.get(MAIN)?.state, "waiting");
});

test("a list of lanes does not take back what happened while it was on its way", () => {
  const page = setup();
  page.tell(page.event("turn.started", { track: "main" }, { turnId: "t1" }));
  const known = page.state.turns;
  page.tell(page.event("turn.ended", { outcome: "done" }, { turnId: "t1" }), page.event("turn.started", { track: "main" }, { turnId: "t2" }));
  const turn = { turnId: "t1", session: MAIN, handle: "T1", track: "main" as const, attempt: 1, startedAt: T0, messageIds: [], taskId: null, about: "" };
  const lane = { session: MAIN, state: "leased" as const, pool: "main", waitingMessages: 0, position: null, waitedMs: 0, etaMs: 0, why: null, turns: [turn] };
  page.act({ type: "lanes", known, lanes: { generation: 1, draining: false, accounts: [], parked: [], memoryWaits: [], pools: [], lanes: [lane] } });
  assert.deepEqual(turnsOf(page.state, MAIN).map(({ turnId }) => turnId), ["t2"]);
});

test("an event of a session that is not listed asks for the list again", () => {
  const page = setup();
  const before = page.state.wants.sessions;
  page.tell({ seq: 1, session: "agent:main:subagent:x", at: T0, type: "session.created", data: {} });
  assert.ok(page.state.wants.sessions > before);
});

test("a child is followed from its own session's events, and its end is final", () => {
  const page = setup();
  const child = "agent:main:subagent:x";
  page.tell(page.event("task.accepted", { label: "part 1", state: "queued", session: child }, { taskId: "k1" }), page.event("task.started", { label: "part 1", state: "running", session: child }, { taskId: "k1" }));
  page.tell({ seq: 1, session: child, at: T0, type: "tool.started", turnId: "tc", data: { callId: "c", tool: "exec", input: { command: "npm test" } } });
  const [running] = tasksOf(page.state, MAIN);
  assert.deepEqual([running?.state, running?.activity], ["running", "exec npm test"]);

  page.tell(page.event("task.ended", { label: "part 1", state: "succeeded", session: child, result: "done", ms: 10 }, { taskId: "k1" }));
  const late = { taskId: "k1", flowId: "f1", label: "part 1", task: "", kind: "subagent", state: "running", parentSession: MAIN, parentTask: null, session: child, agent: "main", model: "m", depth: 1, queuedAt: T0, startedAt: T0, endedAt: null, deadlineAt: null, usage: { ...NO_USAGE, input: 5 }, claims: [], budget: null, attempt: 1, attemptLast: 1, onEnd: "wait", category: null, delivery: "digest", batch: null, aliveAt: null, deliveredAt: null } satisfies ApiTask;
  page.act({ type: "tasks", parent: MAIN, tasks: [late] });
  const [ended] = tasksOf(page.state, MAIN);
  assert.deepEqual([ended?.state, ended?.result, ended?.flowId, ended?.tokens, hasEnded(ended!)], ["succeeded", "done", "f1", 5, true]);
});

test("after a stream that could not be resumed every conversation is loaded again, because events may be missing", () => {
  const page = setup();
  page.act({ type: "connected", resumed: true });
  assert.equal(page.conversation.phase, "ready");
  page.act({ type: "connected", resumed: false });
  assert.equal(page.conversation.phase, "stale");
});

test("a batch that history tells as one text is one bubble for all its message ids", () => {
  const entries: HistoryEntry[] = [{ seq: 1, at: T0, role: "user", text: "a\n\nb", messageIds: ["m1", "m2"], turnId: "t1", provenance: "user" }];
  const tail: ApiEvent[] = ["m1", "m2"].map((id, index) => ({ seq: index + 1, session: MAIN, at: T0, type: "message.accepted", data: accepted(id, id) }));
  assert.deepEqual(setup({ entries, tail, lastSeq: 2 }).told, ["a\n\nb [answered]"]);
});

test("a question shows its buttons until it is answered, by whomever", () => {
  const page = setup();
  page.tell(page.event("notice", { text: "A1: claude asks", level: "warn", code: "APPROVAL", approvalId: "A1" }));
  const shown = (): unknown => page.conversation.items.map((item) => item.kind === "notice" && [item.approvalId, item.text]);
  assert.deepEqual(shown(), [["A1", "A1: claude asks"]]);
  page.tell(page.event("approval.answered", { approvalId: "A1", state: "denied" }));
  assert.deepEqual(shown(), [[undefined, "A1 is denied\nA1: claude asks"]]);
});
