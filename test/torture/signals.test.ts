/**
 * Signals and starts at bad moments: stopped and continued, told to go while it is going, started twice,
 * killed again and again while it starts. What must hold afterwards stands in ordeal.ts.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { TaskList } from "../../src/api/wire.ts";
import { Gateway, NoReply, bounded, standinConfig, startGateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";
import { ordeal, pause } from "./ordeal.ts";
import { standStill } from "./standstill.ts";

const KILLS_IN_A_ROW = 5;
const STOPS = 6;
/** Longer than every deadline that the test sets, milliseconds. */
const STANDSTILL_MS = 4_000;
const EXIT_MAX_MS = 60_000;

test(`a gateway that is stopped ${STOPS} times under load, also while another wants its home or until it is killed, goes on as if nothing had been`, async () => {
  assert.deepEqual((await standStill(STOPS, { seed: 11 })).broken, []);
});

test("a standstill longer than the deadlines of a turn ends in an answer or a fault that says so, and the lane goes on", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "models.deadlines.firstByteSeconds": 2, "models.deadlines.betweenChunksSeconds": 1, "agents.defaults.progressTimeoutSeconds": 3 }) });
  const { messageId } = await gateway.send("! say before then wait 800ms then say after");
  await pause(300);
  process.kill(gateway.pid, "SIGSTOP");
  await pause(STANDSTILL_MS);
  process.kill(gateway.pid, "SIGCONT");
  const end = await gateway.waitReply(messageId).catch((cause: unknown) => cause);
  if (typeof end !== "string") assert.ok(end instanceof NoReply, String(end));
  assert.equal(await gateway.ask("! say still here"), "still here");
});

test("a second SIGTERM ends a drain at once, and the next start goes on with what was running", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "gateway.drainSeconds": 60 }) });
  const { messageId } = await gateway.send("! wait 3s then say done");
  await gateway.waitEvent((event) => event.type === "turn.started");
  process.kill(gateway.pid, "SIGTERM");
  // One press of Ctrl-C may arrive twice, so a second signal counts only a moment later.
  await pause(600);
  process.kill(gateway.pid, "SIGTERM");
  const { code } = await bounded(EXIT_MAX_MS, "it did not end", gateway.exited());
  assert.equal(code, 1);
  await gateway.start();
  assert.equal(await gateway.waitReply(messageId), "done");
});

test("children that a turn asks for during a drain are made and done after the next start, so that a restart changes no answer", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "gateway.drainSeconds": 5 }) });
  const { messageId } = await gateway.send('! wait 700ms then call sessions_spawn {"task":"! say made it","label":"late"} then call sessions_yield {"waitFor":"all"} then say all done');
  await gateway.waitEvent((event) => event.type === "turn.started");
  assert.equal(await gateway.stop(), 0);
  await gateway.start();
  assert.equal(await gateway.waitReply(messageId), "all done");
  const { tasks } = await gateway.api<TaskList>("GET", "/api/tasks");
  assert.deepEqual(tasks.map(({ label, state, result }) => [label, state, result]), [["late", "succeeded", "made it"]]);
});

test("killed during its drain it loses nothing", async () => {
  const { broken } = await ordeal({ seed: 12 }, async ({ gateway, random, start, live }) => {
    for (let time = 0; time < 3; time++) {
      await start();
      const life = live();
      await pause(400);
      process.kill(gateway.pid, "SIGTERM");
      await pause(random() * 300);
      await gateway.kill9();
      await life;
    }
    await start();
  });
  assert.deepEqual(broken, []);
});

test("a second gateway on a busy home is refused, and the first one does not notice", async () => {
  const { broken } = await ordeal({ seed: 13 }, async ({ gateway, start, live }) => {
    await start();
    const life = live();
    await pause(300);
    const second = new Gateway({ home: gateway.home });
    await assert.rejects(second.start(), /STATE_DIR_HELD/);
    await pause(300);
    await gateway.kill9();
    await life;
    await start();
  });
  assert.deepEqual(broken, []);
});

test(`killed ${KILLS_IN_A_ROW} times running while it picks up what was left, it picks it up the ${KILLS_IN_A_ROW + 1}th time`, async () => {
  const { broken, recoveredTurns } = await ordeal({ seed: 14 }, async ({ gateway, start, live }) => {
    await start();
    const life = live();
    await pause(500);
    await gateway.kill9();
    await life;
    const killSwitch = { NODE_OPTIONS: `--import=${fileURLToPath(new URL("./kill-switch.ts", import.meta.url))}` };
    for (let time = 0; time < KILLS_IN_A_ROW; time++) {
      const point = time % 2 === 0 ? "after the commit of: recover" : "before the commit of: recover";
      await assert.rejects(start({ ...killSwitch, KILL_AT: point }), /ended before it was ready/);
    }
    await start();
  });
  assert.deepEqual(broken, []);
  assert.ok(recoveredTurns > 0);
});

test("killed at any statement of a migration, the next start finishes it and finds every row", { timeout: 120_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "yard-migration-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const script = fileURLToPath(new URL("./killed-migration.ts", import.meta.url));
  const run = async (file: string, killAt: number): Promise<NodeJS.Signals | null> => {
    const child = spawn(process.execPath, [script, file, String(killAt)], { stdio: ["ignore", "inherit", "inherit"] });
    const [, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    return signal;
  };
  let kills = 0;
  for (let statement = 1; ; statement++) {
    const file = join(folder, `${statement}.sqlite`);
    if ((await run(file, statement)) !== "SIGKILL") break;
    kills++;
    assert.equal(await run(file, Infinity), null);
    const database = new DatabaseSync(file);
    assert.deepEqual(Object.values(database.prepare("PRAGMA user_version").get()!), [3]);
    assert.deepEqual(Object.values(database.prepare("PRAGMA integrity_check").get()!), ["ok"]);
    assert.deepEqual(database.prepare("SELECT name FROM stop ORDER BY name").all().map((row) => row["name"]), ["north", "south"]);
    database.close();
  }
  assert.equal(kills, 14);
});
