/**
 * A tool: what a step of a turn may call besides the model.
 *
 * Its effect class says what recovery may do when the gateway died between the call's intent and
 * its result:
 *
 *     pure          run again; it changes nothing
 *     idempotent    run again; a second run leaves the same state
 *     keyed         run again with the same `stepKey`; the receiver drops the second one
 *     once          never run again; the outcome is `unknown`, and the model and the person are told
 */
import type { JsonObject } from "../base/json.ts";
import type { SessionKey, TaskId, TurnId } from "../base/ids.ts";
import type { Fence } from "./path-claims.ts";

export const EFFECT_CLASSES = ["pure", "idempotent", "keyed", "once"] as const;
export type EffectClass = (typeof EFFECT_CLASSES)[number];

export interface ToolSpec {
  readonly name: string;
  /** For the model: one or two short sentences; every prompt pays for it. */
  readonly description: string;
  /** JSON Schema (draft 2020-12) of the arguments, an object. */
  readonly inputSchema: JsonObject;
}

/** Finds the tools that are not listed. */
export const TOOL_SEARCH = "tool_search";

export interface Tool extends ToolSpec {
  readonly effect: EffectClass;
  /** Calls of one round whose tools are all `parallel` run side by side; others run in order. */
  readonly parallel: boolean;
  /** True for one that an agent with many tools has to look for with `tool_search`. */
  readonly isRare?: boolean;
  /**
   * Runs the call. `input` has passed no check yet: parse it first.
   * Failures that the model can react to are outcomes with `isError`; a thrown Fault becomes one.
   */
  run(input: JsonObject, context: ToolContext): Promise<ToolOutcome>;
}

export interface ToolContext {
  readonly session: SessionKey;
  readonly agent: string;
  /** Null when the caller is no turn of ours: a harness or another program, through `/mcp`. */
  readonly turnId: TurnId | null;
  /** The task that this session works on when it is a child. */
  readonly taskId: TaskId | null;
  /** Same for every run of this call, over restarts: an idempotency key. */
  readonly stepKey: string;
  /** Absolute path of the folder that file tools and commands are confined to. */
  readonly workspace: string;
  /** File tools change nothing outside of any of these; absent = none. */
  readonly fences?: readonly Fence[];
  readonly signal: AbortSignal;
  /** Tells the turn's watch that something really moved on. */
  progress(): void;
}

export interface ToolOutcome {
  /** Given to the model; cut by the caller when longer than its limit. */
  readonly text: string;
  readonly isError?: boolean;
  /** Ends the turn after this round of tools; the session waits for the barrier. */
  readonly yield?: { readonly barrierId: string };
}

/** The tools of one turn, by name, in a stable order (prompt caches depend on it). */
export type Toolbox = ReadonlyMap<string, Tool>;
