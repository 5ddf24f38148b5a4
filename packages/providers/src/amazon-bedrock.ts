import { startsWith } from "./ascii.ts";
import { parseShortTermKey, SHORT_TERM_PREFIX } from "./bedrock-short-term-key.ts";
import { isObject, member, textMember } from "./json.ts";
import { isVisibleText, looksLikeJson, parseJsonCredential } from "./json-credential.ts";
import { maskedKey } from "./label.ts";
import { keyFlaw } from "./plain-key.ts";
import { givenLocation, type Located, type Parsed, type ProviderRules, refused } from "./rules.ts";

const REGION = /^[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-[0-9]{1,2}$/;
/** The region becomes part of a host name. */
const REGION_LENGTH_MAX = 40;
const REGION_DEFAULT = "us-east-1";
/** AWS has fewer regions than that. */
const MAP_ENTRIES_MAX = 40;
/** The entry of a region map that serves every region without one of its own. */
const ANY_REGION = "global";

const NO_JSON_FORM =
  "must be a Bedrock API key, or JSON of at most 16384 bytes with IAM keys or a map from regions to IAM keys";

/**
 * Five forms: a long-term or short-term Bedrock API key, IAM keys in either spelling, and a map from regions to IAM
 * keys. The location that is given goes before what the credential says, and that before the default.
 */
export const amazonBedrock: ProviderRules = { name: "amazon-bedrock", parse, checkLocation };

function parse(material: Uint8Array, location: string | null): Parsed {
  const given = givenLocation(location);
  const located = checkLocation(given);
  if (!("location" in located)) return located;
  if (!looksLikeJson(material)) return parseApiKey(material, given);
  const form = parseJsonCredential(material);
  if (!isObject(form) || Object.keys(form).length === 0) return refused("secret", NO_JSON_FORM);
  return iamKeys(form) === undefined ? parseMap(form, given) : parseIamKeys(form, given);
}

function checkLocation(location: string | null): Located {
  const region = givenLocation(location) ?? REGION_DEFAULT;
  return isRegion(region)
    ? { location: region }
    : refused("location", "must be an AWS region, such as us-east-1");
}

const isRegion = (text: string): boolean => text.length <= REGION_LENGTH_MAX && REGION.test(text);

function parseApiKey(key: Uint8Array, given: string | null): Parsed {
  const flaw = keyFlaw(key);
  if (flaw !== undefined) return refused("secret", flaw);
  const label = maskedKey(key, ["ABSK", SHORT_TERM_PREFIX]);
  const own = startsWith(key, SHORT_TERM_PREFIX) ? parseShortTermKey(key) : undefined;
  if (own === undefined || !isRegion(own.region)) {
    return { label, location: given ?? REGION_DEFAULT, expiresAt: null };
  }
  // Such a key is signed for one region and fails in every other.
  return given === null || given === own.region
    ? { label, location: own.region, expiresAt: own.expiresAt }
    : refused("location", "must be the region that the short-term key was made for");
}

interface IamKeys {
  readonly accessKeyId: unknown;
  readonly secretAccessKey: unknown;
  readonly sessionToken: unknown;
}

/** The members of either spelling; `undefined` where it is neither. */
function iamKeys(form: unknown): IamKeys | undefined {
  if (member(form, "accessKeyId") !== undefined || member(form, "secretAccessKey") !== undefined) {
    return {
      accessKeyId: member(form, "accessKeyId"),
      secretAccessKey: member(form, "secretAccessKey"),
      sessionToken: member(form, "sessionToken"),
    };
  }
  if (
    member(form, "access_key_id") !== undefined ||
    member(form, "secret_access_key") !== undefined
  ) {
    return {
      accessKeyId: member(form, "access_key_id"),
      secretAccessKey: member(form, "secret_access_key"),
      sessionToken: member(form, "session_token"),
    };
  }
  return undefined;
}

/** These texts go into headers and signatures, so the same bytes are allowed as in a plain key. */
function iamFlaw(keys: IamKeys | undefined): string | undefined {
  if (!isVisibleText(keys?.accessKeyId) || !isVisibleText(keys?.secretAccessKey)) {
    return "must hold an access key id and a secret access key of visible ASCII characters";
  }
  const { sessionToken } = keys;
  if (sessionToken !== undefined && sessionToken !== null && !isVisibleText(sessionToken)) {
    return "must hold a session token of visible ASCII characters, or none";
  }
  if (keys.accessKeyId.startsWith("ASIA") && !sessionToken) {
    return "must hold a session token beside a temporary access key (ASIA...)";
  }
  return undefined;
}

function parseIamKeys(form: unknown, given: string | null): Parsed {
  const keys = iamKeys(form);
  const flaw = iamFlaw(keys);
  if (flaw !== undefined) return refused("secret", flaw);
  const own = textMember(form, "region");
  return own === undefined || isRegion(own)
    ? { label: iamLabel(keys), location: given ?? own ?? REGION_DEFAULT, expiresAt: null }
    : refused("secret", "must hold an AWS region, or none");
}

function parseMap(form: Readonly<Record<string, unknown>>, given: string | null): Parsed {
  const entries = Object.entries(form);
  if (!entries.every(([name, entry]) => isMapName(name) && isObject(entry))) {
    return refused("secret", NO_JSON_FORM);
  }
  if (entries.length > MAP_ENTRIES_MAX) {
    return refused("secret", `must name at most ${MAP_ENTRIES_MAX} regions`);
  }
  for (const [, entry] of entries) {
    const flaw = iamFlaw(iamKeys(entry));
    if (flaw !== undefined) return refused("secret", `${flaw}, for every region`);
  }
  const serves = (region: string) => Object.hasOwn(form, region) || Object.hasOwn(form, ANY_REGION);
  if (given !== null && !serves(given)) {
    return refused("location", "must be a region that the map holds, or the map must hold global");
  }
  // A map that came without a location and does not serve the default one is used where it begins.
  const fallback = serves(REGION_DEFAULT) ? REGION_DEFAULT : entries[0]?.[0];
  const shown = member(form, ANY_REGION) ?? entries[0]?.[1];
  return { label: iamLabel(iamKeys(shown)), location: given ?? fallback ?? null, expiresAt: null };
}

const isMapName = (name: string): boolean => name === ANY_REGION || isRegion(name);

/** Of the access key id alone, which is no secret. */
const iamLabel = (keys: IamKeys | undefined): string =>
  maskedKey(new TextEncoder().encode(String(keys?.accessKeyId)), ["AKIA", "ASIA", "ABIA", "ACCA"]);
