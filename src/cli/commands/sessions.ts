/** `yard sessions`: list, show, history, cancel, delete, rename. */
import type { Command } from "commander";
import type { ApiSession, CancelResult, CompactBegun, History, HistoryEntry, SessionList } from "../../api/wire.ts";
import { asJson, asListing, inPath, sessionArgument, type Cli, type ListOptions } from "../command.ts";
import { date, duration, sayFields, sayGroups, sayTable, tokens } from "../table.ts";
import { colour, plain, say, sayJson, type Terminal } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  const sessions = parent.command("sessions").description("the conversations");

  asListing(sessions.command("list").description("list them, the one that was used last first"))
    .option("--kind <kind>", "only main, direct, group, subagent, acp or job")
    .option("--parent <session>", "only children of this one", sessionArgument)
    .option("--state <state>", "only idle, queued, running or waiting")
    .option("--label <label>", "only those with this label")
    .option("--q <text>", "only those with this in their key or label")
    .option("--search <text>", "the same as --q")
    .option("--group <by>", "count them by kind, state, agent, parent, label or day")
    .option("--archived", "those that were put away")
    .action(async ({ json, ...query }: ListOptions & { archived?: boolean } & Readonly<Record<string, string | boolean>>) => {
      const answer = await (await cli.connect()).get<SessionList>("/api/sessions", query);
      if (json) return sayJson(cli.terminal, answer);
      if (answer.groups !== undefined) return sayGroups(cli.terminal, answer.groups);
      const rows = answer.sessions.map((one) => [one.key, one.state, String(one.waitingMessages), date(one.lastAt), tokens(one.usage), one.label ?? ""]);
      sayTable(cli.terminal, ["session", "state", "waiting", "last", "tokens", "label"], rows, "no sessions");
      sayNext(cli.terminal, answer.next);
    });

  const withKey = (name: string, description: string): Command => asJson(sessions.command(name).description(description).argument("<session>", "its key, or an agent's name", sessionArgument));

  withKey("show", "show one").action(async (key: string, { json }: { json?: boolean }) => {
    const session = await (await cli.connect()).get<ApiSession>(`/api/sessions/${inPath(key)}`);
    if (json) return sayJson(cli.terminal, session);
    const now = cli.clock.now();
    sayFields(cli.terminal, [
      ["session", session.key],
      ["label", session.label],
      ["kind", session.kind],
      ["agent", session.agent],
      ["parent", session.parent],
      ["task", session.taskId],
      ["model", session.model],
      ["queue mode", session.queueMode],
      ["state", session.state],
      ["waiting", session.waitingMessages],
      ["made", `${duration(now - session.createdAt)} ago`],
      ["last used", `${duration(now - session.lastAt)} ago`],
      ["tokens", tokens(session.usage)],
    ]);
  });

  asListing(sessions.command("history").description("show what was said, the newest page").argument("<session>", "its key, or an agent's name", sessionArgument))
    .option("--before <seq>", "the page before this entry")
    .action(async (key: string, { json, ...query }: ListOptions & { before?: string }) => {
      const history = await (await cli.connect()).get<History>(`/api/sessions/${inPath(key)}/history`, query);
      if (json) return sayJson(cli.terminal, history);
      sayHistory(cli.terminal, history);
      if (history.next !== undefined) say(cli.terminal, colour(cli.terminal, "dim", `more: ${query.after === undefined ? "--before" : "--after"} ${history.next}`));
    });

  withKey("cancel", "stop what runs in it")
    .option("--queue", "drop its waiting messages too")
    .option("--no-tree", "leave its children running")
    .action(async (key: string, { json, queue, tree }: { json?: boolean; queue?: boolean; tree: boolean }) => {
      const result = await (await cli.connect()).post<CancelResult>(`/api/sessions/${inPath(key)}/cancel`, { tree, queue: queue === true });
      sayCancelled(cli.terminal, result, json);
    });

  withKey("compact", "replace its older part by a summary, in what the model is told").action(async (key: string, { json }: { json?: boolean }) => {
    const begun = await (await cli.connect()).post<CompactBegun>(`/api/sessions/${inPath(key)}/compact`);
    if (json) sayJson(cli.terminal, begun);
    else say(cli.terminal, begun.entries === 0 ? "there is nothing to make shorter yet" : `${begun.entries} entries become a summary; the history keeps them`);
  });

  withKey("delete", "stop it and remove everything that was said in it").action(async (key: string, { json }: { json?: boolean }) => {
    const result = await (await cli.connect()).delete<CancelResult>(`/api/sessions/${inPath(key)}`);
    if (json) sayJson(cli.terminal, result);
    else say(cli.terminal, `deleted ${key}`);
  });

  asJson(sessions.command("rename").description("give it a label").argument("<session>", "its key, or an agent's name", sessionArgument).argument("<label>", "empty text takes the label away")).action(
    async (key: string, label: string, { json }: { json?: boolean }) => {
      const session = await (await cli.connect()).patch<ApiSession>(`/api/sessions/${inPath(key)}`, { label: label === "" ? null : label });
      if (json) sayJson(cli.terminal, session);
      else say(cli.terminal, session.label === null ? `${session.key} has no label now` : `${session.key} is now "${session.label}"`);
    },
  );
}

export function sayCancelled(terminal: Terminal, result: CancelResult, json: boolean | undefined): void {
  if (json) return sayJson(terminal, result);
  const kept = result.finished === undefined || result.finished.length === 0 ? "" : `; ${result.finished.length} had succeeded before`;
  if (!result.cancelled) return say(terminal, `nothing was running or waiting${kept}`);
  const parts = [
    [result.turns.length, "turn"],
    [result.tasks.length, "task"],
    [result.messages, "waiting message"],
  ] as const;
  say(terminal, `cancelled ${parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}${count === 1 ? "" : "s"}`).join(", ")}${kept}`);
}

export function sayNext(terminal: Terminal, next: string | undefined): void {
  if (next !== undefined) say(terminal, colour(terminal, "dim", `more: --after ${next}`));
}

export function sayHistory(terminal: Terminal, history: History): void {
  if (history.entries.length === 0) say(terminal, "nothing was said yet");
  for (const entry of history.entries) {
    say(terminal, colour(terminal, "dim", `#${entry.seq} ${entry.role}`));
    say(terminal, `${textOf(entry)}\n`);
  }
}

const TOOL_TEXT_LENGTH_MAX = 500;

function textOf(entry: HistoryEntry): string {
  const calls = (entry.toolCalls ?? []).map(({ tool, input }) => `→ ${tool} ${JSON.stringify(input)}`);
  const results = (entry.toolResults ?? []).map(({ tool, text, isError }) => `← ${tool}${isError ? " failed" : ""}: ${text}`);
  const short = [...calls, ...results].map((line) => (line.length > TOOL_TEXT_LENGTH_MAX ? `${line.slice(0, TOOL_TEXT_LENGTH_MAX)}…` : line));
  return plain([...(entry.role === "tool" ? [] : [entry.text]), ...short].filter((line) => line !== "").join("\n"));
}
