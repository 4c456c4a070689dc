/** The tool servers that agents call. What the gateway itself serves over the same protocol is in ../mcp/. */
import { ok, route, type Route, type RouteDeps } from "../route.ts";
import type { ToolServerList } from "../wire.ts";

export function mcpRoutes({ toolServers }: RouteDeps): readonly Route[] {
  return [
    route({
      method: "GET",
      path: "/api/mcp/servers",
      rpc: "mcp.servers",
      doc: "The tool servers of mcp.servers: what each is, how it is, which tools it offers.",
      answer: "ToolServerList",
      run: async () => ok<ToolServerList>({ servers: [...toolServers()] }),
    }),
  ];
}
