#!/usr/bin/env node
/**
 * Starts the program: plain JavaScript that any Node from 18 on can run.
 *
 * It goes on in its own process when that is Node 24 or newer. Otherwise it looks for one and stays
 * in front of it: signals and exit codes pass through unchanged, and when this process is killed the
 * program behind it is killed as well, as if they were one.
 */
import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import module from "node:module";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const NODE_MAJOR_MIN = 24;
const PROBE_TIMEOUT_MS = 5_000;
const EXIT_FAILED = 1;
const PASSED_ON = ["SIGTERM", "SIGINT", "SIGHUP"];

const self = fileURLToPath(import.meta.url);
const root = dirname(dirname(self));
const major = Number(process.versions.node.split(".")[0]);

if (major >= NODE_MAJOR_MIN) await run();
else goOnUnder(findNode());

/** Runs the program in this process. The sources are not published, so where they are they are what is meant. */
async function run() {
  const source = join(root, "src", "cli", "main.ts");
  const isSource = existsSync(source);
  // The cache lies beside the code and with its rights; a shared one in /tmp could be filled by others.
  module.enableCompileCache?.(isSource ? join(root, "node_modules", ".cache", "yard") : join(root, "dist", ".cache"));
  if (process.channel && process.env.YARD_LAUNCHER === String(process.ppid)) {
    process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
    process.channel.unref();
  }
  delete process.env.YARD_LAUNCHER;
  await import(pathToFileURL(isSource ? source : join(root, "dist", "src", "cli", "main.js")).href);
}

function goOnUnder(node) {
  if (node === null) {
    process.stderr.write(
      `yard: needs Node ${NODE_MAJOR_MIN} or newer (this is ${process.versions.node}): run "npm install" in ${root}, or install Node ${NODE_MAJOR_MIN} from https://nodejs.org\n`,
    );
    process.exit(EXIT_FAILED);
  }
  const child = spawn(node, [self, ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, YARD_LAUNCHER: String(process.pid) },
  });
  const pass = (signal) => child.kill(signal);
  for (const signal of PASSED_ON) process.on(signal, pass);
  child.on("error", (error) => {
    process.stderr.write(`yard: ${node} cannot be started (${error.message})\n`);
    process.exit(EXIT_FAILED);
  });
  child.on("exit", (code, signal) => {
    for (const name of PASSED_ON) process.removeListener(name, pass);
    if (signal === null) process.exit(code ?? EXIT_FAILED);
    process.kill(process.pid, signal);
  });
}

/** Path of a Node that is new enough: the one installed with this package, else one on PATH. */
function findNode() {
  const installed = [join(root, "node_modules", "node", "bin", "node"), join(root, "node_modules", ".bin", "node"), join(root, "..", "node", "bin", "node")];
  const onPath = (process.env.PATH ?? "").split(delimiter).filter(Boolean).flatMap((dir) => [join(dir, `node${NODE_MAJOR_MIN}`), join(dir, "node")]);
  return [...installed, ...onPath].find(isNewEnough) ?? null;
}

function isNewEnough(candidate) {
  try {
    accessSync(candidate, constants.X_OK);
  } catch {
    return false;
  }
  const { stdout } = spawnSync(candidate, ["--version"], { encoding: "utf8", timeout: PROBE_TIMEOUT_MS });
  return Number(/^v(\d+)\./.exec(stdout ?? "")?.[1]) >= NODE_MAJOR_MIN;
}
