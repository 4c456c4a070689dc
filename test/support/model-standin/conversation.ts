/**
 * Requests of four wire formats, read into one shape, and what is wrong with their history.
 *
 * `problems` are the faults for which a real API refuses a request: a tool call without its
 * result, a result without its call, a reused id, an empty text, a changed signature.
 */
import { createHash } from "node:crypto";

export const APIS = ["anthropic", "chat", "responses", "google"] as const;
export type Api = (typeof APIS)[number];

export interface Call {
  readonly id: string;
  readonly name: string;
}
export interface Result {
  readonly id: string;
  readonly text: string;
}
export type Turn =
  | { readonly role: "user"; readonly text: string }
  | { readonly role: "assistant"; readonly text: string; readonly calls: readonly Call[] }
  | { readonly role: "results"; readonly results: readonly Result[] };

/** A tool that a request offers. */
export interface Offered {
  readonly name: string;
  readonly fields: readonly string[];
  /** Takes a text instead of an object. */
  readonly isFreeForm: boolean;
  /** The set of tools that it belongs to, which a call of it names (Responses). */
  readonly namespace: string | null;
}

export interface Ask {
  readonly api: Api;
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** The answer's limit in tokens; Infinity when none is asked for. */
  readonly outputTokensMax: number;
  readonly system: string;
  readonly turns: readonly Turn[];
  readonly tools: readonly string[];
  readonly offers: readonly Offered[];
  /** The JSON schema that the answer has to follow, where one is asked for (Google). */
  readonly shape: Loose | null;
  /** The tool that the answer must call, if the request says so. */
  readonly forced: string | null;
  readonly toolsBytes: number;
  /** Pieces of reasoning that came back, with their signature where there is one. */
  readonly reasoning: number;
  readonly problems: readonly string[];
}

export type Loose = { readonly [key: string]: unknown };

/** What a signed piece of reasoning carries, so that a later request can be checked. */
export function signatureOf(reasoning: string): string {
  return `sig${createHash("sha1").update(reasoning).digest("base64url")}`;
}

export function object(value: unknown): Loose {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Loose) : {};
}
export function list(value: unknown): readonly Loose[] {
  return Array.isArray(value) ? value.map(object) : [];
}
export function string(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** The text of a content that is a string or a list of parts with `text`. */
function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  return list(content).map((part) => string(part.text)).join("");
}

class Reader {
  readonly turns: Turn[] = [];
  readonly problems: string[] = [];
  reasoning = 0;
  #open = new Map<string, string>();
  readonly #used = new Set<string>();

  user(text: string): void {
    this.#mustBeAnswered();
    if (text.trim() === "") this.problems.push("a user message is empty");
    const last = this.turns.at(-1);
    if (last?.role === "user") this.turns[this.turns.length - 1] = { role: "user", text: `${last.text}\n${text}` };
    else this.turns.push({ role: "user", text });
  }

  assistant(text: string, calls: readonly Call[]): void {
    if (text === "" && calls.length === 0) return;
    const last = this.turns.at(-1);
    if (last?.role === "assistant") this.turns[this.turns.length - 1] = { role: "assistant", text: last.text + text, calls: [...last.calls, ...calls] };
    else {
      this.#mustBeAnswered();
      this.turns.push({ role: "assistant", text, calls });
    }
    for (const call of calls) {
      if (call.id === "") this.problems.push(`a call of ${call.name} has no id`);
      else if (this.#used.has(call.id)) this.problems.push(`call id ${call.id} is used twice`);
      this.#used.add(call.id);
      this.#open.set(call.id, call.name);
    }
  }

  results(results: readonly Result[]): void {
    for (const result of results) {
      if (!this.#open.delete(result.id)) this.problems.push(`result ${result.id} has no open call`);
    }
    const last = this.turns.at(-1);
    if (last?.role === "results") this.turns[this.turns.length - 1] = { role: "results", results: [...last.results, ...results] };
    else this.turns.push({ role: "results", results });
  }

  end(): void {
    this.#mustBeAnswered();
    if (this.turns.at(0)?.role !== "user") this.problems.push("the first message is not the user's");
    if (this.turns.at(-1)?.role === "assistant") this.problems.push("the last message is the assistant's");
  }

  #mustBeAnswered(): void {
    for (const [id, name] of this.#open) this.problems.push(`call ${id} of ${name} has no result`);
    this.#open = new Map();
  }
}

/** Reads a request body. `path` names the model for Google. */
export function readAsk(api: Api, body: Loose, path: string): Ask {
  const reader = new Reader();
  const system = { anthropic: readAnthropic, chat: readChat, responses: readResponses, google: readGoogle }[api](body, reader);
  reader.end();
  const offers = list(body.tools).flatMap((tool) => {
    if (Array.isArray(tool.functionDeclarations)) return list(tool.functionDeclarations).map((one) => offeredBy(one));
    return tool.type === "namespace" ? list(tool.tools).map((one) => offeredBy(one, string(tool.name))) : [offeredBy(tool)];
  });
  return {
    api,
    model: api === "google" ? decodeURIComponent(/models\/([^:]+):/.exec(path)?.[1] ?? "") : string(body.model),
    stream: api === "google" ? path.includes(":streamGenerateContent") : body.stream === true,
    includeUsage: object(body.stream_options).include_usage === true,
    outputTokensMax: Number(body.max_tokens ?? body.max_completion_tokens ?? body.max_output_tokens ?? object(body.generationConfig).maxOutputTokens ?? Infinity),
    system,
    turns: reader.turns,
    tools: offers.map(({ name }) => name),
    offers,
    shape: shapeOf(object(body.generationConfig)),
    forced: forcedTool(api, body),
    toolsBytes: body.tools === undefined ? 0 : Buffer.byteLength(JSON.stringify(body.tools)),
    reasoning: reader.reasoning,
    problems: reader.problems,
  };
}

/** One tool of a request, in any of the four wire formats. */
function offeredBy(tool: Loose, namespace: string | null = null): Offered {
  const shape = object(tool.function ?? tool);
  const schema = object(shape.parameters ?? shape.parametersJsonSchema ?? shape.input_schema);
  return { name: string(shape.name), fields: Object.keys(object(schema.properties)), isFreeForm: tool.type === "custom", namespace };
}

function shapeOf(generation: Loose): Loose | null {
  const shape = generation.responseJsonSchema ?? generation.responseSchema;
  return shape === undefined ? null : object(shape);
}

function forcedTool(api: Api, body: Loose): string | null {
  const choice = object(body.tool_choice);
  const names: Readonly<Record<Api, unknown>> = {
    anthropic: choice.type === "tool" ? choice.name : null,
    chat: choice.type === "function" ? object(choice.function).name : null,
    responses: choice.type === "function" ? choice.name : null,
    google: object(object(body.toolConfig).functionCallingConfig).mode === "ANY" ? (object(object(body.toolConfig).functionCallingConfig).allowedFunctionNames as string[] | undefined)?.[0] : null,
  };
  return string(names[api]) || null;
}

function readAnthropic(body: Loose, reader: Reader): string {
  for (const message of list(body.messages)) {
    if (typeof message.content === "string") {
      if (message.role === "assistant") reader.assistant(message.content, []);
      else reader.user(message.content);
      continue;
    }
    const calls: Call[] = [];
    const results: Result[] = [];
    const texts: string[] = [];
    for (const block of list(message.content)) {
      if (block.type === "tool_use") calls.push({ id: string(block.id), name: string(block.name) });
      else if (block.type === "tool_result") {
        if (texts.length > 0) reader.problems.push("a tool result stands after text in its message");
        results.push({ id: string(block.tool_use_id), text: textOf(block.content) });
      } else if (block.type === "text") {
        if (string(block.text).trim() === "") reader.problems.push("a text block is empty");
        texts.push(string(block.text));
      } else if (block.type === "thinking") {
        reader.reasoning++;
        if (block.signature !== signatureOf(string(block.thinking))) reader.problems.push("a thinking block came back with another signature");
      }
    }
    if (message.role === "assistant") reader.assistant(texts.join(""), calls);
    else {
      if (results.length > 0) reader.results(results);
      if (texts.length > 0) reader.user(texts.join("\n"));
    }
  }
  return textOf(body.system);
}

function readChat(body: Loose, reader: Reader): string {
  let system = "";
  for (const message of list(body.messages)) {
    if (message.role === "system" || message.role === "developer") system += textOf(message.content);
    else if (message.role === "user") reader.user(textOf(message.content));
    else if (message.role === "tool") reader.results([{ id: string(message.tool_call_id), text: textOf(message.content) }]);
    else {
      if (string(message.reasoning_content) !== "") reader.reasoning++;
      const calls = list(message.tool_calls).map((call) => ({ id: string(call.id), name: string(object(call.function).name) }));
      reader.assistant(textOf(message.content), calls);
    }
  }
  return system;
}

function readResponses(body: Loose, reader: Reader): string {
  let system = string(body.instructions);
  if (typeof body.input === "string") reader.user(body.input);
  for (const item of list(body.input)) {
    if (item.type === "function_call" || item.type === "custom_tool_call") reader.assistant("", [{ id: string(item.call_id), name: string(item.name) }]);
    else if (item.type === "function_call_output" || item.type === "custom_tool_call_output") reader.results([{ id: string(item.call_id), text: textOf(item.output) }]);
    else if (item.type === "reasoning") {
      reader.reasoning++;
      if (item.encrypted_content !== signatureOf(textOf(item.summary))) reader.problems.push("a reasoning item came back without its encrypted content");
    } else if (item.type === "item_reference") reader.problems.push("an item is referenced, but nothing is stored here");
    else if (item.role === "system" || item.role === "developer") system += textOf(item.content);
    else if (item.role === "assistant") reader.assistant(textOf(item.content), []);
    else reader.user(textOf(item.content));
  }
  return system;
}

function readGoogle(body: Loose, reader: Reader): string {
  let made = 0;
  let waiting: { id: string; name: string }[] = [];
  for (const content of list(body.contents)) {
    const parts = list(content.parts);
    const said = parts.filter((part) => typeof part.text === "string" && part.thought !== true).map((part) => string(part.text));
    if (content.role === "model") {
      reader.reasoning += parts.filter((part) => part.thought === true).length;
      for (const part of parts) {
        if (part.functionCall !== undefined && part.thoughtSignature !== signatureOf(JSON.stringify(object(part.functionCall).args ?? {}))) reader.problems.push("a function call came back with another signature");
      }
      const calls = parts.filter((part) => part.functionCall !== undefined).map((part) => {
        const call = object(part.functionCall);
        return { id: string(call.id) || `google_${made++}`, name: string(call.name) };
      });
      reader.assistant(said.join(""), calls);
      waiting = [...calls];
      continue;
    }
    const results = parts.filter((part) => part.functionResponse !== undefined).map((part) => {
      const response = object(part.functionResponse);
      const at = waiting.findIndex((call) => call.name === response.name && (string(response.id) === "" || response.id === call.id));
      const call = at < 0 ? undefined : waiting.splice(at, 1)[0];
      const answer = object(response.response);
      const text = answer.content ?? answer.output ?? answer.result ?? answer.error;
      return { id: call?.id ?? `unknown_${string(response.name)}`, text: typeof text === "string" ? text : JSON.stringify(text ?? answer) };
    });
    if (results.length > 0) reader.results(results);
    if (said.length > 0) reader.user(said.join("\n"));
  }
  return textOf(object(body.systemInstruction).parts);
}
