/**
 * What agents in a workspace feel of its claim: their file tools refuse paths outside of it, a command
 * that changed such files says so at once, and `claim_widen` asks for more.
 *
 * A tool that runs elsewhere is handed on as it is, without a look at the store.
 */
import { basename } from "node:path";
import type { WorkspaceId } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import type { Tool, ToolContext } from "../model/tool.ts";
import type { Workspace } from "../model/workspace.ts";
import type { Workspaces } from "./workspaces.ts";

const WRITERS: ReadonlySet<string> = new Set(["write", "edit"]);
const CLAIMS_MAX = 20;
const PATHS_SHOWN_MAX = 20;

export function insideClaims(tool: Tool, workspaces: Workspaces): Tool {
  if (!WRITERS.has(tool.name) && tool.name !== "exec") return tool;
  return {
    ...tool,
    async run(input, context) {
      const one = await workspaceOf(workspaces, context);
      if (one === null || one.claims.length === 0) return tool.run(input, context);
      if (WRITERS.has(tool.name)) return tool.run(input, { ...context, fences: [...(context.fences ?? []), { workspace: one.dir, claims: one.claims }] });
      const before = new Set((await workspaces.status(one.id)).outside);
      const outcome = await tool.run(input, context);
      const news = (await workspaces.status(one.id)).outside.filter((path) => !before.has(path));
      if (news.length === 0) return outcome;
      return { ...outcome, text: `${outcome.text}\n\nThis command changed files outside of your claim (${one.claims.join(", ")}): ${news.slice(0, PATHS_SHOWN_MAX).join(", ")}. They will not be merged: take the changes back, or ask for the paths with claim_widen.` };
    },
  };
}

/** Grants what no other workspace of the repository claims. */
export function claimWidenTool(workspaces: Workspaces): Tool {
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
      const one = await workspaceOf(workspaces, context);
      if (one === null) return { text: "you do not work in a workspace; there is no claim to widen", isError: true };
      const { claims } = await workspaces.widen(one.id, paths as string[]);
      return { text: claims.length === 0 ? "you may change everything here" : `you may now change: ${claims.join(", ")}` };
    },
  };
}

async function workspaceOf(workspaces: Workspaces, { workspace: dir }: ToolContext): Promise<Workspace | null> {
  const name = basename(dir);
  if (!name.startsWith("ws_")) return null;
  const one = await workspaces.get(name as WorkspaceId);
  return one?.state === "ready" && one.dir === dir ? one : null;
}
