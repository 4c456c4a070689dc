/**
 * The signature of a posted result, as the Standard Webhooks specification has it: HMAC-SHA256 over
 * `id.timestamp.body`, so that a receiver knows who sent it, that it is whole, and when it was sent.
 */
import { createHmac } from "node:crypto";

const PREFIX = "whsec_";

/** @param secret  `whsec_` and base64, or any text. */
export function signature(secret: string, id: string, timestampSeconds: number, body: string): string {
  const key = secret.startsWith(PREFIX) ? Buffer.from(secret.slice(PREFIX.length), "base64") : Buffer.from(secret);
  return `v1,${createHmac("sha256", key).update(`${id}.${timestampSeconds}.${body}`).digest("base64")}`;
}
