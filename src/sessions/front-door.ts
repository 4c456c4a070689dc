/**
 * The front door: every message comes in here, whatever it came by, and is on disk before it is
 * acknowledged.
 */
import { sleep, type Clock } from "../base/clock.ts";
import type { SessionKey } from "../base/ids.ts";
import type { Settings } from "../base/setting.ts";
import { Fault, asFault } from "../model/faults.ts";
import type { PoolName } from "../model/lane.ts";
import { MESSAGE_BYTES_MAX, type Accepted, type NewMessage } from "../model/message.ts";
import { POOL_OF_KIND, parseSessionKey } from "../model/session.ts";
import type { AcceptRules, Cancelled, Promotion, Store } from "../store/store.ts";
import { backgroundReason } from "./background-rules.ts";
import { readCommand, wordsOf, type Command, type InLine } from "./command.ts";
import { backgroundCharacters, backgroundFileBytes, backgroundPhrases, backgroundUrls, messageWaitMs, parallelJudge, queueMode, queueModeByChannel, queueWaitSeconds } from "./settings.ts";
import type { Incoming, Received, Sessions, Watcher } from "./sessions.ts";
import type { EventHub } from "./watch.ts";

/** How often a sender that waits for room looks again. */
const ROOM_LOOK_MS = 100;
/** Answers to commands that are remembered for senders that ask again; the oldest go first. */
const COMMANDS_KEPT_MAX = 1_000;

export interface FrontDoorDeps {
  readonly store: Store;
  readonly hub: EventHub;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly commands: () => readonly Command[];
  readonly meanTurnMs: () => Readonly<Record<PoolName, number>>;
  /** The "Task handling" section of an agent's AGENTS.md, and its workspace. */
  readonly taskHandling: (agent: string) => { readonly section: string | null; readonly workspace: string };
  /** Asks a model whether a text leans on earlier ones. */
  readonly judge: (session: SessionKey, text: string, earlier: readonly string[]) => Promise<"independent" | "dependent">;
  /** Ends what a session left running in the background; resolves when nothing of it is left. */
  readonly endProcesses: (session: SessionKey) => Promise<void>;
  /** Begins a summary of a conversation; how many entries it is of. */
  readonly compact: (session: SessionKey) => Promise<number>;
  /** Asks the scheduler to claim; called right after a message was handed to the store, so both share a commit. */
  readonly kick: () => void;
  /** A message for a running turn is on disk. */
  readonly steeringCame: (session: SessionKey) => void;
}

export class FrontDoor implements Sessions {
  readonly #deps: FrontDoorDeps;
  /** By source: what was answered to a command, or is about to be. */
  readonly #carriedOut = new Map<string, Promise<Received>>();
  #refusal: Fault | null = null;

  constructor(deps: FrontDoorDeps) {
    this.#deps = deps;
  }

  get draining(): boolean {
    return this.#refusal !== null;
  }

  get refusal(): Fault | null {
    return this.#refusal;
  }

  drain(why: Fault = new Fault("DRAINING", {})): void {
    this.#refusal = why;
  }

  async accept(incoming: Incoming): Promise<Received> {
    const command = incoming.mayCommand ? readCommand(incoming.text) : null;
    if (this.#refusal !== null && !this.#beginsNothing(command)) throw this.#refusal;
    const bytes = Buffer.byteLength(incoming.text);
    if (bytes > MESSAGE_BYTES_MAX) throw new Fault("BODY_TOO_LARGE", { bytes, bytesMax: MESSAGE_BYTES_MAX });
    if (incoming.text.trim() === "") throw new Fault("BAD_REQUEST", { where: "text", problem: "is empty" });
    if (command !== null) return this.#command(incoming, command);
    const background = this.#backgroundReason(incoming);
    const rules = await this.#rulesFor(incoming);
    const message: NewMessage = {
      session: incoming.session,
      text: incoming.text,
      provenance: incoming.provenance,
      channel: incoming.channel,
      sourceId: incoming.sourceId ?? null,
      author: incoming.author ?? null,
      queueMode: incoming.queueMode ?? (background === null ? null : "background"),
      replyTo: incoming.replyTo ?? null,
    };
    const result = await this.#whenThereIsRoom(() => {
      const accepted = this.#deps.store.acceptMessage({ message, rules });
      this.#deps.kick();
      return accepted;
    });
    this.#deps.steeringCame(result.passedTo ?? incoming.session);
    return { ...result, commandReply: null };
  }

  /** What shows and stops is wanted most when nothing else goes. */
  #beginsNothing(command: { name: string; rest: string } | null): boolean {
    const found = command === null ? undefined : this.#deps.commands().find(({ name }) => name === command.name);
    return found?.beginsNothing?.(wordsOf(command!.rest)) === true;
  }

  /** A full line makes the sender wait as long as the settings say, then refuses. */
  async #whenThereIsRoom(accept: () => Promise<Accepted>): Promise<Accepted> {
    const { clock, settings } = this.#deps;
    const until = clock.monotonic() + settings.get(queueWaitSeconds) * 1000;
    for (;;) {
      try {
        return await accept();
      } catch (cause) {
        const isFull = cause instanceof Fault && cause.code === "LANE_FULL";
        if (!isFull || this.#refusal !== null || clock.monotonic() + ROOM_LOOK_MS > until) throw cause;
        await sleep(clock, ROOM_LOOK_MS);
      }
    }
  }

  /** Why a person's message is done beside the conversation from the start; null = it is not. */
  #backgroundReason({ session, text, provenance, queueMode: mode }: Incoming): string | null {
    const { kind, agent } = parseSessionKey(session).parts;
    if (provenance !== "user" || (mode ?? null) !== null || kind === "subagent" || kind === "acp") return null;
    const { settings, taskHandling } = this.#deps;
    const place = taskHandling(agent);
    return backgroundReason(text, place.section, place.workspace, {
      phrases: settings.get(backgroundPhrases),
      urlsMin: settings.get(backgroundUrls),
      fileBytesMin: settings.get(backgroundFileBytes),
      charactersMin: settings.get(backgroundCharacters),
    });
  }

  /** Most of it is settings; only the judgement of a model takes time, and only where it is asked for. */
  async #rulesFor({ session, text, queueMode: mode, channel, replyTo, isWhole }: Incoming): Promise<AcceptRules> {
    const { store, settings, meanTurnMs, judge } = this.#deps;
    const defaultMode = settings.get(queueModeByChannel)[channel] ?? settings.get(queueMode);
    const who = settings.get(parallelJudge);
    let independence: AcceptRules["independence"] = who === "always" ? "independent" : "rules";
    if (who === "model" && (replyTo ?? null) === null && (mode ?? (await store.session(session))?.queueMode ?? defaultMode) === "parallel") {
      independence = await judge(session, text, await store.unansweredTexts(session));
    }
    const atOnce = isWhole === true || mode === "interrupt" || mode === "rollback" || mode === "steer" || closesBatch(text, settings);
    return { waitMs: atOnce ? 0 : settings.get(messageWaitMs), defaultMode, meanTurnMs: Math.round(meanTurnMs()[POOL_OF_KIND[parseSessionKey(session).parts.kind]]), independence };
  }

  /** A command that came before, from the same source, is not carried out again. */
  #command(incoming: Incoming, words: { name: string; rest: string }): Promise<Received> {
    const { session, channel, sourceId = null } = incoming;
    if (sourceId === null) return this.#carryOut(incoming, words);
    const source = JSON.stringify([session, channel, sourceId]);
    const before = this.#carriedOut.get(source);
    if (before !== undefined) return before.then((received) => ({ ...received, duplicate: true }));
    const received = this.#carryOut(incoming, words);
    this.#carriedOut.set(source, received);
    received.catch(() => this.#carriedOut.delete(source));
    if (this.#carriedOut.size > COMMANDS_KEPT_MAX) this.#carriedOut.delete(this.#carriedOut.keys().next().value!);
    return received;
  }

  async #carryOut({ session, sourceId = null }: Incoming, { name, rest }: { name: string; rest: string }): Promise<Received> {
    const { store } = this.#deps;
    const command = this.#deps.commands().find((one) => one.name === name);
    const told = command === undefined ? `There is no command /${name}. /help lists them.` : await run(command);
    // A text that went in line has a notice when its turn begins, and its own reply.
    if (typeof told !== "string") return { ...told.message, commandReply: told.text };
    const messageId = await store.answerCommand({ session, text: told });
    return { messageId, session, queuedAhead: 0, etaMs: 0, duplicate: false, commandReply: told };

    async function run(found: Command): Promise<string | InLine> {
      try {
        return await found.run({ session, text: rest, words: wordsOf(rest), sourceId });
      } catch (cause) {
        const fault = asFault(cause);
        if (fault.code === "INTERNAL") throw cause;
        return fault.message;
      }
    }
  }

  /** A text that is done on a side track from the start; the conversation stays free. */
  async background(session: SessionKey, text: string, sourceId: string | null = null): Promise<InLine> {
    const message = await this.accept({ session, text, provenance: "user", channel: "background", sourceId, queueMode: "background", mayCommand: false });
    return { text: "I do that in the background; the answer follows when it is done.", message };
  }

  watch(from: { session: SessionKey | null; after: number }, watcher: Watcher): () => void {
    return this.#deps.hub.watch(from, watcher);
  }

  async cancel(key: SessionKey, options: { by: string; tree: boolean; queue: boolean }): Promise<Cancelled> {
    const cancelled = await this.#found(key, this.#thenKick(this.#deps.store.cancelSession({ key, ...options })));
    await this.#deps.endProcesses(key);
    return cancelled;
  }

  async cancelTurn(key: SessionKey, handle: string, by: string): Promise<Cancelled> {
    if ((await this.#deps.store.session(key)) === null) throw new Fault("SESSION_NOT_FOUND", { session: key });
    const cancelled = await this.#thenKick(this.#deps.store.cancelTurn({ session: key, handle, by }));
    if (cancelled === null) throw new Fault("TURN_NOT_FOUND", { turn: handle });
    return cancelled;
  }

  /** Tells what runs something before its next step; with `handle`, that turn. @throws {Fault} TURN_NOT_FOUND, SPAWN_PARENT_GONE */
  async steer(session: SessionKey, { handle, text, provenance }: { handle?: string; text: string; provenance: "operator" | "agent" }): Promise<Accepted> {
    if (this.#refusal !== null && provenance !== "agent") throw this.#refusal;
    const steering = this.#deps.store.steerSession({ session, text, provenance, channel: "steer", ...(handle === undefined ? {} : { handle }) });
    this.#deps.kick();
    const accepted = await steering;
    this.#deps.steeringCame(session);
    return accepted;
  }

  async promote(key: SessionKey): Promise<Promotion> {
    if ((await this.#deps.store.session(key)) === null) throw new Fault("SESSION_NOT_FOUND", { session: key });
    const promotion = await this.#thenKick(this.#deps.store.promoteTurn({ session: key, turnId: null }));
    if (promotion.outcome === "nothing-runs") throw new Fault("TURN_NOT_FOUND", { turn: `in ${key}` });
    return promotion;
  }

  async reset(key: SessionKey, by: string): Promise<void> {
    await this.#found(key, this.#deps.store.resetSession({ key, by }));
  }

  async compact(key: SessionKey): Promise<number> {
    if (this.#refusal !== null) throw this.#refusal;
    return this.#deps.compact(key);
  }

  async remove(key: SessionKey, by: string): Promise<Cancelled> {
    const cancelled = await this.#found(key, this.#thenKick(this.#deps.store.deleteSession({ key, by })));
    await this.#deps.endProcesses(key);
    return cancelled;
  }

  async #found<T>(key: SessionKey, looked: Promise<T | null>): Promise<T> {
    const found = await looked;
    if (found === null) throw new Fault("SESSION_NOT_FOUND", { session: key });
    return found;
  }

  #thenKick<T>(write: Promise<T>): Promise<T> {
    this.#deps.kick();
    return write;
  }
}

/** A question wants its answer now; it also ends what was said before it. Only while the wait is not the person's own choice. */
function closesBatch(text: string, settings: Settings): boolean {
  return /\?\s*$/.test(text) && !settings.isSet(messageWaitMs);
}

