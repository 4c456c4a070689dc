/**
 * What agents in a workspace feel of its claim: their file tools refuse paths outside of it, a command
 * that changed such files says so at once, and `claim_widen` asks for more. With each result comes what
 * happened elsewhere and matters here (agent-news.ts).
 *
 * A tool that runs elsewhere is handed on as it is, without a look at the store.
 */
import { basename } from "node:path";
import type { WorkspaceId } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import type { Fence } from "../model/path-claims.ts";
import type { Tool, ToolOutcome } from "../model/tool.ts";
import type { Workspace } from "../model/workspace.ts";
import type { AgentNews } from "./agent-news.ts";
import type { Workspaces } from "./workspaces.ts";

const WRITERS: ReadonlySet<string> = new Set(["write", "edit"]);
/** Who used one of these knows what stands in the file. */
const READERS: ReadonlySet<string> = new Set(["read", "edit"]);
const CLAIMS_MAX = 20;
const PATHS_SHOWN_MAX = 20;

export function insideClaims(tool: Tool, workspaces: Workspaces, news: AgentNews): Tool {
  const run = WRITERS.has(tool.name) || tool.name === "exec" ? guarded(tool, workspaces) : tool.run;
  return {
    ...tool,
    async run(input, context) {
      const outcome = await run.call(tool, input, context);
      if (READERS.has(tool.name) && typeof input["path"] === "string" && outcome.isError !== true) news.read(context.workspace, input["path"]);
      return withNews(outcome, news.take(context.workspace));
    },
  };
}

function guarded(tool: Tool, workspaces: Workspaces): Tool["run"] {
  return async (input, context) => {
    const one = await workspaceOf(workspaces, context.workspace);
    if (one === null || one.claims.length === 0) return tool.run(input, context);
    if (WRITERS.has(tool.name)) return tool.run(input, { ...context, fences: fencesNow(context.fences ?? [], one) });
    const before = new Set((await workspaces.status(one.id)).outside);
    const outcome = await tool.run(input, context);
    const more = (await workspaces.status(one.id)).outside.filter((path) => !before.has(path));
    if (more.length === 0) return outcome;
    return { ...outcome, text: `${outcome.text}\n\nThis command changed files outside of your claim (${one.claims.join(", ")}): ${more.slice(0, PATHS_SHOWN_MAX).join(", ")}. They will not be merged: take the changes back, or ask for the paths with claim_widen.` };
  };
}

function withNews(outcome: ToolOutcome, notices: readonly string[]): ToolOutcome {
  return notices.length === 0 ? outcome : { ...outcome, text: `${outcome.text}\n\n${notices.map((notice) => `[From the gateway: ${notice}]`).join("\n")}` };
}

/**
 * A session's fences as they are now: the one around its workspace is from the session's birth, and its
 * claim may have been widened since. Those of children that claimed less stay as they are.
 */
export async function currentFences(workspaces: Workspaces, dir: string, fences: readonly Fence[]): Promise<readonly Fence[]> {
  const one = await workspaceOf(workspaces, dir);
  return one === null || one.claims.length === 0 ? fences : fencesNow(fences, one);
}

function fencesNow(fences: readonly Fence[], { dir, claims }: Workspace): readonly Fence[] {
  const at = fences.findIndex((fence) => fence.workspace === dir);
  const isFirst = at >= 0 && fences[at]!.claims.every((claim) => claims.includes(claim));
  return isFirst ? fences.with(at, { workspace: dir, claims }) : [...fences, { workspace: dir, claims }];
}

/** Who decides on a wider claim besides the other workspaces, e.g. a plan's run. Throws when it says no. */
export type ClaimJudge = (workspace: Workspace, claims: readonly string[]) => Promise<void>;

/** Grants what no other workspace of the repository claims, and `judge` has nothing against. */
export function claimWidenTool(workspaces: Workspaces, judge: ClaimJudge): Tool {
  return {
    name: "claim_widen",
    description: "Asks for more paths that you may change in your workspace.",
    inputSchema: {
      type: "object",
      properties: { paths: { type: "array", items: { type: "string" }, minItems: 1, maxItems: CLAIMS_MAX, description: "e.g. src/shared/**" } },
      required: ["paths"],
      additionalProperties: false,
    },
    effect: "idempotent",
    parallel: false,
    isRare: true,
    async run({ paths }, context) {
      if (!Array.isArray(paths) || paths.length === 0 || paths.length > CLAIMS_MAX || !paths.every((path) => typeof path === "string")) throw new Fault("TOOL_INPUT", { tool: "claim_widen", problem: `paths must be a list of 1 to ${CLAIMS_MAX} texts` });
      const one = await workspaceOf(workspaces, context.workspace);
      if (one === null) return { text: "you do not work in a workspace; there is no claim to widen", isError: true };
      await judge(one, paths as string[]);
      const { claims } = await workspaces.widen(one.id, paths as string[]);
      return { text: claims.length === 0 ? "you may change everything here" : `you may now change: ${claims.join(", ")}` };
    },
  };
}

/** The checkout that a worktree was made of, when these files and folders in it are those of its base; else null. */
export async function sourceOf(workspaces: Workspaces, dir: string, paths: readonly string[]): Promise<string | null> {
  const one = await workspaceOf(workspaces, dir);
  return one !== null && (await workspaces.areAsBase(one.id, paths)) ? one.repository : null;
}

async function workspaceOf(workspaces: Workspaces, dir: string): Promise<Workspace | null> {
  const name = basename(dir);
  if (!name.startsWith("ws_")) return null;
  const one = await workspaces.get(name as WorkspaceId);
  return one?.state === "ready" && one.dir === dir ? one : null;
}
