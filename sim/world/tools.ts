/** Tools of the simulated world, one per effect class, and the ledger of what they really did. */
import { sleep, type Clock } from "../../src/base/clock.ts";
import type { EffectClass, Tool } from "../../src/model/tool.ts";
import { Fault } from "../../src/model/faults.ts";
import { Dice } from "./dice.ts";

/** What happened in the outside world, over all crashes. */
export class Ledger {
  readonly #fired = new Map<string, number>();
  readonly #report: (violation: string) => void;

  constructor(report: (violation: string) => void) {
    this.#report = report;
  }

  fired(stepKey: string): void {
    const times = (this.#fired.get(stepKey) ?? 0) + 1;
    this.#fired.set(stepKey, times);
    if (times > 1) this.#report(`a call that may run once only ran ${times} times: ${stepKey}`);
  }
}

/** The tools as one process has them. */
export function worldTools(seed: number, clock: Clock, ledger: Ledger): readonly Tool[] {
  return [tool("look", "pure", true), tool("put", "idempotent", false), tool("fire", "once", false), tool("break", "pure", true)];

  function tool(name: string, effect: EffectClass, parallel: boolean): Tool {
    return {
      name,
      description: name,
      inputSchema: { type: "object" },
      effect,
      parallel,
      async run(_input, { stepKey, signal }) {
        const dice = new Dice(seed, "tool", stepKey);
        if (effect === "once") ledger.fired(stepKey);
        const ms = dice.chance(0.3) ? 0 : dice.chance(0.9) ? dice.spread(1, 5_000) : dice.whole(10_000, 100_000);
        if (ms > 0) await sleep(clock, ms, signal);
        if (name !== "break") return { text: `${name} is done` };
        if (dice.chance(0.5)) throw new Fault("PATH_REFUSED", { path: "/nowhere", problem: "is not there" });
        throw new TypeError("a defect of the tool");
      },
    };
  }
}
