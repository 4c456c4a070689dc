/** What one request is answered with: decided from its history alone, so a retry gets the same. */
import { isAbility, toolFor } from "./abilities.ts";
import { object, string, type Ask, type Loose } from "./conversation.ts";
import { BadScript, fill, parseScript, scriptIn, type Seen, type Step } from "./script.ts";

export type Piece =
  | { readonly kind: "text"; readonly text: string; readonly pauseMs: number; /** All of it in one event. */ readonly uncut?: boolean }
  | { readonly kind: "reasoning"; readonly text: string; readonly pauseMs: number }
  | { readonly kind: "call"; readonly name: string; readonly input: string; readonly pauseMs: number; /** The input is a text, and no JSON. */ readonly isFreeForm?: boolean; readonly namespace?: string };

export type FaultStep = Extract<Step, { readonly times: number }>;

export interface Plan {
  readonly pieces: readonly Piece[];
  /** Faults in the order written; those whose `times` is used up are passed over by the server. */
  readonly faults: readonly FaultStep[];
  /** A pause after the last piece, before the end. */
  readonly endPauseMs: number;
  /** A pause before every write. */
  readonly slowMs: number;
  readonly script: string | null;
  readonly round: number;
  /** True when the answer was cut at the limit that was asked for. */
  readonly wasCut?: boolean;
}

const REPLY_CHARACTERS_MAX = 200;
const CHARACTERS_PER_TOKEN = 4;
const BAD_JSON = '{"text": "this never ends';
const CONTROL_JSON = '{"text": "a\u0001b\u0007c\nd"}';

export function planFor(ask: Ask, unfoundReply?: string): Plan {
  return cutAt(wholePlan(ask, unfoundReply), ask.outputTokensMax);
}

/** As a real model does: nothing goes beyond the limit, and a call that does not fit is not made. */
function cutAt(plan: Plan, outputTokensMax: number): Plan {
  let room = outputTokensMax * CHARACTERS_PER_TOKEN;
  const pieces: Piece[] = [];
  for (const piece of plan.pieces) {
    const size = piece.kind === "call" ? piece.input.length : piece.text.length;
    if (size > room) return { ...plan, pieces: piece.kind === "text" && room > 0 ? [...pieces, { ...piece, text: piece.text.slice(0, room) }] : pieces, wasCut: true };
    pieces.push(piece);
    room -= size;
  }
  return plan;
}

function wholePlan(ask: Ask, unfoundReply?: string): Plan {
  // A question beside the conversation, e.g. which model should have it: no script is meant for that one.
  if (ask.shape !== null) return plainReply(JSON.stringify(exampleOf(ask.shape)));
  const { script, round, user } = findScript(ask);
  const seen: Seen = { user: user.replace(/^\s*!.*$/gm, "").trim() || user, results: lastResults(ask) };
  if (script === null && ask.forced !== null) return play([{ do: "call", calls: [{ tool: ask.forced, input: JSON.stringify({ task: user.slice(0, REPLY_CHARACTERS_MAX) }), repeat: 1 }] }], "", 0, seen, ask);
  if (script === null) return plainReply(unfoundReply ?? `You said: ${user.slice(0, REPLY_CHARACTERS_MAX)}`);
  let rounds: Step[][];
  try {
    rounds = parseScript(script);
  } catch (error) {
    if (!(error instanceof BadScript)) throw error;
    return plainReply(`The script cannot be read: ${error.message}`);
  }
  // A denial is dropped by whoever asks again with the tool forced, so it does not count as a round then.
  const isDenial = rounds[0]?.[0]?.do === "deny" && round === 0 && ask.forced === null;
  const steps = (isDenial ? rounds : rounds.filter(([first]) => first?.do !== "deny"))[round];
  if (steps === undefined) return plainReply(unfoundReply ?? `You said: ${user.slice(0, REPLY_CHARACTERS_MAX)}`);
  return play(steps, script, round, seen, ask);
}

function plainReply(text: string): Plan {
  return { pieces: [{ kind: "text", text, pauseMs: 0 }], faults: [], endPauseMs: 0, slowMs: 0, script: null, round: 0 };
}

/** The plainest value that follows a JSON schema. */
function exampleOf(shape: Loose): unknown {
  const [first] = Array.isArray(shape.enum) ? (shape.enum as readonly unknown[]) : [];
  if (first !== undefined) return first;
  switch (string(shape.type).toLowerCase()) {
    case "object":
      return Object.fromEntries(Object.entries(object(shape.properties)).map(([name, each]) => [name, exampleOf(object(each))]));
    case "array":
      return [];
    case "number":
    case "integer":
      return typeof shape.minimum === "number" ? shape.minimum : 1;
    case "boolean":
      return false;
    default:
      return "as it is";
  }
}

/** The newest user message with a script; each answer since then was one round of it. */
function findScript(ask: Ask): { script: string | null; round: number; user: string } {
  let user: string | null = null;
  let answers = 0;
  for (let i = ask.turns.length - 1; i >= 0; i--) {
    const turn = ask.turns[i]!;
    if (turn.role === "user") {
      user ??= turn.text;
      const script = scriptIn(turn.text);
      if (script !== null) return { script, round: answers, user };
    } else if (turn.role === "assistant" && (turn.calls.length > 0 || !turn.text.startsWith("["))) answers++;
  }
  return { script: null, round: 0, user: user ?? "" };
}

function lastResults(ask: Ask): string[] {
  const turn = ask.turns.findLast((each) => each.role === "results");
  return turn === undefined ? [] : turn.results.map((result) => result.text);
}

function play(steps: readonly Step[], script: string, round: number, seen: Seen, { offers }: Pick<Ask, "offers">): Plan {
  const pieces: Piece[] = [];
  const faults: FaultStep[] = [];
  let pauseMs = 0;
  let slowMs = 0;
  const add = (kind: "text" | "reasoning", text: string): void => {
    const last = pieces.at(-1);
    pieces.push({ kind, text: kind === "text" && last?.kind === "text" ? `\n${text}` : text, pauseMs });
    pauseMs = 0;
  };
  const call = (name: string, input: string): void => {
    const made = isAbility(name) ? toolFor(name, input, offers) : { name, input, isFreeForm: false };
    if (made === null) return add("text", `(no tool for ${name})`);
    pieces.push({ kind: "call", ...made, pauseMs });
    pauseMs = 0;
  };
  for (const step of steps) {
    switch (step.do) {
      case "say":
      case "deny":
        add("text", fill(step.text, seen));
        break;
      case "think":
        add("reasoning", fill(step.text, seen));
        break;
      case "echo":
        add("text", seen.results.length > 0 ? seen.results.join("\n") : seen.user);
        break;
      case "write":
        add("text", "lorem ipsum ".repeat(Math.ceil(step.characters / 12)).slice(0, step.characters));
        break;
      case "wait":
        pauseMs += step.ms;
        break;
      case "slow":
        slowMs = step.ms;
        break;
      case "call":
        for (const { tool, input, repeat } of step.calls) for (let i = 0; i < repeat; i++) call(tool, fill(input, seen, i));
        break;
      case "badjson":
        call(step.tool, BAD_JSON);
        break;
      case "control":
        call(step.tool, CONTROL_JSON);
        break;
      default:
        faults.push(step);
    }
  }
  return { pieces, faults, endPauseMs: pauseMs, slowMs, script, round };
}
