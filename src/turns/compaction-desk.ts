/**
 * Makes summaries: for a turn that has to wait for one, and beside conversations that soon would.
 *
 * Always true: one at a time per session, a few over all; what was begun ends with the gateway, and a
 * summary of a conversation that was cleared, compacted or deleted meanwhile is thrown away by the store.
 */
import type { SessionKey, TurnId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { ModelClient, ModelFrame, ModelRequest, Usage } from "../model/chat.ts";
import { textOf } from "../model/chat.ts";
import { asFault, Fault } from "../model/faults.ts";
import type { SessionContext, Store } from "../store/store.ts";
import type { BudgetedCalls } from "./budgeted-calls.ts";
import { compactionPrompt, newestExchange } from "./compact.ts";

/** Summaries made beside conversations at the same moment; more wait for their next turn. */
const BESIDE_MAX = 4;

export interface CompactionDeskDeps {
  readonly store: Pick<Store, "summariseSession">;
  readonly models: Pick<ModelClient, "call">;
  readonly log: Log;
  /** Aborts when the gateway stops. */
  readonly signal: AbortSignal;
}

export interface Summary {
  readonly summary: string;
  readonly usage: Usage;
  /** The model that really answered. */
  readonly model: string;
}

/** For whom a summary is made. */
export interface SummaryBy {
  readonly key: SessionKey;
  /** The turn that waits for it. */
  readonly turn?: TurnId;
  /** A person waits for it. */
  readonly person: boolean;
  readonly signal: AbortSignal;
  readonly budgeted: Pick<BudgetedCalls, "ifItFits"> | null;
  readonly onFrame: (frame: ModelFrame) => void;
}

export interface Conversation {
  readonly key: SessionKey;
  readonly createdAt: number;
  readonly model: string;
  readonly context: SessionContext;
}

export class CompactionDesk {
  readonly #deps: CompactionDeskDeps;
  readonly #beside = new Map<SessionKey, Promise<boolean>>();

  constructor(deps: CompactionDeskDeps) {
    this.#deps = deps;
  }

  /** Begins one beside its conversation; does nothing while another of this session runs, or too many do. */
  begin(conversation: Conversation, upTo: number): void {
    if (this.#beside.has(conversation.key) || this.#beside.size >= BESIDE_MAX || this.#deps.signal.aborted) return;
    void this.#start(conversation, upTo);
  }

  /** Everything but the newest exchange. @returns how many entries that is. @throws {Fault} TOO_MANY_AT_ONCE */
  compactAll(conversation: Conversation): number {
    const { entries } = conversation.context;
    const upTo = newestExchange(entries);
    if (upTo === null) return 0;
    if (this.#beside.has(conversation.key)) throw new Fault("TOO_MANY_AT_ONCE", { what: "compactions of this conversation", max: 1 });
    if (this.#beside.size >= BESIDE_MAX) throw new Fault("TOO_MANY_AT_ONCE", { what: "compactions", max: BESIDE_MAX });
    void this.#start(conversation, upTo);
    return entries.filter(({ seq }) => seq <= upTo).length;
  }

  /** Waits for the one that runs beside a session. @returns false when there was none, or it came to nothing. */
  async settled(key: SessionKey, signal: AbortSignal): Promise<boolean> {
    const beside = this.#beside.get(key);
    if (beside === undefined) return false;
    const aborted = new Promise<never>((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
    return Promise.race([beside, aborted]);
  }

  /**
   * @param by.onFrame  hears of waits; the text of a summary is for nobody.
   * @returns null when the budget is not enough for it.
   * @throws {Fault} PROVIDER_*; the signal's reason.
   */
  async summarise(model: string, context: SessionContext, upTo: number, by: SummaryBy): Promise<Summary | null> {
    const { key, turn, person, signal, budgeted } = by;
    const request: ModelRequest = { ...compactionPrompt(context.summary, context.entries.filter((entry) => entry.seq <= upTo)), model, tools: [], toolChoice: "none", cacheKey: key, person, signal, ...(turn === undefined ? {} : { turn }) };
    const onFrame = (frame: ModelFrame): void => {
      if (frame.type !== "text") by.onFrame(frame);
    };
    const answer = budgeted === null ? await this.#deps.models.call(request, onFrame) : await budgeted.ifItFits(request, onFrame);
    if (answer === null) return null;
    const summary = textOf(answer.parts);
    // Without this the older part of the conversation would be gone for nothing.
    if (summary.trim() === "") throw new Fault("PROVIDER_BROKEN_STREAM", { provider: model, problem: "a summary without any text" });
    return { summary, usage: answer.usage, model: answer.model };
  }

  /** Resolves when none runs any more. */
  async idle(): Promise<void> {
    await Promise.all(this.#beside.values());
  }

  #start(conversation: Conversation, upTo: number): Promise<boolean> {
    const { key } = conversation;
    const done = this.#compact(conversation, upTo).finally(() => this.#beside.delete(key));
    this.#beside.set(key, done);
    return done;
  }

  async #compact({ key, createdAt, model, context }: Conversation, upTo: number): Promise<boolean> {
    const { store, log, signal } = this.#deps;
    try {
      const made = await this.summarise(model, context, upTo, { key, person: false, signal, budgeted: null, onFrame: () => {} });
      return await store.summariseSession({ key, createdAt, from: context.summaryUpTo, upTo, ...made! });
    } catch (cause) {
      // The conversation goes on as it was; when it is full, its next turn makes the summary itself and says what is wrong.
      if (!signal.aborted) log.warn("compaction.failed", { session: key, code: asFault(cause).code });
      return false;
    }
  }
}
