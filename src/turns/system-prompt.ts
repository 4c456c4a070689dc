/**
 * The instructions of one turn: who the agent is, how delegation works, the workspace's files.
 *
 * They stay the same, byte for byte, while agent, files and summary do, so that a provider can keep
 * them in its cache. What changes from turn to turn is `runningNow`, which is told after everything else.
 */
import type { RunningBeside, StartedTurn, TurnSession } from "../model/turn.ts";

export interface PromptParts {
  readonly started: Pick<StartedTurn, "besides"> & { readonly sessionInfo: Pick<TurnSession, "depth"> };
  readonly agentPrompt: string;
  readonly files: string;
  readonly canSpawn: boolean;
  readonly summary: string | null;
}

const BASE = "You are an agent working through Yardmaster. Answer the person plainly and briefly. Use tools when they help; never claim a result that no tool or message gave you.";

const DELEGATION = `You can delegate. sessions_spawn starts a child in the background and returns at once: use it for anything that takes long or can run side by side (one child per independent task, each with a label and its own files), then answer right away that it is started. Do not poll: the results come to you as a message. sessions_yield ends your turn until children are done; use it only when you can say nothing before.`;

const CHILD = "You are a background child: do the task you are given and answer with the result alone; it goes to the agent that asked. There is no person to ask back.";

export function systemPrompt(parts: PromptParts): string {
  const isChild = parts.started.sessionInfo.depth > 0;
  const sections = [isChild ? `${BASE}\n${CHILD}` : BASE];
  if (parts.canSpawn) sections.push(DELEGATION);
  if (parts.agentPrompt !== "") sections.push(parts.agentPrompt);
  if (parts.files !== "") sections.push(parts.files);
  if (parts.summary !== null) sections.push(`## The conversation so far, summarised\n${parts.summary}`);
  return sections.join("\n\n");
}

/** What runs for this session beside the turn; empty when nothing does. */
export function runningNow(besides: readonly RunningBeside[], nowMs: number): string {
  if (besides.length === 0) return "";
  const lines = besides.map(({ handle, kind, about, startedAt }) => `- ${handle} (${kind === "turn" ? "an earlier message, its answer follows by itself" : "child"}): ${quoted(about)}, for ${Math.round((nowMs - startedAt) / 1000)} s`);
  return `[from the gateway]\n## Running now\n${lines.join("\n")}`;
}

/** What somebody said, as a quotation: one line, and without an `@` that could address someone. */
function quoted(text: string): string {
  return JSON.stringify(text).replaceAll("@", "\\u0040");
}
