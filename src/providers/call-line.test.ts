import assert from "node:assert/strict";
import { test } from "node:test";
import type { Admission, CallAsk } from "./admission.ts";
import { CallLine } from "./call-line.ts";

const ADMISSION: Admission = { account: { name: "1", key: "k" }, order: 0, isProbe: false, taken() {}, end: () => 0 };

function lineOf() {
  const line = new CallLine();
  let order = 0;
  const put = (person: boolean, model: string, at = ++order): Promise<Admission> => line.put({ provider: "p", model, person, tokens: () => 0, signal: new AbortController().signal, patienceMs: 0 }, at, 0, () => {});
  const next = (): readonly (readonly [model: string, paced: boolean])[] => line.next().map(({ waiting, paced }) => [waiting.ask.model, paced]);
  /** The first goes. */
  const go = (): CallAsk => {
    const { waiting } = line.next()[0]!;
    line.went(waiting);
    waiting.admit(ADMISSION);
    return waiting.ask;
  };
  return { line, put, next, go };
}

test("after six people in a row a background call is due, without its pace, and a person goes when it cannot", () => {
  const { put, next, go } = lineOf();
  void put(false, "machine");
  for (let n = 0; n < 8; n++) void put(true, `person ${n}`);
  for (let n = 0; n < 6; n++) assert.equal(go().model, `person ${n}`);
  assert.deepEqual(next(), [["machine", false], ["person 6", false]]);
  go();
  assert.deepEqual(next(), [["person 6", false]], "then it is people's turn again");
});

test("people who were refused did not go before the background, so their tries make none due", () => {
  const { line, put, next, go } = lineOf();
  void put(false, "machine");
  for (let n = 0; n < 10; n++) {
    void put(true, "person", 0);
    assert.equal(go().model, "person");
    line.cameBack(true);
  }
  void put(true, "person", 0);
  assert.deepEqual(next(), [["person", false]]);
});

test("the background alone goes at its pace", () => {
  const { put, next } = lineOf();
  void put(false, "machine");
  assert.deepEqual(next(), [["machine", true]]);
});
