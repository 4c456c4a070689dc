/**
 * The long form of the comparison in src/timers/calendar.test.ts: 2 000 random expressions over five
 * years in eight zones, at least a million moments. `node test/fuzz/calendars.ts [seed]`
 */
import { Calendar } from "../../src/timers/calendar.ts";
import { compareCalendars, ZONES } from "../../src/timers/calendar-brute.test-support.ts";

const calendar = new Calendar();
const startedAt = performance.now();
const compared = compareCalendars({
  seed: Number(process.argv[2] ?? 1),
  expressions: 2_000,
  from: Date.UTC(2026, 0, 1),
  until: Date.UTC(2031, 0, 1),
  zones: ZONES,
  momentsMax: 2_000,
  next: (expr, tz, after) => calendar.next({ kind: "cron", expr, tz }, after, 0),
});
for (const difference of compared.differences) console.error(difference);
console.log(`${compared.expressions} expressions, ${compared.moments} moments, ${compared.differences.length} differences, ${Math.round((performance.now() - startedAt) / 1000)} s`);
process.exitCode = compared.differences.length === 0 ? 0 : 1;
