import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { BOB } from "../store-bench.test-support.ts";
import type { DiskState } from "../store.ts";
import type { VerbAnswer } from "./batch.ts";
import { openOnDisk } from "./bench.test-support.ts";
import { reserveOf } from "./database.ts";
import { DiskGuard } from "./disk-guard.ts";

const SQLITE_IOERR_FSYNC = 1034;

function setup(t: TestContext) {
  const { file, kernel } = openOnDisk(t);
  const states: DiskState[] = [];
  let nowMs = 0;
  let ids = 0;
  const guard = new DiskGuard({ kernel, file, monotonic: () => nowMs, onState: (state) => states.push(state) });
  guard.prepare();
  const accept = (text: string) => ({
    id: ++ids,
    verb: "acceptMessage" as const,
    input: { message: { session: BOB, text, provenance: "user", channel: "api", sourceId: null, author: null, replyTo: null, queueMode: null }, rules: { waitMs: 0, defaultMode: "auto", meanTurnMs: 1, independence: "rules" } },
  });
  const look = () => ({ id: ++ids, verb: "totals" as const, input: undefined });
  return { guard, kernel, states, reserve: reserveOf(file), accept, look, pass: (ms: number) => (nowMs += ms) };
}

const outcomesOf = (answers: readonly VerbAnswer[]): string[] => answers.map((answer) => ("fault" in answer ? answer.fault.code : "value" in answer ? "done" : answer.defect));

test("without room the reserve is given up, intake is refused, the rest goes on, and with room it is as before", (t) => {
  const { guard, kernel, states, reserve, accept, look, pass } = setup(t);
  assert.ok(existsSync(reserve));
  const pages = kernel.count("PRAGMA page_count");
  kernel.count(`PRAGMA max_page_count = ${pages + 2}`);
  assert.deepEqual(outcomesOf(guard.run([accept("x".repeat(100_000))]).answers), ["DISK_FULL"]);
  assert.deepEqual([guard.state, existsSync(reserve)], ["full", false]);
  assert.deepEqual(outcomesOf(guard.run([look(), accept("small")]).answers), ["done", "DISK_FULL"]);
  kernel.count("PRAGMA max_page_count = 1000000");
  assert.deepEqual(outcomesOf(guard.run([accept("small")]).answers), ["DISK_FULL"], "it is not looked at more than once a second");
  pass(1_000);
  assert.deepEqual(outcomesOf(guard.run([accept("small")]).answers), ["done"]);
  assert.deepEqual([states.map(({ at }) => at), existsSync(reserve)], [["full", "good"], true], "told once each");
});

test("after a sync that failed nothing is written or tried again, because the disk's next answer could not be believed", (t) => {
  const { guard, kernel, states, accept, look } = setup(t);
  const exec = kernel.db.exec.bind(kernel.db);
  let commits = 0;
  t.mock.method(kernel.db, "exec", (sql: string) => {
    if (sql !== "COMMIT") return exec(sql);
    commits++;
    throw Object.assign(new Error("disk I/O error"), { errcode: SQLITE_IOERR_FSYNC });
  });
  assert.deepEqual(outcomesOf(guard.run([accept("one")]).answers), ["STORE_IO"]);
  assert.deepEqual(outcomesOf(guard.run([accept("two"), look()]).answers), ["STORE_IO", "STORE_IO"]);
  assert.deepEqual([commits, states.map(({ at }) => at)], [1, ["failed"]]);
});
