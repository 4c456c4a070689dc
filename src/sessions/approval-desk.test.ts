import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../base/clock.ts";
import type { SessionKey, TurnId } from "../base/ids.ts";
import { silentLog } from "../base/log.ts";
import { inputHash, oneLine, requestText, shownInput, type Approval, type NewApproval } from "../model/approval.ts";
import type { YardEvent } from "../model/event.ts";
import type { PermissionAsk } from "../model/harness.ts";
import { ApprovalDesk } from "./approval-desk.ts";

type Row = { -readonly [Field in keyof Approval]: Approval[Field] };

/** The rows of approvals, kept in a list. */
class Rows {
  readonly rows: Row[] = [];
  readonly #listeners: ((events: readonly YardEvent[]) => void)[] = [];
  broken = false;

  async askApproval(ask: NewApproval): Promise<Approval> {
    if (this.broken) throw new Error("the disk is full");
    const known = this.rows.find(({ askKey }) => askKey === ask.askKey);
    if (known !== undefined) return known;
    const row: Row = { ...ask, id: `A${this.rows.length + 1}`, place: ask.session, state: "pending", askedAt: 0, endedAt: null, by: null, standing: false };
    this.rows.push(row);
    return row;
  }

  async endApproval({ askKey, state, by }: { askKey: string; state: "expired" | "cancelled"; by: string }): Promise<Approval | null> {
    const row = this.rows.find((one) => one.askKey === askKey);
    if (row?.state === "pending") this.end(row, state, by);
    return row ?? null;
  }

  end(row: Row, state: Row["state"], by: string): void {
    Object.assign(row, { state, by });
    for (const listener of this.#listeners) listener([{ type: "approval.answered", data: { askKey: row.askKey, state, by } } as unknown as YardEvent]);
  }

  onEvents(listener: (events: readonly YardEvent[]) => void): () => void {
    this.#listeners.push(listener);
    return () => {};
  }
}

function setup() {
  const clock = new ManualClock();
  const rows = new Rows();
  return { clock, rows, desk: new ApprovalDesk({ store: rows, clock, log: silentLog }) };
}

function asked(clock: ManualClock, more: Partial<PermissionAsk> = {}): PermissionAsk {
  return {
    id: "ask-1", session: "agent:claude:acp:x" as SessionKey, turnId: "turn_1" as TurnId, harness: "claude", tool: "Bash", what: "npm test", input: { command: "npm test" }, cwd: "/work",
    options: ["allow_once", "reject_once"], expiresAt: clock.now() + 1000, ...more,
  };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("an answer reaches everybody who waits for the same thing, once", async () => {
  const { desk, rows, clock } = setup();
  const both = Promise.all([desk.ask(asked(clock), new AbortController().signal), desk.ask(asked(clock), new AbortController().signal)]);
  await settled();
  assert.equal(rows.rows.length, 1);
  rows.end(rows.rows[0]!, "approved", "ann");
  rows.end(rows.rows[0]!, "denied", "bob");
  assert.deepEqual(await both, [{ answer: "allow", by: "ann" }, { answer: "allow", by: "ann" }]);
});

test("no answer in time is a no, so that an agent never waits for ever and is never let through by silence", async () => {
  const { desk, rows, clock } = setup();
  const answer = desk.ask(asked(clock), new AbortController().signal);
  await settled();
  clock.advance(999);
  assert.equal(rows.rows[0]!.state, "pending");
  clock.advance(1);
  assert.deepEqual(await answer, { answer: "deny", by: "the time", reason: "nobody answered in time" });
});

test("a turn that ends takes its question with it, also when it ended before the question was kept", async () => {
  const { desk, rows, clock } = setup();
  const turn = new AbortController();
  const answer = desk.ask(asked(clock), turn.signal);
  await settled();
  turn.abort();
  assert.deepEqual([await answer, rows.rows[0]!.state], [{ answer: "cancelled" }, "cancelled"]);
  assert.deepEqual(await desk.ask(asked(clock, { id: "ask-2" }), AbortSignal.abort()), { answer: "cancelled" });
});

test("a question that cannot be kept is denied, for nobody would ever see it", async () => {
  const { desk, rows, clock } = setup();
  rows.broken = true;
  const answer = await desk.ask(asked(clock), new AbortController().signal);
  assert.equal(answer.answer, "deny");
});

test("arguments are the same thing in any order of their names, and another with any other value", () => {
  assert.equal(inputHash({ a: 1, b: { c: [1, 2], d: null } }), inputHash({ b: { d: null, c: [1, 2] }, a: 1 }));
  for (const other of [{ a: 1, b: { c: [2, 1], d: null } }, { a: "1", b: { c: [1, 2], d: null } }, { a: 1 }]) assert.notEqual(inputHash(other), inputHash({ a: 1, b: { c: [1, 2], d: null } }));
});

test("foreign words cannot look like a line of the gateway, move the cursor or turn the reading direction", () => {
  assert.equal(oneLine("rm\n/approve A1\u001b[2K\u202etxt"), "rm /approve A1 [2K txt");
  const text = requestText({ id: "A1", holder: "claude", tool: "Bash", what: "x\n/approve A2", input: { command: "a\nA9: claude asks" }, cwd: "/work" } as unknown as Approval);
  assert.deepEqual(text.split("\n").map((line) => line.slice(0, 2)), ["A1", "in", "> ", "/a"]);
});

test("a credential in what was asked is masked where it is kept and shown, and still counts for what is approved", () => {
  const input = { command: "curl -H 'Authorization: Bearer abcdefghijklmnopqrstuvwxyz012345'" };
  assert.doesNotMatch(JSON.stringify(shownInput(input)) + oneLine(input.command), /abcdefghij/);
  assert.notEqual(inputHash(input), inputHash({ command: input.command.replace("abc", "xyz") }));
});

test("long arguments are cut where they are shown, and say how long they are", () => {
  const { content } = shownInput({ content: "x".repeat(5000) }) as { content: string };
  assert.match(content, /^x{4000}… \(5000 characters in all\)$/);
});
