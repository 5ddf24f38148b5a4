import { plainKey } from "./plain-key.ts";
import type { ProviderRules } from "./rules.ts";

export const mistral: ProviderRules = { name: "mistral", ...plainKey({}) };
