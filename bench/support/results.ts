/** How results are told: one line each on the terminal, and a table in RESULTS.md. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { meetsMust, ratioToFloor, type Row } from "./bench.ts";

const FILE = new URL("../RESULTS.md", import.meta.url);
const BYTES_PER_GB = 1024 ** 3;

const INTRODUCTION = `# Results

Made by \`node bench/run.ts\`; do not edit. The gateway runs as people run it (a process of its own, started by its
launcher, a fresh home, every commit synced to disk), and so does the model stand-in. Clients, gateway and stand-in share the
same cores, so a turn pays for all three; figures of a gateway alone would be better. The floor is the same work without the
gateway in the same run, mostly the gateway's own model call sent straight to the stand-in: when a machine is slow or
busy, the ratio to the floor says more than the absolute figure. "own" times are what the gateway adds to the floor.
`;

/** A row as one line: name, measured, must, aim, floor and ratio to it, verdict. */
export function lineOf(row: Row): string {
  const ratio = ratioToFloor(row);
  const cells = [
    row.name.padEnd(62),
    shown(row.measured, row).padStart(11),
    `must ${shown(row.must, row)}`.padEnd(17),
    `aim ${shown(row.aim, row)}`.padEnd(16),
    row.floor === null ? "".padEnd(24) : `floor ${shown(row.floor, row)} (${ratio === null ? "" : `x${ratio.toFixed(2)}`})`.padEnd(24),
    verdict(row).padEnd(5),
    row.note,
  ];
  return cells.join(" ").trimEnd();
}

/** Replaces RESULTS.md. */
export function writeResults(rows: readonly Row[]): void {
  const lines = rows.map((row) => {
    const ratio = ratioToFloor(row);
    return `| ${[row.name, shown(row.measured, row), shown(row.must, row), shown(row.aim, row), shown(row.floor, row), ratio === null ? "" : ratio.toFixed(2), verdict(row), row.note].join(" | ")} |`;
  });
  const table = ["| measure | measured | must | aim | floor | times the floor | | how |", "|---|---|---|---|---|---|---|---|", ...lines];
  writeFileSync(FILE, `${INTRODUCTION}\n${machine().join("\n")}\n\n${table.join("\n")}\n`);
}

function machine(): string[] {
  const [first] = cpus();
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: new URL(".", import.meta.url), encoding: "utf8" }).trim();
  return [
    `- date: ${new Date().toISOString().slice(0, 10)}`,
    `- commit: ${commit}`,
    `- machine: ${cpus().length} cores (${first?.model.trim() ?? "unknown"}), ${(totalmem() / BYTES_PER_GB).toFixed(0)} GB of memory, Linux ${release().split("-")[0]}`,
    `- Node: ${process.versions.node}`,
  ];
}

function shown(value: number | null, { unit }: Row): string {
  if (value === null) return "";
  const digits = unit === "times" ? 2 : value < 10 ? 2 : value < 100 ? 1 : 0;
  return unit === "/s" ? `${value.toFixed(digits)}/s` : unit === "times" ? `${value.toFixed(digits)}x` : `${value.toFixed(digits)} ${unit}`;
}

function verdict(row: Row): string {
  if (row.must === null) return "";
  return meetsMust(row) ? "ok" : "MISS";
}
