/**
 * An access token: a secret that opens one part of the gateway and nothing else.
 *
 * Only its fingerprint is kept. It ends when it is revoked, when its time is over, or with the
 * session that it was made for.
 */
import type { SessionKey } from "../base/ids.ts";
import type { Usage } from "./chat.ts";

/** `proxy`: model calls through `/proxy/*`. `mcp`: the session tools at `/mcp`, as the session that it was made for. */
export const TOKEN_SCOPES = ["proxy", "mcp"] as const;
export type TokenScope = (typeof TOKEN_SCOPES)[number];

export interface AccessToken {
  readonly id: string;
  readonly scope: TokenScope;
  readonly label: string | null;
  /** Whose work it is for; what it uses is counted there too. */
  readonly session: SessionKey | null;
  readonly createdAt: number;
  /** Wall time, milliseconds; null = until it is revoked. */
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  /** True when it was looked up for a child that has a budget, or that stands below one. */
  readonly budgeted: boolean;
  readonly usage: Usage;
}

export interface NewAccessToken extends Pick<AccessToken, "id" | "scope" | "label" | "session" | "expiresAt"> {
  /** Fingerprint of the secret. */
  readonly hash: string;
}
