/** `yard merges`: the line in which work lands. */
import type { Command } from "commander";
import type { ApiMerge, MergeList } from "../../api/wire.ts";
import { asJson, inPath, LIST_LIMIT_MAX, wholeNumberArgument, type Cli } from "../command.ts";
import { duration, sayFields, sayTable } from "../table.ts";
import { plain, say, sayJson } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  const merges = parent.command("merges").description("the line in which work lands on its branch");
  const withId = (name: string, description: string): Command => asJson(merges.command(name).description(description).argument("<merge>", "its id"));
  const pathOf = (id: string): string => `/api/merges/${inPath(id)}`;
  const sayState = (merge: ApiMerge, json?: boolean): void => (json ? sayJson(cli.terminal, merge) : say(cli.terminal, `${merge.mergeId} is ${merge.state}`));

  asJson(merges.command("list").description("list them, the newest first"))
    .option("--limit <n>", "the most rows to show", wholeNumberArgument({ min: 1, max: LIST_LIMIT_MAX }))
    .option("--state <states>", "only those in these states, e.g. queued,conflict")
    .option("--workspace <workspace>", "only those of this workspace")
    .action(async ({ json, ...query }: { json?: boolean; limit?: number; state?: string; workspace?: string }) => {
      const answer = await (await cli.connect()).get<MergeList>("/api/merges", query);
      if (json) return sayJson(cli.terminal, answer);
      const rows = answer.merges.map((one) => [one.mergeId, one.state, one.onto, duration((one.endedAt ?? cli.clock.now()) - one.createdAt), one.message.split("\n", 1)[0]!]);
      sayTable(cli.terminal, ["merge", "state", "onto", "for", "message"], rows, "no merges");
    });

  asJson(merges.command("add").description("commit what a workspace holds and put it in line"))
    .argument("<workspace>", "its id")
    .requiredOption("--onto <branch>", "the branch to land on")
    .requiredOption("-m, --message <text>", "subject and body of the commit")
    .option("--test <lines...>", "lines of shell that must end with 0 on the merged result")
    .option("--style <style>", "squash, rebase or merge; merges.style when absent")
    .option("--strategies <names...>", "what to try about a conflict, in this order: accept-both, last-in-rebases, abort-and-retry")
    .action(async (workspace: string, { json, onto, message, test, style, strategies }: { json?: boolean; onto: string; message: string; test?: string[]; style?: string; strategies?: string[] }) => {
      sayState(await (await cli.connect()).post<ApiMerge>("/api/merges", { workspace, onto, message, style, strategies, tests: test?.map((command) => ({ command })) }), json);
    });

  withId("show", "show one, with its tests and both sides of a conflict").action(async (id: string, { json }: { json?: boolean }) => {
    const merge = await (await cli.connect()).get<ApiMerge>(pathOf(id));
    if (json) return sayJson(cli.terminal, merge);
    sayFields(cli.terminal, [
      ["merge", merge.mergeId],
      ["state", merge.state],
      ["workspace", merge.workspaceId],
      ["onto", merge.onto],
      ["commit", merge.commit],
      ["attempts", merge.attempts],
      ["landed as", merge.state === "landed" ? merge.to : null],
      ["mended by", merge.mendedBy],
      ["problem", merge.problem === null ? null : `${merge.problem.code}: ${merge.problem.text}`],
    ]);
    for (const one of merge.evidence) say(cli.terminal, `\n── ${plain(one.command)} ended with ${one.exitCode ?? "its time limit"} after ${duration(one.ms)}, on tree ${one.tree}\n${plain(one.output)}`);
    for (const file of merge.conflict?.files ?? []) say(cli.terminal, `\n── ${plain(file.path)} (${file.kind})\n${plain(file.merged ?? "no text to show")}`);
  });

  withId("retry", "put one that did not land back in line")
    .option("--allow-flagged", "you have looked at the files that it was refused for")
    .action(async (id: string, { json, allowFlagged }: { json?: boolean; allowFlagged?: boolean }) => sayState(await (await cli.connect()).post<ApiMerge>(`${pathOf(id)}/retry`, { allowFlagged }), json));

  withId("undo", "take a landed one back").action(async (id: string, { json }: { json?: boolean }) => sayState(await (await cli.connect()).post<ApiMerge>(`${pathOf(id)}/undo`), json));

  withId("cancel", "take one out of line").action(async (id: string, { json }: { json?: boolean }) => sayState(await (await cli.connect()).post<ApiMerge>(`${pathOf(id)}/cancel`), json));
}
