/**
 * A ModelRequest as the AI SDK's specification wants it. Nothing is left out but empty texts, which
 * some APIs refuse.
 *
 * In order: tools, instructions, conversation, and last what holds only now. Each call of a session
 * begins, byte for byte, like the one before it, which is all that a provider's cache asks for:
 * Anthropic is told the places, OpenAI a key per session, Google finds the beginning by itself.
 */
import { createHash } from "node:crypto";
import type { LanguageModelV4CallOptions, LanguageModelV4FunctionTool, LanguageModelV4Message, LanguageModelV4Prompt, SharedV4ProviderOptions } from "@ai-sdk/provider";
import type { JsonObject } from "../base/json.ts";
import type { AssistantPart, ChatMessage, ModelRequest, ToolResult } from "../model/chat.ts";
import type { ToolSpec } from "../model/tool.ts";
import type { Api } from "./settings.ts";

type AssistantContent = Extract<LanguageModelV4Message, { role: "assistant" }>["content"];
type ToolContent = Extract<LanguageModelV4Message, { role: "tool" }>["content"];

/** Stands for a text that is empty, because a message without any is refused. */
const NO_TEXT = "(no text)";
const CACHE_KEY_CHARACTERS = 32;
/** Tells Anthropic to keep the prompt up to here for five minutes. */
const KEEP_UP_TO_HERE: SharedV4ProviderOptions = { anthropic: { cacheControl: { type: "ephemeral" } } };

/** What differs between providers of one API. */
export interface PromptStyle {
  readonly api: Api;
  /** True when the provider takes a key under which it keeps a session's prompts together. */
  readonly takesCacheKey: boolean;
}

export function callOptions(request: ModelRequest, style: PromptStyle, maxOutputTokens: number, abortSignal: AbortSignal): LanguageModelV4CallOptions & { abortSignal: AbortSignal } {
  const prompt: LanguageModelV4Prompt = [];
  if (request.system !== "") prompt.push({ role: "system", content: request.system.toWellFormed() });
  for (const message of request.messages) {
    const converted = messageFor(message, style.api);
    if (converted !== undefined) prompt.push(converted);
  }
  const tools = request.tools.map(toolFor);
  if (style.api === "anthropic-messages") markStable(tools, prompt);
  if (request.now) tellNow(prompt, request.now);
  const providerOptions = openaiOptions(request, style);
  return {
    prompt,
    maxOutputTokens,
    abortSignal,
    ...(tools.length === 0 ? {} : { tools, toolChoice: choiceFor(request.toolChoice) }),
    ...(providerOptions === undefined ? {} : { providerOptions }),
  };
}

/**
 * The four places up to which Anthropic may keep the prompt: its tools, its instructions, where the
 * call before this one ended (which it certainly kept), and its end.
 */
function markStable(tools: readonly LanguageModelV4FunctionTool[], prompt: LanguageModelV4Prompt): void {
  const lastAnswer = prompt.findLastIndex(({ role }) => role === "assistant");
  const system = prompt[0]?.role === "system" ? prompt[0] : undefined;
  for (const marked of new Set([tools.at(-1), system, prompt[lastAnswer - 1], prompt.at(-1)])) if (marked !== undefined) marked.providerOptions = KEEP_UP_TO_HERE;
}

/**
 * Joins the last words of the person, or follows the results of tools; always behind what is kept. A part
 * of its own only where a mark needs one: many servers take nothing but plain text.
 */
function tellNow(prompt: LanguageModelV4Prompt, now: string): void {
  const text = now.toWellFormed();
  const last = prompt.at(-1);
  if (last?.role !== "user") return void prompt.push({ role: "user", content: [{ type: "text", text }] });
  const { providerOptions } = last;
  const said = last.content.at(-1)!;
  const joined: typeof last.content =
    providerOptions === undefined && said.type === "text" ? [{ ...said, text: `${said.text}\n\n${text}` }] : [{ ...said, ...(providerOptions === undefined ? {} : { providerOptions }) }, { type: "text", text }];
  prompt[prompt.length - 1] = { role: "user", content: [...last.content.slice(0, -1), ...joined] };
}

/** OpenAI keeps nothing (`store: false`), so reasoning comes back encrypted and is sent again by us. */
function openaiOptions(request: ModelRequest, { api, takesCacheKey }: PromptStyle): SharedV4ProviderOptions | undefined {
  const store = api === "openai-responses" ? { store: false } : {};
  const key = takesCacheKey && request.cacheKey !== undefined ? { promptCacheKey: createHash("sha256").update(request.cacheKey).digest("base64url").slice(0, CACHE_KEY_CHARACTERS) } : {};
  const openai = { ...store, ...key };
  return Object.keys(openai).length === 0 ? undefined : { openai };
}

function messageFor(message: ChatMessage, api: Api): LanguageModelV4Message | undefined {
  switch (message.role) {
    case "user":
      return { role: "user", content: [{ type: "text", text: message.text.trim() === "" ? NO_TEXT : message.text.toWellFormed() }] };
    case "assistant": {
      const content = message.parts.filter((part) => part.type !== "text" || part.text.trim() !== "" || (api === "google-generative-ai" && part.provider !== undefined)).map(partFor);
      return content.length === 0 ? undefined : { role: "assistant", content };
    }
    case "tool":
      return { role: "tool", content: message.results.map(resultFor) };
  }
}

function partFor(part: AssistantPart): AssistantContent[number] {
  const own = part.provider === undefined ? {} : { providerOptions: part.provider as JsonObject as SharedV4ProviderOptions };
  if (part.type === "tool-call") return { type: "tool-call", toolCallId: part.callId, toolName: part.tool, input: part.input, ...own };
  return { type: part.type, text: part.text, ...own };
}

function resultFor(result: ToolResult): ToolContent[number] {
  const value = result.text === "" ? NO_TEXT : result.text.toWellFormed();
  return { type: "tool-result", toolCallId: result.callId, toolName: result.tool, output: { type: result.isError ? "error-text" : "text", value } };
}

function toolFor({ name, description, inputSchema }: ToolSpec): LanguageModelV4FunctionTool {
  return { type: "function", name, description, inputSchema: inputSchema as LanguageModelV4FunctionTool["inputSchema"] };
}

function choiceFor(choice: ModelRequest["toolChoice"]): NonNullable<LanguageModelV4CallOptions["toolChoice"]> {
  return typeof choice === "object" ? { type: "tool", toolName: choice.tool } : { type: choice ?? "auto" };
}
