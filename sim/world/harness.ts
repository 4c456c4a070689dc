/**
 * Coding agents of a world: the gateway's own agent for them, and its own rooms, over harnesses that live in the seed.
 *
 * A harness says its words in pieces, tells of tool calls, asks for leave, dies in the middle, ends
 * without a word or never. What it is told of its questions is held against what a person answered:
 * nothing is allowed that nobody allowed, and each question is answered once.
 */
import { makeAcpAgent } from "../../src/agents/acp/acp-agent.ts";
import { makeCatalogue } from "../../src/agents/acp/catalogue.ts";
import { HarnessGone, type HarnessProcess, type PromptEnd, type PromptSink } from "../../src/agents/acp/harness-process.ts";
import type { Seat } from "../../src/agents/acp/harness-room.ts";
import { Suite, type SuiteRoom } from "../../src/agents/acp/harness-suite.ts";
import { acpAgents } from "../../src/agents/acp/settings.ts";
import type { Agent } from "../../src/agents/agent.ts";
import { abortable } from "../../src/base/abortable.ts";
import { sleep, type Clock } from "../../src/base/clock.ts";
import type { RandomBytes, SessionKey, TurnId } from "../../src/base/ids.ts";
import type { Log } from "../../src/base/log.ts";
import { NO_MASK } from "../../src/base/redact.ts";
import type { Settings } from "../../src/base/setting.ts";
import { Fault } from "../../src/model/faults.ts";
import type { HarnessCatalogue, HarnessKnowledge, HarnessSpec } from "../../src/model/harness.ts";
import { ApprovalDesk } from "../../src/sessions/approval-desk.ts";
import { sideTurnsMax } from "../../src/sessions/settings.ts";
import type { Store } from "../../src/store/store.ts";
import { Dice } from "./dice.ts";

export const HARNESS = "sim";
const FOLDER = "/nonexistent/repository";
const ASKS_MAX = 3;
const START_MS_MAX = 3_000;
const IDLE_MS = 600_000;
const PIECE_MS_MAX = 4_000;
const HEALED_MS_MAX = 500;

/** A harness that nobody knows, as a person would add one. */
export function worldHarnesses(settings: Settings): HarnessCatalogue {
  return makeCatalogue({ ...settings, get: (setting) => (setting.key === acpAgents.key ? { [HARNESS]: { command: HARNESS } } : settings.get(setting)) as never });
}

/** What people answered, over all processes; by the words of the question. */
export class Leave {
  readonly #given = new Map<string, boolean>();
  readonly report: (violation: string) => void;
  isHealed = false;

  constructor(report: (violation: string) => void) {
    this.report = report;
  }

  answered(what: string, allowed: boolean): void {
    this.#given.set(what, (this.#given.get(what) ?? false) || allowed);
  }

  told(what: string, choice: string): void {
    if (choice === "allow" && this.#given.get(what) !== true) this.report(`a coding agent was allowed to ${what}, and nobody had allowed it`);
  }
}

export interface WorldHarnessDeps {
  readonly seed: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: Settings;
  readonly store: Store;
  readonly random: RandomBytes;
  readonly leave: Leave;
  /** It was at work in its folder. */
  readonly worked?: (session: string) => void;
}

/** The agent of harness sessions, for one process. */
export function worldHarness(deps: WorldHarnessDeps): Agent {
  const { store, clock, log, settings, random } = deps;
  const suites = new Map<SessionKey, Suite<SimRoom>>();
  const suiteOf = (key: SessionKey): Suite<SimRoom> => {
    const open = suites.get(key);
    if (open !== undefined) return open;
    const makeSpare = (_home: SimRoom | null, number: number): SimRoom => new SimRoom(deps, key, number);
    const suite = new Suite<SimRoom>({ log, sparesMax: () => settings.get(sideTurnsMax), idleMs: () => IDLE_MS, makeSpare, onIdle: () => suites.delete(key), track: () => {} }, makeSpare(null, 0));
    suites.set(key, suite);
    return suite;
  };
  return makeAcpAgent({
    mask: NO_MASK,
    host: { ceilingOf: () => "approve-reads", unaskedIn: () => null, use: (wanted, signal, work) => suiteOf(wanted.key).use(wanted, signal, (room) => room.alone(() => work(room))) },
    approvals: new ApprovalDesk({ store, clock, log }),
    // No call of theirs names a file, so nothing looks at one.
    files: {} as Parameters<typeof makeAcpAgent>[0]["files"],
    settings,
    clock,
    random,
    tell: (session, text, code) => store.notice({ session, text, level: "warn", code, entry: true }),
    place: { fences: async () => [], read: () => {}, takeNews: () => [] },
  });
}

/** One session of a harness: its process starts after a while, or not at all. */
class SimRoom implements SuiteRoom, Seat {
  readonly key: SessionKey;
  readonly number: number;
  known: HarnessKnowledge = { upTo: 0, turns: [] };
  isOpen = true;
  isTaken = false;
  wasTaken = false;
  model: string | null = null;
  clearedUpTo = 0;
  readonly #deps: WorldHarnessDeps;
  #harness: SimHarness | null = null;
  #users = 0;
  #disarm = (): void => {};

  constructor(deps: WorldHarnessDeps, key: SessionKey, number: number) {
    this.#deps = deps;
    this.key = key;
    this.number = number;
  }

  get isSpare(): boolean {
    return this.number > 0;
  }

  async alone<T>(work: () => Promise<T>): Promise<T> {
    if (++this.#users > 1) this.#deps.leave.report(`two turns had one coding agent of ${this.key} at once`);
    try {
      return await work();
    } finally {
      this.#users--;
    }
  }

  async started(): Promise<SimHarness> {
    const { clock, seed, leave } = this.#deps;
    if (this.#harness !== null && !this.#harness.isGone) return this.#harness;
    const dice = new Dice(seed, "start of a harness", this.key, this.number, clock.monotonic());
    await sleep(clock, leave.isHealed ? 0 : dice.whole(0, START_MS_MAX));
    if (this.isSpare && !leave.isHealed && dice.chance(0.2)) throw new Fault("ACP_NO_MEMORY", { agent: HARNESS, needsMb: 1, availableMb: 0 });
    this.known = { upTo: 0, turns: [] };
    return (this.#harness = new SimHarness(this.#deps, this.key));
  }

  async ready(signal: AbortSignal): Promise<HarnessProcess> {
    return (await abortable(signal, this.started())) as unknown as HarnessProcess;
  }

  told(turn: TurnId, upTo: number): void {
    this.known = { upTo, turns: [...this.known.turns, turn] };
  }

  left(): void {
    this.isTaken = false;
  }

  armIdle(ms: number, then: () => void): void {
    this.#disarm();
    this.#disarm = this.#deps.clock.after(ms, then);
  }

  disarmIdle(): void {
    this.#disarm();
  }

  async close(): Promise<boolean> {
    this.#disarm();
    this.isOpen = false;
    return this.#harness !== null;
  }
}

class SimHarness {
  isGone = false;
  readonly spec: HarnessSpec;
  readonly isSandboxed = true;
  readonly cwd = FOLDER;
  readonly pid = 1;
  readonly beginning = "new";
  readonly abilities = { steer: false };
  readonly traits = { mode: null };
  wasPrompted = false;
  readonly #deps: WorldHarnessDeps;
  readonly #session: string;

  constructor(deps: WorldHarnessDeps, session: string) {
    this.#deps = deps;
    this.spec = worldHarnesses(deps.settings).find(HARNESS)!;
    this.#session = session;
  }

  takeCostMicros(): number {
    return 0;
  }

  prompt(text: string, sink: PromptSink, signal: AbortSignal): Promise<PromptEnd> {
    this.wasPrompted = true;
    return abortable(signal, this.#work(text, sink, signal)).catch((cause: unknown) => {
      if (cause instanceof HarnessGone) this.isGone = true;
      throw cause;
    });
  }

  async #work(text: string, sink: PromptSink, signal: AbortSignal): Promise<PromptEnd> {
    const { clock, seed, leave } = this.#deps;
    const dice = new Dice(seed, "harness", this.#session, text, clock.monotonic());
    const asks = leave.isHealed ? 0 : dice.whole(0, ASKS_MAX);
    for (let n = 0; n < asks; n++) {
      await sleep(clock, dice.whole(0, PIECE_MS_MAX), signal);
      const what = `do ${dice.pick(["this", "that", "more"])} in ${this.#session}`;
      const call = { toolCallId: `h${n}`, title: what, kind: "execute", rawInput: { command: what } };
      if (dice.chance(0.8)) leave.told(what, await sink.permission(call, ["allow_once", "reject_once"], signal));
      else sink.update({ sessionUpdate: "tool_call", ...call, status: "pending" });
      if (dice.chance(0.8)) sink.update({ sessionUpdate: "tool_call_update", toolCallId: call.toolCallId, status: dice.pick(["completed", "failed"]) });
      if (dice.chance(0.1)) throw new HarnessGone("its process ended");
    }
    await sleep(clock, leave.isHealed ? dice.whole(0, HEALED_MS_MAX) : dice.whole(0, PIECE_MS_MAX), signal);
    const mood = leave.isHealed ? "words" : dice.weighted({ words: 8, silent: 1, gone: 1, refuses: 1, hangs: 0.5 });
    if (mood === "gone") throw new HarnessGone("its process ended");
    if (mood === "hangs") await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }));
    this.#deps.worked?.(this.#session);
    if (mood !== "silent") for (const word of ["it ", "is ", "done"]) sink.update({ sessionUpdate: "agent_message_chunk", content: { type: "text", text: word } });
    return { stopReason: mood === "refuses" ? "refusal" : "end_turn", usage: {} };
  }
}
