/** What the doctor found out about harnesses, without starting any. */
import type { HarnessWait, PermissionMode } from "./harness.ts";

export interface HarnessFinding {
  readonly agent: string;
  readonly title: string;
  /** The whole command line. */
  readonly command: string;
  /** Where its program is; null = not on this machine. */
  readonly program: string | null;
  /** Of its npm package, when it is one. */
  readonly version: string | null;
  /** `unknown`: it has a login of its own that cannot be seen from here. */
  readonly login: "found" | "missing" | "unknown";
  /** The variable or file that was found, or what to do. */
  readonly loginText: string;
  readonly memoryMb: number;
  readonly modes: readonly string[];
  /** What to do to have it here. */
  readonly install: readonly string[];
  /** It stands in `acp.agents`. */
  readonly isCustom: boolean;
}

export type HarnessProblemCode = "ACP_DISABLED" | "ACP_BACKEND_MISSING" | "ACP_LOGIN_MISSING" | "ACP_NO_MEMORY" | "ACP_UNSANDBOXED" | "ACP_SANDBOX_MISSING";

export interface HarnessReport {
  /** At least one harness is here, may be started, and is not known to lack a login. */
  readonly healthy: boolean;
  /** The worst first. A healthy report may hold warnings. */
  readonly problems: readonly { readonly code: HarnessProblemCode; readonly text: string; readonly steps: readonly string[] }[];
  readonly agents: readonly HarnessFinding[];
  readonly permissionMode: PermissionMode;
  readonly sandbox: { readonly available: boolean; readonly text: string };
  readonly memory: { readonly availableMb: number; readonly reserveMb: number; readonly waiting: readonly HarnessWait[] };
}
