import assert from "node:assert/strict";
import { test } from "node:test";
import type { HarnessSpec } from "../../model/harness.ts";
import { childEnvironment } from "./child-environment.ts";

test("a harness sees what is harmless, what it was given, and only the credentials that its description names", () => {
  const spec = { env: { MODE: "x" }, envFrom: ["MY_KEY", "NOT_SET"], configDirs: { MY_CONFIG: "config" } } as unknown as HarnessSpec;
  const inherited = { PATH: "/bin", HOME: "/h", NODE_OPTIONS: "--inspect", LD_PRELOAD: "x", LC_ALL: "C", GIT_DIR: "/g", ANTHROPIC_BASE_URL: "http://elsewhere" };
  const env = childEnvironment(spec, "/own", { inherited, credential: (name) => ({ MY_KEY: "secret", OTHER_KEY: "secret" })[name] });
  assert.deepEqual(env, { PATH: "/bin", HOME: "/h", LC_ALL: "C", MY_KEY: "secret", MY_CONFIG: "/own/config", MODE: "x" });
});
