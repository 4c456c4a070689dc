/**
 * `/acp`: a person starts, binds, steers and ends coding agents from a conversation.
 *
 * Always true: a conversation reaches the sessions that it started and the one it is bound to; the
 * operator's own conversations reach all. What a name means is never guessed.
 */
import { isAbsolute } from "node:path";
import { acpEnabled, allowUnsandboxed, permissionMode, sandboxMode } from "../agents/acp/settings.ts";
import type { Clock } from "../base/clock.ts";
import type { SessionKey } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import { oneLine } from "../model/approval.ts";
import { asFault, Fault } from "../model/faults.ts";
import type { HarnessCatalogue, Harnesses, HarnessSessionView } from "../model/harness.ts";
import type { HarnessReport } from "../model/harness-report.ts";
import { parseSessionKey } from "../model/session.ts";
import { LABEL_LENGTH_MAX } from "../model/task.ts";
import type { Command } from "../sessions/command.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { SessionRow, Store } from "../store/store.ts";
import { readFlags } from "./command-flags.ts";
import { reportText, sessionLine, statusText } from "./harness-words.ts";

const USAGE =
  "/acp doctor | spawn AGENT [--bind here|off] [--thread auto|here|off] [--cwd DIR] [--label NAME] [--mode MODE] [TEXT] | steer [--session NAME] TEXT | status | sessions | cancel | close | set-mode MODE | model [NAME] | cwd | permissions [reset]";
/** How long a person waits for a start before the rest is told in a notice, milliseconds. */
const START_WAIT_MS = 8_000;
/** Sessions that a listing and a name reach back to. */
const SESSIONS_MAX = 200;

export interface AcpCommandDeps {
  readonly store: Store;
  readonly sessions: Pick<Sessions, "accept" | "cancel" | "cancelTurn">;
  readonly harnesses: Harnesses;
  readonly catalogue: HarnessCatalogue;
  readonly report: () => HarnessReport;
  /** The same, after trying what can be tried. */
  readonly doctor: () => Promise<HarnessReport>;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Log;
}

export function acpCommand(deps: AcpCommandDeps): Command {
  const { store, sessions, harnesses, catalogue, settings, clock, log } = deps;
  return {
    name: "acp",
    beginsNothing: ([action = ""]) => ["sessions", "status", "cancel", "close"].includes(action),
    usage: USAGE,
    doc: "coding agents such as Claude Code or Codex: start one, talk to it here, end it",
    async run({ session, text }) {
      await store.openSession(session);
      const [action = "", rest] = cutFirst(text);
      switch (action) {
        case "doctor":
          return reportText(await deps.doctor());
        case "spawn":
          return spawn(session, rest).catch(missing);
        case "steer":
          return steer(session, rest);
        case "sessions":
          return list(session);
        case "status": {
          const row = await theOne(session, rest);
          return statusText(row, await harnesses.status(row.key), (await store.boundTo(session)) === row.key, await store.runningTurns(row.key), clock.now());
        }
        case "cancel": {
          const row = await theOne(session, rest);
          const turns = await store.runningTurns(row.key);
          // The turns, not the session: its process stays for the next message.
          for (const { handle } of turns) await sessions.cancelTurn(row.key, handle, "you");
          return turns.length === 0 ? `${nameOf(row)} was not at work.` : `${nameOf(row)} is stopped; it goes on with its next message.`;
        }
        case "close":
          return close(await theOne(session, rest));
        case "set-mode":
        case "mode":
          return setMode(session, rest);
        case "model":
          return model(session, rest);
        case "cwd":
          return cwd(session, rest);
        case "permissions":
          return permissions(session, rest);
        default:
          throw new Fault("WRONG_USE", { problem: `use ${USAGE}` });
      }
    },
  };

  async function spawn(session: SessionKey, text: string): Promise<string> {
    const { flags, rest } = readFlags(text, { bind: ["here", "off"], thread: ["auto", "here", "off"], cwd: null, label: null, mode: null });
    const [agent, first] = cutFirst(rest);
    if (agent === "") throw new Fault("WRONG_USE", { problem: "say which one: /acp spawn AGENT; /acp doctor shows those that are here" });
    if (!settings.get(acpEnabled)) throw new Fault("ACP_DISABLED", {});
    const spec = catalogue.find(agent.toLowerCase());
    if (spec === null) throw new Fault("ACP_AGENT_UNKNOWN", { agent, known: catalogue.list().map(({ id }) => id).join(", ") });
    const found = deps.report().agents.find((one) => one.agent === spec.id);
    if (found?.program === null) throw new Fault("ACP_BACKEND_MISSING", { agent: spec.id, command: spec.command, install: spec.install.join("; ") });
    const { label = null, mode, cwd: folder = spec.cwd } = flags;
    if (folder !== null && !isAbsolute(folder)) throw new Fault("BAD_REQUEST", { where: "--cwd", problem: "must be an absolute path" });
    if (label !== null && label.length > LABEL_LENGTH_MAX) throw new Fault("BAD_REQUEST", { where: "--label", problem: `must have at most ${LABEL_LENGTH_MAX} characters` });

    const { kind } = parseSessionKey(session).parts;
    if (kind === "acp" || kind === "subagent") throw new Fault("WRONG_USE", { problem: "start it from a conversation of your own, not from a child's" });
    const key = await store.openHarnessSession({ agent: spec.id, parent: session, cwd: folder, label });
    // Conversations have no threads of their own here: a thread for it is this conversation.
    const binds = (flags.bind ?? (flags.thread === undefined || flags.thread === "off" ? "off" : "here")) === "here";
    if (binds) await store.bind({ conversation: session, target: key });
    const starting = start(key, mode);
    if (first !== "") await say(session, key, first, binds);
    const where = binds ? `What you write here goes to it now, until /acp close or /new.` : `Talk to it with /acp steer --session ${label ?? key.split(":").at(-1)} TEXT, or in its session ${key}.`;
    const started = await within(START_WAIT_MS, starting);
    if (started === "not yet") {
      starting.then(
        (view) => tell(session, "info", "HARNESS_READY", `${spec.id} is ready${modeText(view)}.`),
        (cause: unknown) => lost(session, key, cause).then((words) => tell(session, "error", asFault(cause).code, words)),
      ).catch((cause: unknown) => log.error("harness.not-told", { cause }));
      return `${spec.id} is starting (${key}). ${where}`;
    }
    if ("fault" in started) return lost(session, key, started.fault);
    return `${spec.id} is ready${modeText(started.view)} (${key}). ${where}`;
  }

  /** What is not on the machine is told with its code, as the doctor tells it. */
  function missing(cause: unknown): string {
    if (cause instanceof Fault && cause.code === "ACP_BACKEND_MISSING") return wordsOf(cause);
    throw cause;
  }

  async function start(key: SessionKey, mode: string | undefined): Promise<HarnessSessionView> {
    const view = await harnesses.ensure(key);
    return mode === undefined || view.mode === mode ? view : harnesses.setMode(key, mode);
  }

  /** The conversation is not left bound to something that cannot answer. */
  async function lost(session: SessionKey, key: SessionKey, cause: unknown): Promise<string> {
    const fault = asFault(cause);
    if (fault.code === "INTERNAL") log.error("harness.not-started", { cause });
    const was = await store.unbindTarget(key);
    await harnesses.close(key);
    return `${wordsOf(fault)}${was.includes(session) ? "\nThis conversation is not bound to it any more." : ""}`;
  }

  function tell(session: SessionKey, level: "info" | "error", code: string, text: string): Promise<void> {
    return store.notice({ session, text, level, code, entry: false });
  }

  async function within(ms: number, starting: Promise<HarnessSessionView>): Promise<{ view: HarnessSessionView } | { fault: unknown } | "not yet"> {
    let disarm = (): void => {};
    const late = new Promise<"not yet">((resolve) => (disarm = clock.after(ms, () => resolve("not yet"))));
    const outcome = await Promise.race([starting.then((view) => ({ view }), (fault: unknown) => ({ fault })), late]);
    disarm();
    return outcome;
  }

  /** A steer that comes before the harness is ready waits in its line. */
  async function steer(session: SessionKey, text: string): Promise<string> {
    const { flags, rest } = readFlags(text, { session: null });
    if (rest === "") throw new Fault("WRONG_USE", { problem: "say what: /acp steer [--session NAME] TEXT" });
    const row = await theOne(session, flags.session ?? "");
    const isBound = (await store.boundTo(session)) === row.key;
    await say(session, row.key, rest, isBound);
    const waits = row.state === "running" ? "is told at its next step" : "gets that as its next message";
    return `${nameOf(row)} ${waits}${isBound ? "" : `; its answer stands in ${row.key}`}.`;
  }

  async function say(session: SessionKey, key: SessionKey, text: string, isBound: boolean): Promise<void> {
    await sessions.accept({ session: isBound ? session : key, text, provenance: "user", channel: "acp", queueMode: "steer", mayCommand: false });
  }

  async function list(session: SessionKey): Promise<string> {
    const rows = await inReach(session);
    if (rows.length === 0) return "No coding agents yet; /acp spawn AGENT starts one.";
    const bound = await store.boundTo(session);
    const lines = await Promise.all(rows.map(async (row) => sessionLine(row, await harnesses.status(row.key), row.key === bound)));
    return lines.join("\n");
  }

  async function close(row: SessionRow): Promise<string> {
    const ran = ((await harnesses.status(row.key))?.pid ?? null) !== null;
    const conversations = await store.unbindTarget(row.key);
    const { messages } = await sessions.cancel(row.key, { by: "you", tree: true, queue: true });
    await harnesses.close(row.key);
    const dropped = messages > 0 ? `, and ${messages} of its messages were taken out of line` : "";
    return `${nameOf(row)} is closed${ran ? ", its processes are ended" : ""}${dropped}.${conversations.length > 0 ? " This conversation is with me again." : ""}`;
  }

  async function setMode(session: SessionKey, text: string): Promise<string> {
    const { flags, rest: mode } = readFlags(text, { session: null });
    const row = await theOne(session, flags.session ?? "");
    if (mode === "") {
      const view = await harnesses.ensure(row.key);
      return `${nameOf(row)}: mode ${view.mode ?? "of its own"}; it has ${view.modes.join(", ") || "none to choose from"}.`;
    }
    return `${nameOf(row)}: mode ${(await harnesses.setMode(row.key, mode)).mode ?? mode}.`;
  }

  async function model(session: SessionKey, text: string): Promise<string> {
    const { flags, rest: wanted } = readFlags(text, { session: null });
    const row = await theOne(session, flags.session ?? "");
    const view = wanted === "" ? await harnesses.ensure(row.key) : await harnesses.setModel(row.key, wanted);
    return `${nameOf(row)}: model ${view.model ?? "of its own"}${wanted === "" ? `; it has ${view.models.join(", ") || "none to choose from"}` : ""}.`;
  }

  async function cwd(session: SessionKey, text: string): Promise<string> {
    const { flags, rest: wanted } = readFlags(text, { session: null });
    const row = await theOne(session, flags.session ?? "");
    if (wanted !== "") throw new Fault("WRONG_USE", { problem: `a coding agent keeps the folder that it began in; start another one there: /acp spawn ${row.agent} --cwd ${wanted}` });
    const view = await harnesses.status(row.key);
    return `${nameOf(row)} works in ${view?.cwd ?? row.cwd ?? "the workspace"}.`;
  }

  async function permissions(session: SessionKey, text: string): Promise<string> {
    if (text === "reset") {
      const count = await store.forgetStanding(session);
      return count === 0 ? "Nothing was approved for good here." : `${count} standing approval${count === 1 ? " is" : "s are"} forgotten.`;
    }
    if (text !== "") throw new Fault("WRONG_USE", { problem: "use /acp permissions or /acp permissions reset; the ceiling is set with: yard config set acp.permissionMode" });
    const mode = settings.get(permissionMode);
    const standing = await store.standingApprovals(session);
    const { approvals } = await store.approvals({ state: "pending", place: session, limit: SESSIONS_MAX });
    return [
      `Ceiling: ${mode}${mode === "approve-all" && !settings.get(allowUnsandboxed) ? ` (acts as approve-reads outside of a sandbox; acp.sandbox is ${settings.get(sandboxMode)})` : ""}.`,
      ...approvals.map(({ id, holder, tool, what }) => `waits: ${id} · ${holder} · ${tool}: ${oneLine(what)}`),
      ...standing.map(({ holder, tool, what, cwd: folder }) => `approved for good: ${holder} · ${tool}: ${oneLine(what)} · in ${folder}`),
      ...(standing.length > 0 ? ["/acp permissions reset forgets them."] : []),
    ].join("\n");
  }

  // ── which one is meant ────────────────────────────────────────────────────────────────────

  async function inReach(session: SessionKey): Promise<readonly SessionRow[]> {
    const isMain = parseSessionKey(session).parts.kind === "main";
    const { rows } = await store.sessions({ kind: "acp", ...(isMain ? {} : { parent: session }), limit: SESSIONS_MAX });
    const bound = await store.boundTo(session);
    if (bound === null || rows.some(({ key }) => key === bound)) return rows;
    const row = await store.session(bound);
    return row === null ? rows : [row, ...rows];
  }

  /** By key, end of the key, label or agent; without a name the one that is bound here, or the only one. */
  async function theOne(session: SessionKey, name: string): Promise<SessionRow> {
    const rows = await inReach(session);
    if (name === "") {
      const own = parseSessionKey(session).parts.kind === "acp" ? session : await store.boundTo(session);
      const row = own === null ? undefined : await store.session(own);
      if (row !== undefined && row !== null) return row;
      if (rows.length === 1) return rows[0]!;
      if (rows.length === 0) throw new Fault("WRONG_USE", { problem: "there is no coding agent here; /acp spawn AGENT starts one" });
      throw new Fault("WRONG_USE", { problem: `which one? ${rows.map(nameOf).join(", ")}` });
    }
    const exact = rows.filter((row) => row.key === name || row.key.endsWith(`:${name}`) || row.label?.toLowerCase() === name.toLowerCase());
    const named = exact.length > 0 ? exact : rows.filter((row) => row.agent === name.toLowerCase());
    if (named.length === 1) return named[0]!;
    if (named.length === 0) throw new Fault("WRONG_USE", { problem: `no coding agent ${JSON.stringify(name)} here; /acp sessions lists them` });
    throw new Fault("WRONG_USE", { problem: `${JSON.stringify(name)} is more than one: ${named.map(({ key }) => key).join(", ")}` });
  }
}

function wordsOf({ code, message }: Fault): string {
  return message.startsWith(code) ? message : `${code}: ${message}`;
}

function nameOf({ label, agent, key }: SessionRow): string {
  return label ?? `${agent} ${key.split(":").at(-1)}`;
}

function modeText({ mode }: HarnessSessionView): string {
  return mode === null ? "" : ` in mode ${mode}`;
}

function cutFirst(text: string): [string, string] {
  const [, first = "", rest = ""] = /^(\S*)\s*([\s\S]*)$/.exec(text.trim()) ?? [];
  return [first, rest.trim()];
}
