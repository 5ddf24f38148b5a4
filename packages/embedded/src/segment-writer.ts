import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { OutcomeUnknown } from "@keyledger/core";
import { type Disk, isInPlace, quietly, syncDirectory, writeAll } from "./disk.ts";
import { FILE_MODE, fileFault } from "./files.ts";

/** Zeros written ahead: a sync within the size that a file has already costs half of one that makes it longer. */
const AHEAD = Buffer.alloc(1_048_576);

/** The file that frames are appended to. */
export class SegmentWriter {
  readonly path: string;
  readonly #disk: Disk;
  readonly #handle: FileHandle;
  #size: number;
  #allocated: number;

  /** @param size bytes known to be on the disk; whatever lies behind them was never acknowledged. */
  private constructor(disk: Disk, path: string, handle: FileHandle, size: number) {
    this.path = path;
    this.#disk = disk;
    this.#handle = handle;
    this.#size = size;
    this.#allocated = size;
  }

  /**
   * Makes a file that begins with `origin`, in place of an older one of that name. A file under its own name is always
   * whole: it gets the name only when its first frame is on the disk.
   */
  static async create(disk: Disk, path: string, origin: Uint8Array): Promise<SegmentWriter> {
    const unfinished = `${path}${UNFINISHED}`;
    let handle: FileHandle | undefined;
    try {
      handle = await disk.open(unfinished, "w+", FILE_MODE);
      await writeAll(handle, origin, 0);
      await handle.sync();
      await disk.rename(unfinished, path);
      await syncDirectory(disk, dirname(path));
      return new SegmentWriter(disk, path, handle, origin.byteLength);
    } catch (error) {
      await quietly(handle?.close());
      throw fileFault(path, error);
    }
  }

  /** Goes on behind the first `size` bytes and drops the rest. */
  static async resume(disk: Disk, path: string, size: number): Promise<SegmentWriter> {
    let handle: FileHandle | undefined;
    try {
      handle = await disk.open(path, "r+");
      await handle.truncate(size);
      // A process that was killed may have left whole frames that are not on the disk yet.
      await handle.sync();
      return new SegmentWriter(disk, path, handle, size);
    } catch (error) {
      await quietly(handle?.close());
      throw fileFault(path, error);
    }
  }

  /** Bytes known to be on the disk. */
  get size(): number {
    return this.#size;
  }

  /**
   * Writes a frame, but not yet to the disk. Followed by `sync`, or by `close` where it was in vain.
   * @throws {StoreUnavailable} it is not there. @throws {OutcomeUnknown} it may be there, and the file is of no more use.
   */
  async put(frame: Uint8Array): Promise<void> {
    try {
      while (this.#allocated < this.#size + frame.byteLength) {
        await writeAll(this.#handle, AHEAD, this.#allocated);
        this.#allocated += AHEAD.byteLength;
      }
      await writeAll(this.#handle, frame, this.#size);
    } catch (error) {
      const cause = fileFault(this.path, error);
      try {
        await this.#cut();
      } catch {
        throw new OutcomeUnknown(`${this.path}: a write failed half-way`, { cause });
      }
      throw cause;
    }
  }

  /** Makes the frame put last durable. When it throws, the file is of no more use: see `Segments`. */
  async sync(frame: Uint8Array): Promise<void> {
    await this.#handle.datasync();
    this.#size += frame.byteLength;
  }

  isInPlace(): Promise<boolean> {
    return isInPlace(this.#disk, this.#handle, this.path);
  }

  async close(): Promise<void> {
    await quietly(this.#cut());
    await quietly(this.#handle.close());
  }

  async #cut(): Promise<void> {
    await this.#handle.truncate(this.#size);
    this.#allocated = this.#size;
  }
}

/** Suffix of a file that is being made. */
export const UNFINISHED = ".new";
