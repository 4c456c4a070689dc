/** A collector of traces on loopback, as far as a test needs one: takes OTLP over HTTP in JSON, and keeps the spans. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly { readonly name: string; readonly attributes: Readonly<Record<string, unknown>> }[];
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly error: string | null;
}

export interface OtlpReceiver {
  readonly url: string;
  readonly spans: readonly ReceivedSpan[];
  readonly requests: readonly { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: string }[];
  /** What it answers from now on; 200 at first. */
  answer(status: number): void;
  /** Resolves as soon as the spans that came fit. */
  until(fits: (spans: readonly ReceivedSpan[]) => boolean): Promise<void>;
}

const WAIT_MS_MAX = 20_000;

export async function startOtlpReceiver(t: TestContext, port = 0): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const requests: { path: string; headers: IncomingHttpHeaders; body: string }[] = [];
  const waiting = new Set<() => void>();
  let status = 200;
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      requests.push({ path: request.url!, headers: request.headers, body });
      if (status === 200) spans.push(...spansIn(JSON.parse(body)));
      response.writeHead(status, { "content-type": "application/json" }).end("{}");
      for (const look of waiting) look();
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    requests,
    answer: (next) => void (status = next),
    async until(fits) {
      if (fits(spans)) return;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const late = setTimeout(() => reject(new Error(`these spans are not enough: ${spans.map(({ name }) => name).join(", ")}`)), WAIT_MS_MAX);
      const look = (): void => (fits(spans) ? resolve() : undefined);
      waiting.add(look);
      await promise.finally(() => {
        clearTimeout(late);
        waiting.delete(look);
      });
    },
  };
}

type Json = Readonly<Record<string, unknown>>;

function spansIn(body: unknown): ReceivedSpan[] {
  const { resourceSpans } = body as { resourceSpans: { scopeSpans: { spans: Json[] }[] }[] };
  return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans.map(read)));
}

function read(span: Json): ReceivedSpan {
  const { code, message } = span["status"] as { code?: number; message?: string };
  return {
    traceId: span["traceId"] as string,
    spanId: span["spanId"] as string,
    parentSpanId: span["parentSpanId"] as string | undefined,
    name: span["name"] as string,
    kind: span["kind"] as number,
    startMs: Number(BigInt(span["startTimeUnixNano"] as string) / 1_000_000n),
    endMs: Number(BigInt(span["endTimeUnixNano"] as string) / 1_000_000n),
    attributes: attributesIn(span["attributes"]),
    events: ((span["events"] ?? []) as Json[]).map((event) => ({ name: event["name"] as string, attributes: attributesIn(event["attributes"]) })),
    links: (span["links"] ?? []) as { traceId: string; spanId: string }[],
    error: code === 2 ? message! : null,
  };
}

function attributesIn(list: unknown): Record<string, unknown> {
  return Object.fromEntries((list as { key: string; value: Json }[]).map(({ key, value }) => [key, plain(value)]));
}

function plain(value: Json): unknown {
  if ("intValue" in value) return Number(value["intValue"]);
  if ("arrayValue" in value) return (value["arrayValue"] as { values: Json[] }).values.map(plain);
  return Object.values(value)[0];
}
