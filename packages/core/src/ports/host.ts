import type { Instant, Uuid } from "../domain/vocabulary.ts";

/** Every `AbortSignal` is one. */
export interface CancelSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

export interface Clock {
  /** Wall clock: for data only. */
  now(): Instant;
  /** Milliseconds that never jump: for deadlines and leases. */
  monotonicMs(): number;
}

/** Resolves after `ms`, or at once when the signal aborts. Never rejects. */
export type Pause = (ms: number, signal?: CancelSignal) => Promise<void>;

export interface Random {
  /** Cryptographically strong bytes. */
  bytes(length: number): Uint8Array;
  /** A UUID version 7. */
  uuid(): Uuid;
  /** Uniform in [0, 1): for jitter only. */
  fraction(): number;
}

/** A key held by the host; its bytes are not readable from here. */
export interface KeyHandle {
  readonly keyHandle: unique symbol;
}

export interface Sealed {
  /** 12 bytes. */
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/** The primitives. Synchronous: each costs microseconds. */
export interface Crypto {
  utf8Encode(text: string): Uint8Array;
  utf8Decode(bytes: Uint8Array): string;
  hex(bytes: Uint8Array): string;
  base64url(bytes: Uint8Array): string;
  sha256(bytes: Uint8Array): Uint8Array;
  /** Lower-case hex; of a text's UTF-8. */
  sha256Hex(input: string | Uint8Array): string;
  /** SHA-1, for UUID version 5 only. */
  sha1(bytes: Uint8Array): Uint8Array;
  crc32(bytes: Uint8Array): number;
  /** Imports a key; the caller may wipe the bytes afterwards. */
  importKey(bytes: Uint8Array): KeyHandle;
  /** HMAC-SHA-256. */
  hmac(key: KeyHandle, message: Uint8Array): Uint8Array;
  /** HKDF-SHA-256 without salt, 32 bytes. */
  deriveKey(root: KeyHandle, info: Uint8Array): KeyHandle;
  /** Constant time; `false` where lengths differ. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
  /** AES-256-GCM under a fresh random iv. */
  seal(key: KeyHandle, plaintext: Uint8Array, associatedData: Uint8Array): Sealed;
  /** @returns `undefined` where tag, iv, ciphertext or associated data is not what was sealed. */
  open(key: KeyHandle, sealed: Sealed, associatedData: Uint8Array): Uint8Array | undefined;
}

/** What a process lends to the core. */
export interface Host {
  readonly clock: Clock;
  readonly pause: Pause;
  readonly random: Random;
  readonly crypto: Crypto;
}
