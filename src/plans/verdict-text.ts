/** A verdict as text for people: the answer first, then the decision tree with the path taken, reasons and figures. */
import type { Basis, Decision, PhaseVerdict, Verdict } from "../model/verdict.ts";

const SIGNS = { against: "✗", warning: "!", for: "✓" } as const;

export function verdictText(title: string, verdict: Verdict): string {
  const { sequential, parallel } = verdict;
  const figures = [
    ["", "sequential", "parallel"],
    ["time", minutes(sequential.minutes), minutes(parallel.minutes)],
    ["requests", String(sequential.requests), String(parallel.requests)],
    ["tokens", thousands(sequential.tokens), thousands(parallel.tokens)],
  ];
  return [
    `${title}: ${verdict.mode.toUpperCase()}`,
    "",
    ...verdict.phases.flatMap((phase) => [...phaseText(phase), ""]),
    ...figures.map(([name, one, other]) => `${name!.padEnd(10)}${one!.padStart(12)}${other!.padStart(12)}`),
    "",
    ...(verdict.basis === undefined ? [] : [basisText(verdict.basis), ""]),
    verdict.mode === "parallel"
      ? `Expected: ${verdict.speedUp} times as fast with ${verdict.agents} agents, ${verdict.conflictsExpected} merges with conflicts.`
      : "Run it one task after the other. In parallel, and against this advice, it would take as the right column says.",
  ].join("\n");
}

function phaseText(phase: PhaseVerdict): readonly string[] {
  return [
    `${phase.name}: ${phase.mode} (${phase.tasks.join(", ")})`,
    ...phase.decisions.flatMap(({ question, answer, because }, index) => {
      const on = index === phase.decisions.length - 1 ? "Parallelize!" : "Continue";
      const taken = (which: Decision["answer"], leads: string): string => (answer === which ? `${leads} ◀ ${because}` : leads);
      return [`  ${question}${answer === "not asked" ? "   (not asked)" : ""}`, `  ├─ NO  → ${taken("no", "Sequential")}`, `  └─ YES → ${taken("yes", on)}`];
    }),
    ...phase.reasons.map(({ weight, text }) => `  ${SIGNS[weight]} ${text}`),
  ];
}

function basisText({ files, commits, startMinutes, mergeMinutes, conflictMinutes, watched }: Basis): string {
  const looks = watched === null ? "not said whether somebody looks" : watched ? "somebody looks" : "nobody looks";
  return `Reckoned from ${files} files and ${commits} commits of the repository; ${startMinutes} minutes to start an agent, ${mergeMinutes} to merge its work, ${conflictMinutes} for a conflict; ${looks}.`;
}

function minutes(count: number): string {
  const whole = Math.round(count);
  return whole < 60 ? `${whole}m` : `${Math.floor(whole / 60)}h${String(whole % 60).padStart(2, "0")}m`;
}

function thousands(count: number): string {
  return count < 10_000 ? String(count) : `${Math.round(count / 1000)}k`;
}
