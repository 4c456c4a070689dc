/**
 * POST /api/hooks/NAME: the one door that does not ask for the gateway's token, because every hook has
 * a secret of its own. The body is taken as the bytes that were signed.
 */
import type { FastifyInstance } from "fastify";
import { HOOK_BODY_BYTES_MAX } from "../timers/hook.ts";
import type { Hooks } from "../timers/hooks.ts";
import { SPECIAL_ROUTES } from "./route-table.ts";
import { toMessageAccepted } from "./shapes.ts";

export function serveHooks(app: FastifyInstance, hooks: Pick<Hooks, "call">): void {
  const { method, path, open } = SPECIAL_ROUTES.hook;
  app.register(async (inside) => {
    inside.removeAllContentTypeParsers();
    inside.addContentTypeParser("*", { parseAs: "buffer" }, (_request, bytes, done) => done(null, bytes));
    inside.route({
      method,
      url: path,
      config: { open },
      bodyLimit: HOOK_BODY_BYTES_MAX,
      async handler(request, reply) {
        const { name } = request.params as { name: string };
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
        const received = await hooks.call(name, { headers: request.headers, body });
        return reply.code(202).send(toMessageAccepted(received));
      },
    });
  });
}
