import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StoreUnavailable } from "@keyledger/core";
import { makeDirectory, makeFile } from "./files.ts";
import { sqliteFault } from "./sqlite.ts";

/**
 * Takes a data directory for this process, so that every log in it has a single writer. The kernel holds the lock and
 * frees it however the process ends. Works on local file systems; on a network share it is as good as its locks are.
 * Nothing else in the process may open `lock.db`: closing any descriptor of a file drops all of a process's locks on it.
 * @throws {StoreUnavailable} another process has it.
 */
export function lockDirectory(directory: string): Disposable {
  const file = join(directory, "lock.db");
  makeDirectory(directory);
  makeFile(file);
  const database = open(file);
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    throw isHeld(error) ? heldBy(directory, error) : sqliteFault(file, error);
  }
  return { [Symbol.dispose]: () => database.close() };
}

function open(file: string): DatabaseSync {
  try {
    return new DatabaseSync(file, { timeout: 0 });
  } catch (error) {
    throw sqliteFault(file, error);
  }
}

const heldBy = (directory: string, cause: unknown): StoreUnavailable =>
  new StoreUnavailable(
    `the data directory ${directory} is in use by another Keyledger process: stop that one first, or give this one a directory of its own`,
    { retryable: false, cause },
  );

const SQLITE_BUSY = 5;

const isHeld = (error: unknown): boolean =>
  error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY;
