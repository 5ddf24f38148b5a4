import { type AzureEndpoint, azureEndpointOf, parseAzureEndpoint } from "./azure-endpoint.ts";
import { isObject, member, textMember } from "./json.ts";
import { looksLikeJson, parseJsonCredential } from "./json-credential.ts";
import { maskedKey } from "./label.ts";
import { keyFlaw } from "./plain-key.ts";
import { givenLocation, type Located, type Parsed, type ProviderRules, refused } from "./rules.ts";

const NO_ENDPOINT = refused(
  "location",
  "must be an Azure endpoint, such as https://<resource>.openai.azure.com or https://<resource>.services.ai.azure.com, on port 443 and without user, query or fragment",
);
const NO_JSON_FORM =
  "must be an API key, or JSON of at most 16384 bytes with api_key and endpoint, api_key and resource_name, or api_key, endpoint_url, model_id and model_slug; several of the last two may stand in an array";

/**
 * A plain key needs the location; JSON forms bring their endpoint along, and a location beside them must be one of
 * theirs, or nobody could tell where the key is meant to go.
 */
export const azureFoundry: ProviderRules = { name: "azure-foundry", parse, checkLocation };

interface Configuration {
  readonly endpoint: AzureEndpoint;
  readonly key: Uint8Array;
}

function parse(material: Uint8Array, location: string | null): Parsed {
  const given = givenLocation(location);
  const endpoint = given === null ? undefined : parseAzureEndpoint(given);
  if (given !== null && endpoint === undefined) return NO_ENDPOINT;
  if (!looksLikeJson(material)) return parsePlain(material, endpoint);

  const form = parseJsonCredential(material);
  const configurations: (Configuration | undefined)[] = (Array.isArray(form) ? form : [form]).map(
    parseConfiguration,
  );
  const all = configurations.filter((configuration) => configuration !== undefined);
  if (all.length < configurations.length) return refused("secret", NO_JSON_FORM);
  for (const { key } of all) {
    const flaw = keyFlaw(key);
    if (flaw !== undefined) return refused("secret", `${flaw} (api_key)`);
  }
  const chosen =
    endpoint === undefined ? all[0] : all.find((one) => one.endpoint.origin === endpoint.origin);
  if (chosen !== undefined) return described(chosen);
  return endpoint === undefined
    ? refused("secret", NO_JSON_FORM)
    : refused("location", "must be the endpoint that the credential itself names, or be left out");
}

function checkLocation(location: string | null): Located {
  const endpoint = parseAzureEndpoint(location ?? "");
  return endpoint === undefined ? NO_ENDPOINT : { location: endpoint.origin };
}

function parsePlain(key: Uint8Array, endpoint: AzureEndpoint | undefined): Parsed {
  const flaw = keyFlaw(key);
  if (flaw !== undefined) return refused("secret", flaw);
  return endpoint === undefined ? NO_ENDPOINT : described({ endpoint, key });
}

const described = ({ endpoint, key }: Configuration): Parsed => ({
  label: `${endpoint.resource}${key.byteLength < 16 ? "..." : ""}${maskedKey(key)}`,
  location: endpoint.origin,
  expiresAt: null,
});

function parseConfiguration(form: unknown): Configuration | undefined {
  const key = textMember(form, "api_key");
  const endpoint = isObject(form) ? endpointOf(form) : undefined;
  return key === undefined || endpoint === undefined
    ? undefined
    : { endpoint, key: new TextEncoder().encode(key) };
}

function endpointOf(form: Readonly<Record<string, unknown>>): AzureEndpoint | undefined {
  const endpoint = textMember(form, "endpoint");
  if (endpoint !== undefined) return parseAzureEndpoint(endpoint);
  const resource = textMember(form, "resource_name");
  if (resource !== undefined) {
    const suffix = SUFFIX_OF_TYPE.get(member(form, "resource_type") ?? "openai");
    return suffix === undefined ? undefined : azureEndpointOf(resource.toLowerCase(), suffix);
  }
  const url = textMember(form, "endpoint_url");
  if (url === undefined || !textMember(form, "model_id") || !textMember(form, "model_slug")) {
    return undefined;
  }
  return parseAzureEndpoint(url, { allowsQuery: true });
}

const SUFFIX_OF_TYPE: ReadonlyMap<unknown, string> = new Map([
  ["openai", ".openai.azure.com"],
  ["ai_foundry", ".services.ai.azure.com"],
]);
