/**
 * Loads the program once so that its compile cache is on disk: the first real start is then as
 * quick as every later one. Failing to is no failure.
 */
import module from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
if (Number(process.versions.node.split(".")[0]) >= 24) {
  module.enableCompileCache(join(root, "node_modules", ".cache", "yard"));
  await Promise.all([import("../src/main.ts"), import("../src/cli/commands/up.ts"), import("../src/store/sqlite/batch.ts")]).catch(() => {});
  module.flushCompileCache();
}
