/** Holds the code against the plan in `layers.ts`. A failure names file, line, rule and reason. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAst } from "vite";
import { ANNEXES, BANS, EXCEPTIONS, FLOORS, FOR_TESTS, GUESTS, SQL_PLACES } from "./layers.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SOURCES = ["src/**/*.ts", "dashboard/**/*.{ts,tsx}", "sim/**/*.ts", "bench/**/*.ts", "test/**/*.ts"];

interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly [field: string]: unknown;
}
interface Source {
  readonly file: string;
  readonly text: string;
  readonly nodes: readonly SyntaxNode[];
}

const sources: readonly Source[] = globSync(SOURCES, { cwd: ROOT, exclude: ["**/node_modules/**"] })
  .map((file) => readSource(file.replaceAll("\\", "/"), readFileSync(join(ROOT, file), "utf8")))
  .sort((a, b) => (a.file < b.file ? -1 : 1));

test("imports lead downwards only, so that each room can be understood from those below it", () => {
  assertNone(sources.flatMap(strayImports));
});

test("libraries and modules that carry an effect stay in the room that answers for it", () => {
  assertNone(sources.flatMap(strayGuests));
});

test("time, chance and the environment come in by parameter, so that every run can be repeated", () => {
  assertNone(sources.filter(({ file }) => !isTest(file)).flatMap(bannedUses));
});

test("SQL stands in the store only, so that what is kept can change without the rest", () => {
  assertNone(sources.filter(({ file }) => file.startsWith("src/") && !isTest(file)).flatMap(straySql));
});

test("no module of src has a variable of its own, so that two gateways can live in one process", () => {
  assertNone(sources.filter(({ file }) => file.startsWith("src/") && !isTest(file)).flatMap(moduleVariables));
});

test("each rule catches what it is there for", () => {
  const found = (file: string, text: string) => {
    const source = readSource(file, text);
    return [strayImports, strayGuests, bannedUses, straySql, moduleVariables].flatMap((rule) => rule(source)).length;
  };
  assert.equal(found("src/lanes/a.ts", `import type { X } from "../store/store.ts";`), 1, "strangers");
  assert.equal(found("src/model/a.ts", `type X = import("../turns/a.ts").X;`), 1, "upwards, by a type");
  assert.equal(found("src/turns/a.ts", `export * from "../lanes/settings.ts";`), 0, "downwards");
  assert.equal(found("src/trees/a.ts", `const x = await import("../timers/a.ts");`), 1, "strangers, later");
  assert.equal(found("src/store/a.ts", `const at = new URL("../lanes/a.ts", import.meta.url);`), 1, "strangers, as a worker");
  assert.equal(found("dashboard/a.ts", `import "../src/api/wire.ts"; import "../src/api/http.ts";`), 1, "the page");
  assert.equal(found("src/cli/commands/send.ts", `await import("../../main.ts");`), 1, "a command that is not up");
  assert.equal(found("src/turns/a.test.ts", `import "../../test/support/x.ts"; import "../trees/trees.ts";`), 1, "tests too");
  assert.equal(found("src/turns/a.ts", `import "../../test/support/x.ts";`), 1, "code that needs test support");
  assert.equal(found("src/turns/a.ts", `import { DatabaseSync } from "node:sqlite";`), 1, "a library in the wrong room");
  assert.equal(found("src/turns/a.ts", `Date.now(); new Date(); setTimeout(f, 1); process.env["X"]; globalThis.setTimeout(f);`), 5, "time and environment");
  assert.equal(found("src/turns/a.ts", `new Date(clock.now()); clock.after(1, f); // Date.now()\n const s = "process.env";`), 0, "names in comments and strings");
  assert.equal(found("src/turns/a.ts", "const a = `SELECT * FROM ${t}`; const b = 'select a model'; const c = 'DELETE FROM turns';"), 2, "SQL");
  assert.equal(found("src/turns/a.ts", "let count = 0; export let other; function f() { let fine = 1; }"), 2, "module state");
});

// ── rules ───────────────────────────────────────────────────────────────────────────────────

function strayImports(source: Source): readonly string[] {
  const { file } = source;
  const places = [...placesFor(file), ...(isTest(file) ? FOR_TESTS : [])];
  return importsOf(source)
    .filter(({ name }) => name.startsWith("."))
    .map(({ name, at }) => ({ to: normalize(join(dirname(file), name)).replaceAll("\\", "/"), at }))
    .filter(({ to }) => !isIn(to, places) && !EXCEPTIONS.some((one) => one.from === file && one.to === to))
    .map(({ to, at }) => `${place(source, at)}: ${file} may not import ${to}; it may import ${places.join(", ")}`);
}

function strayGuests(source: Source): readonly string[] {
  if (isTest(source.file) || !source.file.startsWith("src/")) return [];
  return importsOf(source).flatMap(({ name, at }) =>
    GUESTS.filter((guest) => (guest.name.endsWith("/") ? name.startsWith(guest.name) : name === guest.name))
      .filter(({ allowed }) => !isIn(source.file, allowed))
      .map(({ allowed, reason }) => `${place(source, at)}: ${name} belongs in ${allowed.join(", ")}: ${reason}`),
  );
}

function bannedUses(source: Source): readonly string[] {
  return source.nodes.flatMap((node) => {
    const code = codeOf(node);
    return BANS.filter((ban) => ban.code === code && !isIn(source.file, ban.allowed)).map(({ reason }) => `${place(source, node.start)}: ${code}: ${reason}`);
  });
}

const SQL = /^\s*(?:SELECT\s.+\sFROM\s|INSERT\s+(?:OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|CREATE\s+(?:UNIQUE\s+)?(?:TABLE|INDEX)\s|PRAGMA\s|BEGIN\s+IMMEDIATE)/s;

function straySql(source: Source): readonly string[] {
  if (isIn(source.file, SQL_PLACES)) return [];
  return source.nodes
    .filter((node) => SQL.test(literalText(node)))
    .map((node) => `${place(source, node.start)}: SQL belongs in ${SQL_PLACES.join(", ")}`);
}

function moduleVariables(source: Source): readonly string[] {
  const isVariable = (node: SyntaxNode | undefined) => node?.type === "VariableDeclaration" && node["kind"] !== "const";
  return source.nodes
    .filter((node) => node["depth"] === 1 && (isVariable(node) || isVariable(node["declaration"] as SyntaxNode | undefined)))
    .map((node) => `${place(source, node.start)}: a variable of the module; put it in an object that main.ts makes`);
}

// ── places ──────────────────────────────────────────────────────────────────────────────────

function placesFor(file: string): readonly string[] {
  const annex = Object.keys(ANNEXES).find((name) => isIn(file, [name]));
  if (annex !== undefined) return [annex, ...ANNEXES[annex]!];
  const level = FLOORS.findIndex((floor) => isIn(file, floor));
  assert.notEqual(level, -1, `${file} is in no room of test/layers.ts; say there on which floor it lives`);
  const own = FLOORS[level]!.filter((folder) => isIn(file, [folder]));
  return [...own, ...FLOORS.slice(0, level).flat()];
}

function isIn(file: string, places: readonly string[]): boolean {
  return places.some((one) => file === one || file.startsWith(`${one}/`));
}

function isTest(file: string): boolean {
  return file.endsWith(".test.ts") || file.endsWith("/contract-suite.ts") || file.startsWith("test/");
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────

function readSource(file: string, text: string): Source {
  const nodes: SyntaxNode[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (Array.isArray(value)) for (const one of value) visit(one, depth);
    else if (typeof value === "object" && value !== null) {
      if (typeof (value as SyntaxNode).type === "string") nodes.push({ ...(value as SyntaxNode), depth });
      for (const inner of Object.values(value)) visit(inner, depth + 1);
    }
  };
  visit(parseAst(text, { lang: file.endsWith("x") ? "tsx" : "ts" }), 0);
  return { file, text, nodes };
}

/** What a file imports, in every form: also types, re-exports, later imports and files of workers. */
function importsOf(source: Source): readonly { name: string; at: number }[] {
  return source.nodes.flatMap((node) => {
    const isUrl = node.type === "NewExpression" && (node["callee"] as SyntaxNode)["name"] === "URL" && source.text.slice(node.start, node["end"] as number).includes("import.meta.url");
    const from = (isUrl ? (node["arguments"] as SyntaxNode[])[0] : node["source"]) as SyntaxNode | undefined | null;
    const name = from?.type === "Literal" ? from["value"] : undefined;
    if (typeof name !== "string" || (isUrl && !name.endsWith(".ts"))) return [];
    return [{ name, at: node.start }];
  });
}

/** The form in which `BANS` names an expression, or "". */
function codeOf(node: SyntaxNode): string {
  const named = (part: unknown) => ((part as SyntaxNode | undefined)?.type === "Identifier" ? String((part as SyntaxNode)["name"]) : "");
  if (node.type === "NewExpression" && (node["arguments"] as unknown[]).length === 0) return `new ${named(node["callee"])}()`;
  if (node.type === "CallExpression") {
    const callee = node["callee"] as SyntaxNode;
    if (callee.type === "MemberExpression" && named(callee["object"]) === "globalThis") return `${named(callee["property"])}()`;
    return `${named(callee)}()`;
  }
  if (node.type === "MemberExpression") return `${named(node["object"])}.${named(node["property"])}`;
  return "";
}

function literalText(node: SyntaxNode): string {
  if (node.type === "Literal" && typeof node["value"] === "string") return node["value"];
  if (node.type !== "TemplateLiteral") return "";
  return (node["quasis"] as { value: { raw: string } }[]).map(({ value }) => value.raw).join(" x ");
}

function place(source: Source, start: number): string {
  return `${source.file}:${source.text.slice(0, start).split("\n").length}`;
}

function assertNone(findings: readonly string[]): void {
  assert.equal(findings.length, 0, `\n${findings.join("\n")}\n`);
}
