import { plainKey } from "./plain-key.ts";
import type { ProviderRules } from "./rules.ts";

export const zai: ProviderRules = { name: "z-ai", ...plainKey({}) };
