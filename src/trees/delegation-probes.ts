/**
 * How well a model delegates: a fixed set of conversations in which a good orchestrator starts children.
 *
 * Always true: nothing is started and nothing is stored. The model gets the real instructions and the
 * real tools' descriptions; what it calls is counted and answered as if it had been done.
 */
import { textOf, toolCallsOf, type ChatMessage, type ModelAnswer, type ModelClient, type ToolCallPart } from "../model/chat.ts";
import { deniedTool } from "../model/tool-denial.ts";
import type { ToolSpec } from "../model/tool.ts";
import { systemPrompt } from "../turns/system-prompt.ts";

/** Model calls of one probe. */
const ROUNDS_MAX = 4;
const TEXT_SHOWN_MAX_CHARS = 300;
const SPAWN = "sessions_spawn";

interface Probe {
  readonly name: string;
  readonly history: readonly ChatMessage[];
  readonly message: string;
  readonly childrenMin: number;
}

const PROBES: readonly Probe[] = [
  {
    name: "natural request",
    history: [],
    message: "Work out a comparison of tidal power plants for me in the background, please. It may take an hour; meanwhile I want to go on talking with you about other things.",
    childrenMin: 1,
  },
  { name: "explicit request", history: [], message: 'Use sessions_spawn to start a child labelled "tides" with the task "research tidal power in Europe".', childrenMin: 1 },
  {
    name: "after a refusal",
    history: [
      { role: "user", text: "Research wind power in the background." },
      { role: "assistant", parts: [{ type: "text", text: "I'm sorry, I don't have permission to use sessions_spawn." }] },
    ],
    message: "Please try again: research wind power in the background.",
    childrenMin: 1,
  },
  { name: "several tasks", history: [], message: "Research solar power, wind power and tidal power side by side in the background, each on its own, and tell me when you have started them.", childrenMin: 3 },
];

export interface ProbeResult {
  readonly name: string;
  /** It started enough children by itself. */
  readonly passed: boolean;
  readonly children: number;
  readonly childrenMin: number;
  /** It said that it could not, though it could. */
  readonly denied: boolean;
  /** It did start them when it was made to call the tool. */
  readonly mended: boolean;
  readonly ms: number;
  /** What it said at the end. */
  readonly text: string;
}

export interface ModelRating {
  readonly model: string;
  /** good: it delegates by itself. usable: with the gateway's help. poor: do not let it orchestrate. */
  readonly rating: "good" | "usable" | "poor";
  readonly probes: readonly ProbeResult[];
}

export interface ProbeDeps {
  readonly models: Pick<ModelClient, "call">;
  readonly tools: readonly ToolSpec[];
  readonly nowMs: () => number;
}

/** @throws {Fault} what the model's provider refuses; the signal's reason. */
export async function rateModel(deps: ProbeDeps, model: string, signal: AbortSignal): Promise<ModelRating> {
  const probes: ProbeResult[] = [];
  for (const probe of PROBES) probes.push(await run(deps, model, probe, signal));
  const isGood = probes.every(({ passed }) => passed);
  const isUsable = probes.every(({ passed, mended }) => passed || mended);
  return { model, rating: isGood ? "good" : isUsable ? "usable" : "poor", probes };
}

async function run({ models, tools, nowMs }: ProbeDeps, model: string, probe: Probe, signal: AbortSignal): Promise<ProbeResult> {
  const startedMs = nowMs();
  const messages: ChatMessage[] = [...probe.history, { role: "user", text: probe.message }];
  const system = systemPrompt({ started: { besides: [], sessionInfo: { depth: 0 } }, agentPrompt: "", files: "", canSpawn: true, summary: null });
  const specs = tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
  let children = 0;
  let denied = false;
  let text = "";
  for (let round = 1, isForced = false; round <= ROUNDS_MAX; round++) {
    const answer: ModelAnswer = await models.call({ model, system, messages, tools: specs, person: true, signal, ...(isForced ? { toolChoice: { tool: SPAWN } } : {}) }, () => {});
    const calls = toolCallsOf(answer.parts);
    text = textOf(answer.parts);
    isForced = false;
    if (calls.length === 0) {
      if (denied || children > 0 || deniedTool(text, [SPAWN]) === null) break;
      [denied, isForced] = [true, true];
      continue;
    }
    children += calls.filter(({ tool }) => tool === SPAWN).length;
    if (children >= probe.childrenMin) break;
    messages.push({ role: "assistant", parts: answer.parts }, { role: "tool", results: calls.map(dryResult) });
  }
  const enough = children >= probe.childrenMin;
  return { name: probe.name, passed: enough && !denied, children, childrenMin: probe.childrenMin, denied, mended: enough && denied, ms: Math.round(nowMs() - startedMs), text: text.slice(0, TEXT_SHOWN_MAX_CHARS) };
}

function dryResult({ callId, tool }: ToolCallPart): { callId: string; tool: string; text: string; isError: boolean } {
  if (tool === SPAWN) return { callId, tool, text: JSON.stringify({ status: "accepted", taskId: `task_${callId}`, label: "child" }), isError: false };
  return { callId, tool, text: "nothing to report", isError: false };
}
