import type { NewAccess } from "@keyledger/core";

/**
 * A segment file is a row of frames: a header of 32 bytes, then a payload of texts, each behind its length. A frame is
 * written only after all before it are on the disk. So a broken frame with nothing behind it is a write that a crash cut
 * short and nobody was told of; with something behind it, it is damage.
 *
 * | header, big-endian | bytes |
 * |---|---|
 * | `ff 4b 4c 46`: no UTF-8 text contains it | 4 |
 * | kind | 4 |
 * | number of records | 4 |
 * | sequence number of the first record; without records, of the next one | 8 |
 * | length of the payload | 4 |
 * | CRC-32 (as in zlib) of the payload | 4 |
 * | CRC-32 of the 28 bytes before | 4 |
 */
export interface Frame {
  readonly kind: FrameKind;
  readonly sequence: number;
  /** Hash of the last record of the log so far. */
  readonly lastHash: string;
  /** Latest `time` of any record of the log so far; empty = none yet. */
  readonly latestTime: string;
  readonly records: readonly NewAccess[];
  /** What only the first frame of a segment holds: deployment, node and time of creation. */
  readonly origin: readonly string[];
}

export type FrameKind = typeof ORIGIN | typeof RECORDS;

/** The first frame of each segment. */
export const ORIGIN = 1;
/** A batch. Without records it is a seal: proof that all before it reached the disk. */
export const RECORDS = 2;

export interface FrameHeader {
  readonly kind: number;
  readonly count: number;
  readonly sequence: number;
  readonly payloadBytes: number;
  readonly payloadCrc: number;
}

export const HEADER_BYTES = 32;
export const MAGIC = new Uint8Array([0xff, 0x4b, 0x4c, 0x46]);

type Crc32 = (bytes: Uint8Array) => number;

export function encodeFrame(crc32: Crc32, frame: Frame): Uint8Array {
  const { kind, sequence, lastHash, latestTime, records, origin } = frame;
  const texts = [lastHash, latestTime, ...origin];
  for (const { id, type, data, metadata } of records) {
    texts.push(id, type, data, JSON.stringify(metadata));
  }
  const payloadBytes = texts.reduce((sum, text) => sum + 4 + Buffer.byteLength(text), 0);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payloadBytes);
  let at = HEADER_BYTES;
  for (const text of texts) {
    const length = bytes.write(text, at + 4);
    bytes.writeUInt32BE(length, at);
    at += 4 + length;
  }
  bytes.set(MAGIC);
  bytes.writeUInt32BE(kind, 4);
  bytes.writeUInt32BE(records.length, 8);
  bytes.writeBigUInt64BE(BigInt(sequence), 12);
  bytes.writeUInt32BE(payloadBytes, 20);
  bytes.writeUInt32BE(crc32(bytes.subarray(HEADER_BYTES)), 24);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 28)), 28);
  return bytes;
}

/** @returns `undefined` where the bytes do not begin with a whole header. */
export function decodeHeader(crc32: Crc32, bytes: Buffer): FrameHeader | undefined {
  if (bytes.byteLength < HEADER_BYTES) return undefined;
  const header = bytes.subarray(0, HEADER_BYTES);
  if (!header.subarray(0, 4).equals(MAGIC)) return undefined;
  if (crc32(header.subarray(0, 28)) !== header.readUInt32BE(28)) return undefined;
  return {
    kind: header.readUInt32BE(4),
    count: header.readUInt32BE(8),
    sequence: Number(header.readBigUInt64BE(12)),
    payloadBytes: header.readUInt32BE(20),
    payloadCrc: header.readUInt32BE(24),
  };
}

/** @returns `undefined` where the payload is not what was written. */
export function decodeFrame(crc32: Crc32, header: FrameHeader, payload: Buffer): Frame | undefined {
  const { kind, count, sequence } = header;
  if (payload.byteLength !== header.payloadBytes || crc32(payload) !== header.payloadCrc) {
    return undefined;
  }
  if (kind !== ORIGIN && kind !== RECORDS) return undefined;
  const [lastHash = "", latestTime = "", ...texts] = textsIn(payload);
  const records: NewAccess[] = [];
  if (kind === ORIGIN) return { kind, sequence, lastHash, latestTime, records, origin: texts };
  for (let nth = 0; nth < count; nth++) {
    const [id = "", type = "", data = "", metadata = ""] = texts.slice(nth * 4, nth * 4 + 4);
    records.push({ id, type: type as NewAccess["type"], data, metadata: JSON.parse(metadata) });
  }
  return { kind, sequence, lastHash, latestTime, records, origin: [] };
}

function textsIn(payload: Buffer): string[] {
  const texts: string[] = [];
  for (let at = 0; at < payload.byteLength; ) {
    const end = at + 4 + payload.readUInt32BE(at);
    texts.push(payload.toString("utf8", at + 4, end));
    at = end;
  }
  return texts;
}
