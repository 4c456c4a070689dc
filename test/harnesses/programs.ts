/**
 * Real coding agents of others, as they are on npm: which version, and what each needs to work
 * offline against a model server that is not its maker's.
 *
 *     const program = await install("claude");                       // a scratch folder, kept for the next time
 *     const agents = { claude: entryFor("claude", { program, modelUrl, home }) };   // goes into `acp.agents`
 *
 * `modelUrl` is a model stand-in, or anything else that speaks the same, e.g. the gateway's own proxy.
 * Each is installed under this process's Node, for npm picks versions by the Node that runs it.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const REAL_HARNESSES = ["claude", "codex", "gemini", "copilot", "opencode"] as const;
export type RealHarness = (typeof REAL_HARNESSES)[number];

/** The longest that one may take to install, milliseconds. */
const INSTALL_MAX_MS = 180_000;
/** What the model is called, where a name is asked for. */
const MODEL = "standin";

interface Program {
  readonly package: string;
  /** Below the folder that it is installed in. */
  readonly file: string;
  /** It is a script for Node, and no program by itself. */
  readonly isScript: boolean;
  readonly args: readonly string[];
  /** Variables with which it talks to `modelUrl` and stays off the network. */
  env(place: Place): Readonly<Record<string, string>>;
  /** Files below `home` without which it does not start by itself. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface Place {
  /** Without `/v1`. */
  readonly modelUrl: string;
  /** The key for it; anything for a stand-in. */
  readonly key: string;
  /** A scratch folder that it takes for the person's home. */
  readonly home: string;
}

/** An entry of `acp.agents`. */
export interface HarnessEntry {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const PROGRAMS: Readonly<Record<RealHarness, Program>> = {
  claude: {
    package: "@agentclientprotocol/claude-agent-acp@0.100.0",
    file: "node_modules/@agentclientprotocol/claude-agent-acp/dist/index.js",
    isScript: true,
    args: [],
    // Root may not skip its questions unless it says that it is in a sandbox; nothing skips them here. Tools of servers are
    // shown to the model at once: a stand-in does not search for them.
    env: ({ modelUrl, key }) => ({ ANTHROPIC_BASE_URL: modelUrl, ANTHROPIC_API_KEY: key, IS_SANDBOX: "1", ENABLE_TOOL_SEARCH: "false" }),
  },
  codex: {
    package: "@agentclientprotocol/codex-acp@2.6.0",
    file: "node_modules/@agentclientprotocol/codex-acp/dist/index.js",
    isScript: true,
    args: [],
    env: ({ modelUrl, key }) => ({
      OPENAI_API_KEY: key,
      CODEX_CONFIG: JSON.stringify({
        model: MODEL,
        model_provider: "standin",
        model_providers: { standin: { name: "standin", base_url: `${modelUrl}/v1`, wire_api: "responses", env_key: "OPENAI_API_KEY", requires_openai_auth: false } },
        approval_policy: "on-request",
        check_for_update_on_startup: false,
      }),
    }),
  },
  gemini: {
    package: "@google/gemini-cli@0.61.0",
    file: "node_modules/@google/gemini-cli/bundle/gemini.js",
    isScript: true,
    args: ["--acp"],
    env: ({ modelUrl, key, home }) => ({ GEMINI_API_KEY: key, GOOGLE_GEMINI_BASE_URL: modelUrl, HOME: home, GEMINI_TELEMETRY_ENABLED: "false" }),
    files: { ".gemini/settings.json": JSON.stringify({ security: { auth: { selectedType: "gemini-api-key" } }, general: { enableAutoUpdate: false }, privacy: { usageStatisticsEnabled: false } }) },
  },
  copilot: {
    package: "@github/copilot@1.0.102",
    file: "node_modules/@github/copilot/npm-loader.js",
    isScript: true,
    args: ["--acp", "--stdio"],
    env: ({ modelUrl, key, home }) => ({
      COPILOT_OFFLINE: "true", COPILOT_PROVIDER_BASE_URL: `${modelUrl}/v1`, COPILOT_PROVIDER_TYPE: "openai", COPILOT_PROVIDER_API_KEY: key, COPILOT_MODEL: MODEL, COPILOT_AUTO_UPDATE: "false", HOME: home,
    }),
  },
  opencode: {
    package: "opencode-ai@1.18.33",
    file: `node_modules/opencode-${process.platform}-${process.arch}/bin/opencode`,
    isScript: false,
    args: ["acp"],
    env: ({ modelUrl, key, home }) => ({
      HOME: home,
      OPENCODE_DISABLE_MODELS_FETCH: "1",
      OPENCODE_DISABLE_AUTOUPDATE: "1",
      OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
      OPENCODE_DISABLE_DEFAULT_PLUGINS: "1",
      OPENCODE_CONFIG_CONTENT: JSON.stringify({
        model: `standin/${MODEL}`,
        small_model: `standin/${MODEL}`,
        permission: { edit: "ask", bash: "ask", webfetch: "ask" },
        provider: { standin: { npm: "@ai-sdk/openai-compatible", name: "standin", options: { baseURL: `${modelUrl}/v1`, apiKey: key }, models: { [MODEL]: { name: MODEL, tool_call: true, limit: { context: 200_000, output: 8_000 } } } } },
      }),
    }),
  },
};

/**
 * Where they are kept, and where they work: `YARD_HARNESSES`, else the person's folder for caches, or another when that
 * lies in the folder for temporary files.
 */
export function scratchRoot(): string {
  // Codex makes no programs of its own below the temporary folder, and without them its sandbox runs no command.
  const caches = [process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), fileURLToPath(new URL("../../node_modules/.cache", import.meta.url)), "/var/tmp"];
  const cache = caches.find((folder) => !folder.startsWith(`${tmpdir()}/`)) ?? caches[0]!;
  const root = process.env["YARD_HARNESSES"] ?? join(cache, "yardmaster-harnesses");
  mkdirSync(root, { recursive: true, mode: 0o700 });
  return root;
}

/** One folder for each version, so that a second run finds it. */
function folderOf(id: RealHarness): string {
  return join(scratchRoot(), PROGRAMS[id].package.replaceAll("/", "+"));
}

/** The installed program; null when it is not there yet. */
export function installed(id: RealHarness): string | null {
  const file = join(folderOf(id), PROGRAMS[id].file);
  return existsSync(file) ? file : null;
}

/**
 * Installs one from the package registry, unless it is there. No install script of any package runs.
 * @returns the program.
 * @throws {Error} with what npm said.
 */
export async function install(id: RealHarness, signal?: AbortSignal): Promise<string> {
  const there = installed(id);
  if (there !== null) return there;
  const folder = folderOf(id);
  // Made beside it and moved: two who install at once do not see half of it.
  const fresh = `${folder}.${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true, mode: 0o700 });
  writeFileSync(join(fresh, "package.json"), '{"private": true}');
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"}` };
  try {
    await new Promise<void>((resolve, reject) => {
      execFile("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--save-exact", PROGRAMS[id].package], { cwd: fresh, env, timeout: INSTALL_MAX_MS, ...(signal === undefined ? {} : { signal }) }, (error, stdout, stderr) =>
        error === null ? resolve() : reject(new Error(`npm could not install ${PROGRAMS[id].package}: ${(stderr || stdout || error.message).slice(-1000)}`)),
      );
    });
    try {
      renameSync(fresh, folder);
    } catch (cause) {
      if (installed(id) === null) throw cause;
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  const program = installed(id);
  if (program === null) throw new Error(`${PROGRAMS[id].package} has no ${PROGRAMS[id].file}`);
  return program;
}

/** What stands for it in `acp.agents`; writes the files into `home` that it cannot start without. */
export function entryFor(id: RealHarness, { program, modelUrl, home, key = "standin-key" }: { program: string; modelUrl: string; home: string; key?: string }): HarnessEntry {
  const { isScript, args, env, files = {} } = PROGRAMS[id];
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(home, name)), { recursive: true, mode: 0o700 });
    writeFileSync(join(home, name), text);
  }
  return { command: isScript ? process.execPath : program, args: [...(isScript ? [program] : []), ...args], env: env({ modelUrl, key, home }) };
}

/** The version that is pinned, for reports. */
export function packageOf(id: RealHarness): string {
  return PROGRAMS[id].package;
}
