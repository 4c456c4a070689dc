/**
 * A store on the bench: the verbs in the short words of its tests, under a clock that they move.
 *
 * Nothing here decides anything; each word is one verb with everything that the test does not speak
 * about filled in.
 */
import assert from "node:assert/strict";
import type { ManualClock } from "../base/clock.ts";
import type { BarrierId, SessionKey, TaskId } from "../base/ids.ts";
import type { Budget } from "../model/budget.ts";
import { NO_USAGE, type AssistantPart, type Usage } from "../model/chat.ts";
import type { Claim, Rules } from "../model/claim.ts";
import type { YardEvent } from "../model/event.ts";
import { Fault, type FaultCode, type FaultRecord } from "../model/faults.ts";
import type { MessageMode, PoolName, QueueMode } from "../model/lane.ts";
import type { Accepted, NewMessage } from "../model/message.ts";
import { directSession, mainSession } from "../model/session.ts";
import type { NewSpawn, Task } from "../model/task.ts";
import { modelStepKey, toolStepKey } from "../model/transcript.ts";
import type { StartedTurn, StepWrite, TurnRef } from "../model/turn.ts";
import type { BarrierOpened, ClaimedDelivery, Store } from "./store.ts";

export const MEAN: Readonly<Record<PoolName, number>> = { main: 1000, side: 1000, subagent: 1000, acp: 1000, timer: 1000 };
export const ANN = directSession("main", "api", "ann");
export const BOB = directSession("main", "api", "bob");
export const MAIN = mainSession("main");

const RULES: Rules = { pools: { main: 4, side: 8, subagent: 8, acp: 4, timer: 4 }, foregroundMs: 10_000, gatherMs: 0, sideTurnsMax: 3, queueCap: 100 };
const TURNS_MAX = 64;
const CALL_USAGE: Usage = { ...NO_USAGE, input: 10, output: 2, calls: 1 };

export interface OpenedStore {
  readonly store: Store;
  readonly clock: ManualClock;
  /** Lets go without a word, as a killed process does, and opens the same rows again. */
  reopen(): Promise<OpenedStore>;
}

export type Sent = Partial<Omit<NewMessage, "session" | "text" | "queueMode">> & { mode?: MessageMode; defaultMode?: QueueMode; waitMs?: number; independence?: "rules" | "independent" | "dependent" };
export type Spawned = Partial<Omit<NewSpawn, "parent" | "turnId">> & { childrenMax?: number; depthMax?: number; tree?: Budget };

export class StoreBench {
  #opened: OpenedStore;
  readonly events: YardEvent[] = [];
  readonly stopped: string[] = [];
  #keys = 0;
  #stopListening: (() => void)[] = [];

  constructor(opened: OpenedStore) {
    this.#opened = opened;
    this.#listen();
  }

  get store(): Store {
    return this.#opened.store;
  }
  get clock(): ManualClock {
    return this.#opened.clock;
  }

  #listen(): void {
    for (const stop of this.#stopListening) stop();
    this.#stopListening = [this.store.onEvents((events) => this.events.push(...events)), this.store.onStopped((turns) => this.stopped.push(...turns))];
  }

  /** The process dies and another one starts on the same rows. */
  async crash(): ReturnType<Store["recover"]> {
    this.#opened = await this.#opened.reopen();
    this.#listen();
    return this.store.recover();
  }

  rules(change: Partial<Omit<Rules, "pools">> & { pools?: Partial<Rules["pools"]> } = {}): Promise<void> {
    return this.store.setRules({ ...RULES, ...change, pools: { ...RULES.pools, ...change.pools } });
  }

  accept(session: SessionKey, text: string, sent: Sent = {}): Promise<Accepted> {
    const { mode = null, defaultMode = "auto", waitMs = 0, independence = "rules", ...more } = sent;
    return this.store.acceptMessage({
      message: { session, text, provenance: "user", channel: "api", sourceId: null, author: null, replyTo: null, queueMode: mode, ...more },
      rules: { waitMs, defaultMode, meanTurnMs: 1000, independence },
    });
  }

  claim(turnsMax = TURNS_MAX): Promise<Claim> {
    return this.store.claimTurns({ turnsMax, meanTurnMs: MEAN });
  }

  async started(): Promise<readonly StartedTurn[]> {
    return (await this.claim()).started;
  }

  /** The one turn that starts now. */
  async start(): Promise<StartedTurn> {
    const started = await this.started();
    assert.equal(started.length, 1, `expected one turn to start, not ${started.length}`);
    return started[0]!;
  }

  /** Accepts a message and starts its turn. */
  async begin(session: SessionKey, text: string, sent: Sent = {}): Promise<StartedTurn> {
    await this.accept(session, text, sent);
    return this.start();
  }

  async done(turn: StartedTurn, text = "done"): Promise<boolean> {
    return this.store.endTurn({ turn: refOf(turn), end: { outcome: "done", text, usage: CALL_USAGE }, writes: [answered(1, [{ type: "text", text }])] });
  }

  async failed(turn: StartedTurn, fault: FaultRecord = new Fault("TURN_STALLED", { seconds: 1 }).toRecord()): Promise<boolean> {
    return this.store.endTurn({ turn: refOf(turn), end: { outcome: "failed", fault, usage: NO_USAGE }, writes: [] });
  }

  async spawn(parent: StartedTurn | SessionKey | null, label: string, spawned: Spawned = {}): Promise<Task> {
    const { childrenMax = 5, depthMax = 5, tree = {}, ...more } = spawned;
    const turn = parent !== null && typeof parent === "object" ? parent : null;
    const { task } = await this.store.admitSpawn({
      spawn: {
        task: `do ${label}`, label, parent: turn === null ? (parent as SessionKey | null) : turn.session, turnId: turn?.turnId ?? null, agent: "main", kind: "subagent", model: null, context: "isolated",
        cwd: null, deadlineSeconds: null, delivery: "digest", cleanup: "keep", claims: [], idempotencyKey: null, ...more,
      },
      limits: { depthMax, childrenMax, tree },
    });
    return task;
  }

  openBarrier(turn: StartedTurn, wait: { waitFor?: "all" | "any" | number; tasks?: readonly TaskId[] | null; timeoutMs?: number | null; stepKey?: string } = {}): Promise<BarrierOpened> {
    return this.store.openBarrier({ turn: refOf(turn), stepKey: wait.stepKey ?? `${turn.turnId}/${this.#keys++}`, waitFor: wait.waitFor ?? "all", tasks: wait.tasks ?? null, timeoutMs: wait.timeoutMs ?? null });
  }

  /** Opens a barrier and ends the turn at it. */
  async yielded(turn: StartedTurn, wait: Parameters<StoreBench["openBarrier"]>[1] = {}): Promise<BarrierId> {
    const opened = await this.openBarrier(turn, wait);
    assert.ok(opened.outcome !== "nothing-to-wait-for");
    assert.equal(await this.endAt(turn, opened.barrierId), true);
    return opened.barrierId;
  }

  endAt(turn: StartedTurn, barrierId: BarrierId): Promise<boolean> {
    return this.store.endTurn({ turn: refOf(turn), end: { outcome: "yielded", text: "", barrierId, usage: CALL_USAGE }, writes: [] });
  }

  /** Runs everything that can run, with this answer, until nothing starts any more; time moves to what comes due. */
  async drain(answer: (turn: StartedTurn) => string = (turn) => `answer to ${turn.messages[0]?.text ?? ""}`): Promise<StartedTurn[]> {
    const ran: StartedTurn[] = [];
    for (let round = 0; round < 1000; round++) {
      const { started, nextAt } = await this.claim();
      for (const turn of started) await this.done(turn, answer(turn));
      ran.push(...started);
      if (started.length > 0) continue;
      if (nextAt === null) return ran;
      this.clock.advance(Math.max(1, nextAt - this.clock.now()));
    }
    throw new Error("it never comes to rest");
  }

  /** Texts of the transcript as the model would be told them. */
  async transcript(session: SessionKey): Promise<string[]> {
    const page = await this.store.history({ key: session, after: 0, limit: 1000 });
    return page!.entries.map(({ content }) => {
      if (content.role === "assistant") return `assistant: ${content.parts.map((part) => (part.type === "tool-call" ? `(${part.tool})` : part.text)).join("")}`;
      if (content.role === "tool") return `tool: ${content.results.map((result) => result.text).join(" | ")}`;
      return `${content.role}: ${content.text}`;
    });
  }

  eventsOf(session: SessionKey, type?: YardEvent["type"]): YardEvent[] {
    return this.events.filter((event) => event.session === session && (type === undefined || event.type === type));
  }

  replies(session: SessionKey): { text: string; replyTo: string[] }[] {
    return this.eventsOf(session, "reply").map((event) => event.data as { text: string; replyTo: string[] });
  }
}

export function refOf({ turnId, session, epoch }: StartedTurn): TurnRef {
  return { turnId, session, epoch };
}

/** The journalled answer of a model call. */
export function answered(round: number, parts: readonly AssistantPart[]): StepWrite {
  return { result: { key: modelStepKey(round), value: { kind: "model", answer: { parts, stop: "end", usage: CALL_USAGE, model: "test/m" } } } };
}

/** The journalled intent of a tool call. */
export function calling(round: number, callId: string, tool: string): StepWrite {
  return { intent: { key: toolStepKey(round, callId), kind: "tool", name: tool, effect: "pure", input: {} } };
}

export function resulted(round: number, callId: string, tool: string, text: string): StepWrite {
  return { result: { key: toolStepKey(round, callId), value: { kind: "tool", result: { callId, tool, text, isError: false } } } };
}

/** For `assert.rejects`: a Fault with this code. */
export function fault(code: FaultCode): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof Fault && thrown.code === code;
}

/** The task whose result it is. */
export function taskOf(claimed: ClaimedDelivery): Task {
  assert.ok("task" in claimed, "the result of a run of a job");
  return claimed.task;
}
