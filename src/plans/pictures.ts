/**
 * Pictures of a plan, as SVG files that need nothing else: the graph of its tasks, and the history of
 * the branches that its agents made. All text is escaped; the same input gives the same bytes.
 */
import type { Commit } from "../model/workspace.ts";
import { concurrentPairs, waitsFor, type Plan, type PlanTask } from "../model/plan.ts";
import type { PlanTaskState } from "../model/plan-run.ts";
import { sharedClaims } from "./overlaps.ts";

const BOX = { width: 200, height: 54, gapX: 70, gapY: 22 } as const;
const MARGIN = 30;
const HEAD = 34;
const LABEL_LENGTH_MAX = 26;
const FONT = `font-family="system-ui, sans-serif"`;

const FILLS: Readonly<Record<PlanTaskState, string>> = { waiting: "#f4f4f5", preparing: "#e0f2fe", working: "#bae6fd", checking: "#ddd6fe", merging: "#fde68a", done: "#bbf7d0", stuck: "#fecaca", cancelled: "#e4e4e7" };

/** Columns from left to right are what can run at once; a red line joins tasks that own the same paths. */
export function graphPicture(plan: Plan, states: ReadonlyMap<string, PlanTaskState> = new Map()): string {
  const column = columnsOf(plan);
  const places = new Map<string, { x: number; y: number }>();
  const rows = new Map<number, number>();
  for (const task of plan.tasks) {
    const at = column.get(task.id)!;
    const row = rows.get(at) ?? 0;
    rows.set(at, row + 1);
    places.set(task.id, { x: MARGIN + at * (BOX.width + BOX.gapX), y: MARGIN + HEAD + row * (BOX.height + BOX.gapY) });
  }
  const width = MARGIN * 2 + (Math.max(0, ...column.values()) + 1) * (BOX.width + BOX.gapX) - BOX.gapX;
  const height = MARGIN * 2 + HEAD + Math.max(1, ...rows.values()) * (BOX.height + BOX.gapY) - BOX.gapY;
  const arrows = plan.tasks.flatMap((task) =>
    waitsFor(task).map((id) => {
      const [from, to] = [places.get(id)!, places.get(task.id)!];
      const [x1, y1, x2, y2] = [from.x + BOX.width, from.y + BOX.height / 2, to.x - 4, to.y + BOX.height / 2];
      return `<path d="M${x1} ${y1} C${x1 + 35} ${y1} ${x2 - 35} ${y2} ${x2} ${y2}" fill="none" stroke="#71717a" stroke-width="1.5" marker-end="url(#arrow)"${task.when?.task === id ? ` stroke-dasharray="4 3"` : ""}/>`;
    }),
  );
  const overlaps = concurrentPairs(plan)
    .filter(([a, b]) => sharedClaims(a, b).length > 0)
    .map(([a, b]) => {
      const [one, other] = [places.get(a.id)!, places.get(b.id)!];
      return `<line x1="${one.x + BOX.width / 2}" y1="${one.y + BOX.height}" x2="${other.x + BOX.width / 2}" y2="${other.y}" stroke="#dc2626" stroke-width="2" stroke-dasharray="5 4"/>`;
    });
  const firstColumns = plan.phases.map((_phase, index) => Math.min(...plan.tasks.filter(({ phase }) => phase === index).map(({ id }) => column.get(id)!)));
  const heads = plan.phases.flatMap((phase, index) => (Number.isFinite(firstColumns[index]) ? [text(MARGIN + firstColumns[index]! * (BOX.width + BOX.gapX), MARGIN + 12, short(phase.name), `font-size="13" font-weight="600" fill="#3f3f46"`)] : []));
  const boxes = plan.tasks.map((task) => box(task, places.get(task.id)!, states.get(task.id)));
  return svg(width, height, plan.title, [`<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#71717a"/></marker></defs>`, ...heads, ...arrows, ...overlaps, ...boxes]);
}

function box(task: PlanTask, { x, y }: { x: number; y: number }, state: PlanTaskState | undefined): string {
  const below = [state, task.owns.join(", ") || "owns nothing"].filter((part) => part !== undefined).join(" · ");
  return [
    `<rect x="${x}" y="${y}" width="${BOX.width}" height="${BOX.height}" rx="6" fill="${FILLS[state ?? "waiting"]}" stroke="#52525b"/>`,
    text(x + 10, y + 22, short(task.id), `font-size="13" font-weight="600" fill="#18181b"`),
    text(x + 10, y + 41, short(below), `font-size="11" fill="#52525b"`),
  ].join("");
}

/** How many tasks, one after the other, come before each at the least; later phases stand to the right. */
function columnsOf(plan: Plan): ReadonlyMap<string, number> {
  const byId = new Map(plan.tasks.map((task) => [task.id, task]));
  const columns = new Map<string, number>();
  let first = 0;
  for (const index of plan.phases.keys()) {
    const tasks = plan.tasks.filter(({ phase }) => phase === index);
    const of = (task: PlanTask): number => {
      const known = columns.get(task.id);
      if (known !== undefined) return known;
      const at = Math.max(first, ...waitsFor(task).map((id) => of(byId.get(id)!) + 1));
      columns.set(task.id, at);
      return at;
    };
    first = Math.max(first, ...tasks.map((task) => of(task) + 1));
  }
  return columns;
}

export interface Branch {
  readonly name: string;
  /** Newest first. */
  readonly commits: readonly Commit[];
}

const LANE = 22;
const ROW = 24;
const HISTORY_ROWS_MAX = 200;
const COLOURS = ["#18181b", "#0369a1", "#15803d", "#b45309", "#7e22ce", "#be123c", "#0f766e", "#4d7c0f"];

/** Commits of all branches from the newest down, one lane for each branch, as `git log --graph --all` draws them. */
export function historyPicture(title: string, branches: readonly Branch[]): string {
  const lane = new Map<string, number>();
  const names = new Map<string, string[]>();
  for (const [index, branch] of branches.entries()) {
    for (const commit of branch.commits) if (!lane.has(commit.id)) lane.set(commit.id, index);
    const tip = branch.commits[0];
    if (tip !== undefined) names.set(tip.id, [...(names.get(tip.id) ?? []), branch.name]);
  }
  const commits = childrenFirst([...new Map(branches.flatMap((branch) => branch.commits).map((commit) => [commit.id, commit])).values()]).slice(0, HISTORY_ROWS_MAX);
  const row = new Map(commits.map(({ id }, index) => [id, index]));
  const x = (id: string): number => MARGIN + (lane.get(id) ?? 0) * LANE;
  const y = (id: string): number => MARGIN + row.get(id)! * ROW;
  const colour = (id: string): string => COLOURS[(lane.get(id) ?? 0) % COLOURS.length]!;
  const lines = commits.flatMap((commit) => commit.parents.filter((parent) => row.has(parent)).map((parent) => {
    const inLane = lane.get(commit.id)! > lane.get(parent)! ? commit.id : parent;
    return `<path d="M${x(commit.id)} ${y(commit.id)} C${x(commit.id)} ${y(commit.id) + ROW} ${x(parent)} ${y(parent) - ROW} ${x(parent)} ${y(parent)}" fill="none" stroke="${colour(inLane)}" stroke-width="2"/>`;
  }));
  const textAt = MARGIN + branches.length * LANE + 10;
  const dots = commits.map((commit) => {
    const label = names.get(commit.id);
    return `<circle cx="${x(commit.id)}" cy="${y(commit.id)}" r="4.5" fill="${colour(commit.id)}"/>${text(textAt, y(commit.id) + 4, `${commit.id.slice(0, 7)}${label === undefined ? "" : ` (${label.join(", ")})`}  ${commit.subject.slice(0, 90)}`, `font-size="12" fill="#18181b"`)}`;
  });
  return svg(textAt + 640, MARGIN * 2 + Math.max(1, commits.length) * ROW, title, [...lines, ...dots]);
}

/** By time, but never a parent above its child. */
function childrenFirst(commits: readonly Commit[]): readonly Commit[] {
  const byId = new Map(commits.map((commit) => [commit.id, commit]));
  const open = new Map(commits.map(({ id }) => [id, 0]));
  for (const { parents } of commits) for (const parent of parents) if (open.has(parent)) open.set(parent, open.get(parent)! + 1);
  const ready = commits.filter(({ id }) => open.get(id) === 0);
  const sorted: Commit[] = [];
  while (ready.length > 0) {
    ready.sort((a, b) => a.at - b.at);
    const next = ready.pop()!;
    sorted.push(next);
    for (const parent of next.parents) {
      if (!open.has(parent)) continue;
      open.set(parent, open.get(parent)! - 1);
      if (open.get(parent) === 0) ready.push(byId.get(parent)!);
    }
  }
  return sorted;
}

function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img"><title>${escape(title)}</title><rect width="100%" height="100%" fill="#ffffff"/>${parts.join("\n")}</svg>\n`;
}

function text(x: number, y: number, content: string, style: string): string {
  return `<text x="${x}" y="${y}" ${FONT} ${style}>${escape(content)}</text>`;
}

function short(content: string): string {
  return content.length > LABEL_LENGTH_MAX ? `${content.slice(0, LABEL_LENGTH_MAX - 1)}…` : content;
}

function escape(content: string): string {
  // Characters that no XML document may hold would make the whole picture unreadable.
  const clean = content.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/gu, "?");
  return clean.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
