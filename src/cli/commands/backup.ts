/** `yard backup`: makes a backup of the database now; `yard backup list` shows those there are. */
import type { Command } from "commander";
import type { ApiBackup, BackupList } from "../../api/wire.ts";
import { asJson, type Cli } from "../command.ts";
import { duration, sayTable, size } from "../table.ts";
import { say, sayJson } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  const backup = asJson(parent.command("backup").description("make a backup of the database now, while work goes on")).action(async ({ json }: { json?: boolean }) => {
    const made = await (await cli.connect()).post<ApiBackup>("/api/backups");
    if (json) sayJson(cli.terminal, made);
    else say(cli.terminal, `backups/${made.name} (${size(made.bytes)}), checked; "${cli.program} doctor --repair" puts it back when it is needed`);
  });

  asJson(backup.command("list").description("list them, the newest first")).action(async () => {
    const answer = await (await cli.connect()).get<BackupList>("/api/backups");
    // Both commands have the option, and the outer one takes it wherever it stands.
    if (backup.opts<{ json?: boolean }>().json) return sayJson(cli.terminal, answer);
    sayTable(cli.terminal, ["backup", "age", "size"], answer.backups.map(({ name, at, bytes }) => [name, duration(cli.clock.now() - at), size(bytes)]), "no backups yet");
  });
}
