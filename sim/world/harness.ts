/**
 * Coding agents of a world: the gateway's own agent for them, over harnesses that live in the seed.
 *
 * A harness says its words in pieces, tells of tool calls, asks for leave, dies in the middle, ends
 * without a word or never. What it is told of its questions is held against what a person answered:
 * nothing is allowed that nobody allowed, and each question is answered once.
 */
import { makeAcpAgent } from "../../src/agents/acp/acp-agent.ts";
import { makeCatalogue } from "../../src/agents/acp/catalogue.ts";
import { HarnessGone, type HarnessProcess, type PromptEnd, type PromptSink } from "../../src/agents/acp/harness-process.ts";
import { acpAgents } from "../../src/agents/acp/settings.ts";
import type { Agent } from "../../src/agents/agent.ts";
import { abortable } from "../../src/base/abortable.ts";
import { sleep, type Clock } from "../../src/base/clock.ts";
import type { RandomBytes } from "../../src/base/ids.ts";
import type { Log } from "../../src/base/log.ts";
import type { Settings } from "../../src/base/setting.ts";
import type { HarnessCatalogue, HarnessSpec } from "../../src/model/harness.ts";
import { ApprovalDesk } from "../../src/sessions/approval-desk.ts";
import type { Store } from "../../src/store/store.ts";
import { Dice } from "./dice.ts";

export const HARNESS = "sim";
const FOLDER = "/nonexistent/repository";
const ASKS_MAX = 3;
const PIECE_MS_MAX = 4_000;
const HEALED_MS_MAX = 500;

/** A harness that nobody knows, as a person would add one. */
export function worldHarnesses(settings: Settings): HarnessCatalogue {
  return makeCatalogue({ ...settings, get: (setting) => (setting.key === acpAgents.key ? { [HARNESS]: { command: HARNESS } } : settings.get(setting)) as never });
}

/** What people answered, over all processes; by the words of the question. */
export class Leave {
  readonly #given = new Map<string, boolean>();
  readonly #report: (violation: string) => void;
  isHealed = false;

  constructor(report: (violation: string) => void) {
    this.#report = report;
  }

  answered(what: string, allowed: boolean): void {
    this.#given.set(what, (this.#given.get(what) ?? false) || allowed);
  }

  told(what: string, choice: string): void {
    if (choice === "allow" && this.#given.get(what) !== true) this.#report(`a coding agent was allowed to ${what}, and nobody had allowed it`);
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
}

/** The agent of harness sessions, for one process. */
export function worldHarness(deps: WorldHarnessDeps): Agent {
  const { store, clock, log, settings, random } = deps;
  return makeAcpAgent({
    host: { ceilingOf: () => "approve-reads", unaskedIn: () => null, use: (wanted, _signal, work) => work({ isSpare: false, known: { upTo: null, turns: [] }, ready: async () => new SimHarness(deps, wanted.key) as unknown as HarnessProcess, told: () => {} }) },
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

class SimHarness {
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
    return abortable(signal, this.#work(text, sink, signal));
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
    if (mood !== "silent") for (const word of ["it ", "is ", "done"]) sink.update({ sessionUpdate: "agent_message_chunk", content: { type: "text", text: word } });
    return { stopReason: mood === "refuses" ? "refusal" : "end_turn", usage: {} };
  }
}
