/**
 * Spans, and how OTLP writes them down in JSON.
 *
 * Ids are made from the ids of what they stand for. So each part of a trace can be told by itself, in
 * any order and by another process than the part above it, and a restart does not tear a trace in two.
 */
import { hash } from "node:crypto";
import type { Attributes } from "../model/genai-attributes.ts";

export type SpanKind = "internal" | "server" | "client";

export interface SpanEvent {
  readonly name: string;
  /** Wall time, milliseconds. */
  readonly at: number;
  readonly attributes?: SpanAttributes;
}

export type SpanAttributes = Attributes | Readonly<Record<string, string | number | boolean | readonly string[]>>;

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | null;
  readonly name: string;
  readonly kind: SpanKind;
  /** Wall times, milliseconds with fractions. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: SpanAttributes;
  readonly events?: readonly SpanEvent[];
  /** Other spans that it follows from, e.g. those of children whose results it was given. */
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  /** The code of a fault; null = it went well. */
  readonly error: string | null;
}

const TRACE_ID_CHARS = 32;
const SPAN_ID_CHARS = 16;

/** @param root  what everything began with. */
export function traceIdOf(root: string): string {
  return hash("sha256", `trace ${root}`, "hex").slice(0, TRACE_ID_CHARS);
}

export function spanIdOf(what: "message" | "turn" | "task" | "tool" | "delivery", id: string): string {
  return hash("sha256", `${what} ${id}`, "hex").slice(0, SPAN_ID_CHARS);
}

const KINDS: Readonly<Record<SpanKind, number>> = { internal: 1, server: 2, client: 3 };
const STATUS_ERROR = 2;
const NANOS_PER_MS = 1_000_000n;

/** One request of OTLP/HTTP, as JSON text. */
export function encodeSpans(spans: readonly Span[], resource: Readonly<Record<string, string | number>>, version: string): string {
  return JSON.stringify({ resourceSpans: [{ resource: { attributes: encodeAttributes(resource) }, scopeSpans: [{ scope: { name: "yardmaster", version }, spans: spans.map(encodeSpan) }] }] });
}

function encodeSpan({ traceId, spanId, parentId, name, kind, startedAt, endedAt, attributes, events = [], links = [], error }: Span): object {
  return {
    traceId,
    spanId,
    ...(parentId === null ? {} : { parentSpanId: parentId }),
    name,
    kind: KINDS[kind],
    startTimeUnixNano: nanos(startedAt),
    // A clock that was set back meanwhile makes no span of negative length.
    endTimeUnixNano: nanos(Math.max(startedAt, endedAt)),
    attributes: encodeAttributes(error === null ? attributes : { ...attributes, "error.type": error }),
    ...(events.length === 0 ? {} : { events: events.map((event) => ({ timeUnixNano: nanos(event.at), name: event.name, attributes: encodeAttributes(event.attributes ?? {}) })) }),
    ...(links.length === 0 ? {} : { links }),
    status: error === null ? {} : { code: STATUS_ERROR, message: error },
  };
}

function encodeAttributes(attributes: SpanAttributes): object[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: encodeValue(value) }));
}

function encodeValue(value: SpanAttributes[string]): object {
  switch (typeof value) {
    case "string":
      return { stringValue: value };
    case "boolean":
      return { boolValue: value };
    case "number":
      return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
    default:
      return { arrayValue: { values: value.map((one) => ({ stringValue: one })) } };
  }
}

/** Whole microseconds are as fine as our clocks are. */
function nanos(ms: number): string {
  return String(BigInt(Math.round(ms * 1_000)) * (NANOS_PER_MS / 1_000n));
}
