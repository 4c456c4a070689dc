/** Commands of a conversation in moments that no scenario meets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openInMemory } from "../store/sqlite/bench.test-support.ts";
import { MAIN, MEAN } from "../store/store-bench.test-support.ts";
import { conversationCommands, type CommandDeps } from "./commands.ts";
import type { Sessions } from "./sessions.ts";

test("/stop in a session that is removed at that moment says what it stopped (seed 96901)", async () => {
  const { store, clock } = openInMemory();
  const sessions = {
    async cancel() {
      await store.deleteSession({ key: MAIN, by: "ann" });
      return { turns: ["T1"], tasks: [], messages: 0 };
    },
  } as unknown as Sessions;
  const commands = conversationCommands({ store, sessions: () => sessions, models: {} as CommandDeps["models"], meanTurnMs: () => MEAN, nowMs: () => clock.now(), background: () => assert.fail() });
  const stop = commands.find(({ name }) => name === "stop")!;
  assert.equal(await stop.run({ session: MAIN, words: [], rest: "", sourceId: null } as never), "Stopped 1 turn and 0 children.");
});
