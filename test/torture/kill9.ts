/**
 * kill -9 under load, again and again, and then a look from outside at what became of every message.
 *
 *     node test/torture/kill9.ts --kills 200 --seed 1 [--foreground MS] [--keep]
 *
 * Ten people talk to the gateway at once; a third of what they say starts two children each. At seeded
 * moments after it was ready (and now and then before) the gateway is killed, started again, and the
 * people go on: a message whose acknowledgement was lost is sent again under its own id, as a client
 * would. At the end everything is let come to rest, and then must hold:
 *
 *   - every acknowledged message was accepted once and answered by exactly one `reply`
 *   - every child was made once, succeeded, and stands in its parent's transcript exactly once
 *   - no model call was made again after the log showed that its answer was committed
 *   - every tool call has exactly one result
 *   - event numbers have no gaps, and the store finds nothing wrong with itself
 *   - the model saw no history that a real one would refuse
 *
 * An answer counts as committed from the time of the first event that cannot exist without it: the
 * `tool.started` of a call in it, the `reply` made of it, the `task.ended` of a child. A request whose
 * answer arrived just before a kill and left no such event may be repeated; that is what is promised.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ApiEvent, ApiTask, History, HistoryEntry, LanesAnswer, MessageAccepted, TaskList } from "../../src/api/wire.ts";
import { systemClock } from "../../src/base/clock.ts";
import { seededRandom, systemRandom } from "../../src/base/ids.ts";
import { openStoreInProcess } from "../../src/store/sqlite/open-store.ts";
import { Gateway, standinConfig } from "../support/gateway.ts";
import type { LogRecord } from "../support/model-standin/standin.ts";
import { spawnStandin, type SpawnedStandin } from "../support/model-standin/spawn.ts";

const SESSIONS = 10;
const CHILDREN_EACH = 2;
const OUTSTANDING_MAX = 2;
const KILL_AFTER_MIN_MS = 20;
const KILL_AFTER_MAX_MS = 800;
/** One kill in so many comes while the gateway starts. */
const KILL_AT_START_ONE_IN = 10;
const KILL_AT_START_MAX_MS = 450;
const MODEL_WAIT_MAX_MS = 250;
const PAUSE_MS = 20;
const REST_MAX_MS = 120_000;

export interface TortureOptions {
  readonly kills: number;
  readonly seed: number;
  /** `messages.foregroundMs`: small values promote turns to side tracks all the time. */
  readonly foregroundMs?: number;
  readonly keep?: boolean;
}

export interface TortureReport {
  readonly kills: number;
  readonly messages: number;
  readonly children: number;
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

type Kind = "plain" | "tool" | "spawn";

/** One message of one person, known by `id` from the first try to the answer. */
interface Said {
  readonly id: string;
  readonly kind: Kind;
  readonly session: string;
  readonly text: string;
  messageId: string | null;
  answered: boolean;
}

export async function torture(options: TortureOptions): Promise<TortureReport> {
  const home = mkdtempSync(join(tmpdir(), "yard-torture-"));
  const standin = await spawnStandin(["--strict"]);
  const config = standinConfig(standin.url, {
    "agents.defaults.maxConcurrent": 16,
    "agents.defaults.subagents.maxConcurrent": 20,
    "agents.defaults.subagents.gatherMs": 30,
    "messages.foregroundMs": options.foregroundMs ?? 10_000,
  });
  const gateway = new Gateway({ home, config });
  try {
    return await new Torture(options, gateway, standin).run();
  } finally {
    await gateway.close();
    await standin.close();
    if (options.keep !== true) rmSync(home, { recursive: true, force: true });
  }
}

class Torture {
  readonly #options: TortureOptions;
  readonly #gateway: Gateway;
  readonly #standin: SpawnedStandin;
  readonly #random: () => number;
  readonly #said: Said[] = [];
  readonly #readyMs: number[] = [];
  #cursor = 0;
  #count = 0;

  constructor(options: TortureOptions, gateway: Gateway, standin: SpawnedStandin) {
    this.#options = options;
    this.#gateway = gateway;
    this.#standin = standin;
    const bytes = seededRandom(options.seed);
    this.#random = () => {
      const [a = 0, b = 0, c = 0] = bytes(3);
      return (a * 65_536 + b * 256 + c) / 16_777_216;
    };
  }

  async run(): Promise<TortureReport> {
    const startedAt = performance.now();
    await this.#gateway.start();
    for (let kill = 1; kill <= this.#options.kills; kill++) {
      const life = this.#live();
      await pause(KILL_AFTER_MIN_MS + this.#random() * (KILL_AFTER_MAX_MS - KILL_AFTER_MIN_MS));
      await this.#gateway.kill9();
      await life;
      if (this.#random() < 1 / KILL_AT_START_ONE_IN) {
        this.#gateway.launch();
        await pause(this.#random() * KILL_AT_START_MAX_MS);
        await this.#gateway.kill9();
      }
      await this.#gateway.start();
      this.#readyMs.push(this.#gateway.startMs);
    }
    await this.#comeToRest();
    const broken = await this.#look();
    return { ...broken, seconds: (performance.now() - startedAt) / 1000 };
  }

  /** Follows the log and talks, until the gateway dies. */
  async #live(): Promise<void> {
    const gone = new AbortController();
    const follow = async (): Promise<void> => {
      for await (const event of this.#gateway.events(null, this.#cursor)) {
        if (event.cursor !== undefined) this.#cursor = event.cursor;
        if (event.type !== "reply") continue;
        const replyTo = event.data["replyTo"] as string[];
        for (const said of this.#said) if (said.messageId !== null && replyTo.includes(said.messageId)) said.answered = true;
      }
    };
    const talk = async (): Promise<void> => {
      while (!gone.signal.aborted) {
        const unsure = this.#said.filter((said) => said.messageId === null);
        const fresh = Array.from({ length: SESSIONS }, (_none, index) => `agent:main:api:direct:person${index}`)
          .filter((session) => this.#said.filter((said) => said.session === session && !said.answered).length < OUTSTANDING_MAX)
          .map((session) => this.#say(session));
        await Promise.all([...unsure, ...fresh].map((said) => this.#send(said)));
        await pause(PAUSE_MS);
      }
    };
    const ended = follow().catch(() => {}).finally(() => gone.abort());
    await Promise.all([ended, talk().catch(() => {})]);
  }

  #say(session: string): Said {
    const id = `s${this.#options.seed}n${this.#count++}`;
    const kind: Kind = this.#random() < 0.34 ? "spawn" : this.#random() < 0.5 ? "tool" : "plain";
    const waitMs = (): number => Math.round(this.#random() * MODEL_WAIT_MAX_MS);
    const scripts: Record<Kind, () => string> = {
      plain: () => `! wait ${waitMs()}ms then say answer ${id}`,
      tool: () => `! wait ${waitMs()}ms then call subagents {"action":"list"} then wait ${waitMs()}ms then say answer ${id}`,
      spawn: () => {
        const task = `! wait ${waitMs()}ms then say result of ${id}-<i>`;
        return `! wait ${waitMs()}ms then call sessions_spawn ${JSON.stringify({ task, label: `${id}-<i>` })} x ${CHILDREN_EACH} then call sessions_yield {"waitFor":"all"} then say answer ${id}`;
      },
    };
    const said: Said = { id, kind, session, text: `(${id})\n${scripts[kind]()}`, messageId: null, answered: false };
    this.#said.push(said);
    return said;
  }

  async #send(said: Said): Promise<void> {
    const answer = await this.#gateway.call<MessageAccepted>("POST", "/api/messages", { text: said.text, session: said.session, clientMessageId: said.id });
    if (answer.status !== 202) throw new Error(`a message was refused: ${JSON.stringify(answer.body)}`);
    if (said.messageId !== null && said.messageId !== answer.body.messageId) throw new Error(`${said.id} was accepted twice`);
    said.messageId = answer.body.messageId;
  }

  async #comeToRest(): Promise<void> {
    for (const said of this.#said) if (said.messageId === null) await this.#send(said);
    const until = performance.now() + REST_MAX_MS;
    for (;;) {
      const { lanes } = await this.#gateway.api<LanesAnswer>("GET", "/api/lanes");
      const { tasks } = await this.#gateway.api<TaskList>("GET", "/api/tasks?state=queued,running,waiting&limit=1");
      if (lanes.length === 0 && tasks.length === 0) return;
      if (performance.now() > until) return;
      await pause(100);
    }
  }

  /** Reads everything from outside and holds it against the promises. */
  async #look(): Promise<Omit<TortureReport, "seconds">> {
    const gateway = this.#gateway;
    const events = await allEvents(gateway);
    const tasks = await allTasks(gateway);
    const histories = new Map<string, HistoryEntry[]>();
    for (const session of new Set(this.#said.map((said) => said.session))) histories.set(session, await wholeHistory(gateway, session));
    const calls = await this.#standin.log();
    const { problems } = await this.#standin.stats();
    const { lanes } = await gateway.api<LanesAnswer>("GET", "/api/lanes");
    const exitCode = await gateway.stop();
    const broken = [
      ...(lanes.length === 0 ? [] : [`it did not come to rest: ${JSON.stringify(lanes)}`]),
      ...(exitCode === 0 ? [] : [`the last stop ended with code ${exitCode}`]),
      ...(problems === 0 ? [] : [`the model saw ${problems} broken histories: ${JSON.stringify(calls.flatMap((call) => call.problems).slice(0, 3))}`]),
      ...gapsIn(events),
      ...this.#answers(events),
      ...this.#children(tasks, histories),
      ...toolsTwice(events),
      ...reasked(calls, proofs(this.#said, events, histories)),
      ...(await integrity(gateway.home)),
    ];
    const finished = calls.filter((call) => call.outcome === "ok");
    const ready = this.#readyMs.toSorted((a, b) => a - b);
    return {
      kills: this.#options.kills,
      messages: this.#said.length,
      children: tasks.length,
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

  #answers(events: readonly ApiEvent[]): string[] {
    const replies = new Map<string, number>();
    const accepted = new Map<string, number>();
    const add = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);
    for (const event of events) {
      if (event.type === "reply") for (const id of event.data["replyTo"] as string[]) add(replies, id);
      if (event.type === "message.accepted") add(accepted, String(event.data["clientMessageId"]));
    }
    return this.#said.flatMap((said) => [
      ...(accepted.get(said.id) === 1 ? [] : [`${said.id} was accepted ${accepted.get(said.id) ?? 0} times`]),
      ...(replies.get(said.messageId!) === 1 ? [] : [`${said.id} (${said.kind}, ${said.messageId}) has ${replies.get(said.messageId!) ?? 0} replies`]),
    ]);
  }

  #children(tasks: readonly ApiTask[], histories: ReadonlyMap<string, readonly HistoryEntry[]>): string[] {
    const byLabel = Map.groupBy(tasks, (task) => task.label);
    return this.#said
      .filter((said) => said.kind === "spawn")
      .flatMap((said) => Array.from({ length: CHILDREN_EACH }, (_none, index) => ({ said, label: `${said.id}-${index}` })))
      .flatMap(({ said, label }) => {
        const made = byLabel.get(label) ?? [];
        const results = histories.get(said.session)!.filter((entry) => entry.provenance === "child" && entry.text.includes(`${JSON.stringify(label)} succeeded`));
        return [
          ...(made.length === 1 && made[0]!.state === "succeeded" ? [] : [`child ${label} was made ${made.length} times: ${made.map((task) => `${task.state} ${task.fault?.message ?? ""}`).join(", ")}`]),
          ...(results.length === 1 ? [] : [`the result of ${label} stands ${results.length} times in ${said.session}`]),
        ];
      });
  }
}

// ── what is held against what ───────────────────────────────────────────────────────────────

/** Names a model call by what was new in it: the same call made again has the same name. */
function identityOf(call: LogRecord): string {
  return JSON.stringify([call.script, call.round, call.userTexts]);
}

/** For each message (by id) and round, and for each digest (by its text): since when its answer was committed. */
function proofs(said: readonly Said[], events: readonly ApiEvent[], histories: ReadonlyMap<string, readonly HistoryEntry[]>): Map<string, number> {
  const since = new Map<string, number>();
  const note = (key: string, at: number): void => void since.set(key, Math.min(since.get(key) ?? Infinity, at));
  const byMessage = new Map(said.map((each) => [each.messageId, each]));
  const idOfTurn = new Map<string, string>();
  const digestOfTurn = new Map<string, string>();
  for (const entries of histories.values()) for (const entry of entries) if (entry.provenance === "child" && entry.turnId !== undefined) digestOfTurn.set(entry.turnId, entry.text);
  for (const event of events) {
    if (event.type === "turn.started") {
      for (const id of event.data["messageIds"] as string[]) {
        const each = byMessage.get(id);
        if (each !== undefined) idOfTurn.set(event.turnId!, each.id);
      }
    }
    const id = event.turnId === undefined ? undefined : idOfTurn.get(event.turnId);
    const digest = event.turnId === undefined ? undefined : digestOfTurn.get(event.turnId);
    if (event.type === "tool.started" && id !== undefined) note(`${id} ${event.data["tool"] === "sessions_yield" ? 1 : 0}`, event.at);
    if (event.type === "reply" && digest !== undefined) note(digest, event.at);
    else if (event.type === "reply" && id !== undefined) note(`${id} last`, event.at);
    if (event.type === "task.ended") note(`child ${String(event.data["label"])}`, event.at);
  }
  return since;
}

function reasked(calls: readonly LogRecord[], since: ReadonlyMap<string, number>): string[] {
  return calls.flatMap((call) => {
    const keys = keysOf(call);
    const committedAt = Math.min(...keys.map((key) => since.get(key) ?? Infinity));
    return call.arrivedAt > committedAt ? [`a committed answer was asked for again: ${keys[0]}, ${Math.round(call.arrivedAt - committedAt)} ms later`] : [];
  });
}

/** The proofs that speak about a model call. */
function keysOf(call: LogRecord): string[] {
  const newest = call.userTexts.at(-1) ?? "";
  if (newest.startsWith("[result")) return [newest];
  const child = /say result of (s\d+n\d+-\d+)/.exec(call.script ?? "")?.[1];
  if (child !== undefined) return [`child ${child}`];
  const id = /say answer (s\d+n\d+)/.exec(call.script ?? "")?.[1];
  return id === undefined ? [] : [`${id} ${call.round}`, `${id} last`];
}

function toolsTwice(events: readonly ApiEvent[]): string[] {
  const ended = Map.groupBy(events.filter((event) => event.type === "tool.ended"), (event) => `${event.turnId} ${String(event.data["callId"])}`);
  const started = new Set(events.filter((event) => event.type === "tool.started").map((event) => `${event.turnId} ${String(event.data["callId"])}`));
  return [...started].flatMap((key) => (ended.get(key)?.length === 1 ? [] : [`tool call ${key} has ${ended.get(key)?.length ?? 0} results`]));
}

function gapsIn(events: readonly ApiEvent[]): string[] {
  return [...Map.groupBy(events, (event) => event.session)].flatMap(([session, own]) => (own.every((event, index) => event.seq === index + 1) ? [] : [`the events of ${session} have a gap`]));
}

// ── looking from outside ────────────────────────────────────────────────────────────────────

const END_MARK = "agent:main:api:direct:end-mark";

async function allEvents(gateway: Gateway): Promise<ApiEvent[]> {
  await gateway.send("/help", { session: END_MARK });
  const events: ApiEvent[] = [];
  for await (const event of gateway.events()) {
    if (event.session === END_MARK && event.type === "notice") break;
    if (event.seq !== undefined && event.session !== END_MARK) events.push(event);
  }
  return events;
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

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { kills: { type: "string", default: "200" }, seed: { type: "string", default: "1" }, foreground: { type: "string", default: "10000" }, keep: { type: "boolean", default: false } } });
  const report = await torture({ kills: Number(values.kills), seed: Number(values.seed), foregroundMs: Number(values.foreground), keep: values.keep });
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.broken.length === 0 ? 0 : 1;
}
