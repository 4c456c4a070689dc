/** The rooms of one session under many orders of coming, waiting, failing and giving up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ManualClock, sleep } from "../../base/clock.ts";
import type { SessionKey, TurnId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { HarnessKnowledge } from "../../model/harness.ts";
import { Suite, type Guest, type SuiteRoom } from "./harness-suite.ts";

const RUNS = 500;
const IDLE_MS = 10_000;
const END_MS = 60_000;

class FakeRoom implements SuiteRoom {
  readonly key = "agent:h:acp:1" as SessionKey;
  readonly number: number;
  known: HarnessKnowledge = { upTo: 0, turns: [] };
  isOpen = true;
  isTaken = false;
  wasTaken = false;
  model: string | null = null;
  clearedUpTo = 0;
  users = 0;
  readonly started: () => Promise<unknown>;
  readonly #clock: ManualClock;
  #disarm = (): void => {};

  constructor(clock: ManualClock, number: number, started: () => Promise<unknown> = async () => {}) {
    this.#clock = clock;
    this.number = number;
    this.started = started;
  }

  left(): void {
    this.isTaken = false;
  }
  armIdle(ms: number, then: () => void): void {
    this.#disarm();
    this.#disarm = this.#clock.after(ms, then);
  }
  disarmIdle(): void {
    this.#disarm();
  }
  async close(): Promise<boolean> {
    this.#disarm();
    const was = this.isOpen;
    this.isOpen = false;
    return was;
  }
}

function setup({ sparesMax = 2, start = async () => {} }: { sparesMax?: number; start?: () => Promise<unknown> } = {}) {
  const clock = new ManualClock();
  const home = new FakeRoom(clock, 0);
  const made: FakeRoom[] = [];
  let idle = 0;
  const suite = new Suite<FakeRoom>({ log: silentLog, sparesMax: () => sparesMax, idleMs: () => IDLE_MS, makeSpare: (_home, number) => (made.push(new FakeRoom(clock, number, start)), made.at(-1)!), onIdle: () => idle++, track: () => {} }, home);
  const guest = (n: number, more: Partial<Guest> = {}): Guest => ({ turn: `trn_${n}` as TurnId, model: null, clearedUpTo: 0, beside: [], onWait: () => {}, ...more });
  return { clock, home, made, suite, guest, idled: () => idle };
}

async function settle(): Promise<void> {
  for (let round = 0; round < 30; round++) await Promise.resolve();
}

const never = new AbortController().signal;

test("in whatever order turns come, wait, give up and end: each has a room alone or fails for itself, all come to an end, and no second room is left", async () => {
  // Few different moments, so that much happens in the same one.
  const moment = (most: number): fc.Arbitrary<number> => fc.nat(most).map((n) => n * 500);
  const visit = fc.record({ atMs: moment(6), worksMs: moment(4), givesUpMs: fc.option(moment(5)), fails: fc.boolean() });
  const start = fc.record({ ms: moment(3), fails: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(visit, { minLength: 1, maxLength: 12 }), fc.array(start, { maxLength: 12 }), fc.nat(3), fc.option(moment(8)), async (visits, starts, sparesMax, closeMs) => {
      let n = 0;
      const { clock, home, made, suite, guest } = setup({
        sparesMax,
        async start() {
          const { ms, fails } = starts[n++] ?? { ms: 10, fails: false };
          await sleep(clock, ms);
          if (fails) throw new Error("it does not start");
        },
      });
      const outcomes: string[] = [];
      for (const [index, { atMs, worksMs, givesUpMs, fails }] of visits.entries()) {
        clock.after(atMs, () => {
          const stop = new AbortController();
          let waits = 0;
          if (givesUpMs !== null) clock.after(givesUpMs, () => stop.abort(new Error("given up")));
          const work = async (room: FakeRoom): Promise<void> => {
            assert.equal(waits, 0, "who has a room does not wait");
            if (!room.isOpen) throw new Error("closed");
            assert.equal(++room.users, 1, "alone");
            try {
              await sleep(clock, worksMs, stop.signal);
              if (fails) throw new Error("failed");
            } finally {
              room.users--;
            }
          };
          suite.use(guest(index, { onWait: (is) => (waits += is ? 1 : -1) }), stop.signal, work).then(
            () => outcomes.push("done"),
            (cause: Error) => outcomes.push(cause.message),
          );
        });
      }
      if (closeMs !== null) clock.after(closeMs, () => void suite.close());
      for (let next = clock.nextAt(); next !== undefined && next <= clock.now() + END_MS && outcomes.length < visits.length; next = clock.nextAt()) {
        clock.advance(next - clock.now());
        await settle();
        assert.ok(suite.spares.length <= sparesMax);
      }
      await settle();
      assert.equal(outcomes.length, visits.length, "everybody came to an end");
      assert.ok(outcomes.every((outcome) => ["done", "given up", "failed", ...(closeMs === null ? [] : ["closed"])].includes(outcome)), outcomes.join());
      assert.equal(suite.isAtWork, false);
      assert.deepEqual(suite.spares, []);
      assert.ok(made.every(({ isOpen }) => !isOpen), "each second room was closed");
      assert.equal(home.isOpen, closeMs === null || closeMs > clock.monotonic());
    }),
    { numRuns: RUNS, seed: 20_261_129 },
  );
});

test("who waits gets the first room that is free, in the order of coming", async () => {
  const { suite, guest } = setup({ sparesMax: 0 });
  const order: number[] = [];
  const gates = [1, 2, 3].map(() => Promise.withResolvers<void>());
  const visits = gates.map(({ promise }, n) => suite.use(guest(n), never, async () => (order.push(n), promise)));
  for (const gate of gates) {
    await settle();
    gate.resolve();
  }
  await Promise.all(visits);
  assert.deepEqual(order, [0, 1, 2]);
});

test("after a restart home is kept for the turn that was at work in it, as long as another can have a second room", async () => {
  const { suite, guest, home, made } = setup();
  home.known = { upTo: 4, turns: ["trn_1" as TurnId] };
  const done = Promise.withResolvers<void>();
  const rooms: SuiteRoom[] = [];
  const second = suite.use(guest(2, { beside: ["trn_1" as TurnId] }), never, async (room) => (rooms.push(room), done.promise));
  const first = suite.use(guest(1, { beside: ["trn_2" as TurnId] }), never, async (room) => (rooms.push(room), done.promise));
  await settle();
  assert.deepEqual(rooms.toSorted((a, b) => a.number - b.number), [home, made[0]]);
  done.resolve();
  await Promise.all([first, second]);

  const alone = setup({ sparesMax: 0 });
  alone.home.known = { upTo: 4, turns: ["trn_1" as TurnId] };
  await alone.suite.use(alone.guest(2, { beside: ["trn_1" as TurnId] }), never, async (room) => assert.equal(room, alone.home));
});

test("home is closed when nobody used it for long, and not while a turn works in a second room", async () => {
  const { clock, suite, guest, idled } = setup();
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const visits = [suite.use(guest(1), never, () => first.promise), suite.use(guest(2), never, () => second.promise)];
  await settle();
  first.resolve();
  await settle();
  clock.advance(IDLE_MS);
  assert.equal(idled(), 0);
  second.resolve();
  await Promise.all(visits);
  clock.advance(IDLE_MS);
  assert.equal(idled(), 1);
});
