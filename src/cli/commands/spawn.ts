/** `yard spawn`: a child without any model turn of a parent, and with `--wait` its result. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { InvalidArgumentError, Option, type Command } from "commander";
import type { SpawnAccepted } from "../../api/wire.ts";
import { isJsonObject, parseJson, type Json, type JsonObject } from "../../base/json.ts";
import { SPAWN_BUDGET_MAX } from "../../model/budget.ts";
import { ATTEMPTS_MAX, BACKOFF_SECONDS_MAX, ON_CONFLICT, ON_END } from "../../model/supervision.ts";
import { TASK_KINDS } from "../../model/task.ts";
import { awaitTask, lastSeqOf, WAIT_SECONDS, WAIT_SECONDS_MAX } from "../await-end.ts";
import { asJson, sessionArgument, wholeNumberArgument, type Cli } from "../command.ts";
import { AnsweredFault } from "../failure.ts";
import { plain, readAll, say, sayJson } from "../terminal.ts";

interface SpawnOptions {
  readonly label?: string;
  readonly parent?: string;
  readonly agent?: string;
  readonly model?: string;
  readonly runtime?: string;
  readonly cwd?: string;
  readonly context?: string;
  readonly key?: string;
  readonly deadline?: number;
  readonly claim: readonly string[];
  readonly onConflict?: string;
  readonly onEnd?: string;
  readonly progress?: number;
  readonly attempts?: number;
  readonly backoff?: number;
  readonly retryModel?: string;
  readonly category?: string;
  readonly delivery?: string;
  readonly callback?: string;
  readonly cleanup?: string;
  readonly budgetTokens?: number;
  readonly budgetCost?: number;
  readonly budgetCalls?: number;
  readonly budgetChildren?: number;
  readonly budgetSeconds?: number;
  readonly outputSchema?: JsonObject;
  readonly wait?: boolean;
  readonly timeout: number;
  readonly json?: boolean;
}

export function register(parent: Command, cli: Cli): void {
  asJson(parent.command("spawn").description("start a child at work in the background").argument("<task>", "what it is to do; - reads it from standard input"))
    .option("--label <label>", "a name for people")
    .option("--parent <session>", "the session that gets the result; without it the result waits in the task", sessionArgument)
    .option("--agent <agent>", "who works on it")
    .option("--model <model>", "as <provider>/<model>; with --runtime acp: as the coding agent calls it")
    .addOption(new Option("--runtime <runtime>", "acp: a coding agent of others, named with --agent").choices(TASK_KINDS))
    .option("--deadline <seconds>", "how long it may take", wholeNumberArgument({ min: 1, max: 30 * 86_400 }))
    .option("--cwd <folder>", "the folder that it works in, as an absolute path")
    .addOption(new Option("--context <how>", "fork: it begins with what its parent's session knows").choices(["isolated", "fork"]))
    .option("--claim <path>", "what nobody else may change meanwhile: a path, a pattern, or name:WORD; may stand more than once", (claim: string, before: readonly string[]) => [...before, claim], [])
    .addOption(new Option("--on-conflict <how>", "when a claim overlaps with another child's").choices(ON_CONFLICT))
    .option("--progress <seconds>", "an attempt that brings nothing new for so long is over", wholeNumberArgument({ min: 1, max: 30 * 86_400 }))
    .option("--attempts <n>", "how often it is tried in all", wholeNumberArgument({ min: 1, max: ATTEMPTS_MAX }))
    .option("--backoff <seconds>", "pause before the second attempt; doubles", wholeNumberArgument({ min: 0, max: BACKOFF_SECONDS_MAX }))
    .option("--retry-model <model>", "the model of further attempts")
    .option("--category <name>", "the kind of task; many failures in a row of one kind stop further ones for a while")
    .addOption(new Option("--on-end <how>", "when it is done before its own children").choices(ON_END))
    .option("--delivery <way>", "digest, notify, board or webhook")
    .option("--callback <url>", "post the result to this address, signed")
    .option("--cleanup <what>", "keep its session after its end, or delete it")
    .option("--budget-tokens <tokens>", "what it may use with all below it, in tokens", wholeNumberArgument({ min: 1, max: SPAWN_BUDGET_MAX.tokens }))
    .option("--budget-cost <dollars>", "the same in US dollars", dollarsArgument)
    .option("--budget-calls <calls>", "the same in model calls", wholeNumberArgument({ min: 1, max: SPAWN_BUDGET_MAX.calls }))
    .option("--budget-children <children>", "how many children there may be below it", wholeNumberArgument({ min: 0, max: SPAWN_BUDGET_MAX.children }))
    .option("--budget-seconds <seconds>", "the same in wall time; it becomes the deadline", wholeNumberArgument({ min: 1, max: SPAWN_BUDGET_MAX.seconds }))
    .option("--key <key>", "the same key never spawns twice; without it each call does")
    .option("--output-schema <file>", "a JSON Schema that its result must fit", schemaArgument)
    .option("--wait", "wait for its end and print the result")
    .option("--timeout <seconds>", "with --wait: how long", wholeNumberArgument({ min: 1, max: WAIT_SECONDS_MAX }), WAIT_SECONDS)
    .action(async (words: string, { wait, timeout, json, deadline, claim, progress, backoff, budgetTokens, budgetCost, budgetCalls, budgetChildren, budgetSeconds, key, ...named }: SpawnOptions) => {
      const task = words === "-" ? await readAll(cli.terminal) : words;
      const limits = Object.entries({ tokens: budgetTokens, cost: budgetCost, calls: budgetCalls, children: budgetChildren, seconds: budgetSeconds }).filter(([, limit]) => limit !== undefined);
      const budget = limits.length === 0 ? {} : { budget: Object.fromEntries(limits) };
      const gateway = await cli.connect();
      // The events of a child are told in its parent's log, or in its own when it has no parent.
      const after = wait && named.parent !== undefined ? ((await lastSeqOf(gateway, named.parent)) ?? 0) : 0;
      const accepted = await gateway.post<SpawnAccepted>("/api/spawns", { task, ...named, ...budget, ...(claim.length === 0 ? {} : { claims: claim }), deadlineSeconds: deadline, progressSeconds: progress, backoffSeconds: backoff, idempotencyKey: key ?? randomUUID() });
      if (!wait) {
        if (json) sayJson(cli.terminal, accepted);
        else say(cli.terminal, `${accepted.taskId} ${accepted.duplicate ? "was there already" : "accepted"} (${accepted.childSessionKey})`);
        return;
      }
      const ended = await awaitTask(cli, gateway, { session: named.parent ?? accepted.childSessionKey, after, taskId: accepted.taskId, seconds: timeout });
      if (json) sayJson(cli.terminal, { ...accepted, task: ended });
      if (ended.state !== "succeeded") {
        if (json) return cli.fail();
        throw new AnsweredFault(ended.fault ?? { code: "TURN_CANCELLED", message: `task ${ended.taskId} is ${ended.state}`, details: {}, retryable: false });
      }
      if (!json) say(cli.terminal, plain(ended.result ?? ""));
    });
}

function dollarsArgument(text: string): number {
  const value = /^\d{1,7}(\.\d{1,6})?$/.test(text) ? Number(text) : NaN;
  if (!(value <= SPAWN_BUDGET_MAX.cost)) throw new InvalidArgumentError(`It must be a number of US dollars, at most ${SPAWN_BUDGET_MAX.cost}.`);
  return value;
}

function schemaArgument(file: string): JsonObject {
  let schema: Json;
  try {
    schema = parseJson(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new InvalidArgumentError(`${file} cannot be read as JSON: ${(cause as Error).message}`);
  }
  if (!isJsonObject(schema)) throw new InvalidArgumentError(`${file} must hold a JSON object.`);
  return schema;
}
