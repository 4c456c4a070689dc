/**
 * Merges, as the rest of the program sees them: a durable line per integration branch.
 *
 * Always true, whatever is killed when:
 *   - the target ref moves by compare-and-swap from one whole result to the next, or not at all
 *   - a merge lands at most once; what landed was tested by the gateway on exactly the tree that landed
 *   - only the commit that was offered lands, inside the workspace's claim, under its present epoch
 *   - a checkout of the target follows only when it is clean; otherwise nothing moves
 */
import type { MergeId, PlanId, WorkspaceId } from "../base/ids.ts";
import type { Conflict, Merge, MergeState, NewMerge } from "../model/merge.ts";
import type { Workspace } from "../model/workspace.ts";

export interface Merges {
  /** Commits what the workspace holds and puts it in line. @throws {Fault} WORKSPACE_NOT_FOUND, WORKSPACE_FENCED, MERGE_NOTHING, MERGE_TARGET_UNKNOWN. */
  enqueue(request: NewMerge): Promise<Merge>;
  get(id: MergeId): Promise<Merge | null>;
  list(query?: { readonly states?: readonly MergeState[]; readonly workspace?: WorkspaceId; readonly limit?: number }): Promise<readonly Merge[]>;
  /** Resolves when the merge is at rest. */
  watch(id: MergeId, signal: AbortSignal): Promise<Merge>;
  /**
   * Puts one that did not land back in line; `allowFlagged` when a person has looked at the flagged files, `plan` when
   * that is done for a plan, which must go on. @throws {Fault} MERGE_NOT_FOUND, MERGE_STATE, PLAN_NOT_WAITING.
   */
  retry(id: MergeId, options?: { readonly allowFlagged?: boolean; readonly plan?: PlanId }): Promise<Merge>;
  /**
   * Takes a landed one back: by moving the ref when nothing came after it and no other ref holds it, else by a revert commit.
   * When it fails it is landed as before. @throws {Fault} MERGE_NOT_FOUND, MERGE_STATE, MERGE_CONFLICT, MERGE_TARGET_DIRTY, MERGE_MOVING_TARGET.
   */
  undo(id: MergeId): Promise<Merge>;
  cancel(id: MergeId): Promise<Merge>;
}

/** What the plan's run does about conflicts. Without it they go to a person. */
export interface ConflictHelp {
  /**
   * For `last-in-rebases`. The worktree stands on the target's tip and holds the work with conflict
   * markers in `conflict.files`. True: the agent has mended the files (no git needed; the queue commits).
   */
  resolve(request: ConflictRequest): Promise<boolean>;
  /** For `abort-and-retry`: does the work again, in a new workspace that begins on `conflict.onto`. Null: it gave up. */
  redo(request: ConflictRequest): Promise<{ readonly workspace: WorkspaceId; readonly epoch: number } | null>;
}

export interface ConflictRequest {
  readonly merge: Merge;
  readonly workspace: Workspace;
  readonly conflict: Conflict;
  readonly signal: AbortSignal;
}

/** What the radar found, for whoever steers the work. */
export interface RadarNews {
  readonly kind: "overlap" | "stale-read";
  readonly workspace: WorkspaceId;
  /** The other workspace, or null when it was merged. */
  readonly other: WorkspaceId | null;
  readonly paths: readonly string[];
  readonly text: string;
  /** Folder of the workspace whose agent should know, and what it should do about it. */
  readonly dir: string;
  readonly advice: string;
}
