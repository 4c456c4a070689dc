/** Every setting of the program, gathered from the folders that they belong to. */
import type { Setting } from "../base/setting.ts";
import { SETTINGS as ACP } from "../agents/acp/settings.ts";
import { SETTINGS as API } from "../api/settings.ts";
import { SETTINGS as LANES } from "../lanes/settings.ts";
import { SETTINGS as PLANS } from "../plans/settings.ts";
import { SETTINGS as PROVIDERS } from "../providers/settings.ts";
import { SETTINGS as SESSIONS } from "../sessions/settings.ts";
import { SETTINGS as STORE } from "../store/settings.ts";
import { SETTINGS as TELEMETRY } from "../telemetry/settings.ts";
import { SETTINGS as TIMERS } from "../timers/settings.ts";
import { SETTINGS as TOOL_SERVERS } from "../tools/mcp/settings.ts";
import { SETTINGS as TOOLS } from "../tools/settings.ts";
import { SETTINGS as TREES } from "../trees/settings.ts";
import { agentsList } from "../turns/agents-list.ts";
import { SETTINGS as BUDGETS } from "../turns/budget-settings.ts";
import { SETTINGS as TURNS } from "../turns/settings.ts";
import { SETTINGS as MERGES } from "../merges/settings.ts";
import { SETTINGS as WORKSPACES } from "../workspaces/settings.ts";
import { SETTINGS as GATEWAY } from "./settings.ts";

/** In the order of their keys. */
export const ALL_SETTINGS: readonly Setting<unknown>[] = [
  ...ACP,
  ...API,
  ...LANES,
  ...PLANS,
  ...PROVIDERS,
  ...SESSIONS,
  ...STORE,
  ...TELEMETRY,
  ...TIMERS,
  ...TOOLS,
  ...TOOL_SERVERS,
  ...TREES,
  ...TURNS,
  ...BUDGETS,
  ...MERGES,
  ...WORKSPACES,
  agentsList as Setting<unknown>,
  ...GATEWAY,
].toSorted((a, b) => (a.key < b.key ? -1 : 1));
