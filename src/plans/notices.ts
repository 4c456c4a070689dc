/** What the conversation of a plan is told. */
import type { PlanRun } from "../model/plan-run.ts";
import type { Store } from "../store/store.ts";

const QUOTED_CHARS_MAX = 2_000;

export function tell(store: Pick<Store, "notice">, { planId, session }: PlanRun, text: string, level: "info" | "warn" = "info"): Promise<void> {
  return store.notice({ session, text, level, code: "PLAN", entry: true, data: { planId } });
}

/** Words of an agent, or of what it wrote: nobody takes them for ours. */
export function quoted(text: string): string {
  return text.slice(0, QUOTED_CHARS_MAX).split(/\r\n|[\r\n\u2028\u2029]/).map((line) => `> ${line}`).join("\n");
}
