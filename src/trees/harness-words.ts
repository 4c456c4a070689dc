/** Harnesses in words, as a chat shows them. */
import type { HarnessSessionView } from "../model/harness.ts";
import type { HarnessReport } from "../model/harness-report.ts";
import type { SessionRow, TurnRow } from "../store/store.ts";

export function reportText(report: HarnessReport): string {
  const here = report.agents.filter(({ program }) => program !== null);
  return [
    `healthy: ${report.healthy ? "yes" : "no"}`,
    ...report.problems.flatMap(({ code, text, steps }) => [`${code}: ${text}`, ...steps.map((step) => `  - ${step}`)]),
    ...here.map(({ agent, version, program, login, loginText, memoryMb }) => `${agent}${version === null ? "" : ` ${version}`}: ${program} · login ${login}${login === "found" ? ` (${loginText})` : ""} · about ${memoryMb} MB`),
    `permissions: ${report.permissionMode} · sandbox: ${report.sandbox.text}`,
    `memory: ${report.memory.availableMb} MB free, ${report.memory.reserveMb} MB kept back${report.memory.waiting.map(({ harness, needsMb }) => ` · ${harness} waits for ${needsMb} MB`).join("")}`,
  ].join("\n");
}

/** One line on a session of a harness. */
export function sessionLine(row: SessionRow, view: HarnessSessionView | null, isBound: boolean): string {
  const state = view === null ? "not started yet" : view.state === "lost" ? `lost (${view.problem ?? "no reason known"})` : view.state;
  return `${row.label ?? row.key.split(":").at(-1)} · ${row.agent} · ${state}${row.waitingMessages > 0 ? ` · ${row.waitingMessages} waiting` : ""}${isBound ? " · bound here" : ""} · ${row.key}`;
}

export function statusText(row: SessionRow, view: HarnessSessionView | null, isBound: boolean, turns: readonly TurnRow[], nowMs: number): string {
  const lines = [
    sessionLine(row, view, isBound),
    `turns: ${row.state} · folder ${view?.cwd ?? row.cwd ?? "the workspace"}`,
    ...turns.map(({ handle, track, about, startedAt }) => `${handle} ${track === "side" ? "beside" : "running"}: ${about} (${Math.round((nowMs - startedAt) / 1000)} s)`),
  ];
  if (view === null) return lines.join("\n");
  const used = view.usage.used === null ? "" : ` · context ${view.usage.used}${view.usage.size === null ? "" : ` of ${view.usage.size}`} tokens`;
  const cost = view.usage.costMicros > 0 ? ` · $${(view.usage.costMicros / 1e6).toFixed(4)}` : "";
  lines.push(`mode ${view.mode ?? "of its own"} · model ${view.model ?? "of its own"}${view.pid === null ? "" : ` · process ${view.pid}`}${view.pidsBeside.length === 0 ? "" : ` · beside it ${view.pidsBeside.join(", ")}`}${used}${cost}`);
  if (view.state === "closed" || view.state === "lost") lines.push(view.resumable === "summary" ? "its next message starts it with a summary of this log" : `its next message goes on from its own memory (${view.resumable})`);
  return lines.join("\n");
}
