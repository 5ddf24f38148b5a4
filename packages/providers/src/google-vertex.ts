import { createPrivateKey } from "node:crypto";
import { isObject, textMember } from "./json.ts";
import { parseJsonCredential } from "./json-credential.ts";
import { givenLocation, type Located, type Parsed, type ProviderRules, refused } from "./rules.ts";

const REGION = /^(?:[a-z]+(?:-[a-z]+)+[0-9]+|global|us|eu)$/;
/** The region becomes part of one label of a host name. */
const REGION_LENGTH_MAX = 40;
const REGION_DEFAULT = "us-central1";
const MODULUS_BITS_MIN = 2048;

/** What Google writes into such files. Wherever the file points, tokens are only ever asked for at the first. */
const TOKEN_URIS: readonly unknown[] = [
  undefined,
  "https://oauth2.googleapis.com/token",
  "https://accounts.google.com/o/oauth2/token",
  "https://www.googleapis.com/oauth2/v4/token",
];
const UNIVERSES: readonly unknown[] = [undefined, "googleapis.com"];

/**
 * A service-account file, looked into by our own code and never handed to a library that loads any credential: the other
 * kinds of file may name URLs to call, files to read or programs to run.
 */
export const googleVertex: ProviderRules = { name: "google-vertex", parse, checkLocation };

function parse(material: Uint8Array, location: string | null): Parsed {
  const file = parseJsonCredential(material);
  if (!isObject(file)) {
    return refused("secret", "must be the JSON text of a service account key, at most 16384 bytes");
  }
  const flaw = fileFlaw(file);
  if (flaw !== undefined) return refused("secret", flaw);
  const own = textMember(file, "region");
  if (own !== undefined && !isRegion(own)) {
    return refused("secret", "must hold a region of Google Cloud, or none");
  }
  const located = checkLocation(givenLocation(location) ?? own ?? null);
  return "location" in located ? { ...located, label: label(file), expiresAt: null } : located;
}

function checkLocation(location: string | null): Located {
  const region = givenLocation(location) ?? REGION_DEFAULT;
  return isRegion(region)
    ? { location: region }
    : refused("location", "must be a region of Google Cloud, such as us-central1, or global");
}

const isRegion = (text: string): boolean => text.length <= REGION_LENGTH_MAX && REGION.test(text);

function fileFlaw(file: Readonly<Record<string, unknown>>): string | undefined {
  if (textMember(file, "type") !== "service_account") return "must be of type service_account";
  for (const name of ["client_email", "private_key", "project_id"]) {
    if (!textMember(file, name)) return `must hold ${name}`;
  }
  if (!TOKEN_URIS.includes(file.token_uri)) return "must name a token_uri of Google, or none";
  if (!UNIVERSES.includes(file.universe_domain)) {
    return "must name googleapis.com as universe_domain, or none";
  }
  if (!isUsableKey(textMember(file, "private_key") ?? "")) {
    return `must hold an RSA private_key in PEM with at least ${MODULUS_BITS_MIN} bits`;
  }
  return undefined;
}

/** Whatever the parser throws means the same, and its text stays here. */
function isUsableKey(pem: string): boolean {
  // Files that went through environment variables or shells hold `\n` as two characters.
  const key = pem.replaceAll("\\n", "\n").replaceAll("\r\n", "\n");
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(key);
    const bits = asymmetricKeyDetails?.modulusLength ?? 0;
    return asymmetricKeyType === "rsa" && bits >= MODULUS_BITS_MIN;
  } catch {
    return false;
  }
}

const ACCOUNT_DOMAIN = ".iam.gserviceaccount.com";
const ACCOUNT_LENGTH_MAX = 40;

/** Such as `gateway@example-project 0123ab`: account and project are no secret, and six digits tell two keys apart. */
function label(file: Readonly<Record<string, unknown>>): string {
  const email = textMember(file, "client_email") ?? "";
  const account = email.endsWith(ACCOUNT_DOMAIN) ? email.slice(0, -ACCOUNT_DOMAIN.length) : email;
  const keyId = textMember(file, "private_key_id") ?? "";
  const shown = [
    // Anything else in that place may be a secret that slipped.
    /^[a-z0-9._-]+@[a-z0-9.-]+$/i.test(account) ? shortened(account) : "service account",
    /^[0-9a-f]{16,}$/.test(keyId) ? keyId.slice(0, 6) : "",
  ];
  return shown.join(" ").trimEnd();
}

const shortened = (account: string): string =>
  account.length <= ACCOUNT_LENGTH_MAX ? account : `${account.slice(0, ACCOUNT_LENGTH_MAX)}...`;
