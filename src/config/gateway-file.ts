/**
 * `gateway.json` in the state directory: how commands find the running gateway.
 *
 * Written when the gateway is ready, removed at a clean stop. After a crash it stays behind; readers
 * see from the process id that nobody is there, so a token is never sent to a stranger on that port.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { givenTokenFileIn, readIfThere, tokenFileIn, writeWhole } from "./state-dir.ts";

export interface GatewayFile {
  /** E.g. `http://127.0.0.1:9273`. */
  readonly url: string;
  readonly pid: number;
  readonly generation: number;
}

/** @param givenToken  one that is not the state directory's own; programs that are told where the token is find it there. */
export async function writeGatewayFile(home: string, gateway: GatewayFile, givenToken: string | null): Promise<void> {
  if (givenToken === null) await rm(givenTokenFileIn(home), { force: true });
  else await writeWhole(givenTokenFileIn(home), `${givenToken}\n`);
  await writeWhole(fileIn(home), `${JSON.stringify({ url: gateway.url, pid: gateway.pid, generation: gateway.generation })}\n`);
}

/** Removes the files, unless another process has put its own there meanwhile. */
export async function removeGatewayFile(home: string, pid: number): Promise<void> {
  const found = parse(await readIfThere(fileIn(home)));
  if (found?.pid !== pid) return;
  await rm(fileIn(home), { force: true });
  await rm(givenTokenFileIn(home), { force: true });
}

/** The token of the running gateway of a state directory. */
export async function readGatewayToken(home: string): Promise<string | undefined> {
  return ((await readIfThere(givenTokenFileIn(home))) ?? (await readIfThere(tokenFileIn(home))))?.trim();
}

/** The running gateway of a state directory; null when none is written there or its process is gone. */
export async function readGatewayFile(home: string): Promise<GatewayFile | null> {
  const found = parse(await readIfThere(fileIn(home)));
  return found !== null && isAlive(found.pid) ? found : null;
}

function fileIn(home: string): string {
  return join(home, "gateway.json");
}

function parse(text: string | null): GatewayFile | null {
  if (text === null) return null;
  try {
    const { url, pid, generation } = JSON.parse(text) as Record<string, unknown>;
    if (typeof url === "string" && Number.isInteger(pid) && (pid as number) > 0 && typeof generation === "number") return { url, pid: pid as number, generation };
  } catch {
    // Not ours, or from another version: as good as none.
  }
  return null;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}
