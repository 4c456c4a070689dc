/** What is on disk: its backups, and whether all is in order there. */
import { ok, route, type Route, type RouteDeps } from "../route.ts";
import type { BackupList } from "../wire.ts";

export function stateRoutes({ files }: Pick<RouteDeps, "files">): readonly Route[] {
  if (files === undefined) return [];
  return [
    route({
      method: "GET",
      path: "/api/backups",
      rpc: "backups.list",
      doc: "The backups of the database, the newest first.",
      answer: "BackupList",
      run: async () => ok<BackupList>({ backups: (await files.backups()).map((backup) => ({ ...backup })) }),
    }),
    route({
      method: "POST",
      path: "/api/backups",
      rpc: "backups.create",
      doc: "Makes one now, while work goes on; answers when it is complete and checked.",
      answer: "ApiBackup",
      run: async () => ok(await files.backup()),
    }),
    route({
      method: "GET",
      path: "/api/integrity",
      rpc: "integrity.get",
      doc: "Looks through the whole database, while work goes on: its structure, its references, and every invariant.",
      answer: "ApiCheckup",
      run: async () => ok(await files.check()),
    }),
  ];
}
