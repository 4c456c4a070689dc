/** Tokens that open one part of the gateway. */
import { TOKEN_SCOPES, type AccessToken } from "../../model/access-token.ts";
import { choice, count, may, must, sessionKey, word } from "../read-body.ts";
import { ok, route, type Route, type RouteDeps } from "../route.ts";
import { toApiUsage } from "../shapes.ts";
import type { ApiAccessToken, TokenList, TokenMade } from "../wire.ts";

const LABEL_LENGTH_MAX = 200;
const ID_LENGTH_MAX = 100;
const SECONDS_MAX = 366 * 86_400;
const LIMIT_FALLBACK = 100;
const LIMIT_MAX = 1_000;

export function tokenRoutes({ tokens }: RouteDeps): readonly Route[] {
  return [
    route({
      method: "POST",
      path: "/api/tokens",
      rpc: "tokens.mint",
      doc: "Makes a token that opens one part of the gateway only. Its secret is in this answer and never shown again.",
      answer: "TokenMade",
      body: {
        scope: must(choice(TOKEN_SCOPES), "What it opens: proxy = model calls through /proxy/*; mcp = the session tools at /mcp, for the session that is named."),
        label: may(word({ max: LABEL_LENGTH_MAX }), "What it is for, for the listing."),
        session: may(sessionKey(), "The session whose work it is for: usage is counted there, and the token ends with it."),
        forSeconds: may(count({ min: 1, max: SECONDS_MAX }), "How long it lives; until it is revoked when absent."),
      },
      async run({ scope, label, session, forSeconds }) {
        const { token, secret } = await tokens.mint({ scope, label: label ?? null, session: session ?? null, forSeconds: forSeconds ?? null });
        return ok<TokenMade>({ ...shown(token), secret });
      },
    }),
    route({
      method: "GET",
      path: "/api/tokens",
      rpc: "tokens.list",
      doc: "Tokens for parts of the gateway, newest first, with what was used through them.",
      answer: "TokenList",
      query: { limit: may(count({ min: 1, max: LIMIT_MAX }), "The most rows.") },
      run: async ({ limit }) => ok<TokenList>({ tokens: (await tokens.list(limit ?? LIMIT_FALLBACK)).map(shown) }),
    }),
    route({
      method: "DELETE",
      path: "/api/tokens/:tokenId",
      rpc: "tokens.revoke",
      doc: "Takes a token back: it is refused from now on.",
      answer: "ApiAccessToken",
      inPath: { tokenId: must(word({ max: ID_LENGTH_MAX }), "The token's id.") },
      run: async ({ tokenId }) => ok(shown(await tokens.revoke(tokenId))),
    }),
  ];
}

function shown({ id, scope, label, session, createdAt, expiresAt, revokedAt, usage }: AccessToken): ApiAccessToken {
  return { id, scope, label, session, createdAt, expiresAt, revokedAt, usage: toApiUsage(usage) };
}
