/** Coding agents that can be started here: which there are, and what they lack. */
import type { HarnessReport } from "../../model/harness-report.ts";
import { ok, route, type Route, type RouteDeps } from "../route.ts";
import { toApiHarness, toHarnessHealth } from "../shapes.ts";

export function harnessRoutes({ harnessReport, harnessDoctor }: RouteDeps): readonly Route[] {
  if (harnessReport === undefined) return [];
  const report: () => HarnessReport = harnessReport;
  return [
    route({
      method: "GET",
      path: "/api/acp/agents",
      rpc: "acp.agents",
      doc: "The coding agents that are known by name: which are on this machine, and whether a login was found.",
      answer: "HarnessList",
      run: async () => ok({ agents: report().agents.map(toApiHarness) }),
    }),
    route({
      method: "GET",
      path: "/api/acp/doctor",
      rpc: "acp.doctor",
      doc: "Whether coding agents can work here, and what to do. Starts none of them.",
      answer: "HarnessHealth",
      run: async () => ok(toHarnessHealth(await (harnessDoctor?.() ?? report()))),
    }),
  ];
}
