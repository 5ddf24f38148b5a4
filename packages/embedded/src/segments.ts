import * as nodeFiles from "node:fs/promises";
import { join } from "node:path";
import {
  CHAIN_START,
  Corrupted,
  type Host,
  type Instant,
  type NewAccess,
  OutcomeUnknown,
  StoreUnavailable,
  type Uuid,
} from "@keyledger/core";
import { type Disk, quietly } from "./disk.ts";
import { codeOf, fileFault, makeDirectory } from "./files.ts";
import { Marks, type RecordAt, readOrigin, readRecords, recoverSegment } from "./segment-file.ts";
import { encodeFrame, ORIGIN, RECORDS } from "./segment-frame.ts";
import { SegmentWriter, UNFINISHED } from "./segment-writer.ts";

export interface SegmentsOptions {
  readonly directory: string;
  readonly deploymentId: Uuid;
  readonly nodeId: Uuid;
  readonly host: Host;
  readonly segmentBytesMax: number;
  readonly segmentAgeMs: number;
  readonly disk?: Disk;
}

/** Where the log stands: carried by each frame, so that opening reads no more than the last segment. */
export interface Tip {
  /** Hash of the last record, or the chain's start. */
  readonly lastHash: string;
  /** Latest `time` of any record; empty = none yet. */
  readonly latestTime: Instant;
}

interface Segment {
  /** Sequence number of its first record, also in its name. */
  readonly first: number;
  readonly path: string;
  readonly marks: Marks;
}

/** The segment that is written to, the last one. */
interface Current {
  readonly segment: Segment;
  readonly writer: SegmentWriter;
  readonly createdAt: Instant;
  /** Whether its last frame is a seal, or it has no records. */
  isSealed: boolean;
}

/** How often it is looked whether the current file is still the one its path names. */
const LOOK_MS = 1_000;

/**
 * Append-only files in one directory that together hold records 1, 2, 3 and so on. A new one is begun when the last is
 * full or old, when a sync of it failed, and when it was removed; old ones are retired whole. Batches are appended one
 * at a time; reads may go on meanwhile.
 */
export class Segments {
  readonly #options: SegmentsOptions;
  readonly #disk: Disk;
  /** In order. What a file holds beyond the first record of the next one was never acknowledged. */
  readonly #segments: Segment[] = [];
  #current: Current | undefined;
  #nextSequence = 1;
  #tip: Tip = { lastHash: CHAIN_START, latestTime: "" };
  #lookedAtMs: number;

  private constructor(options: SegmentsOptions) {
    this.#options = options;
    this.#disk = options.disk ?? nodeFiles;
    this.#lookedAtMs = options.host.clock.monotonicMs();
  }

  /** @throws {StoreUnavailable} @throws {Corrupted} names file and offset. */
  static async open(options: SegmentsOptions): Promise<Segments> {
    const segments = new Segments(options);
    await segments.#open();
    return segments;
  }

  /** Of the next record to append: all before it are on the disk. */
  get nextSequence(): number {
    return this.#nextSequence;
  }

  get tip(): Tip {
    return this.#tip;
  }

  /** The first record that was not retired, or the next one to come. */
  get firstSequence(): number {
    return this.#segments[0]?.first ?? this.#nextSequence;
  }

  /**
   * On the disk once resolved.
   * @param tip where the log stands behind these records.
   * @throws {StoreUnavailable} none of them is there, nor will be. @throws {OutcomeUnknown}
   */
  async append(records: readonly NewAccess[], tip: Tip): Promise<void> {
    const frame = this.#frame(records, tip);
    const current = await this.#roomFor(frame);
    current.segment.marks.add(this.#nextSequence, current.writer.size);
    await this.#write(current, frame);
    this.#nextSequence += records.length;
    this.#tip = tip;
  }

  /**
   * The records `from` to below `until`, all of them on the disk, but for those retired meanwhile.
   * @throws {Corrupted} names file and offset. @throws {StoreUnavailable}
   */
  async read(from: number, until: number): Promise<RecordAt[]> {
    const records: RecordAt[] = [];
    for (let next = from; next < until; ) {
      const at = Math.max(
        this.#segments.findLastIndex(({ first }) => first <= next),
        0,
      );
      const segment = this.#segments[at];
      if (segment === undefined) break;
      const start = Math.max(next, segment.first);
      next = Math.min(until, this.#segments[at + 1]?.first ?? until);
      if (start < next) records.push(...(await this.#readSegment(segment, start, next)));
    }
    return records;
  }

  /** Removes the oldest segments as long as all their records are older. The last segment stays. */
  async retire(olderThan: Instant): Promise<void> {
    for (;;) {
      const [oldest, next] = this.#segments;
      if (oldest === undefined || next === undefined) return;
      const { crypto } = this.#options.host;
      const origin = await this.#reading(next, (handle) => readOrigin(handle, next.path, crypto));
      if (origin.latestTime >= olderThan) return;
      // Another call may have removed it meanwhile.
      if (this.#segments[0] === oldest) await this.#removeOldest();
    }
  }

  /** Seals the current segment: a damaged last batch is then found at the next opening. */
  async close(): Promise<void> {
    const current = this.#current;
    if (current === undefined) return;
    await quietly(this.#seal(current));
    await this.#letGo(current);
  }

  async #open(): Promise<void> {
    const { directory } = this.#options;
    makeDirectory(directory);
    try {
      for (const name of (await this.#disk.readdir(directory)).toSorted()) {
        const path = join(directory, name);
        if (name.endsWith(UNFINISHED)) await this.#disk.unlink(path);
        const first = Number(NAME.exec(name)?.[1]);
        if (first > 0) this.#segments.push({ first, path, marks: new Marks() });
      }
    } catch (error) {
      throw fileFault(directory, error);
    }
    const last = this.#segments.at(-1);
    if (last !== undefined) this.#current = await this.#resume(last);
  }

  async #resume(segment: Segment): Promise<Current> {
    const { deploymentId, nodeId, host } = this.#options;
    const { first, path, marks } = segment;
    const { origin, last, end, nextSequence } = await this.#reading(segment, (handle) =>
      recoverSegment(handle, path, { crypto: host.crypto, first, marks }),
    );
    const [deployment, node, createdAt = ""] = origin.origin;
    if (deployment !== deploymentId || node !== nodeId) {
      const other = deployment === deploymentId ? "node" : "deployment";
      throw new StoreUnavailable(`${path}: belongs to another ${other}`, { retryable: false });
    }
    this.#nextSequence = nextSequence;
    this.#tip = { lastHash: last.lastHash, latestTime: last.latestTime };
    const writer = await SegmentWriter.resume(this.#disk, path, end);
    return { segment, writer, createdAt, isSealed: last.records.length === 0 };
  }

  /** The current segment, or a new one where that one is gone, full or old. */
  async #roomFor(frame: Uint8Array): Promise<Current> {
    const current = this.#current;
    if (current === undefined) return this.#begin();
    const isGone = await this.#isGone(current);
    if (!isGone && !this.#isFull(current, frame)) return current;
    if (!isGone) await this.#seal(current);
    await this.#letGo(current);
    return this.#begin();
  }

  async #isGone({ writer }: Current): Promise<boolean> {
    const nowMs = this.#options.host.clock.monotonicMs();
    if (nowMs - this.#lookedAtMs < LOOK_MS) return false;
    this.#lookedAtMs = nowMs;
    return !(await writer.isInPlace());
  }

  #isFull({ segment, writer, createdAt }: Current, frame: Uint8Array): boolean {
    if (segment.first === this.#nextSequence) return false;
    const { segmentBytesMax, segmentAgeMs, host } = this.#options;
    const ageMs = Date.parse(host.clock.now()) - Date.parse(createdAt);
    return writer.size + frame.byteLength > segmentBytesMax || ageMs >= segmentAgeMs;
  }

  async #begin(): Promise<Current> {
    const { directory, deploymentId, nodeId, host } = this.#options;
    const first = this.#nextSequence;
    const path = join(directory, nameOf(first));
    const createdAt = host.clock.now();
    const origin = encodeFrame(host.crypto.crc32, {
      kind: ORIGIN,
      sequence: first,
      ...this.#tip,
      records: [],
      origin: [deploymentId, nodeId, createdAt],
    });
    const writer = await SegmentWriter.create(this.#disk, path, origin);
    const segment = { first, path, marks: new Marks() };
    this.#segments.push(segment);
    this.#current = { segment, writer, createdAt, isSealed: true };
    return this.#current;
  }

  #frame(records: readonly NewAccess[], tip: Tip): Uint8Array {
    const { crc32 } = this.#options.host.crypto;
    const sequence = this.#nextSequence;
    return encodeFrame(crc32, { kind: RECORDS, sequence, ...tip, records, origin: [] });
  }

  async #write(current: Current, frame: Uint8Array): Promise<void> {
    await this.#put(current, frame);
    try {
      await current.writer.sync(frame);
      current.isSealed = false;
    } catch (error) {
      // The kernel may take the pages it could not write for clean: a second sync of the same file would succeed without
      // them. So the frame goes into a new segment, once, and what the old one holds of it is out of sight.
      await this.#letGo(current);
      await this.#writeAnew(frame, fileFault(current.segment.path, error));
    }
  }

  async #writeAnew(frame: Uint8Array, cause: Error): Promise<void> {
    try {
      const current = await this.#begin();
      await current.writer.put(frame);
      await current.writer.sync(frame);
      current.isSealed = false;
    } catch {
      if (this.#current !== undefined) await this.#letGo(this.#current);
      throw new OutcomeUnknown(`${this.#options.directory}: a write could not be synced`, {
        cause,
      });
    }
  }

  async #put(current: Current, frame: Uint8Array): Promise<void> {
    try {
      await current.writer.put(frame);
    } catch (error) {
      if (error instanceof OutcomeUnknown) await this.#letGo(current);
      throw error;
    }
  }

  /** Without a sync the seal may be lost. It proves nothing then, but the records in front of it are on the disk. */
  async #seal(current: Current): Promise<void> {
    if (current.isSealed) return;
    const frame = this.#frame([], this.#tip);
    await this.#put(current, frame);
    await quietly(current.writer.sync(frame));
  }

  /** Stops writing to a segment. The next one to begin takes the place of one without records. */
  async #letGo({ segment, writer }: Current): Promise<void> {
    this.#current = undefined;
    await writer.close();
    if (segment.first === this.#nextSequence) this.#segments.pop();
  }

  /** Readers no longer find it in the list before the file goes. */
  async #removeOldest(): Promise<void> {
    const oldest = this.#segments.shift();
    if (oldest === undefined) return;
    try {
      await this.#disk.unlink(oldest.path);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return;
      this.#segments.unshift(oldest);
      throw fileFault(oldest.path, error);
    }
  }

  async #readSegment(segment: Segment, from: number, until: number): Promise<RecordAt[]> {
    const { path, marks } = segment;
    const { crypto } = this.#options.host;
    try {
      return await this.#reading(segment, (handle) =>
        readRecords(handle, path, { crypto, marks, from, until }),
      );
    } catch (error) {
      if (!this.#segments.includes(segment)) return [];
      throw error;
    }
  }

  async #reading<T>(
    { path }: Segment,
    work: (handle: nodeFiles.FileHandle) => Promise<T>,
  ): Promise<T> {
    let handle: nodeFiles.FileHandle | undefined;
    try {
      handle = await this.#disk.open(path, "r");
      return await work(handle);
    } catch (error) {
      if (codeOf(error) === "ENOENT") throw new Corrupted(`${path}: the file is missing`);
      throw error instanceof Corrupted ? error : fileFault(path, error);
    } finally {
      await quietly(handle?.close());
    }
  }
}

const NAME = /^access-(\d{16})\.log$/;

const nameOf = (first: number): string => `access-${String(first).padStart(16, "0")}.log`;
