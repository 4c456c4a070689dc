/** Everything that is fuzzed. */
import type { Target } from "./target.ts";
import { TEXT_TARGETS } from "./texts.ts";

export const TARGETS: readonly Target[] = [...TEXT_TARGETS];
