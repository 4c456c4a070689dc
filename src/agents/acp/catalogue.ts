/** Harnesses that can be named: the known ones, changed or joined by those of `acp.agents`. */
import type { Settings } from "../../base/setting.ts";
import type { HarnessCatalogue, HarnessSpec } from "../../model/harness.ts";
import { KNOWN_HARNESSES } from "./known-harnesses.ts";
import { acpAgents, type CustomHarness } from "./settings.ts";

/** What a harness that nobody measured is taken to need, megabytes. */
const MEMORY_MB = 300;

/** @param locate  a program that is not on PATH, e.g. one that npx has fetched. */
export function makeCatalogue(settings: Settings, locate: (command: string) => string | null = () => null): HarnessCatalogue {
  const list = (): HarnessSpec[] => {
    const custom = new Map(Object.entries(settings.get(acpAgents)));
    const known = KNOWN_HARNESSES.map((spec) => specOf(spec.id, custom.get(spec.id) ?? {}, spec));
    const others = [...custom].filter(([id, { command }]) => command !== undefined && !KNOWN_HARNESSES.some((spec) => spec.id === id));
    return [...known, ...others.map(([id, entry]) => specOf(id, entry, UNKNOWN))];
  };
  return {
    list,
    find(id) {
      const spec = list().find((one) => one.id === id);
      return spec === undefined ? null : { ...spec, command: locate(spec.command) ?? spec.command };
    },
  };
}

const UNKNOWN: Omit<HarnessSpec, "id" | "title" | "command"> = {
  args: [], env: {}, envFrom: [], proxied: false, proxyEnv: {}, configDirs: {}, configFiles: {}, settingsFiles: [], logins: {}, cwd: null, modes: [], unaskedModes: [], unaskedOptions: {}, mode: null, quirks: {}, toolNameAt: null, readingTools: {}, memoryMb: MEMORY_MB, hosts: [], writes: [], projectFiles: [], loginFiles: [], keepsLoginElsewhere: false, loginHint: "", install: [],
};

function specOf(id: string, { env, envFrom, proxy = false, hosts, writes, ...changes }: CustomHarness, base: Omit<HarnessSpec, "id" | "title" | "command"> & Partial<HarnessSpec>): HarnessSpec {
  return { id, title: id, command: id, ...base, ...changes, proxied: proxy, hosts: [...base.hosts, ...(hosts ?? [])], writes: [...base.writes, ...(writes ?? [])], env: { ...base.env, ...(proxy ? base.proxyEnv : {}), ...env }, envFrom: [...base.envFrom, ...(envFrom ?? [])] };
}
