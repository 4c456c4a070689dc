/** Tables and short forms for people: aligned, one line per row, cut to the width of the terminal. */
import { colour, plain, say, type Terminal } from "./terminal.ts";

const GAP = "  ";
const CELL_LENGTH_MAX = 60;

/** Prints rows under their headings; `nothing` when there are none. The last column is cut on a terminal. */
export function sayTable(terminal: Terminal, headings: readonly string[], rows: readonly (readonly string[])[], nothing: string): void {
  if (rows.length === 0) return say(terminal, nothing);
  const cells = rows.map((row) => row.map((cell, column) => oneLine(cell, column === row.length - 1 ? Infinity : CELL_LENGTH_MAX)));
  const widths = headings.map((heading, column) => Math.max(heading.length, ...cells.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string => {
    const text = row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!))).join(GAP);
    const width = terminal.output.isTTY === true ? (terminal.output.columns || Infinity) : Infinity;
    return text.length > width ? `${text.slice(0, width - 1)}…` : text;
  };
  say(terminal, colour(terminal, "dim", line(headings)));
  for (const row of cells) say(terminal, line(row));
}

/** Lines of `name  value`; values that are null are left out. */
export function sayFields(terminal: Terminal, fields: readonly (readonly [name: string, value: string | number | null | undefined])[]): void {
  const given = fields.filter(([, value]) => value !== null && value !== undefined && value !== "");
  const width = Math.max(0, ...given.map(([name]) => name.length));
  for (const [name, value] of given) say(terminal, `${name.padEnd(width)}${GAP}${plain(String(value))}`);
}

function oneLine(text: string, lengthMax: number): string {
  const line = plain(text).replace(/\s+/g, " ").trim();
  return line.length > lengthMax ? `${line.slice(0, lengthMax - 1)}…` : line;
}

/** A moment as `2026-11-21 06:50`, UTC. */
export function date(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}

export function sayGroups(terminal: Terminal, groups: readonly { readonly value: string | null; readonly count: number }[]): void {
  sayTable(terminal, ["count", "group"], groups.map(({ value, count }) => [String(count), value ?? "(none)"]), "nothing to count");
}

const UNITS: readonly (readonly [unit: string, ms: number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
];

/** A length of time in its largest whole unit: `3d`, `12m`, `0s`. */
export function duration(ms: number): string {
  const [unit, size] = UNITS.find(([, each]) => ms >= each) ?? UNITS.at(-1)!;
  return `${Math.floor(Math.max(0, ms) / size)}${unit}`;
}

/** A cost for people; a mark says that some calls have no known price. */
export function money({ cost, unpriced = 0 }: { readonly cost: number | null; readonly unpriced?: number }): string {
  if (cost === null) return "unknown";
  return `$${cost.toFixed(4)}${unpriced > 0 ? " or more" : ""}`;
}

/** What is left of a budget, e.g. `61000 of 100000 tokens, 3 of 4 children`; null when there is none. */
export function budgetLeft(budget: { readonly limit: object; readonly left: object } | null): string | null {
  if (budget === null) return null;
  const left = budget.left as Readonly<Record<string, number>>;
  return Object.entries(budget.limit as Readonly<Record<string, number>>)
    .map(([unit, limit]) => `${left[unit]} of ${limit} ${unit === "cost" ? "US dollars" : unit}`)
    .join(", ");
}

const BYTE_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/** A number of bytes in its largest whole unit: `512 bytes`, `3 MiB`. */
export function size(bytes: number): string {
  const power = Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${Math.floor(bytes / 1024 ** power)} ${BYTE_UNITS[power]}`;
}

export function tokens(usage: { readonly input: number; readonly output: number }): string {
  const total = usage.input + usage.output;
  return total >= 10_000 ? `${Math.round(total / 1000)}k` : String(total);
}
