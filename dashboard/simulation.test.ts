import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiFault, SimulationColumn } from "../src/api/wire.ts";
import { columnName, fieldProblem, formWith, pictureAddress, requestOf, seconds, spreadRows, waitRows } from "./simulation.ts";

const SETTINGS = { "agents.defaults.maxConcurrent": 6, "agents.defaults.subagents.maxConcurrent": 3, "messages.queue.mode": "collect", "messages.foregroundMs": 8000 };

test("the form starts from the gateway's settings, and keeps what was typed", () => {
  const form = formWith(SETTINGS, { customers: "20" });

  assert.equal(form.maxConcurrent, "6");
  assert.equal(form.subagentsMax, "3");
  assert.equal(form.queueMode, "collect");
  assert.equal(form.customers, "20");
  assert.equal(form.turn, "5s");
});

test("what the form does not ask is as the gateway is set, so the answer is about this gateway", () => {
  const body = requestOf(formWith(SETTINGS, { compare: " 8 " }), SETTINGS);

  assert.equal(body["foreground"], "8000ms");
  assert.deepEqual(body["compare"], ["max-concurrent=8"]);
  assert.equal(body["svg"], true);
});

test("an empty field is left out, so the gateway's fallback counts", () => {
  const body = requestOf(formWith({}, { rpm: " " }), {});

  assert.deepEqual(body["compare"], []);
  assert.ok(!("maxConcurrent" in body) && !("rpm" in body) && !("foreground" in body));
});

test("a refusal is shown at the field it is about, and the second value is told from the first", () => {
  const form = formWith(SETTINGS, { compare: "x" });

  assert.deepEqual(fieldProblem(refusal("queue-mode", "must be one of these"), form), { name: "queueMode", problem: "must be one of these" });
  assert.equal(fieldProblem(refusal("max-concurrent", 'must be a whole number, not "x"'), form)?.name, "compare");
  assert.equal(fieldProblem(refusal("max-concurrent", 'must be a whole number, not "x"'), { ...form, maxConcurrent: "x" })?.name, "maxConcurrent");
  assert.equal(fieldProblem(refusal("foreground", "must be a time"), form), null);
  assert.equal(fieldProblem({ ...refusal("turn", "later"), code: "SIMULATION_BUSY" }, form), null);
});

test("seconds read as in the gateway's sentence", () => {
  assert.equal(seconds(5000), "5 s");
  assert.equal(seconds(2142.857), "2.14 s");
  assert.equal(seconds(null), "–");
});

test("compared columns stand side by side, each with its number of slots", () => {
  const [four, eight] = [column("4", [0, 5000]), column("8", [0, 0])];

  assert.equal(columnName(four), "4 at once");
  assert.equal(columnName({ name: "as asked", asked: {} }), "as asked");
  assert.deepEqual(spreadRows([four]).map(({ name }) => name), ["Wait", "Until the answer"]);
  assert.deepEqual(spreadRows([four, eight]).slice(0, 2), [
    { name: "Wait, 4 at once", cells: ["2.5 s", "0 s", "5 s", "5 s"] },
    { name: "Wait, 8 at once", cells: ["0 s", "0 s", "0 s", "0 s"] },
  ]);
  assert.deepEqual(waitRows({ columns: [four, eight] })[1], { name: "customer 2", waits: [{ text: "5 s", isWait: true }, { text: "0 s", isWait: false }] });
});

test("a message without an answer says why, instead of looking like one that did not wait", () => {
  const asked = column("4", [0, null], "refused");

  assert.deepEqual(waitRows({ columns: [asked] })[1]?.waits, [{ text: "refused", isWait: false }]);
});

test("a picture with letters beyond Latin stays whole in its address", () => {
  const encoded = pictureAddress("<svg>… né 你</svg>").replace("data:image/svg+xml;base64,", "");

  assert.equal(Buffer.from(encoded, "base64").toString(), "<svg>… né 你</svg>");
});

function refusal(where: string, problem: string): ApiFault {
  return { code: "BAD_REQUEST", message: `${where}: ${problem}`, details: { where, problem }, retryable: false };
}

function column(maxConcurrent: string, waits: readonly (number | null)[], lastOutcome: "answered" | "refused" = "answered"): SimulationColumn {
  const known = waits.map((wait) => wait ?? 0);
  const max = Math.max(...known);
  const spread = { mean: known.reduce((sum, wait) => sum + wait, 0) / waits.length, p50: known[0]!, p95: max, max };
  return {
    name: "as asked",
    asked: { maxConcurrent },
    messages: waits.map((waitMs, n) => ({ customer: n + 1, message: 1, sentMs: 0, waitMs, runMs: null, totalMs: null, resultsMs: null, outcome: n === waits.length - 1 ? lastOutcome : "answered" })),
    summary: { messages: waits.length, answered: waits.length, cancelled: 0, refused: 0, waitMs: spread, totalMs: spread, resultsMs: null, makespanMs: 0, pools: [], children: 0, promotions: 0, requests: 0, providerWaitMs: 0 },
    answer: "",
    lanes: [],
  };
}
