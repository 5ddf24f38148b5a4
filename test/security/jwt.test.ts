import { createHmac, generateKeyPairSync, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Jwks, openJwks } from "../../services/keyring/src/jwks.ts";
import {
  createJwtVerifier,
  type JwtRefusal,
  type JwtVerifier,
} from "../../services/keyring/src/jwt.ts";
import {
  base64url,
  compact,
  type Json,
  newSigningKey,
  openTestIssuer,
  openTrap,
  type SigningKey,
  signatureOf,
  simulatedTime,
  type TestIssuer,
} from "../support/jwt.ts";

const MINUTE_MS = 60_000;
/** How long a read of the key set may take: while a pause of it is waited out, one is under way. */
const READ_MS = 5_000;

interface World extends AsyncDisposable {
  readonly issuer: TestIssuer;
  readonly trap: { readonly origin: string; readonly visits: () => number };
  readonly time: ReturnType<typeof simulatedTime>;
  readonly jwks: Jwks;
  readonly verifier: JwtVerifier;
  /** Why the last token was refused. */
  readonly refused: () => JwtRefusal | undefined;
  readonly problems: readonly string[];
  /** Time passes; every read of the key set that it sets off comes to its end. */
  readonly advance: (ms: number) => Promise<void>;
}

async function openWorld(keys: readonly SigningKey[] = [newSigningKey()]): Promise<World> {
  await using opened = new AsyncDisposableStack();
  const time = simulatedTime();
  const issuer = opened.use(await openTestIssuer({ keys, now: time.now }));
  const trap = opened.use(await openTrap());
  const problems: string[] = [];
  const jwks = opened.use(
    await openJwks({
      source: { kind: "url", url: issuer.jwksUrl },
      host: time.host,
      onProblem: (problem) => problems.push(problem),
    }),
  );
  let refused: JwtRefusal | undefined;
  const verifier = createJwtVerifier({
    issuer: issuer.issuer,
    audience: issuer.audience,
    jwks,
    clock: time.host.clock,
    onRefused: (because) => {
      refused = because;
    },
  });
  const settled = () => time.pauses().length === 1 && !time.pauses().includes(READ_MS);
  const held = opened.move();
  return {
    ...{ issuer, trap, time, jwks, verifier, problems },
    refused: () => refused,
    advance: (ms) => time.advance(ms, settled),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

const rs = newSigningKey("RS256", "rs");
const ps = newSigningKey("PS256", "ps");
const es = newSigningKey("ES256", "es");
const ed = newSigningKey("EdDSA", "ed");
const otherEs = newSigningKey("ES256", "other-es");

/** Published, and yet no key for any token. */
const p384 = newSigningKey("ES256", "p384", generateKeyPairSync("ec", { namedCurve: "P-384" }));
const k256 = newSigningKey("ES256", "k256", generateKeyPairSync("ec", { namedCurve: "secp256k1" }));
const ed448 = newSigningKey("EdDSA", "ed448", generateKeyPairSync("ed448"));
const rsa1024 = newSigningKey(
  "RS256",
  "rsa1024",
  generateKeyPairSync("rsa", { modulusLength: 1024 }),
);
const leaked = newSigningKey("ES256", "leaked");
const unusable: readonly Json[] = [
  p384.jwk,
  { ...k256.jwk, crv: "P-256" },
  { ...ed448.jwk, crv: "Ed448" },
  rsa1024.jwk,
  { ...leaked.privateKey.export({ format: "jwk" }), kid: "leaked" },
  { ...es.jwk, kid: "for-encryption", use: "enc" },
  { ...es.jwk, kid: "for-wrapping", use: undefined, key_ops: ["wrapKey"] },
  { ...rs.jwk, kid: "rs-for-ps", alg: "PS256" },
  { kty: "oct", kid: "shared", alg: "HS256", k: base64url("a secret that everybody knows") },
];

const attacker = newSigningKey("ES256", "attacker");
const attackerRs = newSigningKey("RS256", "rs");

type Signature = (input: string) => Uint8Array;
const signedBy =
  ({ alg, privateKey }: SigningKey): Signature =>
  (input) =>
    signatureOf(alg, privateKey, input);
const macOf =
  (hash: string, secret: string | Uint8Array): Signature =>
  (input) =>
    createHmac(hash, secret).update(input).digest();
const bytes =
  (length: number, value = 0): Signature =>
  () =>
    new Uint8Array(length).fill(value);

/** A token with good claims. */
type Forge = (world: World) => string;
const forged =
  (header: Json | string, signature: Signature): Forge =>
  ({ issuer }) =>
    compact(header, issuer.claims(), signature);
/** A token that the issuer signed, with claims that are not good. */
const claiming =
  (claims: (world: World) => Json): Forge =>
  (world) =>
    world.issuer.token(claims(world), { key: es });
/** A token whose payload the issuer signed to the letter. */
const saying =
  (payload: (claims: string) => string | Uint8Array): Forge =>
  ({ issuer }) =>
    compact({ alg: "ES256", kid: "es" }, payload(JSON.stringify(issuer.claims())), signedBy(es));
const mangled =
  (mangle: (token: string) => string): Forge =>
  ({ issuer }) =>
    mangle(issuer.token({}, { key: es }));
const part = (token: string, index: number): string => token.split(".")[index] ?? "";

const pem = rs.publicKey.export({ type: "spki", format: "pem" });
const der = rs.publicKey.export({ type: "spki", format: "der" });
const attackerDer = attackerRs.publicKey.export({ type: "spki", format: "der" });

const FORGED: readonly (readonly [string, JwtRefusal, Forge])[] = [
  // The algorithm is the token's word against ours.
  ["alg none without a signature", "malformed", forged({ alg: "none" }, bytes(0))],
  ["alg none with a signature", "algorithm", forged({ alg: "none", kid: "es" }, bytes(64))],
  ["alg None", "algorithm", forged({ alg: "None" }, bytes(1))],
  ["alg NONE", "algorithm", forged({ alg: "NONE" }, bytes(1))],
  ["alg nOnE", "algorithm", forged({ alg: "nOnE" }, bytes(1))],
  [
    "HS256 keyed with the public key's PEM",
    "algorithm",
    forged({ alg: "HS256", kid: "rs" }, macOf("sha256", pem)),
  ],
  [
    "HS256 keyed with the public key's DER",
    "algorithm",
    forged({ alg: "HS256", kid: "rs" }, macOf("sha256", der)),
  ],
  [
    "HS256 keyed with the public JWK",
    "algorithm",
    forged({ alg: "HS256", kid: "rs" }, macOf("sha256", JSON.stringify(rs.jwk))),
  ],
  [
    "HS256 keyed with the modulus",
    "algorithm",
    forged({ alg: "HS256", kid: "rs" }, macOf("sha256", Buffer.from(rs.jwk.n ?? "", "base64url"))),
  ],
  [
    "HS384 keyed with the public key",
    "algorithm",
    forged({ alg: "HS384", kid: "rs" }, macOf("sha384", pem)),
  ],
  [
    "HS512 keyed with the public key",
    "algorithm",
    forged({ alg: "HS512", kid: "rs" }, macOf("sha512", pem)),
  ],
  [
    "HS256 under a symmetric key that is published",
    "algorithm",
    forged({ alg: "HS256", kid: "shared" }, macOf("sha256", "a secret that everybody knows")),
  ],
  [
    "HS256 with an empty secret and a kid of an empty file",
    "algorithm",
    forged({ alg: "HS256", kid: "/dev/null" }, macOf("sha256", "")),
  ],
  [
    "a MAC that calls itself RS256",
    "signature",
    forged({ alg: "RS256", kid: "rs" }, macOf("sha256", pem)),
  ],
  ["no alg", "malformed", forged({ kid: "es" }, signedBy(es))],
  ["alg a number", "malformed", forged({ alg: 256, kid: "es" }, signedBy(es))],
  ["alg a list", "malformed", forged({ alg: ["ES256"], kid: "es" }, signedBy(es))],
  ["alg null", "malformed", forged({ alg: null, kid: "es" }, signedBy(es))],
  ["alg in lower case", "algorithm", forged({ alg: "es256", kid: "es" }, signedBy(es))],
  ["alg with a blank", "algorithm", forged({ alg: "ES256 ", kid: "es" }, signedBy(es))],
  ["alg with a NUL", "algorithm", forged({ alg: "ES256\0", kid: "es" }, signedBy(es))],
  ["alg of a prototype", "algorithm", forged({ alg: "__proto__", kid: "es" }, signedBy(es))],
  ["alg of an object's member", "algorithm", forged({ alg: "toString", kid: "es" }, signedBy(es))],
  [
    "RS512 by the right key",
    "algorithm",
    forged({ alg: "RS512", kid: "rs" }, (input) => signatureOf("RS512", rs.privateKey, input)),
  ],
  [
    "PS512 by the right key",
    "algorithm",
    forged({ alg: "PS512", kid: "ps" }, (input) => signatureOf("PS512", ps.privateKey, input)),
  ],
  ["Ed25519 in place of EdDSA", "algorithm", forged({ alg: "Ed25519", kid: "ed" }, signedBy(ed))],
  [
    "ES384 by a published key",
    "algorithm",
    forged({ alg: "ES384", kid: "p384" }, (input) => signatureOf("ES384", p384.privateKey, input)),
  ],
  [
    "an encryption algorithm",
    "algorithm",
    forged({ alg: "RSA-OAEP", enc: "A256GCM", kid: "rs" }, bytes(256)),
  ],

  // The right algorithm with the wrong key, and the other way round.
  [
    "PS256 padding that calls itself RS256",
    "signature",
    forged({ alg: "RS256", kid: "rs" }, (input) => signatureOf("PS256", rs.privateKey, input)),
  ],
  [
    "RS256 padding that calls itself PS256",
    "signature",
    forged({ alg: "PS256", kid: "ps" }, (input) => signatureOf("RS256", ps.privateKey, input)),
  ],
  [
    "RS256 under the kid of an EC key",
    "unknown-key",
    forged({ alg: "RS256", kid: "es" }, signedBy(attackerRs)),
  ],
  [
    "ES256 under the kid of an RSA key",
    "unknown-key",
    forged({ alg: "ES256", kid: "rs" }, signedBy(attacker)),
  ],
  [
    "EdDSA under the kid of an EC key",
    "unknown-key",
    forged({ alg: "EdDSA", kid: "es" }, signedBy(ed)),
  ],
  ["ES256 with a P-384 key", "unknown-key", forged({ alg: "ES256", kid: "p384" }, signedBy(p384))],
  [
    "ES256 with a secp256k1 key",
    "unknown-key",
    forged({ alg: "ES256", kid: "k256" }, signedBy(k256)),
  ],
  [
    "EdDSA with an Ed448 key",
    "unknown-key",
    forged({ alg: "EdDSA", kid: "ed448" }, signedBy(ed448)),
  ],
  [
    "RS256 with 1,024 bits",
    "unknown-key",
    forged({ alg: "RS256", kid: "rsa1024" }, signedBy(rsa1024)),
  ],
  [
    "a key whose private half was published",
    "unknown-key",
    forged({ alg: "ES256", kid: "leaked" }, signedBy(leaked)),
  ],
  [
    "a key for encryption",
    "unknown-key",
    forged({ alg: "ES256", kid: "for-encryption" }, signedBy(es)),
  ],
  [
    "a key for wrapping",
    "unknown-key",
    forged({ alg: "ES256", kid: "for-wrapping" }, signedBy(es)),
  ],
  [
    "a key of another algorithm",
    "unknown-key",
    forged({ alg: "RS256", kid: "rs-for-ps" }, signedBy(rs)),
  ],
  [
    "an EC signature in DER",
    "signature",
    forged({ alg: "ES256", kid: "es" }, (input) => signatureOf("DER", es.privateKey, input)),
  ],
  ["an EC signature of zeros", "signature", forged({ alg: "ES256", kid: "es" }, bytes(64))],
  ["an EC signature of ones", "signature", forged({ alg: "ES256", kid: "es" }, bytes(64, 255))],
  [
    "an EC signature one byte short",
    "signature",
    forged({ alg: "ES256", kid: "es" }, (input) => signedBy(es)(input).subarray(1)),
  ],
  [
    "an EC signature one byte long",
    "signature",
    forged({ alg: "ES256", kid: "es" }, (input) =>
      Buffer.concat([signedBy(es)(input), new Uint8Array(1)]),
    ),
  ],
  ["an Ed25519 signature of zeros", "signature", forged({ alg: "EdDSA", kid: "ed" }, bytes(64))],
  ["an RSA signature of zeros", "signature", forged({ alg: "RS256", kid: "rs" }, bytes(256))],
  [
    "an RSA signature of one",
    "signature",
    forged({ alg: "RS256", kid: "rs" }, (input) =>
      Buffer.concat([bytes(255)(input), bytes(1, 1)(input)]),
    ),
  ],
  [
    "an attacker's key under a known kid",
    "signature",
    forged({ alg: "RS256", kid: "rs" }, signedBy(attackerRs)),
  ],

  // A kid is compared, and nothing else.
  ["an unknown kid", "unknown-key", forged({ alg: "ES256", kid: "attacker" }, signedBy(attacker))],
  [
    "a kid with a path",
    "unknown-key",
    forged({ alg: "ES256", kid: "../../../../etc/passwd" }, signedBy(attacker)),
  ],
  [
    "a kid with a statement",
    "unknown-key",
    forged({ alg: "ES256", kid: "es' UNION SELECT 'key' -- " }, signedBy(attacker)),
  ],
  [
    "a kid with a command",
    "unknown-key",
    forged({ alg: "ES256", kid: "es;$(id)|`id`" }, signedBy(attacker)),
  ],
  [
    "a kid that is an address",
    "unknown-key",
    (world) => forged({ alg: "ES256", kid: `${world.trap.origin}/key` }, signedBy(attacker))(world),
  ],
  [
    "a kid of a prototype",
    "unknown-key",
    forged('{"alg":"ES256","kid":"__proto__"}', signedBy(attacker)),
  ],
  [
    "a kid of an object's member",
    "unknown-key",
    forged({ alg: "ES256", kid: "constructor" }, signedBy(attacker)),
  ],
  [
    "a kid with a NUL behind a known one",
    "unknown-key",
    forged({ alg: "ES256", kid: "es\0" }, signedBy(es)),
  ],
  ["a kid in another case", "unknown-key", forged({ alg: "ES256", kid: "ES" }, signedBy(es))],
  ["an empty kid", "unknown-key", forged({ alg: "ES256", kid: "" }, signedBy(es))],
  ["a kid that is a number", "malformed", forged({ alg: "ES256", kid: 0 }, signedBy(es))],
  ["a kid that is null", "malformed", forged({ alg: "ES256", kid: null }, signedBy(es))],
  ["a kid that is a list", "malformed", forged({ alg: "ES256", kid: ["es"] }, signedBy(es))],
  [
    "a kid that is an object",
    "malformed",
    forged({ alg: "ES256", kid: { toString: "es" } }, signedBy(es)),
  ],
  ["no kid where two keys fit", "ambiguous-key", forged({ alg: "ES256" }, signedBy(es))],
  ["no kid and an attacker's key", "signature", forged({ alg: "EdDSA" }, bytes(64, 7))],

  // Keys, and addresses of keys, that the token brings along.
  [
    "jku",
    "unknown-key",
    (world) =>
      forged(
        { alg: "ES256", kid: "attacker", jku: `${world.trap.origin}/jwks` },
        signedBy(attacker),
      )(world),
  ],
  [
    "jku of a file",
    "unknown-key",
    forged({ alg: "ES256", kid: "attacker", jku: "file:///etc/passwd" }, signedBy(attacker)),
  ],
  [
    "jku beside a known kid",
    "signature",
    (world) =>
      forged(
        { alg: "RS256", kid: "rs", jku: `${world.trap.origin}/jwks` },
        signedBy(attackerRs),
      )(world),
  ],
  [
    "x5u",
    "signature",
    (world) =>
      forged(
        { alg: "RS256", kid: "rs", x5u: `${world.trap.origin}/chain` },
        signedBy(attackerRs),
      )(world),
  ],
  [
    "jwk",
    "signature",
    forged({ alg: "RS256", kid: "rs", jwk: attackerRs.jwk }, signedBy(attackerRs)),
  ],
  [
    "jwk without a kid",
    "ambiguous-key",
    forged({ alg: "ES256", jwk: attacker.jwk }, signedBy(attacker)),
  ],
  [
    "x5c",
    "signature",
    forged(
      { alg: "RS256", kid: "rs", x5c: [attackerDer.toString("base64")] },
      signedBy(attackerRs),
    ),
  ],
  [
    "x5t and url",
    "signature",
    (world) =>
      forged(
        { alg: "RS256", kid: "rs", x5t: "AAAA", url: world.trap.origin },
        signedBy(attackerRs),
      )(world),
  ],

  // Extensions, and tokens that mean something else.
  [
    "crit of something unknown",
    "malformed",
    forged({ alg: "ES256", kid: "es", crit: ["exp"], exp: 1 }, signedBy(es)),
  ],
  ["crit of nothing", "malformed", forged({ alg: "ES256", kid: "es", crit: [] }, signedBy(es))],
  [
    "crit that is no list",
    "malformed",
    forged({ alg: "ES256", kid: "es", crit: "b64", b64: true }, signedBy(es)),
  ],
  [
    "b64 true",
    "malformed",
    forged({ alg: "ES256", kid: "es", crit: ["b64"], b64: true }, signedBy(es)),
  ],
  [
    "b64 false without crit",
    "malformed",
    forged({ alg: "ES256", kid: "es", b64: false }, signedBy(es)),
  ],
  [
    "b64 false",
    "malformed",
    ({ issuer }) => {
      const head = base64url('{"alg":"ES256","kid":"es","crit":["b64"],"b64":false}');
      const input = `${head}.${base64url(JSON.stringify(issuer.claims()))}`;
      return `${input}.${base64url(signedBy(es)(input))}`;
    },
  ],
  [
    "typ of a logout token",
    "type",
    forged({ alg: "ES256", kid: "es", typ: "logout+jwt" }, signedBy(es)),
  ],
  [
    "typ of a security event",
    "type",
    forged({ alg: "ES256", kid: "es", typ: "application/secevent+jwt" }, signedBy(es)),
  ],
  [
    "typ of a proof of possession",
    "type",
    forged({ alg: "ES256", kid: "es", typ: "dpop+jwt" }, signedBy(es)),
  ],
  ["typ that is a number", "type", forged({ alg: "ES256", kid: "es", typ: 1 }, signedBy(es))],
  [
    "a token within a token",
    "malformed",
    ({ issuer }) =>
      compact({ alg: "ES256", kid: "es", cty: "JWT" }, issuer.token({}, { key: es }), signedBy(es)),
  ],

  // What the issuer signed, but not like this.
  ["no iss", "issuer", claiming(() => ({ iss: undefined }))],
  ["another iss", "issuer", claiming(() => ({ iss: "https://evil.example/" }))],
  [
    "iss without its last slash",
    "issuer",
    claiming(({ issuer }) => ({ iss: issuer.issuer.slice(0, -1) })),
  ],
  ["iss in upper case", "issuer", claiming(({ issuer }) => ({ iss: issuer.issuer.toUpperCase() }))],
  ["iss in a list", "issuer", claiming(({ issuer }) => ({ iss: [issuer.issuer] }))],
  ["no aud", "audience", claiming(() => ({ aud: undefined }))],
  ["another aud", "audience", claiming(() => ({ aud: "another" }))],
  ["a longer aud", "audience", claiming(() => ({ aud: "keyledger-staging" }))],
  ["aud empty", "audience", claiming(() => ({ aud: "" }))],
  ["aud an empty list", "audience", claiming(() => ({ aud: [] }))],
  ["aud a list of others", "audience", claiming(() => ({ aud: ["another", "keyledger "] }))],
  ["aud a list in a list", "audience", claiming(() => ({ aud: [["keyledger"]] }))],
  ["aud an object", "audience", claiming(() => ({ aud: { keyledger: true } }))],
  ["aud a number", "audience", claiming(() => ({ aud: 0 }))],
  ["aud null", "audience", claiming(() => ({ aud: null }))],
  ["aud true", "audience", claiming(() => ({ aud: true }))],
  ["no exp", "claims", claiming(() => ({ exp: undefined }))],
  ["exp null", "claims", claiming(() => ({ exp: null }))],
  ["exp a text", "claims", claiming(({ time }) => ({ exp: `${time.now() + 300}` }))],
  ["exp a list", "claims", claiming(({ time }) => ({ exp: [time.now() + 300] }))],
  ["exp true", "claims", claiming(() => ({ exp: true }))],
  [
    "exp beyond all numbers",
    "claims",
    saying((claims) => claims.replace(/"exp":\d+/, '"exp":1e999')),
  ],
  ["exp an hour ago", "expired", claiming(({ time }) => ({ exp: time.now() - 3_600 }))],
  ["exp 30 seconds ago", "expired", claiming(({ time }) => ({ exp: time.now() - 30 }))],
  ["exp zero", "expired", claiming(() => ({ exp: 0 }))],
  ["exp negative", "expired", claiming(() => ({ exp: -1e300 }))],
  ["nbf in 31 seconds", "not-yet-valid", claiming(({ time }) => ({ nbf: time.now() + 31 }))],
  ["nbf in an hour", "not-yet-valid", claiming(({ time }) => ({ nbf: time.now() + 3_600 }))],
  ["nbf a text", "not-yet-valid", claiming(() => ({ nbf: "0" }))],
  ["nbf null", "not-yet-valid", claiming(() => ({ nbf: null }))],
  ["iat a text", "claims", claiming(() => ({ iat: "0" }))],
  ["a payload that is a list", "malformed", saying((claims) => `[${claims}]`)],
  ["a payload that is a text", "malformed", saying((claims) => JSON.stringify(claims))],
  ["a payload that is null", "malformed", saying(() => "null")],
  ["a payload that is no JSON", "malformed", saying((claims) => `${claims},`)],
  [
    "a payload that is no UTF-8",
    "malformed",
    saying((claims) => Buffer.from(claims.replace("alice", "\xff"), "latin1")),
  ],
  ["sub twice", "malformed", saying((claims) => claims.replace("{", '{"sub":"mallory",'))],
  [
    "sub twice, once with an escape",
    "malformed",
    saying((claims) => claims.replace("{", '{"s\\u0075b":"mallory",')),
  ],
  ["exp twice", "malformed", saying((claims) => claims.replace("{", '{"exp":1,'))],
  [
    "a name twice further in",
    "malformed",
    saying((claims) => claims.replace("{", '{"a":[{"b":{"c":1,"c":2}}],')),
  ],
  ["alg twice", "malformed", forged('{"alg":"none","alg":"ES256","kid":"es"}', signedBy(es))],
  ["kid twice", "malformed", forged('{"alg":"ES256","kid":"other-es","kid":"es"}', signedBy(es))],

  // Not the three parts.
  ["nothing", "malformed", () => ""],
  ["dots alone", "malformed", () => ".."],
  ["two parts", "malformed", mangled((token) => token.slice(0, token.lastIndexOf(".")))],
  ["no signature", "malformed", mangled((token) => token.slice(0, token.lastIndexOf(".") + 1))],
  ["no header", "malformed", mangled((token) => token.slice(token.indexOf(".")))],
  ["no payload", "malformed", mangled((token) => `${part(token, 0)}..${part(token, 2)}`)],
  ["a dot more behind", "malformed", mangled((token) => `${token}.`)],
  ["a dot more before", "malformed", mangled((token) => `.${token}`)],
  ["a part more", "malformed", mangled((token) => `${token}.${part(token, 2)}`)],
  ["five parts", "malformed", mangled((token) => `${token}.AAAA.AAAA`)],
  ["a signature cut short", "signature", mangled((token) => token.slice(0, -2))],
  [
    "a payload cut short",
    "signature",
    mangled((token) => `${part(token, 0)}.${part(token, 1).slice(0, -4)}.${part(token, 2)}`),
  ],
  [
    "a header of another token",
    "signature",
    mangled(
      (token) =>
        `${base64url('{"alg":"ES256","kid":"other-es"}')}.${part(token, 1)}.${part(token, 2)}`,
    ),
  ],
  ["a blank before", "malformed", mangled((token) => ` ${token}`)],
  ["a line end behind", "malformed", mangled((token) => `${token}\n`)],
  ["a line end within", "malformed", mangled((token) => token.replace(".", ".\r\n"))],
  ["its scheme", "malformed", mangled((token) => `Bearer ${token}`)],
  ["padding", "malformed", mangled((token) => `${token}==`)],
  ["the other alphabet", "malformed", mangled((token) => `${token.slice(0, -4)}+/+/`)],
  ["bits to spare", "malformed", ({ issuer }) => `${issuer.token({}, { key: ed }).slice(0, -1)}_`],
  ["a fullwidth dot", "malformed", mangled((token) => token.replace(".", "\uff0e"))],
  ["a letter that looks alike", "malformed", mangled((token) => token.replace("e", "\u0435"))],
  ["an invisible character", "malformed", mangled((token) => token.replace(".", "\u200b."))],
  ["a NUL", "malformed", mangled((token) => `${token}\0`)],
  ["a lone surrogate", "malformed", mangled((token) => `${token}\ud800`)],
  [
    "the JSON serialization",
    "malformed",
    mangled((token) =>
      JSON.stringify({
        protected: part(token, 0),
        payload: part(token, 1),
        signature: part(token, 2),
      }),
    ),
  ],
  ["a header that is no JSON", "malformed", forged("{alg:ES256}", signedBy(es))],
  ["a header that is a list", "malformed", forged('["ES256"]', signedBy(es))],
  ["brackets as deep as fits", "malformed", saying(() => "[".repeat(5_000))],
  [
    "more than 8 KiB, signed by the issuer",
    "too-long",
    claiming(() => ({ filler: "x".repeat(8 * 1024) })),
  ],
  ["a megabyte of dots", "too-long", () => ".".repeat(1024 * 1024)],
  ["a megabyte of junk", "too-long", () => base64url(randomBytes(768 * 1024))],
];

describe("A forged token", () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld([rs, ps, es, ed, otherEs]);
    world.issuer.publish(...unusable);
    await world.advance(5 * MINUTE_MS);
  });
  afterAll(async () => {
    // The one request of the start, the one after five minutes, and one for all the unknown keys together.
    expect(world.issuer.requests()).toBe(3);
    expect(world.trap.visits()).toBe(0);
    await world[Symbol.asyncDispose]();
  });

  it.for(FORGED)("is refused: %s", async ([, because, forge]) => {
    expect(await world.verifier.verify(forge(world))).toBeUndefined();
    expect(world.refused()).toBe(because);
  });

  it("is refused with any one character changed, the last of each part included", async () => {
    const token = world.issuer.token({}, { key: es });
    for (const [index, character] of [...token].entries()) {
      const other = character === "A" ? "B" : "A";
      const changed = token.slice(0, index) + other + token.slice(index + 1);
      expect(await world.verifier.verify(changed), `position ${index}`).toBeUndefined();
    }
  });
});

describe("A token of the issuer", () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld([rs, ps, es, ed]);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it.for([rs, ps, es, ed])("is taken: $alg", async (key) => {
    const claims = await world.verifier.verify(world.issuer.token({ sub: key.alg }, { key }));
    expect(claims).toStrictEqual(world.issuer.claims({ sub: key.alg }));
  });

  const good: readonly (readonly [string, Json, Json])[] = [
    ["our audience among others", { aud: ["another", "keyledger"] }, {}],
    ["no kid where one key fits", {}, { kid: undefined }],
    ["typ JWT", {}, { typ: "JWT" }],
    ["typ of an access token", {}, { typ: "at+jwt" }],
    ["typ in full", {}, { typ: "application/at+JWT" }],
    ["text that needs escapes", { name: 'a"\\{[]}:,\u2028 "sub":' }, {}],
  ];
  it.for(good)("is taken with %s", async ([, claims, header]) => {
    const token = world.issuer.token(claims, { key: es, header });
    expect(await world.verifier.verify(token)).toStrictEqual(world.issuer.claims(claims));
  });

  it("is taken with addresses of keys in its header, and none of them is asked", async () => {
    const to = `${world.trap.origin}/keys`;
    const header = { jku: to, x5u: to, jwk: attacker.jwk, x5c: ["AAAA"] };
    expect(await world.verifier.verify(world.issuer.token({}, { key: es, header }))).toBeDefined();
    expect(world.trap.visits()).toBe(0);
  });

  it("is taken up to 8,192 characters, and not one more", async () => {
    const ofLength = (wanted: number): string => {
      // A byte more is one or two characters more, so that the payload alone does not give every length.
      for (const more of ["", "x", "xx", "xxx"]) {
        const make = (bytes: number) =>
          world.issuer.token({ filler: "x".repeat(bytes) }, { key: ed, header: { more } });
        const bytes = Math.floor(((wanted - make(0).length) * 3) / 4);
        const made = [bytes - 1, bytes, bytes + 1].map(make);
        const found = made.find((token) => token.length === wanted);
        if (found !== undefined) return found;
      }
      throw new RangeError("no such token");
    };
    expect(await world.verifier.verify(ofLength(8_192))).toBeDefined();
    expect(await world.verifier.verify(ofLength(8_193))).toBeUndefined();
    expect(world.refused()).toBe("too-long");
  });

  it("lives 30 seconds beyond both its ends, and no longer", async () => {
    const { issuer, time, verifier } = world;
    const isTaken = async (claims: Json) =>
      (await verifier.verify(issuer.token(claims, { key: es }))) !== undefined;
    const now = time.now();
    expect(await isTaken({ exp: now - 29 })).toBe(true);
    expect(await isTaken({ exp: now - 30 })).toBe(false);
    expect(await isTaken({ nbf: now + 30 })).toBe(true);
    expect(await isTaken({ nbf: now + 31 })).toBe(false);
  });
});

describe("The wall clock", () => {
  it.for([3_600, -3_600, 10 * 31_557_600, -10 * 31_557_600])(
    "decides on a token's life when it jumps by %d s, and not on the age of keys",
    async (jumpS) => {
      await using world = await openWorld();
      const { issuer, time, verifier } = world;
      const old = issuer.token({ nbf: time.now() });
      time.setWallClock(jumpS * 1_000);
      expect(await verifier.verify(old)).toBeUndefined();
      expect(world.refused()).toBe(jumpS > 0 ? "expired" : "not-yet-valid");
      expect(await verifier.verify(issuer.token())).toBeDefined();

      issuer.answer = (request) => request.socket.destroy();
      await world.advance(59 * MINUTE_MS);
      expect(await verifier.verify(issuer.token())).toBeDefined();
      time.setWallClock(-jumpS * 1_000);
      await world.advance(2 * MINUTE_MS);
      expect(await verifier.verify(issuer.token())).toBeUndefined();
    },
  );
});

describe("An issuer that rotates its keys", () => {
  it("sees no good token refused, from the moment a key is published, under load", async () => {
    await using world = await openWorld();
    const { issuer, verifier } = world;
    let key = newSigningKey("EdDSA");
    let before = key;
    issuer.publish(key.jwk);
    let refused = 0;
    let verified = 0;
    for (let rotation = 0; rotation < 8; rotation++) {
      world.time.skip(30_000);
      before = key;
      key = newSigningKey("EdDSA");
      issuer.publish(key.jwk);
      for (let burst = 0; burst < 10; burst++) {
        const tokens = Array.from({ length: 50 }, (_, index) =>
          issuer.token({ sub: `${index}` }, { key: index % 2 ? key : before }),
        );
        const claims = await Promise.all(tokens.map((token) => verifier.verify(token)));
        refused += claims.filter((one) => one === undefined).length;
        verified += claims.length;
      }
    }
    expect({ refused, verified }).toStrictEqual({ refused: 0, verified: 4_000 });
  });

  it("is asked for a key once, however many tokens come with it at a time", async () => {
    await using world = await openWorld();
    const { issuer, verifier } = world;
    world.time.skip(30_000);
    const key = newSigningKey();
    issuer.publish(key.jwk);
    const tokens = Array.from({ length: 200 }, () => issuer.token({}, { key }));
    const claims = await Promise.all(tokens.map((token) => verifier.verify(token)));
    expect(claims).not.toContain(undefined);
    expect(issuer.requests()).toBe(2);
  });

  it("is asked again for a key that it published while an answer was on its way", async () => {
    await using world = await openWorld();
    const { issuer, verifier, time } = world;
    const stale = JSON.stringify(issuer.keySet());
    const answers: (() => void)[] = [];
    issuer.answer = (_request, response) => answers.push(() => response.end(stale));
    time.skip(5 * MINUTE_MS);
    await expect.poll(() => answers.length).toBe(1);

    const key = newSigningKey();
    issuer.publish(key.jwk);
    const verdicts = [1, 2, 3].map(() => verifier.verify(issuer.token({}, { key })));
    issuer.answer = undefined;
    answers[0]?.();
    expect(await Promise.all(verdicts)).not.toContain(undefined);
    expect(issuer.requests()).toBe(3);
  });

  it("is never asked twice at a time", async () => {
    await using world = await openWorld();
    const { issuer, verifier, time } = world;
    const answers: (() => void)[] = [];
    issuer.answer = (_request, response) =>
      answers.push(() => response.end(JSON.stringify(issuer.keySet())));
    time.skip(5 * MINUTE_MS - 1_000);
    const key = newSigningKey();
    const wanted = verifier.verify(issuer.token({}, { key }));
    await expect.poll(() => answers.length).toBe(1);
    // The five minutes are over while the answer to the token's question is on its way.
    time.skip(1_000);
    issuer.publish(key.jwk);
    expect(await verifier.verify(issuer.token())).toBeDefined();
    answers[0]?.();
    expect(await wanted).toBeDefined();
    expect(answers.length).toBe(1);
  });

  it("has a removed key refused within 10 minutes", async () => {
    const [kept, removed] = [newSigningKey(), newSigningKey()];
    await using world = await openWorld([kept, removed]);
    const { issuer, verifier, advance } = world;
    await advance(MINUTE_MS);
    issuer.withdraw(removed.kid);
    await advance(10 * MINUTE_MS);
    expect(await verifier.verify(issuer.token({}, { key: removed }))).toBeUndefined();
    expect(await verifier.verify(issuer.token({}, { key: kept }))).toBeDefined();
  });

  it("has a removed key refused within 10 minutes though one answer in between fails", async () => {
    const [kept, removed] = [newSigningKey(), newSigningKey()];
    await using world = await openWorld([kept, removed]);
    const { issuer, verifier, advance } = world;
    issuer.withdraw(removed.kid);
    issuer.answer = (_request, response) => response.writeHead(503).end();
    await advance(5 * MINUTE_MS);
    issuer.answer = undefined;
    await advance(5 * MINUTE_MS);
    expect(await verifier.verify(issuer.token({}, { key: removed }))).toBeUndefined();
  });
});

describe("An issuer that is down", () => {
  it("is not noticed for 55 minutes, and trusted no more after 61", async () => {
    await using world = await openWorld();
    const { issuer, verifier, advance, problems } = world;
    await advance(4 * MINUTE_MS);
    issuer.answer = (request) => request.socket.destroy();
    let refused = 0;
    for (let minute = 0; minute < 55; minute++) {
      await advance(MINUTE_MS);
      if ((await verifier.verify(issuer.token())) === undefined) refused++;
    }
    expect(refused).toBe(0);
    expect(problems.at(-1)).toMatch(
      /^the key set cannot be read \(\w+\); those of 5\d min ago stay in use until they are 60 min old$/,
    );
    await advance(6 * MINUTE_MS);
    expect(await verifier.verify(issuer.token())).toBeUndefined();
    expect(world.refused()).toBe("no-keys");
    expect(problems.at(-1)).toMatch(/no keys are held and every token is refused$/);
  });

  it("is believed again with the first answer", async () => {
    await using world = await openWorld();
    const { issuer, verifier, advance } = world;
    issuer.answer = (_request, response) => response.writeHead(500).end();
    await advance(70 * MINUTE_MS);
    expect(await verifier.verify(issuer.token())).toBeUndefined();
    issuer.answer = undefined;
    await advance(30_000);
    expect(await verifier.verify(issuer.token())).toBeDefined();
  });

  it("is asked every 30 seconds, also while tokens with unknown keys pour in", async () => {
    await using world = await openWorld();
    const { issuer, verifier, advance } = world;
    issuer.answer = (_request, response) => response.writeHead(500).end();
    await advance(5 * MINUTE_MS);
    const before = issuer.requests();
    for (let second = 0; second < 300; second++) {
      await verifier.verify(issuer.token({}, { key: attacker }));
      await advance(1_000);
    }
    expect(issuer.requests() - before).toBeLessThanOrEqual(11);
  });
});

describe("Tokens with unknown keys", () => {
  it("make at most 3 requests when 10,000 come within a minute", async () => {
    await using world = await openWorld();
    const { issuer, verifier, time } = world;
    time.skip(60_000);
    const before = issuer.requests();
    // One signature for all of them: it is not looked at where the key is unknown.
    const signature = base64url(signedBy(attacker)("x"));
    const payload = base64url(JSON.stringify(issuer.claims()));
    let taken = 0;
    for (let batch = 0; batch < 100; batch++) {
      const verdicts = Array.from({ length: 100 }, (_, index) => {
        const header = base64url(JSON.stringify({ alg: "ES256", kid: `${batch}-${index}` }));
        return verifier.verify(`${header}.${payload}.${signature}`);
      });
      taken += (await Promise.all(verdicts)).filter((claims) => claims !== undefined).length;
      expect(world.refused()).toBe("unknown-key");
      time.skip(600);
    }
    expect(taken).toBe(0);
    expect(issuer.requests() - before).toBeGreaterThan(0);
    expect(issuer.requests() - before).toBeLessThanOrEqual(3);
  });

  it("do not keep known ones waiting, though the issuer hangs", async () => {
    await using world = await openWorld();
    const { issuer, verifier, time } = world;
    issuer.answer = () => {};
    time.skip(MINUTE_MS);
    const unknown = verifier.verify(issuer.token({}, { key: attacker }));
    await expect.poll(() => issuer.requests()).toBe(2);
    expect(await verifier.verify(issuer.token())).toBeDefined();
    time.skip(READ_MS);
    expect(await unknown).toBeUndefined();
    expect(world.problems).toStrictEqual([
      "the key set did not come within 5 s; those of 1 min ago stay in use until they are 60 min old",
    ]);
  });
});
