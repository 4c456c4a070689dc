/** Flags of slash commands: `--cwd /work --label "two words" the rest`. */
import { Fault } from "../model/faults.ts";

/** Known flags, each with its choices; null = any text. */
type Known = Readonly<Record<string, readonly string[] | null>>;

/**
 * Reads the flags at the beginning and between; what is left is returned as it was written.
 * A text after `--` is never read for flags.
 * @throws {Fault} WRONG_USE  a flag that is not known, has no value, or not one of its choices.
 */
export function readFlags<K extends Known>(text: string, known: K): { readonly flags: { readonly [Name in keyof K]?: string }; readonly rest: string } {
  const flags: { [Name in keyof K]?: string } = {};
  let left = text.trim();
  const words: string[] = [];
  for (;;) {
    const flag = /^--([a-z-]+)(?:=|\s+|$)(?:"([^"]*)"|'([^']*)'|(\S+))?\s*/.exec(left);
    if (flag !== null) {
      const [all, name = "", double, single, bare] = flag;
      const value = double ?? single ?? bare;
      if (!Object.hasOwn(known, name)) throw new Fault("WRONG_USE", { problem: `there is no --${name}; there are ${Object.keys(known).map((one) => `--${one}`).join(", ")}` });
      const choices = known[name]!;
      if (value === undefined || (choices !== null && !choices.includes(value))) throw new Fault("WRONG_USE", { problem: `--${name} needs ${choices === null ? "a value" : `one of ${choices.join(", ")}`}` });
      flags[name as keyof K] = value;
      left = left.slice(all.length);
      continue;
    }
    // One word, e.g. the agent, may stand before flags.
    const word = words.length === 0 ? /^([^\s-]\S*)\s+(?=--)/.exec(left) : null;
    if (word === null) break;
    words.push(word[1]!);
    left = left.slice(word[0].length);
  }
  return { flags, rest: [...words, left.replace(/^--(\s+|$)/, "")].join(" ").trim() };
}
