/** Makes the log of a gateway that does not run look older. */
import { DatabaseSync } from "node:sqlite";

/** As if the gateway had been away for so long: everything in the log is older. */
export function letTimePass(file: string, ms: number): void {
  const database = new DatabaseSync(file);
  database.prepare("UPDATE event SET at = at - ?").run(ms);
  database.close();
}
