/** Settings for a gateway whose only harness is the scripted one. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { Manner } from "./scripted-harness.ts";

const PROGRAM = fileURLToPath(new URL("scripted-harness.ts", import.meta.url));

/** A folder to work in, which also holds what the scripted harness remembers. */
export function workFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "yard-work-"));
  // A harness that is just being ended may still write there; a hook that throws would leave its gateway running.
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
}

export function harnessConfig(folder: string, manner: Manner = {}, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    "acp.agents": { scripted: scripted(folder, manner) },
    "acp.memoryReserveMb": 0,
    "messages.messageWaitMs": 0,
    ...more,
  };
}

export function scripted(folder: string, manner: Manner = {}): Record<string, unknown> {
  return { command: process.execPath, args: ["--disable-warning=ExperimentalWarning", PROGRAM], env: { HARNESS: JSON.stringify(manner), HARNESS_STATE: folder }, memoryMb: 50 };
}

/** What the scripted harness was told, in order. */
export function heardBy(folder: string): readonly { pid: number; method: string; params: any }[] {
  return readFileSync(join(folder, "heard"), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
}
