/** A whole yard to measure: the stand-in, the gateway before it, and one client that watches all sessions. */
import type { MessageAccepted } from "../../src/api/wire.ts";
import { spawnStandin, type SpawnedStandin } from "../../test/support/model-standin/spawn.ts";
import type { BenchOptions } from "./bench.ts";
import { EventReader } from "./event-reader.ts";
import { startGateway, type Gateway } from "./gateway.ts";
import { ModelFloor } from "./model-floor.ts";

const WARM_UP_TURNS = 60;

export interface Yard {
  readonly gateway: Gateway;
  readonly standin: SpawnedStandin;
  readonly floor: ModelFloor;
  readonly events: EventReader;
  /** Sends a message and waits for its reply. @returns milliseconds from the POST to the reply. */
  turn(session: string, text: string): Promise<number>;
  stop(): Promise<void>;
}

/** Settings that name the stand-in as the model (`standin` as Anthropic, `chat` as OpenAI), and let every message be answered at once. */
export function settingsFor(standinUrl: string, recorderUrl: string): Record<string, unknown> {
  const provider = (api: string, baseUrl: string): object => ({ api, baseUrl, apiKey: "bench" });
  return {
    "agents.defaults.model": "standin/standin",
    "agents.list": [{ id: "recorded", model: "recorder/standin" }],
    "models.providers": {
      standin: provider("anthropic-messages", standinUrl),
      chat: provider("openai-completions", standinUrl),
      recorder: provider("anthropic-messages", recorderUrl),
    },
    "messages.messageWaitMs": 0,
  };
}

/** The session of the n-th person. */
export function personSession(n: number): string {
  return `agent:main:bench:direct:p${n}`;
}

/** Starts everything, records the floor's call, and runs some turns so that all code is warm. */
export async function startYard(options: BenchOptions, { settings = {}, home }: { settings?: Readonly<Record<string, unknown>>; home?: string } = {}): Promise<Yard> {
  const standin = await spawnStandin();
  const floor = await ModelFloor.start(standin.url);
  const gateway = await startGateway({
    settings: { ...settingsFor(standin.url, floor.recorderUrl), ...settings },
    ...(home === undefined ? {} : { home }),
    nodeOptions: options.profileInto === null ? [] : ["--cpu-prof", `--cpu-prof-dir=${options.profileInto}`],
  });
  const events = await EventReader.open(gateway.http);
  const yard: Yard = {
    gateway,
    standin,
    floor,
    events,
    turn: (session, text) => turn(gateway, events, session, text),
    async stop() {
      events.close();
      floor.close();
      await gateway.stop();
      await standin.close();
    },
  };
  await yard.turn("agent:recorded:main", "hello");
  for (let n = 0; n < WARM_UP_TURNS; n++) {
    await yard.turn(`agent:main:bench:direct:warm${n % 10}`, "hello");
    await floor.call();
  }
  return yard;
}

/** Sends a message to one gateway and waits for its reply on one reader. @returns milliseconds. */
export async function turn(gateway: Gateway, events: EventReader, session: string, text: string): Promise<number> {
  const startedAt = performance.now();
  const replied = events.reply(session);
  const [repliedAt] = await Promise.all([replied, gateway.http.json<MessageAccepted>("POST", "/api/messages", { session, text })]);
  return repliedAt - startedAt;
}

/** Runs `work` on a yard and takes the yard down again, also when the work fails. */
export async function withYard<Result>(options: BenchOptions, settings: Readonly<Record<string, unknown>>, work: (yard: Yard) => Promise<Result>): Promise<Result> {
  const yard = await startYard(options, { settings });
  try {
    return await work(yard);
  } finally {
    await yard.stop();
  }
}
