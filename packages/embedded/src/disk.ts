import type * as nodeFiles from "node:fs/promises";

/** What the files of this package need of a file system; the promises API of `node:fs` is one. */
export type Disk = Pick<typeof nodeFiles, "open" | "readdir" | "rename" | "stat" | "unlink">;

type FileHandle = nodeFiles.FileHandle;

/** One call may write less than it was given. */
export async function writeAll(
  handle: FileHandle,
  bytes: Uint8Array,
  offset: number,
): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const left = bytes.byteLength - done;
    const { bytesWritten } = await handle.write(bytes, done, left, offset + done);
    done += bytesWritten;
  }
}

/** Reads up to `length` bytes; fewer at the end of the file. */
export async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

/** Whether an open file is still the one its path names: a removed one takes writes as if nothing had happened. */
export async function isInPlace(disk: Disk, handle: FileHandle, path: string): Promise<boolean> {
  try {
    const [held, named] = await Promise.all([handle.stat(), disk.stat(path)]);
    return held.nlink > 0 && held.ino === named.ino && held.dev === named.dev;
  } catch {
    return false;
  }
}

/** A new or renamed file keeps its name over a power cut only once its directory was synced. */
export async function syncDirectory(disk: Disk, path: string): Promise<void> {
  const handle = await disk.open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** For what changes nothing about what was promised. */
export async function quietly(work: Promise<unknown> | undefined): Promise<void> {
  try {
    await work;
  } catch {}
}
