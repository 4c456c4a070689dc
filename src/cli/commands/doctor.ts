/**
 * `yard doctor`: what is in order here, what is not, and how to mend it.
 *
 * The database of a running gateway is looked at by that gateway; without one, in this process, under
 * the lock that a gateway would take.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import type { ApiBackup, ApiCheckup, ApiToolServer, ModelRatingAnswer, ReportAnswer, StatusAnswer, ToolServerList } from "../../api/wire.ts";
import { openConfig } from "../../config/config.ts";
import { checkStateDir, configFileIn } from "../../config/state-dir.ts";
import { asJson, type Cli } from "../command.ts";
import { Fault } from "../../model/faults.ts";
import { faultOf, wrongUse } from "../failure.ts";
import { securityFindings, type Finding } from "../security-findings.ts";
import { duration, sayTable, size } from "../table.ts";
import { isInteractive, say, sayJson } from "../terminal.ts";
import { isRehearsal, modelText } from "./status.ts";

/** The probes are up to sixteen calls of a model. */
const RATING_TIMEOUT_MS = 600_000;
const NODE_MAJOR_MIN = 24;
/** Older ones have a bug in WAL mode that can damage a database. */
const SQLITE_MIN = [3, 51, 3] as const;

interface DoctorOptions {
  readonly json?: boolean;
  readonly model?: string;
  readonly security?: boolean;
  readonly repair?: boolean;
  readonly yes?: boolean;
}

export function register(parent: Command, cli: Cli): void {
  asJson(parent.command("doctor").description("look at this installation and say what to mend"))
    .option("--model <model>", "instead, measure how well this model delegates; it is asked about eight times")
    .option("--security", "instead, look at who can read and reach this installation, and which doors its settings open")
    .option("--repair", "put the last good backup in the place of a damaged database")
    .option("--yes", "with --repair: do it without asking")
    .action(async ({ json, model, security, repair: isRepair, yes }: DoctorOptions) => {
      if (model !== undefined) return rate(cli, model, json === true);
      if (isRepair) return repair(cli, { json: json === true, yes: yes === true });
      const findings = security ? await securityFindings(cli) : [node(), sqlite(), await stateDir(cli), await settings(cli), ...(await gateway(cli))];
      if (json) sayJson(cli.terminal, { findings });
      else sayTable(cli.terminal, ["", "check", "found"], findings.map(({ level, check, text }) => [level, check, text]), "");
      if (findings.some(({ level }) => level === "bad")) cli.fail();
    });
}

const RATINGS: Readonly<Record<ModelRatingAnswer["rating"], string>> = {
  good: "it delegates by itself",
  usable: "it delegates when the gateway makes it; expect a second model call at times",
  poor: "do not let it orchestrate; it is still good for children's work",
};

async function rate(cli: Cli, model: string, json: boolean): Promise<void> {
  const answer = await (await cli.connect()).post<ModelRatingAnswer>("/api/models/rate", { model }, RATING_TIMEOUT_MS);
  if (json) sayJson(cli.terminal, answer);
  else {
    const how = (probe: ModelRatingAnswer["probes"][number]): string => (probe.passed ? "passed" : probe.mended ? "when made to" : probe.denied ? "denied its tool" : "did not delegate");
    sayTable(cli.terminal, ["probe", "result", "children", "took", "said"], answer.probes.map((probe) => [probe.name, how(probe), `${probe.children} of ${probe.childrenMin}`, `${probe.ms} ms`, probe.text]), "");
    say(cli.terminal, `\n${answer.model}: ${answer.rating}; ${RATINGS[answer.rating]}`);
  }
  if (answer.rating === "poor") cli.fail();
}

function node(): Finding {
  const { node: version } = process.versions;
  const ok = Number(version.split(".")[0]) >= NODE_MAJOR_MIN;
  return { check: "node", level: ok ? "ok" : "bad", text: ok ? version : `${version}; install Node ${NODE_MAJOR_MIN} or newer` };
}

function sqlite(): Finding {
  const version = process.versions.sqlite ?? "none";
  const parts = version.split(".").map(Number);
  const first = SQLITE_MIN.findIndex((least, index) => parts[index] !== least);
  const ok = first === -1 || parts[first]! > SQLITE_MIN[first]!;
  return { check: "sqlite", level: ok ? "ok" : "bad", text: ok ? version : `${version}; update Node: this one's SQLite is older than ${SQLITE_MIN.join(".")}` };
}

async function stateDir(cli: Cli): Promise<Finding> {
  const check = "state directory";
  if ((await stat(cli.home).catch(() => null)) === null) return { check, level: "note", text: `${cli.home} is not there yet; the first "yard up" makes it` };
  try {
    await checkStateDir(cli.home);
    return { check, level: "ok", text: cli.home };
  } catch (thrown) {
    return { check, level: "bad", text: faultOf(thrown).message };
  }
}

async function settings(cli: Cli): Promise<Finding> {
  const check = "settings";
  const file = configFileIn(cli.home);
  if ((await stat(cli.home).catch(() => null)) === null) return { check, level: "ok", text: "none yet, so the fallbacks hold" };
  try {
    const config = await openConfig({ home: cli.home, environment: cli.environment });
    const count = config.all().filter(({ isSet }) => isSet).length;
    return { check, level: "ok", text: count === 0 ? "none set, so the fallbacks hold" : `${count} set in ${file}` };
  } catch (thrown) {
    return { check, level: "bad", text: faultOf(thrown).message };
  }
}

async function gateway(cli: Cli): Promise<readonly Finding[]> {
  try {
    const client = await cli.connect();
    const status = await client.get<StatusAnswer>("/api/status");
    const { health } = await client.get<ReportAnswer>("/api/report", { days: 1 });
    const givenUp = (health.deliveries["rejected"] ?? 0) + (health.deliveries["unknown"] ?? 0);
    return [
      { check: "gateway", level: "ok", text: `${client.url}, version ${status.version}, process ${status.pid}` },
      disk(status),
      ...database(await client.get<ApiCheckup>("/api/integrity")),
      backups((await client.get<{ backups: ApiBackup[] }>("/api/backups")).backups, cli.clock.now()),
      ...toolServers((await client.get<ToolServerList>("/api/mcp/servers")).servers),
      { check: "model", level: isRehearsal(status) ? "note" : "ok", text: isRehearsal(status) ? `${modelText(status)}; set ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY, or models.providers` : status.model! },
      { check: "deliveries", level: givenUp > 0 ? "note" : "ok", text: givenUp > 0 ? `${givenUp} results could not be posted to their callback; see "yard tasks deliveries list"` : `${health.undelivered} results wait for their parent or receiver` },
      ...health.denials.map((one): Finding => ({ check: "delegation", level: "note", text: `${one.model} denied ${one.tool} ${one.denied} times though it has it, and used it ${one.mended} times when made to; "yard doctor --model ${one.model}" measures it` })),
    ];
  } catch (thrown) {
    const fault = faultOf(thrown);
    if (fault.code !== "GATEWAY_NOT_THERE") return [{ check: "gateway", level: "bad", text: fault.message }];
    return [{ check: "gateway", level: "note", text: fault.message }, ...(await restingDatabase(cli))];
  }
}

function disk({ disk: state }: StatusAnswer): Finding {
  return state === "good" ? { check: "disk", level: "ok", text: "takes writes" } : { check: "disk", level: "bad", text: `is ${state}, so nothing new is taken in; free some space and it goes on by itself` };
}

/** Without a gateway. */
async function restingDatabase(cli: Cli): Promise<readonly Finding[]> {
  if ((await stat(join(cli.home, "yard.sqlite")).catch(() => null)) === null) return [];
  try {
    const { examineState } = await import("../../home.ts");
    return database((await examineState(cli.home)).checkup!);
  } catch (thrown) {
    return [{ check: "database", level: "bad", text: faultOf(thrown).message }];
  }
}

function database({ file, problems, fileBytes, logBytes, tookMs }: ApiCheckup): Finding[] {
  const check = "database";
  if (problems.length === 0) return [{ check, level: "ok", text: `${size(fileBytes)} and ${size(logBytes)} of log; structure, references and invariants hold (${tookMs} ms)` }];
  const isDamaged = problems.some((problem) => problem.startsWith("file: "));
  const remedy = isDamaged ? 'stop the gateway and run "yard doctor --repair"' : "keep a copy of the state directory and report it; the gateway goes on meanwhile";
  return problems.map((problem) => ({ check, level: "bad", text: `${file}: ${problem}; ${remedy}` }));
}

function backups(found: readonly ApiBackup[], now: number): Finding {
  const [newest] = found;
  if (newest === undefined) return { check: "backups", level: "note", text: 'none yet; "yard backup" makes one' };
  return { check: "backups", level: "ok", text: `${found.length}, the newest ${duration(now - newest.at)} old` };
}

function toolServers(servers: readonly ApiToolServer[]): readonly Finding[] {
  return servers.map(({ id, state, problem, tools, reach }): Finding => {
    const check = `tool server ${id}`;
    if (state === "broken") return { check, level: "bad", text: `${problem}; mend mcp.servers.${id}, or take it out` };
    const loose = reach.via === "stdio" && isLoose(reach.command) ? "; its command takes whatever version is newest: name one, as in package@1.2.3" : "";
    return { check, level: loose === "" ? "ok" : "note", text: `${state === "ready" ? `${tools.length} tools` : state}${loose}` };
  });
}

/** True for a command that fetches a package without naming its version. */
function isLoose([program = "", ...args]: readonly string[]): boolean {
  const fetched = /(^|\/)(npx|bunx|uvx|pnpx)$/.test(program) ? args.find((word) => !word.startsWith("-")) : undefined;
  return fetched !== undefined && !/.[@=]+\d/.test(fetched);
}

// ── repair ──────────────────────────────────────────────────────────────────────────────────

/** @throws {Fault} STATE_DIR_HELD, BACKUP_MISSING, WRONG_USE, STORE_*, DISK_FULL */
async function repair(cli: Cli, { json, yes }: { json: boolean; yes: boolean }): Promise<void> {
  const { terminal, clock, home } = cli;
  const { examineState, restoreState } = await import("../../home.ts");
  const { checkup, backup, tried, backupFolder } = await examineState(home);
  if (checkup !== null && checkup.problems.length === 0) {
    return json ? sayJson(terminal, { repaired: false, problems: [] }) : say(terminal, "the database is in order; there is nothing to repair");
  }
  if (backup === null) throw new Fault("BACKUP_MISSING", { folder: backupFolder, tried });
  const problems = checkup?.problems ?? ["file: it is not there"];
  const last = checkup === null ? null : (await stat(checkup.file)).mtimeMs;
  const lost = `what happened after ${new Date(backup.at).toISOString()}${last === null ? "" : ` (up to ${new Date(Math.max(last, backup.at)).toISOString()})`} is lost, and what was unfinished then is stopped`;
  if (!json) for (const text of [...problems, `the last good backup is ${backup.name}: ${lost}`]) say(terminal, text);
  if (!yes) {
    if (json || !isInteractive(terminal)) wrongUse("nothing was changed; say --yes to put the backup in place without being asked");
    if (!(await agrees(cli, `put it in place? It was made ${duration(clock.now() - backup.at)} ago. [y/N] `))) return say(terminal, "nothing was changed");
  }
  const aside = await restoreState(home, backup);
  if (json) sayJson(terminal, { repaired: true, problems, backup, aside });
  else say(terminal, `done; the damaged files are kept in ${aside}; start the gateway with "${cli.program} up"`);
}

async function agrees({ terminal }: Cli, question: string): Promise<boolean> {
  const lines = createInterface({ input: terminal.input, output: terminal.output });
  try {
    return /^y(es)?$/i.test((await lines.question(question)).trim());
  } finally {
    lines.close();
  }
}
