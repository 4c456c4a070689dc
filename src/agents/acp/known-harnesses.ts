/** Harnesses that are known by name, as data. */
import type { HarnessSpec } from "../../model/harness.ts";

export const KNOWN_HARNESSES: readonly HarnessSpec[] = [];
