/** The part of the store's contract that is about approvals and bindings; see contract-suite.ts. */
import assert from "node:assert/strict";
import type { SessionKey } from "../base/ids.ts";
import type { NewApproval } from "../model/approval.ts";
import { Fault } from "../model/faults.ts";
import type { StartedTurn } from "../model/turn.ts";
import { ANN, BOB, MAIN, type StoreBench } from "./store-bench.test-support.ts";

const HOUR_MS = 3_600_000;

type Registers = (text: string, story: (bench: StoreBench) => Promise<void>) => void;

/** A harness session that Ann started, with its first turn running. */
async function harness(bench: StoreBench): Promise<{ key: SessionKey; turn: StartedTurn }> {
  const key = await bench.store.openHarnessSession({ agent: "claude", parent: ANN, cwd: "/work", label: null });
  return { key, turn: await bench.begin(key, "go") };
}

function asked(turn: StartedTurn | null, session: SessionKey, more: Partial<NewApproval> = {}): NewApproval {
  return {
    askKey: "ask-1", session, turnId: turn?.turnId ?? null, holder: "claude", tool: "Bash", what: "npm test", path: null, input: { command: "npm test" }, hash: "h1", cwd: "/work",
    expiresAt: Number.MAX_SAFE_INTEGER, ...more,
  };
}

const refused = (code: string) => (thrown: unknown): boolean => thrown instanceof Fault && thrown.code === code;

export function approvalContract(promise: Registers): void {
  promise("the same thing is asked once, in the conversation that it came from, so nobody sees a question twice", async (bench) => {
    const { key, turn } = await harness(bench);
    const first = await bench.store.askApproval(asked(turn, key));
    assert.deepEqual([first.state, first.place, (await bench.store.askApproval(asked(turn, key))).id], ["pending", ANN, first.id]);
    const log = bench.events.filter(({ type }) => type === "approval.requested").map(({ session }) => session);
    assert.deepEqual(log.sort(), [ANN, key].sort());
    assert.equal(bench.events.filter(({ type, session, data }) => type === "notice" && session === ANN && data["code"] === "APPROVAL").length, 1);
    await bench.drain();
  });

  promise("a question that was left open does not make old work look young", async (bench) => {
    const { key, turn } = await harness(bench);
    await bench.store.askApproval(asked(turn, key));
    bench.clock.advance(HOUR_MS);
    const { turns, retired } = await bench.store.recover({ staleMs: HOUR_MS });
    assert.deepEqual([turns.length, retired?.sessions], [0, 1]);
    assert.deepEqual(bench.events.filter(({ type, session }) => type === "approval.answered" && session === key).length, 1);
  });

  promise("an approval is answered once: a second answer changes nothing", async (bench) => {
    const { key, turn } = await harness(bench);
    const { id } = await bench.store.askApproval(asked(turn, key));
    assert.equal((await bench.store.answerApproval({ id, answer: "deny", by: "ann", from: ANN })).state, "denied");
    await assert.rejects(bench.store.answerApproval({ id, answer: "always", by: "ann", from: ANN }), refused("APPROVAL_ENDED"));
    assert.deepEqual(await bench.store.standingApprovals(ANN), []);
    assert.equal((await bench.store.endApproval({ askKey: "ask-1", state: "expired", by: "the time" }))!.state, "denied");
  });

  promise("an answer from another conversation is not taken, and does not learn that there is a question", async (bench) => {
    const { key, turn } = await harness(bench);
    const { id } = await bench.store.askApproval(asked(turn, key));
    await assert.rejects(bench.store.answerApproval({ id, answer: "once", by: "bob", from: BOB }), refused("APPROVAL_NOT_FOUND"));
    assert.equal((await bench.store.approval(id))!.state, "pending");
    assert.equal((await bench.store.answerApproval({ id, answer: "once", by: "me", from: MAIN })).state, "approved", "the operator's own conversation may");
  });

  promise("always holds for exactly this and in this conversation, not for other arguments, folders, tools, holders or people", async (bench) => {
    const { key, turn } = await harness(bench);
    const { id } = await bench.store.askApproval(asked(turn, key));
    await bench.store.answerApproval({ id, answer: "always", by: "ann", from: ANN });
    const again = await bench.store.askApproval(asked(turn, key, { askKey: "ask-2" }));
    assert.deepEqual([again.state, again.standing, again.by], ["approved", true, "ann"]);
    for (const [name, other] of Object.entries({ hash: "h2", cwd: "/other", tool: "Write", holder: "codex" })) {
      assert.equal((await bench.store.askApproval(asked(turn, key, { askKey: `other ${name}`, [name]: other }))).state, "pending", name);
    }
    const ofBob = await bench.store.openHarnessSession({ agent: "claude", parent: BOB, cwd: "/work", label: null });
    assert.equal((await bench.store.askApproval(asked(null, ofBob, { askKey: "bob" }))).state, "pending");
    assert.equal(await bench.store.forgetStanding(ANN), 1);
    assert.equal((await bench.store.askApproval(asked(turn, key, { askKey: "ask-3" }))).state, "pending");
  });

  promise("what ends a turn closes what it asked, so no question outlives the one who waits", async (bench) => {
    const { key, turn } = await harness(bench);
    const first = await bench.store.askApproval(asked(turn, key));
    await bench.done(turn);
    assert.equal((await bench.store.approval(first.id))!.state, "cancelled");
    const second = await bench.begin(key, "again");
    const { id } = await bench.store.askApproval(asked(second, key, { askKey: "ask-2" }));
    await bench.store.cancelSession({ key, by: "ann", tree: false, queue: false });
    assert.equal((await bench.store.approval(id))!.state, "cancelled");
    assert.equal((await bench.store.askApproval(asked(second, key, { askKey: "late" }))).state, "cancelled", "a turn that is over may not ask");
    await assert.rejects(bench.store.answerApproval({ id, answer: "once", by: "ann", from: ANN }), refused("APPROVAL_ENDED"));
  });

  promise("after a crash the questions of turns are closed, for who waited is gone; others stay", async (bench) => {
    const { key, turn } = await harness(bench);
    const ofTurn = await bench.store.askApproval(asked(turn, key));
    const lasting = await bench.store.askApproval(asked(null, ANN, { askKey: "gate" }));
    await bench.crash();
    assert.deepEqual([(await bench.store.approval(ofTurn.id))!.state, (await bench.store.approval(lasting.id))!.state], ["cancelled", "pending"]);
    assert.deepEqual((await bench.store.approvals({ state: "pending", limit: 10 })).approvals.map(({ id }) => id), [lasting.id]);
    await bench.drain();
  });

  promise("an answer after the time does not count, however late the timer is", async (bench) => {
    const { key, turn } = await harness(bench);
    const { id } = await bench.store.askApproval(asked(turn, key, { expiresAt: bench.clock.now() + 1000 }));
    bench.clock.advance(1000);
    await assert.rejects(bench.store.answerApproval({ id, answer: "once", by: "ann", from: ANN }), refused("APPROVAL_ENDED"));
    await bench.store.endApproval({ askKey: "ask-1", state: "expired", by: "the time" });
    assert.equal((await bench.store.approval(id))!.state, "expired");
    await bench.drain();
  });

  promise("approvals are listed by page, the newest first, also only those of one conversation", async (bench) => {
    for (let n = 0; n < 5; n++) await bench.store.askApproval(asked(null, (await bench.store.openSession(n % 2 === 0 ? ANN : BOB)).key, { askKey: `k${n}` }));
    const first = await bench.store.approvals({ limit: 3 });
    const second = await bench.store.approvals({ limit: 3, after: first.next! });
    assert.deepEqual([...first.approvals, ...second.approvals].map(({ askKey }) => askKey), ["k4", "k3", "k2", "k1", "k0"]);
    assert.equal(second.next, null);
    assert.deepEqual((await bench.store.approvals({ state: "pending", place: BOB, limit: 9 })).approvals.map(({ askKey }) => askKey), ["k3", "k1"]);
  });

  // ── bindings ──────────────────────────────────────────────────────────────────────────────

  promise("messages of a bound conversation go to the harness session, and the answer comes back in the conversation", async (bench) => {
    const key = await bench.store.openHarnessSession({ agent: "claude", parent: ANN, cwd: null, label: null });
    await bench.store.bind({ conversation: ANN, target: key });
    const accepted = await bench.accept(ANN, "hello", { sourceId: "1" });
    assert.equal(accepted.session, ANN);
    const turn = await bench.start();
    assert.deepEqual([turn.session, turn.messages.map(({ text }) => text)], [key, ["hello"]]);
    await bench.done(turn, "line one\nline two");
    assert.deepEqual(bench.replies(ANN).map(({ text, replyTo }) => [text, replyTo]), [["line one\nline two", [accepted.messageId]]]);
    assert.deepEqual(await bench.transcript(ANN), ["user: hello", "notice: claude answered:\n> line one\n> line two"], "quoted, for they are not the words of the conversation's own agent");
    assert.deepEqual(bench.events.filter(({ type, session }) => type === "message.accepted" && session === ANN).map(({ data }) => [data["messageId"], data["boundTo"]]), [[accepted.messageId, key]]);
  });

  promise("a message through a binding is accepted once, also when it is sent again after the binding has gone or come", async (bench) => {
    const early = await bench.accept(ANN, "before", { sourceId: "0" });
    await bench.drain();
    const key = await bench.store.openHarnessSession({ agent: "claude", parent: ANN, cwd: null, label: null });
    await bench.store.bind({ conversation: ANN, target: key });
    const first = await bench.accept(ANN, "hi", { sourceId: "1" });
    assert.deepEqual([(await bench.accept(ANN, "hi", { sourceId: "1" })).messageId, (await bench.accept(ANN, "before", { sourceId: "0" })).messageId], [first.messageId, early.messageId]);
    assert.equal(await bench.store.unbind(ANN), key);
    assert.deepEqual(await bench.accept(ANN, "hi", { sourceId: "1" }), { messageId: first.messageId, session: ANN, queuedAhead: 0, etaMs: 0, duplicate: true });
    await bench.drain();
  });

  promise("two conversations bound to one session are told apart, also when they count their messages alike", async (bench) => {
    const key = await bench.store.openHarnessSession({ agent: "claude", parent: ANN, cwd: null, label: null });
    for (const conversation of [ANN, BOB]) await bench.store.bind({ conversation, target: key });
    for (const conversation of [ANN, BOB]) assert.equal((await bench.accept(conversation, `of ${conversation}`, { sourceId: "1", mode: "followup" })).duplicate, false);
    await bench.drain((turn) => `re ${turn.messages[0]!.text}`);
    assert.deepEqual([bench.replies(ANN).map(({ text }) => text), bench.replies(BOB).map(({ text }) => text)], [[`re of ${ANN}`], [`re of ${BOB}`]]);
    assert.deepEqual([...(await bench.store.unbindTarget(key))].sort(), [ANN, BOB].sort());
  });

  promise("a conversation hears of it when its message fails, is stopped or is taken out of line", async (bench) => {
    const key = await bench.store.openHarnessSession({ agent: "claude", parent: ANN, cwd: null, label: null });
    await bench.store.bind({ conversation: ANN, target: key });
    const one = await bench.accept(ANN, "one", { mode: "followup" });
    await bench.failed(await bench.start());
    const two = await bench.accept(ANN, "two", { mode: "followup" });
    await bench.start();
    const three = await bench.accept(ANN, "three", { mode: "followup" });
    await bench.store.cancelSession({ key, by: "ann", tree: false, queue: true });
    const ends = bench.events.filter(({ type, session }) => type === "turn.ended" && session === ANN).map(({ data }) => [data["outcome"], data["messageIds"]]);
    assert.deepEqual(ends, [["failed", [one.messageId]], ["cancelled", [two.messageId]], ["cancelled", [three.messageId]]]);
  });

  promise("a binding survives a crash, and ends with a reset of the conversation or the end of either session", async (bench) => {
    const key = await bench.store.openHarnessSession({ agent: "claude", parent: ANN, cwd: null, label: null });
    await bench.store.bind({ conversation: ANN, target: key });
    await bench.crash();
    assert.equal(await bench.store.boundTo(ANN), key);
    await bench.store.resetSession({ key: ANN, by: "ann" });
    assert.equal(await bench.store.boundTo(ANN), null);
    await bench.store.bind({ conversation: ANN, target: key });
    await bench.store.deleteSession({ key, by: "ann" });
    assert.equal(await bench.store.boundTo(ANN), null);
    await bench.accept(ANN, "to the native agent");
    assert.equal((await bench.start()).session, ANN);
    await bench.drain();
  });

  promise("only conversations of people are bound, and only to harness sessions, so no chain of bindings can form", async (bench) => {
    const key = await bench.store.openHarnessSession({ agent: "claude", parent: ANN, cwd: null, label: null });
    await assert.rejects(bench.store.bind({ conversation: key, target: key }), refused("BAD_REQUEST"));
    await assert.rejects(bench.store.bind({ conversation: ANN, target: BOB }), refused("BAD_REQUEST"));
    await assert.rejects(bench.store.bind({ conversation: ANN, target: "agent:claude:acp:none" as SessionKey }), refused("SESSION_NOT_FOUND"));
  });

  promise("a question of a bound harness session is put in the conversation that is bound to it", async (bench) => {
    const key = await bench.store.openHarnessSession({ agent: "claude", parent: ANN, cwd: null, label: null });
    await bench.store.bind({ conversation: BOB, target: key });
    assert.equal((await bench.store.askApproval(asked(null, key))).place, BOB);
  });
}
