/**
 * The doctor of harnesses: which are here, which logins they lack, and what to do.
 *
 * It looks at files and at the names of variables. It starts no harness, sends no prompt and says no
 * credential; so what it cannot see it calls unknown.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Settings } from "../../base/setting.ts";
import type { HarnessCatalogue, Harnesses, HarnessSpec, SandboxMode, SandboxState } from "../../model/harness.ts";
import type { HarnessFinding, HarnessReport } from "../../model/harness-report.ts";
import { packageVersionOf, type Programs } from "./programs.ts";
import { acpAgents, acpEnabled, allowUnsandboxed, memoryReserveMb, permissionMode, sandboxMode } from "./settings.ts";

export interface DoctorDeps {
  readonly catalogue: HarnessCatalogue;
  readonly harnesses: Pick<Harnesses, "waiting">;
  readonly programs: Programs;
  readonly settings: Settings;
  /** One variable of the gateway's environment, asked for by its name. */
  readonly credential: (name: string) => string | undefined;
  readonly home: string | undefined;
  readonly availableMb: () => number;
  readonly sandbox: SandboxState;
}

export function examineHarnesses(deps: DoctorDeps): HarnessReport {
  const { settings, catalogue, harnesses } = deps;
  const agents = catalogue.list().map((spec) => findingOf(spec, deps));
  const here = agents.filter(({ program }) => program !== null);
  const usable = here.filter(({ login }) => login !== "missing");
  const memory = { availableMb: Math.round(deps.availableMb()), reserveMb: settings.get(memoryReserveMb), waiting: harnesses.waiting() };
  const mode = settings.get(permissionMode);
  const problems: HarnessReport["problems"][number][] = [];

  if (!settings.get(acpEnabled)) problems.push({ code: "ACP_DISABLED", text: "coding agents are switched off", steps: ["yard config set acp.enabled true"] });
  if (here.length === 0) problems.push({ code: "ACP_BACKEND_MISSING", text: "no coding agent is on this machine; install at least one", steps: stepsToInstall(agents, deps.programs) });
  for (const { agent, loginText } of here.filter(({ login }) => login === "missing")) {
    problems.push({ code: "ACP_LOGIN_MISSING", text: `${agent} is here and has no login`, steps: [`${loginText}, where the gateway is started`] });
  }
  const tooBig = usable.filter(({ memoryMb }) => memory.availableMb - memory.reserveMb < memoryMb);
  if (tooBig.length > 0) {
    problems.push({ code: "ACP_NO_MEMORY", text: `${memory.availableMb} MB are free; ${tooBig.map(({ agent, memoryMb }) => `${agent} needs ${memoryMb}`).join(", ")}, and ${memory.reserveMb} are kept back`, steps: ["a start waits for memory; close something, or lower acp.memoryReserveMb"] });
  }
  const isSandboxed = settings.get(sandboxMode) !== "off" && deps.sandbox.at === "works";
  if (mode === "approve-all" && !isSandboxed && !settings.get(allowUnsandboxed)) {
    problems.push({ code: "ACP_UNSANDBOXED", text: "approve-all acts as approve-reads, for coding agents run without a sandbox", steps: ["yard config set acp.sandbox auto, where one works", "or yard config set acp.allowUnsandboxed true, if you want that"] });
  }
  if (settings.get(sandboxMode) === "required" && deps.sandbox.at === "broken") problems.unshift({ code: "ACP_SANDBOX_MISSING", text: `acp.sandbox is required, and there is none: ${deps.sandbox.why}`, steps: [process.platform === "linux" ? "apt install bubblewrap socat ripgrep" : "see docs/guides/harnesses.md"] });
  return { healthy: settings.get(acpEnabled) && usable.length > 0 && !problems.some(({ code }) => code === "ACP_SANDBOX_MISSING"), problems, agents, permissionMode: mode, sandbox: sandboxOf(deps.programs, deps.sandbox, settings.get(sandboxMode)), memory };
}

function findingOf(spec: HarnessSpec, { programs, credential, home, settings }: DoctorDeps): HarnessFinding {
  const program = programs.find(spec.command);
  const variable = [...spec.envFrom.filter((name) => (credential(name) ?? "") !== ""), ...Object.keys(spec.env).filter((name) => /(_KEY|_TOKEN|_AUTH)$/.test(name))][0];
  const file = home === undefined ? undefined : spec.loginFiles.find((name) => existsSync(join(home, name)));
  const found = variable ?? file;
  const login = found !== undefined ? "found" : spec.envFrom.length === 0 || spec.keepsLoginElsewhere ? "unknown" : "missing";
  return {
    agent: spec.id,
    title: spec.title,
    command: [spec.command, ...spec.args].join(" "),
    program,
    version: program === null ? null : packageVersionOf(program),
    login,
    loginText: found ?? spec.loginHint,
    memoryMb: spec.memoryMb,
    modes: spec.modes,
    install: spec.install,
    isCustom: Object.hasOwn(settings.get(acpAgents), spec.id),
  };
}

function stepsToInstall(agents: readonly HarnessFinding[], programs: Programs): readonly string[] {
  const npm = programs.find("npm") === null ? ["npm is not on this machine: install Node 24 first (https://nodejs.org)"] : [];
  return [...npm, ...agents.filter(({ install }) => install.length > 0).map(({ agent, install }) => `${agent}: ${install.join("; ")}`), "or name a command of your own in acp.agents"];
}

/** What trying it said; before that, whether what it is made of is here. */
function sandboxOf(programs: Programs, state: SandboxState, mode: SandboxMode): HarnessReport["sandbox"] {
  const use = mode === "off" ? "not used (acp.sandbox is off)" : `acp.sandbox is ${mode}`;
  if (state.at === "works") return { available: true, text: `works: a canary could not get out of it; ${use}` };
  if (state.at === "broken") return { available: false, text: `none: ${state.why}${missingParts(programs)}; ${use}` };
  const bubblewrap = programs.find("bwrap");
  if (bubblewrap === null) return { available: false, text: "none: bubblewrap (bwrap) is not on this machine, so coding agents run with all rights of the gateway's user" };
  if (readFlag("/proc/sys/kernel/unprivileged_userns_clone") === "0") return { available: false, text: `none: ${bubblewrap} is there, but this kernel lets nobody make the namespaces that it needs` };
  return { available: true, text: `not tried yet; ${use}` };
}

/** What the sandbox is made of on Linux, as far as it is not here. */
function missingParts(programs: Programs): string {
  const missing = process.platform === "linux" ? ["bwrap", "socat", "rg"].filter((name) => programs.find(name) === null) : [];
  return missing.length === 0 ? "" : ` (not on this machine: ${missing.join(", ")}; e.g. apt install bubblewrap socat ripgrep)`;
}

function readFlag(file: string): string | null {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return null;
  }
}
