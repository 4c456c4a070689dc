/**
 * Builds the web page from `dashboard/` into `dist/page/` when a source is newer than the last build.
 *
 * Says nothing when there is nothing to do. Without the sources (an installed package) or without
 * the builder (an install without development tools) it leaves what is there.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, "dashboard");
const built = join(root, "dist", "page", "index.html");

if (existsSync(join(sources, "index.html")) && newest(["dashboard", "src/api/wire.ts", "package-lock.json"]) > timeOf(built)) {
  const vite = await import("vite").catch(() => null);
  if (vite === null) process.stderr.write("build-page: vite is not installed, so the page is not built; run npm install\n");
  else {
    const configFile = existsSync(join(sources, "vite.config.ts")) ? join(sources, "vite.config.ts") : false;
    await vite.build({ root: sources, configFile, logLevel: "warn", build: { outDir: dirname(built), emptyOutDir: true } });
  }
}

function timeOf(file) {
  return existsSync(file) ? statSync(file).mtimeMs : 0;
}

/** When the youngest of these files was changed. Folders count with everything in them. */
function newest(paths) {
  let latest = 0;
  for (const path of paths) {
    const full = join(root, path);
    if (!existsSync(full)) continue;
    const inner = statSync(full).isDirectory() ? readdirSync(full, { recursive: true }).map((name) => join(full, String(name))) : [full];
    for (const file of inner) latest = Math.max(latest, timeOf(file));
  }
  return latest;
}
