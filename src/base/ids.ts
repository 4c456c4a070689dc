/**
 * Identities: made here, branded here, never taken apart by string search.
 *
 * An id is a short prefix that names the kind and 16 random base-32 characters (80 bits).
 */
import { randomBytes } from "node:crypto";

declare const brand: unique symbol;
type Id<Kind extends string> = string & { readonly [brand]: Kind };

export type MessageId = Id<"message">;
export type TurnId = Id<"turn">;
export type TaskId = Id<"task">;
export type FlowId = Id<"flow">;
export type BarrierId = Id<"barrier">;
export type SessionKey = Id<"session">;
export type JobId = Id<"job">;
export type RunId = Id<"run">;
export type WorkspaceId = Id<"workspace">;
export type MergeId = Id<"merge">;
export type PlanId = Id<"plan">;

/** Where random bytes come from; a seeded one makes a whole run repeatable. */
export type RandomBytes = (count: number) => Uint8Array;

export const systemRandom: RandomBytes = (count) => randomBytes(count);

/** Repeatable bytes from a seed (xorshift32). Not for secrets. */
export function seededRandom(seed: number): RandomBytes {
  let state = seed >>> 0 || 1;
  return (count) => {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      state ^= state << 13;
      state >>>= 0;
      state ^= state >>> 17;
      state ^= state << 5;
      state >>>= 0;
      bytes[i] = state & 0xff;
    }
    return bytes;
  };
}

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const RANDOM_CHARACTERS = 16;

function token(random: RandomBytes): string {
  let text = "";
  for (const byte of random(RANDOM_CHARACTERS)) text += ALPHABET[byte & 31];
  return text;
}

/** Makes new ids from one source of randomness. */
export class IdMaker {
  readonly #random: RandomBytes;

  constructor(random: RandomBytes) {
    this.#random = random;
  }

  message(): MessageId {
    return `msg_${token(this.#random)}` as MessageId;
  }
  turn(): TurnId {
    return `turn_${token(this.#random)}` as TurnId;
  }
  task(): TaskId {
    return `task_${token(this.#random)}` as TaskId;
  }
  flow(): FlowId {
    return `flow_${token(this.#random)}` as FlowId;
  }
  barrier(): BarrierId {
    return `wait_${token(this.#random)}` as BarrierId;
  }
  job(): JobId {
    return `job_${token(this.#random)}` as JobId;
  }
  run(): RunId {
    return `run_${token(this.#random)}` as RunId;
  }
  workspace(): WorkspaceId {
    return `ws_${token(this.#random)}` as WorkspaceId;
  }
  merge(): MergeId {
    return `merge_${token(this.#random)}` as MergeId;
  }
  plan(): PlanId {
    return `plan_${token(this.#random)}` as PlanId;
  }
  /** The random part alone, for session keys and names that carry their own prefix. */
  bare(): string {
    return token(this.#random);
  }
}
