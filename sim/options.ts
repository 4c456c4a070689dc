/**
 * What a simulation is asked: each option as data, read by `yard simulate`, its help, and the API.
 *
 * Options that stand for a setting of the gateway take their fallback and bounds from that setting,
 * so the simulation cannot believe in other limits than the gateway.
 */
import { BadValue, type Setting } from "../src/base/setting.ts";
import { mainSlots, sideSlots, subagentSlots } from "../src/lanes/settings.ts";
import { Fault } from "../src/model/faults.ts";
import { foregroundMs, messageWaitMs, queueMode, sideTurnsMax } from "../src/sessions/settings.ts";
import { gatherMs, maxChildrenPerAgent, maxSpawnDepth } from "../src/trees/settings.ts";
import { readArrivals, ARRIVALS_FORM } from "./arrivals.ts";
import { DURATION_FORM, LENGTH_FORM, readDuration, readLength } from "./length.ts";

export interface Option<T> {
  /** As in `--flag <value>`; null = a switch. */
  readonly value: string | null;
  /** As it would be written. */
  readonly fallback: string;
  /** Completes "… must be …". */
  readonly form: string;
  readonly doc: string;
  /** @throws {BadValue} */
  readonly read: (text: string) => T;
}

function count(fallback: number, limits: { min: number; max: number }, doc: string): Option<number> {
  const form = `a whole number in ${limits.min}..${limits.max}`;
  return {
    value: "<n>",
    fallback: String(fallback),
    form,
    doc,
    read(text) {
      const number = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
      if (!(number >= limits.min && number <= limits.max)) throw new BadValue(form);
      return number;
    },
  };
}

function setting<T>(of: Setting<T>, value: string, doc: string): Option<T> {
  return { value, fallback: String(of.fallback), form: of.bounds, doc: `${doc} [${of.key}]`, read: (text) => of.parse(text) };
}

function durationSetting(of: Setting<number>, doc: string, fallbackMs = of.fallback): Option<number> {
  return { value: "<time>", fallback: `${fallbackMs / 1000}s`, form: DURATION_FORM, doc: `${doc} [${of.key}]`, read: (text) => of.parse(readDuration(text)) };
}

function length(fallback: string, doc: string): Option<ReturnType<typeof readLength>> {
  return { value: "<length>", fallback, form: LENGTH_FORM, doc, read: readLength };
}

export const OPTIONS = {
  customers: count(7, { min: 1, max: 10_000 }, "people, each with a conversation of their own"),
  messages: count(1, { min: 1, max: 1_000 }, "messages from each"),
  gap: { value: "<time>", fallback: "2s", form: DURATION_FORM, doc: "between two messages of one person", read: readDuration },
  arrivals: { value: "<when>", fallback: "burst", form: ARRIVALS_FORM, doc: "when first messages come: burst, uniform:60s, poisson:2/s", read: readArrivals },
  turn: length("5s", "how long a turn takes: 5s, 3s..8s, exp:5s (mean), lognormal:5s,0.5 (median, sigma)"),
  calls: count(1, { min: 1, max: 100 }, "model requests in a turn, one after the other, that share its length"),
  maxConcurrent: setting(mainSlots, "<n>", "turns with people that run at once"),
  sideMax: setting(sideSlots, "<n>", "turns beside their conversation that are started at once"),
  queueMode: setting(queueMode, "<mode>", "what happens to a message while a turn runs"),
  foreground: durationSetting(foregroundMs, "how long a turn may hold up its person's next message, in mode auto"),
  sideTurnsMax: setting(sideTurnsMax, "<n>", "turns of one person started beside the main one, in mode parallel"),
  messageWait: durationSetting(messageWaitMs, "how long a message waits for others to join it", 0),
  spawn: count(0, { min: 0, max: 100 }, "children of each message, spawned when its turn's first model request is answered"),
  childTurn: length("20s", "how long a child's turn takes, as --turn"),
  depth: setting(maxSpawnDepth, "<n>", "how deep children nest: at 2 each child spawns as many again"),
  subagentsMax: setting(subagentSlots, "<n>", "children that run at once"),
  maxChildren: setting(maxChildrenPerAgent, "<n>", "children of one session that are active at once"),
  gather: durationSetting(gatherMs, "how long finished children are gathered into one digest"),
  yield: { value: null, fallback: "no", form: "yes or no", doc: "a turn that spawned gives its answer only when all its children are done", read: readYesNo },
  rpm: {
    value: "<n>",
    fallback: "none",
    form: "a whole number in 1..1000000, or none",
    doc: "the provider's limit of model requests a minute, modelled as a bucket that holds one minute's worth and refills evenly; a request over it waits, and its turn keeps its slot",
    read: (text: string) => (text === "none" ? null : count(1, { min: 1, max: 1_000_000 }, "").read(text)),
  } satisfies Option<number | null>,
  seed: count(1, { min: 0, max: 2_147_483_647 }, "where chance begins; the same seed gives the same numbers"),
  runs: count(1, { min: 1, max: 1_000 }, "runs to average over, each with the next seed"),
} as const;

type Table = typeof OPTIONS;
export type OptionName = keyof Table;
export type Plan = { readonly [Name in OptionName]: ReturnType<Table[Name]["read"]> };

/** One column of the answer: what it is called, what it was asked as text, and what that means. */
export interface Variant {
  readonly name: string;
  readonly asked: Readonly<Record<string, string>>;
  readonly plan: Plan;
}

/** Model requests of all columns and runs together; a turn makes one or more. */
export const REQUESTS_MAX = 100_000;
const VARIANTS_MAX = 8;
export const BASE_NAME = "as asked";

/** `maxConcurrent` as people type it. */
export function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function nameOf(flag: string): string {
  return flag.replace(/-([a-z])/g, (_all, letter: string) => letter.toUpperCase());
}

/**
 * Reads what was asked: values under their option's name (`maxConcurrent` or `max-concurrent`) as
 * text, number or yes/no, and in `compare` texts such as `"max-concurrent=8 turn=3s"`, one further column each.
 *
 * @throws {Fault} BAD_REQUEST  `where` is the option.
 */
export function readRequest(given: Readonly<Record<string, unknown>>): readonly Variant[] {
  const { compare = [], ...values } = given;
  if (!Array.isArray(compare) || compare.length > VARIANTS_MAX - 1 || !compare.every((text) => typeof text === "string")) {
    throw bad("compare", `must be a list of at most ${VARIANTS_MAX - 1} texts such as "max-concurrent=8"`);
  }
  const base = readVariant(BASE_NAME, Object.entries(values));
  const variants = [base, ...compare.map((text: string) => readVariant(text.trim(), [...Object.entries(base.asked), ...changesIn(text)]))];
  const requests = variants.reduce((sum, { plan }) => sum + requestsOf(plan), 0);
  if (requests > REQUESTS_MAX) throw bad("customers", `${requests} model requests in all are more than the ${REQUESTS_MAX} that a simulation may have; ask for fewer customers, messages, children, calls or runs`);
  return variants;
}

function readVariant(name: string, values: readonly (readonly [string, unknown])[]): Variant {
  const asked: Record<string, string> = {};
  for (const [given, value] of values) {
    const option = nameOf(given);
    if (!Object.hasOwn(OPTIONS, option)) throw bad(given.slice(0, 40), `is no option of a simulation; known: ${Object.keys(OPTIONS).map(flagOf).join(", ")}`);
    if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") throw bad(flagOf(option), "must be text, a number, true or false");
    asked[option] = String(value).trim();
  }
  const plan = Object.fromEntries(Object.entries(OPTIONS as Readonly<Record<string, Option<unknown>>>).map(([option, { fallback, read }]) => [option, parsed(option, asked[option] ?? fallback, read)]));
  return { name, asked, plan: plan as unknown as Plan };
}

function parsed(option: string, text: string, read: (text: string) => unknown): unknown {
  try {
    return read(text);
  } catch (thrown) {
    if (!(thrown instanceof BadValue)) throw thrown;
    throw bad(flagOf(option), `must be ${thrown.expected}, not ${JSON.stringify(text.slice(0, 40))}`);
  }
}

function changesIn(text: string): readonly (readonly [string, unknown])[] {
  const words = text.trim().split(/\s+/);
  return words.map((word) => {
    const [, flag, value] = /^(?:--)?([\w-]+)(?:=(.+))?$/.exec(word) ?? [];
    if (flag === undefined) throw bad("compare", `${JSON.stringify(word.slice(0, 40))} is not of the form option=value`);
    if (value === undefined && (OPTIONS as Readonly<Record<string, Option<unknown>>>)[nameOf(flag)]?.value !== null) throw bad("compare", `${word.slice(0, 40)} needs a value: ${flag}=VALUE`);
    return [flag, value ?? "yes"] as const;
  });
}

/** What a plan asks of the model, at most: a turn a message, one a child, and one that reads results for each that has children. */
function requestsOf({ customers, messages, calls, spawn, depth, runs }: Plan): number {
  let generation = 1;
  let perMessage = 1;
  for (let level = 0; level < depth && spawn > 0; level++) {
    perMessage += generation;
    generation *= spawn;
    perMessage += generation;
  }
  return customers * messages * perMessage * calls * runs;
}

function readYesNo(text: string): boolean {
  if (text === "yes" || text === "true") return true;
  if (text === "no" || text === "false") return false;
  throw new BadValue("yes or no");
}

function bad(where: string, problem: string): Fault {
  return new Fault("BAD_REQUEST", { where, problem });
}
