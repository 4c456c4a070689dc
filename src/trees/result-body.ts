/** What a receiver is posted when a child, or a run of a job, is over: the same bytes at every attempt. */
import type { Run } from "../model/job.ts";
import type { Task } from "../model/task.ts";
import type { ClaimedDelivery } from "../store/store.ts";

export function resultBody(claimed: ClaimedDelivery): string {
  const { deliveryId } = claimed.delivery;
  return "task" in claimed ? ofTask(deliveryId, claimed.task) : ofRun(deliveryId, claimed.run, claimed.jobName);
}

function ofTask(deliveryId: string, task: Task): string {
  const { taskId, flowId, batch, label, kind, state, session, parentSession, agent, model, attempt, queuedAt, startedAt, endedAt, result, output: json, fault } = task;
  const { input, output, calls, costMicros, unpriced = 0 } = task.usage;
  const cost = unpriced > 0 && costMicros === 0 ? null : costMicros / 1_000_000; // nobody knows what a model without a price costs
  return JSON.stringify({
    type: "task.ended",
    deliveryId,
    timestamp: new Date(endedAt!).toISOString(),
    task: { taskId, flowId, batch, label, kind, state, session, parentSession, agent, model, attempt, queuedAt, startedAt, endedAt, result, output: json, fault, usage: { input, output, calls, cost } },
  });
}

function ofRun(deliveryId: string, run: Run, name: string): string {
  const { id, jobId, scheduledFor, state, reason, attempt, session, startedAt, endedAt, completedAt, spawned, shipped, result, fault } = run;
  return JSON.stringify({
    type: "job.completed",
    deliveryId,
    timestamp: new Date(completedAt!).toISOString(),
    job: { jobId, name },
    run: { runId: id, scheduledFor, state, reason, attempt, session, startedAt, endedAt, completedAt, spawned, shipped, result, fault },
  });
}
