/**
 * Everything that the rehearsal agent understands, as one table.
 *
 * A message means the first row that matches it. Each row's example matches that row and no other
 * (tested), and the help text is made of the rows. Rows are pure: what they need to know comes
 * with the scene, and what they do is returned as an {@link Act}.
 */
import { isJsonObject, type JsonObject } from "../../base/json.ts";
import { play, say, using, type Act, type Piece, type Scene } from "./act.ts";
import { isSum, workOut } from "./arithmetic.ts";
import type { WantedCall } from "./conversation.ts";
import { DURATION, readDuration, showDuration } from "./durations.ts";
import { RESEARCH_MS, RESEARCH_VERB, SPAWNS_MAX, notesOn, research, topicsOf } from "./research.ts";
import { firstLine, jsonIn, names, startChildren, type WaitFor } from "./spawns.ts";

export interface Intent {
  readonly name: string;
  readonly example: string;
  /** What it shows, for the help text. */
  readonly about: string;
  readonly matches: (text: string) => boolean;
  readonly act: (text: string, scene: Scene) => Act;
}

/** A longer message is not searched for a command, so that reading one stays quick. */
export const COMMAND_LENGTH_MAX = 4_000;

/** How long a worker works when nobody says. */
const WORK_MS = 3_000;

const COUNT_MAX = 500;
const COUNT_EVERY_MS = 200;

/** Characters of a tool's output that are repeated to the person. */
const OUTPUT_MAX_CHARS = 4_000;

/** The most earlier messages that are listed. */
const LISTED_MAX = 20;

const END = String.raw`[.!?\s]*$`;
const AND_WAIT = String.raw`,? (?:and|then) wait(?: for (?<barrier>all|any|one|the first|\d{1,3})(?: of them)?)?`;

export const INTENTS: readonly Intent[] = [
  row("greeting", "hello", "says hello", pattern(`^(?:hi|hello|hey|good (?:morning|afternoon|evening)|thanks|thank you)(?:[ ,]+(?:there|yard|yardmaster|everyone|again))?${END}`), () =>
    say(`Hello. ${SELF} Say "help" for what I can do.`),
  ),
  row("who", "who are you?", "says honestly what it is", pattern(`^(?:who are you|what are you|are you (?:a|an) [\\w -]{1,40})${END}`), () => say(`${SELF} ${CONNECT}`)),
  row("help", "help", "lists all of this", pattern(`^(?:help|what can you do|what do you understand)${END}`), () => say(helpText())),
  row("connect", "how do I connect a real model?", "says how", pattern(`^how (?:do|can) (?:i|we) (?:connect|use|add|set up|get) .{0,60}\\bmodel\\b`), () => say(CONNECT)),

  row("research many", "research solar and research wind, then summarise", "one child per topic, side by side; a summary when they are done", readManyTopics, (asked, scene) => {
    const forTime = asked.ms === null ? "" : ` for ${showDuration(asked.ms)}`;
    const children = asked.topics.map((topic) => ({ task: `research ${topic}${forTime}`, label: topic }));
    return startChildren(scene, "research", children, asked.waitFor);
  }),
  row("research one", "research solar for 5s", "takes real time, here in the conversation", readOneTopic, ({ topics, ms }) => play(...research(topics[0]!, ms ?? RESEARCH_MS))),
  row("also", "also look at cost", "adds to a research, also when a parent says it to a child", pattern(`^also (?:look at|look into|consider|cover|include|check|research) (?<topic>.+?)${END}`), ({ topic }, scene) => {
    // The last answer is a child's result, so what it had found before is said again.
    const before = scene.earlier.map(readOneTopic).findLast((asked) => asked !== null);
    const found = before == null ? "" : `${notesOn(before.topics[0]!)}\n\n`;
    return say(`${found}Also looked at ${topic}. ${notesOn(topic!)}`);
  }),
  row("workers", "spawn 5 workers for 2s", "many children at once", pattern(`^(?:spawn|start|launch) (?<count>\\d{1,4}) (?:workers?|children|agents?|sub-?agents?)(?: for (?<duration>${DURATION}))?(?<wait>${AND_WAIT})?${END}`), (found, scene) =>
    startMany(scene, "worker", Number(found["count"]), `work for ${showDuration(durationIn(found, WORK_MS))}`, waitForIn(found)),
  ),
  row("teams", "start 2 teams of 3 workers", "children that have children (needs maxSpawnDepth 2)", pattern(`^(?:spawn|start|launch) (?<count>\\d{1,4}) teams of (?<size>\\d{1,4})(?: workers?)?(?: for (?<duration>${DURATION}))?(?<wait>${AND_WAIT})?${END}`), (found, scene) => {
    const task = `spawn ${found["size"]} workers for ${showDuration(durationIn(found, WORK_MS))} and wait`;
    return startMany(scene, "team", Number(found["count"]), task, waitForIn(found));
  }),
  row("spawn", "spawn: count to 20", "gives a child any task", pattern("^(?:spawn|delegate|in the background): ?(?<task>.+)$"), ({ task }, scene) => startChildren(scene, "task", [{ task: task!, label: firstLine(task!).slice(0, 40) }], null)),
  row("work", "work for 3s", "what a worker does", pattern(`^work for (?<duration>${DURATION})${END}`), (found) => {
    const ms = durationIn(found, WORK_MS);
    return play({ pauseMs: ms }, { say: `Done: worked for ${showDuration(ms)}.` });
  }),
  row("wait", "wait 5 seconds, then say tea is ready", "waits inside the model call", pattern(`^(?:wait|sleep)(?: for)? (?<duration>${DURATION})(?:[,;]? ?(?:and )?(?:then )?say:? (?<text>.+)|${END})$`), (found) => {
    const ms = durationIn(found, WORK_MS);
    return play({ pauseMs: ms }, { say: found["text"] ?? `I waited ${showDuration(ms)}.` });
  }),
  row("count", "count to 10", "streams slowly", pattern(`^count (?:up )?to (?<last>\\d{1,6})${END}`), ({ last }) => {
    const numbers = Array.from({ length: Math.min(Number(last), COUNT_MAX) }, (_none, index) => index + 1);
    return play(...numbers.flatMap((number): Piece[] => (number === 1 ? [{ say: "1" }] : [{ pauseMs: COUNT_EVERY_MS }, { say: ` ${number}` }])));
  }),

  row("status", "what is running?", "what works in the background", pattern(`^(?:what(?:'s| is| are)? (?:still )?running(?: now)?|status|what are you (?:doing|working on)(?: now)?|what is going on|is anything running|how far are (?:you|they)|(?:list|show)(?: me)? (?:all |the |my )*(?:active |running )?(?:agents?|agent sessions|sessions|workers|children)|(?:what(?:'s| is) the )?status of (?:those|the|these|my|our|all)?(?: \\w+)? ?(?:agents?|workers|children|plans?))${END}`), (_found, scene) =>
    using(scene, [{ tool: "subagents", input: { action: "list" } }], ([list]) => (list!.isError ? failed(list!.text) : say(runningText(list!.text, scene.beside)))),
  ),
  row("stuck", "what is notification stuck on?", "why a task of a plan does not go on", pattern(`^what(?:'s| is) (?<task>\\S{1,60}) (?:stuck on|waiting for)${END}`), ({ task }, scene) => tellOfTask(scene, task!, (told) => (typeof told["stuckOn"] === "string" ? told["stuckOn"] : `${task} is not stuck: it is ${String(told["state"])}.`))),
  row("accomplished", "what did notification accomplish?", "what an agent of a plan has done", pattern(`^what (?:did|has) (?<task>\\S{1,60}) (?:accomplish|accomplished|do|done|achieve|achieved)${END}`), ({ task }, scene) => tellOfTask(scene, task!, accomplishedText)),
  row("stop", "stop solar", "stops a child by label or number; \"stop everything\" stops all", pattern(`^(?:stop|cancel|kill|abort)(?: (?<target>.{1,100}?))?${END}`), ({ target }, scene) => {
    const isAll = target === undefined || /^(?:all|everything|everyone|everybody|it|them|them all|all of them|the rest|all workers)$/i.test(target);
    return isAll ? stopAll(scene) : stopOne(scene, target);
  }),
  row("steer", "tell solar to also look at cost", "gives a running child a further instruction", pattern("^tell (?<target>.{1,100}?) to (?<text>.+)$"), ({ target, text }, scene) =>
    using(scene, [{ tool: "subagents", input: { action: "steer", target: target!, text: text! } }], ([steered]) => (steered!.isError ? failed(steered!.text) : say(`I told ${target}: ${text}`))),
  ),

  row("write", "write hello to notes.txt", "writes a file in the workspace", pattern("^write (?<content>.+) (?:to|into) (?:the file |file )?(?<path>\\S+)$"), ({ content, path }, scene) =>
    using(scene, [{ tool: "write", input: { path: path!, content: content! } }], ([written]) => (written!.isError ? failed(written!.text) : say(`I wrote ${content!.length} characters to ${path}.`))),
  ),
  row("read", "read notes.txt", "reads a file of the workspace", pattern("^read (?:the )?(?:file )?(?<path>\\S{1,1000}?)[!?\\s]*$"), ({ path }, scene) => quoting(scene, { tool: "read", input: { path: path! } }, `${path} says:`)),
  row("list files", "list files", "lists the workspace", pattern(`^(?:list|show)(?: me)?(?: the| all| my)? files(?: in (?<path>\\S{1,1000}?))?${END}`), ({ path }, scene) => quoting(scene, { tool: "list", input: { path: path ?? "." } }, "Files:")),
  row("run", "run: ls -la", "runs a command in the workspace", pattern("^(?:(?:run|exec|execute): ?|\\$ )(?<command>.+)$"), ({ command }, scene) => quoting(scene, { tool: "exec", input: { command: command! } }, `${firstLine(command!)} gave:`)),
  row("remember", "remember that I like tea", "keeps a fact for all later conversations", pattern("^remember (?:that )?(?<fact>.+)$"), ({ fact }, scene) =>
    using(scene, [{ tool: "memory", input: { action: "append", text: fact! } }], ([kept]) => (kept!.isError ? failed(kept!.text) : say(`I will remember: ${fact}`))),
  ),
  row("recall", "what do you remember?", "reads that back", pattern(`^what do you (?:remember|know about me)${END}`), (_found, scene) => quoting(scene, { tool: "memory", input: { action: "read" } }, "I remember:")),
  row("fetch", "fetch https://example.org", "fetches a web page", pattern("^(?:fetch|get|open|download) (?<url>https?://\\S+)$"), ({ url }, scene) => quoting(scene, { tool: "web_fetch", input: { url: url! } }, `${url} says:`)),

  row("sum", "what is 17 * 23?", "works out + - * / and parentheses", readSum, (sum) => {
    const worked = workOut(sum);
    return say(worked.outcome === "value" ? `${sum} = ${worked.text}` : `${sum} has no value: division by zero.`);
  }),
  row("echo", "say good night", "says just that", pattern("^(?:repeat(?: after me)?|say|echo)(?:: ?| )(?<text>.+)$"), ({ text }) => say(text!)),
  row("summary", "what did I say?", "lists your messages of this conversation", pattern(`^(?:(?:summari[sz]e|sum up)(?: (?:it|that|this|everything|our|the|conversation|so|far)){0,4}|what did i (?:say|ask|write)(?: so far)?)${END}`), (_found, scene) => say(earlierText(scene.earlier))),
  row("correction", "make that 3pm", "takes a correction of your message before", pattern("^(?:no,? )?(?:make (?:that|it)|actually,?|i meant?|change (?:that|it) to|correction:?) (?<now>.+?)" + END, "^(?<now>.+?),? instead" + END), ({ now }, scene) => {
    const corrected = scene.earlier.at(-1);
    return say(corrected === undefined ? `Noted: ${now}. There is no earlier message that this could correct.` : `Noted: ${now}. That corrects your earlier message ${JSON.stringify(firstLine(corrected))}.`);
  }),

  row("fail", "fail on request", "fails like a provider that refuses", pattern(`^fail(?: on request)?${END}`), () => play({ fail: "failed on request" })),
  row("crash tool", "crash tool", "calls a tool that does not exist", pattern(`^crash (?:a |the )?tool${END}`), (_found, scene) =>
    using({ ...scene, offers: () => true }, [{ tool: "no_such_tool", input: {} }], ([crashed]) => say(`As asked, I called a tool that does not exist. It said: ${firstLine(crashed!.text)}`)),
  ),
  row("nothing", "answer nothing", "gives an empty answer", pattern(`^answer nothing${END}`), () => play()),
];

/** What the agent does about one message. */
export function actOn(text: string, scene: Scene): Act {
  if (text.length > COMMAND_LENGTH_MAX) return say(`That message has ${text.length} characters; I read commands of at most ${COMMAND_LENGTH_MAX}. ${SELF}`);
  return INTENTS.find((intent) => intent.matches(text))?.act(text, scene) ?? say(unknownText(text));
}

// ── rows ────────────────────────────────────────────────────────────────────────────────────

type Groups = Readonly<Record<string, string | undefined>>;

function row<Found>(name: string, example: string, about: string, read: (text: string) => Found | null, act: (found: Found, scene: Scene) => Act): Intent {
  return {
    name,
    example,
    about,
    matches: (text) => read(text) !== null,
    act(text, scene) {
      const found = read(text);
      return found === null ? say(unknownText(text)) : act(found, scene);
    },
  };
}

/** Reads the named groups of the first of these expressions that matches. */
function pattern(...sources: readonly string[]): (text: string) => Groups | null {
  const expressions = sources.map((source) => new RegExp(source, "is"));
  return (text) => {
    const found = expressions.map((expression) => expression.exec(text)).find((match) => match !== null);
    return found === undefined ? null : { ...found.groups };
  };
}

interface Topics {
  readonly topics: readonly string[];
  readonly ms: number | null;
  readonly waitFor: WaitFor;
  readonly background: boolean;
}

function readManyTopics(text: string): Topics | null {
  const asked = readTopics(text);
  return asked !== null && (asked.topics.length > 1 || asked.background || asked.waitFor !== null) ? asked : null;
}

function readOneTopic(text: string): Topics | null {
  const asked = readTopics(text);
  return asked !== null && readManyTopics(text) === null ? asked : null;
}

/** What may follow the topics, in any order. */
const TAILS = {
  summary: /[,;]? ?(?:and )?(?:then )?(?:summari[sz]e|compare)(?: (?:it|them|both|all|the results|for me)){0,2}[.!? ]*$/i,
  wait: new RegExp(`${AND_WAIT}[.!? ]*$`, "i"),
  background: /,? in the background[.!? ]*$/i,
  duration: new RegExp(`,? for (?<duration>${DURATION})(?: each)?[.!? ]*$`, "i"),
} as const;

function readTopics(text: string): Topics | null {
  if (!RESEARCH_VERB.test(text)) return null;
  let rest = text.replace(/\s+/g, " ").replace(RESEARCH_VERB, "").trim();
  const tails: Partial<Record<keyof typeof TAILS, Groups>> = {};
  for (let before = ""; before !== rest; ) {
    before = rest;
    for (const [name, tail] of Object.entries(TAILS)) {
      const found = tail.exec(rest);
      if (found === null) continue;
      tails[name as keyof typeof TAILS] = { ...found.groups };
      rest = rest.slice(0, found.index);
    }
  }
  const topics = topicsOf(rest);
  if (topics.length === 0) return null;
  return {
    topics,
    ms: tails.duration === undefined ? null : readDuration(tails.duration["duration"]!),
    waitFor: tails.wait === undefined ? null : waitForIn({ wait: "said", ...tails.wait }),
    background: tails.background !== undefined,
  };
}

/** The longest text that is looked at as a sum; blanks around it do not count. */
const SUM_LENGTH_MAX = 200;

function readSum(text: string): string | null {
  // One class of characters for all that follows: with two that overlap, a long row of blanks would be tried in every way.
  const asked = /^(?:what(?:'s| is)|calculate|compute|work out|how much is)?([-+*/×÷x().\d\s=?!]+)$/i.exec(text)?.[1]?.trim() ?? "";
  if (asked.length > SUM_LENGTH_MAX) return null;
  const sum = asked.replace(/[\s=?.!]+$/, "");
  return isSum(sum) ? sum : null;
}

function durationIn(found: Groups, fallbackMs: number): number {
  return found["duration"] === undefined ? fallbackMs : readDuration(found["duration"]);
}

function waitForIn(found: Groups): WaitFor {
  if (found["wait"] === undefined) return null;
  const barrier = found["barrier"]?.toLowerCase() ?? "all";
  if (/^\d/.test(barrier)) return Math.max(1, Number(barrier));
  return barrier === "all" ? "all" : "any";
}

function startMany(scene: Scene, noun: string, asked: number, task: string, waitFor: WaitFor): Act {
  if (asked < 1 || asked > SPAWNS_MAX) return say(`I start 1 to ${SPAWNS_MAX} at a time.`);
  const children = Array.from({ length: asked }, (_none, index) => ({ task, label: `${noun}-${index + 1}` }));
  return startChildren(scene, noun, children, waitFor);
}

/** Calls a tool and repeats what it gave. */
function quoting(scene: Scene, call: WantedCall, head: string): Act {
  return using(scene, [call], ([result]) => {
    if (result!.isError) return failed(result!.text);
    const text = result!.text.trim();
    if (text === "") return say(`${head} (nothing)`);
    return say(`${head}\n${text.length <= OUTPUT_MAX_CHARS ? text : `${text.slice(0, OUTPUT_MAX_CHARS)}\n(${text.length - OUTPUT_MAX_CHARS} more characters)`}`);
  });
}

// ── what is said ────────────────────────────────────────────────────────────────────────────

const SELF = "I am the rehearsal agent that is built into this gateway. I am not a language model: I know a fixed list of things and work offline, so that you can try everything here with real tools and real time.";

const CONNECT = 'To connect a real model, set ANTHROPIC_API_KEY (or OPENAI_API_KEY, GEMINI_API_KEY) and start the gateway again; or name any compatible one: yard config set models.providers.mine \'{"api": "openai-completions", "baseUrl": "http://127.0.0.1:8080/v1", "models": ["NAME"]}\'.';

/** Offered when a message was not understood: rows of the table, by name. */
const OFFERED = ["research many", "workers", "status"];

function helpText(): string {
  const rows = INTENTS.map(({ example, about }) => `- ${example} (${about})`);
  return [SELF, "Things to type:", ...rows, CONNECT].join("\n");
}

function unknownText(text: string): string {
  const offers = INTENTS.filter((intent) => OFFERED.includes(intent.name)).map((intent) => JSON.stringify(intent.example));
  return `I read ${JSON.stringify(firstLine(text))}, but I cannot act on it: I am the built-in rehearsal agent, not a language model. I can do, for example, ${offers.slice(0, -1).join(", ")} or ${offers.at(-1)}. "help" lists everything.`;
}

function failed(problem: string): Act {
  return say(`That did not work: ${firstLine(problem)}`);
}

function earlierText(earlier: readonly string[]): string {
  if (earlier.length === 0) return "This is your first message in this conversation.";
  const shown = earlier.slice(-LISTED_MAX).map((text) => `- ${firstLine(text)}`);
  const more = earlier.length > LISTED_MAX ? ` (the last ${LISTED_MAX} of ${earlier.length})` : "";
  return [`You said${more}:`, ...shown].join("\n");
}

function runningText(list: string, beside: readonly string[]): string {
  const lines = [
    ...beside.map((turn) => `- ${turn}`),
    ...activeIn(list).map((child) => `- ${child["label"]}: ${child["state"]}${typeof child["runtimeMs"] === "number" ? ` for ${showDuration(child["runtimeMs"])}` : ""}`),
  ];
  const plans = plansIn(list).flatMap(planText);
  if (plans.length > 0) return [...(lines.length === 0 ? [] : [`Running in the background: ${lines.length}`, ...lines]), ...plans].join("\n");
  return lines.length === 0 ? "Nothing is running in the background." : [`Running in the background: ${lines.length}`, ...lines].join("\n");
}

function plansIn(list: string): readonly JsonObject[] {
  const answer = jsonIn(list);
  return isJsonObject(answer) ? objectsIn(answer["plans"]) : [];
}

function objectsIn(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

/** `- alpha-3: stuck (1 of 3 steps): missing NOTIFICATION_KEY` */
function planText({ title, state, waitsFor, tasks }: JsonObject): readonly string[] {
  const line = ({ task, state: at, steps, stuckOn }: JsonObject): string => `- ${String(task)}: ${String(at)}${steps === undefined ? "" : ` (${String(steps)} steps)`}${typeof stuckOn === "string" ? `: ${firstLine(stuckOn)}` : ""}`;
  return [`The plan "${String(title)}" is ${String(state)}${typeof waitsFor === "string" ? `, waiting for ${waitsFor}` : ""}:`, ...objectsIn(tasks).map(line)];
}

function accomplishedText({ task, accomplished, commits, tests, state }: JsonObject): string {
  const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);
  const done = [...texts(accomplished), ...(texts(accomplished).length === 0 ? texts(commits) : [])];
  const sum = [`${texts(commits).length} commits`, ...(typeof tests === "string" ? [`tests ${tests}`] : []), String(state)].join(", ");
  return done.length === 0 ? `${String(task)} has nothing to show yet (${String(state)}).` : [`${String(task)}:`, ...done.map((one) => `- ${one}`), `Summary: ${sum}.`].join("\n");
}

function tellOfTask(scene: Scene, name: string, tell: (told: JsonObject) => string): Act {
  return using(scene, [{ tool: "subagents", input: { action: "list" } }], ([list]) => {
    if (list!.isError) return failed(list!.text);
    const told = plansIn(list!.text).flatMap(({ tasks }) => objectsIn(tasks)).find(({ task }) => task === name.toLowerCase());
    return say(told === undefined ? `No plan of this conversation has a task ${name}.` : tell(told));
  });
}

/** The children that a list names as active. */
function activeIn(list: string): readonly JsonObject[] {
  const answer = jsonIn(list);
  return isJsonObject(answer) && Array.isArray(answer["active"]) ? answer["active"].filter(isJsonObject) : [];
}

/** Looks first, so that the answer can name what was stopped. */
function stopAll(scene: Scene): Act {
  return using(scene, [{ tool: "subagents", input: { action: "list" } }], ([list]) => {
    const labels = activeIn(list!.text).map((child) => String(child["label"]));
    if (labels.length === 0) return say("No background task is running, so there was nothing to stop.");
    return using(scene, [{ tool: "subagents", input: { action: "kill", target: "all" } }], ([killed]) => (killed!.isError ? failed(killed!.text) : say(`Stopped: ${names(labels)}.`)));
  });
}

function stopOne(scene: Scene, target: string): Act {
  return using(scene, [{ tool: "subagents", input: { action: "kill", target } }], ([killed]) => {
    if (killed!.isError) return failed(killed!.text);
    const answer = jsonIn(killed!.text);
    const note = isJsonObject(answer) && typeof answer["note"] === "string" ? answer["note"] : null;
    return say(note === null ? `Stopped: ${target}.` : `${target} was not stopped: ${note}.`);
  });
}
