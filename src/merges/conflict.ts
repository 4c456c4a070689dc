/** A conflict as data, both sides shown, and its mending by keeping both. */
import type { Conflict, ConflictFile } from "../model/merge.ts";
import type { MergeConflict, MergeResult, Repository } from "../workspaces/repository.ts";
import { acceptBoth } from "./accept-both.ts";

export async function conflictOf(repository: Repository, onto: string, commit: string, result: MergeResult): Promise<Conflict> {
  const base = (await repository.mergeBase(onto, commit)) ?? onto;
  const files = await Promise.all(result.conflicts.map((one) => fileOf(repository, result.tree, one)));
  return { onto, commit, base, files };
}

async function fileOf(repository: Repository, tree: string, { path, base, ours, theirs }: MergeConflict): Promise<ConflictFile> {
  const text = (side: { readonly id: string } | undefined): Promise<string | null> => (side === undefined ? Promise.resolve(null) : repository.text(side.id));
  const [mine, other, merged] = await Promise.all([text(ours), text(theirs), repository.text(`${tree}:${path}`)]);
  const kind = ours === undefined || theirs === undefined ? "modify/delete" : mine === null || other === null ? "binary" : base === undefined ? "add/add" : "content";
  return { path, kind, ours: mine, theirs: other, merged };
}

/** The tree with both sides of every conflict; null when one of them is more than additions. */
export async function mendBoth(repository: Repository, conflict: Conflict, { tree, conflicts }: MergeResult): Promise<string | null> {
  const entries = [];
  for (const { path, base, ours, theirs } of conflicts) {
    const shown = conflict.files.find((file) => file.path === path)!;
    if (ours === undefined || theirs === undefined || shown.ours === null || shown.theirs === null || ours.mode !== theirs.mode) return null;
    const old = base === undefined ? null : await repository.text(base.id);
    const marked = await repository.mergeText(shown.ours, old ?? "", shown.theirs);
    const text = acceptBoth({ path, base: old, ours: shown.ours, theirs: shown.theirs, marked });
    if (text === null) return null;
    entries.push({ mode: ours.mode, path, id: await repository.writeBlob(text) });
  }
  return repository.treeWith(tree, entries);
}
