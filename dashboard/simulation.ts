/**
 * What the simulator's form asks and how its answer reads. Pure.
 *
 * Values are kept as they were typed: the gateway says what is wrong with them, in its own words, so
 * the form cannot believe in other limits than the gateway. An empty field is left out of the request.
 */
import type { ApiFault, ApiQueueMode, SimulationColumn, SimulationReport, SimulationSpread } from "../src/api/wire.ts";

export type FieldName = "customers" | "messages" | "arrivals" | "turn" | "maxConcurrent" | "compare" | "queueMode" | "spawn" | "childTurn" | "subagentsMax" | "rpm" | "seed";
export type Form = Readonly<Record<FieldName, string>>;
export type Settings = Readonly<Record<string, unknown>>;

interface Field {
  readonly name: FieldName;
  readonly label: string;
  readonly fallback: string;
  /** The gateway's setting that the field starts from; its fallback is then empty. */
  readonly setting?: string;
  readonly hint?: string;
  readonly keyboard: "numeric" | "text";
  readonly choices?: readonly string[];
}

const QUEUE_MODES = Object.keys({ auto: 0, followup: 0, collect: 0, steer: 0, interrupt: 0, rollback: 0, reject: 0, parallel: 0 } satisfies Record<ApiQueueMode, 0>);

export const GROUPS: readonly { readonly name: string; readonly fields: readonly Field[] }[] = [
  {
    name: "People",
    fields: [
      { name: "customers", label: "Customers", fallback: "7", keyboard: "numeric" },
      { name: "messages", label: "Messages of each", fallback: "1", keyboard: "numeric" },
      { name: "arrivals", label: "They arrive", fallback: "burst", hint: "burst, uniform:60s, poisson:2/s", keyboard: "text" },
      { name: "turn", label: "A turn takes", fallback: "5s", hint: "5s, 3s..8s, exp:5s", keyboard: "text" },
    ],
  },
  {
    name: "Limits",
    fields: [
      { name: "maxConcurrent", label: "Max concurrent", fallback: "", setting: "agents.defaults.maxConcurrent", hint: "turns with people at once", keyboard: "numeric" },
      { name: "compare", label: "Compare with", fallback: "", hint: "another max concurrent", keyboard: "numeric" },
      { name: "subagentsMax", label: "Max children at once", fallback: "", setting: "agents.defaults.subagents.maxConcurrent", keyboard: "numeric" },
      { name: "rpm", label: "Provider's limit", fallback: "none", hint: "requests a minute, or none", keyboard: "text" },
    ],
  },
  {
    name: "Children",
    fields: [
      { name: "spawn", label: "Per message", fallback: "0", keyboard: "numeric" },
      { name: "childTurn", label: "A child takes", fallback: "20s", hint: "as for a turn", keyboard: "text" },
    ],
  },
  {
    name: "Rules",
    fields: [
      { name: "queueMode", label: "Queue mode", fallback: "auto", setting: "messages.queue.mode", keyboard: "text", choices: QUEUE_MODES },
      { name: "seed", label: "Seed of chance", fallback: "1", hint: "same seed, same numbers", keyboard: "numeric" },
    ],
  },
];
const FIELDS = GROUPS.flatMap(({ fields }) => fields);

/** What the form does not ask, but what decides how long people wait; times are milliseconds. */
const UNASKED: readonly { readonly option: string; readonly setting: string; readonly unit: "" | "ms" }[] = [
  { option: "sideMax", setting: "agents.defaults.sideConcurrent", unit: "" },
  { option: "sideTurnsMax", setting: "sessions.sideTurnsMax", unit: "" },
  { option: "foreground", setting: "messages.foregroundMs", unit: "ms" },
  { option: "maxChildren", setting: "agents.defaults.subagents.maxChildrenPerAgent", unit: "" },
  { option: "gather", setting: "agents.defaults.subagents.gatherMs", unit: "ms" },
];
/** How much of a wrong value the gateway repeats. */
const REPEATED_CHARS = 40;

/** The form with what was typed over the gateway's settings over the fallbacks. */
export function formWith(settings: Settings, typed: Partial<Form>): Form {
  const start = FIELDS.map(({ name, setting, fallback }) => [name, setting === undefined ? fallback : (textOf(settings[setting]) ?? fallback)]);
  return { ...(Object.fromEntries(start) as Form), ...typed };
}

/** The body of POST /api/simulate. */
export function requestOf(form: Form, settings: Settings): Record<string, unknown> {
  const { compare, ...asked } = form;
  const known = UNASKED.flatMap(({ option, setting, unit }) => (typeof settings[setting] === "number" ? [[option, `${settings[setting]}${unit}`]] : []));
  const filled = Object.entries(asked).flatMap(([name, text]) => (text.trim() === "" ? [] : [[name, text.trim()]]));
  return { ...Object.fromEntries([...known, ...filled]), compare: compare.trim() === "" ? [] : [`max-concurrent=${compare.trim()}`], svg: true };
}

/** Which field a refusal is about, and what to write there; null = none, or one that the form does not have. */
export function fieldProblem({ code, details }: ApiFault, form: Form): { name: FieldName; problem: string } | null {
  const { where, problem } = details;
  if (code !== "BAD_REQUEST" || typeof where !== "string" || typeof problem !== "string") return null;
  const option = where.replace(/-([a-z])/g, (_all, letter: string) => letter.toUpperCase());
  const second = form.compare.trim();
  // Both values are of one option; the text that is repeated tells which.
  const isSecond = option === "maxConcurrent" && second !== "" && second !== form.maxConcurrent.trim() && problem.endsWith(`not ${JSON.stringify(second.slice(0, REPEATED_CHARS))}`);
  const name = isSecond ? "compare" : FIELDS.find((field) => field.name === option)?.name;
  return name === undefined ? null : { name, problem };
}

/** `2.14 s`, as in the gateway's own sentence. */
export function seconds(ms: number | null | undefined): string {
  return ms == null ? "–" : `${Math.round(ms / 10) / 100} s`;
}

/** What tells a column from the others: `4 at once`. */
export function columnName({ name, asked }: Pick<SimulationColumn, "name" | "asked">): string {
  const slots = asked["maxConcurrent"];
  return slots === undefined ? name : `${slots} at once`;
}

/** Rows of mean, p50, p95 and max: the waits of all columns first, so that they stand side by side. */
export function spreadRows(columns: readonly SimulationColumn[]): { readonly name: string; readonly cells: readonly string[] }[] {
  const rows = (what: string, spreadOf: (column: SimulationColumn) => SimulationSpread | null) =>
    columns.flatMap((column) => {
      const spread = spreadOf(column);
      if (spread === null) return [];
      const name = columns.length === 1 ? what : `${what}, ${columnName(column)}`;
      return [{ name, cells: [spread.mean, spread.p50, spread.p95, spread.max].map(seconds) }];
    });
  return [
    ...rows("Wait", ({ summary }) => summary.waitMs),
    ...rows("Until the answer", ({ summary }) => summary.totalMs),
    ...rows("Until the children's results", ({ summary }) => summary.resultsMs),
  ];
}

export interface WaitRow {
  readonly name: string;
  /** One for each column. */
  readonly waits: readonly { readonly text: string; readonly isWait: boolean }[];
}

/** Each message with its wait in each column; what was not answered says so. */
export function waitRows({ columns }: Pick<SimulationReport, "columns">): WaitRow[] {
  const most = columns.reduce<SimulationColumn["messages"]>((longest, { messages }) => (messages.length > longest.length ? messages : longest), []);
  const isMany = most.some(({ message }) => message > 1);
  return most.map(({ customer, message }, index) => ({
    name: isMany ? `customer ${customer}, message ${message}` : `customer ${customer}`,
    waits: columns.map(({ messages }) => {
      const one = messages[index];
      const waitMs = one?.waitMs ?? null;
      const isAnswered = one === undefined || one.outcome === "answered";
      return { text: isAnswered ? seconds(waitMs) : waitMs === null ? one.outcome : `${seconds(waitMs)}, ${one.outcome}`, isWait: waitMs !== null && waitMs > 0 };
    }),
  }));
}

/** The picture as an address for `<img>`, where nothing in it can run. */
export function pictureAddress(svg: string): string {
  let bytes = "";
  for (const byte of new TextEncoder().encode(svg)) bytes += String.fromCharCode(byte);
  return `data:image/svg+xml;base64,${btoa(bytes)}`;
}

function textOf(value: unknown): string | null {
  return typeof value === "number" || typeof value === "string" ? String(value) : null;
}
