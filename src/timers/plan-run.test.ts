import assert from "node:assert/strict";
import { test } from "node:test";
import { Calendar } from "./calendar.ts";
import { isOutside, planItems } from "./plan-run.ts";

test("the open items of a checklist are found in any list style, but not inside code", () => {
  assert.deepEqual(planItems("# Plan\n- [x] one\n* [ ] two\n  1. [ ] three \n```\n- [ ] four\n```\n- [] five\n- [ ] two"), { open: ["two", "three"], total: 4 });
});

test("active hours follow the wall clock of their zone, also over midnight", () => {
  const calendar = new Calendar();
  const outside = (from: number, to: number, at: string): boolean => isOutside({ activeHours: { from: from * 60, to: to * 60, tz: "Europe/Vienna" } } as never, Date.parse(at), calendar);
  assert.deepEqual([outside(8, 22, "2026-07-01T05:59:00Z"), outside(8, 22, "2026-07-01T06:00:00Z"), outside(8, 22, "2026-07-01T20:00:00Z")], [true, false, true]);
  assert.deepEqual([outside(22, 6, "2026-01-01T23:00:00Z"), outside(22, 6, "2026-01-01T12:00:00Z")], [false, true]);
});
