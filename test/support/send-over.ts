/** A way to a provider that a test makes from a fetch. */
import type { HttpAnswer, Send } from "../../src/providers/http-send.ts";

export function sendOver(fetchIt: typeof fetch): Send {
  return async ({ url, ...init }) => {
    const response = await fetchIt(url, init);
    return { status: response.status, headers: Object.fromEntries(response.headers), read: (take) => readAll(response, take) } satisfies HttpAnswer;
  };
}

async function readAll(response: Response, take: (bytes: Uint8Array) => void): Promise<void> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      take(value);
    }
  } catch (thrown) {
    await reader.cancel().catch(() => {});
    throw thrown;
  }
}
