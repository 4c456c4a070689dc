/**
 * The doctor of harnesses: which are here, which logins they lack, and what to do.
 *
 * It looks at files and at the names of variables. It starts no harness, sends no prompt and says no
 * credential; so what it cannot see it calls unknown.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Settings } from "../../base/setting.ts";
import type { HarnessCatalogue, Harnesses, HarnessSpec } from "../../model/harness.ts";
import type { HarnessFinding, HarnessReport } from "../../model/harness-report.ts";
import { packageVersionOf, type Programs } from "./programs.ts";
import { acpAgents, acpEnabled, allowUnsandboxed, memoryReserveMb, permissionMode } from "./settings.ts";

export interface DoctorDeps {
  readonly catalogue: HarnessCatalogue;
  readonly harnesses: Pick<Harnesses, "waiting">;
  readonly programs: Programs;
  readonly settings: Settings;
  /** One variable of the gateway's environment, asked for by its name. */
  readonly credential: (name: string) => string | undefined;
  readonly home: string | undefined;
  readonly availableMb: () => number;
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
  if (mode === "approve-all" && !settings.get(allowUnsandboxed)) {
    problems.push({ code: "ACP_UNSANDBOXED", text: "approve-all acts as approve-reads, for coding agents run without a sandbox", steps: ["yard config set acp.allowUnsandboxed true, if you want that"] });
  }
  return { healthy: settings.get(acpEnabled) && usable.length > 0, problems, agents, permissionMode: mode, sandbox: sandboxOf(deps.programs), memory };
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

/** Whether one could be had; harnesses are not put into it. */
function sandboxOf(programs: Programs): HarnessReport["sandbox"] {
  const bubblewrap = programs.find("bwrap");
  if (bubblewrap === null) return { available: false, text: "none: bubblewrap (bwrap) is not on this machine, so coding agents run with all rights of the gateway's user" };
  if (readFlag("/proc/sys/kernel/unprivileged_userns_clone") === "0") return { available: false, text: `none: ${bubblewrap} is there, but this kernel lets nobody make the namespaces that it needs` };
  return { available: true, text: `${bubblewrap} is there for coding agents that use it by themselves; the gateway puts none into it` };
}

function readFlag(file: string): string | null {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return null;
  }
}
