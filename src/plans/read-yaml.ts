/**
 * plan.yaml: a plan as programs write one. `plan-schema.ts` has its shape, for editors too.
 *
 * The document is walked node by node, so that each problem has its line. Refused, because a plan
 * needs none of it and each can blow up or hide something: aliases, tags, merge keys, several
 * documents. Problems are collected, never thrown. Cost: linear in the text.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Node, type YAMLMap } from "yaml";
import { nearest } from "../base/nearest.ts";
import { PLAN_PHASES_MAX, PLAN_STEPS_MAX, PLAN_TASKS_MAX, type Plan, type PlanBudget, type PlanGate, type PlanPhase, type PlanStep, type PlanTask } from "../model/plan.ts";
import { agentCount, budget, identity, line as oneLine, name, ownedProblem, size, when, yesNo, type TextField } from "./fields.ts";
import type { PlanProblems } from "./plan-problems.ts";
import { shown } from "./read-markdown.ts";

const PLAN_KEYS = ["title", "base", "onto", "tests", "setup", "copy", "agents", "watched", "phases", "tasks"];
const PHASE_KEYS = ["name", "gate", "tasks"];
const GATE_KEYS = ["tests", "commit", "approval"];
const TASK_KEYS = ["id", "title", "text", "owns", "after", "when", "agent", "harness", "model", "size", "tests", "budget", "steps"];
const NO_GATE: PlanGate = { tests: null, commit: null, approval: false };
const LINE_LENGTH_MAX = 4_000;
const EMPTY_LINES_MAX = 500;
const LIST_MAX = 500;
const TEXT_LENGTH_MAX = 20_000;

/** The plan in the text, with whatever could be read. */
export function readYamlPlan(source: string, problems: PlanProblems): Plan {
  // What the library needs grows with the square of a line's length, and of the empty lines in a row, where they are hostile.
  let empty = 0;
  for (const [index, text] of source.split("\n").entries()) {
    if (text.length > LINE_LENGTH_MAX) problems.add(index + 1, `the line is longer than ${LINE_LENGTH_MAX} characters`, "break it up");
    empty = text.trim() === "" ? empty + 1 : 0;
    if (empty === EMPTY_LINES_MAX + 1) problems.add(index + 1, `more than ${EMPTY_LINES_MAX} empty lines in a row`, "take them out");
  }
  if (problems.count > 0) source = "";
  const lines = new LineCounter();
  const documents = parseAllDocuments(source, { lineCounter: lines, uniqueKeys: false, merge: false, logLevel: "silent", version: "1.2" });
  const [document] = Array.isArray(documents) ? documents : [];
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  for (const error of document?.errors ?? []) problems.add(lineAt(error.pos[0]), error.message.split("\n")[0]!.replace(/ at line.*$/, ""), "mend the YAML; indent with blanks, quote text with : or # in it");
  if (Array.isArray(documents) && documents.length > 1) problems.add(lineAt(documents[1]!.range[0]), "there is a second document", "keep one plan in a file");
  const root = document?.contents ?? null;
  if (problems.count === 0 && !isMap(root)) problems.add(1, "the plan is no map of fields", "begin with title: and tasks:");
  return new Walk(lineAt, problems).plan(isMap(root) && problems.count === 0 ? root : null);
}

type Place = { readonly node: unknown; readonly line: number };

class Walk {
  readonly #lineAt: (offset: number) => number;
  readonly #problems: PlanProblems;

  constructor(lineAt: (offset: number) => number, problems: PlanProblems) {
    this.#lineAt = lineAt;
    this.#problems = problems;
  }

  plan(root: YAMLMap | null): Plan {
    const fields = this.#fields(root, "a plan", PLAN_KEYS);
    const phases: PlanPhase[] = [];
    const tasks: PlanTask[] = [];
    for (const place of this.#items(fields.get("phases"), "phases", PLAN_PHASES_MAX)) {
      const phase = this.#fields(this.#map(place, "a phase"), "a phase", PHASE_KEYS);
      phases.push({ name: this.#text(phase, "name", oneLine) ?? `phase ${phases.length + 1}`, gate: this.#gate(phase.get("gate")), line: place.line });
      for (const task of this.#items(phase.get("tasks"), "tasks", PLAN_TASKS_MAX)) tasks.push(this.#task(task, phases.length - 1));
    }
    for (const task of this.#items(fields.get("tasks"), "tasks", PLAN_TASKS_MAX)) {
      if (phases.length > 0 && tasks.every(({ phase }) => phase < phases.length) && fields.has("phases")) {
        this.#problems.add(task.line, "tasks stand beside phases", "put them below one of the phases");
        break;
      }
      tasks.push(this.#task(task, 0));
    }
    return {
      title: this.#text(fields, "title", oneLine) ?? "Plan",
      base: this.#text(fields, "base", name),
      onto: this.#text(fields, "onto", name),
      tests: this.#text(fields, "tests", oneLine),
      setup: this.#text(fields, "setup", oneLine),
      copy: this.#list(fields, "copy", oneLine),
      agents: this.#text(fields, "agents", agentCount),
      watched: this.#text(fields, "watched", yesNo),
      phases: phases.length > 0 ? phases : [{ name: "all", gate: NO_GATE, line: 1 }],
      tasks,
    };
  }

  #gate(place: Place | undefined): PlanGate {
    if (place === undefined) return NO_GATE;
    const fields = this.#fields(this.#map(place, "a gate"), "a gate", GATE_KEYS);
    return { tests: this.#text(fields, "tests", oneLine), commit: this.#text(fields, "commit", oneLine), approval: this.#text(fields, "approval", yesNo) ?? false };
  }

  #task(place: Place, phase: number): PlanTask {
    const fields = this.#fields(this.#map(place, "a task"), "a task", TASK_KEYS);
    if (!fields.has("id")) this.#problems.add(place.line, "a task has no id", "add e.g. id: auth");
    const id = this.#text(fields, "id", identity) ?? `task-${place.line}`;
    const owns = this.#list(fields, "owns", oneLine);
    for (const claim of owns) {
      const problem = ownedProblem(claim);
      if (problem !== null) this.#problems.add(fields.get("owns")!.line, `owns: ${shown(claim)} ${problem}`, "name a path from the top of the repository, e.g. src/auth/**");
    }
    const steps = this.#list(fields, "steps", oneLine).map((text): PlanStep => {
      const [, tick, words] = /^\[([ xX])\][ \t]+(.*)$/.exec(text) ?? [];
      return { text: words ?? text, done: tick !== undefined && tick !== " " };
    });
    if (steps.length > PLAN_STEPS_MAX) this.#problems.add(place.line, `more than ${PLAN_STEPS_MAX} steps`, "split the task");
    return {
      id,
      title: this.#text(fields, "title", oneLine) ?? id,
      text: this.#text(fields, "text", { expected: `text of at most ${TEXT_LENGTH_MAX} characters`, read: (text) => (text.length <= TEXT_LENGTH_MAX ? text.trim() : null) }) ?? "",
      phase,
      owns,
      after: [...new Set(this.#list(fields, "after", identity))],
      when: this.#when(fields.get("when")),
      agent: this.#text(fields, "agent", name),
      harness: this.#text(fields, "harness", name),
      model: this.#text(fields, "model", name),
      minutes: this.#text(fields, "size", size),
      tests: this.#text(fields, "tests", oneLine),
      budget: this.#budget(fields.get("budget")),
      steps: steps.slice(0, PLAN_STEPS_MAX),
      line: place.line,
    };
  }

  #when(place: Place | undefined): PlanTask["when"] {
    if (place === undefined) return null;
    if (isScalar(place.node)) return this.#text(new Map([["when", place]]), "when", when);
    const fields = this.#fields(this.#map(place, "when"), "when", ["task", "commit"]);
    const [task, commit] = [this.#text(fields, "task", identity), this.#text(fields, "commit", oneLine)];
    if (task === null || commit === null) this.#problems.add(place.line, "when needs a task and a commit", `write ${when.expected}`);
    return task === null || commit === null ? null : { task, commit };
  }

  #budget(place: Place | undefined): PlanBudget | null {
    if (place === undefined) return null;
    if (isScalar(place.node)) return this.#text(new Map([["budget", place]]), "budget", budget);
    const fields = this.#fields(this.#map(place, "a budget"), "a budget", ["tokens", "calls", "money"]);
    const amount = (key: string, pattern: RegExp): number | null => this.#text(fields, key, { expected: "a number above 0", read: (text) => (pattern.test(text) && Number(text) > 0 ? Number(text) : null) });
    return { tokens: amount("tokens", /^\d{1,12}$/), calls: amount("calls", /^\d{1,9}$/), money: amount("money", /^\d{1,6}(\.\d{1,4})?$/) };
  }

  // ── nodes ─────────────────────────────────────────────────────────────────────────────────

  #fields(map: YAMLMap | null, what: string, known: readonly string[]): Map<string, Place> {
    const found = new Map<string, Place>();
    for (const { key, value } of map?.items ?? []) {
      const line = this.#lineOf(key, 1);
      const word = isScalar(key) ? String(key.value) : null;
      if (word === null || !known.includes(word)) {
        const meant = word === null ? null : nearest(word, known);
        this.#problems.add(line, `${what} has no ${shown(word ?? "such key")}`, meant === null ? `use one of ${known.join(", ")}` : `did you mean ${meant}?`);
      } else if (found.has(word)) this.#problems.add(line, `${what} has ${word} twice`, "keep one of the two");
      else if (value !== null && !(isScalar(value) && value.value === null)) found.set(word, { node: value, line: this.#lineOf(value, line) });
    }
    return found;
  }

  #map(place: Place, what: string): YAMLMap | null {
    if (isMap(place.node)) return place.node;
    this.#refuse(place, `${what} is no map of fields`, "write its fields as name: value, one in a line");
    return null;
  }

  #items(place: Place | undefined, key: string, max: number): readonly Place[] {
    if (place === undefined) return [];
    if (!isSeq(place.node)) {
      this.#refuse(place, `${key} is no list`, "begin each with - in a line of its own");
      return [];
    }
    const { items } = place.node;
    if (items.length > max) this.#problems.add(place.line, `more than ${max} ${key}`, "split the plan");
    return items.slice(0, max).map((node) => ({ node, line: this.#lineOf(node, place.line) }));
  }

  /** One text; a number, yes or no count as theirs. */
  #text<T>(fields: ReadonlyMap<string, Place>, key: string, field: TextField<T>): T | null {
    const place = fields.get(key);
    if (place === undefined) return null;
    if (!isScalar(place.node) || typeof place.node.value === "object") {
      this.#refuse(place, `${key} is no single value`, `write ${field.expected}`);
      return null;
    }
    const text = String(place.node.source ?? place.node.value);
    const value = field.read(typeof place.node.value === "string" ? place.node.value : text);
    if (value === null) this.#problems.add(place.line, `${key}: ${shown(text)} is not understood`, `write ${field.expected}`);
    return value;
  }

  /** A list of texts, or one alone. */
  #list<T>(fields: ReadonlyMap<string, Place>, key: string, field: TextField<T>): readonly T[] {
    const place = fields.get(key);
    if (place === undefined) return [];
    const places = isSeq(place.node) ? this.#items(place, key, LIST_MAX) : [place];
    return places.flatMap((each) => this.#text(new Map([[key, each]]), key, field) ?? []);
  }

  #refuse(place: Place, what: string, mend: string): void {
    if (isAlias(place.node)) this.#problems.add(place.line, "an alias stands here", "write out what it stands for");
    else this.#problems.add(place.line, what, mend);
  }

  #lineOf(node: unknown, fallback: number): number {
    const range = (node as Node | null)?.range;
    return range === null || range === undefined ? fallback : this.#lineAt(range[0]);
  }
}
