/** Whether agents side by side are worth it: wall time of the same plan with one agent and with three. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { watchMachine } from "../support/machine-load.ts";
import { isDone, openShop, subjects, TESTS, type Shop } from "../support/shop.ts";
import { makeRepository } from "../support/workspaces.ts";

const AGENTS = 3;
/** What three agents may take of one agent's time, when their tasks are independent. */
const PART_MAX = 0.45;
/** The model's time for a task, as a multiple of what the gateway, git and tests take: tasks are substantial, or parallel work is not worth it. */
const THINK_TIMES = 8;
const THINK_MIN_MS = 3_000;
const THINK_MAX_MS = 12_000;
/** Above this part of the time in which something had to wait for a processor, nothing can be said about a ratio. */
const HELD_UP_MAX = 0.4;

/** Runs a plan of so many independent tasks. @returns its wall time, milliseconds. */
async function timeOf(shop: Shop, repository: string, tasks: number, thinkMs: number, mode: "sequential" | "parallel"): Promise<number> {
  const task = (n: number): string => {
    const call = `call write ${JSON.stringify({ path: `services/s${n}/s${n}.test.mjs`, content: "process.exit(0);\n" })}`;
    return `### s${n} (owns: services/s${n}/**) (size: 1h) (tests: ${process.execPath} services/s${n}/s${n}.test.mjs)\n\n! wait ${Math.round(thinkMs / 2)}ms then ${call} then wait ${Math.round(thinkMs / 2)}ms then say done\n`;
  };
  const startedAt = performance.now();
  const planId = await shop.run(`# Services\nonto: main\nagents: ${AGENTS}\ntests: ${TESTS}\n\n${Array.from({ length: tasks }, (_each, n) => task(n)).join("\n")}`, { mode, repository });
  await shop.until(planId, isDone);
  assert.equal(subjects(repository).length, tasks + 1);
  return performance.now() - startedAt;
}

test(`${AGENTS} agents on independent tasks take less than ${PART_MAX} of the time of one after the other`, async (t: TestContext) => {
  const shop = await openShop(t, { "readme.md": "speed\n" });
  const place = (name: string): string => makeRepository(join(shop.repository, "..", name), { "readme.md": "speed\n" });
  await timeOf(shop, place("first"), 1, 0, "sequential"); // what is loaded once
  const lostSince = watchMachine();
  const around = await timeOf(shop, place("around"), 1, 0, "sequential");
  const thinkMs = Math.min(THINK_MAX_MS, Math.max(THINK_MIN_MS, around * THINK_TIMES));
  const [alone, beside] = await Promise.all([timeOf(shop, place("alone"), AGENTS, thinkMs, "sequential"), timeOf(shop, place("beside"), AGENTS, thinkMs, "parallel")]);
  const { heldUp } = lostSince();
  const part = beside / alone;
  t.diagnostic(`${Math.round(beside)} ms with ${AGENTS} agents, ${Math.round(alone)} ms with one: ${part.toFixed(2)}; model ${Math.round(thinkMs)} ms a task, all around it ${Math.round(around)} ms; held up ${Math.round(heldUp * 100)} %`);
  assert.ok(part < (heldUp > HELD_UP_MAX ? 1 : PART_MAX), `${part.toFixed(2)} of the time`);
});
