/** A database file that is damaged, cut off or not one at all: one clear fault, nothing touched, and a way back. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync, writeSync, closeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { ApiBackup, History, TaskList } from "../../src/api/wire.ts";
import { systemClock } from "../../src/base/clock.ts";
import { seededRandom, systemRandom } from "../../src/base/ids.ts";
import { Fault } from "../../src/model/faults.ts";
import { checkUp } from "../../src/store/sqlite/checkup.ts";
import { openStoreInProcess } from "../../src/store/sqlite/open-in-process.ts";
import { Gateway, standinConfig, startGateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const MAIN = encodeURIComponent("agent:main:main");
const SPOILED = 300;
const CONFIG = { "messages.messageWaitMs": 0 };
/** What a damaged file may lead to; anything else is a defect. */
const TYPED: readonly string[] = ["STORE_CORRUPT", "STORE_IO", "STORE_FAILED", "STORE_NEWER_SCHEMA"];

function yard(home: string, ...words: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, "bin", "yard.mjs"), ...words], { env: { PATH: "/usr/bin:/bin", HOME: home, YARD_HOME: home }, encoding: "utf8", timeout: 20_000 });
  return { status, out: stdout, err: stderr };
}

test("a gateway does not start on a damaged file: one fault that names file and remedy, and not a byte is changed", async (t) => {
  const gateway = await startGateway(t, { config: CONFIG });
  await gateway.ask("hello");
  await gateway.stop();
  const file = join(gateway.home, "yard.sqlite");
  const sound = readFileSync(file);
  const spoil: Record<string, () => void> = {
    "cut off in its first page": () => truncateSync(file, 1_000),
    empty: () => truncateSync(file, 0),
    garbage: () => writeFileSync(file, "this is no database, whatever its name says. ".repeat(500)),
    "cut off": () => truncateSync(file, Math.floor(sound.length / 2)),
    overwritten: () => writeFileSync(file, Buffer.concat([sound.subarray(0, 4096), Buffer.from(seededRandom(7)(60_000)), sound.subarray(64_096)])),
  };
  for (const [what, doIt] of Object.entries(spoil)) {
    writeFileSync(file, sound);
    doIt();
    const before = readFileSync(file);
    const up = yard(gateway.home, "up", "--port", "0", "--json");
    assert.equal(up.status, 1, what);
    const fault = JSON.parse(up.err.trim().split("\n").at(-1)!) as { code: string; message: string };
    assert.equal(fault.code, "STORE_CORRUPT", what);
    assert.match(fault.message, /yard\.sqlite is damaged .* "yard doctor --repair"/);
    assert.doesNotMatch(up.err, /\n\s+at /, "no stack trace");
    assert.ok(readFileSync(file).equals(before), `${what}: the file was touched`);
    assert.equal(yard(gateway.home, "doctor").status, 1, what);
  }
});

test("doctor --repair puts the last good backup in place, keeps the damaged files, and begins nothing again by itself", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  await gateway.ask("! say hello");
  const { messageId } = await gateway.send("! wait 60000ms then say late");
  await gateway.waitEvent((event) => event.type === "turn.started" && (event.data["messageIds"] as string[]).includes(messageId));
  const good = await gateway.api<ApiBackup>("POST", "/api/backups");
  await gateway.api("POST", "/api/backups");
  await gateway.ask("! say hello", { session: "agent:main:api:direct:later" });
  await gateway.kill9();
  const backups = readdirSync(join(gateway.home, "backups")).toSorted();
  assert.equal(statSync(join(gateway.home, "backups")).mode & 0o777, 0o700);
  for (const name of backups) assert.equal(statSync(join(gateway.home, "backups", name)).mode & 0o777, 0o600);
  // The newer backup is damaged too, so the older one must be taken.
  truncateSync(join(gateway.home, "backups", backups.at(-1)!), 20_000);
  rmSync(join(gateway.home, "yard.sqlite-wal"));
  truncateSync(join(gateway.home, "yard.sqlite"), 1_000);

  const asked = yard(gateway.home, "doctor", "--repair");
  assert.deepEqual([asked.status, /say --yes/.test(asked.err)], [2, true], "without a terminal nothing is done unasked");
  assert.match(asked.out, new RegExp(`last good backup is ${good.name.replaceAll(".", "\\.")}: what happened after .* is lost`));
  const repaired = yard(gateway.home, "doctor", "--repair", "--yes", "--json");
  assert.equal(repaired.status, 0, repaired.err);
  const { backup, aside } = JSON.parse(repaired.out) as { backup: ApiBackup; aside: string };
  assert.equal(backup.name, good.name);
  assert.equal(statSync(join(aside, "yard.sqlite")).size, 1_000, "what was there is kept");

  await gateway.start();
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${MAIN}/history?limit=100`);
  assert.ok(entries.some(({ text }) => text.includes("cancelled by the restore from a backup")));
  assert.equal((await gateway.call("GET", `/api/sessions/${encodeURIComponent("agent:main:api:direct:later")}`)).status, 404);
  assert.deepEqual((await gateway.api<TaskList>("GET", "/api/tasks?state=queued,running,waiting")).tasks, []);
  assert.equal(await gateway.ask("! say well again"), "well again");
  assert.equal((await model.log()).filter(({ script, userTexts }) => script !== null && userTexts.at(-1)?.includes("say late") === true).length, 1, "the turn that ran at the time of the backup was not begun again");
  assert.equal(yard(gateway.home, "doctor", "--repair").status, 1, "a running gateway is left alone");
});

test("without a good backup repair says so and touches nothing", () => {
  const home = mkdtempSync(join(tmpdir(), "yard-home-"));
  try {
    writeFileSync(join(home, "yard.sqlite"), "garbage ".repeat(1_000));
    const { status, err } = yard(home, "doctor", "--repair", "--yes");
    assert.equal(status, 1);
    assert.match(err, /^yard: BACKUP_MISSING: there is no good backup in .*backups \(0 looked at\); nothing was changed/);
    assert.equal(readFileSync(join(home, "yard.sqlite"), "utf8"), "garbage ".repeat(1_000));
  } finally {
    rmSync(home, { recursive: true });
  }
});

test(`${SPOILED} spoiled copies of database and log lead to a sound store or a typed fault, never to anything else`, async (t) => {
  const gateway = new Gateway({ config: CONFIG });
  t.after(() => gateway.close());
  await gateway.start();
  for (let index = 0; index < 10; index++) await gateway.ask(`hello ${index}`);
  await gateway.restart(); // now the database holds something, and the log is begun anew
  for (let index = 0; index < 5; index++) await gateway.ask(`hello again ${index}`);
  await gateway.kill9();
  const folder = mkdtempSync(join(tmpdir(), "yard-spoiled-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const random = seededRandom(11);
  const below = (limit: number): number => Buffer.from(random(4)).readUInt32LE() % limit;
  const outcomes: Record<string, number> = {};
  for (let round = 0; round < SPOILED; round++) {
    const file = join(folder, "yard.sqlite");
    for (const part of ["", "-wal", "-shm"]) cpSync(join(gateway.home, `yard.sqlite${part}`), file + part);
    if (below(3) === 0) rmSync(`${file}-shm`);
    const target = below(2) === 0 ? file : `${file}-wal`;
    const { size } = statSync(target);
    if (below(5) === 0) truncateSync(target, below(size));
    else {
      const handle = openSync(target, "r+");
      for (let flips = 1 + below(8); flips > 0; flips--) writeSync(handle, random(1 + below(16)), 0, null, below(size));
      closeSync(handle);
    }
    const outcome = await openAndUse(file);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    for (const part of ["", "-wal", "-shm"]) rmSync(file + part, { force: true });
  }
  t.diagnostic(JSON.stringify(outcomes));
  assert.ok((outcomes["sound"] ?? 0) > 0 && (outcomes["STORE_CORRUPT"] ?? 0) > 0, JSON.stringify(outcomes));
});

/** @throws what is neither a sound store nor a typed fault. */
async function openAndUse(file: string): Promise<string> {
  const code = (thrown: unknown): string => {
    if (thrown instanceof Fault && TYPED.includes(thrown.code)) return thrown.code;
    throw thrown;
  };
  try {
    const { problems } = checkUp(file, systemClock);
    const { store } = openStoreInProcess({ file, clock: systemClock, random: systemRandom });
    try {
      await store.recover();
      await store.sessions({ limit: 10 });
      await store.events({ session: null, after: 0, limit: 100 });
      return problems.length === 0 ? "sound" : "found by doctor";
    } finally {
      await store.close();
    }
  } catch (thrown) {
    return code(thrown);
  }
}
