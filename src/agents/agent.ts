/**
 * An agent: what works on a turn. `native` is our own loop over a model; external harnesses come
 * as further implementations of the same contract.
 *
 * An agent knows nothing of the store: it asks for steps, which are journalled around it, and it
 * must be written so that running it again from its journal comes to the same place.
 */
import type { ChatMessage, ModelAnswer, ModelFrame, ModelRequest, Usage } from "../model/chat.ts";
import type { FaultRecord } from "../model/faults.ts";
import type { Toolbox } from "../model/tool.ts";
import type { Entry, StartedTurn } from "../model/turn.ts";
import type { StepJournal } from "./journal.ts";

export interface AgentTurn {
  readonly started: StartedTurn;
  readonly model: string;
  /** The same from turn to turn, as far as it can be. */
  readonly system: string;
  /** What holds at this moment; may be empty. */
  readonly now: string;
  /** The conversation before this turn. */
  readonly history: readonly ChatMessage[];
  /** The same as it is stored. */
  readonly entries: readonly Entry[];
  /** Entries up to this one were taken out of the conversation, and no memory may hold them; 0 = none were. */
  readonly clearedUpTo: number;
  /** What the turn is to answer. */
  readonly messages: readonly ChatMessage[];
  readonly tools: Toolbox;
  /** It began beside its conversation, and may change nothing itself: `tools` has none for that. */
  readonly readOnly: boolean;
  readonly workspace: string;
  readonly stepsMax: number;
  readonly toolOutputMaxBytes: number;
  readonly journal: StepJournal;
  readonly signal: AbortSignal;
  /** Calls the model within the turn's budget; null when nothing limits it. */
  readonly budgeted: BudgetedCall | null;
  /** Output as it comes; provisional. */
  onFrame(frame: ModelFrame): void;
  /** The model denied a tool which it has, and was made to call it; `mended` = it did. */
  onDenial(denial: { readonly model: string; readonly tool: string; readonly mended: boolean }): void;
  /** Something really moved on. */
  progress(): void;
}

export interface BudgetedAnswer {
  readonly answer: ModelAnswer;
  /** Set when this was the last call that the budget had room for: the turn ends with it, for this reason. */
  readonly last?: FaultRecord;
}

export type BudgetedCall = (request: ModelRequest, onFrame: (frame: ModelFrame) => void) => Promise<BudgetedAnswer>;

export type AgentEnd =
  /** `fault`: the work was ended early, and the text is what there was. */
  | { readonly outcome: "done"; readonly text: string; readonly usage: Usage; readonly fault?: FaultRecord }
  | { readonly outcome: "yielded"; readonly text: string; readonly barrierId: string; readonly usage: Usage };

export interface Agent {
  readonly kind: "native" | "acp";
  /**
   * Works on one turn to its end.
   * @throws {Fault} why the turn failed; the signal's reason when it was stopped.
   */
  work(turn: AgentTurn): Promise<AgentEnd>;
}
