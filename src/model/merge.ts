/**
 * Merges: landing the work of a workspace on an integration branch.
 *
 *     queued ──▶ running ──▶ advancing ──▶ landed ──undo──▶ undoing ──▶ undone
 *       ▲           ├──▶ resolving ──▶ queued      the agent, or a second run, mends the conflict
 *       │           ├──▶ conflict                  given up to a person, both sides shown
 *       └──retry────┼──▶ failed                    its tests are red, or the target is not clean
 *                   └──▶ refused                   outside its claim, an old epoch, or needs a person's eyes
 *
 * `advancing` is recorded with the old and the new commit before the ref moves by compare-and-swap,
 * so after a crash the ref itself tells whether the merge landed.
 */
import type { MergeId, SessionKey, WorkspaceId } from "../base/ids.ts";

export const MERGE_STATES = ["queued", "running", "resolving", "advancing", "landed", "undoing", "conflict", "failed", "refused", "undone", "cancelled"] as const;
export type MergeState = (typeof MERGE_STATES)[number];
/** States from which nothing moves on by itself. */
export const MERGE_AT_REST: readonly MergeState[] = ["landed", "conflict", "failed", "refused", "undone", "cancelled"];

/** What is tried when the work conflicts with what landed before, in this order until one helps. */
export const MERGE_STRATEGIES = ["accept-both", "last-in-rebases", "abort-and-retry"] as const;
export type MergeStrategy = (typeof MERGE_STRATEGIES)[number];

/** squash: one clean commit. rebase: each commit again, on the target. merge: a merge commit. */
export const MERGE_STYLES = ["squash", "rebase", "merge"] as const;
export type MergeStyle = (typeof MERGE_STYLES)[number];

/** A line for `/bin/sh -c`, run by the gateway in a checkout of the result. */
export interface TestCommand {
  readonly command: string;
  readonly timeoutMs: number;
}

/** That a test was run by the gateway itself. */
export interface TestEvidence {
  readonly command: string;
  /** Null when it was ended, e.g. at its time limit. */
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  readonly ms: number;
  /** The tree that it ran on. */
  readonly tree: string;
  /** Beginning and end of what it said. */
  readonly output: string;
  readonly at: number;
}

export interface ConflictFile {
  readonly path: string;
  /** e.g. `content`, `add/add`, `modify/delete`, `binary`. */
  readonly kind: string;
  /** The file as the integration branch has it; null = not there, or no text. */
  readonly ours: string | null;
  /** The file as the work has it. */
  readonly theirs: string | null;
  /** With conflict markers. */
  readonly merged: string | null;
}

export interface Conflict {
  /** Tip of the integration branch. */
  readonly onto: string;
  /** The work's commit. */
  readonly commit: string;
  readonly base: string;
  readonly files: readonly ConflictFile[];
}

export interface NewMerge {
  readonly workspace: WorkspaceId;
  /** The workspace's epoch as the one who offers the work knows it. */
  readonly epoch: number;
  /** Name of a branch, e.g. `main`. */
  readonly onto: string;
  readonly strategies?: readonly MergeStrategy[];
  readonly style?: MergeStyle;
  readonly tests?: readonly TestCommand[];
  /** Subject and body of the commit. */
  readonly message: string;
  /** Provenance, e.g. `Yard-Task: auth`. */
  readonly trailers?: readonly string[];
  /** A person has seen the flagged files (symlinks, submodules, CI, agents' instructions) and wants them. */
  readonly allowFlagged?: boolean;
  readonly session?: SessionKey;
}

export interface Merge {
  readonly id: MergeId;
  /** Order of offering. */
  readonly n: number;
  readonly state: MergeState;
  readonly workspace: WorkspaceId;
  readonly epoch: number;
  readonly commonDir: string;
  /** Full name of the integration branch. */
  readonly onto: string;
  /** The commit that was offered: what came after is not part of it. */
  readonly commit: string;
  readonly strategies: readonly MergeStrategy[];
  readonly style: MergeStyle;
  readonly tests: readonly TestCommand[];
  readonly message: string;
  readonly trailers: readonly string[];
  readonly allowFlagged: boolean;
  readonly session: SessionKey | null;
  /** Times that it was tried. */
  readonly attempts: number;
  /** Where the target was before and after; set before the ref moves. */
  readonly from: string | null;
  readonly to: string | null;
  readonly evidence: readonly TestEvidence[];
  readonly conflict: Conflict | null;
  /** Set before an undo moves the ref: where the target was, and where it goes. */
  readonly undo: { readonly from: string; readonly to: string } | null;
  /** How a conflict was mended. */
  readonly mendedBy: MergeStrategy | null;
  /** Code of a fault, and its text. */
  readonly problem: { readonly code: string; readonly text: string } | null;
  readonly createdAt: number;
  readonly endedAt: number | null;
}
