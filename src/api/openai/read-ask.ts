/**
 * Reads the bodies of OpenAI's two APIs into one shape: which agent, what was said, how to answer.
 *
 * Fields that only tune a model (temperature, max_tokens…) are passed over, because the agent has its
 * own model and settings. What would silently change the meaning of the answer is refused: tools of
 * the caller, several answers, pictures.
 */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { bad } from "../read-body.ts";

export interface Said {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly text: string;
}

export interface Ask {
  /** As named: an agent, `agent/model`, or a model. */
  readonly model: string;
  readonly said: readonly Said[];
  readonly stream: boolean;
  /** Chat only: whether the stream ends with its usage. */
  readonly includeUsage: boolean;
  /** Names the conversation, one per user. */
  readonly user: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** Responses only: the answer that this goes on from. */
  readonly previous: string | null;
  /** Responses only: whether the conversation can be gone on with. */
  readonly store: boolean;
}

const MESSAGES_MAX = 10_000;
const NAME_LENGTH_MAX = 300;
const ROLES: Readonly<Record<string, Said["role"]>> = { system: "system", developer: "system", user: "user", assistant: "assistant", tool: "tool", function: "tool" };

/** @throws {Fault} BAD_REQUEST */
export function readChat(body: JsonObject): Ask {
  refuse(body);
  if (body["n"] !== undefined && body["n"] !== null && body["n"] !== 1) throw bad("n", "must be 1: an agent gives one answer");
  const messages = body["messages"];
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MESSAGES_MAX) throw bad("messages", `must be a list of 1 to ${MESSAGES_MAX} messages`);
  const options = body["stream_options"];
  return { ...common(body), said: messages.map((message, at) => saidIn(message, `messages[${at}]`)), includeUsage: isJsonObject(options) && options["include_usage"] === true, previous: null, store: false };
}

/** @throws {Fault} BAD_REQUEST */
export function readResponses(body: JsonObject): Ask {
  refuse(body);
  const { input, instructions } = body;
  const items: Json | undefined = typeof input === "string" ? [{ role: "user", content: input }] : input;
  if (!Array.isArray(items) || items.length === 0 || items.length > MESSAGES_MAX) throw bad("input", `must be text, or a list of 1 to ${MESSAGES_MAX} items`);
  const said = items.flatMap((item, at): Said[] => (isJsonObject(item) && item["type"] === "reasoning" ? [] : [saidIn(item, `input[${at}]`)]));
  const system: Said[] = typeof instructions === "string" && instructions !== "" ? [{ role: "system", text: instructions }] : [];
  return { ...common(body), said: [...system, ...said], includeUsage: true, previous: wordIn(body, "previous_response_id"), store: body["store"] !== false };
}

function common(body: JsonObject): Pick<Ask, "model" | "stream" | "user" | "metadata"> {
  const model = wordIn(body, "model");
  if (model === null) throw bad("model", "is missing; GET /v1/models lists what can be named");
  if (body["stream"] !== undefined && body["stream"] !== null && typeof body["stream"] !== "boolean") throw bad("stream", "must be true or false");
  const metadata = isJsonObject(body["metadata"]) ? Object.entries(body["metadata"]).filter((pair): pair is [string, string] => typeof pair[1] === "string") : [];
  return { model, stream: body["stream"] === true, user: wordIn(body, "user"), metadata: Object.fromEntries(metadata) };
}

function refuse(body: JsonObject): void {
  const { tools } = body;
  if (Array.isArray(tools) && tools.length > 0 && body["tool_choice"] !== "none") throw bad("tools", "an agent uses its own tools and cannot call those of the caller; leave this field out");
}

function wordIn(body: JsonObject, name: string): string | null {
  const value = body[name];
  if (value === undefined || value === null || value === "") return null;
  if (typeof value !== "string" || value.length > NAME_LENGTH_MAX || !value.isWellFormed() || value.includes("\0")) throw bad(name, `must be text of at most ${NAME_LENGTH_MAX} characters`);
  return value;
}

function saidIn(message: Json | undefined, where: string): Said {
  if (!isJsonObject(message)) throw bad(where, "must be an object");
  if (message["type"] === "function_call_output") return { role: "tool", text: textIn(message["output"] ?? "", `${where}.output`) };
  if (message["type"] === "function_call") return { role: "assistant", text: `(calls ${String(message["name"]).slice(0, NAME_LENGTH_MAX)})` };
  const role = ROLES[String(message["role"])];
  if (role === undefined) throw bad(`${where}.role`, `must be one of ${Object.keys(ROLES).join(" | ")}`);
  const { content } = message;
  return { role, text: content === null || content === undefined ? "" : textIn(content, `${where}.content`) };
}

function textIn(content: Json, where: string): string {
  if (typeof content === "string") return wellFormed(content, where);
  if (!Array.isArray(content)) throw bad(where, "must be text or a list of parts");
  return content
    .map((part, at) => {
      if (isJsonObject(part) && typeof part["text"] === "string") return wellFormed(part["text"], `${where}[${at}].text`);
      throw bad(`${where}[${at}]`, "only parts of text are taken");
    })
    .join("\n");
}

function wellFormed(text: string, where: string): string {
  if (!text.isWellFormed() || text.includes("\0")) throw bad(where, "is not well-formed text");
  return text;
}
