/** Whole stories of fifty agents and some people on one account, for every kind of provider; see `test/support/governor-story.ts`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { placesWaited, tellStory, type Story } from "../../test/support/governor-story.ts";

const MINUTE = 60_000;
const PHASES = [
  { name: "slow", ms: 5 * MINUTE, perMinute: 15 },
  { name: "fast", ms: 4 * MINUTE, perMinute: 60 },
  { name: "wall", ms: 3 * MINUTE, perMinute: null },
  { name: "after", ms: 3 * MINUTE, perMinute: 60 },
];
const COUNTS = ["bucket", "any minute", "own minutes"] as const;
const ANSWERS_MS = [1_000, 15_000];

for (const counts of COUNTS) {
  for (const answerMs of ANSWERS_MS) {
    const title = `a provider that counts by ${counts}, answers of ${answerMs / 1000} s`;

    test(`${title}: a limit that was set is never passed, and people wait two places at most, also behind a wall without a word`, async () => {
      const story = await tellStory({ counts, answerMs, tells: "limit", isKnown: true, phases: PHASES });
      assert.equal(refusals(story, 429), 0);
      assertKept(story);
      assert.ok(worstWait(story) <= 2, `${worstWait(story)} places`);
      assertUsed(story, answerMs);
      assertNotInStep(story);
    });

    test(`${title}: a limit that only headers tell of is met once, and people wait two places at most`, async () => {
      const story = await tellStory({ counts, answerMs, tells: "limit", phases: PHASES });
      const seen = story.log.filter(({ status }) => status === 429);
      assert.ok(seen.filter(({ at }) => at > 1_000).length <= 2, `after the first burst ${seen.filter(({ at }) => at > 1_000).length} were refused`);
      assert.ok(worstWait(story) <= 2, `${worstWait(story)} places`);
      assertUsed(story, answerMs);
      assertNotInStep(story);
    });
  }
}

for (const counts of ["bucket", "any minute"] as const) {
  for (const tells of ["wait", "nothing"] as const) {
    test(`a provider that counts by ${counts} and tells ${tells === "wait" ? "only how long to wait" : "nothing"}: nobody fails, few are refused, and people wait two places at most while the limit stands`, async () => {
      const story = await tellStory({ counts, tells, phases: [{ name: "slow", ms: 15 * MINUTE, perMinute: 15 }] });
      const late = refusals(story, 429) - story.log.filter(({ status, at }) => status === 429 && at < 1_000).length;
      assert.ok(late <= 30, `${late} refused in a quarter of an hour`);
      assert.ok(worstWait(story) <= 2, `${worstWait(story)} places`);
      assert.ok(used(story, 0) > 0.9, `${used(story, 0)} of the limit`);
    });
  }
}

function refusals({ log }: Story, status: number): number {
  return log.filter((seen) => seen.status === status).length;
}

/** No more than the limit in any span of a minute, refused calls included. */
function assertKept({ log, phases }: Story): void {
  for (const { name, from, to, perMinute } of phases) {
    const times = log.filter(({ at }) => at >= from && at < to).map(({ at }) => at);
    const most = Math.max(...times.map((start) => times.filter((at) => at >= start && at < start + MINUTE).length));
    assert.ok(most <= (perMinute ?? 60), `${most} in a minute of phase ${name}`);
  }
}

/** In places of the rate in force, as far as the gateway could know it. */
function worstWait(story: Story): number {
  return Math.max(
    ...story.questions.map((question) => {
      const { perMinute } = story.phases.find(({ to }) => question.askedAt < to) ?? story.phases.at(-1)!;
      return placesWaited(story, question, MINUTE / Math.min(perMinute ?? 60, question.knownPerMinute ?? Infinity));
    }),
  );
}

/** The part of the limit that was used in a phase, its first minute aside. */
function used({ log, phases }: Story, index: number): number {
  const { from, to, perMinute } = phases[index]!;
  const times = log.filter(({ at, status }) => status === 200 && at >= from + MINUTE && at < to).map(({ at }) => at);
  return (times.length - 1) / ((times.at(-1)! - times[0]!) / MINUTE) / perMinute!;
}

function assertUsed(story: Story, answerMs: number): void {
  assert.ok(used(story, 0) > 0.95 && used(story, 1) > 0.95, `${used(story, 0)} of 15 a minute, ${used(story, 1)} of 60`);
  // After a wall half as many as before may be under way, and answers that take long fill those places for a while.
  assert.ok(used(story, 3) > (answerMs > 5_000 ? 0.85 : 0.95), `${used(story, 3)} after the wall`);
}

/** How long after each refusal the same call came again varies. */
function assertNotInStep({ log }: Story): void {
  const refused = new Map<string, number>();
  const delays: number[] = [];
  for (const { who, at, status } of log) {
    const before = refused.get(who);
    if (before !== undefined) delays.push(at - before);
    if (status === 200) refused.delete(who);
    else refused.set(who, at);
  }
  const mean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
  const variation = Math.sqrt(delays.reduce((sum, delay) => sum + (delay - mean) ** 2, 0) / delays.length) / mean;
  assert.ok(variation > 0.3, `variation ${variation} of ${delays.length} retries`);
}
