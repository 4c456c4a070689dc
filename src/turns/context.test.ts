import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionKey, TurnId } from "../base/ids.ts";
import type { Entry, RecentEntries, StartedTurn } from "../model/turn.ts";
import type { Store } from "../store/store.ts";
import { compactionCut } from "./compact.ts";
import { CACHED_BYTES_MAX, Contexts, ENTRY_BYTES } from "./context.ts";

const KEY = "agent:main:main" as SessionKey;

function entry(seq: number, text: string, role: "user" | "notice" = "user", turnId: string | null = null): Entry {
  return { seq, turnId: turnId as TurnId | null, at: 0, content: { role, text }, messageIds: [], provenance: "user", replyTo: [] };
}

interface Transcript {
  readonly entries: Entry[];
  summary: { readonly text: string; readonly upTo: number } | null;
  /** After which entry each read began. */
  readonly asked: number[];
  readonly store: Pick<Store, "context">;
}

function transcript(): Transcript {
  const made: Transcript = {
    entries: [],
    summary: null,
    asked: [],
    store: {
      async context({ after, upTo }) {
        made.asked.push(after);
        const from = Math.max(after, made.summary?.upTo ?? 0);
        return { summary: made.summary?.text ?? null, summaryUpTo: made.summary?.upTo ?? 0, entries: made.entries.filter(({ seq }) => seq > from && seq <= upTo) };
      },
    },
  };
  return made;
}

function turnAt(lastEntry: number, omit: readonly string[] = [], createdAt = 1, recent: RecentEntries | null = null): StartedTurn {
  return { session: KEY, omit, recent, sessionInfo: { key: KEY, lastEntry, createdAt } } as unknown as StartedTurn;
}

async function texts(contexts: Contexts, turn: StartedTurn): Promise<string[]> {
  return (await contexts.of(turn)).entries.map(({ content }) => (content as { text: string }).text);
}

test("only what is new is read for the next turn, so a long conversation costs no more than a short one", async () => {
  const log = transcript();
  const contexts = new Contexts(log.store);
  log.entries.push(entry(1, "a"), entry(2, "b"));
  assert.deepEqual(await texts(contexts, turnAt(2)), ["a", "b"]);
  log.entries.push(entry(3, "c"));
  assert.deepEqual(await texts(contexts, turnAt(3)), ["a", "b", "c"]);
  assert.deepEqual(log.asked, [0, 2]);
});

test("turns that are not over yet are left out, and are there once they are", async () => {
  const log = transcript();
  const contexts = new Contexts(log.store);
  log.entries.push(entry(1, "a"), entry(2, "beside", "user", "t1"));
  assert.deepEqual(await texts(contexts, turnAt(2, ["t1"])), ["a"]);
  assert.deepEqual(await texts(contexts, turnAt(2)), ["a", "beside"]);
});

test("what a running turn said is not kept in mind, because it may be taken back", async () => {
  const log = transcript();
  const contexts = new Contexts(log.store);
  log.entries.push(entry(1, "a"), entry(2, "a mistake", "user", "t1"), entry(3, "b"));
  assert.deepEqual(await texts(contexts, turnAt(3, ["t1"])), ["a", "b"]);
  log.entries.splice(1, 1);
  assert.deepEqual(await texts(contexts, turnAt(3)), ["a", "b"]);
});

test("what is kept is bounded by the memory that it takes, so that many short entries are not kept without end", async () => {
  const log = transcript();
  const contexts = new Contexts(log.store);
  const count = 1_000;
  log.entries.push(...Array.from({ length: count }, (_none, n) => entry(n + 1, "ok")));
  const sessions = Math.ceil(CACHED_BYTES_MAX / (count * ENTRY_BYTES)) + 1;
  const turnOf = (n: number): StartedTurn => {
    const turn = turnAt(count);
    return { ...turn, sessionInfo: { ...turn.sessionInfo, key: `${KEY}:${n}` as SessionKey } };
  };
  for (let n = 0; n < sessions; n++) await contexts.of(turnOf(n));
  log.asked.length = 0;
  await contexts.of(turnOf(sessions - 1));
  assert.deepEqual(log.asked, [count], "the newest is kept");
  await contexts.of(turnOf(0));
  assert.deepEqual(log.asked, [count, 0], "the oldest is not");
});

test("a session that was deleted and made anew begins with nothing of the old one", async () => {
  const log = transcript();
  const contexts = new Contexts(log.store);
  log.entries.push(entry(1, "old a"), entry(2, "old b"));
  await contexts.of(turnAt(2));
  log.entries.splice(0, 2, entry(1, "new a"), entry(2, "new b"));
  assert.deepEqual(await texts(contexts, turnAt(0)), []);
  assert.deepEqual(await texts(contexts, turnAt(2)), ["new a", "new b"]);
});

test("after a summary the older entries are gone from the context, also those that were kept in mind", async () => {
  const log = transcript();
  const contexts = new Contexts(log.store);
  log.entries.push(entry(1, "a"), entry(2, "b"), entry(3, "c"));
  await contexts.of(turnAt(3));
  log.summary = { text: "a and b", upTo: 2 };
  const context = await contexts.of(turnAt(3));
  assert.deepEqual([context.summary, context.entries.map(({ seq }) => seq)], ["a and b", [3]]);
});

test("a conversation is cut just before something that a person said, never between a call and its result", () => {
  const tool = (seq: number): Entry => ({ ...entry(seq, ""), content: { role: "tool", results: [{ callId: "c", tool: "t", text: "r", isError: false }] } });
  const entries = [entry(1, "q1"), tool(2), entry(3, "q2"), tool(4), tool(5), entry(6, "q3")];
  assert.equal(compactionCut(entries, { tokensMax: 1000, entriesMax: 10 }), null);
  assert.equal(compactionCut(entries, { tokensMax: 1000, entriesMax: 5 }), 5, "5 and 4 follow a call, so the cut moves on to q3");
  assert.equal(compactionCut([entry(1, "x".repeat(10_000)), entry(2, "short")], { tokensMax: 1000, entriesMax: 10 }), 1, "by size");
});

test("a session made anew that already has entries before its first turn begins with its own", async () => {
  const log = transcript();
  const contexts = new Contexts(log.store);
  log.entries.push(entry(1, "old a"));
  await contexts.of(turnAt(1));
  log.entries.splice(0, 1, entry(1, "new a"), entry(2, "new b"));
  assert.deepEqual(await texts(contexts, turnAt(2, [], 2)), ["new a", "new b"]);
});

test("what came with the turn is not asked for again, unless something is missing between it and what is kept", async () => {
  const log = transcript();
  const contexts = new Contexts(log.store);
  const [a, b, c, d] = [entry(1, "a"), entry(2, "b"), entry(3, "c"), entry(4, "d")];
  const withTurn = (lastEntry: number, summaryUpTo: number, ...entries: Entry[]) => turnAt(lastEntry, [], 1, { summaryUpTo, hasSummary: summaryUpTo > 0, entries });
  assert.deepEqual(await texts(contexts, withTurn(1, 0, a)), ["a"], "all there is");
  assert.deepEqual(await texts(contexts, withTurn(2, 0, a, b)), ["a", "b"], "and one that is known already");
  assert.deepEqual(log.asked, []);
  log.entries.push(a, b, c, d);
  assert.deepEqual(await texts(contexts, withTurn(4, 0, d)), ["a", "b", "c", "d"]);
  assert.deepEqual(log.asked, [2], "a gap");
  log.summary = { text: "a to c", upTo: 3 };
  assert.deepEqual(await texts(contexts, withTurn(4, 3, d)), ["d"]);
  assert.deepEqual(log.asked, [2, 4], "a summary that is not known yet");
  assert.equal((await contexts.of(withTurn(4, 3, d))).summary, "a to c");
  assert.deepEqual(log.asked, [2, 4]);
  log.summary = null;
  await contexts.of(turnAt(4, [], 1, { summaryUpTo: 3, hasSummary: false, entries: [d] }));
  assert.deepEqual(log.asked, [2, 4, 4], "a summary that was cleared");
});

test("after the conversation was made shorter the store is asked, whatever came with the turn", async () => {
  const log = transcript();
  const contexts = new Contexts(log.store);
  log.entries.push(entry(1, "a"), entry(2, "b"));
  const turn = turnAt(2, [], 1, { summaryUpTo: 0, hasSummary: false, entries: [...log.entries] });
  await contexts.of(turn);
  log.summary = { text: "a", upTo: 1 };
  assert.deepEqual((await contexts.again(turn)).entries.map(({ seq }) => seq), [2]);
});
