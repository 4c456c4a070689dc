/**
 * The watch over a child's progress under random histories: it strikes exactly when nothing new has
 * come for its time, neither earlier nor later, and a watch that is fed by anything else is noticed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileChange, Supervision } from "../../model/supervision.ts";
import { modelStepKey } from "../../model/transcript.ts";
import { answered, calling, refOf, resulted, StoreBench } from "../store-bench.test-support.ts";
import { openInMemory } from "./bench.test-support.ts";
import { Kernel } from "./kernel.ts";

const SEEDS = 60;
const MOVES_MAX = 60;
const WATCHED: Supervision = { progressSeconds: null, attempts: 1, backoffSeconds: 0, retryModel: null, category: null, circuitFailures: 0, circuitOpenSeconds: 0, onEnd: "wait", onConflict: "wait" };

/** A plausible mistake. */
interface Mutant {
  readonly name: string;
  /** Changes a statement on its way; null = it finds nothing. */
  readonly sql?: (sql: string) => string | null;
  /** What the look at the files says. */
  readonly look?: (change: FileChange | null, now: number) => FileChange | null;
}

const MUTANTS: readonly Mutant[] = [
  { name: "every result counts, also the same again", sql: (sql) => sql.replace("min(s.ended_at) AS first", "max(s.ended_at) AS first") },
  { name: "words of the model count", sql: (sql) => (sql.includes("AS first") ? sql.replace("min(", "max(").replace("s.kind = 'tool' AND ", "(s.kind = 'model' OR s.input IS NOT NULL) AND ").replace("GROUP BY s.name, s.input, json_extract(s.result, '$.result.text')", "GROUP BY s.key") : sql) },
  { name: "output counts as a changed file", look: (_change, now) => ({ path: "printed.txt", at: now }) },
  { name: "files are never looked at", sql: (sql) => (sql.includes("SELECT t.id, t.epoch FROM turn t JOIN step s") ? null : sql) },
  { name: "a changed file counts also under a call that is only repeated", sql: (sql) => sql.replace("done.ended_at > ?3", "done.ended_at > ?3 + 1000000000") },
];

/** @returns what went against the promise, or null. */
async function story(seed: number, mutant: Mutant | null): Promise<string | null> {
  const opened = openInMemory(seed);
  const { kernel } = opened;
  if (mutant?.sql !== undefined) {
    const { sql: change } = mutant;
    kernel.get = (sql, ...values) => {
      const changed = change(sql);
      return changed === null ? undefined : Kernel.prototype.get.call(kernel, changed, ...values);
    };
  }
  const bench = new StoreBench(opened);
  await bench.rules();
  const whole = dice(seed);
  const progressSeconds = whole(2, 20);
  const timeMs = progressSeconds * 1000;
  const child = await bench.spawn(null, "c", { supervision: { ...WATCHED, progressSeconds } });
  const turn = await bench.start();

  // What a person would say of it.
  let newAt = bench.clock.now();
  let fileAt = 0;
  let open: { readonly round: number; readonly tool: string } | null = null;
  const had = new Set<string>();
  let isRepeated = false;
  let round = 1;

  const write = (...writes: Parameters<typeof bench.store.journal>[0]["writes"]) => bench.store.journal({ turn: refOf(turn), writes, events: [] });
  const ended = async (): Promise<boolean> => (await bench.store.task(child.taskId))!.state === "timed_out";
  const came = (tool: string, text: string): void => {
    if (had.has(`${tool}/${text}`)) {
      if (tool === "look") isRepeated = true;
      return;
    }
    had.add(`${tool}/${text}`);
    newAt = bench.clock.now();
    isRepeated = false;
  };

  /** Lets time pass as the scheduler does: it asks whenever the store said that something comes due. */
  const pass = async (ms: number): Promise<string | null> => {
    const until = bench.clock.now() + ms;
    for (;;) {
      const { quiet, nextAt } = await bench.claim();
      const now = bench.clock.now();
      for (const one of quiet) {
        const change = fileAt > one.since ? { path: "file", at: fileAt } : null;
        await bench.store.judgeQuiet({ turn: refOf(turn), change: mutant?.look === undefined ? change : mutant.look(change, now) });
      }
      const isInNewCall = open !== null && !(open.tool === "look" && isRepeated);
      if (now >= newAt + timeMs && isInNewCall) newAt = Math.max(newAt, fileAt);
      const isOver = now >= newAt + timeMs;
      if ((await ended()) !== isOver) return `${isOver ? "goes on" : "was ended"} ${now - newAt} ms after the last that was new, with ${timeMs} ms`;
      if (isOver) return null;
      if (quiet.length > 0) continue;
      if (now >= until) return null;
      bench.clock.advance(Math.max(1, Math.min(until, nextAt ?? until) - now));
    }
  };

  for (let move = 0; move < MOVES_MAX && !(await ended()); move++) {
    const what = whole(0, 6);
    round++;
    if (what === 0) {
      await write(calling(round, `c${round}`, `tool${round}`), resulted(round, `c${round}`, `tool${round}`, "new"));
      came(`tool${round}`, "new");
    } else if (what === 1) {
      await write(calling(round, `c${round}`, "look"), resulted(round, `c${round}`, "look", "the same"));
      came("look", "the same");
    } else if (what === 2 && open === null) {
      open = { round, tool: whole(0, 1) === 0 ? "look" : `long${round}` };
      await write(calling(round, `c${round}`, open.tool));
    } else if (what === 3 && open !== null) {
      await write(resulted(open.round, `c${open.round}`, open.tool, "the same"));
      came(open.tool, "the same");
      open = null;
    } else if (what === 4) {
      await write({ intent: { key: modelStepKey(round), kind: "model", name: "m", effect: "pure", input: null } }, answered(round, [{ type: "text", text: `words ${round}` }]));
    } else if (what === 5) {
      fileAt = bench.clock.now();
    }
    const problem = await pass(whole(1, Math.round(timeMs * 0.6)));
    if (problem !== null) return problem;
  }
  return null;
}

/** Whole numbers, the same for the same seed. */
function dice(seed: number): (from: number, to: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (from, to) => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9) >>> 0;
    return from + ((state >>> 8) % (to - from + 1));
  };
}

test("a child is over exactly when nothing new has come for its time, whatever else it says, repeats, prints and writes", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) assert.equal(await story(seed, null), null, `seed ${seed}`);
});

for (const mutant of MUTANTS) {
  test(`the checks notice a watch that is fed by the wrong things: ${mutant.name}`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) if ((await story(seed, mutant)) !== null) return;
    assert.fail(`${SEEDS} seeds did not notice it`);
  });
}
