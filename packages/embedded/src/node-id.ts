import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { Corrupted, isUuid, type Uuid } from "@keyledger/core";
import { codeOf, FILE_MODE, fileFault, syncDirectory } from "./files.ts";

/** @returns `undefined` where there is no file. @throws {Corrupted} it holds something else. @throws {StoreUnavailable} */
export function readNodeId(file: string): Uuid | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw fileFault(file, error);
  }
  if (isUuid(text)) return text;
  throw new Corrupted(`${file}: holds no node id`);
}

/** Durable when it returns; after a crash the file is there whole or not at all. @throws {StoreUnavailable} */
export function writeNodeId(file: string, nodeId: Uuid): void {
  const temporary = `${file}.new`;
  try {
    rmSync(temporary, { force: true });
    const descriptor = openSync(temporary, "wx", FILE_MODE);
    try {
      writeSync(descriptor, `${nodeId}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, file);
    syncDirectory(dirname(file));
  } catch (error) {
    throw fileFault(file, error);
  }
}
