/**
 * A model whose answers come from the seed: words, tool calls, silence, garbage, refusals.
 *
 * What it answers depends on what it is asked, not on how many calls came before, so that leaving
 * an action out of a run leaves the other answers as they were. It also listens: a conversation
 * that no provider would accept, or a question whose answer is on disk already, is reported.
 */
import type { Clock } from "../../src/base/clock.ts";
import type { TurnId } from "../../src/base/ids.ts";
import type { JsonObject } from "../../src/base/json.ts";
import { inputTokensBound, type CallTerms } from "../../src/model/budget.ts";
import { NO_USAGE, type AssistantPart, type ChatMessage, type ModelAnswer, type ModelClient, type ModelFrame, type ModelRequest, type ToolCallPart, type Usage } from "../../src/model/chat.ts";
import { Fault } from "../../src/model/faults.ts";
import { conversationProblem } from "./checkers.ts";
import { Dice, hashOf } from "./dice.ts";
import type { PlanWorld } from "./plans.ts";
import { childBudget, PRICE, type SpendingPlan } from "./spending.ts";
import { DENIED_BELOW } from "./world-settings.ts";

/** Rounds of tools after which the model always comes to an end. */
const ROUNDS_MAX = 4;
/** How long a healed model takes at most, milliseconds. */
const HEALED_MS_MAX = 900;
/** How long the process lives after it began to work on a poisoned message. */
const POISON_AFTER_MS = 3_000;
/** How often a call waits to be let through where calls do, apart from walls, and how long, milliseconds. */
const PARKED_PART = 0.15;
const PARKED_MS_MAX = 120_000;
/** How often a wait is given up and another model asked. */
const GIVES_UP_PART = 0.1;
/** Calls go on so long after a wall at most, milliseconds. */
const AFTER_WALL_MS_MAX = 2_000;
/** The longest answer, tokens. */
const OUTPUT_TOKENS_MAX = 1_000;
/** What children claim: some of it overlaps. */
const CLAIMS = ["src", "src/auth/**", "src/auth/login.ts", "src/*/index.ts", "docs", "name:deploy"];
export const POISON = "poison";

type Mood = "text" | "tools" | "slow" | "refuse" | "garbage" | "hang";
export type Moods = Readonly<Record<Mood, number>>;

export interface WorldModelDeps {
  readonly seed: number;
  readonly moods: Moods;
  /** How eager it is to spawn children, 0..1. */
  readonly spawning: number;
  /** Kills the process that asks. */
  readonly crash: () => void;
  readonly report: (violation: string) => void;
  readonly spending: SpendingPlan | null;
  /** The provider counts a call of a turn, whatever becomes of the answer. */
  readonly counted: (turn: TurnId, usage: Usage) => void;
  /** The same for a call beside all turns, which is known by the most that its prompt can count. */
  readonly countedBeside: (inputTokensMax: number, usage: Usage) => void;
  /** What agents of plans say and do, apart from what is drawn here. */
  readonly plans?: Pick<PlanWorld, "says" | "worked"> | null;
  /** How deep a session stands below a person's; 0 = a person's. */
  readonly depthOf: (session: string) => number;
}

/** One for the whole life of a world; processes come and go. */
export class WorldModel {
  readonly #deps: WorldModelDeps;
  readonly #asked = new Map<string, number>();
  /** Calls that an answer made, by the turn that asked and its question: two turns of a session may ask the same. */
  readonly #callsOf = new Map<string, string[]>();
  readonly #onDisk = new Set<string>();
  /** Where calls wait for their provider instead of being refused. */
  readonly #parks: boolean;
  readonly #parked = new Map<TurnId, { goesOnSince: number | null }>();
  #wall: { untilMs: number; status: number } = { untilMs: 0, status: 529 };
  healed = false;
  calls = 0;

  constructor(deps: WorldModelDeps) {
    this.#deps = deps;
    this.#parks = new Dice(deps.seed, "parking").chance(0.4);
  }

  /**
   * The model as one process reaches it. A process that was paused and lost its place may still ask
   * for what another has on disk by now; only what it writes is refused.
   */
  client(clock: Clock, hasItsPlace: () => boolean): ModelClient & { defaultModel(): string; terms(): CallTerms } {
    return {
      call: (request, onFrame) => this.#call(clock, hasItsPlace, request, onFrame),
      terms: () => ({ outputTokensMax: OUTPUT_TOKENS_MAX, price: this.#deps.spending === null ? null : PRICE }),
      contextWindow: () => 100_000,
      knownModels: () => ["sim/one", "sim/two"],
      defaultModel: () => "sim/one",
    };
  }

  /** Since when a turn's call is not waiting for its provider any more, on the clock of durations; null = it never did, or does. */
  goesOnSince(turn: TurnId): number | null {
    return this.#parked.get(turn)?.goesOnSince ?? null;
  }

  /** Until then every call is refused, or waits. */
  refuseAll(untilMs: number, status: 429 | 529): void {
    this.#wall = { untilMs, status };
  }

  /** A tool call was seen in the log: the answer that made it is on disk. */
  sawToolCall(callId: string): void {
    this.#onDisk.add(callId);
  }

  #call(clock: Clock, hasPlace: () => boolean, request: ModelRequest, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer> {
    const hasItsPlace = hasPlace();
    this.calls++;
    const problem = conversationProblem(request.messages);
    if (problem !== null) this.#deps.report(`the model is sent a conversation that no provider accepts: ${problem}`);
    const question = questionOf(request);
    const committed = this.#callsOf.get(ofTurn(request, question))?.find((callId) => this.#onDisk.has(callId));
    if (committed !== undefined && hasItsPlace) this.#deps.report(`an answer that is on disk is asked for again: ${question}`);
    const attempt = (this.#asked.get(question) ?? 0) + 1;
    this.#asked.set(question, attempt);

    this.#lookAtTools(request);
    const usage = this.#usageOf(request, question, attempt);
    const dice = new Dice(this.#deps.seed, "model", question, attempt);
    return new Promise((resolve, reject) => {
      if (request.signal.aborted) return reject(request.signal.reason);
      let disarm = (): void => {};
      const onAbort = (): void => {
        disarm();
        reject(request.signal.reason);
      };
      const letThrough = (): void => {
        const behaviour = this.#behaviour(dice, { request, question, attempt, usage, nowMs: clock.monotonic() });
        if (behaviour.isCounted && request.turn !== undefined) this.#deps.counted(request.turn, usage);
        else if (behaviour.isCounted && hasItsPlace) this.#deps.countedBeside(inputTokensBound(request), usage);
        disarm = behaviour.afterMs === null ? () => {} : clock.after(behaviour.afterMs, () => {
          request.signal.removeEventListener("abort", onAbort);
          if (hasItsPlace && request.turn !== undefined) this.#deps.plans?.worked(request.cacheKey, behaviour.isEnd === true);
          behaviour.settle(resolve, reject, onFrame);
        });
      };
      const parkMs = this.#parkMs(question, attempt, clock);
      if (parkMs === 0 || request.turn === undefined) letThrough();
      else disarm = this.#park(request.turn, parkMs, { clock, hasPlace, onFrame, letThrough });
      request.signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** How long a call waits to be let through; 0 = not at all. */
  #parkMs(question: string, attempt: number, clock: Clock): number {
    if (!this.#parks || this.healed) return 0;
    const dice = new Dice(this.#deps.seed, "parked", question, attempt);
    const wallMs = this.#wall.untilMs - clock.monotonic();
    if (wallMs > 0) return wallMs + dice.whole(0, AFTER_WALL_MS_MAX);
    return dice.chance(PARKED_PART) ? dice.spread(10, PARKED_MS_MAX) : 0;
  }

  /** @returns takes it back. */
  #park(turn: TurnId, forMs: number, { clock, hasPlace, onFrame, letThrough }: { clock: Clock; hasPlace: () => boolean; onFrame: (frame: ModelFrame) => void; letThrough: () => void }): () => void {
    const givesUp = new Dice(this.#deps.seed, "gives up", turn, forMs).chance(GIVES_UP_PART);
    // Of a process that lost its place while it waited nobody hears.
    const goesOnSince = (at: number | null): void => void (hasPlace() && this.#parked.set(turn, { goesOnSince: at }));
    goesOnSince(null);
    onFrame({ type: "parked", parking: { reason: "busy", model: "sim/one", until: clock.now() + forMs, ahead: 0 } });
    return clock.after(forMs, () => {
      goesOnSince(clock.monotonic());
      onFrame(givesUp ? { type: "fallback", from: "sim/one", to: "sim/two", reason: "it takes too long" } : { type: "resumed" });
      letThrough();
    });
  }

  /** Without budgets always the same; with them, any part of what a provider could count at most. */
  #usageOf(request: ModelRequest, question: string, attempt: number): Usage {
    if (this.#deps.spending === null) return { ...NO_USAGE, input: 10, output: 5, calls: 1 };
    // A prompt that grows is counted as before, and what is new besides.
    const ofSession = new Dice(this.#deps.seed, "tokenizer", request.cacheKey ?? "");
    const input = Math.floor(inputTokensBound(request) * (ofSession.chance(0.3) ? 1 : 0.2 + 0.8 * ofSession.next()));
    const dice = new Dice(this.#deps.seed, "usage", question, attempt);
    const outputMax = Math.min(request.maxOutputTokens ?? OUTPUT_TOKENS_MAX, OUTPUT_TOKENS_MAX);
    const output = dice.chance(0.3) ? outputMax : dice.whole(1, Math.max(1, outputMax));
    return { ...NO_USAGE, input, output, calls: 1, costMicros: input * PRICE.input + output * PRICE.output + PRICE.call };
  }

  /** A child never has a tool that somebody above it has not. */
  #lookAtTools({ cacheKey, tools }: ModelRequest): void {
    if (cacheKey === undefined) return;
    const depth = this.#deps.depthOf(cacheKey);
    for (const [from, denied] of DENIED_BELOW) if (depth >= from && tools.some(({ name }) => name === denied)) this.#deps.report(`a child of depth ${depth} has the tool ${denied}`);
  }

  #behaviour(dice: Dice, { request, question, attempt, usage, nowMs }: Asked): Behaviour {
    const isPoisoned = lastText(request.messages).includes(POISON);
    if (isPoisoned) return { afterMs: POISON_AFTER_MS, isCounted: true, settle: () => this.#deps.crash() };
    if (nowMs < this.#wall.untilMs && !this.healed) return { afterMs: dice.whole(0, 500), isCounted: false, settle: (_resolve, reject) => reject(wallFault(this.#wall.status)) };
    const round = roundOf(request.messages);
    const mood: Mood = this.healed ? "text" : dice.weighted<Mood>(this.#deps.moods);
    const afterMs = this.healed ? dice.whole(0, HEALED_MS_MAX) : mood === "slow" ? dice.whole(5_000, 90_000) : dice.chance(0.3) ? 0 : dice.spread(1, 8_000);
    switch (mood) {
      case "hang":
        return { afterMs: null, isCounted: true, settle: () => {} };
      case "refuse":
        // A stream that is cut has said a part of its answer.
        return refusing(dice, afterMs);
      case "garbage":
        return { afterMs, isCounted: true, settle: (resolve, reject) => (dice.chance(0.5) ? resolve(answerOf(dice.chance(0.5) ? [] : [{ type: "text", text: " \n" }], usage)) : reject(new SyntaxError("Unexpected token < in JSON"))) };
      default: {
        const callable = request.tools.length > 0 && round < ROUNDS_MAX && !this.healed;
        const text = `answer to ${JSON.stringify(lastText(request.messages).slice(0, 60))}, round ${round}`;
        const own = callable ? this.#deps.plans?.says(request.cacheKey, question, attempt) : null;
        const parts = own ? this.#said(own, request, question, attempt) : callable && (mood === "tools" || dice.chance(0.2)) ? this.#toolCalls(dice, request, question, attempt) : [{ type: "text" as const, text }];
        return {
          afterMs,
          isCounted: true,
          isEnd: parts.every(({ type }) => type === "text"),
          settle(resolve, _reject, onFrame) {
            onFrame({ type: "text", text: text.slice(0, 8) });
            resolve(answerOf(parts, usage));
          },
        };
      }
    }
  }

  /** What an agent of a plan says instead. */
  #said(own: NonNullable<ReturnType<PlanWorld["says"]>>, request: ModelRequest, question: string, attempt: number): AssistantPart[] {
    if (!("tool" in own)) return [{ type: "text", ...own }];
    const callId = `call_${hashOf(`${question}/${attempt}`).toString(36)}_p`;
    const asked = ofTurn(request, question);
    this.#callsOf.set(asked, [...(this.#callsOf.get(asked) ?? []), callId]);
    return [{ ...own, callId }];
  }

  #toolCalls(dice: Dice, request: ModelRequest, question: string, attempt: number): AssistantPart[] {
    const offered = new Set(request.tools.map(({ name }) => name));
    const name = hashOf(`${question}/${attempt}`).toString(36);
    const about = lastText(request.messages).slice(0, 12).replaceAll(/\W/g, "");
    const count = dice.chance(0.6) ? 1 : dice.whole(2, 4);
    const parts: AssistantPart[] = dice.chance(0.3) ? [{ type: "text", text: "working on it" }] : [];
    for (let i = 0; i < count; i++) {
      const { tool, input } = this.#oneCall(dice, `${about}.${name}.${i}`);
      if (offered.has(tool) || dice.chance(0.1)) parts.push({ type: "tool-call", callId: `call_${name}_${i}`, tool, input });
    }
    const calls = parts.filter((part): part is ToolCallPart => part.type === "tool-call");
    if (calls.length === 0) return [{ type: "text", text: `nothing to do for ${about}` }];
    const asked = ofTurn(request, question);
    this.#callsOf.set(asked, [...(this.#callsOf.get(asked) ?? []), ...calls.map(({ callId }) => callId)]);
    return parts;
  }

  /** How a child is watched, and what it claims; drawn apart, so that the rest of a seed stays what it was. */
  #supervision(name: string): JsonObject {
    if (!new Dice(this.#deps.seed, "supervised").chance(0.5)) return {};
    const dice = new Dice(this.#deps.seed, "supervision", name);
    return {
      ...(dice.chance(0.4) ? { attempts: dice.whole(2, 3), backoffSeconds: dice.pick([0, 1, 20]) } : {}),
      ...(dice.chance(0.3) ? { progressSeconds: dice.whole(3, 60) } : {}),
      ...(dice.chance(0.3) ? { onEnd: "handUp" } : {}),
      ...(dice.chance(0.4) ? { claims: [dice.pick(CLAIMS), dice.pick(CLAIMS)].slice(0, dice.whole(1, 2)) } : {}),
      ...(dice.chance(0.2) ? { onConflict: "refuse" } : {}),
      ...(dice.chance(0.5) ? { category: dice.pick(["dig", "sow"]) } : {}),
      ...childBudget(this.#deps.seed, this.#deps.spending, name),
    };
  }

  #oneCall(dice: Dice, name: string): { tool: string; input: JsonObject } {
    const { spawning } = this.#deps;
    const tool = dice.weighted({ sessions_spawn: 6 * spawning, sessions_yield: 3 * spawning, subagents: 2 * spawning, sessions_send: spawning, look: 2, put: 1, fire: 1, break: 0.5, no_such_tool: 0.1, invalid: 0.1 });
    switch (tool) {
      case "sessions_spawn":
        return {
          tool,
          input: {
            task: `child ${name}`,
            label: `c-${name}`,
            ...(dice.chance(0.15) ? { delivery: "notify" } : {}),
            ...(dice.chance(0.25) ? { deadlineSeconds: dice.whole(1, 120) } : {}),
            ...(dice.chance(0.2) ? { context: "fork" } : {}),
            ...this.#supervision(name),
          },
        };
      case "sessions_yield":
        return { tool, input: { waitFor: dice.pick(["all", "all", "any", 1, 2]), ...(dice.chance(0.4) ? { timeoutSeconds: dice.whole(1, 120) } : {}) } };
      case "subagents":
        return { tool, input: dice.pick([{ action: "list" }, { action: "kill", target: dice.pick(["all", "1", "2", "T1", "T2"]) }, { action: "steer", target: dice.pick(["1", "T1", "T2"]), text: `steer ${name}` }, { action: "log", target: "1" }]) };
      case "sessions_send":
        return { tool, input: { session: dice.pick(["1", "2"]), text: `tell ${name}` } };
      case "invalid":
        return { tool: "put", input: { $invalid: "{\"path\": " } };
      default:
        return { tool, input: { name } };
    }
  }
}

interface Asked {
  readonly request: ModelRequest;
  readonly question: string;
  readonly attempt: number;
  readonly usage: Usage;
  readonly nowMs: number;
}

interface Behaviour {
  /** Whether the provider counts it, also when nobody hears the answer. */
  readonly isCounted: boolean;
  /** It is the end of its turn. */
  readonly isEnd?: boolean;
  /** Null = never. */
  readonly afterMs: number | null;
  readonly settle: (resolve: (answer: ModelAnswer) => void, reject: (cause: unknown) => void, onFrame: (frame: ModelFrame) => void) => void;
}

function wallFault(status: number): Fault {
  const provider = "sim";
  return status === 429 ? new Fault("PROVIDER_RATE_LIMITED", { provider, waitedMs: 60_000 }) : new Fault("PROVIDER_OVERLOADED", { provider, status });
}

/** A stream that is cut has said a part of its answer. */
function refusing(dice: Dice, afterMs: number): Behaviour {
  const saysHalf = dice.chance(0.5);
  const fault = refusal(dice);
  return {
    afterMs,
    isCounted: fault.code === "PROVIDER_BROKEN_STREAM",
    settle(_resolve, reject, onFrame) {
      if (saysHalf) onFrame({ type: "text", text: "half an ans" });
      reject(fault);
    },
  };
}

function refusal(dice: Dice): Fault {
  const provider = "sim";
  return dice.pick([
    () => new Fault("PROVIDER_OVERLOADED", { provider, status: 529 }),
    () => new Fault("PROVIDER_RATE_LIMITED", { provider, waitedMs: 60_000 }),
    () => new Fault("PROVIDER_BROKEN_STREAM", { provider, problem: "cut in the middle" }),
    () => new Fault("PROVIDER_REJECTED", { provider, status: 400, problem: "no" }),
  ])();
}

function answerOf(parts: readonly AssistantPart[], usage: Usage): ModelAnswer {
  const stop = parts.some(({ type }) => type === "tool-call") ? "tools" : "end";
  return { parts, stop, usage, model: "sim/one" };
}

function lastText(messages: readonly ChatMessage[]): string {
  const last = messages.findLast((message) => message.role === "user");
  return last?.role === "user" ? last.text : "";
}

/** How many rounds of tools there were since somebody last said something. */
function roundOf(messages: readonly ChatMessage[]): number {
  let round = 0;
  for (let i = messages.length - 1; i >= 0 && messages[i]!.role !== "user"; i--) if (messages[i]!.role === "tool") round++;
  return round;
}

function ofTurn({ turn }: ModelRequest, question: string): string {
  return `${turn ?? "aside"} ${question}`;
}

function questionOf(request: ModelRequest): string {
  const said = request.messages.filter((message) => message.role !== "assistant").map((message) => (message.role === "user" ? message.text : message.results.map(({ callId }) => callId).join()));
  return `${request.cacheKey ?? "aside"} ${hashOf(said.join("\n")).toString(36)} ${roundOf(request.messages)}`;
}
