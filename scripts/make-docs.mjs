/**
 * Writes docs/reference/ and the schemas of api/wire.ts from the code, or with `--check` says which of them are
 * no longer what the code says.
 *
 * The pages are made from the same entries that the program runs on; nobody edits them by hand.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../src/base/clock.ts";
import { buildProgram } from "../src/cli/program.ts";
import { ALL_SETTINGS } from "../src/config/all-settings.ts";
import { EVENT_TYPES } from "../src/model/event.ts";
import { FAULTS } from "../src/model/faults.ts";
import { PLAN_TASK_MOVES } from "../src/model/plan-run.ts";
import { PLAN_SCHEMA } from "../src/plans/plan-schema.ts";
import { TASK_MOVES } from "../src/model/task.ts";
import { TURN_MOVES } from "../src/model/turn.ts";
import { wireSchemas } from "./wire-schemas.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join("docs", "reference");

const PAGES = {
  [join(folder, "settings.md")]: settingsPage(),
  [join(folder, "faults.md")]: faultsPage(),
  [join(folder, "events.md")]: eventsPage(),
  [join(folder, "states.md")]: statesPage(),
  [join(folder, "cli.md")]: await cliPage(),
  [join(folder, "plan.schema.json")]: `${JSON.stringify(PLAN_SCHEMA, null, 2)}\n`,
  [join("src", "api", "wire-schemas.ts")]: wireSchemasSource(),
};

const isCheck = process.argv.includes("--check");
mkdirSync(join(root, folder), { recursive: true });
for (const [name, text] of Object.entries(PAGES)) {
  const file = join(root, name);
  const before = textOf(file);
  if (before === text) continue;
  if (isCheck) {
    process.stdout.write(`${name} is not what the code says\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(file, text);
    process.stdout.write(`${name} written\n`);
  }
}

// ── pages ───────────────────────────────────────────────────────────────────────────────────

function settingsPage() {
  const entry = ({ key, unit, fallback, bounds, takesEffect, doc, aliases, secret }) => `## ${code(key)}

${doc.trim()}

| | |
|---|---|
| fallback | ${code(JSON.stringify(fallback))} |
| unit | ${unit} |
| bounds | ${cell(bounds)} |
| takes effect | ${takesEffect} |
${aliases === undefined ? "" : `| also read as | ${aliases.map(code).join(", ")} |\n`}${secret === true ? "| secret | may hold a credential, and is never shown |\n" : ""}`;
  return page(
    "Settings",
    "Written in `yardmaster.json5` in the state directory, nested or flat, or with `yard config set KEY VALUE`. What takes effect at once does so in the running gateway; `next turn` means for turns that start after the change.",
    ALL_SETTINGS.map(entry).join("\n"),
  );
}

function faultsPage() {
  const rows = Object.entries(FAULTS).map(([name, entry]) => [code(name), entry.kind, entry.httpStatus, entry.retryable ? "yes" : "no", cell(sampleText(entry.text))]);
  return page(
    "Faults",
    "Every expected refusal. Over HTTP a fault is `{code, message, details, retryable, retryAfterMs?}`; commands print `yard: CODE: message`. `caller`: mend the request. `busy`: wait and send it again. `gone`: give up on the thing. `outside`: look outside the program. Words in `<>` stand for details.",
    table(["code", "kind", "HTTP status", "retryable", "message"], rows),
  );
}

function eventsPage() {
  const rows = Object.entries(EVENT_TYPES).map(([name, about]) => [code(name), cell(about)]);
  return page(
    "Events",
    "Lines of `GET /api/events`: `{seq, session, at, type, turnId?, taskId?, data, cursor}`. `seq` counts per session from 1 without gaps; `cursor` orders the events of all sessions. Provisional frames (`text.delta`, `reasoning.delta`, `text.void`) have neither and are never repeated. `resync` says that events after `data.after` and up to `data.upTo` are no longer kept.",
    table(["type", "when"], rows),
  );
}

function statesPage() {
  return page("States", "The lives of turns, tasks, and tasks of plans. What is not listed cannot happen.", `## Turn\n\n${machine(TURN_MOVES)}\n## Task\n\n${machine(TASK_MOVES)}\n## Task of a plan\n\n${machine(PLAN_TASK_MOVES)}`);
}

async function cliPage() {
  const ignored = { write: () => true };
  const program = await buildProgram({ terminal: { input: ignored, output: ignored, errors: ignored }, environment: {}, home: "", clock: systemClock, program: "yard", connect: () => Promise.reject(new Error("the docs need no gateway")), fail: () => {} });
  const sections = [];
  const visit = (command, words) => {
    const path = [...words, command.name()];
    if (command.commands.length > 0) return command.commands.forEach((one) => visit(one, path));
    const args = command.registeredArguments.map((one) => ` ${one.required ? `<${one.name()}>` : `[${one.name()}]`}`).join("");
    const rows = [
      ...command.registeredArguments.filter((one) => one.description).map((one) => [code(`<${one.name()}>`), cell(one.description)]),
      ...command.options.map((one) => [code(one.flags), cell(one.description + choicesText(one) + fallbackText(one))]),
    ];
    sections.push(`## ${code(path.join(" ") + args)}\n\n${command.description()}\n${rows.length === 0 ? "" : `\n${table(["", ""], rows)}`}`);
  };
  program.commands.forEach((one) => visit(one, ["yard"]));
  return page("Commands", "Exit codes: 0 done, 1 failed, 2 wrong use, 3 no gateway there. Errors are one line on standard error, `yard: CODE: message`; with `--json` the fault as JSON.", sections.join("\n"));
}

/** As one line of JSON for each shape: nobody reads it, and a diff still shows which shape changed. */
function wireSchemasSource() {
  const shapes = Object.entries(wireSchemas(readFileSync(join(root, "src", "api", "wire.ts"), "utf8")));
  return `/** The shapes of wire.ts as JSON Schemas, for the OpenAPI document. Made by scripts/make-docs.mjs; do not edit. */
import type { JsonObject } from "../base/json.ts";

export const WIRE_SCHEMAS: Readonly<Record<string, JsonObject>> = {
${shapes.map(([name, schema]) => `  ${name}: ${JSON.stringify(schema)},\n`).join("")}};
`;
}

// ── parts ───────────────────────────────────────────────────────────────────────────────────

function page(title, intro, body) {
  return `<!-- Made from the code by scripts/make-docs.mjs. Do not edit. -->\n\n# ${title}\n\n${intro}\n\n${body.trimEnd()}\n`;
}

function table(headings, rows) {
  return [headings, headings.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |\n`).join("");
}

function machine(moves) {
  const all = Object.entries(moves).flatMap(([from, leads]) => Object.entries(leads).map(([move, to]) => ({ from, move, to })));
  const ends = Object.keys(moves).filter((state) => Object.keys(moves[state]).length === 0);
  const first = Object.keys(moves)[0];
  const arrows = [`  [*] --> ${first}`, ...all.map(({ from, move, to }) => `  ${from} --> ${to}: ${move}`), ...ends.map((state) => `  ${state} --> [*]`)];
  return `\`\`\`mermaid\nstateDiagram-v2\n${arrows.join("\n")}\n\`\`\`\n\n${table(["from", "move", "to"], all.map(({ from, move, to }) => [from, move, to]))}\nFinal: ${ends.join(", ")}.\n`;
}

/** A fault's text with the names of its details in place of their values. */
function sampleText(text) {
  const sample = new Proxy({}, { get: (_target, name) => `<${String(name)}>` });
  // Where a text computes with a number (milliseconds into seconds) the name cannot stand for it.
  return text(sample).replace(/NaN/g, "<n>");
}

function choicesText(option) {
  return option.argChoices === undefined ? "" : `: ${option.argChoices.join(", ")}`;
}

function fallbackText(option) {
  return option.defaultValue === undefined || typeof option.defaultValue === "boolean" ? "" : ` (default ${option.defaultValue})`;
}

function code(text) {
  return `\`${oneLine(text)}\``;
}

/** Text between the bars of a table. */
function cell(text) {
  return oneLine(text).replaceAll("<", "\\<");
}

function oneLine(text) {
  return String(text).replaceAll("|", "\\|").replace(/\s+/g, " ");
}

function textOf(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}
