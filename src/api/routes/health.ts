/** How the children fare, and what becomes of their results: the task board, the report, deliveries, a model's talent to delegate. */
import { Fault } from "../../model/faults.ts";
import { DELIVERY_STATES } from "../../model/delivery.ts";
import type { TaskId } from "../../base/ids.ts";
import type { DeliveryQuery } from "../../store/store.ts";
import { choice, count, may, must, word } from "../read-body.ts";
import { ok, accepted, route, type Route, type RouteDeps } from "../route.ts";
import { toApiDelivery, toApiReport, toBoardColumn } from "../shapes.ts";
import type { ApiBoardColumn, Board, DeliveryList, ModelRatingAnswer } from "../wire.ts";
import { pageFields, present } from "./page-of.ts";
import { taskFilters, toTaskFilters } from "./task-filters.ts";

const ID_LENGTH_MAX = 200;
const CARDS = { fallback: 50, max: 200 };
const DAYS = { fallback: 7, max: 90 };
const DAY_MS = 86_400_000;
/** Running plans whose stuck tasks are marked. */
const PLANS_MAX = 200;

export function healthRoutes({ store, courier, rateModel, nowMs }: RouteDeps): readonly Route[] {
  return [
    route({
      method: "GET",
      path: "/api/board",
      rpc: "board.get",
      doc: "The task board: a column per state, the newest cards first.",
      answer: "Board",
      query: { ...taskFilters, limit: may(count({ min: 1, max: CARDS.max }), `The most cards of a column; ${CARDS.fallback} when absent.`) },
      async run({ limit = CARDS.fallback, ...filters }) {
        const columns = await store.board({ ...toTaskFilters(filters), limit });
        const { plans } = await store.plans({ active: true, limit: PLANS_MAX });
        const stuck = new Map(plans.flatMap(({ planId, tasks }) => tasks.filter(({ state }) => state === "stuck").map(({ id, childTask, problem }) => [childTask as string | null, { planId, task: id, reason: problem ?? "" }])));
        const marked = (column: ApiBoardColumn): ApiBoardColumn => ({ ...column, cards: column.cards.map((card) => ({ ...card, ...present({ stuck: stuck.get(card.taskId) }) })) });
        return ok<Board>({ at: nowMs(), columns: columns.map((column) => marked(toBoardColumn(column))) });
      },
    }),
    route({
      method: "GET",
      path: "/api/report",
      rpc: "report.get",
      doc: "How many children succeeded, per batch, tree and day, with the failed ones by name; and how long results take to arrive.",
      answer: "ReportAnswer",
      query: { days: may(count({ min: 1, max: DAYS.max }), `How many days back; ${DAYS.fallback} when absent.`) },
      run: async ({ days = DAYS.fallback }) => ok(toApiReport(await store.report({ since: nowMs() - days * DAY_MS }))),
    }),
    route({
      method: "GET",
      path: "/api/deliveries",
      rpc: "deliveries.list",
      doc: "Results that are posted to a callback, the newest first.",
      answer: "DeliveryList",
      query: { ...pageFields, state: may(choice(DELIVERY_STATES), "Only those in this state."), task: may(word({ max: ID_LENGTH_MAX }), "Only that of this task.") },
      async run({ limit, task, ...rest }) {
        const query: DeliveryQuery = { ...present({ ...rest, task: task as TaskId | undefined }), limit };
        const { deliveries, next } = await store.deliveries(query);
        return ok<DeliveryList>({ deliveries: deliveries.map(toApiDelivery), ...(next === null ? {} : { next }) });
      },
    }),
    route({
      method: "POST",
      path: "/api/deliveries/:deliveryId/retry",
      rpc: "deliveries.retry",
      doc: "Posts a result that was given up once more, under its old id.",
      answer: "ApiDelivery",
      inPath: { deliveryId: must(word({ max: ID_LENGTH_MAX }), "The delivery's id.") },
      async run({ deliveryId }) {
        const delivery = await courier.resend(deliveryId);
        if (delivery === null) throw new Fault("DELIVERY_NOT_FOUND", { delivery: deliveryId });
        return accepted(toApiDelivery(delivery));
      },
    }),
    route({
      method: "POST",
      path: "/api/models/rate",
      rpc: "models.rate",
      doc: "Asks a model the fixed delegation probes and rates it for orchestration. Nothing is started; the model's provider is paid for about eight calls.",
      answer: "ModelRatingAnswer",
      body: { model: must(word({ max: ID_LENGTH_MAX }), "As <provider>/<model>.") },
      run: async ({ model }, call) => ok<ModelRatingAnswer>(await rateModel(model, call.untilGone())),
    }),
  ];
}
