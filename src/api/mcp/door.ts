/**
 * `/mcp`: the session tools for harnesses and other agents, over streamable HTTP.
 *
 * A scoped token acts as the session that it was made for, whatever the request says. The gateway's
 * own token acts as the person's main session, or as the one that `?session=` names. Every answer is
 * JSON; there is no stream that the server opens, and so GET and DELETE are refused.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { SessionKey } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import { DEFAULT_AGENT, mainSession } from "../../model/session.ts";
import { isScopedSecret, type TokenMint } from "../../sessions/scoped-tokens.ts";
import type { Store } from "../../store/store.ts";
import type { OutsideTools } from "../../trees/outside-tools.ts";
import { bad, may, readFields, sessionKey } from "../read-body.ts";
import { TEXT_BODY_BYTES_MAX } from "../route.ts";
import type { StatusAnswer } from "../wire.ts";
import { answerMessage, PROTOCOL_VERSIONS } from "./protocol.ts";

export interface McpDoorDeps {
  readonly store: Store;
  readonly tokens: TokenMint;
  readonly outsideTools: OutsideTools;
  readonly status: () => StatusAnswer;
  /** Lets in who shows the gateway's own token. @throws {Fault} UNAUTHORIZED, TOO_MANY_GUESSES */
  readonly checkToken: (secret: string, address: string) => void;
  /** Counts a wrong token against its sender. */
  readonly wrongGuess: (address: string) => Fault;
  readonly untilGone: (reply: FastifyReply) => AbortSignal;
}

declare module "fastify" {
  interface FastifyRequest {
    /** As whom a request at `/mcp` acts; null = it came with the gateway's own token. */
    actsAs: SessionKey | null;
  }
}

const QUERY = { session: may(sessionKey(), "The session to act as, with the gateway's own token.") };

export function serveMcp(app: FastifyInstance, deps: McpDoorDeps): void {
  app.decorateRequest("actsAs", null);
  app.route({
    method: ["POST", "GET", "DELETE"],
    url: "/mcp",
    bodyLimit: TEXT_BODY_BYTES_MAX,
    config: { open: true },
    onRequest: async (request) => void (request.actsAs = await callerOf(request, deps)),
    async handler(request, reply) {
      if (request.method !== "POST") return reply.code(405).header("allow", "POST").send({ jsonrpc: "2.0", id: null, error: { code: -32_000, message: "only POST is answered here; nothing is sent unasked" } });
      const version = request.headers["mcp-protocol-version"];
      if (version !== undefined && !PROTOCOL_VERSIONS.includes(version as never)) throw bad("header mcp-protocol-version", `must be one of ${PROTOCOL_VERSIONS.join(", ")}`);
      const session = request.actsAs ?? (await namedSession(request, deps.store));
      const answer = await answerMessage(request.body, { session, tools: deps.outsideTools, version: deps.status().version, signal: deps.untilGone(reply) });
      return answer === null ? reply.code(202).send() : reply.code(200).send(answer);
    },
  });
}

/** @throws {Fault} UNAUTHORIZED, TOO_MANY_GUESSES */
async function callerOf(request: FastifyRequest, { tokens, checkToken, wrongGuess }: McpDoorDeps): Promise<SessionKey | null> {
  const secret = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? "")?.[1];
  if (secret === undefined) throw new Fault("UNAUTHORIZED", { reason: "this needs the gateway's token, or one for the session tools" });
  if (!isScopedSecret(secret)) {
    checkToken(secret, request.ip);
    return null;
  }
  const token = await tokens.check(secret, "mcp");
  if (token === null) throw wrongGuess(request.ip);
  return token.session;
}

async function namedSession(request: FastifyRequest, store: Store): Promise<SessionKey> {
  const { session } = readFields(QUERY, request.query, "query");
  return session ?? (await store.openSession(mainSession(DEFAULT_AGENT))).key;
}
