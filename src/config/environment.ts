/**
 * The environment: the one place that reads it, and lists of what may be read from it and handed on.
 *
 * Children (commands that agents run) get a short list of harmless variables, never keys or tokens.
 */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment that this process was started with. */
export function processEnvironment(): Environment {
  return process.env;
}

/** What the program may look up by name, besides variables that a setting names in `apiKeyEnv`. */
export const READABLE_NAMES: readonly string[] = [
  "ANTHROPIC_API_KEY",
  "OPENAI_API_KEY",
  "GEMINI_API_KEY",
  "GOOGLE_API_KEY",
  "OLLAMA_HOST",
  "YARD_HOME",
  "YARD_LOG",
  "YARD_PORT",
];

/** Variables that hold a credential, among those that may be read. */
export const SECRET_NAMES: readonly string[] = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"];

/** What a child process may inherit; besides these, everything that begins with `LC_`. */
const INHERITED_NAMES: ReadonlySet<string> = new Set(["PATH", "HOME", "LANG", "TERM", "TZ", "TMPDIR", "USER", "SHELL"]);

export function childEnvironmentOf(environment: Environment): Record<string, string> {
  const child: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && (INHERITED_NAMES.has(name) || name.startsWith("LC_"))) child[name] = value;
  }
  return child;
}
