/** `yard workspaces`: the git worktrees that work was lent. */
import { resolve } from "node:path";
import type { Command } from "commander";
import type { ApiWorkspace, WorkspaceDetail, WorkspaceList } from "../../api/wire.ts";
import { asJson, inPath, LIST_LIMIT_MAX, wholeNumberArgument, type Cli } from "../command.ts";
import { duration, sayFields, sayTable } from "../table.ts";
import { say, sayJson } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  const workspaces = parent.command("workspaces").description("git worktrees that were lent to work");
  const withId = (name: string, description: string): Command => asJson(workspaces.command(name).description(description).argument("<workspace>", "its id"));
  const pathOf = (id: string): string => `/api/workspaces/${inPath(id)}`;

  asJson(workspaces.command("list").description("list them, the newest first"))
    .option("--limit <n>", "the most rows to show", wholeNumberArgument({ min: 1, max: LIST_LIMIT_MAX }))
    .option("--state <states>", "only those in these states, e.g. ready,removed")
    .action(async ({ json, ...query }: { json?: boolean; limit?: number; state?: string }) => {
      const answer = await (await cli.connect()).get<WorkspaceList>("/api/workspaces", query);
      if (json) return sayJson(cli.terminal, answer);
      const rows = answer.workspaces.map((one) => [one.workspaceId, one.state, duration((one.endedAt ?? cli.clock.now()) - one.createdAt), one.dir, one.label]);
      sayTable(cli.terminal, ["workspace", "state", "for", "folder", "label"], rows, "no workspaces");
    });

  asJson(workspaces.command("create").description("make one"))
    .argument("<label>", "what it is for")
    .option("--repository <folder>", "a folder inside the repository", ".")
    .option("--base <commit>", "branch, tag or commit to begin on", "HEAD")
    .option("--claim <paths...>", "the paths that the work may change, e.g. 'src/auth/**'")
    .option("--copy <files...>", "ignored files to copy, e.g. .env")
    .option("--setup <line>", "a line of shell to run in it first")
    .action(async (label: string, { json, repository, base, claim, copy, setup }: { json?: boolean; repository: string; base: string; claim?: string[]; copy?: string[]; setup?: string }) => {
      const made = await (await cli.connect()).post<ApiWorkspace>("/api/workspaces", { label, repository: resolve(repository), base, claims: claim, copy, setup });
      if (json) sayJson(cli.terminal, made);
      else say(cli.terminal, `${made.workspaceId} is in ${made.dir}, on branch ${made.branch}`);
    });

  withId("show", "show one, with what its work comes to").action(async (id: string, { json }: { json?: boolean }) => {
    const one = await (await cli.connect()).get<WorkspaceDetail>(pathOf(id));
    if (json) return sayJson(cli.terminal, one);
    sayFields(cli.terminal, [
      ["workspace", one.workspaceId],
      ["label", one.label],
      ["state", one.state],
      ["folder", one.dir],
      ["branch", one.branch],
      ["claims", one.claims.join(", ") || "everything"],
      ["epoch", one.epoch],
      ["ports", `${one.portFirst} to ${one.portFirst + one.portCount - 1}`],
      ["commits", one.status?.commits.length],
      ["last commit", one.status?.commits[0]?.subject],
      ["not committed", one.status?.uncommitted.join(", ")],
      ["outside claim", one.status?.outside.join(", ")],
      ["kept under", one.backupRef],
      ["problem", one.problem],
    ]);
  });

  withId("widen", "let its work change more paths")
    .requiredOption("--claim <paths...>", "the paths that come to those it has, e.g. 'src/shared/**'")
    .action(async (id: string, { json, claim }: { json?: boolean; claim: string[] }) => {
      const one = await (await cli.connect()).post<ApiWorkspace>(`${pathOf(id)}/widen`, { claims: claim });
      if (json) sayJson(cli.terminal, one);
      else say(cli.terminal, `${id} may change ${one.claims.join(", ") || "everything"}`);
    });

  withId("remove", "remove one; its work is kept").action(async (id: string, { json }: { json?: boolean }) => {
    const one = await (await cli.connect()).post<ApiWorkspace>(`${pathOf(id)}/remove`);
    if (json) sayJson(cli.terminal, one);
    else say(cli.terminal, one.backupRef === null ? `${id} is gone; it held no work` : `${id} is gone; its work is kept under ${one.backupRef}`);
  });

  withId("undo", "bring a removed one back").action(async (id: string, { json }: { json?: boolean }) => {
    const one = await (await cli.connect()).post<ApiWorkspace>(`${pathOf(id)}/undo`);
    if (json) sayJson(cli.terminal, one);
    else say(cli.terminal, `${id} is back in ${one.dir}`);
  });
}
