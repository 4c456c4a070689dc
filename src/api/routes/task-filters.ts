/** What listings of tasks and the board are narrowed by. */
import type { FlowId } from "../../base/ids.ts";
import { LABEL_LENGTH_MAX, TASK_KINDS } from "../../model/task.ts";
import type { TaskQuery } from "../../store/store.ts";
import { choice, may, sessionKey, text, word, type Values } from "../read-body.ts";
import { present } from "./page-of.ts";

const ID_LENGTH_MAX = 200;
const SEARCH_LENGTH_MAX = 200;

export const searchField = may(text({ max: SEARCH_LENGTH_MAX }), "Only those whose name or id holds this.");

export const taskFilters = {
  parent: may(sessionKey(), "Only children of this session."),
  flow: may(word({ max: ID_LENGTH_MAX }), "Only tasks of this tree."),
  batch: may(word({ max: ID_LENGTH_MAX }), "Only tasks that were asked for together."),
  kind: may(choice(TASK_KINDS), "Only tasks of this kind."),
  label: may(text({ max: LABEL_LENGTH_MAX }), "Only tasks with this label."),
  q: searchField,
};

type TaskFilters = Pick<TaskQuery, "parent" | "flow" | "batch" | "kind" | "label" | "search">;

export function toTaskFilters({ q, flow, ...rest }: Values<typeof taskFilters>): TaskFilters {
  return present({ ...rest, flow: flow as FlowId | undefined, search: q });
}
