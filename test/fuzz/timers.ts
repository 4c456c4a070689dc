/** Timers: cron expressions and zones, moments and lengths of time, whole jobs as people write them. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { isJsonObject } from "../../src/base/json.ts";
import { Calendar } from "../../src/timers/calendar.ts";
import { readDuration, readJob, readMoment } from "../../src/timers/read-job.ts";
import { damages, damageText, json, nastyNumber, nastyText, pumpedText, textOfWords } from "./hostile.ts";
import { target, unlessRefused } from "./target.ts";

const NOW = Date.UTC(2026, 2, 28, 22, 30);
/** Moments that are looked at for each expression. */
const MOMENTS = 5;
const EXPRESSION_CHARS_MAX = 200;
const NAME_CHARS_MAX = 100;
/** Its texts with all that JSON escapes. */
const JOB_CHARS_MAX = 2_000_000;
/** A moment that is further away than this is no moment of a calendar. */
const FAR_MS = 8.64e15;

// ── cron ────────────────────────────────────────────────────────────────────────────────────

const NAMES = ["MON", "sun", "JAN", "dec", "Foo"];
const small = fc.integer({ min: 0, max: 70 });
const cronTerm = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("*", "0", "1", "29", "30", "31", "59", "60", "?", "L", "15W", "LW", "5#3", "MON#5", "5L", "*/5", "*/0", "/", "*/1000000", "H") },
  { weight: 2, arbitrary: small.map(String) },
  { weight: 2, arbitrary: fc.tuple(small, small).map(([from, to]) => `${from}-${to}`) },
  { weight: 1, arbitrary: fc.tuple(small, small, small).map(([from, to, step]) => `${from}-${to}/${step}`) },
  { weight: 1, arbitrary: fc.constantFrom(...NAMES) },
  { weight: 1, arbitrary: nastyText },
);
const cronField = fc.oneof({ weight: 3, arbitrary: fc.constantFrom("*", "0", "*/5", "1-5") }, { weight: 2, arbitrary: fc.array(cronTerm, { minLength: 1, maxLength: 3 }).map((terms) => terms.join(",")) });
const cronText = fc.oneof(
  { weight: 6, arbitrary: fc.array(cronField, { minLength: 4, maxLength: 7 }).map((fields) => fields.join(" ")) },
  { weight: 2, arbitrary: fc.record({ days: fc.constantFrom("29", "30", "31", "L", "30W"), month: fc.constantFrom("2", "4", "FEB", "2,4"), weekday: fc.constantFrom("*", "1", "7", "MON#5") }).map(({ days, month, weekday }) => `0 0 ${days} ${month} ${weekday}`) },
  { weight: 1, arbitrary: fc.constantFrom("@daily", "@reboot", "@", "@yearly ", "", "   ") },
  { weight: 1, arbitrary: textOfWords(["*", "/", "-", ",", "#", "L", "W", " ", "1", "59"]) },
);
const zone = fc.oneof({ weight: 6, arbitrary: fc.constantFrom("UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "+05:30", "europe/vienna") }, { weight: 1, arbitrary: nastyText });
const scheduleOf = { cron: fc.record({ kind: fc.constant("cron"), expr: cronText, tz: zone }) };
const options = (calendar: Calendar) => ({ calendar, timezone: "UTC", graceMs: 0, staggerMs: 0, now: NOW, fallbackName: "job" });
const payload = { kind: "agentTurn", message: "x" };

const cron = target({
  name: "cron",
  fact: "a cron expression is refused with its place, or its moments come one after the other, each on a whole second",
  share: 6,
  open() {
    const calendar = new Calendar();
    return {
      inputs: scheduleOf.cron,
      async check(schedule) {
        const job = await unlessRefused(() => readJob({ schedule, payload }, options(calendar)));
        if (job === undefined) return;
        let after = NOW;
        for (let n = 0; n < MOMENTS; n++) {
          const next = calendar.next(job.schedule, after, NOW);
          if (next === null) return;
          assert.ok(Number.isSafeInteger(next) && next > after && next < FAR_MS && next % 1_000 === 0, `${next} comes after ${after}`);
          after = next;
        }
      },
    };
  },
});

const longCron = target({
  name: "cron-long",
  fact: "a cron expression of any length is read or refused quickly",
  share: 1,
  open() {
    const calendar = new Calendar();
    return {
      inputs: fc.tuple(pumpedText(["*", "/", "-", ",", "#", "L", "W", " ", "1", "59", "MON"]), fc.boolean()).map(([text, fits]) => (fits ? text.slice(0, EXPRESSION_CHARS_MAX) : text)),
      check: async (expr) => void (await unlessRefused(() => readJob({ schedule: { kind: "cron", expr }, payload }, options(calendar)))),
    };
  },
});

// ── moments, lengths, jobs ──────────────────────────────────────────────────────────────────

const timeText = fc.oneof(textOfWords(["2027-03-01", "T", "07:00", ":00", "Z", "+01:00", "-2359", "+", "15", "m", "ms", "h", "d", " ", "1e3", "0", "."], 6), pumpedText(["1", "d", "T", "Z", "+", "-"]));

const times = target({
  name: "moments",
  fact: "a moment and a length of time are whole and in bounds, or refused",
  share: 6,
  open: () => ({
    inputs: fc.oneof(timeText, nastyNumber, json),
    async check(value) {
      const at = await unlessRefused(() => readMoment(value, "at", NOW));
      if (at !== undefined) assert.ok(Number.isSafeInteger(at) && at >= 0 && at <= NOW + FAR_MS, String(at));
      const ms = await unlessRefused(() => readDuration(value, "every"));
      if (ms !== undefined) assert.ok(Number.isSafeInteger(ms), String(ms));
    },
  }),
});

/** JSON knows no -0. */
const count = nastyNumber.map((number) => number + 0);
const good = fc.record(
  {
    schedule: fc.oneof(
      fc.record({ kind: fc.constant("cron"), expr: fc.constantFrom("0 7 * * 1-5", "*/5 * * * *", "0 0 29 2 *"), tz: fc.constantFrom("UTC", "Europe/Vienna") }),
      fc.record({ kind: fc.constant("at"), at: fc.constantFrom<unknown>("+15m", "2027-03-01T07:00:00Z", NOW + 1) }),
      fc.record({ kind: fc.constant("every"), every: fc.constantFrom<unknown>("90s", "1d", 60_000) }),
      fc.record({ kind: fc.constant("task"), label: nastyText }, { requiredKeys: ["kind"] }),
      fc.record({ kind: fc.constant("file"), path: fc.constant("/tmp/x"), ref: fc.constantFrom("main", "refs/tags/v1", "../x") }, { requiredKeys: ["kind", "path"] }),
    ),
    payload: fc.oneof(
      fc.constant(payload),
      fc.record({ kind: fc.constantFrom("systemEvent", "agentTurn", "heartbeat"), text: nastyText, message: nastyText, model: nastyText, quietToken: nastyText }, { requiredKeys: ["kind", "text"] }),
      fc.record({ kind: fc.constant("watchdog"), label: nastyText, action: fc.constantFrom("surface", "retry", "cancel-and-retry") }),
      fc.record({ kind: fc.constant("iterate"), folder: fc.constant("/tmp/x"), plan: fc.constantFrom("PLAN.md", "../PLAN.md", "/PLAN.md"), message: nastyText }, { requiredKeys: ["kind", "folder"] }),
    ),
    name: fc.oneof(fc.constantFrom("brief", "yard:mine"), nastyText),
    target: fc.constantFrom<unknown>("main", "isolated", "job", { session: "agent:main:main" }, { label: "x" }, "agent:main:main"),
    misfire: fc.oneof(fc.constantFrom<unknown>("skip", "latest", "all"), fc.record({ policy: fc.constantFrom("skip", "latest", "all"), graceMs: count, max: count }, { requiredKeys: ["policy"] })),
    overlap: fc.constantFrom("skip", "queue", "cancel"),
    staggerMs: fc.constantFrom(0, 1_000, 1_800_001),
    activeHours: fc.record({ from: fc.constantFrom("07:00", "24:00", "7"), to: fc.constantFrom("22:00", "00:00"), tz: zone }, { requiredKeys: ["from", "to"] }),
    delivery: fc.constantFrom<unknown>({ mode: "none" }, { mode: "notice" }, { mode: "notice", session: "agent:main:main" }, { mode: "webhook", url: "https://example.org/x" }, { mode: "webhook", url: "ftp://x" }, "none"),
  },
  { requiredKeys: ["schedule", "payload"] },
);
const spoiled = fc.dictionary(fc.constantFrom("schedule", "payload", "name", "agent", "target", "misfire", "overlap", "activeHours", "delivery", "enabled", "misspelled", "__proto__"), fc.oneof(nastyText, json), { maxKeys: 2 });
const job = fc.tuple(good, fc.option(spoiled, { freq: 2 })).map(([fields, more]) => ({ ...fields, ...more }));

const jobs = target({
  name: "jobs",
  fact: "a job is read into something that can be kept, or refused with the place; no field of it goes unread",
  share: 6,
  open() {
    const calendar = new Calendar();
    return {
      inputs: fc.record({ value: job, damage: fc.option(damages, { freq: 1 }) }),
      async check({ value, damage }) {
        let given: unknown = value;
        try {
          if (damage !== null) given = JSON.parse(damageText(JSON.stringify(value), damage));
        } catch {
          return;
        }
        const read = await unlessRefused(() => readJob(given, options(calendar)));
        if (read === undefined) return;
        assert.ok(isJsonObject(given) && !Object.hasOwn(given, "misspelled") && !Object.hasOwn(given, "__proto__"), "a field that nobody knows is refused");
        assert.deepEqual(JSON.parse(JSON.stringify(read)), read, "it can be kept");
        assert.ok(read.name.length <= NAME_CHARS_MAX && JSON.stringify(read).length < JOB_CHARS_MAX, "it is bounded");
      },
    };
  },
});

export const TIMER_TARGETS = [cron, longCron, times, jobs];
