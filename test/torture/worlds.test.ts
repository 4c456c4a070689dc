import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const RUN = fileURLToPath(new URL("../../sim/world/run.ts", import.meta.url));
const SEEDS = 5_000;
/** A slow or busy machine runs as many as it can in this time, seconds. */
const SECONDS_MAX = 240;
const SEEDS_MIN = 200;
const PROCESSES_MAX = 4;

test(`${SEEDS} simulated worlds, whatever fails in them, end with nothing lost, doubled, reordered or left over`, async (t) => {
  const processes = Math.min(availableParallelism(), PROCESSES_MAX);
  const { code, said } = await run(["--seeds", String(SEEDS), "--seconds", String(SECONDS_MAX), "--processes", String(processes)]);
  assert.equal(code, 0, said);
  const worlds = [...said.matchAll(/^seeds (\d+) to (\d+)$/gm)].reduce((sum, [, from, to]) => sum + Number(to) - Number(from) + 1, 0);
  t.diagnostic([...said.matchAll(/^.*\n(?=seeds )/gm)].join(""));
  assert.ok(worlds >= SEEDS_MIN, `only ${worlds} worlds in ${SECONDS_MAX} s`);
});

function run(words: readonly string[]): Promise<{ readonly code: number; readonly said: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [RUN, ...words], (_failure, stdout, stderr) => resolve({ code: child.exitCode ?? 1, said: `${stdout}${stderr}` }));
  });
}
