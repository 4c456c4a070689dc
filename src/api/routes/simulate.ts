/** Simulations: how long people would wait. What is simulated, and how, is the affair of whoever hands it in. */
import type { JsonObject } from "../../base/json.ts";
import { BODY_BYTES_MAX, ok, type Route, type RouteDeps } from "../route.ts";
import type { SimulationReport } from "../wire.ts";

export function simulateRoutes({ simulate }: RouteDeps): readonly Route[] {
  if (simulate === undefined) return [];
  return [
    {
      method: "POST",
      path: "/api/simulate",
      rpc: "simulate.run",
      doc: 'How long people would wait: the options of "yard simulate" in camel case, e.g. {"customers": 20, "turn": "5s", "maxConcurrent": 4, "compare": ["max-concurrent=8"]}; "svg": true adds a picture. One at a time, at most 10 s.',
      answer: "SimulationReport",
      fields: { path: {}, query: {}, body: {} },
      wholeBody: "options",
      bodyBytesMax: BODY_BYTES_MAX,
      run: async (input, call) => ok<SimulationReport>(await simulate(input["options"] as JsonObject, call.untilGone())),
    },
  ];
}
