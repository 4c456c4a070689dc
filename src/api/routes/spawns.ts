/** Spawns: one child or many in one call, without any model turn of a parent. */
import type { SessionKey } from "../../base/ids.ts";
import { budgetOf, deadlineOf, SPAWN_BUDGET_MAX } from "../../model/budget.ts";
import { CLAIM_LENGTH_MAX, CLAIMS_MAX } from "../../model/path-claims.ts";
import { DEFAULT_AGENT, parseSessionKey } from "../../model/session.ts";
import { ATTEMPTS_MAX, BACKOFF_SECONDS_MAX, CATEGORY_LENGTH_MAX, ON_CONFLICT, ON_END } from "../../model/supervision.ts";
import { DELIVERIES, LABEL_LENGTH_MAX, TASK_BYTES_MAX, TASK_KINDS, type NewSpawn, type Task } from "../../model/task.ts";
import { anyObject, bad, choice, count, list, may, number, object, prose, sessionKey, text, word, yesNo, type Values } from "../read-body.ts";
import { accepted, ok, route, TEXT_BODY_BYTES_MAX, type Call, type Route, type RouteDeps } from "../route.ts";
import { toApiTask } from "../shapes.ts";
import type { SpawnAccepted, SpawnsAccepted } from "../wire.ts";
import { present } from "./page-of.ts";

const NAME_LENGTH_MAX = 100;
const ID_LENGTH_MAX = 200;
const PATH_LENGTH_MAX = 4096;
const URL_LENGTH_MAX = 4096;
const BATCH_MAX = 500;
const DEADLINE_SECONDS_MAX = 30 * 86_400;
const WAIT_SECONDS_MAX = 86_400;
/** How long `wait` waits when it is not said. */
const WAIT_SECONDS = 600;
/** Room for the number of a child after the key of its batch. */
const KEY_LENGTH_MAX = ID_LENGTH_MAX - 8;

const budgetFields = {
  tokens: may(count({ min: 1, max: SPAWN_BUDGET_MAX.tokens }), "Tokens of prompts and answers."),
  cost: may(number({ min: 0, max: SPAWN_BUDGET_MAX.cost }), "US dollars, by the price table."),
  calls: may(count({ min: 1, max: SPAWN_BUDGET_MAX.calls }), "Model calls."),
  children: may(count({ min: 0, max: SPAWN_BUDGET_MAX.children }), "Children, at all depths."),
  seconds: may(count({ min: 1, max: SPAWN_BUDGET_MAX.seconds }), "Wall time; it becomes the deadline."),
};

const spawnFields = {
  task: may(prose({ bytesMax: TASK_BYTES_MAX }), `What the child is to do, at most ${TASK_BYTES_MAX} bytes of UTF-8.`),
  label: may(text({ max: LABEL_LENGTH_MAX }), "A name for people."),
  parent: may(sessionKey(), "The session that gets the result; without it the result waits in the task."),
  agent: may(word({ max: NAME_LENGTH_MAX }), "The child's agent; the parent's when absent."),
  runtime: may(choice(TASK_KINDS), "subagent (the default) or an external coding agent."),
  model: may(word({ max: ID_LENGTH_MAX }), "As <provider>/<model>."),
  context: may(choice(["isolated", "fork"]), "fork = the child begins with what its parent's session knows."),
  cwd: may(word({ max: PATH_LENGTH_MAX }), "The folder that it works in."),
  claims: may(list(word({ max: CLAIM_LENGTH_MAX }), { max: CLAIMS_MAX }), "What nobody else may change meanwhile: paths and patterns from the top of the workspace, or name:WORD. File tools of the child refuse to write elsewhere."),
  onConflict: may(choice(ON_CONFLICT), "When a claim overlaps with another child's: wait in line (the default), or refuse the spawn."),
  deadlineSeconds: may(count({ min: 1, max: DEADLINE_SECONDS_MAX }), "How long it may take, from now."),
  progressSeconds: may(count({ min: 1, max: DEADLINE_SECONDS_MAX }), "An attempt that brings no new result of a tool for so long, and changes no file in a call that takes longer, is over."),
  attempts: may(count({ min: 1, max: ATTEMPTS_MAX }), "How often it is tried in all."),
  backoffSeconds: may(count({ min: 0, max: BACKOFF_SECONDS_MAX }), "Pause before the second attempt; it doubles with each further one."),
  retryModel: may(word({ max: ID_LENGTH_MAX }), "The model of further attempts, as <provider>/<model>."),
  category: may(word({ max: CATEGORY_LENGTH_MAX }), "The kind of task: after many failures in a row of one agent and category, no further one is started for a while."),
  onEnd: may(choice(ON_END), "When it is done before its own children: wait for them (the default), or handUp, which gives them to its parent."),
  delivery: may(choice(DELIVERIES), "digest (the default) = a message to the parent; notify = a notice to the person; board = a card on the task board only; webhook = posted to callback."),
  callback: may(word({ max: URL_LENGTH_MAX }), "A web address that the result is posted to, signed; the delivery is then webhook."),
  budget: may(object(budgetFields), "What it may spend with everything below it; set aside in the budget of its parent, if that has one."),
  outputSchema: may(anyObject(), "Its result must be JSON that fits this JSON Schema; it may correct itself once."),
  cleanup: may(choice(["keep", "delete"]), "What becomes of the child's session after its end; keep when absent."),
};
type SpawnFields = Values<typeof spawnFields>;

export function spawnRoutes({ trees, store, status }: RouteDeps): readonly Route[] {
  /** A person's own session is there from the beginning, as far as others can tell; it is made when it is first needed. */
  const openMain = async (parents: readonly (SessionKey | undefined)[]): Promise<void> => {
    for (const parent of new Set(parents)) {
      if (parent === undefined) continue;
      const { kind, agent } = parseSessionKey(parent).parts;
      if (kind === "main" && status().agents.includes(agent)) await store.openSession(parent);
    }
  };

  return [
    route({
      method: "POST",
      path: "/api/spawns",
      rpc: "spawns.create",
      doc: "Starts a child without any model turn of a parent, or with spawns many at once, all or none. Over a cap a child waits in line.",
      answer: "SpawnAccepted or SpawnsAccepted",
      bodyBytesMax: TEXT_BODY_BYTES_MAX,
      body: {
        ...spawnFields,
        spawns: may(list(object(spawnFields), { max: BATCH_MAX }), `Instead of task: up to ${BATCH_MAX} children, one tree. What stands beside it holds for each that does not say otherwise.`),
        idempotencyKey: may(word({ max: KEY_LENGTH_MAX }), "The same key never spawns twice; the header Idempotency-Key says the same."),
        wait: may(yesNo(), "Answer only when the child has ended. A caller that goes away does not stop the child."),
        waitSeconds: may(count({ min: 0, max: WAIT_SECONDS_MAX }), `With wait: give up waiting, not the child, after this long; 0 or absent = ${WAIT_SECONDS}.`),
      },
      async run({ spawns, idempotencyKey, wait, waitSeconds, ...shared }, call) {
        if (waitSeconds !== undefined && wait !== true) throw bad("waitSeconds", "means nothing without wait: true");
        const key = keyOf(idempotencyKey, call);
        const options = wait === true ? { timeoutMs: (waitSeconds || WAIT_SECONDS) * 1000, signal: call.untilGone() } : null;
        const answer = async ({ task, created }: { task: Task; created: boolean }): Promise<SpawnAccepted> => {
          if (options === null) return spawnAccepted(task, created);
          const ended = await trees.waitFor(task.taskId, options);
          return { ...spawnAccepted(ended, created), task: toApiTask(ended) };
        };
        const reply = options === null ? accepted : ok;
        await openMain([shared.parent, ...(spawns ?? []).map(({ parent }) => parent)]);
        if (spawns === undefined) return reply(await answer(await trees.spawn(newSpawn(shared, key, "body"))));

        if (shared.task !== undefined) throw bad("task", "cannot stand beside spawns; give one of them");
        if (spawns.length === 0) throw bad("spawns", "is empty; name at least one child");
        const all = spawns.map((one, at) => newSpawn({ ...shared, ...present(one) }, key === null ? null : `${key}#${at}`, `spawns[${at}]`));
        const admitted = await trees.spawnAll(all);
        const { flowId, batch } = admitted[0]!.task;
        return reply<SpawnsAccepted>({ status: "accepted", flowId, batch: batch!, spawns: await Promise.all(admitted.map(answer)) });
      },
    }),
  ];
}

function keyOf(field: string | undefined, { idempotencyKey: header }: Call): string | null {
  if (header !== null && header.length > KEY_LENGTH_MAX) throw bad("header idempotency-key", `is longer than ${KEY_LENGTH_MAX} characters`);
  if (field !== undefined && header !== null && field !== header) throw bad("idempotencyKey", "differs from the header Idempotency-Key; give one of them");
  return field ?? header;
}

function newSpawn({ task, parent, delivery, callback, ...rest }: Partial<SpawnFields>, idempotencyKey: string | null, where: string): NewSpawn {
  if (task === undefined) throw bad(`${where}.task`, "is missing");
  if (delivery === "webhook" && callback === undefined) throw bad(`${where}.callback`, "is missing; delivery webhook needs an address");
  if (callback !== undefined && delivery !== undefined && delivery !== "webhook") throw bad(`${where}.callback`, `cannot stand beside delivery ${delivery}; leave one of them out`);
  return {
    task,
    label: rest.label ?? null,
    parent: parent ?? null,
    turnId: null,
    agent: rest.agent ?? agentOf(parent),
    kind: rest.runtime ?? "subagent",
    model: rest.model ?? null,
    context: rest.context ?? "isolated",
    cwd: rest.cwd ?? null,
    deadlineSeconds: deadlineOf(rest.deadlineSeconds, rest.budget),
    delivery: callback !== undefined ? "webhook" : (delivery ?? "digest"),
    cleanup: rest.cleanup ?? "keep",
    claims: rest.claims ?? [],
    idempotencyKey,
    callback: callback ?? null,
    ...supervisionIn(rest),
    ...(rest.budget === undefined ? {} : { budget: budgetOf(rest.budget) }),
    ...(rest.outputSchema === undefined ? {} : { outputSchema: rest.outputSchema }),
  };
}

/** What was named of it; the rest comes from the settings. */
function supervisionIn({ onConflict, progressSeconds, attempts, backoffSeconds, retryModel, category, onEnd }: Partial<SpawnFields>): Pick<NewSpawn, "supervision"> {
  const supervision = present({ onConflict, progressSeconds, attempts, backoffSeconds, retryModel, category, onEnd });
  return Object.keys(supervision).length === 0 ? {} : { supervision };
}

function agentOf(parent: SessionKey | undefined): string {
  return parent === undefined ? DEFAULT_AGENT : parseSessionKey(parent).parts.agent;
}

function spawnAccepted(task: Task, created: boolean): SpawnAccepted {
  return { status: "accepted", taskId: task.taskId, flowId: task.flowId, childSessionKey: task.session, duplicate: !created };
}
