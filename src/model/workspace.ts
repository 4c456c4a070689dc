/**
 * Workspaces: a git worktree and branch, lent to one piece of work.
 *
 *     making ──▶ ready ──▶ removing ──▶ removed ──undo──▶ making
 *        └─────────▶ failed               (its work is under `backupRef`)
 *
 * `epoch` is the fence: handing a workspace to a successor raises it, and whoever holds the old
 * one can no longer offer work for merging.
 */
import type { SessionKey, WorkspaceId } from "../base/ids.ts";

export const WORKSPACE_STATES = ["making", "ready", "removing", "removed", "failed"] as const;
export type WorkspaceState = (typeof WORKSPACE_STATES)[number];

export interface Workspace {
  readonly id: WorkspaceId;
  readonly state: WorkspaceState;
  /** Top of the repository's own checkout, absolute. */
  readonly repository: string;
  /** The repository's common git directory, absolute: one lock each. */
  readonly commonDir: string;
  /** The worktree, absolute. */
  readonly dir: string;
  /** Full name, `refs/heads/yard/ws_...`. */
  readonly branch: string;
  /** The commit that the work began on. */
  readonly base: string;
  /** What the work may change; see path-claims.ts. None = everything. */
  readonly claims: readonly string[];
  readonly epoch: number;
  /** Ports `portFirst` to `portFirst + portCount - 1` are this workspace's. */
  readonly portFirst: number;
  readonly portCount: number;
  readonly copy: readonly string[];
  readonly setup: string | null;
  /** Settings of the repository that could run something, as they were when it was made; see Repository.dangers. */
  readonly dangers: readonly string[];
  /** What it is for, e.g. a plan's task. */
  readonly label: string;
  /** Where its events go. */
  readonly session: SessionKey | null;
  /** Keeps the work of one that was removed; null = there was none. */
  readonly backupRef: string | null;
  /** Why it failed. */
  readonly problem: string | null;
  readonly createdAt: number;
  readonly endedAt: number | null;
}

export interface NewWorkspace {
  /** A folder inside the repository, absolute. */
  readonly repository: string;
  /** Branch, tag or commit to begin on. */
  readonly base: string;
  readonly label: string;
  readonly claims?: readonly string[];
  readonly session?: SessionKey;
  /** Ignored files, e.g. `.env`, that are copied from the repository's checkout. */
  readonly copy?: readonly string[];
  /** A line for `/bin/sh -c`, run in the new worktree. */
  readonly setup?: string;
}

/** What the work in a workspace comes to so far. */
export interface WorkspaceStatus {
  readonly head: string;
  /** Commits since the base, newest first. */
  readonly commits: readonly Commit[];
  /** Files that differ from the base, committed or not. */
  readonly changed: readonly string[];
  /** Files that are not committed, ignored ones left out. */
  readonly uncommitted: readonly string[];
  /** Changed files outside of the claims. */
  readonly outside: readonly string[];
}

/** Who made commits that the gateway made itself. */
export const GATEWAY_AUTHOR = "Yardmaster";

export interface Commit {
  readonly id: string;
  readonly parents: readonly string[];
  readonly at: number;
  readonly author: string;
  readonly subject: string;
  readonly body: string;
}

/** A file changed between two trees. */
export interface ChangedFile {
  readonly path: string;
  readonly status: "added" | "changed" | "deleted";
  /** git's mode after the change, e.g. `100644`; `120000` = symlink, `160000` = submodule, `000000` = gone. */
  readonly mode: string;
  readonly modeBefore: string;
}
