/** Everything that is fuzzed. */
import { CONFIG_TARGETS } from "./config.ts";
import { CONVERSATION_TARGETS } from "./conversations.ts";
import { DOOR_TARGETS } from "./doors.ts";
import { HARNESS_TARGETS } from "./harness-lines.ts";
import { INSIDE_TARGETS } from "./inside.ts";
import { PARSER_TARGETS } from "./parsers.ts";
import { PATH_TARGETS } from "./paths.ts";
import { PLAN_TARGETS } from "./plans.ts";
import { PROVIDER_TARGETS } from "./providers.ts";
import { STREAM_TARGETS } from "./streams.ts";
import type { Target } from "./target.ts";
import { TEXT_TARGETS } from "./texts.ts";
import { TIMER_TARGETS } from "./timers.ts";

export const TARGETS: readonly Target[] = [...CONFIG_TARGETS, ...PARSER_TARGETS, ...TEXT_TARGETS, ...PATH_TARGETS, ...PLAN_TARGETS, ...TIMER_TARGETS, ...INSIDE_TARGETS, ...DOOR_TARGETS, ...PROVIDER_TARGETS, ...STREAM_TARGETS, ...CONVERSATION_TARGETS, ...HARNESS_TARGETS];
