/** Workspaces and merges: worktrees lent to work, and the line in which it lands. */
import type { MergeId, WorkspaceId } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import { MERGE_STATES, MERGE_STRATEGIES, MERGE_STYLES } from "../../model/merge.ts";
import { CLAIM_LENGTH_MAX, CLAIMS_MAX } from "../../model/path-claims.ts";
import { WORKSPACE_STATES } from "../../model/workspace.ts";
import type { Merges } from "../../merges/merges.ts";
import type { Workspaces } from "../../workspaces/workspaces.ts";
import { choice, choices, count, list, may, must, object, sessionKey, text, word, yesNo } from "../read-body.ts";
import { accepted, ok, route, type Route, type RouteDeps } from "../route.ts";
import { toApiMerge, toApiWorkspace } from "../shapes-workspaces.ts";
import { present } from "./page-of.ts";

const PATH_LENGTH_MAX = 4096;
const ID_LENGTH_MAX = 200;
const LINE_LENGTH_MAX = 10_000;
const MESSAGE_LENGTH_MAX = 20_000;
const FILES_MAX = 100;
const TESTS_MAX = 20;
const LIMIT_MAX = 1000;
const LIMIT = 100;
const TIMEOUT_SECONDS_MAX = 7200;
const TIMEOUT_SECONDS = 600;

const inWorkspacePath = { workspaceId: must(word({ max: ID_LENGTH_MAX }), "The workspace's id.") };
const inMergePath = { mergeId: must(word({ max: ID_LENGTH_MAX }), "The merge's id.") };
const limitField = { limit: may(count({ min: 1, max: LIMIT_MAX }), `The most rows, ${LIMIT} when absent.`) };

export function workspaceRoutes({ workspaces, merges }: RouteDeps): readonly Route[] {
  if (workspaces === undefined || merges === undefined) return [];
  return [
    route({
      method: "GET",
      path: "/api/workspaces",
      rpc: "workspaces.list",
      doc: "The workspaces, the newest first.",
      answer: "WorkspaceList",
      query: { ...limitField, state: may(choices(WORKSPACE_STATES), "Only those in one of these states.") },
      async run({ limit = LIMIT, state }) {
        return ok({ workspaces: (await workspaces.list(present({ states: state }))).slice(0, limit).map(toApiWorkspace) });
      },
    }),
    route({
      method: "POST",
      path: "/api/workspaces",
      rpc: "workspaces.create",
      doc: "Makes a git worktree on a branch of its own.",
      answer: "ApiWorkspace",
      body: {
        repository: must(word({ max: PATH_LENGTH_MAX }), "A folder inside the repository, absolute."),
        base: may(word({ max: PATH_LENGTH_MAX }), "Branch, tag or commit to begin on; HEAD when absent."),
        label: must(text({ max: ID_LENGTH_MAX }), "What it is for."),
        claims: may(list(word({ max: CLAIM_LENGTH_MAX }), { max: CLAIMS_MAX }), "The paths that the work may change, e.g. src/auth/**; everything when absent."),
        copy: may(list(word({ max: PATH_LENGTH_MAX }), { max: FILES_MAX }), "Ignored files to copy from the repository's checkout, e.g. .env."),
        setup: may(text({ max: LINE_LENGTH_MAX }), "A line of shell to run in it first."),
        session: may(sessionKey(), "The session that works there; its events go to it."),
      },
      run: async ({ base = "HEAD", ...request }, call) => ok(toApiWorkspace(await workspaces.create({ base, ...present(request) } as Parameters<Workspaces["create"]>[0], call.untilGone()))),
    }),
    route({
      method: "GET",
      path: "/api/workspaces/:workspaceId",
      rpc: "workspaces.get",
      doc: "One workspace, with what its work comes to so far.",
      answer: "WorkspaceDetail",
      inPath: inWorkspacePath,
      async run({ workspaceId }) {
        const one = await workspaces.get(workspaceId as WorkspaceId);
        if (one === null) throw new Fault("WORKSPACE_NOT_FOUND", { workspace: workspaceId });
        const status = one.state === "ready" ? await workspaces.status(one.id) : null;
        return ok({ ...toApiWorkspace(one), ...(status === null ? {} : { status }) });
      },
    }),
    route({
      method: "POST",
      path: "/api/workspaces/:workspaceId/widen",
      rpc: "workspaces.widen",
      doc: "Lets the work there change more paths, unless another live workspace of the repository claims them.",
      answer: "ApiWorkspace",
      inPath: inWorkspacePath,
      body: { claims: must(list(word({ max: CLAIM_LENGTH_MAX }), { max: CLAIMS_MAX }), "The paths that come to those it has, e.g. src/shared/**.") },
      run: async ({ workspaceId, claims }) => ok(toApiWorkspace(await workspaces.widen(workspaceId as WorkspaceId, claims))),
    }),
    route({
      method: "POST",
      path: "/api/workspaces/:workspaceId/remove",
      rpc: "workspaces.remove",
      doc: "Removes a worktree and its branch; what is in no other branch is kept under a ref first.",
      answer: "ApiWorkspace",
      inPath: inWorkspacePath,
      run: async ({ workspaceId }) => ok(toApiWorkspace(await workspaces.remove(workspaceId as WorkspaceId))),
    }),
    route({
      method: "POST",
      path: "/api/workspaces/:workspaceId/undo",
      rpc: "workspaces.undo",
      doc: "Brings a removed workspace back as it was.",
      answer: "ApiWorkspace",
      inPath: inWorkspacePath,
      run: async ({ workspaceId }) => ok(toApiWorkspace(await workspaces.undo(workspaceId as WorkspaceId))),
    }),
    route({
      method: "GET",
      path: "/api/merges",
      rpc: "merges.list",
      doc: "The merges, the newest first.",
      answer: "MergeList",
      query: { ...limitField, state: may(choices(MERGE_STATES), "Only those in one of these states."), workspace: may(word({ max: ID_LENGTH_MAX }), "Only those of this workspace.") },
      async run({ limit = LIMIT, state, workspace }) {
        return ok({ merges: (await merges.list({ ...present({ states: state, workspace: workspace as WorkspaceId | undefined }), limit })).map(toApiMerge) });
      },
    }),
    route({
      method: "POST",
      path: "/api/merges",
      rpc: "merges.create",
      doc: "Commits what a workspace holds and puts it in line for a branch.",
      answer: "ApiMerge",
      body: {
        workspace: must(word({ max: ID_LENGTH_MAX }), "The workspace's id."),
        epoch: may(count({ min: 1, max: Number.MAX_SAFE_INTEGER }), "The workspace's epoch as the caller knows it; the present one when absent."),
        onto: must(word({ max: ID_LENGTH_MAX }), "The branch, e.g. main."),
        message: must(text({ max: MESSAGE_LENGTH_MAX }), "Subject and body of the commit."),
        style: may(choice(MERGE_STYLES), "squash, rebase or merge; as merges.style says when absent."),
        strategies: may(list(choice(MERGE_STRATEGIES), { max: MERGE_STRATEGIES.length }), "What to try about a conflict, in this order; as merges.strategies says when absent."),
        tests: may(list(object({ command: must(text({ max: LINE_LENGTH_MAX }), "A line of shell."), timeoutSeconds: may(count({ min: 1, max: TIMEOUT_SECONDS_MAX }), `Its time limit, ${TIMEOUT_SECONDS} when absent.`) }), { max: TESTS_MAX }), "Run on the merged result; it lands only when all end with 0."),
        trailers: may(list(text({ max: LINE_LENGTH_MAX }), { max: FILES_MAX }), "Lines for the end of the message, e.g. Yard-Task: auth."),
        allowFlagged: may(yesNo(), "A person has looked at the flagged files."),
      },
      async run({ workspace, epoch, tests, ...request }) {
        const one = await workspaces.get(workspace as WorkspaceId);
        if (one === null) throw new Fault("WORKSPACE_NOT_FOUND", { workspace });
        const lines = tests?.map(({ command, timeoutSeconds = TIMEOUT_SECONDS }) => ({ command, timeoutMs: timeoutSeconds * 1000 }));
        return accepted(toApiMerge(await merges.enqueue({ ...present({ ...request, tests: lines }), workspace: one.id, epoch: epoch ?? one.epoch } as Parameters<Merges["enqueue"]>[0])));
      },
    }),
    route({
      method: "GET",
      path: "/api/merges/:mergeId",
      rpc: "merges.get",
      doc: "One merge, with its tests and both sides of a conflict.",
      answer: "ApiMerge",
      inPath: inMergePath,
      async run({ mergeId }) {
        const merge = await merges.get(mergeId as MergeId);
        if (merge === null) throw new Fault("MERGE_NOT_FOUND", { merge: mergeId });
        return ok(toApiMerge(merge));
      },
    }),
    route({
      method: "POST",
      path: "/api/merges/:mergeId/retry",
      rpc: "merges.retry",
      doc: "Puts one that did not land back in line, with what its workspace holds now.",
      answer: "ApiMerge",
      inPath: inMergePath,
      body: { allowFlagged: may(yesNo(), "A person has looked at the flagged files.") },
      run: async ({ mergeId, allowFlagged }) => accepted(toApiMerge(await merges.retry(mergeId as MergeId, present({ allowFlagged })))),
    }),
    route({
      method: "POST",
      path: "/api/merges/:mergeId/undo",
      rpc: "merges.undo",
      doc: "Takes a landed one back: by moving the branch when nothing came after it, else by a commit.",
      answer: "ApiMerge",
      inPath: inMergePath,
      run: async ({ mergeId }) => ok(toApiMerge(await merges.undo(mergeId as MergeId))),
    }),
    route({
      method: "POST",
      path: "/api/merges/:mergeId/cancel",
      rpc: "merges.cancel",
      doc: "Takes one that did not land out of line, for good unless it is retried.",
      answer: "ApiMerge",
      inPath: inMergePath,
      run: async ({ mergeId }) => ok(toApiMerge(await merges.cancel(mergeId as MergeId))),
    }),
  ];
}
