/**
 * `yard up`: the gateway, in the foreground, until it is told to stop.
 *
 * SIGTERM and SIGINT let it finish what it must and exit 0; a second one ends it at once. SIGHUP reads
 * settings and token again.
 */
import type { Command } from "commander";
import type { StatusAnswer } from "../../api/wire.ts";
import { DEFAULT_AGENT, mainSession } from "../../model/session.ts";
import { wholeNumberArgument, type Cli } from "../command.ts";
import { faultOf } from "../failure.ts";
import { sayFields } from "../table.ts";
import { colour, isInteractive, say } from "../terminal.ts";
import { isRehearsal, modelText } from "./status.ts";

/** One press of Ctrl-C can arrive twice: from the terminal, and passed on by the launcher. */
const SAME_PRESS_MS = 300;
const FORCED_EXIT_CODE = 1;

interface UpOptions {
  readonly port?: number;
  readonly host?: string;
  readonly json?: boolean;
  readonly chat: boolean;
}

/** What `startGateway` gives, as far as this command uses it. */
interface Running {
  readonly url: string;
  readonly tokenFile: string;
  readonly pid: number;
  readonly generation: number;
  stop(): Promise<void>;
  /** Reads settings and token again. */
  reload(): Promise<void>;
  /** Resolves when it can go on no more. */
  readonly broken: Promise<unknown>;
}

export function register(parent: Command, cli: Cli): void {
  parent
    .command("up")
    .description("run the gateway, and on a terminal a chat with it")
    .option("--port <n>", "the port; 0 = any free one (gateway.port)", wholeNumberArgument({ min: 0, max: 65_535 }))
    .option("--host <host>", "the address to listen on (gateway.host)")
    .option("--json", "print one line of JSON when it is ready, and the log to standard error")
    .option("--no-chat", "no chat, also on a terminal")
    .action(async ({ port, host, json, chat }: UpOptions) => {
      const { startGateway } = await import("../../start.ts");
      const gateway: Running = await startGateway({
        home: cli.home,
        json: json === true,
        ...(port === undefined ? {} : { port }),
        ...(host === undefined ? {} : { host }),
      });
      const told = untilTold(cli, gateway);
      if (json) say(cli.terminal, JSON.stringify({ url: gateway.url, tokenFile: gateway.tokenFile, pid: gateway.pid, generation: gateway.generation }));
      else {
        const client = await cli.connect();
        sayWelcome(cli, gateway.url, await client.get<StatusAnswer>("/api/status"));
        if (chat && isInteractive(cli.terminal)) {
          void import("../run-chat.ts")
            .then(({ runChat }) => runChat(cli, client, mainSession(DEFAULT_AGENT)))
            .catch((thrown: unknown) => sayTrouble(cli, thrown))
            .then(told.stop);
        }
      }
      void gateway.broken.then((fault) => {
        sayTrouble(cli, fault);
        process.exit(FORCED_EXIT_CODE); // what still runs can write nothing any more
      });
      await told.stopped;
    });
}

/** Watches for signals. `stop` does what the first SIGTERM does; `stopped` resolves when the gateway has stopped. */
function untilTold(cli: Cli, gateway: Running): { readonly stop: () => void; readonly stopped: Promise<void> } {
  const { promise: stopped, resolve, reject } = Promise.withResolvers<void>();
  let stoppingSince: number | null = null;
  const stop = (): void => {
    const now = cli.clock.monotonic();
    if (stoppingSince === null) {
      stoppingSince = now;
      gateway.stop().then(resolve, reject);
    } else if (now - stoppingSince > SAME_PRESS_MS) process.exit(FORCED_EXIT_CODE);
  };
  const reload = (): void => {
    gateway.reload().catch((thrown: unknown) => sayTrouble(cli, thrown));
  };
  process.on("SIGTERM", stop).on("SIGINT", stop).on("SIGHUP", reload);
  return { stop, stopped: stopped.finally(() => process.off("SIGTERM", stop).off("SIGINT", stop).off("SIGHUP", reload)) };
}

function sayTrouble(cli: Cli, thrown: unknown): void {
  const { code, message } = faultOf(thrown);
  cli.terminal.errors.write(`yard: ${code}: ${message}\n`);
}

function sayWelcome(cli: Cli, url: string, status: StatusAnswer): void {
  const { terminal, program } = cli;
  say(terminal, `${colour(terminal, "bold", "yardmaster")} ${status.version} is up at ${url}\n`);
  sayFields(terminal, [
    ["page", `open ${url} and log in with what "${program} token" prints`],
    ["model", modelText(status)],
    ["", isRehearsal(status) ? "to change that, start with ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY set, or set models.providers" : ""],
    ["try", `${program} send "hello" --wait`],
    ["", `${program} spawn "research A and B and summarise" --wait`],
    ["", `${program} lanes`],
    ["stop", "Ctrl-C"],
  ]);
  say(terminal, "");
}
