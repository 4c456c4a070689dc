import assert from "node:assert/strict";
import { test } from "node:test";
import { allowanceBook } from "../../test/support/allowance-book.ts";
import { ManualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import type { AllowanceBook } from "../model/allowance.ts";
import { Fault } from "../model/faults.ts";
import type { Parking } from "../model/parking.ts";
import { orderOfResumed, type Admission, type CallAsk, type CallEnd } from "./admission.ts";
import { CLOSED_MS } from "./closed-credentials.ts";
import { Governor } from "./governor.ts";
import { NOTHING_LIMITED, type Account, type AccountLimits } from "./settings.ts";

const MINUTE = 60_000;
const OK: CallEnd = { is: "ok", headers: {}, tokens: null };

/** Lets everything that is ready run, without time passing. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface WorldOptions {
  readonly limits?: Partial<AccountLimits>;
  readonly accounts?: readonly Account[];
  readonly clock?: ManualClock;
  readonly book?: AllowanceBook;
}

/** A governor, a clock that is driven by hand, and a provider that answers after a second and notes when it was asked. */
function world(options: WorldOptions = {}) {
  const clock = options.clock ?? new ManualClock();
  const book = options.book ?? allowanceBook(clock);
  const refused: string[] = [];
  const start = clock.now();
  let seed = 7;
  const governor = new Governor({
    clock,
    log: silentLog,
    book,
    chance: () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647,
    accountsOf: () => options.accounts ?? [{ name: "1", key: "k" }],
    limitsOf: () => ({ ...NOTHING_LIMITED, ...options.limits }),
    onRefused: (_provider, account) => void refused.push(account.name),
  });
  const asked: { at: number; who: string; account: string }[] = [];
  let answer: (who: string, account: Account) => CallEnd = () => OK;

  async function admit(more: Partial<CallAsk> = {}): Promise<Admission> {
    return governor.admit({ provider: "p", model: "m", person: false, tokens: () => 0, signal: new AbortController().signal, patienceMs: 10 * MINUTE, ...more });
  }
  /** One call to its good end, tried again as often as the provider refuses for now. */
  async function call(who: string, more: Partial<CallAsk> = {}, lastsMs = 1000): Promise<void> {
    for (let order: number | undefined; ; ) {
      const admission = await admit({ ...more, ...(order === undefined ? {} : { order }) });
      order = admission.order;
      asked.push({ at: clock.now() - start, who, account: admission.account.name });
      const end = answer(who, admission.account);
      await new Promise<void>((resolve) => clock.after(lastsMs, resolve));
      admission.end(end);
      if (end.is === "ok") return;
    }
  }
  async function pass(ms: number): Promise<void> {
    const end = clock.now() + ms;
    await settle();
    for (;;) {
      const next = clock.nextAt();
      if (next === undefined || next > end) break;
      clock.advance(next - clock.now());
      await settle();
    }
    clock.advance(end - clock.now());
    await settle();
  }
  return { clock, book, governor, refused, asked, admit, call, pass, answerWith: (how: typeof answer) => void (answer = how) };
}

/** The most requests in any span of a minute, by the provider's own log. */
function mostInAMinute(times: readonly number[]): number {
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + MINUTE).length));
}

function variation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) / mean;
}

test("a call that nothing limits is let through at once, without a write or a timer, because nearly all calls are such", () => {
  const fail = (): never => assert.fail("the book was asked");
  const { governor, clock } = world({ book: { takeAllowance: fail, adjustAllowance: fail, allowances: fail } });
  const admission = governor.admit({ provider: "p", model: "m", person: false, tokens: fail, signal: new AbortController().signal, patienceMs: 0 });
  assert.ok(!(admission instanceof Promise));
  admission.end(OK);
  assert.equal(clock.nextAt(), undefined);
});

for (const requestsPerMinute of [15, 60]) {
  test(`50 agents at ${requestsPerMinute} a minute: never more by the provider's log, and within 5 % of the limit`, async () => {
    const { call, pass, asked } = world({ limits: { requestsPerMinute } });
    const minutes = 20;
    let over = false;
    const agents = Array.from({ length: 50 }, async (_, agent) => {
      while (!over) await call(`agent ${agent}`);
    });
    await pass(minutes * MINUTE);
    over = true;
    const times = asked.map(({ at }) => at);
    assert.ok(mostInAMinute(times) <= requestsPerMinute, `${mostInAMinute(times)} in a minute`);
    assert.ok(times.length >= 0.95 * requestsPerMinute * minutes, `${times.length} of ${requestsPerMinute * minutes}`);
    const gaps = times.slice(1).map((at, i) => at - times[i]!);
    assert.ok(variation(gaps) > 0.3, `calls come like clockwork: ${variation(gaps)}`);
    await pass(10 * MINUTE);
    await Promise.all(agents);
  });
}

test("a person's question goes within two places while fifty agents wait, or people would wait behind machines", async () => {
  const { call, pass, asked } = world({ limits: { requestsPerMinute: 15 } });
  let over = false;
  const agents = Array.from({ length: 50 }, async (_, agent) => {
    while (!over) await call(`agent ${agent}`);
  });
  await pass(5 * MINUTE);
  for (let question = 0; question < 10; question++) {
    const before = asked.length;
    const done = call("person", { person: true });
    await pass(13_000);
    const place = asked.slice(before).findIndex(({ who }) => who === "person");
    assert.ok(place >= 0 && place < 2, `place ${place}`);
    await done;
  }
  over = true;
  await pass(10 * MINUTE);
  await Promise.all(agents);
  assert.ok(mostInAMinute(asked.map(({ at }) => at)) <= 15);
});

test("people in a row let a background call through, or it would starve", async () => {
  const { call, pass, asked } = world({ limits: { requestsPerMinute: 15 } });
  const all = [call("machine"), call("machine"), ...Array.from({ length: 40 }, () => call("person", { person: true }))];
  await pass(MINUTE);
  assert.equal(asked.filter(({ who }) => who === "machine").length, 2);
  await pass(10 * MINUTE);
  await Promise.all(all);
});

test("a background call does not pass a person who waits, also after the person has tried a wall many times", async () => {
  const { call, pass, asked, answerWith, clock } = world({ limits: { requestsPerMinute: 6 } });
  const start = clock.now();
  answerWith(() => (clock.now() < start + 90_000 ? { is: "overloaded", headers: {}, waitMs: null } : OK));
  const all = [call("person", { person: true }), ...Array.from({ length: 5 }, (_, n) => call(`machine ${n}`))];
  await pass(10 * MINUTE);
  await Promise.all(all);
  assert.ok(asked.filter(({ who }) => who === "person").length > 6, "it tried");
  assert.equal(asked.find(({ at }) => at >= 90_000)?.who, "person");
});

test("a wall of three minutes fails nobody: one call probes, then waves follow, and none came while it stood", async () => {
  const { call, pass, asked, answerWith, clock } = world();
  const wallEnds = clock.now() + 3 * MINUTE;
  answerWith(() => (clock.now() < wallEnds ? { is: "overloaded", headers: {}, waitMs: wallEnds - clock.now() } : OK));
  const agents = Array.from({ length: 50 }, (_, agent) => call(`agent ${agent}`));
  await pass(5 * MINUTE);
  await Promise.all(agents);
  const after = asked.filter(({ at }) => at >= 3 * MINUTE).map(({ at }) => at);
  assert.equal(asked.filter(({ at }) => at > 0 && at < 3 * MINUTE).length, 0);
  assert.equal(after.length, 50);
  assert.equal(after.filter((at) => at < after[0]! + 1000).length, 1, "one probe");
  assert.ok(after.filter((at) => at < after[0]! + 2000).length <= 3, "then two");
  assert.ok(after.at(-1)! - after[0]! < 20_000, "and all soon");
});

test("a person finds the end of a wall that tells nothing within two places, while the background would wait for half a minute", async () => {
  for (const perMinute of [15, 60]) {
    const { call, pass, asked, answerWith, clock, governor } = world({ limits: { requestsPerMinute: perMinute } });
    const start = clock.now();
    const placeMs = MINUTE / perMinute;
    answerWith(() => (clock.now() < start + 3 * MINUTE ? { is: "overloaded", headers: {}, waitMs: null } : OK));
    const agents = Array.from({ length: 10 }, (_, agent) => call(`agent ${agent}`));
    await pass(2 * MINUTE);
    assert.ok(governor.lanes().accounts[0]!.until! - clock.now() > 0);
    const tried = asked.length;
    assert.ok(tried < 16, `the background alone tried ${tried} times`);
    const question = call("person", { person: true }, 200);
    await pass(0);
    assert.equal(asked.length, tried + 1, "a person tries at once");
    await pass(MINUTE + 2 * placeMs);
    const tries = asked.filter(({ who }) => who === "person").map(({ at }) => at);
    assert.ok(tries.at(-1)! >= 3 * MINUTE && tries.at(-1)! < 3 * MINUTE + 2 * placeMs, `it was let through ${tries.at(-1)! - 3 * MINUTE} ms after the wall's end`);
    const gaps = tries.slice(1).map((at, n) => at - tries[n]!);
    assert.ok(tries.length <= MINUTE / placeMs + 4, `${tries.length} tries in a minute`);
    assert.ok(Math.max(...gaps) <= 2 * placeMs && variation(gaps) > 0.25, `${Math.max(...gaps)} ms at most, variation ${variation(gaps)}`);
    await pass(10 * MINUTE);
    await Promise.all([question, ...agents]);
  }
});

test("an answer that begins lets the next call through, or answers that take long would keep everybody out after a wall", async () => {
  const { admit, pass } = world();
  (await admit()).end({ is: "overloaded", headers: {}, waitMs: 1_000 });
  const through: Admission[] = [];
  for (let n = 0; n < 4; n++) void admit().then((admission) => through.push(admission));
  await pass(2_000);
  assert.deepEqual(through.map(({ isProbe }) => isProbe), [true], "one goes first");
  through[0]!.taken();
  await pass(0);
  assert.deepEqual(through.map(({ isProbe }) => isProbe), [true, false], "and is under way still when the next goes");
  for (const admission of through) admission.end(OK);
});

test("what tries a wall does not say how many calls may be under way, or after it one at a time would go", async () => {
  const { admit, pass } = world();
  const before: Admission[] = [];
  for (let n = 0; n < 10; n++) before.push(await admit());
  await pass(1_000);
  before.pop()!.end({ is: "overloaded", headers: {}, waitMs: null });
  for (const admission of before) admission.end({ is: "gone" });
  let left = 6;
  const through: Admission[] = [];
  for (let n = 0; n < 10; n++) {
    void (async () => {
      for (let order: number | undefined; ; ) {
        const admission = await admit(order === undefined ? {} : { order });
        order = admission.order;
        if (left-- <= 0) {
          admission.taken();
          through.push(admission);
          return;
        }
        admission.end({ is: "overloaded", headers: {}, waitMs: null });
      }
    })();
  }
  await pass(3 * MINUTE);
  assert.equal(through.length, 5, "half of those that were under way");
});

test("calls that were sent before a wall and come back well let nobody through it, because they say nothing of what is behind it", async () => {
  const { admit, pass, governor } = world();
  const [first, second, third] = [await admit(), await admit(), await admit()];
  await pass(1_000);
  first.end({ is: "limited", headers: {}, waitMs: 10_000 });
  second.end(OK);
  third.end(OK);
  let through = 0;
  for (let n = 0; n < 4; n++) void admit().then(() => through++);
  await pass(15_000);
  assert.equal(through, 1, "one goes first");
  assert.equal(governor.lanes().parked.length, 3);
});

test("the limit that a refusal names is kept from then on", async () => {
  const { call, pass, asked, answerWith, clock, governor } = world();
  const taken: number[] = [];
  answerWith(() => {
    const now = clock.now();
    if (taken.filter((at) => at > now - MINUTE).length >= 15) return { is: "limited", headers: { "x-ratelimit-limit-requests": "15" }, waitMs: 4000 };
    taken.push(now);
    return OK;
  });
  const agents = Array.from({ length: 50 }, (_, agent) => call(`agent ${agent}`));
  await pass(5 * MINUTE);
  await Promise.all(agents);
  assert.equal(taken.length, 50);
  assert.equal(governor.lanes().accounts[0]?.requestsPerMinute, 15);
  assert.equal(asked.filter(({ at }) => at > 1000).length, 50 - 15, "only the first burst was refused");
  assert.ok(asked.at(-1)!.at < 3.6 * MINUTE, `the last at ${asked.at(-1)!.at}`);
});

test("a limit that an answer names is kept to when little of it is left, so that nobody is refused first", async () => {
  const { call, pass, asked, answerWith, clock, governor } = world();
  const taken: number[] = [];
  answerWith(() => {
    const now = clock.now();
    const inMinute = taken.filter((at) => at > now - MINUTE).length;
    if (inMinute >= 15) return { is: "limited", headers: {}, waitMs: null };
    taken.push(now);
    return { is: "ok", headers: { "x-ratelimit-limit-requests": "15", "x-ratelimit-remaining-requests": String(14 - inMinute) }, tokens: null };
  });
  const all: Promise<void>[] = [];
  for (let n = 0; n < 60; n++) {
    all.push(call(`call ${n}`));
    await pass(2_000);
    if (n === 5) assert.equal(governor.lanes().accounts[0]?.requestsPerMinute, null, "nobody writes anything down while there is plenty");
  }
  await pass(4 * MINUTE);
  await Promise.all(all);
  assert.equal(asked.length, 60, "not one came twice");
  assert.equal(governor.lanes().accounts[0]?.requestsPerMinute, 15);
});

test("a limit that nobody names is learned from what went through before the second refusal", async () => {
  const { call, pass, asked, answerWith, clock, governor } = world();
  const taken: number[] = [];
  let refusals = 0;
  answerWith(() => {
    const now = clock.now();
    if (taken.filter((at) => at > now - MINUTE).length >= 15) {
      refusals++;
      return { is: "limited", headers: {}, waitMs: null };
    }
    taken.push(now);
    return OK;
  });
  const agents = Array.from({ length: 50 }, (_, agent) => call(`agent ${agent}`));
  await pass(8 * MINUTE);
  await Promise.all(agents);
  assert.equal(taken.length, 50);
  assert.ok(governor.lanes().accounts[0]!.requestsPerMinute! <= 20);
  assert.ok(refusals < 60, `${refusals} refusals, of which 35 in the first burst; asked ${asked.length}`);
});

test("a wall of 429 that lasts for minutes teaches no limit, or all would be slow long after it", async () => {
  const { call, pass, asked, answerWith, clock, governor } = world();
  const start = clock.now();
  answerWith(() => (clock.now() >= start + MINUTE && clock.now() < start + 3 * MINUTE ? { is: "limited", headers: {}, waitMs: null } : OK));
  await pass(50_000);
  const all = Array.from({ length: 5 }, (_, n) => call(`early ${n}`));
  await pass(12_000);
  all.push(call("late"));
  await pass(MINUTE);
  assert.equal(governor.lanes().accounts[0]?.requestsPerMinute, 5, "at first it looks like a limit");
  all.push(...Array.from({ length: 40 }, (_, n) => call(`agent ${n}`)));
  await pass(3 * MINUTE);
  assert.equal(governor.lanes().accounts[0]?.requestsPerMinute, null);
  const after = asked.filter(({ at }) => at >= 3 * MINUTE).map(({ at }) => at);
  assert.equal(after.length, 41);
  assert.ok(after.at(-1)! - after[0]! < 20_000, `the last came ${after.at(-1)! - after[0]!} ms after the first`);
  await Promise.all(all);

  // What went out while no limit was known counts when one is learned again.
  all.push(...Array.from({ length: 30 }, (_, n) => call(`free ${n}`)));
  await pass(2_000);
  let isFirst = true;
  answerWith(() => {
    if (!isFirst) return OK;
    isFirst = false;
    return { is: "limited", headers: { "x-ratelimit-limit-requests": "15" }, waitMs: 300 };
  });
  const before = asked.length;
  all.push(call("last"));
  await pass(30_000);
  assert.equal(asked.length - before, 1, "the minute is full");
  await pass(MINUTE);
  await Promise.all(all);
});

test("a limit that was set is not passed by people either, however many they are", async () => {
  const { call, pass, asked } = world({ limits: { requestsPerMinute: 15 } });
  const all = Array.from({ length: 20 }, () => call("person", { person: true }));
  await pass(MINUTE);
  assert.equal(asked.length, 15);
  await pass(MINUTE);
  await Promise.all(all);
});

test("a restart in the middle of a wall: the calls go on in their order, and without a burst", async () => {
  const clock = new ManualClock();
  const book = allowanceBook(clock);
  const limits = { requestsPerMinute: 15 };
  const before = world({ clock, book, limits });
  before.answerWith(() => ({ is: "overloaded", headers: {}, waitMs: 3 * MINUTE }));
  const stop = new AbortController();
  const lost = Array.from({ length: 20 }, () => before.call("lost", { signal: stop.signal }).catch(() => {}));
  await before.pass(MINUTE);
  stop.abort(new Error("killed"));
  await Promise.all(lost);

  const after = world({ clock, book, limits });
  await after.governor.start();
  const agents = Array.from({ length: 20 }, (_, agent) => after.call(`agent ${agent}`));
  await after.pass(MINUTE);
  assert.deepEqual(after.asked, [], "the wall stands");
  assert.equal(after.governor.lanes().parked.length, 20);
  assert.equal(after.governor.lanes().accounts[0]?.state, "walled");
  await after.pass(5 * MINUTE);
  await Promise.all(agents);
  assert.deepEqual(after.asked.map(({ who }) => who), agents.map((_, agent) => `agent ${agent}`));
  const times = after.asked.map(({ at }) => at);
  assert.ok(times[0]! >= 2 * MINUTE - 1000);
  for (const at of times) assert.ok(times.filter((other) => other >= at && other < at + 4000).length <= 3, "no burst");
  assert.ok(mostInAMinute(times) <= 15);
});

test("one of three credentials is refused: the others go on, nobody fails, and the operator is told once", async () => {
  const accounts = ["a", "b", "c"].map((name) => ({ name, key: `key-${name}` }));
  const { call, pass, asked, answerWith, refused, governor } = world({ accounts });
  answerWith((_who, account) => (account.name === "b" ? { is: "refused", status: 401, all: true } : OK));
  for (let round = 0; round < 5; round++) {
    const calls = Array.from({ length: 9 }, () => call("agent"));
    await pass(CLOSED_MS / 2);
    await Promise.all(calls);
  }
  assert.deepEqual(refused, ["b"]);
  assert.ok(asked.filter(({ account }) => account === "a").length >= 15 && asked.filter(({ account }) => account === "c").length >= 15);
  assert.equal(governor.lanes().accounts.find(({ account }) => account === "b")?.requestsPerMinute, null);
});

test("when every credential was refused the call fails at once, because waiting mends nothing", async () => {
  const { admit } = world();
  (await admit()).end({ is: "refused", status: 401, all: true });
  await assert.rejects(admit(), (fault: unknown) => fault instanceof Fault && fault.code === "PROVIDER_AUTH");
});

test("a parked call can be cancelled at once, and leaves no timer behind", async () => {
  const { admit, clock, governor } = world();
  (await admit()).end({ is: "limited", headers: {}, waitMs: 60_000 });
  const stop = new AbortController();
  let parking: Parking | undefined;
  const waiting = admit({ signal: stop.signal, session: "s", onParked: (at) => void (parking = at) });
  await settle();
  assert.equal(parking?.reason, "wall");
  assert.ok(parking.until >= clock.now() + 60_000);
  assert.equal(governor.lanes().parked[0]?.session, "s");
  stop.abort(new Error("the person said stop"));
  await assert.rejects(waiting, /said stop/);
  assert.equal(clock.nextAt(), undefined);
  assert.deepEqual(governor.lanes().parked, []);
});

test("a wall longer than the call's patience is told at once, with the time to come back", async () => {
  const { admit } = world();
  (await admit()).end({ is: "limited", headers: {}, waitMs: 60_000 });
  await assert.rejects(admit({ patienceMs: 5_000 }), (fault: unknown) => fault instanceof Fault && fault.code === "PROVIDER_RATE_LIMITED" && fault.retryAfterMs! >= 60_000);
});

test("a call that was refused comes back to its old place, before those that came after it", async () => {
  const { admit, pass } = world();
  const first = await admit();
  first.end({ is: "limited", headers: {}, waitMs: 10_000 });
  const went: string[] = [];
  const go = (who: string, order?: number): void => void admit(order === undefined ? {} : { order }).then((admission) => {
    went.push(who);
    admission.end(OK);
  });
  go("second");
  go("third");
  go("first again", first.order);
  await pass(20_000);
  assert.deepEqual(went, ["first again", "second", "third"]);
});

test("a wish for no wait at all is not heeded to the letter, because that would be a tight loop", async () => {
  const { admit } = world();
  assert.ok((await admit()).end({ is: "limited", headers: {}, waitMs: 0 }) >= 250);
});

test("of the calls that may be under way a part is kept for people", async () => {
  const { admit } = world({ limits: { inFlight: 5 } });
  for (let i = 0; i < 4; i++) await admit();
  let late = false;
  void admit().then(() => (late = true));
  await settle();
  assert.equal(late, false);
  const person = await admit({ person: true });
  person.end(OK);
  assert.equal(late, false, "the last place is theirs");
});

test("tokens are counted before by estimate and corrected after, so that small answers do not use up the minute", async () => {
  const { admit, pass } = world({ limits: { tokensPerMinute: 10_000 } });
  const first = await admit({ person: true, tokens: () => 9_000 });
  first.end({ is: "ok", headers: {}, tokens: 500 });
  await pass(0);
  const second = await admit({ person: true, tokens: () => 9_000 });
  let third = false;
  void admit({ person: true, tokens: () => 9_000 }).then(() => (third = true));
  await pass(30_000);
  assert.equal(third, false);
  second.end({ is: "ok", headers: {}, tokens: 9_000 });
  await pass(40_000);
  assert.equal(third, true);
});

test("calls that a restart cut off go before those that came since, in the order in which their work began", async () => {
  const { call, pass, asked, answerWith } = world();
  let first = true;
  answerWith(() => {
    if (!first) return OK;
    first = false;
    return { is: "limited", headers: {}, waitMs: 5_000 };
  });
  const all = [call("first")];
  await pass(1_200);
  all.push(call("new"), call("began later", { order: orderOfResumed(2_000) }), call("began earlier", { order: orderOfResumed(1_000) }));
  await pass(MINUTE);
  await Promise.all(all);
  assert.deepEqual(asked.slice(1).map(({ who }) => who), ["began earlier", "began later", "first", "new"]);
});

test("refusals that ask for less than a place of the limit teach nothing, or a provider that refuses every other call would be asked once a minute", async () => {
  const { call, pass, answerWith, governor, asked } = world();
  let n = 0;
  answerWith(() => (n++ % 2 === 0 ? { is: "limited", headers: {}, waitMs: 100 } : OK));
  const agents = Array.from({ length: 30 }, (_, agent) => call(`agent ${agent}`));
  await pass(3 * MINUTE);
  await Promise.all(agents);
  assert.equal(asked.length, 60);
  assert.equal(governor.lanes().accounts[0]?.requestsPerMinute, null);
});
