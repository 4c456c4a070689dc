/** Each point once; `node test/torture/kill-points.ts --times 20` is the long form. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { KILL_POINTS, killAtPoints, pointsOfOneLife } from "./kill-points.ts";

/** What only reads: a kill there is a kill before or after something else. */
const READS: readonly string[] = ["runningTurns", "unansweredTexts", "messagePlace", "lanes", "session", "sessions", "context", "history", "events", "lastCursor", "task", "taskOfSession", "tasks", "flow", "flows", "ownedProcesses", "totals", "allowances", "forgottenEvents", "configJobs", "dueJobs", "jobsOfKind", "jobsOfTasks", "openRuns", "plans", "merges", "workspaces", "accessTokens"];
/** Writes only when there is something to deliver, or the clock was set back; `test/scenarios/delivery.test.ts` and the simulated histories of jobs kill the gateway there. */
const SELDOM: readonly string[] = ["claimDeliveries", "recoverDeliveries", "returnDeliveries", "unstallJobs"];

test("killed once at each point where something is handed over, saved or told, the gateway loses nothing, doubles nothing and makes nothing up", async () => {
  const { broken, missed, kills } = await killAtPoints(KILL_POINTS, 1, { seed: 1 });
  assert.deepEqual(broken, []);
  assert.deepEqual(missed, [], "points that were never reached");
  assert.equal(kills, KILL_POINTS.length);
});

test("the list of points holds all that a busy gateway writes, so that no crossing is left out", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "yard-points-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const log = join(folder, "points");
  assert.deepEqual((await pointsOfOneLife(log, { seed: 4 })).broken, []);
  const passed = new Set(readFileSync(log, "utf8").split("\n").filter((line) => line !== "" && ![...READS, ...SELDOM].some((verb) => line.endsWith(`: ${verb}`))));
  assert.deepEqual([...passed].filter((point) => !KILL_POINTS.some(({ name }) => name === point)).sort(), []);
});
