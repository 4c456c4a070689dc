/** The credentials of a provider, as they are right now. */
import { Fault } from "../model/faults.ts";
import type { Account, ProviderSetup } from "./settings.ts";

/** A provider that needs no credential is one account without a key. */
const KEYLESS: readonly Account[] = [{ name: "1", key: null }];

/**
 * Read anew for every call, so that a rotated key counts at once. Variables that are not set are
 * passed over while another credential is there.
 * @throws {Fault} PROVIDER_NO_KEY
 */
export function accountsOf(provider: string, setup: ProviderSetup, environment: (name: string) => string | undefined): readonly Account[] {
  if (setup.accounts.length === 0) return KEYLESS;
  const accounts: Account[] = [];
  for (const { name, apiKey, apiKeyEnv } of setup.accounts) {
    const key = apiKey ?? environment(apiKeyEnv!);
    if (key !== undefined && key !== "") accounts.push({ name, key });
  }
  if (accounts.length === 0) throw new Fault("PROVIDER_NO_KEY", { provider, variable: setup.accounts.map(({ apiKeyEnv }) => apiKeyEnv).join(", ") });
  return accounts;
}
