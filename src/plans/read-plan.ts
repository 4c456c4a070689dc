/**
 * Reads a plan file of either kind and holds its graph to the rules: ids are unique, every wait names
 * a task that can come first, no task waits for itself through others. After this a plan can be run.
 */
import { nearest } from "../base/nearest.ts";
import { Fault } from "../model/faults.ts";
import { PLAN_BYTES_MAX, PLAN_PATTERNS_MAX, PLAN_PHASES_MAX, waitsFor, type Plan, type PlanTask } from "../model/plan.ts";
import { patternCount } from "./overlaps.ts";
import { PlanProblems } from "./plan-problems.ts";
import { readMarkdownPlan } from "./read-markdown.ts";
import { readYamlPlan } from "./read-yaml.ts";

/** How many characters of all titles are told in one problem. */
const KNOWN_SHOWN_MAX = 200;

/**
 * @param file  its name, for problems; `.yaml`, `.yml` and `.json` are read as YAML, the rest as Markdown.
 * @throws {Fault} PLAN_INVALID with every problem, each with file, line, what and how to mend it; BODY_TOO_LARGE.
 */
export function readPlan(file: string, source: string): Plan {
  const bytes = Buffer.byteLength(source);
  if (bytes > PLAN_BYTES_MAX) throw new Fault("BODY_TOO_LARGE", { bytes, bytesMax: PLAN_BYTES_MAX });
  const problems = new PlanProblems(file);
  const plan = /\.(ya?ml|json)$/i.test(file) ? readYamlPlan(source, problems) : readMarkdownPlan(source, problems);
  checkGraph(plan, problems);
  problems.throwIfAny();
  return plan;
}

function checkGraph(plan: Plan, problems: PlanProblems): void {
  if (plan.tasks.length === 0 && problems.count === 0) problems.add(1, "there is no task", "write e.g. - [ ] Log in (owns: src/auth/**)");
  if (plan.phases.length > PLAN_PHASES_MAX) problems.add(plan.phases[PLAN_PHASES_MAX]!.line, `more than ${PLAN_PHASES_MAX} phases`, "split the plan");
  if (problems.count === 0 && plan.tasks.flatMap(({ owns }) => owns.map(patternCount)).reduce((sum, count) => sum + count, 0) > PLAN_PATTERNS_MAX) problems.add(1, `the tasks own more than ${PLAN_PATTERNS_MAX} paths`, "name folders instead of files, and use fewer braces");
  const byId = new Map<string, PlanTask>();
  for (const task of plan.tasks) {
    const first = byId.get(task.id);
    if (first !== undefined) problems.add(task.line, `"${task.id}" is also the id of the task in line ${first.line}`, `give one of them another, e.g. (id: ${task.id.slice(0, 57)}-2)`);
    else byId.set(task.id, task);
  }
  const known = [...byId.keys()];
  let whole = true;
  for (const task of plan.tasks) {
    for (const id of waitsFor(task)) {
      const other = byId.get(id);
      if (other === undefined) {
        const meant = nearest(id, known);
        problems.add(task.line, `"${task.id}" waits for "${id}", which is no task`, meant === null ? `name one of ${known.join(", ").slice(0, KNOWN_SHOWN_MAX)}` : `did you mean ${meant}?`);
      } else if (other.phase > task.phase) problems.add(task.line, `"${task.id}" waits for "${id}" of a later phase`, "move one of them");
      else continue;
      whole = false;
    }
  }
  if (!whole || problems.count > 0) return;
  const cycle = findCycle(plan, byId);
  if (cycle !== null) problems.add(byId.get(cycle[0]!)!.line, `tasks wait for each other in a circle: ${cycle.join(" → ")}`, "take one of these waits away");
}

/** Tasks that wait for each other, the first one named again at the end; null = none do. */
function findCycle(plan: Plan, byId: ReadonlyMap<string, PlanTask>): readonly string[] | null {
  const over = new Set<string>();
  const way: string[] = [];
  const visit = (task: PlanTask): readonly string[] | null => {
    const at = way.indexOf(task.id);
    if (at >= 0) return [...way.slice(at), task.id];
    if (over.has(task.id)) return null;
    way.push(task.id);
    for (const id of waitsFor(task)) {
      const cycle = visit(byId.get(id)!);
      if (cycle !== null) return cycle;
    }
    way.pop();
    over.add(task.id);
    return null;
  };
  for (const task of plan.tasks) {
    const cycle = visit(task);
    if (cycle !== null) return cycle;
  }
  return null;
}
