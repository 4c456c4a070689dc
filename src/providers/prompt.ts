/**
 * A ModelRequest as the AI SDK's specification wants it. Nothing is added to the conversation and
 * nothing is left out but empty texts, which some APIs refuse.
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

export function callOptions(request: ModelRequest, style: PromptStyle, maxOutputTokens: number, abortSignal: AbortSignal): LanguageModelV4CallOptions {
  const caches = style.api === "anthropic-messages";
  const prompt: LanguageModelV4Prompt = [];
  if (request.system !== "") prompt.push({ role: "system", content: request.system.toWellFormed(), ...(caches ? { providerOptions: KEEP_UP_TO_HERE } : {}) });
  for (const message of request.messages) {
    const converted = messageFor(message, style.api);
    if (converted !== undefined) prompt.push(converted);
  }
  const last = prompt.at(-1);
  if (caches && last !== undefined) last.providerOptions = KEEP_UP_TO_HERE;
  const providerOptions = openaiOptions(request, style);
  return {
    prompt,
    maxOutputTokens,
    abortSignal,
    ...(request.tools.length === 0 ? {} : { tools: request.tools.map(toolFor), toolChoice: choiceFor(request.toolChoice) }),
    ...(providerOptions === undefined ? {} : { providerOptions }),
  };
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
