/** `/approve` and `/deny`: a person's answer to what waits for it in this conversation. */
import type { SessionKey } from "../base/ids.ts";
import { oneLine, type Approval, type ApprovalAnswer } from "../model/approval.ts";
import { Fault } from "../model/faults.ts";
import { parseSessionKey } from "../model/session.ts";
import type { Store } from "../store/store.ts";
import type { Command } from "./command.ts";

const LISTED_MAX = 20;

export function approvalCommands({ store }: { store: Store }): readonly Command[] {
  return [
    {
      name: "approve",
      usage: "/approve [A1] [always]",
      doc: "let what asked do exactly this, once, or always in this conversation",
      async run({ session, words }) {
        const always = words.at(-1)?.toLowerCase() === "always";
        const approved = await answer(session, always ? words.slice(0, -1) : words, always ? "always" : "once");
        return always ? `${approved.id} is approved, and so is exactly this from now on (/acp permissions shows what is).` : `${approved.id} is approved, this once.`;
      },
    },
    {
      name: "deny",
      beginsNothing: () => true,
      usage: "/deny [A1]",
      doc: "do not let it",
      run: async ({ session, words }) => `${(await answer(session, words, "deny")).id} is denied.`,
    },
  ];

  async function answer(session: SessionKey, [id, ...more]: readonly string[], given: ApprovalAnswer): Promise<Approval> {
    if (more.length > 0) throw new Fault("WRONG_USE", { problem: "use /approve A1, /approve A1 always or /deny A1" });
    return store.answerApproval({ id: id ?? (await theOnlyOne(session)), answer: given, by: session, from: session });
  }

  /** Without a name, the one that waits; which one is never guessed. */
  async function theOnlyOne(session: SessionKey): Promise<string> {
    const isMain = parseSessionKey(session).parts.kind === "main";
    const { approvals } = await store.approvals({ state: "pending", ...(isMain ? {} : { place: session }), limit: LISTED_MAX });
    const [first, second] = approvals;
    if (first === undefined) throw new Fault("WRONG_USE", { problem: "nothing waits to be approved here" });
    if (second !== undefined) throw new Fault("WRONG_USE", { problem: `which one? ${approvals.map(({ id, holder, tool, what }) => `${id} (${holder}, ${tool}: ${oneLine(what)})`).join(" · ")}` });
    return first.id;
  }
}
