/**
 * Traces, as far as the rest of the program knows them: a model client to put in the place of the plain
 * one, and a place to tell of proxied calls. What makes and sends spans is loaded when
 * `telemetry.otlp.endpoint` is first set, and let go when it is taken back.
 */
import type { Clock } from "../base/clock.ts";
import type { RandomBytes } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { ModelClient } from "../model/chat.ts";
import type { Store } from "../store/store.ts";
import { otlpEndpoint, otlpHeaders, traceContents } from "./settings.ts";
import type { ProxiedSpan, Tracer } from "./tracer.ts";

const TRACES_PATH = "/v1/traces";

export interface TelemetryDeps {
  readonly store: Pick<Store, "onEvents" | "tracedTurn" | "tracedTask">;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly version: string;
}

interface Sending {
  readonly tracer: Tracer;
  stop(): Promise<void>;
}

export class Telemetry {
  readonly #deps: TelemetryDeps;
  #sending: Sending | null = null;
  #wanted = "";
  /** Changes one after another, in the order of the settings. */
  #change: Promise<void> = Promise.resolve();
  #unlisten: () => void = () => {};

  constructor(deps: TelemetryDeps) {
    this.#deps = deps;
  }

  start(): Promise<void> {
    this.#unlisten = this.#deps.settings.onChange(() => void this.#follow());
    return this.#follow();
  }

  /** What ended until now is sent, for a moment. */
  async stop(): Promise<void> {
    this.#unlisten();
    this.#wanted = "";
    this.#change = this.#change.then(() => this.#end());
    await this.#change;
  }

  /** The same client, whose calls are traced while traces are wanted. */
  traced<Client extends ModelClient>(client: Client): Client {
    return { ...client, call: (request, onFrame) => (this.#sending === null ? client.call(request, onFrame) : this.#sending.tracer.call(client, request, onFrame)) };
  }

  proxied(call: ProxiedSpan): void {
    this.#sending?.tracer.proxied(call);
  }

  #follow(): Promise<void> {
    const { settings, log } = this.#deps;
    const wanted = settings.get(otlpEndpoint) === "" ? "" : JSON.stringify([settings.get(otlpEndpoint), settings.get(otlpHeaders)]);
    if (wanted === this.#wanted) return this.#change;
    this.#wanted = wanted;
    this.#change = this.#change.then(async () => {
      await this.#end();
      if (wanted !== "" && wanted === this.#wanted) this.#sending = await this.#begin();
    }).catch((cause: unknown) => log.error("traces.not-begun", { cause }));
    return this.#change;
  }

  async #begin(): Promise<Sending> {
    const { store, settings, clock, random, log, version } = this.#deps;
    const [{ Exporter }, { Tracer }] = await Promise.all([import("./exporter.ts"), import("./tracer.ts")]);
    const url = settings.get(otlpEndpoint).replace(/\/+$/, "");
    const exporter = new Exporter({ clock, log, url: url.endsWith(TRACES_PATH) ? url : url + TRACES_PATH, headers: settings.get(otlpHeaders), resource: { "service.name": "yardmaster", "service.version": version }, version });
    const tracer = new Tracer({ store, clock, random, log, contents: () => settings.get(traceContents), add: (span) => exporter.add(span) });
    const unlisten = store.onEvents((events) => tracer.read(events));
    return {
      tracer,
      stop() {
        unlisten();
        return exporter.stop();
      },
    };
  }

  async #end(): Promise<void> {
    const sending = this.#sending;
    this.#sending = null;
    await sending?.stop();
  }
}
