/**
 * Real coding agents through the real gateway. They are large and of others: on a person's machine these tests run when
 * `node test/harnesses/real.ts codex copilot` has fetched them once; with `CI=true` they are installed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { drive, STANDIN_TONGUE } from "../harnesses/drive.ts";
import { tryWays, WAYS } from "../harnesses/hostile.ts";
import { install, installed, packageOf, type RealHarness } from "../harnesses/programs.ts";
import { startModel } from "../support/model.ts";

/** Of those that can be driven offline, the two that are through soonest. */
const TRIED: readonly RealHarness[] = ["codex", "copilot"];

for (const id of TRIED) {
  test(`the real ${id} is bound, reads, writes with leave only, is told things, stopped, killed and goes on, works twice at once, and leaves nothing`, { timeout: 400_000 }, async (t) => {
    if (installed(id) === null && process.env["CI"] !== "true") return t.skip(`${packageOf(id)} is not here; node test/harnesses/real.ts ${id} fetches it`);
    const program = await install(id, t.signal);
    const model = await startModel(t);
    await drive({
      id,
      program,
      modelUrl: model.url,
      tongue: STANDIN_TONGUE,
      heardByModel: async () => JSON.stringify((await model.log()).map(({ userTexts }) => userTexts)),
      onStep: (step, ms, seen) => t.diagnostic(`${step}: ${ms} ms, ${seen.replaceAll("\n", " ")}`),
    });
  });
}

/** One way of each kind; `node test/harnesses/hostile.ts` tries all that are known, of all five. */
const TRIED_WAYS: Partial<Record<RealHarness, readonly string[]>> = { codex: ["a tool server"], copilot: ["hooks", "hooks of Claude Code"] };

for (const id of TRIED) {
  test(`the real ${id} runs what a project's own files say where the project is trusted, and else neither that nor what stands in the person's home`, { timeout: 400_000 }, async (t) => {
    if (installed(id) === null && process.env["CI"] !== "true") return t.skip(`${packageOf(id)} is not here; node test/harnesses/real.ts ${id} fetches it`);
    const model = await startModel(t);
    const ways = WAYS[id].filter(({ name }) => TRIED_WAYS[id]!.includes(name));
    assert.equal(ways.length, TRIED_WAYS[id]!.length);
    await tryWays(id, { program: await install(id, t.signal), modelUrl: model.url, ways }, (what, seen, isGood) => assert.ok(isGood, `${what}: ${seen}`));
  });
}
