/** One shape for everything that starts and stops, so that `main.ts` can stop in reverse order. */
export interface Service {
  readonly name: string;
  start(): Promise<void> | void;
  /** Ends all work it started; resolves when nothing of it is left. Safe to call twice. */
  stop(): Promise<void> | void;
}

/** Starts services in order; when one fails, those already started are stopped again. */
export async function startAll(services: readonly Service[]): Promise<() => Promise<void>> {
  const started: Service[] = [];
  const stopAll = async (): Promise<void> => {
    for (let service = started.pop(); service !== undefined; service = started.pop()) await service.stop();
  };
  try {
    for (const service of services) {
      await service.start();
      started.push(service);
    }
  } catch (cause) {
    await stopAll();
    throw cause;
  }
  return stopAll;
}
