/**
 * Model calls that no turn of ours makes: a question about a message, the probes of a model, the calls of
 * other programs. They count like all others: reserved before in the budgets that limit their work,
 * written down afterwards.
 */
import type { SessionKey } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import { inputTokensBound, inWords, type CallAsked, type CallTerms, type ScopeBudgets } from "../model/budget.ts";
import type { ModelAnswer, ModelClient, ModelFrame, ModelRequest, Usage } from "../model/chat.ts";
import { Fault } from "../model/faults.ts";
import { parseSessionKey } from "../model/session.ts";
import type { Store } from "../store/store.ts";
import { scopeBudgets } from "./budget-settings.ts";

const NO_SCOPES: ScopeBudgets = { session: {}, tree: {}, person: {}, day: {} };

export interface BesideCallsDeps {
  readonly store: Pick<Store, "reserveCallBeside" | "settleCall" | "recordCall">;
  readonly models: Pick<ModelClient, "call"> & { terms(model: string): CallTerms };
  readonly settings: Settings;
  readonly log: Log;
}

/** What was set aside for one call. */
export interface CallHold {
  readonly outputTokensMax: number;
  settle(spent: Usage | "unknown" | "nothing"): void;
}

export class BesideCalls {
  readonly #deps: BesideCallsDeps;

  constructor(deps: BesideCallsDeps) {
    this.#deps = deps;
  }

  /**
   * Sets aside the most that one call can cost; null when nothing limits it, which asks the store nothing.
   * @param budgeted  the session is that of a child with a budget, or below one.
   * @throws {Fault} BUDGET_EXHAUSTED, BUDGET_PRICE_UNKNOWN
   */
  async reserve({ session, budgeted, model }: { session: SessionKey | null; budgeted: boolean; model: string }, asked: CallAsked): Promise<CallHold | null> {
    const { store, settings, log } = this.#deps;
    const scopes = scopeBudgets(settings);
    if (scopes === null && !budgeted) return null;
    const grant = await store.reserveCallBeside({ session, asked, scopes: scopes ?? NO_SCOPES });
    if (grant.outcome === "unpriced") throw new Fault("BUDGET_PRICE_UNKNOWN", { model });
    if (grant.outcome === "exhausted") throw new Fault("BUDGET_EXHAUSTED", { scope: grant.by.scope, ...inWords(grant.by.unit, { limit: grant.by.limit, used: grant.by.used }) });
    if (grant.outcome === "superseded") throw new Fault("TURN_CANCELLED", { by: "the end of its turn" });
    const { hold, outputTokensMax } = grant;
    return { outputTokensMax, settle: (spent) => void store.settleCall({ hold, spent }).catch((cause: unknown) => log.warn("budget.not-settled", { cause })) };
  }

  /** A client for calls beside the turns of a session, or for nobody's. */
  client(session: SessionKey | null): Pick<ModelClient, "call"> {
    return { call: (request, onFrame) => this.#call(session, request, onFrame) };
  }

  async #call(session: SessionKey | null, request: ModelRequest, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer> {
    const { store, models, log } = this.#deps;
    const { outputTokensMax: longest, price } = models.terms(request.model);
    const outputTokensMax = Math.min(request.maxOutputTokens ?? longest, longest);
    const hold = await this.reserve({ session, budgeted: session !== null && mayHaveBudget(session), model: request.model }, { inputTokensMax: inputTokensBound(request), outputTokensMax, outputTokensMin: outputTokensMax, price, isLast: false });
    let spent: Usage | "unknown" = "unknown";
    try {
      const answer = await models.call(request, onFrame);
      if (answer.usage.input + answer.usage.output > 0) spent = answer.usage;
      store.recordCall({ session, model: answer.model, usage: answer.usage }).catch((cause: unknown) => log.warn("usage.not-kept", { cause }));
      return answer;
    } finally {
      hold?.settle(spent);
    }
  }
}

/** Only the store knows whether a child has a budget, or stands below one. */
function mayHaveBudget(session: SessionKey): boolean {
  const { kind } = parseSessionKey(session).parts;
  return kind === "subagent" || kind === "acp";
}
