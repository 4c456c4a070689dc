/**
 * kill -9 at each of a list of points, under load: where something is handed over, saved or told.
 *
 *     node test/torture/kill-points.ts --times 20 --seed 1 [--only WORD] [--keep]
 *
 * kill-switch.ts says what the points mean; what must hold afterwards stands in ordeal.ts.
 */
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { bounded } from "../support/gateway.ts";
import { ordeal, pause, type Ordeal, type OrdealOptions, type OrdealReport } from "./ordeal.ts";

/** What the store does for a gateway under this load, and how often within one life a kill may wait for. */
const DEEDS = {
  setRules: 1,
  noteStart: 1,
  recover: 1,
  acceptMessage: 20,
  claimTurns: 20,
  "journal an intent": 20,
  "journal a result": 10,
  endTurn: 10,
  admitSpawn: 5,
  takeSteering: 2,
  openBarrier: 4,
  cancelSession: 5,
  recordProcess: 3,
  forgetProcess: 3,
} as const;

const MOMENTS = ["handed to the store", "before the commit of", "after the commit of", "told"] as const;

/** What crosses the border between the gateway and others. */
const CROSSINGS = { "a message comes": 20, "a message is acknowledged": 20, "the model is asked": 15, "the model has answered": 15, "a command is started": 3 } as const;

export interface KillPoint {
  readonly name: string;
  /** The gateway dies at one of its first so many passings. */
  readonly countMax: number;
}

export const KILL_POINTS: readonly KillPoint[] = [
  ...Object.entries(DEEDS).flatMap(([deed, countMax]) => MOMENTS.map((moment) => ({ name: `${moment}: ${deed}`, countMax }))),
  ...Object.entries(CROSSINGS).map(([name, countMax]) => ({ name, countMax })),
];

/** A turn that is killed again and again without getting further is set aside as poison; so now and then there is a quiet life. */
const QUIET_EVERY_KILLS = 4;
const QUIET_MS = 700;
/** A life in which the point is not reached ends after this. */
const LIFE_MAX_MS = 60_000;
const SWITCH = fileURLToPath(new URL("./kill-switch.ts", import.meta.url));

export interface KillPointsReport extends OrdealReport {
  readonly kills: number;
  /** Points at which the gateway did not die as often as it was to. */
  readonly missed: readonly string[];
}

/** Kills at each point so many times, all of them in one history. */
export async function killAtPoints(points: readonly KillPoint[], times: number, options: OrdealOptions): Promise<KillPointsReport> {
  const missed: string[] = [];
  let kills = 0;
  const report = await ordeal(options, async (torment) => {
    for (let time = 1; time <= times; time++) {
      for (const { name, countMax } of points) {
        const count = times === 1 ? 1 : 1 + Math.floor(torment.random() * countMax);
        if (await dies(torment, { KILL_AT: name, KILL_COUNT: String(count) })) kills++;
        else missed.push(`${name} (${count})`);
        if (kills % QUIET_EVERY_KILLS === 0) await quiet(torment);
      }
    }
    await torment.start();
  });
  return { ...report, kills, missed };
}

/** A quiet life under the switch, which notes in a file what points it passes. */
export function pointsOfOneLife(log: string, options: OrdealOptions): Promise<OrdealReport> {
  return ordeal(options, async ({ gateway, start, live }) => {
    await start({ NODE_OPTIONS: `--import=${SWITCH}`, KILL_LOG: log });
    const life = live();
    await pause(2 * QUIET_MS);
    await gateway.kill9();
    await life;
    await start();
  });
}

/** One life with the switch set. @returns whether it died by it. */
async function dies({ gateway, start, live }: Ordeal, env: Readonly<Record<string, string>>): Promise<boolean> {
  // A point that comes before the gateway is ready ends the start.
  const isUp = await start({ NODE_OPTIONS: `--import=${SWITCH}`, ...env }).then(() => true, () => false);
  const life = isUp ? live() : Promise.resolve();
  const { signal } = await bounded(LIFE_MAX_MS, "", gateway.exited()).catch(() => ({ signal: null }));
  await gateway.kill9();
  await life;
  return signal === "SIGKILL";
}

async function quiet({ gateway, start, live }: Ordeal): Promise<void> {
  await start();
  const life = live();
  await pause(QUIET_MS);
  await gateway.kill9();
  await life;
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { times: { type: "string", default: "20" }, seed: { type: "string", default: "1" }, only: { type: "string", default: "" }, keep: { type: "boolean", default: false } } });
  const points = KILL_POINTS.filter(({ name }) => name.includes(values.only));
  const report = await killAtPoints(points, Number(values.times), { seed: Number(values.seed), keep: values.keep });
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.broken.length + report.missed.length === 0 ? 0 : 1;
}
