/**
 * Tokens for one part of the gateway: made for a harness session or by a person, checked, taken back.
 *
 * The secret is shown once and never kept; the store holds its SHA-256, which is enough because the
 * secret is 256 random bits. Checked anew at every use, so taking it back counts at once.
 */
import { hash } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { IdMaker, type RandomBytes, type SessionKey } from "../base/ids.ts";
import type { AccessToken, TokenScope } from "../model/access-token.ts";
import { Fault } from "../model/faults.ts";
import type { Store } from "../store/store.ts";

const SECRET_BYTES = 32;
/** Tells people and secret scanners what it is. */
const PREFIX = "yardp_";

export interface TokenWish {
  readonly scope: TokenScope;
  readonly label?: string | null;
  readonly session?: SessionKey | null;
  readonly forSeconds?: number | null;
}

export interface TokenMint {
  /** @throws {Fault} SESSION_NOT_FOUND, BAD_REQUEST (mcp without a session) @returns the secret too, this one time. */
  mint(wish: TokenWish): Promise<{ readonly token: AccessToken; readonly secret: string }>;
  /** The token that a secret stands for; null when it opens nothing, or not this. */
  check(secret: string, scope: TokenScope): Promise<AccessToken | null>;
  list(limit: number): Promise<readonly AccessToken[]>;
  /** @throws {Fault} TOKEN_NOT_FOUND */
  revoke(id: string): Promise<AccessToken>;
}

export function makeTokenMint({ store, clock, random }: { store: Pick<Store, "addAccessToken" | "accessToken" | "accessTokens" | "revokeAccessToken">; clock: Clock; random: RandomBytes }): TokenMint {
  const ids = new IdMaker(random);
  return {
    async mint({ scope, label = null, session = null, forSeconds = null }) {
      if (scope === "mcp" && session === null) throw new Fault("BAD_REQUEST", { where: "session", problem: "is missing: a token for the session tools acts as one session" });
      const secret = PREFIX + Buffer.from(random(SECRET_BYTES)).toString("base64url");
      const expiresAt = forSeconds === null ? null : clock.now() + forSeconds * 1000;
      const token = await store.addAccessToken({ id: `tok_${ids.bare()}`, hash: fingerprint(secret), scope, label, session, expiresAt });
      return { token, secret };
    },
    async check(secret, scope) {
      if (!isScopedSecret(secret)) return null;
      const token = await store.accessToken(fingerprint(secret));
      const isGood = token !== null && token.scope === scope && token.revokedAt === null && (token.expiresAt === null || clock.now() < token.expiresAt);
      return isGood ? token : null;
    },
    list: (limit) => store.accessTokens({ limit }),
    async revoke(id) {
      const token = await store.revokeAccessToken(id);
      if (token === null) throw new Fault("TOKEN_NOT_FOUND", { token: id });
      return token;
    },
  };
}

/** True for what looks like a token for one part; whether it opens anything is for `check` to say. */
export function isScopedSecret(secret: string): boolean {
  return secret.startsWith(PREFIX);
}

function fingerprint(secret: string): string {
  return hash("sha256", secret, "base64url");
}
