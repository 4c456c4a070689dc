/**
 * People who use a gateway that is being tormented, and a look from outside at what became of every message.
 *
 * Ten people talk to it at once. A part of what they say starts two children each, another part runs a
 * command that writes a line outside of the gateway, and one more person stops what was asked for. How
 * the gateway dies is the caller's business; whenever it is back the people go on: a message whose
 * acknowledgement was lost is sent again under its own id, as a client would. At the end everything is
 * let come to rest, and then must hold:
 *
 *   - every acknowledged message was accepted once and answered by exactly one `reply`
 *   - what was stopped has exactly one end, and the model is not asked for it again
 *   - every child was made once, succeeded, and stands in its parent's transcript exactly once
 *   - no model call was made again after the log showed that its answer was committed
 *   - every tool call has exactly one result, and a command that was told to have run did run, once
 *   - all that simulated worlds are judged by (sim/world/checkers.ts), e.g. that event numbers have no gaps
 *     and that what a reader was given stays; and the store finds nothing wrong with itself
 *   - the model saw no history that a real one would refuse
 *
 * An answer counts as committed from the time of the first event that cannot exist without it: the
 * `tool.started` of a call in it, the `reply` made of it, the `task.ended` of a child. A request whose
 * answer arrived just before a death and left no such event may be repeated; that is what is promised.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiEvent, ApiTask, History, HistoryEntry, LanesAnswer, MessageAccepted, TaskList } from "../../src/api/wire.ts";
import { eventText, type SeenEvent } from "../../sim/world/checkers.ts";
import { systemClock } from "../../src/base/clock.ts";
import { seededRandom, systemRandom } from "../../src/base/ids.ts";
import { openStoreInProcess } from "../../src/store/sqlite/open-in-process.ts";
import { Gateway, bounded, standinConfig } from "../support/gateway.ts";
import { spawnStandin, type SpawnedStandin } from "../support/model-standin/spawn.ts";
import { identityOf, stoppedBy, verdict, type Kind, type Said } from "./verdict.ts";

const SESSIONS = 10;
const STOPPED_SESSION = "agent:main:api:direct:stopped";
const CHILDREN_EACH = 2;
const OUTSTANDING_MAX = 2;
const MODEL_WAIT_MAX_MS = 250;
/** What is stopped would take this long. */
const STOPPED_WAIT_MS = 60_000;
const PAUSE_MS = 20;
const REST_MAX_MS = 120_000;

export interface OrdealOptions {
  readonly seed: number;
  /** `messages.foregroundMs`: small values promote turns to side tracks all the time. */
  readonly foregroundMs?: number;
  readonly keep?: boolean;
}

/** What the tormentor is given. The gateway is not started yet. */
export interface Ordeal {
  readonly gateway: Gateway;
  /** 0..1, from the seed. */
  readonly random: () => number;
  /** Starts the gateway and takes its time. */
  start(env?: Readonly<Record<string, string>>): Promise<void>;
  /** Lets people talk; resolves when the gateway is gone, or its connection is. */
  live(): Promise<void>;
}

export interface OrdealReport {
  readonly starts: number;
  readonly messages: number;
  readonly children: number;
  readonly commands: number;
  readonly modelCalls: number;
  /** Completed model calls that were made again because their answer was not yet committed. */
  readonly repeatedCalls: number;
  readonly recoveredTurns: number;
  readonly promotedTurns: number;
  readonly readyMsMedian: number;
  readonly readyMsMax: number;
  readonly seconds: number;
  /** Empty when every promise held. */
  readonly broken: readonly string[];
  readonly home: string;
}

/** @param torment  starts and ends the gateway as often as it likes; at its end the gateway must be up. */
export async function ordeal(options: OrdealOptions, torment: (ordeal: Ordeal) => Promise<void>): Promise<OrdealReport> {
  const home = mkdtempSync(join(tmpdir(), "yard-torture-"));
  const standin = await spawnStandin(["--strict"]);
  const config = standinConfig(standin.url, {
    "agents.defaults.maxConcurrent": 16,
    "agents.defaults.subagents.maxConcurrent": 20,
    "agents.defaults.subagents.gatherMs": 30,
    // Here many lives end before they got anything done, and the next one must go on all the same.
    "recovery.deathsMax": 0,
    ...(options.foregroundMs === undefined ? {} : { "messages.foregroundMs": options.foregroundMs }),
  });
  const gateway = new Gateway({ home, config });
  try {
    return await new People(options, gateway, standin).run(torment);
  } finally {
    await gateway.close();
    await standin.close();
    if (options.keep !== true) rmSync(home, { recursive: true, force: true });
  }
}

class People {
  readonly #options: OrdealOptions;
  readonly #gateway: Gateway;
  readonly #standin: SpawnedStandin;
  readonly #random: () => number;
  readonly #said: Said[] = [];
  readonly #readyMs: number[] = [];
  readonly #startsAt: number[] = [];
  /** Commands write here; no gateway looks at it. */
  readonly #outside: string;
  /** By session and number: events as they came, over all lives of the gateway. */
  readonly #given = new Map<string, Map<number, string>>();
  #cursor = 0;
  #count = 0;

  constructor(options: OrdealOptions, gateway: Gateway, standin: SpawnedStandin) {
    this.#options = options;
    this.#gateway = gateway;
    this.#standin = standin;
    this.#outside = join(gateway.home, "outside.log");
    const bytes = seededRandom(options.seed);
    this.#random = () => {
      const [a = 0, b = 0, c = 0] = bytes(3);
      return (a * 65_536 + b * 256 + c) / 16_777_216;
    };
  }

  async run(torment: (ordeal: Ordeal) => Promise<void>): Promise<OrdealReport> {
    const startedAt = performance.now();
    await torment({ gateway: this.#gateway, random: this.#random, start: (env) => this.#start(env), live: () => this.#live() });
    await this.#comeToRest();
    return { ...(await this.#look()), seconds: (performance.now() - startedAt) / 1000 };
  }

  async #start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#startsAt.push(Date.now());
    await this.#gateway.start(env);
    this.#readyMs.push(this.#gateway.startMs);
  }

  async #live(): Promise<void> {
    const gone = new AbortController();
    const follow = async (): Promise<void> => {
      for await (const event of this.#gateway.events(null, this.#cursor)) {
        if (event.cursor !== undefined) this.#cursor = event.cursor;
        if (event.seq !== undefined) this.#given.set(event.session, (this.#given.get(event.session) ?? new Map<number, string>()).set(event.seq, eventText(event as SeenEvent)));
        const ended = event.type === "reply" ? (event.data["replyTo"] as string[]) : stoppedBy(event);
        for (const said of this.#said) if (said.messageId !== null && ended.includes(said.messageId)) said.ended = true;
      }
    };
    const talk = async (): Promise<void> => {
      while (!gone.signal.aborted) {
        const unsure = this.#said.filter((said) => said.messageId === null);
        const fresh = [...Array.from({ length: SESSIONS }, (_none, index) => `agent:main:api:direct:person${index}`), STOPPED_SESSION]
          .filter((session) => this.#said.filter((said) => said.session === session && !said.ended).length < OUTSTANDING_MAX)
          .map((session) => this.#say(session));
        await Promise.all([...unsure, ...fresh].map((said) => this.#send(said)));
        await this.#stop();
        await pause(PAUSE_MS);
      }
    };
    const ended = follow().catch(() => {}).finally(() => gone.abort());
    await Promise.all([ended, talk().catch(() => {})]);
  }

  #say(session: string): Said {
    const id = `s${this.#options.seed}n${this.#count++}`;
    const kind: Kind = session === STOPPED_SESSION ? "stopped" : this.#random() < 0.3 ? "spawn" : (["plain", "tool", "exec"] as const)[Math.floor(this.#random() * 3)]!;
    const waitMs = (): number => Math.round(this.#random() * MODEL_WAIT_MAX_MS);
    const scripts: Record<Kind, () => string> = {
      plain: () => `! wait ${waitMs()}ms then say answer ${id}`,
      tool: () => `! wait ${waitMs()}ms then call subagents {"action":"list"} then wait ${waitMs()}ms then say answer ${id}`,
      exec: () => `! wait ${waitMs()}ms then call exec ${JSON.stringify({ command: `echo ${id} >> ${this.#outside}` })} then wait ${waitMs()}ms then say answer ${id}`,
      stopped: () => `! wait ${STOPPED_WAIT_MS}ms then say answer ${id}`,
      spawn: () => {
        const task = `! wait ${waitMs()}ms then say result of ${id}-<i>`;
        return `! wait ${waitMs()}ms then call sessions_spawn ${JSON.stringify({ task, label: `${id}-<i>` })} x ${CHILDREN_EACH} then call sessions_yield {"waitFor":"all"} then say answer ${id}`;
      },
    };
    const said: Said = { id, kind, session, text: `(${id})\n${scripts[kind]()}`, messageId: null, ended: false };
    this.#said.push(said);
    return said;
  }

  async #send(said: Said): Promise<void> {
    const answer = await this.#gateway.call<MessageAccepted>("POST", "/api/messages", { text: said.text, session: said.session, clientMessageId: said.id });
    if (answer.status !== 202) throw new Error(`a message was refused: ${JSON.stringify(answer.body)}`);
    if (said.messageId !== null && said.messageId !== answer.body.messageId) throw new Error(`${said.id} was accepted twice`);
    said.messageId = answer.body.messageId;
  }

  /** Stops what is to be stopped, now and then together with what waits behind it. */
  async #stop(): Promise<void> {
    if (!this.#said.some((said) => said.kind === "stopped" && said.messageId !== null && !said.ended)) return;
    await this.#gateway.api("POST", `/api/sessions/${encodeURIComponent(STOPPED_SESSION)}/cancel`, { queue: this.#random() < 0.5 });
  }

  async #comeToRest(): Promise<void> {
    for (const said of this.#said) if (said.messageId === null) await this.#send(said);
    const until = performance.now() + REST_MAX_MS;
    while (performance.now() < until) {
      const { lanes } = await this.#gateway.api<LanesAnswer>("GET", "/api/lanes");
      const { tasks } = await this.#gateway.api<TaskList>("GET", "/api/tasks?state=queued,running,waiting&limit=1");
      if (lanes.length === 0 && tasks.length === 0) return;
      if (lanes.some(({ session }) => session === STOPPED_SESSION)) await this.#stop();
      await pause(100);
    }
  }

  /** Reads everything from outside and holds it against the promises. */
  async #look(): Promise<Omit<OrdealReport, "seconds">> {
    const gateway = this.#gateway;
    const events = await allEvents(gateway);
    const tasks = await allTasks(gateway);
    const histories = new Map<string, HistoryEntry[]>();
    for (const session of new Set(this.#said.map((said) => said.session))) histories.set(session, await wholeHistory(gateway, session));
    const calls = await this.#standin.log();
    const { problems } = await this.#standin.stats();
    const { lanes } = await gateway.api<LanesAnswer>("GET", "/api/lanes");
    const exitCode = await gateway.stop();
    const written = existsSync(this.#outside) ? readFileSync(this.#outside, "utf8").split("\n").filter((line) => line !== "") : [];
    const broken = [
      ...(lanes.length === 0 ? [] : [`it did not come to rest: ${JSON.stringify(lanes)}`]),
      ...(exitCode === 0 ? [] : [`the last stop ended with code ${exitCode}`]),
      ...(problems === 0 ? [] : [`the model saw ${problems} broken histories: ${JSON.stringify(calls.flatMap((call) => call.problems).slice(0, 3))}`]),
      ...verdict({ said: this.#said, childrenEach: CHILDREN_EACH, events, given: this.#given, tasks, histories, calls, startsAt: this.#startsAt, written }),
      ...(await integrity(gateway.home)),
    ];
    const finished = calls.filter((call) => call.outcome === "ok");
    const ready = this.#readyMs.toSorted((a, b) => a - b);
    return {
      starts: ready.length,
      messages: this.#said.length,
      children: tasks.length,
      commands: written.length,
      modelCalls: finished.length,
      repeatedCalls: finished.length - new Set(finished.map(identityOf)).size,
      recoveredTurns: events.filter((event) => event.type === "turn.started" && (event.data["attempt"] as number) > 1).length,
      promotedTurns: events.filter((event) => event.type === "turn.promoted").length,
      readyMsMedian: Math.round(ready[Math.floor(ready.length / 2)] ?? 0),
      readyMsMax: Math.round(ready.at(-1) ?? 0),
      broken,
      home: gateway.home,
    };
  }
}

// ── looking from outside ────────────────────────────────────────────────────────────────────

const END_MARK = "agent:main:api:direct:end-mark";

async function allEvents(gateway: Gateway): Promise<ApiEvent[]> {
  await gateway.send("/help", { session: END_MARK });
  const read = async (): Promise<ApiEvent[]> => {
    const events: ApiEvent[] = [];
    for await (const event of gateway.events()) {
      if (event.session === END_MARK && event.type === "reply") break;
      if (event.seq !== undefined && event.session !== END_MARK) events.push(event);
    }
    return events;
  };
  return bounded(REST_MAX_MS, "the log did not come to its end", read());
}

async function allTasks(gateway: Gateway): Promise<ApiTask[]> {
  const tasks: ApiTask[] = [];
  for (let after = ""; ; ) {
    const page = await gateway.api<TaskList>("GET", `/api/tasks?limit=100${after}`);
    tasks.push(...page.tasks);
    if (page.next === undefined) return tasks;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
}

async function wholeHistory(gateway: Gateway, session: string): Promise<HistoryEntry[]> {
  const entries: HistoryEntry[] = [];
  for (let after = "0"; ; ) {
    const page = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(session)}/history?limit=100&after=${after}`);
    entries.push(...page.entries);
    if (page.next === undefined) return entries;
    after = encodeURIComponent(page.next);
  }
}

/** Opens the store after the gateway is gone and lets it look at itself. */
async function integrity(home: string): Promise<readonly string[]> {
  const { store } = openStoreInProcess({ file: join(home, "yard.sqlite"), clock: systemClock, random: systemRandom });
  try {
    return await store.checkIntegrity();
  } finally {
    await store.close();
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
