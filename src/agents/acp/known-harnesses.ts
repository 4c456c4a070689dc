/**
 * Harnesses that are known by name, as data.
 *
 * None of them is part of this program, and none is ever installed by it. Memory is what one idle
 * session took when it was measured, with room for work; 300 MB where nobody measured.
 *
 * Where a harness has a mode in which it asks before it changes something, it starts in that one:
 * then its questions come to a person, and not its deeds.
 */
import type { HarnessSpec } from "../../model/harness.ts";

const UNMEASURED_MB = 300;
/** How long a call may wait for its first byte, where the harness asks: a wall of a provider is waited out. */
const PATIENCE_MS = "900000";

type Known = Pick<HarnessSpec, "id" | "title" | "command" | "args" | "loginHint" | "install"> & Partial<HarnessSpec>;

function known(harness: Known): HarnessSpec {
  return {
    env: {}, envFrom: [], proxied: false, proxyEnv: {}, configDirs: {}, configFiles: {}, settingsFiles: [], logins: {}, cwd: null, modes: [], mode: null, unaskedModes: [], unaskedOptions: {}, quirks: {}, toolNameAt: null, readingTools: {},
    memoryMb: UNMEASURED_MB, hosts: [], writes: [], projectFiles: [], loginFiles: [], keepsLoginElsewhere: false, ...harness,
  };
}

export const KNOWN_HARNESSES: readonly HarnessSpec[] = [
  known({
    id: "claude",
    title: "Claude Code",
    command: "claude-agent-acp",
    args: [],
    env: { CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1", DISABLE_TELEMETRY: "1", DISABLE_AUTOUPDATER: "1" },
    envFrom: ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"],
    proxyEnv: { ANTHROPIC_BASE_URL: "{proxy}/anthropic", ANTHROPIC_API_KEY: "{token}", API_TIMEOUT_MS: PATIENCE_MS },
    configDirs: { CLAUDE_CONFIG_DIR: "claude" },
    modes: ["default", "plan", "acceptEdits", "bypassPermissions"],
    mode: "default",
    unaskedModes: ["acceptEdits", "auto", "bypassPermissions", "dontAsk"],
    hosts: ["api.anthropic.com", "*.anthropic.com", "claude.ai", "platform.claude.com"],
    toolNameAt: ["_meta", "claudeCode", "toolName"],
    readingTools: { Read: { paths: ["file_path"], others: ["offset", "limit"] } },
    memoryMb: 300,
    projectFiles: [".claude/settings.json", ".claude/settings.local.json", ".claude/hooks", ".mcp.json"],
    loginHint: "set ANTHROPIC_API_KEY, or CLAUDE_CODE_OAUTH_TOKEN to what `claude setup-token` prints",
    install: ["npm install -g @agentclientprotocol/claude-agent-acp"],
  }),
  known({
    id: "codex",
    title: "Codex",
    command: "codex-acp",
    args: [],
    envFrom: ["OPENAI_API_KEY", "CODEX_API_KEY"],
    proxyEnv: {
      OPENAI_API_KEY: "{token}",
      CODEX_CONFIG: JSON.stringify({ model_provider: "gateway", model_providers: { gateway: { name: "gateway", base_url: "{proxy}/openai/v1", wire_api: "responses", env_key: "OPENAI_API_KEY", requires_openai_auth: false, stream_idle_timeout_ms: Number(PATIENCE_MS) } } }),
    },
    configDirs: { CODEX_HOME: "codex" },
    hosts: ["api.openai.com", "chatgpt.com", "auth.openai.com"],
    modes: ["read-only", "agent"],
    // In its own default mode it writes without a question.
    mode: "read-only",
    unaskedModes: ["agent", "agent-full-access", "auto", "full-access"],
    quirks: { rejectionEndsTurn: true, ownSandbox: true, failureAt: { path: ["_meta", "codex", "threadStatus", "type"], value: "systemError" } },
    memoryMb: 230,
    projectFiles: [".codex/config.toml", ".codex/hooks.json"],
    loginHint: "set OPENAI_API_KEY or CODEX_API_KEY",
    install: ["npm install -g @agentclientprotocol/codex-acp"],
  }),
  known({
    id: "gemini",
    title: "Gemini CLI",
    command: "gemini",
    args: ["--acp"],
    envFrom: ["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    proxyEnv: { GOOGLE_GEMINI_BASE_URL: "{proxy}/google", GEMINI_API_KEY: "{token}" },
    // It connects to no tool server in a folder that it does not trust. Where the folder is not trusted here, it has no settings by then.
    env: { GEMINI_CLI_TRUST_WORKSPACE: "true" },
    configDirs: { GEMINI_CLI_HOME: "gemini" },
    settingsFiles: [
      {
        path: "gemini/.gemini/settings.json",
        always: { general: { enableAutoUpdate: false }, privacy: { usageStatisticsEnabled: false } },
        // A `.env` of the project could name another address for the key.
        untrusted: { advanced: { ignoreLocalEnv: true } },
        adopt: { from: ".gemini/settings.json", keys: [["security", "auth", "selectedType"]] },
        byVariable: { GEMINI_API_KEY: { security: { auth: { selectedType: "gemini-api-key" } } } },
      },
    ],
    logins: Object.fromEntries(["oauth_creds.json", "google_accounts.json", "gemini-credentials.json", ".env"].map((name) => [`gemini/.gemini/${name}`, `.gemini/${name}`])),
    modes: ["default", "autoEdit", "yolo"],
    mode: "default",
    unaskedModes: ["autoEdit", "auto-edit", "auto_edit", "yolo"],
    hosts: ["generativelanguage.googleapis.com", "cloudcode-pa.googleapis.com", "oauth2.googleapis.com", "accounts.google.com"],
    // Its own handling of files that are not there yet fails over the client's reading.
    quirks: { advertiseFsRead: false, loadOnlyAfterMinute: true },
    memoryMb: 360,
    projectFiles: [".gemini/settings.json", ".gemini/.env", ".gemini/extensions", ".gemini/agents", ".gemini/policies"],
    loginFiles: [".gemini/oauth_creds.json"],
    loginHint: "set GEMINI_API_KEY, or log in once with `gemini`",
    install: ["npm install -g @google/gemini-cli"],
  }),
  known({
    id: "copilot",
    title: "GitHub Copilot CLI",
    command: "copilot",
    args: ["--acp", "--stdio"],
    envFrom: ["COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"],
    proxyEnv: { COPILOT_OFFLINE: "true", COPILOT_PROVIDER_BASE_URL: "{proxy}/openai/v1", COPILOT_PROVIDER_TYPE: "openai", COPILOT_PROVIDER_API_KEY: "{token}" },
    hosts: ["api.github.com", "github.com", "*.githubcopilot.com"],
    writes: [".cache/copilot", ".cache/github-copilot"],
    configDirs: { COPILOT_HOME: "copilot" },
    settingsFiles: [
      { path: "copilot/settings.json", always: {}, trusted: { trustedFolders: ["{cwd}"] }, untrusted: { disableAllHooks: true } },
      { path: "copilot/config.json", always: {}, trusted: { trustedFolders: ["{cwd}"] }, adopt: { from: ".copilot/config.json", keys: [["loggedInUsers"], ["lastLoggedInUser"], ["copilotTokens"], ["authTokens"]] } },
    ],
    unaskedModes: ["https://agentclientprotocol.com/protocol/session-modes#autopilot"],
    unaskedOptions: { allow_all: ["on", true] },
    memoryMb: 280,
    projectFiles: [
      ".github/copilot/settings.json", ".github/copilot/settings.local.json", ".github/hooks", ".github/extensions", ".github/mcp.json", ".github/lsp.json", ".github/agents", ".mcp.json", ".vscode/mcp.json",
      ".claude/settings.json", ".claude/settings.local.json",
    ],
    keepsLoginElsewhere: true,
    loginHint: "set COPILOT_GITHUB_TOKEN or GH_TOKEN, or log in once with `copilot` and /login",
    install: ["npm install -g @github/copilot"],
  }),
  known({
    id: "cursor",
    title: "Cursor CLI",
    command: "cursor-agent",
    args: ["acp"],
    envFrom: ["CURSOR_API_KEY"],
    hosts: ["*.cursor.sh", "*.cursor.com"],
    writes: [".cursor"],
    projectFiles: [".cursor/cli.json", ".cursor/hooks.json", ".cursor/mcp.json"],
    keepsLoginElsewhere: true,
    loginHint: "set CURSOR_API_KEY, or log in once with `cursor-agent login`",
    install: ["see https://cursor.com/cli (it is not on npm)"],
  }),
  known({
    id: "opencode",
    title: "OpenCode",
    command: "opencode",
    args: ["acp"],
    env: {
      OPENCODE_CONFIG_CONTENT: JSON.stringify({ permission: { edit: "ask", bash: "ask", webfetch: "ask" } }),
      OPENCODE_DISABLE_AUTOUPDATE: "1",
      OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
    },
    envFrom: ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"],
    proxyEnv: {
      OPENCODE_CONFIG_CONTENT: JSON.stringify({
        permission: { edit: "ask", bash: "ask", webfetch: "ask" },
        // Without this it would choose a model of its makers' own service.
        enabled_providers: ["anthropic", "openai", "google"],
        provider: {
          anthropic: { options: { baseURL: "{proxy}/anthropic/v1", apiKey: "{token}", timeout: Number(PATIENCE_MS) } },
          openai: { options: { baseURL: "{proxy}/openai/v1", apiKey: "{token}", timeout: Number(PATIENCE_MS) } },
          google: { options: { baseURL: "{proxy}/google/v1beta", apiKey: "{token}", timeout: Number(PATIENCE_MS) } },
        },
      }),
    },
    // The second is where it looks for `.opencode` besides; its database holds what was approved for good.
    configDirs: { XDG_CONFIG_HOME: "config", OPENCODE_TEST_HOME: "home" },
    configFiles: { OPENCODE_DB: "opencode/opencode.db" },
    hosts: ["api.anthropic.com", "api.openai.com", "generativelanguage.googleapis.com", "openrouter.ai", "opencode.ai"],
    writes: [".local/share/opencode", ".local/state/opencode", ".cache/opencode"],
    modes: ["build", "plan"],
    quirks: { rejectionEndsTurn: true },
    memoryMb: 500,
    projectFiles: ["opencode.json", "opencode.jsonc", ".opencode"],
    loginFiles: [".local/share/opencode/auth.json"],
    loginHint: "set the key of your provider, e.g. ANTHROPIC_API_KEY, or log in once with `opencode auth login`",
    install: ["npm install -g opencode-ai"],
  }),
  known({
    id: "qwen",
    title: "Qwen Code",
    command: "qwen",
    args: ["--acp"],
    envFrom: ["OPENAI_API_KEY", "DASHSCOPE_API_KEY"],
    unaskedModes: ["auto-edit", "autoEdit", "yolo"],
    quirks: { advertiseFsRead: false },
    memoryMb: 360,
    projectFiles: [".qwen/settings.json", ".qwen/.env", ".qwen/extensions"],
    loginFiles: [".qwen/oauth_creds.json"],
    loginHint: "set OPENAI_API_KEY or DASHSCOPE_API_KEY, or log in once with `qwen`",
    install: ["npm install -g @qwen-code/qwen-code"],
  }),
  known({
    id: "kimi",
    title: "Kimi CLI",
    command: "kimi",
    args: ["acp"],
    envFrom: ["KIMI_API_KEY", "MOONSHOT_API_KEY"],
    projectFiles: [".kimi", ".mcp.json"],
    loginFiles: [".kimi/config.toml", ".kimi/config.json"],
    loginHint: "set KIMI_API_KEY, or log in once with `kimi` and /setup",
    install: ["uv tool install kimi-cli"],
  }),
  known({
    id: "goose",
    title: "goose",
    command: "goose",
    args: ["acp"],
    env: { GOOSE_MODE: "approve" },
    envFrom: ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GOOGLE_API_KEY", "OPENROUTER_API_KEY"],
    unaskedModes: ["auto"],
    memoryMb: 150,
    projectFiles: [".goose"],
    keepsLoginElsewhere: true,
    loginHint: "set the key of your provider, or run `goose configure` once",
    install: ["see https://github.com/block/goose (a release, or brew install block-goose-cli)"],
  }),
  known({
    id: "droid",
    title: "Factory Droid",
    command: "droid",
    args: ["exec", "--output-format", "acp"],
    envFrom: ["FACTORY_API_KEY"],
    projectFiles: [".factory"],
    keepsLoginElsewhere: true,
    loginHint: "set FACTORY_API_KEY, or log in once with `droid`",
    install: ["see https://docs.factory.ai"],
  }),
  known({
    id: "kiro",
    title: "Kiro CLI",
    command: "kiro-cli",
    args: ["acp"],
    projectFiles: [".kiro"],
    loginHint: "log in once with `kiro-cli login`",
    install: ["see https://kiro.dev/cli"],
  }),
  known({
    id: "kilocode",
    title: "Kilo Code",
    command: "kilocode",
    args: ["acp"],
    envFrom: ["KILOCODE_TOKEN"],
    projectFiles: [".kilocode", "opencode.json"],
    keepsLoginElsewhere: true,
    loginHint: "log in once with `kilocode`",
    install: ["npm install -g @kilocode/cli"],
  }),
  known({
    id: "auggie",
    title: "Auggie",
    command: "auggie",
    args: ["--acp"],
    envFrom: ["AUGMENT_SESSION_AUTH"],
    projectFiles: [".augment"],
    loginFiles: [".augment/session.json"],
    loginHint: "set AUGMENT_SESSION_AUTH, or log in once with `auggie login`",
    install: ["npm install -g @augmentcode/auggie"],
  }),
];
