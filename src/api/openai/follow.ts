/**
 * One message through the front door, followed to its answer.
 *
 * Pieces of text come as the model says them; the answer itself is final. A model may say something
 * before it calls a tool, and a call may start anew after a failure, so what was passed on already is
 * made good at the end: the parts together always hold the answer whole.
 */
import type { SessionKey } from "../../base/ids.ts";
import { NO_USAGE, addUsage, type Usage } from "../../model/chat.ts";
import { Fault, type FaultRecord } from "../../model/faults.ts";
import type { LiveFrame, YardEvent } from "../../model/event.ts";
import type { Sessions } from "../../sessions/sessions.ts";

/** Between what was said before a tool ran and what is said after it. */
const GAP = "\n\n";

export interface Answered {
  readonly text: string;
  readonly usage: Usage;
}

/**
 * Resolves with the answer to a message that was accepted.
 * @param after   the session's newest event before the message came.
 * @param onText  pieces; joined they end with the answer.
 * @throws {Fault} why there is no answer; the signal's reason.
 */
export function followAnswer(sessions: Pick<Sessions, "watch">, at: { session: SessionKey; after: number; messageId: string }, onText: (text: string) => void, signal: AbortSignal): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const turns = new Set<string>();
    let usage = NO_USAGE;
    let reply: string | null = null;
    let said = "";
    let saidBefore = false;
    let unwatch = (): void => {};
    let isOver = false;

    function end(settle: () => void): void {
      if (isOver) return;
      isOver = true;
      signal.removeEventListener("abort", onAbort);
      unwatch();
      settle();
    }
    const onAbort = (): void => end(() => reject(signal.reason));
    const isOurs = (ids: unknown): boolean => Array.isArray(ids) && ids.includes(at.messageId);

    function say(text: string): void {
      if (text === "") return;
      onText(said === "" && saidBefore ? GAP + text : text);
      said += text;
    }
    function breakOff(): void {
      saidBefore ||= said !== "";
      said = "";
    }

    function onEvent({ type, turnId, data }: YardEvent): void {
      switch (type) {
        case "turn.started":
          if (isOurs(data["messageIds"])) turns.add(turnId!);
          return;
        case "tool.started":
          if (turns.has(turnId!)) breakOff();
          return;
        case "reply":
          if (!isOurs(data["replyTo"])) return;
          reply = String(data["text"]);
          if (!reply.startsWith(said)) breakOff();
          say(reply.slice(said.length));
          return;
        case "message.cancelled":
          if (isOurs(data["messageIds"])) end(() => reject(new Fault("TURN_CANCELLED", { by: String(data["by"]) })));
          return;
        case "turn.ended":
          if (!isOurs(data["messageIds"])) return;
          usage = addUsage(usage, { ...NO_USAGE, ...(data["usage"] as Partial<Usage>) });
          if (data["yielded"] === true) return;
          if (reply !== null) return end(() => resolve({ text: reply!, usage }));
          return end(() => reject(data["fault"] === undefined ? new Fault("TURN_CANCELLED", { by: "the gateway" }) : Fault.fromRecord(data["fault"] as unknown as FaultRecord)));
        default:
      }
    }
    function onFrame({ type, turnId, data }: LiveFrame): void {
      if (!turns.has(turnId)) return;
      if (type === "text.delta") say(String(data["text"]));
      else breakOff();
    }

    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    unwatch = sessions.watch({ session: at.session, after: at.after }, { onEvent, onFrame, onFailure: (cause) => end(() => reject(cause)) });
    if (isOver) unwatch();
  });
}
