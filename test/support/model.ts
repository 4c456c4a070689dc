/** The model stand-in for a test: ended when the test is over. */
import type { TestContext } from "node:test";
import { spawnStandin, type SpawnedStandin } from "./model-standin/spawn.ts";

export async function startModel(t: TestContext, args: readonly string[] = []): Promise<SpawnedStandin> {
  const standin = await spawnStandin(args);
  t.after(() => standin.close());
  return standin;
}
