import { type ProviderCatalogue, trimMaterial, type Violation } from "@keyledger/core";
import { amazonBedrock } from "./amazon-bedrock.ts";
import { anthropic } from "./anthropic.ts";
import { azureFoundry } from "./azure-foundry.ts";
import { deepseek } from "./deepseek.ts";
import { google } from "./google.ts";
import { googleVertex } from "./google-vertex.ts";
import { mistral } from "./mistral.ts";
import { openai } from "./openai.ts";
import { openrouter } from "./openrouter.ts";
import type { ProviderRules } from "./rules.ts";
import { vercelGateway } from "./vercel-gateway.ts";
import { xai } from "./xai.ts";
import { zai } from "./z-ai.ts";

/** In the order of the Neo API, then our own. */
const PROVIDERS: readonly ProviderRules[] = [
  openrouter,
  anthropic,
  openai,
  google,
  xai,
  vercelGateway,
  googleVertex,
  amazonBedrock,
  azureFoundry,
  mistral,
  deepseek,
  zai,
];

const rulesByName: ReadonlyMap<string, ProviderRules> = new Map(
  PROVIDERS.map((rules) => [rules.name, rules]),
);

export const rulesOf = (provider: string): ProviderRules | undefined => rulesByName.get(provider);

/** What we know of each provider, as the core asks for it. */
export function providerCatalogue(): ProviderCatalogue {
  const unknown: readonly Violation[] = [
    { field: "provider", description: "must be a known provider" },
  ];
  const all = PROVIDERS.map(({ name, probe }) => ({ name, hasProbe: probe !== undefined }));
  return {
    find: (name) => all.find((provider) => provider.name === name),
    all: () => all,
    parse: (provider, material, location) =>
      material.use((bytes) => rulesOf(provider)?.parse(trimMaterial(bytes), location) ?? unknown),
    checkLocation: (provider, location) => rulesOf(provider)?.checkLocation(location) ?? unknown,
  };
}
