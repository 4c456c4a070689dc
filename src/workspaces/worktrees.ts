/**
 * The workspaces: rows first, then git, then the row's next state, so that what a kill leaves half
 * done is finished or taken back at the next start (`start`).
 *
 *     create: row making ─▶ worktree ─▶ files ─▶ set-up ─▶ row ready
 *     remove: row removing ─▶ backup ref ─▶ folder ─▶ worktree ─▶ branch ─▶ row removed
 */
import { dirname, join, sep } from "node:path";
import type { Clock } from "../base/clock.ts";
import { IdMaker, type RandomBytes, type SessionKey, type WorkspaceId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import { asFault, Fault } from "../model/faults.ts";
import type { TestCommand, TestEvidence } from "../model/merge.ts";
import { claimProblem, claimsOverlap, mayChange } from "../model/path-claims.ts";
import { GATEWAY_AUTHOR, type ChangedFile, type Commit, type NewWorkspace, type Workspace, type WorkspaceState, type WorkspaceStatus } from "../model/workspace.ts";
import type { Git } from "./git.ts";
import { NO_OBJECT, type Repository } from "./repository.ts";
import { freeBytesMin, portFirst, portsEach, setupTimeoutSeconds, workspacesMax } from "./settings.ts";
import { worktreeFiles, type WorktreeFiles } from "./worktree-files.ts";
import type { Workspaces } from "./workspaces.ts";

const LISTED_MAX = 1000;
const BACKUPS = "refs/yard/backup";
/** Checkouts that merges are tested in; none outlives the gateway that made it. */
const BENCH_PREFIX = "merge_";
/** Folders that are on their way out; none outlives the next start for long. */
const GONE_PREFIX = "gone_";
const GATEWAY = { name: GATEWAY_AUTHOR, email: "yard@localhost" };
const OUTPUT_MAX_BYTES = 65_536;
/** How long after a workspace could not be taken back it is tried again. */
const TAKE_BACK_AGAIN_MS = 30_000;
/** One that failed holds no ports; it goes without the step between. */
const GOING: readonly WorkspaceState[] = ["removing", "failed"];
const LIVE: readonly WorkspaceState[] = ["making", "ready", "removing"];

/** Runs a line for `/bin/sh -c` that ends with everything it started. Never rejects for what the line does. */
export type RunLine = (line: { readonly command: string; readonly cwd: string; readonly env: Readonly<Record<string, string>>; readonly timeoutMs: number; readonly outputMaxBytes: number; readonly signal?: AbortSignal }) => Promise<LineEnd>;
export interface LineEnd {
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  readonly ms: number;
  readonly output: string;
}

/** The rows, as verbs of the store; see store.ts for what each promises. */
export interface WorkspaceRows {
  addWorkspace(input: { workspace: Omit<Workspace, "portFirst">; liveMax: number; portBase: number }): Promise<Workspace>;
  moveWorkspace(input: { id: WorkspaceId; from: readonly WorkspaceState[]; patch: Partial<Workspace>; liveMax?: number; portBase?: number }): Promise<Workspace | null>;
  workspace(id: WorkspaceId): Promise<Workspace | null>;
  workspaces(query: { readonly commonDir?: string; readonly states?: readonly WorkspaceState[]; readonly limit: number }): Promise<readonly Workspace[]>;
}

export interface WorktreesDeps {
  readonly store: WorkspaceRows;
  readonly git: Pick<Git, "find" | "start" | "stop">;
  /** By common directory, absolute. */
  readonly repositoryAt: (commonDir: string) => Repository;
  readonly files?: WorktreeFiles;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly runLine: RunLine;
  /** Where the worktrees are, absolute; made when it is needed. */
  readonly root: string;
}

export class Worktrees implements Workspaces {
  readonly #deps: WorktreesDeps;
  readonly #ids: IdMaker;
  readonly #files: WorktreeFiles;
  readonly #repositories = new Map<string, Repository>();
  /** By common directory: the end of the last piece of work that changes worktrees or refs. */
  readonly #lines = new Map<string, Promise<unknown>>();
  /** Folders of worktrees that are gone. */
  readonly #clearing = new Set<Promise<void>>();
  readonly #timers = new Set<() => void>();
  #isStopped = false;

  constructor(deps: WorktreesDeps) {
    this.#deps = deps;
    this.#ids = new IdMaker(deps.random);
    this.#files = deps.files ?? worktreeFiles;
  }

  /** Finishes, or takes back, what a killed gateway left half done. */
  async start(): Promise<void> {
    const { store, git, log } = this.#deps;
    const { root } = this.#deps;
    const left = (await this.#files.namesIn(root)).filter((name) => name.startsWith(GONE_PREFIX) || name.startsWith(BENCH_PREFIX));
    for (const name of left) if (name.startsWith(GONE_PREFIX)) this.#clear(join(root, name));
    const live = await store.workspaces({ states: LIVE, limit: LISTED_MAX });
    if (live.length + left.length === 0) return;
    await git.start();
    // Of a repository whose workspaces are all over a checkout for tests may be left.
    const known = left.length === 0 ? live : await store.workspaces({ limit: LISTED_MAX });
    for (const commonDir of new Set(known.map((one) => one.commonDir))) await this.#dropBenches(commonDir).catch((cause: unknown) => log.warn("workspaces.bench-left", { commonDir, cause }));
    for (const one of live) {
      try {
        if (one.state === "making") await this.#takeBack(one, "the gateway was stopped while it was made");
        else if (one.state === "removing") await this.#finishRemoving(one);
        else if (!(await this.#files.isThere(one.dir))) await store.moveWorkspace({ id: one.id, from: ["ready"], patch: { state: "failed", problem: `its folder ${one.dir} is gone; its branch is still there`, endedAt: this.#now() } });
        else await this.#dropLocks(one);
      } catch (cause) {
        log.warn("workspace.not-reconciled", { workspace: one.id, cause });
      }
    }
  }

  /** Ends running calls of git; resolves when no folder is being removed any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const disarm of this.#timers) disarm();
    this.#deps.git.stop();
    await Promise.all(this.#clearing);
  }

  async create(request: NewWorkspace, signal?: AbortSignal): Promise<Workspace> {
    const { store, git, settings, root } = this.#deps;
    const claims = request.claims ?? [];
    checkClaims(claims);
    const { commonDir, workTree } = await git.find(request.repository);
    await this.#files.makeFolder(root);
    const realRoot = await this.#files.realPath(root);
    if (`${realRoot}${sep}`.startsWith(`${await this.#files.realPath(workTree!)}${sep}`)) throw new Fault("BAD_REQUEST", { where: "repository", problem: `the state directory lies inside ${workTree}; workspaces must be outside of the repository` });
    const freeBytes = await this.#files.freeBytes(root);
    if (freeBytes < settings.get(freeBytesMin)) throw new Fault("WORKSPACE_DISK", { freeBytes, minBytes: settings.get(freeBytesMin) });
    const repository = this.repository(commonDir);
    const id = this.#ids.workspace();
    const dangers = await repository.dangers();
    // Together, so that whoever moves a branch back knows of all that begin on what it takes away.
    const made = await this.locked(commonDir, async () => {
      const base = await repository.must(request.base);
      return store.addWorkspace({
        ...this.#room(),
        workspace: {
          id,
          state: "making",
          repository: workTree!,
          commonDir,
          dir: join(realRoot, id),
          branch: `refs/heads/yard/${id}`,
          base,
          claims,
          epoch: 1,
          portCount: settings.get(portsEach),
          copy: request.copy ?? [],
          setup: request.setup ?? null,
          dangers,
          label: request.label,
          session: request.session ?? null,
          backupRef: null,
          problem: null,
          createdAt: this.#now(),
          endedAt: null,
        },
      });
    });
    try {
      await this.#makeWorktree(repository, made.dir, made.base, made.branch);
      await this.#furnish(made, made.dir, signal);
      return (await store.moveWorkspace({ id, from: ["making"], patch: { state: "ready" } }))!;
    } catch (cause) {
      await this.#takeBackSurely(made, asFault(cause).message);
      throw cause;
    }
  }

  get(id: WorkspaceId): Promise<Workspace | null> {
    return this.#deps.store.workspace(id);
  }

  async list({ repository, states }: { readonly repository?: string; readonly states?: readonly WorkspaceState[] } = {}): Promise<readonly Workspace[]> {
    const { store, git } = this.#deps;
    const commonDir = repository === undefined ? {} : { commonDir: (await git.find(repository)).commonDir };
    return store.workspaces({ ...commonDir, ...(states === undefined ? {} : { states }), limit: LISTED_MAX });
  }

  async status(id: WorkspaceId): Promise<WorkspaceStatus> {
    const one = await this.#must(id, ["ready"]);
    const repository = this.repository(one.commonDir);
    const place = repository.placeOf(one.dir);
    const [head, tree] = await Promise.all([repository.head(place), repository.treeOfFiles(place)]);
    const [commits, changed, uncommitted] = await Promise.all([
      repository.commits(head, { from: one.base }),
      repository.diffNames(one.base, tree),
      repository.diffNames(head, tree),
    ]);
    const paths = changed.map(({ path }) => path);
    return { head, commits, changed: paths, uncommitted: uncommitted.map(({ path }) => path), outside: paths.filter((path) => !mayChange(one.claims, path)) };
  }

  async areAsBase(id: WorkspaceId, paths: readonly string[]): Promise<boolean> {
    const one = await this.#must(id, ["ready"]);
    const repository = this.repository(one.commonDir);
    const place = repository.placeOf(one.dir);
    const changed = (await repository.diffNames(one.base, await repository.treeOfFiles(place))).map(({ path }) => path);
    const isBelow = (path: string): boolean => paths.some((top) => path === top || path.startsWith(`${top}/`));
    return !changed.some(isBelow) && !(await repository.untracked(place)).some(isBelow);
  }

  async commit(id: WorkspaceId, epoch: number, message: string): Promise<string | null> {
    const one = await this.#must(id, ["ready"]);
    if (one.epoch !== epoch) throw new Fault("WORKSPACE_FENCED", { workspace: id, epoch, current: one.epoch });
    const repository = this.repository(one.commonDir);
    const place = repository.placeOf(one.dir);
    return this.locked(one.commonDir, async () => {
      const head = await repository.head(place);
      const tree = await repository.treeOfFiles(place);
      const isNew = tree !== (await repository.treeOf(head));
      const commit = isNew ? await repository.commitTree(tree, [head], message) : head;
      const at = (await repository.resolve(one.branch)) ?? NO_OBJECT;
      // The work is what stands in the worktree, whatever branch the agent went to.
      if (at !== NO_OBJECT && !(await repository.isAncestor(at, commit))) await this.#keep(repository, one.id, at);
      if (at !== commit && !(await repository.moveRef(one.branch, commit, at, "work committed"))) throw new Fault("GIT_FAILED", { command: "update-ref", problem: `${one.branch} moved while its work was committed; try again` });
      await repository.standOn(place, one.branch, commit);
      return isNew ? commit : null;
    });
  }

  async snapshot(id: WorkspaceId): Promise<string> {
    const one = await this.#must(id, ["ready"]);
    return this.#snapshotOf(this.repository(one.commonDir), one.dir);
  }

  async diffNames(repository: string, from: string, to: string): Promise<readonly ChangedFile[]> {
    return (await this.#at(repository)).diffNames(from, to);
  }

  async test(id: WorkspaceId, test: TestCommand, signal?: AbortSignal): Promise<TestEvidence> {
    const one = await this.#must(id, ["ready"]);
    const repository = this.repository(one.commonDir);
    return this.testIn(one, one.dir, await repository.treeOfFiles(repository.placeOf(one.dir)), test, signal);
  }

  environment(workspace: Workspace): Readonly<Record<string, string>> {
    return { YARD_WORKSPACE: workspace.id, YARD_PORT_FIRST: String(workspace.portFirst), YARD_PORT_COUNT: String(workspace.portCount) };
  }

  async handOver(id: WorkspaceId, session: SessionKey | null): Promise<Workspace> {
    const one = await this.#must(id, ["ready"]);
    const moved = await this.#deps.store.moveWorkspace({ id, from: ["ready"], patch: { epoch: one.epoch + 1, session } });
    if (moved === null) throw new Fault("WORKSPACE_STATE", { workspace: id, state: "going away", needed: "ready" });
    return moved;
  }

  async widen(id: WorkspaceId, claims: readonly string[]): Promise<Workspace> {
    const { store } = this.#deps;
    checkClaims(claims);
    const one = await this.#must(id, ["ready"]);
    return this.locked(one.commonDir, async () => {
      for (const other of await store.workspaces({ commonDir: one.commonDir, states: LIVE, limit: LISTED_MAX })) {
        const held = other.id === id ? undefined : claims.find((claim) => other.claims.some((theirs) => claimsOverlap(claim, theirs)));
        if (held !== undefined) throw new Fault("CLAIM_HELD", { claim: held, workspace: other.id, label: other.label });
      }
      const { claims: before } = await this.#must(id, ["ready"]);
      // None means everything: there is nothing to widen then.
      const patch = { claims: before.length === 0 ? before : [...new Set([...before, ...claims])] };
      return (await store.moveWorkspace({ id, from: ["ready"], patch }))!;
    });
  }

  async remove(id: WorkspaceId): Promise<Workspace> {
    const one = await this.#must(id, ["ready", "failed", "removing"]);
    const removing = await this.#deps.store.moveWorkspace({ id, from: ["ready"], patch: { state: "removing" } });
    return this.#finishRemoving(removing ?? one);
  }

  async undo(id: WorkspaceId): Promise<Workspace> {
    const { store } = this.#deps;
    const one = await this.#must(id, ["removed"]);
    const making = await store.moveWorkspace({ id, from: ["removed"], patch: { state: "making", epoch: one.epoch + 1, endedAt: null }, ...this.#room() });
    if (making === null) throw new Fault("WORKSPACE_STATE", { workspace: id, state: "changing", needed: "removed" });
    const repository = this.repository(one.commonDir);
    try {
      const kept = one.backupRef === null ? null : await repository.must(one.backupRef);
      // A backup is the tree of all files on top of the branch's last commit.
      const head = kept === null ? one.base : await repository.must(`${kept}^`);
      await this.#makeWorktree(repository, one.dir, head, one.branch);
      if (kept !== null) {
        const place = repository.placeOf(one.dir);
        await repository.checkOut(place, kept);
        await repository.stage(place, head);
      }
      await this.#furnish(making, one.dir);
      return (await store.moveWorkspace({ id, from: ["making"], patch: { state: "ready", problem: null } }))!;
    } catch (cause) {
      await this.#takeBackSurely(making, asFault(cause).message);
      throw cause;
    }
  }

  async resolve(repository: string, name: string): Promise<string | null> {
    return (await this.#at(repository)).resolve(name);
  }
  async files(repository: string, commit: string): Promise<readonly string[]> {
    return (await this.#at(repository)).files(commit);
  }
  async together(folder: string, one: string, other: string): Promise<string | null> {
    const repository = await this.#at(folder);
    const parents = await Promise.all([repository.must(one), repository.must(other)]);
    if (await repository.isAncestor(parents[1], parents[0])) return parents[0];
    const { tree, conflicts } = await repository.merge(...parents);
    return conflicts.length > 0 ? null : repository.commitTree(tree, parents, "yard: what the work begins on");
  }
  async fileAt(repository: string, commit: string, path: string): Promise<string | null> {
    return (await this.#at(repository)).text(`${commit}:${path}`);
  }
  async commits(repository: string, to: string, options?: { readonly from?: string; readonly limit?: number }): Promise<readonly Commit[]> {
    return (await this.#at(repository)).commits(to, options);
  }
  async changedTogether(repository: string, { commits }: { readonly commits: number }): Promise<readonly (readonly string[])[]> {
    return (await this.#at(repository)).changedTogether(commits);
  }

  // ── for merges ────────────────────────────────────────────────────────────────────────────

  repository(commonDir: string): Repository {
    let repository = this.#repositories.get(commonDir);
    if (repository === undefined) this.#repositories.set(commonDir, (repository = this.#deps.repositoryAt(commonDir)));
    return repository;
  }

  /** One at a time per repository; whoever comes waits for those before. Not to be nested. */
  locked<T>(commonDir: string, work: () => Promise<T>): Promise<T> {
    const before = this.#lines.get(commonDir) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine.catch(() => {});
    this.#lines.set(commonDir, settled);
    void settled.then(() => {
      if (this.#lines.get(commonDir) === settled) this.#lines.delete(commonDir);
    });
    return mine;
  }

  /** A checkout of a commit for tests, furnished as the workspace is; `use` gets its folder, which is gone afterwards. */
  async withBench<T>(workspace: Workspace, commit: string, use: (bench: { readonly dir: string; show(commit: string): Promise<void> }) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const repository = this.repository(workspace.commonDir);
    const dir = join(dirname(workspace.dir), `${BENCH_PREFIX}${this.#ids.bare()}`);
    await this.#files.makeFolder(dirname(dir));
    try {
      await this.#makeWorktree(repository, dir, commit, null);
      await this.#furnish(workspace, dir, signal);
      const place = repository.placeOf(dir);
      return await use({ dir, show: (next) => repository.checkOut(place, next) });
    } finally {
      await this.#dropWorktree(repository, dir).catch((cause: unknown) => this.#deps.log.warn("workspaces.bench-left", { dir, cause }));
    }
  }

  /** Whether the worktree's `.git` leads where it led when it was made; one that is gone leads nowhere. */
  async pointsHome({ commonDir, dir }: Workspace): Promise<boolean> {
    const file = join(dir, ".git");
    const found = await this.#files.look(file);
    if (found === null) return (await this.#files.look(dir)) === null;
    return found.isFile && (await this.#files.text(file)).trim() === `gitdir: ${this.repository(commonDir).placeOf(dir).gitDir}`;
  }

  async testIn(workspace: Workspace, dir: string, tree: string, { command, timeoutMs }: TestCommand, signal?: AbortSignal): Promise<TestEvidence> {
    const { runLine, clock } = this.#deps;
    const end = await runLine({ command, cwd: dir, env: this.environment(workspace), timeoutMs, outputMaxBytes: OUTPUT_MAX_BYTES, ...(signal ? { signal } : {}) });
    return { command, ...end, tree, at: clock.now() };
  }

  /**
   * Puts a tree with conflict markers in a worktree, for its agent to mend: the branch stands on `onto`
   * afterwards, and what it held before is kept under a backup ref. Twice is the same as once.
   */
  async showConflict(workspace: Workspace, onto: string, tree: string): Promise<void> {
    const repository = this.repository(workspace.commonDir);
    const place = repository.placeOf(workspace.dir);
    await this.locked(workspace.commonDir, async () => {
      const at = await repository.must(workspace.branch);
      // It stands there already, or what mends it was committed on top before a kill.
      if (await repository.isAncestor(onto, at)) return;
      await this.#keep(repository, workspace.id, await this.#snapshotOf(repository, workspace.dir));
      // Files first, the branch last: so the branch tells whether it was done.
      await repository.checkOut(place, tree);
      await repository.moveRef(workspace.branch, onto, at, "a conflict to mend");
    });
  }

  // ── ───────────────────────────────────────────────────────────────────────────────────────

  #now(): number {
    return this.#deps.clock.now();
  }

  #room(): { liveMax: number; portBase: number } {
    const { settings } = this.#deps;
    return { liveMax: settings.get(workspacesMax), portBase: settings.get(portFirst) };
  }

  async #must(id: WorkspaceId, states: readonly WorkspaceState[]): Promise<Workspace> {
    const found = await this.#deps.store.workspace(id);
    if (found === null) throw new Fault("WORKSPACE_NOT_FOUND", { workspace: id });
    if (!states.includes(found.state)) throw new Fault("WORKSPACE_STATE", { workspace: id, state: found.state, needed: states.join(" or ") });
    return found;
  }

  async #at(folder: string): Promise<Repository> {
    return this.repository((await this.#deps.git.find(folder)).commonDir);
  }

  async #makeWorktree(repository: Repository, dir: string, commit: string, branch: string | null): Promise<void> {
    // No files yet: what writes them is a call of ours, with every setting pinned, and not a child of git's.
    await this.locked(repository.commonDir, () => repository.addWorktree(dir, commit, branch));
    await repository.checkOut(repository.placeOf(dir), commit);
  }

  async #furnish(workspace: Workspace, dir: string, signal?: AbortSignal): Promise<void> {
    const { runLine, settings } = this.#deps;
    for (const path of workspace.copy) {
      const problem = await this.#files.copyIgnored(workspace.repository, dir, path);
      if (problem !== null) throw new Fault("WORKSPACE_SETUP_FAILED", { workspace: workspace.id, problem });
    }
    if (workspace.setup === null) return;
    const end = await runLine({ command: workspace.setup, cwd: dir, env: this.environment(workspace), timeoutMs: settings.get(setupTimeoutSeconds) * 1000, outputMaxBytes: OUTPUT_MAX_BYTES, ...(signal ? { signal } : {}) });
    if (end.exitCode !== 0) throw new Fault("WORKSPACE_SETUP_FAILED", { workspace: workspace.id, problem: `${workspace.setup} ${end.timedOut ? "took too long" : `ended with ${end.exitCode}`}: ${end.output.slice(-500)}` });
  }

  async #snapshotOf(repository: Repository, dir: string): Promise<string> {
    const place = repository.placeOf(dir);
    const head = await repository.head(place);
    // Without a time of its own, so that the radar's looks at work that rests leave nothing new in the repository.
    return repository.commitTree(await repository.treeOfFiles(place), [head], "yard: a snapshot of unfinished work", { ...GATEWAY, date: "@0 +0000" }, "@0 +0000");
  }

  /** Keeps a commit for ever. @returns the ref. */
  async #keep(repository: Repository, id: WorkspaceId, commit: string): Promise<string> {
    const ref = `${BACKUPS}/${id}/${commit.slice(0, 16)}`;
    await repository.moveRef(ref, commit, NO_OBJECT, "work kept");
    return ref;
  }

  async #finishRemoving(one: Workspace): Promise<Workspace> {
    const repository = this.repository(one.commonDir);
    const backupRef = await this.#backUp(repository, one);
    await this.#deps.store.moveWorkspace({ id: one.id, from: GOING, patch: { backupRef } });
    await this.#dropWorktree(repository, one.dir);
    await this.locked(one.commonDir, () => repository.deleteRef(one.branch));
    const removed = await this.#deps.store.moveWorkspace({ id: one.id, from: GOING, patch: { state: "removed", endedAt: this.#now() } });
    return removed ?? this.#must(one.id, ["removed"]);
  }

  /** Keeps what the worktree and its branch hold, unless it is the base as it was. */
  async #backUp(repository: Repository, one: Workspace): Promise<string | null> {
    const place = repository.placeOf(one.dir);
    const isThere = (await this.#files.isThere(place.gitDir)) && (await this.#files.isThere(one.dir));
    const tip = await repository.resolve(one.branch);
    if (!isThere && tip === null) return one.backupRef;
    const head = isThere ? await repository.head(place) : tip!;
    // A branch that the worktree does not stand on may hold work too.
    if (tip !== null && tip !== head && tip !== one.base && !(await repository.isAncestor(tip, head))) await this.#keep(repository, one.id, tip);
    // When the removal was cut off half-way, its files are missing; what was kept before is the whole.
    if (one.backupRef !== null && one.state === "removing") return one.backupRef;
    const tree = isThere ? await repository.treeOfFiles(place) : await repository.treeOf(head);
    if (head === one.base && tree === (await repository.treeOf(head))) return null;
    return this.#keep(repository, one.id, await repository.commitTree(tree, [head], "yard: kept when the workspace was removed"));
  }

  async #dropWorktree(repository: Repository, dir: string): Promise<void> {
    // Moved first: with what a set-up installed, removing takes seconds, and nobody has to wait for that.
    const gone = join(dirname(dir), `${GONE_PREFIX}${this.#ids.bare()}`);
    if (await this.#files.moveAway(dir, gone)) this.#clear(gone);
    // What git would do for a worktree whose folder is gone, without its look at all the others.
    await this.locked(repository.commonDir, () => this.#files.remove(repository.placeOf(dir).gitDir));
  }

  #clear(folder: string): void {
    const work = this.#files.remove(folder)
      .catch((cause: unknown) => this.#deps.log.warn("workspaces.folder-left", { folder, cause }))
      .finally(() => this.#clearing.delete(work));
    this.#clearing.add(work);
  }

  /** Undoes a making that did not come to its end; nobody has worked there yet. */
  async #takeBack(one: Workspace, problem: string): Promise<void> {
    const repository = this.repository(one.commonDir);
    await this.#dropWorktree(repository, one.dir);
    await this.locked(one.commonDir, () => repository.deleteRef(one.branch));
    // One that was to come back is still removed, and its work still kept.
    const state = one.backupRef === null ? "failed" : "removed";
    await this.#deps.store.moveWorkspace({ id: one.id, from: ["making"], patch: { state, problem, endedAt: this.#now() } });
  }

  /** What kept it from being made, e.g. a full disk, may keep it from being taken back for a while. */
  async #takeBackSurely(one: Workspace, problem: string): Promise<void> {
    const { store, clock, log } = this.#deps;
    try {
      const now = await store.workspace(one.id);
      if (now?.state === "making") await this.#takeBack(one, problem);
    } catch (cause) {
      log.warn("workspace.not-taken-back", { workspace: one.id, cause });
      if (this.#isStopped) return; // the next start does
      const disarm = clock.after(TAKE_BACK_AGAIN_MS, () => {
        this.#timers.delete(disarm);
        void this.#takeBackSurely(one, problem);
      });
      this.#timers.add(disarm);
    }
  }

  /** Locks that an agent's own git left when it was killed; nothing of it runs any more when a gateway starts. */
  async #dropLocks({ commonDir, dir, branch }: Workspace): Promise<void> {
    const { gitDir } = this.repository(commonDir).placeOf(dir);
    const locks = [...["index", "HEAD", "ORIG_HEAD", "config.worktree"].map((name) => join(gitDir, name)), join(commonDir, branch)];
    await Promise.all(locks.map((path) => this.#files.remove(`${path}.lock`)));
  }

  async #dropBenches(commonDir: string): Promise<void> {
    const repository = this.repository(commonDir);
    await repository.dropScratch();
    const root = await this.#files.realPath(this.#deps.root);
    for (const name of await this.#files.namesIn(join(commonDir, "worktrees"))) {
      if (!name.startsWith(BENCH_PREFIX)) continue;
      // Another gateway may be at work on the same repository.
      const leads = await this.#files.text(join(commonDir, "worktrees", name, "gitdir")).catch(() => "");
      if (leads === "" || leads.startsWith(`${root}${sep}`)) await this.#dropWorktree(repository, join(root, name));
    }
  }
}

function checkClaims(claims: readonly string[]): void {
  for (const claim of claims) {
    const problem = claimProblem(claim);
    if (problem !== null) throw new Fault("CLAIM_BAD", { claim, problem });
  }
}
