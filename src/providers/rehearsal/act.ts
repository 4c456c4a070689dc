/**
 * What the rehearsal agent does about one ask, as data: pieces to say in order, or tools to call.
 *
 * Deciding is pure; only `rehearsal.ts` plays the pieces, and only there does time pass.
 */
import type { ToolResult } from "../../model/chat.ts";
import type { FoundOut, WantedCall } from "./conversation.ts";

export type Piece =
  | { readonly say: string }
  | { readonly pauseMs: number }
  /** Ends the call as if a provider had refused it. */
  | { readonly fail: string };

export type Act = { readonly does: "say"; readonly pieces: readonly Piece[] } | { readonly does: "call"; readonly calls: readonly WantedCall[] };

/** What an ask is decided from, besides its own words. */
export interface Scene {
  /** The person's messages before this one, oldest first, in plain words. */
  readonly earlier: readonly string[];
  /** Turns of earlier messages that still run beside this one, a line each. */
  readonly beside: readonly string[];
  /** True for tools that this call may use. */
  readonly offers: (tool: string) => boolean;
  readonly found: FoundOut;
}

export function say(text: string): Act {
  return { does: "say", pieces: [{ say: text }] };
}

export function play(...pieces: readonly Piece[]): Act {
  return { does: "say", pieces };
}

/**
 * Goes on with the results of `calls`; those that have none yet are called first.
 * A tool that is not offered is said so, in plain words, instead of called.
 */
export function using(scene: Scene, calls: readonly WantedCall[], goOn: (results: readonly ToolResult[]) => Act): Act {
  const missingTool = calls.find((call) => !scene.offers(call.tool))?.tool;
  if (missingTool !== undefined) return say(`I cannot do that here: this session has no tool ${missingTool}.`);
  const results = calls.map((call) => scene.found.take(call));
  const open = calls.filter((_call, index) => results[index] === null);
  if (open.length > 0) return { does: "call", calls: open };
  return goOn(results as readonly ToolResult[]);
}
