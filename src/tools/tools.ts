/**
 * The tools that every agent has: files, search, commands, the web, notes, a word in between.
 *
 * | tool | effect class | side by side |
 * |---|---|---|
 * | read, list, glob, grep, web_fetch | pure | yes |
 * | write | idempotent | no |
 * | memory | keyed | no |
 * | edit, exec, process, message | once | no |
 *
 * The session tools are made where sessions are, and added by main.
 */
import type { Clock } from "../base/clock.ts";
import type { RandomBytes, SessionKey } from "../base/ids.ts";
import type { Settings } from "../base/setting.ts";
import type { Tool } from "../model/tool.ts";
import type { Commands } from "./commands.ts";
import { makeEditTool } from "./edit.ts";
import { makeExecTool, makeProcessTool } from "./exec.ts";
import { makeGlobTool } from "./glob.ts";
import { makeGrepTool } from "./grep.ts";
import { makeListTool } from "./list.ts";
import { makeMemoryTool } from "./memory.ts";
import { makeMessageTool } from "./message.ts";
import { makeReadTool } from "./read.ts";
import { denied, execEnabled, webEnabled } from "./settings.ts";
import type { Resolve } from "./checked-address.ts";
import { makeWebFetchTool } from "./web-fetch.ts";
import { makeWriteTool } from "./write.ts";

export interface ToolsDeps {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** Made by main, which ends the commands of turns and sessions. */
  readonly commands: Commands;
  /** The gateway's own environment; commands see a few of its variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** Says something to the person of a session. */
  say(session: SessionKey, text: string): Promise<void>;
  /** Puts a message into a session, as any other; the same `sourceId` again is the same message. */
  wake(session: SessionKey, text: string, sourceId: string): Promise<void>;
  /** How `web_fetch` finds the addresses of a host; the system's way when not given. */
  readonly resolve?: Resolve;
}

/** In the order in which models see them. Cheap: nothing is loaded or started until a tool runs. */
export function makeTools(deps: ToolsDeps): readonly Tool[] {
  return [
    makeReadTool(deps),
    makeWriteTool(deps),
    makeEditTool(deps),
    makeListTool(deps),
    makeGlobTool(deps),
    makeGrepTool(deps),
    makeExecTool(deps),
    makeProcessTool(deps),
    makeWebFetchTool(deps),
    makeMemoryTool(deps),
    makeMessageTool(deps),
  ];
}

/** The tools that the settings let agents have, in the same order. */
export function offeredTools(tools: readonly Tool[], settings: Settings): readonly Tool[] {
  const refused = new Set(settings.get(denied));
  if (!settings.get(execEnabled)) refused.add("exec").add("process");
  if (!settings.get(webEnabled)) refused.add("web_fetch");
  return tools.filter(({ name }) => !refused.has(name));
}
