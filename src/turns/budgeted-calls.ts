/**
 * Model calls of a turn that has a budget: reserved before, corrected after, ended with what there is.
 *
 *     reserve ──fits──▶ call ──▶ settle
 *        └─too little─▶ cheaper model? ─▶ last call, from what was kept back ─▶ BUDGET_EXHAUSTED
 *
 * Always true: no call goes out that is not reserved at the most that it can cost, and each attempt
 * that a provider may have counted has a reservation of its own.
 *
 * Not here: the accounts, which the store keeps, and whether a turn has a budget at all.
 */
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { BudgetedAnswer } from "../agents/agent.ts";
import { TurnSuperseded } from "../agents/journal.ts";
import { inputTokensBound, inWords, messagesBound, type CallAsked, type CallGrant, type CallTerms, type Exhausted, type ScopeBudgets } from "../model/budget.ts";
import { textOf, toolCallsOf, type ChatMessage, type ModelAnswer, type ModelClient, type ModelFrame, type ModelRequest } from "../model/chat.ts";
import { Fault, type FaultCode } from "../model/faults.ts";
import type { TurnRef } from "../model/turn.ts";
import type { CallSpent, Store } from "../store/store.ts";
import { cheaperModel } from "./budget-settings.ts";

/** An answer with less room than this is not worth a call. */
const ANSWER_TOKENS_MIN = 256;
/** The last answer is short: it only says what there is. */
const LAST_ANSWER_TOKENS_MAX = 1_000;
const LAST_ANSWER_TOKENS_MIN = 32;
/** The most that the last call is shown, bytes. */
const LAST_PROMPT_BYTES_MAX = 24_000;
/** The share of what is left that the last prompt may take. */
const LAST_PROMPT_PART = 0.5;
const LAST_SYSTEM = "Your budget is used up, so this is your last answer. Say what you found out or did so far and what is still missing. Use only what stands below.";
/** What a known prompt may count more when it is sent again with additions. */
const REGROWTH_TOKENS = 64;

/** Faults that say that no model ever began to work. */
const NOT_COUNTED: readonly FaultCode[] = ["PROVIDER_AUTH", "PROVIDER_QUOTA", "PROVIDER_RATE_LIMITED", "PROVIDER_REJECTED", "PROVIDER_NO_KEY", "MODEL_UNKNOWN", "CONTEXT_TOO_LONG"];

export interface BudgetedCallsDeps {
  readonly store: Pick<Store, "reserveCall" | "settleCall" | "notice">;
  readonly models: Pick<ModelClient, "call"> & { terms(model: string): CallTerms };
  readonly settings: Settings;
  readonly log: Log;
  readonly turn: TurnRef;
  readonly scopes: ScopeBudgets;
}

type Frames = (frame: ModelFrame) => void;

export class BudgetedCalls {
  readonly #deps: BudgetedCallsDeps;
  /** Set once money ran short. */
  #cheaper: string | null = null;
  /** A prompt whose count the provider gave. */
  #counted: { readonly model: string; readonly messages: readonly ChatMessage[]; readonly length: number; readonly tokens: number } | null = null;

  constructor(deps: BudgetedCallsDeps) {
    this.#deps = deps;
  }

  /**
   * One model call. When the budget has no room for it, a last one instead, whose answer comes with the fault.
   * @throws {Fault} BUDGET_EXHAUSTED not even that fitted; BUDGET_PRICE_UNKNOWN; what the model client throws.
   * @throws {TurnSuperseded} the turn was stopped.
   */
  async call(request: ModelRequest, onFrame: Frames): Promise<BudgetedAnswer> {
    const asked = this.#ordinary({ ...request, model: this.#cheaper ?? request.model });
    const first = await this.#reserve(asked);
    if (first.outcome === "granted") return this.#ask(asked, first, onFrame);
    const cheap = this.#cheaperThan(asked, first);
    const second = cheap === null ? first : await this.#reserve(cheap);
    if (cheap !== null && second.outcome === "granted") {
      await this.#goOnCheaper(asked.request.model, cheap.request.model);
      return this.#ask(cheap, second, onFrame);
    }
    if (second.outcome !== "exhausted") throw refusal(second, asked);
    return this.#lastCall(cheap ?? asked, second, onFrame);
  }

  /** One model call that can be done without: null when the budget has no room for it. */
  async ifItFits(request: ModelRequest, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer | null> {
    const planned = this.#ordinary({ ...request, model: this.#cheaper ?? request.model });
    const granted = await this.#reserve(planned);
    if (granted.outcome === "exhausted") return null;
    if (granted.outcome !== "granted") throw refusal(granted, planned);
    return this.#run(planned, granted, onFrame);
  }

  #ordinary(request: ModelRequest): Planned {
    const { outputTokensMax, price } = this.#deps.models.terms(request.model);
    const wished = Math.min(request.maxOutputTokens ?? outputTokensMax, outputTokensMax);
    return { request, asked: { inputTokensMax: this.#promptBound(request), outputTokensMax: wished, outputTokensMin: Math.min(ANSWER_TOKENS_MIN, wished), price, isLast: false } };
  }

  /** What is known of the prompt's beginning, and bytes for the rest. */
  #promptBound(request: ModelRequest): number {
    const bound = inputTokensBound(request);
    const known = this.#counted;
    if (known === null || known.model !== request.model || known.messages !== request.messages) return bound;
    return Math.min(bound, known.tokens + REGROWTH_TOKENS + messagesBound(request.messages.slice(known.length)));
  }

  #reserve({ asked }: Planned): Promise<CallGrant> {
    return this.#deps.store.reserveCall({ turn: this.#deps.turn, asked, scopes: this.#deps.scopes });
  }

  async #ask(planned: Planned, granted: Granted, onFrame: Frames): Promise<BudgetedAnswer> {
    const length = planned.request.messages.length;
    const answer = await this.#run(planned, granted, onFrame);
    this.#counted = { model: planned.request.model, messages: planned.request.messages, length, tokens: answer.usage.input };
    const wasCut = answer.stop === "length" && granted.outputTokensMax < planned.asked.outputTokensMax && toolCallsOf(answer.parts).length === 0;
    if (!wasCut) return { answer };
    // The prompt may have counted less than its bound; only when another such call has no room either is the budget the reason.
    const again = await this.#reserve(planned);
    if (again.outcome === "granted") this.#settle(again.hold, "nothing");
    return again.outcome === "exhausted" ? { answer, last: exhausted(again.by).toRecord() } : { answer };
  }

  async #run({ request, asked }: Planned, granted: Granted, onFrame: Frames): Promise<ModelAnswer> {
    let hold: string | null = granted.hold;
    const again = async (): Promise<{ maxOutputTokens: number }> => {
      this.#settle(hold!, "unknown");
      hold = null;
      const next = await this.#reserve({ request, asked });
      if (next.outcome !== "granted") throw refusal(next, { request, asked });
      hold = next.hold;
      return { maxOutputTokens: next.outputTokensMax };
    };
    try {
      const answer = await this.#deps.models.call({ ...request, maxOutputTokens: granted.outputTokensMax, again }, onFrame);
      const tokens = answer.usage.input + answer.usage.output;
      // Some providers count nothing; then the most that it can have been is spent.
      this.#settle(hold, tokens > 0 ? answer.usage : "unknown");
      if (tokens > asked.inputTokensMax + asked.outputTokensMax) this.#deps.log.warn("budget.count-above-bound", { model: request.model, tokens, bound: asked.inputTokensMax + asked.outputTokensMax });
      return answer;
    } catch (cause) {
      if (hold !== null) this.#settle(hold, cause instanceof Fault && NOT_COUNTED.includes(cause.code) ? "nothing" : "unknown");
      throw cause;
    }
  }

  /** Not waited for: the store keeps the order of what it is told. What is lost stays reserved, and a restart takes it for spent. */
  #settle(hold: string, spent: CallSpent): void {
    this.#deps.store.settleCall({ hold, spent }).catch((cause: unknown) => this.#deps.log.warn("budget.not-settled", { cause }));
  }

  // ── when there is too little ──────────────────────────────────────────────────────────────

  #cheaperThan({ request }: Planned, grant: CallGrant): Planned | null {
    const cheaper = this.#deps.settings.get(cheaperModel);
    if (grant.outcome !== "exhausted" || grant.by.unit !== "costMicros" || cheaper === "" || cheaper === request.model) return null;
    return this.#ordinary({ ...request, model: cheaper });
  }

  async #goOnCheaper(from: string, to: string): Promise<void> {
    this.#cheaper = to;
    await this.#deps.store.notice({ session: this.#deps.turn.session, text: `The budget is too small for ${from}; ${to} goes on.`, level: "warn", code: "BUDGET_CHEAPER_MODEL", entry: false });
  }

  /** A small call of its own, so that it fits however long the conversation has grown. */
  async #lastCall({ request, asked: { price } }: Planned, refused: Refused, onFrame: Frames): Promise<BudgetedAnswer> {
    const fault = exhausted(refused.by);
    const bytesMax = Math.min(LAST_PROMPT_BYTES_MAX, Math.floor((refused.tokensLeft ?? Infinity) * LAST_PROMPT_PART));
    const last: ModelRequest = { model: request.model, system: LAST_SYSTEM, messages: [{ role: "user", text: gist(request.messages, bytesMax) }], tools: [], toolChoice: "none", turn: this.#deps.turn.turnId, signal: request.signal };
    const asked: CallAsked = { inputTokensMax: inputTokensBound(last), outputTokensMax: LAST_ANSWER_TOKENS_MAX, outputTokensMin: LAST_ANSWER_TOKENS_MIN, price, isLast: true };
    const granted = await this.#reserve({ request: last, asked });
    if (granted.outcome === "superseded") throw new TurnSuperseded();
    if (granted.outcome !== "granted") throw fault;
    const answer = await this.#run({ request: last, asked }, granted, onFrame);
    const parts = answer.parts.filter((part) => part.type !== "tool-call");
    if (textOf(parts).trim() === "") throw fault;
    return { answer: { ...answer, parts }, last: fault.toRecord() };
  }
}

interface Planned {
  readonly request: ModelRequest;
  readonly asked: CallAsked;
}
type Granted = Extract<CallGrant, { outcome: "granted" }>;
type Refused = Extract<CallGrant, { outcome: "exhausted" }>;

function refusal(grant: CallGrant, { request }: Planned): Error {
  if (grant.outcome === "exhausted") return exhausted(grant.by);
  return grant.outcome === "unpriced" ? new Fault("BUDGET_PRICE_UNKNOWN", { model: request.model }) : new TurnSuperseded();
}

function exhausted({ scope, unit, limit, used }: Exhausted): Fault {
  return new Fault("BUDGET_EXHAUSTED", { scope, ...inWords(unit, { limit, used }) });
}

/** The task and the newest of what followed, in at most so many bytes. */
function gist(messages: readonly ChatMessage[], bytesMax: number): string {
  const lines = messages.map(lineOf).filter((line) => line !== "");
  const task = shorten(lines.findLast((line) => line.startsWith("task: ")) ?? "", Math.floor(bytesMax / 3));
  let room = bytesMax - Buffer.byteLength(task);
  const newest: string[] = [];
  for (const line of lines.toReversed()) {
    const kept = shorten(line, room);
    if (kept === "") break;
    newest.unshift(kept);
    room -= Buffer.byteLength(kept) + 1;
  }
  return [task, "what there is:", ...newest].join("\n");
}

function lineOf(message: ChatMessage): string {
  if (message.role === "user") return `task: ${message.text}`;
  if (message.role === "tool") return message.results.map((result) => `${result.tool}: ${result.text}`).join("\n");
  return textOf(message.parts) === "" ? "" : `you: ${textOf(message.parts)}`;
}

function shorten(line: string, bytesMax: number): string {
  if (bytesMax <= 0) return "";
  return Buffer.byteLength(line) <= bytesMax ? line : Buffer.from(line).subarray(0, bytesMax).toString("utf8").replace(/\uFFFD+$/u, "");
}
