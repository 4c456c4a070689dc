import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { systemClock } from "../base/clock.ts";
import { systemRandom } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import { makeRepository } from "../../test/support/workspaces.ts";
import { Git } from "./git.ts";
import { Repository } from "./repository.ts";

function folder(t: TestContext): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "yard-git-")));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function gitOn(path: string, installation = "test"): Git {
  return new Git({ clock: systemClock, random: systemRandom, processes: { sweep: async () => 0 } as never, installation, path });
}

test("where git is missing or too old, it is said so, and not that the folder were no repository", async (t) => {
  const dir = folder(t);
  const shop = makeRepository(join(dir, "shop"), { "a.txt": "1\n" });
  const fault = (found: string) => (error: unknown): boolean => error instanceof Fault && error.code === "GIT_MISSING" && error.message.endsWith(`found: ${found}`);
  await assert.rejects(gitOn(join(dir, "nowhere")).find(shop), fault("none"));
  writeFileSync(join(dir, "git"), "#!/bin/sh\necho git version 2.20.1\n");
  chmodSync(join(dir, "git"), 0o755);
  const git = gitOn(dir);
  await assert.rejects(git.find(shop), fault("git version 2.20.1"));
  rmSync(join(dir, "git"));
  writeFileSync(join(dir, "git"), '#!/bin/sh\nexec /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin git "$@"\n');
  chmodSync(join(dir, "git"), 0o755);
  assert.equal((await git.find(shop)).workTree, shop, "once it is mended the same gateway goes on");
});

test("what a killed gateway left beside a repository's own files is taken away, and what others left there is not", async (t) => {
  const shop = makeRepository(join(folder(t), "shop"), { "a.txt": "1\n" });
  const git = gitOn("/usr/local/bin:/usr/bin:/bin", "mine");
  const repository = new Repository(git, join(shop, ".git"));
  const [mine, others] = [git.scratchName(), gitOn("/usr/bin", "others").scratchName()];
  for (const name of [mine, `${mine}.lock`, others]) writeFileSync(join(shop, ".git", name), "");
  await repository.dropScratch();
  assert.deepEqual([mine, `${mine}.lock`, others].map((name) => git.isScratch(name)), [true, true, false]);
  const left = [mine, `${mine}.lock`, others].filter((name) => existsSync(join(shop, ".git", name)));
  assert.deepEqual(left, [others]);
});
