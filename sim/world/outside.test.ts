/** What judges a world from outside: it notices what is wrong, and takes nothing for wrong that is not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../src/base/clock.ts";
import type { SessionKey, TurnId } from "../../src/base/ids.ts";
import { NO_USAGE, type ModelRequest } from "../../src/model/chat.ts";
import type { Job, JobSpec, Run } from "../../src/model/job.ts";
import type { Kernel, Row } from "../../src/store/sqlite/kernel.ts";
import { Askers } from "./askers.ts";
import { Dice } from "./dice.ts";
import { checkJobs } from "./jobs.ts";
import { WorldModel } from "./model.ts";
import { PlanWorld } from "./plans.ts";
import { HOOK_URL, Receiver } from "./receiver.ts";
import { Spending, spendingPlan } from "./spending.ts";
import { Timeline } from "./timeline.ts";

const SESSION = "agent:main:main" as SessionKey;
const DAY = "2027-01-15";
const SEED = 1;

// ── jobs ────────────────────────────────────────────────────────────────────────────────────

/** A job of every minute that was saved a second after its first moment, which has its row. */
function lateJob(askedAt: number): readonly string[] {
  const moment = Date.parse(`${DAY}T08:01:00Z`);
  const spec = { name: "job0", schedule: { kind: "cron", expr: "* * * * *", tz: "UTC" }, payload: { kind: "systemEvent", text: "news" } } as unknown as JobSpec;
  const job = { id: "job_1", spec, state: "active", createdAt: moment + 1_000, lastFor: moment } as unknown as Job;
  const run = { id: "run_1", jobId: "job_1", source: null, scheduledFor: moment, until: moment, attempt: 1, session: null } as unknown as Run;
  return checkJobs({ jobs: [job], runs: [run], events: [], askedAt: new Map([["job0", askedAt]]) });
}

test("a moment between the request for a job and its row belongs to the job, however slow the disk is (seed 14122)", () => {
  assert.deepEqual(lateJob(Date.parse(`${DAY}T08:00:59.900Z`)), []);
});

test("a moment before a job was asked for is none of it", () => {
  assert.match(lateJob(Date.parse(`${DAY}T08:01:00.100Z`)).join(), /no moment of it/);
});

// ── the model ───────────────────────────────────────────────────────────────────────────────

function modelOf(seed: number, report: (violation: string) => void): WorldModel {
  return new WorldModel({ seed, moods: { text: 0, tools: 1, slow: 0, refuse: 0, garbage: 0, hang: 0 }, spawning: 0, crash: () => {}, report, spending: null, counted: () => {}, countedBeside: () => {}, depthOf: () => 0 });
}

/** Asks until an answer that calls a tool is on disk, then once more. */
async function askAgain(first: TurnId, second: TurnId): Promise<readonly string[]> {
  const violations: string[] = [];
  const clock = new ManualClock();
  const model = modelOf(SEED, (violation) => violations.push(violation));
  const client = model.client(clock, () => true);
  const tools = ["look", "put", "fire", "break"].map((name) => ({ name, description: "", inputSchema: {} }));
  const ask = async (turn: TurnId) => {
    const request: ModelRequest = { model: "sim/one", system: "", messages: [{ role: "user", text: "the same again" }], tools, cacheKey: SESSION, turn, signal: new AbortController().signal };
    const answer = client.call(request, () => {});
    clock.advance(100_000);
    return answer;
  };
  for (let n = 0; n < 20; n++) for (const part of (await ask(first)).parts) if (part.type === "tool-call") model.sawToolCall(part.callId);
  violations.length = 0;
  await ask(second);
  return violations;
}

test("two turns of a session may ask the same, e.g. when both see nothing of what was before (seed 12160)", async () => {
  assert.deepEqual(await askAgain("turn_1" as TurnId, "turn_2" as TurnId), []);
});

test("a turn that asks again for what is on disk is noticed", async () => {
  assert.match((await askAgain("turn_1" as TurnId, "turn_1" as TurnId)).join(), /asked for again/);
});

/** A call that waits for its provider, of a process that has its place when it goes on or has lost it. */
function goesOn(hasItsPlace: boolean): number | null {
  const turn = "turn_1" as TurnId;
  for (let seed = 1; ; seed++) {
    const clock = new ManualClock();
    const model = modelOf(seed, () => {});
    let hasPlace = true;
    model.refuseAll(1_000, 429);
    let waits = false;
    void model.client(clock, () => hasPlace).call({ model: "sim/one", system: "", messages: [{ role: "user", text: "hello" }], tools: [], turn, signal: new AbortController().signal }, ({ type }) => void (waits ||= type === "parked")).catch(() => {});
    if (!waits) continue; // not all worlds let calls wait
    hasPlace = hasItsPlace;
    clock.advance(10 * 60_000);
    return model.goesOnSince(turn);
  }
}

test("a call that goes on in a process that lost its place says nothing of its turn, which another process has by then (seeds 65642, 119923)", () => {
  assert.equal(goesOn(false), null);
});

test("a call that goes on in the process that has its place is known to do so", () => {
  assert.equal(typeof goesOn(true), "number");
});

// ── spending ────────────────────────────────────────────────────────────────────────────────

/** Two turns of one session, for two people, side by side; what each costs is counted when both calls were let through. */
function sideBySide(annUsed: number): readonly string[] {
  const people: Readonly<Record<string, string>> = { turn_a: "ann", turn_b: "bob" };
  const account = (name: string, used: number): Row => ({ scope: "person", name: `${DAY} ${name}`, unit: "costMicros", max: 1_000_000, used, reserved: 0 });
  const observer = {
    get: (sql: string, value: string) => (sql.includes("FROM turn") ? { person: people[value] } : undefined),
    all: () => [account("ann", annUsed), account("bob", 20)],
  } as unknown as Kernel;
  const seed = Array.from({ length: 100 }, (_none, n) => n).find((n) => spendingPlan(n) !== null)!;
  const spending = new Spending(observer, { ...spendingPlan(seed)!, settings: {} });
  const usage = { ...NO_USAGE, input: 1, output: 1, calls: 1 };
  for (const turnId of ["turn_a", "turn_b"] as TurnId[]) spending.granted({ turnId, session: SESSION, epoch: 1 }, Date.parse(`${DAY}T08:00:00Z`));
  spending.counted("turn_a" as TurnId, { ...usage, costMicros: 10 });
  spending.counted("turn_b" as TurnId, { ...usage, costMicros: 20 });
  return spending.violations();
}

test("what turns side by side cost counts for the person of each, not for whoever was let through last (seed 13367)", () => {
  assert.deepEqual(sideBySide(10), []);
});

test("an account that knows of less than was counted is noticed", () => {
  assert.match(sideBySide(9).join(), /ann knows of 9 costMicros used and 0 reserved; the provider counted 10/);
});

function besideTurns(reserved: boolean): readonly (string | null)[] {
  const observer = { get: () => undefined, all: () => [{ scope: "session", name: SESSION, unit: "tokens", max: 1_000, used: 1, reserved: 0 }] } as unknown as Kernel;
  const spending = new Spending(observer, { ofChildren: 0, settings: { "budgets.session.tokens": 1_000 } });
  if (reserved) spending.grantedBeside(SESSION, { inputTokensMax: 400, outputTokensMax: 5, outputTokensMin: 5, price: null, isLast: false }, Date.parse(`${DAY}T08:00:00Z`));
  return [spending.countedBeside(400, { ...NO_USAGE, input: 1, output: 1, calls: 1 }), ...spending.violations()];
}

test("a call beside the turns counts for its session, and one that nobody reserved is noticed", () => {
  assert.match(besideTurns(true).join(), /^,.*knows of 1 tokens used and 0 reserved; the provider counted 2$/);
  assert.match(besideTurns(false).join(), /was not reserved/);
});

// ── plans ───────────────────────────────────────────────────────────────────────────────────

test("a world with plans goes on while a worktree, or its row, is left, which is tried again a minute later (seeds 114835, 269844)", () => {
  const timeline = new Timeline(new Dice(SEED, "order"));
  let rows: readonly { readonly data: string }[] = [{ data: JSON.stringify({ id: "ws_1", state: "removing" }) }];
  const observer = { all: (sql: string) => (sql.includes("FROM workspace") ? rows : []), get: () => undefined, count: () => 0 } as unknown as Kernel;
  const people = { timeline, gateway: () => null, report: () => {} };
  const plans = new PlanWorld({ ...people, seed: SEED, observer, askers: new Askers(people), sessions: () => [], hasHarnesses: false, note: () => {} });
  plans.git.addWorktree("/sim/workspaces/ws_1", plans.git.head, "refs/heads/yard/ws_1");
  assert.equal(plans.isOver(), false);
  plans.git.dropAdmin("ws_1");
  assert.equal(plans.isOver(), false, "its row says that it is being removed");
  rows = [];
  assert.equal(plans.isOver(), true);
});

// ── the receiver ────────────────────────────────────────────────────────────────────────────

function postedWhileDelivered(hasItsPlace: boolean): readonly string[] {
  const violations: string[] = [];
  const observer = { get: () => ({ state: "delivered" }) } as unknown as Kernel;
  const receiver = new Receiver({ seed: SEED, observer, report: (violation) => violations.push(violation) });
  const body = Buffer.from(JSON.stringify({ task: { label: "one" } }));
  void receiver.post(new ManualClock(), () => hasItsPlace)(new URL(HOOK_URL), [], { method: "POST", headers: { "idempotency-key": "dlv_1" }, body, signal: new AbortController().signal });
  return violations;
}

test("a process that stood still while another delivered posts what it had taken out, under the same id (seed 11991)", () => {
  assert.deepEqual(postedWhileDelivered(false), []);
});

test("what was delivered is not posted again by the process that knows it", () => {
  assert.match(postedWhileDelivered(true).join(), /posted while it is delivered/);
});
