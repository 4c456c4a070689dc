/**
 * Finds the setting that a written key means, and reads a whole document of settings.
 *
 * A document may be nested, flat or mixed: `{agents: {defaults: {model: "x"}}}` and
 * `{"agents.defaults.model": "x"}` say the same. Old spellings (`aliases`) are read as the new ones.
 *
 * Always true: what is not a setting is refused with the nearest one that is; each setting is
 * written once at most.
 */
import { assert } from "../base/assert.ts";
import { BadValue, type Setting } from "../base/setting.ts";
import { Fault } from "../model/faults.ts";
import { nearest } from "../base/nearest.ts";

/** How a key that a person wrote relates to the settings. */
export type Found =
  | { readonly is: "setting"; readonly setting: Setting<unknown> }
  /** A part of the value of a map or list, e.g. `models.providers.mock.baseUrl`. */
  | { readonly is: "part"; readonly setting: Setting<unknown>; readonly inside: readonly string[] }
  | { readonly is: "group" }
  | { readonly is: "unknown" };

/** A setting's value as it stands in a document, checked. */
export interface Written {
  readonly setting: Setting<unknown>;
  /** Where it stands: dotted, in the spelling of the document. */
  readonly spelling: string;
  readonly raw: unknown;
  readonly value: unknown;
}

const NESTING_MAX = 64;
const SHOWN_LENGTH_MAX = 60;

export class Catalogue {
  readonly settings: readonly Setting<unknown>[];
  readonly #bySpelling = new Map<string, Setting<unknown>>();
  readonly #groups = new Set<string>();

  constructor(settings: readonly Setting<unknown>[]) {
    this.settings = settings;
    for (const setting of settings) {
      for (const spelling of [setting.key, ...(setting.aliases ?? [])]) {
        assert(!this.#bySpelling.has(spelling), `the key ${spelling} belongs to one setting`);
        this.#bySpelling.set(spelling, setting);
        for (let dot = spelling.lastIndexOf("."); dot > 0; dot = spelling.lastIndexOf(".", dot - 1)) this.#groups.add(spelling.slice(0, dot));
      }
    }
  }

  find(key: string): Found {
    const setting = this.#bySpelling.get(key);
    if (setting !== undefined) return { is: "setting", setting };
    for (let dot = key.lastIndexOf("."); dot > 0; dot = key.lastIndexOf(".", dot - 1)) {
      const outer = this.#bySpelling.get(key.slice(0, dot));
      if (outer?.unit === "map") return { is: "part", setting: outer, inside: key.slice(dot + 1).split(".") };
    }
    return this.#groups.has(key) ? { is: "group" } : { is: "unknown" };
  }

  /** @throws {Fault} SETTING_UNKNOWN, with the nearest known key. */
  refuse(key: string, where: string): never {
    throw new Fault("SETTING_UNKNOWN", { key, nearest: nearest(key, [...this.#bySpelling.keys()]), where });
  }

  /**
   * Reads every setting of a document.
   * @param whereOf  says where a key stands, for errors, e.g. `yardmaster.json5:3`.
   * @throws {Fault} SETTING_UNKNOWN, SETTING_INVALID.
   */
  read(document: unknown, whereOf: (key: string) => string): readonly Written[] {
    const found = new Map<Setting<unknown>, Written>();
    const visit = (value: unknown, path: string, depth: number): void => {
      const at = path === "" ? ({ is: "group" } as const) : this.find(path);
      if (at.is === "setting") {
        const earlier = found.get(at.setting);
        if (earlier !== undefined) {
          throw new Fault("SETTING_INVALID", { key: path, expected: "written once", got: `a second time after ${earlier.spelling}`, where: whereOf(path) });
        }
        found.set(at.setting, { setting: at.setting, spelling: path, raw: value, value: parseValue(at.setting, value, whereOf(path)) });
      } else if (at.is === "part") {
        // `"models.providers.mock": {...}` on its own: the map must be written as one value.
        throw new Fault("SETTING_INVALID", { key: at.setting.key, expected: "written as one map", got: `the separate key ${path}`, where: whereOf(path) });
      } else if (at.is === "group" && isPlainObject(value) && depth < NESTING_MAX) {
        for (const [name, inner] of Object.entries(value)) visit(inner, path === "" ? name : `${path}.${name}`, depth + 1);
      } else if (at.is === "group") {
        throw new Fault("SETTING_INVALID", { key: path === "" ? "the document" : path, expected: "an object with settings in it", got: show(value), where: whereOf(path) });
      } else {
        this.refuse(path, whereOf(path));
      }
    };
    visit(document, "", 0);
    return [...found.values()];
  }
}

/** @throws {Fault} SETTING_INVALID  says what was expected, what was got (never of a secret) and where. */
export function parseValue(setting: Setting<unknown>, value: unknown, where: string): unknown {
  try {
    refusePoison(value, 0);
    return setting.parse(value);
  } catch (thrown) {
    if (!(thrown instanceof BadValue)) throw thrown;
    throw new Fault("SETTING_INVALID", { key: setting.key, expected: thrown.expected, got: setting.secret === true ? "what is written there" : show(value), where }, { cause: thrown });
  }
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** True for names that mean something else than a member of an object. */
export function isPoison(name: string): boolean {
  return name === "__proto__" || name === "constructor" || name === "prototype";
}

function refusePoison(value: unknown, depth: number): void {
  if (typeof value !== "object" || value === null) return;
  if (depth >= NESTING_MAX) throw new BadValue(`nested at most ${NESTING_MAX} levels deep`);
  for (const [key, inner] of Object.entries(value)) {
    if (isPoison(key)) throw new BadValue(`without a key ${key}`);
    refusePoison(inner, depth + 1);
  }
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= SHOWN_LENGTH_MAX ? text : `${text.slice(0, SHOWN_LENGTH_MAX)}…`;
}
