import { closeSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { StoreUnavailable } from "@keyledger/core";

/** Only the service's own user may look into what it keeps. */
export const DIRECTORY_MODE = 0o700;
export const FILE_MODE = 0o600;

/** Makes a directory and its missing parents, each with mode 0700, and their names durable. Present: left as it is. */
export function makeDirectory(path: string): void {
  translating(path, () => {
    const first = mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE });
    if (first === undefined) return;
    for (let made = path; made !== dirname(first); made = dirname(made)) syncDirectory(made);
    syncDirectory(dirname(first));
  });
}

/** Makes an empty file with mode 0600 and its name durable. Present: left as it is. */
export function makeFile(path: string): void {
  translating(path, () => {
    closeSync(openSync(path, "a", FILE_MODE));
    syncDirectory(dirname(path));
  });
}

/** A new, renamed or removed name is on the disk only after its directory was synced. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** What the operating system refused, in our words: path and error code, for the operator to act on. */
export function fileFault(path: string, error: unknown): StoreUnavailable {
  const code = codeOf(error);
  const what = code === "ENOSPC" || code === "EDQUOT" ? "the disk is full" : "no access";
  return new StoreUnavailable(`${path}: ${what} (${code})`, {
    retryable: code !== "EACCES" && code !== "EPERM" && code !== "EROFS",
    cause: error,
  });
}

/** Code of a system error, or `unknown`. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : "unknown";
}

function translating(path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw fileFault(path, error);
  }
}
