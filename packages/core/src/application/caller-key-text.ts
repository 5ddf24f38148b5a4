import { isUuid, type Uuid } from "../domain/vocabulary.ts";
import type { Crypto } from "../ports/host.ts";

/**
 * The text of a caller key: `neo_sk_` + base62 of id (16 bytes), random (32 bytes) and CRC-32 of both (4 bytes), so that
 * a key is found by its id, proven by its random bytes, and a mistyped one is refused without a look-up.
 */
export const CALLER_KEY_PREFIX = "neo_sk_";
export const CALLER_KEY_RANDOM_BYTES = 32;

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_BYTES = 16;
const BYTES = ID_BYTES + CALLER_KEY_RANDOM_BYTES + 4;
/** 62^70 is the first power above 2^416. */
const DIGITS = 70;

const digitValue = new Int8Array(128).fill(-1);
for (let digit = 0; digit < ALPHABET.length; digit++)
  digitValue[ALPHABET.charCodeAt(digit)] = digit;

/** ASCII bytes of the text; wipe them once they are shown. */
export function formatCallerKey(crypto: Crypto, id: Uuid, random: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  const hex = id.replaceAll("-", "");
  for (let at = 0; at < ID_BYTES; at++)
    bytes[at] = Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16);
  bytes.set(random, ID_BYTES);
  const checked = ID_BYTES + CALLER_KEY_RANDOM_BYTES;
  new DataView(bytes.buffer).setUint32(checked, crypto.crc32(bytes.subarray(0, checked)));
  const text = new Uint8Array(CALLER_KEY_PREFIX.length + DIGITS);
  text.set(crypto.utf8Encode(CALLER_KEY_PREFIX), 0);
  for (let at = text.length - 1; at >= CALLER_KEY_PREFIX.length; at--) {
    let remainder = 0;
    for (let index = 0; index < BYTES; index++) {
      const value = remainder * 256 + (bytes[index] ?? 0);
      bytes[index] = (value / 62) | 0;
      remainder = value % 62;
    }
    text[at] = ALPHABET.charCodeAt(remainder);
  }
  return text;
}

/** @returns `undefined` where the text is no caller key. The random bytes are the caller's to wipe. */
export function parseCallerKey(
  crypto: Crypto,
  text: string,
): { readonly id: Uuid; readonly random: Uint8Array } | undefined {
  if (text.length !== CALLER_KEY_PREFIX.length + DIGITS || !text.startsWith(CALLER_KEY_PREFIX))
    return undefined;
  // 26 limbs of 16 bits, least significant last: small enough that no product leaves the safe integers.
  const limbs = new Uint32Array(BYTES / 2);
  for (let at = CALLER_KEY_PREFIX.length; at < text.length; at++) {
    const code = text.charCodeAt(at);
    let carry = code < 128 ? (digitValue[code] ?? -1) : -1;
    if (carry < 0) return undefined;
    for (let index = limbs.length - 1; index >= 0; index--) {
      const value = (limbs[index] ?? 0) * 62 + carry;
      limbs[index] = value & 0xffff;
      carry = value >>> 16;
    }
    if (carry !== 0) return undefined;
  }
  const bytes = new Uint8Array(BYTES);
  const view = new DataView(bytes.buffer);
  limbs.forEach((limb, index) => void view.setUint16(index * 2, limb));
  limbs.fill(0);
  const checked = ID_BYTES + CALLER_KEY_RANDOM_BYTES;
  if (view.getUint32(checked) !== crypto.crc32(bytes.subarray(0, checked))) return undefined;
  const hex = crypto.hex(bytes.subarray(0, ID_BYTES));
  const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  return isUuid(id) ? { id, random: bytes.subarray(ID_BYTES, checked) } : undefined;
}
