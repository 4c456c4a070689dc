/** Configuration in the shapes of the API. */
import type { ConfigAccess } from "../api/config-access.ts";
import type { Setting } from "../base/setting.ts";
import type { SettingInfo } from "../api/wire.ts";
import type { Config } from "./config.ts";

export function configAccess(config: Config): ConfigAccess {
  return {
    all() {
      const all = config.all();
      return { settings: Object.fromEntries(all.map(({ key, value }) => [key, value])), set: all.filter((one) => one.isSet).map(({ key }) => key) };
    },
    infos: () => config.all().map(({ setting }) => settingInfo(setting)),
    set: async (changes) => ({ changed: [...(await config.set(changes))] }),
  };
}

export function settingInfo(setting: Setting<unknown>): SettingInfo {
  const { key, unit, fallback, bounds, takesEffect, doc, secret } = setting;
  return { key, unit, fallback, bounds, takesEffect, doc, secret: secret === true };
}
