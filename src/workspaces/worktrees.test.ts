import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { Fault } from "../model/faults.ts";
import { git, makeRepository, openYard, write } from "../../test/support/workspaces.ts";

const isFault = (code: string) => (error: unknown): boolean => error instanceof Fault && error.code === code;

test("a workspace is a worktree on a branch of its own, and the repository's checkout stays as it was", async (t) => {
  const yard = await openYard(t);
  const one = await yard.worktrees.create({ repository: yard.repository, base: "main", label: "auth" });

  write(one.dir, { "src/auth.ts": "export {}\n" });
  const commit = await yard.worktrees.commit(one.id, one.epoch, "feat: auth");

  assert.equal(git(yard.repository, "rev-parse", one.branch), commit);
  assert.equal(git(yard.repository, "status", "--porcelain"), "");
  assert.equal(git(one.dir, "status", "--porcelain"), "");
  assert.deepEqual((await yard.worktrees.status(one.id)).commits.map(({ subject }) => subject), ["feat: auth"]);
});

test("a removed workspace comes back with its commits and what was not committed, because both were kept under a ref", async (t) => {
  const yard = await openYard(t);
  const one = await yard.worktrees.create({ repository: yard.repository, base: "main", label: "work" });
  write(one.dir, { "a.txt": "committed\n" });
  await yard.worktrees.commit(one.id, 1, "one");
  write(one.dir, { "a.txt": "changed\n", "b.txt": "new\n" });

  const removed = await yard.worktrees.remove(one.id);
  assert.equal(existsSync(one.dir), false);
  assert.equal(git(yard.repository, "branch", "--list", "yard/*"), "");
  assert.equal(git(yard.repository, "show", `${removed.backupRef}:b.txt`), "new");

  const back = await yard.worktrees.undo(one.id);
  assert.deepEqual([readFileSync(join(back.dir, "a.txt"), "utf8"), readFileSync(join(back.dir, "b.txt"), "utf8")], ["changed\n", "new\n"]);
  const status = await yard.worktrees.status(one.id);
  assert.deepEqual([status.commits.map(({ subject }) => subject), status.uncommitted], [["one"], ["a.txt", "b.txt"]]);
});

test("work on another branch than the workspace's is not lost, because what stands in the worktree counts and the rest is kept", async (t) => {
  const yard = await openYard(t);
  const one = await yard.worktrees.create({ repository: yard.repository, base: "main", label: "strays" });
  write(one.dir, { "a.txt": "on its branch\n" });
  await yard.worktrees.commit(one.id, 1, "first");
  const first = git(one.dir, "rev-parse", "HEAD");
  git(one.dir, "checkout", "-q", "--detach", "main");
  write(one.dir, { "b.txt": "elsewhere\n" });

  await yard.worktrees.commit(one.id, 1, "second");

  assert.equal(git(one.dir, "rev-parse", "--abbrev-ref", "HEAD"), one.branch.replace("refs/heads/", ""));
  assert.match(git(yard.repository, "for-each-ref", "--contains", first, "--format=%(refname)"), /refs\/yard\/backup/);
});

test("an old holder cannot commit after a hand-over, because the epoch is its fence", async (t) => {
  const yard = await openYard(t);
  const one = await yard.worktrees.create({ repository: yard.repository, base: "main", label: "zombie" });
  const next = await yard.worktrees.handOver(one.id, null);
  assert.equal(next.epoch, 2);
  await assert.rejects(yard.worktrees.commit(one.id, 1, "late"), isFault("WORKSPACE_FENCED"));
});

test("a claim is widened only to what no other live workspace claims, so two never own one path", async (t) => {
  const yard = await openYard(t);
  const [one, two] = await Promise.all([["src/auth/**"], ["src/pay/**"]].map((claims) => yard.worktrees.create({ repository: yard.repository, base: "main", label: "x", claims })));
  await assert.rejects(yard.worktrees.widen(one!.id, ["src/pay/card.ts"]), isFault("CLAIM_HELD"));
  assert.deepEqual((await yard.worktrees.widen(one!.id, ["src/shared/**"])).claims, ["src/auth/**", "src/shared/**"]);
  write(two!.dir, { "src/pay/a.ts": "1", "src/auth/b.ts": "2" });
  assert.deepEqual((await yard.worktrees.status(two!.id)).outside, ["src/auth/b.ts"]);
  await assert.rejects(yard.worktrees.create({ repository: yard.repository, base: "main", label: "x", claims: ["../up"] }), isFault("CLAIM_BAD"));
});

test("set-up gets ports of its own and the ignored files that were asked for; when it fails nothing is left", async (t) => {
  const yard = await openYard(t, { files: { ".gitignore": ".env\nout\n" } });
  write(yard.repository, { ".env": "KEY=1\n" });
  const make = (setup: string) => yard.worktrees.create({ repository: yard.repository, base: "main", label: "x", copy: [".env", "not/there"], setup });
  const [one, two] = [await make('echo "$YARD_PORT_FIRST $YARD_PORT_COUNT" > out'), await make("true")];

  assert.equal(readFileSync(join(one.dir, ".env"), "utf8"), "KEY=1\n");
  assert.equal(readFileSync(join(one.dir, "out"), "utf8"), "20000 10\n");
  assert.equal(two.portFirst, 20_010);
  await assert.rejects(make("echo broken; exit 3"), isFault("WORKSPACE_SETUP_FAILED"));
  assert.deepEqual((await yard.worktrees.list()).map(({ state }) => state), ["failed", "ready", "ready"]);
  assert.equal(git(yard.repository, "worktree", "list").split("\n").length, 3);
  await yard.worktrees.remove(one.id);
  assert.equal((await make("true")).portFirst, 20_000);
});

test("a copied file never leaves the worktree, though the repository's own symlinks point outside", async (t) => {
  const yard = await openYard(t);
  const outside = join(yard.dir, "outside");
  mkdirSync(outside);
  symlinkSync(outside, join(yard.repository, "linked"));
  git(yard.repository, "add", "-A");
  git(yard.repository, "commit", "-qm", "a link");
  rmSync(join(yard.repository, "linked"));
  write(yard.repository, { "linked/.env": "KEY=1\n" });
  for (const path of ["linked/.env", "../outside/x", "/etc/passwd", ".git/config"]) {
    if (path.startsWith("..")) writeFileSync(join(outside, "x"), "");
    await assert.rejects(yard.worktrees.create({ repository: yard.repository, base: "main", label: "x", copy: [path] }), isFault("WORKSPACE_SETUP_FAILED"), path);
  }
  assert.equal(existsSync(join(outside, ".env")), false);
});

test("no more workspaces than allowed, none in a folder without a repository, and none from a base that is not there", async (t) => {
  const yard = await openYard(t, { settings: { "workspaces.max": 1 } });
  const make = (request: { repository?: string; base?: string } = {}) => yard.worktrees.create({ repository: yard.repository, base: "main", label: "x", ...request });
  await assert.rejects(make({ repository: yard.dir }), isFault("NOT_A_REPOSITORY"));
  await assert.rejects(make({ base: "nowhere" }), isFault("GIT_FAILED"));
  await assert.rejects(make({ base: "--upload-pack=x" }), isFault("GIT_FAILED"));
  await make();
  await assert.rejects(make(), isFault("WORKSPACE_LIMIT"));
});

test("what a kill left half made or half removed is settled at the next start, and no work is lost by it", async (t) => {
  const yard = await openYard(t);
  const [made, gone, kept] = await Promise.all(["a", "b", "c"].map((label) => yard.worktrees.create({ repository: yard.repository, base: "main", label })));
  write(kept!.dir, { "work.txt": "kept\n" });
  await yard.store.moveWorkspace({ id: made!.id, from: ["ready"], patch: { state: "making" } });
  await yard.store.moveWorkspace({ id: kept!.id, from: ["ready"], patch: { state: "removing" } });
  rmSync(gone!.dir, { recursive: true });
  mkdirSync(join(yard.repository, ".git/worktrees/merge_left"), { recursive: true });
  write(join(yard.repository, ".git/worktrees/merge_others"), { gitdir: "/another/home/workspaces/merge_others/.git\n" });
  write(join(dirname(kept!.dir), "gone_left"), { "node_modules/a.js": "1\n" });

  await yard.reopen();

  const after = Object.fromEntries((await yard.worktrees.list()).map((one) => [one.label, one]));
  assert.deepEqual([after["a"]!.state, after["b"]!.state, after["c"]!.state], ["failed", "failed", "removed"]);
  assert.equal(git(yard.repository, "show", `${after["c"]!.backupRef}:work.txt`), "kept");
  assert.equal(existsSync(join(yard.repository, ".git/worktrees/merge_left")), false);
  assert.equal(existsSync(join(yard.repository, ".git/worktrees/merge_others")), true, "another gateway's");
  await yard.reopen();
  assert.deepEqual(readdirSync(dirname(kept!.dir)), [], "no folder is left");
});

test("locks that an agent's git left when it was killed do not keep its work from being committed after the next start", async (t) => {
  const yard = await openYard(t);
  const one = await yard.worktrees.create({ repository: yard.repository, base: "main", label: "locked" });
  write(one.dir, { "a.txt": "1\n" });
  write(join(yard.repository, ".git"), { [`worktrees/${one.id}/index.lock`]: "", [`${one.branch}.lock`]: "", "index.lock": "" });
  await assert.rejects(yard.worktrees.commit(one.id, 1, "work"), isFault("GIT_FAILED"));
  await yard.reopen();
  await yard.worktrees.commit(one.id, 1, "work");
  assert.equal(git(yard.repository, "show", `${one.branch}:a.txt`), "1");
  assert.equal(existsSync(join(yard.repository, ".git/index.lock")), true, "that of a person's own git");
});

test("50 worktrees are made, used and removed in parallel on one repository, and every commit is still there", { timeout: 240_000 }, async (t) => {
  const yard = await openYard(t);
  const commits = await Promise.all(
    Array.from({ length: 50 }, async (_none, n) => {
      const one = await yard.worktrees.create({ repository: yard.repository, base: "main", label: `w${n}` });
      write(one.dir, { [`file-${n}.txt`]: `work of ${n}\n` });
      const commit = await yard.worktrees.commit(one.id, 1, `feat: ${n}`);
      write(one.dir, { [`late-${n}.txt`]: "not committed\n" });
      const removed = await yard.worktrees.remove(one.id);
      return { n, commit: commit!, backupRef: removed.backupRef! };
    }),
  );
  assert.equal(git(yard.repository, "worktree", "list").split("\n").length, 1);
  const kept = new Set(git(yard.repository, "log", "--format=%H", "--glob=refs/yard/backup").split("\n"));
  assert.deepEqual(commits.filter(({ commit }) => !kept.has(commit)), []);
  assert.equal(git(yard.repository, "show", `${commits[49]!.backupRef}:late-49.txt`), "not committed");
  git(yard.repository, "fsck", "--strict");
});

test("a repository inside of a worktree is left out, because git would read its settings", async (t) => {
  const yard = await openYard(t);
  const one = await yard.worktrees.create({ repository: yard.repository, base: "main", label: "nested" });
  makeRepository(join(one.dir, "nested"), { "x.txt": "x" });
  write(one.dir, { "run.sh": "#!/bin/sh\n" });
  chmodSync(join(one.dir, "run.sh"), 0o755);
  assert.deepEqual((await yard.worktrees.status(one.id)).changed, ["run.sh"]);
});

test("a change to another text of the same length, right after the checkout, is seen", async (t) => {
  const yard = await openYard(t, { files: { "a.txt": "one\n" } });
  for (let n = 0; n < 5; n++) {
    const one = await yard.worktrees.create({ repository: yard.repository, base: "main", label: "racy" });
    write(one.dir, { "a.txt": "two\n" });
    assert.deepEqual((await yard.worktrees.status(one.id)).changed, ["a.txt"]);
  }
});
