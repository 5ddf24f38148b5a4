import type { Clock } from "@keyledger/core";
import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { Jwks, KeyMiss } from "./jwks.ts";
import { JWT_ALGORITHMS } from "./jwks-keys.ts";
import { repeatsAName } from "./jwt-json.ts";

/** Why a token was refused: for metrics and logs, never for whoever sent it. */
export type JwtRefusal =
  | KeyMiss
  | "too-long"
  | "malformed"
  | "algorithm"
  | "type"
  | "signature"
  | "issuer"
  | "audience"
  | "expired"
  | "not-yet-valid"
  | "claims"
  | "fault";

export interface JwtVerifier {
  /** The claims of a token that is valid now, by the wall clock; `undefined` of any other. Never rejects. */
  verify(token: string): Promise<JWTPayload | undefined>;
}

export interface JwtVerifierOptions {
  /** What `iss` must be, to the letter. */
  readonly issuer: string;
  /** What `aud` must be or hold. */
  readonly audience: string;
  readonly jwks: Jwks;
  readonly clock: Pick<Clock, "now">;
  readonly onRefused?: (because: JwtRefusal) => void;
}

const TOKEN_LENGTH_MAX = 8 * 1024;
/** By how much the issuer's clock and ours may differ. */
const SKEW_S_MAX = 30;

/**
 * Signed tokens of one issuer for one audience, with an end. A verification costs 60 to 130 microseconds of CPU, so
 * nothing is remembered: what the issuer's keys no longer vouch for is refused at once.
 */
export function createJwtVerifier(options: JwtVerifierOptions): JwtVerifier {
  const { issuer, audience, jwks, clock, onRefused = () => {} } = options;

  /** Keys, and addresses of keys, that stand in a token's header mean nothing: nothing here looks at them. */
  const keyOf: JWTVerifyGetKey = async ({ alg: name, kid, typ, crit, b64 }) => {
    const alg = JWT_ALGORITHMS.find((known) => known === name);
    if (alg === undefined) throw new Refused("algorithm");
    if (kid !== undefined && typeof kid !== "string") throw new Refused("malformed");
    // No extension is known here, not even RFC 7797, whose payload would be another text than the one that is read.
    if (crit !== undefined || b64 !== undefined) throw new Refused("malformed");
    if (typ !== undefined && !isAccessTokenType(typ)) throw new Refused("type");
    const found = await jwks.keyFor({ alg, kid });
    if (typeof found === "string") throw new Refused(found);
    return found.key;
  };

  const verified = async (token: string): Promise<JWTPayload> => {
    if (token.length > TOKEN_LENGTH_MAX) throw new Refused("too-long");
    if (!COMPACT.test(token)) throw new Refused("malformed");
    const { payload } = await jwtVerify(token, keyOf, {
      algorithms: [...JWT_ALGORITHMS],
      issuer,
      audience,
      requiredClaims: ["exp"],
      clockTolerance: SKEW_S_MAX,
      currentDate: new Date(clock.now()),
    });
    // JSON has no infinity, but a number may overflow to it: a token without an end.
    if (!Number.isFinite(payload.exp)) throw new Refused("claims");
    // Of a repeated name another reader, as a proxy before us, may have taken the other value.
    if (token.split(".", 2).some((part) => repeatsAName(textOf(part)))) {
      throw new Refused("malformed");
    }
    return payload;
  };

  return {
    async verify(token) {
      try {
        return await verified(token);
      } catch (error) {
        onRefused(refusalOf(error));
        return undefined;
      }
    },
  };
}

/** Three parts of base64url, each in its one canonical form: the last character has no bits to spare. */
const PART = "(?:[\\w-]{4})*(?:[\\w-]{2}[AEIMQUYcgkosw048]|[\\w-][AQgw])?";
const COMPACT = new RegExp(`^(?=[\\w-])${PART}\\.(?=[\\w-])${PART}\\.(?=[\\w-])${PART}$`);

const textOf = (part: string): string => Buffer.from(part, "base64url").toString("utf8");

/**
 * Issuers sign other things for the same audience, such as logout tokens and security events, and say so here
 * (RFC 8725, section 3.11; RFC 9068, section 2.1).
 */
const isAccessTokenType = (typ: unknown): boolean =>
  typeof typ === "string" && /^(application\/)?(jwt|at\+jwt)$/i.test(typ);

class Refused extends Error {
  readonly because: JwtRefusal;

  constructor(because: JwtRefusal) {
    super(because);
    this.because = because;
  }
}

function refusalOf(error: unknown): JwtRefusal {
  if (error instanceof Refused) return error.because;
  if (error instanceof errors.JOSEAlgNotAllowed) return "algorithm";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "signature";
  if (error instanceof errors.JWTExpired) return "expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    return REFUSAL_OF_CLAIM.get(error.claim) ?? "claims";
  }
  return error instanceof errors.JOSEError ? "malformed" : "fault";
}

const REFUSAL_OF_CLAIM: ReadonlyMap<string, JwtRefusal> = new Map([
  ["iss", "issuer"],
  ["aud", "audience"],
  ["nbf", "not-yet-valid"],
]);
