/** A prompt's blocks as the one text that the gateway takes. Pictures and sounds are not among what we say we understand. */
import type { ContentBlock } from "@agentclientprotocol/sdk";

export function promptText(blocks: readonly ContentBlock[]): string {
  return blocks.map(textOf).join("");
}

function textOf(block: ContentBlock): string {
  switch (block.type) {
    case "text":
      return block.text;
    case "resource_link":
      return `[${block.name}](${block.uri})`;
    case "resource":
      return "text" in block.resource ? `\n\n<file uri=${JSON.stringify(block.resource.uri)}>\n${block.resource.text}\n</file>\n\n` : `[${block.resource.uri}]`;
    default:
      return `[${block.type}, which cannot be read here]`;
  }
}
