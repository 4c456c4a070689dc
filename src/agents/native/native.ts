/**
 * The native agent: a loop over a model. Ask, run the tools that it calls, ask again, until it
 * answers without a call or a tool ends the turn.
 *
 * Always true:
 *   - a committed answer is never asked for again, a committed tool result never computed again
 *   - a call whose intent is on disk is on its way to exactly one result; `once` calls that a crash
 *     cut off get "outcome unknown" and are not run again
 *   - a reply that denies a tool which the model has is not shown as an answer: the model is asked once
 *     more and made to call it, and when it does not, the person is told what is true
 */
import type { ModelAnswer, ModelClient, ModelFrame, ToolCallPart, ToolResult } from "../../model/chat.ts";
import { addUsage, NO_USAGE, textOf, toolCallsOf, type ChatMessage } from "../../model/chat.ts";
import { Fault, asFault, type FaultRecord } from "../../model/faults.ts";
import type { Tool, ToolOutcome } from "../../model/tool.ts";
import { deniedTool } from "../../model/tool-denial.ts";
import { isForPerson } from "../../model/turn.ts";
import { OUTCOME_UNKNOWN, modelStepKey, toolStepKey } from "../../model/transcript.ts";
import type { Agent, AgentEnd, AgentTurn } from "../agent.ts";
import { shortenMiddle } from "../shorten.ts";
import { listedTools } from "./listed-tools.ts";

/** How much of a call's input and output its events show, characters. */
const EVENT_TEXT_MAX_CHARS = 2_000;

export interface NativeDeps {
  readonly models: ModelClient;
  readonly nowMs: () => number;
  /** Takes the gateway's own secrets out of what tools say, before it is kept or sent. */
  readonly mask: (text: string) => string;
}

export function makeNativeAgent(deps: NativeDeps): Agent {
  return { kind: "native", work: (turn) => work(turn, deps) };
}

interface Answered {
  readonly answer: ModelAnswer;
  readonly last: FaultRecord | null;
}

interface Round {
  readonly results: readonly ToolResult[];
  readonly barrierId: string | null;
}

async function work(turn: AgentTurn, deps: NativeDeps): Promise<AgentEnd> {
  const messages: ChatMessage[] = [...turn.history, ...turn.messages];
  const said: string[] = [];
  let usage = NO_USAGE;
  const called = new Set<string>();
  let asked = 0;
  /** What was denied in this turn is offered from then on, also when it is rare. */
  const denied = new Set<string>();
  /** The tool that the next answer must call. */
  let forced: string | null = null;
  for (let round = 1; round <= turn.stepsMax; round++) {
    const { answer, last } = await answerOf(round, forced);
    usage = addUsage(usage, answer.usage);
    said.push(textOf(answer.parts));
    if (last !== null) return { outcome: "done", text: finalText(answer), usage, fault: last };
    if (answer.denied !== undefined) {
      forced = answer.denied;
      denied.add(forced);
      messages.push({ role: "user", text: youHave(answer.denied) });
      continue;
    }
    forced = null;
    const calls = toolCallsOf(answer.parts);
    for (const call of calls) called.add(call.tool);
    if (calls.length === 0) return { outcome: "done", text: finalText(answer), usage };
    messages.push({ role: "assistant", parts: answer.parts });
    const { results, barrierId } = await runTools(turn, round, calls, deps);
    messages.push({ role: "tool", results });
    turn.progress();
    if (barrierId !== null) return { outcome: "yielded", text: textOf(answer.parts), barrierId, usage };
    for (const text of turn.journal.steeringAfter(round)) messages.push({ role: "user", text });
    for (const text of await turn.journal.steering()) messages.push({ role: "user", text });
  }
  throw new Fault("TURN_TOO_MANY_STEPS", { steps: turn.stepsMax });

  async function answerOf(round: number, toolChoice: string | null): Promise<Answered> {
    const known = turn.journal.answer(round);
    if (known !== null) return { answer: known, last: turn.journal.lastBecause(round) };
    try {
      return await ask(round, toolChoice);
    } catch (cause) {
      // No room for another word: what was said on the way is all there is.
      const text = said.filter((words) => words.trim() !== "").join("\n\n");
      if (!(cause instanceof Fault) || cause.code !== "BUDGET_EXHAUSTED" || text === "") throw cause;
      return { answer: { parts: [{ type: "text", text }], stop: "end", usage: NO_USAGE, model: turn.model }, last: cause.toRecord() };
    }
  }

  async function ask(round: number, toolChoice: string | null): Promise<Answered> {
    const key = modelStepKey(round);
    turn.journal.intent({ key, kind: "model", name: turn.model, effect: "pure", input: null });
    await turn.journal.flush();
    const request = {
      model: turn.model, system: turn.system, now: turn.now, messages, tools: listedTools(turn.tools, messages, denied), ...(toolChoice === null ? {} : { toolChoice: { tool: toolChoice } }),
      cacheKey: turn.started.session, turn: turn.started.turnId, ...(asked++ === 0 && turn.started.attempt > 1 ? { began: turn.started.startedAt } : {}), person: isForPerson(turn.started), signal: turn.signal,
    };
    const onFrame = (frame: ModelFrame): void => turn.onFrame(frame);
    const { answer: given, last } = turn.budgeted === null ? { answer: await deps.models.call(request, onFrame), last: undefined } : await turn.budgeted(request, onFrame);
    const answer = last === undefined ? withoutDenial(given, toolChoice) : given;
    turn.progress();
    turn.journal.result(key, { kind: "model", answer, ...(last === undefined ? {} : { last }) });
    return { answer, last: last ?? null };
  }

  /** The answer as it counts: one that denies a tool is void the first time, and told truly the second. */
  function withoutDenial(answer: ModelAnswer, toolChoice: string | null): ModelAnswer {
    const calls = toolCallsOf(answer.parts);
    if (toolChoice !== null) turn.onDenial({ model: turn.model, tool: toolChoice, mended: calls.length > 0 });
    if (calls.length > 0) return answer;
    const tool = deniedTool(textOf(answer.parts), [...turn.tools.keys()].filter((name) => !called.has(name)));
    if (tool === null) return answer;
    turn.onFrame({ type: "restart", attempt: 1, reason: `it denied ${tool}, which it has` });
    if (toolChoice === null) return { ...answer, parts: [], denied: tool };
    return { ...answer, parts: [{ type: "text", text: stillDenies(turn.model, tool) }] };
  }
}

function youHave(tool: string): string {
  return `[You do have the tool ${tool}, and you may use it. Use it now for what was asked.]`;
}

function stillDenies(model: string, tool: string): string {
  return `[${model} answered twice that it cannot use ${tool}, which is not so: it has the tool, and nothing was done. Ask again, or choose another model; "yard doctor --model ${model}" measures how well it delegates.]`;
}

function finalText(answer: ModelAnswer): string {
  const text = textOf(answer.parts);
  return answer.stop === "length" ? `${text}\n\n[cut off: the answer reached the length limit]` : text;
}

async function runTools(turn: AgentTurn, round: number, calls: readonly ToolCallPart[], deps: NativeDeps): Promise<Round> {
  const pending = calls.filter((call) => turn.journal.toolResult(round, call.callId) === null);
  const cutOff = new Set(pending.filter((call) => turn.journal.mayHaveRun(round, call.callId)));
  for (const call of pending) {
    turn.journal.intent(
      { key: toolStepKey(round, call.callId), kind: "tool", name: call.tool, effect: turn.tools.get(call.tool)?.effect ?? "pure", input: call.input },
      { type: "tool.started", turnId: turn.started.turnId, data: { callId: call.callId, tool: call.tool, input: JSON.stringify(call.input).slice(0, EVENT_TEXT_MAX_CHARS) } },
    );
  }
  await turn.journal.flush();

  let barrierId: string | null = null;
  const done = new Map<string, ToolResult>();
  const run = async (call: ToolCallPart): Promise<void> => {
    const { result, yielded } = await runTool(turn, round, call, cutOff.has(call), deps);
    done.set(call.callId, result);
    barrierId = yielded ?? barrierId;
  };
  for (const group of inGroups(pending, turn.tools)) await Promise.all(group.map(run));

  const results = calls.map((call) => {
    const recorded = turn.journal.toolResult(round, call.callId);
    if (recorded?.yield !== undefined) barrierId = recorded.yield.barrierId;
    return recorded?.result ?? done.get(call.callId)!;
  });
  return { results, barrierId };
}

/** Neighbours that may run side by side form a group; every other call is a group of its own. */
function inGroups(calls: readonly ToolCallPart[], tools: ReadonlyMap<string, Tool>): ToolCallPart[][] {
  const groups: ToolCallPart[][] = [];
  let open: ToolCallPart[] | null = null;
  for (const call of calls) {
    const parallel = tools.get(call.tool)?.parallel ?? true;
    if (parallel && open !== null) open.push(call);
    else groups.push([call]);
    open = parallel ? groups.at(-1)! : null;
  }
  return groups;
}

async function runTool(turn: AgentTurn, round: number, call: ToolCallPart, cutOff: boolean, { nowMs, mask }: NativeDeps): Promise<{ result: ToolResult; yielded: string | null }> {
  const key = toolStepKey(round, call.callId);
  const tool = turn.tools.get(call.tool);
  const startedMs = nowMs();
  let outcome: ToolOutcome;
  if (tool === undefined) outcome = { text: `there is no tool ${JSON.stringify(call.tool)}; there are: ${[...turn.tools.keys()].join(", ")}`, isError: true };
  else if (cutOff && tool.effect === "once") outcome = { text: OUTCOME_UNKNOWN, isError: true };
  else outcome = await callTool(turn, tool, call, `${turn.started.turnId}/${key}`);
  const text = shortenMiddle(mask(outcome.text), turn.toolOutputMaxBytes);
  const result: ToolResult = { callId: call.callId, tool: call.tool, text, isError: outcome.isError ?? false };
  const event = { type: "tool.ended" as const, turnId: turn.started.turnId, data: { callId: call.callId, tool: call.tool, ok: !result.isError, text: text.slice(0, EVENT_TEXT_MAX_CHARS), ms: Math.round(nowMs() - startedMs) } };
  if (cutOff && tool?.effect === "once") turn.journal.unknown(key, event);
  else turn.journal.result(key, { kind: "tool", result, ...(outcome.yield === undefined ? {} : { yield: outcome.yield }) }, event);
  turn.progress();
  return { result, yielded: outcome.yield?.barrierId ?? null };
}

async function callTool(turn: AgentTurn, tool: Tool, call: ToolCallPart, stepKey: string): Promise<ToolOutcome> {
  const { started } = turn;
  try {
    return await tool.run(call.input, {
      session: started.session,
      agent: started.sessionInfo.agent,
      turnId: started.turnId,
      taskId: started.sessionInfo.taskId,
      stepKey,
      workspace: turn.workspace,
      fences: started.sessionInfo.fences,
      signal: turn.signal,
      progress: () => turn.progress(),
    });
  } catch (cause) {
    turn.signal.throwIfAborted();
    return { text: `${call.tool} failed: ${asFault(cause).message}`, isError: true };
  }
}
