/**
 * Runs the tests: `npm test`, or `npm test -- WORD...` for the files whose path holds one of the words.
 *
 * Tests beside the code run together in one process; scenarios and torture, which start real gateways,
 * and those of git in a process each. No test sees the person's own state directory or keys. The last line is the sum.
 */
import { spawn } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** These want the whole machine, or judge what it gives them. */
const WHOLE_MACHINE_FILES = ["test/torture/soak.test.ts", "test/torture/worlds.test.ts"];
/** These judge how long something takes, or what is at work at once. */
const TIMED_FILES = ["delegate", "governor", "harness", "never-blocked", "plan-speed", "proxy", "refusals", "simulate"].map((name) => `test/scenarios/${name}.test.ts`);
const GIT_FILES = ["src/workspaces/**/*.test.ts", "src/merges/**/*.test.ts"];

/** A group still running after its time is ended: something in it hangs or was left open. */
const GROUPS = [
  {
    name: "beside the code",
    except: GIT_FILES,
    files: ["src/**/*.test.ts", "dashboard/**/*.test.ts", "sim/**/*.test.ts", "bench/**/*.test.ts", "scripts/**/*.test.ts", "test/*.test.ts", "test/support/**/*.test.ts"],
    options: ["--test-isolation=none", "--test-timeout=60000"],
    minutesMax: 20,
  },
  // In processes of their own: starting a program, which these do thousands of times, takes the longer the larger the process is.
  { name: "git", files: GIT_FILES, options: ["--test-concurrency=2", "--test-timeout=180000"], minutesMax: 10 },
  { name: "fuzz", files: ["test/fuzz/**/*.test.ts"], options: ["--test-concurrency=1", "--test-timeout=180000"], minutesMax: 10 },
  { name: "scenarios by the clock", files: TIMED_FILES, options: ["--test-concurrency=1", "--test-timeout=180000"], minutesMax: 30 },
  // Two at a time, because they wait most of the time: for deaths, deadlines and slow providers.
  { name: "scenarios", except: TIMED_FILES, files: ["test/scenarios/**/*.test.ts"], options: ["--test-concurrency=2", "--test-timeout=180000"], minutesMax: 30 },
  { name: "torture", except: WHOLE_MACHINE_FILES, files: ["test/torture/**/*.test.ts"], options: ["--test-concurrency=2", "--test-timeout=600000"], minutesMax: 60 },
  { name: "whole machine", files: WHOLE_MACHINE_FILES, options: ["--test-concurrency=1", "--test-timeout=600000"], minutesMax: 20 },
];

/** Variables that would let a test reach a provider or the person's own gateway. */
const WITHHELD = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OLLAMA_HOST", "YARD_PORT", "YARD_TOKEN", "YARD_LOG", "NODE_OPTIONS", "NODE_TEST_CONTEXT"];

const words = process.argv.slice(2);
const scratch = mkdtempSync(join(tmpdir(), "yard-tests-"));
const sum = { passed: 0, failed: 0, skipped: 0 };

try {
  for (const [index, group] of GROUPS.entries()) {
    const files = globSync(group.files, { cwd: root, exclude: group.except ?? [] })
      .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
      .sort();
    if (files.length === 0) continue;
    process.stdout.write(`\n── ${group.name}: ${files.length} file${files.length === 1 ? "" : "s"}\n`);
    await runGroup(group, files, join(scratch, `counts-${index}`));
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

if (sum.passed + sum.failed === 0) {
  process.stdout.write("\nno test ran\n");
  sum.failed = 1;
}
process.stdout.write(`\n${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ""}\n`);
process.exitCode = sum.failed > 0 ? 1 : 0;

async function runGroup(group, files, countsFile) {
  const environment = { ...process.env, YARD_HOME: join(scratch, "home") };
  for (const name of WITHHELD) delete environment[name];
  const reporters = ["--test-reporter=spec", "--test-reporter-destination=stdout", `--test-reporter=${join(root, "scripts", "count-reporter.mjs")}`, `--test-reporter-destination=${countsFile}`];
  const child = spawn(process.execPath, ["--test", ...group.options, ...reporters, ...files], { cwd: root, stdio: ["ignore", "inherit", "inherit"], env: environment, detached: true });
  const endAll = () => process.kill(-child.pid, "SIGKILL");
  const stop = (signal) => {
    endAll();
    process.exit(signal === "SIGINT" ? 130 : 143);
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);

  let hung = false;
  const limit = setTimeout(() => {
    hung = true;
    endAll();
  }, group.minutesMax * 60_000);
  const exitCode = await new Promise((resolve) => child.on("close", resolve));
  clearTimeout(limit);
  process.off("SIGINT", stop).off("SIGTERM", stop);

  const counts = readCounts(countsFile);
  sum.passed += counts.passed;
  sum.skipped += counts.skipped + counts.todo;
  sum.failed += counts.failed + counts.cancelled;
  if (hung) process.stdout.write(`${group.name}: still running after ${group.minutesMax} minutes; a test hangs, or left a timer, socket or process open\n`);
  // The process can fail without a failed test: a crash, a hang, an error outside of any test.
  if (exitCode !== 0 && counts.failed + counts.cancelled === 0) sum.failed += 1;
}

function readCounts(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8").trim().split("\n").at(-1));
  } catch {
    return { passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0 };
  }
}
