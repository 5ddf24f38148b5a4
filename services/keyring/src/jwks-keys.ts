import { type CryptoKey, importJWK, type JWK } from "jose";
import { KeySetUnreadable } from "./jwks-source.ts";

/** The signature algorithms of tokens. No symmetric one: whoever can verify such a token can make it. */
export const JWT_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"] as const;
export type JwtAlgorithm = (typeof JWT_ALGORITHMS)[number];

/** A public key, imported for the one algorithm it is used with. */
export interface VerifyingKey {
  readonly alg: JwtAlgorithm;
  readonly kid: string | undefined;
  readonly key: CryptoKey;
}

export interface KeySet {
  readonly keys: readonly VerifyingKey[];
  /** What the issuer should put right although the set can be used, as the rest of the sentence "the key set ...". */
  readonly warning?: string;
}

/** An issuer publishes two or three: one in use, one before, one after. */
const KEYS_MAX = 50;
/** RFC 7518, sections 3.3 and 3.5. */
const RSA_BITS_MIN = 2048;

/**
 * Takes the keys that can verify one of our algorithms. The others are ignored, as RFC 7517, section 5, wants it: issuers
 * publish encryption keys and other curves beside them.
 * @throws {KeySetUnreadable} where the text is no key set, or one of more than 50 keys.
 */
export async function parseKeySet(text: string): Promise<KeySet> {
  const published = membersOf(text);
  const keys = await Promise.all(
    published
      .filter((jwk) => !holdsSecret(jwk))
      .flatMap((jwk) => JWT_ALGORITHMS.map((alg) => verifyingKey(jwk, alg))),
  );
  const usable = keys.filter((key) => key !== undefined);
  const warning = published.some(holdsSecret)
    ? "publishes a private or symmetric key, which is ignored"
    : usable.length === 0
      ? "has no key that can verify a token"
      : undefined;
  return { keys: usable, ...(warning !== undefined && { warning }) };
}

function membersOf(text: string): readonly JWK[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    // Without the cause: the parser's message repeats the text.
    throw new KeySetUnreadable("is not JSON");
  }
  const keys = isRecord(document) ? document.keys : undefined;
  if (!Array.isArray(keys) || !keys.every(isRecord)) {
    throw new KeySetUnreadable('is no JSON object with a list "keys"');
  }
  if (keys.length > KEYS_MAX) {
    throw new KeySetUnreadable(`has ${keys.length} keys, the most is ${KEYS_MAX}`);
  }
  return keys;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Parameters of private and symmetric keys: RFC 7518, section 6. */
const SECRET_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] as const;
const holdsSecret = (jwk: JWK): boolean =>
  SECRET_MEMBERS.some((member) => jwk[member] !== undefined);

async function verifyingKey(jwk: JWK, alg: JwtAlgorithm): Promise<VerifyingKey | undefined> {
  // The two that are left out would have to fit our use to the letter, and the key would not be any better.
  const { key_ops: _operations, ext: _extractable, ...parameters } = jwk;
  const { kid } = jwk;
  if (!isMeantFor(jwk, alg) || (kid !== undefined && typeof kid !== "string")) return undefined;
  try {
    // Refuses what is of another kind or curve than the algorithm's.
    const key = await importJWK(parameters, alg);
    return key instanceof Uint8Array || isShortRsa(key) ? undefined : { alg, kid, key };
  } catch {
    return undefined;
  }
}

const isMeantFor = ({ alg, use, key_ops }: JWK, wanted: JwtAlgorithm): boolean =>
  (alg === undefined || alg === wanted) &&
  (use === undefined || use === "sig") &&
  (key_ops === undefined || (Array.isArray(key_ops) && key_ops.includes("verify")));

function isShortRsa({ algorithm }: CryptoKey): boolean {
  const bits = "modulusLength" in algorithm ? algorithm.modulusLength : undefined;
  return typeof bits === "number" && bits < RSA_BITS_MIN;
}
