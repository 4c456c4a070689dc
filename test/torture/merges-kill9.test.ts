/**
 * kill -9 at random moments of merges, from a seed: `YARD_KILLS=100 YARD_SEED=7 node --test test/torture/merges-kill9.test.ts`.
 *
 * After each kill the branch stands on a whole result; in the end every agent's work is there, once.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { sleep, systemClock } from "../../src/base/clock.ts";
import { seededRandom } from "../../src/base/ids.ts";
import { git, makeRepository } from "../support/workspaces.ts";

const WORKER = fileURLToPath(new URL("./merges-worker.ts", import.meta.url));
const KILLS = Number(process.env["YARD_KILLS"] ?? 6);
const SEED = Number(process.env["YARD_SEED"] ?? 20_261);
const AGENTS = 5;
/** The longest that a worker is left alive before it is killed, milliseconds. */
const ALIVE_MAX_MS = 2500;

test(`after ${KILLS} kills at random moments the branch was never half moved, and all work landed exactly once`, { timeout: 600_000 }, async (t) => {
  const random = seededRandom(SEED);
  let kills = 0;
  for (let round = 0; kills < KILLS; round++) {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), "yard-kill-")));
    t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
    const repository = makeRepository(join(dir, "repository"), { "shared.txt": "1\n" });
    for (let done = false; !done; ) {
      const aliveMs = kills < KILLS ? ((random(1)[0]! << 8) + random(1)[0]!) % ALIVE_MAX_MS : null;
      const worker = spawn(process.execPath, [WORKER, dir, String(AGENTS)], { stdio: ["ignore", "pipe", "pipe"] });
      let stderr = "";
      worker.stderr.on("data", (chunk: Buffer) => (stderr += chunk));
      const exit = once(worker, "exit") as Promise<[number | null, string | null]>;
      await Promise.race([once(worker.stdout, "data"), exit]);
      if (aliveMs !== null) await Promise.race([sleep(systemClock, aliveMs), exit]);
      if (aliveMs !== null && worker.exitCode === null) {
        worker.kill("SIGKILL");
        kills++;
      }
      const [code, signal] = await exit;
      done = code === 0;
      assert.ok(done || signal === "SIGKILL", stderr);
      assertWhole(repository);
    }
    const subjects = git(repository, "log", "--format=%s", "main").split("\n").toSorted();
    assert.deepEqual(subjects, ["chore: project setup", ...Array.from({ length: AGENTS }, (_none, n) => `feat: agent${n}`)].toSorted());
    assert.equal(git(repository, "status", "--porcelain"), "", `round ${round}: the checkout has followed`);
    git(repository, "fsck", "--strict");
  }
});

/** Each commit of the branch adds one agent's file, whole. */
function assertWhole(repository: string): void {
  const commits = git(repository, "log", "--format=%s", "main").split("\n");
  const files = git(repository, "ls-tree", "--name-only", "main").split("\n");
  assert.deepEqual(files.filter((name) => name.startsWith("agent")).toSorted(), commits.filter((subject) => subject.startsWith("feat: ")).map((subject) => `${subject.slice(6)}.txt`).toSorted());
}
