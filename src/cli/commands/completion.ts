/** `yard completion`: a script for a shell, made from the tree of commands itself. */
import { Argument, type Command } from "commander";
import { buildProgram } from "../program.ts";
import type { Cli } from "../command.ts";
import { say } from "../terminal.ts";

type Shell = "bash" | "zsh" | "fish";

export function register(parent: Command, cli: Cli): void {
  parent
    .command("completion")
    .description("print a completion script, e.g. for ~/.bashrc: source <(yard completion bash)")
    .addArgument(new Argument("<shell>").choices(["bash", "zsh", "fish"]))
    .action(async (shell: Shell) => {
      say(cli.terminal, SCRIPTS[shell](branchesOf(await buildProgram(cli))));
    });
}

/** A command by the words that lead to it, and what may stand after them. */
interface Branch {
  readonly words: string;
  readonly next: readonly { readonly word: string; readonly about: string }[];
}

function branchesOf(program: Command): readonly Branch[] {
  const branches: Branch[] = [];
  const visit = (command: Command, words: string): void => {
    const commands = command.commands.map((one) => ({ word: one.name(), about: one.description() }));
    const options = command.options.flatMap((one) => (one.long ? [{ word: one.long, about: one.description }] : []));
    branches.push({ words, next: [...commands, ...options] });
    for (const one of command.commands) visit(one, `${words} ${one.name()}`.trim());
  };
  visit(program, "");
  return branches;
}

const wordsOf = (branch: Branch): string => branch.next.map(({ word }) => word).join(" ");

const SCRIPTS: Readonly<Record<Shell, (branches: readonly Branch[]) => string>> = {
  bash: (branches) => `_yard() {
  local path="" word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    [[ "$word" == -* ]] || path="\${path:+$path }$word"
  done
  local next=""
  case "$path" in
${branches.map((branch) => `    "${branch.words}") next="${wordsOf(branch)}" ;;`).join("\n")}
  esac
  COMPREPLY=($(compgen -W "$next" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _yard yard`,

  zsh: (branches) => `#compdef yard
_yard() {
  local -a next trail
  trail=(\${\${words[2,CURRENT-1]}:#-*})
  case "\${(j: :)trail}" in
${branches.map((branch) => `    "${branch.words}") next=(${branch.next.map(({ word, about }) => `'${word}:${quoted(about)}'`).join(" ")}) ;;`).join("\n")}
  esac
  _describe yard next
}
compdef _yard yard`,

  fish: (branches) => `function __yard_path
  set -l words (commandline -opc)
  string join " " (string match -v -- "-*" $words[2..])
end
complete -c yard -f
${branches
  .flatMap(({ words, next }) =>
    next.map(({ word, about }) => {
      const what = word.startsWith("--") ? `-l ${word.slice(2)}` : `-a ${word}`;
      return `complete -c yard -n 'test "$(__yard_path)" = "${words}"' ${what} -d '${quoted(about)}'`;
    }),
  )
  .join("\n")}`,
};

/** Inside single quotes of a shell; a colon would end a word of zsh's list. */
function quoted(text: string): string {
  return text.replaceAll("'", "’").replaceAll(":", " ");
}
