import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** PEM, both. */
export interface KeyAndCertificate {
  readonly cert: string;
  readonly key: string;
}

/** Signs certificates for tests, for servers and clients alike. */
export interface TestAuthority {
  /** PEM; what the others are told to trust. */
  readonly cert: string;
  /** For `localhost` and 127.0.0.1. @param commonName of its subject. */
  issue(commonName?: string): KeyAndCertificate;
}

/** Valid from a day ago for thirty days; keys on P-256. Node signs but writes no certificates, hence the DER below. */
export function createAuthority(commonName = "Keyledger test authority"): TestAuthority {
  const authority = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuedBy = (subject: string, publicKey: KeyObject, extensions: readonly Buffer[]) =>
    pem(certificate(commonName, subject, publicKey, extensions, authority.privateKey));
  return {
    cert: issuedBy(commonName, authority.publicKey, [basicConstraints(true)]),
    issue: (subject = "localhost") => {
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      return {
        cert: issuedBy(subject, publicKey, [basicConstraints(false), alternativeNames()]),
        key: String(privateKey.export({ type: "pkcs8", format: "pem" })),
      };
    },
  };
}

const DAY_MS = 86_400_000;

function certificate(
  issuer: string,
  subject: string,
  publicKey: KeyObject,
  extensions: readonly Buffer[],
  signer: KeyObject,
): Buffer {
  const algorithm = sequence(oid("1.2.840.10045.4.3.2"));
  const spki = Buffer.from(publicKey.export({ type: "spki", format: "der" }));
  const now = Date.now();
  const body = sequence(
    // Version 3.
    der(0xa0, integer(Buffer.of(2))),
    // Positive, and no two alike.
    integer(Buffer.concat([Buffer.of(1), randomBytes(15)])),
    algorithm,
    distinguishedName(issuer),
    sequence(utcTime(now - DAY_MS), utcTime(now + 30 * DAY_MS)),
    distinguishedName(subject),
    spki,
    der(0xa3, sequence(keyIdentifier(spki), ...extensions)),
  );
  return sequence(body, algorithm, bitString(sign("sha256", body, signer)));
}

/** Tag, length, content. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const long = Buffer.of(length >> 8, length & 0xff);
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  const head = length < 0x100 ? Buffer.of(0x81, length) : Buffer.concat([Buffer.of(0x82), long]);
  return Buffer.concat([Buffer.of(tag), head, content]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts);
const integer = (bytes: Buffer): Buffer => der(0x02, bytes);
const octets = (content: Buffer): Buffer => der(0x04, content);
const bitString = (content: Buffer): Buffer => der(0x03, Buffer.of(0), content);

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const base128 = (number: number): readonly number[] =>
    number < 0x80 ? [number] : [...base128(number >> 7).map((byte) => byte | 0x80), number & 0x7f];
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

const distinguishedName = (commonName: string): Buffer =>
  sequence(der(0x31, sequence(oid("2.5.4.3"), der(0x0c, Buffer.from(commonName)))));

const utcTime = (ms: number): Buffer =>
  der(0x17, Buffer.from(`${new Date(ms).toISOString().slice(2, 19).replace(/[-T:]/g, "")}Z`));

const extension = (id: string, isCritical: boolean, content: Buffer): Buffer =>
  sequence(oid(id), ...(isCritical ? [der(0x01, Buffer.of(0xff))] : []), octets(content));

const basicConstraints = (isAuthority: boolean): Buffer =>
  extension("2.5.29.19", true, isAuthority ? sequence(der(0x01, Buffer.of(0xff))) : sequence());

const keyIdentifier = (spki: Buffer): Buffer =>
  extension("2.5.29.14", false, octets(createHash("sha256").update(spki).digest().subarray(0, 20)));

const alternativeNames = (): Buffer =>
  extension(
    "2.5.29.17",
    false,
    sequence(der(0x82, Buffer.from("localhost")), der(0x87, Buffer.of(127, 0, 0, 1))),
  );

/** Lines of 64 characters; an empty one at the end, where the last is full, OpenSSL refuses. */
const pem = (content: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${content.toString("base64").replace(/.{64}(?=.)/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
