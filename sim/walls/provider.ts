/**
 * A provider as the gateway meets it over HTTP: each account may make so many requests a minute (a
 * bucket that refills evenly), some credentials are refused, and now and then everything is refused
 * for a while. It answers in the wire format of chat completions, and writes down every request.
 */
import type { Dice } from "../world/dice.ts";
import type { Timeline } from "../world/timeline.ts";

const MINUTE_MS = 60_000;
/** Rounds of tools before an agent's answer. */
const LOOK = "look";

export interface Wall {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly status: 429 | 529;
  /** It says when it is over. */
  readonly tells: boolean;
}

export interface ProviderPlan {
  /** null = as many as anybody wants. */
  readonly perMinute: number | null;
  readonly badKeys: readonly string[];
  readonly walls: readonly Wall[];
  readonly latencyMsMax: number;
}

/** One request, as the provider saw it. Milliseconds since the world began. */
export interface Seen {
  readonly at: number;
  readonly key: string;
  readonly who: string;
  readonly round: number;
  status: number;
  /** Why it was refused; null = it was not. */
  readonly because: "key" | "wall" | "rate" | null;
  /** Requests of this key under way when it came, without it. */
  readonly beside: number;
  endedAt: number | null;
}

export class SimProvider {
  readonly log: Seen[] = [];
  readonly #plan: ProviderPlan;
  readonly #timeline: Timeline;
  readonly #dice: Dice;
  readonly #levels = new Map<string, { level: number; at: number }>();
  readonly #under = new Map<string, number>();

  constructor(plan: ProviderPlan, timeline: Timeline, dice: Dice) {
    this.#plan = plan;
    this.#timeline = timeline;
    this.#dice = dice;
  }

  /** A `fetch` for one process, which goes with it. */
  fetchFor(clock: { after(ms: number, action: () => void): () => void }): typeof fetch {
    return (_input, init) =>
      new Promise((resolve, reject) => {
        const signal = init?.signal ?? null;
        if (signal?.aborted) return reject(signal.reason as Error);
        const seen = this.#take(new Headers(init?.headers).get("authorization")?.replace("Bearer ", "") ?? "", JSON.parse(String(init?.body)) as Body);
        const over = (): void => {
          if (seen.endedAt !== null) return;
          seen.endedAt = this.#timeline.nowMs;
          this.#under.set(seen.key, this.#under.get(seen.key)! - 1);
        };
        const latency = this.#dice.whole(10, this.#plan.latencyMsMax);
        const disarm = clock.after(latency, () => {
          signal?.removeEventListener("abort", onAbort);
          over();
          resolve(this.#answer(seen, latency));
        });
        // A process that dies takes its connections along.
        this.#timeline.after(latency + 1, over);
        function onAbort(): void {
          disarm();
          over();
          reject(signal!.reason as Error);
        }
        signal?.addEventListener("abort", onAbort, { once: true });
      });
  }

  wallAt(ms: number): Wall | undefined {
    return this.#plan.walls.find(({ fromMs, untilMs }) => ms >= fromMs && ms < untilMs);
  }

  #take(key: string, { messages }: Body): Seen {
    const at = this.#timeline.nowMs;
    const who = messages.findLast(({ role, content }) => role === "user" && /^(?:agent|question) /.test(String(content)))?.content ?? "";
    const beside = this.#under.get(key) ?? 0;
    const wall = this.wallAt(at);
    const because = this.#plan.badKeys.includes(key) ? "key" : wall !== undefined ? "wall" : this.#isOver(key, at) ? "rate" : null;
    const status = because === "key" ? 401 : because === "wall" ? wall!.status : because === "rate" ? 429 : 200;
    const seen: Seen = { at, key, who: String(who).split("\n")[0]!, round: messages.filter(({ role }) => role === "tool").length, status, because, beside, endedAt: null };
    this.#under.set(key, beside + 1);
    this.log.push(seen);
    return seen;
  }

  #isOver(key: string, at: number): boolean {
    const { perMinute } = this.#plan;
    if (perMinute === null) return false;
    const { level, at: before } = this.#levels.get(key) ?? { level: perMinute, at };
    const now = Math.min(perMinute, level + ((at - before) * perMinute) / MINUTE_MS);
    this.#levels.set(key, { level: now >= 1 ? now - 1 : now, at });
    return now < 1;
  }

  #answer(seen: Seen, latency: number): Response {
    const { perMinute } = this.#plan;
    const limits: Record<string, string> = perMinute === null ? {} : { "x-ratelimit-limit-requests": String(perMinute) };
    if (seen.because === null) return new Response(said(seen), { headers: { ...limits, "content-type": "text/event-stream" } });
    const wall = this.wallAt(seen.at);
    const waitMs = seen.because === "rate" ? Math.ceil(MINUTE_MS / perMinute!) : seen.because === "wall" && wall?.tells === true ? Math.max(0, wall.untilMs - seen.at - latency) : null;
    return Response.json({ error: { message: "no", type: seen.because === "key" ? "invalid_request_error" : "requests", code: null } }, { status: seen.status, headers: { ...(seen.because === "rate" ? limits : {}), ...(waitMs === null ? {} : { "retry-after-ms": String(waitMs) }) } });
  }
}

interface Body {
  readonly messages: readonly { readonly role: string; readonly content: unknown }[];
}

/** An agent looks twice and says so; a question is answered at once. */
function said({ who, round }: Seen): string {
  const isDone = !who.startsWith("agent ") || round >= 2;
  const delta = isDone ? { role: "assistant", content: `answer to ${who}` } : { role: "assistant", tool_calls: [{ index: 0, id: `call_${round}`, type: "function", function: { name: LOOK, arguments: "{}" } }] };
  const chunk = { id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason: isDone ? "stop" : "tool_calls" }], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } };
  return `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`;
}
