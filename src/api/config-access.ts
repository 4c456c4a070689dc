/**
 * What the API needs of configuration. `config/` comes later in the order of imports and carries it out.
 */
import type { Json } from "../base/json.ts";
import type { ConfigAnswer, ConfigChanged, SettingInfo } from "./wire.ts";

export interface ConfigAccess {
  /** Every setting by flat key, secrets masked. */
  all(): ConfigAnswer;
  /** What each setting is: unit, fallback, bounds, when it takes effect. */
  infos(): readonly SettingInfo[];
  /**
   * Writes all the changes or none of them; null takes a setting back to its fallback.
   * @throws {Fault} SETTING_UNKNOWN, SETTING_INVALID
   */
  set(changes: Readonly<Record<string, Json>>): Promise<ConfigChanged>;
}
