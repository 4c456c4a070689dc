/**
 * Installs the dependencies when they are missing or not those of package-lock.json.
 *
 * Runs before start, test and check, also on an older Node than the project's own: plain JavaScript,
 * and quick (a few milliseconds) when nothing is to be done.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const missing = firstMissing();
if (missing !== null) {
  process.stderr.write(`set-up: npm ci (${missing})\n`);
  // Without this project's own programs on PATH: npm must not run on the Node that it is about to replace.
  const path = (process.env.PATH ?? "").split(delimiter).filter((dir) => !dir.endsWith(join("node_modules", ".bin")));
  const done = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, PATH: path.join(delimiter) },
  });
  if (done.status !== 0) {
    process.stderr.write("set-up: npm ci failed, see above; is the package registry reachable?\n");
    process.exit(1);
  }
}

/** What is not installed as the lock file wants it, in words; null when all is. */
function firstMissing() {
  const wanted = packagesOf("package-lock.json");
  const found = packagesOf(join("node_modules", ".package-lock.json"));
  if (found === null) return "nothing is installed yet";
  for (const [path, { version, optional, devOptional, link }] of Object.entries(wanted)) {
    if (path === "" || optional || devOptional || link) continue;
    if (found[path]?.version !== version) return `${path} ${version} is not there`;
  }
  return null;
}

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), "utf8")).packages;
  } catch {
    return null;
  }
}
