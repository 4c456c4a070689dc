/** A task with what is left of its budget, where it has one of its own. */
import type { Task } from "../../model/task.ts";
import { budgetView } from "./budgets.ts";
import type { Kernel, Row } from "./kernel.ts";
import { taskOf } from "./rows.ts";

export function taskWithBudget(k: Kernel, row: Row): Task {
  return taskOf(row, row["budgeted"] === 2 ? budgetView(k, "task", row["id"]) : null);
}
