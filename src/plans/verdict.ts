/**
 * Sequential or parallel? Four questions, asked for each phase in this order; the first "no" decides:
 *
 *     Is the work truly independent?           no task waits for all others, nobody's paths overlap, all say what they own
 *     Will conflicts be easy to resolve?       files that everybody touches; files that always changed together
 *     Is each task substantial?                half an hour or more, against the cost of starting and merging an agent
 *     Is there time to watch and merge?        somebody who looks, or tests that the gateway runs after every merge
 *
 * A pure function of plan and repository; nothing is guessed where the log of the repository knows.
 */
import { claimCovers } from "../model/path-claims.ts";
import { concurrentPairs, predecessors, type Plan, type PlanTask } from "../model/plan.ts";
import type { Cost, Decision, Mode, PhaseVerdict, Reason, Verdict } from "../model/verdict.ts";
import { sharedClaims } from "./overlaps.ts";
import { pathsNamedIn, sharedKind } from "./shared-files.ts";
import type { RepositoryFacts } from "./repository-facts.ts";

export interface CheckOptions {
  /** Whether somebody looks on; null = as the plan says. */
  readonly watched: boolean | null;
  readonly agentsMax: number;
}

/** Under this, starting and merging an agent costs more than it saves. */
export const SUBSTANTIAL_MINUTES = 30;
const STEP_MINUTES = 15;
const SMALL_MINUTES = 5;
/** Making a workspace, reading in, and merging with tests. */
const START_MINUTES = 2;
const MERGE_MINUTES = 2;
const CONFLICT_MINUTES = 10;
/** More conflicts than this for each task of a phase are not easy. */
const EASY_CONFLICTS_PER_TASK = 0.34;
/** Files that changed together this often, in this part of their commits, belong together. */
const TOGETHER_COMMITS_MIN = 3;
const TOGETHER_PART_MIN = 0.3;
const TURNS_PER_STEP = 4;
const TURNS_TO_START = 2;
const TURNS_PER_CONFLICT = 6;
/** A new context, and what each turn adds to it, tokens. */
const CONTEXT_TOKENS = 2_000;
const TURN_TOKENS = 600;
/** Where a context is summarised, tokens. */
const CONTEXT_TOKENS_MAX = 100_000;
const SMALL = /\b(typo|rename|bump|reword|comment|whitespace|formatt?ing|lint|one[- ]liner|wording)\b/i;
const PATHS_SHOWN_MAX = 8;

export function judge(plan: Plan, facts: RepositoryFacts, options: CheckOptions): Verdict {
  const agents = Math.max(1, Math.min(plan.agents ?? options.agentsMax, options.agentsMax));
  const phases = plan.phases.map((_phase, index) => judgePhase(plan, index, facts, options, agents)).filter(({ tasks }) => tasks.length > 0);
  const isParallel = phases.some(({ mode }) => mode === "parallel");
  const conflictsExpected = round(sum(phases.filter(({ mode }) => mode === "parallel" || !isParallel).map((phase) => phase.conflictsExpected)));
  const turns = plan.tasks.map(turnsOf);
  const sequential: Cost = { minutes: round(sum(phases.map(({ minutes }) => minutes.sequential))), requests: sum(turns), tokens: tokensOf(sum(turns)) };
  const parallel = parallelCost(plan, isParallel ? phases : phases.map((phase) => ({ ...phase, mode: "parallel" })), conflictsExpected);
  const basis = { files: facts.files.length, commits: facts.commits.length, startMinutes: START_MINUTES, mergeMinutes: MERGE_MINUTES, conflictMinutes: CONFLICT_MINUTES, watched: options.watched ?? plan.watched };
  const widest = Math.max(1, ...(isParallel ? phases.filter(({ mode }) => mode === "parallel") : phases).map(({ tasks }) => tasks.length));
  return { mode: isParallel ? "parallel" : "sequential", phases, agents: Math.min(agents, widest), sequential, parallel, speedUp: round(sequential.minutes / Math.max(1, parallel.minutes)), conflictsExpected, basis };
}

function judgePhase(plan: Plan, index: number, facts: RepositoryFacts, options: CheckOptions, agents: number): PhaseVerdict {
  const tasks = plan.tasks.filter(({ phase }) => phase === index);
  const pairs = concurrentPairs(plan, tasks);
  const touched = tasks.map((task) => new Touched(task, facts));
  const clashes = clashesOf(pairs, touched, facts);
  const reasons: Reason[] = [...independenceReasons(tasks, pairs, touched), ...clashes.reasons, ...sizeReasons(tasks), ...watchReasons(plan, options)];
  const conflictsExpected = round(clashes.expected);
  const decisions = decide(tasks, { pairs: pairs.length, expected: clashes.expected }, reasons, plan, options);
  const mode: Mode = decisions.every(({ answer }) => answer === "yes") ? "parallel" : "sequential";
  if (mode === "parallel") {
    const width = widthOf(tasks, pairs);
    reasons.unshift({ code: "independent", weight: "for", text: `up to ${Math.min(width, agents)} of ${tasks.length} tasks can run at once: they share no path and do not wait for each other`, tasks: ids(tasks), paths: [] });
  }
  const minutes = { sequential: sum(tasks.map(minutesOf)), parallel: round(spanOf(plan, tasks, agents) + conflictsExpected * CONFLICT_MINUTES) };
  return { name: plan.phases[index]!.name, mode, tasks: ids(tasks), decisions, reasons, conflictsExpected, minutes };
}

// ── is it independent? ──────────────────────────────────────────────────────────────────────

type Pair = readonly [PlanTask, PlanTask];

function independenceReasons(tasks: readonly PlanTask[], pairs: readonly Pair[], touched: readonly Touched[]): Reason[] {
  const reasons: Reason[] = [];
  if (tasks.length <= 1) return [{ code: "one-task", weight: "against", text: "there is only one task", tasks: ids(tasks), paths: [] }];
  if (pairs.length === 0) reasons.push({ code: "dependencies", weight: "against", text: `each task waits for another: ${ids(tasks).join(", ")}`, tasks: ids(tasks), paths: [] });
  const inPairs = new Set(pairs.flat());
  const unowned = tasks.filter((task) => task.owns.length === 0 && inPairs.has(task));
  if (unowned.length > 0) {
    reasons.push({ code: "unowned", weight: "against", text: `${ids(unowned).join(", ")} ${unowned.length === 1 ? "does" : "do"} not say which paths to own; add (owns: src/...)`, tasks: ids(unowned), paths: [] });
  }
  for (const [a, b] of pairs) {
    const claims = sharedClaims(a, b);
    if (claims.length > 0) reasons.push({ code: "overlap", weight: "against", text: `${a.id} and ${b.id} both own ${claims.slice(0, PATHS_SHOWN_MAX).join(", ")}; divide the paths, or let one wait: (after: ${a.id})`, tasks: [a.id, b.id], paths: claims });
  }
  for (const { task, outside } of touched) {
    if (outside.length > 0 && task.owns.length > 0) reasons.push({ code: "outside", weight: "warning", text: `${task.id} speaks of ${outside.slice(0, PATHS_SHOWN_MAX).join(", ")}, which it does not own`, tasks: [task.id], paths: outside });
  }
  return reasons;
}

// ── what will clash? ────────────────────────────────────────────────────────────────────────

/** Which files a task will touch: those it owns, those its words name, those that always changed along. */
class Touched {
  readonly task: PlanTask;
  /** Files of the repository that its words name and that it does not own. */
  readonly outside: readonly string[];
  /** Files that it does not own, with the part of its commits that changed them too. */
  readonly along: ReadonlyMap<string, number>;

  constructor(task: PlanTask, facts: RepositoryFacts) {
    this.task = task;
    const owns = (path: string): boolean => task.owns.some((claim) => claimCovers(claim, path));
    const words = [task.title, task.text, ...task.steps.map(({ text }) => text)].join("\n");
    const manifests = facts.files.filter((path) => sharedKind(path) === "manifest");
    const named = pathsNamedIn(words, manifests.length > 0 ? manifests : ["package.json"]);
    const known = new Set(facts.files);
    this.outside = named.filter((path) => (known.has(path) || sharedKind(path) !== null) && !owns(path));
    const own = facts.commits.filter((commit) => commit.some(owns));
    const counts = new Map<string, number>();
    for (const commit of own) for (const path of commit) if (!owns(path)) counts.set(path, (counts.get(path) ?? 0) + 1);
    this.along = new Map([...counts].filter(([, times]) => times >= TOGETHER_COMMITS_MIN && times / own.length >= TOGETHER_PART_MIN).map(([path, times]) => [path, times / own.length]));
  }
}

function clashesOf(pairs: readonly Pair[], touched: readonly Touched[], facts: RepositoryFacts): { readonly expected: number; readonly reasons: readonly Reason[] } {
  const of = new Map(touched.map((each) => [each.task, each]));
  const reasons: Reason[] = [];
  const shared = new Map<string, Set<string>>();
  let expected = 0;
  for (const [a, b] of pairs) {
    const [one, other] = [of.get(a)!, of.get(b)!];
    // The likeliest clash of the pair counts: a merge fails once, however many files it fails in.
    let likeliest = sharedClaims(a, b).length > 0 ? 1 : 0;
    for (const path of new Set([...chances(one).keys()].filter((each) => chances(other).has(each)))) {
      likeliest = Math.max(likeliest, Math.min(chances(one).get(path)!, chances(other).get(path)!));
      shared.set(path, (shared.get(path) ?? new Set()).add(a.id).add(b.id));
    }
    const crossing = [...one.along].filter(([path]) => b.owns.some((claim) => claimCovers(claim, path)));
    const crossingBack = [...other.along].filter(([path]) => a.owns.some((claim) => claimCovers(claim, path)));
    for (const [, part] of [...crossing, ...crossingBack]) likeliest = Math.max(likeliest, part);
    const paths = [...crossing, ...crossingBack].map(([path]) => path);
    if (paths.length > 0) reasons.push({ code: "changes-together", weight: "warning", text: `in the log, what ${a.id} and ${b.id} own changed together: ${paths.slice(0, PATHS_SHOWN_MAX).join(", ")}`, tasks: [a.id, b.id], paths });
    expected += likeliest;
  }
  for (const [path, tasks] of shared) {
    const kind = sharedKind(path);
    reasons.push({ code: "shared-file", weight: "warning", text: `${[...tasks].join(", ")} will each want to change ${path}${kind === null ? "" : ` (${kind})`}; let a phase before them do it`, tasks: [...tasks], paths: [path] });
  }
  const owned = new Map(touched.flatMap(({ task }) => facts.files.filter((path) => sharedKind(path) !== null && sharedKind(path) !== "barrel" && task.owns.some((claim) => claimCovers(claim, path))).map((path) => [path, task.id] as const)));
  for (const [path, task] of owned) {
    if (!path.includes("/") && pairs.some(([a, b]) => a.id === task || b.id === task)) reasons.push({ code: "shared-file", weight: "warning", text: `${task} owns ${path} (${sharedKind(path)!}), which others may need; the tasks beside it cannot change it`, tasks: [task], paths: [path] });
  }
  return { expected, reasons };
}

/** How likely a task is to touch files that it does not own. */
function chances({ outside, along }: Touched): ReadonlyMap<string, number> {
  return new Map([...along, ...outside.map((path) => [path, 1] as const)]);
}

// ── how large is it, and who looks? ─────────────────────────────────────────────────────────

/** How long a task takes one agent. */
export function minutesOf(task: PlanTask): number {
  if (task.minutes !== null) return task.minutes;
  if (task.steps.length === 0 && SMALL.test(task.title)) return SMALL_MINUTES;
  return Math.max(SUBSTANTIAL_MINUTES, task.steps.length * STEP_MINUTES);
}

function sizeReasons(tasks: readonly PlanTask[]): Reason[] {
  const small = tasks.filter((task) => minutesOf(task) < SUBSTANTIAL_MINUTES);
  const unknown = tasks.filter((task) => task.minutes === null);
  return [
    ...(small.length === 0 ? [] : [{ code: "too-small", weight: "against", text: `${ids(small).join(", ")}: under ${SUBSTANTIAL_MINUTES} minutes of work; put small tasks together, starting and merging an agent for each costs more`, tasks: ids(small), paths: [] } as const]),
    ...(unknown.length === 0 ? [] : [{ code: "size-unknown", weight: "warning", text: `${ids(unknown).join(", ")}: size not said, taken from the steps; write e.g. (size: 45m)`, tasks: ids(unknown), paths: [] } as const]),
  ];
}

function watchReasons(plan: Plan, options: CheckOptions): Reason[] {
  const watched = options.watched ?? plan.watched;
  const reasons: Reason[] = [];
  if (watched === false) reasons.push({ code: "unwatched", weight: "against", text: "nobody has time to look; unattended, one task after the other is safer", tasks: [], paths: [] });
  if (plan.tests === null) reasons.push({ code: "no-tests", weight: "warning", text: "nothing tests the merged work; add tests: npm test at the top of the plan", tasks: [], paths: [] });
  return reasons;
}

// ── the decision ────────────────────────────────────────────────────────────────────────────

function decide(tasks: readonly PlanTask[], clashes: { readonly pairs: number; readonly expected: number }, reasons: readonly Reason[], plan: Plan, options: CheckOptions): readonly Decision[] {
  const against = (...codes: readonly Reason["code"][]): string | null => {
    const found = reasons.filter(({ code, weight }) => weight === "against" && codes.includes(code));
    return found.length === 0 ? null : found.map(({ text }) => text).join("; ");
  };
  const hard = clashes.expected > EASY_CONFLICTS_PER_TASK * tasks.length;
  const troubles = reasons.filter(({ code }) => code === "shared-file" || code === "changes-together").map(({ text }) => text);
  const watched = options.watched ?? plan.watched;
  const questions: readonly (readonly [question: string, no: string | null, yes: string])[] = [
    ["Is the work truly independent?", against("one-task", "dependencies", "unowned", "overlap"), "no path is owned twice, and tasks are left that do not wait for each other"],
    ["Will conflicts be easy to resolve?", hard ? `about ${round(clashes.expected)} of ${clashes.pairs} pairs will meet in the same files: ${troubles.join("; ")}` : null, troubles.length === 0 ? "no file is known that two of them would change" : "few: the merge queue resolves or retries them"],
    [`Is each task substantial (${SUBSTANTIAL_MINUTES}+ minutes)?`, against("too-small"), `the smallest takes ${Math.min(...tasks.map(minutesOf))} minutes`],
    ["Is there time to monitor and merge?", against("unwatched"), watched === true ? "somebody looks" : "the gateway watches the agents and merges one at a time"],
  ];
  let over = false;
  return questions.map(([question, no, yes]) => {
    if (over) return { question, answer: "not asked", because: "" } as const;
    over = no !== null;
    return { question, answer: over ? "no" : "yes", because: no ?? yes } as const;
  });
}

// ── time and cost ───────────────────────────────────────────────────────────────────────────

/** Time until all tasks of a phase are merged, with so many agents, the longest way first. */
function spanOf(plan: Plan, tasks: readonly PlanTask[], agents: number): number {
  const before = predecessors(plan);
  const within = new Set(ids(tasks));
  const endAt = new Map<string, number>();
  const free = Array.from({ length: agents }, () => 0);
  const waiting = [...tasks].sort((a, b) => minutesOf(b) - minutesOf(a));
  while (waiting.length > 0) {
    const readyAt = (task: PlanTask): number => Math.max(0, ...[...before.get(task.id)!].filter((id) => within.has(id)).map((id) => endAt.get(id) ?? Infinity));
    const next = waiting.reduce((best, task) => (readyAt(task) < readyAt(best) ? task : best));
    const agent = free.indexOf(Math.min(...free));
    const end = Math.max(free[agent]!, readyAt(next)) + START_MINUTES + minutesOf(next) + MERGE_MINUTES;
    free[agent] = end;
    endAt.set(next.id, end);
    waiting.splice(waiting.indexOf(next), 1);
  }
  return Math.max(0, ...endAt.values());
}

function parallelCost(plan: Plan, phases: readonly PhaseVerdict[], conflicts: number): Cost {
  const parallelTasks = new Set(phases.filter(({ mode }) => mode === "parallel").flatMap(({ tasks }) => tasks));
  const conflictTurns = Math.ceil(conflicts * TURNS_PER_CONFLICT);
  const alone = plan.tasks.filter(({ id }) => !parallelTasks.has(id)).map(turnsOf);
  const beside = plan.tasks.filter(({ id }) => parallelTasks.has(id)).map((task) => turnsOf(task) + TURNS_TO_START);
  return {
    minutes: round(sum(phases.map(({ mode, minutes }) => minutes[mode]))),
    requests: sum([...alone, ...beside]) + conflictTurns,
    tokens: tokensOf(sum(alone)) + sum(beside.map(tokensOf)) + conflictTurns * CONTEXT_TOKENS,
  };
}

function turnsOf(task: PlanTask): number {
  return Math.max(1, task.steps.length) * TURNS_PER_STEP;
}

/** What one context of so many turns reads in all: each turn reads everything before it again. */
function tokensOf(turns: number): number {
  let total = 0;
  for (let turn = 1; turn <= turns; turn++) total += Math.min(CONTEXT_TOKENS_MAX, CONTEXT_TOKENS + turn * TURN_TOKENS);
  return total;
}

/** The most tasks that can run at once: a group in which every two can. Greedy, so rather too few. */
function widthOf(tasks: readonly PlanTask[], pairs: readonly Pair[]): number {
  const free = new Set(pairs.map(([a, b]) => `${a.id} ${b.id}`));
  const beside = (a: PlanTask, b: PlanTask): boolean => free.has(`${a.id} ${b.id}`) || free.has(`${b.id} ${a.id}`);
  return Math.max(1, ...tasks.map((first) => tasks.reduce<PlanTask[]>((group, task) => (task !== first && group.every((one) => beside(one, task)) ? [...group, task] : group), [first]).length));
}

function ids(tasks: readonly PlanTask[]): readonly string[] {
  return tasks.map(({ id }) => id);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
