import assert from "node:assert/strict";
import { test } from "node:test";
import { giveBackMemory } from "../base/memory.ts";
import { Fault } from "../model/faults.ts";
import { Calendar } from "./calendar.ts";
import { compareCalendars, ZONES } from "./calendar-brute.test-support.ts";

const at = (text: string): number => Date.parse(text);
const iso = (moments: readonly (number | null)[]): string[] => moments.map((moment) => (moment === null ? "never" : new Date(moment).toISOString().slice(0, 19)));

function following(expr: string, tz: string, after: string, count: number): string[] {
  const calendar = new Calendar();
  const moments: (number | null)[] = [];
  for (let moment: number | null = at(after); moments.length < count && moment !== null; ) moments.push((moment = calendar.next({ kind: "cron", expr, tz }, moment, 0)));
  return iso(moments);
}

test("a time that the clock leaps over in spring comes once, at the end of the gap, so a nightly job is not left out", () => {
  assert.deepEqual(following("30 2 * * *", "Europe/Vienna", "2026-03-28T12:00:00Z", 2), ["2026-03-29T01:00:00", "2026-03-30T00:30:00"]);
  assert.deepEqual(following("*/20 2 * * *", "Europe/Vienna", "2026-03-28T12:00:00Z", 2), ["2026-03-29T01:00:00", "2026-03-30T00:00:00"], "three times of one gap are one moment");
});

test("a time that the clock shows twice in autumn comes once, the first time, so a nightly job does not run twice", () => {
  assert.deepEqual(following("30 2 * * *", "Europe/Vienna", "2026-10-24T12:00:00Z", 2), ["2026-10-25T00:30:00", "2026-10-26T01:30:00"]);
  assert.deepEqual(following("30 * * * *", "Europe/Vienna", "2026-10-24T23:00:00Z", 4), ["2026-10-24T23:30:00", "2026-10-25T00:30:00", "2026-10-25T02:30:00", "2026-10-25T03:30:00"]);
});

test("from inside the second round of an hour that comes twice, the next moment is after it", () => {
  assert.deepEqual(following("45 2 * * *", "Europe/Vienna", "2026-10-25T01:10:00Z", 1), ["2026-10-26T01:45:00"]);
});

test("half an hour of change, as on Lord Howe Island, follows the same rules", () => {
  assert.deepEqual(following("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2), ["2026-10-03T15:30:00", "2026-10-04T15:15:00"]);
  assert.deepEqual(following("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T20:00:00Z", 2), ["2026-04-04T14:45:00", "2026-04-05T15:15:00"]);
});

test("six fields count seconds, and the 29th of February waits for its year", () => {
  assert.deepEqual(following("*/20 0 0 * * *", "UTC", "2026-01-01T12:00:00Z", 3), ["2026-01-02T00:00:00", "2026-01-02T00:00:20", "2026-01-02T00:00:40"]);
  assert.deepEqual(following("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 2), ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]);
});

test("equal steps are counted from their anchor, whatever the clocks on walls do", () => {
  const calendar = new Calendar();
  assert.equal(calendar.next({ kind: "every", everyMs: 1000 }, 5500, 500), 6500);
  assert.equal(calendar.next({ kind: "every", everyMs: 1000 }, 400, 500), 1500);
});

test("an expression that cannot be read is refused with its text", () => {
  assert.throws(() => new Calendar().next({ kind: "cron", expr: "61 * * * *", tz: "UTC" }, 0, 0), (error) => error instanceof Fault && error.code === "BAD_REQUEST" && error.message.includes("61 * * * *"));
});

test("jobs that begin on the full hour are spread, each always by the same time, and other moments are not moved", () => {
  const calendar = new Calendar();
  const due = (name: string, moment: string): number => calendar.moment({ name, staggerMs: 60_000, schedule: { kind: "cron", expr: "0 * * * *", tz: "UTC" } } as never, at(moment))!.dueAt - at(moment);
  assert.equal(due("job_a", "2026-01-01T10:00:00Z"), due("job_a", "2026-01-02T11:00:00Z"));
  assert.ok(new Set(["a", "b", "c", "d"].map((name) => due(name, "2026-01-01T10:00:00Z"))).size > 1);
  assert.equal(due("job_a", "2026-01-01T10:30:00Z"), 0);
});

test("two ways to the calendar agree on every moment over random expressions and zones with their changes of clock", () => {
  const calendar = new Calendar();
  const from = at("2026-01-01T00:00:00Z");
  const compared = compareCalendars({ seed: 7, expressions: 120, from, until: at("2027-01-01T00:00:00Z"), zones: ZONES, momentsMax: 400, next: (expr, tz, after) => calendar.next({ kind: "cron", expr, tz }, after, 0) });
  assert.deepEqual(compared.differences, []);
  assert.ok(compared.moments > 10_000);
});

test("a thousand jobs with times of their own do not fill the memory", () => {
  const calendar = new Calendar();
  giveBackMemory();
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 1_000; n++) calendar.next({ kind: "cron", expr: `${n % 60} ${Math.floor(n / 60)} * * *`, tz: "Europe/Vienna" }, 0, 0);
  giveBackMemory();
  const keptMb = (process.memoryUsage().heapUsed - before) / 2 ** 20;
  // Read afterwards, so that it is not collected before.
  assert.notEqual(calendar.next({ kind: "cron", expr: "0 0 * * *", tz: "UTC" }, 0, 0), null);
  assert.ok(keptMb < 10, `${keptMb.toFixed(0)} MB are kept`);
});
