/**
 * A setting as data: parser, help text, docs page and dashboard form all read the same entry.
 *
 * Each folder keeps its own in `settings.ts`; `config/` gathers them.
 */
export interface Setting<T> {
  /** Flat dotted key, as in `yard config set KEY VALUE`. A `*` segment stands for any name. */
  readonly key: string;
  readonly unit: "count" | "ms" | "s" | "minutes" | "bytes" | "tokens" | "US dollars" | "text" | "choice" | "yes/no" | "map" | "list";
  readonly fallback: T;
  /** Turns a JSON value into `T`; throws {@link BadValue} with what was expected. */
  readonly parse: (value: unknown) => T;
  readonly takesEffect: "at once" | "next turn" | "restart";
  /** Bounds or choices in words, e.g. "1..512"; shown with errors and in the docs. */
  readonly bounds: string;
  readonly doc: string;
  /** Old or foreign spellings of the key that are accepted too. */
  readonly aliases?: readonly string[];
  /** True when the value may hold a credential, which is then never shown. */
  readonly secret?: boolean;
}

/** Reads settings; what takes effect at once is read at each use. */
export interface Settings {
  get<T>(setting: Setting<T>): T;
  /** True when the person wrote this setting; false when the fallback stands. */
  isSet(setting: Setting<unknown>): boolean;
  /** Calls `listener` after any change; the returned function stops it. */
  onChange(listener: () => void): () => void;
}

/** A value that does not fit its setting. `expected` completes the sentence "… must be …". */
export class BadValue extends Error {
  override readonly name = "BadValue";
  readonly expected: string;
  constructor(expected: string) {
    super(`must be ${expected}`);
    this.expected = expected;
  }
}

type Parsed<T> = Pick<Setting<T>, "parse" | "bounds">;

export function wholeNumber(limits: { min: number; max: number }): Parsed<number> {
  const bounds = `${limits.min}..${limits.max}`;
  return {
    bounds,
    parse(value) {
      const number = typeof value === "string" && /^-?\d{1,15}$/.test(value.trim()) ? Number(value) : value;
      if (typeof number !== "number" || !Number.isInteger(number) || number < limits.min || number > limits.max) {
        throw new BadValue(`a whole number in ${bounds}`);
      }
      return number;
    },
  };
}

export function decimal(limits: { min: number; max: number }): Parsed<number> {
  const bounds = `${limits.min}..${limits.max}`;
  return {
    bounds,
    parse(value) {
      const number = typeof value === "string" && /^-?\d{1,15}(\.\d{1,9})?$/.test(value.trim()) ? Number(value) : value;
      if (typeof number !== "number" || !(number >= limits.min && number <= limits.max)) throw new BadValue(`a number in ${bounds}`);
      return number;
    },
  };
}

export function oneOf<const T extends string>(...choices: readonly T[]): Parsed<T> {
  const bounds = choices.join(" | ");
  return {
    bounds,
    parse(value) {
      if (!choices.includes(value as T)) throw new BadValue(`one of ${bounds}`);
      return value as T;
    },
  };
}

export function yesNo(): Parsed<boolean> {
  return {
    bounds: "true | false",
    parse(value) {
      if (value === true || value === "true") return true;
      if (value === false || value === "false") return false;
      throw new BadValue("true or false");
    },
  };
}

export function text(limits: { max: number; pattern?: RegExp; what?: string }): Parsed<string> {
  const what = limits.what ?? `text of at most ${limits.max} characters`;
  return {
    bounds: what,
    parse(value) {
      if (typeof value !== "string" || value.length > limits.max || (limits.pattern && !limits.pattern.test(value))) throw new BadValue(what);
      return value;
    },
  };
}

export function listOf<T>(item: Parsed<T>, limits: { max: number }): Parsed<readonly T[]> {
  const bounds = `a list of at most ${limits.max}: ${item.bounds}`;
  return {
    bounds,
    parse(value) {
      if (!Array.isArray(value) || value.length > limits.max) throw new BadValue(bounds);
      return value.map((one) => item.parse(one));
    },
  };
}

export function mapOf<T>(item: Parsed<T>, limits: { max: number }): Parsed<Readonly<Record<string, T>>> {
  const bounds = `a map of at most ${limits.max} names to ${item.bounds}`;
  return {
    bounds,
    parse(value) {
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw new BadValue(bounds);
      const entries = Object.entries(value);
      if (entries.length > limits.max) throw new BadValue(bounds);
      return Object.fromEntries(entries.map(([name, one]) => [name, item.parse(one)]));
    },
  };
}
