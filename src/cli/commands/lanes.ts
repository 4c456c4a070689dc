/** `yard lanes`: who runs, who waits, and for what. */
import type { Command } from "commander";
import type { ApiParkedCall, ApiProviderAccount, ApiTurn, LanesAnswer } from "../../api/wire.ts";
import { asJson, type Cli } from "../command.ts";
import { duration, sayTable } from "../table.ts";
import { say, sayJson, type Terminal } from "../terminal.ts";

const PARKED_FOR: Readonly<Record<ApiParkedCall["reason"], string>> = { wall: "the provider refuses for now", rate: "the limit of the minute is reached", busy: "enough calls are under way" };

function limits({ requestsPerMinute, tokensPerMinute }: ApiProviderAccount): string {
  return [requestsPerMinute === null ? [] : [`${requestsPerMinute} requests/min`], tokensPerMinute === null ? [] : [`${tokensPerMinute} tokens/min`]].flat().join(", ");
}

export function register(parent: Command, cli: Cli): void {
  asJson(parent.command("lanes").description("show what runs, what waits and for how long")).action(async ({ json }: { json?: boolean }) => {
    const answer = await (await cli.connect()).get<LanesAnswer>("/api/lanes");
    if (json) sayJson(cli.terminal, answer);
    else sayLanes(cli.terminal, answer, cli.clock.now());
  });
}

export function sayLanes(terminal: Terminal, answer: LanesAnswer, now: number): void {
  const pools = answer.pools.map(({ name, used, size, waiting }) => [name, `${used} of ${size}`, String(waiting)]);
  sayTable(terminal, ["pool", "used", "waiting"], pools, "no pools");
  say(terminal, "");
  const rows = answer.lanes.flatMap((lane) => {
    const stateOf = ({ track }: ApiTurn): string => (track === "side" ? "runs beside" : lane.why === "harness" ? "waits for its coding agent, without a slot" : "runs");
    const running = lane.turns.map((turn) => [lane.session, `${turn.handle} ${stateOf(turn)}`, duration(now - turn.startedAt), turn.about]);
    if (lane.waitingMessages === 0 && (lane.why === null || lane.why === "harness")) return running;
    const place = lane.position === null ? "" : `, place ${lane.position + 1}, about ${duration(lane.etaMs)}`;
    return [...running, [lane.session, `waits for ${lane.why === null || lane.why === "harness" ? "its turn" : lane.why}${place}`, duration(lane.waitedMs), `${lane.waitingMessages} message${lane.waitingMessages === 1 ? "" : "s"}`]];
  });
  sayTable(terminal, ["session", "state", "for", "about"], rows, "nothing runs and nothing waits");
  if (answer.parked.length > 0) {
    say(terminal, "");
    const parked = answer.parked.map((call) => [call.session ?? "", call.model, PARKED_FOR[call.reason], duration(now - call.since), `about ${duration(Math.max(0, call.until - now))}, ${call.ahead} before it`]);
    sayTable(terminal, ["parked call of", "model", "because", "for", "goes on in"], parked, "");
  }
  const accounts = answer.accounts.filter((account) => account.state !== "open" || account.requestsPerMinute !== null || account.tokensPerMinute !== null);
  if (accounts.length > 0) {
    say(terminal, "");
    const rows = accounts.map((account) => [`${account.provider}/${account.model}`, account.account, account.until === null ? account.state : `${account.state} for ${duration(Math.max(0, account.until - now))}`, String(account.inFlight), limits(account)]);
    sayTable(terminal, ["model", "account", "state", "under way", "limits"], rows, "");
  }
  for (const { session, harness, needsMb, availableMb, waitedMs } of answer.memoryWaits) {
    say(terminal, `${session} waits ${duration(waitedMs)} for memory: ${harness} needs ${needsMb} MB, ${availableMb} MB are free`);
  }
  if (answer.draining) say(terminal, "\nthe gateway is shutting down and takes no new work");
}
