/** Files that a merge does not bring in before a person has looked: they change what later programs run or believe. */
import type { ChangedFile } from "../model/workspace.ts";

const NAMES: ReadonlySet<string> = new Set([".gitattributes", ".gitmodules", ".gitconfig", ".envrc", ".mcp.json", ".npmrc", "agents.md", "claude.md", "gemini.md", ".cursorrules", ".pre-commit-config.yaml", ".gitlab-ci.yml", "jenkinsfile", "azure-pipelines.yml", ".travis.yml"]);
const FOLDERS: ReadonlySet<string> = new Set([".git", ".github", ".gitlab", ".circleci", ".buildkite", ".claude", ".codex", ".cursor", ".gemini", ".opencode", ".husky", ".githooks", "hooks", ".vscode", ".devcontainer", ".yardmaster"]);
const SYMLINK = "120000";
const SUBMODULE = "160000";

/** Why each is flagged, e.g. `link: a symlink`. Deletions are not. */
export function flagged(changed: readonly ChangedFile[]): readonly string[] {
  return changed.flatMap(({ path, status, mode, modeBefore }) => {
    if (status === "deleted") return [];
    const why = reason(path, mode, modeBefore);
    return why === null ? [] : [`${path}: ${why}`];
  });
}

function reason(path: string, mode: string, modeBefore: string): string | null {
  if (mode === SYMLINK) return "a symlink";
  if (mode === SUBMODULE || modeBefore === SUBMODULE) return "a submodule";
  // File systems that fold case would take `.GitHub` for `.github`.
  const names = path.toLowerCase().split("/");
  if (NAMES.has(names.at(-1)!)) return "read by tools and agents";
  return names.slice(0, -1).some((name) => FOLDERS.has(name)) ? "run or read by tools and agents" : null;
}
