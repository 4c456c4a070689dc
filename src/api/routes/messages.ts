/** A message comes in. */
import type { MessageId, SessionKey } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import { QUEUE_MODES } from "../../model/lane.ts";
import { MESSAGE_BYTES_MAX } from "../../model/message.ts";
import { DEFAULT_AGENT, directSession, mainSession, parseSessionKey } from "../../model/session.ts";
import { bad, choice, may, must, prose, sessionKey, word } from "../read-body.ts";
import { accepted, API_CHANNEL, route, TEXT_BODY_BYTES_MAX, type Route, type RouteDeps } from "../route.ts";
import { sessionRow } from "../session-row.ts";
import { toMessageAccepted } from "../shapes.ts";

const ID_LENGTH_MAX = 200;
const NAME_LENGTH_MAX = 100;

export function messageRoutes(deps: RouteDeps): readonly Route[] {
  return [
    route({
      method: "POST",
      path: "/api/messages",
      rpc: "messages.send",
      doc: "Puts a message in a session's inbox; answers when it is on disk. The turn that answers it is seen in the events.",
      answer: "MessageAccepted",
      bodyBytesMax: TEXT_BODY_BYTES_MAX,
      body: {
        text: must(prose({ bytesMax: MESSAGE_BYTES_MAX }), `The message, at most ${MESSAGE_BYTES_MAX} bytes of UTF-8. A text that begins with a slash is a command.`),
        session: may(sessionKey(), "Without it, channel and peer name the session; without a peer it is the agent's main session."),
        channel: may(word({ max: NAME_LENGTH_MAX }), `Where it came from; "${API_CHANNEL}" when absent.`),
        peer: may(word({ max: NAME_LENGTH_MAX }), "Who wrote it, on that channel."),
        agent: may(word({ max: NAME_LENGTH_MAX }), `The agent that it is for; "${DEFAULT_AGENT}" when absent.`),
        clientMessageId: may(word({ max: ID_LENGTH_MAX }), "Your own id of the message: sent again with the same id it is accepted once."),
        queueMode: may(choice(QUEUE_MODES), "What happens when the session is at work."),
        replyTo: may(word({ max: ID_LENGTH_MAX }), "The id of the message that this one answers."),
      },
      async run(input) {
        const channel = input.channel ?? API_CHANNEL;
        const received = await deps.sessions.accept({
          session: await sessionFor(deps, { ...input, channel }),
          text: input.text,
          provenance: "user",
          channel,
          sourceId: input.clientMessageId ?? null,
          author: input.peer ?? null,
          queueMode: input.queueMode ?? null,
          replyTo: (input.replyTo as MessageId | undefined) ?? null,
          mayCommand: true,
        });
        return accepted(toMessageAccepted(received));
      },
    }),
  ];
}

interface Address {
  readonly session: SessionKey | undefined;
  readonly agent: string | undefined;
  readonly channel: string;
  readonly peer: string | undefined;
}

/** Sessions of people come into being with their first message; those of children only by a spawn. */
async function sessionFor(deps: RouteDeps, { session, agent, channel, peer }: Address): Promise<SessionKey> {
  if (session !== undefined) {
    const { kind, agent: agentOfKey } = parseSessionKey(session).parts;
    if (agent !== undefined && agent !== agentOfKey) throw bad("agent", `is ${agent}, but the session belongs to ${agentOfKey}; name one of them`);
    if (kind === "subagent" || kind === "acp") await sessionRow(deps.store, session);
    else checkAgent(deps, agentOfKey);
    return session;
  }
  if (agent !== undefined) checkAgent(deps, agent);
  const named = agent ?? DEFAULT_AGENT;
  return peer === undefined ? mainSession(named) : directSession(named, channel, peer);
}

function checkAgent(deps: RouteDeps, agent: string): void {
  if (agent === DEFAULT_AGENT) return;
  const { agents } = deps.status();
  if (!agents.includes(agent)) throw new Fault("AGENT_NOT_FOUND", { agent, known: agents.join(", ") });
}
