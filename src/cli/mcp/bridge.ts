/**
 * `yard mcp`: passes messages between a program that started us and `/mcp` of the running gateway.
 *
 * One JSON message per line, in and out. Calls run side by side; one that is cancelled is dropped.
 * When the gateway goes away in between, each call is answered with that, and works again once it is back.
 */
import { isJsonObject, type JsonObject } from "../../base/json.ts";
import type { GatewayClient } from "../client.ts";
import type { Cli } from "../command.ts";
import { faultOf } from "../failure.ts";
import { linesOf } from "../terminal.ts";

const PARSE_ERROR = -32_700;
const SERVER_ERROR = -32_000;
/** One message, characters. */
const LINE_LENGTH_MAX = 4_000_000;

/** How long calls that run when the input ends may still take. */
const LAST_CALLS_MS = 2_000;

/** Resolves when the input has ended and everything is answered or given up. */
export async function bridge({ terminal, clock }: Pick<Cli, "terminal" | "clock">, gateway: GatewayClient, path: string): Promise<void> {
  const calls = new Map<unknown, AbortController>();
  const running = new Set<Promise<void>>();
  for await (const line of linesOf(terminal, LINE_LENGTH_MAX)) {
    const message = parsed(line);
    if (message === null) {
      send(failure(null, PARSE_ERROR, "the line is no JSON object"));
      continue;
    }
    if (message["method"] === "notifications/cancelled" && isJsonObject(message["params"])) calls.get(message["params"]["requestId"])?.abort();
    const work = pass(message).finally(() => running.delete(work));
    running.add(work);
  }
  const disarm = clock.after(LAST_CALLS_MS, () => {
    for (const call of calls.values()) call.abort();
  });
  await Promise.all(running);
  disarm();

  async function pass(message: JsonObject): Promise<void> {
    const { id } = message;
    const stop = new AbortController();
    if (id !== undefined) calls.set(id, stop);
    try {
      const answer = await gateway.exchange(path, message, stop.signal);
      if (answer !== null && id !== undefined) send(answer);
    } catch (thrown) {
      if (id === undefined || stop.signal.aborted) return;
      const { code, message: text } = faultOf(thrown);
      send(failure(id, SERVER_ERROR, `${code}: ${text}`));
    } finally {
      if (calls.get(id) === stop) calls.delete(id);
    }
  }

  function send(message: unknown): void {
    terminal.output.write(`${JSON.stringify(message)}\n`);
  }
}

function parsed(line: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(line);
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}

function failure(id: unknown, code: number, message: string): object {
  return { jsonrpc: "2.0", id, error: { code, message } };
}
