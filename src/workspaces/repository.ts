/**
 * Questions to a repository, and the few moves of it: objects are made freely, refs move by
 * compare-and-swap, files are changed only in worktrees that a caller names.
 */
import { createHash } from "node:crypto";
import { copyFile, lstat, mkdir, readdir, readFile, readlink, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../model/faults.ts";
import type { ChangedFile, Commit } from "../model/workspace.ts";
import type { Git, Place } from "./git.ts";

export const NO_OBJECT = "0".repeat(40);
const BLOB_MAX_BYTES = 1_000_000;
const COMMITS_MAX = 1000;
/** Trees of commits that are kept in mind. */
const TREES_MAX = 1000;
/** Files of one folder beside the settings that are looked at. */
const WATCHED_FILES_MAX = 200;
/** Longest that the files of a worktree may take to be written, milliseconds. */
const CHECK_OUT_MS = 600_000;
const WHOLE_ID = /^[0-9a-f]{40,64}$/;

export interface IndexEntry {
  readonly mode: string;
  readonly id: string;
  readonly path: string;
}

/** What merging two commits gives, on no branch and in no worktree. */
export interface MergeResult {
  readonly tree: string;
  /** Empty = clean. */
  readonly conflicts: readonly MergeConflict[];
}

export interface MergeConflict {
  readonly path: string;
  /** Mode and blob on each side; absent = not there. */
  readonly base?: IndexEntry;
  readonly ours?: IndexEntry;
  readonly theirs?: IndexEntry;
}

/** A checkout of the repository. */
export interface Checkout {
  readonly dir: string;
  /** Full name; null = detached. */
  readonly branch: string | null;
}

export class Repository {
  readonly git: Git;
  readonly place: Place;
  readonly #trees = new Map<string, string>();

  /** @param commonDir  absolute. */
  constructor(git: Git, commonDir: string) {
    this.git = git;
    this.place = { commonDir, gitDir: commonDir, workTree: null };
  }

  get commonDir(): string {
    return this.place.commonDir;
  }

  // ── questions ─────────────────────────────────────────────────────────────────────────────

  async resolve(name: string): Promise<string | null> {
    const { code, stdout } = await this.git.run(this.place, ["rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{commit}`], { answers: [1, 128] });
    return code === 0 ? stdout.trim() : null;
  }

  async must(name: string): Promise<string> {
    const id = await this.resolve(name);
    if (id === null) throw new Fault("GIT_FAILED", { command: "rev-parse", problem: `there is no commit ${name} in ${this.commonDir}` });
    return id;
  }

  /** A commit's tree never changes, so it is asked for once. */
  async treeOf(commit: string): Promise<string> {
    const known = this.#trees.get(commit);
    if (known !== undefined) return known;
    const tree = await this.git.text(this.place, ["rev-parse", "--verify", "--end-of-options", `${commit}^{tree}`]);
    if (!WHOLE_ID.test(commit)) return tree;
    if (this.#trees.size >= TREES_MAX) this.#trees.clear();
    this.#trees.set(commit, tree);
    return tree;
  }

  /** Null when the two have no history in common. */
  async mergeBase(a: string, b: string): Promise<string | null> {
    const { code, stdout } = await this.git.run(this.place, ["merge-base", "--end-of-options", a, b], { answers: [1] });
    return code === 0 ? stdout.trim() : null;
  }

  async isAncestor(older: string, newer: string): Promise<boolean> {
    return (await this.git.run(this.place, ["merge-base", "--is-ancestor", older, newer], { answers: [1] })).code === 0;
  }

  async diffNames(from: string, to: string): Promise<ChangedFile[]> {
    const fields = await this.git.fields(this.place, ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", "--end-of-options", from, to]);
    const changed: ChangedFile[] = [];
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const [modeBefore, mode, , , letter] = fields[at]!.slice(1).split(" ") as [string, string, string, string, string];
      changed.push({ path: fields[at + 1]!, status: letter === "A" ? "added" : letter === "D" ? "deleted" : "changed", mode, modeBefore });
    }
    return changed;
  }

  async files(commit: string): Promise<string[]> {
    return this.git.fields(this.place, ["ls-tree", "-r", "-z", "--name-only", "--full-tree", "--end-of-options", commit]);
  }

  /** Text of a blob, by its id or `commit:path`; null = not there, too large, or no text. */
  async text(name: string): Promise<string | null> {
    const size = await this.git.run(this.place, ["cat-file", "-s", name], { answers: [1, 128] });
    if (size.code !== 0 || Number(size.stdout) > BLOB_MAX_BYTES) return null;
    const { bytes, code } = await this.git.run(this.place, ["cat-file", "blob", name], { answers: [1, 128] });
    return code !== 0 || bytes.includes(0) ? null : bytes.toString("utf8");
  }

  async commits(to: string, { from, limit = COMMITS_MAX }: { readonly from?: string; readonly limit?: number } = {}): Promise<Commit[]> {
    const format = ["%H", "%P", "%at", "%an", "%s", "%b"].join("%x00");
    const range = from === undefined ? [to] : [to, `^${from}`];
    const fields = await this.git.fields(this.place, ["log", "-z", `--max-count=${limit}`, "--topo-order", `--format=tformat:${format}`, "--end-of-options", ...range]);
    const commits: Commit[] = [];
    for (let at = 0; at + 5 < fields.length; at += 6) {
      const [id, parents, time, author, subject, body] = fields.slice(at, at + 6) as [string, string, string, string, string, string];
      commits.push({ id, parents: parents === "" ? [] : parents.split(" "), at: Number(time) * 1000, author, subject, body: body.trimEnd() });
    }
    return commits;
  }

  async changedTogether(commits: number): Promise<string[][]> {
    const { stdout } = await this.git.run(this.place, ["log", "-z", `--max-count=${commits}`, "--no-merges", "--no-renames", "--no-ext-diff", "--name-only", "--format=tformat:%x01"]);
    return stdout.split("\u0001").slice(1).map((part) => part.split("\0").map((name) => name.replace(/^\n/, "")).filter((name) => name !== ""));
  }

  async checkouts(): Promise<Checkout[]> {
    const fields = await this.git.fields(this.place, ["worktree", "list", "--porcelain", "-z"]);
    const checkouts: Checkout[] = [];
    let dir: string | null = null;
    let branch: string | null = null;
    for (const field of fields) {
      if (field.startsWith("worktree ")) dir = field.slice("worktree ".length);
      if (field.startsWith("branch ")) branch = field.slice("branch ".length);
      if (field !== "") continue;
      if (dir !== null) checkouts.push({ dir, branch });
      dir = branch = null;
    }
    return checkouts;
  }

  /** What in the repository could run something, or lead git elsewhere; two calls differ when it changed. */
  async dangers(): Promise<string[]> {
    const settings = (await this.git.configuration(this.place)).filter((line) => !/^(branch|remote|user|core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks))\b/.test(line));
    return [...settings.map((line) => line.replace("\n", " = ")), ...(await this.#watchedFiles())].toSorted();
  }

  /** Hooks, attributes, excludes and settings of submodules that lie beside the settings, each with a hash. */
  async #watchedFiles(): Promise<string[]> {
    const namesIn = async (folder: string): Promise<string[]> => (await readdir(join(this.commonDir, folder)).catch(() => [])).slice(0, WATCHED_FILES_MAX).map((name) => `${folder}/${name}`);
    const modules = (await namesIn("modules")).map((path) => `${path}/config`);
    const files = [...(await namesIn("hooks")), ...(await namesIn("info")), ...modules].filter((path) => !/^hooks\/.*\.sample$|^info\/refs$/.test(path));
    return Promise.all(files.map(async (path) => `${path} ${await hashOf(join(this.commonDir, path))}`));
  }

  // ── objects ───────────────────────────────────────────────────────────────────────────────

  /** As `git merge` would, without touching anything. */
  async merge(ours: string, theirs: string): Promise<MergeResult> {
    const { stdout, code } = await this.git.run(this.place, ["merge-tree", "--write-tree", "-z", "--no-messages", "--allow-unrelated-histories", ours, theirs], { answers: [1] });
    const [tree, ...entries] = stdout.split("\0");
    if (code === 0) return { tree: tree!, conflicts: [] };
    const byPath = new Map<string, { path: string; base?: IndexEntry; ours?: IndexEntry; theirs?: IndexEntry }>();
    for (const entry of entries) {
      const found = /^(\d+) ([0-9a-f]+) ([123])\t(.*)$/s.exec(entry);
      if (found === null) continue;
      const [, mode, id, stage, path] = found as unknown as [string, string, string, string, string];
      const one = byPath.get(path) ?? { path };
      one[stage === "1" ? "base" : stage === "2" ? "ours" : "theirs"] = { mode, id, path };
      byPath.set(path, one);
    }
    return { tree: tree!, conflicts: [...byPath.values()] };
  }

  /** Three texts merged by lines, with diff3 markers where they conflict. */
  async mergeText(ours: string, base: string, theirs: string): Promise<string> {
    const dir = join(this.commonDir, this.git.scratchName());
    await mkdir(dir, { mode: 0o700 });
    try {
      const files = [join(dir, "ours"), join(dir, "base"), join(dir, "theirs")] as const;
      await Promise.all([ours, base, theirs].map((text, n) => writeFile(files[n]!, text)));
      // It ends with the number of conflicts.
      return (await this.git.run(this.place, ["merge-file", "-p", "--diff3", ...files], { answers: Array.from({ length: 127 }, (_none, n) => n + 1) })).stdout;
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }

  async writeBlob(text: string): Promise<string> {
    return this.git.text(this.place, ["hash-object", "-w", "--stdin", "--no-filters"], { input: text });
  }

  /** A tree with some files put in the place of others. */
  async treeWith(tree: string, entries: readonly IndexEntry[]): Promise<string> {
    return this.#withIndex(null, async (env) => {
      await this.git.run(this.place, ["read-tree", tree], { env });
      await this.git.run(this.place, ["update-index", "-z", "--index-info"], { env, input: entries.map(({ mode, id, path }) => `${mode} ${id} 0\t${path}\0`).join("") });
      return this.git.text(this.place, ["write-tree"], { env });
    });
  }

  /**
   * @param author  whose work it is; ours when absent.
   * @param date    when it is committed, as git writes it; now when absent.
   */
  async commitTree(tree: string, parents: readonly string[], message: string, author?: { readonly name: string; readonly email: string; readonly date: string }, date?: string): Promise<string> {
    const committed = date === undefined ? {} : { GIT_COMMITTER_DATE: date };
    const env = author === undefined ? committed : { ...committed, GIT_AUTHOR_NAME: author.name || "unknown", GIT_AUTHOR_EMAIL: author.email, GIT_AUTHOR_DATE: author.date };
    return this.git.text(this.place, ["commit-tree", tree, ...parents.flatMap((parent) => ["-p", parent])], { input: message.endsWith("\n") ? message : `${message}\n`, env });
  }

  async authorOf(commit: string): Promise<{ readonly name: string; readonly email: string; readonly date: string }> {
    const [name, email, date] = await this.git.fields(this.place, ["show", "-s", "--no-show-signature", "--format=tformat:%an%x00%ae%x00%at +0000%x00", commit]);
    return { name: name!, email: email!, date: `@${date!.replace(/^\n/, "")}` };
  }

  // ── refs ──────────────────────────────────────────────────────────────────────────────────

  /** False: the ref is not where the caller thinks it is; nothing moved then. `from` NO_OBJECT = it must not exist. */
  async moveRef(ref: string, to: string, from: string, why: string): Promise<boolean> {
    const { code } = await this.git.run(this.place, ["update-ref", "-m", `yard: ${why}`, ref, to, from], { answers: [1, 128] });
    if (code === 0) return true;
    const now = await this.resolve(ref);
    if (now === to) return true; // it failed only after it had moved it
    if (now === (from === NO_OBJECT ? null : from)) throw new Fault("GIT_FAILED", { command: "update-ref", problem: `${ref} could not be moved; is another git at work in ${this.commonDir}?` });
    return false;
  }

  /** Full names of all refs, of remotes too, that hold any of these commits. */
  async refsWith(commits: readonly string[]): Promise<string[]> {
    const refs = await this.git.text(this.place, ["for-each-ref", ...commits.map((commit) => `--contains=${commit}`), "--format=%(refname)"]);
    return refs.split("\n").filter((ref) => ref !== "");
  }

  async deleteRef(ref: string): Promise<void> {
    await this.git.run(this.place, ["update-ref", "-d", ref], { answers: [1] });
  }

  // ── worktrees ─────────────────────────────────────────────────────────────────────────────

  /** The place of one of this repository's worktrees. The name of its git directory is that of its folder. */
  placeOf(dir: string): Place {
    const name = dir.slice(dir.lastIndexOf("/") + 1);
    return { commonDir: this.commonDir, gitDir: join(this.commonDir, "worktrees", name), workTree: dir };
  }

  /** A worktree without its files. @param branch  full name, made anew; null = none. */
  async addWorktree(dir: string, commit: string, branch: string | null): Promise<void> {
    const how = branch === null ? ["--detach"] : ["--no-track", "-b", branch.replace("refs/heads/", "")];
    await this.git.run(this.place, ["worktree", "add", "--quiet", "--no-checkout", ...how, dir, commit]);
  }

  /** Makes files and index of a worktree those of a commit or tree, whatever they were; HEAD stays where it is. */
  async checkOut(place: Place, to: string): Promise<void> {
    await this.git.run(place, ["read-tree", "--reset", "-u", to], { timeoutMs: CHECK_OUT_MS });
  }

  /** Makes the index that of a commit or tree; the files stay as they are. */
  async stage(place: Place, to: string): Promise<void> {
    await this.git.run(place, ["read-tree", to]);
  }

  /** Puts a worktree on a branch whose commit holds its files as they are. */
  async standOn(place: Place, branch: string, commit: string): Promise<void> {
    await this.git.run(place, ["symbolic-ref", "HEAD", branch]);
    await this.stage(place, commit);
    await this.git.run(place, ["update-index", "-q", "--refresh", "--ignore-submodules"], { answers: [1] });
  }

  /** Files whose content is not that of the index, and files that are not in it; ignored ones, nested repositories and submodules left out. */
  async unstaged(place: Place, env: Readonly<Record<string, string>> = {}): Promise<{ readonly changed: string[]; readonly unknown: string[] }> {
    const changed = await this.git.fields(place, ["diff-files", "-z", "--name-only", "--no-ext-diff", "--ignore-submodules=all"], { env });
    const unknown = await this.git.fields(place, ["ls-files", "-z", "--others", "--exclude-standard"], { env });
    return { changed: [...new Set(changed)], unknown: unknown.filter((path) => !path.endsWith("/")) };
  }

  /** Everything that is in no commit, ignored files too; a folder of which nothing is ends in a slash. */
  async untracked(place: Place): Promise<string[]> {
    return this.git.fields(place, ["ls-files", "-z", "--others"]);
  }

  /** The tree of everything in a worktree that is not ignored. The worktree and its index stay as they are. */
  async treeOfFiles(place: Place): Promise<string> {
    return this.#withIndex(join(place.gitDir, "index"), async (env) => {
      const { changed, unknown } = await this.unstaged(place, env);
      // `git add` would look into nested repositories with their own settings; this does not.
      if (changed.length + unknown.length > 0) await this.git.run(place, ["update-index", "-z", "--add", "--remove", "--replace", "--ignore-submodules", "--stdin"], { env, input: [...changed, ...unknown].map((path) => `${path}\0`).join("") });
      return this.git.text(place, ["write-tree"], { env });
    });
  }

  /**
   * Moves the files of a checkout from one commit to another, which its branch is on already. Each file
   * must be as in one of the two: then nothing that a person changed is lost, also after a kill half-way.
   * @returns false when that is not so; nothing was touched then.
   */
  async follow(place: Place, from: string, to: string): Promise<boolean> {
    const staged = await this.git.text(place, ["write-tree"]);
    if (staged === (await this.treeOf(to))) return true;
    if (!(await this.#isFree(place, staged, from, to))) return false;
    return (await this.git.run(place, ["read-tree", "--reset", "-u", to], { answers: [1, 128] })).code === 0;
  }

  /** Whether {@link follow} would do so, before anything moves. */
  async canFollow(place: Place, from: string, to: string): Promise<boolean> {
    const staged = await this.git.text(place, ["write-tree"]);
    return staged === (await this.treeOf(to)) || this.#isFree(place, staged, from, to);
  }

  /** Nothing of somebody's own stands where files would change. */
  async #isFree(place: Place, staged: string, from: string, to: string): Promise<boolean> {
    if (staged !== (await this.treeOf(from))) return false;
    const [old, next] = [await this.#differences(place, from), await this.#differences(place, to)];
    const foreign = new Set([...old.changed, ...old.unknown]);
    return !next.changed.some((path) => foreign.has(path));
  }

  /** How the files of a worktree differ from a commit. */
  #differences(place: Place, commit: string): Promise<{ readonly changed: string[]; readonly unknown: string[] }> {
    return this.#withIndex(join(place.gitDir, "index"), async (env) => {
      await this.git.run(place, ["read-tree", commit], { env });
      await this.git.run(place, ["update-index", "-q", "--refresh", "--ignore-submodules"], { env, answers: [1] });
      return this.unstaged(place, env);
    });
  }

  head(place: Place): Promise<string> {
    return this.git.text(place, ["rev-parse", "--verify", "HEAD^{commit}"]);
  }

  /** True when nothing differs from HEAD but ignored and unknown files. */
  async isClean(place: Place): Promise<boolean> {
    await this.git.run(place, ["update-index", "-q", "--refresh", "--ignore-submodules"], { answers: [1] });
    return (await this.git.run(place, ["diff-index", "--quiet", "--ignore-submodules=all", "--no-ext-diff", "HEAD"], { answers: [1] })).code === 0;
  }

  /** Takes away what calls of a killed gateway left beside the repository's own files. Only while no call of ours runs there. */
  async dropScratch(): Promise<void> {
    for (const name of await readdir(this.commonDir).catch(() => [])) if (this.git.isScratch(name)) await rm(join(this.commonDir, name), { recursive: true, force: true });
  }

  /** Runs with an index of its own, a copy of another or empty, which is gone afterwards. */
  async #withIndex<T>(copyOf: string | null, work: (env: Readonly<Record<string, string>>) => Promise<T>): Promise<T> {
    const file = join(this.commonDir, this.git.scratchName());
    try {
      if (copyOf !== null) await copyIndex(copyOf, file);
      return await work({ GIT_INDEX_FILE: file });
    } finally {
      await rm(file, { force: true });
      await rm(`${file}.lock`, { force: true });
    }
  }
}

/** Of a file's content, or of where a link leads; links are not followed. */
async function hashOf(path: string): Promise<string> {
  const info = await lstat(path).catch(() => null);
  if (info === null) return "absent";
  const content = info.isSymbolicLink() ? await readlink(path) : info.isFile() && info.size <= BLOB_MAX_BYTES ? await readFile(path) : `${info.mode} ${info.size} ${info.mtimeMs}`;
  return createHash("sha256").update(content).digest("hex").slice(0, 16);
}

/**
 * With the time of the original: git compares it with that of each file to know which may have changed
 * since without a trace, e.g. to another text of the same length within the same tick of the clock.
 */
async function copyIndex(from: string, to: string): Promise<void> {
  const found = await stat(from).catch(() => null);
  if (found === null) return;
  await copyFile(from, to);
  const seconds = Math.floor(found.mtimeMs) / 1000 - 0.001;
  await utimes(to, seconds, seconds);
}
