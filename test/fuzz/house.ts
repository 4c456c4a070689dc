/**
 * The whole house but for HTTP: store, front door, children, tools, over a clock that stands still.
 * Nothing runs in it; some turns and children wait, so that there is something to look at and to stop.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManualClock } from "../../src/base/clock.ts";
import { seededRandom, systemRandom, type SessionKey, type TurnId } from "../../src/base/ids.ts";
import { silentLog } from "../../src/base/log.ts";
import type { CallTerms } from "../../src/model/budget.ts";
import type { ModelClient } from "../../src/model/chat.ts";
import { wireConversations } from "../../src/conversations.ts";
import { settingsOf } from "../../src/providers/contract-suite.ts";
import { openStoreInProcess } from "../../src/store/sqlite/open-in-process.ts";
import type { Commands } from "../../src/tools/commands.ts";
import { makeTools } from "../../src/tools/tools.ts";
import type { ToolContext } from "../../src/model/tool.ts";
import { sessionTools } from "../../src/trees/session-tools.ts";

export const HOUSE_SESSION = "agent:main:main" as SessionKey;

const MODELS: ModelClient & { defaultModel(): string; terms(): CallTerms } = {
  call: () => Promise.reject(new Error("no model is asked here")),
  contextWindow: () => 100_000,
  knownModels: () => ["rehearsal/rehearsal"],
  defaultModel: () => "rehearsal/rehearsal",
  terms: () => ({ outputTokensMax: 1_000, price: null }),
};

/** Starts no command at all. */
const COMMANDS = { start: () => Promise.reject(Object.assign(new Error("no commands here"), { code: "ENOENT", syscall: "spawn nothing" })), inBackground: () => [], endSession: async () => {}, endTurn: async () => {} } as unknown as Commands;

export type House = Awaited<ReturnType<typeof makeHouse>>;

export async function makeHouse() {
  const clock = new ManualClock();
  const random = seededRandom(7);
  const { store } = openStoreInProcess({ clock, random });
  const folder = mkdtempSync(join(tmpdir(), "yard-fuzz-house-"));
  const workspace = join(folder, "workspace");
  mkdirSync(join(workspace, "sub"), { recursive: true });
  writeFileSync(join(workspace, "notes.txt"), "one\ntwo\n");
  const settings = settingsOf({ "messages.queue.waitSeconds": 0, "messages.parallel.judge": "rules", "messages.queue.cap": 5 });
  const tools = makeTools({ settings, clock, random: systemRandom, commands: COMMANDS, environment: {}, say: async () => {}, wake: async () => {}, resolve: async () => [{ address: "10.0.0.1", family: 4 }] });
  const { frontDoor, grove, rules } = wireConversations({ settings, store, clock, log: silentLog, models: MODELS, workspace, builtIn: tools, commands: COMMANDS, acp: null, harnesses: null });
  await store.setRules(rules());
  const all = [...tools, ...sessionTools({ store, trees: grove, settings, nowMs: () => clock.now(), stopTurn: (session, handle) => frontDoor.cancelTurn(session, handle, "the agent"), projects: async () => [], steerTurn: (session, handle, text) => frontDoor.steer(session, { handle, text, provenance: "agent" }) })];

  const accept = (text: string): Promise<unknown> => frontDoor.accept({ session: HOUSE_SESSION, text, provenance: "user", channel: "api", mayCommand: false });
  await accept("hello");
  clock.advance(60_000);
  const meanTurnMs = { main: 1000, side: 1000, subagent: 1000, acp: 1000, timer: 1000 };
  const { started } = await store.claimTurns({ turnsMax: 8, meanTurnMs });
  const turnId = (started[0]?.turnId ?? "turn_none") as TurnId;
  await grove.spawn({ task: "count", label: "one", parent: HOUSE_SESSION, turnId, agent: "main", kind: "subagent", model: null, context: "isolated", cwd: null, deadlineSeconds: null, delivery: "digest", cleanup: "keep", claims: [], idempotencyKey: null });
  await accept("and more");
  const { tasks } = await store.tasks({ limit: 10 });

  return {
    clock, store, frontDoor, grove, tools: all, models: MODELS, workspace, settings, meanTurnMs,
    taskId: tasks[0]!.taskId,
    flowId: tasks[0]!.flowId,
    context: { session: HOUSE_SESSION, agent: "main", turnId, taskId: null, stepKey: "tool:1:call_1", workspace, signal: new AbortController().signal, progress() {} } satisfies ToolContext,
    async close(): Promise<void> {
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A house that is built anew after so many uses, so that it never fills up. */
export class Houses {
  readonly #usesMax: number;
  #house: House | null = null;
  #uses = 0;

  constructor(usesMax: number) {
    this.#usesMax = usesMax;
  }

  async next(): Promise<House> {
    if (this.#house === null || this.#uses++ >= this.#usesMax) {
      await this.close();
      this.#house = await makeHouse();
      this.#uses = 0;
    }
    return this.#house;
  }

  async close(): Promise<void> {
    await this.#house?.close();
    this.#house = null;
  }
}
