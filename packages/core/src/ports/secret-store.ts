import type { Instant, OwnerName, Uuid } from "../domain/vocabulary.ts";
import type { WrappedKey } from "./kek.ts";

/** Names stored material; safe to log. */
export interface SecretRef {
  readonly owner: OwnerName;
  readonly keyId: Uuid;
  readonly secretVersion: Uuid;
}

/** Sealed material and its wrapped data key. Live because an event names it: there is no state column. */
export interface EnvelopeRecord {
  readonly schema: 1;
  readonly provider: string;
  readonly wrappedDek: WrappedKey;
  /** 12 bytes. */
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
  /** 16 bytes. */
  readonly tag: Uint8Array;
  /** SHA-256 of the context it was sealed under: a record in the wrong place is found before any unwrap. */
  readonly contextSha256: Uint8Array;
  readonly createdAt: Instant;
}

/** Grows with each replace; opaque. */
export type RecordVersion = string;

export interface Held {
  readonly record: EnvelopeRecord;
  readonly version: RecordVersion;
}

export interface Staged {
  readonly ref: SecretRef;
  readonly createdAt: Instant;
  readonly kek: { readonly id: string; readonly version: number };
}

/** Keeps envelope records. Never sees plaintext. */
export interface SecretStore {
  /** Kind of store, for the evidence of a wipe: `sqlite`, `vault-kv2`. */
  readonly store: string;
  /** How a shred destroys, for the evidence of a wipe. */
  readonly method: string;
  /** Durable once resolved, but only staged until an event names it. A ref is written once: a second put of it is a fault. */
  put(ref: SecretRef, record: EnvelopeRecord): Promise<void>;
  /** @returns `null` once shredded or never put. @throws {Corrupted} if it was altered. */
  get(ref: SecretRef): Promise<Held | null>;
  /** Durable once resolved. @returns `false` if the record is no longer at `expected`: somebody rewrapped or shredded it first. */
  replace(ref: SecretRef, record: EnvelopeRecord, expected: RecordVersion): Promise<boolean>;
  /** After this resolves no copy can be read again, not even from the files. Shredding twice is not a fault. */
  shred(ref: SecretRef): Promise<void>;
  /** Records behind `cursor` (empty: from the start), at most `limit`, in a stable order; `next` is `null` at the end. */
  scan(options: {
    cursor: string;
    limit: number;
  }): Promise<{ records: readonly Staged[]; next: string | null }>;
}
