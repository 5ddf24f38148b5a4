import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  randomFillSync,
  timingSafeEqual,
} from "node:crypto";
import { crc32 } from "node:zlib";
import type { CancelSignal, Crypto, Host, KeyHandle, Random } from "@keyledger/core";

/** What Node lends to the core: its clock, randomness and cryptography. */
export const nodeHost = (): Host => ({ clock, pause, random, crypto });

const clock = {
  now: () => new Date().toISOString(),
  monotonicMs: () => performance.now(),
};

/** What a timer of Node holds, some 24.8 days. Anything longer it would take for one millisecond. */
const TIMER_MS_MAX = 2 ** 31 - 1;

async function pause(ms: number, signal?: CancelSignal): Promise<void> {
  let leftMs = ms;
  for (; leftMs > TIMER_MS_MAX && !signal?.aborted; leftMs -= TIMER_MS_MAX) {
    await timer(TIMER_MS_MAX, signal);
  }
  await timer(leftMs, signal);
}

const timer = (ms: number, signal?: CancelSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timeout);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timeout = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });

/** RFC 9562, version 7: 48 bits of milliseconds, then randomness. */
function uuidV7(): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes.readUInt8(6) & 0x0f) | 0x70;
  bytes[8] = (bytes.readUInt8(8) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const random: Random = {
  // In place: a copy would leave behind a second one of what becomes a key.
  bytes: (length) => randomFillSync(new Uint8Array(length)),
  uuid: uuidV7,
  fraction: () => Math.random(),
};

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The same memory without Buffer's ways: there `slice` is a view, and the core expects a copy. */
const bytes = ({ buffer, byteOffset, byteLength }: Buffer): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const encoder = new TextEncoder();

// A key handle is a KeyObject: on Node 24 each use of a raw key buffer costs some 10 microseconds more.
const handle = (key: KeyObject): KeyHandle => key as unknown as KeyHandle;
const keyObject = (key: KeyHandle): KeyObject => key as unknown as KeyObject;

// The tag length is pinned everywhere: unpinned, Node accepts a tag of four bytes.
const GCM = { authTagLength: 16 } as const;

const crypto: Crypto = {
  utf8Encode: (text) => encoder.encode(text),
  utf8Decode: (input) => buffer(input).toString("utf8"),
  hex: (input) => buffer(input).toString("hex"),
  base64url: (input) => buffer(input).toString("base64url"),
  sha256: (input) => bytes(createHash("sha256").update(input).digest()),
  sha1: (input) => bytes(createHash("sha1").update(input).digest()),
  crc32: (input) => crc32(input),
  importKey: (raw) => handle(createSecretKey(raw)),
  hmac: (key, message) => bytes(createHmac("sha256", keyObject(key)).update(message).digest()),
  deriveKey: (root, info) => {
    const derived = new Uint8Array(
      hkdfSync("sha256", keyObject(root), new Uint8Array(0), info, 32),
    );
    const key = handle(createSecretKey(derived));
    derived.fill(0);
    return key;
  },
  equal: (a, b) => a.byteLength === b.byteLength && timingSafeEqual(a, b),
  seal: (key, plaintext, associatedData) => {
    const iv = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", keyObject(key), iv, GCM).setAAD(associatedData);
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    return { iv: bytes(iv), ciphertext: bytes(ciphertext), tag: bytes(cipher.getAuthTag()) };
  },
  open: (key, { iv, ciphertext, tag }, associatedData) => {
    if (iv.byteLength !== 12 || tag.byteLength !== 16) return undefined;
    const decipher = createDecipheriv("aes-256-gcm", keyObject(key), iv, GCM)
      .setAAD(associatedData)
      .setAuthTag(tag);
    const plaintext = decipher.update(ciphertext);
    try {
      decipher.final();
      return bytes(plaintext);
    } catch {
      plaintext.fill(0);
      return undefined;
    }
  },
};
