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

/** Where a proxied harness calls models, and with what. */
export interface ProxyAccess {
  /** With its path, e.g. `http://127.0.0.1:9273/proxy`. */
  readonly address: string;
  readonly token: string;
}

/**
 * @param folder  the session's own folder, for configuration.
 * @param proxy  of a harness that is proxied: then no credential of the gateway's environment is handed on.
 */
export function childEnvironment(spec: HarnessSpec, folder: string, { inherited, credential }: Surroundings, proxy: ProxyAccess | null = null): Record<string, string> {
  const passed = Object.entries(inherited).filter(([name]) => PASSED_ON.has(name) || /^LC_[A-Z]+$/.test(name));
  const keys = (proxy === null ? spec.envFrom : []).map((name) => [name, credential(name)] as const).filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
  const dirs = Object.entries({ ...spec.configDirs, ...spec.configFiles }).map(([name, dir]) => [name, join(folder, dir)]);
  return { PATH: "/usr/local/bin:/usr/bin:/bin", ...Object.fromEntries(passed), ...Object.fromEntries(keys), ...Object.fromEntries(dirs), ...(proxy === null ? spec.env : filled(spec.env, proxy)) };
}

function filled(env: HarnessSpec["env"], { address, token }: ProxyAccess): Record<string, string> {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value.replaceAll("{proxy}", address).replaceAll("{token}", token)]));
}
