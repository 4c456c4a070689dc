/** Who a message is from. Set by code from how it arrived, never from what it says. */
export const PROVENANCES = ["user", "operator", "agent", "child", "timer", "webhook", "system"] as const;
export type Provenance = (typeof PROVENANCES)[number];
