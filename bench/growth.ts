/** Is a turn as quick after years of use as on the first day? */
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { fillMessages, fillSessions } from "./support/fill-store.ts";
import { makeHome, removeHome } from "./support/gateway.ts";
import { median } from "./support/percentiles.ts";
import { startYard, type Yard } from "./support/yard.ts";

const SESSION = "agent:main:bench:direct:old";

export const growth: Bench = {
  name: "growth",
  question: "Is a turn as quick after years of use as on the first day?",
  async run(options: BenchOptions): Promise<Row[]> {
    const sessions = options.quick ? 5_000 : 100_000;
    const messages = options.quick ? 500 : 10_000;
    return [
      await compare(options, `10 to ${sessions} stored sessions`, (home, many) => fillSessions(home, many ? sessions : 10), (n) => `agent:main:bench:direct:g${n % 50}`),
      await compare(options, `10 to ${messages} messages in one session`, (home, many) => fillMessages(home, SESSION, many ? messages : 10), () => SESSION),
    ];
  },
};

/** Two gateways, one with little and one with much behind it, take turns, so that noise meets both. */
async function compare(options: BenchOptions, name: string, fill: (home: string, many: boolean) => Promise<void>, sessionOf: (n: number) => string): Promise<Row> {
  const turns = options.quick ? 60 : 400;
  const homes = [makeHome(), makeHome()];
  const yards: Yard[] = [];
  try {
    for (const [index, home] of homes.entries()) {
      await fill(home, index === 1);
      yards.push(await startYard(options, { home }));
    }
    const [few, many] = yards as [Yard, Yard];
    await few.turn(sessionOf(0), "hello");
    const firstMs = await many.turn(sessionOf(0), "hello");
    const times: [number[], number[]] = [[], []];
    for (let n = 0; n < turns; n++) {
      times[0].push(await few.turn(sessionOf(n), `hello ${n}`));
      times[1].push(await many.turn(sessionOf(n), `hello ${n}`));
    }
    const [before, after] = [median(times[0]), median(times[1])];
    const note = `median turn ${before.toFixed(2)} ms -> ${after.toFixed(2)} ms, the model's own time included; first turn after the start ${firstMs.toFixed(0)} ms`;
    return { name: `growth of turn time, ${name}`, unit: "times", measured: after / before, must: 1.2, aim: 1, floor: null, note };
  } finally {
    for (const yard of yards) await yard.stop();
    homes.forEach(removeHome);
  }
}
