/** What a receiver is posted when a child has ended: the same bytes at every attempt. */
import type { Delivery } from "../model/delivery.ts";
import type { Task } from "../model/task.ts";

export function resultBody(delivery: Delivery, task: Task): string {
  const { taskId, flowId, batch, label, kind, state, session, parentSession, agent, model, attempt, queuedAt, startedAt, endedAt, result, output: json, fault } = task;
  const { input, output, calls, costMicros, unpriced = 0 } = task.usage;
  const cost = unpriced > 0 && costMicros === 0 ? null : costMicros / 1_000_000; // nobody knows what a model without a price costs
  return JSON.stringify({
    type: "task.ended",
    deliveryId: delivery.deliveryId,
    timestamp: new Date(endedAt!).toISOString(),
    task: { taskId, flowId, batch, label, kind, state, session, parentSession, agent, model, attempt, queuedAt, startedAt, endedAt, result, output: json, fault, usage: { input, output, calls, cost } },
  });
}
