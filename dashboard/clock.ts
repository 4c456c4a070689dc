/** The time of day for what ticks on the page. */
import { useEffect, useState } from "preact/hooks";

export const SECOND_MS = 1000;

/** Now, milliseconds since 1970, drawn again every `everyMs`; with null it stands still and costs nothing. */
export function useNow(everyMs: number | null): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    setNow(Date.now());
    if (everyMs === null) return;
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
