import assert from "node:assert/strict";
import { readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import type { WorkspaceId } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import type { Merge, NewMerge } from "../model/merge.ts";
import type { Workspace } from "../model/workspace.ts";
import { git, openYard, write, type Yard, type YardOptions } from "../../test/support/workspaces.ts";
import type { ConflictHelp, RadarNews } from "./merges.ts";
import { Radar } from "./radar.ts";

const CLI = "import { program } from './program.js';\n\nprogram.command('help');\n\nprogram.parse();\n";
const PASS = [{ command: "sh test.sh", timeoutMs: 20_000 }];

const isFault = (code: string) => (error: unknown): boolean => error instanceof Fault && error.code === code;
const open = (t: TestContext, options: YardOptions = {}): Promise<Yard> => openYard(t, { files: { "test.sh": "exit 0\n", "package.json": '{\n  "name": "x",\n  "dependencies": {\n    "a": "1"\n  }\n}\n', "cli.ts": CLI, "add.ts": "export function add(a, b) {\n  return a + b;\n}\n" }, ...options });

async function work(yard: Yard, label: string, files: Readonly<Record<string, string>>, claims: readonly string[] = []): Promise<Workspace> {
  const one = await yard.worktrees.create({ repository: yard.repository, base: "main", label, claims });
  write(one.dir, files);
  return one;
}

async function land(yard: Yard, one: Workspace, more: Partial<NewMerge> = {}): Promise<Merge> {
  const merge = await yard.merges.enqueue({ workspace: one.id, epoch: one.epoch, onto: "main", message: `feat: ${one.label}`, tests: PASS, ...more });
  return yard.merges.watch(merge.id, AbortSignal.timeout(30_000));
}

const subjects = (yard: Yard): string[] => git(yard.repository, "log", "--format=%s", "main").split("\n");
const show = (yard: Yard, path: string): string => git(yard.repository, "show", `main:${path}`);

test("work lands as one commit that says where it comes from, tested on exactly its tree, and a clean checkout follows", async (t) => {
  const yard = await open(t);
  const one = await work(yard, "auth", { "auth.ts": "1\n" });
  await yard.worktrees.commit(one.id, 1, "wip");
  write(one.dir, { "auth.ts": "2\n" });

  const merge = await land(yard, one, { trailers: ["Yard-Task: auth"] });

  assert.equal(merge.state, "landed", merge.problem?.text);
  assert.deepEqual(subjects(yard), ["feat: auth", "chore: project setup"]);
  assert.deepEqual(merge.evidence.map(({ exitCode, tree }) => [exitCode, tree]), [[0, git(yard.repository, "rev-parse", "main^{tree}")]]);
  assert.match(git(yard.repository, "log", "-1", "--format=%b", "main"), new RegExp(`Yard-Task: auth\nYard-Workspace: ${one.id}\nYard-Commit: ${merge.commit}`));
  assert.equal(readFileSync(join(yard.repository, "auth.ts"), "utf8"), "2\n");
  assert.equal(git(yard.repository, "status", "--porcelain"), "");
  await assert.rejects(land(yard, one, { epoch: 7 }), isFault("WORKSPACE_FENCED"));
});

test("style merge keeps both parents, style rebase each commit", async (t) => {
  const yard = await open(t);
  const [one, two] = [await work(yard, "one", { "a.ts": "1\n" }), await work(yard, "two", { "b.ts": "1\n" })];
  await yard.worktrees.commit(two!.id, 1, "b first");
  write(two!.dir, { "b.ts": "2\n" });
  await yard.worktrees.commit(two!.id, 1, "b second");
  assert.equal((await land(yard, one!, { style: "merge" })).state, "landed");
  assert.equal(git(yard.repository, "show", "-s", "--format=%P", "main").split(" ").length, 2);
  assert.equal((await land(yard, two!, { style: "rebase" })).state, "landed");
  assert.deepEqual(subjects(yard).slice(0, 3), ["b second", "b first", "feat: one"]);
});

test("how work lands, and what is tried about a conflict, is as the settings say when nobody else does", async (t) => {
  const yard = await openYard(t, { files: { "price.ts": "1\n", "test.sh": "exit 0\n" }, settings: { "merges.style": "merge", "merges.strategies": [] }, help: () => ({ resolve: async () => assert.fail("nobody is asked"), redo: async () => assert.fail("nobody is asked") }) });
  const [one, two] = [await work(yard, "one", { "price.ts": "2\n" }), await work(yard, "two", { "price.ts": "3\n" })];
  assert.equal((await land(yard, one!)).state, "landed");
  assert.equal(git(yard.repository, "show", "-s", "--format=%P", "main").split(" ").length, 2);
  const merge = await land(yard, two!);
  assert.deepEqual([merge.state, merge.conflict?.files.map(({ path, ours, theirs }) => [path, ours, theirs])], ["conflict", [["price.ts", "2\n", "3\n"]]]);
});

test("red tests land nothing and name the command; the next in line is not held up", async (t) => {
  const yard = await open(t);
  const [bad, good] = [await work(yard, "bad", { "test.sh": "echo it broke; exit 4\n" }), await work(yard, "good", { "good.ts": "1\n" })];
  const before = git(yard.repository, "rev-parse", "main");
  const merge = await land(yard, bad!);
  assert.deepEqual([merge.state, merge.problem?.code, merge.evidence[0]?.exitCode, merge.evidence[0]?.output], ["failed", "MERGE_TESTS_RED", 4, "it broke\n"]);
  assert.equal(git(yard.repository, "rev-parse", "main"), before);
  assert.equal((await land(yard, good!)).state, "landed");
  write(bad!.dir, { "test.sh": "exit 0\n", "mended.ts": "1\n" });
  await yard.merges.retry(merge.id);
  assert.equal((await yard.merges.watch(merge.id, AbortSignal.timeout(30_000))).state, "landed");
});

test("each passes alone and together they fail: the test of the merged result names the branch that came last", async (t) => {
  const yard = await open(t, { files: { "test.sh": "test ! -f notify.ts || grep -q \"$(cat notify.ts)\" auth.ts\n", "auth.ts": "export v1\n" } });
  const [auth, notify] = [await work(yard, "auth", { "auth.ts": "export v2\n" }), await work(yard, "notification", { "notify.ts": "v1\n" })];
  assert.equal((await yard.worktrees.test(notify!.id, PASS[0]!)).exitCode, 0);
  assert.equal((await land(yard, auth!)).state, "landed");
  const merge = await land(yard, notify!);
  assert.deepEqual([merge.state, merge.problem?.code, merge.workspace], ["failed", "MERGE_TESTS_RED", notify!.id]);
});

test("a batch with one culprit lands what is before it, names it, and lands what is after it", async (t) => {
  const yard = await open(t, { settings: { "merges.batchMax": 8 }, files: { "test.sh": "sleep 0.3; test ! -f culprit.ts\n" } });
  const labels = ["slow", "a", "b", "culprit", "d", "e"];
  const all = [];
  for (const label of labels) all.push(await work(yard, label, { [`${label}.ts`]: "1\n" }));
  const merges = await Promise.all(all.map((one) => land(yard, one)));
  assert.deepEqual(merges.map(({ state }) => state), ["landed", "landed", "landed", "failed", "landed", "landed"]);
  assert.equal(git(yard.repository, "log", "--format=%s", "main").split("\n").length, 6);
});

test("both add a dependency to package.json: both are kept, because JSON is merged by its keys", async (t) => {
  const yard = await open(t);
  const add = (name: string) => `{\n  "name": "x",\n  "dependencies": {\n    "a": "1",\n    "${name}": "4"\n  }\n}\n`;
  const [one, two] = [await work(yard, "express", { "package.json": add("express") }), await work(yard, "commander", { "package.json": add("commander") })];
  await land(yard, one!);
  const merge = await land(yard, two!);
  assert.deepEqual([merge.state, merge.mendedBy], ["landed", "accept-both"]);
  assert.deepEqual(Object.keys(JSON.parse(show(yard, "package.json")).dependencies).toSorted(), ["a", "commander", "express"]);
});

test("both add a command to cli.ts: accept-both keeps both, and without tests a person decides", async (t) => {
  const yard = await open(t);
  const add = (name: string) => CLI.replace("help');\n", `help');\nprogram.command('${name}');\n`);
  const [one, two, three] = [await work(yard, "auth", { "cli.ts": add("auth") }), await work(yard, "list", { "cli.ts": add("list") }), await work(yard, "upload", { "cli.ts": add("upload") })];
  await land(yard, one!);
  assert.equal((await land(yard, two!)).mendedBy, "accept-both");
  assert.equal(show(yard, "cli.ts"), CLI.replace("help');\n", "help');\nprogram.command('auth');\nprogram.command('list');\n").trimEnd());
  const merge = await land(yard, three!, { tests: [] });
  assert.equal(merge.state, "conflict");
  assert.deepEqual(merge.conflict?.files.map(({ path, kind }) => [path, kind]), [["cli.ts", "content"]]);
  assert.match(merge.conflict!.files[0]!.ours!, /list/);
  assert.match(merge.conflict!.files[0]!.theirs!, /upload/);
});

const OURS = "export function add(a, b) {\n  return Number(a) + b;\n}\n";
const THEIRS = "export function add(a, b) {\n  return a + Number(b);\n}\n";
const MENDED = "export function add(a, b) {\n  return Number(a) + Number(b);\n}\n";

test("the same function changed by both: the last one in mends it in its own workspace, and lands", async (t) => {
  const help: ConflictHelp = {
    async resolve({ workspace, conflict }) {
      assert.match(readFileSync(join(workspace.dir, "add.ts"), "utf8"), /^<{7} /m);
      assert.deepEqual(conflict.files.map(({ path }) => path), ["add.ts"]);
      write(workspace.dir, { "add.ts": MENDED });
      return true;
    },
    redo: () => assert.fail("it was mended"),
  };
  const yard = await open(t, { help: () => help });
  const [one, two] = [await work(yard, "one", { "add.ts": OURS }), await work(yard, "two", { "add.ts": THEIRS, "more.ts": "1\n" })];
  await land(yard, one!);
  const merge = await land(yard, two!);
  assert.deepEqual([merge.state, merge.mendedBy], ["landed", "last-in-rebases"]);
  assert.equal(show(yard, "add.ts"), MENDED.trimEnd());
  assert.equal(show(yard, "more.ts"), "1");
  assert.match(git(yard.repository, "log", "--format=%s", "--glob=refs/yard/backup"), /a snapshot of unfinished work/);
});

test("what an agent had mended and committed when the gateway was killed is not shown to it with markers again", async (t) => {
  const seen: string[] = [];
  const help: ConflictHelp = {
    async resolve({ workspace, signal }) {
      seen.push(readFileSync(join(workspace.dir, "add.ts"), "utf8"));
      if (seen.length === 2) return true;
      write(workspace.dir, { "add.ts": MENDED });
      await yard.worktrees.commit(workspace.id, workspace.epoch, "both hold");
      asked.resolve();
      return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
    redo: () => assert.fail("it was mended"),
  };
  const asked = Promise.withResolvers<void>();
  const yard: Yard = await open(t, { help: () => help });
  const [one, two] = [await work(yard, "one", { "add.ts": OURS }), await work(yard, "two", { "add.ts": THEIRS })];
  await land(yard, one!);
  const { id } = await yard.merges.enqueue({ workspace: two!.id, epoch: two!.epoch, onto: "main", message: "feat: two", tests: PASS });
  await asked.promise;
  await yard.reopen();
  const merge = await yard.merges.watch(id, AbortSignal.timeout(30_000));
  assert.deepEqual([merge.state, merge.mendedBy, seen[0]!.includes("<<<<<<<"), seen[1]], ["landed", "last-in-rebases", true, MENDED]);
  assert.equal(show(yard, "add.ts"), MENDED.trimEnd());
});

test("the same function changed by both, too hard to mend: the work is done again on what landed", async (t) => {
  const help: ConflictHelp = {
    resolve: async () => false,
    async redo({ workspace, conflict }) {
      const again = await yard.worktrees.create({ repository: workspace.repository, base: conflict.onto, label: "again" });
      write(again.dir, { "add.ts": MENDED });
      return { workspace: again.id, epoch: again.epoch };
    },
  };
  const yard: Yard = await open(t, { help: () => help });
  const [one, two] = [await work(yard, "one", { "add.ts": OURS }), await work(yard, "two", { "add.ts": THEIRS })];
  await land(yard, one!);
  const merge = await land(yard, two!);
  assert.deepEqual([merge.state, merge.mendedBy], ["landed", "abort-and-retry"]);
  assert.equal(show(yard, "add.ts"), MENDED.trimEnd());
});

test("an agent that leaves conflict markers has mended nothing: a person gets both sides", async (t) => {
  const help: ConflictHelp = { resolve: async () => true, redo: async () => null };
  const yard = await open(t, { help: () => help });
  const [one, two] = [await work(yard, "one", { "add.ts": OURS }), await work(yard, "two", { "add.ts": THEIRS })];
  await land(yard, one!);
  const merge = await land(yard, two!);
  assert.deepEqual([merge.state, merge.problem?.code], ["conflict", "MERGE_CONFLICT"]);
  write(two!.dir, { "add.ts": MENDED });
  await yard.merges.retry(merge.id);
  assert.equal((await yard.merges.watch(merge.id, AbortSignal.timeout(30_000))).state, "landed");
});

test("a change outside of the claim is refused, and lands once the claim was widened", async (t) => {
  const yard = await open(t);
  const one = await work(yard, "auth", { "src/auth/a.ts": "1\n", "src/pay/b.ts": "1\n" }, ["src/auth/**"]);
  const merge = await land(yard, one);
  assert.deepEqual([merge.state, merge.problem?.code], ["refused", "MERGE_OUTSIDE_CLAIM"]);
  assert.match(merge.problem!.text, /src\/pay\/b\.ts/);
  await yard.worktrees.widen(one.id, ["src/pay/**"]);
  await yard.merges.retry(merge.id);
  assert.equal((await yard.merges.watch(merge.id, AbortSignal.timeout(30_000))).state, "landed");
});

test("links, CI and the instructions of agents wait for a person's eyes", async (t) => {
  const yard = await open(t);
  for (const path of ["AGENTS.md", ".github/workflows/x.yml", ".claude/settings.json", ".gitattributes", "hooks/pre-commit"]) {
    assert.equal((await land(yard, await work(yard, path, { [path]: "1\n" }))).problem?.code, "MERGE_FLAGGED", path);
  }
  const one = await work(yard, "link", {});
  symlinkSync("/etc/passwd", join(one.dir, "link"));
  const merge = await land(yard, one);
  assert.equal(merge.problem?.code, "MERGE_FLAGGED");
  await yard.merges.retry(merge.id, { allowFlagged: true });
  assert.equal((await yard.merges.watch(merge.id, AbortSignal.timeout(30_000))).state, "landed");
});

test("an agent that changes what the repository would run is found out before its work lands", async (t) => {
  const yard = await open(t);
  const one = await work(yard, "sly", { "a.ts": "1\n" });
  git(yard.repository, "config", "filter.x.clean", "touch /tmp/never");
  const merge = await land(yard, one);
  assert.deepEqual([merge.state, merge.problem?.code], ["refused", "MERGE_REPOSITORY_CHANGED"]);
});

test("a hook that an agent planted, and a worktree whose .git leads elsewhere, keep its work from landing", async (t) => {
  const yard = await open(t);
  const [hooked, led] = [await work(yard, "hooked", { "a.ts": "1\n" }), await work(yard, "led", { "b.ts": "1\n" })];
  write(yard.repository, { ".git/hooks/post-checkout": "#!/bin/sh\ntouch /tmp/never\n" });
  const merge = await land(yard, hooked);
  assert.deepEqual([merge.state, merge.problem?.code], ["refused", "MERGE_REPOSITORY_CHANGED"]);
  assert.match(merge.problem!.text, /hooks\/post-checkout/);
  rmSync(join(yard.repository, ".git/hooks/post-checkout"));
  write(led.dir, { ".git": `gitdir: ${yard.repository}/.git\n` });
  assert.match((await land(yard, led)).problem!.text, /\.git leads elsewhere/);
  await yard.merges.retry(merge.id);
  assert.equal((await yard.merges.watch(merge.id, AbortSignal.timeout(30_000))).state, "landed");
});

test("work that was handed over while it waited is refused, because its epoch is old", { timeout: 20_000 }, async (t) => {
  const yard = await open(t, { files: { "test.sh": "sleep 1\n" } });
  const one = await work(yard, "zombie", { "a.ts": "1\n" });
  const landing = land(yard, one);
  while ((await yard.merges.list({ states: ["running"] })).length === 0) await new Promise(setImmediate);
  await yard.worktrees.handOver(one.id, null);
  assert.deepEqual(await landing.then(({ state, problem }) => [state, problem?.code]), ["refused", "WORKSPACE_FENCED"]);
  assert.deepEqual(subjects(yard), ["chore: project setup"]);
});

test("a checkout with changes keeps its branch where it is, because nobody's files are moved under their hands", async (t) => {
  const yard = await open(t);
  const one = await work(yard, "one", { "cli.ts": "new\n" });
  write(yard.repository, { "cli.ts": "mine\n" });
  const merge = await land(yard, one);
  assert.deepEqual([merge.state, merge.problem?.code], ["failed", "MERGE_TARGET_DIRTY"]);
  assert.equal(readFileSync(join(yard.repository, "cli.ts"), "utf8"), "mine\n");
  assert.deepEqual(subjects(yard), ["chore: project setup"]);

  git(yard.repository, "checkout", "-q", "cli.ts");
  write(yard.repository, { "untracked.ts": "mine\n" });
  write(one.dir, { "untracked.ts": "theirs\n" });
  await yard.merges.retry(merge.id);
  assert.equal((await yard.merges.watch(merge.id, AbortSignal.timeout(30_000))).problem?.code, "MERGE_TARGET_DIRTY");
  assert.deepEqual([readFileSync(join(yard.repository, "untracked.ts"), "utf8"), subjects(yard).length], ["mine\n", 1]);
  assert.doesNotMatch(git(yard.repository, "reflog", "show", "main"), /yard: /, "not even for a moment");
});

test("a landed merge is undone: the ref goes back when it was the last, else a commit takes it back", async (t) => {
  const yard = await open(t);
  const [one, two] = [await land(yard, await work(yard, "one", { "a.ts": "1\n" })), await land(yard, await work(yard, "two", { "b.ts": "1\n" }))];
  assert.equal((await yard.merges.undo(one.id)).state, "undone");
  assert.deepEqual(subjects(yard).slice(0, 2), ['Revert "feat: one"', "feat: two"]);
  assert.equal(git(yard.repository, "ls-files", "*.ts").split("\n").includes("a.ts"), false);
  assert.equal(git(yard.repository, "status", "--porcelain"), "");
  await assert.rejects(yard.merges.undo(one.id), isFault("MERGE_STATE"));
  const three = await land(yard, await work(yard, "three", { "c.ts": "1\n" }));
  await yard.merges.undo(three.id);
  assert.equal(git(yard.repository, "rev-parse", "main"), three.from);
  assert.equal((await yard.merges.get(two.id))?.state, "landed");
});

test("what somebody has built on, or pushed, is taken back by a commit, so that it does not come back with the next merge", async (t) => {
  const yard = await open(t);
  const one = await land(yard, await work(yard, "one", { "a.ts": "1\n" }));
  const next = await work(yard, "next", { "b.ts": "1\n" });
  await yard.merges.undo(one.id);
  assert.deepEqual(subjects(yard).slice(0, 2), ['Revert "feat: one"', "feat: one"]);
  await land(yard, next);
  assert.deepEqual(git(yard.repository, "ls-tree", "--name-only", "main", "a.ts", "b.ts"), "b.ts");

  const three = await land(yard, await work(yard, "three", { "c.ts": "1\n" }));
  git(yard.repository, "update-ref", "refs/remotes/origin/main", "main");
  await yard.merges.undo(three.id);
  assert.equal(subjects(yard)[0], 'Revert "feat: three"');

  // Somebody goes on with commits that come to the branch as they are.
  const four = await work(yard, "four", { "d.ts": "1\n" });
  await yard.worktrees.commit(four.id, 1, "d");
  git(yard.repository, "branch", "somebody", four.branch);
  await yard.merges.undo((await land(yard, four, { style: "merge" })).id);
  assert.equal(subjects(yard)[0], 'Revert "feat: four"');
  const five = await land(yard, await work(yard, "five", { "e.ts": "1\n" }), { style: "merge" });
  await yard.merges.undo(five.id);
  assert.equal(git(yard.repository, "rev-parse", "main"), five.from);

  // A workspace that is only being made has no branch yet (seeds 332700, 356809).
  const six = await land(yard, await work(yard, "six", { "f.ts": "1\n" }));
  const { portFirst: _own, ...row } = four;
  await yard.store.addWorkspace({ workspace: { ...row, id: "ws_made" as WorkspaceId, state: "making", dir: `${four.dir}made`, branch: "refs/heads/yard/ws_made", base: six.to! }, liveMax: 100, portBase: 30_000 });
  await yard.merges.undo(six.id);
  assert.equal(subjects(yard)[0], 'Revert "feat: six"');
});

test("a merge that cannot be taken back just now is landed as before, and can be taken back later", async (t) => {
  const yard = await open(t);
  const one = await work(yard, "one", {});
  rmSync(join(one.dir, "add.ts"));
  const merge = await land(yard, one);
  write(yard.repository, { "add.ts": "somebody's own\n" });
  await assert.rejects(yard.merges.undo(merge.id), isFault("MERGE_TARGET_DIRTY"));
  assert.deepEqual([(await yard.merges.get(merge.id))?.state, git(yard.repository, "rev-parse", "main")], ["landed", merge.to]);
  assert.equal(readFileSync(join(yard.repository, "add.ts"), "utf8"), "somebody's own\n");
  rmSync(join(yard.repository, "add.ts"));
  assert.equal((await yard.merges.undo(merge.id)).state, "undone");
  assert.equal(git(yard.repository, "status", "--porcelain"), "");
});

test("an undo whose last row could not be written is undone: at once, or when the rows can be written again", { timeout: 20_000 }, async (t) => {
  const yard = await open(t);
  const write = yard.store.moveMerges.bind(yard.store);
  const failing = t.mock.method(yard.store, "moveMerges", write);
  const failUndone = (times: number): void => failing.mock.mockImplementation((moves) => (moves[0]?.patch.state === "undone" && times-- > 0 ? Promise.reject(new Error("no rows just now")) : write(moves)));

  const one = await land(yard, await work(yard, "one", { "a.ts": "1\n" }));
  failUndone(1);
  assert.equal((await yard.merges.undo(one.id)).state, "undone");

  const two = await land(yard, await work(yard, "two", { "b.ts": "1\n" }));
  failUndone(2);
  await assert.rejects(yard.merges.undo(two.id), /no rows just now/);
  assert.equal((await yard.merges.get(two.id))?.state, "undoing");
  assert.equal((await yard.merges.watch(two.id, AbortSignal.timeout(15_000))).state, "undone");
  assert.equal(git(yard.repository, "rev-parse", "main"), two.from);
});

test("after a kill the ref tells whether a merge landed: moved, it is not merged again; not moved, it is", async (t) => {
  const yard = await open(t);
  const one = await work(yard, "one", { "a.ts": "1\n" });
  const merge = await land(yard, one);
  const rows = () => yard.store.moveMerges([{ id: merge.id, from: ["landed"], patch: { state: "advancing", endedAt: null } }]);
  await rows();
  git(yard.repository, "read-tree", "--reset", "-u", merge.from!); // the checkout had not followed yet
  await yard.reopen();
  assert.equal((await yard.merges.watch(merge.id, AbortSignal.timeout(30_000))).state, "landed");
  assert.equal(git(yard.repository, "status", "--porcelain"), "");
  assert.equal(subjects(yard).length, 2);

  await rows();
  git(yard.repository, "reset", "-q", "--hard", merge.from!);
  await yard.reopen();
  assert.equal((await yard.merges.watch(merge.id, AbortSignal.timeout(30_000))).state, "landed");
  assert.deepEqual(subjects(yard), ["feat: one", "chore: project setup"]);
});

test("the radar warns both sides of a conflict to come once, and tells who has read what changed", { timeout: 20_000 }, async (t) => {
  const heard: RadarNews[] = [];
  const options: YardOptions = { news: (news) => void heard.push(news), reads: () => ["add.ts"] };
  const yard = await open(t, options);
  const [one, two, three] = [await work(yard, "one", { "add.ts": OURS }), await work(yard, "two", { "add.ts": THEIRS }), await work(yard, "three", { "c.ts": "1\n" })];
  const radar = new Radar({ store: yard.store, worktrees: yard.worktrees, news: options.news } as unknown as ConstructorParameters<typeof Radar>[0]);
  await radar.look();
  await radar.look();
  assert.deepEqual(heard.map(({ kind, workspace, other, paths }) => [kind, workspace, other, paths]).toSorted(), [["overlap", one!.id, two!.id, ["add.ts"]], ["overlap", two!.id, one!.id, ["add.ts"]]].toSorted());
  assert.equal(git(one!.dir, "status", "--porcelain"), " M add.ts");
  const objects = git(yard.repository, "count-objects");
  await radar.look();
  assert.equal(git(yard.repository, "count-objects"), objects, "a look at work that rests leaves nothing in the repository");
  heard.length = 0;
  await land(yard, one!);
  while (heard.length < 2) await new Promise(setImmediate);
  assert.deepEqual(heard.map(({ kind, workspace }) => `${kind} ${workspace}`).toSorted(), [`stale-read ${three!.id}`, `stale-read ${two!.id}`].toSorted());
});
