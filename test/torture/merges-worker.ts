/**
 * Lands the work of five agents on one branch, in a process that a test kills: makes the workspaces
 * that are not there yet, offers each one's work, and ends with 0 when all of it has landed.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openYard, write } from "../support/workspaces.ts";

const [dir, agents] = [process.argv[2]!, Number(process.argv[3])];
const yard = await openYard(null, { dir, settings: { "merges.attemptsMax": 100 } });

async function land(label: string): Promise<void> {
  const mine = (await yard.worktrees.list()).filter((one) => one.label === label && one.state === "ready")[0];
  const workspace = mine ?? (await yard.worktrees.create({ repository: yard.repository, base: "main", label }));
  let [merge] = await yard.merges.list({ workspace: workspace.id });
  if (merge === undefined) {
    if (!existsSync(join(workspace.dir, `${label}.txt`))) write(workspace.dir, { [`${label}.txt`]: `work of ${label}\n` });
    merge = await yard.merges.enqueue({ workspace: workspace.id, epoch: workspace.epoch, onto: "main", message: `feat: ${label}`, tests: [{ command: `test -f ${label}.txt || test -f shared.txt`, timeoutMs: 20_000 }] });
  }
  const end = await yard.merges.watch(merge.id, AbortSignal.timeout(60_000));
  if (end.state !== "landed") throw new Error(`${label} is ${end.state}: ${end.problem?.text}`);
}

process.stdout.write("open\n");
await Promise.all(Array.from({ length: agents }, (_none, n) => land(`agent${n}`)));
await yard.close();
