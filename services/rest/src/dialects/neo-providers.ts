/** Neo's nine providers, in the order Neo lists them. Keys of other providers are hidden here. */
export const NEO_PROVIDERS = [
  "openrouter",
  "anthropic",
  "openai",
  "google",
  "xai",
  "vercel-gateway",
  "google-vertex",
  "amazon-bedrock",
  "azure-foundry",
] as const;
