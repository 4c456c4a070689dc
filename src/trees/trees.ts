/** Children as others see them: one door for every spawn, whoever asks. */
import type { FlowId, TaskId } from "../base/ids.ts";
import type { Accepted } from "../model/message.ts";
import type { NewSpawn, Task } from "../model/task.ts";
import type { Cancelled } from "../store/store.ts";

export interface Trees {
  /**
   * Admits a child. Over a cap it waits in line; it is not refused.
   * @throws {Fault} SPAWN_TOO_DEEP, SPAWN_PARENT_GONE, AGENT_NOT_FOUND, MODEL_UNKNOWN, BUDGET_EXHAUSTED, BUDGET_TOO_LARGE, BAD_REQUEST, CLAIM_TAKEN, CLAIM_DEADLOCK, CIRCUIT_OPEN, FLOW_CANCELLED, DRAINING, ADDRESS_REFUSED (its callback).
   */
  spawn(spawn: NewSpawn): Promise<{ readonly task: Task; readonly created: boolean }>;
  /** Admits all of them or none; they are one flow. @throws {Fault} as {@link spawn} */
  spawnAll(spawns: readonly NewSpawn[]): Promise<readonly { readonly task: Task; readonly created: boolean }[]>;
  /** Resolves when the task has ended, or with its present state at the time-out. @throws {Fault} TASK_NOT_FOUND */
  waitFor(task: TaskId, options: { timeoutMs: number; signal?: AbortSignal }): Promise<Task>;
  /** Stops a child, named by id or label, and everything below it. @throws {Fault} TASK_NOT_FOUND */
  cancelTask(task: TaskId, by: string): Promise<Cancelled>;
  /** Stops a whole tree. @throws {Fault} FLOW_NOT_FOUND */
  cancelFlow(flow: FlowId, by: string): Promise<Cancelled>;
  /** Tells a running child something, before its next model call. @throws {Fault} TASK_NOT_FOUND, TASK_ENDED */
  steer(task: TaskId, text: string, by: "operator" | "agent"): Promise<Accepted>;
  /**
   * Starts an ended child again. With `restart` one that has not ended is stopped and begins its next
   * attempt at once, under the same id. @throws {Fault} TASK_NOT_FOUND, TASK_NOT_FINISHED
   */
  retry(task: TaskId, by: string, options?: { restart?: boolean }): Promise<Task>;
  /** The task of that id, or the newest one of that label. @throws {Fault} TASK_NOT_FOUND */
  named(idOrLabel: string): Promise<Task>;
}
