/** Settings of tools: what agents may use, and how much of it. */
import { listOf, text, wholeNumber, yesNo, type Setting } from "../base/setting.ts";

export const execEnabled: Setting<boolean> = {
  key: "tools.exec.enabled",
  unit: "yes/no",
  fallback: true,
  ...yesNo(),
  takesEffect: "next turn",
  doc: "Whether agents may run commands. Commands run as the user that runs the gateway and can reach what that user can reach.",
};

export const execTimeoutSeconds: Setting<number> = {
  key: "tools.exec.timeoutSeconds",
  unit: "s",
  fallback: 120,
  ...wholeNumber({ min: 1, max: 3600 }),
  takesEffect: "at once",
  doc: "How long a command may run when its call names no limit. Then it is ended with everything it started.",
};

export const execOutputMaxBytes: Setting<number> = {
  key: "tools.exec.outputMaxBytes",
  unit: "bytes",
  fallback: 262_144,
  ...wholeNumber({ min: 1024, max: 16_777_216 }),
  takesEffect: "at once",
  doc: "How much of a command's output is kept: half from its beginning, half from its end.",
};

export const webEnabled: Setting<boolean> = {
  key: "tools.web.enabled",
  unit: "yes/no",
  fallback: true,
  ...yesNo(),
  takesEffect: "next turn",
  doc: "Whether agents may fetch web pages.",
};

export const webAllowPrivate: Setting<readonly string[]> = {
  key: "tools.web.allowPrivate",
  unit: "list",
  fallback: [],
  ...listOf(text({ max: 300, pattern: /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+):\d{1,5}$/, what: "host:port in lower case, e.g. localhost:3000" }), { max: 100 }),
  takesEffect: "at once",
  doc: "Hosts in private networks that agents may fetch from all the same, each as host:port, exactly as it stands in the address.",
};

export const denied: Setting<readonly string[]> = {
  key: "tools.deny",
  unit: "list",
  fallback: [],
  ...listOf(text({ max: 100 }), { max: 200 }),
  takesEffect: "next turn",
  doc: "Names of tools that no agent is offered, e.g. [\"exec\", \"write\"].",
};

export const SETTINGS: readonly Setting<unknown>[] = [execEnabled, execTimeoutSeconds, execOutputMaxBytes, webEnabled, webAllowPrivate, denied] as readonly Setting<unknown>[];
