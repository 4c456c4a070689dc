/** `message`: says something to the person before the turn's answer. Sent once: the person would see a second one. */
import type { SessionKey } from "../base/ids.ts";
import type { Tool } from "../model/tool.ts";
import { inputShape, text } from "./input.ts";

const MESSAGE_MAX_CHARS = 20_000;

const INPUT = inputShape({ text: text({ min: 1, max: MESSAGE_MAX_CHARS }) });

export function makeMessageTool({ say }: { say(session: SessionKey, text: string): Promise<void> }): Tool {
  return {
    name: "message",
    isRare: true,
    description: "Tells the person something now, before your answer. Your answer is sent by itself.",
    inputSchema: INPUT.schema,
    effect: "once",
    parallel: false,
    async run(input, context) {
      const { text } = INPUT.parse("message", input);
      context.signal.throwIfAborted();
      await say(context.session, text);
      return { text: "said" };
    },
  };
}
