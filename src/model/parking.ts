/** Why a model call waits to be let through to its provider. It neither failed nor made progress. */
export const PARKING_REASONS = {
  wall: "the provider refuses for now",
  rate: "the limit of the minute is reached",
  busy: "as many calls as the provider takes are under way",
} as const;
export type ParkingReason = keyof typeof PARKING_REASONS;

/** What a turn waits for without a slot: its provider, or (`harness`) its coding agent, which is at work on something else. */
export interface Parking {
  readonly reason: ParkingReason | "harness";
  /** `<provider>/<model>`, or the coding agent. */
  readonly model: string;
  /** When it should go on, wall time in milliseconds; an estimate. */
  readonly until: number;
  /** Calls that go before it. */
  readonly ahead: number;
}

/** A parked call, as listings show it. */
export interface ParkedCall extends Parking {
  readonly reason: ParkingReason;
  /** The session it works for, or null. */
  readonly session: string | null;
  readonly since: number;
  readonly person: boolean;
}

/** How one account of a provider stands with one model. */
export interface LaneToProvider {
  readonly provider: string;
  readonly model: string;
  readonly account: string;
  /** `probing`: one call, then more and more, after a wall. `closed`: its credential was refused. */
  readonly state: "open" | "walled" | "probing" | "closed";
  /** The end of the wall or of the refusal; null when there is none. */
  readonly until: number | null;
  readonly inFlight: number;
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
}

/** What waits for providers, and why. */
export interface ProviderLanes {
  readonly accounts: readonly LaneToProvider[];
  readonly parked: readonly ParkedCall[];
}
