import type { FileHandle } from "node:fs/promises";
import { Corrupted, type Crypto, type NewAccess } from "@keyledger/core";
import { readAt } from "./disk.ts";
import {
  decodeFrame,
  decodeHeader,
  type Frame,
  type FrameHeader,
  HEADER_BYTES,
  MAGIC,
  ORIGIN,
  RECORDS,
} from "./segment-frame.ts";

/** One read: some 400 records, which take about a millisecond to decode. */
const CHUNK_BYTES = 262_144;
/** How far apart the places are that a segment remembers for later reads. */
const MARK_BYTES = 65_536;

/** Where frames stand in one segment, as far as somebody has looked: a read begins close to what it is after. */
export class Marks {
  readonly #sequences: number[] = [];
  readonly #offsets: number[] = [];

  add(sequence: number, offset: number): void {
    if (offset < (this.#offsets.at(-1) ?? 0) + MARK_BYTES) return;
    this.#sequences.push(sequence);
    this.#offsets.push(offset);
  }

  /** Offset of a frame that begins at or before `sequence`. */
  before(sequence: number): number {
    const behind = this.#sequences.findLastIndex((marked) => marked <= sequence);
    return this.#offsets[behind] ?? 0;
  }
}

export interface RecordAt {
  readonly sequence: number;
  readonly record: NewAccess;
}

/**
 * The records `from` to below `until` of one segment, which are known to be on the disk.
 * @throws {Corrupted} names file and offset.
 */
export async function readRecords(
  handle: FileHandle,
  path: string,
  { crypto, marks, from, until }: { crypto: Crypto; marks: Marks; from: number; until: number },
): Promise<RecordAt[]> {
  const records: RecordAt[] = [];
  let next = from;
  let end = marks.before(from);
  for await (const { offset, header, payload } of framesIn(handle, crypto, end)) {
    marks.add(header.sequence, offset);
    const frame = decodeIfWanted(crypto, header, payload, next);
    if (frame === undefined || header.sequence > next) throw damaged(path, offset);
    for (const [nth, record] of frame.records.entries()) {
      const sequence = header.sequence + nth;
      if (sequence < next || sequence >= until) continue;
      records.push({ sequence, record });
      next = sequence + 1;
    }
    if (next === until) return records;
    end = offset + HEADER_BYTES + header.payloadBytes;
  }
  throw damaged(path, end);
}

export interface Recovered {
  readonly origin: Frame;
  /** The last whole frame: where the log stands. */
  readonly last: Frame;
  /** Offset behind it: what follows in the file is a write that a crash cut short. */
  readonly end: number;
  readonly nextSequence: number;
}

/**
 * Reads a whole segment that may end in a torn write.
 * @throws {Corrupted} names file and offset: its first frame is broken, or another one that was on the disk.
 */
export async function recoverSegment(
  handle: FileHandle,
  path: string,
  { crypto, first, marks }: { crypto: Crypto; first: number; marks: Marks },
): Promise<Recovered> {
  let origin: Frame | undefined;
  let last: Frame | undefined;
  let end = 0;
  let nextSequence = first;
  for await (const { offset, header, payload } of framesIn(handle, crypto, 0)) {
    const frame = decodeFrame(crypto.crc32, header, payload);
    const expected = origin === undefined ? ORIGIN : RECORDS;
    if (frame?.kind !== expected || frame.sequence !== nextSequence) break;
    marks.add(header.sequence, offset);
    origin ??= frame;
    last = frame;
    nextSequence += frame.records.length;
    end = offset + HEADER_BYTES + header.payloadBytes;
  }
  if (origin === undefined || last === undefined) throw damaged(path, 0);
  if (await isDamaged(handle, crypto, end, nextSequence)) throw damaged(path, end);
  return { origin, last, end, nextSequence };
}

/** The first frame of a segment. @throws {Corrupted} names file and offset. */
export async function readOrigin(handle: FileHandle, path: string, crypto: Crypto): Promise<Frame> {
  for await (const { header, payload } of framesIn(handle, crypto, 0)) {
    const frame = decodeFrame(crypto.crc32, header, payload);
    if (frame?.kind === ORIGIN) return frame;
    break;
  }
  throw damaged(path, 0);
}

interface FrameAt {
  readonly offset: number;
  readonly header: FrameHeader;
  readonly payload: Buffer;
}

/** The frames from `offset` on, up to where no whole one stands. Their payloads are not checked yet. */
async function* framesIn(
  handle: FileHandle,
  crypto: Crypto,
  offset: number,
): AsyncGenerator<FrameAt, void, undefined> {
  const bytes = windowOver(handle);
  for (let at = offset; ; ) {
    const header = decodeHeader(crypto.crc32, await bytes(at, HEADER_BYTES));
    if (header === undefined) return;
    const payload = await bytes(at + HEADER_BYTES, header.payloadBytes);
    if (payload.byteLength < header.payloadBytes) return;
    yield { offset: at, header, payload };
    at += HEADER_BYTES + header.payloadBytes;
  }
}

/** Bytes of a file, read in large pieces; fewer than asked for at its end. */
function windowOver(handle: FileHandle): (offset: number, length: number) => Promise<Buffer> {
  let start = 0;
  let chunk: Buffer = Buffer.alloc(0);
  return async (offset, length) => {
    if (offset + length > start + chunk.byteLength) {
      start = offset;
      chunk = await readAt(handle, offset, Math.max(CHUNK_BYTES, length));
    }
    return chunk.subarray(offset - start, offset - start + length);
  };
}

/** Frames in front of the wanted records are passed over without a look at what they hold. */
function decodeIfWanted(
  crypto: Crypto,
  header: FrameHeader,
  payload: Buffer,
  from: number,
): Frame | undefined {
  if (header.sequence + header.count > from) return decodeFrame(crypto.crc32, header, payload);
  const { kind, sequence } = header;
  if (kind !== ORIGIN && kind !== RECORDS) return undefined;
  return { kind, sequence, lastHash: "", latestTime: "", records: [], origin: [] };
}

/**
 * Whether a frame that is not whole was on the disk once: only then was anything but zeros written behind it. A whole
 * frame that is out of place is no torn write either.
 */
async function isDamaged(
  handle: FileHandle,
  crypto: Crypto,
  offset: number,
  nextSequence: number,
): Promise<boolean> {
  const { size } = await handle.stat();
  const rest = await readAt(handle, offset, size - offset);
  const broken = decodeHeader(crypto.crc32, rest);
  if (broken !== undefined) {
    const end = HEADER_BYTES + broken.payloadBytes;
    const isWhole =
      decodeFrame(crypto.crc32, broken, rest.subarray(HEADER_BYTES, end)) !== undefined;
    const behind = rest.subarray(end);
    return isWhole || !behind.equals(Buffer.alloc(behind.byteLength));
  }
  for (let at = rest.indexOf(MAGIC); at >= 0; at = rest.indexOf(MAGIC, at + 1)) {
    const header = decodeHeader(crypto.crc32, rest.subarray(at));
    if (header !== undefined && header.sequence >= nextSequence) return true;
  }
  return false;
}

const damaged = (path: string, offset: number): Corrupted =>
  new Corrupted(`${path}: damaged at byte ${offset}`);
