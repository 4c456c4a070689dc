/** Settings of the gateway's own address. */
import { text, wholeNumber, yesNo, type Setting } from "../base/setting.ts";

export const gatewayHost: Setting<string> = {
  key: "gateway.host",
  unit: "text",
  fallback: "127.0.0.1",
  ...text({ max: 253, pattern: /^[A-Za-z0-9.:_-]+$/, what: "a host name or an address, e.g. 127.0.0.1" }),
  takesEffect: "restart",
  doc: "The address that the gateway listens on. Anything but this machine's own needs gateway.allowNetwork as well.",
};

export const gatewayPort: Setting<number> = {
  key: "gateway.port",
  unit: "count",
  fallback: 9273,
  ...wholeNumber({ min: 0, max: 65_535 }),
  takesEffect: "restart",
  doc: "The port that the gateway listens on. 0 = any free one. YARD_PORT and --port override it.",
};

export const gatewayAllowNetwork: Setting<boolean> = {
  key: "gateway.allowNetwork",
  unit: "yes/no",
  fallback: false,
  ...yesNo(),
  takesEffect: "restart",
  doc: "Whether gateway.host may be an address that other machines can reach. The token is then all that stands between them and your agents.",
};

export const gatewayDrainSeconds: Setting<number> = {
  key: "gateway.drainSeconds",
  unit: "s",
  fallback: 3,
  ...wholeNumber({ min: 0, max: 3_600 }),
  takesEffect: "at once",
  doc: "How long a stop waits for running turns. What is not done by then goes on at the next start, from its last step.",
};

export const SETTINGS: readonly Setting<unknown>[] = [gatewayHost, gatewayPort, gatewayAllowNetwork, gatewayDrainSeconds] as readonly Setting<unknown>[];
