/** The gateway itself: its lanes, settings, state and models. */
import type { Json } from "../../base/json.ts";
import { BODY_BYTES_MAX, ok, route, type Route, type RouteDeps } from "../route.ts";
import { toLanesAnswer } from "../shapes.ts";
import type { ConfigSchema, ModelList } from "../wire.ts";

export function gatewayRoutes(deps: RouteDeps): readonly Route[] {
  return [
    route({
      method: "GET",
      path: "/api/lanes",
      rpc: "lanes.get",
      doc: "What runs and what waits: pools, positions, reasons, estimates; accounts of providers and the model calls that are parked for them.",
      answer: "LanesAnswer",
      run: async () => ok(toLanesAnswer(await deps.lanes(), deps.providerLanes(), deps.sessions.draining, deps.harnessWaits())),
    }),
    route({
      method: "GET",
      path: "/api/status",
      rpc: "status.get",
      doc: "Version, process, models and agents.",
      answer: "StatusAnswer",
      run: async () => ok(deps.status()),
    }),
    route({
      method: "GET",
      path: "/api/config",
      rpc: "config.get",
      doc: "Every setting by flat key.",
      answer: "ConfigAnswer",
      run: async () => ok(deps.config.all()),
    }),
    route({
      method: "GET",
      path: "/api/config/schema",
      rpc: "config.schema",
      doc: "What each setting is.",
      answer: "ConfigSchema",
      run: async () => ok<ConfigSchema>({ settings: [...deps.config.infos()] }),
    }),
    {
      method: "PATCH",
      path: "/api/config",
      rpc: "config.patch",
      doc: 'Changes settings by flat key, all or none: {"agents.defaults.maxConcurrent": 8}; null takes one back to its fallback.',
      answer: "ConfigChanged",
      fields: { path: {}, query: {}, body: {} },
      wholeBody: "changes",
      bodyBytesMax: BODY_BYTES_MAX,
      run: async (input) => ok(await deps.config.set(input["changes"] as Readonly<Record<string, Json>>)),
    },
    route({
      method: "GET",
      path: "/v1/models",
      rpc: "models.list",
      doc: "Agents and models that can be named, as OpenAI's clients expect them.",
      answer: "ModelList",
      async run() {
        const { agents, startedAt } = deps.status();
        const created = Math.floor(startedAt / 1000);
        const entry = (id: string, owner: string): ModelList["data"][number] => ({ id, object: "model", created, owned_by: owner });
        const models = deps.models.knownModels().map((model) => entry(model, model.split("/", 1)[0]!));
        return ok<ModelList>({ object: "list", data: [...agents.map((agent) => entry(agent, "yardmaster")), ...models] });
      },
    }),
  ];
}
