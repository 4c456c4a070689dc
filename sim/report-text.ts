/** A report for people at a terminal: who waits how long, what it comes to, and the answer in a sentence. */
import { seconds, type Column, type MessageReport, type Report, type Spread } from "./report.ts";

/** Messages that are listed one by one; of more, the first half and the last half of this. */
const ROWS_MAX = 40;
const NONE = "-";

export function reportText({ columns }: Report): string {
  const blocks = columns.length === 1 ? [messageTable(columns[0]!), summaryTable(columns)] : [waitsBeside(columns), summaryTable(columns)];
  const answers = columns.map(({ name, answer }) => (columns.length === 1 ? answer : `${name}: ${answer}`));
  return [...blocks, answers.join("\n")].join("\n\n");
}

function messageTable({ messages }: Column): string {
  const withResults = messages.some(({ resultsMs }) => resultsMs !== null);
  const rows = messages.map((one) => [
    ...nameOf(one, messages),
    seconds(one.sentMs),
    shown(one.waitMs),
    shown(one.runMs),
    shown(one.totalMs),
    ...(withResults ? [shown(one.resultsMs)] : []),
    one.outcome === "answered" ? "" : one.outcome,
  ]);
  return `${table([...nameHeadings(messages), "sent", "wait", "run", "total", ...(withResults ? ["results"] : []), ""], shortened(rows))}\n\nin seconds; waits: ${shortened(messages.map(({ waitMs }) => [shown(waitMs)])).join(" ")}`;
}

function waitsBeside(columns: readonly Column[]): string {
  const [{ messages }] = columns as [Column];
  const rows = messages.map((one, index) => [...nameOf(one, messages), ...columns.map((column) => shown(column.messages[index]?.waitMs ?? null))]);
  const same = columns.every((column) => column.messages.length === messages.length);
  return same ? `wait in seconds\n${table([...nameHeadings(messages), ...columns.map(({ name }) => name)], shortened(rows))}` : "The columns have different messages, so only their sums stand side by side.";
}

function summaryTable(columns: readonly Column[]): string {
  const of = (name: string, value: (column: Column) => string): string[] => [name, ...columns.map(value)];
  const pools = ["main", "side", "subagent"].filter((pool) => columns.some(({ summary }) => summary.pools.some((one) => one.pool === pool)));
  const rows = [
    of("wait", ({ summary }) => spread(summary.waitMs)),
    of("answer", ({ summary }) => spread(summary.totalMs)),
    ...(columns.some(({ summary }) => summary.resultsMs !== null) ? [of("results", ({ summary }) => (summary.resultsMs === null ? NONE : spread(summary.resultsMs)))] : []),
    of("all done after", ({ summary }) => `${seconds(summary.makespanMs)} s`),
    ...pools.map((pool) =>
      of(`${pool} slots`, ({ summary }) => {
        const use = summary.pools.find((one) => one.pool === pool);
        return use === undefined ? NONE : `${use.peak} of ${use.size} at most, ${round(use.mean)} on average`;
      }),
    ),
    ...counted(columns, "children", ({ summary }) => summary.children),
    ...counted(columns, "moved to a side track", ({ summary }) => summary.promotions),
    of("model requests", ({ summary }) => `${round(summary.requests)}${summary.providerWaitMs > 0 ? `, held ${seconds(summary.providerWaitMs)} s each by the limit` : ""}`),
    ...counted(columns, "cancelled", ({ summary }) => summary.cancelled),
    ...counted(columns, "refused", ({ summary }) => summary.refused),
  ];
  return table(["", ...(columns.length === 1 ? ["mean / p50 / p95 / max"] : columns.map(({ name }) => `${name} (mean / p50 / p95 / max)`))], rows);
}

function counted(columns: readonly Column[], name: string, value: (column: Column) => number): string[][] {
  return columns.some((column) => value(column) > 0) ? [[name, ...columns.map((column) => round(value(column)))]] : [];
}

function nameHeadings(messages: readonly MessageReport[]): string[] {
  return messages.some(({ message }) => message > 1) ? ["customer", "message"] : ["customer"];
}

function nameOf({ customer, message }: MessageReport, messages: readonly MessageReport[]): string[] {
  return nameHeadings(messages).length === 1 ? [String(customer)] : [String(customer), String(message)];
}

function shown(ms: number | null): string {
  return ms === null ? NONE : seconds(ms);
}

function spread({ mean, p50, p95, max }: Spread): string {
  return `${[mean, p50, p95, max].map(seconds).join(" / ")} s`;
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function shortened<Row extends readonly string[]>(rows: readonly Row[]): readonly (Row | string[])[] {
  if (rows.length <= ROWS_MAX) return rows;
  const half = ROWS_MAX / 2;
  return [...rows.slice(0, half), [`… ${rows.length - ROWS_MAX} more …`], ...rows.slice(-half)];
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.filter((row) => row.length > 1).map((row) => row[column]?.length ?? 0)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()).join("\n");
}
