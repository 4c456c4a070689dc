/**
 * A harness: a coding agent of somebody else that runs as a process of its own and speaks ACP.
 *
 * A harness session is the process that works for one session of kind `acp`:
 *
 *     starting ──initialize, new or load──▶ ready ◀──prompt──▶ running
 *        │                                    │                   │
 *        └──cannot start──▶ lost ◀────────────┴──process died─────┤
 *                            │                                    │
 *                            └──next turn──▶ starting             └──close, idle too long──▶ closed ──next turn──▶ starting
 *
 * The session key is `agent:<harness id>:acp:<id>`: the agent of an acp session is its harness.
 */
import type { SessionKey, TurnId } from "../base/ids.ts";
import type { JsonObject } from "../base/json.ts";

/** How one harness differs from what the protocol says; what is absent is as the protocol says. */
export interface HarnessQuirks {
  /** False: a harness that fails on files that are not there yet when it may read through the client. */
  readonly advertiseFsRead?: boolean;
  readonly advertiseFsWrite?: boolean;
  /** A session cannot be loaded in the minute it was made in. */
  readonly loadOnlyAfterMinute?: boolean;
  /** A rejected permission ends the turn as cancelled, although nobody cancelled it. */
  readonly rejectionEndsTurn?: boolean;
  /** It puts the commands that it runs into a sandbox of its own, which does not work inside of another. */
  readonly ownSandbox?: boolean;
  /** Where an update says that the turn has failed although it will end as if it were done, and what stands there then. */
  readonly failureAt?: { readonly path: readonly string[]; readonly value: string };
}

/** A tool of a harness that only reads: which argument is the path, and which others it may have. */
export interface ReadingTool {
  /** Names of arguments that hold a path; at least one must be given, and every given one must lie in the workspace. */
  readonly paths: readonly string[];
  /** Other arguments that change nothing. A call with any argument besides these is not a plain read. */
  readonly others: readonly string[];
}

/** A file of settings that is written into a session's own folder at each start; `"{cwd}"` stands for the folder that it works in. */
export interface SettingsOfHarness {
  /** Inside the session's own folder. */
  readonly path: string;
  readonly always: JsonObject;
  /** What is said besides where the folder that it works in is trusted, and where it is not. */
  readonly trusted?: JsonObject;
  readonly untrusted?: JsonObject;
  /** Values of the person's own file that a login needs; nothing else of it is read. */
  readonly adopt?: { readonly from: string; readonly keys: readonly (readonly string[])[] };
  /** What stands there when nothing was adopted and this variable is set for it; the first that is. */
  readonly byVariable?: Readonly<Record<string, JsonObject>>;
}

export interface HarnessSpec {
  /** The name in `agent:<id>:acp:…` and in `sessions_spawn {agent}`. */
  readonly id: string;
  readonly title: string;
  /** A program on PATH, or an absolute path. */
  readonly command: string;
  readonly args: readonly string[];
  /** Set in its environment as it stands. */
  readonly env: Readonly<Record<string, string>>;
  /** Names that are handed on from the gateway's own environment when set there: its credentials, nothing else. Not when it is proxied. */
  readonly envFrom: readonly string[];
  /**
   * Its model calls go through the gateway's proxy: in the values of `env`, `{proxy}` is the proxy's address
   * and `{token}` a token of the session's own.
   */
  readonly proxied: boolean;
  /** What it needs in its environment for that. */
  readonly proxyEnv: Readonly<Record<string, string>>;
  /** Variables that name its folder of configuration, with the folder's name inside the one of its own that each session gets. */
  readonly configDirs: Readonly<Record<string, string>>;
  /** The same for single files; it makes them itself. */
  readonly configFiles: Readonly<Record<string, string>>;
  readonly settingsFiles: readonly SettingsOfHarness[];
  /** Files in the session's own folder that are links to logins of the person, by their place below the home folder. */
  readonly logins: Readonly<Record<string, string>>;
  /** The default folder of a session without one; null = the workspace. */
  readonly cwd: string | null;
  /** Session modes it is known to have, and the one it is put in at its start; null = its own default. */
  readonly modes: readonly string[];
  readonly mode: string | null;
  /** Modes in which it acts without asking; refused unless everything is approved anyway. */
  readonly unaskedModes: readonly string[];
  /** The same for options: the values with which it acts without asking. */
  readonly unaskedOptions: Readonly<Record<string, readonly (string | boolean)[]>>;
  readonly quirks: HarnessQuirks;
  /** Where a tool call carries the tool's own name, e.g. ["_meta", "claudeCode", "toolName"]; never its title. Null: nowhere. */
  readonly toolNameAt: readonly string[] | null;
  /** Its tools that only read, by that name. */
  readonly readingTools: Readonly<Record<string, ReadingTool>>;
  /** What one session of it takes, megabytes of proportional memory. */
  readonly memoryMb: number;
  /** Hosts that it cannot work without, and folders below the home folder that it writes to: what a sandbox lets through. */
  readonly hosts: readonly string[];
  readonly writes: readonly string[];
  /** Files or folders in a workspace that make it run commands or change its settings by themselves. */
  readonly projectFiles: readonly string[];
  /** What a login of its own leaves behind below the home folder, where every session finds it. */
  readonly loginFiles: readonly string[];
  /** Its login may also be where nobody can look, e.g. in a keychain. */
  readonly keepsLoginElsewhere: boolean;
  readonly loginHint: string;
  readonly install: readonly string[];
}

/** Harnesses that can be named: the known ones and `acp.agents.*`. */
export interface HarnessCatalogue {
  find(id: string): HarnessSpec | null;
  list(): readonly HarnessSpec[];
}

export const SANDBOX_MODES = ["off", "auto", "required"] as const;
export type SandboxMode = (typeof SANDBOX_MODES)[number];

/** Whether harnesses can be put into a sandbox here; known once it was tried. */
export type SandboxState = { readonly at: "untried" } | { readonly at: "works" } | { readonly at: "broken"; readonly why: string };

export const HARNESS_STATES = ["starting", "ready", "running", "closed", "lost"] as const;
export type HarnessState = (typeof HARNESS_STATES)[number];

export interface HarnessUsage {
  /** Tokens of the context that are used, and its size; null when the harness does not say. */
  readonly used: number | null;
  readonly size: number | null;
  readonly costMicros: number;
}

export interface HarnessOption {
  readonly id: string;
  readonly name: string;
  readonly category: string | null;
  readonly current: string | boolean | null;
  readonly values: readonly string[];
}

export interface HarnessSessionView {
  readonly key: SessionKey;
  readonly harness: string;
  readonly state: HarnessState;
  readonly pid: number | null;
  /** Processes of its spares: turns work in them beside the one that it is at. */
  readonly pidsBeside: readonly number[];
  readonly cwd: string;
  readonly mode: string | null;
  readonly modes: readonly string[];
  readonly model: string | null;
  readonly models: readonly string[];
  readonly options: readonly HarnessOption[];
  /** Slash commands of the harness itself. */
  readonly commands: readonly string[];
  readonly usage: HarnessUsage;
  readonly lastAt: number;
  /** How the next start goes on: by the harness's own memory, or with a summary from our log. */
  readonly resumable: "load" | "resume" | "summary";
  /** Why it is lost. */
  readonly problem: string | null;
}

/** How much of a conversation a harness's own memory holds: all up to an entry (null = all there is), and of what came later these turns, which it did itself. */
export interface HarnessKnowledge {
  readonly upTo: number | null;
  readonly turns: readonly TurnId[];
}

/** What is kept of a harness session on disk. */
export interface HarnessRecord {
  readonly session: SessionKey;
  readonly harness: string;
  /** The harness's own id of it. */
  readonly acpId: string;
  readonly cwd: string;
  /** The mode that a person set; null = the one of its description. */
  readonly mode: string | null;
  readonly resumable: HarnessSessionView["resumable"];
  readonly createdAt: number;
  readonly lastAt: number;
  readonly known: HarnessKnowledge;
}

/** The session tools, as one harness is lent them while its process lives. */
export interface LentTools {
  /** Where they are served over HTTP, and what opens that for this session alone. */
  readonly url: string;
  readonly token: string;
  /** The same over standard streams, for a harness that speaks no HTTP. */
  readonly program: { readonly command: string; readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> };
  /** Takes them back. Never rejects. */
  end(): Promise<void>;
}

/** The name of the session tools' server, as harnesses know it. */
export const LENT_TOOLS_NAME = "yardmaster";

/** A start that waits because the machine has not enough memory. */
export interface HarnessWait {
  readonly key: SessionKey;
  readonly harness: string;
  readonly needsMb: number;
  readonly availableMb: number;
  readonly waitedMs: number;
}

export const PERMISSION_MODES = ["deny-all", "approve-reads", "approve-all"] as const;
export type PermissionMode = (typeof PERMISSION_MODES)[number];

export const PERMISSION_KINDS = ["allow_once", "allow_always", "reject_once", "reject_always"] as const;
export type PermissionKind = (typeof PERMISSION_KINDS)[number];

/** Something a harness wants to do and may not do by itself. */
export interface PermissionAsk {
  /** Unique: the same request is asked once. */
  readonly id: string;
  readonly session: SessionKey;
  readonly turnId: TurnId;
  readonly harness: string;
  /** The tool's own name when it is known, else the harness's word for it. */
  readonly tool: string;
  /** One line for a person; words of the harness, not to be trusted. */
  readonly what: string;
  readonly path?: string;
  /** The exact arguments; an "always" holds for these, this tool and this folder only. */
  readonly input: JsonObject;
  readonly cwd: string;
  /** Which kinds of answer the harness offers. */
  readonly options: readonly PermissionKind[];
  /** Wall time, milliseconds; without an answer by then it is denied. */
  readonly expiresAt: number;
}

export type PermissionAnswer =
  | { readonly answer: "allow"; readonly by: string }
  | { readonly answer: "deny"; readonly by: string; readonly reason: string }
  /** The turn ended before anybody answered. */
  | { readonly answer: "cancelled" };

/** Who decides what the ceiling leaves open. */
export interface ApprovalPort {
  /**
   * Resolves exactly once and never rejects: `deny` at `expiresAt`, `cancelled` when the signal aborts.
   * "Always" is remembered behind this port: the harness is only ever told `allow_once`.
   */
  ask(ask: PermissionAsk, signal: AbortSignal): Promise<PermissionAnswer>;
}

/** Stands in where nobody can be asked. */
export const DENY_EVERYTHING: ApprovalPort = {
  ask: async () => ({ answer: "deny", by: "the gateway", reason: "nobody is here to approve it" }),
};

/** The harness sessions of this gateway, as commands and the API see them. */
export interface Harnesses {
  list(): Promise<readonly HarnessSessionView[]>;
  /** Null: no harness ever worked for this session. */
  status(session: SessionKey): Promise<HarnessSessionView | null>;
  /** Starts the process, or waits for the start under way. @throws {Fault} ACP_SESSION_INIT_FAILED, ACP_BACKEND_MISSING. */
  ensure(session: SessionKey, signal?: AbortSignal): Promise<HarnessSessionView>;
  /** Ends the process with everything it started; the session goes on with its next message. False: nothing ran. */
  close(session: SessionKey): Promise<boolean>;
  closeAll(): Promise<void>;
  setMode(session: SessionKey, mode: string): Promise<HarnessSessionView>;
  setModel(session: SessionKey, model: string): Promise<HarnessSessionView>;
  setOption(session: SessionKey, option: string, value: string | boolean): Promise<HarnessSessionView>;
  /** Starts that wait for memory, for the lanes view. */
  waiting(): readonly HarnessWait[];
}
