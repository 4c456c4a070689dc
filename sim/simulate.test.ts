import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../src/model/faults.ts";
import { REQUESTS_MAX } from "./options.ts";
import { reportText, simulate, timelineSvg } from "./simulate.ts";

const CPU_MAX_MS = 2_000;

async function one(given: Readonly<Record<string, unknown>>) {
  return (await simulate(given)).columns[0]!;
}

async function waits(given: Readonly<Record<string, unknown>>): Promise<readonly (number | null)[]> {
  return (await one(given)).messages.map(({ waitMs }) => (waitMs === null ? null : waitMs / 1000));
}

test("of seven at once, customers five to seven wait for one turn of the first four: the line clears in waves", async () => {
  const column = await one({ customers: 7, turn: "5s", maxConcurrent: 4 });
  assert.deepEqual(column.messages.map(({ waitMs }) => waitMs), [0, 0, 0, 0, 5_000, 5_000, 5_000]);
  assert.match(column.answer, /^Customer 7 waits 5 s, the longest; 4 of 7 do not wait/);
  assert.deepEqual(column.summary.waitMs, { mean: 15_000 / 7, p50: 0, p95: 5_000, max: 5_000 });
  assert.deepEqual([column.summary.makespanMs, column.summary.pools], [10_000, [{ pool: "main", size: 4, peak: 4, mean: 3.5 }]]);
});

test("the same request gives the same report to the last number, and another seed another one", async () => {
  const given = { customers: 12, messages: 3, turn: "lognormal:5s,0.5", arrivals: "poisson:2/s", spawn: 2, depth: 2, childTurn: "exp:4s", yield: true, rpm: 60 };
  assert.deepEqual(await simulate(given), await simulate(given));
  assert.notDeepEqual((await one(given)).messages, (await one({ ...given, seed: 2 })).messages);
});

test("a second message waits for the first, but no longer than the foreground time: then the long turn goes on beside it", async () => {
  const given = { customers: 1, messages: 2, gap: "2s", turn: "15s" };
  assert.deepEqual(await waits({ ...given, foreground: "10s" }), [0, 8]);
  assert.deepEqual(await waits({ ...given, queueMode: "followup" }), [0, 13]);
  assert.deepEqual(await waits({ ...given, queueMode: "parallel" }), [0, 0]);
  assert.equal((await one(given)).summary.promotions, 1);
  assert.deepEqual((await one(given)).lanes[0]!.spans.map(({ kind, fromMs, toMs }) => [kind, fromMs, toMs]), [
    ["running", 0, 10_000],
    ["waiting", 2_000, 10_000],
    ["side", 10_000, 15_000],
    ["running", 10_000, 25_000],
  ]);
});

test("messages within the batch wait share one turn, so both wait until the batch is closed", async () => {
  assert.deepEqual(await waits({ customers: 1, messages: 2, gap: "1s", messageWait: "2s" }), [3, 2]);
});

test("a message whose turn was interrupted, or that was refused, is counted as such and has no time", async () => {
  const interrupted = await one({ customers: 1, messages: 2, queueMode: "interrupt" });
  assert.deepEqual(interrupted.messages.map(({ outcome, totalMs }) => [outcome, totalMs]), [["cancelled", null], ["answered", 5_000]]);
  const refused = await one({ customers: 1, messages: 2, queueMode: "reject" });
  assert.deepEqual(refused.messages.map(({ outcome, waitMs }) => [outcome, waitMs]), [["answered", 0], ["refused", null]]);
  assert.match(refused.answer, /1 refused/);
});

test("an interrupted turn asks the model nothing more, so it does not use up the provider's limit", async () => {
  const { summary } = await one({ customers: 1, messages: 2, gap: "2500ms", turn: "5s", calls: 5, queueMode: "interrupt" });
  assert.equal(summary.requests, 3 + 5);
});

test("a steered message joins the running turn at its next model request, and shares its answer", async () => {
  const { messages } = await one({ customers: 1, messages: 2, gap: "1s", turn: "6s", calls: 3, queueMode: "steer" });
  assert.deepEqual(messages.map(({ waitMs, totalMs }) => [waitMs, totalMs]), [[0, 6_000], [1_000, 5_000]]);
});

test("children have slots of their own, wait over their caps, and their results come as a digest", async () => {
  const given = { customers: 1, turn: "5s", spawn: 3, childTurn: "10s", gather: "1s" };
  const free = await one(given);
  assert.deepEqual([free.messages[0]!.totalMs, free.messages[0]!.resultsMs], [5_000, 5_000 + 10_000 + 1_000 + 5_000]);
  assert.deepEqual(free.lanes.map(({ label, depth }) => [label, depth]), [["customer 1", 0], ["1.1.1", 1], ["1.1.2", 1], ["1.1.3", 1]]);
  const pool = await one({ ...given, subagentsMax: 1, yield: true });
  assert.equal(pool.messages[0]!.totalMs, 5_000 + 3 * 10_000 + 5_000);
  const siblings = await one({ ...given, maxChildren: 1, yield: true });
  assert.equal(siblings.messages[0]!.totalMs, 5_000 + 3 * 10_000 + 5_000);
  assert.equal(siblings.summary.pools.find((one_) => one_.pool === "subagent")!.peak, 1);
});

test("a tree deeper than its slots comes to its end, because who waits holds none", async () => {
  const { summary, messages } = await one({ customers: 2, spawn: 2, depth: 3, childTurn: "1s", turn: "1s", yield: true, maxConcurrent: 1, subagentsMax: 1 });
  assert.equal(summary.children, 2 * (2 + 4 + 8));
  assert.ok(messages.every(({ outcome, resultsMs }) => outcome === "answered" && resultsMs !== null));
});

test("the provider's limit holds turns up while they keep their slots, so that more slots do not help", async () => {
  const limited = await one({ customers: 20, rpm: 15, maxConcurrent: 20 });
  assert.deepEqual(limited.messages.map(({ totalMs }) => totalMs! / 1000), [...Array.from({ length: 15 }, () => 5), 9, 13, 17, 21, 25]);
  assert.equal(limited.summary.providerWaitMs, (4_000 + 8_000 + 12_000 + 16_000 + 20_000) / 20);
  assert.equal(limited.lanes[19]!.spans[0]!.kind, "provider");
  assert.equal((await one({ customers: 20, rpm: 1_000, maxConcurrent: 20 })).summary.providerWaitMs, 0);
});

test("columns meet the same arrivals and lengths, so that what differs comes from the setting", async () => {
  const { columns } = await simulate({ customers: 30, turn: "exp:5s", compare: ["max-concurrent=30", "turn=exp:5s maxConcurrent=4"] });
  const lengths = columns.map(({ messages }) => messages.map(({ runMs }) => runMs));
  assert.deepEqual(lengths[0], lengths[1]);
  assert.deepEqual(columns[2]!.messages, columns[0]!.messages);
  assert.equal(columns[1]!.summary.waitMs.max, 0);
  assert.ok(columns[0]!.summary.waitMs.max > 0);
  const text = reportText({ columns });
  assert.match(text, /as asked +max-concurrent=30/);
  assert.match(text, /max-concurrent=30: Nobody waits/);
});

test("several runs are averaged, each with its own seed", async () => {
  const single = await Promise.all([7, 8].map((seed) => one({ customers: 9, turn: "exp:5s", seed })));
  const both = await one({ customers: 9, turn: "exp:5s", seed: 7, runs: 2 });
  const last = (column: (typeof single)[number]) => column.messages.at(-1)!.waitMs!;
  assert.equal(last(both), (last(single[0]!) + last(single[1]!)) / 2);
  assert.equal(both.summary.messages, 18);
});

test("a thousand customers cost less than two seconds, so that settings can be tried out by hand", async () => {
  const before = process.cpuUsage();
  const { summary } = await one({ customers: 1_000, turn: "5s", maxConcurrent: 4 });
  const { user, system } = process.cpuUsage(before);
  assert.equal(summary.waitMs.max, 249 * 5_000);
  assert.ok((user + system) / 1000 < CPU_MAX_MS, `${(user + system) / 1000} ms of processor time`);
});

test("what cannot be simulated is refused with the option's name and what it must be", async () => {
  const refusal = async (given: Readonly<Record<string, unknown>>): Promise<string> => {
    const thrown: unknown = await simulate(given).catch((cause: unknown) => cause);
    assert.ok(thrown instanceof Fault && thrown.code === "BAD_REQUEST", String(thrown));
    return thrown.message;
  };
  assert.match(await refusal({ customrs: 3 }), /^customrs: is no option.*known: customers/);
  assert.match(await refusal({ __proto__: null, constructor: "x" }), /^constructor: is no option/);
  assert.match(await refusal({ customers: 0 }), /^customers: must be a whole number in 1\.\.10000, not "0"/);
  assert.match(await refusal({ customers: [3] }), /^customers: must be text/);
  assert.match(await refusal({ maxConcurrent: 5_000 }), /^max-concurrent: must be a whole number in 1\.\.4096/);
  assert.match(await refusal({ queueMode: "later" }), /^queue-mode: must be one of auto/);
  assert.match(await refusal({ foreground: "10" }), /^foreground: must be a time/);
  assert.match(await refusal({ compare: ["max-concurrent"] }), /^compare: max-concurrent needs a value/);
  assert.match(await refusal({ compare: ["nothing=1"] }), /^nothing: is no option/);
  assert.match(await refusal({ compare: "max-concurrent=8" }), /^compare: must be a list/);
  assert.match(await refusal({ customers: 100, spawn: 100, depth: 5 }), new RegExp(`more than the ${REQUESTS_MAX}`));
});

test("the picture has a row for each lane and is well-formed, whatever stands in a name", async () => {
  const report = await simulate({ customers: 3, spawn: 1, messages: 2, turn: "12s", compare: ["max-concurrent=2"] });
  const svg = timelineSvg({ columns: report.columns.map((column) => ({ ...column, name: `<${column.name}&">` })) });
  assert.equal(svg.match(/>customer \d</g)!.length, 6);
  assert.equal(svg.match(/>child \d\.\d\.\d</g)!.length, 12);
  for (const fill of ["#d5dbe3", "#2f6690", "url(#side)"]) assert.ok(svg.includes(`fill="${fill}"><title>`), fill);
  assert.doesNotMatch(svg, /<as asked/);
  assert.equal(svg.match(/<(?:svg|g|text|rect|title|pattern|defs|line|circle)\b/g)!.length, svg.match(/<\/|\/>/g)!.length);
});
