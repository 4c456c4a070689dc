/**
 * The folder of configuration that each harness session has of its own.
 *
 * Always true:
 *   - what stands there was written by us at this start, or by the harness since: neither the person's own settings, hooks,
 *     plugins and tool servers nor those of another session act in it
 *   - the person's login works in it: its file is a link, so that a token that is renewed is renewed for both; or it is
 *     a few named values that are taken over
 *   - a harness whose calls go through the proxy gets no login
 */
import { mkdir, mkdtemp, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { HarnessSpec, SettingsOfHarness } from "../../model/harness.ts";

/** A person's file of settings that is larger is not read, bytes. */
const ADOPTED_MAX_BYTES = 1_000_000;

export interface OwnFolder {
  /** The session's own. */
  readonly folder: string;
  readonly cwd: string;
  /** Whether the settings of the folder that it works in may act. */
  readonly isTrusted: boolean;
  /** What its process will see. */
  readonly env: Readonly<Record<string, string>>;
}

/** Makes the folder as it has to be for this start. */
export async function furnish(spec: HarnessSpec, { folder, cwd, isTrusted, env }: OwnFolder): Promise<void> {
  const folders = [...Object.values(spec.configDirs), ...Object.values(spec.configFiles).map(dirname)];
  for (const dir of ["", ...folders]) await mkdir(join(folder, dir), { recursive: true, mode: 0o700 });
  const home = spec.proxied ? undefined : env["HOME"];
  for (const [name, login] of Object.entries(spec.logins)) await link(join(folder, name), home === undefined ? null : join(home, login));
  for (const settings of spec.settingsFiles) {
    const written = merged({}, settings.always, isTrusted ? settings.trusted : settings.untrusted, await adopted(settings, env, home));
    const path = join(folder, settings.path);
    await put(path, (at) => writeFile(at, JSON.stringify(filled(written, cwd)), { mode: 0o600 }));
  }
}

/** A link to a login, or nothing where there is none. */
async function link(path: string, to: string | null): Promise<void> {
  const isThere = to !== null && (await stat(to).catch(() => null))?.isFile() === true;
  if (isThere) await put(path, (at) => symlink(to, at));
  else await rm(path, { force: true });
}

/** Puts something in the place of what is there, at once: another process of the same session may be reading it, or starting too. */
async function put(path: string, make: (at: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const beside = await mkdtemp(join(dirname(path), ".new-"));
  try {
    await make(join(beside, "it"));
    await rename(join(beside, "it"), path);
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}

/** What is taken over of the person's own file, else what a variable that is set stands for. */
async function adopted({ adopt, byVariable = {} }: SettingsOfHarness, env: OwnFolder["env"], home: string | undefined): Promise<JsonObject> {
  const theirs = adopt === undefined || home === undefined ? {} : await readSettings(join(home, adopt.from));
  const kept = (adopt?.keys ?? []).flatMap((key) => {
    const value = key.reduce<Json | undefined>((at, name) => (isJsonObject(at) && Object.hasOwn(at, name) ? at[name] : undefined), theirs);
    return value === undefined ? [] : [key.reduceRight<Json>((inner, name) => ({ [name]: inner }), value) as JsonObject];
  });
  return kept.length > 0 ? merged({}, ...kept) : (Object.entries(byVariable).find(([name]) => (env[name] ?? "") !== "")?.[1] ?? {});
}

/** Nothing where nobody can read it: then there is no login, and the harness says so. */
async function readSettings(path: string): Promise<JsonObject> {
  try {
    if ((await stat(path)).size > ADOPTED_MAX_BYTES) return {};
    const { default: json5 } = await import("json5");
    const value: unknown = json5.parse(await readFile(path, "utf8"));
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}

function merged(base: JsonObject, ...others: readonly (JsonObject | undefined)[]): JsonObject {
  return others.reduce<JsonObject>((all, other = {}) => {
    const next: Record<string, Json> = { ...all };
    for (const [key, value] of Object.entries(other)) {
      const before = next[key];
      next[key] = isJsonObject(value) && isJsonObject(before) ? merged(before, value) : value;
    }
    return next;
  }, base);
}

function filled(value: Json, cwd: string): Json {
  if (typeof value === "string") return value === "{cwd}" ? cwd : value;
  if (Array.isArray(value)) return value.map((one: Json) => filled(one, cwd));
  return isJsonObject(value) ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, filled(one, cwd)])) : value;
}
