/**
 * PLAN.md: a plan as people write one.
 *
 *     # Shop                               the title
 *     base: main                           fields of the plan, one in a line, before the first task
 *     tests: npm test
 *
 *     ## Phase 1: data (gate: tests, approval)
 *     ### Schema (owns: src/data/**) (size: 45m)
 *     - [ ] Create the tables              steps of the task above
 *
 *     ## Phase 2: features
 *     - [ ] **auth** Log in (owns: src/auth/**)      below a phase, each line is a task
 *       - [ ] Test it                                and what is indented below are its steps
 *
 * A heading that begins with "Phase" is a phase. Any other heading with a checklist below it, or with
 * `(name: value)` in it, is a task; the rest is prose. Without any phase there is one.
 *
 * Problems are collected, never thrown; reading goes on behind each. Cost: linear in the text.
 */
import { nearest } from "../base/nearest.ts";
import type { Plan, PlanGate, PlanPhase, PlanStep, PlanTask } from "../model/plan.ts";
import { PLAN_STEPS_MAX, PLAN_TASKS_MAX } from "../model/plan.ts";
import { agentCount, budget, identity, line as oneLine, name, ownedProblem, size, slug, splitList, when, yesNo, type TextField } from "./fields.ts";
import type { PlanProblems } from "./plan-problems.ts";

interface Draft {
  readonly title: string;
  readonly line: number;
  readonly phase: number;
  readonly attributes: Attributes;
  readonly steps: PlanStep[];
  readonly text: string[];
  /** Ticked before the plan begins: nothing waits for it, and nothing is done about it. */
  readonly done: boolean;
}

type Attributes = ReadonlyMap<string, { readonly value: string; readonly line: number }>;

const TASK_ATTRIBUTES = ["id", "owns", "after", "when", "agent", "harness", "model", "size", "tests", "budget"];
const PHASE_ATTRIBUTES = ["gate", "tests", "commit"];
const PLAN_FIELDS = ["base", "onto", "tests", "setup", "copy", "agents", "watched"];
const GATE_PARTS = ["done", "tests", "approval", "commit"];
const NO_GATE: PlanGate = { tests: null, commit: null, approval: false };
const TEXT_LINES_MAX = 200;
const LINE_LENGTH_MAX = 4_000;

const HEADING = /^(#{1,6})[ \t]+(.*)$/;
const ITEM = /^([ \t]*)[-*+][ \t]+\[([ xX])\][ \t]+(.*)$/;
const PLAN_FIELD = /^(?:[-*+][ \t]+)?([a-z-]{2,10}):[ \t]+(.*)$/i;
const FENCE = /^[ \t]*(```|~~~)/;

/** The plan in the text, with whatever could be read. */
export function readMarkdownPlan(source: string, problems: PlanProblems): Plan {
  const fields = new Map<string, { value: string; line: number }>();
  const phases: PlanPhase[] = [];
  const drafts: Draft[] = [];
  let title = "";
  /** The task that a heading opened; a phase or the title closes it. */
  let headed: Draft | null = null;
  /** The task that a line below a phase opened. */
  let itemed: Draft | null = null;
  let fenced = false;
  const pending: { draft: Draft | null } = { draft: null };

  const keep = (draft: Draft, lineNumber: number): void => {
    if (drafts.length === PLAN_TASKS_MAX) problems.add(lineNumber, `more than ${PLAN_TASKS_MAX} tasks`, "split the plan");
    if (drafts.length < PLAN_TASKS_MAX) drafts.push(draft);
  };
  const keepPending = (): void => {
    if (pending.draft === null) return;
    keep(pending.draft, pending.draft.line);
    pending.draft = null;
  };

  for (const [index, raw] of source.split(/\r\n|\r|\n/).entries()) {
    const number = index + 1;
    if (raw.length > LINE_LENGTH_MAX) {
      problems.add(number, `the line is longer than ${LINE_LENGTH_MAX} characters`, "break it up");
      continue;
    }
    if (FENCE.test(raw)) fenced = !fenced;
    const heading = fenced ? null : HEADING.exec(raw);
    const item = fenced ? null : ITEM.exec(raw);
    if (heading !== null) {
      const { title: words, attributes } = readAttributes(heading[2]!.trim(), number, problems);
      itemed = null;
      if (/^phase\b/i.test(words)) {
        phases.push({ name: phaseName(words), gate: gateOf(attributes, number, problems), line: number });
        headed = null;
        pending.draft = null;
      } else if (heading[1] === "#" && title === "" && !/^agent\b/i.test(words) && attributes.size === 0) {
        title = words;
        headed = null;
        pending.draft = null;
      } else {
        headed = { title: words, line: number, phase: Math.max(0, phases.length - 1), attributes, steps: [], text: [], done: false };
        // Prose until a checklist or an attribute shows that it is work.
        pending.draft = headed;
        if (attributes.size > 0) keepPending();
      }
    } else if (item !== null) {
      const { title: words, attributes } = readAttributes(item[3]!, number, problems);
      const isStep = headed !== null || (itemed !== null && item[1] !== "");
      const owner: Draft | null = headed ?? itemed;
      if (isStep && owner !== null) {
        keepPending();
        for (const [key, given] of attributes) takeFromStep(owner, key, given, problems);
        if (owner.steps.length === PLAN_STEPS_MAX) problems.add(number, `"${owner.title}" has more than ${PLAN_STEPS_MAX} steps`, "split the task");
        if (owner.steps.length < PLAN_STEPS_MAX) owner.steps.push({ text: words, done: item[2] !== " " });
      } else {
        itemed = { title: words, line: number, phase: Math.max(0, phases.length - 1), attributes, steps: [], text: [], done: item[2] !== " " };
        keep(itemed, number);
      }
    } else if (!fenced && drafts.length === 0 && phases.length === 0 && PLAN_FIELD.test(raw)) {
      const [, key, value] = PLAN_FIELD.exec(raw)!;
      const known = key!.toLowerCase();
      const meant = nearest(known, PLAN_FIELDS);
      if (fields.has(known)) problems.add(number, `${known} is given twice`, "keep one of the two");
      // Other words with a colon behind them are prose.
      else if (PLAN_FIELDS.includes(known)) fields.set(known, { value: value!.trim(), line: number });
      else if (meant !== null) problems.add(number, `a plan has no "${known}"`, `did you mean ${meant}: ...?`);
    } else if (headed !== null && raw.trim() !== "" && headed.text.length < TEXT_LINES_MAX) headed.text.push(raw.trim());
    else if (itemed !== null && /^[ \t]+\S/.test(raw) && itemed.text.length < TEXT_LINES_MAX) itemed.text.push(raw.trim());
  }

  const read = reader(fields, problems);
  const tests = read("tests", oneLine);
  const tasks = drafts.map((draft) => taskOf(draft, problems));
  const over = new Set(tasks.filter((_task, index) => drafts[index]!.done).map(({ id }) => id));
  return {
    title: title === "" ? "Plan" : title,
    base: read("base", name),
    onto: read("onto", name),
    tests,
    setup: read("setup", oneLine),
    copy: splitList(fields.get("copy")?.value ?? ""),
    agents: read("agents", agentCount),
    watched: read("watched", yesNo),
    phases: phases.length > 0 ? phases.map((phase) => withTests(phase, tests, problems)) : [{ name: "all", gate: NO_GATE, line: 1 }],
    tasks: tasks.filter(({ id }) => !over.has(id)).map((task) => ({ ...task, after: task.after.filter((id) => !over.has(id)) })),
  };
}

/** Reads one field and collects the problem when its value is no good. */
function reader(fields: Attributes, problems: PlanProblems) {
  return <T>(key: string, field: TextField<T>): T | null => {
    const given = fields.get(key);
    if (given === undefined) return null;
    const value = field.read(given.value);
    if (value === null) problems.add(given.line, `${key}: ${shown(given.value)} is not understood`, `write ${field.expected}`);
    return value;
  };
}

function taskOf(draft: Draft, problems: PlanProblems): PlanTask {
  const { attributes, line } = draft;
  for (const [key, given] of attributes) {
    if (!TASK_ATTRIBUTES.includes(key)) problems.add(given.line, `a task has no "${key}"`, `use one of ${TASK_ATTRIBUTES.join(", ")}`);
  }
  const read = reader(attributes, problems);
  const bold = /^(?:\*\*|__)([^*_]{1,60})(?:\*\*|__):?[ \t]*(.*)$/.exec(draft.title);
  const lane = /^(agent[ \t]+[\w-]{1,40})[ \t]*(?::|—|–|-|\(|$)[ \t]*(.*?)\)?$/i.exec(draft.title);
  const words = bold?.[2] || lane?.[2] || draft.title;
  const id = read("id", identity) ?? slug(bold?.[1] ?? lane?.[1] ?? draft.title);
  const owns = splitList(attributes.get("owns")?.value ?? "");
  for (const claim of owns) {
    const problem = ownedProblem(claim);
    if (problem !== null) problems.add(attributes.get("owns")!.line, `owns: ${shown(claim)} ${problem}`, "name a path from the top of the repository, e.g. src/auth/**");
  }
  return {
    id: id === "" ? `task-${line}` : id,
    title: words.replaceAll("`", ""),
    text: draft.text.join("\n"),
    phase: draft.phase,
    owns,
    after: [...new Set(splitList(attributes.get("after")?.value ?? "").map((each) => slug(each)))],
    when: read("when", when),
    agent: read("agent", name),
    harness: read("harness", name),
    model: read("model", name),
    minutes: read("size", size),
    tests: read("tests", oneLine),
    budget: read("budget", budget),
    steps: draft.steps,
    line,
  };
}

/** A step may say what its task owns, waits for or tests; the task has it then. */
function takeFromStep(owner: Draft, key: string, given: { value: string; line: number }, problems: PlanProblems): void {
  const attributes = owner.attributes as Map<string, { value: string; line: number }>;
  const before = attributes.get(key);
  if (key === "owns" || key === "after") attributes.set(key, { value: before === undefined ? given.value : `${before.value}, ${given.value}`, line: given.line });
  else if (before === undefined) attributes.set(key, given);
  else problems.add(given.line, `${key} is given twice for "${owner.title}"`, "keep one of the two");
}

function phaseName(words: string): string {
  const [, number, rest] = /^phase[ \t]*([\w.]*)[ \t]*[:.—–-]?[ \t]*(.*)$/i.exec(words) ?? [];
  return rest || (number ? `phase ${number}` : words);
}

/** `(gate: tests, approval, commit feat: parser)`, with `(tests: npm test)` beside it for what to run. */
function gateOf(attributes: Attributes, line: number, problems: PlanProblems): PlanGate {
  for (const key of attributes.keys()) if (!PHASE_ATTRIBUTES.includes(key)) problems.add(line, `a phase has no "${key}"`, `use one of ${PHASE_ATTRIBUTES.join(", ")}`);
  const read = reader(attributes, problems);
  let gate: PlanGate = { tests: read("tests", oneLine), commit: read("commit", oneLine), approval: false };
  for (const part of splitList(attributes.get("gate")?.value ?? "")) {
    const [, word, rest] = /^([a-z]+)[ \t:]*(.*)$/i.exec(part) ?? [];
    switch (word?.toLowerCase()) {
      case "approval":
        gate = { ...gate, approval: true };
        break;
      case "commit":
        if (rest === "" && gate.commit === null) problems.add(line, "the gate waits for a commit, but not which", "write e.g. (gate: commit feat: implement parser)");
        else if (rest !== "") gate = { ...gate, commit: rest!.replace(/^(["'`])(.*)\1$/, "$2") };
        break;
      case "tests":
        gate = { ...gate, tests: rest || (gate.tests ?? "") };
        break;
      case "done":
        break;
      default:
        problems.add(line, `a gate has no "${shown(part)}"`, `use one of ${GATE_PARTS.join(", ")}`);
    }
  }
  return gate;
}

const OPENING = /^[a-z]{2,12}[ \t]*[:=]/i;
const ATTRIBUTE = /^([a-z]{2,12}):[ \t]*(.*)$/is;
const MISTAKEN = /^([a-z]{2,12})[ \t]*=[ \t]*(.*)$/is;

/** Takes `(name: value)` out of a line; parentheses inside a value stay whole, other parentheses are words. */
function readAttributes(text: string, line: number, problems: PlanProblems): { title: string; attributes: Attributes } {
  const attributes = new Map<string, { value: string; line: number }>();
  const known = [...TASK_ATTRIBUTES, ...PHASE_ATTRIBUTES];
  let title = "";
  for (let at = 0; at < text.length; ) {
    const opens = text[at] === "(" && OPENING.test(text.slice(at + 1, at + 16));
    const end = opens ? closing(text, at) : -1;
    const inside = end === -1 ? "" : text.slice(at + 1, end);
    const [, key, value] = ATTRIBUTE.exec(inside) ?? [];
    const word = key?.toLowerCase();
    if (word !== undefined && known.includes(word)) {
      if (attributes.has(word)) problems.add(line, `${word} is given twice`, "keep one of the two");
      if (value!.trim() === "") problems.add(line, `${word}: says nothing`, `write e.g. (${word === "owns" ? "owns: src/auth/**" : `${word}: ...`}), or leave it out`);
      attributes.set(word, { value: value!.trim(), line });
      at = end + 1;
      continue;
    }
    const meant = word === undefined ? null : nearest(word, known);
    if (meant !== null) problems.add(line, `nothing is called "${word}"`, `did you mean (${meant}: ...)?`);
    const [, mistaken] = MISTAKEN.exec(inside) ?? [];
    if (mistaken !== undefined && known.includes(mistaken.toLowerCase())) problems.add(line, `(${shown(inside)}) is not understood`, `write (${mistaken.toLowerCase()}: ...)`);
    if (opens && end === -1 && known.some((one) => text.slice(at + 1).toLowerCase().startsWith(`${one}:`))) {
      problems.add(line, "a parenthesis is opened and not closed", "add the ) behind the value");
      title += text.slice(at);
      break;
    }
    title += text[at];
    at++;
  }
  return { title: title.replace(/\s+/g, " ").trim(), attributes };
}

/** `(gate: tests)` without a command means those of the plan. */
function withTests(phase: PlanPhase, tests: string | null, problems: PlanProblems): PlanPhase {
  if (phase.gate.tests !== "") return phase;
  if (tests === null) problems.add(phase.line, "the gate runs tests, but not which", "add tests: npm test at the top of the plan, or (tests: npm test) here");
  return { ...phase, gate: { ...phase.gate, tests } };
}

const ATTRIBUTE_LENGTH_MAX = 2_000;

/** Where the parenthesis that opens at `from` closes; -1 = nowhere near. */
function closing(text: string, from: number): number {
  let depth = 0;
  const end = Math.min(text.length, from + ATTRIBUTE_LENGTH_MAX);
  for (let at = from; at < end; at++) {
    if (text[at] === "(") depth++;
    if (text[at] === ")" && --depth === 0) return at;
  }
  return -1;
}

export function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text);
}
