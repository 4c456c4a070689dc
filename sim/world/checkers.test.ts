/** Each checker is shown a small history that breaks its rule, and one that does not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../../src/base/json.ts";
import { CHECKERS, checkHistory, eventText, type History, type SeenEvent } from "./checkers.ts";

const MAIN = "agent:main:main";
const CHILD = "agent:main:subagent:c1";
const OTHER = "agent:main:subagent:c2";

test("a history in which all went well is found to be good", () => {
  assert.deepEqual(checkHistory(good()), []);
});

const BROKEN: Readonly<Record<string, (history: History) => History>> = {
  numbersHaveNoGaps: (history) => ({ ...history, events: history.events.filter(({ seq, session }) => session !== MAIN || seq !== 2) }),
  whatWasGivenStays: (history) => ({ ...history, given: [{ session: MAIN, numbers: new Map([[1, "something else"]]) }] }),
  acceptedIsStored: (history) => ({ ...history, accepted: [{ messageId: "lost", session: MAIN, channel: "api", sourceId: "s9", text: "hello" }] }),
  oneEndEach: (history) => ({ ...history, events: [...history.events, event(MAIN, 99, "reply", { replyTo: ["m1"] }, "t9")] }),
  mainTrackKeepsOrder: (history) => ({ ...history, events: [accepted(1, "m1"), accepted(2, "m2"), started(3, "t1", ["m2"]), ended(4, "t1", "done"), started(5, "t2", ["m1"])] }),
  oneMainTurn: (history) => ({ ...history, events: [started(1, "t1", []), started(2, "t2", [])] }),
  endedTurnsAreSilent: (history) => ({ ...history, events: [started(1, "t1", []), ended(2, "t1", "cancelled"), event(MAIN, 3, "tool.ended", {}, "t1")] }),
  toolCallsEndOnce: (history) => ({ ...history, events: [started(1, "t1", []), event(MAIN, 2, "tool.started", { callId: "c" }, "t1"), ended(3, "t1", "done")] }),
  endedTasksAreFinal: (history) => ({ ...history, tasks: history.tasks.map((task) => ({ ...task, state: "failed" })) }),
  resultsArriveOnce: (history) => ({ ...history, transcripts: new Map([[MAIN, [...history.transcripts.get(MAIN)!, ...history.transcripts.get(MAIN)!]]]) }),
  stoppedStartNothing: (history) => ({ ...history, events: [...history.events, event(MAIN, 50, "task.ended", { session: CHILD, state: "cancelled" }, undefined, "k1"), { ...started(3, "t7", []), session: CHILD }] }),
  successesSaidSomething: (history) => ({ ...history, events: [event(MAIN, 1, "task.ended", { session: CHILD, state: "succeeded", result: " " }, undefined, "k1")] }),
  parentsEndLast: (history) => ({
    ...history,
    events: [event(MAIN, 1, "task.accepted", { session: CHILD }, undefined, "k1"), event(CHILD, 1, "task.accepted", { session: OTHER }, undefined, "k2"), event(MAIN, 2, "task.ended", { session: CHILD, state: "succeeded" }, undefined, "k1")],
  }),
  attemptsAreCounted: (history) => ({ ...history, events: [event(MAIN, 1, "task.attempt", { after: "k1", attempt: 3, attempts: 2 }, undefined, "k1")] }),
  oneAttemptAtATime: (history) => ({ ...history, events: [{ ...started(1, "t1", []), session: CHILD }, event(MAIN, 2, "task.attempt", { after: "k1", attempt: 2, attempts: 2, session: CHILD }, undefined, "k1")] }),
  circuitsAreKept: (history) => ({
    ...history,
    events: [event(MAIN, 1, "task.ended", { session: CHILD, state: "failed" }, undefined, "k1"), event(MAIN, 2, "task.accepted", { session: OTHER }, undefined, "k2")],
    tasks: ["k1", "k2"].map((taskId) => ({ ...history.tasks[0]!, taskId, category: "dig" })),
  }),
  waitsForProvidersRest: (history) => ({
    ...history,
    events: [{ ...started(1, "t1", []), session: CHILD }, event(CHILD, 2, "turn.parked", {}, "t1"), { ...ended(3, "t1", "cancelled"), session: CHILD }, event(MAIN, 1, "task.ended", { session: CHILD, state: "timed_out", fault: { code: "CHILD_STALLED" } }, undefined, "k1")],
  }),
  waitsAreKept: (history) => ({
    ...history,
    events: [
      event(MAIN, 1, "task.accepted", { session: CHILD }, undefined, "k1"),
      event(MAIN, 2, "task.accepted", { session: OTHER }, undefined, "k2"),
      event(MAIN, 3, "tool.started", { callId: "c", tool: "sessions_yield", input: '{"waitFor":"all"}' }, "t1"),
      event(MAIN, 4, "turn.yielded", {}, "t1"),
      event(MAIN, 5, "task.ended", { session: CHILD, state: "succeeded" }, undefined, "k1"),
      event(MAIN, 6, "turn.started", { track: "main", attempt: 1, messageIds: [], digest: '1. "c" succeeded in 1.0 s (k1)' }, "t2"),
    ],
  }),
  claimsAreExclusive: (history) => ({
    ...history,
    events: [CHILD, OTHER].map((session, n) => ({ ...started(n + 1, `t${n}`, []), session })),
    tasks: [CHILD, OTHER].map((session) => ({ ...history.tasks[0]!, session, claims: ["src"], endedAt: null })),
  }),
  poolsAreKept: (history) => ({ ...history, pools: [{ from: 0, sizes: { main: 0, side: 1, subagent: 1, acp: 1, timer: 1 } }] }),
  callsAreAnswered: (history) => ({ ...history, transcripts: new Map([[MAIN, [{ seq: 1, turnId: "t1", provenance: "agent", content: { role: "assistant", parts: [{ type: "tool-call", callId: "c" }] } }]]]) }),
  sideTurnsSayWhereTheyBelong: (history) => ({
    ...history,
    events: [event(MAIN, 1, "turn.ended", { track: "side", outcome: "done" }, "t1")],
    transcripts: new Map([[MAIN, [{ seq: 1, turnId: "t1", provenance: "agent", content: { role: "assistant", parts: [] } }]]]),
  }),
};

for (const [name, check] of Object.entries(CHECKERS)) {
  test(`${name} notices the history that breaks it, so that its silence means something`, () => {
    assert.deepEqual(check(good()), []);
    assert.ok(check(BROKEN[name]!(good())).length > 0);
  });
}

/** A message, a child, its result, a reply. */
function good(): History {
  const events = [
    accepted(1, "m1"),
    started(2, "t1", ["m1"]),
    event(MAIN, 3, "task.accepted", { session: CHILD }, undefined, "k1"),
    event(MAIN, 4, "reply", { replyTo: ["m1"] }, "t1"),
    ended(5, "t1", "done"),
    event(MAIN, 6, "task.ended", { session: CHILD, state: "succeeded", result: "done" }, undefined, "k1"),
  ];
  return {
    events,
    given: [{ session: MAIN, numbers: new Map(events.map((one) => [one.seq, eventText(one)])) }],
    accepted: [{ messageId: "m1", session: MAIN, channel: "api", sourceId: "s-m1", text: "hello" }],
    transcripts: new Map([[MAIN, [{ seq: 1, turnId: "t2", provenance: "child", content: { role: "user", text: '[result of a background task]\n1. "c" succeeded in 1.0 s (k1)\n> 1. (k1) is what it said' } }]]]),
    tasks: [{ taskId: "k1", state: "succeeded", session: CHILD, parentSession: MAIN, delivery: "digest", claims: [], attempt: 1, attemptLast: 1, agent: "main", category: null, endedAt: 1 }],
    removed: new Set(),
    spawnedBy: new Map([["k1", "t1"]]),
    pools: [{ from: 0, sizes: { main: 1, side: 1, subagent: 1, acp: 1, timer: 1 } }],
    clockWasSet: false,
    circuit: { failures: 1, openMs: 1_000 },
    isOver: true,
  };
}

function event(session: string, seq: number, type: string, data: JsonObject, turnId?: string, taskId?: string): SeenEvent {
  return { session, seq, type, data, ...(turnId === undefined ? {} : { turnId }), ...(taskId === undefined ? {} : { taskId }) };
}

function accepted(seq: number, messageId: string): SeenEvent {
  return event(MAIN, seq, "message.accepted", { messageId, text: "hello", provenance: "user", channel: "api", clientMessageId: `s-${messageId}`, mode: "followup" });
}

function started(seq: number, turnId: string, messageIds: readonly string[]): SeenEvent {
  return event(MAIN, seq, "turn.started", { track: "main", attempt: 1, messageIds }, turnId);
}

function ended(seq: number, turnId: string, outcome: string): SeenEvent {
  return event(MAIN, seq, "turn.ended", { outcome, track: "main", messageIds: [] }, turnId);
}

test("the wait of a turn counts from when it asked for it, also while another call of the same answer still runs (seed 40586)", () => {
  const history = BROKEN["waitsAreKept"]!(good());
  assert.equal(CHECKERS["waitsAreKept"]!(history).length, 1);
  const asked = event(MAIN, 1, "tool.started", { callId: "d", tool: "sessions_yield", input: '{"waitFor":1}' }, "t9");
  assert.deepEqual(CHECKERS["waitsAreKept"]!({ ...history, events: [asked, ...history.events] }), []);
  const atIt = event(MAIN, 1, "turn.ended", { outcome: "done" }, "t9");
  assert.equal(CHECKERS["waitsAreKept"]!({ ...history, events: [asked, atIt, ...history.events] }).length, 1);
});
