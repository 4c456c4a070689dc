/**
 * The script language: what the stand-in should answer, written inside the user's own message.
 *
 * A script is a line that begins with `!` (after any number of `[prefixes]`). Its steps are
 * joined by `then`. A `call` step ends a round: what follows is said after the tool results.
 * README.md lists the steps. Nothing here keeps state, reads a clock or touches a socket.
 */

export type Step =
  | { readonly do: "say" | "think" | "deny"; readonly text: string }
  | { readonly do: "echo" }
  | { readonly do: "write"; readonly characters: number }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "slow"; readonly ms: number }
  | { readonly do: "call"; readonly calls: readonly ScriptCall[] }
  | { readonly do: "badjson" | "control"; readonly tool: string }
  | { readonly do: "fail"; readonly status: number; readonly afterMs: number | null; readonly times: number }
  | { readonly do: "cut" | "giant"; readonly count: number; readonly times: number }
  | { readonly do: PlainFault; readonly times: number };

export interface ScriptCall {
  readonly tool: string;
  /** JSON text, with placeholders still in it. */
  readonly input: string;
  readonly repeat: number;
}

/** Faults without an argument of their own. */
export const PLAIN_FAULTS = ["stall", "drip", "keepalive", "noend", "hold", "splitutf8", "badutf8", "oddevents", "html", "jsonerror", "reset", "sameids"] as const;
export type PlainFault = (typeof PLAIN_FAULTS)[number];

const VERBS = ["say", "think", "deny", "echo", "write", "wait", "slow", "call", "badjson", "control", "fail", "cut", "giant", ...PLAIN_FAULTS] as const;
const NEXT_STEP = new RegExp(String.raw`\s+then\s+(?=(?:${VERBS.join("|")})\b)`);
/** Also inside of a quotation: what to do with a text that only quotes the script proper. */
const OTHER_SCRIPT_LINE = /^\s*(?:> )*(~!)\s*(\S.*)$/;
const SCRIPT_LINE = /^\s*(?:\[[^\]\n]{0,200}\]\s*)*(!!?)\s*(\S.*)$/;

export class BadScript extends Error {
  override readonly name = "BadScript";
}

/** The script lines of a message joined into one script, or null when it holds none. */
export function scriptIn(text: string): string | null {
  if (!text.includes("!")) return null;
  return linesOf(text, SCRIPT_LINE) ?? linesOf(text, OTHER_SCRIPT_LINE);
}

function linesOf(text: string, pattern: RegExp): string | null {
  const lines: string[] = [];
  for (const line of text.split("\n")) {
    const found = pattern.exec(line);
    if (found !== null && new RegExp(`^(?:${VERBS.join("|")})\\b`).test(found[2]!)) {
      if (found[1] === "!!") lines.length = 0;
      lines.push(found[2]!.trim());
    }
  }
  return lines.length === 0 ? null : lines.join(" then ");
}

/** The rounds of a script: each is what one request is answered with. */
export function parseScript(script: string): Step[][] {
  const rounds: Step[][] = [[]];
  let rest = script.trim();
  while (rest !== "") {
    const { step, left } = takeStep(rest);
    rounds.at(-1)!.push(step);
    rest = left;
    const endsRound = step.do === "call" || step.do === "deny" || step.do === "badjson" || step.do === "control";
    if (endsRound && rest !== "") rounds.push([]);
  }
  return rounds;
}

/** A single step outside a script, e.g. a fault that was set over HTTP. */
export function parseStep(text: string): Step {
  const { step, left } = takeStep(text.trim());
  if (left !== "") throw new BadScript(`one step expected, but more follows: ${left}`);
  return step;
}

function takeStep(source: string): { step: Step; left: string } {
  const verb = /^[a-z0-9]+/.exec(source)?.[0] ?? "";
  if (verb === "call") return takeCalls(source.slice(4).trimStart());
  const end = NEXT_STEP.exec(source);
  const body = end === null ? source : source.slice(0, end.index);
  const left = end === null ? "" : source.slice(end.index + end[0].length);
  return { step: simpleStep(verb, body.slice(verb.length).trim()), left };
}

function simpleStep(verb: string, rest: string): Step {
  switch (verb) {
    case "say":
    case "think":
    case "deny":
      return { do: verb, text: rest };
    case "echo":
      return { do: "echo" };
    case "write":
      return { do: "write", characters: wholeNumber(rest, "write N") };
    case "wait":
    case "slow":
      return { do: verb, ms: duration(rest) };
    case "badjson":
    case "control":
      return { do: verb, tool: rest === "" ? "no_tool" : rest };
    case "fail": {
      const found = /^(\d{3})(?:\s+after\s+(\S+))?(?:\s+times\s+(\d+))?$/.exec(rest);
      if (found === null) throw new BadScript(`expected "fail STATUS [after TIME] [times N]", got "fail ${rest}"`);
      return { do: "fail", status: Number(found[1]), afterMs: found[2] === undefined ? null : duration(found[2]), times: times(found[3]) };
    }
    case "cut":
    case "giant": {
      const found = /^(\d+)(?:\s+times\s+(\d+))?$/.exec(rest);
      if (found === null) throw new BadScript(`expected "${verb} N [times N]", got "${verb} ${rest}"`);
      return { do: verb, count: Number(found[1]), times: times(found[2]) };
    }
    default: {
      const found = /^(?:times\s+(\d+))?$/.exec(rest);
      if (!PLAIN_FAULTS.includes(verb as PlainFault) || found === null) throw new BadScript(`no such step: ${verb} ${rest}`.trim());
      return { do: verb as PlainFault, times: times(found[1]) };
    }
  }
}

/** `NAME {json} [x N]`, several joined by `&`. */
function takeCalls(source: string): { step: Step; left: string } {
  const calls: ScriptCall[] = [];
  let rest = source;
  for (;;) {
    rest = rest.replace(/^call\s+/, "");
    const tool = /^[^\s{&]+/.exec(rest)?.[0];
    if (tool === undefined) throw new BadScript(`expected a tool's name at "${rest.slice(0, 40)}"`);
    rest = rest.slice(tool.length).trimStart();
    let input = "{}";
    if (rest.startsWith("{")) {
      input = balancedJson(rest);
      rest = rest.slice(input.length).trimStart();
    }
    const repeat = /^x\s*(\d+)\s*/.exec(rest);
    if (repeat !== null) rest = rest.slice(repeat[0].length);
    calls.push({ tool, input, repeat: repeat === null ? 1 : Number(repeat[1]) });
    if (!rest.startsWith("&")) break;
    rest = rest.slice(1).trimStart();
  }
  const step: Step = { do: "call", calls };
  if (rest === "") return { step, left: "" };
  const next = /^then\s+/.exec(rest);
  if (next === null) throw new BadScript(`expected "then" or "&" at "${rest.slice(0, 40)}"`);
  return { step, left: rest.slice(next[0].length) };
}

/** The JSON object at the start of `source`; braces inside strings do not count. */
function balancedJson(source: string): string {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < source.length; i++) {
    const character = source[i];
    if (inString) {
      if (character === "\\") i++;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === "{") depth++;
    else if (character === "}" && --depth === 0) return source.slice(0, i + 1);
  }
  throw new BadScript(`unfinished JSON: ${source.slice(0, 60)}`);
}

function wholeNumber(text: string, form: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new BadScript(`expected "${form}", got "${text}"`);
  return Number(text);
}

function times(text: string | undefined): number {
  return text === undefined ? Infinity : Number(text);
}

/** `500ms`, `1.5s`, `2m` or plain milliseconds, as milliseconds. */
export function duration(text: string): number {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text);
  if (found === null) throw new BadScript(`expected a time such as 500ms, 2s or 1m, got "${text}"`);
  return Number(found[1]) * { ms: 1, s: 1000, m: 60_000 }[(found[2] ?? "ms") as "ms" | "s" | "m"];
}

/** Texts of the last tool results, for placeholders. */
export interface Seen {
  readonly user: string;
  readonly results: readonly string[];
}

/** Puts values in place of `<i> <last> <user> <first FIELD> <all FIELD> <upper TEXT>`. */
export function fill(text: string, seen: Seen, index = 0): string {
  if (!text.includes("<")) return text;
  return text.replace(/<(i|last|user)>|<(first|all|upper) ([^<>\n]{1,200})>/g, (whole, word: string | undefined, verb: string | undefined, argument: string | undefined) => {
    if (word === "i") return String(index);
    if (word === "user") return seen.user;
    if (word === "last") return seen.results.join("\n");
    if (verb === "upper") return argument!.toUpperCase();
    const values = seen.results.flatMap((result) => fieldsNamed(argument!, result));
    if (verb === "all") return JSON.stringify(values);
    return values.length === 0 ? whole : String(values[0]);
  });
}

function fieldsNamed(name: string, jsonText: string): unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(jsonText);
  } catch {
    return [];
  }
  const found: unknown[] = [];
  const look = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(look);
    else if (typeof node === "object" && node !== null) {
      for (const [key, item] of Object.entries(node)) {
        if (key === name) found.push(item);
        else look(item);
      }
    }
  };
  look(value);
  return found;
}
