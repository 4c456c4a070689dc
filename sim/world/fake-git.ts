/**
 * Git of a world: one repository in memory, with its branches, worktrees and folders. It outlives
 * every process, as git does, and its log tells what really happened.
 *
 * A process reaches it by calls that take time and fail now and then: a lock that another git holds,
 * a full disk. A call that was under way when its process died may still come to its end, until the
 * next gateway sweeps what was left running.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../../src/base/clock.ts";
import { Fault } from "../../src/model/faults.ts";
import { GATEWAY_AUTHOR, type ChangedFile, type Commit } from "../../src/model/workspace.ts";
import type { Place } from "../../src/workspaces/git.ts";
import { NO_OBJECT, type Checkout, type IndexEntry, type MergeConflict, type MergeResult, type Repository } from "../../src/workspaces/repository.ts";
import type { WorktreeFiles } from "../../src/workspaces/worktree-files.ts";
import type { LineEnd, RunLine } from "../../src/workspaces/worktrees.ts";
import type { Dice } from "./dice.ts";
import type { Timeline } from "./timeline.ts";

/** The checkout of the person whose repository it is. */
export const REPOSITORY = "/sim/repository";
const COMMON_DIR = `${REPOSITORY}/.git`;
const ADMIN = `${COMMON_DIR}/worktrees`;
/** Where the gateway makes its worktrees. */
export const WORKTREES = "/sim/workspaces";
const MAIN = "refs/heads/main";
const MODE = "100644";
const FREE_BYTES = 1e12;
const COMMITS_MAX = 1_000;
/** How long a call may take, and how often one does not take any time, milliseconds. */
const CALL_MS_MAX = 600;
const AT_ONCE_PART = 0.5;
/** Of calls that fail while not all is well. */
const FAILS_PART = 0.004;
const TEST_MS_MAX = 20_000;

export type Tree = ReadonlyMap<string, string>;

interface StoredCommit {
  readonly id: string;
  /** Order of making. */
  readonly n: number;
  readonly parents: readonly string[];
  readonly tree: string;
  readonly author: string;
  readonly message: string;
  readonly at: number;
}

interface Worktree {
  readonly dir: string;
  branch: string | null;
  /** Where it stands when it is on no branch. */
  detached: string;
}

/** What git did, as anybody can see it. */
export type GitNews =
  /** `holds`: whose work, as `<plan>/<task>`, is in the commit. `clashesWithBranch`: it cannot be merged with the branch as it is. */
  | { readonly kind: "worktree"; readonly atMs: number; readonly dir: string; readonly commit: string; readonly holds: readonly string[]; readonly clashesWithBranch: boolean }
  | { readonly kind: "worktree-gone"; readonly atMs: number; readonly dir: string }
  | { readonly kind: "ref"; readonly atMs: number; readonly ref: string; readonly from: string | null; readonly to: string | null; readonly landed: readonly Landed[] };

/** Work of a plan that a move of the branch brought. */
export interface Landed {
  readonly plan: string;
  readonly task: string;
  readonly merge: string;
  /** Paths that it changes. */
  readonly changed: readonly string[];
}

/** The repository itself: nothing of it waits. */
export class FakeGit {
  readonly refs = new Map<string, string>();
  readonly worktrees = new Map<string, Worktree>();
  readonly folders = new Map<string, Map<string, string>>();
  readonly #timeline: Timeline;
  readonly #commits = new Map<string, StoredCommit>();
  readonly #trees = new Map<string, Tree>();
  readonly #blobs = new Map<string, string>();
  /** Calls that go on without their process, until they are swept. */
  readonly adrift = new Set<{ isSwept: boolean }>();
  /** Until then a person has changes in the checkout that are not committed. */
  dirtyUntilMs = 0;
  isHealed = false;
  /** How long every test and set-up takes, milliseconds; null = as it comes. */
  testsTakeMs: number | null = null;

  readonly #tell: (news: GitNews) => void;

  constructor(timeline: Timeline, tell: (news: GitNews) => void) {
    this.#timeline = timeline;
    this.#tell = tell;
    const first = this.commitTree(this.store(new Map([["README", "a repository\n"]])), [], "begin", "a person");
    this.refs.set(MAIN, first);
  }

  get head(): string {
    return this.refs.get(MAIN)!;
  }

  // ── objects ───────────────────────────────────────────────────────────────────────────────

  store(files: Tree): string {
    const entries = [...files].toSorted(([a], [b]) => (a < b ? -1 : 1));
    const id = hash(JSON.stringify(entries));
    if (!this.#trees.has(id)) {
      this.#trees.set(id, new Map(entries));
      for (const [, text] of entries) this.blob(text);
    }
    return id;
  }

  blob(text: string): string {
    const id = hash(`blob ${text}`);
    this.#blobs.set(id, text);
    return id;
  }

  commitTree(tree: string, parents: readonly string[], message: string, author: string, at = Math.floor(this.#timeline.wallMs / 1_000) * 1_000): string {
    const id = hash(JSON.stringify([tree, parents, message, author, at]));
    if (!this.#commits.has(id)) this.#commits.set(id, { id, n: this.#commits.size, parents, tree, author, message, at });
    return id;
  }

  commit(id: string): StoredCommit {
    const found = this.#commits.get(id);
    if (found === undefined) throw failed("cat-file", `bad object ${id}`);
    return found;
  }

  resolve(name: string): string | null {
    if (name === "HEAD") return this.head;
    const above = name.endsWith("^") ? this.resolve(name.slice(0, -1)) : null;
    if (above !== null) return this.commit(above).parents[0] ?? null;
    return this.refs.get(name) ?? this.refs.get(`refs/heads/${name}`) ?? (this.#commits.has(name) ? name : null);
  }

  /** Files of a commit or tree. */
  filesOf(id: string): Tree {
    const tree = this.#trees.get(this.#commits.get(id)?.tree ?? id);
    if (tree === undefined) throw failed("read-tree", `bad object ${id}`);
    return tree;
  }

  text(name: string): string | null {
    const at = name.indexOf(":");
    if (at < 0) return this.#blobs.get(name) ?? null;
    const commit = this.resolve(name.slice(0, at));
    return commit === null ? null : (this.filesOf(commit).get(name.slice(at + 1)) ?? null);
  }

  ancestors(of: string): ReadonlySet<string> {
    const found = new Set<string>();
    const open = [of];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (found.has(id)) continue;
      found.add(id);
      open.push(...this.commit(id).parents);
    }
    return found;
  }

  mergeBase(a: string, b: string): string | null {
    const ofA = this.ancestors(a);
    const shared = [...this.ancestors(b)].filter((id) => ofA.has(id));
    return shared.toSorted((one, other) => this.commit(other).n - this.commit(one).n)[0] ?? null;
  }

  /** Newest first. */
  commits(to: string, from: string | null, limit = COMMITS_MAX): Commit[] {
    const left = from === null ? new Set<string>() : this.ancestors(from);
    const found = [...this.ancestors(to)].filter((id) => !left.has(id)).map((id) => this.commit(id));
    return found.toSorted((a, b) => b.n - a.n).slice(0, limit).map(({ id, parents, at, author, message }) => {
      const [subject = "", ...rest] = message.split("\n");
      return { id, parents, at, author, subject, body: rest.join("\n").trim() };
    });
  }

  diff(from: string, to: string): ChangedFile[] {
    const [before, after] = [this.filesOf(from), this.filesOf(to)];
    const paths = [...new Set([...before.keys(), ...after.keys()])].toSorted();
    return paths.filter((path) => before.get(path) !== after.get(path)).map((path) => ({
      path, status: !before.has(path) ? "added" : !after.has(path) ? "deleted" : "changed", mode: after.has(path) ? MODE : "000000", modeBefore: before.has(path) ? MODE : "000000",
    }));
  }

  /** Paths that are on the branch as a change made them. */
  broughtBy(from: string, to: string): string[] {
    const [made, now] = [this.filesOf(to), this.filesOf(this.head)];
    return this.diff(from, to).flatMap(({ path }) => (made.get(path) === now.get(path) ? [path] : []));
  }

  merge(ours: string, theirs: string): MergeResult {
    const base = this.mergeBase(ours, theirs);
    const [a, b, o] = [this.filesOf(ours), this.filesOf(theirs), base === null ? new Map<string, string>() : this.filesOf(base)];
    const merged = new Map<string, string>();
    const conflicts: MergeConflict[] = [];
    for (const path of [...new Set([...a.keys(), ...b.keys()])].toSorted()) {
      const [mine, other, was] = [a.get(path), b.get(path), o.get(path)];
      const kept = mine === other || other === was ? mine : mine === was ? other : null;
      if (kept !== null) {
        if (kept !== undefined) merged.set(path, kept);
        continue;
      }
      merged.set(path, markedText(mine ?? "", was ?? "", other ?? ""));
      const entry = (text: string | undefined): IndexEntry | undefined => (text === undefined ? undefined : { mode: MODE, id: this.blob(text), path });
      conflicts.push({ path, ...whole({ base: entry(was), ours: entry(mine), theirs: entry(other) }) });
    }
    return { tree: this.store(merged), conflicts };
  }

  // ── refs and worktrees ────────────────────────────────────────────────────────────────────

  /** False: the ref is not at `from`. */
  moveRef(ref: string, to: string, from: string | null): boolean {
    if ((this.refs.get(ref) ?? null) !== from) return false;
    this.refs.set(ref, to);
    this.#tell({ kind: "ref", atMs: this.#timeline.nowMs, ref, from, to, landed: ref === MAIN ? this.#landedBy(to, from) : [] });
    return true;
  }

  deleteRef(ref: string): void {
    const from = this.refs.get(ref);
    if (from === undefined) return;
    this.refs.delete(ref);
    this.#tell({ kind: "ref", atMs: this.#timeline.nowMs, ref, from, to: null, landed: [] });
  }

  #landedBy(to: string, from: string | null): Landed[] {
    return this.commits(to, from).flatMap(({ id, body, parents }) => {
      const found = workOf(body);
      return found === null ? [] : [{ ...found, changed: parents[0] === undefined ? [] : this.diff(parents[0], id).map(({ path }) => path) }];
    });
  }

  addWorktree(dir: string, commit: string, branch: string | null): void {
    const name = nameOf(dir);
    if (this.worktrees.has(name)) throw failed("worktree", `${dir} is there already`);
    if (branch !== null && !this.moveRef(branch, commit, null)) throw failed("worktree", `a branch named ${branch} is there already`);
    this.worktrees.set(name, { dir, branch, detached: commit });
    this.folders.set(dir, new Map());
    const holds = this.commits(commit, null).flatMap(({ body }) => {
      const found = workOf(body);
      return found === null ? [] : [`${found.plan}/${found.task}`];
    });
    this.#tell({ kind: "worktree", atMs: this.#timeline.nowMs, dir, commit, holds, clashesWithBranch: this.merge(commit, this.head).conflicts.length > 0 });
  }

  dropAdmin(name: string): void {
    const found = this.worktrees.get(name);
    if (found === undefined) return;
    this.worktrees.delete(name);
    this.#tell({ kind: "worktree-gone", atMs: this.#timeline.nowMs, dir: found.dir });
  }

  /** Of a worktree whose folder may be gone. */
  worktree(dir: string): Worktree {
    const found = this.worktrees.get(nameOf(dir));
    if (found === undefined) throw failed("rev-parse", `${dir} is no worktree`);
    return found;
  }

  headOf(dir: string): string {
    const { branch, detached } = this.worktree(dir);
    return branch === null ? detached : (this.refs.get(branch) ?? detached);
  }

  filesIn(dir: string): Map<string, string> {
    const found = this.folders.get(dir);
    if (found === undefined) throw failed("ls-files", `${dir} is not there`);
    return found;
  }

  /** Somebody commits what lies in a worktree, or a change of the branch itself. */
  commitIn(dir: string, message: string, author: string): void {
    const head = this.headOf(dir);
    const tree = this.store(this.filesIn(dir));
    if (tree === this.commit(head).tree) return;
    const made = this.commitTree(tree, [head], message, author);
    const { branch } = this.worktree(dir);
    if (branch === null) this.worktree(dir).detached = made;
    else this.moveRef(branch, made, this.refs.get(branch) ?? null);
  }

  commitOnMain(change: (files: Map<string, string>) => void, message: string): void {
    const files = new Map(this.filesOf(this.head));
    change(files);
    this.moveRef(MAIN, this.commitTree(this.store(files), [this.head], message, "a person"), this.head);
  }

  sweep(): void {
    for (const call of this.adrift) call.isSwept = true;
    this.adrift.clear();
  }
}

// ── one process's way to it ─────────────────────────────────────────────────────────────────

export interface GitClientDeps {
  readonly git: FakeGit;
  readonly timeline: Timeline;
  readonly clock: Clock & { readonly isRunning: boolean };
  readonly dice: Dice;
}

export class GitClient {
  readonly #deps: GitClientDeps;
  #isStopped = false;
  #isCut = false;

  constructor(deps: GitClientDeps) {
    this.#deps = deps;
  }

  /** The process lost its place: nothing that it asks for from now on is begun. */
  cut(): void {
    this.#isCut = true;
  }

  readonly git = {
    start: async (): Promise<void> => this.#deps.git.sweep(),
    stop: (): void => void (this.#isStopped = true),
    find: (folder: string): Promise<Place> =>
      this.#call("rev-parse", () => {
        if (folder === REPOSITORY) return { commonDir: COMMON_DIR, gitDir: COMMON_DIR, workTree: REPOSITORY };
        if (!this.#deps.git.folders.has(folder)) throw new Fault("NOT_A_REPOSITORY", { folder });
        return placeOf(folder);
      }),
  };

  repository(): Repository {
    const { git } = this.#deps;
    const ask = <T>(what: string, act: () => T): Promise<T> => this.#call(what, act);
    const dirOf = ({ workTree }: Place): string => workTree!;
    const fake = {
      git: this.git,
      commonDir: COMMON_DIR,
      place: { commonDir: COMMON_DIR, gitDir: COMMON_DIR, workTree: null },
      resolve: (name: string) => ask("rev-parse", () => git.resolve(name)),
      must: (name: string) => ask("rev-parse", () => git.resolve(name) ?? raise(failed("rev-parse", `there is no commit ${name}`))),
      treeOf: async (commit: string) => git.commit(git.resolve(commit) ?? commit).tree,
      mergeBase: (a: string, b: string) => ask("merge-base", () => git.mergeBase(a, b)),
      isAncestor: (older: string, newer: string) => ask("merge-base", () => git.ancestors(git.resolve(newer) ?? newer).has(git.resolve(older) ?? older)),
      diffNames: (from: string, to: string) => ask("diff-tree", () => git.diff(git.resolve(from) ?? from, git.resolve(to) ?? to)),
      files: (commit: string) => ask("ls-tree", () => [...git.filesOf(commit).keys()]),
      text: (name: string) => ask("cat-file", () => git.text(name)),
      commits: (to: string, { from, limit }: { from?: string; limit?: number } = {}) => ask("log", () => git.commits(git.resolve(to)!, from === undefined ? null : git.resolve(from), limit)),
      changedTogether: (limit: number) => ask("log", () => git.commits(git.head, null, limit).filter(({ parents }) => parents.length === 1).map(({ id, parents }) => git.diff(parents[0]!, id).map(({ path }) => path))),
      refsWith: (commits: readonly string[]) => ask("for-each-ref", () => [...git.refs].flatMap(([ref, at]) => (commits.some((commit) => git.ancestors(at).has(commit)) ? [ref] : []))),
      checkouts: () => ask("worktree", (): Checkout[] => [{ dir: REPOSITORY, branch: MAIN }, ...[...git.worktrees.values()].map(({ dir, branch }) => ({ dir, branch }))]),
      dangers: async () => [],
      merge: (ours: string, theirs: string) => ask("merge-tree", () => git.merge(ours, theirs)),
      mergeText: (ours: string, base: string, theirs: string) => ask("merge-file", () => markedText(ours, base, theirs)),
      writeBlob: async (text: string) => git.blob(text),
      treeWith: (tree: string, entries: readonly IndexEntry[]) => ask("write-tree", () => git.store(new Map([...git.filesOf(tree), ...entries.map(({ path, id }) => [path, git.text(id)!] as const)]))),
      commitTree: (tree: string, parents: readonly string[], message: string, author?: { name: string }) => ask("commit-tree", () => git.commitTree(tree, parents, message, author?.name ?? GATEWAY_AUTHOR)),
      authorOf: (commit: string) => ask("show", () => ({ name: git.commit(commit).author, email: "", date: "" })),
      moveRef: (ref: string, to: string, from: string) => ask("update-ref", () => git.moveRef(ref, to, from === NO_OBJECT ? null : from)),
      deleteRef: (ref: string) => ask("update-ref", () => git.deleteRef(ref)),
      placeOf,
      treeOfFiles: (place: Place) => ask("write-tree", () => git.store(git.filesIn(dirOf(place)))),
      untracked: (place: Place) => ask("ls-files", () => [...git.filesIn(dirOf(place)).keys()].filter((path) => !git.filesOf(git.headOf(dirOf(place))).has(path))),
      head: (place: Place) => ask("rev-parse", () => git.headOf(dirOf(place))),
      isClean: () => ask("diff-index", () => this.#deps.timeline.nowMs >= git.dirtyUntilMs),
      canFollow: () => ask("read-tree", () => this.#deps.timeline.nowMs >= git.dirtyUntilMs),
      follow: () => ask("read-tree", () => this.#deps.timeline.nowMs >= git.dirtyUntilMs),
      addWorktree: (dir: string, commit: string, branch: string | null) => ask("worktree", () => git.addWorktree(dir, git.resolve(commit)!, branch)),
      checkOut: (place: Place, to: string) => ask("read-tree", () => void git.folders.set(dirOf(place), new Map(git.filesOf(git.resolve(to) ?? to)))),
      stage: async () => {},
      standOn: (place: Place, branch: string) => ask("symbolic-ref", () => void (git.worktree(dirOf(place)).branch = branch)),
      dropScratch: async () => {},
    };
    return fake as unknown as Repository;
  }

  readonly files: WorktreeFiles = {
    makeFolder: async () => {},
    realPath: async (path) => path,
    freeBytes: () => this.#touch(() => (!this.#deps.git.isHealed && this.#deps.dice.chance(FAILS_PART * 3) ? 0 : FREE_BYTES)),
    namesIn: async (folder) => (folder === ADMIN ? [...this.#deps.git.worktrees.keys()] : [...this.#deps.git.folders.keys()].filter((dir) => dir.startsWith(`${folder}/`)).map(nameOf)),
    isThere: (path) => this.#touch(() => this.#deps.git.folders.has(path) || (path.startsWith(`${ADMIN}/`) && this.#deps.git.worktrees.has(nameOf(path)))),
    look: (path) => this.#touch(() => (path.endsWith("/.git") ? (this.#deps.git.folders.has(path.slice(0, -5)) ? { isFile: true } : null) : this.#deps.git.folders.has(path) ? { isFile: false } : null)),
    text: (path) => this.#touch(() => (path.startsWith(ADMIN) ? `${WORKTREES}/${path.split("/").at(-2)!}/.git` : `gitdir: ${placeOf(path.slice(0, -5)).gitDir}`)),
    moveAway: (from, to) =>
      this.#touch(() => {
        const { folders } = this.#deps.git;
        const found = folders.get(from);
        if (found === undefined) return false;
        folders.delete(from);
        folders.set(to, found);
        return true;
      }),
    remove: (path) =>
      this.#touch(() => {
        if (path.startsWith(`${ADMIN}/`) && !path.endsWith(".lock")) this.#deps.git.dropAdmin(nameOf(path));
        else this.#deps.git.folders.delete(path);
      }),
    copyIgnored: async () => null,
  };

  /** Tests look for work that is bad below the folder that they name; while not all is well they also fail for no reason, or hang. */
  readonly runLine: RunLine = ({ command, cwd, timeoutMs, signal }) => {
    const { clock, dice, git } = this.#deps;
    return new Promise<LineEnd>((resolve) => {
      const mood = git.isHealed ? "runs" : dice.weighted({ runs: 20, red: 1.5, hangs: 0.3 });
      const ms = mood === "hangs" ? timeoutMs : (git.testsTakeMs ?? dice.spread(1, TEST_MS_MAX));
      const end = (exitCode: number | null, timedOut: boolean): void => {
        disarm();
        signal?.removeEventListener("abort", onAbort);
        resolve({ exitCode, timedOut, ms, output: exitCode === 0 ? "good" : "bad" });
      };
      const disarm = clock.after(ms, () => !this.#isCut && end(mood === "hangs" ? null : mood === "red" ? 1 : isGood(git.folders.get(cwd), command) ? 0 : 1, mood === "hangs"));
      function onAbort(): void {
        end(null, false);
      }
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  };

  /** Only the gateway's own work with files: it ends with its process. */
  async #touch<T>(act: () => T): Promise<T> {
    const { dice } = this.#deps;
    await this.#here();
    if (!dice.chance(AT_ONCE_PART)) await this.#wait(dice.spread(1, CALL_MS_MAX / 10));
    return act();
  }

  async #call<T>(what: string, act: () => T): Promise<T> {
    const { git, dice } = this.#deps;
    await this.#here();
    if (this.#isStopped) throw failed(what, "the gateway stops");
    const isAtOnce = dice.chance(AT_ONCE_PART);
    const [beforeMs, afterMs] = [dice.spread(1, CALL_MS_MAX), dice.chance(0.3) ? dice.spread(1, CALL_MS_MAX) : 0];
    const fails = dice.chance(FAILS_PART) && !git.isHealed;
    const isLate = dice.chance(0.3);
    if (!isAtOnce) await this.#run(beforeMs, isLate);
    if (this.#isStopped) throw failed(what, "the gateway stops");
    if (fails && !isLate) throw failed(what, "Unable to create '.git/index.lock': File exists.");
    const value = act();
    await this.#here();
    if (afterMs > 0) await this.#wait(afterMs);
    // It was done, and then something went wrong.
    if (fails) throw failed(what, "No space left on device");
    return value;
  }

  /** @param goesOn  whether git goes on without its process, until it is swept. */
  async #run(ms: number, goesOn: boolean): Promise<void> {
    const { git, timeline } = this.#deps;
    if (!goesOn) return this.#wait(ms);
    const call = { isSwept: false };
    git.adrift.add(call);
    await new Promise<void>((resolve) => timeline.after(ms, () => !call.isSwept && resolve()));
    git.adrift.delete(call);
  }

  async #wait(ms: number): Promise<void> {
    await new Promise<void>((resolve) => this.#deps.clock.after(ms, resolve));
    await this.#here();
  }

  /** Nothing goes on in a process that is dead or lost its place. */
  #here(): Promise<void> | void {
    return this.#isCut || !this.#deps.clock.isRunning ? NEVER : undefined;
  }
}

const NEVER = new Promise<never>(() => {});

/** `test <folder>`: nothing below the folder is bad. Everything else is good. */
function isGood(files: Tree | undefined, command: string): boolean {
  const [, folder] = /^test (\S+)$/.exec(command) ?? [];
  return folder === undefined || ![...(files ?? [])].some(([path, text]) => path.startsWith(`${folder}/`) && text.includes("bad"));
}

function workOf(body: string): Omit<Landed, "changed"> | null {
  const [plan, task, merge] = ["Plan", "Task", "Merge"].map((name) => new RegExp(`^Yard-${name}: (\\S+)$`, "m").exec(body)?.[1]);
  return plan === undefined || task === undefined || merge === undefined ? null : { plan, task, merge };
}

function placeOf(dir: string): Place {
  return { commonDir: COMMON_DIR, gitDir: `${ADMIN}/${nameOf(dir)}`, workTree: dir };
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The lines that both sides begin with stay; the rest is one conflict. */
function markedText(ours: string, base: string, theirs: string): string {
  return `<<<<<<< ours\n${ours}||||||| base\n${base}=======\n${theirs}>>>>>>> theirs\n`;
}

function whole<T extends object>(parts: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };
}

function failed(command: string, problem: string): Fault {
  return new Fault("GIT_FAILED", { command, problem });
}

function raise(fault: Fault): never {
  throw fault;
}

function hash(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}
