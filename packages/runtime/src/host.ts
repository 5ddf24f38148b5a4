import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hash,
  type KeyObject,
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

/** Asking the system for 16 bytes costs as much as asking for some thousand. */
const pool = new Uint8Array(4096);
let left = 0;

/** Random bytes that were nobody's before; what is handed out is wiped from the pool. */
function randomBytes(length: number): Uint8Array {
  if (length > pool.length) return randomFillSync(new Uint8Array(length));
  if (left < length) {
    randomFillSync(pool);
    left = pool.length;
  }
  left -= length;
  const taken = pool.slice(left, left + length);
  pool.fill(0, left, left + length);
  return taken;
}

/** RFC 9562, version 7: 48 bits of milliseconds, then randomness. */
function uuidV7(): string {
  const uuid = buffer(randomBytes(16));
  uuid.writeUIntBE(Date.now(), 0, 6);
  uuid[6] = (uuid.readUInt8(6) & 0x0f) | 0x70;
  uuid[8] = (uuid.readUInt8(8) & 0x3f) | 0x80;
  const hex = uuid.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const random: Random = {
  bytes: randomBytes,
  uuid: uuidV7,
  fraction: () => Math.random(),
};

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The same memory without Buffer's ways: there `slice` is a view, and the core expects a copy. */
const bytes = ({ buffer, byteOffset, byteLength }: Buffer): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

// A key handle is a KeyObject: on Node 24 each use of a raw key buffer costs some 10 microseconds more.
const handle = (key: KeyObject): KeyHandle => key as unknown as KeyHandle;
const keyObject = (key: KeyHandle): KeyObject => key as unknown as KeyObject;

const extracts = new WeakMap<KeyObject, KeyObject>();

/**
 * The first step of HKDF (RFC 5869) without salt, kept as long as its root: 32 bytes then take one HMAC more, where
 * Node's own function costs three times that.
 */
function extracted(root: KeyObject): KeyObject {
  const known = extracts.get(root);
  if (known) return known;
  const material = root.export();
  const digest = createHmac("sha256", new Uint8Array(32)).update(material).digest();
  material.fill(0);
  const key = createSecretKey(digest);
  digest.fill(0);
  extracts.set(root, key);
  return key;
}

// The tag length is pinned everywhere: unpinned, Node accepts a tag of four bytes.
const GCM = { authTagLength: 16 } as const;

const crypto: Crypto = {
  utf8Encode: (text) => bytes(Buffer.from(text, "utf8")),
  utf8Decode: (input) => buffer(input).toString("utf8"),
  hex: (input) => buffer(input).toString("hex"),
  base64url: (input) => buffer(input).toString("base64url"),
  sha256: (input) => bytes(hash("sha256", input, "buffer")),
  sha256Hex: (input) => hash("sha256", input, "hex"),
  sha1: (input) => bytes(hash("sha1", input, "buffer")),
  crc32: (input) => crc32(input),
  importKey: (raw) => handle(createSecretKey(raw)),
  hmac: (key, message) => bytes(createHmac("sha256", keyObject(key)).update(message).digest()),
  deriveKey: (root, info) => {
    const message = new Uint8Array(info.byteLength + 1);
    message.set(info);
    message[info.byteLength] = 1;
    const derived = createHmac("sha256", extracted(keyObject(root)))
      .update(message)
      .digest();
    const key = handle(createSecretKey(derived));
    derived.fill(0);
    return key;
  },
  equal: (a, b) => a.byteLength === b.byteLength && timingSafeEqual(a, b),
  seal: (key, plaintext, associatedData) => {
    const iv = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", keyObject(key), iv, GCM).setAAD(associatedData);
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    return { iv, ciphertext: bytes(ciphertext), tag: bytes(cipher.getAuthTag()) };
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
