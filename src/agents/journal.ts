/**
 * The journal of one turn: intents before, results after, replayed after a crash.
 *
 * Writes are collected and go out together at the points where the outside world could notice
 * (`flush`): before a model is asked, before tools run. The last result travels with the end of
 * the turn itself.
 */
import type { ModelAnswer, ToolResult } from "../model/chat.ts";
import type { NewEvent } from "../model/event.ts";
import type { MessageId } from "../base/ids.ts";
import type { FaultRecord } from "../model/faults.ts";
import type { StepIntent, StepRecord, StepResult, StepWrite } from "../model/turn.ts";
import { OUTCOME_UNKNOWN, modelStepKey, toolStepKey } from "../model/transcript.ts";

export interface JournalPort {
  /** False: the turn's epoch is old; nothing was written. */
  write(writes: readonly StepWrite[], events: readonly NewEvent[]): Promise<boolean>;
  /** Messages that joined the running turn; null when there is certainly none. */
  takeSteering(): Promise<readonly { readonly id: MessageId; readonly text: string }[]>;
  /** Cheap hint: true when a message for the running turn may have come. */
  mayHaveSteering(): boolean;
}

/** The turn lost its right to write: it was stopped, or another generation runs it. */
export class TurnSuperseded extends Error {
  override readonly name = "TurnSuperseded";
}

export class StepJournal {
  readonly #port: JournalPort;
  readonly #records: StepRecord[];
  readonly #known = new Map<string, StepRecord>();
  #writes: StepWrite[] = [];
  #events: NewEvent[] = [];

  /** @param first  the key of the step whose intent the store wrote with the claim itself. */
  constructor(port: JournalPort, records: readonly StepRecord[], first: string) {
    this.#port = port;
    this.#records = [...records];
    for (const record of records) this.#known.set(record.key, record);
    if (!this.#known.has(first)) this.#known.set(first, { key: first, kind: "model", name: "model", effect: "pure", input: null, state: "intent", result: null });
  }

  /** A model's answer that was committed before. */
  answer(round: number): ModelAnswer | null {
    const result = this.#known.get(modelStepKey(round))?.result;
    return result?.kind === "model" ? result.answer : null;
  }

  /** Why a committed answer was the last one, if it was. */
  lastBecause(round: number): FaultRecord | null {
    const result = this.#known.get(modelStepKey(round))?.result;
    return result?.kind === "model" ? (result.last ?? null) : null;
  }

  /** A result that was committed before, also that nobody knows it. */
  toolResult(round: number, callId: string): { result: ToolResult; yield?: { readonly barrierId: string } } | null {
    const step = this.#known.get(toolStepKey(round, callId));
    if (step?.state === "unknown") return { result: { callId, tool: step.name, text: OUTCOME_UNKNOWN, isError: true } };
    return step?.result?.kind === "tool" ? step.result : null;
  }

  /** True when a call's intent was written by an earlier attempt: it may have run. */
  mayHaveRun(round: number, callId: string): boolean {
    return this.#known.has(toolStepKey(round, callId));
  }

  /** Texts that joined the turn after a round, as recorded by an earlier attempt. */
  steeringAfter(round: number): string[] {
    const start = this.#records.findIndex((record) => record.key === modelStepKey(round));
    const texts: string[] = [];
    for (const record of this.#records.slice(start + 1)) {
      if (record.kind === "model") break;
      if (record.result?.kind === "steer") texts.push(record.result.text);
    }
    return texts;
  }

  intent(intent: StepIntent, event?: NewEvent): void {
    if (event !== undefined) this.#events.push(event);
    if (this.#known.has(intent.key)) return;
    this.#known.set(intent.key, { ...intent, state: "intent", result: null });
    this.#writes.push({ intent });
  }

  result(key: string, value: StepResult, event?: NewEvent): void {
    if (event !== undefined) this.#events.push(event);
    this.#writes.push({ result: { key, value } });
  }

  unknown(key: string, event: NewEvent): void {
    this.#events.push(event);
    this.#writes.push({ unknown: { key } });
  }

  /** An event of the turn that belongs to no step. */
  event(event: NewEvent): void {
    this.#events.push(event);
  }

  /** Resolves when everything so far is on disk. @throws {TurnSuperseded} */
  async flush(): Promise<void> {
    if (this.#writes.length === 0 && this.#events.length === 0) return;
    const { writes, events } = this.takeUnwritten();
    if (!(await this.#port.write(writes, events))) throw new TurnSuperseded();
  }

  /** What is still to be written, for whoever ends the turn. */
  takeUnwritten(): { writes: readonly StepWrite[]; events: readonly NewEvent[] } {
    const unwritten = { writes: this.#writes, events: this.#events };
    this.#writes = [];
    this.#events = [];
    return unwritten;
  }

  /** Messages that joined since the last round; they are journalled as they are taken. */
  async steering(): Promise<string[]> {
    if (!this.#port.mayHaveSteering()) return [];
    await this.flush();
    return (await this.#port.takeSteering()).map((message) => message.text);
  }
}
