/**
 * The calls that wait for one model: people first, each kind in order of arrival.
 *
 * Always true:
 *   - a call that comes back after a refusal has its old place
 *   - after six people in a row a background call goes, so that it never starves
 *   - a call that is cancelled is gone at once
 */
import type { Admission, CallAsk } from "./admission.ts";

/** After this many people in a row a background call goes. */
const PEOPLE_IN_A_ROW_MAX = 6;

export interface Waiting {
  readonly ask: CallAsk;
  readonly order: number;
  readonly since: number;
  /** Its caller knows that it waits. */
  told: boolean;
  admit(admission: Admission): void;
  refuse(cause: unknown): void;
}

/** `paced`: it goes at the background's pace; not when people who do not keep it would pass it for ever. */
export interface Next {
  readonly waiting: Waiting;
  readonly paced: boolean;
}

export class CallLine {
  readonly #people: Waiting[] = [];
  readonly #background: Waiting[] = [];
  #peopleInARow = 0;

  get length(): number {
    return this.#people.length + this.#background.length;
  }

  /** In the order in which they go, but for those who give way. */
  waiting(): readonly Waiting[] {
    return [...this.#people, ...this.#background];
  }

  includes(waiting: Waiting): boolean {
    return this.#of(waiting.ask).includes(waiting);
  }

  /** Who goes next, and who instead when the first must wait: nobody passes a person, and a person may pass the background. */
  next(): readonly Next[] {
    const person = this.#people[0];
    const background = this.#background[0];
    if (person === undefined) return background === undefined ? [] : [{ waiting: background, paced: true }];
    const isDue = background !== undefined && this.#peopleInARow >= PEOPLE_IN_A_ROW_MAX;
    return [...(isDue ? [{ waiting: background, paced: false }] : []), { waiting: person, paced: false }];
  }

  went({ ask: { person } }: Waiting): void {
    this.#peopleInARow = person ? this.#peopleInARow + 1 : 0;
  }

  /** One that went was refused, so nobody was served before the background. */
  cameBack(person: boolean): void {
    if (person && this.#peopleInARow > 0) this.#peopleInARow--;
  }

  /** Puts a call in line. The promise rejects with the reason of its signal when that aborts; `onLeft` is called when it is out of the line, however. */
  put(ask: CallAsk, order: number, since: number, onLeft: (how: "went" | "cancelled") => void): Promise<Admission> {
    return new Promise((resolve, reject) => {
      const queue = this.#of(ask);
      const leave = (how: "went" | "cancelled"): void => {
        const at = queue.indexOf(waiting);
        if (at === -1) return;
        queue.splice(at, 1);
        ask.signal.removeEventListener("abort", onAbort);
        onLeft(how);
      };
      const onAbort = (): void => {
        leave("cancelled");
        reject(ask.signal.reason as Error);
      };
      const waiting: Waiting = {
        ask,
        order,
        since,
        told: false,
        admit(admission) {
          leave("went");
          resolve(admission);
        },
        refuse(cause) {
          leave("went");
          reject(cause as Error);
        },
      };
      queue.splice(queue.findLastIndex((other) => other.order < order) + 1, 0, waiting);
      ask.signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  #of({ person }: CallAsk): Waiting[] {
    return person ? this.#people : this.#background;
  }
}
