/** What was used: tokens, calls and money by model, session, tree, person and day. */
import { PRICES_DATE } from "../../providers/prices.ts";
import { bad, choice, count, may, word } from "../read-body.ts";
import { ok, route, type Route, type RouteDeps } from "../route.ts";
import { toApiUsage } from "../shapes.ts";

const GROUPS = ["model", "session", "flow", "person", "day"] as const;
const ROWS = { fallback: 100, max: 10_000 };
const DAY = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/;

export function usageRoutes({ store }: RouteDeps): readonly Route[] {
  return [
    route({
      method: "GET",
      path: "/api/usage",
      rpc: "usage.get",
      doc: "Tokens, calls and money that were used, in groups. Costs are estimates by the price table; calls of models without a price are counted apart.",
      answer: "UsageAnswer",
      query: {
        by: may(choice(GROUPS), "What to group by; model when absent."),
        since: may(word({ max: 10 }), "The first day that counts, as in 2026-11-30 (UTC)."),
        limit: may(count({ min: 1, max: ROWS.max }), `The most groups; ${ROWS.fallback} when absent.`),
      },
      async run({ by = "model", since, limit = ROWS.fallback }) {
        if (since !== undefined && !DAY.test(since)) throw bad("since", "must be a day such as 2026-11-30");
        const named = since === undefined ? {} : { since };
        const report = await store.usage({ by: by === "flow" ? "tree" : by, limit, ...named });
        return ok({ by, ...named, rows: report.rows.map(({ name, usage }) => ({ name, usage: toApiUsage(usage) })), total: toApiUsage(report.total), more: report.more, pricesDate: PRICES_DATE });
      },
    }),
  ];
}
