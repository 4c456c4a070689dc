/** Files that everybody's work tends to touch: manifests, lock files, barrels, configuration of the whole. */

const MANIFESTS = ["package.json", "pyproject.toml", "Cargo.toml", "go.mod", "pom.xml", "build.gradle", "build.gradle.kts", "Gemfile", "composer.json", "requirements.txt", "setup.py", "mix.exs", "pubspec.yaml", "Package.swift", "CMakeLists.txt", "Makefile"];
const LOCK_FILES = ["package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb", "Cargo.lock", "go.sum", "poetry.lock", "uv.lock", "Pipfile.lock", "Gemfile.lock", "composer.lock", "mix.lock", "flake.lock"];
const BARRELS = /^(index|mod|lib|__init__)\.(ts|tsx|mts|js|jsx|mjs|cjs|py|rs)$/;
const CONFIGURATION = /^(tsconfig(\..+)?\.json|jsconfig\.json|\.eslintrc(\..+)?|eslint\.config\..+|\.prettierrc(\..+)?|\.editorconfig|babel\.config\..+|vite\.config\..+|vitest\.config\..+|jest\.config\..+|webpack\.config\..+|tailwind\.config\..+|turbo\.json|nx\.json|lerna\.json|docker-compose\.ya?ml|Dockerfile|\.env(\..+)?|\.gitignore|\.gitattributes|CHANGELOG\.md)$/;

export type SharedKind = "manifest" | "lock file" | "barrel" | "configuration";

/** Null for an ordinary file. A barrel is one by its name; the check looks whether others share it. */
export function sharedKind(path: string): SharedKind | null {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (MANIFESTS.includes(name)) return "manifest";
  if (LOCK_FILES.includes(name)) return "lock file";
  if (CONFIGURATION.test(name)) return "configuration";
  return BARRELS.test(name) ? "barrel" : null;
}

/** A file that is found only by its name in a text, as people write it. */
const NAMED = /(?:[\w.-]+\/)*[\w-]*\.?[\w-]+(?:\.[\w-]+)+/g;
const DEPENDENCY = /\b(add|install|upgrade|update|bump)\w*\b[^.\n]{0,40}\b(dependenc(y|ies)|packages?|librar(y|ies)|crates?)\b|\b(npm|yarn|pnpm|pip|cargo) (install|add)\b/i;

/** Paths that a task's words name, and the manifest when they speak of a new dependency. */
export function pathsNamedIn(text: string, manifests: readonly string[]): readonly string[] {
  const named = text.slice(0, 20_000).match(NAMED) ?? [];
  return [...new Set([...named, ...(DEPENDENCY.test(text) ? manifests : [])])];
}
