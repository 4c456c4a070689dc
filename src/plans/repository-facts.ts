/** What the check knows of a repository: its files, and which of them changed together in its log. */
import type { Workspaces } from "../workspaces/workspaces.ts";

/** Commits of the log that are looked at. */
const COMMITS_MAX = 500;
/** A commit over this many files is a sweep (a rename, a new format) and says nothing on what belongs together. */
const COMMIT_FILES_MAX = 50;

export interface RepositoryFacts {
  readonly files: readonly string[];
  /** For each commit, the files it changed. */
  readonly commits: readonly (readonly string[])[];
}

export const NO_FACTS: RepositoryFacts = { files: [], commits: [] };

/** @throws {Fault} NOT_A_REPOSITORY, GIT_FAILED. */
export async function readFacts(git: Pick<Workspaces, "resolve" | "files" | "changedTogether">, repository: string, base: string | null): Promise<RepositoryFacts> {
  const commit = await git.resolve(repository, base ?? "HEAD");
  if (commit === null) return NO_FACTS;
  const [files, commits] = await Promise.all([git.files(repository, commit), git.changedTogether(repository, { commits: COMMITS_MAX })]);
  return { files, commits: commits.filter((changed) => changed.length <= COMMIT_FILES_MAX) };
}
