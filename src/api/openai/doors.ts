/** The doors for clients of OpenAI's API. What stands behind them is loaded when somebody comes. */
import type { FastifyInstance } from "fastify";
import { TEXT_BODY_BYTES_MAX } from "../route.ts";
import { SPECIAL_ROUTES } from "../route-table.ts";
import type { OpenAiDeps } from "./serve.ts";

export function serveOpenAi(app: FastifyInstance, deps: OpenAiDeps): void {
  for (const api of ["chat", "responses"] as const) {
    app.route({
      method: "POST",
      url: SPECIAL_ROUTES[api].path,
      bodyLimit: TEXT_BODY_BYTES_MAX,
      async handler(request, reply) {
        const { answerOpenAi } = await import("./serve.ts");
        return answerOpenAi(api, request, reply, deps);
      },
    });
  }
}
