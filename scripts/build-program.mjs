/** Makes the JavaScript that is published: `src/` and `sim/` into `dist/`, and the page into `dist/page/`. Runs before `npm pack`. */
import { spawnSync } from "node:child_process";
import { copyFileSync, globSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");

// What an earlier version left would be published too. The page has its own builder.
for (const name of readdirSync(root).includes("dist") ? readdirSync(dist) : []) if (name !== "page") rmSync(join(dist, name), { recursive: true });

const { status } = spawnSync(join(root, "node_modules", ".bin", "tsc"), ["-p", join(root, "scripts", "tsconfig.build.json")], { stdio: "inherit" });
if (status !== 0) {
  process.stderr.write("build-program: the sources do not compile; run npm run check\n");
  process.exitCode = 1;
} else {
  // Plain JavaScript among the sources is published as it is.
  for (const file of globSync("src/**/*.mjs", { cwd: root })) copyFileSync(join(root, file), join(dist, file));
  await import("./build-page.mjs");
}
