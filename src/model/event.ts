/**
 * Events: the numbered log of each session, which every reader follows.
 *
 * `seq` counts per session from 1 and has no gaps. `cursor` orders the events of all sessions.
 * Frames (`text.delta` and the like) are provisional: they carry no number and are not stored.
 */
import type { SessionKey, TaskId, TurnId } from "../base/ids.ts";
import type { JsonObject } from "../base/json.ts";

export const EVENT_TYPES = {
  "message.accepted": "a message is on disk and in line",
  "message.cancelled": "a waiting message was taken out of line",
  "turn.queued": "a message waits for the turn before it in the same session",
  "turn.started": "a turn took its messages and runs; `attempt` over 1 after a restart",
  "turn.parked": "the turn waits without a slot, for its provider or (`reason` harness) for its coding agent, which is at work on something else: `reason`, `until` (an estimate), `ahead`; it has not failed",
  "turn.resumed": "the parked turn goes on, after `waitedMs`",
  "turn.promoted": "a running turn went on beside its lane",
  "turn.yielded": "a turn ended to wait for children",
  "turn.ended": "a turn is over; `outcome` is done, failed or cancelled",
  reply: "the final answer to the messages in `replyTo`",
  "tool.started": "a tool call's intent is on disk",
  "tool.ended": "a tool call's result is on disk",
  "task.accepted": "a child was admitted",
  "task.queued": "a child is in line: `why` is slot, siblings when it waits for a place among them, or claims when it waits for `behind`",
  "task.started": "a child's first turn runs",
  "task.progress": "a child yielded to its own children, woke again, got its claims, was handed up, or (about every half minute while it works) gave a sign of life: `lastStep` is `model` or a tool; or a file that it changed kept it going: `changedFile`",
  "task.attempt": "a child was started again",
  "task.ended": "a child reached its final state",
  "task.delivered": "somebody has the child's result; `by` is digest, notify, board, webhook, or task when nobody was named",
  "lane.waiting": "work has waited for over two seconds; position and estimate",
  "session.created": "a session was made",
  "session.changed": "label, model, queue mode or folder of a session changed",
  "session.reset": "the context was cleared; the key stays",
  "session.compacted": "older entries were replaced by a summary in the context",
  "session.archived": "a session was put away",
  "job.created": "a job was made",
  "job.changed": "a job was changed, paused or resumed",
  "job.removed": "a job was removed",
  "job.done": "a job has nothing more to do: its moment is over, or its plan is done",
  "job.disabled": "a job was switched off after errors that do not pass, or because nothing more can be computed for it",
  "job.alert": "a job failed several times in a row",
  "job.fired": "an occurrence of a job became a message",
  "job.started": "the turn of an occurrence runs",
  "job.skipped": "an occurrence was not run; `reason` says why",
  "job.missed": "occurrences passed while nobody could run them",
  "job.retry": "an occurrence failed and will be tried again at `retryAt`",
  "job.ended": "the turn of an occurrence is over; `state` is ran, failed, cancelled or superseded",
  "job.delivered": "the result of an occurrence was posted to its web address, or could not be; `state` says which",
  "job.completed": "everything that an occurrence set going is over; `shipped` of `spawned` children succeeded",
  "harness.state": "a harness's process started (`how`: new, load, resume, fork or summary; `beside`: a second one of a session whose first is at work), or was ended",
  "harness.update": "something that a harness said and that is no text and no tool call, as it came",
  "workspace.making": "a worktree is being made for a piece of work",
  "workspace.ready": "a worktree is there, set up",
  "workspace.removing": "a worktree is going away; work that is nowhere else is under `backupRef`",
  "workspace.removed": "a worktree is gone",
  "workspace.failed": "a worktree could not be made",
  "merge.queued": "work is in line for its integration branch",
  "merge.running": "work is being merged and tested",
  "merge.resolving": "a conflict was given to the agent, or the work is done again",
  "merge.advancing": "the tested result is about to become the tip of the integration branch",
  "merge.landed": "the work is on the integration branch, from `from` to `to`",
  "merge.conflict": "a conflict waits for a person",
  "merge.failed": "the tests of the merged result are red, or the target is not clean",
  "merge.refused": "the work is outside of its claim, of an older epoch, or needs a person's eyes",
  "merge.undoing": "a landed merge is being taken back",
  "merge.undone": "a landed merge was taken back",
  "merge.cancelled": "a merge was taken out of line",
  "approval.requested": "something waits for a person's approval; in the log of the session that waits, and of the conversation that is asked",
  "approval.answered": "an approval ended: approved, denied, expired or cancelled",
  "plan.started": "a plan began to run",
  "plan.task": "a task of a plan went on: `from`, `state`, and `problem` when it is stuck",
  "plan.signal": "an agent said DONE or STUCK of its task; evidence decides on DONE",
  "plan.phase": "a gate opened, and the next phase of a plan runs",
  "plan.waiting": "a plan waits for a person: a gate asks, or nothing can go on",
  "plan.ended": "a plan is over; `state` is done or cancelled",
  notice: "something the person should know that is no answer",
} as const;

export type EventType = keyof typeof EVENT_TYPES;

export interface NewEvent {
  readonly type: EventType;
  readonly turnId?: TurnId | null;
  readonly taskId?: TaskId | null;
  readonly data: JsonObject;
}

export interface YardEvent {
  readonly seq: number;
  readonly session: SessionKey;
  /** Wall time, milliseconds. */
  readonly at: number;
  readonly type: EventType;
  readonly turnId?: TurnId;
  readonly taskId?: TaskId;
  readonly data: JsonObject;
  /** Order over all sessions. */
  readonly cursor: number;
}

/** A provisional piece of output; never stored, never numbered. */
export interface LiveFrame {
  readonly session: SessionKey;
  readonly at: number;
  readonly type: "text.delta" | "text.void";
  readonly turnId: TurnId;
  readonly data: JsonObject;
}

/**
 * Tells a reader that events which it asked for were removed for their age: what it knows has a hole
 * up to `upTo`, and it must look at sessions and transcripts afresh. The log goes on after that number.
 */
export interface Resync {
  /** Null for a reader of all sessions; `after` and `upTo` are then cursors. */
  readonly session: SessionKey | null;
  readonly at: number;
  readonly type: "resync";
  readonly data: { readonly after: number; readonly upTo: number };
}
