/** Settings that a world holds in memory: what a seed drew, and what its actions change. */
import { approvalSeconds } from "../../src/agents/acp/settings.ts";
import type { Setting, Settings } from "../../src/base/setting.ts";
import { acpSlots, mainSlots, sideSlots, subagentSlots } from "../../src/lanes/settings.ts";
import { foregroundMs, messageWaitMs, parallelJudge, queueCap, queueMode, sideTools, sideTurnsMax } from "../../src/sessions/settings.ts";
import { circuitFailures, circuitOpenSeconds, gatherMs, maxChildrenPerAgent, maxSpawnDepth, toolsByDepth } from "../../src/trees/settings.ts";
import { contextEntriesMax, progressTimeoutSeconds, staleHours, turnTimeoutSeconds } from "../../src/turns/settings.ts";
import type { WorldPlan } from "./plan.ts";

export class WorldSettings implements Settings {
  readonly #values = new Map<string, unknown>();
  readonly #listeners = new Set<() => void>();

  get<T>(setting: Setting<T>): T {
    return this.#values.has(setting.key) ? (this.#values.get(setting.key) as T) : setting.fallback;
  }

  isSet(setting: Setting<unknown>): boolean {
    return this.#values.has(setting.key);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set<T>(setting: Setting<T>, value: T): void {
    this.#values.set(setting.key, value);
    for (const listener of this.#listeners) listener();
  }

  /** The process that listened is gone. */
  forgetListeners(): void {
    this.#listeners.clear();
  }
}

/** Tools that no child has from a depth on. */
export const DENIED_BELOW: readonly (readonly [depth: number, tool: string])[] = [[2, "put"]];

export function applyPlan(settings: WorldSettings, plan: WorldPlan): void {
  settings.set(mainSlots, plan.slots.main);
  settings.set(sideSlots, plan.slots.side);
  settings.set(subagentSlots, plan.slots.subagent);
  settings.set(acpSlots, plan.slots.acp);
  settings.set(approvalSeconds, plan.approvalSeconds);
  settings.set(queueMode, plan.queueMode);
  settings.set(messageWaitMs, plan.messageWaitMs);
  settings.set(foregroundMs, plan.foregroundMs);
  settings.set(gatherMs, plan.gatherMs);
  settings.set(maxSpawnDepth, plan.depthMax);
  settings.set(maxChildrenPerAgent, plan.childrenMax);
  settings.set(sideTurnsMax, plan.sideTurnsMax);
  settings.set(queueCap, plan.queueCap);
  settings.set(progressTimeoutSeconds, plan.progressSeconds);
  settings.set(turnTimeoutSeconds, plan.turnSeconds);
  settings.set(contextEntriesMax, plan.contextEntries);
  settings.set(parallelJudge, plan.judge);
  settings.set(sideTools, plan.sideTools);
  settings.set(staleHours, plan.staleHours);
  settings.set(circuitFailures, 2);
  settings.set(circuitOpenSeconds, 30);
  settings.set(toolsByDepth, Object.fromEntries(DENIED_BELOW.map(([depth, tool]) => [String(depth), { deny: [tool] }])));
}
