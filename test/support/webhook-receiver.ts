/**
 * A receiver of posted results that does as it is told: takes, fails, waits, redirects, hangs up.
 *
 * It remembers every request that came whole, so that a test can count what a receiver would have seen.
 */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { bounded } from "./gateway.ts";

const WAIT_MAX_MS = 20_000;

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: { readonly type: string; readonly deliveryId: string; readonly task: Readonly<Record<string, unknown>> };
}

/** What to do with a request: a status, a status with headers, or never to answer, or to hang up. */
export type Reaction = number | { readonly status: number; readonly headers: Readonly<Record<string, string>> } | "silence" | "hang up";

export interface WebhookReceiver {
  readonly url: string;
  readonly place: string;
  readonly received: readonly Received[];
  /** Resolves when so many requests have come. */
  came(count: number): Promise<void>;
}

/** @param react  the reaction to each request; `nth` counts those of one delivery from 1. */
export async function startReceiver(t: TestContext, react: (received: Received, nth: number) => Reaction): Promise<WebhookReceiver> {
  const received: Received[] = [];
  const seen = new Map<string, number>();
  let wake: () => void = () => {};
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("error", () => {});
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8");
      const one: Received = { path: request.url!, headers: request.headers, text, body: JSON.parse(text) };
      received.push(one);
      const id = String(request.headers["idempotency-key"]);
      seen.set(id, (seen.get(id) ?? 0) + 1);
      answer(response, react(one, seen.get(id)!));
      wake();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const place = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `http://${place}`,
    place,
    received,
    async came(count) {
      const all = async (): Promise<void> => {
        while (received.length < count) await new Promise<void>((resolve) => (wake = resolve));
      };
      await bounded(WAIT_MAX_MS, `only ${received.length} of ${count} requests came`, all());
    },
  };
}

function answer(response: ServerResponse, reaction: Reaction): void {
  if (reaction === "silence") return;
  if (reaction === "hang up") return void response.socket!.destroy();
  const { status, headers } = typeof reaction === "number" ? { status: reaction, headers: {} } : reaction;
  response.writeHead(status, headers).end();
}
