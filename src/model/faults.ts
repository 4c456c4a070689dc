/**
 * Every expected refusal, in one table: class, HTTP status, retry advice and docs come from it.
 *
 * A `Fault` is a value for the caller: it says what is wrong, where, and what to do next.
 * A defect of the program itself is a `BrokenInvariant`, never a Fault.
 */
import type { PlanProblem } from "./plan.ts";

/** What the caller should do: mend the request, wait, give up on the thing, or look outside the program. */
export type FaultKind = "caller" | "busy" | "gone" | "outside";

interface FaultEntry<Details> {
  readonly kind: FaultKind;
  readonly httpStatus: number;
  /** True when the same request may succeed later without a change. */
  readonly retryable: boolean;
  readonly text: (details: Details) => string;
}

function fault<Details extends object>(entry: Omit<FaultEntry<Details>, "retryable"> & { retryable?: boolean }): FaultEntry<Details> {
  return { retryable: entry.kind === "busy", ...entry };
}

export const FAULTS = {
  BAD_REQUEST: fault<{ where: string; problem: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ where, problem }) => `${where}: ${problem}`,
  }),
  INVALID_UTF8: fault<{ where: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ where }) => `${where} is not valid UTF-8; encode the text as UTF-8 and send it again`,
  }),
  BODY_TOO_LARGE: fault<{ bytes?: number; bytesMax: number }>({
    kind: "caller",
    httpStatus: 413,
    text: ({ bytes, bytesMax }) => `the request ${bytes === undefined ? "" : `of ${bytes} bytes `}is over the limit of ${bytesMax} bytes; send less, or put the text in a file and name it`,
  }),
  REQUEST_LATE: fault<Record<never, never>>({
    kind: "busy",
    httpStatus: 408,
    text: () => "the request did not arrive in time; send it again, its head within 10 s and all of it within a minute",
  }),
  UNAUTHORIZED: fault<{ reason: string }>({
    kind: "caller",
    httpStatus: 401,
    text: ({ reason }) => `${reason}; send "Authorization: Bearer <token>" with the token that "yard token" prints`,
  }),
  TOO_MANY_GUESSES: fault<{ waitMs: number }>({
    kind: "busy",
    httpStatus: 429,
    text: ({ waitMs }) => `too many wrong tokens; wait ${Math.ceil(waitMs / 1000)} s`,
  }),
  ORIGIN_REFUSED: fault<{ origin: string }>({
    kind: "caller",
    httpStatus: 403,
    text: ({ origin }) => `requests from the origin ${origin} are refused; use the page that this gateway serves itself, or allow the origin in gateway.allowedOrigins`,
  }),
  HOST_REFUSED: fault<{ host: string }>({
    kind: "caller",
    httpStatus: 421,
    text: ({ host }) => `this gateway does not answer to the host name ${host}; use 127.0.0.1 or localhost, or add the name to gateway.allowedHosts`,
  }),
  ROUTE_NOT_FOUND: fault<{ route: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ route }) => `no route ${route}; GET /api/openapi.json lists them`,
  }),
  SESSION_NOT_FOUND: fault<{ session: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ session }) => `no session ${session}; "yard sessions list" shows them`,
  }),
  TASK_NOT_FOUND: fault<{ task: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ task }) => `no task ${task}; "yard tasks list" shows them`,
  }),
  FLOW_NOT_FOUND: fault<{ flow: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ flow }) => `no flow ${flow}; "yard tasks flow list" shows them`,
  }),
  TURN_NOT_FOUND: fault<{ turn: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ turn }) => `no running turn ${turn}; "yard lanes" shows what runs`,
  }),
  AGENT_NOT_FOUND: fault<{ agent: string; known: string; isHarness?: boolean }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ agent, known, isHarness = false }) => `no agent ${agent}; known: ${known}; ${isHarness ? `${agent} is a coding agent, which is spawned with runtime "acp"` : "add it to agents.list"}`,
  }),
  TASK_NOT_FINISHED: fault<{ task: string; state: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ task, state }) => `task ${task} is ${state}; cancel it before you retry it`,
  }),
  TASK_ENDED: fault<{ task: string; state: string }>({
    kind: "gone",
    httpStatus: 409,
    text: ({ task, state }) => `task ${task} has ended (${state}); spawn a new one, or retry it`,
  }),
  SESSION_BUSY: fault<{ session: string; doing: string }>({
    kind: "busy",
    httpStatus: 409,
    text: ({ session, doing }) => `session ${session} is busy (${doing}); try again when it has answered`,
  }),
  QUEUE_REJECTED: fault<{ session: string; etaMs: number }>({
    kind: "busy",
    httpStatus: 409,
    text: ({ session, etaMs }) => `session ${session} is working and its queue mode is "reject"; try again in about ${Math.ceil(etaMs / 1000)} s`,
  }),
  LANE_FULL: fault<{ session: string; queued: number; queuedMax: number }>({
    kind: "busy",
    httpStatus: 429,
    text: ({ session, queued, queuedMax }) => `session ${session} holds ${queued} of ${queuedMax} waiting messages; wait until some are answered, or raise messages.queue.cap`,
  }),
  DRAINING: fault<Record<never, never>>({
    kind: "busy",
    httpStatus: 503,
    text: () => "the gateway is shutting down and takes no new work; send it again after the restart",
  }),
  SPAWN_TOO_DEEP: fault<{ depth: number; depthMax: number }>({
    kind: "caller",
    httpStatus: 403,
    text: ({ depth, depthMax }) => `a child at depth ${depth} would be below agents.defaults.subagents.maxSpawnDepth (${depthMax}); do the work in this session, or raise the setting`,
  }),
  SPAWN_PARENT_GONE: fault<{ session: string }>({
    kind: "gone",
    httpStatus: 409,
    text: ({ session }) => `session ${session} was cancelled or closed and cannot have new children`,
  }),
  FLOW_CANCELLED: fault<{ flow: string }>({
    kind: "gone",
    httpStatus: 409,
    text: ({ flow }) => `flow ${flow} was cancelled and takes no new children; spawn from a later message`,
  }),
  CIRCUIT_OPEN: fault<{ agent: string; category: string; failures: number; seconds: number }>({
    kind: "busy",
    httpStatus: 503,
    text: ({ agent, category, failures, seconds }) => `${failures} children of agent ${agent} for ${JSON.stringify(category)} failed in a row, so no further one is started; try again in ${seconds} s, or spawn it under another category`,
  }),
  CLAIM_TAKEN: fault<{ claim: string; holder: string }>({
    kind: "busy",
    httpStatus: 409,
    text: ({ claim, holder }) => `the claim ${claim} overlaps with what ${JSON.stringify(holder)} holds; wait for its end, claim something else, or spawn with onConflict "wait"`,
  }),
  CLAIM_DEADLOCK: fault<{ claim: string; holder: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ claim, holder }) => `the claim ${claim} would wait for ${JSON.stringify(holder)}, which itself waits for this child's parent; claim something else, or do the work in this session`,
  }),
  CLAIM_OUTSIDE: fault<{ path: string; claims: string }>({
    kind: "caller",
    httpStatus: 403,
    text: ({ path, claims }) => `${path} is outside of what this child claimed (${claims}); change only that, and report what else needs a change`,
  }),
  NOT_IN_TREE: fault<{ session: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ session }) => `no session ${session} among your own children`,
  }),
  SETTING_UNKNOWN: fault<{ key: string; nearest: string | null; where: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ key, nearest, where }) => `${where}: unknown setting ${key}${nearest === null ? "" : `; did you mean ${nearest}?`} ("yard config list" shows all)`,
  }),
  SETTING_INVALID: fault<{ key: string; expected: string; got: string; where: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ key, expected, got, where }) => `${where}: ${key} must be ${expected}, not ${got}`,
  }),
  CONFIG_SYNTAX: fault<{ file: string; line: number; column: number; problem: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ file, line, column, problem }) => `${file}:${line}:${column}: ${problem}; mend the file or move it away to start with the defaults`,
  }),
  STATE_DIR_HELD: fault<{ dir: string; pid: number; url: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ dir, pid, url }) => `${dir} is in use by the gateway with process id ${pid}${url === "" ? "" : ` at ${url}`}; use that one, stop it, or set YARD_HOME to another directory`,
  }),
  STATE_DIR_UNSAFE: fault<{ dir: string; problem: string; remedy: string }>({
    kind: "caller",
    httpStatus: 500,
    text: ({ dir, problem, remedy }) => `${dir} ${problem}; ${remedy}`,
  }),
  PORT_TAKEN: fault<{ host: string; port: number }>({
    kind: "caller",
    httpStatus: 500,
    text: ({ host, port }) => `${host}:${port} is in use by another program; choose another with --port N (0 = any free one) or the setting gateway.port`,
  }),
  BIND_REFUSED: fault<{ host: string }>({
    kind: "caller",
    httpStatus: 500,
    text: ({ host }) => `gateway.host ${host} would open the gateway to the network; set gateway.allowNetwork to true as well if you mean it`,
  }),
  GATEWAY_NOT_THERE: fault<{ url: string }>({
    kind: "outside",
    httpStatus: 502,
    retryable: true,
    text: ({ url }) => `no gateway answers at ${url}; start one with "yard up"`,
  }),
  STORE_NEWER_SCHEMA: fault<{ file: string; found: number; known: number }>({
    kind: "caller",
    httpStatus: 500,
    text: ({ file, found, known }) => `${file} was written by a newer yardmaster (schema ${found}, this one knows ${known}); install the newer version`,
  }),
  STORE_LIBRARY_UNSAFE: fault<{ version: string }>({
    kind: "outside",
    httpStatus: 500,
    text: ({ version }) => `the SQLite library ${version} can corrupt a database in WAL mode; use a Node with SQLite 3.51.3 or newer (or 3.50.7, 3.44.6)`,
  }),
  STORE_CORRUPT: fault<{ file: string; problem: string }>({
    kind: "outside",
    httpStatus: 500,
    text: ({ file, problem }) => `${file} is damaged (${problem}); nothing was changed; "yard doctor" says more, and "yard doctor --repair" puts the last good backup in its place`,
  }),
  STORE_IO: fault<{ file: string; problem: string }>({
    kind: "outside",
    httpStatus: 500,
    retryable: true,
    text: ({ file, problem }) => `the disk under ${file} failed (${problem}); what was not acknowledged may be lost, and the gateway stops; look at the disk, then start it again`,
  }),
  DISK_FULL: fault<{ problem: string }>({
    kind: "busy",
    httpStatus: 507,
    text: ({ problem }) => `the disk refused a write (${problem}); nothing was accepted; free some space and send it again`,
  }),
  STORE_FAILED: fault<{ problem: string }>({
    kind: "outside",
    httpStatus: 500,
    retryable: true,
    text: ({ problem }) => `the store failed (${problem}); nothing was written`,
  }),
  MODEL_UNKNOWN: fault<{ model: string; known: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ model, known }) => `no model ${model}; known providers: ${known}; name a model as <provider>/<model>, and set up providers under models.providers`,
  }),
  PROVIDER_AUTH: fault<{ provider: string; status: number }>({
    kind: "outside",
    httpStatus: 502,
    text: ({ provider, status }) => `${provider} refused the credential (${status}); check models.providers.${provider}.apiKey or its environment variable`,
  }),
  PROVIDER_QUOTA: fault<{ provider: string; problem: string }>({
    kind: "outside",
    httpStatus: 502,
    text: ({ provider, problem }) => `${provider} says the account has no credit left (${problem}); add credit or choose another model`,
  }),
  PROVIDER_RATE_LIMITED: fault<{ provider: string; waitedMs: number }>({
    kind: "outside",
    httpStatus: 503,
    retryable: true,
    text: ({ provider, waitedMs }) => `${provider} went on refusing for rate limits after ${Math.round(waitedMs / 1000)} s of waiting; try again later or lower agents.defaults.maxConcurrent`,
  }),
  PROVIDER_OVERLOADED: fault<{ provider: string; status: number }>({
    kind: "outside",
    httpStatus: 503,
    retryable: true,
    text: ({ provider, status }) => `${provider} is overloaded or failing (${status}) and did not recover in time; try again later`,
  }),
  PROVIDER_UNREACHABLE: fault<{ provider: string; problem: string }>({
    kind: "outside",
    httpStatus: 502,
    retryable: true,
    text: ({ provider, problem }) => `${provider} cannot be reached (${problem}); check the network and models.providers.${provider}.baseUrl`,
  }),
  PROVIDER_REJECTED: fault<{ provider: string; status: number; problem: string }>({
    kind: "outside",
    httpStatus: 502,
    text: ({ provider, status, problem }) => `${provider} rejected the request (${status}: ${problem}); check the model's name and what it can take`,
  }),
  PROVIDER_MODEL_MISSING: fault<{ provider: string; status: number; problem: string }>({
    kind: "outside",
    httpStatus: 502,
    text: ({ provider, status, problem }) => `${provider} does not have this model (${status}: ${problem}); check the model's name and models.providers.${provider}.baseUrl`,
  }),
  PROVIDER_BROKEN_STREAM: fault<{ provider: string; problem: string }>({
    kind: "outside",
    httpStatus: 502,
    retryable: true,
    text: ({ provider, problem }) => `${provider} sent an answer that cannot be read (${problem})`,
  }),
  PROVIDER_TIMED_OUT: fault<{ provider: string; deadline: string; ms: number }>({
    kind: "outside",
    httpStatus: 504,
    retryable: true,
    text: ({ provider, deadline, ms }) => `${provider} missed the ${deadline} deadline of ${Math.round(ms / 1000)} s`,
  }),
  CONTEXT_TOO_LONG: fault<{ provider: string; problem: string }>({
    kind: "outside",
    httpStatus: 502,
    text: ({ provider, problem }) => `the conversation no longer fits the model of ${provider} (${problem}); use /reset, or a model with a larger window`,
  }),
  TURN_TIMED_OUT: fault<{ seconds: number }>({
    kind: "gone",
    httpStatus: 504,
    text: ({ seconds }) => `the turn reached its limit of ${seconds} s and was ended`,
  }),
  TURN_STALLED: fault<{ seconds: number }>({
    kind: "gone",
    httpStatus: 504,
    text: ({ seconds }) => `the turn made no progress for ${seconds} s and was ended`,
  }),
  TURN_TOO_MANY_STEPS: fault<{ steps: number }>({
    kind: "gone",
    httpStatus: 500,
    text: ({ steps }) => `the turn was ended after ${steps} model calls without coming to an answer`,
  }),
  TURN_POISONED: fault<{ attempts: number }>({
    kind: "gone",
    httpStatus: 500,
    text: ({ attempts }) => `the gateway died ${attempts} times in a row while it worked on this without getting further, so it was set aside`,
  }),
  WORK_STALE: fault<{ by: string }>({
    kind: "gone",
    httpStatus: 410,
    text: ({ by }) => `ended by ${by}; ask again if it is still wanted`,
  }),
  SAFE_MODE: fault<{ deaths: number }>({
    kind: "busy",
    httpStatus: 503,
    text: ({ deaths }) =>
      `the gateway died ${deaths} times in a row before it got anything done, so it only shows and stops things now, and begins nothing; stop what is to blame, then stop the gateway and start it again`,
  }),
  TURN_CANCELLED: fault<{ by: string }>({
    kind: "gone",
    httpStatus: 409,
    text: ({ by }) => `cancelled by ${by}`,
  }),
  CHILD_EMPTY: fault<Record<never, never>>({
    kind: "gone",
    httpStatus: 500,
    text: () => "the child ended without any output",
  }),
  CHILD_TIMED_OUT: fault<{ seconds: number }>({
    kind: "gone",
    httpStatus: 504,
    text: ({ seconds }) => `the child reached its deadline of ${seconds} s`,
  }),
  CHILD_STALLED: fault<{ seconds: number }>({
    kind: "gone",
    httpStatus: 504,
    text: ({ seconds }) => `the child brought nothing new for ${seconds} s`,
  }),
  PATH_REFUSED: fault<{ path: string; problem: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ path, problem }) => `${path}: ${problem}`,
  }),
  TOOL_INPUT: fault<{ tool: string; problem: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ tool, problem }) => `${tool}: ${problem}`,
  }),
  ADDRESS_REFUSED: fault<{ url: string; problem: string }>({
    kind: "caller",
    httpStatus: 403,
    text: ({ url, problem }) => `${url}: ${problem}`,
  }),
  WRONG_USE: fault<{ problem: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ problem }) => problem,
  }),
  TOO_MANY_AT_ONCE: fault<{ what: string; max: number }>({
    kind: "busy",
    httpStatus: 429,
    text: ({ what, max }) => `there are ${max} ${what} already; close some, or wait until some have ended`,
  }),
  WAIT_TIMED_OUT: fault<{ what: string; seconds: number; look: string }>({
    kind: "gone",
    httpStatus: 504,
    text: ({ what, seconds, look }) => `${what} did not end within ${seconds} s; it goes on: see "${look}"`,
  }),
  INTERNAL: fault<{ problem: string }>({
    kind: "outside",
    httpStatus: 500,
    text: ({ problem }) => `the gateway has a defect: ${problem}`,
  }),
  PROVIDER_NO_KEY: fault<{ provider: string; variable: string }>({
    kind: "caller",
    httpStatus: 502,
    text: ({ provider, variable }) => `${provider} has no key: the environment variable ${variable} is not set; set it and start the gateway again, or put the key in models.providers.${provider}.apiKey`,
  }),
  BUDGET_EXHAUSTED: fault<{ scope: string; unit: string; limit: number; used: number }>({
    kind: "gone",
    httpStatus: 402,
    text: ({ scope, unit, limit, used }) => `the ${scope} budget has no room for more: ${used} of ${limit} ${unit} are used, and the rest is reserved or too little; ${scope === "task" ? "spawn with a larger budget" : `raise budgets.${scope}.*`}`,
  }),
  BUDGET_TOO_LARGE: fault<{ unit: string; asked: number; left: number }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ unit, asked, left }) => `a budget of ${asked} ${unit} does not fit: ${left} are left above it; ask for less`,
  }),
  BUDGET_PRICE_UNKNOWN: fault<{ model: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ model }) => `nobody knows what ${model} costs, so a budget of money cannot hold it; set its price in models.prices, or limit tokens instead`,
  }),
  RESULT_INVALID: fault<{ problems: string }>({
    kind: "gone",
    httpStatus: 500,
    text: ({ problems }) => `the child's result does not fit its outputSchema, also after one correction: ${problems}`,
  }),
  SIMULATION_BUSY: fault<{ seconds: number }>({
    kind: "busy",
    httpStatus: 429,
    text: ({ seconds }) => `another simulation runs, and there is one at a time; it ends within ${seconds} s, so ask again then`,
  }),
  JOB_NOT_FOUND: fault<{ job: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ job }) => `no job ${job}; "yard jobs list" shows them`,
  }),
  JOB_NAME_TAKEN: fault<{ name: string; job: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ name, job }) => `the job ${job} is already called ${name}; choose another name, or change that one`,
  }),
  JOB_FROM_CONFIG: fault<{ job: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ job }) => `job ${job} is written in jobs.list; change it there, or pause it`,
  }),
  JOB_BUILT_IN: fault<{ job: string; setting: string | null }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ job, setting }) => `${job} belongs to the gateway and stays as it is; ${setting === null ? "it can be run, and how often it does is fixed" : `the setting ${setting} says how often it runs`}`,
  }),
  JOBS_FULL: fault<{ jobsMax: number }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ jobsMax }) => `there are ${jobsMax} jobs already; remove some with "yard jobs remove"`,
  }),
  JOB_TARGET_GONE: fault<{ target: string }>({
    kind: "gone",
    httpStatus: 409,
    text: ({ target }) => `no session ${target} to run in; change the target of the job, or give a session that label`,
  }),
  HOOK_REFUSED: fault<{ hook: string; problem: string }>({
    kind: "caller",
    httpStatus: 401,
    text: ({ hook, problem }) => `hook ${hook}: ${problem}`,
  }),
  HOOK_TOO_OFTEN: fault<{ hook: string; perMinute: number }>({
    kind: "busy",
    httpStatus: 429,
    text: ({ hook, perMinute }) => `hook ${hook} was called over ${perMinute} times within a minute; wait, or raise perMinute in hooks.list`,
  }),
  SIMULATION_TOO_LONG: fault<{ seconds: number }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ seconds }) => `the simulation was ended after ${seconds} s or for its size; ask for fewer customers, messages, children or runs, or run it with "yard simulate"`,
  }),
  WEBHOOK_NOT_DELIVERED: fault<{ label: string; problem: string; attempts: number; delivery: string }>({
    kind: "outside",
    httpStatus: 502,
    text: ({ label, problem, attempts, delivery }) => `the result of "${label}" could not be posted to its callback (${problem}; ${attempts} attempts); it stands in the task, and "yard tasks deliveries retry ${delivery}" sends it again`,
  }),
  DELIVERY_NOT_FOUND: fault<{ delivery: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ delivery }) => `no delivery ${delivery}; "yard tasks deliveries list" shows them`,
  }),
  DELIVERY_NOT_OVER: fault<{ delivery: string; state: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ delivery, state }) => `delivery ${delivery} is ${state}; only one that was rejected, or whose outcome is unknown, can be sent again`,
  }),
  BACKUP_FAILED: fault<{ folder: string; problem: string }>({
    kind: "busy",
    httpStatus: 507,
    text: ({ folder, problem }) => `no backup was written to ${folder} (${problem}); the older ones are untouched; mend that and run "yard backup"`,
  }),
  BACKUP_MISSING: fault<{ folder: string; tried: number }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ folder, tried }) => `there is no good backup in ${folder} (${tried} looked at); nothing was changed; move yard.sqlite and the files beside it away to start anew without what they held`,
  }),
  TOKEN_NOT_FOUND: fault<{ token: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ token }) => `no token ${token} ("yard token --list" shows them)`,
  }),
  TOOL_UNKNOWN: fault<{ tool: string; known: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ tool, known }) => `no tool ${tool}; this session may call: ${known === "" ? "none" : known}`,
  }),
  PROXY_NO_PROVIDER: fault<{ family: string; model: string; known: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ family, model, known }) => `no provider for ${model === "" ? `/proxy/${family}` : `${model} at /proxy/${family}`}; providers that speak this API: ${known === "" ? "none" : known}; set one up under models.providers`,
  }),
  ACP_DISABLED: fault<object>({
    kind: "caller",
    httpStatus: 409,
    text: () => "coding agents of others are switched off; set acp.enabled to true",
  }),
  ACP_AGENT_UNKNOWN: fault<{ agent: string; known: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ agent, known }) => `no coding agent ${agent}; known: ${known || "none"}; add it to acp.agents with its command`,
  }),
  ACP_BACKEND_MISSING: fault<{ agent: string; command: string; install: string }>({
    kind: "outside",
    httpStatus: 424,
    text: ({ agent, command, install }) => `the coding agent ${agent} is not on this machine (no program ${command}); ${install || `install it, or name its command in acp.agents.${agent}.command`}`,
  }),
  ACP_SESSION_INIT_FAILED: fault<{ agent: string; problem: string; hint: string }>({
    kind: "outside",
    httpStatus: 502,
    text: ({ agent, problem, hint }) => `ACP_SESSION_INIT_FAILED: ${agent} could not start: ${problem}${hint === "" ? "" : `; ${hint}`}; "yard acp doctor" looks for the cause`,
  }),
  ACP_TURN_FAILED: fault<{ agent: string; problem: string }>({
    kind: "outside",
    httpStatus: 502,
    text: ({ agent, problem }) => `ACP_TURN_FAILED: ${agent} ${problem}; say it again, or close the session and start a new one`,
  }),
  ACP_BUDGET_UNKEPT: fault<{ agent: string; unit: string; whose: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ agent, unit, whose }) => `${agent} calls models by itself, so ${whose} of ${unit} could not be kept; set acp.agents.${agent}.proxy to true, or limit it by deadlineSeconds and budget.children instead`,
  }),
  ACP_WORKSPACE_UNTRUSTED: fault<{ agent: string; cwd: string; files: string }>({
    kind: "caller",
    httpStatus: 403,
    text: ({ agent, cwd, files }) => `${cwd} holds ${files}, by which ${agent} would run commands or change its settings; look at them, then add the folder to acp.trustedWorkspaces, or remove them`,
  }),
  ACP_SANDBOX_MISSING: fault<{ agent: string; why: string }>({
    kind: "outside",
    httpStatus: 424,
    text: ({ agent, why }) => `${agent} is not started: acp.sandbox is required, and there is none (${why}); "yard acp doctor" says what is missing`,
  }),
  ACP_NO_MEMORY: fault<{ agent: string; needsMb: number; availableMb: number }>({
    kind: "busy",
    httpStatus: 503,
    text: ({ agent, needsMb, availableMb }) => `${agent} needs ${needsMb} MB and the machine has ${availableMb} MB free; close another coding agent, or lower acp.memoryReserveMb`,
  }),
  ACP_NO_SUCH_OPTION: fault<{ agent: string; what: string; value: string; known: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ agent, what, value, known }) => `${agent} has no ${what} ${value}; it has: ${known || "none"}`,
  }),
  ACP_MODE_REFUSED: fault<{ mode: string }>({
    kind: "caller",
    httpStatus: 403,
    text: ({ mode }) => `in the mode ${mode} nothing is asked about; that needs acp.permissionMode approve-all and acp.allowUnsandboxed`,
  }),
  NOT_A_REPOSITORY: fault<{ folder: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ folder }) => `${folder} is in no git repository that the gateway may read; name a folder inside a checkout that belongs to the gateway's user`,
  }),
  GIT_MISSING: fault<{ needed: string; found: string }>({
    kind: "outside",
    httpStatus: 503,
    text: ({ needed, found }) => `workspaces, merges and plans need git ${needed} or newer on the gateway's PATH; found: ${found}`,
  }),
  GIT_FAILED: fault<{ command: string; problem: string }>({
    kind: "outside",
    httpStatus: 502,
    text: ({ command, problem }) => `git ${command} failed: ${problem}`,
  }),
  WORKSPACE_NOT_FOUND: fault<{ workspace: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ workspace }) => `no workspace ${workspace}; "yard workspaces list" shows those there are`,
  }),
  WORKSPACE_LIMIT: fault<{ count: number; max: number }>({
    kind: "busy",
    httpStatus: 429,
    text: ({ count, max }) => `${count} of ${max} workspaces are there; remove one with "yard workspaces remove", or raise workspaces.max`,
  }),
  WORKSPACE_DISK: fault<{ freeBytes: number; minBytes: number }>({
    kind: "busy",
    httpStatus: 507,
    text: ({ freeBytes, minBytes }) => `only ${freeBytes} bytes are free for workspaces, and workspaces.freeBytesMin asks for ${minBytes}; remove some with "yard workspaces remove"`,
  }),
  WORKSPACE_SETUP_FAILED: fault<{ workspace: string; problem: string }>({
    kind: "outside",
    httpStatus: 502,
    text: ({ workspace, problem }) => `workspace ${workspace} could not be set up: ${problem}`,
  }),
  WORKSPACE_STATE: fault<{ workspace: string; state: string; needed: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ workspace, state, needed }) => `workspace ${workspace} is ${state}, and this needs one that is ${needed}`,
  }),
  WORKSPACE_FENCED: fault<{ workspace: string; epoch: number; current: number }>({
    kind: "gone",
    httpStatus: 409,
    text: ({ workspace, epoch, current }) => `workspace ${workspace} was handed over: epoch ${epoch} is over, ${current} holds it now; what the old holder did is not merged`,
  }),
  CLAIM_BAD: fault<{ claim: string; problem: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ claim, problem }) => `the claim ${JSON.stringify(claim)} ${problem}`,
  }),
  CLAIM_HELD: fault<{ claim: string; workspace: string; label: string }>({
    kind: "busy",
    httpStatus: 409,
    text: ({ claim, workspace, label }) => `${claim} is claimed by workspace ${workspace} (${label}); wait until it has landed, or divide the paths`,
  }),
  CLAIM_PLANNED: fault<{ claim: string; task: string; title: string }>({
    kind: "busy",
    httpStatus: 409,
    text: ({ claim, task, title }) => `${claim} belongs to the task ${task} (${title}) of the same plan, which is not merged yet; leave it to that one, or say that you are stuck`,
  }),
  MERGE_NOT_FOUND: fault<{ merge: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ merge }) => `no merge ${merge}; "yard merges list" shows those there are`,
  }),
  MERGE_IN_LINE: fault<{ workspace: string; merge: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ workspace, merge }) => `workspace ${workspace} is in line already, as ${merge}`,
  }),
  MERGE_STATE: fault<{ merge: string; state: string; needed: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ merge, state, needed }) => `${merge} is ${state}, and this needs one that is ${needed}`,
  }),
  MERGE_NOTHING: fault<{ workspace: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ workspace }) => `workspace ${workspace} holds nothing that its target has not`,
  }),
  MERGE_TARGET_UNKNOWN: fault<{ onto: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ onto }) => `there is no branch ${onto} to merge onto; make it first, or name another`,
  }),
  MERGE_OUTSIDE_CLAIM: fault<{ paths: string; claims: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ paths, claims }) => `changed outside of the claim (${claims}): ${paths}; take these changes back, or widen the claim, then retry`,
  }),
  MERGE_FLAGGED: fault<{ paths: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ paths }) => `a person must look at these first: ${paths}; then "yard merges retry --allow-flagged"`,
  }),
  MERGE_REPOSITORY_CHANGED: fault<{ changes: string }>({
    kind: "outside",
    httpStatus: 409,
    text: ({ changes }) => `settings of the repository changed since the workspace was made: ${changes}; look at them, then "yard merges retry --allow-flagged"`,
  }),
  MERGE_TESTS_RED: fault<{ command: string; exitCode: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ command, exitCode }) => `${command} ended with ${exitCode} on the merged result; "yard merges show" has its output`,
  }),
  MERGE_CONFLICT: fault<{ paths: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ paths }) => `conflicts in ${paths}; "yard merges show" has both sides; mend them in the workspace, then "yard merges retry"`,
  }),
  MERGE_TARGET_DIRTY: fault<{ dir: string; onto: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ dir, onto }) => `${onto.replace("refs/heads/", "")} is checked out in ${dir} with changes that are not committed; commit or stash them, then "yard merges retry", or "yard plan resume" for a plan`,
  }),
  MERGE_MOVING_TARGET: fault<{ onto: string; attempts: number }>({
    kind: "outside",
    httpStatus: 409,
    text: ({ onto, attempts }) => `after ${attempts} attempts ${onto} did not stand still, or the gateway was stopped each time; "yard merges retry" begins again`,
  }),
  APPROVAL_NOT_FOUND: fault<{ approval: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ approval }) => `nothing named ${approval} is to be approved here; "yard approvals list" shows what waits`,
  }),
  APPROVAL_ENDED: fault<{ approval: string; state: string; by: string }>({
    kind: "gone",
    httpStatus: 409,
    text: ({ approval, state, by }) => `${approval} is ${state} already (by ${by}); an approval is answered once, so wait until it is asked again`,
  }),
  PLAN_INVALID: fault<{ file: string; problems: readonly PlanProblem[] }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ file, problems }) => (Array.isArray(problems) ? problems.map((one: PlanProblem) => `${one.file}:${one.line}: ${one.what}; ${one.mend}`).join("\n") : `${file}:<line>: <what>; <mend>`),
  }),
  PLAN_NOT_FOUND: fault<{ plan: string }>({
    kind: "caller",
    httpStatus: 404,
    text: ({ plan }) => `no plan ${plan}; "yard plan list" shows them`,
  }),
  PLAN_FILE_UNREADABLE: fault<{ file: string; reason: string }>({
    kind: "caller",
    httpStatus: 400,
    text: ({ file, reason }) => `the plan ${file} cannot be read (${reason}); name a PLAN.md or plan.yaml`,
  }),
  PLAN_NOT_WAITING: fault<{ plan: string; what: string; state: string }>({
    kind: "caller",
    httpStatus: 409,
    text: ({ plan, what, state }) => `${plan} does not wait for ${what}: it is ${state}; "yard plan status ${plan}" shows what it waits for`,
  }),
} as const;

export type FaultCode = keyof typeof FAULTS;
export type FaultDetails<Code extends FaultCode> = Parameters<(typeof FAULTS)[Code]["text"]>[0];

/** A fault as it travels: in HTTP answers, events, rows and between threads. */
export interface FaultRecord {
  readonly code: FaultCode;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
}

export class Fault<Code extends FaultCode = FaultCode> extends Error {
  override readonly name = "Fault";
  readonly code: Code;
  readonly details: FaultDetails<Code>;
  readonly retryAfterMs: number | undefined;

  constructor(code: Code, details: FaultDetails<Code>, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super((FAULTS[code].text as (details: FaultDetails<Code>) => string)(details), { cause: options.cause });
    this.code = code;
    this.details = details;
    this.retryAfterMs = options.retryAfterMs;
  }

  get kind(): FaultKind {
    return FAULTS[this.code].kind;
  }
  get httpStatus(): number {
    return FAULTS[this.code].httpStatus;
  }
  get retryable(): boolean {
    return FAULTS[this.code].retryable;
  }

  toRecord(): FaultRecord {
    return {
      code: this.code,
      message: this.message,
      details: { ...this.details },
      retryable: this.retryable,
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
    };
  }

  /** Back from its record, e.g. on the other side of a thread or a socket. */
  static fromRecord(record: FaultRecord): Fault {
    const options = record.retryAfterMs === undefined ? {} : { retryAfterMs: record.retryAfterMs };
    return new Fault(record.code, record.details as FaultDetails<FaultCode>, options);
  }
}

/** What to show for anything that was thrown; a defect becomes INTERNAL and keeps its cause for the log. */
export function asFault(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  const problem = thrown instanceof Error ? thrown.message : String(thrown);
  return new Fault("INTERNAL", { problem }, { cause: thrown });
}
