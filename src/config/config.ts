/**
 * Configuration as the program sees it: checked values from the person's file, over the fallbacks.
 *
 * Always true:
 *   - every value that `get` gives has passed its setting's parser
 *   - a change is written to the file before it counts, all of one `set` or nothing
 *   - the person's comments and layout survive a change
 *   - a file or change with a mistake in it changes nothing; the fault says where and what to do
 *
 * The file is read at the start, before each change and at `reload` (SIGHUP); it is not watched.
 * `YARD_PORT` stands over the file's gateway.port, `YARD_TOKEN` over the token file.
 */
import { isDeepStrictEqual } from "node:util";
import JSON5 from "json5";
import { assert } from "../base/assert.ts";
import { LOG_LEVELS, type LogLevel } from "../base/log.ts";
import { oneOf, type Setting, type Settings } from "../base/setting.ts";
import { Fault } from "../model/faults.ts";
import { ALL_SETTINGS } from "./all-settings.ts";
import { Catalogue, isPlainObject, isPoison, parseValue, type Written } from "./catalogue.ts";
import { KNOWN_HARNESSES } from "../agents/acp/known-harnesses.ts";
import { childEnvironmentOf, READABLE_NAMES, SECRET_NAMES, type Environment } from "./environment.ts";
import { EMPTY_JSON5, lineInJson5, setInJson5, unsetInJson5 } from "./json5-text.ts";
import { gatewayPort } from "./settings.ts";
import { configFileIn, givenTokenFileIn, openStateDir, readIfThere, readOrMakeToken, replaceToken, tokenFileIn, writeWhole } from "./state-dir.ts";

/** What stands in for a value that may hold a credential. */
export const SECRET_SHOWN = "[secret]";

const CONFIG_LENGTH_MAX = 1_000_000;
/** Readers of the text call themselves for each level. */
const CONFIG_DEPTH_MAX = 200;
/** Fields of settings that hold the name of a variable with a credential, not the credential. */
const NAMES_A_VARIABLE: readonly string[] = ["apiKeyEnv", "secretEnv", "envFrom"];
/** Fields inside a secret setting whose text is a credential itself. */
const CREDENTIAL_FIELD = /key|token|secret|password|authorization|cookie/i;

export interface ShownSetting {
  readonly key: string;
  /** `"[secret]"` when it may hold a credential and is set. */
  readonly value: unknown;
  readonly isSet: boolean;
  readonly setting: Setting<unknown>;
}

export interface Changed {
  readonly key: string;
  readonly value: unknown;
  readonly takesEffect: Setting<unknown>["takesEffect"];
}

export interface Config extends Settings {
  /** The state directory, absolute. */
  readonly home: string;
  readonly file: string;
  /** Holds the token while a gateway runs. */
  readonly tokenFile: string;
  /** From `YARD_LOG`; `info` without it. */
  readonly logLevel: LogLevel;
  /** Every setting in the order of keys, secrets masked. */
  all(): readonly ShownSetting[];
  /**
   * Writes changes by flat key and makes them count; null takes a setting back to its fallback.
   * A key may lead into a map: `models.providers.mock.baseUrl`.
   * @returns one entry per setting changed, secrets masked.
   * @throws {Fault} SETTING_UNKNOWN, SETTING_INVALID, CONFIG_SYNTAX (the file was broken meanwhile).
   */
  set(changes: Readonly<Record<string, unknown>>): Promise<readonly Changed[]>;
  unset(key: string): Promise<readonly Changed[]>;
  /** Reads file and token again, after somebody edited them. @throws {Fault} as `openConfig`; the old values then stand. */
  reload(): Promise<void>;
  token(): string;
  /** The token that the environment names; null = it names none. */
  readonly givenToken: string | null;
  /** @throws {Fault} WRONG_USE  the token comes from YARD_TOKEN. */
  rotateToken(): Promise<string>;
  /** A variable of the environment, if it is one that may be read or that a setting names in `apiKeyEnv` or `secretEnv`. */
  environment(name: string): string | undefined;
  /** What commands of agents inherit: no keys, no tokens. */
  childEnvironment(): Record<string, string>;
  /** Every credential known now, for the redactor. */
  secrets(): readonly string[];
}

/**
 * Opens the state directory, making it and its token at the first start, and reads the settings.
 * @throws {Fault} STATE_DIR_UNSAFE, CONFIG_SYNTAX, SETTING_UNKNOWN, SETTING_INVALID.
 */
export async function openConfig(options: { home: string; environment: Environment; settings?: readonly Setting<unknown>[] }): Promise<Config> {
  await openStateDir(options.home);
  const config = new FileConfig(options.home, options.environment, new Catalogue(options.settings ?? ALL_SETTINGS));
  await config.reload();
  return config;
}

class FileConfig implements Config {
  readonly home: string;
  readonly file: string;
  readonly tokenFile: string;
  readonly logLevel: LogLevel;
  readonly givenToken: string | null;
  readonly #environment: Environment;
  readonly #catalogue: Catalogue;
  readonly #overrides: ReadonlyMap<Setting<unknown>, unknown>;
  readonly #listeners = new Set<() => void>();
  #written: ReadonlyMap<Setting<unknown>, Written> = new Map();
  #token = "";
  /** Ends when the last change does: changes happen one after the other. */
  #lastChange: Promise<unknown> = Promise.resolve();

  constructor(home: string, environment: Environment, catalogue: Catalogue) {
    this.home = home;
    this.file = configFileIn(home);
    this.givenToken = tokenFrom(environment);
    this.tokenFile = this.givenToken === null ? tokenFileIn(home) : givenTokenFileIn(home);
    this.#environment = environment;
    this.#catalogue = catalogue;
    this.#overrides = overridesFrom(environment);
    this.logLevel = logLevelFrom(environment);
  }

  get<T>(setting: Setting<T>): T {
    if (this.#overrides.has(setting)) return this.#overrides.get(setting) as T;
    const written = this.#written.get(setting);
    assert(written !== undefined || this.#catalogue.settings.includes(setting), `the setting ${setting.key} is gathered in all-settings.ts`);
    return written === undefined ? setting.fallback : (written.value as T);
  }

  isSet(setting: Setting<unknown>): boolean {
    return this.#overrides.has(setting) || this.#written.has(setting);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  all(): readonly ShownSetting[] {
    return this.#catalogue.settings.map((setting) => ({ key: setting.key, value: this.#shown(setting), isSet: this.isSet(setting), setting }));
  }

  set(changes: Readonly<Record<string, unknown>>): Promise<readonly Changed[]> {
    return this.#inTurn(() => this.#change(changes));
  }

  unset(key: string): Promise<readonly Changed[]> {
    return this.set({ [key]: null });
  }

  reload(): Promise<void> {
    return this.#inTurn(async () => {
      const written = this.#read(await this.#readText());
      this.#token = tokenFrom(this.#environment) ?? (await readOrMakeToken(this.home));
      this.#take(written);
    });
  }

  token(): string {
    return this.#token;
  }

  async rotateToken(): Promise<string> {
    if (tokenFrom(this.#environment) !== null) throw new Fault("WRONG_USE", { problem: "the token comes from YARD_TOKEN; change it there" });
    this.#token = await replaceToken(this.home);
    this.#tell();
    return this.#token;
  }

  environment(name: string): string | undefined {
    const mayRead = READABLE_NAMES.includes(name) || this.#namesInSettings().includes(name);
    return mayRead ? this.#environment[name] : undefined;
  }

  childEnvironment(): Record<string, string> {
    return childEnvironmentOf(this.#environment);
  }

  secrets(): readonly string[] {
    const found = new Set([this.#token]);
    for (const name of [...SECRET_NAMES, ...this.#namesInSettings()]) found.add(this.#environment[name] ?? "");
    for (const { setting, raw } of this.#written.values()) {
      if (setting.secret !== true) continue;
      if (typeof raw === "string") found.add(raw);
      eachText(raw, (field, text) => {
        if (CREDENTIAL_FIELD.test(field) && !NAMES_A_VARIABLE.includes(field)) found.add(text);
      });
    }
    found.delete("");
    return [...found];
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────

  async #change(changes: Readonly<Record<string, unknown>>): Promise<readonly Changed[]> {
    const before = await this.#readText();
    const writtenBefore = this.#read(before);
    const expected = new Map([...writtenBefore].map(([setting, { raw }]) => [setting, raw]));
    let text = before;

    for (const [key, value] of Object.entries(changes)) {
      const found = this.#catalogue.find(key);
      if (found.is !== "setting" && found.is !== "part") this.#catalogue.refuse(key, "config");
      const { setting } = found;
      const inside = found.is === "part" ? namesInside(expected.get(setting), found.inside) : [];
      const poison = inside.find(isPoison);
      if (poison !== undefined) throw new Fault("SETTING_INVALID", { key: setting.key, expected: `without a key ${poison}`, got: key, where: "config" });
      if (value === SECRET_SHOWN) throw new Fault("SETTING_INVALID", { key, expected: "the value itself", got: "its mask", where: "config" });

      const stored = value === null || inside.length > 0 ? value : canonical(value, parseValue(setting, value, "config"));
      const raw = inside.length === 0 ? stored : stored === null ? withoutInside(expected.get(setting), inside) : replacedInside(expected.get(setting), inside, stored);
      const spelling = (writtenBefore.get(setting)?.spelling ?? setting.key).split(".");
      const reached = inside.slice(0, depthWritten(expected.get(setting), inside));
      const path = [...spelling, ...reached];
      text = stored === null ? unsetInJson5(text, [...spelling, ...inside]) : setInJson5(text, path, valueInside(raw, reached));
      if (raw === null || raw === undefined) expected.delete(setting);
      else expected.set(setting, raw);
    }

    const written = this.#read(text, () => "config");
    // The editor works on text; this is what makes sure that it never changes what it should not.
    for (const setting of this.#catalogue.settings) {
      assert(isDeepStrictEqual(written.get(setting)?.raw, expected.get(setting)), `editing ${this.file} changes what was asked for and nothing else (${setting.key})`);
    }
    if (text !== before) await writeWhole(this.file, text);
    this.#take(written);

    const settings = new Set(Object.keys(changes).map((key) => this.#settingOf(key)));
    return [...settings].map((setting) => ({ key: setting.key, value: this.#shown(setting), takesEffect: setting.takesEffect }));
  }

  #settingOf(key: string): Setting<unknown> {
    const found = this.#catalogue.find(key);
    assert(found.is === "setting" || found.is === "part", "a change that was written names a setting");
    return found.setting;
  }

  async #readText(): Promise<string> {
    const text = await readIfThere(this.file);
    return text === null || text.trim() === "" ? EMPTY_JSON5 : text;
  }

  #read(text: string, whereOf?: (key: string) => string): ReadonlyMap<Setting<unknown>, Written> {
    const document = this.#parse(text);
    const inFile = (key: string): string => {
      const line = lineInJson5(text, key.split("."));
      return line === null ? this.file : `${this.file}:${line}`;
    };
    return new Map(this.#catalogue.read(document, whereOf ?? inFile).map((written) => [written.setting, written]));
  }

  #parse(text: string): unknown {
    const broken = (line: number, column: number, problem: string, cause?: unknown) => new Fault("CONFIG_SYNTAX", { file: this.file, line, column, problem }, { cause });
    if (text.length > CONFIG_LENGTH_MAX) throw broken(1, 1, `the file is longer than ${CONFIG_LENGTH_MAX} characters`);
    let document: unknown;
    try {
      document = JSON5.parse(text);
    } catch (cause) {
      const { message, lineNumber, columnNumber } = cause as Error & { lineNumber?: number; columnNumber?: number };
      throw broken(lineNumber ?? 1, columnNumber ?? 1, message.replace(/^JSON5: /, "").replace(/ at \d+:\d+$/, ""), cause);
    }
    if (!isPlainObject(document)) throw broken(1, 1, "the file holds no object; it must begin with {");
    if (isDeeperThan(document, CONFIG_DEPTH_MAX)) throw broken(1, 1, `values are nested deeper than ${CONFIG_DEPTH_MAX} levels`);
    return document;
  }

  #take(written: ReadonlyMap<Setting<unknown>, Written>): void {
    this.#written = written;
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lastChange.then(work);
    this.#lastChange = done.catch(() => {}); // its own caller hears of the failure
    return done;
  }

  #shown(setting: Setting<unknown>): unknown {
    return setting.secret === true && this.isSet(setting) ? SECRET_SHOWN : this.get(setting);
  }

  #namesInSettings(): readonly string[] {
    const names: string[] = KNOWN_HARNESSES.flatMap(({ envFrom }) => envFrom);
    for (const { raw } of this.#written.values()) {
      eachText(raw, (field, text) => {
        if (NAMES_A_VARIABLE.includes(field)) names.push(text);
      });
    }
    return names;
  }
}

function overridesFrom(environment: Environment): ReadonlyMap<Setting<unknown>, unknown> {
  const port = environment["YARD_PORT"];
  if (port === undefined || port === "") return new Map();
  return new Map([[gatewayPort as Setting<unknown>, parseValue(gatewayPort as Setting<unknown>, port, "YARD_PORT")]]);
}

function logLevelFrom(environment: Environment): LogLevel {
  const level = environment["YARD_LOG"];
  if (level === undefined || level === "") return "info";
  const choice = oneOf(...LOG_LEVELS);
  if (!LOG_LEVELS.includes(level as LogLevel)) throw new Fault("SETTING_INVALID", { key: "YARD_LOG", expected: `one of ${choice.bounds}`, got: level, where: "the environment" });
  return level as LogLevel;
}

/** The token that the environment names, or null. Exported for commands, which need no state directory then. */
export function tokenFrom(environment: Environment): string | null {
  const token = environment["YARD_TOKEN"]?.trim();
  if (token === undefined || token === "") return null;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new Fault("SETTING_INVALID", { key: "YARD_TOKEN", expected: "visible ASCII characters without blanks", got: "something that no HTTP header can carry", where: "the environment" });
  }
  return token;
}

/** `"8"` from a command line is written as 8; maps and lists are written as the person gave them. */
function canonical(value: unknown, parsed: unknown): unknown {
  return typeof parsed === "object" && parsed !== null ? value : parsed;
}

/** The names that a path inside a map leads through: one that is there already may hold dots, as `gpt-4.1` does. */
function namesInside(map: unknown, path: readonly string[]): readonly string[] {
  if (!isPlainObject(map)) return path;
  for (let count = 1; count <= path.length; count++) {
    const name = path.slice(0, count).join(".");
    if (Object.hasOwn(map, name)) return [name, ...namesInside(map[name], path.slice(count))];
  }
  return path;
}

/** A copy of a map with the value at a path inside it replaced. */
function replacedInside(map: unknown, path: readonly string[], value: unknown): unknown {
  const [name, ...rest] = path;
  assert(name !== undefined, "a path inside a map has a segment");
  const copy: Record<string, unknown> = isPlainObject(map) ? { ...map } : {};
  copy[name] = rest.length === 0 ? value : replacedInside(copy[name], rest, value);
  return copy;
}

/** A copy of a map without what is at a path inside it; the map itself when nothing is there. */
function withoutInside(map: unknown, path: readonly string[]): unknown {
  const [name, ...rest] = path;
  assert(name !== undefined, "a path inside a map has a segment");
  if (!isPlainObject(map) || !Object.hasOwn(map, name)) return map;
  const { [name]: inner, ...others } = map;
  return rest.length === 0 ? others : { ...map, [name]: withoutInside(inner, rest) };
}

/** How many segments of a path inside a map must be written out: down to the first one that is not there yet. */
function depthWritten(map: unknown, path: readonly string[]): number {
  let depth = 0;
  for (let at = map; depth < path.length && isPlainObject(at); at = at[path[depth - 1]!]) depth++;
  return depth;
}

function valueInside(map: unknown, path: readonly string[]): unknown {
  return path.reduce((at, name) => (at as Record<string, unknown>)[name], map);
}

function isDeeperThan(value: unknown, levels: number): boolean {
  return typeof value === "object" && value !== null && (levels === 0 || Object.values(value).some((inner) => isDeeperThan(inner, levels - 1)));
}

/** Calls `visit` with every text inside a value and the name of the field that holds it. */
/** What stands in a list belongs to the list's field. */
function eachText(value: unknown, visit: (field: string, text: string) => void, list = ""): void {
  if (typeof value !== "object" || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    const field = Array.isArray(value) ? list : name;
    if (typeof inner === "string") visit(field, inner);
    else eachText(inner, visit, field);
  }
}
