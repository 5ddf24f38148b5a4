import { lengthPrefixed } from "../domain/hash-chain.ts";
import { isOwnerId } from "../domain/vocabulary.ts";
import type { Crypto, KeyHandle } from "../ports/host.ts";

/** The 32 bytes every keyed hash comes from, and the id stored beside each value made with it. */
export interface MacRoot {
  readonly id: string;
  readonly key: KeyHandle;
}

export type MacPurpose = "fingerprint" | "caller-key" | "request";

/**
 * Keyed hashes: HMAC-SHA-256 under a key derived per purpose and scope. Values read `<mac root id>:<base64url>` and are
 * compared under the stored id, so that a new root can be introduced while old values stay.
 */
export interface Mac {
  /** @param scope the owner's canonical name, or empty where there is none. @param length bytes kept, at most 32. */
  value(purpose: MacPurpose, scope: string, message: Uint8Array, length?: number): string;
  /** Constant time. */
  matches(stored: string, purpose: MacPurpose, scope: string, message: Uint8Array): boolean;
  /** A claim as an owner's or actor's id: itself where it is one, else `h_` + base32 of its keyed hash. */
  opaqueId(claim: string): string;
}

/** Base64url characters of the 12 bytes that a fingerprint keeps; no value is shorter. */
const TEXT_LENGTH_MIN = 16;

/** Derived keys kept, so that an owner's next call need not derive them again. */
const DERIVED_KEYS_MAX = 10_000;

export function createMac(root: MacRoot, crypto: Crypto): Mac {
  const derived = new Map<string, KeyHandle>();
  const keyFor = (purpose: MacPurpose | "claim", scope: string): KeyHandle => {
    const name = `${purpose}\n${scope}`;
    const known = derived.get(name);
    if (known) return known;
    const info = lengthPrefixed([crypto.utf8Encode(purpose), crypto.utf8Encode(scope)]);
    const key = crypto.deriveKey(root.key, info);
    if (derived.size >= DERIVED_KEYS_MAX) derived.clear();
    derived.set(name, key);
    return key;
  };
  const digest = (purpose: MacPurpose, scope: string, message: Uint8Array, length: number) =>
    crypto.base64url(crypto.hmac(keyFor(purpose, scope), message).subarray(0, length));

  return {
    value: (purpose, scope, message, length = 32) =>
      `${root.id}:${digest(purpose, scope, message, length)}`,
    matches: (stored, purpose, scope, message) => {
      if (!stored.startsWith(`${root.id}:`)) return false;
      const text = stored.slice(root.id.length + 1);
      // Of a damaged value too little may be left to prove anything.
      if (text.length < TEXT_LENGTH_MIN) return false;
      const own = crypto.utf8Encode(digest(purpose, scope, message, (text.length * 3) >> 2));
      return crypto.equal(own, crypto.utf8Encode(text));
    },
    opaqueId: (claim) =>
      isOwnerId(claim) && !claim.startsWith("h_")
        ? claim
        : `h_${base32(crypto.hmac(keyFor("claim", ""), crypto.utf8Encode(claim)))}`,
  };
}

/** RFC 4648 alphabet in lower case, without padding. */
function base32(bytes: Uint8Array): string {
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  let text = "";
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet.charAt((held >> bits) & 31);
    }
    held &= (1 << bits) - 1;
  }
  return bits > 0 ? text + alphabet.charAt((held << (5 - bits)) & 31) : text;
}
