/**
 * `/v1/chat/completions` and `/v1/responses`: an agent, spoken to as if it were a model of OpenAI's.
 *
 * A request becomes a message at the front door like any other: durable before it is answered, in
 * its conversation's order, under its queue mode. A caller that goes away stops its turn only when
 * the conversation was for this request alone; in a lasting one the turn goes on, and its answer
 * stands in the history.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../../base/clock.ts";
import { IdMaker, type RandomBytes } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { NO_USAGE } from "../../model/chat.ts";
import { asFault } from "../../model/faults.ts";
import { parseSessionKey } from "../../model/session.ts";
import { logDefect } from "../fault-answer.ts";
import { errorBody } from "../provider-errors.ts";
import { asObject } from "../read-body.ts";
import { CALLER, type RouteDeps } from "../route.ts";
import { sessionRow } from "../session-row.ts";
import { followAnswer, type Answered } from "./follow.ts";
import { OPENAI_CHANNEL, placeOf, responseId, SESSION_HEADER, type Place } from "./place.ts";
import { readChat, readResponses, type Ask } from "./read-ask.ts";
import { chatShape, responsesShape, type AnswerMeta, type AnswerShape } from "./shapes.ts";

/** How often a stream that has nothing to say shows that it lives. */
const COMMENT_EVERY_MS = 15_000;
const SOURCE_ID_LENGTH_MAX = 200;

export interface OpenAiDeps extends RouteDeps {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly headers: Readonly<Record<string, string>>;
  readonly untilGone: (reply: FastifyReply) => AbortSignal;
}

const APIS = {
  chat: { read: readChat, shape: chatShape },
  responses: { read: readResponses, shape: responsesShape },
} as const;

export function answerOpenAi(api: keyof typeof APIS, request: FastifyRequest, reply: FastifyReply, deps: OpenAiDeps): Promise<unknown> {
  const { read, shape } = APIS[api];
  return answer(read(asObject(request.body, "body")), shape, request, reply, deps);
}

async function answer(ask: Ask, shapeFor: (meta: AnswerMeta) => AnswerShape, request: FastifyRequest, reply: FastifyReply, deps: OpenAiDeps): Promise<unknown> {
  const { sessions, clock } = deps;
  const header = request.headers[SESSION_HEADER];
  const place = placeOf(ask, typeof header === "string" ? header : undefined, { agents: deps.status().agents, models: deps.models.knownModels() }, () => new IdMaker(deps.random).bare());
  const gone = deps.untilGone(reply);
  const before = await opened(place, deps);
  const key = request.headers["idempotency-key"];
  const received = await sessions.accept({
    session: place.session,
    text: place.text,
    provenance: "user",
    channel: OPENAI_CHANNEL,
    sourceId: typeof key === "string" && key.length <= SOURCE_ID_LENGTH_MAX ? key : null,
    author: ask.user,
    isWhole: true,
    mayCommand: place.isPlain,
  });
  const meta: AnswerMeta = {
    id: ask.store || ask.previous !== null ? responseId(place.session, received.messageId) : `${shapeFor === chatShape ? "chatcmpl" : "resp"}_${received.messageId}`,
    model: ask.model,
    createdAt: Math.floor(clock.now() / 1000),
    includeUsage: ask.includeUsage,
    previous: ask.previous,
  };
  const shape = shapeFor(meta);
  // A copy of a message that came before has its answer behind it in the log.
  const at = { session: place.session, after: received.duplicate ? 0 : before, messageId: received.messageId };
  const follow = (onText: (text: string) => void): Promise<Answered> =>
    received.commandReply === null ? followAnswer(sessions, at, onText, gone) : commandAnswer(received.commandReply, onText);
  reply.header(SESSION_HEADER, place.session);
  try {
    if (!ask.stream) return shape.whole(await follow(() => {}));
    await stream(shape, follow, reply, deps);
  } finally {
    // Before the end of the stream: whoever has read it to its end finds nothing left behind.
    if (place.isPassing) await sessions.remove(place.session, CALLER).catch((cause: unknown) => logDefect(deps.log, asFault(cause), "the end of a passing session"));
    if (ask.stream) reply.raw.end();
  }
}

/** @returns the number of its newest event. @throws {Fault} SESSION_NOT_FOUND a child that is not there. */
async function opened({ session, model }: Place, { store }: OpenAiDeps): Promise<number> {
  const { kind } = parseSessionKey(session).parts;
  const row = kind === "subagent" || kind === "acp" ? await sessionRow(store, session) : await store.openSession(session);
  if (model === null || row.model === model) return row.lastSeq;
  return (await store.patchSession({ key: session, patch: { model } }))!.lastSeq;
}

async function commandAnswer(text: string, onText: (text: string) => void): Promise<Answered> {
  onText(text);
  return { text, usage: NO_USAGE };
}

async function stream(shape: AnswerShape, follow: (onText: (text: string) => void) => Promise<Answered>, reply: FastifyReply, { clock, log, headers }: OpenAiDeps): Promise<void> {
  const out = reply.raw;
  reply.hijack();
  out.writeHead(200, { ...headers, [SESSION_HEADER]: String(reply.getHeader(SESSION_HEADER)), "content-type": "text/event-stream; charset=utf-8" });
  out.write(shape.begin());
  let disarm = clock.after(COMMENT_EVERY_MS, sign);
  try {
    const answered = await follow((text) => out.write(shape.piece(text)));
    out.write(shape.end(answered));
  } catch (thrown) {
    const fault = asFault(thrown);
    logDefect(log, fault, "a stream of an answer");
    out.write(shape.fail(errorBody("openai", fault)));
  } finally {
    disarm();
  }

  function sign(): void {
    out.write(": the agent is at work\n\n");
    disarm = clock.after(COMMENT_EVERY_MS, sign);
  }
}
