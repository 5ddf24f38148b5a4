import { crc32 } from "node:zlib";
import {
  Corrupted,
  type EnvelopeRecord,
  Fault,
  ownerName,
  parseOwnerName,
  type SecretRef,
} from "@keyledger/core";
import { UUID_BYTES, uuidBytes, uuidText } from "./uuid-bytes.ts";

/**
 * Bytes in a slot. Most provider keys fit the first with all that goes with them (about 350 bytes), service accounts
 * and session credentials the second, the largest material (16 KiB) the third.
 */
export const SLOT_SIZES = [512, 4_096, 20_480] as const;

export type SlotSize = (typeof SLOT_SIZES)[number];

/** A record and how often it was replaced. */
export interface Versioned {
  readonly record: EnvelopeRecord;
  /** 1 and up. */
  readonly version: number;
}

/**
 * Name of a record as bytes: key id, secret version, owner. Ordered by the age of the keys, as far as their ids are:
 * new names land side by side in an index.
 */
export const encodeReference = ({ owner, keyId, secretVersion }: SecretRef): Uint8Array =>
  Buffer.concat([uuidBytes(keyId), uuidBytes(secretVersion), Buffer.from(owner, "utf8")]);

/** @throws {Corrupted} */
export function decodeReference(bytes: Uint8Array): SecretRef {
  const owner = parseOwnerName(textOf(bytes.subarray(2 * UUID_BYTES)));
  if (owner === undefined) throw new Corrupted("a secret record's name is damaged");
  return {
    owner: ownerName(owner),
    keyId: uuidText(bytes),
    secretVersion: uuidText(bytes, UUID_BYTES),
  };
}

/**
 * A slot is zeros, or this followed by zeros (`n` = length in two bytes, numbers big-endian):
 *
 *      1  schema of the record (1)
 *      4  CRC-32 (IEEE 802.3) of all that follows, to the end of the slot: wrong = damaged;
 *         right while the seal does not open = forged
 *      4  version       4  KEK version
 *      n  reference     n  created at    n  provider    n  KEK id
 *      n  wrapped key   n  iv            n  tag         n  SHA-256 of the context    n  ciphertext
 */
const CRC_AT = 1;
const BODY_AT = 5;
const KEK_VERSION_AT = BODY_AT + 4;
const HEAD_BYTES = KEK_VERSION_AT + 4;

/** The smallest slot that holds the record. @throws {Fault} none does. */
export function encodeSlot(reference: Uint8Array, { record, version }: Versioned): Uint8Array {
  const { wrappedDek } = record;
  const parts = [
    reference,
    Buffer.from(record.createdAt, "utf8"),
    Buffer.from(record.provider, "utf8"),
    Buffer.from(wrappedDek.kekId, "utf8"),
    wrappedDek.bytes,
    record.iv,
    record.tag,
    record.contextSha256,
    record.ciphertext,
  ];
  const length = parts.reduce((sum, part) => sum + 2 + part.length, HEAD_BYTES);
  const size = SLOT_SIZES.find((slot) => length <= slot);
  if (size === undefined) {
    throw new Fault(`a secret record has ${length} bytes, the most is ${SLOT_SIZES.at(-1)}`, {
      retryable: false,
    });
  }
  const slot = Buffer.alloc(size);
  slot.writeUInt8(record.schema);
  slot.writeUInt32BE(version, BODY_AT);
  slot.writeUInt32BE(wrappedDek.kekVersion, KEK_VERSION_AT);
  let at = HEAD_BYTES;
  for (const part of parts) {
    slot.writeUInt16BE(part.length, at);
    slot.set(part, at + 2);
    at += 2 + part.length;
  }
  slot.writeUInt32BE(crc32(slot.subarray(BODY_AT)), CRC_AT);
  return slot;
}

/**
 * @param reference under which the slot was found.
 * @throws {Corrupted} the bytes are not what was written, or were written under another name.
 */
export function decodeSlot(reference: Uint8Array, slot: Uint8Array): Versioned {
  const view = new DataView(slot.buffer, slot.byteOffset, slot.byteLength);
  if (slot.length < HEAD_BYTES || view.getUint32(CRC_AT) !== crc32(slot.subarray(BODY_AT))) {
    throw damaged(reference, "its checksum is wrong");
  }
  if (slot[0] !== 1) throw damaged(reference, "its schema is unknown");
  let at = HEAD_BYTES;
  const take = (): Uint8Array => {
    const start = at + 2;
    at = start <= slot.length ? start + view.getUint16(at) : start;
    if (at > slot.length) throw damaged(reference, "a field goes beyond its slot");
    return slot.subarray(start, at);
  };
  if (Buffer.compare(take(), reference) !== 0) throw damaged(reference, "it names another record");
  const [createdAt, provider, kekId] = [textOf(take()), textOf(take()), textOf(take())];
  const wrappedDek = { kekId, kekVersion: view.getUint32(KEK_VERSION_AT), bytes: take() };
  const [iv, tag, contextSha256, ciphertext] = [take(), take(), take(), take()];
  return {
    version: view.getUint32(BODY_AT),
    record: { schema: 1, provider, wrappedDek, iv, ciphertext, tag, contextSha256, createdAt },
  };
}

function damaged(reference: Uint8Array, what: string): Corrupted {
  const { owner, keyId, secretVersion } = decodeReference(reference);
  return new Corrupted(`the secret record ${owner} ${keyId} ${secretVersion} is damaged: ${what}`);
}

const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
