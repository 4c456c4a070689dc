/**
 * Fills a home's store as years of use would, without a gateway: the store's own verbs run in this
 * process, in large batches, so the rows are exactly those that the gateway writes.
 */
import { join } from "node:path";
import { systemRandom, type SessionKey } from "../../src/base/ids.ts";
import { NO_USAGE } from "../../src/model/chat.ts";
import type { Claim } from "../../src/model/claim.ts";
import { FIRST_MEAN_TURN_MS } from "../../src/lanes/scheduler.ts";
