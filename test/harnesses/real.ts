/**
 * Drives real coding agents through the real gateway, offline, against the model stand-in:
 *
 *     node test/harnesses/real.ts [claude] [codex] [gemini] [copilot] [opencode] [--sandbox]
 *
 * Installs pinned versions from the package registry into a scratch folder (`YARD_HARNESSES`, else one in the person's
 * cache), where the next run finds them. Prints one line per step, and exits with 1 when one fails.
 */
import { spawnStandin } from "../support/model-standin/spawn.ts";
import { drive, STANDIN_TONGUE } from "./drive.ts";
import { install, packageOf, REAL_HARNESSES, type RealHarness } from "./programs.ts";

const inSandbox = process.argv.includes("--sandbox");
const named = process.argv.slice(2).filter((word) => word !== "--sandbox");
const unknown = named.filter((name) => !REAL_HARNESSES.includes(name as RealHarness));
if (unknown.length > 0) {
  process.stderr.write(`no coding agent ${unknown.join(", ")} here; known: ${REAL_HARNESSES.join(", ")}\n`);
  process.exit(2);
}

for (const id of named.length === 0 ? REAL_HARNESSES : (named as RealHarness[])) {
  const say = (step: string, ms: number, seen: string): void => void process.stdout.write(`ok  ${id}  ${step}  ${ms} ms  ${seen.replaceAll("\n", " ")}\n`);
  const model = await spawnStandin([]);
  try {
    const startedAt = performance.now();
    const program = await install(id);
    say("install", Math.round(performance.now() - startedAt), packageOf(id));
    await drive({ id, program, modelUrl: model.url, tongue: STANDIN_TONGUE, heardByModel: async () => JSON.stringify((await model.log()).map(({ userTexts }) => userTexts)), onStep: say, settings: inSandbox ? { "acp.sandbox": "required" } : {} });
  } catch (cause) {
    process.stdout.write(`FAILED  ${(cause as Error).message}\n`);
    process.exitCode = 1;
  } finally {
    await model.close();
  }
}
