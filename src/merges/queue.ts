/**
 * The queue of merges: one line per integration branch, worked on one merge (or batch) at a time.
 *
 *     offered ─▶ checked (fence, claim, flagged files, settings of the repository)
 *             ─▶ merged on paper (git merge-tree) ─▶ mended, if it conflicts and a strategy helps
 *             ─▶ tested on exactly that tree ─▶ row `advancing` ─▶ ref, by compare-and-swap ─▶ row `landed`
 *
 * A kill at any point leaves rows that `start` reads: `advancing` is settled by looking at the ref,
 * `running` begins anew. Commits that were made and not used are garbage for git to collect.
 */
import { IdMaker, type MergeId, type PlanId, type RandomBytes, type WorkspaceId } from "../base/ids.ts";
import { asFault, Fault, type FaultCode } from "../model/faults.ts";
import { MERGE_AT_REST, type Conflict, type Merge, type MergeState, type MergeStrategy, type NewMerge, type TestEvidence } from "../model/merge.ts";
import { mayChange } from "../model/path-claims.ts";
import type { Workspace } from "../model/workspace.ts";
import type { Store } from "../store/store.ts";
import type { Repository } from "../workspaces/repository.ts";
import { MARKER_LINE } from "./accept-both.ts";
import { conflictOf, mendBoth } from "./conflict.ts";
import { flagged } from "./flagged.ts";
import type { ConflictHelp, Merges } from "./merges.ts";
import { Radar, type RadarDeps } from "./radar.ts";
import { commitResult } from "./result.ts";
import { attemptsMax, batchMax, mergeStrategies, mergeStyle } from "./settings.ts";

const OPEN: readonly MergeState[] = ["queued", "running", "resolving", "advancing", "undoing"];
const LISTED_MAX = 1000;
const PATHS_SHOWN_MAX = 20;
/** How long after a line failed, e.g. because its rows could not be written, it is gone on with. */
const LINE_AGAIN_MS = 5_000;

export interface MergeQueueDeps extends RadarDeps {
  readonly store: Pick<Store, "addMerge" | "moveMerges" | "merge" | "merges" | "workspace" | "workspaces" | "onEvents" | "notice">;
  readonly random: RandomBytes;
  /** What to do about conflicts; null = they go to a person. */
  readonly help: () => ConflictHelp | null;
}

/** A merge with the commit that would land. */
interface Proposal {
  readonly merge: Merge;
  readonly workspace: Workspace;
  readonly commit: string;
  readonly mendedBy: MergeStrategy | null;
}

/** What became of a merge instead of a proposal. */
interface Settled {
  readonly state: "refused" | "conflict" | "failed" | "resolving";
  readonly problem?: Merge["problem"];
  readonly conflict?: Conflict;
  readonly strategy?: MergeStrategy;
}

export class MergeQueue implements Merges {
  readonly #deps: MergeQueueDeps;
  readonly #ids: IdMaker;
  readonly #radar: Radar;
  readonly #stopping = new AbortController();
  /** Before its start, and in safe mode, what is offered waits. */
  #isStarted = false;
  /** By line, what is at work on it. */
  readonly #lines = new Map<string, { again: boolean; work: Promise<void> }>();
  /** Lines whose last piece of work was cut off by a failure, and what keeps them from being gone on with by themselves. */
  readonly #broken = new Map<string, () => void>();
  readonly #helping = new Map<MergeId, Promise<void>>();
  /** By merge, those who look again when it may be at rest. */
  readonly #watchers = new Map<MergeId, Set<() => void>>();
  #unlisten: () => void = () => {};

  constructor(deps: MergeQueueDeps) {
    this.#deps = deps;
    this.#ids = new IdMaker(deps.random);
    this.#radar = new Radar(deps);
  }

  /** Settles what a killed gateway left, and goes on with the lines. */
  async start(): Promise<void> {
    const { store, log } = this.#deps;
    this.#isStarted = true;
    // What its plan's end takes out of the line is moved by the store.
    this.#unlisten = store.onEvents((events) => {
      for (const { type, data } of events) if (type === "merge.cancelled") for (const look of this.#watchers.get(data["merge"] as MergeId) ?? []) look();
    });
    const open = await store.merges({ states: OPEN, oldestFirst: true, limit: LISTED_MAX });
    for (const merge of open) {
      try {
        await this.#deps.worktrees.repository(merge.commonDir).dropScratch();
        await this.#recover(merge);
      } catch (cause) {
        log.warn("merge.not-recovered", { merge: merge.id, cause });
      }
      this.#work(merge);
    }
    this.#radar.start();
  }

  async stop(): Promise<void> {
    this.#unlisten();
    for (const disarm of this.#broken.values()) disarm();
    this.#stopping.abort();
    await Promise.allSettled([...[...this.#lines.values()].map(({ work }) => work), ...this.#helping.values()]);
    await this.#radar.stop();
  }

  async enqueue(request: NewMerge): Promise<Merge> {
    const { store, worktrees, clock, settings } = this.#deps;
    const workspace = await store.workspace(request.workspace);
    if (workspace === null) throw new Fault("WORKSPACE_NOT_FOUND", { workspace: request.workspace });
    const repository = worktrees.repository(workspace.commonDir);
    const onto = `refs/heads/${request.onto.replace(/^refs\/heads\//, "")}`;
    const tip = await repository.resolve(onto);
    if (tip === null) throw new Fault("MERGE_TARGET_UNKNOWN", { onto: request.onto });
    const commit = await this.#offered(workspace, request.epoch, request.message);
    if (await repository.isAncestor(commit, tip)) throw new Fault("MERGE_NOTHING", { workspace: workspace.id });
    const merge = await store.addMerge({
      id: this.#ids.merge(),
      state: "queued",
      workspace: workspace.id,
      epoch: request.epoch,
      commonDir: workspace.commonDir,
      onto,
      commit,
      strategies: request.strategies ?? settings.get(mergeStrategies),
      style: request.style ?? settings.get(mergeStyle),
      tests: request.tests ?? [],
      message: request.message,
      trailers: request.trailers ?? [],
      allowFlagged: request.allowFlagged ?? false,
      session: request.session ?? workspace.session,
      attempts: 0,
      from: null,
      to: null,
      undo: null,
      evidence: [],
      conflict: null,
      mendedBy: null,
      problem: null,
      createdAt: clock.now(),
      endedAt: null,
    });
    this.#work(merge);
    return merge;
  }

  get(id: MergeId): Promise<Merge | null> {
    return this.#deps.store.merge(id);
  }

  list({ states, workspace, limit = LISTED_MAX }: { readonly states?: readonly MergeState[]; readonly workspace?: WorkspaceId; readonly limit?: number } = {}): Promise<readonly Merge[]> {
    return this.#deps.store.merges({ ...(states ? { states } : {}), ...(workspace ? { workspace } : {}), limit });
  }

  async watch(id: MergeId, signal: AbortSignal): Promise<Merge> {
    let news = Promise.withResolvers<void>();
    const look = (): void => news.resolve();
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers.add(look));
    signal.addEventListener("abort", look, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        news = Promise.withResolvers();
        const now = await this.#must(id);
        if (MERGE_AT_REST.includes(now.state)) return now;
        await news.promise;
      }
    } finally {
      signal.removeEventListener("abort", look);
      watchers.delete(look);
      if (watchers.size === 0) this.#watchers.delete(id);
    }
  }

  async retry(id: MergeId, { allowFlagged, plan }: { readonly allowFlagged?: boolean; readonly plan?: PlanId } = {}): Promise<Merge> {
    const merge = await this.#must(id);
    const retriable: readonly MergeState[] = ["conflict", "failed", "refused", "cancelled", "undone"];
    if (!retriable.includes(merge.state)) throw new Fault("MERGE_STATE", { merge: id, state: merge.state, needed: retriable.join(", ") });
    const workspace = await this.#deps.store.workspace(merge.workspace);
    // What a person mended in the workspace since is part of it now.
    const commit = workspace?.state === "ready" && workspace.epoch === merge.epoch ? await this.#offered(workspace, merge.epoch, merge.message) : merge.commit;
    const again = await this.#move(merge, retriable, { state: "queued", commit, attempts: 0, problem: null, conflict: null, endedAt: null, evidence: [], mendedBy: null, ...(allowFlagged ? { allowFlagged } : {}) }, plan);
    if (again === null) throw new Fault("MERGE_STATE", { merge: id, state: "changing", needed: retriable.join(", ") });
    this.#work(again);
    return again;
  }

  async cancel(id: MergeId): Promise<Merge> {
    const merge = await this.#must(id);
    const states: readonly MergeState[] = ["queued", "resolving", "conflict", "failed", "refused"];
    const cancelled = await this.#move(merge, states, { state: "cancelled", endedAt: this.#deps.clock.now() });
    if (cancelled === null) throw new Fault("MERGE_STATE", { merge: id, state: merge.state, needed: states.join(", ") });
    return cancelled;
  }

  async undo(id: MergeId): Promise<Merge> {
    const { worktrees } = this.#deps;
    const merge = await this.#must(id);
    if (merge.state !== "landed") throw new Fault("MERGE_STATE", { merge: id, state: merge.state, needed: "landed" });
    const repository = worktrees.repository(merge.commonDir);
    return worktrees.locked(merge.commonDir, async () => {
      const tip = await repository.must(merge.onto);
      const to = tip === merge.to && !(await this.#isBuiltOn(repository, merge)) ? merge.from! : await revertOf(repository, tip, merge);
      await this.#checkCheckouts(repository, merge.onto, tip, to);
      const undoing = await this.#move(merge, ["landed"], { state: "undoing", undo: { from: tip, to } });
      if (undoing === null) throw new Fault("MERGE_STATE", { merge: id, state: "changing", needed: "landed" });
      try {
        if (!(await this.#advance(repository, merge.onto, tip, to, `undo of ${id}`))) throw new Fault("MERGE_MOVING_TARGET", { onto: merge.onto, attempts: 1 });
        return (await this.#move(undoing, ["undoing"], { state: "undone", endedAt: this.#deps.clock.now() }))!;
      } catch (cause) {
        // What failed may have been the row alone; whether it was taken back, the branch itself tells.
        const now = await this.#recover(undoing).then(() => this.#must(id), () => this.#goOnLater(merge));
        if (now?.state === "undone") return now;
        throw cause;
      }
    });
  }

  /** Whether somebody's branch, or what was pushed, holds what landed, and would bring it back with its next merge. */
  async #isBuiltOn(repository: Repository, { to, commit, style, onto, workspace, commonDir }: Merge): Promise<boolean> {
    const landed = style === "merge" ? [to!, commit] : [to!];
    const refs = await repository.refsWith(landed);
    // Its own branch, and what was kept of it, bear its workspace's id.
    if (refs.some((ref) => ref !== onto && !ref.split("/").includes(workspace))) return true;
    for (const { base } of await this.#deps.store.workspaces({ commonDir, states: ["making"], limit: LISTED_MAX })) {
      for (const one of landed) if (await repository.isAncestor(one, base)) return true;
    }
    return false;
  }

  // ── the line ──────────────────────────────────────────────────────────────────────────────

  /** Goes on with the line that a merge stands in, unless something is at work there. */
  #work({ commonDir, onto }: Pick<Merge, "commonDir" | "onto">): void {
    const key = lineOf({ commonDir, onto });
    if (!this.#isStarted || this.#stopping.signal.aborted) return;
    const busy = this.#lines.get(key);
    // It may have had its last look already.
    if (busy !== undefined) return void (busy.again = true);
    const line = { again: false, work: Promise.resolve() };
    this.#lines.set(key, line);
    this.#broken.get(key)?.();
    const begin = this.#broken.delete(key) ? this.#settleLeft(commonDir, onto) : Promise.resolve();
    line.work = begin
      .then(() => this.#drain(commonDir, onto))
      .catch((cause: unknown) => {
        this.#deps.log.error("merges.line-failed", { onto, cause });
        this.#goOnLater({ commonDir, onto });
      })
      .then(() => {
        this.#lines.delete(key);
        if (line.again) this.#work({ commonDir, onto });
      });
  }

  #goOnLater({ commonDir, onto }: Pick<Merge, "commonDir" | "onto">): void {
    if (this.#stopping.signal.aborted) return;
    const key = lineOf({ commonDir, onto });
    this.#broken.get(key)?.();
    this.#broken.set(key, this.#deps.clock.after(LINE_AGAIN_MS, () => this.#work({ commonDir, onto })));
  }

  /** What a failure left in the middle: whether it landed, or was taken back, the branch itself tells. Only while nothing is at work on the line. */
  #settleLeft(commonDir: string, onto: string): Promise<void> {
    const { store, worktrees } = this.#deps;
    // An undo has the lock until its row is at rest.
    return worktrees.locked(commonDir, async () => {
      for (const merge of await store.merges({ commonDir, onto, states: ["running", "advancing", "undoing"], oldestFirst: true, limit: LISTED_MAX })) await this.#recover(merge);
    });
  }

  async #drain(commonDir: string, onto: string): Promise<void> {
    for (let batch = await this.#next(commonDir, onto); batch.length > 0 && !this.#stopping.signal.aborted; batch = await this.#next(commonDir, onto)) {
      const running = await this.#deps.store.moveMerges(batch.map((merge) => ({ id: merge.id, from: ["queued"], patch: { state: "running", attempts: merge.attempts + 1 } })));
      if (running === null) continue; // one was cancelled meanwhile
      try {
        await this.#land([...running]);
      } catch (cause) {
        if (this.#stopping.signal.aborted) return; // the next start begins it anew
        const { code, message } = asFault(cause);
        if (code === "INTERNAL") this.#deps.log.error("merge.defect", { cause });
        for (const one of running) {
          const now = await this.#must(one.id);
          // What failed may have been the row alone; whether it landed, the branch itself tells.
          if (now.state === "advancing" && (await this.#hasMoved(now))) await this.#recover(now);
          else await this.#move(one, ["running", "advancing"], { state: "failed", problem: { code, text: message }, endedAt: this.#deps.clock.now() });
        }
      }
    }
  }

  /** The oldest that wait, as many as are tested together. */
  async #next(commonDir: string, onto: string): Promise<readonly Merge[]> {
    const { store, settings } = this.#deps;
    const waiting = await store.merges({ commonDir, onto, states: ["queued"], oldestFirst: true, limit: settings.get(batchMax) });
    const tests = JSON.stringify(waiting[0]?.tests);
    const other = waiting.findIndex((one) => JSON.stringify(one.tests) !== tests);
    return other < 0 ? waiting : waiting.slice(0, other);
  }

  async #land(batch: readonly Merge[]): Promise<void> {
    const { worktrees } = this.#deps;
    const { commonDir, onto } = batch[0]!;
    const repository = worktrees.repository(commonDir);
    const from = await repository.must(onto);
    const chain: Proposal[] = [];
    for (const merge of batch) {
      const result = await this.#propose(repository, merge, chain.at(-1)?.commit ?? from);
      if ("commit" in result) chain.push(result);
      // What only conflicts with its neighbours in the batch is tried again alone, on what landed.
      else if (result.state === "conflict" && chain.length > 0) await this.#again(merge);
      else await this.#settle(merge, result);
    }
    if (chain.length === 0) return;
    const { good, evidence, culprit } = await this.#test(repository, chain);
    if (good > 0) await this.#advanceChain(repository, onto, from, chain.slice(0, good), evidence);
    if (culprit === null) return;
    const red = chain[good]!;
    // Keeping both sides was a guess that the tests refuse: on to the next strategy.
    if (red.mendedBy === "accept-both") await this.#settle(red.merge, await this.#conflictStep(repository, red.merge, red.workspace, good > 0 ? chain[good - 1]!.commit : from, ["accept-both"]));
    else await this.#end(red.merge, "failed", { code: "MERGE_TESTS_RED", text: new Fault("MERGE_TESTS_RED", { command: culprit.at(-1)!.command, exitCode: culprit.at(-1)!.timedOut ? "its time limit" : String(culprit.at(-1)!.exitCode) }).message }, { evidence: culprit });
    for (const { merge } of chain.slice(good + 1)) await this.#again(merge);
  }

  /** Makes the commit that would land on `tip`, or says why not. */
  async #propose(repository: Repository, merge: Merge, tip: string): Promise<Proposal | Settled> {
    const { store, settings, worktrees } = this.#deps;
    if (merge.attempts > settings.get(attemptsMax)) return refusal("failed", "MERGE_MOVING_TARGET", { onto: merge.onto, attempts: merge.attempts - 1 });
    const workspace = (await store.workspace(merge.workspace))!;
    if (workspace.epoch !== merge.epoch) return refusal("refused", "WORKSPACE_FENCED", { workspace: workspace.id, epoch: merge.epoch, current: workspace.epoch });
    if (await repository.isAncestor(merge.commit, tip)) return refusal("refused", "MERGE_NOTHING", { workspace: workspace.id });
    const base = await repository.mergeBase(tip, merge.commit);
    const changed = await repository.diffNames(base ?? tip, merge.commit);
    // What is as the target has it is no change, however it came here, e.g. with another's commit that the work began on.
    const isAsTarget = new Set(changed.map(({ path }) => path));
    const beyond = changed.filter(({ path }) => !mayChange(workspace.claims, path)).map(({ path }) => path);
    if (beyond.length > 0) for (const { path } of await repository.diffNames(tip, merge.commit)) isAsTarget.delete(path);
    const outside = beyond.filter((path) => !isAsTarget.has(path));
    if (outside.length > 0) return refusal("refused", "MERGE_OUTSIDE_CLAIM", { paths: shown(outside), claims: workspace.claims.join(", ") });
    if (!merge.allowFlagged) {
      const now = await repository.dangers();
      const news = now.filter((one) => !workspace.dangers.includes(one));
      if (!(await worktrees.pointsHome(workspace))) news.push(`${workspace.dir}/.git leads elsewhere`);
      if (news.length > 0) return refusal("refused", "MERGE_REPOSITORY_CHANGED", { changes: shown(news) });
      const seen = flagged(changed);
      if (seen.length > 0) return refusal("refused", "MERGE_FLAGGED", { paths: shown(seen) });
    }
    const { tree, conflicts } = await repository.merge(tip, merge.commit);
    if (conflicts.length > 0) return this.#conflictStep(repository, merge, workspace, tip, []);
    return { merge, workspace, mendedBy: merge.mendedBy, commit: await commitResult(repository, merge, tip, tree) };
  }

  /** Tries what the merge's strategies have for its conflict, but for those in `failed`. */
  async #conflictStep(repository: Repository, merge: Merge, workspace: Workspace, tip: string, failed: readonly MergeStrategy[]): Promise<Proposal | Settled> {
    const result = await repository.merge(tip, merge.commit);
    const conflict = await conflictOf(repository, tip, merge.commit, result);
    const help = this.#deps.help();
    for (const strategy of merge.strategies) {
      if (failed.includes(strategy)) continue;
      // Without tests nobody would know whether both sides go together.
      if (strategy === "accept-both" && merge.tests.length > 0) {
        const tree = await mendBoth(repository, conflict, result);
        if (tree !== null) return { merge, workspace, mendedBy: strategy, commit: await commitResult(repository, { ...merge, style: "squash" }, tip, tree) };
      }
      if (strategy !== "accept-both" && help !== null) return { state: "resolving", conflict, strategy };
    }
    return { ...refusal("conflict", "MERGE_CONFLICT", { paths: shown(conflict.files.map(({ path }) => path)) }), conflict };
  }

  /** Tests the whole chain, and when it is red looks for the first that makes it so by halves. */
  async #test(repository: Repository, chain: readonly Proposal[]): Promise<{ readonly good: number; readonly evidence: readonly TestEvidence[]; readonly culprit: readonly TestEvidence[] | null }> {
    const { worktrees } = this.#deps;
    const { merge, workspace } = chain[0]!;
    if (merge.tests.length === 0) return { good: chain.length, evidence: [], culprit: null };
    const { signal } = this.#stopping;
    return worktrees.withBench(workspace, chain.at(-1)!.commit, async ({ dir, show }) => {
      const run = async (length: number): Promise<readonly TestEvidence[]> => {
        const { commit } = chain[length - 1]!;
        await show(commit);
        const tree = await repository.treeOf(commit);
        const evidence: TestEvidence[] = [];
        for (const test of merge.tests) {
          evidence.push(await worktrees.testIn(workspace, dir, tree, test, signal));
          signal.throwIfAborted();
          if (evidence.at(-1)!.exitCode !== 0) break;
        }
        return evidence;
      };
      const isGreen = (evidence: readonly TestEvidence[]): boolean => evidence.every(({ exitCode }) => exitCode === 0);
      let culprit = await run(chain.length);
      if (isGreen(culprit)) return { good: chain.length, evidence: culprit, culprit: null };
      let good = 0;
      let evidence: readonly TestEvidence[] = [];
      for (let red = chain.length; red - good > 1; ) {
        const middle = (good + red) >> 1;
        const found = await run(middle);
        if (isGreen(found)) [good, evidence] = [middle, found];
        else [red, culprit] = [middle, found];
      }
      return { good, evidence, culprit };
    }, signal);
  }

  async #advanceChain(repository: Repository, onto: string, from: string, chain: readonly Proposal[], evidence: readonly TestEvidence[]): Promise<void> {
    const { store, worktrees, clock } = this.#deps;
    const to = chain.at(-1)!.commit;
    await worktrees.locked(repository.commonDir, async () => {
      await this.#checkCheckouts(repository, onto, from, to);
      const advancing = await store.moveMerges(
        chain.map(({ merge, commit, mendedBy }, at) => ({ id: merge.id, from: ["running"], patch: { state: "advancing", from: at === 0 ? from : chain[at - 1]!.commit, to: commit, mendedBy, evidence, conflict: null } })),
      );
      // One of them was handed over meanwhile: each is looked at again.
      if (advancing === null || !(await this.#advance(repository, onto, from, to, chain.map(({ merge }) => merge.id).join(" ")))) {
        for (const { merge } of chain) await this.#move(merge, ["running", "advancing"], { state: "queued", from: null, to: null });
        return;
      }
      const landed = await store.moveMerges(advancing.map(({ id }) => ({ id, from: ["advancing"], patch: { state: "landed", endedAt: clock.now() } })));
      for (const merge of landed ?? []) this.#tell(merge);
    });
    for (const { merge } of chain) this.#radar.landed(merge.id);
  }

  /** @throws {Fault} MERGE_TARGET_DIRTY. */
  async #checkCheckouts(repository: Repository, onto: string, from: string, to: string): Promise<void> {
    for (const { dir } of await checkoutsOf(repository, onto)) {
      const place = { ...(await repository.git.find(dir)), workTree: dir };
      if (!(await repository.isClean(place)) || !(await repository.canFollow(place, from, to))) throw new Fault("MERGE_TARGET_DIRTY", { dir, onto });
    }
  }

  /** Moves the ref and the checkouts of it. False: the ref was elsewhere, or a checkout could not follow; nothing moved then. */
  async #advance(repository: Repository, onto: string, from: string, to: string, why: string): Promise<boolean> {
    if (!(await repository.moveRef(onto, to, from, why))) return false;
    for (const { dir } of await checkoutsOf(repository, onto)) {
      const place = { ...(await repository.git.find(dir)), workTree: dir };
      if (await repository.follow(place, from, to)) continue;
      await repository.moveRef(onto, from, to, `${why}: ${dir} could not follow`);
      throw new Fault("MERGE_TARGET_DIRTY", { dir, onto });
    }
    return true;
  }

  // ── conflicts ─────────────────────────────────────────────────────────────────────────────

  async #settle(merge: Merge, result: Proposal | Settled): Promise<void> {
    if ("commit" in result) return this.#again(merge);
    const { state, problem = null, conflict = null, strategy } = result;
    if (state !== "resolving") return this.#end(merge, state, problem, { conflict });
    const resolving = await this.#move(merge, ["running"], { state, conflict, mendedBy: strategy! });
    if (resolving !== null) this.#ask(resolving);
  }

  /** Gives a conflict to whoever can mend it; the line goes on meanwhile. */
  #ask(merge: Merge): void {
    const work = this.#mend(merge)
      .catch(async (cause: unknown) => {
        if (this.#stopping.signal.aborted) return; // asked again at the next start
        this.#deps.log.warn("merge.not-mended", { merge: merge.id, cause });
        await this.#giveUp(merge);
      })
      .finally(() => {
        this.#helping.delete(merge.id);
        this.#work(merge);
      });
    this.#helping.set(merge.id, work);
  }

  async #mend(merge: Merge): Promise<void> {
    const { store, worktrees } = this.#deps;
    const help = this.#deps.help();
    const { conflict } = merge;
    const workspace = (await store.workspace(merge.workspace))!;
    if (help === null || conflict === null) return this.#giveUp(merge);
    const request = { merge, workspace, conflict, signal: this.#stopping.signal };
    if (merge.mendedBy === "abort-and-retry") {
      const next = await help.redo(request);
      if (next === null) return this.#giveUp(merge);
      const again = (await store.workspace(next.workspace))!;
      const commit = await this.#offered(again, next.epoch, merge.message);
      await this.#move(merge, ["resolving"], { state: "queued", workspace: next.workspace, epoch: next.epoch, commit, conflict: null });
      return;
    }
    const repository = worktrees.repository(merge.commonDir);
    const { tree } = await repository.merge(conflict.onto, conflict.commit);
    await worktrees.showConflict(workspace, conflict.onto, tree);
    if (!(await help.resolve(request))) return this.#nextStrategy(merge);
    const commit = await this.#offered(workspace, merge.epoch, merge.message);
    for (const { path } of conflict.files) {
      const text = await repository.text(`${commit}:${path}`);
      if (text?.split("\n").some((line) => MARKER_LINE.test(line) && !line.startsWith("=")) === true) return this.#nextStrategy(merge);
    }
    await this.#move(merge, ["resolving"], { state: "queued", commit, conflict: null });
  }

  /** After the agent could not mend it: the work done again, if that is allowed, else a person. */
  async #nextStrategy(merge: Merge): Promise<void> {
    const rest = merge.strategies.slice(merge.strategies.indexOf(merge.mendedBy!) + 1);
    if (!rest.includes("abort-and-retry")) return this.#giveUp(merge);
    const next = await this.#move(merge, ["resolving"], { mendedBy: "abort-and-retry" });
    if (next !== null) await this.#mend(next);
  }

  async #giveUp(merge: Merge): Promise<void> {
    const paths = shown(merge.conflict?.files.map(({ path }) => path) ?? []);
    await this.#end({ ...merge, mendedBy: null }, "conflict", { code: "MERGE_CONFLICT", text: new Fault("MERGE_CONFLICT", { paths }).message }, { mendedBy: null });
  }

  // ── ───────────────────────────────────────────────────────────────────────────────────────

  /** The commit that stands for all that a workspace holds. @throws {Fault} WORKSPACE_FENCED. */
  async #offered(workspace: Workspace, epoch: number, message: string): Promise<string> {
    await this.#deps.worktrees.commit(workspace.id, epoch, message);
    return this.#deps.worktrees.repository(workspace.commonDir).must(workspace.branch);
  }

  async #recover(merge: Merge): Promise<void> {
    const { worktrees } = this.#deps;
    const repository = worktrees.repository(merge.commonDir);
    if (merge.state === "running") return this.#again(merge);
    if (merge.state === "resolving") return this.#ask(merge);
    if (merge.state !== "advancing" && merge.state !== "undoing") return;
    const moved = await this.#hasMoved(merge);
    if (moved) await this.#catchUp(repository, merge.onto, wayOf(merge).from, await repository.must(merge.onto));
    if (merge.state === "undoing") await this.#move(merge, ["undoing"], moved ? { state: "undone", endedAt: this.#deps.clock.now() } : { state: "landed", undo: null });
    else await this.#move(merge, ["advancing"], moved ? { state: "landed", endedAt: this.#deps.clock.now() } : { state: "queued", from: null, to: null });
  }

  /** Whether the branch went the way that the row says it was about to go. */
  async #hasMoved(merge: Merge): Promise<boolean> {
    const repository = this.#deps.worktrees.repository(merge.commonDir);
    const { from, to } = wayOf(merge);
    const tip = await repository.must(merge.onto);
    if (tip === to || tip === from) return tip === to;
    // When others went on since, the tip holds where the ref went; and where it came from too, unless it went back.
    const wentBack = await repository.isAncestor(to, from);
    return (await repository.isAncestor(to, tip)) && !(wentBack && (await repository.isAncestor(from, tip)));
  }

  /** Brings checkouts along whose ref moved just before the kill. */
  async #catchUp(repository: Repository, onto: string, from: string, tip: string): Promise<void> {
    for (const { dir } of await checkoutsOf(repository, onto)) {
      const place = { ...(await repository.git.find(dir)), workTree: dir };
      if (!(await repository.follow(place, from, tip))) this.#deps.log.warn("merge.checkout-behind", { dir, onto });
    }
  }

  async #again(merge: Merge): Promise<void> {
    await this.#move(merge, ["running"], { state: "queued" });
  }

  async #end(merge: Merge, state: "refused" | "conflict" | "failed", problem: Merge["problem"], more: Partial<Merge> = {}): Promise<void> {
    await this.#move(merge, ["running", "resolving"], { state, problem, endedAt: this.#deps.clock.now(), ...more });
  }

  async #move(merge: Merge, from: readonly MergeState[], patch: Partial<Merge>, plan?: PlanId): Promise<Merge | null> {
    const moved = (await this.#deps.store.moveMerges([{ id: merge.id, from, patch, ...(plan === undefined ? {} : { plan }) }]))?.[0] ?? null;
    if (moved !== null) this.#tell(moved);
    return moved;
  }

  #tell(merge: Merge): void {
    if (MERGE_AT_REST.includes(merge.state)) for (const look of this.#watchers.get(merge.id) ?? []) look();
  }

  async #must(id: MergeId): Promise<Merge> {
    const merge = await this.#deps.store.merge(id);
    if (merge === null) throw new Fault("MERGE_NOT_FOUND", { merge: id });
    return merge;
  }
}

function refusal<Code extends FaultCode>(state: "refused" | "failed" | "conflict", code: Code, details: ConstructorParameters<typeof Fault<Code>>[1]): Settled {
  return { state, problem: { code, text: new Fault(code, details).message } };
}

function shown(paths: readonly string[]): string {
  const more = paths.length - PATHS_SHOWN_MAX;
  return paths.slice(0, PATHS_SHOWN_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Merges into one branch of one repository stand in one line. */
function lineOf({ commonDir, onto }: Pick<Merge, "commonDir" | "onto">): string {
  return `${commonDir}\n${onto}`;
}

/** Where the branch was before, and where it goes. */
function wayOf(merge: Merge): { readonly from: string; readonly to: string } {
  return merge.state === "undoing" ? merge.undo! : { from: merge.from!, to: merge.to! };
}

async function checkoutsOf(repository: Repository, onto: string): Promise<readonly { readonly dir: string }[]> {
  return (await repository.checkouts()).filter(({ branch }) => branch === onto);
}

/** @throws {Fault} MERGE_CONFLICT when what came later rests on it. */
async function revertOf(repository: Repository, tip: string, merge: Merge): Promise<string> {
  // Seen from the merge's result, its own undoing is a change like any other.
  const without = await repository.commitTree(await repository.treeOf(merge.from!), [merge.to!], "yard: the work taken back");
  const { tree, conflicts } = await repository.merge(tip, without);
  if (conflicts.length > 0) throw new Fault("MERGE_CONFLICT", { paths: shown(conflicts.map(({ path }) => path)) });
  const subject = merge.message.split("\n", 1)[0]!;
  return repository.commitTree(tree, [tip], `Revert "${subject}"\n\nThis takes back ${merge.to}.\n\nYard-Merge: ${merge.id}`);
}
