import { constants, type FileHandle, open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Fault } from "@keyledger/core";

/** A small file could not be written, or is not safe to read. The message names the path and the reason. */
export class FileRefused extends Fault {
  constructor(path: string, reason: string, cause?: unknown) {
    super(`${path}: ${reason}`, { retryable: false, ...(cause !== undefined && { cause }) });
  }
}

/**
 * Writes a whole small file that only its owner may read (0600), replacing what was there. Durable once resolved; after a
 * crash the path holds the old content or the new, never a part.
 * @throws {FileRefused}
 */
export async function writePrivateFile(path: string, content: string | Uint8Array): Promise<void> {
  // Beside the target, since a rename is atomic only within a file system. A left-over of a crash is replaced.
  const draft = join(dirname(path), `.${basename(path)}.new`);
  try {
    await unlinkIfThere(draft);
    const file = await open(draft, "wx", PRIVATE);
    try {
      // The umask may have taken rights away; what stands must be exactly this.
      await file.chmod(PRIVATE);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw new FileRefused(path, `cannot be written (${codeOf(error)})`, error);
  }
}

/**
 * Reads a small file that must be private: a regular file, readable by nobody but its owner, who is this user or root.
 * @returns `undefined` where there is none
 * @throws {FileRefused}
 */
export async function readPrivateFile(
  path: string,
  bytesMax: number,
): Promise<Uint8Array | undefined> {
  let file: FileHandle;
  try {
    // Not blocking, or a named pipe in its place would hold the start for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new FileRefused(path, `cannot be read (${codeOf(error)})`, error);
  }
  try {
    const { mode, size, uid, isFile } = await statOf(file);
    if (!isFile) throw new FileRefused(path, "is no regular file");
    if ((mode & 0o077) !== 0) {
      throw new FileRefused(path, `others may read it (mode ${octal(mode)}, needs 0600)`);
    }
    if (uid !== 0 && uid !== process.getuid?.()) {
      throw new FileRefused(path, "belongs to another user");
    }
    if (size > bytesMax) throw new FileRefused(path, `is ${size} bytes, the most is ${bytesMax}`);
    return await readWhole(file, size);
  } catch (error) {
    if (error instanceof FileRefused) throw error;
    throw new FileRefused(path, `cannot be read (${codeOf(error)})`, error);
  } finally {
    await file.close();
  }
}

/** Removes a file so that a crash does not bring it back. None there is fine. @throws {FileRefused} */
export async function removeDurably(path: string): Promise<void> {
  try {
    await unlinkIfThere(path);
    await syncDirectory(dirname(path));
  } catch (error) {
    // Without its directory the file is gone too.
    if (codeOf(error) === "ENOENT") return;
    throw new FileRefused(path, `cannot be removed (${codeOf(error)})`, error);
  }
}

const PRIVATE = 0o600;

const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, "0");

async function statOf(file: FileHandle) {
  const stat = await file.stat();
  return { mode: stat.mode, size: stat.size, uid: stat.uid, isFile: stat.isFile() };
}

/** Reads no more than it was found to hold, should it grow meanwhile. */
async function readWhole(file: FileHandle, size: number): Promise<Uint8Array> {
  const content = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await file.read(content, length, size - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return content.subarray(0, length);
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

/** A new, renamed or removed name is on the disk only after its directory was synced. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : "unknown";
