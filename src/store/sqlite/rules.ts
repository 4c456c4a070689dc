/** Settings that the store's own decisions need, as rows: they survive a restart until set anew. */
import type { Rules } from "../../model/claim.ts";
import type { PoolName } from "../../model/lane.ts";
import type { Kernel } from "./kernel.ts";

type StoredRules = Omit<Rules, "pools">;

const FALLBACK: StoredRules = { foregroundMs: 10_000, gatherMs: 1_000, sideTurnsMax: 3, queueCap: 1_000 };

export function setRules(k: Kernel, { pools, ...rules }: Rules): void {
  for (const [name, size] of Object.entries(pools)) k.run("UPDATE pool SET size = ? WHERE name = ?", size, name);
  for (const [name, value] of Object.entries(rules)) k.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value);
  k.forget();
}

export function rulesOf(k: Kernel): StoredRules {
  return k.remember("rules", () => {
    const rules = { ...FALLBACK };
    for (const name of Object.keys(FALLBACK) as (keyof StoredRules)[]) {
      const row = k.get("SELECT value FROM meta WHERE name = ?", name);
      if (row !== undefined) rules[name] = row["value"];
    }
    return rules;
  });
}

export function poolSize(k: Kernel, pool: PoolName): number {
  return k.remember(`pool ${pool}`, () => k.count("SELECT size FROM pool WHERE name = ?", pool));
}

/** Counts the starts of the gateway on this state. */
export function generationOf(k: Kernel): number {
  return k.remember("generation", () => k.count("SELECT value FROM meta WHERE name = 'generation'"));
}
