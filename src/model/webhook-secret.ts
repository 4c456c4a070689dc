/** The secret that results are signed with when the person set none: made from the gateway's token, which it does not give away. */
import { createHmac } from "node:crypto";

export function webhookSecretFrom(token: string): string {
  return `whsec_${createHmac("sha256", token).update("yardmaster: results that are posted to a callback").digest("base64")}`;
}
