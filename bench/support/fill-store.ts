/**
 * Fills a home's store as years of use would, without a gateway: the store's own verbs run in this
 * process, many in one transaction, so the rows are exactly those that a gateway writes.
 */
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { systemRandom, type SessionKey } from "../../src/base/ids.ts";
import { NO_USAGE } from "../../src/model/chat.ts";
import type { ClaimRules } from "../../src/model/claim.ts";
import type { JobSpec } from "../../src/model/job.ts";
import { modelStepKey } from "../../src/model/transcript.ts";
import type { StartedTurn } from "../../src/model/turn.ts";
import { openStoreInProcess } from "../../src/store/sqlite/open-in-process.ts";
import type { AcceptRules, Store } from "../../src/store/store.ts";

/** Turns in one transaction. */
const BATCH_TURNS = 500;
const CACHE_KIB = 1_000_000;
const CHECKPOINT_PAGES = 100_000;
const ACCEPT_RULES: AcceptRules = { waitMs: 0, defaultMode: "followup", meanTurnMs: 1, independence: "dependent" };
const CLAIM_RULES: ClaimRules = { turnsMax: BATCH_TURNS, meanTurnMs: { main: 1, side: 1, subagent: 1, acp: 1, timer: 1 } };
const STORE_RULES = { pools: { main: BATCH_TURNS, side: 1, subagent: 1, acp: 1, timer: 1 }, foregroundMs: 10_000, gatherMs: 1_000, sideTurnsMax: 3, queueCap: 1_000 };
const ANSWER = "an answer of usual length, which says a little more than the question did";

/** Puts `count` sessions with one answered message each into a home. */
export function fillSessions(home: string, count: number): Promise<void> {
  return withStore(home, async (store) => {
    for (let first = 0; first < count; first += BATCH_TURNS) {
      const sessions = Array.from({ length: Math.min(BATCH_TURNS, count - first) }, (_, i) => `agent:main:stored:direct:s${first + i}` as SessionKey);
      await answered(store, sessions);
    }
  });
}

/** Puts `count` answered messages into one session. */
export function fillMessages(home: string, session: string, count: number): Promise<void> {
  return withStore(home, async (store) => {
    for (let n = 0; n < count; n++) await answered(store, [session as SessionKey]);
  });
}

/** Puts jobs into a home, each with its next moment. */
export function fillJobs(home: string, jobs: readonly { readonly spec: JobSpec; readonly at: number }[]): Promise<void> {
  return withStore(home, async (store) => {
    await Promise.all(jobs.map(({ spec, at }) => store.putJob({ spec, origin: "made", state: "active", next: { nextFor: at, dueAt: at }, fingerprint: null, jobsMax: jobs.length })));
  });
}

async function withStore(home: string, fill: (store: Store) => Promise<void>): Promise<void> {
  const { store, kernel } = openStoreInProcess({ file: join(home, "yard.sqlite"), clock: systemClock, random: systemRandom });
  // What is filled here is only ever measured: it need not survive a power cut, and all of it may stay in memory meanwhile.
  kernel.db.exec(`PRAGMA synchronous = OFF; PRAGMA cache_size = -${CACHE_KIB}; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  await store.setRules(STORE_RULES);
  await fill(store);
  await store.close();
}

/** One message in each session, claimed and answered. */
async function answered(store: Store, sessions: readonly SessionKey[]): Promise<void> {
  const accepted = sessions.map((session) =>
    store.acceptMessage({
      message: { session, text: "a question of usual length, about this and that", provenance: "user", channel: "bench", sourceId: null, author: null, queueMode: null, replyTo: null },
      rules: ACCEPT_RULES,
    }),
  );
  const claim = store.claimTurns(CLAIM_RULES);
  await Promise.all(accepted);
  await Promise.all((await claim).started.map((turn) => endTurn(store, turn)));
}

function endTurn(store: Store, { turnId, session, epoch }: StartedTurn): Promise<boolean> {
  const answer = { parts: [{ type: "text" as const, text: ANSWER }], stop: "end" as const, usage: NO_USAGE, model: "standin" };
  return store.endTurn({
    turn: { turnId, session, epoch },
    end: { outcome: "done", text: ANSWER, usage: NO_USAGE },
    writes: [{ result: { key: modelStepKey(1), value: { kind: "model", answer } } }],
  });
}
