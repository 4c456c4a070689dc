/**
 * The values that stand in a plan, as text: lengths of time, yes or no, lists, budgets.
 *
 * Both kinds of file read them here, so that `45m` means the same in each. A reader returns null for
 * what it does not understand; its `expected` says what it does.
 */
import { claimProblem } from "../model/path-claims.ts";
import { SIZE_MINUTES_MAX, type PlanBudget } from "../model/plan.ts";

export interface TextField<T> {
  readonly expected: string;
  read(text: string): T | null;
}

const TEXT_LENGTH_MAX = 2_000;
const NAME_LENGTH_MAX = 100;

export const line: TextField<string> = {
  expected: `text of 1 to ${TEXT_LENGTH_MAX} characters in one line`,
  read: (text) => (text.trim() !== "" && text.length <= TEXT_LENGTH_MAX && !/[\n\r\0]/.test(text) ? text.trim() : null),
};

export const name: TextField<string> = {
  expected: "a name without blanks, e.g. main",
  read: (text) => (/^[^\s\0]+$/.test(text.trim()) && text.length <= NAME_LENGTH_MAX && !text.trim().startsWith("-") ? text.trim() : null),
};

export const identity: TextField<string> = {
  expected: "lower-case letters, digits and - , at most 60, e.g. auth-api",
  read: (text) => (/^[a-z0-9][a-z0-9-]{0,59}$/.test(text.trim()) ? text.trim() : null),
};

export const yesNo: TextField<boolean> = {
  expected: "yes or no",
  read: (text) => (/^(yes|true|on)$/i.test(text.trim()) ? true : /^(no|false|off)$/i.test(text.trim()) ? false : null),
};

export const agentCount: TextField<number> = {
  expected: "a whole number in 1..100",
  read: (text) => (/^([1-9]\d?|100)$/.test(text.trim()) ? Number(text) : null),
};

const SIZE_NAMES: Readonly<Record<string, number>> = { xs: 10, s: 30, m: 60, l: 180, xl: 480 };

/** Minutes. */
export const size: TextField<number> = {
  expected: "a length of time such as 45m or 1h30m, or one of xs (10m), s (30m), m (1h), l (3h), xl (8h)",
  read(text) {
    const word = text.trim().toLowerCase();
    if (Object.hasOwn(SIZE_NAMES, word)) return SIZE_NAMES[word]!;
    const [, hours, minutes] = /^(?:(\d{1,4})\s*h(?:ours?)?)?\s*(?:(\d{1,5})\s*m(?:in(?:utes?)?)?)?$/.exec(word) ?? [];
    if (hours === undefined && minutes === undefined) return null;
    const total = Number(hours ?? 0) * 60 + Number(minutes ?? 0);
    return total >= 1 && total <= SIZE_MINUTES_MAX ? total : null;
  },
};

const TIMES: Readonly<Record<string, number>> = { "": 1, k: 1_000, m: 1_000_000 };

export const budget: TextField<PlanBudget> = {
  expected: "parts such as 200k tokens, 50 calls, $2",
  read(text) {
    const parts = splitList(text);
    let tokens: number | null = null;
    let calls: number | null = null;
    let money: number | null = null;
    for (const part of parts) {
      const [, dollars] = /^\$\s*(\d{1,6}(?:\.\d{1,4})?)$/.exec(part) ?? [];
      const [, number, times, unit] = /^(\d{1,9}(?:\.\d{1,3})?)\s*([km]?)\s*(tokens|calls)$/i.exec(part) ?? [];
      if (dollars !== undefined) money = Number(dollars);
      else if (number !== undefined && unit!.toLowerCase() === "tokens") tokens = Math.round(Number(number) * TIMES[times!.toLowerCase()]!);
      else if (number !== undefined) calls = Math.round(Number(number) * TIMES[times!.toLowerCase()]!);
      else return null;
    }
    return parts.length === 0 ? null : { tokens, calls, money };
  },
};

/** `builder commits feat: implement parser` */
export const when: TextField<{ task: string; commit: string }> = {
  expected: "<task> commits <beginning of a commit's subject>, e.g. builder commits feat: implement parser",
  read(text) {
    const [, task, commit] = /^(\S{1,60}) commits\s(.{1,200})$/.exec(text.trim()) ?? [];
    return task === undefined || commit!.trim() === "" ? null : { task: task.toLowerCase(), commit: commit!.trim().replace(/^(["'`])(.*)\1$/, "$2") };
  },
};

/** Parts between commas, those inside braces kept together: `src/{a,b}/**, docs`. */
export function splitList(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = "";
  for (const character of text) {
    if (character === "," && depth <= 0) {
      parts.push(part);
      part = "";
      continue;
    }
    if (character === "{") depth++;
    if (character === "}") depth--;
    part += character;
  }
  return [...parts, part].map((each) => each.trim().replace(/^`(.*)`$/, "$1")).filter((each) => each !== "");
}

/** A path that a task owns: what is wrong with it, or null. Free names are no paths of a repository. */
export function ownedProblem(claim: string): string | null {
  if (claim.startsWith("name:")) return "is no path; tasks of a plan own paths only";
  return claimProblem(claim);
}

/** An id from what a task is called: `Agent A: Auth` and "`auth` command" become `agent-a` and `auth-command`. */
export function slug(text: string): string {
  return text.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60).replace(/-+$/, "");
}
