/**
 * The radar: looks at work that is not finished yet, for conflicts to come.
 *
 * Every `merges.radarSeconds` a snapshot of each live workspace is merged on paper with those of the
 * same repository that touch the same files; each new conflict is told once. When work lands, those
 * who have read a file that it changed are told. Nothing is touched but git's store of objects.
 */
import type { Clock } from "../base/clock.ts";
import type { MergeId, WorkspaceId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { Workspace } from "../model/workspace.ts";
import type { Store } from "../store/store.ts";
import type { Worktrees } from "../workspaces/worktrees.ts";
import type { RadarNews } from "./merges.ts";
import { radarSeconds } from "./settings.ts";

const WORKSPACES_MAX = 1000;
/** While it is switched off, how often the setting is looked at, milliseconds. */
const OFF_LOOK_MS = 60_000;
const PATHS_SHOWN_MAX = 20;
const PLAIN_PATH = /^[\w@+./-]{1,300}$/;

export interface RadarDeps {
  readonly store: Pick<Store, "merge" | "workspace" | "workspaces" | "notice">;
  readonly worktrees: Worktrees;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Log;
  /** Paths, from the top of the workspace, that its agent has read. */
  readonly reads: (workspace: Workspace) => Iterable<string>;
  readonly news: (news: RadarNews) => void;
}

interface Seen {
  readonly workspace: Workspace;
  readonly snapshot: string;
  readonly paths: ReadonlySet<string>;
}

export class Radar {
  readonly #deps: RadarDeps;
  /** Conflicts that were told: the pair, and the paths. */
  #told = new Set<string>();
  #disarm: () => void = () => {};
  #stopped = true;
  readonly #underWay = new Set<Promise<void>>();

  constructor(deps: RadarDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#stopped = false;
    const { clock, settings, log } = this.#deps;
    const seconds = settings.get(radarSeconds);
    this.#disarm = clock.after(seconds === 0 ? OFF_LOOK_MS : seconds * 1000, () => {
      const look = settings.get(radarSeconds) === 0 ? Promise.resolve() : this.look();
      this.#keep(look.catch((cause: unknown) => log.warn("radar.failed", { cause })).then(() => void (this.#stopped || this.start())));
    });
  }

  /** Resolves when no look is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#disarm();
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** One round. */
  async look(): Promise<void> {
    const live = await this.#deps.store.workspaces({ states: ["ready"], limit: WORKSPACES_MAX });
    const still = new Set<string>();
    for (const group of Map.groupBy(live, ({ commonDir }) => commonDir).values()) {
      if (group.length < 2) continue;
      const seen: Seen[] = [];
      for (const workspace of group) {
        const one = await this.#see(workspace).catch(() => null); // it is going away, or its agent broke it
        if (one !== null) seen.push(one);
      }
      for (const [at, one] of seen.entries()) for (const other of seen.slice(at + 1)) await this.#compare(one, other, still);
    }
    // What is over may be told again when it comes back.
    this.#told = still;
  }

  /** Tells whoever has read what this merge changed. */
  landed(id: MergeId): void {
    this.#keep(this.#tellReaders(id).catch((cause: unknown) => this.#deps.log.warn("radar.failed", { cause })));
  }

  #keep(work: Promise<void>): void {
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  }

  async #tellReaders(id: MergeId): Promise<void> {
    const { store, worktrees, reads } = this.#deps;
    const merge = await store.merge(id);
    if (merge?.state !== "landed") return;
    const label = (await store.workspace(merge.workspace))?.label ?? merge.workspace;
    const changed = new Set((await worktrees.repository(merge.commonDir).diffNames(merge.from!, merge.to!)).map(({ path }) => path));
    for (const workspace of await store.workspaces({ commonDir: merge.commonDir, states: ["ready"], limit: WORKSPACES_MAX })) {
      if (workspace.id === merge.workspace) continue;
      const paths = [...new Set(reads(workspace))].filter((path) => changed.has(path)).toSorted();
      const onto = merge.onto.replace("refs/heads/", "");
      const text = `${shown(paths)} changed since you read it: "${merge.message.split("\n", 1)[0]}" has landed on ${onto}`;
      if (paths.length > 0) this.#tell(workspace, { kind: "stale-read", workspace: workspace.id, other: merge.workspace, paths, text, dir: workspace.dir, advice: `${shown(paths)} changed since you read it: the work of ${label} has landed on ${onto}. If your work leans on it, merge ${onto} into your branch and read it again.` });
    }
  }

  async #see(workspace: Workspace): Promise<Seen> {
    const { worktrees } = this.#deps;
    const snapshot = await worktrees.snapshot(workspace.id);
    const changed = await worktrees.repository(workspace.commonDir).diffNames(workspace.base, snapshot);
    return { workspace, snapshot, paths: new Set(changed.map(({ path }) => path)) };
  }

  async #compare(one: Seen, other: Seen, still: Set<string>): Promise<void> {
    if (![...one.paths].some((path) => other.paths.has(path))) return;
    const { conflicts } = await this.#deps.worktrees.repository(one.workspace.commonDir).merge(one.snapshot, other.snapshot);
    if (conflicts.length === 0) return;
    const paths = conflicts.map(({ path }) => path).toSorted();
    const key = [one.workspace.id, other.workspace.id, ...paths].join("\n");
    still.add(key);
    if (this.#told.has(key)) return;
    for (const [{ workspace }, { workspace: against }] of [[one, other], [other, one]] as const) {
      const text = `the unfinished work here and in ${against.id} (${against.label}) conflicts in ${shown(paths)}`;
      this.#tell(workspace, { kind: "overlap", workspace: workspace.id, other: against.id, paths, text, dir: workspace.dir, advice: `${text}. Keep what you change there small, and whole lines of your own; who is merged second has to mend it.` });
    }
  }

  #tell({ session }: Workspace, news: RadarNews): void {
    const { store, log, news: tell } = this.#deps;
    tell(news);
    if (session === null) return;
    const data: { workspace: WorkspaceId; other: WorkspaceId | null; paths: readonly string[] } = { workspace: news.workspace, other: news.other, paths: news.paths };
    const code = news.kind === "overlap" ? "MERGE_OVERLAP" : "STALE_READ";
    this.#keep(store.notice({ session, text: news.text, level: "warn", code, entry: false, data }).catch((cause: unknown) => log.warn("radar.not-told", { cause })));
  }
}

function shown(paths: readonly string[]): string {
  const more = paths.length - PATHS_SHOWN_MAX;
  // Agents choose names of files, and other agents read this.
  return paths.slice(0, PATHS_SHOWN_MAX).map((path) => (PLAIN_PATH.test(path) ? path : JSON.stringify(path))).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
