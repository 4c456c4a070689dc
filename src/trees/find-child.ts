/**
 * Finds a child by what people and models call it: `#3`, a label, a task id, a session key.
 *
 * Only below one session: a key or an id of somebody else's child is "not found", never "forbidden".
 */
import type { SessionKey, TaskId } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import { hasEnded, type Task } from "../model/task.ts";
import type { Store } from "../store/store.ts";

/** Children that listings and numbers reach back to. */
export const CHILDREN_LISTED_MAX = 500;

export interface NumberedTask {
  /** Counts the children of a session in the order of their spawns, from 1. */
  readonly n: number;
  readonly task: Task;
}

export async function childrenOf(store: Store, session: SessionKey): Promise<NumberedTask[]> {
  const { tasks } = await store.tasks({ parent: session, limit: CHILDREN_LISTED_MAX });
  return [...tasks].reverse().map((task, index) => ({ n: index + 1, task }));
}

/** @throws {Fault} NOT_IN_TREE */
export async function findChild(store: Store, session: SessionKey, name: string): Promise<Task> {
  const children = await childrenOf(store, session);
  const number = /^#?(\d{1,6})$/.exec(name)?.[1];
  if (number !== undefined) {
    const child = children.find(({ n }) => n === Number(number));
    if (child !== undefined) return child.task;
  }
  const named = children.filter(({ task }) => task.taskId === name || task.session === name || task.label.toLowerCase() === name.toLowerCase());
  const live = named.findLast(({ task }) => !hasEnded(task.state)) ?? named.at(-1);
  if (live !== undefined) return live.task;
  const below = await store.task(name as TaskId);
  if (below !== null && (await isBelow(store, below, session))) return below;
  throw new Fault("NOT_IN_TREE", { session: name });
}

export async function isBelow(store: Store, task: Task, session: SessionKey): Promise<boolean> {
  for (let one: Task | null = task; one !== null; one = one.parentTask === null ? null : await store.task(one.parentTask)) {
    if (one.parentSession === session) return true;
  }
  return false;
}
