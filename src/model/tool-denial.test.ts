/** Replies that deny a tool, and those that only sound like it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { deniedTool } from "./tool-denial.ts";

const TOOLS = ["sessions_spawn", "sessions_yield", "web_fetch", "exec", "read"];

const DENIALS: readonly (readonly [reply: string, tool: string])[] = [
  ["I don't have permission to use sessions_spawn.", "sessions_spawn"],
  ["I don’t have permission to use `sessions_spawn` here.", "sessions_spawn"],
  ["Unfortunately, I do not have access to the sessions_spawn tool in this environment.", "sessions_spawn"],
  ["The sessions_spawn tool is not available to me.", "sessions_spawn"],
  ["sessions_spawn isn't enabled in this session. I can do it myself instead.", "sessions_spawn"],
  ["I'm sorry, but I cannot spawn sub-agents.", "sessions_spawn"],
  ["I am unable to launch background tasks from here.", "sessions_spawn"],
  ["As an AI I don't have the ability to create sub-agents.", "sessions_spawn"],
  ["There is no tool for starting subagents.", "sessions_spawn"],
  ["I'm not allowed to use web_fetch.", "web_fetch"],
  ["I don't have access to the exec tool.", "exec"],
  ["Ich habe keine Berechtigung, sessions_spawn zu benutzen.", "sessions_spawn"],
  ["Leider kann ich keine Subagenten starten.", "sessions_spawn"],
  ["Das Werkzeug sessions_spawn ist hier nicht verfügbar.", "sessions_spawn"],
  ["Je n'ai pas la permission d'utiliser sessions_spawn.", "sessions_spawn"],
  ["Je ne peux pas lancer de sous-agents.", "sessions_spawn"],
  ["No tengo permiso para usar sessions_spawn.", "sessions_spawn"],
  ["Lo siento, no puedo crear subagentes.", "sessions_spawn"],
  ["Não tenho permissão para usar sessions_spawn.", "sessions_spawn"],
  ["Non ho il permesso di usare sessions_spawn.", "sessions_spawn"],
  ["Ik heb geen toestemming om sessions_spawn te gebruiken.", "sessions_spawn"],
  ["Nie mam uprawnień do sessions_spawn.", "sessions_spawn"],
  ["У меня нет доступа к sessions_spawn.", "sessions_spawn"],
  ["我没有使用 sessions_spawn 的权限。", "sessions_spawn"],
  ["sessions_spawn を使用する権限がありません。", "sessions_spawn"],
  ["sessions_spawn을 사용할 수 없습니다.", "sessions_spawn"],
];

const NO_DENIALS: readonly string[] = [
  "Started three sub-agents; I'll tell you when they are done.",
  "I can't start the sub-agents until you tell me the topics.",
  "Children cannot spawn sub-agents of their own here.",
  "The child reported that it doesn't have access to the database.",
  "> I don't have permission to use sessions_spawn\nThat is what the child said.",
  "I can't read your mind, but I have started a background task.",
  "You don't have permission to delete that file.",
  "I don't have access to your calendar.",
  "I cannot use exec to delete your home directory.",
  "The file is not available any more; I searched with web_fetch and got a 404.",
  "Ich habe drei Subagenten gestartet und melde mich.",
  "Les sous-agents sont lancés.",
  "Je n'ai pas encore lancé de sous-agents.",
  "He iniciado dos subagentes.",
  "```\nsessions_spawn is not available\n```\nis what the log shows.",
  "sessions_spawn takes a task and a label.",
  "The background tasks have finished: nothing is missing in the report.",
  "Without a task I can't spawn a sub-agent: what should it do?",
];

test("a reply that denies a tool which the model has is recognised, in the words of several languages", () => {
  for (const [reply, tool] of DENIALS) assert.equal(deniedTool(reply, TOOLS), tool, reply);
});

test("a reply that only sounds like a denial is left alone, since a forced call would do what nobody asked for", () => {
  for (const reply of NO_DENIALS) assert.equal(deniedTool(reply, TOOLS), null, reply);
});

test("a tool that the model does not have is rightly denied", () => {
  for (const [reply, tool] of DENIALS) assert.equal(deniedTool(reply, TOOLS.filter((one) => one !== tool)), null, reply);
});

test("a long reply is looked through in bounded time", () => {
  const started = performance.now();
  assert.equal(deniedTool("I do not have the ".repeat(100_000), TOOLS), null);
  assert.ok(performance.now() - started < 1_000);
});
