import { plainKey } from "./plain-key.ts";
import type { ProviderRules } from "./rules.ts";

export const deepseek: ProviderRules = { name: "deepseek", ...plainKey({ prefixes: ["sk-"] }) };
