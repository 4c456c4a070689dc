/**
 * What a harness sees of the environment: a few harmless variables, what its description sets, the
 * credentials that its description names, and folders of configuration of its own.
 */
import { join } from "node:path";
import type { HarnessSpec } from "../../model/harness.ts";

const PASSED_ON: ReadonlySet<string> = new Set(["PATH", "HOME", "LANG", "TERM", "TZ", "TMPDIR", "USER", "SHELL"]);

export interface Surroundings {
  /** The gateway's own environment, without credentials. */
  readonly inherited: Readonly<Record<string, string>>;
  /** One variable of the gateway's environment, asked for by its name. */
  readonly credential: (name: string) => string | undefined;
}

/** @param folder  the session's own folder, for configuration. */
export function childEnvironment(spec: HarnessSpec, folder: string, { inherited, credential }: Surroundings): Record<string, string> {
  const passed = Object.entries(inherited).filter(([name]) => PASSED_ON.has(name) || /^LC_[A-Z]+$/.test(name));
  const keys = spec.envFrom.map((name) => [name, credential(name)] as const).filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
  const dirs = Object.entries(spec.configDirs).map(([name, dir]) => [name, join(folder, dir)]);
  return { PATH: "/usr/local/bin:/usr/bin:/bin", ...Object.fromEntries(passed), ...Object.fromEntries(keys), ...Object.fromEntries(dirs), ...spec.env };
}
