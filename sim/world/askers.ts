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

  /** Asks again when there was no answer, or one that a later attempt may change. @param alsoRefused  whether every refusal may change. */
  untilDone(what: string, askFor: (gateway: GatewayProcess) => Promise<unknown>, { alsoRefused = false }: { readonly alsoRefused?: boolean } = {}): void {
    const { timeline, report } = this.#deps;
    const ask = (): void => {
      const gateway = this.#deps.gateway();
      if (gateway?.isReady !== true) return again();
      let isOver = false;
      const end = (isToBeAskedAgain: boolean): void => {
        if (!isOver && isToBeAskedAgain) again();
        isOver = true;
      };
      askFor(gateway).then(
        () => end(!gateway.clock.isRunning),
        (cause: unknown) => {
          if (!gateway.clock.isRunning) return end(true);
          if (!isRefusal(cause)) report(`${what} was answered with a defect: ${String(cause)}`);
          end(isRefusal(cause) && (alsoRefused || cause.retryable));
        },
      );
      // A process that died answers nobody.
      const look = (): void => {
        if (isOver) return;
        if (this.#deps.gateway() === gateway) return void timeline.after(ASK_AGAIN_MS, look);
        isOver = true;
        ask();
      };
      timeline.after(ASK_AGAIN_MS, look);
    };
    const again = (): void => void timeline.after(ASK_AGAIN_MS, ask);
    ask();
  }
}
