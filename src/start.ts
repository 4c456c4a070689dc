/**
 * Starts the gateway in this process.
 *
 * The store's thread comes up while the rest of the program is loaded: on two cores the one costs no
 * time beside the other.
 */
import { openHome, type HomeOptions } from "./home.ts";
import type { RunningGateway } from "./main.ts";

export interface StartOptions extends HomeOptions {
  readonly port?: number;
}

/** @throws {Fault} STATE_DIR_HELD, STATE_DIR_UNSAFE, CONFIG_SYNTAX, SETTING_*, STORE_*, DISK_FULL, PORT_TAKEN, BIND_REFUSED. */
export async function startGateway(options: StartOptions): Promise<RunningGateway> {
  const home = await openHome(options);
  const loading = import("./main.ts").catch(async (cause: unknown) => {
    await home.store.then((store) => store.close()); // its thread would keep the process alive
    throw cause;
  });
  const [store, { runGateway }] = await Promise.all([home.store, loading]);
  return runGateway(home, store, options);
}
