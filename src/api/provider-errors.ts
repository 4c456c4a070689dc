/** Our own refusals in the words of the API that the caller speaks, so that its library understands them. */
import type { Fault } from "../model/faults.ts";
import { shownFault } from "./fault-answer.ts";

export type ErrorShape = "openai" | "anthropic" | "google";

/** How errors of a route look; null = as everywhere else. */
export function errorShapeOf(path: string): ErrorShape | null {
  if (path.startsWith("/v1/") || path.startsWith("/proxy/openai")) return "openai";
  if (path.startsWith("/proxy/anthropic")) return "anthropic";
  return path.startsWith("/proxy/google") ? "google" : null;
}

export function errorBody(shape: ErrorShape, fault: Fault): object {
  const { code, message } = shownFault(fault);
  const status = fault.httpStatus;
  switch (shape) {
    case "openai":
      return { error: { message, type: openaiType(status), param: null, code: OPENAI_CODES[code] ?? code.toLowerCase() } };
    case "anthropic":
      return { type: "error", error: { type: anthropicType(status), message } };
    case "google":
      return { error: { code: status, message, status: googleStatus(status) } };
  }
}

/** Where the API has a name of its own for it. */
const OPENAI_CODES: Readonly<Record<string, string>> = { UNAUTHORIZED: "invalid_api_key", MODEL_UNKNOWN: "model_not_found", AGENT_NOT_FOUND: "model_not_found", CONTEXT_TOO_LONG: "context_length_exceeded" };

function openaiType(status: number): string {
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

function anthropicType(status: number): string {
  const known: Readonly<Record<number, string>> = { 401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error" };
  return known[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
}

function googleStatus(status: number): string {
  const known: Readonly<Record<number, string>> = { 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED" };
  return known[status] ?? (status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT");
}
