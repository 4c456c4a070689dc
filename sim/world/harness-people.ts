/** A person who talks to a coding agent, and those who answer what coding agents ask. */
import type { SessionKey } from "../../src/base/ids.ts";
import type { YardEvent } from "../../src/model/event.ts";
import type { Askers } from "./askers.ts";
import { Dice } from "./dice.ts";
import type { GatewayProcess } from "./gateway-process.ts";
import { HARNESS, type Leave } from "./harness.ts";
import type { Senders } from "./people.ts";
import type { Action } from "./plan.ts";
import { isRefusal } from "./refusal.ts";
import type { Timeline } from "./timeline.ts";

/** How long a person takes for an answer to a coding agent, milliseconds. */
const ANSWER_MS_MAX = 400_000;

export interface HarnessPeopleDeps {
  readonly seed: number;
  readonly timeline: Timeline;
  readonly askers: Askers;
  readonly senders: Senders;
  readonly leave: Leave;
  readonly parent: () => SessionKey;
  readonly report: (violation: string) => void;
}

export class HarnessPeople {
  readonly #deps: HarnessPeopleDeps;
  /** The session that a person started. */
  #session: SessionKey | null = null;
  /** Talks that are under way; one with a process that is gone never ends. */
  readonly #talks = new Set<{ readonly gateway: GatewayProcess }>();

  constructor(deps: HarnessPeopleDeps) {
    this.#deps = deps;
  }

  areTalkingTo(gateway: GatewayProcess | null): boolean {
    return [...this.#talks].some((talk) => talk.gateway === gateway);
  }

  async talk(gateway: GatewayProcess, say: Extract<Action, { kind: "talk" }>["say"]): Promise<void> {
    const { senders, parent, report } = this.#deps;
    const talk = { gateway };
    this.#talks.add(talk);
    try {
      this.#session ??= await gateway.store.openHarnessSession({ agent: HARNESS, parent: parent(), cwd: null, label: null });
      if (say === null) await gateway.frontDoor.promote(this.#session);
      else senders.send({ ...say, session: this.#session });
    } catch (cause) {
      if (gateway.clock.isRunning && !isRefusal(cause)) report(`talking to a coding agent was answered with a defect: ${String(cause)}`);
    } finally {
      this.#talks.delete(talk);
    }
  }

  /** A person answers what a coding agent asks, sooner or later, or never. @param process  how many processes there have been. */
  answer({ data }: YardEvent, process: number): void {
    const { seed, timeline, askers, leave } = this.#deps;
    const id = String(data["approvalId"]);
    const dice = new Dice(seed, "leave", id, process);
    const answer = dice.weighted({ once: 3, always: 1, deny: 2, never: 2 });
    if (answer === "never") return;
    timeline.after(dice.spread(10, ANSWER_MS_MAX), () => {
      askers.once(`the answer to ${id}`, ({ store }) => {
        // It may take effect although it is never answered.
        leave.answered(String(data["what"]), answer !== "deny");
        return store.answerApproval({ id, answer, by: "a person", from: null });
      });
    });
  }
}
