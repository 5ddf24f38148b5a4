/** Hosts of Microsoft that serve a resource named by the label before them; the last is regional. */
const SUFFIXES = [
  ".openai.azure.com",
  ".services.ai.azure.com",
  ".cognitiveservices.azure.com",
  ".openai.azure.us",
  ".cognitiveservices.azure.us",
  ".api.cognitive.microsoft.com",
];

const ENDPOINT_LENGTH_MAX = 2048;
const ENDPOINT = /^(?:https?:\/\/)?([a-z0-9.-]+)(?::443)?(?:\/([^?#\\\s]*))?(\?[^#\\\s]*)?$/i;
const LABEL = /^[a-z0-9][a-z0-9-]{0,62}$/;

export interface AzureEndpoint {
  /** `https://` and a host that is one of Microsoft's, nothing behind it. */
  readonly origin: string;
  /** The label in front. */
  readonly resource: string;
}

/**
 * Reduces what people paste to an origin, or to `undefined`. The text decides where a key is sent, so it is not given to
 * a URL parser, which forgives tabs, backslashes, odd numbers and foreign letters: what this pattern does not know is
 * refused.
 * @param allowsQuery `endpoint_url` of a per-deployment credential carries its api-version there.
 */
export function parseAzureEndpoint(
  text: string,
  { allowsQuery = false } = {},
): AzureEndpoint | undefined {
  if (text.length > ENDPOINT_LENGTH_MAX) return undefined;
  const [, authority, , query] = ENDPOINT.exec(text.trim()) ?? [];
  if (authority === undefined || (query !== undefined && !allowsQuery)) return undefined;
  const host = authority.toLowerCase();
  const suffix = SUFFIXES.find((known) => host.endsWith(known));
  if (suffix === undefined) return undefined;
  return azureEndpointOf(host.slice(0, -suffix.length), suffix);
}

/** @returns `undefined` where the label is none, or stands for letters of another alphabet. */
export function azureEndpointOf(resource: string, suffix: string): AzureEndpoint | undefined {
  if (!LABEL.test(resource) || resource.startsWith("xn--")) return undefined;
  return { origin: `https://${resource}${suffix}`, resource };
}
