/** What a bench is and what it finds. */

export interface BenchOptions {
  /** Fewer repetitions: to see that a bench works, not to believe its figures. */
  readonly quick: boolean;
  /** A folder for CPU profiles of the gateway, one per thread; null = none are taken. */
  readonly profileInto: string | null;
}

export interface Row {
  /** What was measured, e.g. `start to ready, empty home`. */
  readonly name: string;
  readonly unit: "ms" | "MB" | "/s" | "times";
  readonly measured: number;
  /** The worst that is accepted, and what we aim for; null where the row only informs. */
  readonly must: number | null;
  readonly aim: number | null;
  /** The same measured without the gateway in the same run; null where there is no such thing. */
  readonly floor: number | null;
  /** What the floor is, or anything else that a reader must know. */
  readonly note: string;
}

export interface Bench {
  readonly name: string;
  readonly question: string;
  run(options: BenchOptions): Promise<Row[]>;
}

/** True when a row is as good as it must be; more is better only for rates. */
export function meetsMust({ unit, measured, must }: Row): boolean {
  if (must === null) return true;
  return unit === "/s" ? measured >= must : measured <= must;
}

/** How many times worse than the floor a row is. */
export function ratioToFloor({ unit, measured, floor }: Row): number | null {
  if (floor === null || floor === 0) return null;
  return unit === "/s" ? floor / measured : measured / floor;
}
