/** A gateway's disk that fails or is slow when the test says so: a preloaded library, built with the system's own compiler. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

export interface FailingDisk {
  /** What a gateway must be started with. */
  readonly env: Readonly<Record<string, string>>;
  readonly fail: () => void;
  readonly slow: (ms: number) => void;
  readonly heal: () => void;
}

/** Null where there is no compiler, or no preloading. */
export function makeFailingDisk(t: TestContext): FailingDisk | null {
  if (process.platform !== "linux") return null;
  const folder = mkdtempSync(join(tmpdir(), "yard-disk-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const library = join(folder, "shim.so");
  const built = spawnSync("cc", ["-shared", "-fPIC", "-O1", "-o", library, join(import.meta.dirname, "shim.c"), "-ldl"]);
  if (built.status !== 0) return null;
  const control = join(folder, "control");
  const say = (text: string): void => writeFileSync(control, text);
  say("good");
  return { env: { LD_PRELOAD: library, YARD_TEST_DISK: control }, fail: () => say("fail"), slow: (ms) => say(`slow ${ms}`), heal: () => say("good") };
}
