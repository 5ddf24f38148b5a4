import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { Refusal } from "./answer.ts";
import { base64Bytes } from "./base64.ts";

/** A named key as it is kept. */
export interface TransitKey {
  readonly name: string;
  /** Each context has a key of its own, derived from the version's. */
  readonly derived: boolean;
  readonly exportable: boolean;
  readonly allowPlaintextBackup: boolean;
  readonly deletionAllowed: boolean;
  readonly autoRotateSeconds: number;
  readonly latest: number;
  /** What trim left; 0 = everything. */
  readonly minAvailable: number;
  readonly minDecryption: number;
  /** 0 = the latest only. */
  readonly minEncryption: number;
  readonly versions: Readonly<Record<string, KeyVersion>>;
}

export interface KeyVersion {
  /** 32 bytes, base64. */
  readonly key: string;
  readonly createdAtSeconds: number;
}

export const newKeyVersion = (createdAtSeconds: number): KeyVersion => ({
  key: randomBytes(32).toString("base64"),
  createdAtSeconds,
});

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What binds a ciphertext; both decoded, both empty where there are none. */
export interface Binding {
  readonly context: Uint8Array;
  readonly associatedData: Uint8Array;
}

/** @param wanted 0 = the latest. @returns `vault:v<version>:` + base64(nonce, ciphertext, tag). @throws {Refusal} */
export function encrypt(
  key: TransitKey,
  plaintext: Uint8Array,
  binding: Binding,
  wanted: number,
): { readonly ciphertext: string; readonly version: number } {
  const version = wanted === 0 ? key.latest : wanted;
  if (version < 0) throw new Refusal(400, "requested version for encryption is negative");
  if (version > key.latest) {
    throw new Refusal(
      400,
      "requested version for encryption is higher than the latest key version",
    );
  }
  if (version < key.minEncryption) {
    throw new Refusal(
      400,
      "requested version for encryption is less than the minimum encryption key version",
    );
  }
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", keyBytes(key, version, binding.context), nonce, {
    authTagLength: TAG_BYTES,
  }).setAAD(binding.associatedData);
  const body = Buffer.concat([nonce, cipher.update(plaintext), cipher.final()]);
  const sealed = Buffer.concat([body, cipher.getAuthTag()]);
  return { ciphertext: `vault:v${version}:${sealed.toString("base64")}`, version };
}

/** @throws {Refusal} saying what is wrong with the ciphertext. */
export function decrypt(key: TransitKey, ciphertext: string, binding: Binding): Buffer {
  if (!ciphertext.startsWith("vault:v")) throw new Refusal(400, "invalid ciphertext: no prefix");
  const [number = "", encoded] = ciphertext.slice("vault:v".length).split(/:(.*)/s);
  if (encoded === undefined) throw new Refusal(400, "invalid ciphertext: wrong number of fields");
  if (!/^[+-]?\d+$/.test(number)) {
    throw new Refusal(400, "invalid ciphertext: version number could not be decoded");
  }
  // Version 0 is how the very first keys were counted.
  const version = Number(number) || 1;
  if (version > key.latest) throw new Refusal(400, "invalid ciphertext: version is too new");
  if (version < key.minDecryption) {
    throw new Refusal(400, "ciphertext or signature version is disallowed by policy (too old)");
  }
  const sealed = base64Bytes(encoded);
  if (sealed === undefined) throw new Refusal(400, "invalid ciphertext: could not decode base64");
  const bytes = keyBytes(key, version, binding.context);
  if (sealed.length < NONCE_BYTES) throw new Refusal(400, "invalid ciphertext length");
  try {
    return open(bytes, sealed, binding.associatedData);
  } catch {
    throw new Refusal(400, "cipher: message authentication failed");
  }
}

function open(key: Uint8Array, sealed: Buffer, associatedData: Uint8Array): Buffer {
  const tagAt = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
    .setAAD(associatedData)
    .setAuthTag(sealed.subarray(tagAt));
  const plaintext = decipher.update(sealed.subarray(NONCE_BYTES, tagAt));
  return Buffer.concat([plaintext, decipher.final()]);
}

function keyBytes(key: TransitKey, version: number, context: Uint8Array): Uint8Array {
  const held = key.versions[version];
  if (held === undefined) throw new Refusal(400, "invalid key version");
  const bytes = Buffer.from(held.key, "base64");
  if (!key.derived) return bytes;
  if (context.length === 0) {
    throw new Refusal(
      400,
      "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key",
    );
  }
  return firstBlockOfHkdf(bytes, context);
}

/** HKDF-SHA-256 (RFC 5869) without salt, 32 bytes; by hand, for Node's takes no context above 1,024 bytes. */
function firstBlockOfHkdf(key: Uint8Array, info: Uint8Array): Uint8Array {
  const extracted = createHmac("sha256", Buffer.alloc(32)).update(key).digest();
  return createHmac("sha256", extracted).update(info).update(Uint8Array.of(1)).digest();
}
