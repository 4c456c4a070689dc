import assert from "node:assert/strict";
import { test } from "node:test";
import { ON_TIME_MS, type Misfire } from "../model/job.ts";
import { dealWithDue, EACH_ROW_WITHIN_MS, PASSED_AT_ONCE_MAX } from "./misfire.ts";

const MINUTE_MS = 60_000;
/** Noon of some day, a whole minute. */
const NOON = 1_800_000_000_000;

function deal(policy: Misfire, minutesBehind: number, lateMs = 0, everyMs = MINUTE_MS) {
  const first = NOON - minutesBehind * MINUTE_MS;
  const due = dealWithDue({ first, now: NOON + lateMs, policy, next: (after) => first + (Math.floor((after - first) / everyMs) + 1) * everyMs, staggerMs: 0 });
  return { states: due.passed.map(({ state }) => state), run: due.run === null ? null : (due.run - NOON) / MINUTE_MS, queue: due.queue, next: due.next === null ? null : (due.next - NOON) / MINUTE_MS };
}

test("a moment that has just come is run, whatever the policy", () => {
  for (const policy of [{ policy: "skip" }, { policy: "latest", graceMs: 0 }, { policy: "all", max: 3 }] as const) assert.deepEqual(deal(policy, 0, 500), { states: [], run: 0, queue: false, next: 1 });
});

test("skip: what came late is missed, and the next moment is waited for", () => {
  assert.deepEqual(deal({ policy: "skip" }, 2, ON_TIME_MS + 1), { states: ["missed", "missed", "missed"], run: null, queue: false, next: 1 });
  assert.deepEqual(deal({ policy: "skip" }, 2), { states: ["missed", "missed"], run: 0, queue: false, next: 1 }, "the newest is on time");
});

test("latest: only the newest is run, within its grace", () => {
  assert.deepEqual(deal({ policy: "latest", graceMs: 50_000 }, 2, 45_000), { states: ["superseded", "superseded"], run: 0, queue: false, next: 1 });
  assert.deepEqual(deal({ policy: "latest", graceMs: 40_000 }, 2, 45_000).states, ["superseded", "superseded", "missed"]);
});

test("all: the newest few are run one after the other, oldest first, and the rest is missed", () => {
  assert.deepEqual(deal({ policy: "all", max: 2 }, 4), { states: ["missed", "missed", "missed"], run: -1, queue: true, next: 0 });
  assert.deepEqual(deal({ policy: "all", max: 2 }, 0), { states: [], run: 0, queue: false, next: 1 });
});

test("a long list is cut, and goes on where it was cut", () => {
  const cut = deal({ policy: "skip" }, 2_000);
  assert.deepEqual([cut.states.length, cut.run, cut.next], [PASSED_AT_ONCE_MAX, null, -2_000 + PASSED_AT_ONCE_MAX]);
});

test("what lies more than eight days back is one row, so that a machine that slept for a year does not fill the disk", () => {
  const first = NOON - 365 * 86_400_000;
  const due = dealWithDue({ first, now: NOON, policy: { policy: "latest", graceMs: 0 }, next: (after) => Math.floor(after / MINUTE_MS) * MINUTE_MS + MINUTE_MS, staggerMs: 0 });
  assert.deepEqual([due.passed[0]!.scheduledFor, due.passed[0]!.until], [first, NOON - EACH_ROW_WITHIN_MS]);
  assert.equal(due.passed[1]!.scheduledFor, NOON - EACH_ROW_WITHIN_MS + MINUTE_MS);
});
