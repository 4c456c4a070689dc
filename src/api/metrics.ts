/** GET /metrics: figures in Prometheus' text format. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { dayOf, type Clock } from "../base/clock.ts";
import type { Usage } from "../model/chat.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Health, LanesView, Spread, Store, UsageReport } from "../store/store.ts";
import type { OpenConnections } from "./open-connections.ts";

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** How finely the delay of the event loop is sampled. */
const LOOP_SAMPLE_MS = 20;
const NANOSECONDS = 1e9;
const MICROS_PER_DOLLAR = 1_000_000;
/** Models with figures of their own. */
const MODELS_MAX = 200;
const QUANTILES = [0.5, 0.9, 0.99];

interface Sample {
  readonly labels?: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export interface Metrics {
  /** Everything as it stands now. The loop's delay is that since the last call. */
  read(): Promise<string>;
  stop(): void;
}

export function makeMetrics(deps: { store: Pick<Store, "totals" | "usage" | "health">; lanes: () => Promise<LanesView>; sessions: Pick<Sessions, "draining">; connections: OpenConnections; clock: Pick<Clock, "now"> }): Metrics {
  const loop = monitorEventLoopDelay({ resolution: LOOP_SAMPLE_MS });
  loop.enable();
  return {
    async read() {
      const [totals, lanes, health, usage] = await Promise.all([deps.store.totals(), deps.lanes(), deps.store.health(), deps.store.usage({ by: "model", since: dayOf(deps.clock.now()), limit: MODELS_MAX })]);
      const byModel = (figure: (usage: Usage) => number): Sample[] => usage.rows.map((row) => ({ labels: { model: row.name }, value: figure(row.usage) }));
      const memory = process.memoryUsage();
      const byPool = (figure: "size" | "used" | "waiting"): Sample[] => lanes.pools.map((pool) => ({ labels: { pool: pool.name }, value: pool[figure] }));
      return [
        ...Object.entries(totals).map(([name, value]) => family(`yard_${name}`, `Stored: ${name}.`, [{ value }])),
        family("yard_pool_size", "Slots of a pool.", byPool("size")),
        family("yard_pool_used", "Slots of a pool that are taken.", byPool("used")),
        family("yard_pool_waiting", "Lanes in line for a pool.", byPool("waiting")),
        ...healthFamilies(health),
        family("yard_model_calls_total", "Model calls; this and the next three begin anew each day (UTC).", byModel((used) => used.calls), "counter"),
        family("yard_model_calls_unpriced_total", "Model calls whose cost nobody knows.", byModel((used) => used.unpriced ?? 0), "counter"),
        family("yard_model_cost_dollars_total", "Cost by the price table, of calls that have a price.", byModel((used) => used.costMicros / MICROS_PER_DOLLAR), "counter"),
        family("yard_model_tokens_total", "Tokens by kind; cache_read and cache_write are part of input, reasoning of output.", tokensOf(usage), "counter"),
        family("yard_generation", "Number of this start.", [{ value: lanes.generation }]),
        family("yard_draining", "1 while no new work is taken.", [{ value: deps.sessions.draining ? 1 : 0 }]),
        family("yard_open_connections", "Event streams and sockets.", [{ value: deps.connections.size }]),
        family("yard_event_loop_delay_seconds", "How late the event loop was, beyond the sampling interval, since the last reading.", delaysOf(loop)),
        family("yard_memory_bytes", "Memory of the process.", [
          { labels: { kind: "resident" }, value: memory.rss },
          { labels: { kind: "heap_used" }, value: memory.heapUsed },
          { labels: { kind: "external" }, value: memory.external },
        ]),
      ].join("");
    },
    stop: () => void loop.disable(),
  };
}

function healthFamilies(health: Health): string[] {
  const spread = ({ p50, p90, p99 }: Spread): Sample[] => [p50, p90, p99].map((ms, at) => ({ labels: { quantile: QUANTILES[at]! }, value: ms / 1000 }));
  const byModel = (figure: "denied" | "mended"): Sample[] => health.denials.map((one) => ({ labels: { model: escaped(one.model), tool: escaped(one.tool) }, value: one[figure] }));
  return [
    family("yard_announce_latency_seconds", "From a child's end to when somebody had its result, of the newest thousand.", spread(health.announceMs)),
    family("yard_spawn_wait_seconds", "From a spawn to the child's first turn, of the newest thousand that ended.", spread(health.spawnWaitMs)),
    family("yard_undelivered", "Results that nobody has yet.", [{ value: health.undelivered }]),
    family("yard_undelivered_oldest_seconds", "Age of the oldest of them.", [{ value: health.oldestUndeliveredMs / 1000 }]),
    family("yard_deliveries", "Results posted to a callback, by state.", Object.entries(health.deliveries).map(([state, value]) => ({ labels: { state }, value }))),
    family("yard_delivery_retries", "Further attempts to post a result.", [{ value: health.deliveryRetries }]),
    family("yard_task_retries", "Children that were started again.", [{ value: health.taskRetries }]),
    family("yard_model_denied_tool", "Replies that denied a tool which the model has.", byModel("denied")),
    family("yard_model_denied_tool_mended", "Those after which the model called the tool when it was made to.", byModel("mended")),
  ];
}

/** A label's value as the format wants it. */
function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`));
}

function delaysOf(loop: ReturnType<typeof monitorEventLoopDelay>): Sample[] {
  const samples = QUANTILES.map((quantile) => {
    const late = loop.percentile(quantile * 100) / NANOSECONDS - LOOP_SAMPLE_MS / 1000;
    return { labels: { quantile }, value: loop.count === 0 ? 0 : Math.max(0, late) };
  });
  loop.reset();
  return samples;
}

function tokensOf({ rows }: UsageReport): Sample[] {
  return rows.flatMap(({ name, usage }) =>
    Object.entries({ input: usage.input, output: usage.output, cache_read: usage.cacheRead, cache_write: usage.cacheWrite, reasoning: usage.reasoning }).map(([kind, value]) => ({ labels: { model: name, kind }, value })),
  );
}

function family(name: string, help: string, samples: readonly Sample[], type: "gauge" | "counter" = "gauge"): string {
  const safe = name.replace(/[^a-zA-Z0-9_]/g, "_");
  const lines = samples.map(({ labels = {}, value }) => {
    const inside = Object.entries(labels).map(([label, said]) => `${label}="${String(said).replace(/[\\"\n]/g, (one) => (one === "\n" ? "\\n" : `\\${one}`))}"`).join(",");
    return `${safe}${inside === "" ? "" : `{${inside}}`} ${value}\n`;
  });
  return `# HELP ${safe} ${help}\n# TYPE ${safe} ${type}\n${lines.join("")}`;
}
