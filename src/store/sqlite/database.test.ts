import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fault, StoreBench, ANN, BOB } from "../store-bench.test-support.ts";
import { openOnDisk } from "./bench.test-support.ts";
import { isSafeLibrary, openDatabase } from "./database.ts";
import { migrate, MIGRATIONS } from "./schema.ts";

test("libraries in which two connections can corrupt a WAL database are refused, back-ported mends are not", () => {
  const table: Record<string, boolean> = {
    "3.7.0": false, "3.44.5": false, "3.44.6": true, "3.45.0": false, "3.50.6": false, "3.50.7": true,
    "3.51.0": false, "3.51.2": false, "3.51.3": true, "3.52.0": true, "3.53.1": true, "4.0.0": true,
  };
  for (const [version, isSafe] of Object.entries(table)) assert.equal(isSafeLibrary(version), isSafe, version);
});

const STEPS = ["CREATE TABLE a (x INTEGER);", "CREATE TABLE b (x INTEGER); INSERT INTO b VALUES (1);", "ALTER TABLE b ADD COLUMN y INTEGER; INSERT INTO a VALUES (7);"];

test("a migration that is cut off at any statement leaves a whole step, and the next start goes on from there", () => {
  for (let step = 0; step < STEPS.length; step++) {
    for (const cutOff of [`${STEPS[step]} SELECT no_such_function();`, `SELECT no_such_function(); ${STEPS[step]}`]) {
      const db = new DatabaseSync(":memory:");
      const broken = STEPS.map((sql, index) => (index === step ? cutOff : sql));
      assert.throws(() => migrate(db, "f", broken));
      if (db.isTransaction) db.exec("ROLLBACK");
      assert.deepEqual({ ...db.prepare("PRAGMA user_version").get() }, { user_version: step });
      migrate(db, "f", STEPS);
      assert.deepEqual([{ ...db.prepare("SELECT count(*) AS n FROM b").get() }, { ...db.prepare("SELECT x FROM a").get() }], [{ n: 1 }, { x: 7 }]);
      migrate(db, "f", STEPS);
      db.close();
    }
  }
});

test("a file of a newer program is refused and not touched", (t) => {
  const { file, kernel } = openOnDisk(t);
  kernel.db.exec(`PRAGMA user_version = ${MIGRATIONS.length + 1}`);
  assert.throws(() => openDatabase(file), fault("STORE_NEWER_SCHEMA"));
  assert.equal(kernel.count("PRAGMA user_version"), MIGRATIONS.length + 1);
});

test("a file that is no database is refused as damaged", (t) => {
  const { file, kernel } = openOnDisk(t);
  kernel.db.close();
  writeFileSync(file, "no database, but long enough to be read as the head of one ".repeat(100));
  assert.throws(() => openDatabase(file), fault("STORE_CORRUPT"));
});

test("on a full disk nothing is half done, and the store works again when there is space", async (t) => {
  const opened = openOnDisk(t);
  const bench = new StoreBench(opened);
  const turn = await bench.begin(ANN, "before");
  const pages = opened.kernel.count("PRAGMA page_count");
  opened.kernel.count(`PRAGMA max_page_count = ${pages + 2}`);
  const told = bench.events.length;

  const big = "x".repeat(100_000);
  const [one, other] = await Promise.allSettled([bench.accept(BOB, big), bench.accept(ANN, big)]);
  assert.deepEqual([one.status, other.status], ["rejected", "rejected"]);
  assert.ok(fault("DISK_FULL")((one as PromiseRejectedResult).reason));
  assert.equal(bench.events.length, told, "nothing was told that is not on disk");
  assert.equal(await bench.store.session(BOB), null);
  assert.deepEqual(await bench.store.checkIntegrity(), []);

  opened.kernel.count("PRAGMA max_page_count = 1000000");
  assert.equal((await bench.accept(BOB, big)).duplicate, false);
  assert.equal(await bench.done(turn), true);
  await bench.drain();
  assert.deepEqual(await bench.store.checkIntegrity(), []);
});

test("a verb that fails takes nothing of the others in its batch with it", async (t) => {
  const bench = new StoreBench(openOnDisk(t));
  const results = await Promise.allSettled([bench.accept(ANN, "one"), bench.accept("agent:main:subagent:none" as typeof ANN, "nobody"), bench.accept(ANN, "two")]);
  assert.deepEqual(results.map((result) => result.status), ["fulfilled", "rejected", "fulfilled"]);
  assert.equal((await bench.store.session(ANN))!.waitingMessages, 2);
  assert.deepEqual(bench.eventsOf(ANN).map((event) => event.seq), [1, 2, 3]);
});
