/**
 * The Model Context Protocol as a server of tools: one message in, at most one out.
 *
 * Nothing is kept between messages, so there are no sessions to lose, to steal or to clean up. That
 * is also why this is written out here: the protocol's library would cost the gateway 40 MB of memory
 * for these few methods.
 */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { asFault, Fault } from "../../model/faults.ts";
import type { OutsideTools } from "../../trees/outside-tools.ts";
import type { SessionKey } from "../../base/ids.ts";

/** The newest first; what a client names and is not here is answered with the newest. */
export const PROTOCOL_VERSIONS = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] as const;

/** Codes of JSON-RPC 2.0. */
const INVALID_REQUEST = -32_600;
const METHOD_NOT_FOUND = -32_601;
const INVALID_PARAMS = -32_602;
const SERVER_ERROR = -32_000;

const INSTRUCTIONS = "Start agents with sessions_spawn; it returns at once. sessions_yield waits for their results. You reach only what you started yourself.";

export interface Served {
  readonly session: SessionKey;
  readonly tools: OutsideTools;
  readonly version: string;
  readonly signal: AbortSignal;
}

/** @returns the answer; null for a notification, which has none. */
export async function answerMessage(message: unknown, served: Served): Promise<JsonObject | null> {
  if (!isJsonObject(message) || message["jsonrpc"] !== "2.0") return failure(null, INVALID_REQUEST, "the body must be one JSON-RPC 2.0 message");
  const { id, method, params } = message;
  if (typeof method !== "string") return "result" in message || "error" in message ? null : failure(null, INVALID_REQUEST, "the message has no method");
  if (id === undefined) return null;
  if (typeof id !== "string" && typeof id !== "number") return failure(null, INVALID_REQUEST, "an id must be a text or a number");
  try {
    const result = await resultOf(method, isJsonObject(params) ? params : {}, served);
    return result === null ? failure(id, METHOD_NOT_FOUND, `no method ${method.slice(0, 100)}; there are initialize, ping, tools/list and tools/call`) : { jsonrpc: "2.0", id, result };
  } catch (cause) {
    const fault = asFault(cause);
    return failure(id, fault.kind === "caller" ? INVALID_PARAMS : SERVER_ERROR, fault.message, { ...fault.toRecord() } as unknown as JsonObject);
  }
}

async function resultOf(method: string, params: JsonObject, { session, tools, version, signal }: Served): Promise<JsonObject | null> {
  switch (method) {
    case "initialize": {
      const wanted = params["protocolVersion"];
      const protocolVersion = PROTOCOL_VERSIONS.find((known) => known === wanted) ?? PROTOCOL_VERSIONS[0];
      return { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "yardmaster", version }, instructions: INSTRUCTIONS };
    }
    case "ping":
      return {};
    case "tools/list": {
      const box = await tools.of(session);
      return { tools: [...box.values()].map(({ name, description, inputSchema, effect }) => ({ name, description, inputSchema, annotations: { readOnlyHint: effect === "pure" } })) };
    }
    case "tools/call": {
      const { name, arguments: input = {} } = params;
      if (typeof name !== "string" || !isJsonObject(input)) throw new Fault("BAD_REQUEST", { where: "params", problem: "tools/call takes {name, arguments}" });
      const { text, isError = false } = await tools.call(session, name, input, signal);
      return { content: [{ type: "text", text }], isError };
    }
    default:
      return null;
  }
}

function failure(id: Json, code: number, message: string, data?: JsonObject): JsonObject {
  return { jsonrpc: "2.0", id, error: { code, message, ...(data === undefined ? {} : { data }) } };
}
