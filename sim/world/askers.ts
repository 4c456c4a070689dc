/** People who ask something of the gateway: once, or until they have an answer. */
import type { GatewayProcess } from "./gateway-process.ts";
import type { PeopleDeps } from "./people.ts";
import { isRefusal } from "./refusal.ts";

/** Who got no answer asks again after this, milliseconds. */
export const ASK_AGAIN_MS = 2_000;

export class Askers {
  readonly #deps: Pick<PeopleDeps, "timeline" | "gateway" | "report">;

  constructor(deps: Pick<PeopleDeps, "timeline" | "gateway" | "report">) {
    this.#deps = deps;
  }

  /** Asks the process that is ready just now, if any. @param askFor  null = there is nothing to ask for. */
  once(what: string, askFor: (gateway: GatewayProcess) => Promise<unknown> | null): void {
    const gateway = this.#deps.gateway();
    if (gateway?.isReady !== true) return;
    askFor(gateway)?.catch((cause: unknown) => {
      if (gateway.clock.isRunning && !isRefusal(cause)) this.#deps.report(`${what} was answered with a defect: ${String(cause)}`);
    });
  }

  /** Asks again when there was no answer, or one that a later attempt may change. */
  untilDone(what: string, askFor: (gateway: GatewayProcess) => Promise<unknown>): void {
    const { timeline, report } = this.#deps;
    const again = (): void => void timeline.after(ASK_AGAIN_MS, () => this.untilDone(what, askFor));
    const gateway = this.#deps.gateway();
    if (gateway?.isReady !== true) return again();
    let isAnswered = false;
    askFor(gateway).then(
      () => void (isAnswered = true),
      (cause: unknown) => {
        isAnswered = true;
        if (!gateway.clock.isRunning) return again();
        if (!isRefusal(cause)) report(`${what} was answered with a defect: ${String(cause)}`);
        else if (cause.retryable) again();
      },
    );
    timeline.after(ASK_AGAIN_MS, () => !isAnswered && this.#deps.gateway() !== gateway && this.untilDone(what, askFor));
  }
}
