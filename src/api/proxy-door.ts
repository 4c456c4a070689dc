/**
 * `/proxy/<family>/…`: lets harnesses and other programs call models with a scoped token.
 *
 * The token is looked at before anything of the body is read. It opens these routes only, and the
 * gateway's own token does not open them: what holds it needs no proxy.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { AccessToken } from "../model/access-token.ts";
import { Fault } from "../model/faults.ts";
import { PROXY_BODY_BYTES_MAX, type Proxy } from "../providers/proxy.ts";
import { PROXY_FAMILIES, type ProxyFamily } from "../providers/proxy-request.ts";
import type { TokenMint } from "../sessions/scoped-tokens.ts";

export interface ProxyDoorDeps {
  readonly proxy: Proxy;
  readonly tokens: TokenMint;
  /** Counts a wrong token against its sender. */
  readonly wrongGuess: (address: string) => Fault;
  readonly untilGone: (reply: FastifyReply) => AbortSignal;
  readonly headers: Readonly<Record<string, string>>;
}

declare module "fastify" {
  interface FastifyRequest {
    /** The token that a proxied call came with. */
    scoped: AccessToken | null;
  }
}

export function serveProxy(app: FastifyInstance, deps: ProxyDoorDeps): void {
  app.decorateRequest("scoped", null);
  app.register(async (inside) => {
    inside.removeAllContentTypeParsers();
    inside.addContentTypeParser("*", { parseAs: "buffer", bodyLimit: PROXY_BODY_BYTES_MAX }, (_request, bytes, done) => done(null, bytes));
    for (const family of PROXY_FAMILIES) {
      inside.route({
        method: ["GET", "POST"],
        url: `/proxy/${family}/*`,
        bodyLimit: PROXY_BODY_BYTES_MAX,
        config: { open: true },
        onRequest: async (request) => void (request.scoped = await tokenOf(request, deps)),
        handler: (request, reply) => forward(family, request, reply, deps),
      });
    }
  });
}

async function forward(family: ProxyFamily, request: FastifyRequest, reply: FastifyReply, { proxy, untilGone, headers }: ProxyDoorDeps): Promise<void> {
  const { id, session, budgeted } = request.scoped!;
  const answer = await proxy.forward({
    family,
    method: request.method,
    path: request.url.slice(`/proxy/${family}`.length),
    headers: request.headers,
    body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
    caller: { tokenId: id, session, budgeted },
    signal: untilGone(reply),
  });
  reply.hijack();
  reply.raw.writeHead(answer.status, { ...headers, ...answer.headers });
  reply.raw.flushHeaders();
  await answer.pipeTo(reply.raw);
}

/** @throws {Fault} UNAUTHORIZED, TOO_MANY_GUESSES */
async function tokenOf(request: FastifyRequest, { tokens, wrongGuess }: ProxyDoorDeps): Promise<AccessToken> {
  const secret = credentialIn(request);
  if (secret === null) throw new Fault("UNAUTHORIZED", { reason: 'this needs a proxy token ("yard token --scope proxy") where your library puts its API key' });
  const token = await tokens.check(secret, "proxy");
  if (token === null) throw wrongGuess(request.ip);
  return token;
}

/** Each library has a header of its own. */
function credentialIn({ headers }: FastifyRequest): string | null {
  const key = headers["x-api-key"] ?? headers["x-goog-api-key"];
  if (typeof key === "string" && key !== "") return key;
  return /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1] ?? null;
}
