/** Settings of harnesses: which there are, what they may do, how long they are waited for. */
import { BadValue, listOf, mapOf, oneOf, text, wholeNumber, yesNo, type Setting } from "../../base/setting.ts";
import { PERMISSION_MODES, SANDBOX_MODES, type PermissionMode, type SandboxMode } from "../../model/harness.ts";
import { isName } from "../../model/session.ts";

const PATH_LENGTH_MAX = 4096;
const ARGS_MAX = 100;
const AGENTS_MAX = 100;

export const acpEnabled: Setting<boolean> = {
  key: "acp.enabled",
  unit: "yes/no",
  fallback: true,
  ...yesNo(),
  takesEffect: "at once",
  doc: "Whether coding agents of others (harnesses) may be started.",
  aliases: ["plugins.entries.acpx.enabled"],
};

export const permissionMode: Setting<PermissionMode> = {
  key: "acp.permissionMode",
  unit: "choice",
  fallback: "approve-reads",
  ...oneOf(...PERMISSION_MODES),
  takesEffect: "at once",
  doc: "The most that a harness may do without being asked about: nothing, read inside its workspace, or everything. Nothing in a workspace or in a harness can raise it.",
  aliases: ["plugins.entries.acpx.config.permissionMode"],
};

export const allowUnsandboxed: Setting<boolean> = {
  key: "acp.allowUnsandboxed",
  unit: "yes/no",
  fallback: false,
  ...yesNo(),
  takesEffect: "at once",
  doc: "Whether approve-all may be used although the harness runs without a sandbox, with all rights of the user that runs the gateway. While this is false, approve-all acts as approve-reads.",
};

export const sandboxMode: Setting<SandboxMode> = {
  key: "acp.sandbox",
  unit: "choice",
  fallback: "off",
  ...oneOf(...SANDBOX_MODES),
  takesEffect: "next turn",
  doc: "Whether a harness is started in a sandbox: it writes only where it works, reads no credentials and reaches only the hosts that it needs. auto = where that works on this machine; required = else it is not started. A harness that runs keeps what it was started with.",
};

export const trustedWorkspaces: Setting<readonly string[]> = {
  key: "acp.trustedWorkspaces",
  unit: "list",
  fallback: [],
  ...listOf(text({ max: PATH_LENGTH_MAX, pattern: /^\//, what: "an absolute path" }), { max: 200 }),
  takesEffect: "next turn",
  doc: "Folders whose own settings, hooks and tool servers a harness may follow. In any other folder that has such files it is not started.",
};

export const sessionToolsLent: Setting<boolean> = {
  key: "acp.sessionTools",
  unit: "yes/no",
  fallback: true,
  ...yesNo(),
  takesEffect: "next turn",
  doc: "Whether a harness is given the session tools (spawn, wait, send, message, memory, claims, board), so that it can hand work to other agents below its own session.",
};

export const startTimeoutSeconds: Setting<number> = {
  key: "acp.startTimeoutSeconds",
  unit: "s",
  fallback: 120,
  ...wholeNumber({ min: 1, max: 3600 }),
  takesEffect: "at once",
  doc: "How long each step of a harness's start may take: its first answer, and a session new or loaded.",
};

export const approvalSeconds: Setting<number> = {
  key: "acp.approvalSeconds",
  unit: "s",
  fallback: 600,
  ...wholeNumber({ min: 1, max: 86_400 }),
  takesEffect: "at once",
  doc: "How long a request of a harness waits for somebody to approve it. Then it is denied.",
};

export const cancelGraceSeconds: Setting<number> = {
  key: "acp.cancelGraceSeconds",
  unit: "s",
  fallback: 5,
  ...wholeNumber({ min: 0, max: 60 }),
  takesEffect: "at once",
  doc: "How long a cancelled harness may take to stop by itself. Then its processes are ended.",
};

export const idleMinutes: Setting<number> = {
  key: "acp.idleMinutes",
  unit: "minutes",
  fallback: 15,
  ...wholeNumber({ min: 1, max: 10_080 }),
  takesEffect: "at once",
  doc: "How long a harness without work is kept running. Its next message starts it again where it was.",
};

export const memoryReserveMb: Setting<number> = {
  key: "acp.memoryReserveMb",
  unit: "count",
  fallback: 256,
  ...wholeNumber({ min: 0, max: 1_000_000 }),
  takesEffect: "at once",
  doc: "Megabytes of the machine's memory that are left free when a harness starts. A start waits until there is that and what the harness needs.",
};

export const memoryWaitSeconds: Setting<number> = {
  key: "acp.memoryWaitSeconds",
  unit: "s",
  fallback: 600,
  ...wholeNumber({ min: 0, max: 86_400 }),
  takesEffect: "at once",
  doc: "How long the start of a harness waits for memory before it fails.",
};

/** A harness as a person describes it: a command of their own, or changes to a known one. */
export interface CustomHarness {
  readonly command?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly envFrom?: readonly string[];
  /** Its model calls go through the gateway's proxy. */
  readonly proxy?: boolean;
  readonly cwd?: string;
  readonly mode?: string;
  readonly memoryMb?: number;
  readonly hosts?: readonly string[];
  readonly writes?: readonly string[];
}

const FIELDS: { readonly [Field in keyof CustomHarness]-?: (value: unknown) => CustomHarness[Field] } = {
  command: text({ max: PATH_LENGTH_MAX, pattern: /./ }).parse,
  args: listOf(text({ max: PATH_LENGTH_MAX }), { max: ARGS_MAX }).parse,
  env: mapOf(text({ max: 100_000 }), { max: ARGS_MAX }).parse,
  envFrom: listOf(text({ max: 200, pattern: /^[A-Za-z_][A-Za-z0-9_]*$/, what: "a name of a variable" }), { max: ARGS_MAX }).parse,
  proxy: yesNo().parse,
  cwd: text({ max: PATH_LENGTH_MAX, pattern: /^\//, what: "an absolute path" }).parse,
  mode: text({ max: 200 }).parse,
  memoryMb: wholeNumber({ min: 1, max: 1_000_000 }).parse,
  hosts: listOf(text({ max: 300, pattern: /^[A-Za-z0-9*.:[\]-]+$/, what: "a host, e.g. api.example.com or *.example.com:443" }), { max: ARGS_MAX }).parse,
  writes: listOf(text({ max: PATH_LENGTH_MAX, pattern: /^(?!\/)(?!.*\.\.)./, what: "a folder below the home folder" }), { max: ARGS_MAX }).parse,
};

export const acpAgents: Setting<Readonly<Record<string, CustomHarness>>> = {
  key: "acp.agents",
  unit: "map",
  fallback: {},
  bounds: `a map of at most ${AGENTS_MAX} names to {${Object.keys(FIELDS).join(", ")}}`,
  takesEffect: "next turn",
  doc: "Harnesses of your own, or changes to known ones, by name: {command, args, env, envFrom (names of variables to hand on), proxy, cwd, mode, memoryMb, and for the sandbox hosts and writes (folders below the home folder)}. With `proxy: true` its model calls go through the gateway's proxy, with a token of its session's own in the place of a key: limits, budgets and usage of the gateway hold for them. In `env`, `{proxy}` then stands for the proxy's address and `{token}` for that token; known harnesses are told by themselves.",
  aliases: ["plugins.entries.acpx.config.agents"],
  secret: true,
  parse(value) {
    const map = mapOf({ bounds: `{${Object.keys(FIELDS).join(", ")}}`, parse: (one) => one }, { max: AGENTS_MAX }).parse(value);
    return Object.fromEntries(Object.entries(map).map(([id, one]) => [id, parseHarness(id, one)]));
  },
};

function parseHarness(id: string, value: unknown): CustomHarness {
  if (!isName(id)) throw new BadValue(`a map whose names hold letters, digits and . _ @ + - only (not ${JSON.stringify(id)})`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new BadValue(acpAgents.bounds);
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => {
      if (!Object.hasOwn(FIELDS, name)) throw new BadValue(`a map whose ${id} has no field ${name} (known: ${Object.keys(FIELDS).join(", ")})`);
      try {
        return [name, FIELDS[name as keyof CustomHarness](one)];
      } catch (cause) {
        throw cause instanceof BadValue ? new BadValue(`a map whose ${id}.${name} is ${cause.expected}`) : cause;
      }
    }),
  );
}

export const SETTINGS = [
  acpEnabled, permissionMode, allowUnsandboxed, sandboxMode, trustedWorkspaces, sessionToolsLent, startTimeoutSeconds, approvalSeconds, cancelGraceSeconds, idleMinutes, memoryReserveMb, memoryWaitSeconds, acpAgents,
] as readonly Setting<unknown>[];
