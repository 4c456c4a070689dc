/** The commits that a merge lands as, with where they come from. */
import type { Merge } from "../model/merge.ts";
import type { Repository } from "../workspaces/repository.ts";

/** @param tree  the merged tree. @returns the commit to land on `tip`. */
export async function commitResult(repository: Repository, merge: Merge, tip: string, tree: string): Promise<string> {
  const message = messageOf(merge);
  if (merge.style === "merge") return repository.commitTree(tree, [tip, merge.commit], message);
  const each = merge.style === "rebase" ? await rebased(repository, merge, tip, tree) : null;
  return each ?? repository.commitTree(tree, [tip], message, await repository.authorOf(merge.commit));
}

/** Subject and body as given, and trailers that lead back to the work. */
export function messageOf({ id, message, trailers, workspace, commit }: Pick<Merge, "id" | "message" | "trailers" | "workspace" | "commit">): string {
  const clean = (line: string): string => line.replaceAll(/[\r\n]+/g, " ");
  return [message.trim(), "", ...trailers.map(clean), `Yard-Workspace: ${workspace}`, `Yard-Commit: ${commit}`, `Yard-Merge: ${id}`].join("\n");
}

/** Each commit again on top of the target. Null when they do not go one by one, or do not come to the same tree. */
async function rebased(repository: Repository, merge: Merge, tip: string, tree: string): Promise<string | null> {
  const commits = (await repository.commits(merge.commit, { from: tip })).toReversed();
  let at = tip;
  for (const { id, parents, subject, body } of commits) {
    if (parents.length !== 1) return null;
    // A commit with our tip's tree and the original's parent: so the merge's base is that parent, as in a cherry-pick.
    const here = await repository.commitTree(await repository.treeOf(at), [parents[0]!], "yard: the target, for a rebase");
    const { tree: next, conflicts } = await repository.merge(here, id);
    if (conflicts.length > 0) return null;
    const message = id === merge.commit ? messageOf({ ...merge, message: body === "" ? subject : `${subject}\n\n${body}` }) : `${subject}\n\n${body}`;
    at = await repository.commitTree(next, [at], message, await repository.authorOf(id));
  }
  return (await repository.treeOf(at)) === tree ? at : null;
}
