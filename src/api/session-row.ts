/** The row of a session that must be there. */
import type { SessionKey } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import type { SessionRow, Store } from "../store/store.ts";

/** @throws {Fault} SESSION_NOT_FOUND */
export async function sessionRow(store: Pick<Store, "session">, key: SessionKey): Promise<SessionRow> {
  const row = await store.session(key);
  if (row === null) throw noSession(key);
  return row;
}

export function noSession(session: SessionKey): Fault {
  return new Fault("SESSION_NOT_FOUND", { session });
}
