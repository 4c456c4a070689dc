/**
 * Traces: how long each part of the work took, from a message to its delivery, through all children.
 *
 *     message ─▶ turn ─┬─▶ chat MODEL            each model call, with its tokens
 *                      ├─▶ execute_tool TOOL
 *                      └─▶ spawn AGENT ─┬─▶ turn … of the child
 *                                       └─▶ deliver
 *
 * It is one more reader of the event log, and stands beside model calls, which have no events. The turn
 * that is told of a child's result belongs to the same trace as the turn that asked for the child.
 *
 * Always true: nobody waits for it; it changes nothing; without `contents` no span holds a word that a
 * person, model or tool said.
 */
import type { Clock } from "../base/clock.ts";
import type { RandomBytes, SessionKey, TaskId, TurnId } from "../base/ids.ts";
import { isJsonObject } from "../base/json.ts";
import type { Log } from "../base/log.ts";
import { redact } from "../base/redact.ts";
import { NO_USAGE, type ModelAnswer, type ModelClient, type ModelFrame, type ModelRequest, type Usage } from "../model/chat.ts";
import type { YardEvent } from "../model/event.ts";
import { Fault } from "../model/faults.ts";
import { genAiAttributes } from "../model/genai-attributes.ts";
import type { TracedTurn } from "../model/trace.ts";
import type { ProxiedEnd } from "../providers/proxy.ts";
import type { Store } from "../store/store.ts";
import { spanIdOf, traceIdOf, type Span, type SpanAttributes, type SpanEvent } from "./span.ts";

/** Turns whose place is remembered while they run. */
const TURNS_KNOWN_MAX = 10_000;
const INPUTS_KNOWN_MAX = 1_000;
const EVENTS_MAX = 50;
const TEXT_CHARS_MAX = 2_000;
const SPAN_ID_BYTES = 8;
const MICROS_PER_DOLLAR = 1_000_000;
/** Nothing of what goes wrong may be shown, since it may hold words. */
const UNKNOWN_ERROR = "_OTHER";

export interface TracerDeps {
  readonly store: Pick<Store, "tracedTurn" | "tracedTask">;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  /** Whether words go along; asked anew each time. */
  contents(): boolean;
  add(span: Span): void;
}

/** A model call of another program that was passed on. */
export interface ProxiedSpan extends ProxiedEnd {
  readonly asked: string;
  readonly session: SessionKey | null;
}

type Place = { readonly traceId: string; readonly parentId: string | null };

export class Tracer {
  readonly #deps: TracerDeps;
  readonly #turns = new Map<TurnId, Promise<TracedTurn | null>>();
  /** The latest turn that runs in a session, for calls that come from outside. */
  readonly #running = new Map<SessionKey, TurnId>();
  readonly #inputs = new Map<string, string>();

  constructor(deps: TracerDeps) {
    this.#deps = deps;
  }

  read(events: readonly YardEvent[]): void {
    for (const event of events) this.#one(event).catch((cause: unknown) => this.#deps.log.warn("trace.not-made", { type: event.type, cause }));
  }

  async #one(event: YardEvent): Promise<void> {
    const { turnId, taskId, session, data } = event;
    switch (event.type) {
      case "turn.started":
        this.#running.set(session, turnId!);
        return void (await this.#turn(turnId!));
      case "tool.started":
        if (!this.#deps.contents()) return;
        this.#inputs.set(`${turnId} ${String(data["callId"])}`, String(data["input"]));
        // Calls that were stopped never end.
        if (this.#inputs.size > INPUTS_KNOWN_MAX) this.#inputs.delete(this.#inputs.keys().next().value!);
        return;
      case "tool.ended":
        return this.#toolEnded(event, turnId!);
      case "turn.ended":
        if (this.#running.get(session) === turnId) this.#running.delete(session);
        return this.#turnEnded(event, turnId!);
      case "task.ended":
        return this.#taskEnded(event, taskId!);
      case "task.delivered":
        return this.#taskDelivered(event, taskId!);
    }
  }

  /** Read once for each turn, while it runs. */
  #turn(id: TurnId): Promise<TracedTurn | null> {
    let known = this.#turns.get(id);
    if (known === undefined) {
      known = this.#deps.store.tracedTurn({ turn: id });
      known.catch(() => this.#turns.delete(id));
      this.#turns.set(id, known);
      if (this.#turns.size > TURNS_KNOWN_MAX) this.#turns.delete(this.#turns.keys().next().value!);
    }
    return known;
  }

  async #turnEnded({ session, at, data }: YardEvent, id: TurnId): Promise<void> {
    this.#turns.delete(id);
    const turn = await this.#deps.store.tracedTurn({ turn: id });
    // The log of a conversation that is bound to another session tells of that one's turns too.
    if (turn === null || turn.session !== session) return;
    const traceId = traceIdOf(turn.root.id);
    const usage = usageIn(data["usage"]);
    const outcome = String(data["outcome"]);
    const replied: SpanEvent[] = outcome === "done" && data["yielded"] !== true ? [{ name: "reply", at }] : [];
    this.#deps.add({
      traceId,
      spanId: spanIdOf("turn", id),
      parentId: parentOf(turn),
      name: `invoke_agent ${turn.agent}`,
      kind: "internal",
      startedAt: turn.startedAt,
      endedAt: at,
      attributes: {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": turn.agent,
        "gen_ai.conversation.id": session,
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "yard.model_calls": usage.calls,
        "yard.cost_dollars": usage.costMicros / MICROS_PER_DOLLAR,
        "yard.turn.id": id,
        "yard.turn.handle": String(data["handle"]),
        "yard.turn.track": String(data["track"]),
        "yard.turn.outcome": data["yielded"] === true ? "yielded" : outcome,
      },
      events: replied,
      links: linksOf(turn, traceId),
      error: outcome === "failed" ? faultCode(data["fault"]) : null,
    });
    for (const message of turn.messages) {
      if (message.childTask !== null) continue;
      this.#deps.add({
        traceId: turn.taskId === null ? traceIdOf(message.id) : traceId,
        spanId: spanIdOf("message", message.id),
        parentId: turn.taskId === null ? null : spanIdOf("task", turn.taskId),
        name: `message ${message.channel}`,
        kind: "server",
        startedAt: message.acceptedAt,
        endedAt: at,
        attributes: { "gen_ai.conversation.id": session, "yard.message.id": message.id, "yard.message.channel": message.channel, "yard.message.provenance": message.provenance, "yard.message.waited_ms": Math.max(0, turn.startedAt - message.acceptedAt) },
        error: outcome === "failed" ? faultCode(data["fault"]) : null,
      });
    }
  }

  async #toolEnded({ at, data }: YardEvent, turnId: TurnId): Promise<void> {
    const { contents, add } = this.#deps;
    const callId = String(data["callId"]);
    const key = `${turnId} ${callId}`;
    const input = this.#inputs.get(key);
    this.#inputs.delete(key);
    const turn = await this.#turn(turnId);
    if (turn === null) return;
    const tool = String(data["tool"]);
    const ms = typeof data["ms"] === "number" ? data["ms"] : 0;
    add({
      traceId: traceIdOf(turn.root.id),
      spanId: spanIdOf("tool", key),
      parentId: spanIdOf("turn", turnId),
      name: `execute_tool ${tool}`,
      kind: "internal",
      startedAt: at - ms,
      endedAt: at,
      attributes: {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool,
        "gen_ai.tool.call.id": callId,
        "gen_ai.conversation.id": turn.session,
        ...(contents() ? { "gen_ai.tool.call.arguments": shown(input ?? ""), "gen_ai.tool.call.result": shown(String(data["text"])) } : {}),
      },
      error: data["ok"] === false ? "tool_error" : null,
    });
  }

  async #taskEnded({ at, data }: YardEvent, id: TaskId): Promise<void> {
    const task = await this.#deps.store.tracedTask({ task: id });
    if (task === null) return;
    const state = String(data["state"]);
    this.#deps.add({
      traceId: traceIdOf(task.root.id),
      spanId: spanIdOf("task", id),
      parentId: task.spawnTurn !== null ? spanIdOf("turn", task.spawnTurn) : task.parentTask !== null ? spanIdOf("task", task.parentTask) : null,
      name: `spawn ${task.agent}`,
      kind: "internal",
      startedAt: task.queuedAt,
      endedAt: at,
      attributes: {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": task.agent,
        "gen_ai.conversation.id": task.session,
        "yard.task.id": id,
        "yard.task.state": state,
        "yard.task.depth": task.depth,
        "yard.task.attempt": task.attempt,
        "yard.flow.id": task.flowId,
      },
      error: state === "succeeded" || state === "cancelled" ? null : faultCode(data["fault"]),
    });
  }

  async #taskDelivered({ at, data }: YardEvent, id: TaskId): Promise<void> {
    const task = await this.#deps.store.tracedTask({ task: id });
    if (task === null) return;
    const by = typeof data["by"] === "string" ? data["by"] : "digest";
    this.#deps.add({
      traceId: traceIdOf(task.root.id),
      spanId: spanIdOf("delivery", id),
      parentId: spanIdOf("task", id),
      name: `deliver ${by}`,
      kind: "internal",
      startedAt: task.endedAt ?? at,
      endedAt: at,
      attributes: { "yard.task.id": id, "yard.delivery.by": by },
      error: null,
    });
  }

  // ── model calls ─────────────────────────────────────────────────────────────────────────────

  /** One call through `client`, told when it is over. */
  async call(client: Pick<ModelClient, "call">, request: ModelRequest, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer> {
    const { clock } = this.#deps;
    const startedAt = clock.now();
    const place = this.#placeOf(request.turn ?? null);
    const events: SpanEvent[] = [];
    let firstAt: number | null = null;
    const hear = (frame: ModelFrame): void => {
      if (frame.type === "text" || frame.type === "reasoning" || frame.type === "tool") firstAt ??= clock.now();
      else if (events.length < EVENTS_MAX) events.push(eventOf(frame, clock.now()));
      onFrame(frame);
    };
    const finish = (attributes: SpanAttributes, error: string | null): void => {
      const endedAt = clock.now();
      const first = firstAt === null ? {} : { "yard.first_token_ms": firstAt - startedAt };
      this.#tell(place, { name: `chat ${nameOf(request.model)}`, kind: "client", startedAt, endedAt, attributes: { ...attributes, ...first }, events, error });
    };
    const asked = { asked: request.model, session: request.cacheKey ?? "", ...(request.maxOutputTokens === undefined ? {} : { outputTokensMax: request.maxOutputTokens }) };
    try {
      const answer = await client.call(request, hear);
      finish({ ...genAiAttributes({ ...asked, answer }), "yard.cost_dollars": answer.usage.costMicros / MICROS_PER_DOLLAR }, null);
      return answer;
    } catch (cause) {
      finish(askedAttributes(request.model, request.cacheKey), request.signal.aborted ? "cancelled" : cause instanceof Fault ? cause.code : UNKNOWN_ERROR);
      throw cause;
    }
  }

  /** A call of another program, e.g. a coding agent that a turn of this session runs. */
  proxied({ asked, session, path, startedAt, waitedMs, firstByteAt, endedAt, status, usage }: ProxiedSpan): void {
    const place = this.#placeOf(session === null ? null : (this.#running.get(session) ?? null));
    const model = asked.slice(asked.indexOf("/") + 1);
    const counts = usage === null ? {} : { "gen_ai.usage.input_tokens": usage.input, "gen_ai.usage.output_tokens": usage.output, "gen_ai.usage.cache_read.input_tokens": usage.cacheRead, "gen_ai.usage.cache_creation.input_tokens": usage.cacheWrite, "gen_ai.usage.reasoning.output_tokens": usage.reasoning, "yard.cost_dollars": usage.costMicros / MICROS_PER_DOLLAR };
    this.#tell(place, {
      name: `chat ${model}`,
      kind: "client",
      startedAt,
      endedAt,
      attributes: { ...askedAttributes(asked, session), "yard.proxy": true, "url.path": path, "http.response.status_code": status, "yard.waited_ms": waitedMs, ...(firstByteAt === null ? {} : { "yard.first_byte_ms": Math.max(0, firstByteAt - startedAt) }), ...counts },
      error: status >= 200 && status < 400 ? null : status === 0 ? "cancelled" : String(status),
    });
  }

  #placeOf(turn: TurnId | null): Promise<Place> {
    const own: Place = { traceId: traceIdOf(hex(this.#deps.random, SPAN_ID_BYTES * 2)), parentId: null };
    if (turn === null) return Promise.resolve(own);
    return this.#turn(turn).then((found) => (found === null ? own : { traceId: traceIdOf(found.root.id), parentId: spanIdOf("turn", turn) }), () => own);
  }

  #tell(place: Promise<Place>, span: Omit<Span, "traceId" | "spanId" | "parentId">): void {
    const spanId = hex(this.#deps.random, SPAN_ID_BYTES);
    void place.then(({ traceId, parentId }) => this.#deps.add({ ...span, traceId, spanId, parentId }));
  }
}

/** What a turn stands below: the child whose turn it is, or the message that everything began with. */
function parentOf({ taskId, messages, root }: TracedTurn): string | null {
  if (taskId !== null) return spanIdOf("task", taskId);
  const first = messages[0];
  if (first === undefined) return null;
  return first.childTask === null ? spanIdOf("message", first.id) : spanIdOf(root.of, root.id);
}

function linksOf({ messages, taskId }: TracedTurn, traceId: string): { traceId: string; spanId: string }[] {
  return messages.flatMap(({ id, childTask }, n) => {
    if (childTask !== null) return [{ traceId, spanId: spanIdOf("task", childTask) }];
    return n === 0 || taskId !== null ? [] : [{ traceId: traceIdOf(id), spanId: spanIdOf("message", id) }];
  });
}

function eventOf(frame: ModelFrame, at: number): SpanEvent {
  switch (frame.type) {
    case "parked":
      return { name: "parked", at, attributes: { "yard.parked.reason": frame.parking.reason, "yard.parked.ahead": frame.parking.ahead } };
    case "fallback":
      return { name: "fallback", at, attributes: { "yard.fallback.from": frame.from, "yard.fallback.to": frame.to } };
    case "restart":
      return { name: "restart", at, attributes: { "yard.attempt": frame.attempt } };
    default:
      return { name: frame.type, at };
  }
}

function askedAttributes(asked: string, session: string | null | undefined): SpanAttributes {
  const { "gen_ai.operation.name": operation, "gen_ai.provider.name": provider, "gen_ai.request.model": model } = genAiAttributes({ asked, session: "", answer: { model: asked, stop: "end", usage: NO_USAGE } }) as Readonly<Record<string, string>>;
  return { "gen_ai.operation.name": operation!, "gen_ai.provider.name": provider!, "gen_ai.request.model": model!, ...(session ? { "gen_ai.conversation.id": session } : {}) };
}

function usageIn(value: unknown): Usage {
  return isJsonObject(value) ? { ...NO_USAGE, ...(value as unknown as Usage) } : NO_USAGE;
}

function faultCode(value: unknown): string {
  return isJsonObject(value) && typeof value["code"] === "string" ? value["code"] : UNKNOWN_ERROR;
}

function nameOf(model: string): string {
  return model.slice(model.indexOf("/") + 1);
}

function shown(text: string): string {
  return redact(text.slice(0, TEXT_CHARS_MAX)).toWellFormed();
}

function hex(random: RandomBytes, bytes: number): string {
  return Buffer.from(random(bytes)).toString("hex");
}
