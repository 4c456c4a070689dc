/** Workspaces and merges as programs see them. */
import type { Merge } from "../model/merge.ts";
import type { Workspace } from "../model/workspace.ts";
import type { ApiMerge, ApiWorkspace } from "./wire.ts";

export function toApiWorkspace(one: Workspace): ApiWorkspace {
  return {
    workspaceId: one.id,
    state: one.state,
    label: one.label,
    repository: one.repository,
    dir: one.dir,
    branch: one.branch.replace("refs/heads/", ""),
    base: one.base,
    claims: [...one.claims],
    epoch: one.epoch,
    portFirst: one.portFirst,
    portCount: one.portCount,
    session: one.session,
    backupRef: one.backupRef,
    problem: one.problem,
    createdAt: one.createdAt,
    endedAt: one.endedAt,
  };
}

export function toApiMerge(merge: Merge): ApiMerge {
  return {
    mergeId: merge.id,
    state: merge.state,
    workspaceId: merge.workspace,
    epoch: merge.epoch,
    onto: merge.onto.replace("refs/heads/", ""),
    commit: merge.commit,
    style: merge.style,
    strategies: [...merge.strategies],
    message: merge.message,
    tests: merge.tests.map(({ command, timeoutMs }) => ({ command, timeoutMs })),
    attempts: merge.attempts,
    from: merge.from,
    to: merge.to,
    evidence: merge.evidence.map((one) => ({ ...one })),
    conflict: merge.conflict === null ? null : { ...merge.conflict, files: merge.conflict.files.map((file) => ({ ...file })) },
    mendedBy: merge.mendedBy,
    problem: merge.problem,
    createdAt: merge.createdAt,
    endedAt: merge.endedAt,
  };
}
