/** Holds file tools to what a child claimed: by the path as it was written, before anything is touched, and by where it really leads. */
import { posix } from "node:path";
import { Fault } from "../model/faults.ts";
import { fenceAround } from "../model/path-claims.ts";
import type { ToolContext } from "../model/tool.ts";

/** Refuses a change outside of the claims. @param path  from the top of the workspace, or absolute. @throws {Fault} CLAIM_OUTSIDE. */
export function checkFences({ workspace, fences = [] }: Pick<ToolContext, "workspace" | "fences">, path: string): void {
  if (fences.length === 0) return;
  const fence = fenceAround(fences, posix.resolve(workspace, path));
  if (fence !== null) throw new Fault("CLAIM_OUTSIDE", { path, claims: fence.claims.join(", ") });
}
