import { constants } from "node:fs";
import * as nodeFiles from "node:fs/promises";
import { join } from "node:path";
import {
  type AuditRecord,
  type AuditSink,
  Corrupted,
  Fault,
  type Position,
  StoreUnavailable,
} from "@keyledger/core";
import { type Disk, isInPlace, quietly, readAt, syncDirectory, writeAll } from "./disk.ts";
import { FILE_MODE, fileFault, makeDirectory } from "./files.ts";

export interface JsonlAuditSinkOptions {
  readonly directory: string;
  /** A file that would grow beyond is put aside as `<feed>-<number>.jsonl`. 64 MiB unless given. */
  readonly fileBytesMax?: number;
  /** The file system, unless given. */
  readonly disk?: Disk;
}

/**
 * Audit records as JSON lines, `changes.jsonl` and `access.jsonl`, each on the disk when `deliver` resolves. What was put
 * aside is never touched again and may be shipped or removed by anybody, but for the youngest file of a feed: the relay
 * resumes behind its last line.
 * @throws {StoreUnavailable}
 */
export function openJsonlAuditSink(options: JsonlAuditSinkOptions): AuditSink & AsyncDisposable {
  makeDirectory(options.directory);
  const feeds = {
    changes: new FeedFile("changes", options),
    access: new FeedFile("access", options),
  };
  return {
    resumeAfter: (feed) => feeds[feed].resumeAfter(),
    deliver: (feed, records) => feeds[feed].deliver(records),
    async [Symbol.asyncDispose]() {
      await feeds.changes.close();
      await feeds.access.close();
    },
  };
}

interface OpenFile {
  readonly handle: nodeFiles.FileHandle;
  /** Bytes on the disk, up to the end of a line. */
  size: number;
  /** Whether there may be something behind them, from a write that failed. */
  isTorn: boolean;
}

class FeedFile {
  readonly #feed: string;
  readonly #directory: string;
  readonly #path: string;
  readonly #fileBytesMax: number;
  readonly #disk: Disk;
  /** Calls are done one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #file: OpenFile | undefined;
  #position: Position | null = null;
  #closed = false;

  constructor(
    feed: "changes" | "access",
    { directory, fileBytesMax = 67_108_864, disk = nodeFiles }: JsonlAuditSinkOptions,
  ) {
    this.#feed = feed;
    this.#directory = directory;
    this.#path = join(directory, `${feed}.jsonl`);
    this.#fileBytesMax = fileBytesMax;
    this.#disk = disk;
  }

  resumeAfter(): Promise<Position | null> {
    return this.#inTurn(async () => {
      await this.#opened();
      return this.#position;
    });
  }

  deliver(records: readonly AuditRecord[]): Promise<void> {
    return this.#inTurn(async () => {
      for (const { lines, position } of chunksOf(records)) {
        await this.#write(await this.#roomFor(lines), lines);
        this.#position = position;
      }
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#inTurn(async () => {
      await this.#letGo();
      this.#closed = true;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(async () => {
      if (this.#closed) throw new StoreUnavailable(`${this.#path}: closed`, { retryable: false });
      try {
        return await work();
      } catch (error) {
        throw error instanceof Fault ? error : fileFault(this.#path, error);
      }
    });
    this.#turn = quietly(done);
    return done;
  }

  async #write(file: OpenFile, lines: Buffer): Promise<void> {
    // Lines whose sync failed are cut off and written again: only then does a later sync write them too.
    if (file.isTorn) await file.handle.truncate(file.size);
    file.isTorn = true;
    await writeAll(file.handle, lines, file.size);
    await file.handle.datasync();
    file.size += lines.byteLength;
    file.isTorn = false;
  }

  async #roomFor(lines: Buffer): Promise<OpenFile> {
    const file = await this.#opened();
    if (!(await isInPlace(this.#disk, file.handle, this.#path))) {
      await this.#letGo();
      return this.#opened();
    }
    if (file.size === 0 || file.size + lines.byteLength <= this.#fileBytesMax) return file;
    const number = (await this.#lastPutAside()) + 1;
    await this.#letGo();
    await this.#disk.rename(this.#path, this.#asidePath(number));
    await syncDirectory(this.#disk, this.#directory);
    return this.#opened();
  }

  async #opened(): Promise<OpenFile> {
    if (this.#file !== undefined) return this.#file;
    const handle = await this.#disk.open(this.#path, READ_WRITE_CREATE, FILE_MODE);
    try {
      const { end, line } = await lastLine(handle);
      this.#position =
        line === undefined ? await this.#positionAside() : positionIn(line, this.#path);
      await handle.truncate(end);
      await handle.sync();
      await syncDirectory(this.#disk, this.#directory);
      this.#file = { handle, size: end, isTorn: false };
      return this.#file;
    } catch (error) {
      await quietly(handle.close());
      throw error;
    }
  }

  async #letGo(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file?.isTorn) await quietly(file.handle.truncate(file.size));
    await quietly(file?.handle.close());
  }

  async #positionAside(): Promise<Position | null> {
    const number = await this.#lastPutAside();
    if (number === 0) return null;
    const path = this.#asidePath(number);
    const handle = await this.#disk.open(path, "r");
    try {
      return positionIn((await lastLine(handle)).line ?? "", path);
    } finally {
      await quietly(handle.close());
    }
  }

  /** Number of the file put aside last; 0 = none. */
  async #lastPutAside(): Promise<number> {
    const pattern = new RegExp(`^${this.#feed}-(\\d{6,})\\.jsonl$`);
    const names = await this.#disk.readdir(this.#directory);
    return names.reduce((last, name) => Math.max(last, Number(pattern.exec(name)?.[1] ?? 0)), 0);
  }

  #asidePath(number: number): string {
    return join(this.#directory, `${this.#feed}-${String(number).padStart(6, "0")}.jsonl`);
  }
}

const READ_WRITE_CREATE = constants.O_RDWR | constants.O_CREAT;
const NEWLINE = 0x0a;
/** A chunk is synced once it has reached this; its last line may be longer. */
const CHUNK_BYTES = 524_288;
/** More than a chunk and the longest line together: all that a crash can have left unsynced. */
const TAIL_BYTES = 8_388_608;

interface Chunk {
  readonly lines: Buffer;
  readonly position: Position;
}

function* chunksOf(records: readonly AuditRecord[]): Generator<Chunk, void, undefined> {
  let lines: Buffer[] = [];
  let bytes = 0;
  for (const [nth, record] of records.entries()) {
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    lines.push(line);
    bytes += line.byteLength;
    if (bytes < CHUNK_BYTES && nth < records.length - 1) continue;
    yield { lines: Buffer.concat(lines), position: record.position };
    lines = [];
    bytes = 0;
  }
}

/**
 * The last line that is whole, and where it ends. What a crash cut short comes behind it: of a write that was not synced
 * any part may be missing, and reads as zeros, which no JSON text holds.
 */
async function lastLine(
  handle: nodeFiles.FileHandle,
): Promise<{ end: number; line: string | undefined }> {
  const { size } = await handle.stat();
  const start = Math.max(0, size - TAIL_BYTES);
  const tail = await readAt(handle, start, size - start);
  const hole = tail.indexOf(0);
  const written = hole < 0 ? tail : tail.subarray(0, hole);
  const end = written.lastIndexOf(NEWLINE) + 1;
  if (end === 0) return { end: start, line: start === 0 ? undefined : "" };
  const begin = end < 2 ? 0 : written.lastIndexOf(NEWLINE, end - 2) + 1;
  return { end: start + end, line: written.toString("utf8", begin, end - 1) };
}

/** @throws {Corrupted} names the file. */
function positionIn(line: string, path: string): Position {
  try {
    const { position } = JSON.parse(line);
    if (typeof position === "string") return position;
  } catch {
    // Falls through to the same answer.
  }
  throw new Corrupted(`${path}: its last line is no audit record`);
}
