/** Everything that is fuzzed. */
import { CONVERSATION_TARGETS } from "./conversations.ts";
import { PARSER_TARGETS } from "./parsers.ts";
import { STREAM_TARGETS } from "./streams.ts";
import type { Target } from "./target.ts";
import { TEXT_TARGETS } from "./texts.ts";

export const TARGETS: readonly Target[] = [...PARSER_TARGETS, ...TEXT_TARGETS, ...STREAM_TARGETS, ...CONVERSATION_TARGETS];
