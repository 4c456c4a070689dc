/**
 * A repository that tries to have something run, or written elsewhere: each vector plants one canary.
 *
 * Everything that the gateway does with git is then done with it: a workspace is made, looked at,
 * committed, merged with tests, undone, removed and brought back. No canary may have run, and nothing
 * may have changed outside of the repository and the folder of workspaces.
 */
import assert from "node:assert/strict";
import { appendFileSync, chmodSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { git, makeRepository, openYard, write, type Yard } from "../../test/support/workspaces.ts";

interface Planted {
  readonly yard: Yard;
  /** A command that leaves a trace. */
  readonly canary: string;
  readonly outside: string;
}

type Vector = (planted: Planted) => void;

const config = (key: string): Vector => ({ yard, canary }) => void git(yard.repository, "config", key, canary);
const hook = (name: string): Vector => ({ yard, canary }) => {
  const file = join(yard.repository, ".git/hooks", name);
  mkdirSync(join(yard.repository, ".git/hooks"), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${canary}\n`);
  chmodSync(file, 0o755);
};
const attribute = (line: string, ...settings: readonly string[]): Vector => ({ yard, canary }) => {
  write(yard.repository, { ".gitattributes": `${line}\n` });
  commitWithoutHooks(yard);
  for (const key of settings) git(yard.repository, "config", key, key.endsWith(".required") ? "true" : canary);
};

function commitWithoutHooks(yard: Yard): void {
  git(yard.repository, "-c", "core.hooksPath=/dev/null", "add", "-A");
  git(yard.repository, "-c", "core.hooksPath=/dev/null", "commit", "-qm", "planted");
}

const VECTORS: Readonly<Record<string, Vector>> = {
  ...Object.fromEntries(["post-checkout", "pre-commit", "post-commit", "prepare-commit-msg", "commit-msg", "reference-transaction", "post-index-change", "post-merge", "pre-rebase", "post-rewrite", "pre-merge-commit", "fsmonitor-watchman", "pre-auto-gc", "applypatch-msg"].map((name) => [`hook ${name}`, hook(name)])),
  ...Object.fromEntries(["core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass", "core.gitProxy", "core.alternateRefsCommand", "diff.external", "credential.helper", "gpg.program", "gpg.ssh.program", "sequence.editor", "pager.log", "pager.diff", "alias.status", "alias.merge-tree", "uploadpack.packObjectsHook", "remote.origin.uploadpack", "interactive.diffFilter", "trailer.x.command"].map((key) => [`setting ${key}`, config(key)])),
  "hooks elsewhere": ({ yard, canary }) => {
    const hooks = join(yard.repository, "hooks");
    write(yard.repository, { "hooks/post-checkout": `#!/bin/sh\n${canary}\n`, "hooks/reference-transaction": `#!/bin/sh\n${canary}\n` });
    for (const name of readdirSync(hooks)) chmodSync(join(hooks, name), 0o755);
    git(yard.repository, "config", "core.hooksPath", hooks);
  },
  "filter clean and smudge": attribute("*.txt filter=x", "filter.x.clean", "filter.x.smudge"),
  "filter that is required": attribute("*.txt filter=x", "filter.x.smudge", "filter.x.clean", "filter.x.required"),
  "filter as a process": attribute("*.txt filter=x", "filter.x.process"),
  "filter with = and a line break in its name": attribute("*.txt filter=a=b", "filter.a=b.smudge", "filter.a=b.clean"),
  "merge driver": attribute("*.txt merge=x", "merge.x.driver"),
  "merge driver by default": attribute("* text", "merge.default", "merge.x.driver"),
  "diff command": attribute("*.txt diff=x", "diff.x.command"),
  "diff textconv": attribute("*.txt diff=x", "diff.x.textconv"),
  "attributes of the repository alone": ({ yard, canary }) => {
    mkdirSync(join(yard.repository, ".git/info"), { recursive: true });
    writeFileSync(join(yard.repository, ".git/info/attributes"), "* filter=y merge=y diff=y\n");
    for (const key of ["filter.y.smudge", "filter.y.clean", "merge.y.driver", "diff.y.textconv"]) git(yard.repository, "config", key, canary);
  },
  "settings by inclusion": ({ yard, canary, outside }) => {
    writeFileSync(join(outside, "included"), `[core]\n\tfsmonitor = ${canary}\n\thooksPath = ${outside}\n[filter "z"]\n\tsmudge = ${canary}\n\tclean = ${canary}\n`);
    git(yard.repository, "config", "include.path", join(outside, "included"));
    write(yard.repository, { ".gitattributes": "* filter=z\n" });
    git(yard.repository, "-c", "filter.z.clean=", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "add", "-A");
    git(yard.repository, "-c", "filter.z.clean=", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "commit", "-qm", "planted");
  },
  "settings by inclusion on a condition": ({ yard, canary, outside }) => {
    writeFileSync(join(outside, "included"), `[core]\n\tfsmonitor = ${canary}\n`);
    git(yard.repository, "config", "includeIf.gitdir:/**.path", join(outside, "included"));
  },
  "settings of worktrees": ({ yard, canary }) => {
    git(yard.repository, "config", "extensions.worktreeConfig", "true");
    git(yard.repository, "config", "--worktree", "core.fsmonitor", canary);
  },
  "signed commits": ({ yard, canary }) => {
    git(yard.repository, "config", "gpg.program", canary);
    git(yard.repository, "config", "commit.gpgSign", "true");
    git(yard.repository, "config", "log.showSignature", "true");
  },
  "a promised object behind a transport": ({ yard, canary }) => {
    git(yard.repository, "config", "remote.origin.url", `ext::sh -c "${canary}"`);
    git(yard.repository, "config", "remote.origin.promisor", "true");
    git(yard.repository, "config", "extensions.partialClone", "origin");
    git(yard.repository, "config", "protocol.ext.allow", "always");
  },
  "a work tree elsewhere": ({ yard, outside }) => void git(yard.repository, "config", "core.worktree", outside),
  "a submodule that runs on update": ({ yard, canary }) => {
    const other = makeRepository(join(yard.dir, "other"), { "o.txt": "o" });
    git(yard.repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", other, "sub");
    commitWithoutHooks(yard);
    git(yard.repository, "config", "submodule.sub.update", `!${canary}`);
    git(yard.repository, "config", "submodule.recurse", "true");
    appendFileSync(join(yard.repository, ".git/modules/sub/config"), `[core]\n\tfsmonitor = ${canary}\n`);
  },
  "a symlink out, where later a folder lies": ({ yard, outside }) => {
    symlinkSync(outside, join(yard.repository, "dir"));
    commitWithoutHooks(yard);
    git(yard.repository, "branch", "linked");
    rmSync(join(yard.repository, "dir"));
    write(yard.repository, { "dir/escaped.txt": "x\n" });
    commitWithoutHooks(yard);
  },
};

/** What an agent may do inside of its worktree, before the gateway looks at it. */
const IN_WORKTREE: Readonly<Record<string, (dir: string, planted: Planted) => void>> = {
  "a repository of its own with a monitor": (dir, { canary }) => {
    makeRepository(join(dir, "nested"), { "n.txt": "n" });
    appendFileSync(join(dir, "nested/.git/config"), `[core]\n\tfsmonitor = ${canary}\n`);
  },
  "another repository in the place of .git": (dir, { canary }) => {
    rmSync(join(dir, ".git"));
    git(dir, "init", "-q");
    appendFileSync(join(dir, ".git/config"), `[core]\n\tfsmonitor = ${canary}\n`);
    writeFileSync(join(dir, ".git/hooks/post-index-change"), `#!/bin/sh\n${canary}\n`);
    chmodSync(join(dir, ".git/hooks/post-index-change"), 0o755);
  },
  "a .git that points elsewhere": (dir, { outside }) => {
    if (!existsSync(join(outside, "evil"))) makeRepository(join(outside, "evil"), { "e.txt": "e" });
    writeFileSync(join(dir, ".git"), `gitdir: ${join(outside, "evil/.git")}\n`);
  },
  "a symlink out, with a file below it": (dir, { outside }) => {
    rmSync(join(dir, "folder"), { recursive: true, force: true });
    symlinkSync(outside, join(dir, "folder"));
  },
  "attributes that name a filter": (dir, { yard, canary }) => {
    git(yard.repository, "config", "filter.late.clean", canary);
    write(dir, { ".gitattributes": "* filter=late\n" });
  },
};

test("a vector that works on an ordinary git leaves its trace, so a clean result below means something", async (t) => {
  const yard = await openYard(t, { files: { "a.txt": "1\n" } });
  const trace = join(yard.dir, "trace");
  VECTORS["filter clean and smudge"]!({ yard, canary: `touch ${trace}; cat`, outside: yard.dir });
  git(yard.repository, "worktree", "add", "-q", "--detach", join(yard.dir, "plain"), "main");
  assert.equal(existsSync(trace), true);
});

/** Vectors that do not get in each other's way share a repository, because each takes seconds on a busy machine. */
const SHARED = ["hook ", "setting "];
const GROUPS: readonly (readonly string[])[] = [
  ...SHARED.map((prefix) => Object.keys(VECTORS).filter((name) => name.startsWith(prefix))),
  ...Object.keys(VECTORS).filter((name) => !SHARED.some((prefix) => name.startsWith(prefix))).map((name) => [name]),
];

test("of 57 ways to have something run, or written elsewhere, none works", { timeout: 300_000 }, async (t) => {
  assert.equal(Object.keys(VECTORS).length + Object.keys(IN_WORKTREE).length, 57);
  for (const names of GROUPS) {
    await t.test(names.length === 1 ? names[0]! : `${names.length} of the kind: ${names[0]}`, (t) => attempt(t, (planted) => names.forEach((name, n) => VECTORS[name]!(planted(n))), () => {}));
  }
  for (const [name, plant] of Object.entries(IN_WORKTREE)) await t.test(name, (t) => attempt(t, () => {}, plant));
});

async function attempt(t: TestContext, prepare: (planted: (n: number) => Planted) => void, plant: (dir: string, planted: Planted) => void): Promise<void> {
  const yard = await openYard(t, { files: { "a.txt": "1\n", "folder/b.txt": "1\n", "test.sh": "exit 0\n" } });
  const [outside, traces] = [join(yard.dir, "outside"), join(yard.dir, "traces")];
  mkdirSync(outside);
  mkdirSync(traces);
  const planted = (n: number): Planted => ({ yard, canary: `touch ${traces}/${n}; cat`, outside });
  prepare(planted);
  for (const name of readdirSync(traces)) rmSync(join(traces, name)); // what planting itself set off
  const before = listed(outside);
  await workOn(planted(0), plant);
  assert.deepEqual(readdirSync(traces), [], "a canary ran");
  assert.deepEqual(listed(outside).filter((path) => !path.startsWith("evil")), before, "something was written outside");
}

/** Refusals are good answers; what counts is that nothing ran. */
async function workOn({ yard, ...rest }: Planted, plant: (dir: string, planted: Planted) => void): Promise<void> {
  const ok = async <T>(work: () => Promise<T>): Promise<T | null> => work().catch(() => null);
  const { worktrees, merges, repository } = yard;
  const make = (label: string) => ok(() => worktrees.create({ repository, base: "refs/heads/main", label }));
  const [one, two] = [await make("one"), await make("two")];
  if (one === null || two === null) return;
  for (const { dir, label } of [one, two]) {
    write(dir, { "a.txt": `${label}\n`, [`${label}.txt`]: "new\n" });
    plant(dir, { yard, ...rest });
  }
  await ok(() => worktrees.status(one.id));
  await ok(() => worktrees.snapshot(one.id));
  for (const { id } of [one, two]) {
    const merge = await ok(() => merges.enqueue({ workspace: id, epoch: 1, onto: "main", message: "feat: x", tests: [{ command: "sh test.sh", timeoutMs: 20_000 }], allowFlagged: true }));
    if (merge === null) continue;
    const end = await merges.watch(merge.id, AbortSignal.timeout(30_000));
    if (end.state === "landed") await ok(() => merges.undo(end.id));
  }
  await ok(() => worktrees.changedTogether(repository, { commits: 10 }));
  await ok(() => worktrees.commits(repository, "main"));
  await ok(() => worktrees.remove(one.id));
  await ok(() => worktrees.undo(one.id));
  await ok(() => worktrees.remove(two.id));
}

function listed(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: "utf8" }).toSorted();
}
