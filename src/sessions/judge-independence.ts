/** Asks a model whether a message leans on earlier ones; the rules decide when it does not answer in time. */
import type { Clock } from "../base/clock.ts";
import { textOf, type ModelClient } from "../model/chat.ts";
import { isIndependent } from "../model/independence.ts";

/** A person waits for this, so it is short. */
const JUDGE_WITHIN_MS = 3_000;
const TEXT_CHARS_MAX = 1_000;
const SYSTEM =
  'You decide whether a new message can be answered without the answers to earlier messages that are still open. A correction, an addition or anything that points at them ("it", "that", "instead") cannot. Answer with one word: yes or no.';

export async function judgeIndependence(models: Pick<ModelClient, "call">, clock: Clock, model: string, text: string, earlier: readonly string[]): Promise<"independent" | "dependent"> {
  if (earlier.length === 0) return "independent";
  const bound = new AbortController();
  const disarm = clock.after(JUDGE_WITHIN_MS, () => bound.abort(new Error("too late")));
  try {
    const open = earlier.map((one) => `- ${JSON.stringify(one.slice(0, TEXT_CHARS_MAX))}`).join("\n");
    const messages = [{ role: "user" as const, text: `Open messages:\n${open}\nNew message: ${JSON.stringify(text.slice(0, TEXT_CHARS_MAX))}\nCan it be answered on its own?` }];
    const answer = await models.call({ model, system: SYSTEM, messages, tools: [], toolChoice: "none", maxOutputTokens: 5, person: true, signal: bound.signal }, () => {});
    const word = /^\W*(yes|no)\b/i.exec(textOf(answer.parts))?.[1]?.toLowerCase();
    if (word !== undefined) return word === "yes" ? "independent" : "dependent";
  } catch {
    // Too late, or the provider refused: the rules are good enough.
  } finally {
    disarm();
  }
  return isIndependent(text, { isReply: false, texts: earlier }) ? "independent" : "dependent";
}
