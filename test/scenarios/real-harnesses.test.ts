/**
 * Real coding agents through the real gateway. They are large and of others: on a person's machine these tests run when
 * `node test/harnesses/real.ts codex copilot` has fetched them once; with `CI=true` they are installed.
 */
import { test } from "node:test";
import { drive, STANDIN_TONGUE } from "../harnesses/drive.ts";
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
