import { providerContract } from "./contract-suite.ts";
import { APIS } from "./settings.ts";

for (const api of APIS) providerContract({ api, official: false });
// OpenAI itself is spoken to through another library than those who are compatible with it.
providerContract({ api: "openai-completions", official: true });
