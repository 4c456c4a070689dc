/** Where turns and children belong: what began everything, and what is directly above. For traces. */
import type { FlowId, MessageId, SessionKey, TaskId, TurnId } from "../base/ids.ts";
import type { Provenance } from "./provenance.ts";
import type { TaskState } from "./task.ts";

/** What everything began with: a message or, where a program started it, a task; a turn whose message is gone. */
export interface TraceRoot {
  readonly of: "message" | "task" | "turn";
  readonly id: MessageId | TaskId | TurnId;
}

export interface TracedMessage {
  readonly id: MessageId;
  readonly channel: string;
  readonly provenance: Provenance;
  readonly acceptedAt: number;
  /** The child whose result it is. */
  readonly childTask: TaskId | null;
}

export interface TracedTurn {
  readonly root: TraceRoot;
  readonly session: SessionKey;
  readonly agent: string;
  /** Set for a turn of a child. */
  readonly taskId: TaskId | null;
  readonly startedAt: number;
  /** What it took, in order; at most a hundred. */
  readonly messages: readonly TracedMessage[];
}

export interface TracedTask {
  readonly root: TraceRoot;
  readonly session: SessionKey;
  readonly agent: string;
  readonly flowId: FlowId;
  readonly state: TaskState;
  readonly attempt: number;
  readonly depth: number;
  readonly queuedAt: number;
  readonly endedAt: number | null;
  /** The turn that asked for it, or the child above it; both null for one that a person or program started. */
  readonly spawnTurn: TurnId | null;
  readonly parentTask: TaskId | null;
}
