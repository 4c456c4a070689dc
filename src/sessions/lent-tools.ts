/**
 * The session tools as harnesses are lent them: a token of its own for each process, which acts as its
 * session alone and is taken back when the process is gone. What a killed gateway left lent is taken back at the next start.
 */
import type { SessionKey } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { LentTools } from "../model/harness.ts";
import type { TokenMint } from "./scoped-tokens.ts";

/** By this the tokens are known again. */
const LABEL = "session tools of a coding agent";
/** Tokens that a start looks through, the newest first. */
const LEFT_MAX = 1000;

export interface ToolLenderDeps {
  readonly tokens: TokenMint;
  /** Resolves with the gateway's address when it can be reached. */
  readonly address: Promise<{ readonly url: string; readonly port: number }>;
  /** What serves them over standard streams: `yard mcp`. */
  readonly program: { readonly command: string; readonly args: readonly string[] };
  readonly log: Log;
}

export interface ToolLender {
  /** @throws {Fault} SESSION_NOT_FOUND */
  lend(session: SessionKey): Promise<LentTools>;
  /** Before the first is lent. */
  takeBackLeft(): Promise<void>;
}

export function makeToolLender({ tokens, address, program, log }: ToolLenderDeps): ToolLender {
  const revoke = (id: string): Promise<void> => tokens.revoke(id).then(() => {}, (cause: unknown) => log.warn("lent-tools.not-taken-back", { cause }));
  return {
    async lend(session) {
      const { url, port } = await address;
      const { token, secret } = await tokens.mint({ scope: "mcp", session, label: LABEL });
      return {
        url: `${url}/mcp`,
        token: secret,
        program: { ...program, env: { YARD_TOKEN: secret, YARD_PORT: String(port) } },
        end: () => revoke(token.id),
      };
    },
    async takeBackLeft() {
      const left = (await tokens.list(LEFT_MAX)).filter(({ label, revokedAt }) => label === LABEL && revokedAt === null);
      await Promise.all(left.map(({ id }) => revoke(id)));
    },
  };
}
