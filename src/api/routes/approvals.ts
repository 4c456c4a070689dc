/** What waits for a person's approval, and the answer to it. */
import { Fault } from "../../model/faults.ts";
import { APPROVAL_ANSWERS, APPROVAL_STATES } from "../../model/approval.ts";
import { choice, may, must, sessionKey, word } from "../read-body.ts";
import { CALLER, ok, route, type Route, type RouteDeps } from "../route.ts";
import { toApiApproval } from "../shapes.ts";
import { pageFields, present } from "./page-of.ts";

const ID_LENGTH_MAX = 20;
const approvalInPath = { approvalId: must(word({ max: ID_LENGTH_MAX }), "Its short name, e.g. A12.") };

export function approvalRoutes({ store }: RouteDeps): readonly Route[] {
  return [
    route({
      method: "GET",
      path: "/api/approvals",
      rpc: "approvals.list",
      doc: "What was asked, the newest first; state=pending is what waits for an answer.",
      answer: "ApprovalList",
      query: {
        ...pageFields,
        state: may(choice(APPROVAL_STATES), "Only those in this state."),
        place: may(sessionKey(), "Only those that are shown in this conversation."),
        session: may(sessionKey(), "Only those that this session's work waits for."),
      },
      async run({ limit, ...query }) {
        const { approvals, next } = await store.approvals({ ...present(query), limit });
        return ok({ approvals: approvals.map(toApiApproval), ...(next === null ? {} : { next }) });
      },
    }),
    route({
      method: "GET",
      path: "/api/approvals/:approvalId",
      rpc: "approvals.get",
      doc: "One of them.",
      answer: "ApiApproval",
      inPath: approvalInPath,
      async run({ approvalId }) {
        const found = await store.approval(approvalId);
        if (found === null) throw new Fault("APPROVAL_NOT_FOUND", { approval: approvalId });
        return ok(toApiApproval(found));
      },
    }),
    route({
      method: "POST",
      path: "/api/approvals/:approvalId",
      rpc: "approvals.answer",
      doc: "Answers it, once: for this time, always for exactly this in its conversation, or no.",
      answer: "ApiApproval",
      inPath: approvalInPath,
      body: { answer: must(choice(APPROVAL_ANSWERS), "once | always | deny") },
      run: async ({ approvalId, answer }) => ok(toApiApproval(await store.answerApproval({ id: approvalId, answer, by: CALLER, from: null }))),
    }),
  ];
}
