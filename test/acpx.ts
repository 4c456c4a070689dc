/**
 * Drives `yard acp` with acpx, a command line client of the Agent Client Protocol, from end to end:
 *
 *     node test/acpx.ts
 *
 * Not part of the tests: it installs a pinned acpx from the package registry into a folder of its own,
 * which it removes again. Prints one line per step, and exits with 1 when one fails.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Gateway, standinConfig } from "./support/gateway.ts";
import { spawnStandin } from "./support/model-standin/spawn.ts";

const ACPX = "acpx@0.19.1";
const STEP_MAX_MS = 120_000;
const YARD = join(dirname(dirname(fileURLToPath(import.meta.url))), "bin", "yard.mjs");

const folder = realpathSync(mkdtempSync(join(tmpdir(), "acpx-")));
const model = await spawnStandin([]);
const gateway = new Gateway({ config: standinConfig(model.url) });
/** acpx keeps its own sessions at home; this one is thrown away. */
const env = { PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`, HOME: folder, YARD_HOME: gateway.home };
writeFileSync(join(folder, "notes.txt"), "the treasure is under the oak");

/** @param environment  the person's own for npm, which knows their registry; else one of ours. */
function run(program: string, args: readonly string[], environment: NodeJS.ProcessEnv = env): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { cwd: folder, env: environment, timeout: STEP_MAX_MS }, (error, stdout, stderr) => (error === null ? resolve(stdout) : reject(new Error(`${error.message}\n${stdout}\n${stderr}`))));
    child.stdin?.end();
  });
}

const acpx = (...args: string[]): Promise<string> => run(join(folder, "node_modules", ".bin", "acpx"), ["--agent", `${process.execPath} ${YARD} acp`, ...args]);

async function step(what: string, work: () => Promise<string>, expected: RegExp): Promise<void> {
  const startedAt = performance.now();
  const output = await work();
  const ok = expected.test(output);
  process.stdout.write(`${ok ? "ok" : "FAILED"}  ${what}  ${Math.round(performance.now() - startedAt)} ms${ok ? "" : `\n${output}`}\n`);
  if (!ok) process.exitCode = 1;
}

try {
  await step(`install ${ACPX}`, () => run("npm", ["install", "--no-audit", "--no-fund", "--prefix", folder, ACPX], process.env), /added \d+ packages/);
  await gateway.start();
  await step("one prompt in a session of its own", () => acpx("exec", "! say hello from the gateway"), /hello from the gateway/);
  await step("a tool call in the folder that acpx works in", () => acpx("--approve-all", "exec", '! call read {"path":"notes.txt"} then say found <last>'), /found [\s\S]*under the oak/);
  await step("a new session that stays", () => acpx("sessions", "new"), /./);
  await step("a prompt in it", () => acpx("prompt", "! say one"), /one/);
  await step("a second prompt in it", () => acpx("prompt", "! say two"), /two/);
  await step("a slash command", () => acpx("prompt", "/help"), /\/status/);
  await step("its history", () => acpx("sessions", "history"), /one[\s\S]*two/);
  await step("cancel with nothing running", () => acpx("cancel"), /./);
  await step("close", () => acpx("sessions", "close"), /./);
  const { sessions } = await gateway.api<{ sessions: { key: string; cwd: string | null }[] }>("GET", "/api/sessions?search=editor");
  await step("its sessions are the gateway's", async () => JSON.stringify(sessions), new RegExp(`editor:direct:[\\s\\S]*${folder}`));
} finally {
  await gateway.close();
  await model.close();
  rmSync(folder, { recursive: true, force: true });
}
