import { plainKey } from "./plain-key.ts";
import type { ProviderRules } from "./rules.ts";

export const xai: ProviderRules = { name: "xai", ...plainKey({ prefixes: ["xai-"] }) };
