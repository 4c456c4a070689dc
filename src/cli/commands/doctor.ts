/** `yard doctor`: what is in order here, what is not, and how to mend it. */
import { stat } from "node:fs/promises";
import type { Command } from "commander";
import type { ModelRatingAnswer, ReportAnswer, StatusAnswer } from "../../api/wire.ts";
import { openConfig } from "../../config/config.ts";
import { checkStateDir, configFileIn } from "../../config/state-dir.ts";
import { asJson, type Cli } from "../command.ts";
import { faultOf } from "../failure.ts";
import { sayTable } from "../table.ts";
import { say, sayJson } from "../terminal.ts";
import { isRehearsal, modelText } from "./status.ts";

/** The probes are up to sixteen calls of a model. */
const RATING_TIMEOUT_MS = 600_000;
const NODE_MAJOR_MIN = 24;
/** Older ones have a bug in WAL mode that can damage a database. */
const SQLITE_MIN = [3, 51, 3] as const;

interface Finding {
  readonly check: string;
  readonly level: "ok" | "note" | "bad";
  /** What was found, and for anything but `ok` what to do. */
  readonly text: string;
}

export function register(parent: Command, cli: Cli): void {
  const doctor = asJson(parent.command("doctor").description("look at this installation and say what to mend")).option("--model <model>", "instead, measure how well this model delegates; it is asked about eight times");
  doctor.action(async ({ json, model }: { json?: boolean; model?: string }) => {
    if (model !== undefined) return await rate(cli, model, json === true);
    const findings = [node(), sqlite(), await stateDir(cli), await settings(cli), ...(await gateway(cli))];
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
      { check: "model", level: isRehearsal(status) ? "note" : "ok", text: isRehearsal(status) ? `${modelText(status)}; set ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY, or models.providers` : status.model! },
      { check: "deliveries", level: givenUp > 0 ? "note" : "ok", text: givenUp > 0 ? `${givenUp} results could not be posted to their callback; see "yard tasks deliveries list"` : `${health.undelivered} results wait for their parent or receiver` },
      ...health.denials.map((one): Finding => ({ check: "delegation", level: "note", text: `${one.model} denied ${one.tool} ${one.denied} times though it has it, and used it ${one.mended} times when made to; "yard doctor --model ${one.model}" measures it` })),
    ];
  } catch (thrown) {
    const fault = faultOf(thrown);
    return [{ check: "gateway", level: fault.code === "GATEWAY_NOT_THERE" ? "note" : "bad", text: fault.message }];
  }
}
