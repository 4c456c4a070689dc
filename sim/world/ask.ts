/** What people ask of the gateway besides sending messages, by the doors that they really use. */
import type { FlowId, SessionKey, TaskId } from "../../src/base/ids.ts";
import { DEFAULT_AGENT } from "../../src/model/session.ts";
import type { NewSpawn } from "../../src/model/task.ts";
import type { GatewayProcess } from "./gateway-process.ts";
import { HARNESS } from "./harness.ts";
import { CHANNEL } from "./people.ts";
import type { Action } from "./plan.ts";
import { HOOK_URL } from "./receiver.ts";

/** What there is to aim at. */
export interface Targets {
  readonly sessions: readonly SessionKey[];
  readonly tasks: readonly TaskId[];
  readonly flows: readonly FlowId[];
  /** Results that may be posted again. */
  readonly deliveries: () => readonly string[];
  readonly hasHarnesses: boolean;
}

const BY = "a person";

/** @returns null when it is no such action, or there is nothing to aim at. */
export function ask({ frontDoor, grove, courier, store }: GatewayProcess, action: Action, { sessions, tasks, flows, deliveries, hasHarnesses }: Targets): Promise<unknown> | null {
  const session = "session" in action ? pickBy(sessions, action.session)! : sessions[0]!;
  switch (action.kind) {
    case "command":
      return frontDoor.accept({ session, text: action.text, provenance: "user", channel: CHANNEL, mayCommand: true });
    case "cancel":
      return frontDoor.cancel(session, { by: BY, tree: action.tree, queue: action.queue });
    case "promote":
      return frontDoor.promote(session);
    case "reset":
      return frontDoor.reset(session, BY);
    case "remove":
      return frontDoor.remove(session, BY);
    case "queue-mode":
      return store.patchSession({ key: session, patch: { queueMode: action.mode } });
    case "spawn": {
      const parent = action.parent === null ? null : pickBy(sessions, action.parent)!;
      const { text: task, label = null, deadlineSeconds, isPosted = false } = action;
      const isHarness = action.harness === true && hasHarnesses;
      return grove.spawn({ ...newChild(task, { parent, isPosted }), label, deadlineSeconds, ...(isHarness ? { agent: HARNESS, kind: "acp" } : {}) });
    }
    case "spawn-all": {
      const parent = action.parent === null ? null : pickBy(sessions, action.parent)!;
      return grove.spawnAll(action.texts.map((task) => ({ ...newChild(task, { parent, isPosted: action.isPosted }), idempotencyKey: task })));
    }
    case "post-again": {
      const delivery = pickBy(deliveries(), action.which);
      return delivery === undefined ? null : courier.resend(delivery);
    }
    case "cancel-flow": {
      const flow = pickBy(flows, action.which);
      return flow === undefined ? null : grove.cancelFlow(flow, BY);
    }
    case "cancel-task":
    case "steer-task":
    case "retry-task": {
      const task = pickBy(tasks, action.which);
      if (task === undefined) return null;
      if (action.kind === "cancel-task") return grove.cancelTask(task, BY);
      return action.kind === "retry-task" ? grove.retry(task, BY) : grove.steer(task, action.text, "operator");
    }
    default:
      return null;
  }
}

function newChild(task: string, { parent, isPosted }: { readonly parent: SessionKey | null; readonly isPosted: boolean }): NewSpawn {
  return { task, label: null, parent, turnId: null, agent: DEFAULT_AGENT, kind: "subagent", model: null, context: "isolated", cwd: null, deadlineSeconds: null, delivery: isPosted ? "webhook" : "digest", callback: isPosted ? HOOK_URL : null, cleanup: "keep", claims: [], idempotencyKey: null };
}

/** The thing that a number of a plan means, of what is there now. */
export function pickBy<T>(from: readonly T[], n: number): T | undefined {
  return from[n % from.length];
}
