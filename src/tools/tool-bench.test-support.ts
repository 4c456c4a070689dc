/** For tests: a workspace in a temporary folder, the tools over it, and calls as a turn makes them. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { systemClock, type Clock } from "../base/clock.ts";
import { systemRandom, type SessionKey, type TurnId } from "../base/ids.ts";
import type { JsonObject } from "../base/json.ts";
import { silentLog } from "../base/log.ts";
import { makeProcessTree } from "../base/process-tree.ts";
import type { Setting, Settings } from "../base/setting.ts";
import { Fault } from "../model/faults.ts";
import type { ToolContext } from "../model/tool.ts";
import { Commands } from "./commands.ts";
import { makeTools, type ToolsDeps } from "./tools.ts";

export interface BenchOptions {
  /** What is in the workspace: text by path. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Values by key of the setting. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly clock?: Clock;
  readonly environment?: Readonly<Record<string, string>>;
  readonly resolve?: ToolsDeps["resolve"];
  readonly say?: ToolsDeps["say"];
  readonly wake?: ToolsDeps["wake"];
}

export interface Called {
  readonly text: string;
  readonly isError: boolean;
}

/** Everything is gone when the test ends. */
export function makeBench(t: TestContext, options: BenchOptions = {}) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "tools-")));
  const workspace = join(folder, "workspace");
  const outside = join(folder, "outside");
  mkdirSync(workspace);
  mkdirSync(outside);
  writeFileSync(join(outside, "secret.txt"), "OUTSIDE");
  for (const [path, content] of Object.entries(options.files ?? {})) {
    mkdirSync(dirname(join(workspace, path)), { recursive: true });
    writeFileSync(join(workspace, path), content);
  }
  const installation = `bench${Buffer.from(systemRandom(6)).toString("hex")}`;
  const processes = makeProcessTree({ clock: systemClock, log: silentLog, record() {}, forget() {} });
  const clock = options.clock ?? systemClock;
  const commands = new Commands({ clock, random: systemRandom, processes, installation });
  t.after(async () => {
    await processes.endAll();
    rmSync(folder, { recursive: true, force: true });
  });
  const tools = makeTools({
    settings: settingsFrom(options.settings ?? {}),
    clock,
    random: systemRandom,
    commands,
    environment: options.environment ?? {},
    say: options.say ?? (async () => {}),
    wake: options.wake ?? (async () => {}),
    ...(options.resolve && { resolve: options.resolve }),
  });

  /** A Fault comes back as the text that the model would be given. */
  async function call(name: string, input: JsonObject, context: Partial<ToolContext> = {}): Promise<Called> {
    const tool = tools.find((one) => one.name === name)!;
    try {
      const outcome = await tool.run(input, { ...CONTEXT, workspace, ...context });
      return { text: outcome.text, isError: outcome.isError ?? false };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return { text: error.message, isError: true };
    }
  }
  return { workspace, outside, installation, processes, commands, tools, call };
}

export const SESSION = "agent:main:main" as SessionKey;
export const TURN = "turn_0000000000000001" as TurnId;

const CONTEXT: Omit<ToolContext, "workspace"> = {
  session: SESSION,
  agent: "main",
  turnId: TURN,
  taskId: null,
  stepKey: "tool:1:call_1",
  signal: new AbortController().signal,
  progress() {},
};

export function settingsFrom(values: Readonly<Record<string, unknown>>): Settings {
  return {
    get: <T>(setting: Setting<T>): T => (Object.hasOwn(values, setting.key) ? setting.parse(values[setting.key]) : setting.fallback),
    isSet: (setting) => Object.hasOwn(values, setting.key),
    onChange: () => () => {},
  };
}

const UNTIL_MAX_MS = 10_000;

/** Looks at every turn of the event loop whether another process has done its part. */
export async function until(condition: () => boolean): Promise<void> {
  const endAt = systemClock.monotonic() + UNTIL_MAX_MS;
  while (!condition()) {
    if (systemClock.monotonic() > endAt) throw new Error(`not within ${UNTIL_MAX_MS} ms: ${condition}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
