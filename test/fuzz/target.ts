/**
 * What the fuzzer aims at: one edge of the program, inputs for it, and what must hold for each.
 *
 * `check` throws when it does not hold. The driver judges besides, for every input: the time it
 * takes, the memory that stays, and that no shared prototype changes.
 */
import assert from "node:assert/strict";
import type * as fc from "fast-check";
import { Fault, FAULTS } from "../../src/model/faults.ts";

export interface Opened<T> {
  readonly inputs: fc.Arbitrary<T>;
  check(input: T): void | Promise<void>;
  /** Where an input stands for more bytes than it holds. */
  bytesOf?(input: T): number;
  close?(): void | Promise<void>;
}

export interface Target<T = unknown> {
  readonly name: string;
  /** What holds for every input; the name of its test. */
  readonly fact: string;
  /** Its part of all runs, beside those of the others: slow targets get few. */
  readonly share: number;
  /** The longest it may take per KB of input, milliseconds; the limit of all is {@link MS_PER_KB_MAX}. */
  readonly msPerKb?: number;
  open(): Opened<T> | Promise<Opened<T>>;
}

export const MS_PER_KB_MAX = 50;

/** For targets that claim linear time: 100 KB within a quarter of a second, and never a pause that a person feels. */
export const LINEAR_MS_PER_KB = 2.5;

/** Keeps the type of its inputs inside. */
export function target<T>(plan: Target<T>): Target {
  return plan as unknown as Target;
}

/** Runs `work`, which may refuse with a Fault other than INTERNAL; anything else that it throws goes on. @returns undefined after a refusal. */
export async function unlessRefused<T>(work: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (thrown) {
    expectFault(thrown);
    return undefined;
  }
}

export function expectFault(thrown: unknown): asserts thrown is Fault {
  if (!(thrown instanceof Fault)) throw thrown;
  assert.ok(Object.hasOwn(FAULTS, thrown.code) && thrown.code !== "INTERNAL", `${thrown.code} is an expected refusal`);
  assert.ok(thrown.message.length < 20_000, "a refusal is short enough to be read");
}
