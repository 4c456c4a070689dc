/** The sessions: listing, history, and what can be done to one. */
import { isAbsolute } from "node:path";
import type { SessionKey } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import { QUEUE_MODES } from "../../model/lane.ts";
import { MESSAGE_BYTES_MAX } from "../../model/message.ts";
import { parseSessionKey, SESSION_KINDS } from "../../model/session.ts";
import { LABEL_LENGTH_MAX } from "../../model/task.ts";
import type { SessionQuery } from "../../store/store.ts";
import { bad, choice, count, may, mayBeNull, must, prose, sessionKey, sessionThere, text, word, yesNo, type Reader } from "../read-body.ts";
import { accepted, API_CHANNEL, CALLER, ok, route, TEXT_BODY_BYTES_MAX, type Route, type RouteDeps } from "../route.ts";
import { noSession, sessionRow } from "../session-row.ts";
import { toApiSession, toCancelResult, toHistoryEntry, toMessageAccepted, toMissedAnswer, toPromoteResult } from "../shapes.ts";
import type { CommandList, CompactBegun, SeenAnswer } from "../wire.ts";
import { pageFields, present } from "./page-of.ts";

const MODEL_LENGTH_MAX = 200;
const SEARCH_LENGTH_MAX = 200;
const HANDLE_LENGTH_MAX = 20;
const PATH_LENGTH_MAX = 4096;
const HISTORY_LIMIT = { fallback: 100, max: 500 };

/** An absolute path. */
function folder(): Reader<string> {
  const path = word({ max: PATH_LENGTH_MAX });
  return {
    schema: path.schema,
    read(value, where) {
      const read = path.read(value, where);
      if (!isAbsolute(read)) throw bad(where, "must be an absolute path");
      return read;
    },
  };
}

/** A coding agent has models of its own. @throws {Fault} MODEL_UNKNOWN  no provider of that name is set up. */
function checkModel({ models }: RouteDeps, session: SessionKey, model: string | null | undefined): void {
  if (typeof model !== "string" || parseSessionKey(session).parts.kind === "acp") return;
  const known = models.knownModels();
  const providerOf = (name: string): string => name.split("/", 1)[0]!;
  if (!known.some((one) => providerOf(one) === providerOf(model))) throw new Fault("MODEL_UNKNOWN", { model, known: known.join(", ") });
}

const inPath = { session: must(sessionThere(), "The session's key, URL-encoded or not.") };

export function sessionRoutes(deps: RouteDeps): readonly Route[] {
  const { store, sessions } = deps;
  return [
    route({
      method: "GET",
      path: "/api/sessions",
      rpc: "sessions.list",
      doc: "The sessions, the one that was used last first.",
      answer: "SessionList",
      query: {
        ...pageFields,
        kind: may(choice(SESSION_KINDS), "Only this kind."),
        parent: may(sessionKey(), "Only children of this session."),
        state: may(choice(["idle", "queued", "running", "waiting"]), "Only those in this state."),
        label: may(text({ max: LABEL_LENGTH_MAX }), "Only those with this label."),
        q: may(text({ max: SEARCH_LENGTH_MAX }), "Only those whose key or label holds this."),
        search: may(text({ max: SEARCH_LENGTH_MAX }), "The same as q."),
        group: may(choice(["kind", "state", "agent", "parent", "label", "day"]), "Counts the sessions by this, too."),
        archived: may(yesNo(), "true = those that were put away; false or absent = the others."),
      },
      async run({ limit, q, search, ...rest }) {
        const query: SessionQuery = { ...present({ ...rest, search: q ?? search }), limit };
        const { rows, next, groups } = await store.sessions(query);
        return ok({ sessions: rows.map(toApiSession), ...(query.group === undefined ? {} : { groups }), ...(next === null ? {} : { next }) });
      },
    }),
    route({
      method: "POST",
      path: "/api/sessions",
      rpc: "sessions.create",
      doc: "Makes a session before anything is said in it; one that is there already stays as it is but for what is named here.",
      answer: "ApiSession",
      body: {
        session: must(sessionKey(), "Its key."),
        label: may(text({ max: LABEL_LENGTH_MAX }), "A name for people."),
        cwd: may(folder(), "The folder that its turns work in, absolute; its agent's workspace when absent."),
      },
      async run({ session, ...patch }) {
        const row = await store.openSession(session);
        return ok(toApiSession(patch.label === undefined && patch.cwd === undefined ? row : (await store.patchSession({ key: session, patch: present(patch) }))!));
      },
    }),
    route({
      method: "GET",
      path: "/api/commands",
      rpc: "commands.list",
      doc: "What a person may type in a conversation, each after a slash.",
      answer: "CommandList",
      run: async () => ok<CommandList>({ commands: deps.commands().map(({ name, usage, doc }) => ({ name, usage, doc })) }),
    }),
    route({
      method: "GET",
      path: "/api/sessions/:session",
      rpc: "sessions.get",
      doc: "One session.",
      answer: "ApiSession",
      inPath,
      run: async ({ session }) => ok(toApiSession(await sessionRow(store, session))),
    }),
    route({
      method: "GET",
      path: "/api/sessions/:session/history",
      rpc: "sessions.history",
      doc: "What was said, in order: the newest entries, or those before or after a number. `next` is the value for the same parameter (before, when none was given) of the next page.",
      answer: "History",
      inPath,
      query: {
        after: may(count({ min: 0, max: Number.MAX_SAFE_INTEGER }), "Entries with a greater number."),
        before: may(count({ min: 1, max: Number.MAX_SAFE_INTEGER }), "Entries with a smaller number, the newest of them."),
        limit: may(count({ min: 1, max: HISTORY_LIMIT.max }), `The most entries; ${HISTORY_LIMIT.fallback} when absent.`),
      },
      async run({ session, after, before, limit = HISTORY_LIMIT.fallback }) {
        if (after !== undefined && before !== undefined) throw bad("before", "cannot stand beside after; give one of them");
        const from = after === undefined ? { before: before ?? Number.MAX_SAFE_INTEGER } : { after };
        const found = await store.history({ key: session, ...from, limit });
        if (found === null) throw noSession(session);
        return ok({ entries: found.entries.map(toHistoryEntry), ...(found.next === null ? {} : { next: String(found.next) }) });
      },
    }),
    route({
      method: "GET",
      path: "/api/sessions/:session/missed",
      rpc: "sessions.missed",
      doc: "What happened since the person last looked: ends of children, notices and answers, the newest fifty. Nothing while nobody ever looked.",
      answer: "MissedAnswer",
      inPath,
      async run({ session }) {
        const missed = await store.missed(session);
        if (missed === null) throw noSession(session);
        return ok(toMissedAnswer(session, missed));
      },
    }),
    route({
      method: "POST",
      path: "/api/sessions/:session/seen",
      rpc: "sessions.seen",
      doc: "Says that the person has read the events up to a number.",
      answer: "SeenAnswer",
      inPath,
      body: { seq: must(count({ min: 0, max: Number.MAX_SAFE_INTEGER }), "The number of the last event that was read.") },
      async run({ session, seq }) {
        if (!(await store.markSeen({ session, seq }))) throw noSession(session);
        return ok<SeenAnswer>({ session, seq });
      },
    }),
    route({
      method: "POST",
      path: "/api/sessions/:session/cancel",
      rpc: "sessions.cancel",
      doc: "Stops what runs in the session.",
      answer: "CancelResult",
      inPath,
      body: {
        tree: may(yesNo(), "Its children too; true when absent."),
        queue: may(yesNo(), "Its waiting messages too; false when absent."),
      },
      run: async ({ session, tree = true, queue = false }) => ok(toCancelResult(await sessions.cancel(session, { by: CALLER, tree, queue }))),
    }),
    route({
      method: "POST",
      path: "/api/sessions/:session/turns/:handle/cancel",
      rpc: "sessions.cancelTurn",
      doc: "Stops one turn of the session.",
      answer: "CancelResult",
      inPath: { ...inPath, handle: must(word({ max: HANDLE_LENGTH_MAX }), "The turn's short name, e.g. T7.") },
      run: async ({ session, handle }) => ok(toCancelResult(await sessions.cancelTurn(session, handle, CALLER))),
    }),
    route({
      method: "POST",
      path: "/api/sessions/:session/promote",
      rpc: "sessions.promote",
      doc: "Lets the running turn go on beside the conversation, which is free at once.",
      answer: "PromoteResult",
      inPath,
      run: async ({ session }) => ok(toPromoteResult(await sessions.promote(session))),
    }),
    route({
      method: "POST",
      path: "/api/sessions/:session/reset",
      rpc: "sessions.reset",
      doc: "Clears what the agent remembers of the conversation; the key stays.",
      answer: "ApiSession",
      inPath,
      async run({ session }) {
        await sessions.reset(session, CALLER);
        return ok(toApiSession(await sessionRow(store, session)));
      },
    }),
    route({
      method: "POST",
      path: "/api/sessions/:session/compact",
      rpc: "sessions.compact",
      doc: "Begins to replace the older part of the conversation by a summary, in what the model is told; the event session.compacted says when it is done.",
      answer: "CompactBegun",
      inPath,
      run: async ({ session }) => accepted<CompactBegun>({ session, entries: await sessions.compact(session) }),
    }),
    route({
      method: "POST",
      path: "/api/sessions/:session/steer",
      rpc: "sessions.steer",
      doc: "Tells the running turn something before its next model call; when none runs it is an ordinary message.",
      answer: "MessageAccepted",
      inPath,
      bodyBytesMax: TEXT_BODY_BYTES_MAX,
      body: { text: must(prose({ bytesMax: MESSAGE_BYTES_MAX }), "What to tell it.") },
      async run({ session, text: said }) {
        await sessionRow(store, session);
        return accepted(toMessageAccepted(await sessions.accept({ session, text: said, provenance: "user", channel: API_CHANNEL, queueMode: "steer", mayCommand: false })));
      },
    }),
    route({
      method: "PATCH",
      path: "/api/sessions/:session",
      rpc: "sessions.patch",
      doc: "Changes a session's label, model, queue mode or folder; null takes the value away.",
      answer: "ApiSession",
      inPath,
      body: {
        label: mayBeNull(text({ max: LABEL_LENGTH_MAX }), "A name for people."),
        model: mayBeNull(word({ max: MODEL_LENGTH_MAX }), "As <provider>/<model>."),
        queueMode: mayBeNull(choice(QUEUE_MODES), "What happens to messages that arrive while the session is at work."),
        cwd: mayBeNull(folder(), "The folder that its turns work in, absolute."),
      },
      async run({ session, ...patch }) {
        checkModel(deps, session, patch.model);
        const row = await store.patchSession({ key: session, patch: present(patch) });
        if (row === null) throw noSession(session);
        return ok(toApiSession(row));
      },
    }),
    route({
      method: "DELETE",
      path: "/api/sessions/:session",
      rpc: "sessions.delete",
      doc: "Stops what runs in the session and removes it with all that was said.",
      answer: "CancelResult",
      inPath,
      run: async ({ session }) => ok(toCancelResult(await sessions.remove(session, CALLER))),
    }),
  ];
}
