/** Harnesses that can be named: the known ones, changed or joined by those of `acp.agents`. */
import type { Settings } from "../../base/setting.ts";
import type { HarnessCatalogue, HarnessSpec } from "../../model/harness.ts";
import { KNOWN_HARNESSES } from "./known-harnesses.ts";
import { acpAgents, type CustomHarness } from "./settings.ts";

/** What a harness that nobody measured is taken to need, megabytes. */
const MEMORY_MB = 300;

export function makeCatalogue(settings: Settings): HarnessCatalogue {
  const list = (): HarnessSpec[] => {
    const custom = new Map(Object.entries(settings.get(acpAgents)));
    const known = KNOWN_HARNESSES.map((spec) => specOf(spec.id, custom.get(spec.id) ?? {}, spec));
    const others = [...custom].filter(([id, { command }]) => command !== undefined && !KNOWN_HARNESSES.some((spec) => spec.id === id));
    return [...known, ...others.map(([id, entry]) => specOf(id, entry, UNKNOWN))];
  };
  return { list, find: (id) => list().find((spec) => spec.id === id) ?? null };
}

const UNKNOWN: Omit<HarnessSpec, "id" | "title" | "command"> = {
  args: [], env: {}, envFrom: [], configDirs: {}, cwd: null, modes: [], unaskedModes: [], mode: null, quirks: {}, toolNameAt: null, readingTools: {}, memoryMb: MEMORY_MB, projectFiles: [], loginHint: "", install: [],
};

function specOf(id: string, { env, envFrom, ...changes }: CustomHarness, base: Omit<HarnessSpec, "id" | "title" | "command"> & Partial<HarnessSpec>): HarnessSpec {
  return { id, title: id, command: id, ...base, ...changes, env: { ...base.env, ...env }, envFrom: [...base.envFrom, ...(envFrom ?? [])] };
}
