/** `yard approvals`: what waits for a person's yes. */
import type { Command } from "commander";
import type { ApiApproval, ApprovalList } from "../../api/wire.ts";
import { asJson, asListing, inPath, sessionArgument, type Cli, type ListOptions } from "../command.ts";
import { duration, sayFields, sayTable } from "../table.ts";
import { say, sayJson } from "../terminal.ts";
import { sayNext } from "./sessions.ts";

/** Characters of arguments in a listing. */
const ARGUMENTS_LENGTH_MAX = 80;

export function register(parent: Command, cli: Cli): void {
  const approvals = parent.command("approvals").description("what agents ask to be allowed");
  const withId = (name: string, description: string): Command => asJson(approvals.command(name).description(description).argument("<approval>", "its short name, e.g. A12"));

  asListing(approvals.command("list").description("list what waits for an answer, the newest first"))
    .option("--all", "also what has ended")
    .option("--place <session>", "only those shown in this conversation", sessionArgument)
    .action(async ({ json, all, ...query }: ListOptions & { all?: boolean; place?: string }) => {
      const answer = await (await cli.connect()).get<ApprovalList>("/api/approvals", { ...query, ...(all === true ? {} : { state: "pending" }) });
      if (json) return sayJson(cli.terminal, answer);
      const now = cli.clock.now();
      const rows = answer.approvals.map((one) => [one.approvalId, one.state, one.state === "pending" ? `${duration(Math.max(0, one.expiresAt - now))} left` : `by ${one.by}`, one.holder, one.tool, JSON.stringify(one.input).slice(0, ARGUMENTS_LENGTH_MAX)]);
      sayTable(cli.terminal, ["approval", "state", "", "who", "tool", "arguments"], rows, "nothing waits to be approved");
      sayNext(cli.terminal, answer.next);
    });

  withId("show", "show one with everything that was asked").action(async (id: string, { json }: { json?: boolean }) => {
    const one = await (await cli.connect()).get<ApiApproval>(`/api/approvals/${inPath(id)}`);
    if (json) return sayJson(cli.terminal, one);
    sayFields(cli.terminal, [
      ["approval", one.approvalId],
      ["state", one.by === null ? one.state : `${one.state} by ${one.by}`],
      ["who", one.holder],
      ["tool", one.tool],
      ["what", one.what],
      ["folder", one.cwd],
      ["session", one.session],
      ["shown in", one.place],
      ["arguments", JSON.stringify(one.input)],
    ]);
  });

  const answered = async (id: string, answer: "once" | "always" | "deny", json: boolean | undefined): Promise<void> => {
    const one = await (await cli.connect()).post<ApiApproval>(`/api/approvals/${inPath(id)}`, { answer });
    if (json) sayJson(cli.terminal, one);
    else say(cli.terminal, `${one.approvalId} is ${one.state}${answer === "always" ? ", and so is exactly this from now on" : ""}`);
  };
  withId("approve", "let it do exactly this")
    .option("--always", "from now on too, in the same conversation")
    .action((id: string, { json, always }: { json?: boolean; always?: boolean }) => answered(id, always === true ? "always" : "once", json));
  withId("deny", "do not let it").action((id: string, { json }: { json?: boolean }) => answered(id, "deny", json));
}
