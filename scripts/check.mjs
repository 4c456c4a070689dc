/**
 * Checks everything a developer needs to know before a commit, in under a minute: `npm run check`.
 *
 * Prints one line per check; for one that fails, what it found and how to mend it.
 */
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tool = (name) => join(root, "node_modules", ".bin", name);

const CHECKS = [
  { name: "types", command: [tool("tsc"), "-p", "."], mend: "mend the types named above; to see them again: npx tsc -p ." },
  { name: "page types", command: [tool("tsc"), "-p", "dashboard"], mend: "mend the types named above; to see them again: npx tsc -p dashboard" },
  { name: "lint", command: [tool("oxlint"), "--deny-warnings"], mend: "mend the lines named above; npx oxlint --fix mends some itself" },
  { name: "layers", command: [process.execPath, "--test", "--test-reporter=dot", "test/layers.test.ts"], mend: "move the code or the import; the rules and their reasons are in test/layers.ts" },
  { name: "docs", command: [process.execPath, join(root, "scripts", "make-docs.mjs"), "--check"], mend: "run: node scripts/make-docs.mjs" },
];

const results = await Promise.all(CHECKS.map(run));
for (const { name, mend, ok, output, seconds } of results) {
  process.stdout.write(`${ok ? "ok  " : "FAIL"}  ${name}  (${seconds} s)\n`);
  if (!ok) process.stdout.write(`${output.trimEnd()}\n→ ${mend}\n\n`);
}
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1;

function run({ name, command: [program, ...args], mend }) {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    const end = (ok) => resolve({ name, mend, ok, output, seconds: ((performance.now() - startedAt) / 1000).toFixed(1) });
    child.on("error", (error) => {
      output += error.message;
      end(false);
    });
    child.on("close", (code) => end(code === 0));
  });
}
