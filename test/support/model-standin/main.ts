/** Runs the stand-in as a process of its own: prints `{"port","pid"}` and serves until it is ended. */
import { parseArgs } from "node:util";
import { duration } from "./script.ts";
import { startStandin, type StandinOptions } from "./standin.ts";

const HELP = `node main.ts [--port 0] [--host 127.0.0.1] [--log FILE] [--first 200ms] [--total 1s]
             [--rpm N] [--tpm N] [--in-flight N] [--strict] [--key KEY]... [--reply TEXT]
See README.md for the script language and the control routes.`;

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    host: { type: "string", default: "127.0.0.1" },
    log: { type: "string" },
    first: { type: "string", default: "0" },
    total: { type: "string", default: "0" },
    rpm: { type: "string", default: "0" },
    tpm: { type: "string", default: "0" },
    "in-flight": { type: "string", default: "0" },
    strict: { type: "boolean", default: false },
    key: { type: "string", multiple: true, default: [] },
    reply: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  console.log(HELP);
} else {
  const options: StandinOptions = {
    port: Number(values.port),
    host: values.host,
    firstByteMs: duration(values.first),
    totalMs: duration(values.total),
    requestsPerMinute: Number(values.rpm),
    tokensPerMinute: Number(values.tpm),
    inFlightMax: Number(values["in-flight"]),
    strict: values.strict,
    keys: values.key,
    ...(values.log === undefined ? {} : { logFile: values.log }),
    ...(values.reply === undefined ? {} : { reply: values.reply }),
  };
  const standin = await startStandin(options);
  console.log(JSON.stringify({ port: standin.port, pid: process.pid }));
  const stop = (): void => void standin.close().then(() => process.exit(0));
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  // A parent that died without a word closes our standard input: then nobody needs us any more.
  if (process.env.STANDIN_FOLLOWS_STDIN === "1") process.stdin.once("close", stop).resume();
}
