/** Deliberately broken gateways: each breaks one promise about walls the way a plausible mistake would. */
import { allowanceBook } from "../../test/support/allowance-book.ts";
import { Fault } from "../../src/model/faults.ts";
import type { ModelFrame } from "../../src/model/chat.ts";
import type { Models, WallSabotage } from "./world.ts";

export const WALL_SABOTAGES: readonly WallSabotage[] = [
  {
    name: "a parked call counts as a failure",
    breaks: "waiting is not failing",
    models: (models) => ({
      ...models,
      call: (request, onFrame) =>
        new Promise((resolve, reject) => {
          const hear = (frame: ModelFrame): void => {
            if (frame.type === "parked" && frame.parking.reason === "wall") reject(new Fault("PROVIDER_RATE_LIMITED", { provider: "p", waitedMs: 0 }));
            else onFrame(frame);
          };
          models.call(request, hear).then(resolve, reject);
        }),
    }),
  },
  { name: "deadlines run on while a call is parked", breaks: "waiting is not lack of progress", models: (models) => ({ ...models, call: (request, onFrame) => models.call(request, (frame) => (frame.type === "parked" || frame.type === "resumed" ? undefined : onFrame(frame))) }) },
  { name: "a slot is kept while its turn is parked", breaks: "a wall of one provider does not stop the others", tamper: () => (statement) => (statement.sql.includes("FROM parked p JOIN turn t") ? { ...statement, sql: statement.sql.replace("WHERE t.pool = ?", "WHERE 0 AND t.pool = ?") } : statement) },
  { name: "every conversation has a governor of its own", breaks: "one limit for each account, whoever calls", models: ownGovernors },
  { name: "what was taken of the minute is forgotten at a restart", breaks: "limits outlive a restart", book: (_book, clock) => allowanceBook(clock) },
  { name: "a stopped call stays in line", breaks: "a parked call can be stopped", models: (models) => ({ ...models, call: (request, onFrame) => models.call({ ...request, signal: new AbortController().signal }, onFrame) }) },
  { name: "people stand in line with machines", breaks: "people go first", models: (models) => ({ ...models, call: (request, onFrame) => models.call({ ...request, person: false }, onFrame) }) },
];

function ownGovernors(models: Models, make: () => Models): Models {
  const own = new Map<string, Models>();
  return {
    ...models,
    call(request, onFrame) {
      const key = request.cacheKey ?? "";
      if (!own.has(key)) own.set(key, make());
      return own.get(key)!.call(request, onFrame);
    },
  };
}
