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
  const parts = ["cli/commands/up.ts", "start.ts", "main.ts", "store/sqlite/batch.ts", "store/sqlite/disk-guard.ts"];
  await Promise.allSettled(parts.map((part) => import(`../src/${part}`)));
  module.flushCompileCache();
}
