/**
 * The approval desk: whoever needs a person's yes waits here for it.
 *
 * Always true: every ask resolves exactly once and never rejects. The answer is the row's: it is
 * written first, and then told to who waits. What cannot be asked, or not be kept, is denied.
 *
 * Not here: who may be asked, and where; the store finds the conversation and checks the answerer.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { inputHash, oneLine, shownInput, type Approval, type ApprovalState, type NewApproval } from "../model/approval.ts";
import type { ApprovalPort, PermissionAnswer, PermissionAsk } from "../model/harness.ts";
import type { Store } from "../store/store.ts";

export interface ApprovalDeskDeps {
  readonly store: Pick<Store, "askApproval" | "endApproval" | "onEvents">;
  readonly clock: Clock;
  readonly log: Log;
}

export class ApprovalDesk implements ApprovalPort {
  readonly #deps: ApprovalDeskDeps;
  /** By the key of what was asked; the same thing may be waited for twice. */
  readonly #waiting = new Map<string, Set<(state: ApprovalState, by: string) => void>>();

  constructor(deps: ApprovalDeskDeps) {
    this.#deps = deps;
    deps.store.onEvents((events) => {
      for (const { type, data } of events) {
        if (type !== "approval.answered") continue;
        for (const tell of this.#waiting.get(data["askKey"] as string) ?? []) tell(data["state"] as ApprovalState, data["by"] as string);
      }
    });
  }

  ask(ask: PermissionAsk, signal: AbortSignal): Promise<PermissionAnswer> {
    return this.wait(
      {
        askKey: ask.id, session: ask.session, turnId: ask.turnId, holder: ask.harness, tool: oneLine(ask.tool), what: oneLine(ask.what), path: ask.path ?? null,
        input: shownInput(ask.input), hash: inputHash(ask.input), cwd: ask.cwd, expiresAt: ask.expiresAt,
      },
      signal,
    );
  }

  /** Asks, and waits for the answer, the time, or the signal. */
  async wait(ask: NewApproval, signal: AbortSignal): Promise<PermissionAnswer> {
    const { store, clock, log } = this.#deps;
    const { promise, resolve } = Promise.withResolvers<PermissionAnswer>();
    const tell = (state: ApprovalState, by: string): void => resolve(answerOf(state, by));
    const end = (state: "expired" | "cancelled", by: string): void => {
      store.endApproval({ askKey: ask.askKey, state, by }).then(settled, failed);
    };
    const settled = (approval: Approval | null): void => {
      if (approval === null) tell("cancelled", "nobody asked");
      else if (approval.state !== "pending") tell(approval.state, approval.by!);
    };
    const failed = (cause: unknown): void => {
      log.error("approval.not-kept", { cause });
      resolve({ answer: "deny", by: "the gateway", reason: "the question could not be kept" });
    };
    const onAbort = (): void => end("cancelled", "the end of the turn");

    // Listening begins before the row is there, so that no answer comes unheard.
    const listeners = this.#waiting.get(ask.askKey) ?? new Set();
    this.#waiting.set(ask.askKey, listeners.add(tell));
    let disarm = (): void => {};
    try {
      settled(await store.askApproval(ask));
      disarm = clock.after(Math.max(0, ask.expiresAt - clock.now()), () => end("expired", "the time"));
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
    } catch (cause) {
      failed(cause);
    }
    try {
      return await promise;
    } finally {
      disarm();
      signal.removeEventListener("abort", onAbort);
      listeners.delete(tell);
      if (listeners.size === 0) this.#waiting.delete(ask.askKey);
    }
  }
}

function answerOf(state: ApprovalState, by: string): PermissionAnswer {
  switch (state) {
    case "approved":
      return { answer: "allow", by };
    case "denied":
      return { answer: "deny", by, reason: `denied by ${by}` };
    case "expired":
      return { answer: "deny", by, reason: "nobody answered in time" };
    default:
      return { answer: "cancelled" };
  }
}
