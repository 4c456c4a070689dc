/** A book of allowances for tests of providers: the store itself, in memory, under the test's clock. */
import type { Clock } from "../../src/base/clock.ts";
import { seededRandom } from "../../src/base/ids.ts";
import type { AllowanceBook } from "../../src/model/allowance.ts";
import { openStoreInProcess } from "../../src/store/sqlite/open-in-process.ts";

export function allowanceBook(clock: Clock): AllowanceBook {
  return openStoreInProcess({ clock, random: seededRandom(1) }).store;
}
