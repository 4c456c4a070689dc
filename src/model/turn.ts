/**
 * The life of a turn, as data.
 *
 *     running(main) ──finish, fail──▶ done | failed
 *        │      │ yield
 *  promote      └──────────▶ yielded     the turn is over; a barrier row waits
 *        ▼
 *     running(side) ──finish, fail──▶ done | failed, and folded into the main track
 *
 *     running ──cancel──▶ cancelled
 *     running ──recover──▶ running       after the process died under it: a new epoch, and on from its last step
 *
 * `docs/states.md` is drawn from `TURN_MOVES`; a test fails when they differ.
 */
import type { BarrierId, MessageId, SessionKey, TaskId, TurnId } from "../base/ids.ts";
import type { JsonObject } from "../base/json.ts";
import type { AssistantPart, ModelAnswer, ToolResult, Usage } from "./chat.ts";
import type { FaultRecord } from "./faults.ts";
import { workClassOf, type PoolName } from "./lane.ts";
import type { Fence } from "./path-claims.ts";
import type { TakenMessage } from "./message.ts";
import type { SessionKind } from "./session.ts";
import type { EffectClass } from "./tool.ts";

export type TurnAt = "running" | "yielded" | "done" | "failed" | "cancelled";
export type Track = "main" | "side";
/** Where a turn began: in its lane, or beside it because it is independent or was asked for in the background. */
export type TurnOrigin = "lane" | "parallel" | "background";

/** Every legal move. What is not listed here cannot happen. */
export const TURN_MOVES = {
  running: { promote: "running", finish: "done", fail: "failed", yield: "yielded", cancel: "cancelled", recover: "running" },
  yielded: {},
  done: {},
  failed: {},
  cancelled: {},
} as const satisfies Record<TurnAt, Readonly<Record<string, TurnAt>>>;

/** How often a turn may be picked up again after crashes without one new step in between. */
export const ATTEMPTS_WITHOUT_PROGRESS_MAX = 12;

/** The right to write for a turn: refused by the store once the epoch is old. */
export interface TurnRef {
  readonly turnId: TurnId;
  readonly session: SessionKey;
  readonly epoch: number;
}

/** What is known of a session when one of its turns starts. */
export interface TurnSession {
  readonly key: SessionKey;
  readonly kind: SessionKind;
  readonly agent: string;
  readonly model: string | null;
  readonly depth: number;
  readonly taskId: TaskId | null;
  readonly label: string | null;
  readonly cwd: string | null;
  /** The agents of the sessions above it, from the root down: a child may never do what one of them may not. */
  readonly lineage: readonly string[];
  /** What it and the children above it claimed; it may change nothing outside of any of them. */
  readonly fences: readonly Fence[];
  /** When it was made: tells it from an earlier session of the same key. */
  readonly createdAt: number;
  /** The last entry of the transcript before this turn's own; the key of context caches. */
  readonly lastEntry: number;
}

/** A turn that was claimed (or recovered) and must be run now. */
export interface StartedTurn extends TurnRef {
  readonly track: Track;
  readonly origin: TurnOrigin;
  readonly pool: PoolName;
  readonly attempt: number;
  readonly startedAt: number;
  readonly handle: string;
  readonly sessionInfo: TurnSession;
  /** The end of the conversation before it, when that is short; null for one that goes on after a crash. */
  readonly recent: RecentEntries | null;
  readonly messages: readonly TakenMessage[];
  /** What was journalled before a crash; empty for a new turn. */
  readonly steps: readonly StepRecord[];
  /** Unanswered turns of the same session that run beside this one; their messages are not part of its context. */
  readonly omit: readonly TurnId[];
  /** What else runs for this session at the start: turns beside it and children. */
  readonly besides: readonly RunningBeside[];
  /** Set for a child: when the task's deadline falls, wall time in milliseconds. */
  readonly deadlineAt: number | null;
  /** True for a child that has a budget, or that stands below one. */
  readonly budgeted: boolean;
}

/** The last entries of a conversation: mostly all that whoever remembers the rest has not seen yet. */
export interface RecentEntries {
  /** The entries up to this one are told as a summary, or were cleared; 0 = none are. */
  readonly summaryUpTo: number;
  readonly hasSummary: boolean;
  /** Without a gap up to the last. */
  readonly entries: readonly Entry[];
}

/** True when a person waits for what the turn says. */
export function isForPerson({ sessionInfo, messages }: Pick<StartedTurn, "sessionInfo" | "messages">): boolean {
  return messages.some((message) => workClassOf(message.provenance, sessionInfo.depth > 0) === "person");
}

/** Something that runs for a session while its next turn starts. */
export interface RunningBeside {
  /** `T7` for a turn, a task id for a child. */
  readonly handle: string;
  readonly kind: "turn" | "child";
  /** Null for a child. */
  readonly turnId: TurnId | null;
  readonly about: string;
  readonly startedAt: number;
}

/**
 * A step: one journalled unit of a turn.
 *
 *     intent ──result──▶ done
 *        └──recovery, effect class `once`──▶ unknown
 *
 * Keys are `model:<n>` and `tool:<n>:<callId>`: the same over every attempt of the turn.
 */
export type StepState = "intent" | "done" | "unknown";

export interface StepIntent {
  readonly key: string;
  readonly kind: "model" | "tool" | "compaction" | "steer";
  readonly name: string;
  readonly effect: EffectClass;
  readonly input: JsonObject | null;
}

export type StepResult =
  /** `last`: the call that ended the work with what there was, because of this fault. */
  | { readonly kind: "model"; readonly answer: ModelAnswer; readonly last?: FaultRecord }
  | { readonly kind: "tool"; readonly result: ToolResult; readonly yield?: { readonly barrierId: string }; readonly changed?: readonly string[] }
  | { readonly kind: "compaction"; readonly summary: string; readonly upTo: number; readonly usage: Usage; readonly model?: string }
  /** Messages that joined the turn while it ran (steering), before the next model call. */
  | { readonly kind: "steer"; readonly text: string; readonly messageIds: readonly MessageId[] };

export interface StepRecord extends StepIntent {
  readonly state: StepState;
  readonly result: StepResult | null;
}

/** One line of a journal write: a new intent, or the result of one (or both at once). */
export interface StepWrite {
  readonly intent?: StepIntent;
  readonly result?: { readonly key: string; readonly value: StepResult };
  readonly unknown?: { readonly key: string };
}

/** How a turn ended, as the runner reports it. */
export type TurnEnd =
  /** `fault`: the work was ended early, and the text is what there was. */
  | { readonly outcome: "done"; readonly text: string; readonly usage: Usage; readonly fault?: FaultRecord }
  | { readonly outcome: "yielded"; readonly text: string; readonly barrierId: BarrierId; readonly usage: Usage }
  | { readonly outcome: "failed"; readonly fault: FaultRecord; readonly usage: Usage };

/** Transcript entries, as they are stored: one message of the conversation each. */
export type EntryContent =
  | { readonly role: "user"; readonly text: string }
  | { readonly role: "assistant"; readonly parts: readonly AssistantPart[] }
  | { readonly role: "tool"; readonly results: readonly ToolResult[] }
  /** Said by the gateway, shown to the person and to the model (as assistant text in brackets). */
  | { readonly role: "notice"; readonly text: string };

export interface Entry {
  readonly seq: number;
  readonly turnId: TurnId | null;
  readonly at: number;
  readonly content: EntryContent;
  readonly messageIds: readonly MessageId[];
  readonly provenance: string;
  readonly replyTo: readonly MessageId[];
}
