import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorInStream, readFailure, type Failure } from "./failure.ts";
import { FAILURE_KINDS, kindOf, verdictOn, type FailureKind } from "./verdict.ts";

const LIMITS = { attemptsMax: 8, waitMsMax: 600_000 };
const refusal = (status: number, body = "", headers: Record<string, string> = {}): Failure => ({ status, headers, body, began: false, problem: body });

for (const [status, body, kind] of [
  [400, "", "rejected"],
  [400, '{"error":{"code":"context_length_exceeded"}}', "too-long"],
  [400, "Your credit balance is too low to access the API", "quota"],
  [400, '{"error":{"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}', "auth"],
  [401, "", "auth"],
  [402, "", "quota"],
  [403, "", "auth"],
  [404, "", "missing"],
  [408, "", "failing"],
  [409, "", "failing"],
  [413, "", "rejected"],
  [422, "", "rejected"],
  [425, "", "failing"],
  [429, "", "limited"],
  [429, '{"error":{"code":"insufficient_quota"}}', "quota"],
  [429, "Request too large for gpt-5 on tokens per min", "rejected"],
  [500, "", "failing"],
  [503, "", "failing"],
  [507, "", "failing"],
  [529, "", "overloaded"],
] as const) {
  test(`${status} ${body} is "${kind}"`, () => assert.equal(kindOf(refusal(status, body)), kind));
}

for (const [error, kind, status] of [
  [{ type: "overloaded_error", message: "busy" }, "overloaded", 529],
  [{ error: { type: "rate_limit_error" } }, "limited", 429],
  [{ message: "slow down", code: "rate_limit_exceeded" }, "limited", 429],
  [{ code: 503, status: "UNAVAILABLE" }, "failing", 503],
  [{ statusCode: 401 }, "auth", 401],
  [{ message: "what?" }, "broken", undefined],
] as const) {
  test(`an error inside a stream counts like its status: ${JSON.stringify(error)}`, () => {
    const failure = readFailure(new ErrorInStream("broke off", { cause: error }));
    assert.equal(failure.status, status);
    assert.equal(kindOf(failure), kind);
  });
}

test("back-off doubles up to a cap, and chance spreads it over its upper half", () => {
  const wait = (failures: number, chance: number): number => {
    const verdict = verdictOn(refusal(500), "failing", "p", { failures: { failing: failures }, waitedMs: 0 }, { ...LIMITS, attemptsMax: 100 }, chance, 0);
    return verdict.do === "retry" ? verdict.afterMs : NaN;
  };
  assert.deepEqual([1, 2, 3, 20].map((failures) => wait(failures, 1)), [500, 1000, 2000, 30_000]);
  assert.deepEqual([1, 2, 3, 20].map((failures) => wait(failures, 0)), [250, 500, 1000, 15_000]);
});

test("every kind of failure ends: by its attempts, or because the patience is used up", () => {
  for (const kind of FAILURE_KINDS) {
    const failures: Partial<Record<FailureKind, number>> = {};
    let waitedMs = 0;
    for (let attempts = 1; ; attempts++) {
      assert.ok(attempts < 5000, `${kind} goes on for ever`);
      failures[kind] = attempts;
      const verdict = verdictOn(refusal(500), kind, "p", { failures, waitedMs }, LIMITS, 0.5, 0);
      if (verdict.do === "give up") break;
      waitedMs += verdict.do === "wall" ? 1000 : verdict.afterMs;
      assert.ok(waitedMs <= LIMITS.waitMsMax, `${kind} waits longer than allowed`);
    }
  }
});
