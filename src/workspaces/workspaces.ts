/**
 * Workspaces, as the rest of the program sees them: git worktrees with a claim, and questions to git.
 *
 * Always true:
 *   - nothing that is not committed or not merged goes away without a backup ref that holds it
 *   - what changes the worktrees or refs of one repository happens one at a time per common git directory
 *   - no call runs anything that the repository names: no hook, filter, driver, monitor or pager
 *   - names are generated ids; no text of a user becomes a path
 *
 * Refuses: a repository inside the state directory, and more workspaces or bytes than the settings allow.
 */
import type { SessionKey, WorkspaceId } from "../base/ids.ts";
import type { TestCommand, TestEvidence } from "../model/merge.ts";
import type { ChangedFile, Commit, NewWorkspace, Workspace, WorkspaceState, WorkspaceStatus } from "../model/workspace.ts";

export interface Workspaces {
  /** @throws {Fault} NOT_A_REPOSITORY, GIT_FAILED, WORKSPACE_LIMIT, WORKSPACE_DISK, WORKSPACE_SETUP_FAILED, CLAIM_BAD. */
  create(request: NewWorkspace, signal?: AbortSignal): Promise<Workspace>;
  get(id: WorkspaceId): Promise<Workspace | null>;
  list(query?: { readonly repository?: string; readonly states?: readonly WorkspaceState[] }): Promise<readonly Workspace[]>;
  /** @throws {Fault} WORKSPACE_NOT_FOUND. */
  status(id: WorkspaceId): Promise<WorkspaceStatus>;

  /** Whether what lies at and below these paths is exactly what the base has there, ignored files counted. */
  areAsBase(id: WorkspaceId, paths: readonly string[]): Promise<boolean>;

  /**
   * Commits everything that is in the worktree on its branch (no hooks). Null: there was nothing to commit.
   * @throws {Fault} WORKSPACE_FENCED when `epoch` is not the workspace's.
   */
  commit(id: WorkspaceId, epoch: number, message: string): Promise<string | null>;
  /** A commit of the worktree as it stands, on no branch; index and files stay as they are. */
  snapshot(id: WorkspaceId): Promise<string>;
  /** Files that differ between two commits or trees. */
  diffNames(repository: string, from: string, to: string): Promise<readonly ChangedFile[]>;
  /** Runs a test in the worktree and says what tree it ran on. */
  test(id: WorkspaceId, test: TestCommand, signal?: AbortSignal): Promise<TestEvidence>;
  /** The environment that set-up, tests and agents get: YARD_WORKSPACE, YARD_PORT_FIRST, YARD_PORT_COUNT. */
  environment(workspace: Workspace): Readonly<Record<string, string>>;

  /** A successor takes over: raises the epoch, so that what the old holder still does is refused at the merge. */
  handOver(id: WorkspaceId, session: SessionKey | null): Promise<Workspace>;
  /** Adds to what the work may change. @throws {Fault} CLAIM_BAD, CLAIM_HELD when a live workspace of the same repository holds it. */
  widen(id: WorkspaceId, claims: readonly string[]): Promise<Workspace>;

  /** Removes worktree and branch; unmerged work is kept under a backup ref first. */
  remove(id: WorkspaceId): Promise<Workspace>;
  /** Brings a removed workspace back as it was. @throws {Fault} WORKSPACE_STATE. */
  undo(id: WorkspaceId): Promise<Workspace>;

  // Questions to a repository. @throws {Fault} NOT_A_REPOSITORY, GIT_FAILED.

  /** The id of the commit that a name stands for; null = none. */
  resolve(repository: string, name: string): Promise<string | null>;
  /** A commit on no branch that holds both, or the first of them when it does; null = they conflict. */
  together(repository: string, one: string, other: string): Promise<string | null>;
  /** Paths of a commit's files. */
  files(repository: string, commit: string): Promise<readonly string[]>;
  /** Text of a file in a commit; null = not there, or larger than 1 MB. */
  fileAt(repository: string, commit: string, path: string): Promise<string | null>;
  /** Commits that `to` has and `from` has not, newest first; without `from`, all. */
  commits(repository: string, to: string, options?: { readonly from?: string; readonly limit?: number }): Promise<readonly Commit[]>;
  /** Which files changed together: for each of the latest commits without merges, its files. */
  changedTogether(repository: string, options: { readonly commits: number }): Promise<readonly (readonly string[])[]>;
}
